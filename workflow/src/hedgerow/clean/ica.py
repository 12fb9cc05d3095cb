"""Artefacts by independent components (ICA): those that ICLabel calls no brain are taken out.

Needs a signal (channels, samples) and positions of electrodes; makes the same without the components, and an account.
Components are found by extended infomax (T.-W. Lee et al., Neural Computation 11 (1999) 417-441; MNE-Python) and
judged by ICLabel (L. Pion-Tonachini et al., NeuroImage 198 (2019) 181-197; mne-icalabel, an optional package, whose
network comes with it). Both happen on a copy such as ICLabel was trained on; what the components contribute is taken
out of the signal itself, in its own reference and band.
"""

import numpy as np

from hedgerow import _array, splines
from hedgerow.account import Fault, Stopped
from hedgerow.clean import asr, ransac

#: What ICLabel tells apart, in its order.
LABELS = ("brain", "muscle", "eye", "heart", "line noise", "channel noise", "other")

#: What is taken out.
ARTEFACTS = ("muscle", "eye", "heart", "line noise", "channel noise")

#: Fewest electrodes of known position that make a topography.
FEWEST = 4

#: Band in Hz in which components are found and judged. Below 200 Hz of sampling rate it ends at Nyquist.
BAND = (1.0, 100.0)


def remove(x, sfreq, names, positions, *, probability, seed):
    """Take out components that ICLabel calls eye, muscle, heart, line or channel noise.

    As many components are sought as the average-referenced signal has independent dimensions. A topography in the
    signal's own reference is the regression of all channels, those without a position too, on the component's course.

    Parameters
    ----------
    x : array (channels, samples)
        In µV, without bad channels, offsets do not matter. Copied to the host, where components are found.
    sfreq : float
        Sampling rate in Hz.
    names : list of str
        Channels of x.
    positions : array_like (channels, 3)
        Of the electrodes, in any unit, x to the right, y to the front, z up; NaN where unknown.
    probability : float
        0 to 1. A component goes if its most likely label is an artefact, and likelier than this.
    seed : int
        Of infomax. One seed, one machine: the same bytes.

    Returns
    -------
    y : array (channels, samples)
        The kind of x, µV. Each channel keeps its mean; nothing but the components is taken out.
    account : dict
        JSON-able: ``probability``, ``seed``, ``components`` (how many), ``rank`` (independent channels left),
        ``labels`` (how many components have each), ``removed`` (list of ``component`` from 0, ``label``,
        ``probability``, ``variance``: its share of the variance of all channels in `BAND`), ``notes`` (what makes the
        labels less sure).

    Raises
    ------
    Fault
        ``no-positions`` with fewer than four known positions, ``too-short`` with fewer samples than the components
        have weights.
    ValueError
        A probability outside 0 to 1.
    hedgerow.account.Stopped
        mne-icalabel is not installed.
    """
    if not 0 <= probability <= 1:
        raise ValueError(
            f"ica_probability={probability}: give the probability above which an artefact goes, 0 to 1, or null"
        )
    xp, positions = _array.namespace(x), np.asarray(positions, dtype=float)
    placed = np.flatnonzero(splines.placed(positions))
    if len(placed) < FEWEST:
        raise Fault(
            "no-positions",
            f"{len(placed)} of {len(names)} EEG channels have a known position and ICLabel needs {FEWEST}: name them "
            "as the 10-05 system does, set ica_probability to null, or leave the recording out",
        )
    banded = _banded(_array.to_numpy(x), sfreq)
    raw = _raw(banded[placed], sfreq, [names[i] for i in placed], ransac.directions(positions[placed]))
    unmixing, likely = _components(raw, seed)
    weights = np.zeros((len(unmixing), len(names)))
    weights[:, placed] = unmixing - unmixing.mean(axis=1, keepdims=True)  # the average reference within
    sources = weights @ banded
    topographies = np.linalg.lstsq(sources.T, banded.T, rcond=None)[0].T  # (channels, components)
    share = (topographies**2).sum(axis=0) * sources.var(axis=1) / banded.var(axis=1).sum()
    best = likely.argmax(axis=1)
    gone = [i for i, k in enumerate(best) if LABELS[k] in ARTEFACTS and likely[i, k] > probability]
    taken = _array.like(topographies[:, gone] @ weights[gone], x)
    y = x - xp.matmul(taken, x - xp.mean(x, axis=1, keepdims=True)) if gone else x
    return y, {
        "probability": float(probability),
        "seed": int(seed),
        "components": len(unmixing),
        "rank": _rank(banded) - len(gone),
        "labels": {label: int((best == k).sum()) for k, label in enumerate(LABELS)},
        "removed": [_removed(i, LABELS[best[i]], likely[i].max(), share[i]) for i in gone],
        "notes": _notes(len(unmixing), x.shape[1], sfreq),
    }


def _removed(component, label, probability, share):
    return {"component": component, "label": label, "probability": float(probability), "variance": float(share)}


def _notes(components, samples, sfreq):
    """What ICLabel was not trained on."""
    notes = []
    if sfreq < 2 * BAND[1]:
        notes.append(f"ICLabel knows signals up to {BAND[1]:g} Hz, this ends at {sfreq / 2:g} Hz")
    if samples < 20 * components**2:
        notes.append(f"{samples / components**2:.0f} samples for each of {components}² weights, 20 are wanted")
    return notes


def _banded(x, sfreq):
    """Host copy of x between 1 and 100 Hz, in its own reference."""
    import mne

    high = BAND[1] if sfreq > 2 * BAND[1] else None
    return mne.filter.filter_data(np.array(x, dtype=float), sfreq, BAND[0], high, verbose="error")


def _raw(x, sfreq, names, directions):
    """Average-referenced signal as MNE-Python has it, in V, with electrodes on a sphere."""
    import mne

    info = mne.create_info(list(names), sfreq, "eeg", verbose="error")
    where = dict(zip(names, 0.095 * directions))
    info.set_montage(mne.channels.make_dig_montage(where, coord_frame="head"), verbose="error")
    return mne.io.RawArray(1e-6 * x, info, verbose="error").set_eeg_reference("average", verbose="error")


def _components(raw, seed):
    """Weights (components, channels) of the independent components, and how likely each of `LABELS` is for each."""
    import mne

    try:
        import onnxruntime  # noqa: F401  mne-icalabel would ask for it when all is done
        from mne_icalabel.iclabel import iclabel_label_components
    except ImportError as error:
        raise Stopped(
            f"{error.name or 'mne-icalabel'} is missing, without which no component can be labelled: run `make setup`, "
            "install it (pip install mne-icalabel 'onnxruntime<1.29'), or set ica_probability to null"
        ) from None
    count, samples = _rank(raw.get_data()), raw.n_times
    if samples < max(count**2, 5 * raw.info["sfreq"]):
        raise Fault(
            "too-short",
            f"the recording has {samples} samples and {count} components need {max(count**2, 5 * raw.info['sfreq']):g} "
            "at least: set ica_probability to null or leave the recording out",
        )
    # the log says what the notes of the account say
    with mne.use_log_level("error"):
        ica = mne.preprocessing.ICA(count, method="infomax", fit_params={"extended": True}, random_state=seed)
        ica.fit(raw)
        # of both kinds of network the one that needs no torch, wherever this runs
        likely = iclabel_label_components(raw, ica, inplace=False, backend="onnx")
    return ica.unmixing_matrix_ @ ica.pca_components_[:count] / ica.pre_whitener_.T, likely


def _rank(x):
    variance = np.linalg.eigvalsh(np.cov(x))
    return int((variance > asr.RANK_TOLERANCE * variance[-1]).sum())
