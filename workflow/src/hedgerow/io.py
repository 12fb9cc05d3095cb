"""Reading and writing signals. The only door where volts become microvolts and back.

mne reads EDF, BDF, BrainVision and EEGLAB; clean signals are written as BrainVision float32 by pybv, the one format of
BIDS that holds 32-bit floats.
"""

import warnings
from functools import cache
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pybv

from . import table
from .account import Fault

READERS = {
    ".vhdr": mne.io.read_raw_brainvision,
    ".edf": mne.io.read_raw_edf,
    ".bdf": mne.io.read_raw_bdf,
    ".set": mne.io.read_raw_eeglab,
}

#: Templates of electrode positions, by mne's names: the 10-05 system, EGI's nets and BioSemi's caps, small ones first,
#: so that names which two of a maker's sizes share (E1 to E64, A1 to D32) are those of the smaller.
TEMPLATES = (
    "colin27_1005",
    *("GSN-HydroCel-65_1.0", "GSN-HydroCel-129", "GSN-HydroCel-257"),
    *("biosemi128", "biosemi160", "biosemi256"),
)

#: BIDS channel type of each type that mne tells from names and headers; others are MISC.
TYPES = {"eeg": "EEG", "eog": "EOG", "ecg": "ECG", "emg": "EMG", "stim": "TRIG", "resp": "RESP", "gsr": "GSR"}


def read_raw(path, channels_tsv=None, *, duration=None):
    """Read one recording of a raw dataset.

    Parameters
    ----------
    path : path
        Signal file (.vhdr, .edf, .bdf, .set).
    channels_tsv : path, optional
        Gives channel types; without it every channel that mne takes for EEG is EEG, and the notes say so.
    duration : float, optional
        ``RecordingDuration`` of the sidecar in s; a signal more than one second and 1 % shorter is truncated.

    Returns
    -------
    x : ndarray (channels, samples)
        In µV where the file says volts of any kind, else as stored.
    sfreq : float
        In Hz.
    channels : DataFrame
        ``name, type, units, status, status_description`` in the order of `x`; types are those of BIDS.
    notes : list of str
        Whatever was missing or odd and how it was met.

    Raises
    ------
    Fault
        ``missing-file``, ``unreadable``, ``truncated`` or ``bad-channels-table``.
    """
    path, notes = Path(path), []
    if not path.is_file():
        raise Fault("missing-file", f"{path} is missing (or its content is not fetched): get it or drop the recording")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            raw = READERS[path.suffix](path, preload=True, verbose="ERROR")
    except Exception as error:  # the readers raise whatever a broken header makes them stumble over
        raise Fault("unreadable", f"{path} cannot be read ({type(error).__name__}: {error}); fetch it anew") from error
    notes += sorted({str(w.message).replace("\n", " ") for w in caught if issubclass(w.category, RuntimeWarning)})
    seconds = raw.n_times / raw.info["sfreq"]
    duration = pd.to_numeric(duration, errors="coerce")
    if duration > 0 and seconds < duration - max(1.0, 0.01 * duration):
        raise Fault(
            "truncated",
            f"{path} holds {seconds:.1f} s, its sidecar promises {duration:.1f} s (RecordingDuration): fetch it anew",
        )
    units = [str(raw._orig_units.get(name, "µV")) for name in raw.ch_names]
    volts = [unit.endswith("V") for unit in units]
    # mne gives SI units: volts come back as µV, everything else (µS, n/a ...) as it is stored
    scale = np.array([1e6 if volt or unit[:1] in ("µ", "μ", "u") else 1.0 for volt, unit in zip(volts, units)])
    channels = _channels(raw, ["µV" if volt else unit for volt, unit in zip(volts, units)], channels_tsv, notes)
    for name, kind, unit in zip(channels["name"], channels["type"], channels["units"]):
        if kind == "EEG" and unit not in ("µV", "n/a", ""):
            raise Fault("unreadable", f"{path}: the EEG channel {name} is in {unit!r}, not in volts: mend its unit")
    return raw.get_data() * scale[:, None], float(raw.info["sfreq"]), channels, notes


def _channels(raw, units, channels_tsv, notes):
    """The channels of `raw` as a BIDS table; types and status from channels.tsv, matched by name without case."""
    own = pd.DataFrame(
        {"name": raw.ch_names, "type": [TYPES.get(kind, "MISC") for kind in raw.get_channel_types()], "units": units}
    )
    own[["status", "status_description"]] = ["good", "n/a"]
    if channels_tsv is None:
        notes.append("no channels.tsv: channel types as the reader guessed them")
        return own
    try:
        given = table.read(channels_tsv)
    except (OSError, ValueError) as error:
        raise Fault("bad-channels-table", f"{channels_tsv} cannot be read ({error}): mend this file") from error
    if not {"name", "type"} <= set(given.columns):
        raise Fault("bad-channels-table", f"{channels_tsv} lacks the columns name and type")
    given.index = given["name"].astype(str).str.lower()
    absent = [name for name in raw.ch_names if name.lower() not in given.index]
    if absent or given.index.has_duplicates:
        what = f"does not list {', '.join(absent[:5])}" if absent else "lists a channel twice"
        raise Fault("bad-channels-table", f"{channels_tsv} {what}: make its names those of {raw.filenames[0]}")
    given = given.loc[[name.lower() for name in raw.ch_names]]
    own["type"] = given["type"].astype(str).str.upper().to_numpy()
    for column in ("status", "status_description"):
        if column in given:
            own[column] = given[column].fillna("n/a").to_numpy()
    own["status"] = own["status"].where(own["status"] == "bad", "good")
    return own


def write_signal(stem, x, sfreq, channels):
    """Write a signal as BrainVision float32: ``<stem>.vhdr``, ``.eeg`` and ``.vmrk``.

    Parameters
    ----------
    stem : path
        Path without extension.
    x : ndarray (channels, samples)
        In µV.
    sfreq : float
        In Hz.
    channels : DataFrame
        With ``name`` and ``units``.
    """
    stem = Path(stem)
    volts = [unit == "µV" for unit in channels["units"]]
    pybv.write_brainvision(
        data=x * np.where(volts, 1e-6, 1.0)[:, None],
        sfreq=sfreq,
        ch_names=list(channels["name"]),
        fname_base=stem.name,
        folder_out=str(stem.parent),
        unit=["µV" if v else str(u) for v, u in zip(volts, channels["units"])],
        resolution=1.0,
        fmt="binary_float32",
        overwrite=True,
    )


def read_signal(vhdr):
    """Read back what `write_signal` wrote: ``x`` (channels, samples) in µV and ``sfreq`` in Hz."""
    x, sfreq, _, _ = read_raw(vhdr)
    return x, sfreq


def positions(names):
    """Template positions of electrodes on the head.

    All names are looked up in the one template of `TEMPLATES` that knows most of them, the first of these where
    several know as many. Any other template than the 10-05 system is turned so that nasion and ears lie as there.

    Parameters
    ----------
    names : sequence of str
        Upper and lower case are the same; the vertex reference of an EGI net may go by its number (E65, E129, E257).

    Returns
    -------
    ndarray (channels, 3)
        In m, in the frame of the 10-05 template (x to the right, y to the front, z up); NaN for a name that the
        template does not know.
    """
    wanted = [str(name).lower() for name in names]
    best, most = _template(TEMPLATES[0]), -1
    for kind in TEMPLATES:
        known = sum(name in _template(kind) for name in wanted)
        if known > most:
            best, most = _template(kind), known
        if most == len(wanted):
            break
    return np.array([best.get(name, np.full(3, np.nan)) for name in wanted]).reshape(-1, 3)


@cache
def _template(kind):
    """Position of each electrode of a template, by its name in lower case, in the frame of the 10-05 template."""
    montage = mne.channels.make_standard_montage(kind)
    found = {name.lower(): where for name, where in montage.get_positions()["ch_pos"].items()}
    if kind == TEMPLATES[0]:
        return found
    frame = mne.channels.compute_native_head_t(mne.channels.make_standard_montage(TEMPLATES[0]))["trans"]
    turn = np.linalg.solve(frame, mne.channels.compute_native_head_t(montage)["trans"])
    found = {name: turn[:3, :3] @ where + turn[:3, 3] for name, where in found.items()}
    if kind.startswith("GSN"):
        found[f"e{len(found)}"] = found["cz"]
    return found
