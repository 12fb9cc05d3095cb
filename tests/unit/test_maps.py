"""Maps of a model from moments or trials: against direct formulas, whatever the units, the cells and the blocks."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from hedgerow import account
from hedgerow.grid import _lags, bootstrap, design, lagged, maps, moments, ols, replicates, scratch, units, weight

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
    rows["age"], rows["rare"] = rng.standard_normal(n), np.where(rows["subject"] < "02", "yes", "no")
    values = rng.standard_normal((n, 2, 3)) + np.repeat(rng.standard_normal((people, 2, 3)), windows, axis=0)
    values[:, 0] += rows["loud"].to_numpy()[:, None]
    return rows, values.astype(np.float32)


@pytest.fixture
def model(tmp_path):
    """A model of so many people, through its files: ``model(people, **changes)``.

    Nobody's `values` vary in the cell `still`.
    """

    def make(people, rng, formula="kind + loud", still=None, **changes):
        block = BLOCK | changes
        rows, values = _rows(rng, people)
        if still is not None:
            values[:, *still] = 0
        account.write(tmp_path / "design.json", design.family(formula, block["compare"], rows).to_json())
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
    """Blocks of replicates on disk, and what is told of each."""
    paths, told = [], []
    for number in range(1, blocks + 1):
        name = f"{number}-of-{blocks}"
        first, last = replicates.share(name, block["replicates"])
        place = {"first": first, "last": last, "folder": Path(folder) / name, "key": "k", **options}
        paths.append(Path(folder) / f"replicates_{name}.npy")
        told.append(replicates.draw(paths[-1], everybody(), units.shape(frame, total), frame, block, **place))
    return paths, told


def _maps(folder, model, blocks=2):
    frame, block, total, everybody, _ = model
    paths, told = _drawn(folder, frame, block, total, everybody, blocks) if blocks else ([], [])
    return maps.make(frame, everybody(), block, paths, told)


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
def test_without_a_bootstrap_a_cell_without_residual_has_no_interval(model, rng, tmp_path, people):
    arrays, *_ = _maps(tmp_path, model(people, rng, bootstrap="none", still=(1, 2)), blocks=0)
    for name in ("ci_low", "ci_high", "p"):
        unknown = np.isnan(arrays[name][0])
        assert unknown[:, :, 1, 2].all() and unknown.sum() == unknown[:, :, 1, 2].size, name


def test_windows_of_a_person_are_fitted_tile_by_tile(model, rng, tmp_path, monkeypatch):
    made = model(3, rng, bootstrap="none")
    whole, _, told = _maps(tmp_path, made, blocks=0)
    read, tile = [], scratch.Tiles.tile
    monkeypatch.setattr(scratch.Tiles, "tile", lambda self, *at: read.append(tile(self, *at)) or read[-1])
    monkeypatch.setattr(units, "ROOM", 8 * 40 * 4)  # four of six cells of 40 windows
    again, _, retold = _maps(tmp_path, made, blocks=0)
    assert [values.shape for values in read] == [(40, 4), (40, 2)] * 3
    for name in (*maps.MAPS, *maps.WHOLE, "F", "df", "df1", "df2"):
        np.testing.assert_allclose(again[name][0], whole[name][0], rtol=1e-9, atol=1e-12, err_msg=name)
    assert retold == told


@pytest.mark.parametrize("blocks", [1, 3])
def test_singular_resamples_are_counted_over_all_blocks(model, rng, tmp_path, blocks):
    options = {"bootstrap": "clusters", "interval": "percentile", "compare": [], "tests": {}, "contrasts": {}}
    made = model(6, rng, formula="rare", **options)
    *_, done = _maps(tmp_path, made, blocks)
    (unit,) = made[3]()
    expected = unit.plan(made[0], made[1]).summary(level=0.9)["account"]
    assert done["bootstrap"] == expected and expected["redrawn"] > 0.05 * 120
    assert any("drawn again" in warning for warning in done["bootstrap"]["warnings"])


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


@pytest.mark.parametrize("size", [0, 3, 64, 130, 0.5, -1])
def test_values_that_were_cut_off_are_drawn_anew(model, rng, tmp_path, size):
    """Killed before the header was whole, or lost to a full disk, beside journals that say that all is there."""
    frame, block, total, everybody, _ = model(8, rng)
    (whole,), _ = _drawn(tmp_path / "once", frame, block, total, everybody, 1)
    content, place = whole.read_bytes(), tmp_path / "twice/1-of-1"
    place.mkdir(parents=True)
    (place / "replicates.npy").write_bytes(content[: int(size * len(content)) if size == 0.5 else size])
    (place / "0.journal").write_text("k\n0\n1\n2\n")
    (again,), _ = _drawn(tmp_path / "twice", frame, block, total, everybody, 1)
    assert again.read_bytes() == content


def _fault(*_, **__):
    raise ValueError("a fault of the program")


@pytest.mark.parametrize("method", ["fill", "summary"])
def test_a_fault_leaves_nobody_out(model, rng, tmp_path, monkeypatch, method):
    made = model(3, rng)
    monkeypatch.setattr(bootstrap.Plan, method, _fault)
    with pytest.raises(ValueError, match=r"^a fault of the program"):
        _maps(tmp_path, made)


def test_whoever_cannot_be_resampled_is_left_out_with_a_reason(model, rng, tmp_path, monkeypatch):
    made, redrawn = model(3, rng), bootstrap.Plan.redrawn

    def stuck(plan, first, last):
        # the second person alone has 40 windows from here on
        if plan._work.units == 39:
            raise ValueError("replicates stay singular")
        return redrawn(plan, first, last)

    monkeypatch.setattr(bootstrap.Plan, "redrawn", stuck)
    everybody = made[3]

    def fewer():
        for unit in everybody():
            yield dataclasses.replace(unit, X=unit.X[:39], Y=unit.Y.tile(0, 6)[:39]) if unit.name == "d/01" else unit

    paths, told = _drawn(tmp_path, *made[:3], fewer, 2)
    assert all(block["left_out"] == {"d/01": "replicates stay singular"} for block in told)
    arrays, _, done = maps.make(made[0], everybody(), made[1], paths, told)
    assert arrays["unit"][0] == ["d/00", "d/02"] and done["left_out"] == told[0]["left_out"]


def test_a_design_that_people_cannot_estimate_fails_at_once(model, rng, tmp_path, monkeypatch):
    made = model(8, rng)
    monkeypatch.setattr(bootstrap.Plan, "redrawn", _fault)
    with pytest.raises(ValueError, match="a fault of the program"):
        _drawn(tmp_path, *made[:4], 1)


def test_unfinished_blocks_of_another_number_are_swept_away(tmp_path):
    for name in ("unfinished_1-of-8/0.journal", "unfinished_3-of-8/replicates.npy", "maps.zarr.zip"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    replicates.sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["maps.zarr.zip"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"tests": {"t": "loudness"}}, "loudness"),
        ({"contrasts": {"c": "kind[d] - kind[a]"}}, "kind"),
        ({"errors": "hc3"}, "errors: 'hc3' cannot be had where inference is over people"),
        ({"bootstrap": "wild", "errors": "cr2"}, "errors: 'cr2'"),
        ({"lags": [-0.2, 10.0]}, "4 coefficients are 4080 unknowns"),
        ({"lags": [-1e9, 1e9]}, "unknowns"),
    ],
)
def test_what_is_asked_in_vain_is_told_from_the_design_alone(rng, change, words, monkeypatch):
    monkeypatch.setattr(_lags, "UNKNOWNS", 4000)
    rows, _ = _rows(rng, 8)
    family = design.family("kind + loud", [], rows)
    block = BLOCK | {"lags": None}
    chosen = units.check(family, block, rows, 100.0)
    assert chosen == {"bootstrap": "wild-clusters", "interval": "studentised", "errors": "cr2", "over": "people"}
    with pytest.raises(ValueError, match=re.escape(words)):
        units.check(family, block | change, rows, 100.0)


def test_people_whose_windows_have_all_lost_a_value_do_not_count(rng):
    rows, _ = _rows(rng, 8)
    rows.loc[rows["subject"] >= "04", "loud"] = np.nan
    family = design.family("kind + loud", [], rows)
    assert units.check(family, BLOCK | {"lags": None}, rows, None)["over"] == "trials"


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


def test_who_has_too_few_windows_to_weigh_them_stops_nobody(rng):
    rows, values = _rows(rng, 2)
    some = (rows["subject"] == "00") | (rows["window"] < 3)
    rows, values = rows[some].reset_index(drop=True), values[some]
    rows["kind"] = np.resize(["a", "b"], len(rows))
    family = design.family("kind", [], rows)
    labels = moments.subject_labels(rows)
    total = ols.moments(design.apply(family, rows)[0], values, labels, basis=np.asarray(family.basis))
    found = weight.tables(family, total, rows, values, AXES, "auto")
    assert set(found["subject"]) == {"00"} and len(found) == 40
    few = ols.moments(design.apply(family, rows)[0][-3:], values[-3:], labels[-3:], basis=np.asarray(family.basis))
    nobody = weight.tables(family, few, rows[-3:], values[-3:], AXES, "auto")
    assert len(nobody) == 0 and list(nobody.columns) == list(found.columns)
