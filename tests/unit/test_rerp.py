"""Regression ERPs: sums without the lagged design against that design written out, and responses told apart."""

import json

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import signal, stats

from hedgerow import _array, continuous, io, montage, rows, store, table, windows
from hedgerow import account as accounts
from hedgerow.grid import _lags, bootstrap, design, lagged, moments, ols, rerp

SUMS = ("Xsum", "XtX", "XtY", "YtY", "Ysum")


def written_out(X, starts, count, length):
    """The lagged design (samples, p * L), sample by sample: what `rerp` never makes."""
    out = np.zeros((count, X.shape[1], length))
    for x, start in zip(X, starts):
        for lag in range(length):
            if 0 <= start + lag < count:
                out[start + lag, :, lag] += x
    return out.reshape(count, -1)


def reference(X, starts, Y, length, good):
    """Rows of the lagged design and of the signal (samples, channels) that are good and that a response reaches."""
    lagged = written_out(X, starts, Y.shape[1], length)
    used = good & written_out(np.ones((len(starts), 1)), starts, Y.shape[1], length).any(axis=1)
    return lagged[used], Y.T[used]


@pytest.fixture
def recording(rng):
    """60 events of 3 coefficients in 2,000 samples, some at one time, some over the ends; a tenth is bad."""
    starts = rng.integers(0, 1975, 60)
    starts[:6] = [-40, -10, 1990, 2500, 700, 700]
    X = np.column_stack([np.ones(60), rng.integers(0, 2, 60), rng.normal(size=60)])
    good = np.ones(2000, dtype=bool)
    for first in (0, 300, 301, 695, 1200, 1960):
        good[first : first + 33] = False
    good[1500:1520:2] = False
    return X, starts, rng.normal(size=(4, 2000)), good


def test_sums_are_those_of_the_design_written_out(xp, recording):
    X, starts, Y, good = recording
    spoilt = np.where(good, Y, np.nan)
    found = rerp.moments(X, starts, xp.asarray(spoilt), 25, group="a", good=good)
    lagged, seen = reference(X, starts, Y, 25, good)
    expected = {
        "Xsum": lagged.sum(axis=0),
        "XtX": lagged.T @ lagged,
        "XtY": lagged.T @ seen,
        "YtY": (seen**2).sum(axis=0),
        "Ysum": seen.sum(axis=0),
    }
    assert found["groups"].tolist() == ["a"] and found["n"].tolist() == [len(seen)]
    for name in SUMS:
        assert type(found[name]) is type(xp.asarray(Y)) and found[name].dtype == xp.float64
        np.testing.assert_allclose(_array.to_numpy(found[name])[0], expected[name], rtol=1e-12, atol=1e-11)


def test_work_in_pieces_changes_nothing(recording, monkeypatch):
    X, starts, Y, good = recording
    whole = rerp.moments(X, starts, Y, 25, group="a", good=good)
    monkeypatch.setattr(rerp, "_ROOM", 1000)
    pieces = rerp.moments(X, starts, Y, 25, group="a", good=good)
    for name in SUMS:
        np.testing.assert_allclose(pieces[name], whole[name], rtol=1e-12, atol=1e-11)


def test_equals_least_squares_on_the_design_written_out(recording):
    X, starts, Y, good = recording
    basis = ols.basis_of(X)
    found = ols.fit_moments(rerp.moments(X, starts, Y, 25, group="a", good=good, basis=basis), errors="classical")
    lagged, seen = reference(X, starts, Y, 25, good)
    np.testing.assert_allclose(found["coef"], np.linalg.lstsq(lagged, seen)[0], rtol=1e-9, atol=1e-9)
    for channel in range(4):
        model = sm.OLS(seen[:, channel], lagged).fit()
        np.testing.assert_allclose(found["se"][:, channel], model.bse, rtol=1e-9)
        assert float(found["sigma"][channel]) == pytest.approx(np.sqrt(model.scale), rel=1e-10)


def test_bad_samples_have_no_say(recording):
    X, starts, Y, good = recording
    clean = rerp.moments(X, starts, Y, 25, group="a", good=good)
    wild = rerp.moments(X, starts, np.where(good, Y, 1e9), 25, group="a", good=good)
    for name in SUMS:
        assert np.array_equal(clean[name], wild[name])
    with pytest.raises(ValueError, match=r"group 'a': \d+ of 2000 samples are not finite; mark them as bad"):
        rerp.moments(X, starts, np.where(good, Y, np.nan), 25, group="a")


def test_samples_that_no_response_reaches_have_no_say(rng):
    Y = rng.normal(size=(2, 500))
    found = rerp.moments(np.ones((2, 1)), [100, 110], Y, 20, group="a")
    assert found["n"].tolist() == [30]
    np.testing.assert_allclose(found["YtY"][0], (Y[:, 100:130] ** 2).sum(axis=1))


def test_a_recording_without_events_adds_nothing(rng):
    found = rerp.moments(np.empty((0, 3)), [], rng.normal(size=(2, 500)), 20, group="a")
    assert found["n"].tolist() == [0] and found["XtX"].shape == (1, 60, 60) and not found["XtX"].any()


def simulated(rng, noise=0.5, trials=300, sfreq=100.0, length=60):
    """Two channels, responses of 0.6 s to two kinds of events every 0.15 to 0.45 s, whose spacing depends on kind."""
    kind = rng.integers(0, 2, trials)
    # the second kind comes fast after what is before it, so that an average holds another overlap of each
    gaps = np.where(kind, rng.uniform(0.15, 0.3, trials), rng.uniform(0.3, 0.45, trials))
    starts = rerp.samples(1 + np.cumsum(gaps), sfreq)
    time = np.arange(length) / sfreq
    wave = np.stack([np.sin(2 * np.pi * 3 * time), np.cos(2 * np.pi * 2 * time)]) * np.hanning(length)
    truth = np.stack([5 * wave, -2 * wave[::-1]])  # (coefficient, channel, lag)
    X = np.column_stack([np.ones(trials), kind])
    Y = noise * rng.normal(size=(2, starts[-1] + 200))
    for x, start in zip(X, starts):
        Y[:, start : start + length] += np.tensordot(x, truth, axes=1)
    return X, starts, Y, truth


def test_overlapping_responses_are_told_apart_and_an_average_fails(rng):
    X, starts, Y, truth = simulated(rng)
    length = truth.shape[2]
    fitted = ols.fit_moments(rerp.moments(X, starts, Y, length, group="a"), errors="classical")
    found, error = rerp.folded(fitted["coef"], length), rerp.folded(fitted["se"], length)
    assert np.abs((found - truth) / error).max() < 5 and np.std((found - truth) / error) == pytest.approx(1, abs=0.2)
    cut = windows.cut(Y, 1.0, starts, length)
    averaged = ols.fit(X, cut, errors="classical")["coef"].reshape(truth.shape)
    assert np.abs(averaged - truth).max() > 1 > 3 * np.abs(found - truth).max()


def test_without_overlap_it_is_the_regression_of_windows(rng):
    onsets = np.cumsum(rng.uniform(0.71, 1.2, 80)) + 1
    X = np.column_stack([np.ones(80), rng.normal(size=80)])
    Y = rng.normal(size=(3, 12000))
    lags = (-0.2, 0.5)
    starts, length = rerp.samples(onsets + lags[0], 100), len(rerp.points(lags, 100))
    found = ols.fit_moments(rerp.moments(X, starts, Y, length, group="a"), errors="classical")
    cut = windows.cut(Y, 100.0, onsets + lags[0], length)
    expected = ols.fit(X, cut, errors="classical")["coef"].reshape(2, 3, length)
    assert length == 70 and rerp.points(lags, 100)[0] == -0.2 and rerp.points(lags, 100)[-1] == 0.49
    np.testing.assert_allclose(rerp.folded(found["coef"], length), expected, rtol=1e-10, atol=1e-12)


@pytest.fixture
def people(rng):
    """Eight people with two recordings each: moments of the recordings, and the stacked design written out."""
    length, parts, stacked, signals, who = 12, [], [], [], []
    everybody = np.column_stack([np.ones(640), rng.normal(size=640)])
    basis = ols.basis_of(everybody)
    for person in range(8):
        shift = rng.normal(size=(2, 3, length))
        for run in range(2):
            X = everybody[80 * person + 40 * run :][:40]
            starts = np.sort(rng.integers(0, 400, 40))
            good = rng.random(420) > 0.05
            Y = rng.normal(size=(3, 420)) + 3
            for x, start in zip(X, starts):
                Y[:, start : start + length] += np.tensordot(x, shift + 1, axes=1)[:, : 420 - start]
            parts.append(rerp.moments(X, starts, Y, length, group=f"s{person}", good=good, basis=basis))
            for values, out in zip(reference(X, starts, Y, length, good), (stacked, signals)):
                out.append(values)
            who.append(np.full(len(stacked[-1]), person))
    return parts, np.concatenate(stacked), np.concatenate(signals), np.concatenate(who), length


def test_recordings_and_people_add_up(people):
    parts, X, Y, who, _ = people
    total = ols.combine(parts)
    assert total["groups"].tolist() == [f"s{k}" for k in range(8)]
    assert total["n"].tolist() == np.bincount(who).tolist()
    found = ols.fit_moments(total, errors="classical")
    np.testing.assert_allclose(found["coef"], np.linalg.lstsq(X, Y)[0], rtol=1e-9, atol=1e-9)
    again = ols.fit_moments(ols.combine([ols.combine(parts[:5]), ols.combine(parts[5:][::-1])]), errors="classical")
    np.testing.assert_allclose(again["coef"], found["coef"], rtol=1e-9, atol=1e-11)


def test_errors_are_robust_against_dependence_within_people(people):
    parts, X, Y, who, _ = people
    found = ols.fit_moments(ols.combine(parts), errors="cr1")
    for channel in range(3):
        model = sm.OLS(Y[:, channel], X).fit(cov_type="cluster", cov_kwds={"groups": who})
        np.testing.assert_allclose(found["se"][:, channel], model.bse, rtol=1e-9)


def test_intervals_over_people_hold_with_fewer_people_than_unknowns(rng):
    """8 people, 24 unknowns, noise that depends on its past, responses that differ between people: CR2 against truth.

    200 studies of 96 estimates, whose coverage has a Monte Carlo error of 0.16 %; classical errors cover 70 %.
    """
    length, covered = 12, {"cr2": [], "classical": []}
    for _ in range(200):
        truth, parts = rng.normal(size=(2, 4, length)), []
        for person in range(8):
            events = int(rng.integers(20, 90))
            X = np.column_stack([np.ones(events), rng.normal(size=events)])
            starts = np.sort(rng.integers(0, 6 * events + 60 - length, events))
            Y = signal.lfilter([1.0], [1.0, -0.9], rng.normal(size=(4, 6 * events + 60)))
            own = truth + 0.5 * rng.normal(size=truth.shape)
            for x, start in zip(X, starts):
                Y[:, start : start + length] += np.tensordot(x, own, axes=1)
            parts.append(rerp.moments(X, starts, Y, length, group=f"s{person}"))
        total = ols.combine(parts)
        for errors, found in covered.items():
            fitted = ols.fit_moments(total, errors=errors)
            off = (rerp.folded(fitted["coef"], length) - truth) / rerp.folded(fitted["se"], length)
            limit = stats.t.ppf(0.975, fitted["df"]).reshape(2, 1, length)
            found.append((np.abs(off) < limit).mean())
    assert np.mean(covered["cr2"]) == pytest.approx(0.95, abs=0.01)
    assert np.mean(covered["classical"]) < 0.8


def test_contrasts_and_tests_hold_at_every_lag(people):
    parts, X, Y, _, length = people
    weights, test = np.array([[1.0, 0.5]]), np.array([[1.0, -1.0], [0.0, 1.0]])
    options = {"weights": rerp.spread(weights, length), "tests": rerp.spread_tests([test], length)}
    found = ols.fit_moments(ols.combine(parts), errors="classical", **options)
    model = sm.OLS(Y[:, 1], X).fit()
    for lag in range(length):
        at = [lag, length + lag]
        wide = np.zeros((2, 2 * length))
        wide[:, at] = test
        assert float(rerp.folded(found["coef"], length)[0, 1, lag]) == pytest.approx(weights[0] @ model.params[at])
        assert float(found["F"][lag, 1]) == pytest.approx(float(model.f_test(wide).fvalue), rel=1e-9)


def test_the_bootstrap_over_people_takes_the_sums_as_they_are(people):
    parts, X, Y, _, _ = people
    total = ols.combine(parts)
    found = bootstrap.clusters(total, interval="percentile", seed=3, replicates=200, level=0.95)
    fitted = np.linalg.lstsq(X, Y)[0]
    low, high = (_array.to_numpy(found[name]) for name in ("ci_low", "ci_high"))
    assert low.shape == fitted.shape and (low < high).all()
    inside = (low <= fitted) & (fitted <= high)
    assert inside.mean() > 0.95
    spread = ols.fit_moments(total, errors="cr1")["se"]
    assert np.median((high - low) / (2 * 1.96 * spread)) == pytest.approx(0.9, abs=0.2)


def test_responses_at_a_fixed_distance_cannot_be_told_apart(rng):
    first = 50 + 40 * np.arange(30)
    starts = np.concatenate([first, first + 10])
    X = np.repeat(np.eye(2), 30, axis=0)
    made = rerp.moments(X, starts, rng.normal(size=(1, 1400)), 20, group="a")
    with pytest.raises(ValueError, match=r"cue at 0.1 s"):
        ols.fit_moments(made, errors="classical", names=rerp.names(["cue", "target"], rerp.points((0, 0.2), 100)))


def test_too_many_unknowns_and_empty_lags_are_refused():
    with pytest.raises(ValueError, match=r"at 500 Hz with 9 coefficients are 4500 unknowns, .* lower `sfreq`"):
        _lags.check((-0.2, 0.8), 500, 9)
    with pytest.raises(ValueError, match="are 0 unknowns"):
        _lags.check((0, 0.001), 100, 9)
    with pytest.raises(ValueError, match=r"lags: -0\.2 s is not after 0.8 s"):
        _lags.check((0.8, -0.2), 100, 2)
    _lags.check((-0.2, 0.8), None, 900)
    with pytest.raises(ValueError, match=r"with 1 coefficient are 10{12} unknowns, .*\(in seconds\)"):
        _lags.check((-1e9, 1e9), 500, 1)  # which would fill the memory, were they listed to be counted
    with pytest.raises(ValueError, match="3 rows of the design, 2 events, 50 samples and a mask of 50 differ"):
        rerp.moments(np.ones((3, 1)), [1, 2], np.ones((1, 50)), 5, group="a")


def place(folder, subject, x, events, left=()):
    """Files of one recording: clean signal, tables, account and windows store of the selection `a`; its store."""
    stem = f"{folder}/sub-{subject}/eeg/sub-{subject}"
    channels = pd.DataFrame({"name": ["Cz", "Pz", "EOG"], "type": ["EEG", "EEG", "EOG"], "units": "µV"})
    channels = channels.assign(status="good", status_description="n/a")
    (folder / f"sub-{subject}/eeg").mkdir(parents=True)
    io.write_signal(f"{stem}_desc-clean_eeg", x, 100.0, channels)
    table.write(f"{stem}_desc-clean_channels.tsv", channels)
    cleaned = {"status": "ok", "stage": "clean", "bad_segments": [[3.0, 4.0]]}
    accounts.write(f"{stem}_desc-clean_account.json", cleaned)
    table.write(f"{stem}_desc-a_events.tsv", events)
    kept = events.index.difference([row for row, *_ in left])
    zero = events["onset"][kept].to_numpy()
    index = pd.DataFrame({"onset": zero - 0.1, "event": kept, "label": "x", "zero": zero, "hed": "Event"})
    attrs = {"dataset": "d", "subject": subject, "rec": f"sub-{subject}/eeg/sub-{subject}", "selection": "a"}
    attrs |= {"parameters": SELECTION, "account": {"status": "ok", "left": [list(each) for each in left]}}
    path = f"{stem}_desc-a_windows.zarr.zip"
    store.write(path, np.zeros((len(index), 2, 30)), index, names=["Cz", "Pz"], sfreq=50.0, tmin=-0.1, attrs=attrs)
    return path


SELECTION = {"kind": "events", "length": None, "channels": ["Pz", "Cz"], "channels_by": "name", "sfreq": 50.0}
SELECTION |= {"reject": 0.0, "lowpass": None}


@pytest.fixture
def study(tmp_path, rng):
    """Stores of three people and the participants; two windows were left out, one event has no value."""
    participants = tmp_path / "results/index/d/participants.tsv"
    participants.parent.mkdir(parents=True)
    table.write(participants, pd.DataFrame({"participant_id": ["sub-1", "sub-2", "sub-3"], "sex": ["F", "M", "F"]}))
    stores = []
    for subject in "123":
        events = pd.DataFrame({"onset": np.round(np.cumsum(rng.uniform(0.2, 0.5, 40)) + 0.05, 3)})
        events = events.assign(size=np.round(rng.normal(size=40), 3))
        left = [(0, "x", float(events["onset"][0])), (12, "x", float(events["onset"][12]))]
        events.loc[20, "size"] = np.nan
        stores.append(place(tmp_path, subject, rng.normal(size=(3, 2000)).cumsum(axis=1), events, left))
    return stores, [participants]


@pytest.fixture
def events(study, tmp_path):
    """Rows of all events, as the rules keep them."""
    table.write(tmp_path / "rows.tsv", rows.collect(*study, events=True))
    return table.read(tmp_path / "rows.tsv")


def test_rows_of_lagged_models_are_all_events_that_match(study):
    stores, participants = study
    found = rows.collect(stores, participants, events=True)
    assert found.groupby("subject").size().tolist() == [40, 40, 40]
    first = found[found["subject"] == "1"]
    listed = table.read(stores[0].replace("_windows.zarr.zip", "_events.tsv"))
    assert first["event"].tolist() == list(range(40)) and first["onset"].tolist() == listed["onset"].tolist()
    assert first["window"].tolist() == [-1, *range(11), -1, *range(11, 38)]
    assert first["sex"].unique().tolist() == ["F"]
    assert len(rows.collect(stores, participants)) == 3 * 38


def test_tiled_windows_have_no_lags(study, tmp_path, monkeypatch):
    _, participants = study
    monkeypatch.setitem(SELECTION, "kind", "intervals")
    other = place(tmp_path / "b", "1", np.zeros((3, 2000)), pd.DataFrame({"onset": [1.0, 2.0]}))
    with pytest.raises(ValueError, match="lags: the windows of selection 'a' are tiles"):
        rows.collect([other], participants, events=True)


def test_from_clean_signals_to_sums_on_disk(study, events, tmp_path):
    stores, _ = study
    lags, length = (-0.1, 0.3), 20
    family = design.family("~ size * sex", [], events)
    parts = []
    for number, some in enumerate((stores[:1], stores[1:], [])):
        here = events[events["store"].isin(some)]
        parts.append(tmp_path / f"lagged_{number}.npz")
        lagged.save(parts[-1], family, here, continuous.signals(some, SELECTION), lags)
    total, axes = moments.load(parts)
    assert axes == {
        "names": ["Pz", "Cz"],
        "axis": "time",
        "points": rerp.points(lags, 50.0),
        "unit": "µV",
        "lagged": True,
    }
    assert total["groups"].tolist() == ["d/1", "d/2", "d/3"]
    stacked = []
    for path in stores:
        ((_, x, sfreq, names, good),) = continuous.signals([path], SELECTION)
        assert (sfreq, names, x.shape) == (50.0, ["Pz", "Cz"], (2, 1000))
        assert np.flatnonzero(~good).tolist() == list(range(150, 200))
        mine = events[events["store"] == path]
        X, kept = design.apply(family, mine)
        starts = rerp.samples(mine["onset"] + lags[0], 50.0)
        (unknown,) = starts[~kept]
        good[unknown : unknown + length] = False
        stacked.append(reference(X, starts[kept], x, length, good))
    X, Y = (np.concatenate(both) for both in zip(*stacked))
    fitted = ols.fit_moments(total, errors="classical")
    assert fitted["account"]["windows"] == len(Y)
    np.testing.assert_allclose(fitted["coef"], np.linalg.lstsq(X, Y)[0], rtol=1e-8, atol=1e-8)


def test_the_signal_is_that_of_the_selection(study):
    """Its channels, its band and its rate, in the order in which windows are cut."""
    stores, _ = study
    ((_, x, sfreq, names, _),) = continuous.signals(stores[:1], {**SELECTION, "lowpass": 10.0})
    stem = str(stores[0]).replace("_desc-a_windows.zarr.zip", "_desc-clean_eeg.vhdr")
    raw, rate = io.read_signal(stem)
    slow, _ = montage.resample(montage.lowpass(raw[[1, 0]], rate, 10.0), rate, 50.0)
    assert (sfreq, names) == (50.0, ["Pz", "Cz"])
    np.testing.assert_array_equal(x, slow)


def test_signals_of_unlike_channels_are_refused(study, events, tmp_path):
    stores, _ = study
    family = design.family("~ size", [], events)
    signals = list(continuous.signals(stores[:2], SELECTION))
    signals[1] = (*signals[1][:3], ["Pz", "Oz"], signals[1][4])
    with pytest.raises(ValueError, match="differ in channels, rate or length"):
        lagged.save(tmp_path / "a.npz", family, events, signals, (0, 0.2))


def test_a_part_without_events_is_an_empty_file(events, tmp_path):
    family = design.family("~ size", [], events)
    lagged.save(tmp_path / "a.npz", family, events[:0], [], (0, 0.2))
    with np.load(tmp_path / "a.npz") as file:
        assert not len(file["groups"]) and json.loads(str(file["axes"]))["lagged"]
