"""Maps of a model from moments or trials: against direct formulas, whatever the units, the cells and the blocks."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hedgerow import account
from hedgerow.grid import bootstrap, design, lagged, maps, moments, ols, replicates, units, weight

BLOCK = {
    "contrasts": {"b - c": "kind[b] - kind[c]"},
    "tests": {"kind": "kind", "both": "kind[T.b], loud"},
    "compare": ["loud * kind", "loud", "age + kind", "1"],
    "bootstrap": "auto",
    "interval": "auto",
    "errors": "auto",
    "replicates": 120,
    "level": 0.9,
    "seed": 3,
    "precision": "float32",
}
AXES = {"names": ["Cz", "Pz"], "axis": "time", "points": [0.0, 0.1, 0.2], "unit": "µV"}


def _rows(rng, people, windows=40):
    """Windows of `people` persons as a table, and their values with an effect of `loud` in the first channel."""
    n = people * windows
    rows = pd.DataFrame({"dataset": "d", "subject": np.repeat([f"{k:02d}" for k in range(people)], windows)})
    rows["rec"], rows["window"] = rows["subject"], np.tile(np.arange(windows), people)
    rows["label"], rows["onset"], rows["event"] = "x", 0.0, 0
    rows["kind"], rows["loud"] = rng.choice(["a", "b", "c"], n), rng.standard_normal(n)
    rows["age"] = rng.standard_normal(n)
    values = rng.standard_normal((n, 2, 3)) + np.repeat(rng.standard_normal((people, 2, 3)), windows, axis=0)
    values[:, 0] += rows["loud"].to_numpy()[:, None]
    return rows, values.astype(np.float32)


@pytest.fixture
def model(tmp_path):
    """A model of so many people, through its files: ``model(people, **changes)``."""

    def make(people, rng, **changes):
        block = BLOCK | changes
        rows, values = _rows(rng, people)
        account.write(tmp_path / "design.json", design.family("kind + loud", block["compare"], rows).to_json())
        family = design.Family.from_json(account.read(tmp_path / "design.json"))
        half = rows["subject"] < f"{people // 2:02d}"
        for name, here in (("a", half), ("b", ~half)):
            moments.save(tmp_path / f"{name}.npz", family, rows[here], values[here], AXES)
        total, axes = moments.load([tmp_path / "a.npz", tmp_path / "b.npz"])
        frame = units.frame(family, block, axes, len(total["groups"]), errors=block["errors"])
        tiles = tmp_path / "scratch.npy"
        units.write(tiles, frame, rows, lambda kept: [(np.arange(len(kept)), values[kept.index], axes)])
        everybody = lambda: units.units(frame, total, rows, tiles)  # noqa: E731
        return frame, block, total, everybody, (family, rows, values)

    return make


def _drawn(folder, frame, block, total, everybody, blocks, **options):
    """Blocks of replicates on disk, and who could not be resampled."""
    paths, left = [], {}
    for number in range(1, blocks + 1):
        name = f"{number}-of-{blocks}"
        first, last = replicates.share(name, block["replicates"])
        place = {"first": first, "last": last, "folder": Path(folder) / name, "key": "k", **options}
        paths.append(Path(folder) / f"replicates_{name}.npy")
        left |= replicates.draw(paths[-1], everybody(), units.shape(frame, total), frame, block, **place)
    return paths, left


def _maps(folder, model, blocks=2):
    frame, block, total, everybody, _ = model
    paths, left = _drawn(folder, frame, block, total, everybody, blocks) if blocks else ([], {})
    return maps.make(frame, everybody(), block, paths, left)


def test_over_people_maps_are_those_of_the_whole_fit(model, rng, tmp_path):
    made = model(8, rng)
    frame, _block, _total, _, (family, rows, values) = made
    arrays, attrs, done = _maps(tmp_path, made)
    assert done["choice"]["over"] == "people" and arrays["unit"][0] == ["all"] and attrs["axis"] == "time"
    assert arrays["coefficient"][0] == ["Intercept", "kind[T.b]", "kind[T.c]", "loud", "b - c"]
    X, _ = design.apply(family.main, rows)
    expected = np.linalg.lstsq(X, values.reshape(len(X), -1).astype(float), rcond=None)[0].reshape(4, 2, 3)
    np.testing.assert_allclose(arrays["coef"][0][0, :4], expected, rtol=1e-9)
    np.testing.assert_allclose(arrays["coef"][0][0, 4], expected[1] - expected[2], atol=1e-9)
    direct = ols.fit(X, values, moments.subject_labels(rows), weights=frame.weights, errors="cr2")
    np.testing.assert_allclose(arrays["se"][0][0], direct["se"].reshape(5, 2, 3), rtol=1e-9)
    t, df = arrays["t"][0][0], arrays["df"][0][0]
    np.testing.assert_allclose(arrays["p"][0][0], 2 * scipy.stats.t.cdf(-np.abs(t), df[:, None, None]), rtol=1e-9)
    p = arrays["p"][0][0, 3].ravel()
    order = np.argsort(p)
    stepped = np.minimum.accumulate((p[order] * p.size / np.arange(1, p.size + 1))[::-1])[::-1]
    np.testing.assert_allclose(arrays["p_fdr"][0][0, 3].ravel()[order], stepped, rtol=1e-12)
    assert arrays["F"][1] == ["unit", "test", "channel", "time"] and arrays["F"][0].shape == (1, 2, 2, 3)
    assert (arrays["ci_low"][0] < arrays["coef"][0]).all() and (arrays["coef"][0] < arrays["ci_high"][0]).all()
    assert done["fit"]["clusters"] == done["bootstrap"]["units"] == 8


def test_models_are_compared_in_their_order_over_the_same_windows(model, rng, tmp_path):
    made = model(8, rng)
    family, rows, values = made[-1]
    arrays, _, done = _maps(tmp_path, made)
    names = list(arrays["model"][0])
    assert names == [family.main.formula, *family.others] == list(done["comparison"])
    for place, each in enumerate([family.main, *family.others.values()]):
        direct = ols.fit(design.apply(each, rows)[0], values, errors="classical")
        np.testing.assert_allclose(arrays["model_aic"][0][0, place], direct["aic"].reshape(2, 3), rtol=1e-9)
    np.testing.assert_allclose(arrays["model_aic"][0][0, 0], arrays["aic"][0][0], rtol=1e-9)
    # the first against itself, and one that neither holds it nor is held by it
    known = [False, True, True, False, True]
    for name in ("model_F", "model_p_F"):
        assert np.isfinite(arrays[name][0][0]).all(axis=(1, 2)).tolist() == known
    assert sum(each["best_aic"] for each in done["comparison"].values()) == pytest.approx(1)


@pytest.mark.parametrize("people", [3, 8])
def test_without_a_bootstrap_intervals_are_those_of_t(model, rng, tmp_path, people):
    arrays, _, done = _maps(tmp_path, model(people, rng, bootstrap="none"), blocks=0)
    reach = scipy.stats.t.ppf(0.95, arrays["df"][0])[:, :, None, None] * arrays["se"][0]
    np.testing.assert_allclose(arrays["ci_high"][0] - arrays["coef"][0], reach, rtol=1e-9)
    assert done["choice"]["interval"] == "t" and len(arrays["unit"][0]) == (1 if people == 8 else 3)


def test_over_trials_each_person_is_fitted_alone(model, rng, tmp_path):
    made = model(3, rng)
    family, rows, values = made[-1]
    arrays, _, done = _maps(tmp_path, made)
    assert arrays["unit"][0] == ["d/00", "d/01", "d/02"] == list(done["subjects"])
    for place, subject in enumerate(("00", "01", "02")):
        mine = (rows["subject"] == subject).to_numpy()
        X = design.apply(family.main, rows[mine])[0]
        direct = ols.fit(X, values[mine], errors="hc3", weights=made[0].weights)
        for name in ("coef", "se", "t"):
            np.testing.assert_allclose(arrays[name][0][place], direct[name].reshape(5, 2, 3), rtol=1e-8)
        plan = {key: BLOCK[key] for key in ("seed", "replicates", "level", "precision")}
        plan["interval"] = done["choice"]["interval"]
        drawn = bootstrap.pairs(X, values[mine].reshape(len(X), -1), weights=made[0].weights, **plan)
        np.testing.assert_allclose(arrays["ci_low"][0][place], drawn["ci_low"].reshape(5, 2, 3), atol=1e-5)


def test_a_person_who_cannot_be_fitted_is_left_out_with_a_reason(model, rng, tmp_path):
    frame, block, total, _, (family, rows, values) = model(3, rng)
    rows = rows[(rows["subject"] != "01") | (rows["kind"] != "c")].reset_index(drop=True)
    values = rng.standard_normal((len(rows), 2, 3)).astype(np.float32)
    moments.save(tmp_path / "c.npz", family, rows, values, AXES)
    total, axes = moments.load([tmp_path / "c.npz"])
    tiles = tmp_path / "few.npy"
    units.write(tiles, frame, rows, lambda kept: [(np.arange(len(kept)), values, axes)])
    everybody = lambda: units.units(frame, total, rows, tiles)  # noqa: E731
    arrays, _, done = _maps(tmp_path, (frame, block, total, everybody, None))
    assert arrays["unit"][0] == ["d/00", "d/02"]
    assert "kind[T.c]" in done["left_out"]["d/01"]


@pytest.mark.parametrize("people", [3, 8])
def test_blocks_change_no_bit(model, rng, tmp_path, people):
    made = model(people, rng)
    found = [_maps(tmp_path / str(blocks), made, blocks)[0] for blocks in (1, 2, 7)]
    for other in found[1:]:
        for name, (values, _) in found[0].items():
            np.testing.assert_array_equal(values, other[name][0])


def test_the_summary_has_the_peak_of_each_coefficient_in_each_channel(model, rng, tmp_path):
    arrays, attrs, _ = _maps(tmp_path, model(8, rng))
    table = maps.summary(arrays, attrs)
    assert len(table) == 1 * 5 * 2 and list(table["channel"][:2]) == ["Cz", "Pz"]
    row = table[(table["coefficient"] == "loud") & (table["channel"] == "Cz")].iloc[0]
    best = np.abs(arrays["coef"][0][0, 3, 0]).argmax()
    assert row["time"] == AXES["points"][best] and row["coef"] == arrays["coef"][0][0, 3, 0, best]
    assert row["df"] == arrays["df"][0][0, 3] and row["p_fdr"] == arrays["p_fdr"][0][0, 3, 0, best]
    assert row["share"] == 1 and 0 <= table["share"].min() <= table["share"].max() <= 1


class _Killed(Exception):
    """Stands for SIGKILL: nothing of what runs here sees it coming."""


def test_a_draw_that_was_killed_goes_on_to_the_same_bits(model, rng, tmp_path, monkeypatch):
    frame, block, total, everybody, _ = model(3, rng)
    (whole,), _ = _drawn(tmp_path / "once", frame, block, total, everybody, 1)
    fill, calls = bootstrap.Plan.fill, []

    def dying(plan, *arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise _Killed
        return fill(plan, *arguments, **options)

    monkeypatch.setattr(bootstrap.Plan, "fill", dying)
    with pytest.raises(_Killed):
        _drawn(tmp_path / "twice", frame, block, total, everybody, 1)
    place = tmp_path / "twice/1-of-1"
    assert place.is_dir() and not list((tmp_path / "twice").glob("*.npy"))
    drawn = np.load(place / "replicates.npy")
    assert drawn[0].any() and not drawn[2].any()
    monkeypatch.setattr(bootstrap.Plan, "fill", fill)
    (resumed,), _ = _drawn(tmp_path / "twice", frame, block, total, everybody, 1)
    assert resumed.read_bytes() == whole.read_bytes() and not place.exists()


def test_what_was_drawn_from_other_data_is_not_taken_up(model, rng, tmp_path):
    frame, block, total, everybody, _ = model(3, rng)
    (whole,), _ = _drawn(tmp_path / "once", frame, block, total, everybody, 1)
    frame2, block2, total2, others, _ = model(3, np.random.default_rng(9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replicates.os, "replace", lambda *_: (_ for _ in ()).throw(_Killed))
        patch.setattr(replicates.Path, "unlink", lambda *_, **__: None)
        with pytest.raises(_Killed):
            _drawn(tmp_path / "twice", frame2, block2, total2, others, 1, key="other")
    assert list((tmp_path / "twice/1-of-1").glob("*.journal"))
    frame, block, total, everybody, _ = model(3, np.random.default_rng(0))
    (again,), _ = _drawn(tmp_path / "twice", frame, block, total, everybody, 1)
    assert again.read_bytes() == whole.read_bytes()


def test_a_lagged_model_has_maps_of_channels_and_lags(rng, tmp_path):
    from hedgerow.grid import rerp

    people, samples, lags = 7, 400, [0.0, 0.03]
    rows, parts = [], []
    for person in range(people):
        starts = np.sort(rng.choice(samples - 10, 30, replace=False))
        rows.append(
            pd.DataFrame({"dataset": "d", "subject": f"{person:02d}", "store": f"{person}", "onset": starts / 100})
        )
        rows[-1]["kind"] = rng.choice(["a", "b"], 30)
        y = rng.standard_normal((2, samples))
        for start, kind in zip(starts, rows[-1]["kind"]):
            y[0, start + 1] += 3.0 if kind == "b" else 1.0
        parts.append((f"{person}", y, 100.0, ["Cz", "Pz"], np.ones(samples, dtype=bool)))
    rows = pd.concat(rows, ignore_index=True)
    family = design.family("kind", [], rows)
    lagged.save(tmp_path / "m.npz", family, rows, parts, lags)
    total, axes = moments.load([tmp_path / "m.npz"])
    block = BLOCK | {"contrasts": {"b - a": "kind[b] - kind[a]"}, "tests": {"kind": "kind"}, "compare": []}
    frame = units.frame(family, block, axes, people)
    assert frame.lags == 3 and frame.cells == 2 and frame.weights.shape == (9, 6)
    arrays, attrs, done = _maps(tmp_path, (frame, block, total, lambda: units.units(frame, total), None))
    assert attrs["lagged"] and arrays["coef"][0].shape == (1, 3, 2, 3) == arrays["ci_low"][0].shape
    assert arrays["df"][1] == ["unit", "coefficient", "time"] and arrays["r2"][1] == ["unit", "channel"]
    np.testing.assert_allclose(arrays["coef"][0][0, :2, 0, 1], [1, 2], atol=0.3)
    np.testing.assert_allclose(arrays["coef"][0][0, 2], arrays["coef"][0][0, 1], atol=1e-10)
    np.testing.assert_allclose(arrays["coef"][0][0, :, :, [0, 2]], 0 * arrays["coef"][0][0, :, :, [0, 2]], atol=0.5)
    one = arrays["t"][0][0, 1] ** 2
    np.testing.assert_allclose(arrays["F"][0][0, 0], one, rtol=1e-8)
    assert len(maps.summary(arrays, attrs)) == 3 * 2 and done["fit"]["coefficients"] == 6
    assert rerp.points(lags, 100.0) == list(arrays["time"][0])


@pytest.mark.parametrize("people", [3, 8])
def test_windows_weigh_in_the_fit_that_they_belong_to(model, rng, people):
    _frame, _block, total, _, (family, rows, values) = model(people, rng)
    found = [weight.tables(family, total, rows[here], values[here], AXES, "auto") for here in
             (rows["subject"] < "02", rows["subject"] >= "02")]  # fmt: skip
    found = pd.concat(found, ignore_index=True)
    assert list(found["subject"]) == list(rows["subject"]) and list(found["window"]) == list(rows["window"])
    groups = [np.ones(len(rows), dtype=bool)] if people == 8 else [rows["subject"] == s for s in ("00", "01", "02")]
    for mine in groups:
        Q = np.linalg.qr(design.apply(family.main, rows[mine])[0])[0]
        np.testing.assert_allclose(found["leverage"][mine], (Q**2).sum(axis=1), rtol=1e-8)
