"""A small study with a result of every kind, made by hand, recorded and published, for the tests of both."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from conftest import ROOT
from hedgerow import account, config, record, store, study, sums, table

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
CONFIG = {
    "study": "s",
    "datasets": {"lab": {"source": "simulate"}},
    "selections": {"eyes": {"classes": {"open": "Eyes-open"}}},
    "features": {"psd": {"selection": "eyes"}},
    "models": {"m": {"selection": "eyes", "formula": "label", "influence": True}},
    "networks": {"n": {"selection": "eyes", "target": "label"}},
    "split": {"folds": 2},
    "parts": 1,
}
D, S = "results/derivatives/lab/standard", "results/studies/s"
RECS = [f"sub-0{number}/eeg/sub-0{number}_task-x" for number in (1, 2)]
HEADER = "rec\tstatus\treason\tmessage\tsubject\tsession\ttask\trun\tevents\tsize\n"


def about(**changes):
    """The study of `CONFIG` as the scripts have it."""
    done = config.complete({**CONFIG, **changes}, SCHEMA)
    kept = {key: value for key, value in done.items() if key not in ("images", "recording", "against")}
    return study.Study(kept, index=lambda dataset: None)


def place(path):
    """A path whose folder is there."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return path


def text(path, content):
    """Write `content` to `path`."""
    Path(place(path)).write_text(content, encoding="utf-8")


def weights(path, **arrays):
    """Write a safetensors file, as its format is described; tensors of float32."""
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, values in arrays.items():
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [at, at + 4 * values.size]}
        at += 4 * values.size
    header = json.dumps(header).encode()
    body = b"".join(values.astype("<f4").tobytes() for values in arrays.values())
    Path(place(path)).write_bytes(len(header).to_bytes(8, "little") + header + body)


def write(seed=0):
    """Write the results of the study in the folder that we are in, and their record."""
    rng, one = np.random.default_rng(seed), about()
    lines = [f"{rec}\tok\tn/a\tn/a\t0{k}\tn/a\tx\tn/a\te\t1e6\n" for k, rec in enumerate(RECS, start=1)]
    text("results/index/lab/recordings.tsv", HEADER + "".join(lines))
    text("results/index/lab/participants.tsv", "participant_id\tage\nsub-01\t20\nsub-02\tn/a\n")
    for name in ("recipe", "feature-psd", "selection-eyes"):
        account.write(place(f"{D}/code/{name}.json"), {"name": name, "seconds": 2.0})
    for rec in RECS:
        stem = f"{D}/{rec}_desc-"
        rng.normal(size=(4, 100)).astype("<f4").tofile(place(f"{stem}clean_eeg.eeg"))
        np.savez(f"{stem}clean_evidence.npz", psd=rng.random((4, 9)).astype("f2"), names=np.array(["C3", "Cz"]))
        for ending in ("eeg.vhdr", "eeg.vmrk"):
            text(f"{stem}clean_{ending}", f"header of {rec}\nsecond line\n")
        for ending in ("clean_eeg.json", "clean_account.json", "eyes_events.json"):
            account.write(f"{stem}{ending}", {"of": rec, "share": rng.random()})
        for ending in ("clean_channels.tsv", "clean_events.tsv", "eyes_events.tsv"):
            text(f"{stem}{ending}", "onset\tname\n0.5\ta\nn/a\tn/a\n")
        frame = pd.DataFrame({"onset": [0.5, 2.5, 4.5], "label": ["open"] * 3})
        signal = rng.normal(size=(3, 2, 50))
        store.write(f"{stem}eyes_windows.zarr.zip", signal, frame, names=["C3", "Cz"], sfreq=100.0, tmin=0.0)
    power = rng.gamma(2.0, size=(6, 2, 30)).astype("f4")
    arrays = {"psd": (power, ["window", "channel", "frequency"]), "store": (RECS * 3, ["window"])}
    store.write_arrays(place(f"{D}/features/eyes_psd_{_part()}.zarr.zip"), arrays, {"device": "cpu", "unit": "µV²/Hz"})
    _study(rng, one)
    _published(one)
    record.make(one, cache=f"{S}/record_cache.tsv")
    return one


def _part():
    return "0of1"


def _study(rng, one):
    text(f"{S}/config.yaml", yaml.safe_dump(one.config, sort_keys=False))
    for name in ("split", "manifest_eyes"):
        text(f"{S}/{name}.tsv", "subject\tfold\n01\t1\n02\t2\n")
    grid = place(f"{S}/grid/m/x").removesuffix("x")
    for name in ("design", "choice", "account"):
        account.write(f"{grid}{name}.json", {"stage": name, "basis": [[1.5, 0.0], [0.0, 2.5]], "rows": 6})
    maps = {
        "coef": rng.normal(size=(1, 2, 2, 50)),
        "ci_low": rng.normal(size=(1, 2, 2, 50)),
        "p_bootstrap": rng.integers(1, 101, size=(1, 2, 2, 50)) / 101,
    }
    maps["coef"][0, 0, 0, :3] = np.nan
    maps = {name: (values, ["unit", "coefficient", "channel", "time"]) for name, values in maps.items()}
    store.write_arrays(f"{grid}maps.zarr.zip", maps, {"axis": "time"})
    np.savez(f"{grid}moments_lab_{_part()}.npz", XtX=rng.normal(size=(2, 3, 3)), groups=np.array(["01", "02"]))
    for name in ("rows", "summary", f"influence_lab_{_part()}"):
        frame = pd.DataFrame({"name": ["a", "b"], "t": rng.normal(size=2), "df": [3, 4], "p": [0.5, np.nan]})
        table.write(f"{grid}{name}.tsv", frame)
    for fold in (1, 2):
        stem = place(f"{S}/networks/n/seed-1_fold-{fold}")
        weights(f"{stem}.safetensors", conv=rng.normal(size=(4, 3)), bias=rng.normal(size=4))
        text(f"{stem}_curve.tsv", f"epoch\ttrain_loss\n1\t{rng.random()}\n")
        account.write(f"{stem}_account.json", {"device": "cpu", "torch": "1", "weights_sha256": "0", "windows": 4})
    text(f"{S}/networks/n/predictions.tsv", f"subject\ty\tp0\n01\t0\t{rng.random()}\n02\t1\t{rng.random()}\n")
    account.write(f"{S}/networks/n/metrics.json", {"accuracy": rng.random(), "confusion": [[3, 1], [0, 2]]})
    account.write(f"{S}/networks/n/leakage.json", {"people": 2, "folds": 2})
    text(f"{S}/networks/n/README.md", "# n\n")
    account.write(f"{S}/recovery_lab.json", {"ratio": rng.random()})
    text(f"{S}/report.html", "<p>made in 3 h</p>\n")


def _published(one):
    """The published tree, whose files are linked, with its sums and the account of its validation."""
    tree = Path(S, "published/lab")
    for rec in RECS:
        for ending in ("clean_eeg.eeg", "clean_eeg.json", "eyes_windows.zarr.zip"):
            path = f"{rec}_desc-{ending}"
            place(tree / path)
            (tree / path).hardlink_to(f"{D}/{path}")
    name = f"eyes_psd_{_part()}.zarr.zip"
    place(tree / "features" / name)
    (tree / "features" / name).hardlink_to(f"{D}/features/{name}")
    text(tree / ".bidsignore", "features\n")
    text(tree / "README", "A derivative.\n")
    text(tree / "code/config.yaml", yaml.safe_dump(one.config, sort_keys=False))
    account.write(tree / "ro-crate-metadata.json", {"hours": 3.0})
    seal(tree)


def seal(tree):
    """Write the table of sums of a tree, and its digest into the account of the validation."""
    path = Path(tree, "code/sha256sums")
    sums.write(path, sums.of(tree, sums.files(tree, ["code/sha256sums"])))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    account.write(f"{tree}_validation.json", {"errors": 0, "sums": digest})
