"""What the page says of networks: scores, calibration, controls, comparisons, the gate, looks, machines."""

import html
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

import networked
from conftest import ROOT
from hedgerow import account, config, report, table
from hedgerow.report import comparisons, networks, outcome, training

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
STUDY = "results/studies/handmade"
SEX = {"selection": "closed", "target": "sex"}
NETWORKS = {
    "large": SEX | {"vote": 4, "further_seeds": 2, "balance": "sampler", "params": {"f1": 8}},
    "small": SEX | {"vote": 4, "input": "topographies", "input_params": {"bands": {"mu": [9, 11]}}},
    "shuffled": SEX | {"vote": 4, "shuffle_time": True},
    "age": {"selection": "closed", "target": "age", "task": "regression", "further_seeds": 1},
}
TRAININGS = {"large": {"balance": "sampler", "params": {"f1": 8}, "world": 2}}


def _config(**blocks):
    selections = {"closed": {"classes": {"closed": "Eyes-closed"}, "tmax": 2}}
    datasets = {"lab": {"source": "path", "path": "raw"}}
    given = {"study": "handmade", "datasets": datasets, "selections": selections, "networks": blocks}
    return config.complete(given, SCHEMA)


def _write(name, block, *, noise=0.3, years=4.0, rows=None, **how):
    """Write one network of people whose class or age it tells with so much noise."""
    rng, rows = np.random.default_rng([len(name), 1]), networked.people() if rows is None else rows
    seeds = range(block["seed"], block["seed"] + 1 + block["further_seeds"])
    if block["task"] == "regression":
        tables = {seed: networked.aged(rows.drop(columns="y"), rng, noise=years) for seed in seeds}
        return networked.write(STUDY, name, tables, block, names=["age"], test_set="fedcba", **how)
    tables = {seed: networked.told(rows.drop(columns="y_age"), rng, noise=noise) for seed in seeds}
    return networked.write(STUDY, name, tables, block, names=["F", "M"], **how)


def _page(settings, opened=f"{STUDY}/opened"):
    """The page of a study of which nothing but its networks is there, and its files."""
    files = dict.fromkeys(("recordings", "accounts", "stores", "features", "grids", "grid_accounts", "influence"), ())
    files |= dict.fromkeys(("recoveries", "validations"), ()) | networked.files(STUDY, settings["networks"])
    Path(STUDY, "config.yaml").write_text(yaml.safe_dump(settings))
    return report.page(files | {"config": f"{STUDY}/config.yaml"}, config=settings, about={}, opened=opened), files


def _text(page):
    page = re.sub(r"<style>.*?</style>|data:[^\"]*", "", page, flags=re.S)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", page)))


def _sections(text, names):
    """What the page says of each network."""
    starts = [text.index(f" {name}: ", text.index("Networks large:")) for name in names]
    ends = [*starts[1:], text.index("Held against each other", starts[0])]
    return {name: text[start:end] for name, start, end in zip(names, starts, ends)}


def _score(name, level, metric, seed="1"):
    found = account.read(f"{STUDY}/networks/{name}/metrics.json")["results"][seed]["scores"]
    return next(row for row in found if (row["level"], row["metric"]) == (level, metric))


@pytest.fixture(scope="module")
def four(tmp_path_factory):
    """Page of four networks, its text, and where it was made."""
    folder = tmp_path_factory.mktemp("four")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        settings = _config(**NETWORKS)
        noises = {"large": 0.25, "small": 0.6, "shuffled": 4.0}
        for name, block in settings["networks"].items():
            _write(name, block, noise=noises.get(name), trained=TRAININGS.get(name))
        networked.compared(STUDY, {name: block["vote"] for name, block in settings["networks"].items()})
        page, files = _page(settings)
    return page, _text(page), folder, files


@pytest.fixture
def inside(four, monkeypatch):
    monkeypatch.chdir(four[2])
    return _sections(four[1], list(NETWORKS))


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def _f(value, digits=2):
    return report.fixed(value, digits)


def test_a_network_says_what_it_tells_from_what_and_of_whom(inside):
    large, small = inside["large"], inside["small"]
    assert "large: sex (F, M) eegnet (f1 8) with 666 parameters is shown the samples of single windows" in large
    assert "120 windows of 20 people were tested: in turn each of 5 folds (4 people), by networks that never" in large
    assert "most of their first 4 windows name (4 each)" in large
    assert "Share of each test person’s windows (the first 4) that" in large and "arrow:" not in large
    assert "is shown maps of band power (bands mu 9 to 11) of single windows of “closed” and tells sex" in small


def test_scores_stand_with_interval_chance_n_and_the_spread_over_seeds(inside):
    vote = _score("large", "subject", "balanced_accuracy")
    values = [_score("large", "subject", "balanced_accuracy", seed)["value"] for seed in "123"]
    row = f"people, by vote balanced accuracy {_f(vote['value'])} {_f(vote['low'])} to {_f(vote['high'])} 0.50 20 "
    row += f"{_f(np.mean(values))} ± {_f(np.std(values, ddof=1))} {_f(min(values))} to {_f(max(values))}"
    assert row in inside["large"]
    assert "3 seeds: mean ± sd" in inside["large"] and "seeds: mean" not in inside["small"]
    assert "people, by mean probability balanced accuracy" in inside["large"]
    assert "people, by mean probability accuracy" not in inside["large"] and "windows AUC" in inside["large"]


def test_calibration_has_intervals_and_says_what_it_is_held_against(inside):
    found = account.read(f"{STUDY}/networks/small/metrics.json")["calibration"]["scores"]
    for row, words in zip(found, ("expected calibration error", "Brier score", "log loss (nats)")):
        values = [_f(row[key], 3) for key in ("value", "low", "high", "reference")]
        assert f"{words} {values[0]} {values[1]} to {values[2]} {values[3]} " in inside["small"]
    assert "what chance makes of a calibrated network with these people 120" in inside["small"]


def test_a_regression_has_errors_and_no_confusion(four, inside):
    age, error, explained = inside["age"], _score("age", "mean", "mae"), _score("age", "mean", "r2")
    assert "age: age eegnet with 666 parameters is shown the samples of single windows of “closed” and predicts" in age
    digits = 2 if error["value"] >= 1 else 3
    row = [_f(error[key], digits) for key in ("value", "low", "high", "chance")]
    assert f"people, by mean mean absolute error {row[0]} {row[1]} to {row[2]} {row[3]} 20" in age
    ages = np.arange(20, 40)  # and what the people of each fold are held against
    assert error["chance"] == pytest.approx(np.abs(ages - 29.5 - (ages // 4 - 4) / 10).mean())
    assert "What was taken for what" not in age and "Calibration" not in age and "votes" not in age
    assert "Predicted against true values of 20 people" in age and "R² against the mean of the training windows" in age
    tile = f"Network “age”: age {_f(explained['value'])} R² per person, 95 % interval {_f(explained['low'])} to"
    assert tile in four[1]
    # scores, scatter and curves; of each of the others scores, confusion, reliability, people and curves
    assert four[0].count('src="data:image/png;base64,') == 3 + 3 * 5


def test_a_shuffled_twin_stands_beside_the_networks_of_the_same_people_and_is_called_a_control(four, inside):
    twin = _score("shuffled", "subject", "balanced_accuracy")
    row = f"people, by vote · shuffled (time shuffled) balanced accuracy {_f(twin['value'])} {_f(twin['low'])} to"
    assert row in inside["large"] and row in inside["small"]
    assert "time shuffled" not in inside["shuffled"] + inside["age"] and "A control:" in inside["shuffled"]
    assert f"Control “shuffled”: sex {_f(twin['value'])}" in four[1]


def test_a_twin_of_other_people_is_no_control(here):
    blocks = _config(a=SEX, b=SEX | {"shuffle_time": True}, c=SEX | {"shuffle_time": True, "folds": "holdout"})
    every = {name: {"network": block} for name, block in blocks["networks"].items()}
    every["b"] |= {"task": "classification", "results": {"1": {"scores": []}}, "main_seed": 1, "spread": []}
    score = {"level": "window", "metric": "balanced_accuracy", "value": 0.5, "low": None, "high": None, "chance": 0.5}
    every["b"]["results"]["1"]["scores"] = [score]
    assert [row["label"] for row in networks._twins(every["a"], every)] == [
        "b (time shuffled) · windows · balanced accuracy"
    ]


def test_the_gate_the_looks_and_the_machine_are_told(inside):
    assert (
        "gate passed No person and no window stands on both sides of a split: 20 people in 5 folds, 120 windows"
        in inside["large"]
    )
    assert "The people of this test set were shown to 3 sets of networks." in inside["large"]
    assert "shown to 1 set of networks." in inside["age"]
    told = (
        "15 trainings (5 folds, 3 seeds) of 90 windows, 24 more to choose the epoch; classes are drawn equally often;"
    )
    assert f"{told} trained on Loom 3, torch 2.13.0, AVX2, 1 thread, 2 processes." in inside["large"]
    assert "5 trainings of 90 windows, 24 more to choose the epoch; trained on Loom 3" in inside["small"]


def test_many_looks_are_a_warning_and_without_a_count_nothing_is_said(here):
    settings = _config(sex=SEX)
    _write("sex", settings["networks"]["sex"])
    for k in range(networks.LOOKS):
        Path(STUDY, "opened", f"0123456789abcdef_{k}.json").write_text("{}")
    text = _text(_page(settings)[0])
    assert "the people of this test set were shown to 11 sets of networks: the best of so many is" in text
    assert "The people of this test set" not in text and networks._many(networks.LOOKS) == []
    assert "set were shown" not in _text(_page(settings, opened=None)[0])


def test_what_the_gate_noticed_and_a_change_of_machine_are_warnings(here):
    settings = _config(sex=SEX)
    earlier = [{"device": "cpu", "cpu": "Loom 3", "torch": "2.12.0", "instructions": "AVX2", "threads": 2, "world": 1}]
    _write("sex", settings["networks"]["sex"], trained={"earlier_builds": earlier})
    gate = account.read(f"{STUDY}/networks/sex/leakage.json")
    gate |= {"notes": ["2 participants have label and age of one of another dataset"], "contents": 118, "repeated": 2}
    account.write(f"{STUDY}/networks/sex/leakage.json", gate | {"constant": 1})
    text = _text(_page(settings)[0])
    assert (
        "seed 1, fold 1 and 4 more: begun on another machine or build (torch 2.12.0, then 2.13.0; threads 2, then 1)"
        in text
    )
    assert "2 participants have label and age of one of another dataset." in text
    assert "compared sample by sample (1 without any signal were not); 2 repeat one of the same person." in text


def test_several_machines_are_counted():
    gpu = networked.TRAINED | {"device": "cuda", "gpu": "Loom G1", "cuda": "13.0", "seed": "1", "fold": "1"}
    told = training.told([gpu, networked.TRAINED | {"seed": "1", "fold": "2"}, gpu | {"fold": "3"}], "1")
    assert told["machines"] == {"Loom 3, torch 2.13.0, AVX2, 1 thread": 1,
                                "Loom G1, torch 2.13.0, CUDA 13.0, AVX2, 1 thread": 2}  # fmt: skip
    assert training.told([], "1") is None and training.resumed([gpu]) == []


def test_holdout_says_whom_it_tested_and_has_the_control_of_trial_numbers(here):
    settings = _config(eyes={"selection": "closed", "target": "label", "folds": "holdout"})
    rows = networked.people()
    found = rows.assign(y=rows["nth"] % 2)  # everybody opens and closes the eyes in the same order
    tested = found[found["fold"] == "1"]
    _write("eyes", settings["networks"]["eyes"], rows=tested, found=found)
    table.write(f"{STUDY}/networks/eyes/predictions.tsv", found)  # so that the table of the split is of all people
    text = _text(_page(settings)[0])
    assert "24 windows of 4 people were tested: those of the first of 5 folds, whom no network saw." in text
    assert "Nobody votes, since the windows of a person are of several classes." in text
    assert "windows · trial number alone balanced accuracy 1.00 1.00 to 1.00 0.50 24" in text
    assert "the order of cues is the same for (almost) everybody" in text
    assert "no vote" not in text and "Held against each other" not in text


@pytest.mark.parametrize(
    ("folds", "words"),
    [
        ("leave-one-subject-out", "in turn each person, by a network that saw all others."),
        ("leave-one-dataset-out", "in turn each dataset (1, 2, 3, 4, 5), by networks that saw neither it nor its"),
    ],
)
def test_each_way_of_leaving_out_has_its_words(here, folds, words):
    settings = _config(sex=SEX)
    _write("sex", settings["networks"]["sex"] | {"folds": folds})
    assert words in _text(_page(settings)[0])


def test_one_person_has_a_score_and_no_interval(here):
    settings = _config(age=NETWORKS["age"] | {"further_seeds": 0})
    _write("age", settings["networks"]["age"], rows=networked.people(1))
    text = _text(_page(settings)[0])
    score = _score("age", "window", "mae")
    assert _score("age", "window", "r2")["value"] < -1 and "arrow: below −1" in text
    assert score["low"] is None and _score("age", "window", "r2")["low"] is None
    assert f"windows mean absolute error {_f(score['value'])} n/a {_f(score['chance'])} 6" in text
    assert "R² per person, no interval; 0: no better than" in text


def test_comparisons_show_the_rows_that_count_and_say_what_was_not_compared(four, inside):
    _, text, _, files = four
    text = text[text.index("Held against each other") :]
    found = table.read(f"{STUDY}/comparisons.tsv")
    assert "3 pairs of networks that predicted the same windows, of 20 people." in text
    row = found[(found["network"] == "large") & (found["against"] == "small")]
    row = row[(row["level"] == "subject") & (row["metric"] == "balanced_accuracy")].iloc[0]
    told = f"large − small balanced accuracy, people, by vote {_f(row['one'])}, {_f(row['other'])} "
    told += f"{_f(row['difference'])} ({_f(row['low'])} to {_f(row['high'])}) "
    told += f"{report.chance(row['p'])} ({report.chance(row['p_holm'])}) "
    told += f"{_f(row['folds_difference'])} ( {_f(row['folds_low'])} to {_f(row['folds_high'])}) {_f(row['t'])} (4) "
    assert _tight(told + f"{report.chance(row['folds_p'])} ({report.chance(row['folds_p_holm'])})") in _tight(text)
    assert text.count("people, by vote") == 3 and "windows 0" not in text and "AUC" not in text
    assert "3 pairs that cannot be compared large and age; small and age; shuffled and age: one tells 2 classes" in text
    assert "20 subjects: percentile intervals over so few are too narrow, and p values too small." in text
    shown = comparisons.comparisons(files["comparisons"], [])
    assert [(each["network"], each["against"]) for each in shown["rows"]] == [
        ("large", "small"), ("large", "shuffled"), ("small", "shuffled"),
    ]  # fmt: skip


def _tight(text):
    return text.replace(" ", "")


def test_comparisons_of_numbers_are_by_mean_and_else_by_window(here):
    rows = pd.DataFrame({"network": "a", "against": "b", "target": ["age"] * 4 + ["bdi"] * 2})
    rows = rows.assign(level=["window", "window", "mean", "mean", "window", "window"], metric=["mae", "r2"] * 3)
    rows = rows.assign(one=np.arange(6.0), other=1.0)
    chosen = comparisons._chosen(rows)
    assert [(row["target"], row["level"], row["metric"]) for row in chosen] == [
        ("age", "mean", "mae"), ("age", "mean", "r2"), ("bdi", "window", "mae"), ("bdi", "window", "r2"),
    ]  # fmt: skip
    assert [row["one"] for row in chosen] == [2, 3, 4, 5]
    assert comparisons._chosen(pd.DataFrame(columns=["network", "against"])) == []


def test_notes_of_comparisons_are_said_once_and_only_of_what_is_shown():
    chosen = [{"of": None, "level": "subject", "metric": "balanced_accuracy", "name": "bal", "over": "people"}]
    why = ": no test over folds, 2 of 3 folds hold too few classes or people for this score"
    one = {"network": "a", "against": "b", "notes": ["few", f"subject balanced_accuracy{why}", f"window auc{why}"]}
    two = {"network": "a", "against": "c", "notes": ["few", "no AUC: a fold holds one class only"]}
    assert comparisons._notes([one, two], chosen) == ["few", f"a and b: bal, people{why}"]


def test_networks_of_which_none_can_be_compared_have_no_table(here):
    settings = _config(sex=SEX, age=NETWORKS["age"])
    for name, block in settings["networks"].items():
        _write(name, block)
    networked.compared(STUDY, {"sex": None, "age": None})
    text = _text(_page(settings)[0])
    assert "1 pair that cannot be compared sex and age: one tells 2 classes, the other age." in text
    assert "Difference" not in text


def test_only_a_network_that_looks_for_sex_is_held_against_what_was_planted(here):
    blocks = _config(sex=SEX, shuffled=SEX | {"shuffle_time": True}, age=NETWORKS["age"])["networks"]
    score = {"value": 0.8, "low": 0.6, "high": 0.9, "chance": 0.5, "level": "subject"}
    found = [
        {"name": name, "target": block["target"], "task": block["task"], "network": block, "headline": score}
        for name, block in blocks.items()
    ]
    assert [each["name"] for each in found if outcome._tells_sex(each)] == ["sex"]
    planted = {"d": 2.0, "d_sample": 1.9}
    row = outcome._sex(planted, found[0])
    assert row["good"] and row["recovered"] == "balanced accuracy 0.80 [0.60, 0.90] by vote per person"
    none = outcome._sex(planted, found[0] | {"headline": score | {"low": None, "high": None}})
    assert not none["good"] and none["recovered"] == "balanced accuracy 0.80 by vote per person"


def test_errors_have_three_figures_and_shares_two_decimals():
    assert [networks.decimals("mae", value) for value in (0.0312, 2.136, 12.34, 1234.5, 0.0, None)] == [
        4,
        2,
        1,
        0,
        2,
        2,
    ]
    assert networks.decimals("r2", 0.001) == 2


def test_a_training_without_validation_has_the_curve_of_its_loss_alone(here):
    curve = pd.DataFrame({"epoch": [1, 2], "train_loss": [0.7, 0.5], "val_loss": np.nan, "val_accuracy": np.nan})
    table.write("curve.tsv", curve)
    one = training.curves(["curve.tsv"], "classification", 0.5)
    table.write("curve.tsv", curve.assign(val_loss=0.7, val_accuracy=0.5))
    assert training.curves(["curve.tsv"], "classification", 0.5)["width"] == 2 * one["width"]
    assert training.curves([], "classification", 0.5) is None
