"""A DataLad dataset as the destination of an upload: a git-annex repository in a folder (standard library only).

Text is in git, the rest in the annex; every upload that changes anything is one commit. Nothing is lost by a change,
so that none needs consent. git and git-annex are run as they are; DataLad itself is not needed.
"""

import json
import os
import shutil
import uuid
from pathlib import Path

from . import _annex, layout
from ._destination import UNFINISHED, There, note, some
from ._folder import Folder
from .account import Stopped

#: What tells the annexed from the rest: text is in git whatever its size, of others what is large is in the annex. No
#: file is changed on its way into git, whatever the user's configuration says.
ATTRIBUTES = """* annex.backend=SHA256E -text
* annex.largefiles=(largerthan=20kb)
"""
TEXT = ("*.json", "*.tsv", "*.md", "*.txt", "*.yaml", "*.vhdr", "*.vmrk", "LICENSE", "code/sha256sums", ".*")
ATTRIBUTES += "".join(f"{pattern} annex.largefiles=nothing\n" for pattern in TEXT)
#: What stands in a dataset of DataLad beside the derivative.
OWN = (".gitattributes", ".datalad/config")
#: Note that an upload is under way.
NOTE = ".git/hedgerow/upload.json"
#: Paths on a command line.
CHUNK = 500
#: Files are compared as they are, not by a program that is asked for each.
UNFILTERED = ("-c", "filter.annex.process=", "-c", "filter.annex.clean=")


def identifier(study, dataset):
    """Identifier of the DataLad dataset: the same wherever and whenever it is made."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://github.com/hedgerow-eeg/hedgerow/{study}/{dataset}"))


class Repository(Folder):
    """A DataLad dataset in a folder of this machine, which need not be there yet.

    Parameters
    ----------
    path : path
    study, dataset : str
        Whose derivative it is.
    cache, threads
        See `Folder`.
    """

    def __init__(self, path, *, study, dataset, cache=None, threads=4):
        super().__init__(path, passing=(".git", *OWN), cache=cache, threads=threads)
        self.id, self.name, self.message = identifier(study, dataset), f"{study}-{dataset}", ""

    def look(self, goods):
        """What is there, by the keys of annexed files and the content of others (`There`)."""
        for tool, remedy in _annex.REMEDIES.items():
            if shutil.which(tool, path=_annex._environment()["PATH"]) is None:
                raise Stopped(f"{tool} is missing, without which there is no DataLad dataset: {remedy}")
        if not self.root.is_dir() or not os.listdir(self.root):
            return super().look(goods)
        if self._barely_begun():
            return There({}, set(), None, True, [])
        refused = self._foreign() or self._dirty(goods)
        if refused:
            return There({}, set(), None, False, [refused])
        there = super().look(goods)
        keys = {name: layout.annexed(self.root / name) for name in there.files}
        found = {name: _sha256(key) for name, key in keys.items() if key}
        return there._replace(files=there.files | found)

    def begin(self, goods, owned, about):
        """Make the repository if there is none, and note there that an upload begins."""
        self.message = about
        if (self.root / NOTE).is_file():
            # of a git that was killed: while this job runs, no other one is at work here
            for lock in [*(self.root / ".git").glob("*.lock"), *(self.root / ".git/refs").rglob("*.lock")]:
                lock.unlink()
        # before the repository itself, for by it the next upload knows that the repository is ours
        self._write(NOTE, note(goods.files, owned, goods.whose))
        if not (self.root / ".git/HEAD").exists():
            self._git("init", "--quiet", "--initial-branch=main")
        self.remove(self.left)
        self._identify()
        if not self._git("rev-parse", "--verify", "--quiet", "refs/heads/git-annex", check=False):
            self._annex("init", self.name)
        if self._git("config", "annex.crippledfilesystem", check=False) == "true":
            raise Stopped(f"{self.root} lies on a file system without symbolic links: give another path")
        if not (self.root / ".gitattributes").exists():
            self._write(".gitattributes", ATTRIBUTES.encode())
        if not (self.root / ".datalad/config").exists():
            self._write(".datalad/config", f'[datalad "dataset"]\n\tid = {self.id}\n\tname = {self.name}\n'.encode())

    def end(self, goods):
        """Commit what has changed."""
        gone = [name for name in self._noted() if not os.path.lexists(self.root / name)]
        for names in _chunks([*OWN, *goods.files]):
            self._annex("add", "--quiet", "--no-check-gitignore", "--", *names)
            # git-annex leaves the time stamps out, by which git would compare every file anew, each time
            self._git(*UNFILTERED, "update-index", "-q", "--refresh", check=False)
        for names in _chunks(gone):
            self._git("rm", "--quiet", "--cached", "--ignore-unmatch", "--", *names)
        if self._git("status", "--porcelain", "--untracked-files=no"):
            self._git("commit", "--quiet", "--no-gpg-sign", "--message", self.message)
        (self.root / NOTE).unlink()

    def _read(self, name):
        return super()._read(NOTE if name == UNFINISHED else name)

    def _noted(self):
        """Files that an upload which has not ended was to write, or to remove."""
        text = super()._read(NOTE)
        return set() if text is None else set(json.loads(text)["files"])

    def _barely_begun(self):
        """Whether an upload was killed before there was a repository."""
        begun = self.root / ".git"
        if os.listdir(self.root) != [".git"] or (begun / "HEAD").exists():
            return False
        return (self.root / NOTE).is_file() or set(os.listdir(begun)) <= {"hedgerow"}

    def _foreign(self):
        """Why this is no dataset that an upload may write to; None where it is one."""
        # of a folder whose .git is broken git would take a repository around it
        top = (self.root / ".git").is_dir() and self._git("rev-parse", "--show-toplevel", check=False)
        if not top or os.path.realpath(top) != os.path.realpath(self.root):
            return f"{self.root} is no DataLad dataset and not empty: move away what is there, or give another path"
        found = self._git("config", "--file", ".datalad/config", "datalad.dataset.id", check=False)
        if found != self.id and (found or not (self.root / NOTE).is_file()):
            return f"{self.root} is another repository ({found or 'no DataLad dataset'}): give another path"
        if not self._git("symbolic-ref", "--quiet", "HEAD", check=False):
            return f"{self.root} is on no branch: `git switch` to the one that is to grow"
        return None

    def _dirty(self, goods):
        """Sentence on changes that somebody has not committed; None where there are none."""
        noted = self._noted()
        if (self.root / NOTE).is_file():
            noted |= {*goods.files, *OWN}
        # without a refreshed index, for to look is not to write
        status = ("--no-optional-locks", "status", "--porcelain", "--no-renames", "--untracked-files=all", "-z")
        lines = self._run("git", *status).split("\0")
        changed = [line[3:] for line in lines if line]
        others = sorted({*self._apart(changed, noted)[1]} - noted)
        if not others:
            return None
        return f"{self.root} has changes that are not committed ({some(others)}): commit or discard them (`git status`)"

    def _identify(self):
        """Commits need a name; the user's own, or that of the program: never that of the machine."""
        for key, value in {"user.name": "hedgerow", "user.email": "hedgerow@localhost"}.items():
            if not self._git("config", key, check=False):
                self._git("config", key, value)

    def _git(self, *arguments, check=True):
        return self._run("git", *arguments, check=check).strip()

    def _annex(self, *arguments):
        return self._run("git-annex", *arguments)

    def _run(self, *command, check=True):
        done = _annex._run(command, self.root)
        if check and done.returncode:
            said = _annex.words(done.stdout + done.stderr)
            raise Stopped(f"{' '.join(command[:2])} failed in {self.root} ({said}): mend it there and run again")
        return done.stdout


def _sha256(key):
    """sha256 by which content of an annexed file is known; None where its key is of another kind."""
    return Path(key).name.rsplit("--", 1)[1].split(".")[0] if key.startswith("SHA256") else None


def _chunks(names):
    names = list(names)
    return [names[first : first + CHUNK] for first in range(0, len(names), CHUNK)]
