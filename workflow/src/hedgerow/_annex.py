"""The one door to git and git-annex: how they are run, and how a key is read (standard library only).

They ask nobody for anything, trust the folders that they are given, and need and change no configuration of the user.
"""

import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from . import layout, log
from .account import Stopped

#: Variables with which a git that calls this one would point it to its own repository.
OF_ANOTHER = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
REMEDIES = {
    "git": "install it (apt-get install git, or conda-forge)",
    "git-annex": "run `make setup`, or install it (conda-forge, or apt-get install git-annex)",
}
#: What git says of a repository that is not there, or not for everybody: it says so again the next time.
NOT_THERE = re.compile(
    "not found|does not (exist|appear)|could not read (Username|Password)|Authentication failed|Permission denied"
)


def key_of(path):
    """Key of an annexed file: its backend, size and checksum; None of a file that is in git itself."""
    return layout.annexed(Path(path))


def size_of(key):
    """Bytes of the content of a key; 0 where the key does not tell."""
    return layout.size_of(key) or 0


def checksum_of(key):
    """Checksum by which content of a key is verified (``SHA256``), None for keys that hold none (URL, WORM)."""
    found = re.match(r"((?:SHA|MD|BLAKE|SKEIN|XXH)[A-Z0-9_]*?)E?-", key)
    return found.group(1) if found else None


def amount(root, keys):
    """Bytes of the files `keys` (key by path) that are here, those of unfinished transfers too."""
    found = 0
    for file, key in keys.items():
        for path in (os.path.join(root, file), os.path.join(root, ".git/annex/tmp", key)):
            if os.path.exists(path):
                found += os.stat(path).st_size
                break
    return found


def place(url):
    """`url` as git takes it in any folder: a path, which may be relative, becomes absolute."""
    path = Path(url).expanduser()
    return str(path.resolve()) if path.exists() else url


def tools():
    """Stop if git or git-annex is missing."""
    for tool, remedy in REMEDIES.items():
        if shutil.which(tool, path=_environment()["PATH"]) is None:
            raise Stopped(f"{tool} is missing, without which no dataset can be fetched: {remedy}")


def git(root, *arguments, check=True):
    """Run git in a clone; its output. A fault stops the job, unless `check` is False."""
    done = _run(["git", *arguments], root)
    if check and done.returncode:
        raise Stopped(f"git {arguments[0]} failed in {root}: {words(done.stderr)}; delete the folder to begin anew")
    return done.stdout.strip()


def annex(root, *arguments, progress=lambda: None):
    """Run git-annex in a clone; its result, whatever it is. `progress` is called about once a second."""
    tools()
    return _run(["git-annex", *arguments], root, progress)


def remote(url, waits, *command, root=None):
    """Run a command of git that reads the repository `url`, again after each of `waits` (s); its output."""
    near = place(url)
    for wait in (*waits, None):
        done = _run(["git", *command], root, places=(near, os.path.join(near, ".git")))
        if done.returncode == 0:
            return done.stdout
        log.say(f"{url}: {words(done.stderr)}")
        if wait is None or NOT_THERE.search(done.stderr):
            break
        time.sleep(wait)
    raise Stopped(
        f"{url} cannot be read ({words(done.stderr)}): mend accession or url of the dataset in the config, or the "
        "network (behind a proxy git needs https_proxy, for a private dataset a credential.helper), and run again"
    )


def words(text):
    """What a tool says in the end, in one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return "; ".join(lines[-2:]) or "it says nothing"


def _run(command, root=None, progress=lambda: None, places=()):
    """Run a command, in the folder `root`; its result, as text."""
    trusted = [*places, *([Path(root).resolve()] if root else [])]
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=root,
        env=_environment(trusted),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        preexec_fn=_end_with_parent,
    )
    with process:
        try:
            while True:
                try:
                    out, err = process.communicate(timeout=1)
                    break
                except subprocess.TimeoutExpired:
                    progress()
        except BaseException:
            process.terminate()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def _environment(trusted=()):
    """Environment in which git runs; the folders `trusted` may belong to somebody else."""
    found = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}
    found["PATH"] = os.pathsep.join([os.path.dirname(sys.executable), found.get("PATH", os.defpath)])
    found |= {"GIT_TERMINAL_PROMPT": "0", "GIT_LITERAL_PATHSPECS": "1", "LC_ALL": "C.UTF-8"}
    # set but empty, it goes before core.askPass and SSH_ASKPASS: git opens no window to ask for a password
    found["GIT_ASKPASS"] = ""
    if "GIT_SSH" not in found:
        found.setdefault("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
    count = int(found.get("GIT_CONFIG_COUNT") or 0)
    for number, folder in enumerate(trusted, start=count):
        found |= {f"GIT_CONFIG_KEY_{number}": "safe.directory", f"GIT_CONFIG_VALUE_{number}": str(folder)}
    return {**found, "GIT_CONFIG_COUNT": str(count + len(trusted))}


def _end_with_parent():
    """A transfer must not outlive a job that was killed: the next one would find it locked."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)
