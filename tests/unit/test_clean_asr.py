"""ASR against the original's output, a plain reference, exact arithmetic for data of low rank, and planted truth."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg
import scipy.signal

from hedgerow import _array
from hedgerow.account import Fault
from hedgerow.clean import asr, drifts, manifold, subspace


def brainlike(rng, channels=8, sfreq=160.0, seconds=60.0, bursts=((20, 22), (40, 41))):
    """Smooth mixed sources with some sensor noise, and bursts of 30-50 Hz with topographies of their own."""
    samples = int(seconds * sfreq)
    b, a = scipy.signal.butter(2, [1.0, 30.0], "bandpass", fs=sfreq)
    sources = scipy.signal.lfilter(b, a, rng.standard_normal((channels, samples)), axis=1)
    clean = 10 * rng.standard_normal((channels, channels)) @ sources + rng.standard_normal((channels, samples))
    artefact = np.zeros_like(clean)
    b, a = scipy.signal.butter(2, [30.0, 50.0], "bandpass", fs=sfreq)
    for start, stop in bursts:
        cut = slice(int(start * sfreq), int(stop * sfreq))
        noise = scipy.signal.lfilter(b, a, rng.standard_normal(cut.stop - cut.start))
        artefact[:, cut] += 3000 * rng.standard_normal((channels, 1)) * noise
    return clean, artefact


def plainly(x, sfreq, state, window, most, calibration):
    """The method as the literature writes it: one update after the other, M (K V'M)^+ V', every step in full."""
    channels, samples = x.shape
    length, ahead, step = round(window * sfreq), round(window / 2 * sfreq), int(sfreq * window / 2)
    mirror = 2 * x[:, -1:] - x[:, -2 : -2 - ahead : -1]
    shaped = scipy.signal.lfilter(state.b, state.a, np.concatenate([calibration, x, mirror], axis=1), axis=1)
    shaped = np.concatenate([np.zeros((channels, length)), shaped[:, calibration.shape[1] :]], axis=1)
    y = np.concatenate([2 * x[:, :1] - x[:, ahead:0:-1], x, mirror], axis=1)
    last, before = 0, None
    for end in [1, *range(step, samples + ahead, step), samples + ahead]:
        part = shaped[:, end : end + length]
        variance, vectors = np.linalg.eigh(part @ part.T / length)
        keep = variance < ((state.thresholds @ vectors) ** 2).sum(axis=0)
        keep |= np.arange(1, channels + 1) < channels - most
        repair = np.eye(channels)
        if not keep.all():
            repair = state.mixing @ np.linalg.pinv(keep[:, None] * (vectors.T @ state.mixing)) @ vectors.T
        if before is not None:
            weight = (1 - np.cos(np.pi * np.arange(1, end - last + 1) / (end - last))) / 2
            y[:, last:end] = weight * (repair @ y[:, last:end]) + (1 - weight) * (before @ y[:, last:end])
        last, before = end, repair
    return y[:, ahead : ahead + samples]


@pytest.mark.parametrize("sfreq", [128.0, 160.0])
@pytest.mark.parametrize("cutoff, most", [(3.0, 2), (20.0, 5)])
def test_apply_is_the_method_of_the_literature(xp, rng, sfreq, cutoff, most):
    clean, artefact = brainlike(rng, sfreq=sfreq)
    calibration = clean[:, : int(30 * sfreq)]
    state = asr.calibrate(xp.asarray(calibration), sfreq, cutoff)
    y, account = asr.apply(xp.asarray(clean + artefact), sfreq, state, maxdims=most)
    assert type(y) is type(xp.asarray(clean)) and account["updates_changed"] > 10
    state = replace(state, **{key: _array.to_numpy(getattr(state, key)) for key in ("components", "variance")})
    state = replace(state, threshold=_array.to_numpy(state.threshold))
    wanted = plainly(clean + artefact, sfreq, state, 0.5, most, calibration)
    np.testing.assert_allclose(_array.to_numpy(y), wanted, atol=1e-9 * np.abs(wanted).max())


def test_batches_change_nothing(rng):
    clean, artefact = brainlike(rng)
    state = asr.calibrate(clean, 160.0, 5.0)
    whole, account = asr.apply(clean + artefact, 160.0, state)
    for batch in (1, 7):
        y, again = asr.apply(clean + artefact, 160.0, state, batch=batch)
        np.testing.assert_allclose(y, whole, atol=1e-10 * np.abs(whole).max())
        assert again["changed_seconds"] == account["changed_seconds"]


def test_order_sign_and_unit_do_not_matter(rng):
    clean, artefact = brainlike(rng)
    order, sign = rng.permutation(8), rng.choice([-1.0, 1.0], 8)[:, None]
    wanted, _ = asr.apply(clean + artefact, 160.0, asr.calibrate(clean, 160.0, 10.0))

    def changed(x):
        return 1e-6 * sign * x[order]

    found, _ = asr.apply(changed(clean + artefact), 160.0, asr.calibrate(changed(clean), 160.0, 10.0))
    np.testing.assert_allclose(found, changed(wanted), atol=1e-15 * np.abs(wanted).max())


def test_clean_data_pass_and_bursts_go(rng):
    clean, artefact = brainlike(rng)
    state = asr.calibrate(clean, 160.0, 20.0)
    y, account = asr.apply(clean, 160.0, state)
    # Only the last window may exceed: it reaches into the mirrored end, which does not join smoothly.
    np.testing.assert_array_equal(y[:, :-80], clean[:, :-80])
    assert account["changed"] <= 80 / clean.shape[1]
    y, account = asr.apply(clean + artefact, 160.0, state)
    inside = np.abs(artefact).max(axis=0) > 0
    before, after = (((z - clean)[:, inside] ** 2).mean() for z in (clean + artefact, y))
    assert 10 * np.log10(before / after) > 20
    first, second = account["changed_seconds"][:2]
    assert 19 < first[0] < 20.1 and 21.9 < first[1] < 23 and 39 < second[0] < 40.1 and 40.9 < second[1] < 42
    away = np.ones(clean.shape[1], dtype=bool)
    for start, stop in account["changed_seconds"]:
        away[round(start * 160) : round(stop * 160)] = False
    np.testing.assert_array_equal(y[:, away], clean[:, away])
    assert account["changed"] == pytest.approx(1 - away.mean())
    assert account["variance_removed"] == pytest.approx(
        ((clean + artefact - y) ** 2).sum() / ((clean + artefact) ** 2).sum()
    )


def test_average_referenced_data_are_cleaned_in_their_own_dimensions(rng):
    """In an orthonormal basis of what the reference left, the same data have full rank: both ways must agree."""
    clean, artefact = brainlike(rng)
    centre = np.eye(8) - 1 / 8
    x, calibration = centre @ (clean + artefact), centre @ clean
    state = asr.calibrate(calibration, 160.0, 10.0)
    assert state.rank == 7
    y, account = asr.apply(x, 160.0, state, maxdims=4)
    basis = np.linalg.svd(centre)[0][:, :7]
    within = replace(state, components=basis.T @ state.components, tail=basis.T @ state.tail)
    wanted, _ = asr.apply(basis.T @ x, 160.0, within, maxdims=4)
    assert account["updates_changed"] > 5
    np.testing.assert_allclose(y, basis @ wanted, atol=1e-10 * np.abs(x).max())
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-10)
    inside = np.abs(artefact).max(axis=0) > 0
    assert ((y - centre @ clean)[:, inside] ** 2).mean() < 0.01 * ((x - centre @ clean)[:, inside] ** 2).mean()


def test_rounding_to_float32_does_not_bring_the_lost_dimension_back(rng):
    clean, artefact = brainlike(rng)
    centre = np.eye(8) - 1 / 8
    states, repaired = [], []
    for kind in (np.float64, np.float32):
        x, calibration = ((centre @ each).astype(kind).astype(np.float64) for each in (clean + artefact, clean))
        states.append(asr.calibrate(calibration, 160.0, 10.0))
        repaired.append(asr.apply(x, 160.0, states[-1])[0])
    assert [state.rank for state in states] == [7, 7]
    np.testing.assert_allclose(repaired[0], repaired[1], atol=1e-4 * np.abs(repaired[0]).max())


def _repair(window, state, most):
    """The matrix by which the engine repairs a signal whose window has this covariance (rank, rank)."""
    asked = subspace._rejected(window[None], state, most, subspace._Shortcut(0))
    with pytest.raises(StopIteration) as answer:
        asked.send(np.linalg.eigh(next(asked)))
    _, left, right = subspace._factors(*answer.value.value, state)
    assert left.shape[2] == 1
    return subspace._projected(np.eye(len(state.components)), state) - left[0] @ right[0]


def test_rank_deficient_repair_is_the_pseudo_inverse_in_exact_arithmetic(rng):
    mp = pytest.importorskip("mpmath").mp
    centre = np.eye(6) - 1 / 6
    root = centre @ rng.standard_normal((6, 6)) * 10.0 ** rng.uniform(-1, 1, 6)
    clean = root @ root.T
    topography = centre @ rng.standard_normal(6)
    window = clean + 1e6 * np.outer(topography, topography)
    variance, components = np.linalg.eigh(clean)
    state = asr.State(250.0, 5.0, components[:, 1:], variance[1:], 2 * np.sqrt(variance[1:]), None, None, None)
    projected = state.components.T @ window @ state.components
    repair = _repair(projected, state, 4)
    with mp.workdps(60):
        exact_centre = mp.eye(6) - mp.ones(6) / 6
        exact = exact_centre * mp.matrix(clean.tolist()) * exact_centre
        exact = (exact + exact.T) / 2
        values, basis = mp.eigsy(exact)
        mixing = basis * mp.diag([mp.sqrt(v) if v > 1e-30 else mp.mpf(0) for v in values]) * basis.T
        other = (
            exact + mp.mpf(10) ** 6 * (exact_centre * mp.matrix(topography)) * (exact_centre * mp.matrix(topography)).T
        )
        _, axes = mp.eigsy((other + other.T) / 2)
        keep = mp.diag([1, 1, 1, 1, 1, 0])
        u, s, v = mp.svd_r(keep * axes.T * mixing)
        inverse = v.T * mp.diag([1 / each if each > mp.mpf(10) ** -25 else mp.mpf(0) for each in s]) * u.T
        wanted = np.array((mixing * inverse * axes.T).tolist(), dtype=float)
    np.testing.assert_allclose(repair, wanted, atol=1e-9 * np.abs(wanted).max())


def test_what_calibration_never_saw_is_taken_out_where_the_rank_is_low(rng):
    clean, _ = brainlike(rng)
    centre = np.eye(8) - 1 / 8
    state = asr.calibrate(centre @ clean, 160.0, 1000.0)
    y, _ = asr.apply(clean, 160.0, state)
    np.testing.assert_allclose(y, centre @ clean, atol=1e-9)


def test_too_little_or_unlike_data_are_refused(rng):
    clean, _ = brainlike(rng, seconds=20, bursts=())
    with pytest.raises(Fault, match="calibrate on") as fault:
        asr.calibrate(clean[:, : int(4.9 * 160)], 160.0)
    assert fault.value.code == "calibration"
    with pytest.raises(Fault, match="no variance"):
        asr.calibrate(np.zeros((3, 3200)), 160.0)
    state = asr.calibrate(clean, 160.0)
    with pytest.raises(ValueError, match="calibrate it again"):
        asr.apply(clean[:5], 160.0, state)
    with pytest.raises(ValueError, match="calibrate it again"):
        asr.apply(clean, 128.0, state)
    with pytest.raises(Fault, match="window"):
        asr.apply(clean[:, :80], 160.0, state)
    with pytest.raises(ValueError, match="asr_cutoff=0"):
        asr.calibrate(clean, 160.0, 0)


# --- the engine: short cuts, streams, several recordings


def many_channels(rng, channels=40, seconds=40.0):
    return brainlike(rng, channels=channels, seconds=seconds, bursts=((20, 21), (30, 30.5)))


@pytest.mark.parametrize("cutoff", [3.0, 20.0])
def test_the_strongest_eigenvectors_say_what_all_say(rng, monkeypatch, cutoff):
    clean, artefact = many_channels(rng)
    state = asr.calibrate(clean, 160.0, cutoff)
    proofs, judged = [], subspace._judged_by_upper
    monkeypatch.setattr(subspace, "FEW", 40)

    def counted(*given):
        found = judged(*given)
        proofs.append(found[2])
        return found

    monkeypatch.setattr(subspace, "_judged_by_upper", counted)
    short, account = asr.apply(clean + artefact, 160.0, state)
    assert account["updates_changed"] > 0 and np.concatenate(proofs).any()
    monkeypatch.setattr(subspace._Shortcut, "pays", lambda self: False)
    whole, again = asr.apply(clean + artefact, 160.0, state)
    assert again == pytest.approx(account, rel=1e-9)
    np.testing.assert_allclose(short, whole, atol=1e-11 * np.abs(whole).max())


def test_a_proof_needs_all_that_could_be_rejected(rng):
    """With fewer eigenvectors asked for than are rejected, nothing is proven."""
    variance, vectors = np.linalg.eigh(np.cov(rng.standard_normal((12, 60))))
    allowed = np.full(12, (variance[-4] + variance[-5]) / 2)  # four are too strong
    covariance = ((vectors * variance) @ vectors.T)[None]
    for upper, enough in ((3, False), (4, True), (5, True)):
        _, _, proven = subspace._judged_by_upper(covariance, allowed, upper)
        assert proven.tolist() == [enough]


def test_several_recordings_at_once_are_as_one_by_one(xp, rng):
    signals, states = [], []
    for channels, seconds in ((8, 30.0), (6, 20.0), (8, 25.0)):
        clean, artefact = brainlike(rng, channels=channels, seconds=seconds, bursts=((10, 11),))
        signals.append(xp.asarray(clean + artefact))
        states.append(asr.calibrate(xp.asarray(clean), 160.0, 10.0))
    together = asr.apply_many(signals, 160.0, states, batch=7)
    for (y, account), x, state in zip(together, signals, states):
        alone, expected = asr.apply(x, 160.0, state, batch=7)
        assert account == pytest.approx(expected, rel=1e-9)
        np.testing.assert_allclose(
            _array.to_numpy(y), _array.to_numpy(alone), atol=1e-11 * np.abs(_array.to_numpy(y)).max()
        )


def test_a_stream_whose_pieces_end_at_updates_is_the_whole(xp, rng):
    """Pieces of whole steps have the updates of the whole, so that cutting changes nothing at all."""
    clean, artefact = brainlike(rng)
    x, step = clean + artefact, 40
    state = asr.calibrate(xp.asarray(clean), 160.0, 5.0)
    whole, _ = asr.apply(xp.asarray(x), 160.0, state)
    pieces, carry = [], None
    for stop in (50 * step, 51 * step, 120 * step, x.shape[1]):
        start = sum(piece.shape[1] for piece in pieces)
        y, carry = asr.process(xp.asarray(x[:, start:stop]), 160.0, state, carry)
        pieces.append(y)
    late = np.concatenate([_array.to_numpy(piece) for piece in pieces], axis=1)
    ahead = 40
    np.testing.assert_allclose(
        late[:, ahead:], _array.to_numpy(whole)[:, : x.shape[1] - ahead], atol=1e-10 * np.abs(x).max()
    )


def test_a_first_piece_must_reach_beyond_the_look_ahead(rng):
    clean, _ = brainlike(rng, seconds=20, bursts=())
    with pytest.raises(Fault, match="more than 40") as fault:
        asr.process(clean[:, :40], 160.0, asr.calibrate(clean, 160.0))
    assert fault.value.code == "too-short"


def test_too_little_memory_to_emulate_says_how_much_is_needed(rng):
    clean, _ = many_channels(rng)
    state = asr.calibrate(clean, 160.0)
    with pytest.raises(Fault, match=r"40 channels .* need asr_memory_mb above 2, which is 1") as fault:
        asr.apply(clean, 160.0, state, memory_mb=1)
    assert fault.value.code == "memory-too-small"
    _, account = asr.apply(clean, 160.0, state, memory_mb=20)
    assert account["splits"] > 5


def test_what_a_copy_shows_is_repaired_in_the_slow_signal(rng):
    """Judged by a copy, the slow waves stay where nothing is found, and the slow part of an artefact goes with it."""
    clean, artefact = brainlike(rng, seconds=60.0, bursts=((30, 31),))
    t = np.arange(clean.shape[1]) / 160.0
    slow = 200 * np.sin(2 * np.pi * 0.2 * t + np.arange(8)[:, None])
    topography = artefact[:, [np.abs(artefact).sum(axis=0).argmax()]]
    artefact = artefact + 0.5 * topography * (np.abs(artefact).max(axis=0) > 0)
    x = clean + artefact + slow
    copy = drifts.highpass(x, 160.0, (0.5, 1.0))
    state = asr.calibrate(copy[:, : 25 * 160], 160.0, 20.0)
    y, account = asr.apply(x, 160.0, state, statistics=copy)
    calm = np.ones(len(t), dtype=bool)
    for start, stop in account["changed_seconds"]:
        calm[round(start * 160) : round(stop * 160)] = False
    assert calm.mean() > 0.9 and not calm[round(30.2 * 160) : round(30.8 * 160)].any()
    np.testing.assert_array_equal(y[:, calm], x[:, calm])
    inside = np.abs(artefact).max(axis=0) > 0
    assert ((y - clean - slow)[:, inside] ** 2).mean() < 0.1 * (artefact[:, inside] ** 2).mean()
    with pytest.raises(ValueError, match="statistics"):
        asr.apply(x, 160.0, state, statistics=copy[:4])


def test_single_precision_is_right_to_a_thousandth(xp, rng):
    clean, artefact = brainlike(rng)
    x = clean + artefact
    wanted, _ = asr.apply(x, 160.0, asr.calibrate(clean, 160.0, 20.0))
    single = xp.asarray(x.astype(np.float32))
    y, _ = asr.apply(single, 160.0, asr.calibrate(xp.asarray(clean.astype(np.float32)), 160.0, 20.0))
    assert y.dtype == single.dtype
    assert np.abs(_array.to_numpy(y) - wanted).max() < 1e-3 * np.abs(wanted).max()


# --- calibration on the manifold


def plain_median(covariances):
    """Weiszfeld's algorithm on the manifold as the paper writes it, one matrix at a time."""
    median = covariances.mean(axis=0)
    for _ in range(200):
        root = scipy.linalg.sqrtm(median)
        inverse = np.linalg.inv(root)
        logs = [scipy.linalg.logm(inverse @ each @ inverse) for each in covariances]
        weights = [1 / np.linalg.norm(each) for each in logs]
        step = sum(w * each for w, each in zip(weights, logs)) / sum(weights)
        median = root @ scipy.linalg.expm(step) @ root
        if np.linalg.norm(step) < 1e-10:
            break
    return median


def test_the_riemannian_median_is_that_of_the_paper(xp, rng):
    x, _ = brainlike(rng, channels=5, seconds=5.0, bursts=())
    blocks = np.stack([part @ part.T / 10 for part in np.split(x[:, :800], 80, axis=1)])
    blocks = 0.999 * blocks + 0.001 * x @ x.T / x.shape[1]
    found = _array.to_numpy(manifold.median_covariance(xp.asarray(x)))
    np.testing.assert_allclose(found, plain_median(blocks), atol=1e-6 * np.abs(found).max())


def test_the_riemannian_median_follows_any_mixing_of_the_channels(rng):
    x, _ = brainlike(rng, channels=6, seconds=10.0, bursts=())
    mixing = rng.standard_normal((6, 6))
    found, wanted = manifold.median_covariance(mixing @ x), mixing @ manifold.median_covariance(x) @ mixing.T
    np.testing.assert_allclose(found, wanted, atol=1e-6 * np.abs(wanted).max())


def test_the_riemannian_median_of_average_referenced_data_is_that_of_what_is_left(rng):
    x, _ = brainlike(rng, channels=6, seconds=10.0, bursts=())
    basis = np.linalg.svd(np.eye(6) - 1 / 6)[0][:, :5]
    found = manifold.median_covariance((np.eye(6) - 1 / 6) @ x)
    wanted = basis @ manifold.median_covariance(basis.T @ x) @ basis.T
    np.testing.assert_allclose(found, wanted, atol=1e-9 * np.abs(wanted).max())


def test_the_riemannian_median_knows_signals_that_are_smoother_than_its_blocks(rng):
    """Below 10 Hz two samples tell hardly more than one: blocks lack directions, the recording has them all."""
    b, a = scipy.signal.butter(6, 10.0, fs=160.0)
    x = scipy.signal.filtfilt(b, a, rng.standard_normal((20, 160 * 60)), axis=1)
    mixing = rng.standard_normal((20, 20))
    found = manifold.median_covariance(mixing @ x, block=160)
    known = mixing @ mixing.T
    # a common factor does not matter to ASR, directions do
    ratio = scipy.linalg.eigvalsh(found, known)
    assert ratio.min() > 0 and ratio.max() / ratio.min() < 4
    state = asr.calibrate(mixing @ x, 160.0, covariance="riemannian")
    assert state.rank == 20


def test_calibration_on_the_manifold_takes_bursts_out(rng):
    clean, artefact = brainlike(rng)
    y, account = asr.apply(clean + artefact, 160.0, asr.calibrate(clean, 160.0, 20.0, covariance="riemannian"))
    inside = np.abs(artefact).max(axis=0) > 0
    before, after = (((z - clean)[:, inside] ** 2).mean() for z in (clean + artefact, y))
    assert account["updates_changed"] > 0 and 10 * np.log10(before / after) > 20
    with pytest.raises(ValueError, match="asr_covariance"):
        asr.calibrate(clean, 160.0, covariance="plane")
