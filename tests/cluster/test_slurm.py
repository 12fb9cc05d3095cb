"""The smallest study through `snakemake --profile slurm`: what every rule declares reaches the scheduler."""

import os
import re
from itertools import combinations

import pytest

from granted import accounting, declared, granted, rules, table
from workflow import ROOT, differences, nothing_to_do

pytestmark = [pytest.mark.cluster, pytest.mark.xdist_group("cluster")]

ON_GPU = {"spectra", "bootstrap", "train", "evaluate"}


def test_a_clone_with_three_edits_runs_the_study(done, undisturbed):
    site, text = done
    assert "recordings: 4 ok, 0 quarantined" in text
    assert differences(site.folder, undisturbed) == []
    assert nothing_to_do(site.run("--dry-run"))


@pytest.mark.skipif(not (ROOT / "containers/images.json").is_file(), reason="no images: run `make images`")
def test_in_containers_the_end_is_the_same(site, undisturbed):
    for path in [*(ROOT / "containers").glob("*.sif"), ROOT / "containers/images.json"]:
        os.link(path, site.folder / "containers" / path.name)
    site.run("--sdm", "apptainer")
    assert differences(site.folder, undisturbed) == []
    log = (site.folder / "results/logs/train/small/eyes_seed-1_fold-1.log").read_text()
    assert " at /opt/env\n" in log and re.search("CUDA_VISIBLE_DEVICES [01]$", log, re.M)


def test_slurm_grants_what_each_rule_declares(done, capsys):
    site, _ = done
    found = rules(site.folder)
    with capsys.disabled():
        print("\n" + table(site.folder))
    assert {"simulate", "index", "recordings_clean_windows", "report"} | ON_GPU <= set(found)
    for name, (asked, given) in found.items():
        assert all(job["State"] == "COMPLETED" for job in given)
        if name == "recordings_clean_windows":
            continue
        for unit in ("cpus", "mb", "minutes", "gpus"):
            assert sorted(job[unit] for job in asked) == sorted(job[unit] for job in given), (name, unit)


def test_a_group_asks_for_its_largest_job_and_the_time_of_all(done):
    site, _ = done
    asked, given = rules(site.folder)["recordings_clean_windows"]
    assert len(given) == 1 and len(asked) == 8  # four people, cleaned and cut
    assert given[0]["mb"] == max(job["mb"] for job in asked)
    assert given[0]["minutes"] == sum(job["minutes"] for job in asked)
    assert (given[0]["cpus"], given[0]["gpus"]) == (1, 0)


def test_gpu_rules_see_one_device_each_and_never_share_it(done):
    site, _ = done
    for name, (asked, _) in rules(site.folder).items():
        for job in asked:
            assert (job["devices"] in {"0", "1"}) == (name in ON_GPU), (name, job["devices"])
            assert job["devices"] in {"0", "1", "none"}
    # by Slurm's own books: no GPU for other rules, one for each job, and what runs at once runs on another device
    jobs = [job for job in accounting(site.folder) if granted(job)["gpus"]]
    assert {job["Comment"].split("_")[1] for job in jobs} == ON_GPU
    assert all(granted(job)["gpus"] == 1 for job in jobs)
    device = {job["job"]: job["devices"] for job in declared(site.folder)}
    at_once = [
        {device[a["JobID"]], device[b["JobID"]]}
        for a, b in combinations(jobs, 2)
        if a["Start"] < b["End"] and b["Start"] < a["End"]
    ]
    assert at_once, "no two GPU jobs ran at once: nothing was shown"
    assert all(pair == {"0", "1"} for pair in at_once)
