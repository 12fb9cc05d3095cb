"""What left and why: told by reason and by recording, from what is there, within its width."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from hedgerow import account, store, study, why

HEADER = "rec\tstatus\treason\tmessage\tsubject\tsession\ttask\trun\tevents\tsize\n"
STEM = "results/derivatives/lab/standard/{rec}_desc-"
LONG = "a long sentence that says what happened to this recording and where, and what is to be done about it, at length"
USED = "12:00:02 used 100 MB at most, 0.1 CPU s in 0.2 s\n"


def _rec(number):
    return f"sub-0{number}/eeg/sub-0{number}_task-x"


def _log(path, text):
    path = Path("results/logs", path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def lab(tmp_path, monkeypatch):
    """Seven recordings: ok, quarantined by index, clean, one selection and all, failed in windows, killed in clean."""
    monkeypatch.chdir(tmp_path)
    folder = Path("results/index/lab")
    folder.mkdir(parents=True)
    state = {2: "quarantined\tmissing-file\tno signal"}
    entries = [(k, state.get(k, "ok\tn/a\tn/a")) for k in range(1, 8)]
    lines = [f"{_rec(k)}\t{status}\t0{k}\tn/a\tx\tn/a\te\t1e6\n" for k, status in entries]
    (folder / "recordings.tsv").write_text(HEADER + "".join(lines))
    cleaned = {"channels": 8, "seconds": 40.0, "flat": ["Cz"], "uncorrelated": [], "marked": [], "notes": ["odd rate"]}
    cleaned |= {"interpolated": ["Cz"]}
    counted = {"windows": {"a": 3, "b": 4}, "outside": [1], "short": [], "overlaps": {"a+b": [2, 3]}, "skipped": 0}
    for k in (1, 3, 4, 5, 6):
        stem = STEM.format(rec=_rec(k))
        Path(stem).parent.mkdir(parents=True)
        fault = account.quarantined("clean", account.Fault("not-finite", f"{_rec(k)}: NaN: {LONG}"))
        done = fault if k == 3 else account.ok("clean", **cleaned)
        account.write(f"{stem}clean_account.json", done)
        for name in ("one", "two"):
            gone = account.quarantined("windows", account.Fault("no-match", "no event matches"))
            found = fault if k == 3 else gone if k == 5 or (k == 4 and name == "one") else account.ok("w", **counted)
            if k != 6 or name == "one":
                store.write_empty(f"{stem}{name}_windows.zarr.zip", found)
    place = f"lab/standard/{_rec(6)}"
    frames = (
        'Traceback (most recent call last):\n  File "x.py", line 1, in <module>\n    f(\n    ^^\nMemoryError: 3 GB\n'
    )
    _log(f"windows/{place}_desc-two.log", "12:00:01 rule windows\n" + frames + USED)
    _log(f"windows/{place}_desc-one.log", frames + USED)  # done since
    _log(f"clean/lab/standard/{_rec(7)}.log", "12:00:01 rule clean\n12:00:02 step 3\n")
    _log("split/s.log", "12:00:01 rule split\n" + frames.replace("MemoryError: 3 GB", "ValueError: too few") + USED)
    _log("grid/s/m.log", "12:00:01 fine\n" + USED)
    _log("split/other.log", frames + USED)
    Path("o.tsv").write_text("dataset\trecording\twhat\tvalue\twho\twhy\nlab\tsub-01\tbad\tCz\tA. B.\tloose\n")
    return {
        "study": "s", "datasets": {"lab": {"source": "path", "path": "x", "only": {}}}, "pilot": None,
        "overrides": "o.tsv", "recipe": "standard", "selections": {"one": {}, "two": {}}, "parts": 1,
    }  # fmt: skip


def _tell(config, recording=None):
    return why.tell(study.Study(config, index=None), recording)


def test_what_left_is_told_by_reason_with_a_remedy(lab):
    text = _tell(lab)
    assert text.startswith("recordings: 3 ok, 3 quarantined, 1 missing-file, 1 no-match, 1 not-finite; 1 failed or not")
    assert "1 recording left: missing-file, a file that the recording needs is not there" in text
    assert why.REMEDIES["not-finite"] in text and "lab: sub-03_task-x" in text
    assert "1 recording left selection 'one': no-match" in text and "lab: sub-04_task-x" in text
    assert "failed or not done: 2 recordings" in text
    assert all(len(line) <= why.WIDTH for line in text.splitlines() if "/" not in line)
    assert LONG.split()[-1] in text


def test_failed_jobs_are_told_by_the_ends_of_their_logs(lab):
    text = _tell(lab)
    lines = text.splitlines()
    said = {line: lines[number + 1].strip() for number, line in enumerate(lines) if line.startswith("failed: ")}
    killed = said.pop(f"failed: results/logs/clean/lab/standard/{_rec(7)}.log")
    assert killed.startswith("(it ended without a word") and "12:00:02 step 3" in text
    assert said == {
        f"failed: results/logs/windows/lab/standard/{_rec(6)}_desc-two.log": "MemoryError: 3 GB",
        "failed: results/logs/split/s.log": "ValueError: too few",
    }


def test_jobs_that_failed_alike_are_told_once(lab):
    for name in ("a", "b", "c", "d", "e"):
        _log(
            f"grid/s/{name}.log",
            'Traceback (most recent call last):\n  File "x", line 1\n    f()\nOSError: full\n' + USED,
        )
    text = _tell(lab)
    assert text.count("OSError: full") == 1 and "... and 2 more, all alike" in text


def test_everything_about_a_recording(lab):
    text = _tell(lab, "sub-01")
    assert text.startswith(f"lab: {_rec(1)}\n") and "sub-02" not in text
    assert "ok; subject 01, task x, 1.0 MB" in text
    assert "line 2: bad Cz (A. B.: loose)" in text
    assert "bad channels: flat Cz" in text and "interpolated: Cz" in text and "odd rate" in text
    assert "ok; 3 a, 4 b" in text and "left out: 1 outside the recording, 2 of several classes" in text
    assert "failed" not in text
    text = _tell(lab, "_task-x")
    assert all(f"lab: {_rec(k)}\n" in text for k in range(1, 8))
    assert "MemoryError: 3 GB" in text and "not done" in text


def test_why_a_recording_is_not_in_the_study(lab):
    assert "not in this study (pilot: 1)" in _tell(lab | {"pilot": 1}, "sub-04")
    with open("o.tsv", "a") as file:
        file.write("lab\tsub-04\treject\tn/a\tC. D.\tasleep\n")
    text = _tell(lab, "sub-04")
    assert "rejected: rejected by C. D.: asleep" in text and "line 3: reject n/a (C. D.: asleep)" in text
    assert "1 recording left: rejected" in _tell(lab)


def test_a_name_that_no_recording_has_gets_the_nearest(lab):
    assert _tell(lab, "sub-44").startswith("No recording has 'sub-44' in its name; there are 'sub-04_task-x'")


def test_nothing_is_needed(tmp_path, monkeypatch, lab):
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path / "new")
    lab["overrides"] = "config/overrides.tsv"
    assert "not indexed yet: lab" in _tell(lab)
    assert "No dataset is indexed yet" in _tell(lab, "x")
    Path("o.tsv").write_text("dataset\trecording\twhat\tvalue\twho\twhy\nlab\tsub-11\tbad\tCz\tA\tw\n")
    Path("results/index/lab").mkdir(parents=True)
    Path("results/index/lab/recordings.tsv").write_text(HEADER)
    assert "o.tsv, line 2: lab has no recording 'sub-11'" in _tell(lab | {"overrides": "o.tsv"})


def test_every_reason_has_a_remedy():
    assert set(why.REMEDIES) == set(account.REASONS)


def test_a_reader_may_leave_early():
    code = "from hedgerow import why; why.say('line\\n' * 100_000)"
    job = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_path())
    job.stdout.read(10)
    job.stdout.close()
    assert job.wait(60) == 0 and job.stderr.read() == b""
    job.stderr.close()


def test_alike_recordings_are_told_together():
    gone = [
        ("lab", f"sub-{k:02}/eeg/sub-{k:02}_task-x", f"sub-{k:02}/eeg/sub-{k:02}_task-x lasts a second")
        for k in range(20)
    ]
    lines = why._reason("too-short", [*gone, ("lab", "sub-99/eeg/sub-99_task-x", "another sentence")], "left")
    text = " ".join(" ".join(lines).split())
    assert text.startswith("21 recordings left: too-short") and text.count("lasts a second") == 1
    assert "lab: sub-11_task-x and 8 more sub-00/eeg/sub-00_task-x lasts a second" in text
    assert "lab: sub-99_task-x another sentence" in text


def _path():
    return {**os.environ, "PYTHONPATH": str(ROOT / "workflow/src")}
