"""Networks on recordings of flicker (ssvep-exo), beside a rule, braindecode's networks, and what must score chance.

Prints Markdown: ``python tests/benchmarks/bench_ssvep.py [--study DIR] [--peers VENV]``. DIR is a folder in which the
study tests/e2e/real/ssvep-exo.yaml has been run; without it, its networks are trained in a new folder, which is
deleted in the end (the recordings must stand in ../shared/data). VENV is an environment of
tests/benchmarks/peers-nets.txt, whose packages are found behind those of the lock; without braindecode its rows are
left out, and that is said.

Everybody is left out in turn, and all are trained on the same windows of the same three people, on one thread, with
seed 1. The rule is not trained: it names the flicker whose frequency and double stand out most in the spectrum, each
with a probability in proportion to its power over that of its neighbourhood. What is resampled are the four people, or
the trials of each of them. braindecode's networks are trained twice, by our loop with the settings of `shallow` and by
braindecode's classifier; its FBCNet needs a torchaudio that was built for this torch.
"""

import argparse
import contextlib
import importlib.metadata
import os
import platform
import re
import sys
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "workflow" / "src"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import pandas as pd
import torch
import yaml

from hedgerow import account, rows, spectra, store, table
from hedgerow.nets import compare, data, evaluate, jobs, loader, models, train
from workflow import run

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / "build/peers-nets"
DATA = ROOT.parent / "shared/data/ssvep-exo"
STUDY = ROOT / "tests/e2e/real/ssvep-exo.yaml"
RESULTS = Path("results/studies/ssvep-exo")
MANIFEST = RESULTS / "manifest_flicker.tsv"
NETWORKS = {
    "flicker-shallow": "`shallow`, filters of 0.5 s",
    "flicker-spectrum": "`mlp` on the spectrum",
    "flicker": "`eegnet`",
    "flicker-shuffled": "control: `shallow`, time shuffled",
}
RULE, ORDER = "rule: the largest peak", "control: number of the trial alone"
#: braindecode's class, and its parameters where they are not its defaults: with those of the study's `shallow`
LENGTHS = {"n_filters_time": 16, "n_filters_spat": 16, "filter_time_length": 64}
LENGTHS |= {"pool_time_length": 449, "pool_time_stride": 449}
MODELS = {"FBCNet": {}, "ShallowFBCSPNet": LENGTHS}
COLUMNS = ("what", "balanced accuracy", "over people", "over trials", "each person", "kappa", "over people")
COLUMNS += ("difference to the rule", "over people", "over folds", "CPU s")
PACKAGES = ("numpy", "torch", "braindecode", "skorch", "mne")


def study(folder):
    """Train and evaluate the networks of the study in `folder`."""
    found = yaml.safe_load(STUDY.read_text(encoding="utf-8"))
    found["datasets"]["ssvep-exo"]["path"] = str(DATA)
    (folder / "study.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
    run(folder, folder / "study.yaml", "all_networks")


def ruled(found):
    """Predictions of the rule for the windows of `found`, in their order."""
    (path,) = Path("results/derivatives/ssvep-exo/standard/features").glob("flicker_psd_*.zarr.zip")
    arrays, _ = rows.read_features(path)
    power, _ = rows.values([path], found)
    peaks = spectra.prominence(arrays["frequency"], power.astype(np.float64), (13, 17, 21))
    share = 10**peaks
    return evaluate.predictions(found, found["y"], share / share.sum(1, keepdims=True))


def folds(found, block):
    """Role of each window, for every person that is left out."""
    return [data.roles(found, fold, block, seed=1) for fold in sorted(found["left_out"].unique())]


def ours(found, names, block, model, params):
    """Predictions of a network of braindecode that our loop has trained as `block` says."""
    block, p = {**block, "model": f"braindecode:{model}", "params": params}, np.empty((len(found), len(names)))
    how = jobs.settings(block, seed=1, threads=1, gpus=0)
    for role in folds(found, block):
        test = role == "test"
        given, about = data.task(MANIFEST, [], found, role, block, names)
        weights, _, _ = train.fit(**given, **how)
        X, _ = data.show(MANIFEST, [], found[test], block)
        call = {"model": how["model"], "sfreq": about.sfreq, "n_outputs": len(names), **params}
        p[test] = train.predict(weights, X, **call)
    return evaluate.predictions(found, found["y"], p)


def theirs(found, block, model, params, **how):
    """Predictions of a network that braindecode's own classifier has trained, on its view of the same windows."""
    from braindecode import EEGClassifier

    windows = loader.Windows(MANIFEST, target="label")
    keys = ["rec", "window"]
    place = pd.MultiIndex.from_frame(windows.table[keys]).get_indexer(pd.MultiIndex.from_frame(found[keys]))
    assert (place >= 0).all() and (windows.y.numpy()[place] == found["y"]).all()
    p = np.empty((len(found), len(windows.classes)))
    for role in folds(found, block):
        torch.manual_seed(1)
        net = EEGClassifier(model, classes=list(range(p.shape[1])), verbose=0, module__sfreq=windows.sfreq, **how,
                            **{f"module__{name}": value for name, value in params.items()})  # fmt: skip
        # the views put recordings one after the other, so that windows are asked for in that order
        each = (np.flatnonzero(role == name) for name in ("train", "test"))
        training, test = (mine[np.argsort(place[mine])] for mine in each)
        net.fit(windows.subset(place[training]).to_braindecode(), y=windows.y[place[training]].numpy())
        p[test] = net.predict_proba(windows.subset(place[test]).to_braindecode())
    return evaluate.predictions(found, found["y"], p / p.sum(1, keepdims=True))


def peers(found, names, block):
    """Predictions of braindecode's networks by what they are, and CPU s: from two loops each."""
    block = {name: models.recipe(block["model"]).get(name) if value is None else value for name, value in block.items()}
    # as its introduction to the decoding of trials has them: the classifier's own batches of 128, of which it drops the
    # last, would be none at all
    usual = {"optimizer": torch.optim.AdamW, "lr": 0.0625 * 0.01, "optimizer__weight_decay": 0, "batch_size": 64}
    usual |= {"train_split": None, "max_epochs": block["epochs"]}
    for model, params in MODELS.items():
        said = f"braindecode `{model}`{', lengths of `shallow`' if params else ''}"
        loops = {
            "our loop": lambda m=model, p=params: ours(found, names, block, m, p),
            "its own": lambda m=model, p=params: theirs(found, block, m, p, **usual),
        }
        for name, loop in loops.items():
            began = time.process_time()
            try:
                yield f"{said}, {name}", loop(), time.process_time() - began
            except (ImportError, OSError, ValueError) as error:
                print(f"No row of {said}, {name}: {error}\n")


def trials(predictions, replicates=2000):
    """Interval of the accuracy when the trials of each person are resampled."""
    right = (predictions[["p0", "p1", "p2"]].to_numpy().argmax(1) == predictions["y"]).groupby(predictions["person"])
    rng, blocks = np.random.default_rng(1), [each.to_numpy() for _, each in right]
    again = [np.mean(np.concatenate([rng.choice(block, block.size) for block in blocks])) for _ in range(replicates)]
    return np.quantile(again, [0.025, 0.975])


def row(name, predictions, rule, seconds):
    """Cells of the table of results: scores with intervals, those of each person, and the difference to the rule."""
    scores, _, _ = evaluate.metrics(predictions)
    accuracy, kappa = (scores[scores["metric"] == metric].iloc[0] for metric in ("balanced_accuracy", "kappa"))
    each = evaluate.votes(predictions)["accuracy"]
    cells = [name, f"{accuracy['value']:.3f}", span(accuracy["low"], accuracy["high"]), span(*trials(predictions))]
    cells += [" ".join(f"{value:.2f}" for value in each), f"{kappa['value']:.3f}", span(kappa["low"], kappa["high"])]
    if predictions is rule:
        return [*cells, "", "", "", ""]
    pairs, _ = compare.pair(predictions, rule)
    pair = pairs[(pairs["level"] == "window") & (pairs["metric"] == "balanced_accuracy")].iloc[0]
    cells += [f"{pair['difference']:+.3f}", span(pair["low"], pair["high"])]
    return [*cells, span(pair["folds_low"], pair["folds_high"]), f"{seconds:.0f}" if seconds else ""]


def span(low, high):
    return f"{low:.3f} to {high:.3f}"


def spent(network):
    """CPU s of the jobs that trained a network of the study, seed 1."""
    logs = Path("results/logs/train/ssvep-exo").glob(f"{network}_seed-1_fold-*.log")
    return sum(float(re.findall(r"([\d.]+) CPU s in", log.read_text())[-1]) for log in logs)


def judged(folder):
    """Rows of the table."""
    with contextlib.chdir(folder):
        known = account.read(RESULTS / "networks/flicker-shallow/metrics.json")
        block, names = known["network"], known["classes"]
        people = ["results/index/ssvep-exo/participants.tsv"]
        found, _ = data.examples(store.listed(MANIFEST), people, RESULTS / "split.tsv", block)
        found = found.assign(tested=found["left_out"])
        rule = ruled(found)
        yield row(RULE, rule, rule, None)
        for name in NETWORKS:
            yield row(NETWORKS[name], table.read(RESULTS / f"networks/{name}/predictions.tsv"), rule, spent(name))
        for name, said, seconds in peers(found, names, block):
            yield row(name, said, rule, seconds)
        by_order = evaluate.baseline_trial_number(found.assign(fold=found["left_out"]))
        yield row(ORDER, evaluate.predictions(found, found["y"], by_order), rule, None)


def main(folder):
    """Print what all came to."""
    lines = list(judged(folder))
    known = {each.name: each.version for each in importlib.metadata.distributions()}
    told = (f"{name} {known.get(name, 'missing')}" for name in PACKAGES)
    print(f"Python {platform.python_version()}, {', '.join(told)}\n")
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    for cells in lines:
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--study", type=Path, help="folder in which the study has been run")
    parser.add_argument("--peers", type=Path, default=PEERS, help="environment of braindecode")
    given = parser.parse_args()
    sys.path += map(str, given.peers.glob("lib/python*/site-packages"))
    warnings.filterwarnings("ignore")
    if given.study is not None:
        main(given.study)
    elif not DATA.is_dir():
        print(f"No numbers: the recordings are not in {DATA}")
    else:
        with tempfile.TemporaryDirectory() as scratch:
            study(Path(scratch))
            main(Path(scratch))
