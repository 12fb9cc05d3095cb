"""What left a study and why, what failed, and what to do (standard library only).

It reads tables, accounts and the ends of logs as they are now, and asks for no result: it may be told at any time.
"""

import os
import textwrap
from pathlib import Path

from . import account
from ._words import ConfigError, nearest
from .layout import rows
from .study import DERIVATIVES, INDEX

WIDTH = 100

#: What to do about a reason, in general; its sentence says what happened in particular.
REMEDIES = {
    "not-eeg": "nothing: only EEG is processed",
    "bad-name": "rename the files as BIDS names them",
    "missing-file": "get the file; with git-annex: `git annex get PATH` in the dataset's folder",
    "unreadable": "fetch the file anew, or convert it",
    "truncated": "fetch the file anew; to use what there is, a line of the overrides: reinstate, truncated",
    "bad-sidecar": "mend the JSON file",
    "no-channels": "see which channels are flat or without signal; mend channels.tsv, or a recipe that is less strict",
    "bad-channels-table": "mend channels.tsv so that it lists the channels of the signal",
    "bad-channels": "name each channel once, or type those of another rate as MISC in channels.tsv",
    "not-continuous": "give the continuous recording instead of epochs or pieces",
    "missing-channel": "leave it out of `channels` or `reference`, or find it by `channels_by: nearest` or `spline`",
    "not-finite": "fetch the file anew, or leave the recording out",
    "rate-too-low": "lower `sfreq` of the selection, or `resample` or the filter of the recipe",
    "too-short": "shorten what is asked of it (`length`, `tmin` to `tmax`), or leave the recording out",
    "no-positions": "name electrodes as the 10-05 system does; without ICA (`ica_probability: null`) none is needed",
    "memory-too-small": "raise `asr_memory_mb` of the recipe, or set it to null",
    "calibration": "look at the signal; a recipe without ASR (`asr_cutoff: null`) needs no calibration",
    "no-events": "add events.tsv, or leave the recording out (`only` of its dataset)",
    "bad-events": "mend the lines that the sentence names",
    "bad-hed": "mend the annotation; a selection can pass over faulty rows (`on_error: skip_rows`)",
    "no-match": "correct the query (`snakemake coverage` tells what each gives), or leave the task out (`only`)",
    "outside": "change `tmin`, `tmax` or `length`, or add a line to the overrides: shift",
    "bad-segments": "raise `reject` of the selection, or a recipe that is less strict (`bad_segments`)",
    "rejected": "to use it again, delete its line from the table of overrides",
    "bad-override": "correct the name of the channel in the table of overrides",
}

#: Jobs on one recording: log, and the file that is there when it is done.
JOBS = {
    "fetch": ("results/logs/fetch/{dataset}/{rec}.log", "results/fetch/{dataset}/{rec}.json"),
    "clean": ("results/logs/clean/{dataset}/{recipe}/{rec}.log", DERIVATIVES + "_desc-clean_account.json"),
    "windows": (
        "results/logs/windows/{dataset}/{recipe}/{rec}_desc-{selection}.log",
        DERIVATIVES + "_desc-{selection}_windows.zarr.zip",
    ),
}

#: What an account of windows left out, by key: lists of event rows, and such lists by label.
LOST = {"outside": "outside the recording", "short": "shorter than a window", "unclosed": "without an end"}
LOST_BY_LABEL = {"overlaps": "of several classes", "rejected": "in bad segments"}

#: How much of the end of a log is read, in bytes, and how many lines of an error are told.
TAIL, TOLD = 20_000, 4

#: How many logs of jobs that failed alike are named.
MOST = 3
#: Recordings that are named under one sentence.
SHOWN = 12


def tell(study, recording=None):
    """What there is to say, as text of at most `WIDTH` columns.

    Parameters
    ----------
    study : hedgerow.study.Study
    recording : str, optional
        Everything about the recordings whose name contains this, instead of what left the study.

    Returns
    -------
    str
    """
    try:
        lines = _study(study) if recording is None else _recordings(study, recording)
    except ConfigError as error:
        lines = _wrapped(str(error))
    return "\n".join(lines)


def _wrapped(text, first="", rest=None):
    rest = " " * len(first) if rest is None else rest
    options = {"break_long_words": False, "break_on_hyphens": False}
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, **options) or [first.rstrip()]


def _study(study):
    """What left the whole study, by reason; what failed; what is not done."""
    groups, partly, broken, todo = {}, {}, [], 0
    unread = [dataset for dataset in study.config["datasets"] if not Path(INDEX.format(dataset=dataset)).is_file()]
    for dataset in study.config["datasets"]:
        for row in study.scope(dataset):
            if row["status"] != "ok":
                groups.setdefault(row["reason"], []).append((dataset, row["rec"], row["message"]))
                continue
            clean, windows = accounts(study, dataset, row["rec"])
            if clean is None or (clean["status"] == "ok" and None in windows.values()):
                todo, broken = todo + 1, broken + failed_on(study, dataset, row["rec"])
            found = {"clean": clean} if clean and clean["status"] != "ok" else windows
            gone = {name: each for name, each in found.items() if each and each["status"] != "ok"}
            whole = gone and len(gone) == len(found)
            for name, each in gone.items():
                where = groups if whole else partly.setdefault(name, {})
                where.setdefault(each["reason"], []).append((dataset, row["rec"], each["message"]))
                if whole:
                    break
    lines = [study.summary(), ""]
    for code in sorted(groups, key=lambda code: -len(groups[code])):
        lines += _reason(code, groups[code], "left")
    for name, reasons in partly.items():
        for code, gone in reasons.items():
            lines += _reason(code, gone, f"left selection {name!r}")
    broken += failed_elsewhere(study)
    alike = {}
    for log, said in broken:
        alike.setdefault(tuple(said), []).append(log)
    for said, logs in alike.items():
        lines += [f"failed: {log}" for log in logs[:MOST]]
        lines += [f"... and {len(logs) - MOST} more, all alike"] if len(logs) > MOST else []
        lines += [*(part for line in said for part in _wrapped(line, "    ")), ""]
    if broken:
        lines += ["What is done is kept: mend the cause and run the same command again.", ""]
    if unread:
        lines += _wrapped(f"not indexed yet: {', '.join(unread)}; `snakemake coverage` does it without any signal")
    if todo:
        lines += _wrapped(f"failed or not done: {todo} recordings; run the study (again)")
    if not (groups or partly or broken or unread or todo):
        lines += ["Nothing left and nothing failed."]
    lines += _wrapped("More on one recording: snakemake why --config recording=NAME (or a part of it)")
    return lines


def _reason(code, gone, what):
    """Recordings that left for one reason; a sentence that several share, but for their names, is told once."""
    number = f"{len(gone)} recording" + "s" * (len(gone) > 1)
    lines = _wrapped(f"{number} {what}: {code}, {account.REASONS.get(code, 'unknown reason')}")
    lines += _wrapped(f"to do: {REMEDIES.get(code, 'see the sentence')}", "  ")
    said = {}
    for dataset, rec, message in gone:
        stem = rec.rsplit("/", 1)[-1]
        alike = said.setdefault(message.replace(rec, stem).replace(stem, "..."), (message, []))
        alike[1].append(f"{dataset}: {stem}")
    for message, recs in said.values():
        more = f" and {len(recs) - SHOWN} more" if len(recs) > SHOWN else ""
        lines += _wrapped(", ".join(recs[:SHOWN]) + more, "  - ")
        lines += _wrapped(message, "      ")
    return [*lines, ""]


def say(text):
    """Print `text`; a reader who has seen enough (``| head``) is no fault."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def accounts(study, dataset, rec):
    """Account of the cleaning of one recording, and by selection those of its windows; None where there is none."""
    stem = DERIVATIVES.format(dataset=dataset, recipe=study.config["recipe"], rec=rec)
    clean = _account(f"{stem}_desc-clean_account.json")
    return clean, {name: _account(f"{stem}_desc-{name}_windows.zarr.zip") for name in study.config["selections"]}


def _account(path):
    return account.of(path) if Path(path).is_file() else None


def failed_on(study, dataset, rec):
    """Jobs on one recording that failed: pairs of log and last words."""
    found = []
    for rule, (log, done) in JOBS.items():
        for selection in study.config["selections"] if rule == "windows" else [""]:
            place = {"dataset": dataset, "recipe": study.config["recipe"], "rec": rec, "selection": selection}
            path = Path(log.format(**place))
            if path.is_file() and not Path(done.format(**place)).is_file():
                found.append((path, last_words(path)))
    return found


def failed_elsewhere(study):
    """Jobs on a dataset, or on the whole study, that failed: pairs of log and last words."""
    found, own = [], {study.config["study"], *study.config["datasets"]}
    for folder, below, files in os.walk("results/logs"):
        # what is of one recording is left to `failed_on`
        below[:] = sorted(name for name in below if not name.startswith("sub-"))
        for path in (Path(folder, name) for name in sorted(files)):
            if path.suffix == ".log" and own & {*path.relative_to("results/logs").with_suffix("").parts[1:2]}:
                said = last_words(path, finished=True)
                if said:
                    found.append((path, said))
    return found


def last_words(log, *, finished=False):
    """The error in which a log ends, as lines.

    Parameters
    ----------
    log : path
    finished : bool
        The job may have gone well: then there is nothing to say. Otherwise it is known that it did not.

    Returns
    -------
    list of str
    """
    with open(log, "rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        lines = file.read().decode(errors="replace").splitlines()
    # every job ends by saying what it used, unless it was killed
    ended = bool(lines) and " used " in lines[-1] and "CPU s" in lines[-1]
    lines = lines[:-1] if ended else lines
    begins = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if begins:
        lines = lines[begins[-1] + 1 :]
        # frames are indented; the error begins at the first line after them
        start = max((number for number, line in enumerate(lines) if line.startswith("  File ")), default=-1) + 1
        error = [line for line in lines[start:] if line.strip() and not line.startswith("    ")]
        return (error or lines)[:TOLD]
    if ended:
        return [] if finished else lines[-1:]
    return ["(it ended without a word: killed, for want of memory or time, or under way)", *lines[-1:]]


def _recordings(study, text):
    """Everything about the recordings whose name contains `text`."""
    listed = {
        name: rows(path) for name in study.config["datasets"] if (path := Path(INDEX.format(dataset=name))).is_file()
    }
    found = [(name, row) for name, listing in listed.items() for row in listing if text in row["rec"]]
    if not listed:
        return _wrapped("No dataset is indexed yet: `snakemake coverage` does it without any signal.")
    if not found:
        recs = [row["rec"].rsplit("/", 1)[-1] for listing in listed.values() for row in listing]
        return _wrapped(f"No recording has {text!r} in its name; there are {nearest(text, recs)}.")
    return [line for dataset, row in found for line in [*_recording(study, dataset, row), ""]]


def _recording(study, dataset, row):
    rec, lines = row["rec"], [f"{dataset}: {row['rec']}"]
    said = [f"{name} {row[name]}" for name in ("subject", "session", "task", "run") if row.get(name)]
    said += [f"{int(float(row['size'])) / 1e6:.1f} MB"] if row.get("size") else []
    lines += _field("index", [f"{row['status']}; {', '.join(said)}", *_gone(row)])
    here = {each["rec"]: each for each in study.scope(dataset)}
    if rec not in here:
        lines += _field("study", [f"not in this study ({study.choice()}): change these keys of the config to use it"])
    elif here[rec]["reason"] == "rejected":
        lines += _field("study", _gone(here[rec]))
    told = study.told(dataset, rec)
    entries = [f"line {e['line']}: {e['what']} {e['value']} ({e['who']}: {e['why']})" for e in told]
    lines += _field("overrides", entries)
    clean, windows = accounts(study, dataset, rec)
    lines += _field("clean", ["not done"] if clean is None else _cleaned(clean))
    for name, each in windows.items():
        lines += _field(f"windows {name}", ["not done"] if each is None else _selected(each))
    for log, words in failed_on(study, dataset, rec):
        lines += _field("failed", [str(log), *words])
    return lines


def _field(name, texts):
    """Lines under one name: ``  clean      ok ...``."""
    lines = []
    for text in texts:
        lines += _wrapped(text, f"  {name:<14}  " if not lines else " " * 18)
    return lines


def _gone(told):
    """What a row or an account says of what left, and what to do; nothing if all is well."""
    if told["status"] == "ok":
        return []
    code = told["reason"]
    return [f"{code}: {told['message']}", f"to do: {REMEDIES.get(code, 'see the sentence')}"]


def _cleaned(done):
    if done["status"] != "ok":
        return ["quarantined", *_gone(done)]
    bad = [
        f"{reason} {', '.join(done[reason])}"
        for reason in ("flat", "noisy", "uncorrelated", "marked")
        if done.get(reason)
    ]
    lines = [f"ok; {done['channels']} channels, {done['seconds']:.1f} s"]
    lines += [f"bad channels: {'; '.join(bad) or 'none'}"]
    lines += [f"interpolated: {', '.join(done['interpolated'])}"] if done.get("interpolated") else []
    return lines + done.get("notes", [])


def _selected(done):
    if done["status"] != "ok":
        return ["quarantined", *_gone(done)]
    counts = {words: len(done.get(key, ())) for key, words in LOST.items()}
    counts |= {words: sum(map(len, done.get(key, {}).values())) for key, words in LOST_BY_LABEL.items()}
    counts |= {"rows with errors": done.get("skipped", 0)}
    lost = [f"{number} {words}" for words, number in counts.items() if number]
    text = f"ok; {', '.join(f'{number} {label}' for label, number in done['windows'].items())}"
    return [text, *([f"left out: {', '.join(lost)}"] if lost else [])]
