"""The page of a study made by hand: what it says, what it leaves out, that it repeats and asks for nothing outside."""

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from hedgerow import account, config, store, table
from hedgerow.nets import evaluate

pytest.importorskip("mne")

NAMES = ["Fp1", "Fp2", "C3", "Cz", "C4", "O1", "O2"]
PLACES = {"Fp1": (-0.03, 0.08), "Fp2": (0.03, 0.08), "C3": (-0.065, -0.01), "Cz": (0.0, -0.01), "C4": (0.065, -0.01)}
PLACES |= {"O1": (-0.03, -0.11), "O2": (0.03, -0.11)}
TEMPLATE = ROOT / "workflow/report/report.html.j2"
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
    done = {"windows": counts, "overlaps": {}, "outside": [], "short": [], "samples": 40}
    place = {"dataset": "lab", "rec": "x", "subject": f"{subject:02}", "account": account.ok("windows", **done)}
    place_of = {"names": NAMES, "sfreq": 100.0, "tmin": -0.1, "positions": _positions()}
    index = pd.DataFrame({"label": labels, "onset": np.arange(8.0), "event": np.arange(8)})
    store.write(f"{stem}beeps_windows.zarr.zip", x, index, **place_of, dtype="float32", attrs=place)
    account.write(f"{stem}clean_account.json", account.ok("clean", **CLEAN))
    return x, labels


def _maps(units, rng):
    folder = "results/studies/handmade/grid/kind/"
    coef = rng.normal(size=(len(units), 2, 7, 40))
    coef[:, 1, 3, 25] = 12.5
    dims = ["unit", "coefficient", "channel", "time"]
    arrays = {
        "coef": (coef, dims),
        "se": (np.ones_like(coef), dims),
        "t": (coef, dims),
        "r2": (coef[:, 0], dims[:1] + dims[2:]),
    }
    arrays |= {"ci_low": (coef - 2, dims), "ci_high": (coef + 2, dims), "unit": (units, ["unit"])}
    arrays |= {"coefficient": (["Intercept", "label[T.low]"], ["coefficient"]), "channel": (NAMES, ["channel"])}
    arrays |= {"time": (-0.1 + np.arange(40) / 100, ["time"])}
    store.write_arrays(f"{folder}maps.zarr.zip", arrays, {"axis": "time", "unit_of_values": "µV"})
    done = {"fit": {"warnings": []}, "bootstrap": {"warnings": ["7 units: few."], "resampled": "clusters", "units": 7}}
    design = {"formula": "~ label", "rows": 48, "dropped": 0}
    design |= {"columns": {"label": {"levels": ["high", "low"], "type": "factor"}}}
    model = {"selection": "beeps", "feature": None, "level": 0.95, "replicates": 500, "seed": 1}
    parts = done if units == ["all"] else {"subjects": dict.fromkeys(units, done), "left_out": {}}
    account.write(f"{folder}account.json", account.ok("grid", design=design, model=model, **parts))


def _network(config, rng):
    people = [f"lab-{k}" for k in range(10)]
    rows = pd.DataFrame({"person": np.repeat(people, 6), "y": np.repeat(np.arange(10) % 2, 6)})
    results = {}
    for seed in ("1", "2"):
        p = np.clip(0.5 + 0.3 * (2 * rows["y"] - 1) + rng.normal(0, 0.25, len(rows)), 0, 1)
        predicted = rows.assign(p0=1 - p, p1=p)
        scores, confusion, done = evaluate.metrics(predicted, replicates=100)
        results[seed] = {
            "scores": scores.to_dict("records"),
            "confusion": confusion.to_dict("records"),
            "account": done,
        }
    found = {"target": "sex", "classes": ["F", "M"], "main_seed": 1, "results": results, "controls": {}}
    found |= {"subjects": evaluate.votes(predicted).to_dict("records"), "network": config["networks"]["sex"]}
    folder = "results/studies/handmade/networks/sex/"
    account.write(folder + "metrics.json", account.ok("evaluate", **found))
    curve = pd.DataFrame(
        {"epoch": [1, 2, 3], "train_loss": [0.7, 0.5, 0.4], "val_loss": np.nan, "val_accuracy": np.nan}
    )
    table.write(folder + "seed-1_fold-1_curve.tsv", curve)
    return {"metrics": [folder + "metrics.json"], "curves": [folder + "seed-1_fold-1_curve.tsv"]}


def _study(subjects, *, units=("all",), whole=True):
    """Files of a study in the working directory, and its config."""
    rng = np.random.default_rng(1)
    settings = config.complete({k: STUDY[k] for k in list(STUDY)[: None if whole else 3]}, SCHEMA)
    for folder in ("index/lab", "studies/handmade/grid/kind", "studies/handmade/networks/sex"):
        (pd.io.common.Path if False else __import__("pathlib").Path)("results", folder).mkdir(
            parents=True, exist_ok=True
        )
    return settings, rng
