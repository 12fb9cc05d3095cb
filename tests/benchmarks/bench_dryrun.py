"""A dry run of a large study: CPU seconds and memory of Snakemake and the rules, every job listed.

Prints Markdown: ``python tests/benchmarks/bench_dryrun.py [--recordings 10000] [--datasets 20]``. The datasets are
simulated ones whose index is written here; not one signal exists.
"""

import argparse
import hashlib
import os
import re
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = (
    "rec status reason message subject session task run signal files eeg_json channels events events_json hed_version "
    "size signal_sha256 channels_sha256 events_sha256"
).split()
STUDY = """
selections:
  onsets: {classes: {tone: Tone, click: Click}, tmin: -0.2, tmax: 0.8, sfreq: 125}
features:
  psd: {selection: onsets}
models:
  response: {selection: onsets, formula: label}
networks:
  sounds: {selection: onsets, target: label}
"""


def index(folder, dataset, subjects):
    """Write what `index` would leave for `subjects` people with two runs each."""
    where = folder / "results/index" / dataset
    where.mkdir(parents=True)
    (folder / "results/raw" / dataset).mkdir(parents=True)
    (folder / f"results/raw/{dataset}_receipt.json").write_text("{}")
    lines, people = ["\t".join(COLUMNS)], ["participant_id\tsex"]
    for subject in (f"{number:04d}" for number in range(subjects)):
        people.append(f"sub-{subject}\t{'FM'[int(subject) % 2]}")
        for run in "12":
            stem = f"sub-{subject}/eeg/sub-{subject}_task-sounds_run-{run}"
            key = hashlib.sha256(f"{dataset}{stem}".encode()).hexdigest()[:32]
            row = dict.fromkeys(COLUMNS, "n/a") | {"rec": stem, "status": "ok", "subject": subject, "run": run}
            row |= {"task": "sounds", "signal": f"{stem}_eeg.vhdr", "size": "50000000", "hed_version": "8.3.0"}
            row |= {"files": ";".join(f"{stem}_eeg{end}" for end in (".vhdr", ".eeg", ".vmrk"))}
            row |= {"eeg_json": "task-sounds_eeg.json", "events_json": "task-sounds_events.json"}
            row |= {"channels": f"{stem}_channels.tsv", "events": f"{stem}_events.tsv"}
            row |= dict.fromkeys(("signal_sha256", "channels_sha256", "events_sha256"), key)
            lines.append("\t".join(row[name] for name in COLUMNS))
    (where / "recordings.tsv").write_text("\n".join(lines) + "\n")
    (where / "participants.tsv").write_text("\n".join(people) + "\n")
    (where / "sha256.tsv").write_text("path\tsize\tmtime_ns\tinode\tsha256\n")
    (where / "tree.json").write_text('{"tree": null}\n')


def dry_run(folder):
    """Jobs planned, CPU s and MB at most of a dry run in `folder`."""
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--configfile", "study.yaml"]
    command += ["--profile", ROOT / "config/profiles/local", "--dry-run"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout[-2000:] + done.stderr[-2000:])
    jobs = int(re.findall(r"^total +(\d+)$", done.stdout, flags=re.M)[-1])
    listed = len(re.findall(r"^(?:local)?(?:rule|checkpoint) \w+:$|^\[.*\]\nJob \d+:", done.stdout, flags=re.M))
    return jobs, listed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024


def main(recordings, datasets):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        names = [f"sim{number:02d}" for number in range(datasets)]
        subjects = recordings // datasets // 2
        for name in names:
            index(folder, name, subjects)
        blocks = "".join(f"  {name}: {{source: simulate, subjects: {subjects}}}\n" for name in names)
        (folder / "study.yaml").write_text(f"study: large\ndatasets:\n{blocks}{STUDY}")
        jobs, listed, seconds, megabytes = dry_run(folder)
    print(f"\n**Dry run**: {recordings} recordings in {datasets} datasets, one selection, feature, model and network\n")
    print("| jobs | listed | CPU s | ms a job | MB at most |\n|---|---|---|---|---|")
    print(f"| {jobs} | {listed} | {seconds:.1f} | {1000 * seconds / jobs:.2f} | {megabytes:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=int, default=10_000)
    parser.add_argument("--datasets", type=int, default=20)
    options = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main(options.recordings, options.datasets)
