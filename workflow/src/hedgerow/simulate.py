"""A BIDS EEG dataset with planted truth: the demo's and the tests' data.

In: a seed and sizes. Out: `recording` gives one recording in memory (pure), `write` a whole dataset on disk, valid
BIDS with HED 8.3.0 annotations, and beside it ``sourcedata/truth.json``, which says everything that was planted.
Planted are, each drawn from its own stream of random numbers keyed by seed and subject (so that more subjects, another
`effect` or fewer channels leave the rest as it is):

- background: 1/f sources on the scalp, mixed by a smooth spatial kernel; sensor noise, offsets, a 50 Hz line;
- blocks with eyes open and closed, in which the power of posterior alpha differs;
- a sex effect in the logarithm of alpha power, of size d = 3 between subjects;
- responses to tones and clicks, whose amplitude at known channels and times depends on the sound's `kind`, on its
  `intensity` and on the subject;
- artefacts: blinks, bursts of muscle activity (20-70 Hz), one flat and one noisy channel in every recording.

``effect=0`` is the null twin: the same recordings with the responses, the difference between open and closed eyes and
the sex effect taken out, and the artefacts left in. `write` makes datasets of another kind, too: ``paradigm="rest"``,
in the shape of the Healthy Brain Network's resting state (`hedgerow._resting`).
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from hedgerow import _planted, _resting

# fmt: off
#: Electrode positions (mm, standard_1005 head model: x to the right, y to the nose, z up), from front to back.
POSITIONS = {
    "Fp1": (-29.4, 83.9, -7.0), "Fp2": (29.9, 84.9, -7.1), "AFz": (0.2, 80.8, 35.4), "F7": (-70.3, 42.5, -11.4),
    "F3": (-50.2, 53.1, 42.2), "Fz": (0.3, 58.5, 66.5), "F4": (51.8, 54.3, 40.8), "F8": (73.0, 44.4, -12.0),
    "FCz": (0.4, 27.4, 88.7), "T7": (-84.2, -16.0, -9.3), "C3": (-65.4, -11.6, 64.4), "Cz": (0.4, -9.2, 100.2),
    "C4": (67.1, -10.9, 63.6), "T8": (85.1, -15.0, -9.5), "CPz": (0.4, -47.3, 99.4), "P7": (-72.4, -73.5, -2.5),
    "P3": (-53.0, -78.8, 55.9), "Pz": (0.3, -81.1, 82.6), "P4": (55.7, -78.6, 56.6), "P8": (73.1, -73.1, -2.5),
    "POz": (0.2, -102.2, 50.6), "O1": (-29.4, -112.4, 8.8), "Oz": (0.1, -114.9, 14.7), "O2": (29.8, -112.2, 8.8),
    "M1": (-86.1, -45.0, -68.0), "M2": (85.8, -45.0, -68.0),
}
# fmt: on
MASTOIDS = ("M1", "M2")
EOG = "EOG"
#: Which scalp channels a smaller montage keeps: the first `channels` of these (the peaks of all responses come first).
NESTED = (
    *("Cz", "Pz", "C3", "Oz", "C4", "Fz", "P3", "P4", "F3", "F4", "O1", "O2"),
    *("Fp1", "Fp2", "F7", "F8", "T7", "T8", "P7", "P8", "CPz", "FCz", "POz", "AFz"),
)

#: The response is a sum of terms, each a Gaussian bump over the scalp around `channel` times a wavelet that peaks at
#: `latency` (s; see `course`) times the term's regressor: `amplitude` in µV, or µV per dB of intensity.
#: The terms bear the names that the formula ``kind + intensity`` gives its coefficients.
RESPONSE = {
    "Intercept": {"channel": "Cz", "latency": 0.12, "width": 0.03, "amplitude": -6.0},
    "kind[T.tone]": {"channel": "C3", "latency": 0.2, "width": 0.04, "amplitude": 5.0},
    "intensity": {"channel": "Pz", "latency": 0.36, "width": 0.05, "amplitude": 0.6},
}
RESPONSE_REACH = 0.045  # m, standard deviation of the bumps over the scalp
GAIN_SD = 0.2  # between subjects, of the factor on each term

ALPHA = {"log10_power": 1.8, "sd": 0.2, "sex_d": 3.0, "eyes_log10": 1.0}  # log10 of µV² at Oz, eyes closed
BURST_SITES = ("F7", "F8", "T7", "T8", "P7", "P8")
CYCLE = 50.0  # s, about one block with eyes open and one with eyes closed
TASK = "sounds"


def montage(channels):
    """Names of the EEG channels: `channels` scalp channels of the 10-20 system (8 to 24), then both mastoids."""
    if not 8 <= channels <= len(NESTED):
        raise ValueError(f"simulate: channels is {channels}, but 8 to {len(NESTED)} scalp channels can be simulated.")
    kept = (*NESTED[:channels], *MASTOIDS)
    return [name for name in POSITIONS if name in kept]


def _kernel(names, points, reach):
    """Smooth spatial kernel (channels, points): exp(-d²/2 reach²), distances in m, `points` (points, 3) in m."""
    return _planted.kernel(_places(names), points, reach)


def _places(names):
    """Positions (channels, 3) in m."""
    return np.array([POSITIONS[name] for name in names]) / 1000


def topography(names, channel, reach=RESPONSE_REACH):
    """Bump over the scalp (channels,) with the value 1 at `channel`, whether or not `names` holds that channel."""
    return _kernel(names, np.array(POSITIONS[channel]) / 1000, reach)[:, 0]


def course(times, latency, width):
    """Ricker wavelet: 1 at `latency`, 0 at one `width` from it, back to 0 after four; all in s.

    Its area is 0, so that a high-pass filter takes next to nothing from it: what a result lacks, another step took.
    """
    z = ((np.asarray(times) - latency) / width) ** 2
    return (1 - z) * np.exp(-z / 2)


def person(subject, *, seed=1, effect=1.0):
    """One subject: sex, age, alpha and the gains of the response's terms.

    In every pair of subjects (1 and 2, 3 and 4, ...) one is ``F`` and one ``M``, so that the sexes stay balanced while
    subjects are added. ``log10_power`` is normal with standard deviation 0.2 within a sex; the sexes differ by
    ``effect * 3`` standard deviations (Cohen's d).
    """
    rng, sex = _planted.rng(seed, subject, "person"), _planted.sexes(subject, seed)
    shift = (0.5 if sex == "F" else -0.5) * ALPHA["sex_d"] * ALPHA["sd"] * effect
    closed = ALPHA["log10_power"] + shift + ALPHA["sd"] * rng.standard_normal()
    opened = closed - ALPHA["eyes_log10"] * effect
    return {
        "sex": sex,
        "age": int(rng.integers(20, 61)),
        "gains": {term: float(1 + GAIN_SD * rng.standard_normal()) for term in RESPONSE},
        "alpha_hz": float(rng.normal(10, 0.4)),
        "alpha_log10_power": {"closed": float(closed), "open": float(opened)},
        "background_uv": float(7 * np.exp(0.1 * rng.standard_normal())),
    }


def sex_difference(people):
    """Cohen's d of log alpha power (eyes closed), F against M, in this sample; None below two of either sex."""
    power = {sex: [p["alpha_log10_power"]["closed"] for p in people if p["sex"] == sex] for sex in "FM"}
    if min(map(len, power.values())) < 2:
        return None
    spread = np.sqrt((np.var(power["F"], ddof=1) + np.var(power["M"], ddof=1)) / 2)
    return float((np.mean(power["F"]) - np.mean(power["M"])) / spread)


def blocks(seconds):
    """Start and end (s) of the blocks with eyes open and closed: ``{"open": [...], "closed": [...]}``.

    59 % of a cycle of about 50 s are with eyes open (the sounds are played then), the rest with eyes closed.
    """
    if seconds < 20:
        raise ValueError(f"simulate: seconds is {seconds}, but a recording needs 20 s to hold both kinds of block.")
    cycles = max(1, round(seconds / CYCLE))
    starts, length = np.linspace(0.25, seconds - 0.25, cycles, endpoint=False), (seconds - 0.5) / cycles
    turn = 0.59 * length
    gap = 0.2  # no two markers at the same time
    return {
        "open": [(float(s), float(s + turn - gap)) for s in starts],
        "closed": [(float(s + turn), float(s + length - gap)) for s in starts],
    }


def events(subject, *, seed=1, sfreq=250.0, seconds=100.0):
    """Events table of one recording: columns onset, duration (s), trial_type, kind, intensity (dB), value.

    Sounds come every 0.85 to 1.05 s while the eyes are open, half of them tones, intensities -10 to 10 dB. Blocks start
    with ``eyes_open`` or ``eyes_closed`` and end with ``eyes_open_end`` or ``eyes_closed_end``; two stray triggers
    (``trial_type`` missing) mean nothing. Onsets lie on samples.
    """
    rng = _planted.rng(seed, subject, "events")
    rows, times = [], []
    for eyes, code in (("open", 1), ("closed", 3)):
        for start, end in blocks(seconds)[eyes]:
            rows += [(start, 0.0, f"eyes_{eyes}", None, np.nan, code)]
            rows += [(end, 0.0, f"eyes_{eyes}_end", None, np.nan, code + 1)]
            time = start + 0.7
            while eyes == "open" and time < end - 0.8:
                times.append(time)
                time += rng.uniform(0.85, 1.05)
    kinds = rng.permutation(np.resize(["click", "tone"], len(times)))
    for time, kind in zip(times, kinds):
        rows.append((time, 0.1, "sound", str(kind), float(rng.integers(-10, 11)), 11 if kind == "tone" else 12))
    rows += [(time, np.nan, None, None, np.nan, 255) for time in rng.uniform(1, seconds - 1, 2)]
    table = pd.DataFrame(rows, columns=["onset", "duration", "trial_type", "kind", "intensity", "value"])
    table["onset"] = np.round(table["onset"] * sfreq) / sfreq
    return table.sort_values("onset", kind="stable", ignore_index=True)


def background(subject, names, samples, sfreq, *, seed, level):
    """Background activity (channels, samples) in µV, `level` µV rms above 0.5 Hz: 1/f sources and sensor noise.

    The noise of the sensors, 0.5 µV, keeps the rank full.
    """
    rng = _planted.rng(seed, subject, "background")
    mixing = _planted.mixing(_places(names))
    sources = _planted.noise(rng, mixing.shape[1], samples, sfreq, _planted.pink, above=0.5)
    sensors = _planted.rng(seed, subject, "sensors").standard_normal((len(names), samples))
    return level * mixing @ sources + 0.5 * sensors


def alpha(subject, names, samples, sfreq, *, seed, hz, log10_power, closed):
    """Posterior alpha (channels, samples) in µV: two narrow-band sources whose amplitude follows the eyes.

    `log10_power` holds the power at Oz (log10 of µV²) with eyes ``open`` and ``closed``; `closed` are the intervals (s)
    with closed eyes, entered and left within half a second.
    """
    rng = _planted.rng(seed, subject, "alpha")
    sources = _planted.alpha(rng, samples, sfreq, hz, log10_power, closed)
    maps = np.stack([topography(names, name, 0.05) for name in ("O1", "O2")], 1)
    return maps / np.linalg.norm(maps[names.index("Oz")]) @ sources


def responses(table, names, samples, sfreq, *, gains, effect=1.0):
    """Event-locked responses (channels, samples) in µV, free of noise, of the sounds in the events `table`.

    Each sound adds the sum over terms of ``effect * gain * amplitude * regressor * topography * course``; the
    regressors are 1, whether the sound is a tone, and its intensity in dB.
    """
    y = np.zeros((len(names), samples))
    times = np.arange(round(0.7 * sfreq)) / sfreq
    sounds = table[table["trial_type"] == "sound"]
    regressors = {"Intercept": np.ones(len(sounds)), "kind[T.tone]": sounds["kind"].eq("tone").to_numpy(float)}
    regressors["intensity"] = sounds["intensity"].to_numpy(float)
    for term, how in RESPONSE.items():
        bump = np.outer(topography(names, how["channel"]), course(times, how["latency"], how["width"]))
        scale = effect * gains[term] * how["amplitude"] * regressors[term]
        for onset, size in zip(sounds["onset"], scale):
            first = round(onset * sfreq)
            part = y[:, first : first + len(times)]
            part += size * bump[:, : part.shape[1]]
    return y


def artefacts(subject, names, samples, sfreq, *, seed):
    """Blinks and muscle bursts: their signal (EEG channels and EOG, samples) in µV, and where they are.

    Bad channels are drawn here as well (never a channel where a response peaks, never a mastoid). Blinks come every 3.5
    to 7.5 s while the eyes are open. Each burst is one source of 20-70 Hz noise, 75 µV rms at one of two lateral sites
    of the recording, 0.5 to 1 s long; about one burst in 8 s of open eyes, none while they are closed.

    Returns
    -------
    signal : (channels + 1, samples) float64
    truth : dict
        ``flat``, ``noisy`` (names), ``blinks`` (s), ``bursts`` (list of start, end in s and the channels, bad ones
        left out, that have at least half of the burst's amplitude).
    """
    rng = _planted.rng(seed, subject, "artefacts")
    peaks = {how["channel"] for how in RESPONSE.values()}
    flat, noisy = rng.choice([name for name in names if name not in peaks and name not in MASTOIDS], 2, replace=False)
    times = np.arange(samples) / sfreq
    signal = np.zeros((len(names) + 1, samples))
    opened = blocks(samples / sfreq)["open"]
    blinks = []
    eyes = np.append(_kernel(names, [0, 0.1, -0.02], 0.05)[:, 0], 2.0)
    for start, end in opened:
        time = start + rng.uniform(0.5, 4)
        while time < end - 0.3:
            signal += np.outer(
                eyes * 100 * np.exp(0.2 * rng.standard_normal()), np.exp(-(((times - time) / 0.06) ** 2) / 2)
            )
            blinks.append(round(time, 3))
            time += rng.uniform(3.5, 7.5)
    lateral = [name for name in BURST_SITES if name in names and name not in (flat, noisy)] or list(MASTOIDS)
    sites = rng.choice(lateral, 2, replace=False)
    bursts = []
    for start, end in opened:
        for slot in np.linspace(start, end, max(1, round((end - start) / 8)) + 1)[:-1]:
            onset, length = slot + rng.uniform(0.2, 6), rng.uniform(0.5, 1.0)
            if onset + length < end:
                bursts.append(_burst(rng, signal, names, sfreq, onset, length, str(rng.choice(sites)), (flat, noisy)))
    return signal, {"flat": str(flat), "noisy": str(noisy), "blinks": blinks, "bursts": bursts}


def _burst(rng, signal, names, sfreq, onset, length, site, bad):
    """Add one muscle burst to `signal` in place; return where it is."""
    first, count = round(onset * sfreq), round(length * sfreq)
    course, where = _planted.muscle(rng, count, sfreq), topography(names, site, 0.055)
    signal[:-1, first : first + count] += 75 * np.exp(0.15 * rng.standard_normal()) * np.outer(where, course)
    strong = [name for name, weight in zip(names, where) if weight >= 0.5 and name not in bad]
    return {"start": first / sfreq, "end": (first + count) / sfreq, "site": site, "channels": strong}


def recording(subject, *, seed=1, sfreq=250.0, seconds=100.0, channels=24, effect=1.0):
    """One simulated recording, in memory.

    Parameters
    ----------
    subject : int
        From 1. Its recording does not depend on which other subjects there are.
    seed : int
        Not negative; the same seed gives the same bits.
    sfreq : float
        Sampling rate in Hz, at least 160 (muscle bursts reach 70 Hz).
    seconds : float
        At least 20.
    channels : int
        Scalp channels, 8 to 24; two mastoids and one EOG come on top.
    effect : float
        Factor on all planted effects; 0 is the null twin.

    Returns
    -------
    signal : (channels + 3, samples) float64
        µV, against an electrode on the nose; EEG channels first, the EOG last.
    table : DataFrame
        Columns name, type, units: one row per row of `signal`.
    events : DataFrame
        See `events`.
    truth : dict
        ``subject`` (see `person`) and ``recording`` (see `artefacts`, and ``eyes_closed`` in s, ``sounds``: a count).
    """
    if sfreq < 160:
        raise ValueError(f"simulate: sfreq is {sfreq} Hz, but muscle bursts up to 70 Hz need at least 160 Hz.")
    names, samples = montage(channels), round(seconds * sfreq)
    who = person(subject, seed=seed, effect=effect)
    what = events(subject, seed=seed, sfreq=sfreq, seconds=seconds)
    closed = blocks(seconds)["closed"]
    eeg = background(subject, names, samples, sfreq, seed=seed, level=who["background_uv"])
    power = who["alpha_log10_power"]
    eeg += alpha(subject, names, samples, sfreq, seed=seed, hz=who["alpha_hz"], log10_power=power, closed=closed)
    eeg += responses(what, names, samples, sfreq, gains=who["gains"], effect=effect)
    signal, planted = artefacts(subject, names, samples, sfreq, seed=seed)
    signal[:-1] += eeg
    _hardware(signal, names, sfreq, rng=_planted.rng(seed, subject, "sensors").spawn(1)[0], planted=planted)
    table = pd.DataFrame({"name": [*names, EOG], "type": ["EEG"] * len(names) + ["EOG"], "units": "µV"})
    marks = [what.loc[what["trial_type"] == mark, "onset"].tolist() for mark in ("eyes_closed", "eyes_closed_end")]
    planted |= {
        "eyes_closed": [list(pair) for pair in zip(*marks)],
        "sounds": int(what["trial_type"].eq("sound").sum()),
    }
    return signal, table, what, {"subject": who, "recording": planted}


def _hardware(signal, names, sfreq, *, rng, planted):
    """Add the EOG's own noise, line noise and offsets to `signal` in place, and break the two bad channels.

    The noisy channel lost contact: it shows white and 1/f noise of its own (40 µV rms) and nothing of the head.
    """
    count, samples = signal.shape
    signal[-1] += 10 * _planted.noise(rng, 1, samples, sfreq, _planted.pink, above=0.5)[0]
    own = 40 * _planted.noise(rng, 1, samples, sfreq, lambda f: 1 + 10 / f, above=0.5)[0]
    signal[names.index(planted["noisy"])] = own
    line = np.sin(2 * np.pi * (50 * np.arange(samples) / sfreq + rng.uniform()))
    signal += rng.uniform(1, 2, (count, 1)) * line
    signal[names.index(planted["flat"])] = 0
    signal += rng.uniform(-50, 50, (count, 1))


def truth(*, seed=1, channels=24, sfreq=250.0, seconds=100.0, effect=1.0):
    """The part of the truth that holds for the whole dataset, with empty ``subjects`` and ``recordings``.

    ``response["terms"]`` gives each coefficient of ``kind + intensity``: `amplitude` (µV, or µV/dB; 0 in the null
    twin), `channel`, `latency` and `width` (s) and `topography` (in the order of ``names``, 1 at `channel`), against
    the nose as recorded. A subject's response is that times its ``gains``.
    """
    names = montage(channels)
    terms = {
        term: how | {"amplitude": how["amplitude"] * effect, "topography": topography(names, how["channel"]).tolist()}
        for term, how in RESPONSE.items()
    }
    sizes = {"seed": seed, "channels": channels, "sfreq": sfreq, "seconds": seconds, "effect": effect}
    return sizes | {
        "names": names,
        "response": {"formula": "kind + intensity", "gain_sd": GAIN_SD, "terms": terms},
        "alpha": {"channel": "Oz", "eyes_log10": ALPHA["eyes_log10"] * effect, "band": [8, 12]},
        "sex": {"d": ALPHA["sex_d"] * effect, "sd_log10_power": ALPHA["sd"], "more_alpha": "F"},
        "subjects": {},
        "recordings": {},
    }


def write(root, *, paradigm="sounds", seed=1, subjects=24, channels=24, sfreq=250.0, seconds=100.0, effect=1.0):
    """Write a simulated BIDS dataset, and return its truth.

    Parameters
    ----------
    root : path
        Folder of the dataset; made if need be, files of the same names are overwritten.
    paradigm : {"sounds", "rest"}
        ``sounds``: what this module simulates. ``rest``: eyes open and closed in turn under a net of 129 channels, as
        the Healthy Brain Network records it (`hedgerow._resting`).
    subjects : int
        At least 1: ``sub-01``, ``sub-02``, ...
    seed, channels, sfreq, seconds, effect
        See `recording`; the net of ``rest`` has its channels, and `channels` stays as it is.

    Returns
    -------
    truth : dict
        As written to ``sourcedata/truth.json``: see `truth`; ``subjects["sub-01"]``: see `person`;
        ``recordings["sub-01/eeg/sub-01_task-sounds"]``: see `recording`; ``sex["d_sample"]``: see `sex_difference`.
    """
    if subjects < 1:
        raise ValueError(f"simulate: subjects is {subjects}, but a dataset needs at least 1.")
    if paradigm not in PARADIGMS:
        raise ValueError(f"simulate: paradigm is {paradigm!r}, but there are {' and '.join(PARADIGMS)}.")
    if paradigm == "rest" and channels != 24:
        raise ValueError(f"simulate: channels is {channels}, but the net of paradigm rest has 129; drop the key.")
    root, made = Path(root), PARADIGMS[paradigm]
    sizes = {"seed": seed, "sfreq": sfreq, "seconds": seconds, "effect": effect}
    sizes |= {"channels": channels} if paradigm == "sounds" else {}
    known = made.truth(**sizes)
    for subject in range(1, subjects + 1):
        label = f"sub-{subject:02d}"
        stem = f"{label}/eeg/{label}_task-{made.task}"
        signal, table, what, planted = made.recording(subject, **sizes)
        _write_recording(root / stem, signal, table, what, sfreq, made.eeg)
        known["subjects"][label], known["recordings"][stem] = planted["subject"], planted["recording"]
    known["sex"]["d_sample"] = sex_difference(known["subjects"].values())
    people = [(label, who["age"], who["sex"]) for label, who in known["subjects"].items()]
    _write_table(root / "participants.tsv", pd.DataFrame(people, columns=["participant_id", "age", "sex"]))
    (root / "README.md").write_text(made.readme.format(seed=seed, effect=effect), encoding="utf-8")
    _write_json(root / "dataset_description.json", DESCRIPTION | {"Name": made.name})
    _write_json(root / "participants.json", PARTICIPANTS)
    _write_json(root / f"task-{made.task}_events.json", made.events)
    _write_json(root / "sourcedata" / "truth.json", known)
    return known


def _write_recording(stem, signal, table, what, sfreq, about):
    """Write the five kinds of file of one recording; `stem` is their path up to ``_eeg.vhdr``."""
    import pybv

    stem.parent.mkdir(parents=True, exist_ok=True)
    pybv.write_brainvision(
        data=signal * 1e-6, sfreq=sfreq, ch_names=list(table["name"]), fname_base=f"{stem.name}_eeg",
        folder_out=str(stem.parent), overwrite=True, resolution=1, unit="µV", fmt="binary_float32",
    )  # fmt: skip
    _write_table(stem.with_name(f"{stem.name}_channels.tsv"), table)
    _write_table(stem.with_name(f"{stem.name}_events.tsv"), what)
    counts = {f"{kind}ChannelCount": int((table["type"] == kind).sum()) for kind in ("EEG", "EOG")}
    counts |= {f"{kind}ChannelCount": 0 for kind in ("ECG", "EMG", "MISC", "Trigger")}
    rate = {"SamplingFrequency": sfreq, "RecordingDuration": signal.shape[1] / sfreq}
    _write_json(stem.with_name(f"{stem.name}_eeg.json"), about | counts | rate)


def _write_table(path, table):
    """Write a TSV as BIDS wants it: a missing value is ``n/a``; numbers in their shortest form, to a microsecond."""
    text = {c: table[c].map(lambda v: f"{v:.6f}".rstrip("0").rstrip(".")) for c in table.select_dtypes("float")}
    table.assign(**text).replace("nan", "n/a").to_csv(path, sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def _write_json(path, content):
    """Write JSON with an end of line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


README = """# Simulated EEG: sounds heard with open eyes, and rest with closed eyes

Written by Hedgerow (`hedgerow.simulate`, seed {seed}, effect {effect}); nobody was recorded. Blocks with eyes open, in
which tones and clicks are played, alternate with blocks of rest with eyes closed. What was planted in the signals
(responses, alpha, bad channels, artefacts) stands in `sourcedata/truth.json`.
"""
DESCRIPTION = {
    "Name": None,
    "BIDSVersion": "1.10.0",
    "HEDVersion": "8.3.0",
    "DatasetType": "raw",
    "License": "CC0",
    "Authors": ["Hedgerow"],
    "GeneratedBy": [{"Name": "Hedgerow", "Description": "hedgerow.simulate"}],
}
PARTICIPANTS = {
    "age": {"Description": "Age of the simulated participant", "Units": "year"},
    "sex": {"Description": "Sex of the simulated participant", "Levels": {"F": "female", "M": "male"}},
}
EEG = {
    "TaskName": TASK,
    "TaskDescription": "Hearing tones and clicks with open eyes, in turn with rest with closed eyes.",
    "Instructions": "Listen with open eyes; rest when you are told to close them.",
    "EEGReference": "electrode on the tip of the nose",
    "EEGGround": "none (simulated)",
    "EEGPlacementScheme": "10-20",
    "PowerLineFrequency": 50,
    "SoftwareFilters": "n/a",
    "HardwareFilters": "n/a",
    "RecordingType": "continuous",
    "Manufacturer": "none (simulated)",
}


def _eyes(state):
    """HED of the markers around the blocks with ``open`` or ``closed`` eyes, and of their definition."""
    name, tag = f"Eyes-{state}-block", f"Eyes-{state}"
    rest = ", Resting" if state == "closed" else ""
    cue = "Sensory-event, Instructional, Auditory-presentation"
    definition = f"(Definition/{name}, (Condition-variable/Eye-state, {tag}{rest}))"
    return definition, {
        f"eyes_{state}": f"{cue}, (Def/{name}, Onset)",
        f"eyes_{state}_end": f"{cue}, (Def/{name}, Offset)",
    }


EVENTS = {
    "onset": {"Description": "Start of the event", "Units": "s"},
    "duration": {"Description": "Duration of the event", "Units": "s"},
    "trial_type": {
        "Description": "Kind of event; n/a: a stray trigger",
        "Levels": {
            "sound": "A tone or a click is played",
            "eyes_open": "A block with open eyes starts",
            "eyes_open_end": "A block with open eyes ends",
            "eyes_closed": "A block of rest with closed eyes starts",
            "eyes_closed_end": "A block of rest with closed eyes ends",
        },
        # the sound's own columns are filled in by their names
        "HED": {"sound": "Sensory-event, Experimental-stimulus, Auditory-presentation, ({kind}, {intensity})"}
        | _eyes("open")[1]
        | _eyes("closed")[1],
    },
    "kind": {
        "Description": "Which sound is played",
        "Levels": {"tone": "A pure tone", "click": "A click"},
        "HED": {"tone": "Tone", "click": "Click"},
    },
    "intensity": {
        "Description": "Sound level relative to 65 dB SPL",
        "Units": "dB",
        "HED": "Sound-volume/# dB",
    },
    "value": {
        "Description": "Code of the trigger",
        "Levels": {
            "1": "eyes_open", "2": "eyes_open_end", "3": "eyes_closed", "4": "eyes_closed_end",
            "11": "tone", "12": "click", "255": "stray trigger",
        },
    },
    "definitions": {
        "Description": "Not a column: the definitions that the annotations above use",
        "HED": {"eyes_open": _eyes("open")[0], "eyes_closed": _eyes("closed")[0]},
    },
}  # fmt: skip


class Paradigm(NamedTuple):
    """What `write` needs to know of a kind of dataset."""

    name: str
    task: str
    recording: Callable
    truth: Callable
    readme: str
    eeg: dict
    events: dict


PARADIGMS = {
    "sounds": Paradigm("Simulated EEG with planted truth", TASK, recording, truth, README, EEG, EVENTS),
    "rest": Paradigm(
        "Simulated EEG at rest with planted truth",
        *(_resting.TASK, _resting.recording, _resting.truth, _resting.README, _resting.EEG, _resting.EVENTS),
    ),
}
