"""What jobs asked for and what they used, from their logs (standard library only): ``make resources``.

Every log under ``results/logs/<rule>/`` begins with the rule and its wildcards, has a line with the job's requests and
ends with one of what it used (`hedgerow.log`). Jobs that were killed have no such last line and are left out.
"""

import ast
import re
import sys
from datetime import UTC, datetime
from pathlib import Path

RULE = re.compile(r"^\S+ rule \w+ (\{.*\})$", re.M)
ASKED = re.compile(r"^\S+ threads (\d+), resources (\{.*\}), CUDA_VISIBLE_DEVICES (\S+)$", re.M)
USED = re.compile(r"^\S+ used (\d+) MB at most, ([\d.]+) CPU s in ([\d.]+) s$", re.M)
COLUMNS = ("rule", "jobs", "MB asked", "MB used", "min asked", "min used", "CPUs asked", "CPUs used", "GPUs asked")

#: What `hours` tells of every rule.
HOURS = ("jobs", "CPU-hours", "wall-hours", "GPU-hours")


def jobs(logs):
    """What every job under the folder `logs` asked and used: list of dicts of numbers, with its ``rule``.

    ``parts`` are the names along the path of its log, ``ended`` is the time stamp of it.
    """
    found = []
    for path in sorted(Path(logs).rglob("*.log")):
        text = path.read_text(encoding="utf-8", errors="replace")
        rule, asked, used = RULE.search(text), ASKED.search(text), USED.search(text)
        if not asked or not used:
            continue
        resources, seconds = ast.literal_eval(asked.group(2)), float(used.group(3))
        parts = path.relative_to(logs).with_suffix("").parts
        found.append(
            {
                "rule": parts[0],
                "parts": parts,
                "wildcards": ast.literal_eval(rule.group(1)) if rule else {},
                "MB asked": resources.get("mem_mb", 0),
                "MB used": int(used.group(1)),
                "min asked": resources.get("runtime", 0),
                "min used": seconds / 60,
                "CPUs asked": int(asked.group(1)),
                "CPUs used": float(used.group(2)) / max(seconds, 0.1),
                "GPUs asked": resources.get("gpu", 0),
                "devices": asked.group(3),
                "CPU s": float(used.group(2)),
                "ended": path.stat().st_mtime,
            }
        )
    return found


def hours(logs, *, dataset=None, study=None, recipe=None, selections=None, rules=None):
    """What a run used, summed over the jobs of each rule; a job that was tried again counts by its last attempt.

    Parameters
    ----------
    logs : path
        Folder of the logs.
    dataset, study, recipe : str, optional
        Only jobs of this dataset, of this study (those of no study count as well) and of this recipe.
    selections : collection of str, optional
        Only these, of the jobs that belong to one.
    rules : collection of str, optional
        Only these.

    Returns
    -------
    dict
        ``rules``: by rule `HOURS`, where GPU-hours are the time that GPUs were held; ``began`` and ``ended``: first and
        last time (UTC, ISO 8601, whole seconds) by the time stamps of the logs, None without any.
    """
    wanted = {"dataset": dataset and {dataset}, "recipe": recipe and {recipe}, "selection": selections}
    found, times = {}, []
    for job in jobs(logs):
        if (rules is not None and job["rule"] not in rules) or not _belongs(job, study, wanted):
            continue
        wall = job["min used"] / 60
        used = (1, job["CPU s"] / 3600, wall, wall * job["GPUs asked"] if job["devices"] != "none" else 0.0)
        before = found.get(job["rule"], (0, 0.0, 0.0, 0.0))
        found[job["rule"]] = tuple(a + b for a, b in zip(before, used))
        times += [job["ended"] - wall * 3600, job["ended"]]
    return {
        "rules": {rule: dict(zip(HOURS, (round(value, 6) for value in sums))) for rule, sums in found.items()},
        "began": _iso(min(times)) if times else None,
        "ended": _iso(max(times)) if times else None,
    }


def _belongs(job, study, wanted):
    """Whether a job is of the study, or of none, and has no wildcard with another value than those `wanted`."""
    own, parts = job["wildcards"], job["parts"]
    # a job of no study logs in the folder of its dataset, or in one file of that name; others in that of the study
    shared = "dataset" in own and (len(parts) == 2 or "recipe" in own or "rec" in own)
    if study is not None and not shared and study not in parts[1:2]:
        return False
    return all(values is None or own.get(name) is None or own[name] in values for name, values in wanted.items())


def _iso(seconds):
    return datetime.fromtimestamp(int(seconds), UTC).isoformat()


def table(found):
    """Rows of text, one a rule: of every quantity the job that used most of it, beside what that job asked."""
    rows = [COLUMNS]
    for rule in sorted({job["rule"] for job in found}):
        members = [job for job in found if job["rule"] == rule]
        row = [rule, str(len(members))]
        for unit, digits in (("MB", 0), ("min", 1), ("CPUs", 1)):
            most = max(members, key=lambda job: job[f"{unit} used"])
            row += [f"{most[f'{unit} asked']:.0f}", f"{most[f'{unit} used']:.{digits}f}"]
        rows.append((*row, str(max(job["GPUs asked"] for job in members))))
    return rows


def text(rows):
    """`rows` as a table of aligned columns, the first one to the left."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if k == 0 else cell.rjust(width) for k, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "results/logs")
    found = jobs(folder)
    if not found:
        sys.exit(f"{folder} holds no log of a finished job: run a study first, or give the folder of its logs")
    print(text(table(found)))
    print("On Slurm, count 300 MB more a job: the two processes of Snakemake that start it.")
