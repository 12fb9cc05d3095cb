"""Every stage of the cleaning, and the whole of it, against what the original computes, on every kind of array.

The stages are given what the original gave them, so that a stage that is wrong fails alone; the last tests run the
chain from the raw recording. Masks must be identical; numbers are compared to the largest of them.
"""

import functools
import itertools
import math

import numpy as np
import pytest

from hedgerow import _array, clean
from hedgerow.clean import asr, channels, drifts, filters, ransac, segments

RECORDINGS = ["synth_a", "synth_b"]


class Golden:
    """A recording of the original's answers: `input`, `stages` and the other files by name, read once."""

    def __init__(self, folder):
        self.folder = folder
        self.sfreq = float(self["input"]["sfreq"])

    @functools.cache  # noqa: B019 (a handful of small files, for the length of the module)
    def __getitem__(self, name):
        with np.load(self.folder / f"{name}.npz") as found:
            return {key: found[key] for key in found.files}

    def mask(self, key):
        return self["stages"][key].ravel().astype(bool)

    @functools.cached_property
    def lively(self):
        """The raw signal of the channels that are not flat."""
        return self["input"]["data"][self.mask("flat_mask")]

    @functools.cached_property
    def slow(self):
        """The same, high-passed."""
        return drifts.highpass(self.lively, self.sfreq)

    @functools.cached_property
    def good(self):
        """The high-passed signal of the channels that ASR gets."""
        return self.slow[self.mask("channels_mask")]

    @functools.cached_property
    def calibration(self):
        """The samples on which ASR calibrates."""
        return self.good[:, self.mask("calib_window_mask")]

    def state(self, xp, cutoff, **settings):
        return asr.calibrate(xp.asarray(self.calibration), self.sfreq, cutoff, **settings)


@pytest.fixture(scope="module", params=RECORDINGS)
def golden(request, shared):
    return Golden(shared / "golden" / "clean_rawdata" / request.param)


def assert_close(found, wanted, within, columns=None):
    """`found` differs from `wanted` by less than `within` of the largest value; where only columns were kept, there."""
    found = _array.to_numpy(found)
    found = found if columns is None else found[:, columns]
    assert found.shape == wanted.shape
    assert np.abs(found - wanted).max() < within * np.abs(wanted).max()


def assert_kept(found, wanted):
    np.testing.assert_array_equal(_array.to_numpy(found), wanted)


# --- drifts and channels


def test_the_highpass_is_the_originals(xp, golden):
    wanted = golden["drifts"]
    found = drifts.highpass(xp.asarray(golden.lively), golden.sfreq)
    assert_close(found, wanted["data"], 1e-12, wanted.get("columns"))
    np.testing.assert_allclose(drifts.kernel(golden.sfreq), wanted["kernel"].ravel(), atol=1e-14)


def test_flat_channels_are_the_originals(xp, golden):
    found = channels.flat(xp.asarray(golden["input"]["data"]), golden.sfreq)
    assert_kept(~found, golden.mask("flat_mask"))


def test_the_random_subsets_are_the_originals(golden):
    wanted = golden["stages"]["ransac_subsets"]
    np.testing.assert_array_equal(ransac.subsets(len(golden.slow), wanted.shape[1], 50, 5489), wanted)


def test_channels_that_others_do_not_predict_are_the_originals(xp, golden):
    positions = golden["input"]["xyz"][golden.mask("flat_mask")] / 1000
    x = xp.asarray(golden.slow)
    found = channels.uncorrelated(x, golden.sfreq, positions) | channels.noisy(x, golden.sfreq)
    assert_kept(~found, golden.mask("channels_mask"))
    assert not golden.mask("channels_mask").all()


def test_channels_that_resemble_no_other_are_the_originals(xp, golden):
    found = channels.uncorrelated(xp.asarray(golden.slow), golden.sfreq)
    assert_kept(~found, golden.mask("nolocs_mask"))


# --- segments


@pytest.mark.parametrize(
    "key, settings",
    [
        ("calib_window_mask", (0.075, (-3.5, 5.5))),
        ("calib_window_mask_noinf", (0.075, (-math.inf, 5.5))),
        ("window_mask_default", (0.2, (-3.5, 5))),
        ("window_mask_final_without_asr", (0.25, (-math.inf, 7))),
    ],
)
def test_good_windows_are_the_originals(xp, golden, key, settings):
    assert_kept(segments.keep(xp.asarray(golden.good), golden.sfreq, *settings), golden.mask(key))


# --- ASR


def test_the_shaping_filter_is_the_originals(golden):
    b, a = filters.shaping(golden.sfreq)
    np.testing.assert_allclose(b, golden["stages"]["B"].ravel(), atol=1e-11)
    np.testing.assert_allclose(a, golden["stages"]["A"].ravel(), atol=1e-11)


@pytest.mark.parametrize("key", ["c5_m4000", "c20_m4000", "c5_m64", "c20_m64", "c5_m1"])
def test_calibration_is_the_originals(xp, golden, key):
    stages, cutoff = golden["stages"], int(key.split("_")[0][1:])
    assert golden.calibration.shape[1] == stages["n_calib"]
    # only at 1 MB is the recording long enough for longer blocks
    state = golden.state(xp, cutoff, memory_mb=int(key.split("_m")[1]))
    assert state.rank == golden.good.shape[0]
    assert_close(state.mixing, stages[f"M_{key}"], 1e-12)
    # rows of T have any sign
    found, wanted = _array.to_numpy(state.thresholds), stages[f"T_{key}"]
    assert_close(found.T @ found, wanted.T @ wanted, 1e-12)
    if key == "c5_m1":
        assert stages["blocksize_c5_m1"] > 10
        assert_close(golden.state(xp, 5, block=int(stages["blocksize_c5_m1"])).mixing, stages[f"M_{key}"], 1e-12)


@pytest.mark.parametrize("memory", [4000, 64])
@pytest.mark.parametrize("cutoff", [5, 20])
def test_what_asr_makes_is_the_originals_and_so_is_what_it_could_not_mend(xp, golden, cutoff, memory):
    wanted = golden[f"asr_c{cutoff}_m{memory}"]
    x, state = xp.asarray(golden.good), golden.state(xp, cutoff)
    y, account = asr.apply(x, golden.sfreq, state, memory_mb=memory)
    assert_close(y, wanted["data"], 1e-11, wanted.get("columns"))
    splits = int(golden["stages"][f"splits_c{cutoff}_m{memory}"])
    assert (splits > 1) == (memory == 64)
    kept = segments.keep(y, golden.sfreq, 0.25, (-math.inf, 7))
    assert_kept(kept, golden.mask(f"final_mask_c{cutoff}_m{memory}"))
    if memory == 4000:
        # memory for all: the regular grid, as without emulation
        regular, same = asr.apply(x, golden.sfreq, state)
        assert same["updates"] == account["updates"]
        assert_close(regular, _array.to_numpy(y), 1e-13)


def test_memory_changes_the_answer(golden):
    """Were it not so, the two sets of numbers above would test one thing twice."""
    few, many = (golden[f"asr_c5_m{memory}"]["data"] for memory in (64, 4000))
    assert np.abs(few - many).max() > 0.01 * np.abs(many).max()


def test_a_stream_in_three_chunks_is_the_originals(xp, golden):
    wanted = golden["stream_c20"]
    edges = wanted["edges"].ravel().astype(int)
    carry, pieces = None, []
    state = golden.state(xp, 20)
    for start, stop in itertools.pairwise(edges):
        y, carry = asr.process(xp.asarray(golden.good[:, start:stop]), golden.sfreq, state, carry)
        assert y.shape[1] == stop - start
        pieces.append(_array.to_numpy(y))
    assert_close(np.concatenate(pieces, axis=1), wanted["data"], 1e-11, wanted.get("columns"))


# --- the whole chain, from the raw recording


def run(xp, golden, **settings):
    """The chain with the original's settings; signal, account, names and the samples that are not bad."""
    x = golden["input"]["data"]
    names = [f"c{i}" for i in range(len(x))]
    y, account = clean.clean(
        xp.asarray(x),
        golden.sfreq,
        names=names,
        positions=golden["input"]["xyz"] / 1000,
        ransac=0.8,
        noise_sd=4.0,
        asr_cutoff=20.0,
        asr_memory_mb=64,
        bad_segments=0.25,
        line_noise=None,
        interpolate=False,
        reference=None,
        **settings,
    )
    kept = np.ones(x.shape[1], dtype=bool)
    for start, stop in account["bad_segments"]:
        kept[round(start * golden.sfreq) : round(stop * golden.sfreq)] = False
    return _array.to_numpy(y), account, names, kept


@pytest.mark.parametrize("action", ["repair", "mark"])
def test_the_chain_is_the_original_end_to_end(xp, golden, action):
    wanted = golden["e2e_burstrejection_" + {"repair": "off", "mark": "on"}[action]]
    y, account, names, kept = run(xp, golden, asr_action=action)
    good = wanted["channel_mask"].ravel().astype(bool)
    assert account["good"] == [name for name, its in zip(names, good) if its]
    assert_kept(kept, wanted["sample_mask"].ravel().astype(bool))
    assert 0 < kept.mean() < 1
    assert_close(y[good][:, kept], wanted["data"], 1e-11, wanted.get("columns"))
