"""What the jobs of a run declared and what Slurm granted, rule by rule: `sacct` held against the jobs' own logs."""

import ast
import re
import subprocess
from pathlib import Path

from hedgerow import usage

FIELDS = "JobID,State,AllocTRES,TimelimitRaw,Start,End,Comment"
COLUMNS = ("rule", "jobs", "CPUs", "granted", "MB", "granted", "min", "granted", "GPUs", "granted", "devices seen")


def accounting(folder):
    """Jobs of the runs in `folder` by `sacct`, oldest first: list of dicts of text."""
    command = ["sacct", "-X", "-P", "-n", "--starttime=now-1days", f"--format={FIELDS},WorkDir"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    jobs = [dict(zip((*FIELDS.split(","), "WorkDir"), line.split("|"))) for line in lines]
    return [job for job in jobs if job["WorkDir"] == str(folder)]


def granted(job):
    """CPUs, MB, minutes and GPUs of a job of `accounting`."""
    tres = dict(part.split("=") for part in job["AllocTRES"].split(",") if part)
    number, unit = re.fullmatch(r"([\d.]+)([MG]?)", tres.get("mem", "0")).groups()
    return {
        "cpus": int(tres.get("cpu", 0)),
        "mb": round(float(number) * (1024 if unit == "G" else 1)),
        "minutes": int(job["TimelimitRaw"]),
        "gpus": int(tres.get("gres/gpu", 0)),
    }


def declared(folder):
    """What every job of a run declared, by its log: list of dicts, with ``rule`` and the ``devices`` that it saw."""
    found = []
    for path in sorted(Path(folder, "results/logs").rglob("*.log")):
        text = path.read_text(encoding="utf-8")
        threads, resources, devices = usage.ASKED.search(text).groups()
        resources, job = ast.literal_eval(resources), re.search(r"^\S+ Slurm job (\d+)$", text, re.M)
        found.append(
            {
                "rule": path.relative_to(Path(folder, "results/logs")).parts[0],
                "cpus": int(threads),
                "mb": resources["mem_mb"],
                "minutes": resources["runtime"],
                "gpus": resources.get("gpu", 0),
                "devices": devices,
                "job": job and job.group(1),
            }
        )
    return found


def rules(folder):
    """For every rule (or group of rules) its jobs: ``{name: (declared, granted)}``, two lists of dicts."""
    by_rule = {}
    for job in accounting(folder):
        name = re.match(r"rule_(.+?)(?:_wildcards_.*)?$", job["Comment"].strip()).group(1)
        by_rule.setdefault(name, ([], []))[1].append({**job, **granted(job)})
    for job in declared(folder):
        name = job["rule"] if job["rule"] in by_rule else next(name for name in by_rule if f"_{job['rule']}" in name)
        by_rule[name][0].append(job)
    return by_rule


def table(folder):
    """`rules` as text: the largest request of each rule beside what Slurm granted to it."""
    rows = [COLUMNS]
    for name, (asked, given) in rules(folder).items():
        row = [name, str(len(given))]
        for unit in ("cpus", "mb", "minutes", "gpus"):
            row += [str(max(job[unit] for job in asked)), str(max(job[unit] for job in given))]
        rows.append((*row, " ".join(sorted({job["devices"] for job in asked}))))
    return usage.text(rows)
