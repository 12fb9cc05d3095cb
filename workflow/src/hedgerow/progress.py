"""How much of a dataset is to be fetched, and how much is here: a sentence, a bar (standard library only)."""

import fcntl
import json
import os
import shutil
import time
from pathlib import Path

from . import account, log
from ._annex import amount, key_of, size_of
from ._words import ConfigError
from .study import Study

#: Where a run notes its config for the jobs that fetch from a dataset: which recordings are to come is no parameter of
#: any of them. One for each dataset, as runs of several studies may be under way.
RUN = "results/fetch/{}.json"
#: What has been told of a clone: bytes of all signals, of those that are here, and the last tenth that was said.
SAID = ".git/hedgerow/said.json"


def totals(study):
    """A sentence for each fetched dataset that has an index and from which something is still to come.

    Called when a run starts, it also notes for its jobs what the run is about.

    Parameters
    ----------
    study : hedgerow.study.Study

    Returns
    -------
    list of str
        ``ds003645 2.0.2: 108 recordings, 12.3 GB to fetch, 3.4 GB here``.
    """
    fetched = {name: block for name, block in study.config["datasets"].items() if study.remote(name)}
    sentences = []
    for name, block in fetched.items():
        scratch = Path(f"{RUN.format(name)}.{os.getpid()}")
        scratch.parent.mkdir(parents=True, exist_ok=True)
        scratch.write_text(json.dumps(study.config, default=str), encoding="utf-8")
        scratch.replace(RUN.format(name))  # a job that reads it meanwhile reads a whole one
        files = signals(study, name)
        if block["keep_raw"]:
            left, here, whole = _count(files)
            said = Path(study.root(name), SAID)
            if files and said.parent.is_dir():
                with open(said, "a+", encoding="utf-8") as file:
                    _known(file)
                    _note(file, {"whole": whole, "done": here, "tenth": 10 * here // max(whole, 1)})
            else:
                said.unlink(missing_ok=True)
            if left:
                sentences.append(total(f"{name} {block['version']}", left, here, whole))
            continue
        done = f"results/derivatives/{name}/{study.config['recipe']}/{{}}_desc-clean_account.json"
        files = {rec: paths for rec, paths in files.items() if not os.path.isfile(done.format(rec))}
        if files:
            sentences.append(
                f"{name} {block['version']}: {len(files)} recordings, {human(_count(files)[2])}, each fetched when it "
                "is cleaned and freed after"
            )
    return sentences


def total(name, left, here, whole):
    """The sentence for a dataset whose signals stay: `left` recordings, bytes that are `here`, of the `whole`."""
    return f"{name}: {left} recordings, {human(whole - here)} to fetch, {human(here)} here"


def signals(study, name):
    """Paths of the signal files that a study uses of a dataset, by recording, as far as they are known.

    Without those that were fetched before and are gone since: nobody will fetch them again.
    """
    root, found = study.root(name), {}
    try:
        table = study.scope(name)
    except ConfigError:  # the table is of another version; `index` will run, and what is wrong still will be told
        return {}
    for row in table:
        paths = [os.path.join(root, file) for file in row["files"].split(";")]
        receipt = f"results/fetch/{name}/{row['rec']}.json"
        if row["status"] == "ok" and (all(map(os.path.exists, paths)) or not _settled(receipt, row)):
            found[row["rec"]] = paths
    return found


def _settled(receipt, row):
    """Whether a recording was fetched, or left, with the content that it has now."""
    return os.path.isfile(receipt) and account.read(receipt)["of"] == row["signal_sha256"]


def meter(name, root, mine, terminal=None):
    """A function ``progress(end=False)`` that tells how much of a dataset is here while `mine` comes.

    On `terminal` it draws a bar if that is one, and else writes a line when a further tenth is here, whichever of
    several jobs sees it. The first of all says what is to come. A look costs nothing that grows with the dataset.
    What keeps it from telling (a table that is being edited, a note of another run) is said in the log, once: no job
    fails because of it.

    Parameters
    ----------
    name : str
        The dataset.
    root : path
        Its clone.
    mine : list of str
        Files (relative to `root`) that this job fetches.
    terminal : file, optional
        None: nothing is told.
    """
    look, due = None, 0.0
    quiet = terminal is None or not os.path.isfile(RUN.format(name))

    def progress(end=False):
        nonlocal look, due, quiet
        if quiet or (time.monotonic() < due and not end):
            return
        due = time.monotonic() + 1
        try:
            look = look or _looks(name, root, mine, terminal)
            look(end)
        except Exception as error:
            quiet = True
            log.say(f"how far {name} is cannot be told ({type(error).__name__}: {error}); the fetch goes on")

    progress()
    return progress


def _looks(name, root, mine, terminal):
    """The function ``look(end)`` that tells of one look at what is here."""
    keys = {file: key for file in mine if (key := key_of(os.path.join(root, file)))}
    before, label = amount(root, keys), f"{name} {_study(name).config['datasets'][name]['version']}"

    def look(end):
        with open(Path(root, SAID), "a+", encoding="utf-8") as file:
            known = _known(file)
            if known is None:
                left, here, whole = _count(signals(_study(name), name))
                known = {"whole": whole, "done": here, "tenth": 10 * here // max(whole, 1)}
                terminal.write(total(label, left, here, whole) + "\n")
            now = min(known["done"] + amount(root, keys) - before, known["whole"])
            tenth = 10 * now // max(known["whole"], 1)
            _draw(terminal, label, now, known["whole"], tenth > known["tenth"], end)
            _note(file, known | {"done": now if end else known["done"], "tenth": max(tenth, known["tenth"])})

    return look


def human(size):
    """Bytes in a unit that a person reads: ``12.3 GB``."""
    units = ["bytes", "kB", "MB", "GB", "TB"]
    while size >= 1000 and len(units) > 1:
        size /= 1000
        del units[0]
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" or size >= 99.5 else f"{size:.1f} {units[0]}"


def _draw(terminal, name, now, whole, further, end):
    """The bar, or a line if a `further` tenth is here."""
    if terminal.isatty():
        width = max(10, min(40, shutil.get_terminal_size().columns - 60))
        full = width * now // max(whole, 1)
        bar = f"{name} [{'#' * full}{'.' * (width - full)}] {human(now)} of {human(whole)}"
        terminal.write(f"\r{bar}\033[K" + "\n" * end)
    elif further:
        terminal.write(f"{name}: {now / whole:.0%}, {human(now)} of {human(whole)}\n")
    terminal.flush()


def _study(name):
    """The study of the run that is under way, the last that began with this dataset."""
    return Study(account.read(RUN.format(name)), None, in_job=True)


def _count(files):
    """Recordings that are not all here, bytes that are, bytes of all."""
    left = here = whole = 0
    for paths in files.values():
        found = [path for path in paths if os.path.exists(path)]
        left += len(found) < len(paths)
        here += sum(map(_size, found))
        whole += sum(map(_size, paths))
    return left, here, whole


def _size(path):
    """Bytes of a file, whether its content is here or not."""
    key = key_of(path)
    if key:
        return size_of(key)
    return os.stat(path).st_size if os.path.exists(path) else 0


def _known(file):
    """What has been told, read under a lock that lasts until the file is closed; None at first."""
    fcntl.flock(file, fcntl.LOCK_EX)
    file.seek(0)
    try:
        return json.loads(file.read() or "null")
    except ValueError:  # of a job that was killed while it wrote
        return None


def _note(file, known):
    file.truncate(0)
    json.dump(known, file)
    file.flush()
