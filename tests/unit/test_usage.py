"""Hours of a run from logs written by hand: what counts, whose it is, and when it was."""

import os

import pytest

from hedgerow import usage

LOG = """22:56:03 rule {rule} {wildcards}
22:56:03 here, Linux, Python 3.11.7 at /x
22:56:04 threads 2, resources {{'mem_mb': 1040, 'runtime': 10, 'gpu': {gpu}}}, CUDA_VISIBLE_DEVICES {devices}
22:56:05 used 186 MB at most, {cpu} CPU s in {wall} s
"""
BEGAN = 1_700_000_000


@pytest.fixture
def logs(tmp_path):
    """Write a log: ``logs(path, cpu, wall, ended, gpu, devices, **wildcards)``, the rule being the first folder."""

    def write(path, cpu, wall, ended=0, gpu=0, devices="none", **wildcards):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        about = {"cpu": cpu, "wall": wall, "gpu": gpu, "devices": devices}
        file.write_text(LOG.format(rule=path.split("/")[0], wildcards=wildcards, **about))
        os.utime(file, (0, BEGAN + ended))
        return tmp_path

    return write


def _rec(dataset, recipe, rec, **more):
    return {"dataset": dataset, "recipe": recipe, "rec": rec, **more}


def test_hours_are_summed_by_rule(logs):
    logs("clean/a/std/sub-01/x.log", 1800, 3600, 3600, **_rec("a", "std", "sub-01/x"))
    logs("clean/a/std/sub-02/x.log", 5400, 7200, 9000, **_rec("a", "std", "sub-02/x"))
    root = logs("index/a.log", 36, 36, 36, dataset="a")
    (root / "clean/a/std/sub-03").mkdir()
    killed = (root / "clean/a/std/sub-02/x.log").read_text().rsplit("\n", 2)[0]
    (root / "clean/a/std/sub-03/x.log").write_text(killed)
    found = usage.hours(root)
    assert found["rules"] == {
        "clean": {"jobs": 2, "CPU-hours": 2.0, "wall-hours": 3.0, "GPU-hours": 0.0},
        "index": {"jobs": 1, "CPU-hours": 0.01, "wall-hours": 0.01, "GPU-hours": 0.0},
    }
    # 2023-11-14 22:13:20 is the second 1 700 000 000: the first job began then, the last one ended 2 h 30 min later
    assert (found["began"], found["ended"]) == ("2023-11-14T22:13:20+00:00", "2023-11-15T00:43:20+00:00")


def test_a_gpu_counts_where_the_job_had_one(logs):
    logs("spectra/a/std/x.log", 10, 1800, gpu=2, devices="0,1", dataset="a", recipe="std")
    logs("spectra/a/std/y.log", 10, 1800, gpu=2, devices="none", dataset="a", recipe="std")
    root = logs("spectra/a/std/z.log", 10, 1800, gpu=0, devices="0", dataset="a", recipe="std")
    assert usage.hours(root)["rules"]["spectra"]["GPU-hours"] == 1.0


def test_only_what_is_asked_for_counts(logs):
    """A study and a dataset may share a name, as they do in the first study of most people."""
    logs("index/a.log", 1, 1, dataset="a")
    logs("index/b.log", 1, 1, dataset="b")
    logs("fetch/a/sub-01/x.log", 1, 1, dataset="a", rec="sub-01/x")
    logs("clean/a/std/sub-01/x.log", 1, 1, **_rec("a", "std", "sub-01/x"))
    logs("clean/a/other/sub-01/x.log", 1, 1, **_rec("a", "other", "sub-01/x"))
    logs("windows/a/std/sub-01/x_desc-eyes.log", 1, 1, **_rec("a", "std", "sub-01/x", selection="eyes"))
    logs("windows/a/std/sub-01/x_desc-ears.log", 1, 1, **_rec("a", "std", "sub-01/x", selection="ears"))
    logs("moments/a/m_a_0of2.log", 1, 1, model="m", dataset="a", part="0of2")
    logs("moments/s/m_a_0of2.log", 1, 1, model="m", dataset="a", part="0of2")
    logs("moments/s/m_b_0of2.log", 1, 1, model="m", dataset="b", part="0of2")
    logs("split/a.log", 1, 1)
    root = logs("split/s.log", 1, 1)

    def jobs(**given):
        return {rule: used["jobs"] for rule, used in usage.hours(root, **given)["rules"].items()}

    shared = {"fetch": 1, "index": 1, "clean": 1, "windows": 1}
    about = {"dataset": "a", "recipe": "std", "selections": ["eyes"]}
    assert jobs(study="s", **about) == {**shared, "moments": 1, "split": 1}
    assert jobs(study="a", **about) == {**shared, "moments": 1, "split": 1}
    assert jobs(study="other", **about) == shared
    assert jobs(study="s", rules={"split", "windows"}, dataset="a") == {"split": 1, "windows": 2}
    assert jobs(dataset="b") == {"index": 1, "moments": 1, "split": 2}


def test_a_run_without_logs_has_no_time(tmp_path):
    assert usage.hours(tmp_path) == {"rules": {}, "began": None, "ended": None}
