"""Rest with eyes open and closed, as the Healthy Brain Network records it (OpenNeuro ds005505), with planted truth.

In: a seed and sizes. Out: `recording` gives one recording in memory (pure), which `hedgerow.simulate.write` puts on
the disk. The shape is that of the published dataset: a HydroCel net of 128 electrodes against Cz, which is recorded as
129th channel and stands at zero; voice prompts to open the eyes for 20 s and to close them for 40 s, five times in
turn, with the codes and the HED labels of its event tables; children and adolescents with sex and age. Planted are,
each drawn from a stream of its own (`hedgerow._planted`):

- 1/f background, posterior alpha that grows when the eyes close, hum at 60 Hz, offsets;
- a sex effect in the logarithm of alpha power, d = 3 between subjects, and an age effect on the frequency of alpha;
- blinks and bursts of muscle (20-70 Hz) while the eyes are open; one flat and one noisy channel in every recording.
"""

import numpy as np
import pandas as pd

from hedgerow import _planted

# fmt: off
#: Electrode positions (mm, in the frame of the 10-05 template: x to the right, y to the nose, z up): E1 to E128, Cz.
PLACES = (
    (64, 31, -36), (59, 45, -6), (43, 56, 24), (33, 52, 45), (18, 37, 65), (2, 17, 78), (-11, -7, 84), (47, 58, -24),
    (31, 69, 2), (21, 68, 24), (2, 61, 45), (-14, 37, 65), (-25, 11, 75), (15, 74, -21), (2, 71, 4), (2, 72, 23),
    (2, 72, -34), (-18, 68, 24), (-29, 52, 45), (-40, 30, 56), (-12, 74, -21), (-28, 69, 2), (-40, 56, 24),
    (-47, 39, 38), (-44, 58, -24), (-56, 45, -6), (-60, 32, 22), (-58, 19, 42), (-50, 4, 61), (-38, -14, 76),
    (-19, -31, 87), (-61, 31, -36), (-68, 16, -12), (-72, 5, 19), (-68, -10, 45), (-57, -22, 63), (-40, -41, 79),
    (-69, 10, -44), (-76, -19, -16), (-78, -27, 17), (-73, -35, 44), (-63, -51, 60), (-69, -4, -64), (-72, -16, -45),
    (-77, -49, -12), (-77, -52, 21), (-71, -59, 40), (-62, -7, -93), (-66, -26, -72), (-71, -72, -7), (-69, -77, 26),
    (-61, -74, 50), (-43, -68, 71), (-23, -61, 84), (2, -47, 90), (-65, -57, -66), (-69, -70, -37), (-63, -90, -3),
    (-54, -96, 29), (-42, -91, 55), (-23, -84, 73), (2, -97, 67), (-56, -77, -65), (-56, -93, -35), (-48, -107, -1),
    (-37, -109, 31), (-18, -105, 54), (-39, -100, -60), (-36, -111, -33), (-27, -121, 0), (-13, -118, 33),
    (2, -110, 48), (-19, -111, -58), (-10, -120, -31), (2, -125, 3), (17, -117, 33), (22, -105, 54), (27, -84, 73),
    (27, -61, 84), (23, -31, 87), (2, -115, -56), (14, -120, -31), (32, -121, 0), (41, -109, 31), (47, -91, 55),
    (47, -68, 71), (44, -41, 79), (23, -111, -58), (40, -111, -33), (52, -106, -1), (58, -96, 29), (65, -74, 50),
    (66, -50, 60), (43, -99, -60), (61, -92, -35), (67, -90, -3), (73, -77, 26), (75, -58, 40), (60, -77, -65),
    (73, -69, -37), (75, -71, -7), (81, -51, 21), (77, -34, 44), (61, -22, 63), (42, -14, 76), (15, -7, 85),
    (69, -57, -66), (81, -48, -12), (82, -26, 17), (71, -9, 45), (53, 4, 61), (28, 11, 75), (70, -26, -72),
    (76, -15, -45), (80, -19, -16), (76, 6, 19), (62, 20, 42), (43, 30, 56), (66, -7, -93), (72, -4, -64),
    (73, 10, -44), (71, 17, -12), (63, 33, 22), (50, 40, 38), (68, 19, -56), (42, 41, -80), (-39, 41, -80),
    (-65, 19, -56), (2, -24, 90),
)
# fmt: on
NAMES = (*(f"E{number}" for number in range(1, 129)), "Cz")
REFERENCE = "Cz"
#: Neither flat nor noisy: the mastoids, with which the study re-references, and where the truth is stated (Oz).
SPARED = ("E57", "E100", "E75", REFERENCE)
OCCIPITAL = ("E70", "E83")
TEMPORAL = ("E45", "E108", "E40", "E109", "E50", "E101")

#: log10 of µV² at E75 against a far reference, eyes closed; Hz, at 13 years and per year.
ALPHA = {"log10_power": 1.8, "sd": 0.2, "sex_d": 3.0, "eyes_log10": 1.0, "hz": 9.5, "hz_per_year": 0.15, "hz_sd": 0.3}
AGES = (5.0, 21.0)

CYCLES, OPEN, CLOSED, END = 5, 20.0, 40.0, 4.5  # s with open and with closed eyes, and after the last prompt
TASK = "RestingState"
CODES = {"resting_start": "90", "instructed_toOpenEyes": "20", "instructed_toCloseEyes": "30"}


def person(subject, *, seed=1, effect=1.0):
    """One subject: sex, age (years, 5 to 21), alpha and background.

    In every pair of subjects one is ``F`` and one ``M``. ``log10_power`` of the sexes differs by ``effect * 3``
    standard deviations (Cohen's d); ``alpha_hz`` grows by ``effect * 0.15`` Hz a year.
    """
    rng, sex = _planted.rng(seed, subject, "person"), _planted.sexes(subject, seed)
    age = round(float(rng.uniform(*AGES)), 2)
    shift = (0.5 if sex == "F" else -0.5) * ALPHA["sex_d"] * ALPHA["sd"] * effect
    closed = ALPHA["log10_power"] + shift + ALPHA["sd"] * rng.standard_normal()
    hz = ALPHA["hz"] + effect * ALPHA["hz_per_year"] * (age - 13) + ALPHA["hz_sd"] * rng.standard_normal()
    return {
        "sex": sex,
        "age": age,
        "alpha_hz": float(hz),
        "alpha_log10_power": {"closed": float(closed), "open": float(closed - ALPHA["eyes_log10"] * effect)},
        "background_uv": float(9 * np.exp(0.1 * rng.standard_normal())),
    }


def blocks(seconds):
    """Prompts in s: to open the eyes, one more than there are, in between, to close them.

    As many of the five cycles as fit, at the end of the recording; before them the instructions are given.
    """
    cycles = min(CYCLES, int((seconds - END - 4) // (OPEN + CLOSED)))
    if cycles < 1:
        least = OPEN + CLOSED + END + 4
        raise ValueError(f"simulate: seconds is {seconds}, but one cycle of rest needs {least:g} s.")
    opened = seconds - END - (OPEN + CLOSED) * np.arange(cycles, -1, -1)
    return opened, opened[:-1] + OPEN


def events(subject, *, seed=1, sfreq=500.0, seconds=378.0):
    """Events table of one recording, with the columns of ds005505: onset (s), duration, sample, value, event_code.

    ``resting_start`` stands at the beginning; prompts are off by up to 5 ms. ``break cnt`` and ``boundary``, which the
    recorder leaves at both ends, mean nothing. Onsets lie on samples.
    """
    rng, (opened, shut) = _planted.rng(seed, subject, "events"), blocks(seconds)
    rows = [(0.0, "break cnt"), (1.682, "resting_start"), (seconds - 1 / sfreq, "boundary")]
    for prompts, value in ((opened, "instructed_toOpenEyes"), (shut, "instructed_toCloseEyes")):
        rows += [(time, value) for time in prompts + rng.uniform(-0.005, 0.005, len(prompts))]
    table = pd.DataFrame(sorted(rows), columns=["onset", "value"])
    samples = np.round(table["onset"] * sfreq).astype(int)
    codes = table["value"].map(lambda value: CODES.get(value, value))
    return table.assign(onset=samples / sfreq, duration=np.nan, sample=samples, event_code=codes)[
        ["onset", "duration", "sample", "value", "event_code"]
    ]


def recording(subject, *, seed=1, sfreq=500.0, seconds=378.0, effect=1.0):
    """One simulated recording, in memory.

    Parameters
    ----------
    subject, seed, sfreq, effect
        As of `hedgerow.simulate.recording`.
    seconds : float
        At least 68.5; the published recordings have about 378.

    Returns
    -------
    signal : (129, samples) float32
        µV, against Cz.
    table, events : DataFrame
        Channels (name, type, units) and see `events`.
    truth : dict
        ``subject`` (see `person`) and ``recording``: ``flat``, ``noisy`` (names), ``blinks`` (s), ``bursts`` (start and
        end in s, site, strongly affected channels), ``eyes_closed`` (s, from prompt to prompt), ``prompts`` (a count).
    """
    if sfreq < 160:
        raise ValueError(f"simulate: sfreq is {sfreq} Hz, but muscle bursts up to 70 Hz need at least 160 Hz.")
    who = person(subject, seed=seed, effect=effect)
    what = events(subject, seed=seed, sfreq=sfreq, seconds=seconds)
    samples, places = round(seconds * sfreq), np.array(PLACES) / 1000
    prompts = what.loc[what["value"].str.startswith("instructed")]
    opened, shut = (prompts.loc[prompts["event_code"] == code, "onset"].to_numpy() for code in ("20", "30"))
    closed = list(zip(shut.tolist(), opened[1:].tolist()))
    x = _brain(subject, places, samples, sfreq, seed=seed, who=who, closed=closed)
    planted = _artefacts(
        x, places, sfreq, opened=list(zip(opened[:-1], shut)), rng=_planted.rng(seed, subject, "artefacts")
    )
    x -= x[NAMES.index(REFERENCE)].copy()
    _hardware(x, sfreq, planted, rng=_planted.rng(seed, subject, "sensors").spawn(1)[0])
    table = pd.DataFrame({"name": NAMES, "type": "EEG", "units": "µV"})
    planted |= {"eyes_closed": [list(pair) for pair in closed], "prompts": len(prompts)}
    return x, table, what, {"subject": who, "recording": planted}


def _brain(subject, places, samples, sfreq, *, seed, who, closed):
    """Background and alpha (129, samples) in µV against a far reference; the eyes follow a prompt within a second."""
    generator = _planted.rng(seed, subject, "background")
    mixing = _planted.mixing(places)
    sources = _planted.noise(generator, mixing.shape[1], samples, sfreq, _planted.pink, above=0.5)
    x = (who["background_uv"] * mixing).astype(np.float32) @ sources.astype(np.float32)
    x += _planted.rng(seed, subject, "sensors").standard_normal(x.shape, dtype=np.float32) / 2
    later = [(start + 0.6, end + 0.4) for start, end in closed]
    generator = _planted.rng(seed, subject, "alpha")
    sources = _planted.alpha(generator, samples, sfreq, who["alpha_hz"], who["alpha_log10_power"], later)
    maps = _planted.kernel(places, places[[NAMES.index(name) for name in OCCIPITAL]], 0.05)
    maps /= np.linalg.norm(maps[NAMES.index("E75")])
    x += maps.astype(np.float32) @ sources.astype(np.float32)
    return x


def _artefacts(x, places, sfreq, *, opened, rng):
    """Add blinks and bursts to `x` in place while the eyes are open; where they are, and which channels will be bad."""
    flat, noisy = map(str, rng.choice([name for name in NAMES if name not in SPARED], 2, replace=False))
    eyes, sites = _planted.kernel(places, [0, 0.08, -0.03], 0.05)[:, 0], rng.choice(TEMPORAL, 2, replace=False)
    blinks, bursts = [], []
    for start, end in opened:
        time = start + rng.uniform(1.5, 4)
        while time < end - 0.3:
            first, last = (max(0, round((time + shift) * sfreq)) for shift in (-0.3, 0.3))
            course = np.exp(-(((np.arange(first, last) / sfreq - time) / 0.06) ** 2) / 2)
            x[:, first:last] += np.outer(eyes * 100 * np.exp(0.2 * rng.standard_normal()), course)
            blinks.append(round(time, 3))
            time += rng.uniform(3.5, 7.5)
        site, onset, count = (
            str(rng.choice(sites)),
            rng.uniform(start + 1.5, end - 1.5),
            round(rng.uniform(0.5, 1) * sfreq),
        )
        where, first = _planted.kernel(places, places[NAMES.index(site)], 0.055)[:, 0], round(onset * sfreq)
        x[:, first : first + count] += np.outer(60 * where, _planted.muscle(rng, count, sfreq))
        strong = [name for name, weight in zip(NAMES, where) if weight >= 0.5 and name not in (flat, noisy)]
        bursts.append({"start": first / sfreq, "end": (first + count) / sfreq, "site": site, "channels": strong})
    return {"flat": flat, "noisy": noisy, "blinks": blinks, "bursts": bursts}


def _hardware(x, sfreq, planted, *, rng):
    """Add hum and offsets to `x` in place, break the two bad channels, and leave the reference at zero."""
    samples = x.shape[1]
    x[NAMES.index(planted["noisy"])] = 60 * _planted.noise(rng, 1, samples, sfreq, lambda f: 1 + 10 / f, above=0.5)[0]
    line = np.sin(2 * np.pi * (60 * np.arange(samples) / sfreq + rng.uniform()))
    x += rng.uniform(1, 2, (len(x), 1)).astype(np.float32) * line.astype(np.float32)
    x[NAMES.index(planted["flat"])] = 0
    x += rng.uniform(-50, 50, (len(x), 1)).astype(np.float32)
    x[NAMES.index(REFERENCE)] = 0


def truth(*, seed=1, sfreq=500.0, seconds=378.0, effect=1.0):
    """The part of the truth that holds for the whole dataset, with empty ``subjects`` and ``recordings``."""
    sizes = {"seed": seed, "channels": len(NAMES), "sfreq": sfreq, "seconds": seconds, "effect": effect}
    return sizes | {
        "names": list(NAMES),
        "response": {"terms": {}},
        "alpha": {"channel": "E75", "eyes_log10": ALPHA["eyes_log10"] * effect, "band": [7, 12]},
        "sex": {"d": ALPHA["sex_d"] * effect, "sd_log10_power": ALPHA["sd"], "more_alpha": "F"},
        "age": {"alpha_hz_per_year": ALPHA["hz_per_year"] * effect, "sd_alpha_hz": ALPHA["hz_sd"]},
        "subjects": {},
        "recordings": {},
    }


README = """# Simulated EEG at rest, with eyes open and closed

Written by Hedgerow (`hedgerow.simulate`, seed {seed}, effect {effect}); nobody was recorded. The shape is that of the
resting state of the Healthy Brain Network: a net of 128 electrodes against Cz, voice prompts to open and to close the
eyes in turn. What was planted in the signals (alpha by sex and age, bad channels, artefacts) stands in
`sourcedata/truth.json`.
"""
EEG = {
    "TaskName": TASK,
    "TaskDescription": "Rest with open eyes for 20 s and with closed eyes for 40 s, in turn.",
    "Instructions": "Open and close your eyes when the voice tells you.",
    "EEGReference": REFERENCE,
    "EEGGround": "none (simulated)",
    "EEGPlacementScheme": "HydroCel Geodesic Sensor Net, 128 channels",
    "PowerLineFrequency": 60,
    "SoftwareFilters": "n/a",
    "HardwareFilters": "n/a",
    "RecordingType": "continuous",
    "Manufacturer": "none (simulated)",
}


def _prompt(label):
    """HED of a voice prompt; the label is the one of ds005505."""
    return f"Sensory-event, Instructional, Cue, (Auditory-presentation, (Speak, (Sentence, Label/{label})))"


EVENTS = {
    "onset": {"Description": "Start of the event", "Units": "s"},
    "duration": {"Description": "Duration of the event", "Units": "s"},
    "sample": {"Description": "Number of the sample at the onset, from 0"},
    "value": {
        "Description": "Kind of event",
        "Levels": {
            "instructed_toOpenEyes": "A voice tells to open the eyes",
            "instructed_toCloseEyes": "A voice tells to close the eyes",
            "resting_start": "The task starts",
            "break cnt": "The recorder starts",
            "boundary": "The recorder stops",
        },
        "HED": {
            "instructed_toOpenEyes": _prompt("now-open-your-eyes"),
            "instructed_toCloseEyes": _prompt("now-close-your-eyes"),
            "resting_start": "(Def/Resting-start, Onset)",
        },
    },
    "event_code": {"Description": "Code of the trigger, or what stands for it"},
    "definitions": {
        "Description": "Not a column: the definitions that the annotations above use",
        "HED": {"resting_start": "(Definition/Resting-start, (Task, (Visual-presentation, Cross)))"},
    },
}
