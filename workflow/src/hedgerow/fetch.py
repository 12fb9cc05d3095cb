"""Datasets that are fetched: a git-annex clone at one version, and the content of its signals (standard library only).

OpenNeuro and NEMAR publish DataLad datasets: git repositories whose signals are links to content, by checksum, that
git-annex gets from public storage. git and git-annex are run as they are, as DataLad itself does. A clone is private:
it keeps its notes to itself, pushes nothing, needs no name, no password and no configuration of the user.

A fault of the data (content that no remote has, or that fails its checksum wherever it comes from) is an
`account.Fault`; one of the network, the machine or the config ends the job with one sentence (`Stopped`).
"""

import contextlib
import difflib
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from pathlib import Path

from . import account, log
from ._annex import amount, annex, checksum_of, git, key_of, place, remote, size_of, tools, words
from .account import Stopped
from .layout import NOT_RAW

#: Where each source keeps its datasets.
SOURCES = {
    "openneuro": "https://github.com/OpenNeuroDatasets/{}",
    "nemar": "https://github.com/nemarDatasets/{}",
}
#: Seconds before a transfer that failed is tried again; one that got further than before starts them anew.
WAITS = (2, 10, 30, 60)
#: Folder of this module's own notes in a clone; it tells a clone of the workflow from all other folders.
NOTES = ".git/hedgerow"
#: Configuration of a clone. It stands in the clone alone.
CONFIG = {
    "annex.private": "true",
    "annex.verify": "true",
    "annex.alwayscommit": "false",
    "annex.stalldetection": "1KB/1m",
    "remote.origin.annex-readonly": "true",
    "user.name": "hedgerow",
    "user.email": "hedgerow@localhost",
}
#: Endings of the files that describe signals: they come with the clone.
DESCRIPTIONS = (".tsv", ".json", ".txt", ".md", ".rst", "")
#: What git-annex says of content that fails its checksum.
CORRUPT = "Verification of content failed"
#: Faults of the machine that no further attempt mends: what git-annex says, and the remedy.
HOPELESS = {
    "allowed-ip-addresses": "to allow this address, `git config --global annex.security.allowed-ip-addresses ADDRESS`",
    "no such protocol name": "this machine has no /etc/protocols, install it (apt-get install netbase)",
    "free space": "make room, or set `keep_raw: false` for the dataset",
}


def address(name, block):
    """Git repository of the dataset `name`, whose block in the config is `block`."""
    return block["url"] or SOURCES[block["source"]].format(block["accession"] or name)


def clone(root, url, version, *, waits=WAITS):
    """Make `root` the dataset's tree at `version`: tables, sidecars and links, without signals.

    It may be interrupted anywhere: called again, it goes on, or mends what is there. Content that is there stays.

    Parameters
    ----------
    root : path
        Folder of the clone.
    url : str
        Git repository, by URL or path.
    version : str
        Tag or commit. Once cloned, it stands for the same commit, whatever becomes of the tag.
    waits : sequence of float
        Seconds before each further attempt.

    Returns
    -------
    dict
        ``url``, ``version``, ``commit``; ``annexed``: number of files and of bytes by ending; ``missing``: descriptions
        whose content cannot be had.

    Raises
    ------
    Stopped
        An unknown version (with those that exist), a repository that cannot be read, a folder that is none of ours.
    """
    root = Path(root)
    tools()
    if root.exists() and not (root / NOTES).is_dir():
        raise Stopped(
            f"{root} is there but was not fetched: move it away, or give the dataset another name in the config"
        )
    note = root / NOTES / "pinned.json"
    pinned = account.read(note) if note.is_file() else {}
    same = (pinned.get("url"), pinned.get("version")) == (url, version)
    commit = pinned["commit"] if same else _commit(url, version, waits)
    if not root.exists():
        _first(root, url, waits)
    for lock in [*(root / ".git").glob("*.lock"), *(root / ".git/refs").rglob("*.lock")]:
        lock.unlink()  # of a git that was killed: while this job runs, no other one of the run is at work here
    git(root, "remote", "set-url", "origin", place(url))
    _initialise(root)
    commit = _have(root, commit or version, url, waits)
    # the tree is that of the version, whatever a checkout that was killed or a person left
    git(root, "checkout", "--quiet", "--force", "--detach", commit)
    _lock_pointers(root)
    found = annexed(root)
    missing = _describe(root, [file for file in found if Path(file).suffix.lower() in DESCRIPTIONS], waits)
    account.write(note, {"url": url, "version": version, "commit": commit})
    kinds = {}
    for file, key in found.items():
        kind = kinds.setdefault(Path(file).suffix or Path(file).name, {"files": 0, "bytes": 0})
        kind["files"] += 1
        kind["bytes"] += size_of(key)
    return {"url": url, "version": version, "commit": commit, "annexed": kinds, "missing": missing}


def annexed(root):
    """Annexed files below `root` that can be raw data: key by path, whether their content is here or not."""
    found = {}
    for folder, below, files in os.walk(root):
        below[:] = sorted(name for name in below if name not in NOT_RAW and name[0] != ".")
        paths = [os.path.join(folder, name) for name in sorted(files)]
        found |= {os.path.relpath(path, root): key for path in paths if (key := key_of(path))}
    return found


def get(root, files, *, waits=WAITS, check=True, progress=lambda: None):
    """Have the content of `files` here, each verified by the checksum in its key.

    Parameters
    ----------
    root : path
        A clone.
    files : iterable of str
        Paths relative to `root`. Such as are in git itself are here already.
    waits : sequence of float
        Seconds before each further attempt; an attempt that got further than all before starts them anew. What was
        transferred before a fault, or by a job that was killed, is not transferred again if the server has ranges.
    check : bool
        Verify also what is here already; what fails is thrown away and fetched again.
    progress : callable
        Called about once a second while content comes.

    Returns
    -------
    list of dict
        For each file ``path``, ``key`` (None: in git), ``size`` (bytes) and ``checksum`` (None: the key has none).

    Raises
    ------
    account.Fault
        ``missing-file``: the version has no such file, no remote has it, or what every one has fails its checksum.
    Stopped
        The network, or the machine, failed at all attempts; the clone is gone.
    """
    root, files = Path(root), list(files)
    _restore(root, files)
    keys = {file: key for file in files if (key := key_of(root / file))}
    here = [file for file in keys if os.path.exists(root / file)]
    if check and here:
        _verify(root, here)
    best, failures = amount(root, keys), 0
    while faults := _attempt(root, keys, progress):
        reached = amount(root, keys)
        failures = 1 if reached > best else failures + 1
        best = max(reached, best)
        if failures > len(waits) or any(_remedy(what) for _, what in faults.values()):
            _give_up(root, faults, failures)
        log.say(f"once more in {waits[failures - 1]} s")
        time.sleep(waits[failures - 1])
    return [
        {
            "path": file,
            "key": keys.get(file),
            "size": os.stat(root / file).st_size,
            "checksum": checksum_of(keys[file]) if file in keys else "git",
        }
        for file in files
    ]


def keep(root, files, *, progress=lambda end=False: None, **keywords):
    """`get` for good: what was only lent stays from now on. The account, with ``files``.

    `progress` is called with True when all has come.
    """
    found = get(root, files, progress=progress, **keywords)
    progress(True)
    with _alone(root):
        for key in filter(None, (entry["key"] for entry in found)):
            shutil.rmtree(Path(root, NOTES, "lent", key), ignore_errors=True)
    return account.ok("fetch", files=found)


@contextlib.contextmanager
def lent(root, files, receipts=(), **keywords):
    """The content of `files` for as long as the block lasts: what was not here is fetched, and freed at its end.

    What was here before stays, unless an earlier job fetched it likewise and was killed. What another job has been lent
    too stays until that one is done with it. Without `files`, nothing is looked at.

    Parameters
    ----------
    root : path
        A clone; any folder where there are no `files`.
    files : list of str
        Paths relative to `root`.
    receipts : iterable of path
        Accounts of `keep`: what was quarantined there leaves here too.

    Raises
    ------
    account.Fault, Stopped
        As `get`.
    """
    for receipt in receipts:
        account.demand(account.read(receipt))
    if not files:
        yield
        return
    root, name = Path(root), hashlib.sha256("\0".join(files).encode()).hexdigest()[:16]
    _restore(root, files)
    keys = {file: key for file in files if (key := key_of(root / file))}
    shelf, mine = root / NOTES / "lent", {}
    with _alone(root):
        for file, key in keys.items():
            if not os.path.exists(root / file) or (shelf / key).is_dir():
                (shelf / key).mkdir(parents=True, exist_ok=True)
                (shelf / key / name).touch()
                mine[file] = key
    try:
        get(root, files, check=False, **keywords)
        yield
    finally:
        _free(root, mine, name)


def _free(root, mine, name):
    """Drop the content of the files `mine` that nobody else has been lent."""
    with _alone(root):
        unused = []
        for file, key in mine.items():
            shelf = root / NOTES / "lent" / key
            (shelf / name).unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # somebody else's mark is in it, or it is kept by now
                shelf.rmdir()
                unused.append(file)
        for wait in (0.2, 1, 5, None):
            if not unused:
                break
            # it stays where it came from: no remote need be asked
            annex(root, "drop", "--force", "--quiet", "--", *unused)
            # of a job that was killed a process may live a moment longer and hold its files
            unused = [file for file in unused if os.path.exists(root / file)]
            if unused and wait:
                time.sleep(wait)
        if unused:
            log.say(f"{', '.join(unused)}: could not be freed, `git annex drop` them in {root}")


@contextlib.contextmanager
def _alone(root):
    """One job at a time marks or frees content, or mends the tree."""
    _demand_clone(root)
    with open(Path(root, NOTES, "lock"), "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _demand_clone(root):
    """Stop if the clone is gone: git would take whatever repository `root` lies in for it."""
    if not Path(root, NOTES).is_dir():
        left = "move away what is left of it and " if os.path.lexists(root) else ""
        raise Stopped(
            f"{root} was fetched and is no clone any more (deleted by hand?): {left}run again with "
            f"`--forcerun {root}_clone.json`"
        )


def _restore(root, files):
    """Check out again those of `files` that somebody deleted; a `Fault` if the version has no such file."""
    _demand_clone(root)
    if all(os.path.lexists(root / file) for file in files):
        return
    with _alone(root):
        lost = [file for file in files if not os.path.lexists(root / file)]
        for file in lost:
            if not git(root, "ls-tree", "--name-only", "-z", "HEAD", "--", file):
                raise account.Fault(
                    "missing-file", f"{root / file} is not in this version of the dataset; choose another"
                )
        for chunk in _chunks(lost):
            log.say(f"check out again what was deleted: {', '.join(chunk)}")
            git(root, "checkout", "--quiet", "HEAD", "--", *chunk)
            _lock_pointers(root, chunk)


def _commit(url, version, waits):
    """Commit of a tag; None where `version` may be a commit. Stops with the versions that exist at any other name."""
    lines = remote(url, waits, "ls-remote", "--heads", "--tags", "--", place(url)).splitlines()
    refs = {name: commit for commit, name in map(str.split, lines)}
    tag = f"refs/tags/{version}"
    if tag in refs:
        return refs.get(f"{tag}^{{}}", refs[tag])
    if re.fullmatch(r"[0-9a-f]{7,40}", version):
        return None
    raise Stopped(_unknown(url, version, refs))


def _unknown(url, version, refs):
    """The sentence for a version that is none, with those that there are, the nearest first."""
    tags = {name.removeprefix("refs/tags/").removesuffix("^{}") for name in refs if name.startswith("refs/tags/")}
    why = f"{url} has no version {version!r}"
    if f"refs/heads/{version}" in refs:
        why = f"{version!r} of {url} is a branch, which moves (now it is {refs[f'refs/heads/{version}']})"
    near = difflib.get_close_matches(version, sorted(tags), n=12, cutoff=0.0)
    more = f" and {len(tags) - len(near)} more" if len(tags) > len(near) else ""
    there = f"there are {', '.join(near)}{more}" if near else "no version is tagged there, give a commit"
    return f"{why}; {there}: mend version of the dataset in the config"


def _first(root, url, waits):
    """Clone under another name, so that a clone is whole or not there."""
    part = root.with_name(f".{root.name}.part")
    settings = [option for key, value in CONFIG.items() for option in ("-c", f"{key}={value}")]
    log.say(f"clone {url}")
    root.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(part, ignore_errors=True)
    remote(url, waits, "clone", "--quiet", "--no-checkout", *settings, "--", place(url), part)
    (part / NOTES).mkdir()
    part.rename(root)


def _initialise(root):
    """Make the clone one of git-annex, with the remotes that the dataset names."""
    if not git(root, "config", "annex.uuid", check=False):
        done = annex(root, "init", "hedgerow")
        if done.returncode:
            raise Stopped(f"git-annex cannot work in {root}: {words(done.stdout + done.stderr)}")
    # again, for the first time may have been interrupted, and a later version may name others; nobody else is here
    done = annex(root, "init", "--autoenable", "--force")
    for line in (done.stdout + done.stderr).splitlines():
        log.say(line)
    if git(root, "config", "annex.crippledfilesystem", check=False) == "true":
        raise Stopped(
            f"{root} lies on a file system without symbolic links, on which a dataset cannot be checked out as it is: "
            "run in a folder on another one"
        )


def _have(root, commit, url, waits):
    """Full name of `commit`, which is fetched unless it is here."""

    def known():
        return git(root, "rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}", check=False)

    if not known():
        log.say(f"fetch {url}")
        remote(url, waits, "fetch", "--quiet", "--force", "--tags", "--prune", "origin", root=root)
        annex(root, "merge")
    if not known():
        refs = {f"refs/tags/{tag}": "" for tag in git(root, "tag").split()}
        raise Stopped(_unknown(url, commit, refs))
    return known()


def _lock_pointers(root, files=()):
    """Make links of the annexed files (of all, or of `files`) that this version holds unlocked, so that every one shows
    its key alike."""
    found = annex(root, "find", "--anything", "--unlocked", "--format=${file}\\000", "--", *files).stdout
    for files in _chunks([file for file in found.split("\0") if file]):
        done = annex(root, "lock", "--quiet", "--", *files)
        if done.returncode:
            raise Stopped(f"git-annex lock failed in {root}: {words(done.stderr)}; delete the folder to begin anew")


def _describe(root, files, waits):
    """Get the content of the tables and sidecars `files`; those that cannot be had."""
    for chunk in _chunks([file for file in files if not os.path.exists(root / file)]):
        annex(root, "get", "--quiet", "--jobs=4", "--", *chunk)
    missing = []
    for file in [file for file in files if not os.path.exists(root / file)]:
        try:
            get(root, [file], waits=waits)
        except account.Fault as fault:
            log.say(fault.message)
            missing.append(file)
    return missing


def _chunks(files, size=500):
    """Lists of `files` that fit on a command line."""
    return [files[first : first + size] for first in range(0, len(files), size)]


def _attempt(root, keys, progress):
    """One try to get the files `keys` that are not here: of each that failed (whether corrupt, what was said)."""

    def missing():
        return [file for file in keys if not os.path.exists(root / file)]

    if not missing():
        return {}
    said, asked = _get(root, missing(), progress)
    for file in [file for file in missing() if CORRUPT in said[file]]:
        # git-annex goes on with what the first remote gave, wherever it asks next: each in turn, from the start
        for name in reversed(asked[file]) if len(asked[file]) > 1 else ():
            Path(root, ".git/annex/tmp", keys[file]).unlink(missing_ok=True)
            if not os.path.exists(root / file):
                _get(root, [file], progress, f"--from={name}")
    faults = {}
    for file in missing():
        corrupt, what = CORRUPT in said[file], said[file]
        log.say(f"{file}: {'refused, it fails its checksum: ' if corrupt else ''}{what}")
        # 1: this remote has it not; 100: it could not be asked
        present = [annex(root, "checkpresentkey", "--", keys[file], name).returncode for name in asked[file]]
        if not corrupt and ("not available" in what or (present and set(present) == {1})):
            raise _gone(root / file, f"no remote of the dataset has its content: {what}")
        faults[file] = corrupt, what
    return faults


def _get(root, files, progress, *options):
    """Have git-annex get `files`: by file what was said of a fault, and which remotes were asked."""
    command = ["get", "--json", "--json-error-messages", *options, "--", *files]
    done = annex(root, *command, progress=progress)
    said, asked = dict.fromkeys(files, words(done.stderr)), {file: [] for file in files}
    for line in done.stdout.splitlines():
        with contextlib.suppress(ValueError):
            result = json.loads(line)
            note = str(result.get("note", ""))
            parts = [*result.get("error-messages", []), *note.splitlines()]
            said[result.get("file")] = "; ".join(part.strip() for part in parts)
            asked[result.get("file")] = list(dict.fromkeys(re.findall(r"from (\S+)\.\.\.", note)))
    return said, asked


def _verify(root, files):
    """Throw away what is here of `files` but is not what its key says."""
    annex(root, "fsck", "--quiet", "--", *files)
    for file in files:
        bad = root / ".git/annex/bad" / key_of(root / file)
        if bad.is_file():
            log.say(f"{file}: the content that was here fails its checksum and is fetched again")
            bad.unlink()


def _gone(path, why):
    return account.Fault(
        "missing-file",
        f"{path} cannot be had ({why}): tell those who publish the dataset; once it is mended, run with `--forcerun "
        "FILE`, FILE being the recording's file in results/fetch, or its clean account where signals are not kept",
    )


def _give_up(root, faults, attempts):
    """Raise what tells of the files that did not come: one that may yet come counts more than one that is bad."""
    file, (corrupt, what) = min(faults.items(), key=lambda item: (item[1][0], _remedy(item[1][1]) is None))
    if corrupt:
        raise _gone(root / file, f"at {attempts} attempts it failed its checksum: {what}")
    remedy = _remedy(what) or "mend the network and run again; what has come stays"
    raise Stopped(f"{root / file} could not be fetched at {attempts} attempts ({what}): {remedy}")


def _remedy(what):
    """The remedy for what is `HOPELESS`, else None."""
    return next((remedy for words, remedy in HOPELESS.items() if words in what), None)
