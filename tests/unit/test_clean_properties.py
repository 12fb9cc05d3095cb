"""What must hold of every stage of the cleaning and of the chain, whatever the recording.

Order, sign and scale of the channels, the layout of the array in memory and the size of working batches are no
information; clean data pass, bursts go, a planted response stays; and what cannot be cleaned is refused by name.
"""

import numpy as np
import pytest

import pink
from hedgerow import _array, _mirrored, clean
from hedgerow.account import Fault
from hedgerow.clean import asr, channels, drifts, ransac, robust, segments

SFREQ, CHANNELS, SECONDS = 250.0, 16, 60.0
NAMES = [f"c{i}" for i in range(CHANNELS)]
PLACES = pink.positions(CHANNELS)
#: The chain without what depends on places or on the recording's reference.
PLAIN = {"interpolate": False, "reference": None}


@pytest.fixture(scope="module")
def made():
    """Brain and artefact, without drifts; with a channel of its own and one that stands still."""
    brain, artefact, _ = pink.recording(CHANNELS, SECONDS, every=6.0)
    brain, artefact = drifts.highpass(brain, SFREQ), drifts.highpass(artefact, SFREQ)
    return brain, artefact


@pytest.fixture(scope="module")
def broken(made):
    """The recording with a drift, one channel of its own and one that stands still for a while."""
    x = made[0] + made[1] + 500 * np.linspace(0, 1, made[0].shape[1]) ** 2
    x[5] = 60 * np.random.default_rng(7).standard_normal(x.shape[1])
    x[9, 4000:6000] = x[9, 4000]
    return x


def repaired(x, cutoff=10.0, **settings):
    """ASR, calibrated on the whole of x."""
    return asr.apply(x, SFREQ, asr.calibrate(x, SFREQ, cutoff), **settings)[0]


#: Stages whose answer has the channels in its first axis, and those whose answer is per sample.
BY_CHANNEL = {
    "drifts": lambda x: drifts.highpass(x, SFREQ),
    "flat": lambda x: channels.flat(x, SFREQ),
    "noisy": lambda x: channels.noisy(x, SFREQ),
    "uncorrelated": lambda x: channels.uncorrelated(x, SFREQ),
    "asr": repaired,
    "chain": lambda x: clean.clean(x, SFREQ, names=NAMES, **PLAIN)[0],
}
BY_SAMPLE = {"segments": lambda x: segments.keep(x, SFREQ)}
#: With positions, another order draws other subsets.
PLACED = {"ransac": lambda x: channels.uncorrelated(x, SFREQ, PLACES)}
STAGES = BY_CHANNEL | BY_SAMPLE | PLACED


def assert_same(found, wanted, within=1e-9):
    """Masks are identical, signals differ by less than `within` of the largest value."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    if wanted.dtype == bool:
        np.testing.assert_array_equal(found, wanted)
    else:
        np.testing.assert_allclose(found, wanted, rtol=0, atol=within * np.abs(wanted).max())


# --- order, sign, scale, layout, type


def test_the_recording_tells_stages_apart(broken):
    """Else the invariances below would say little."""
    for name, work in STAGES.items():
        found = work(broken)
        if found.dtype == bool and name != "noisy":
            assert 0 < found.mean() < 1, name


@pytest.mark.parametrize("name", BY_CHANNEL)
def test_the_order_of_channels_is_the_order_of_the_answer(broken, rng, name):
    order = rng.permutation(CHANNELS)
    assert_same(BY_CHANNEL[name](broken[order]), BY_CHANNEL[name](broken)[order])


def test_the_order_of_channels_does_not_change_which_segments_are_good(broken, rng):
    assert_same(segments.keep(broken[rng.permutation(CHANNELS)], SFREQ), segments.keep(broken, SFREQ))


@pytest.mark.parametrize("name", STAGES)
def test_a_channel_upside_down_comes_out_upside_down(broken, rng, name):
    sign = rng.choice([-1.0, 1.0], CHANNELS)[:, None]
    if name == "ransac":
        sign = -1.0  # neighbours predict a channel as it is
    wanted = STAGES[name](broken)
    assert_same(STAGES[name](sign * broken), wanted if wanted.dtype == bool else sign * wanted)


@pytest.mark.parametrize("name", STAGES)
def test_twice_the_gain_gives_twice_the_answer(broken, name):
    wanted = STAGES[name](broken)
    assert_same(STAGES[name](4.0 * broken), wanted if wanted.dtype == bool else 4.0 * wanted, 1e-12)


@pytest.mark.parametrize("name", ["drifts", "noisy", "uncorrelated", "segments"])
def test_each_channel_may_have_a_gain_of_its_own(broken, rng, name):
    gain = 10.0 ** rng.uniform(-3, 3, CHANNELS)[:, None]
    wanted = STAGES[name](broken)
    found = STAGES[name](gain * broken)
    assert_same(found if wanted.dtype == bool else found / gain, wanted)


@pytest.mark.parametrize("name", STAGES)
def test_neither_layout_nor_a_read_only_input_matters_and_the_input_stays(broken, name):
    x = np.asfortranarray(broken)
    x.setflags(write=False)
    wanted = STAGES[name](broken.copy())
    assert_same(STAGES[name](x), wanted, 1e-12)
    strided = np.repeat(broken, 2, axis=1)[:, ::2]
    assert_same(STAGES[name](strided), wanted, 1e-12)
    np.testing.assert_array_equal(x, broken)
    np.testing.assert_array_equal(strided, broken)


def test_whole_numbers_are_cleaned_as_numbers(broken):
    x = np.round(broken).astype(np.int16)
    y, account = clean.clean(x, SFREQ, names=NAMES, **PLAIN)
    wanted, same = clean.clean(x.astype(float), SFREQ, names=NAMES, **PLAIN)
    np.testing.assert_array_equal(y, wanted)
    assert account == same


# --- batches and pieces


@pytest.mark.parametrize(
    "name, module, constant, small",
    [
        ("drifts", _mirrored, "_GROUP", 1),
        ("noisy", channels, "_GROUP", 1),
        ("ransac", ransac, "_BLOCK", 5000),
        ("asr", robust, "_GROUP", 1),
        ("asr", asr, "_ROOM", 1),
        ("chain", _mirrored, "_GROUP", 1),
    ],
)
def test_working_memory_changes_nothing(broken, monkeypatch, name, module, constant, small):
    wanted = STAGES[name](broken)
    monkeypatch.setattr(module, constant, small)
    assert_same(STAGES[name](broken), wanted, 1e-10)


def test_recordings_together_have_the_memory_splits_of_each(made):
    whole = made[0] + made[1]
    xs = [whole, whole[:, :9000], whole[:10, 2000:], made[0]]
    states = [asr.calibrate(each, SFREQ, 10.0) for each in xs]
    for x, state, (y, account) in zip(xs, states, asr.apply_many(xs, SFREQ, states, memory_mb=2)):
        wanted, alone = asr.apply(x, SFREQ, state, memory_mb=2)
        assert account["splits"] == alone["splits"] > 10
        assert account["changed_seconds"] == alone["changed_seconds"]
        assert_same(y, wanted, 1e-10)


# --- devices


ON_DEVICE = {
    **{name: work for name, work in STAGES.items() if name != "chain"},
    "riemannian": lambda x: asr.calibrate(x[:8, :6000], SFREQ, covariance="riemannian").mixing,
    "splits": lambda x: repaired(x, memory_mb=64),
    "stream": lambda x: asr.process(x, SFREQ, asr.calibrate(x, SFREQ))[0],
    "many": lambda x: asr.apply_many([x, x[:, :9000]], SFREQ, [asr.calibrate(x, SFREQ)] * 2)[1][0],
    **{
        f"chain, {key}": lambda x, settings=settings: clean.clean(x, SFREQ, names=NAMES, positions=PLACES, **settings)[
            0
        ]
        for key, settings in {
            "repaired": PLAIN,
            "marked": PLAIN | {"asr_action": "mark", "asr_memory_mb": 64},
            "by a copy": PLAIN | {"judge_highpass": (0.5, 1.0), "asr_covariance": "riemannian"},
            "notch": PLAIN | {"line_noise": "notch", "line_hz": 50.0, "resample": 200.0, "reference": "average"},
            "zapline": PLAIN | {"line_noise": "zapline", "line_hz": 50.0, "interpolate": True},
        }.items()
    },
}


@pytest.mark.parametrize("name", ON_DEVICE)
def test_what_is_on_a_device_stays_there(broken, monkeypatch, name):
    """A device from which only `to_numpy` copies, as on a GPU; the answer is numpy's."""
    strict = pytest.importorskip("array_api_strict")

    def to_numpy(x):
        return np.asarray(x.to_device(strict.Device("CPU_DEVICE")) if hasattr(x, "to_device") else x)

    wanted = ON_DEVICE[name](broken)
    x = strict.asarray(broken, device=strict.Device("device1"))
    monkeypatch.setattr(_array, "to_numpy", to_numpy)
    found = ON_DEVICE[name](x)
    assert found.device == x.device
    assert_same(to_numpy(found), wanted)


# --- what is planted


def inside(artefact):
    return np.abs(artefact).max(axis=0) > 1


@pytest.mark.parametrize("cutoff, most, variance", [(20.0, 0.01, 0.001), (10.0, 0.01, 0.001), (5.0, 0.25, 0.05)])
def test_clean_data_pass(made, cutoff, most, variance):
    """At most such a share of the samples is touched and of the variance goes; the rest is the same to the bit."""
    brain = made[0]
    y, account = clean.clean(brain, SFREQ, names=NAMES, highpass=None, asr_cutoff=cutoff, **PLAIN)
    assert account["good"] == NAMES and account["bad_segments"] == []
    assert account["asr"]["changed"] < most
    same = np.ones(brain.shape[1], dtype=bool)
    for start, stop in account["asr"]["changed_seconds"]:
        same[round(start * SFREQ) : round(stop * SFREQ)] = False
    np.testing.assert_array_equal(y[:, same], brain[:, same])
    assert account["asr"]["variance_removed"] < variance


@pytest.mark.parametrize("cutoff, least", [(5.0, 35.0), (20.0, 35.0)])
def test_bursts_go(made, cutoff, least):
    """By so many dB in the mean over their samples, what is lost of the brain counted in."""
    brain, artefact = made
    y, account = clean.clean(brain + artefact, SFREQ, names=NAMES, highpass=None, asr_cutoff=cutoff, **PLAIN)
    assert account["good"] == NAMES
    during = inside(artefact)
    assert 0.02 < during.mean() < 0.5
    before, after = (((each - brain)[:, during] ** 2).mean() for each in (brain + artefact, y))
    assert 10 * np.log10(before / after) > least


def test_a_planted_response_stays_and_is_seen_better(made):
    """Of a response of 4 µV 99 to 101 % is left between bursts, and 97 to 103 % during them."""
    brain, artefact = made
    t = np.arange(150) / SFREQ
    shape = 4 * np.exp(-(((t - 0.3) / 0.08) ** 2))
    field = np.exp(-np.sum((PLACES - PLACES[0]) ** 2, axis=1) / (2 * 0.06**2))
    onsets = np.arange(500, brain.shape[1] - 500, 200)
    response = np.zeros_like(brain)
    for onset in onsets:
        response[:, onset : onset + 150] += field[:, None] * shape
    x = brain + artefact
    with_it, without = (clean.clean(each, SFREQ, names=NAMES, highpass=None, **PLAIN)[0] for each in (x + response, x))
    burst = inside(artefact)
    for where, low, high in ((~burst, 0.99, 1.01), (burst, 0.97, 1.03)):
        left = ((with_it - without) * response)[:, where].sum() / (response**2)[:, where].sum()
        assert low < left < high, left

    def error(signal):
        average = np.mean([signal[:, onset : onset + 150] for onset in onsets], axis=0)
        return np.sqrt(((average - field[:, None] * shape) ** 2).mean())

    # what is left is the average of the brain's own activity
    assert error(with_it) < 1.05 * error(brain + response) < 0.3 * error(x + response)


# --- bad input


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_no_numbers_are_refused_with_place_and_name(made, value):
    x = made[0].copy()
    x[3, 5000] = value
    with pytest.raises(Fault, match=r"c3.*") as fault:
        clean.clean(x, SFREQ, names=NAMES)
    assert fault.value.code == "not-finite" and "20.000 s" in str(fault.value)
    state = asr.calibrate(made[0], SFREQ)
    for work in (lambda: asr.calibrate(x, SFREQ), lambda: asr.apply(x, SFREQ, state)):
        with pytest.raises(Fault, match="NaN or infinite") as fault:
            work()
        assert fault.value.code == "not-finite"


def test_a_constant_channel_is_flat_and_no_part_of_asr(made):
    x = made[0] + made[1]
    x[4] = 12.5
    y, account = clean.clean(x, SFREQ, names=NAMES, **PLAIN)
    assert account["flat"] == ["c4"] and "c4" not in account["asr"]["channel_variance_removed"]
    assert account["asr"]["rank"] == CHANNELS - 1 and np.isfinite(y).all()


def test_a_silent_channel_that_reaches_asr_stays_silent(made):
    x = made[0] + made[1]
    x[4] = 0.0
    state = asr.calibrate(x, SFREQ, 10.0)
    y, account = asr.apply(x, SFREQ, state)
    assert state.rank == CHANNELS - 1 and account["updates_changed"] > 0
    assert np.abs(y[4]).max() < 1e-12 * np.abs(x).max()
    others = np.delete(x, 4, axis=0)
    wanted, _ = asr.apply(others, SFREQ, asr.calibrate(others, SFREQ, 10.0), maxdims=11)
    assert_same(np.delete(asr.apply(x, SFREQ, state, maxdims=11)[0], 4, axis=0), wanted)


def test_one_channel_passes_the_stages_but_not_the_chain(made):
    one = made[0][:1] + made[1][:1]
    assert drifts.highpass(one, SFREQ).shape == repaired(one).shape == one.shape
    assert segments.keep(one, SFREQ).shape == one.shape[1:]
    for mask in (channels.flat(one, SFREQ), channels.noisy(one, SFREQ), channels.uncorrelated(one, SFREQ, PLACES[:1])):
        assert mask.tolist() == [False]
    with pytest.raises(Fault, match="1 good EEG channel") as fault:
        clean.clean(one, SFREQ, names=["c0"])
    assert fault.value.code == "no-channels"


@pytest.mark.parametrize("work", [asr.calibrate, segments.keep, drifts.highpass])
def test_too_few_samples_are_refused_with_their_length(made, work):
    with pytest.raises(Fault, match=r"4\.80 s") as fault:
        work(made[0][:, :1200], SFREQ)
    assert fault.value.code in ("too-short", "calibration")


def test_too_low_a_rate_is_refused_by_asr_and_by_a_filter_beyond_it(made):
    for work in (
        lambda: asr.calibrate(made[0], 39.0),
        lambda: clean.clean(made[0], 39.0, names=NAMES, **PLAIN),
        lambda: drifts.highpass(made[0], 1.4),
    ):
        with pytest.raises(Fault, match="sampling rate") as fault:
            work()
        assert fault.value.code == "rate-too-low"
    # what needs no filter works at any rate
    assert not channels.noisy(made[0], 39.0).any() and segments.keep(made[0], 39.0).any()


def test_channels_without_positions_are_judged_by_likeness(broken):
    unknown = PLACES.copy()
    unknown[[2, 5]] = np.nan
    found = channels.uncorrelated(broken, SFREQ, unknown)
    assert found[5] and not found[2]
    assert_same(channels.uncorrelated(broken, SFREQ, PLACES * np.nan), channels.uncorrelated(broken, SFREQ))
