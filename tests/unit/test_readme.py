"""What the README shows a reader: it runs as it stands."""

import re
import subprocess
import sys

import numpy as np
import pytest

from conftest import ROOT
from served import Served
from stores import publish

torch = pytest.importorskip("torch")
BLOCKS = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.S)


def _block(word):
    (found,) = (block for block in BLOCKS if word in block)
    return found


def test_five_lines_train_a_network_from_a_url(tmp_path, monkeypatch):
    """And it learns: people of one sex have a rhythm that those of the other lack."""
    monkeypatch.setenv("HEDGEROW_CACHE", str(tmp_path / "cache"))

    def rhythm(subject, signal):
        wave = 40 * np.sin(2 * np.pi * 4 * np.arange(signal.shape[2]) / 25)
        return signal + wave if int(subject) % 2 == 0 else signal

    folds = [f"fold-{1 + number // 2 % 3}" for number in range(12)]  # both sexes in each
    publish(tmp_path / "demo", people=12, windows=60, shape=(4, 100), change=rhythm, folds=folds)
    code = _block("store.Windows")
    lines = [line for line in code.splitlines() if line.strip() and not line.startswith(("import", "from"))]
    assert len(lines) == 5
    with Served(tmp_path) as server:
        code = code.replace("https://example.org/published", server.url)
        assert server.url in code
        torch.manual_seed(1)
        names = {}
        exec(code, names)
        for _ in range(4):  # more epochs, which the cache gives
            before = sum(server.requests.values())
            exec("\n".join(code.splitlines()[-2:]), names)
            assert sum(server.requests.values()) == before
    test, net = names["test"], names["net"].eval()
    assert set(test.table["subject"]).isdisjoint(names["train"].table["subject"])
    x, y = test[:]
    with torch.no_grad():
        assert (net(x / 10).argmax(1) == y).float().mean() > 0.9


@pytest.mark.slow
def test_the_package_alone_reads_stores(tmp_path):
    """In an environment of its own, which has neither torch nor mne."""
    publish(tmp_path / "demo", people=2)
    python = tmp_path / "env/bin/python"
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "env"], check=True)
    install = [python, "-m", "pip", "install", "--quiet", "--retries", "1"]
    subprocess.run([*install, "--constraint", ROOT / "constraints.txt", ROOT], check=True)
    code = """
import importlib.util, sys
import numpy as np, zarr
assert not any(importlib.util.find_spec(name) for name in ("torch", "mne", "snakemake"))
from hedgerow import store
rec = "sub-01/eeg/sub-01_task-rest_desc-eyes_windows.zarr.zip"
signal, table, attrs = store.read(f"{sys.argv[1]}/demo/{rec}")
assert signal.shape == (20, 3, 50) and len(table) == 20 and attrs["subject"] == "01"
group = zarr.open_group(zarr.storage.ZipStore(f"{sys.argv[2]}/demo/{rec}", mode="r"), mode="r")
assert np.allclose(group["signal"][:] * group["scale"][:][:, None], signal, rtol=1e-5)
"""
    with Served(tmp_path) as server:
        subprocess.run([python, "-I", "-c", code, server.url, tmp_path], check=True, cwd=tmp_path)
