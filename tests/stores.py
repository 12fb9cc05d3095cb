"""A small published folder of windows stores with their manifest and participants, for tests and benchmarks."""

from pathlib import Path

import numpy as np
import pandas as pd

from hedgerow import store, table


def index(count, labels=("closed", "open")):
    """Index of `count` windows of 2 s."""
    onsets = np.arange(count) * 2.0
    label = np.array(labels, dtype=object)[np.arange(count) % len(labels)]
    hed = np.array(["Eyes-closed", "Eyes-open"], dtype=object)[np.arange(count) % 2]
    return pd.DataFrame({"onset": onsets, "event": np.arange(count), "label": label, "zero": onsets, "hed": hed})


def publish(folder, people=5, windows=20, shape=(3, 50), seed=0, change=None, folds=None, **kwargs):
    """Write stores of a selection ``eyes`` of so many people; what they hold, by subject (float32, µV).

    Person k has ``windows + k`` windows; the `folds` are two by default, the first person's age is missing. `change` is
    given subject and samples, and gives other ones.
    """
    rng, held, paths = np.random.default_rng(seed), {}, []
    for number in range(people):
        subject = f"{number + 1:02}"
        path = Path(folder, f"sub-{subject}/eeg/sub-{subject}_task-rest_desc-eyes_windows.zarr.zip")
        path.parent.mkdir(parents=True)
        signal = rng.standard_normal((windows + number, *shape)) * 20
        signal = signal if change is None else change(subject, signal)
        attrs = {"dataset": "made", "subject": subject, "selection": "eyes"}
        attrs |= {"rec": f"sub-{subject}/eeg/sub-{subject}_task-rest", "account": {"status": "ok"}}
        names = [f"E{channel}" for channel in range(1, shape[0] + 1)]
        given = {"names": names, "sfreq": 25.0, "tmin": 0.0, "attrs": attrs} | kwargs
        store.write(path, signal, index(len(signal)), **given)
        events = pd.DataFrame(
            {"onset": np.arange(len(signal)) * 2.0, "duration": 2.0, "loud": np.arange(len(signal)) % 3}
        )
        table.write(str(path).replace("_windows.zarr.zip", "_events.tsv"), events)
        held[subject], paths = store.read(path)[0], [*paths, path]
    table.write(Path(folder, "manifest.tsv"), store.manifest(paths, folder))
    names = [f"sub-{subject}" for subject in held]
    about = {
        "sex": ["F", "M"] * people,
        "age": [np.nan, *range(21, 20 + people)],
        "split": folds or ["fold-1", "fold-2"] * people,
    }
    about = {name: values[:people] for name, values in about.items()}
    table.write(Path(folder, "participants.tsv"), pd.DataFrame({"participant_id": names, **about}))
    return held
