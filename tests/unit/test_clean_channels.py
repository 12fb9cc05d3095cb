"""Bad channels against the original's masks and planted ones."""

import tracemalloc

import array_api_compat
import numpy as np
import pytest
import scipy.special

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import channels, filters, ransac


def mixed(rng, sfreq, seconds=30, n=12):
    """A dozen channels that see the same three slow sources, each with some noise of its own."""
    sources = rng.standard_normal((3, int(seconds * sfreq)))
    sources = np.stack([np.convolve(s, np.ones(5) / 5, "same") for s in sources])
    return 20 * rng.standard_normal((n, 3)) @ sources + rng.standard_normal((n, sources.shape[1]))


def test_flat_is_a_stretch_longer_than_allowed(xp, rng):
    sfreq = 100.0
    x = rng.standard_normal((5, 2000))
    x[1] = 7.0
    x[2, 300:902] = x[2, 300]  # 601 steps of zero: more than 5 s
    x[3, 300:801] = x[3, 300]  # 500 steps of zero: 5 s exactly
    x[4, ::2] = x[4, 1::2]  # stands still every other step only
    bad = channels.flat(xp.asarray(x), sfreq)
    assert _array.to_numpy(bad).tolist() == [False, True, True, False, False]


def test_flat_finds_what_a_walk_along_each_channel_finds(rng):
    sfreq, seconds = 10.0, 3.1
    x = np.cumsum(rng.random((300, 400)) < 0.12, axis=1).astype(float)

    def longest(row):
        run = best = 0
        for moves in np.diff(row) != 0:
            run = 0 if moves else run + 1
            best = max(best, run)
        return best

    wanted = np.array([longest(row) > seconds * sfreq for row in x])
    assert 50 < wanted.sum() < 250
    np.testing.assert_array_equal(channels.flat(x, sfreq, seconds), wanted)


def test_flat_needs_a_long_enough_recording(rng):
    assert channels.flat(np.zeros((2, 100)), 100.0).tolist() == [False, False]


@pytest.mark.parametrize("sfreq", [90.0, 105.0, 128.0, 160.0, 250.0])
def test_a_channel_of_its_own_is_found_and_hum_hides_nothing(xp, rng, sfreq):
    x = mixed(rng, sfreq)
    x[4] = 30 * rng.standard_normal(x.shape[1])
    x[7, : int(0.4 * x.shape[1])] = 30 * rng.standard_normal(int(0.4 * x.shape[1]))  # less than half of the time
    if sfreq > 100:
        x += 200 * np.sin(2 * np.pi * 50 * np.arange(x.shape[1]) / sfreq)
    bad = channels.uncorrelated(xp.asarray(x), sfreq)
    assert np.flatnonzero(_array.to_numpy(bad)).tolist() == [4]
    if sfreq > 100:
        assert not channels.uncorrelated(x, sfreq, line_noise_aware=False).any()


def test_uncorrelated_ignores_scale_sign_and_order(rng):
    x = mixed(rng, 128.0)
    x[4] = rng.standard_normal(x.shape[1])
    order = rng.permutation(12)
    scale = rng.choice([-1000.0, 0.001, 1.0], 12)[:, None]
    wanted = channels.uncorrelated(x, 128.0)
    np.testing.assert_array_equal(channels.uncorrelated((x * scale)[order], 128.0), wanted[order])
    assert wanted.sum() == 1


# --- with positions


def made_up(sfreq=200.0, seconds=41, n=16):
    """A made-up recording and its positions: 3 hisses, 6 hums, 11 has slow sources of its own.

    From a generator whose stream does not change, for the facts that were taken from another program.
    """
    rng = np.random.RandomState(7)
    i = np.arange(n) + 0.5
    theta, phi = np.arccos(1 - 1.2 * i / n), np.pi * (1 + 5**0.5) * i
    places = np.stack([np.cos(phi) * np.sin(theta), np.sin(phi) * np.sin(theta), np.cos(theta)], axis=1)
    t = np.arange(int(seconds * sfreq)) / sfreq
    sources = np.sin(2 * np.pi * (rng.uniform(1, 30, (20, 1)) * t + rng.uniform(0, 1, (20, 1))))
    seats = places[rng.randint(0, n, 20)]
    x = 10 * np.exp(2 * (places @ seats.T - 1)) @ sources + rng.standard_normal((n, t.size))
    x[3] += 4 * rng.standard_normal(t.size)
    x[6] += 6 * np.sin(2 * np.pi * 60 * t)
    own = np.arange(3)[:, None]
    x[11] = 10 * np.sin(2 * np.pi * (7 + own) * t + own).sum(axis=0) + rng.standard_normal(t.size)
    return x, sfreq, places


def lowpass_by_convolution(x, sfreq):
    kernel = filters.fir(np.hamming(101), 2 * np.array([0, 45, 50, sfreq / 2]) / sfreq, [1, 1, 0, 0])
    mirrored = np.pad(x, ((0, 0), (101, 101)), mode="reflect", reflect_type="odd")
    twice = np.convolve(kernel, kernel)
    return np.stack([np.convolve(row, twice, "valid") for row in mirrored])[:, 1:-1]


def weights_by_the_book(places, subset):
    """Perrin et al. (1989), equations 1 to 4, one sum at a time and with unknowns one by one."""
    n = np.arange(1, 200)
    factor = (2 * n + 1) / (n**4 * (n + 1) ** 4)

    def g(a, b):
        return sum(factor * scipy.special.eval_legendre(n, np.clip(a @ b, -1, 1))) / (4 * np.pi)

    size = len(subset)
    equations = np.ones((size + 1, size + 1))
    equations[size, size] = 0
    for i, one in enumerate(subset):
        for j, other in enumerate(subset):
            equations[i, j] = g(places[one], places[other]) + (1e-5 if i == j else 0)
    inverse = np.linalg.pinv(equations)
    bases = np.array([[g(place, places[one]) for one in subset] + [1.0] for place in places])
    return (bases @ inverse)[:, :size]


def correlations_one_by_one(x, sfreq, places, window=5, samples=50, subset=0.25, seed=5489):
    """Correlation of each channel with its prediction in each window, written down as it is described."""
    x = lowpass_by_convolution(x, sfreq) if sfreq > 100 else x
    subsets = ransac.subsets(len(x), int(len(x) * subset + 0.5), samples, seed)
    by = [weights_by_the_book(places, subset) for subset in subsets]
    found = []
    for start in range(0, x.shape[1] - int(window * round(sfreq)), int(window * round(sfreq))):
        part = x[:, start : start + int(window * round(sfreq))]
        each = np.sort([w @ part[s] for w, s in zip(by, subsets)], axis=0)
        guess = each[int(samples / 2 + 0.5) - 1]
        found.append((part * guess).sum(axis=1) / np.sqrt((part**2).sum(axis=1) * (guess**2).sum(axis=1)))
    return np.array(found).T


def between(values):
    """Thresholds half-way between neighbours among `values`: rounding decides nothing there."""
    values = np.sort(np.ravel(values))
    gaps = np.diff(values)
    return ((values[:-1] + values[1:]) / 2)[gaps > 1e-6 * np.abs(values).max()]


def test_line_noise_and_prediction_decide_what_eegprep_decides(xp):
    """eegprep 0.3.0, numpy 2.4.6: clean_channels by either criterion alone, and by both."""
    x, sfreq, places = made_up()
    x = xp.asarray(x)
    noisy = channels.noisy(x, sfreq, 4.0)
    unpredicted = channels.uncorrelated(x, sfreq, places)
    assert array_api_compat.array_namespace(noisy, unpredicted, x) and noisy.dtype == unpredicted.dtype == xp.bool
    assert np.flatnonzero(_array.to_numpy(noisy)).tolist() == [3, 6]
    assert np.flatnonzero(_array.to_numpy(unpredicted)).tolist() == [11]


@pytest.mark.parametrize("sfreq, seconds", [(200.0, 41), (128.0, 33.7), (100.4, 31), (90.0, 31)])
def test_predictions_are_those_of_the_description(sfreq, seconds):
    """At every threshold that tells two (channel, window) pairs apart, and with every tolerance."""
    x, _, places = made_up(sfreq, seconds)
    found = correlations_one_by_one(x, sfreq, places)
    assert found.shape == (16, np.ceil(x.shape[1] / (5 * round(sfreq))) - 1)
    thresholds = between(found)
    for least in thresholds[:: max(1, len(thresholds) // 15)]:
        for broken, limit in ((0.0, 0), (0.1, 0.1 * seconds), (0.5, 0.5 * seconds), (12.3, 12.3)):
            # seconds of whole samples in windows of whole samples
            time = (found < least).sum(axis=1) * 5 * round(sfreq)
            limit = x.shape[1] * broken if broken < 1 else round(sfreq) * broken
            bad = channels.uncorrelated(x, sfreq, places, ransac=least, max_broken=broken)
            np.testing.assert_array_equal(bad, time > limit)


def test_windows_subsets_and_seed_are_those_asked_for():
    x, sfreq, places = made_up()
    asked = dict(window=3, samples=7, subset=5, seed=3)
    wanted = correlations_one_by_one(x, sfreq, places, **(asked | {"subset": 5 / 16}))
    for least in between(wanted)[::8]:
        bad = channels.uncorrelated(x, sfreq, places, ransac=least, **asked)
        np.testing.assert_array_equal(bad, (wanted < least).sum(axis=1) * 600 > x.shape[1] / 2)


@pytest.mark.parametrize("sfreq", [100.4, 128.0, 250.0])
def test_line_noise_is_a_robust_score_of_what_is_above_50_hz(xp, sfreq):
    x, _, _ = made_up(sfreq, 20.013)
    below = lowpass_by_convolution(x, sfreq)
    above = x - below

    def deviation(values):
        return np.median(np.abs(values - np.median(values, axis=1)[:, None]), axis=1)

    ratio = deviation(above) / deviation(below)
    score = (ratio - np.median(ratio)) / (1.4826 * np.median(np.abs(ratio - np.median(ratio))))
    for sd in between(score):
        np.testing.assert_array_equal(_array.to_numpy(channels.noisy(xp.asarray(x), sfreq, sd)), score > sd)


def test_nothing_is_noisy_where_nothing_is_above_50_hz(xp, rng):
    x = rng.standard_normal((4, 500)) * np.array([[1.0], [1.0], [1.0], [1e6]])
    bad = channels.noisy(xp.asarray(x), 100.0)
    assert bad.dtype == xp.bool and _array.to_numpy(bad).tolist() == [False] * 4


def test_a_dead_channel_is_not_noisy_and_hides_no_other(xp):
    x, sfreq, _ = made_up()
    x[[0, 1, 2, 4, 5, 7, 8, 9, 10]] = 0
    assert np.flatnonzero(_array.to_numpy(channels.noisy(xp.asarray(x), sfreq))).tolist() == [3, 6]
    assert not channels.noisy(np.zeros((3, 1000)), sfreq).any()


def test_weights_are_perrins(rng):
    """The equations' condition is about 1e6, so 1e-16 of rounding becomes 1e-10."""
    places = ransac.directions(rng.standard_normal((20, 3)) + np.array([0, 0, 0.5]))
    subsets = ransac.subsets(20, 6, 4, 1)
    found = ransac.weights(places, subsets)
    for weights, subset in zip(found, subsets):
        np.testing.assert_allclose(weights, weights_by_the_book(places, subset), atol=1e-9)
    np.testing.assert_allclose(found.sum(axis=2), 1, atol=1e-12)


def test_subsets_are_drawn_without_putting_back():
    found = ransac.subsets(11, 7, 40, 5489)
    assert found.shape == (40, 7) and all(len(set(row)) == 7 for row in found.tolist())
    assert set(found.ravel().tolist()) == set(range(11))
    # 0.8147 and 0.9058 are the first numbers of the stream: places round(1 + 10 * 0.8147) and round(1 + 9 * 0.9058)
    assert found[-1, :2].tolist() == [8, 9]
    np.testing.assert_array_equal(np.sort(ransac.subsets(5, 5, 3, 0)), np.tile(np.arange(5), (3, 1)))


def turned(places, rng):
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    return 0.085 * places @ turn.T + [0.01, -0.02, 0.04]


def test_directions_are_from_the_centre_of_the_head(rng):
    _, _, places = made_up()
    np.testing.assert_allclose(ransac.directions(places), places, atol=1e-12)
    there = ransac.directions(turned(places, rng))
    np.testing.assert_allclose(there @ there.T, places @ places.T, atol=1e-12)


def test_the_centre_of_a_template_head_is_inside_it():
    """In head coordinates the origin lies between the ears, far below the centre of the electrodes."""
    mne = pytest.importorskip("mne")
    montage = mne.channels.make_standard_montage("colin27_1020")
    mne.channels.montage.transform_to_head(montage)
    where = montage.get_positions()["ch_pos"]
    positions = np.stack([where[name] for name in "Fpz Oz T7 T8 Cz Fz Pz C3 C4 F7 F8 P7 P8 O1 O2".split()])
    towards = dict(zip("Fpz Oz T7 T8 Cz".split(), ransac.directions(positions)))
    assert towards["Cz"][2] > 0.95 and towards["Fpz"] @ towards["Oz"] < -0.8 and towards["T7"] @ towards["T8"] < -0.8


def test_electrodes_in_a_plane_have_directions_too(rng):
    flat = np.concatenate([rng.standard_normal((12, 2)), np.zeros((12, 1))], axis=1)
    found = ransac.directions(flat)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1)
    np.testing.assert_allclose(ransac.directions(flat + np.array([5.0, -3.0, 1.0])), found, atol=1e-9)


def test_rotation_scale_and_origin_of_positions_change_nothing(rng):
    x, sfreq, places = made_up()
    elsewhere = turned(places, rng)
    for least in between(correlations_one_by_one(x, sfreq, places))[::10]:
        wanted = channels.uncorrelated(x, sfreq, places, ransac=least)
        np.testing.assert_array_equal(channels.uncorrelated(x, sfreq, elsewhere, ransac=least), wanted)


def test_scale_and_sign_of_the_recording_change_nothing_but_scale_of_a_channel_does(xp):
    x, sfreq, places = made_up()
    wanted = channels.uncorrelated(x, sfreq, places, ransac=0.97)
    assert 1 < wanted.sum() < 8
    for factor in (-1.0, 1e-6, 1e6):
        scaled = xp.asarray(factor * x)
        np.testing.assert_array_equal(
            _array.to_numpy(channels.uncorrelated(scaled, sfreq, places, ransac=0.97)), wanted
        )
        np.testing.assert_array_equal(_array.to_numpy(channels.noisy(scaled, sfreq)), channels.noisy(x, sfreq))
    x[4] *= -1  # unlike the variant without positions: a reversed channel is not what the others predict
    assert channels.uncorrelated(x, sfreq, places)[4] and not channels.uncorrelated(x, sfreq)[4]


def test_order_of_channels_changes_nothing_but_which_subsets_are_drawn(rng):
    x, sfreq, places = made_up()
    order = rng.permutation(16)
    subsets = ransac.subsets(16, 4, 50, 5489)
    moved = np.argsort(order)[subsets]
    for least in (0.8, 0.95, 0.98):
        wanted = ransac.unpredicted(x, sfreq, places, subsets, least, 5.0, 0.5)
        found = ransac.unpredicted(x[order], sfreq, places[order], moved, least, 5.0, 0.5)
        np.testing.assert_array_equal(found, wanted[order])
    np.testing.assert_array_equal(channels.noisy(x[order], sfreq), channels.noisy(x, sfreq)[order])


def test_blocks_and_groups_change_nothing(xp, monkeypatch):
    x, sfreq, places = made_up(seconds=31.3)
    least = between(correlations_one_by_one(x, sfreq, places))[::16]

    def masks():
        found = [channels.uncorrelated(xp.asarray(x), sfreq, places, ransac=float(value)) for value in least]
        return np.array([_array.to_numpy(mask) for mask in (*found, channels.noisy(xp.asarray(x), sfreq))])

    wanted = masks()
    assert len({tuple(mask) for mask in wanted}) > 5
    for block, group, span in ((2**14, 1, 150), (2**22, 2**30, 10**6)):
        monkeypatch.setattr(ransac, "_BLOCK", block)
        monkeypatch.setattr(channels, "_GROUP", group)
        monkeypatch.setattr(channels, "_SPAN", span)
        np.testing.assert_array_equal(masks(), wanted)


@pytest.mark.parametrize("start, stop", [(0, 120), (0, 30), (1, 40), (300, 420), (590, 620), (500, 620), (0, 620)])
def test_a_stretch_is_filtered_as_if_all_of_the_recording_were(xp, rng, start, stop):
    x = rng.standard_normal((3, 620))
    kernel = np.hamming(101) * rng.standard_normal(101)
    found = ransac.filtered(xp.asarray(x), start, stop, kernel)
    wanted = filters.zero_phase(x, kernel)[:, start:stop]
    np.testing.assert_allclose(_array.to_numpy(found), wanted, atol=1e-11 * np.abs(wanted).max())


def test_kinds_of_arrays_agree_in_every_prediction(xp, rng):
    x, _, places = made_up(seconds=3)
    subsets = ransac.subsets(16, 4, 9, 1)
    weights, targets = ransac.weights(places, subsets), np.array([2, 3, 11])
    wanted = np.sort([w[targets] @ x[s] for w, s in zip(weights, subsets)], axis=0)[4]
    found = ransac.predicted(*(xp.asarray(values) for values in (x, subsets, weights, targets)))
    np.testing.assert_allclose(_array.to_numpy(found), wanted, atol=1e-12 * np.abs(wanted).max())


def test_a_channel_that_is_zero_in_a_window_is_not_broken_there(xp):
    x, sfreq, places = made_up()
    x[11] = 0
    assert not _array.to_numpy(channels.uncorrelated(xp.asarray(x), sfreq, places)).any()
    x[11, :5000] = x[10, ::-1][:5000]  # nothing to do with its neighbours for 25 of 41 s
    assert np.flatnonzero(channels.uncorrelated(x, sfreq, places)).tolist() == [11]
    x[11, :5000] = 3.0  # an offset is predicted by nobody either
    assert np.flatnonzero(channels.uncorrelated(x, sfreq, places)).tolist() == [11]


def test_bridged_channels_do_not_vouch_for_each_other(xp):
    x, sfreq, places = made_up()
    x[5] = x[11]
    assert np.flatnonzero(_array.to_numpy(channels.uncorrelated(xp.asarray(x), sfreq, places))).tolist() == [5, 11]


def test_electrodes_at_one_place_are_no_harm(rng):
    x, sfreq, places = made_up()
    places[9], x[9] = places[8], x[8] + 0.1 * rng.standard_normal(x.shape[1])
    assert np.flatnonzero(channels.uncorrelated(x, sfreq, places)).tolist() == [11]


def test_channels_without_a_place_are_judged_by_likeness_to_all(xp):
    x, sfreq, places = made_up()
    places = places.copy()
    places[[2, 6, 11]] = [np.nan, 1.0, 1.0], [0.0, 0.0, 0.0], [np.inf, 0.0, 0.0]
    known = channels.placed(places, 16)
    assert np.flatnonzero(~known).tolist() == [2, 6, 11]
    for correlation, ransac_ in ((0.45, 0.8), (0.7, 0.97)):
        found = _array.to_numpy(
            channels.uncorrelated(xp.asarray(x), sfreq, places, ransac=ransac_, correlation=correlation)
        )
        alike = channels.uncorrelated(x, sfreq, correlation=correlation)
        np.testing.assert_array_equal(found[~known], alike[~known])
        # the size of the subsets counts all channels
        rest = channels.uncorrelated(x[known], sfreq, places[known], ransac=ransac_, subset=4)
        np.testing.assert_array_equal(found[known], rest)


def test_too_few_places_are_as_none(xp):
    x, sfreq, places = made_up()
    half = places.copy()
    half[:8] = np.nan
    assert channels.placed(half, 16).sum() == 8
    half[8] = np.nan
    assert not channels.placed(half, 16).any()
    wanted = channels.uncorrelated(x, sfreq, correlation=0.75)
    assert 0 < wanted.sum() < 16
    found = channels.uncorrelated(xp.asarray(x), sfreq, half, correlation=0.75)
    np.testing.assert_array_equal(_array.to_numpy(found), wanted)


@pytest.mark.parametrize("count, enough", [(1, False), (9, False), (10, True)])
def test_a_subset_needs_three_electrodes(rng, count, enough):
    places = rng.standard_normal((count, 3))
    assert channels.placed(places, count).all() == enough
    x = rng.standard_normal((count, 3000))
    assert channels.uncorrelated(x, 100.0, places).shape == (count,)
    assert not channels.placed(None, count).any()


def test_a_recording_too_short_to_judge_has_no_bad_channel_or_is_refused(xp):
    x, sfreq, places = made_up(seconds=5)
    assert not _array.to_numpy(channels.uncorrelated(xp.asarray(x), sfreq, places, max_broken=0.0)).any()
    assert channels.uncorrelated(x, sfreq, places, window=2, max_broken=0.0).any()
    for short in (lambda x: channels.noisy(x, sfreq), lambda x: channels.uncorrelated(x, sfreq, places)):
        short(xp.asarray(x[:, :102]))
        with pytest.raises(Fault, match=r"0.51 s long, .* 0.51 s: leave the recording out"):
            short(xp.asarray(x[:, :101]))


def test_wrong_parameters_are_named(rng):
    x, sfreq, places = made_up(seconds=6)
    for key, wrong in {"subset": 0, "window": 0.001, "positions": places[:3]}.items():
        with pytest.raises(ValueError, match=key):
            channels.uncorrelated(x, sfreq, **({"positions": places} | {key: wrong}))


def test_memory_does_not_grow_with_the_recording():
    def peak(seconds):
        x, sfreq, places = made_up(seconds=seconds)
        tracemalloc.start()
        channels.uncorrelated(x, sfreq, places)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    assert peak(160) < 1.05 * peak(40)
