"""Cleaning a recording: drifts, bad channels, line noise, artefacts (ASR, ICA), interpolation, reference.

Needs the raw EEG channels of one recording in µV; makes a signal of the same channels and an account. No sample is cut
and no channel is dropped. The order is that of EEGLAB's automated pipeline (clean_rawdata's clean_artifacts): flat
channels, high-pass, channels unlike what the others predict, ASR on the good channels, what it could not repair; then
spherical splines and the reference.
"""

import array_api_compat
import numpy as np

from hedgerow import _array, rate, splines
from hedgerow.account import Fault
from hedgerow.clean import asr, bursts, channels, drifts, ica, line
from hedgerow.clean import reference as references

#: Fewest good channels with which cleaning makes sense.
FEWEST_CHANNELS = 3


def clean(
    x,
    sfreq,
    *,
    names,
    positions=None,
    marked=(),
    trusted=(),
    resample=None,
    highpass=(0.25, 0.75),
    flat_seconds=5.0,
    noise_sd=4.0,
    ransac=0.8,
    correlation=0.45,
    line_noise=None,
    line_hz=None,
    asr_cutoff=20.0,
    asr_action="repair",
    judge_highpass=None,
    asr_covariance="euclidean",
    asr_memory_mb=None,
    bad_segments=0.25,
    ica_probability=None,
    interpolate=True,
    reference="average",
    seed=5489,
    witness=None,
):
    """Clean one recording.

    Parameters
    ----------
    x : array (channels, samples)
        EEG channels in µV, finite; no EOG, ECG or trigger channel.
    sfreq : float
        Sampling rate in Hz; at least 40 for ASR.
    names : sequence of str
        Channel names, one per row of x.
    positions : array_like (channels, 3), optional
        Electrode positions in m, head coordinates; NaN where unknown.
    marked : sequence of str
        Channels known to be bad, e.g. by channels.tsv.
    trusted : sequence of str
        Channels known to be good: never flat, noisy or unlike the others.
    resample : float or None
        Sampling rate in Hz of all that follows (`rate.resample`), at most that of x; None: as it is.
    highpass : (float, float) or None
        Transition band in Hz (`drifts.highpass`); None if the signal is high-passed already.
    flat_seconds : float or None
        Longest stretch in s that a channel may stand still (`channels.flat`); None: not looked for.
    noise_sd : float or None
        Most noise above 50 Hz in SDs over that of the other channels (`channels.noisy`); None: not looked for.
    ransac : float or None
        Least correlation with what other channels predict, where positions are known (`channels.uncorrelated`);
        None: positions are not used for that.
    correlation : float or None
        Least correlation with other channels, where positions are not known (`channels.uncorrelated`); None: not
        looked for.
    line_noise : "notch", "zapline" or None
        How the hum of the mains goes (`line.remove`); None: it stays. Channels that are bad keep theirs.
    line_hz : float or None
        Frequency of the mains in Hz; None where unknown: then the hum stays, and the account has a note.
    asr_cutoff : float or None
        Threshold in SDs (`asr.calibrate`); None: no ASR.
    asr_action : "repair" or "mark"
        Whether what ASR finds is repaired, or stays as it is and is marked as a bad segment (the burst rejection of
        clean_artifacts).
    judge_highpass : (float, float) or None
        Transition band in Hz of a further high-pass for what noise, correlations, ASR and the search for bad segments
        judge, e.g. (0.5, 1.0) where `highpass` keeps slow waves; the signal itself keeps them. None: they judge the
        signal as it is.
    asr_covariance : "euclidean" or "riemannian"
        Robust covariance of the calibration (`asr.calibrate`).
    asr_memory_mb : float or None
        Emulate the memory splits of the original with this `maxmem` (`asr.apply`).
    bad_segments : float or None
        Share of the good channels, 0 to 1. A second in which more of them are too strong after ASR is beyond repair
        and listed in the account, never cut (`bursts.beyond_repair`; 1: all of them); None: not looked for.
    ica_probability : float or None
        Components that ICLabel takes for artefacts with more than this probability go (`ica.remove`); None: no ICA.
    interpolate : bool
        Replace bad channels by spherical splines over the good ones.
    reference : "average", "mastoids", sequence of str, or None
        Subtract the mean over these channels (`reference.apply`); None keeps the recording's reference. Bad channels
        that were not replaced are never part of the mean.
    seed : int
        Of the subsets of channels that predict others, and of ICA; 5489 is what the original begins with.
    witness : callable, optional
        Called once as ``witness(before, after)`` with two arrays (good channels, samples) in the reference of the
        recording: the high-passed signal before artefacts were taken out of it and the same after.

    Returns
    -------
    y : array (channels, samples)
        The kind of x, float64, µV. Bad channels that were not replaced are resampled, high-passed and referenced only.
    account : dict
        JSON-able. sfreq (of y), seconds, channels (count), device, seed, resampled (None, or from and to), highpass;
        marked, flat, noisy, uncorrelated, good, interpolated (channel names); judged_by ("positions", "correlation",
        "mixed" or None); interpolation ("spherical splines", "not needed", "off", "no positions"); reference
        ("average", the names used, or None); rank (independent channels left, without bad ones that were not
        replaced); line_noise, asr, ica: None, or the accounts of `line.remove`, `bursts.repair` with its action, and
        `ica.remove`; bad_segments and bad_share of `bursts.beyond_repair`.

    Raises
    ------
    Fault
        ``not-finite``, ``no-channels``, ``too-short``, ``rate-too-low``, ``calibration``, ``missing-channel``,
        ``no-positions`` (ICA only).
    """
    xp = _array.namespace(x)
    names = _checked(x, sfreq, names, positions)
    x = xp.astype(x, xp.float64, copy=False)
    found = {"marked": [name for name in names if name in marked], "flat": [], "noisy": [], "uncorrelated": []}
    account = {"sfreq": float(resample or sfreq), "seconds": x.shape[1] / sfreq, "channels": len(names)}
    account |= {"device": str(array_api_compat.device(x)), "seed": seed, "resampled": None}
    if flat_seconds is not None:
        _found(found, "flat", channels.flat(x, sfreq, flat_seconds), names, trusted)
    if resample is not None:
        if not rate.same(resample, sfreq):
            x, account["resampled"] = rate.resample(x, sfreq, resample), {"from": float(sfreq), "to": float(resample)}
        sfreq = float(resample)
    if highpass is not None:
        x = drifts.highpass(x, sfreq, highpass)
    account |= {"highpass": list(highpass) if highpass is not None else None}
    judged = x if judge_highpass is None else drifts.highpass(x, sfreq, judge_highpass)
    account["judged_by"] = _judge(found, judged, sfreq, names, positions, trusted, noise_sd, ransac, correlation, seed)
    bad = [i for i, name in enumerate(names) if any(name in some for some in found.values())]
    good = [i for i in range(len(names)) if i not in bad]
    account |= found | {"good": [names[i] for i in good], "line_noise": None, "asr": None, "ica": None}
    # Only what is worked on is kept: long recordings of many channels fill the memory.
    before = part = _rows(x, good)
    rest, x, judged = _rows(x, bad), None, None
    if line_noise is not None:
        part, account["line_noise"] = _without_hum(part, sfreq, line_noise, line_hz)
    touched, judged = None, part
    if asr_cutoff is not None:
        settings = {"highpass": judge_highpass, "covariance": asr_covariance, "memory_mb": asr_memory_mb}
        judged, account["asr"] = bursts.repair(part, sfreq, account["good"], asr_cutoff, **settings)
        part, touched = _acted(asr_action, part, judged, sfreq, account["asr"])
    account |= bursts.beyond_repair(judged, sfreq, bad_segments, highpass=judge_highpass, without=touched)
    if ica_probability is not None:
        where = np.full((len(good), 3), np.nan) if positions is None else np.asarray(positions)[good]
        settings = {"probability": ica_probability, "seed": seed}
        part, account["ica"] = ica.remove(part, sfreq, account["good"], where, **settings)
    if witness is not None:
        witness(before, part)
    before = judged = None
    x = xp.empty((len(names), part.shape[1]), dtype=part.dtype, device=array_api_compat.device(part))
    _place(x, good, part)
    _place(x, bad, rest)
    part = None
    account["interpolated"], account["interpolation"] = _interpolate(x, names, positions, bad, interpolate)
    left = [names[i] for i in bad if names[i] not in account["interpolated"]]
    x, account["reference"] = references.apply(x, names, reference, left)
    account["rank"] = _rank(x, [i for i, name in enumerate(names) if name not in left])
    return x, account


def _checked(x, sfreq, names, positions):
    """Refuse what cannot be cleaned; the names as a list."""
    xp = _array.namespace(x)
    names = [str(name) for name in names]
    if x.ndim != 2 or x.shape[0] != len(names):
        raise ValueError(f"names: {len(names)} channel names for a signal of shape {tuple(x.shape)}")
    if len(set(names)) < len(names):
        raise ValueError(f"names: channel names are not unique: {sorted({n for n in names if names.count(n) > 1})}")
    if positions is not None and np.shape(positions) != (len(names), 3):
        raise ValueError(f"positions: shape {np.shape(positions)} for {len(names)} channels, not ({len(names)}, 3)")
    if not sfreq > 0:
        raise ValueError(f"sfreq={sfreq}: give the sampling rate in Hz")
    finite = xp.isfinite(x)
    if not bool(xp.all(finite)):
        finite = _array.to_numpy(finite)
        rows, seconds = np.flatnonzero(~finite.all(axis=1)), np.flatnonzero(~finite.all(axis=0)) / sfreq
        some = ", ".join(names[i] for i in rows[:5]) + (f" and {len(rows) - 5} more" if len(rows) > 5 else "")
        raise Fault(
            "not-finite",
            f"{int((~finite).sum())} samples are NaN or infinite, between {seconds[0]:.3f} s and {seconds[-1]:.3f} s "
            f"in {some}: repair the file, or mark the channel as not EEG in channels.tsv",
        )
    _enough(names, {"marked": [], "flat": [], "noisy": [], "uncorrelated": []})
    return names


def _found(found, kind, mask, among, trusted):
    """Add the channels of `mask` to those found bad."""
    found[kind] = [name for name, bad in zip(among, _array.to_numpy(mask).tolist()) if bad and name not in trusted]


def _judge(found, x, sfreq, names, positions, trusted, noise_sd, ransac, correlation, seed):
    """Find noisy channels and those unlike the others, among the lively ones; the means by which they were judged."""
    _enough(names, found)
    lively = [i for i, name in enumerate(names) if name not in {*found["marked"], *found["flat"]}]
    among, x = [names[i] for i in lively], _rows(x, lively)
    if noise_sd is not None:
        _found(found, "noisy", channels.noisy(x, sfreq, noise_sd), among, trusted)
    where = None if positions is None or ransac is None else np.asarray(positions, dtype=float)[lively]
    placed = channels.placed(where, len(lively))
    if not placed.any() and correlation is None:
        _enough(names, found)
        return None
    # No absolute correlation is below 0: channels without positions are then not judged.
    least = {"ransac": 0.8 if ransac is None else ransac, "correlation": correlation or 0.0}
    _found(found, "uncorrelated", channels.uncorrelated(x, sfreq, where, seed=seed, **least), among, trusted)
    _enough(names, found)
    if placed.all() or (placed.any() and correlation is None):
        return "positions"
    return "mixed" if placed.any() else "correlation"


def _enough(names, found):
    good = len({*names} - {name for some in found.values() for name in some})
    if good < FEWEST_CHANNELS:
        raise Fault(
            "no-channels",
            f"{good} good EEG channels of {len(names)} are left and cleaning needs {FEWEST_CHANNELS}: "
            f"{len(found['marked'])} are marked as bad, {len(found['flat'])} stand still "
            f"({', '.join(found['flat']) or 'none'}), {len(found['noisy'])} are noisy "
            f"({', '.join(found['noisy']) or 'none'}), {len(found['uncorrelated'])} are unlike the others "
            f"({', '.join(found['uncorrelated']) or 'none'})",
        )


def _without_hum(x, sfreq, method, hz):
    if hz is None:
        note = "the frequency of the mains is not known and the hum stays: give line_hz"
        return x, {"method": method, "hz": None, "note": note}
    return line.remove(x, sfreq, hz, method=method)


def _acted(action, x, repaired, sfreq, account):
    """What ASR's finding means for the signal; the signal, and the samples that are bad because of it."""
    if action not in bursts.ACTIONS:
        raise ValueError(f"asr_action={action!r}: give {' or '.join(bursts.ACTIONS)}")
    account["action"] = action
    if action == "repair":
        return repaired, None
    return x, bursts.changed(x, repaired, sfreq, account["changed_seconds"])


def _rows(x, rows):
    if rows == list(range(x.shape[0])):
        return x
    return _array.namespace(x).take(x, _array.like(np.array(rows, dtype=np.int64), x), axis=0)


def _place(x, rows, part):
    """Overwrite the given rows of x with those of `part`."""
    for i, row in enumerate(rows):
        x[row, :] = part[i, :]


def _interpolate(x, names, positions, bad, wanted):
    """Overwrite bad channels by spherical splines where that can be done; the names of those, and a word why."""
    xp = _array.namespace(x)
    if not bad:
        return [], "not needed"
    if not wanted:
        return [], "off"
    if positions is None:
        return [], "no positions"
    positions = np.asarray(positions, dtype=float)
    placed = splines.placed(positions)
    sources = [i for i in range(len(names)) if placed[i] and i not in bad]
    targets = [i for i in bad if placed[i]]
    if not targets or len(sources) < FEWEST_CHANNELS:
        return [], "no positions"
    weights = splines.weights(positions[sources], positions[targets])
    _place(x, targets, xp.matmul(_array.like(weights, x), _rows(x, sources)))
    return [names[i] for i in targets], "spherical splines"


def _rank(x, rows):
    """Number of independent channels among `rows`: for whoever inverts the covariance of the cleaned signal."""
    xp = _array.namespace(x)
    x = _rows(x, rows)
    x = x - xp.mean(x, axis=1, keepdims=True)
    variance = xp.linalg.eigvalsh(xp.matmul(x, x.T) / x.shape[1])
    return int(xp.sum(xp.astype(variance > asr.RANK_TOLERANCE * variance[-1], xp.int64)))
