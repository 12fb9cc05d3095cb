"""The page of a study made by hand: what it says, what it leaves out, that it repeats and asks for nothing outside."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import networked
from conftest import ROOT
from hedgerow import account, config, layout, report, store, table
from hedgerow.clean import evidence
from hedgerow.grid import choice
from hedgerow.report import cleaning, grids, methods, outcome, recordings, signals

pytest.importorskip("mne")

NAMES = ["Fp1", "Fp2", "C3", "Cz", "C4", "O1", "O2"]
PLACES = {"Fp1": (-0.03, 0.08), "Fp2": (0.03, 0.08), "C3": (-0.065, -0.01), "Cz": (0.0, -0.01), "C4": (0.065, -0.01)}
PLACES |= {"O1": (-0.03, -0.11), "O2": (0.03, -0.11)}
SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CLEAN = {
    "flat": ["O1"], "uncorrelated": [], "marked": [], "interpolated": ["O1"], "channels": 7, "seconds": 60.0, "rank": 6,
    "notes": [], "versions": {"numpy": "2.0"},
    "asr": {"changed": 0.1, "variance_removed": 0.2, "channel_variance_removed": dict.fromkeys(NAMES, 0.2),
            "calibration_seconds": 30.0, "calibration": "clean segments"},
}  # fmt: skip
STUDY = {
    "study": "handmade",
    "datasets": {"lab": {"source": "path", "path": "raw"}},
    "selections": {"beeps": {"classes": {"high": "High", "low": "Low"}, "tmin": -0.1, "tmax": 0.3, "sfreq": 100}},
    "models": {"kind": {"selection": "beeps", "formula": "label"}},
    "networks": {"sex": {"selection": "beeps", "target": "sex", "further_seeds": 1}},
}


def _positions():
    return [[*PLACES[name], 0.09 * (1 - (np.hypot(*PLACES[name]) / 0.12) ** 2)] for name in NAMES]


def _recording(subject, rng):
    """Clean account and windows of one subject: `high` has 10 µV more at Cz from 100 ms on."""
    stem = f"results/derivatives/lab/standard/sub-{subject:02}/eeg/sub-{subject:02}_task-x_desc-"
    labels = np.array(["high", "low"] * 4)
    x = rng.normal(size=(8, 7, 40))
    x[labels == "high", 3, 20:] += 10 + subject
    counts = {"high": 4, "low": 4}
    done = {"windows": counts, "overlaps": {}, "outside": [], "short": [], "samples": 40, "skipped": subject}
    done["rejected"] = {"high": [8, 9], "low": [10]}
    place = {"dataset": "lab", "rec": "x", "subject": f"{subject:02}", "account": account.ok("windows", **done)}
    place_of = {"names": NAMES, "sfreq": 100.0, "tmin": -0.1, "positions": _positions()}
    index = pd.DataFrame({"label": labels, "onset": np.arange(8.0), "event": np.arange(8)})
    store.write(f"{stem}beeps_windows.zarr.zip", x, index, **place_of, dtype="float32", attrs=place)
    account.write(f"{stem}clean_account.json", account.ok("clean", **CLEAN))
    return x, labels


MODEL = {
    "selection": "beeps", "feature": None, "level": 0.95, "replicates": 500, "seed": 1, "contrasts": {}, "tests": {},
    "compare": [], "lags": None, "bootstrap": "auto", "interval": "auto", "errors": "auto",
}  # fmt: skip


def _maps(units, rng, *, whole=False, **model):
    """Maps and account of a model: 12.5 µV at Cz and 150 ms; on request also tests, a comparison and influence."""
    folder = "results/studies/handmade/grid/kind/"
    coef = rng.normal(size=(len(units), 2, 7, 40))
    coef[:, 1, 3, 25] = 12.5
    p = np.where(coef == 12.5, 1e-9, 0.3)
    maps = {"coef": coef, "se": np.ones_like(coef), "t": coef, "ci_low": coef - 2, "ci_high": coef + 2}
    arrays = _named("unit coefficient channel time", **maps, p=p, p_fdr=p)
    arrays |= _named(
        "unit channel time", **dict.fromkeys(("r2", "r2_adjusted", "sigma", "aic", "bic"), np.abs(coef[:, 0]))
    )
    arrays |= _named("unit coefficient", df=np.linspace(4.5, 9.25, 2 * len(units)).reshape(-1, 2))
    if whole:
        arrays |= _named("unit test channel time", F=coef[:, 1:] ** 2, p_F=p[:, 1:])
        arrays |= _named("unit test", df1=np.full((len(units), 1), 2.0), df2=np.full((len(units), 1), 11.5))
        aic = np.stack([np.zeros_like(coef[:, 0]), np.full_like(coef[:, 0], 5.0)], axis=1)
        aic[:, 1, :, 30:] = -20.0
        against = np.stack([np.full_like(coef[:, 0], np.nan), p[:, 1]], axis=1)
        arrays |= _named(
            "unit model channel time", model_aic=aic, model_bic=aic + 1, model_F=against, model_p_F=against
        )
        arrays |= {"test": (["sound"], ["test"]), "model": (["~ label", "~ 1"], ["model"])}
        model |= {"tests": {"sound": "label"}, "compare": ["1"], "contrasts": {}}
    arrays |= {"unit": (units, ["unit"]), "coefficient": (["Intercept", "label[T.low]"], ["coefficient"])}
    arrays |= {"channel": (NAMES, ["channel"]), "time": (-0.1 + np.arange(40) / 100, ["time"])}
    store.write_arrays(f"{folder}maps.zarr.zip", arrays, {"axis": "time", "unit_of_values": "µV", "lagged": False})
    pooled = units == ["all"]
    done = {"fit": {"warnings": [], "clusters": 7}, "bootstrap": {"warnings": ["7 units: few."], "units": 7}}
    design = {"formula": "~ label", "rows": 48, "dropped": 3, "missing": {"label": 0, "loud": 3}}
    design |= {"columns": {"label": {"levels": ["high", "low"], "type": "factor"}}, "vif": {"label[T.low]": 1.25}}
    choice = {"bootstrap": "wild-clusters", "interval": "studentised", "errors": "cr2", "over": "people"}
    if not pooled:
        choice = {"bootstrap": "pairs", "interval": "percentile", "errors": "hc3", "over": "trials"}
    parts = done if pooled else {"subjects": dict.fromkeys(units, done), "left_out": {}}
    told = account.ok("grid", design=design, model=MODEL | model, choice=choice, **parts)
    account.write(f"{folder}account.json", told)
    return [_influence(folder)] if whole else []


def _named(dimensions, **arrays):
    return {name: (values, dimensions.split()) for name, values in arrays.items()}


def _influence(folder):
    """A table of influence in which a window of sub-03 weighs most, and one has a leverage of 1."""
    rows = pd.DataFrame({"dataset": "lab", "subject": np.repeat(["01", "02", "03"], 8), "label": ["high", "low"] * 12})
    rows = rows.assign(rec="sub-" + rows["subject"] + "/eeg/sub-" + rows["subject"] + "_task-x", onset=np.arange(24.0))
    rows = rows.assign(window=np.tile(np.arange(8), 3), event=0, leverage=0.125, cooks_distance_mean=0.01)
    rows.loc[19, "cooks_distance_mean"], rows.loc[2, ["leverage", "cooks_distance_mean"]] = 0.75, [1.0, np.nan]
    rows = rows.assign(cooks_distance_max=4.0, cooks_distance_channel="Cz", cooks_distance_time=0.15)
    rows = rows.assign(resid_studentized_max=5.25, cooks_distance_beyond=0.5)
    table.write(folder + "influence_lab_0of1.tsv", rows)
    return folder + "influence_lab_0of1.tsv"


def _network(config, rng):
    tables = {seed: networked.told(networked.people(10), rng, noise=0.25) for seed in (1, 2)}
    folder = "results/studies/handmade"
    networked.write(folder, "sex", tables, config["networks"]["sex"], names=["F", "M"])
    return networked.files(folder, ["sex"])


def _study(subjects, units=None, **model):
    """Files of a study in the working directory, and its config; one more recording is quarantined in the cleaning."""
    rng = np.random.default_rng(1)
    given = STUDY if units else {key: STUDY[key] for key in ("study", "datasets", "selections")}
    settings = config.complete(given, SCHEMA)
    for folder in ("index/lab", "studies/handmade/grid/kind"):
        Path("results", folder).mkdir(parents=True)
    stems = [f"results/derivatives/lab/standard/sub-{k:02}/eeg/sub-{k:02}_task-x_desc-" for k in range(1, subjects + 2)]
    for stem in stems:
        Path(stem).parent.mkdir(parents=True)
    signals_ = [_recording(k, rng) for k in range(1, subjects + 1)]
    gone = account.quarantined("clean", account.Fault("not-finite", "NaN in <script>alert(1)</script> & more"))
    account.write(stems[-1] + "clean_account.json", gone)
    store.write_empty(stems[-1] + "beeps_windows.zarr.zip", gone)
    rows = {"rec": [stem.split("standard/")[1].removesuffix("_desc-") for stem in stems], "status": "ok"}
    rows |= {"reason": np.nan, "message": np.nan, "subject": [f"{k:02}" for k in range(1, subjects + 2)]}
    table.write("results/index/lab/recordings.tsv", pd.DataFrame(rows))
    Path("results/studies/handmade/config.yaml").write_text(yaml.safe_dump(settings))
    files = dict.fromkeys(("features", "trainings", "gates", "split", "recoveries", "validations", "comparisons"), ())
    files |= dict.fromkeys(("metrics", "curves", "grids", "grid_accounts", "influence"), ())
    files |= {"config": "results/studies/handmade/config.yaml", "recordings": ["results/index/lab/recordings.tsv"]}
    files |= {"accounts": [stem + "clean_account.json" for stem in stems]}
    files |= {"stores": [stem + "beeps_windows.zarr.zip" for stem in stems]}
    if units:
        files |= {"influence": _maps(units, rng, **model)}
        files |= _network(settings, rng)
        grid = "results/studies/handmade/grid/kind/"
        files |= {"grids": [grid + "maps.zarr.zip"], "grid_accounts": [grid + "account.json"]}
    return files, settings, signals_


def _about(**rejected):
    """The whole study; `rejected`: sentences by subject."""
    rows = layout.rows("results/index/lab/recordings.tsv")
    return {"lab": {row["rec"]: rejected.get(f"sub{row['subject']}") for row in rows}}


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _text(page):
    """What a reader sees: without pictures, style and tags."""
    page = re.sub(r"<style>.*?</style>|data:[^\"]*", "", page, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


@pytest.fixture(scope="module")
def six(tmp_path_factory):
    """The page of six people, made twice."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("six"))
        files, settings, _ = _study(6, ["all"], whole=True)
        return [report.page(files, config=settings, about=_about()) for _ in range(2)]


def test_the_page_says_what_happened(six):
    page = six[0]
    text = _text(page)
    assert "handmade" in text and "7 recordings: 6 ok, 1 quarantined" in text
    assert "not-finite" in text and "<script" not in page and "&lt;script&gt;alert(1)" in page
    assert "Left out: 18 windows in segments that the cleaning marked as bad, 21 rows whose HED annotation" in text
    assert "48 windows of 6 people" in text and "high 24 · low 24" in text
    assert "low − high Cz, 150 ms 12.5 10.5 to 14.5 12.5 (9.25) < 0.0001 (< 0.0001)" in text
    assert "7 units: few." in text and "10 subjects: percentile intervals over so few are too narrow" in text
    assert "1 further seed (2)" in text and "numpy 2.0" in text and "replicates: 2000" in text
    # cleaning, butterfly, classes, two coefficients, test, models, fit, influence, and five of the network
    assert page.count('src="data:image/png;base64,') == 14


def test_the_page_says_how_a_model_was_made_and_what_it_left_out(six):
    text = _text(six[0])
    assert "48 windows of “beeps”, in µV; 280 cells." in text
    assert "Each window counts once in the estimate; errors and intervals are over 7 people." in text
    assert "CR2" in text and "(df of the coefficients: 4.5 to 9.25)" in text
    assert "bootstrap-t over 500 replicates (seed 1) in which the residuals of each person are multiplied" in text
    assert "chosen since there are 5 people or more" in text and "Read with care. 7 units: few." in text
    assert "3 windows left out, as a regressor has no value: loud in 3." in text
    assert "Variance inflation: label[T.low] 1.2." in text
    assert "Intervals and p are those of each cell alone" in text


def test_tests_comparisons_and_influence_have_tables(six):
    text = _text(six[0])
    assert "sound label Cz, 150 ms 156 (2, 11.5) < 0.0001 (< 0.0001) 0" in text
    # the second model has the least AIC from 200 ms on, and loses by 5 before
    assert "~ label 75 % 75 % 25 % 0.0 75 %" in text
    assert "~ 1 25 % 25 % 0 % 5.0 25 % 0 %" in text
    assert "1 of 24 have a mean Cook’s distance above 4/n" in text and "1 window has a leverage of 1" in text
    assert "sub-03 sub-03_task-x 19.00 low 0.12 0.75 50 % Cz, 150 ms 5.2" in text


def test_what_a_model_does_not_have_is_not_on_the_page(here):
    files, settings, _ = _study(6, ["all"])
    page = report.page(files, config=settings, about=_about())
    assert page.count('src="data:image/png;base64,') == 11
    assert not any(word in _text(page) for word in ("Zero together", "ΔAIC", "Cook’s"))


def test_a_test_that_cannot_be_made_is_said_and_not_drawn(here):
    files, settings, _ = _study(6, ["all"], whole=True)
    arrays, attrs = store.read_arrays(files["grids"][0])
    arrays |= {name: np.full_like(arrays[name], np.nan) for name in ("F", "p_F", "df2")}
    (found,) = grids.grids(_rewritten(files["grids"][0], arrays, attrs), files["grid_accounts"], [], {})
    (tested,) = found["tests"]
    assert tested["picture"] is None and tested["rows"][0]["value"] is None and tested["rows"][0]["df2"] is None
    assert "n/a (2, n/a)" in _text(report.page(files, config=settings, about=_about()))


def _rewritten(path, arrays, attrs):
    """The maps of `_maps` with other values, in their place."""
    dims = {4: "unit coefficient channel time", 3: "unit channel time", 2: "unit coefficient"}
    named = {name: dims.get(np.ndim(values), name).split() for name, values in arrays.items()}
    named |= {name: "unit test channel time".split() for name in ("F", "p_F")}
    named |= {name: "unit model channel time".split() for name in arrays if name.startswith("model_")}
    named |= {name: ["unit", "test"] for name in ("df1", "df2")}
    store.write_arrays(path, {name: (values, named[name]) for name, values in arrays.items()}, attrs)
    return [path]


def test_lags_are_said_and_have_no_course_of_fit(here):
    files, settings, _ = _study(6, ["all"], lags=[-0.1, 0.3])
    arrays, attrs = store.read_arrays(files["grids"][0])
    dims = {key: {4: ["unit", "coefficient", "channel", "time"], 1: [key]}.get(np.ndim(arrays[key])) for key in arrays}
    dims |= {key: ["unit", "channel"] for key in ("r2", "r2_adjusted", "sigma", "aic", "bic")}
    arrays |= {key: arrays[key][:, :, 0] for key in dims if dims[key] == ["unit", "channel"]}
    arrays["df"] = np.broadcast_to(arrays["df"][:, :, None], (1, 2, 40))
    dims["df"] = ["unit", "coefficient", "time"]
    lagged = {key: (values, dims[key]) for key, values in arrays.items()}
    store.write_arrays(files["grids"][0], lagged, attrs | {"lagged": True})
    page = report.page(files, config=settings, about=_about())
    assert "48 events of “beeps”" in _text(page) and "Each sample near an event counts once" in _text(page)
    assert "with lags from −100 to 300 ms" in _text(page)
    assert "12.5 (9.25)" in _text(page) and "Largest R² of a channel" in _text(page)
    assert page.count('src="data:image/png;base64,') == 10


def test_only_the_first_of_many_people_with_maps_of_their_own_are_drawn(here):
    files, settings, _ = _study(6, [f"lab/{k:02}" for k in range(1, 7)])
    text = _text(report.page(files, config=settings, about=_about()))
    assert "Shown: the first 4 of 6 people" in text and "Inference is per person, over windows" in text
    assert "Fewer than five people, so" not in text


def test_the_page_repeats_and_asks_for_nothing_outside(six):
    page, again = six
    assert page == again
    assert {link[:1] if link[0] == "#" else link for link in re.findall(r'(?:src|href)="(.{5})', page)} == {
        "data:",
        "#",
    }
    assert not re.search(r"@import|url\(|<script|<link|<iframe", page)
    assert not re.search(r"20\d\d-\d\d-\d\d", page)


def test_sections_of_what_is_not_there_are_left_out(here):
    files, settings, _ = _study(6)
    page = report.page(files, config=settings, about=_about())
    assert re.findall(r'<section id="(\w+)"', page) == ["recordings", "cleaning", "windows", "responses", "config"]
    assert set(re.findall(r'href="#(\w+)"', page)) == {"recordings", "cleaning", "windows", "responses", "config"}


def test_a_study_of_quarantined_recordings_alone_has_a_page(here):
    files, settings, _ = _study(0)
    text = _text(report.page(files, config=settings, about=_about()))
    assert "1 recording: 0 ok, 1 quarantined" in text and "0 windows of 0 people" in text


def test_a_pilot_a_filter_and_a_rejection_are_said(here):
    files, settings, _ = _study(2)
    settings |= {"pilot": 3}
    settings["datasets"]["lab"]["only"] = {"task": "x", "sex": ["F", "M"]}
    files |= {key: [path for path in files[key] if "sub-01" not in path] for key in ("accounts", "stores")}
    page = report.page(files, config=settings, about=_about(sub01="rejected by A. B.: fell asleep"))
    text = _text(page)
    assert "Only the first 3 subjects of each dataset were used" in text
    assert text.index("Only the first 3 subjects") < text.index("3 recordings: 1 ok, 2 quarantined")
    assert "only recordings with task x and sex F or M are used" in text
    assert "overrides rejected rejected by A. B.: fell asleep" in text
    text = _text(report.page(files, config=settings, about=_less()))
    assert "sub-01" not in text


def _less():
    """As `_about`, without the first subject."""
    return {"lab": {rec: None for rec in _about()["lab"] if "sub-01" not in rec}}


def test_fewer_than_five_people_are_shown_one_by_one(here):
    files, settings, raw = _study(3, ["lab/01", "lab/02", "lab/03"])
    text = _text(report.page(files, config=settings, about=_about()))
    assert "Fewer than five people, so inference is per person, over windows" in text
    assert "the windows of a person are drawn with replacement" in text
    assert text.count("sub-02") >= 2 and "sub-01, sub-02, sub-03: 7 units: few." in text
    units, people = signals._means(signals._window_moments(files["stores"][:3]), ["high", "low"])
    assert list(units) == ["sub-01", "sub-02", "sub-03"] and people == 3
    x, labels = raw[1]
    mean, error, count = units["sub-02"]
    np.testing.assert_allclose(mean[0], x[labels == "high"].mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(error[1], x[labels == "low"].std(axis=0, ddof=1) / 2, rtol=1e-4)
    assert count.tolist() == [4, 4]


def test_means_count_every_person_once(here):
    files, _, raw = _study(6)
    units, people = signals._means(signals._window_moments(files["stores"][:6]), ["high", "low", "never"])
    mean, error, _ = units[""]
    each = np.array([[x[labels == name].mean(axis=0) for name in ("high", "low")] for x, labels in raw])
    assert people == 6 and np.isnan(mean[2]).all()
    np.testing.assert_allclose(mean[:2], each.mean(axis=0), atol=1e-6)
    np.testing.assert_allclose(error[:2], each.std(axis=0, ddof=1) / np.sqrt(6), rtol=1e-4)


def test_spectra_find_the_planted_difference(here, rng):
    files, _, _ = _study(6)
    frequency = np.arange(1.0, 21.0)
    power = rng.uniform(0.9, 1.1, (48, 7, 20))
    power[0::2, 5, 9] *= 100  # `high` has 20 dB more at O1 and 10 Hz
    stores = [path for path in files["stores"][:6] for _ in range(8)]
    arrays = {"psd": power, "store": np.array(stores, dtype=object), "window": np.tile(np.arange(8), 6)}
    moments = signals._spectral_moments(arrays, set(stores))
    units, _ = signals._means(moments, ["high", "low"], signals._decibel)
    mean, error, _ = units[""]
    assert signals._most_different(mean, error) == (5, 9)
    assert mean[0, 5, 9] - mean[1, 5, 9] == pytest.approx(20, abs=0.3) and frequency[9] == 10


def test_peaks_are_those_after_the_event():
    times = np.arange(-0.5, 1.0, 0.01)
    bump = lambda at, height: height * np.exp(-(((times - at) / 0.03) ** 2))  # noqa: E731
    power = bump(-0.3, 9) + bump(0.1, 3) + bump(0.3, 5) + bump(0.6, 2) + bump(0.8, 1)
    assert [round(times[k], 2) for k in signals._peaks(power, times)] == [0.1, 0.3, 0.6]
    assert len(signals._peaks(np.zeros(150), times)) == 1


def test_a_coefficient_is_shown_where_it_is_largest_and_at_further_sure_peaks():
    times = np.arange(-500.0, 1000.0, 10.0)
    bump = lambda at, height: height * np.exp(-(((times - at) / 15) ** 2))  # noqa: E731
    coef = np.zeros((1, 2, 150))
    coef[0, 0] = bump(-300, 9) + bump(200, 4) + bump(250, 3.9)
    coef[0, 1] = bump(500, -5) + bump(700, 3) + bump(900, 1)
    sure = np.abs(coef) > 0.5
    # the largest is after the event; 250 ms is too close to 200 ms, 900 ms not prominent enough
    assert grids._peaks(coef, sure, times, "time") == [[(1, 100), (0, 70), (1, 120)]]
    sure[0, 1, 115:130] = False
    assert grids._peaks(coef, sure, times, "time") == [[(1, 100), (0, 70)]]
    assert grids._peaks(coef, sure & False, times, "time") == [[(1, 100)]]


def test_a_mean_spectrum_is_shown_at_its_bump_and_not_at_its_edge():
    frequency = np.arange(1.0, 41.0)
    power = -np.log10(frequency) + 0.5 * np.exp(-(((frequency - 10) / 2) ** 2))
    values = np.stack([power, power + 0.1])[None]
    assert grids._peaks(values, values > -9, frequency, "frequency", signed=False) == [[(1, 9)]]


def test_contrasts_are_drawn_together_and_coefficients_only_without_any():
    def together(contrasts, units):
        parts = [{"name": name, "unit": unit, "place": k, "signed": True, "rows": [{"channel": "b"}]}
                 for k, (name, unit) in enumerate(units.items())]  # fmt: skip
        arrays = dict.fromkeys(("coef", "ci_low", "ci_high"), np.zeros((1, len(parts), 2, 3)))
        common = {"names": ["a", "b"], "units": [""], "xlabel": "Frequency (Hz)"}
        context = {"points": np.arange(3.0), "common": common, "model": {"contrasts": contrasts}}
        found = grids._courses(parts, arrays, context)
        return found and found["names"]

    plain = {"Intercept": "µV", "x": "µV", "y": "µV", "z": "µV per unit of z"}
    assert together({}, plain) == ["x", "y"] and together({}, {"Intercept": "µV", "x": "µV"}) is None
    assert together({"c": "x", "d": "y"}, plain | {"c": "µV", "d": "µV"}) == ["c", "d"]
    assert together({"c": "x - y"}, plain | {"c": "µV"}) == ["x", "y", "c"]
    assert len(together({}, dict.fromkeys("abcdefg", "µV"))) == 5


def test_false_discoveries_are_controlled_over_the_cells_of_each_person():
    p = np.array([[[0.01, 0.02], [0.03, np.nan]], [[0.04, 0.04], [0.04, 0.04]]])
    np.testing.assert_allclose(grids._fdr(p), [[[0.03, 0.03], [0.03, np.nan]], [[0.04, 0.04], [0.04, 0.04]]])


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (("clusters", "percentile", "cr1"), ["percentiles", "people are drawn", "CR1"]),
        (("wild-clusters", "studentised", "cr2"), ["bootstrap-t", "Webb", "Satterthwaite", "5 people or more"]),
        (("clusters", "bca", "cr2"), ["BCa", "people are drawn"]),
        (("none", "t", "cr2"), ["nothing was resampled", "quantile of t"]),
    ],
)
def test_the_method_is_said_as_it_was_chosen(chosen, words):
    said = {"choice": dict(zip(("bootstrap", "interval", "errors"), chosen)) | {"over": "people"}, "model": MODEL}
    text = " ".join(methods.sentences(said | {"fit": {"clusters": 50}}, np.array([[9.0, 9.0]])))
    assert all(word in text for word in words) and "over 50 people" in text and "(df of the coefficients: 9)" in text
    for asked in ({"bootstrap": chosen[0]}, {"interval": chosen[1]}):
        other = said | {"fit": {"clusters": 50}, "model": MODEL | asked | {"level": 0.9}}
        text = " ".join(methods.sentences(other, np.array([[9.0, 9.0]])))
        assert "chosen since" not in text and "90\u202f% intervals" in text


def test_every_choice_has_its_words():
    assert set(methods.RESAMPLED) == set(choice.BOOTSTRAPS)
    assert set(methods.ERRORS) == {name for names in choice.ERRORS.values() for name in names}
    allowed = set(SCHEMA["$defs"]["model"]["properties"]["interval"]["enum"])
    assert set(methods.INTERVALS) == allowed - {"auto"}


def test_coefficients_in_words():
    columns = {"kind": {"type": "factor", "levels": ["click", "tone"]}, "loud": {"type": "integer"}}
    design = {"formula": "~ kind * loud", "columns": columns}
    assert methods.meaning("kind[T.tone]", design) == "tone − click"
    assert methods.meaning("kind[T.tone]:loud", design) == "interaction: (tone − click) × (slope of loud)"
    assert methods.meaning("Intercept", design) == "expected value at kind = click, loud = 0"
    assert methods.meaning("Intercept", design | {"formula": "~ C(kind, contr.sum)"}).startswith("expected value where")
    assert methods.meaning("a - b", design) == ""
    assert methods.per("loud", design) == " per unit of loud" and methods.per("kind[T.tone]", design) == ""


def test_verdicts_follow_what_was_planted():
    peak = {"channel": "Cz", "time": 0.12, "value": -4.0}
    term = {"term": "intensity", "planted": peak, "recovered": peak | {"time": 0.13}, "ratio": 0.95}
    assert outcome._response("m", term)["good"]
    for change, word in (
        ({"ratio": 0.85}, "amplitude"),
        ({"recovered": peak | {"channel": "C3"}}, "channel"),
        ({"recovered": peak | {"time": 0.2}}, "time"),
    ):
        row = outcome._response("m", term | change)
        assert not row["good"] and word in row["verdict"]
    assert outcome._response("m", term | {"planted": None, "ratio": None})["good"] is None
    found = {"found": 1, "missed": [["sub-02/eeg/sub-02_task-x", "Cz"]], "false": []}
    flat, noisy = outcome._channels({"flat": found, "noisy": found | {"missed": []}})
    assert not flat["good"] and "sub-02_task-x Cz" in flat["verdict"] and noisy["good"]
    by_recording = {"a": 8.0, "b": 10.0}
    assert not outcome._bursts({"db": 9.0, "recordings": by_recording})[0]["good"]
    assert outcome._bursts({"db": None, "recordings": {}}) == []


def test_a_recording_without_any_window_is_quarantined(here):
    files, _, _ = _study(2)
    why = account.quarantined("windows", account.Fault("no-match", "no event matches"))
    store.write_empty(files["stores"][0], why)
    found = recordings.collect(files["recordings"], files["accounts"], files["stores"], _about())
    assert [(each["status"], each["reason"]) for each in found] == [
        ("quarantined", "no-match"), ("ok", ""), ("quarantined", "not-finite"),
    ]  # fmt: skip
    assert [row["where"] for row in recordings.left(found)] == ["windows", "clean"]
    (selected,) = recordings.windows(found, config.complete(STUDY, SCHEMA)["selections"])
    assert (selected["total"], selected["subjects"]) == (8, ["02"])


def test_numbers_as_people_write_them():
    assert (
        report.fixed(-1.25, 1) == "−1.2"
        and report.fixed(-0.001) == "0.00"
        and report.fixed(None) == "n/a"
        and report.figures(-0.98049) == "−0.98"
    )
    assert report.chance(0.0123) == "0.012" and report.chance(1e-9) == "<\u202f0.0001" and report.chance(None) == "n/a"
    assert report.percent(0.125) == "12.5\u202f%" and report.grouped(1423) == "1\u202f423"


def _cleaned(subject, *, gone=0.0, bad=(), bad_share=0.0, reasons=None):
    """Write account and arrays of one cleaned recording, of which so many parts of alpha's amplitude went at C3."""
    stem = f"results/derivatives/lab/standard/sub-{subject:02}/eeg/sub-{subject:02}_task-x_desc-clean_"
    Path(stem).parent.mkdir(parents=True)
    x = np.random.default_rng(subject).normal(size=(7, 6000))
    y = x.copy()
    wave = 10 * np.sin(2 * np.pi * 10 * np.arange(6000) / 100)
    x[2], y[2] = x[2] + wave, y[2] + (1 - gone) * wave
    told, arrays = evidence.gather(x, y, 100.0, NAMES, np.array(_positions()))
    evidence.write(stem + "evidence.npz", arrays)
    done = CLEAN | {
        "flat": [],
        "noisy": [],
        "bad_segments": list(bad),
        "bad_share": bad_share,
        "seed": 5,
        "device": "cpu",
    }
    account.write(stem + "account.json", account.ok("clean", **done | told | (reasons or {})))
    return {"dataset": "lab", "rec": f"sub-{subject:02}/eeg/sub-{subject:02}_task-x", "subject": f"{subject:02}",
            "clean": account.read(stem + "account.json"), "evidence": stem + "evidence.npz"}  # fmt: skip


def test_the_worst_recordings_are_shown_before_and_after_and_no_more(here):
    found = [_cleaned(k, gone=0.5, bad_share=k / 100) for k in range(1, 8)]
    found[6]["clean"] = account.quarantined("clean", account.Fault("not-finite", "x"))  # the worst of all, but gone
    done = cleaning.cleaning(found, {})
    assert [row["subject"] for row in done["rows"]] == ["06", "05", "04", "03", "02", "01"]
    assert [each["rec"][4:6] for each in done["worst"]] == ["06", "05", "04", "03"]
    assert all(each["picture"]["uri"].startswith("data:image/png") and each["head"] for each in done["worst"])
    assert done["worst"][0]["band"]["name"] == "alpha" and done["worst"][0]["band"]["channel"] == "C3"
    assert done["worst"][0]["band"]["worst"] == pytest.approx(0.25, abs=0.01)
    assert list(done["band_names"].values()) == ["δ", "θ", "α", "β", "γ", "high"]
    Path(found[5]["evidence"]).unlink()
    assert [each["rec"][4:6] for each in cleaning.cleaning(found, {})["worst"]] == ["05", "04", "03", "02"]


def test_a_recording_of_which_nothing_went_has_no_picture(here):
    done = cleaning.cleaning([_cleaned(1, gone=0.0)], {})
    assert done["worst"] == [] and done["bands"] is None and done["rows"][0]["bands"]["alpha"]["removed"] == 0


def test_a_channel_counts_once_with_its_first_reason(here):
    reasons = {"noisy": ["O1", "O2"], "uncorrelated": ["O1", "Cz"], "marked": ["Cz"]}
    done = cleaning.cleaning([_cleaned(1, gone=0.1, reasons=reasons)], {})
    assert done["rows"][0]["reasons"] == {"marked": ["Cz"], "noisy": ["O1", "O2"]} and done["bad"] == 3


def test_what_was_only_marked_was_not_repaired(here):
    asr = CLEAN["asr"] | {"action": "mark"}
    (row,) = cleaning.cleaning([_cleaned(1, bad_share=0.1, reasons={"asr": asr})], {})["rows"]
    assert row["changed"] is None and row["by_channel"] == {} and row["calibration_seconds"] == 30
    assert row["removed"] == 0 and row["bad_seconds"] == 6 and row["badness"] == pytest.approx(0.1)


def test_the_page_tells_of_bands_seconds_and_the_worst(here):
    files, settings, _ = _study(2)
    for path in files["accounts"]:
        Path(path).unlink()
    for k in (1, 2, 3):
        Path(f"results/derivatives/lab/standard/sub-{k:02}/eeg").rename(f"old-{k}")
        Path(f"results/derivatives/lab/standard/sub-{k:02}").rmdir()
        _cleaned(k, gone=0.5, bad=[[1.0, 4.0]], bad_share=0.05, reasons={"noisy": ["Cz"]})
    files["stores"] = []
    page = report.page(files, config=settings, about=_about())
    text = _text(page)
    assert "The worst 3 recordings, before and after" in text and "also the 9.0 s beyond repair" in text
    assert "noisy Cz" in text and "3.0 s" in text and "3.0 of 60.0 s beyond repair" in text
    assert "most of alpha" in text and "at C3" in text and "all 7 good channels" in text
    assert "Seed: 5. Computed on: cpu." in text
    assert page == report.page(files, config=settings, about=_about())
