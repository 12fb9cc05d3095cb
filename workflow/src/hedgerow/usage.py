"""What jobs asked for and what they used, from their logs (standard library only): ``make resources``.

Every log under ``results/logs/<rule>/`` has a line with the job's requests and ends with one of what it used
(`hedgerow.log`). Jobs that were killed have no such last line and are left out.
"""

import ast
import re
import sys
from pathlib import Path

ASKED = re.compile(r"^\S+ threads (\d+), resources (\{.*\}), CUDA_VISIBLE_DEVICES (\S+)$", re.M)
USED = re.compile(r"^\S+ used (\d+) MB at most, ([\d.]+) CPU s in ([\d.]+) s$", re.M)
COLUMNS = ("rule", "jobs", "MB asked", "MB used", "min asked", "min used", "CPUs asked", "CPUs used", "GPUs asked")


def jobs(logs):
    """What every job under the folder `logs` asked and used: list of dicts of numbers, with its ``rule``."""
    found = []
    for path in sorted(Path(logs).rglob("*.log")):
        text = path.read_text(encoding="utf-8", errors="replace")
        asked, used = ASKED.search(text), USED.search(text)
        if not asked or not used:
            continue
        resources, seconds = ast.literal_eval(asked.group(2)), float(used.group(3))
        found.append(
            {
                "rule": path.relative_to(logs).parts[0],
                "MB asked": resources.get("mem_mb", 0),
                "MB used": int(used.group(1)),
                "min asked": resources.get("runtime", 0),
                "min used": seconds / 60,
                "CPUs asked": int(asked.group(1)),
                "CPUs used": float(used.group(2)) / max(seconds, 0.1),
                "GPUs asked": resources.get("gpu", 0),
                "devices": asked.group(3),
            }
        )
    return found


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
