"""A published dataset in the shape of OpenNeuro's: a git repository without content, and a web server that has it.

The content lies on the server as an export (files by their names), which git-annex reads as OpenNeuro's public S3 is
read: a special remote that a clone enables by itself.
"""

import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest

VERSIONS = ("1.0.0", "1.1.0")
ATTRIBUTES = """* annex.backend=SHA256E
* annex.largefiles=((mimeencoding=binary)and(largerthan=0))
*.vhdr annex.largefiles=anything
*.vmrk annex.largefiles=anything
participants.tsv annex.largefiles=anything
"""
#: Recordings of EEGLAB: a pair of files that are only carried, never opened.
PAIR = [f"sub-04/eeg/sub-04_task-sounds_eeg.{ending}" for ending in ("set", "fdt")]


class Server(http.server.ThreadingHTTPServer):
    """Files below `root` over HTTP on this machine, with ranges, and with faults on request.

    Attributes
    ----------
    requests : list of (str, str, str or None)
        Method, path and range of each request.
    gone, bad : set of str
        Ends of the paths that are answered with 404, and with other bytes than the file's.
    dead : set of str
        Ends of paths that get no answer at all.
    hold : set of str
        Ends of paths of which the first half is sent, once, and nothing more until `go` is set.
    """

    def __init__(self, root):
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.requests = Path(root), []
        self.gone, self.bad, self.dead, self.hold, self.go = set(), set(), set(), set(), threading.Event()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        """Address of its top folder."""
        return f"http://127.0.0.1:{self.server_port}/"

    def asked(self, ending, method="GET"):
        """Ranges of all requests for paths that end so."""
        return [bytes_ for how, path, bytes_ in self.requests if how == method and path.endswith(ending)]

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer()

    def do_GET(self):
        self._answer()

    def _answer(self):
        server, name = self.server, urllib.parse.unquote(self.path).lstrip("/")
        asked = self.headers.get("Range")
        server.requests.append((self.command, name, asked))
        path = server.root / name
        if name.endswith(tuple(server.dead)):
            self.close_connection = True
            return None
        if name.endswith(tuple(server.gone)) or not path.is_file():
            return self._head(404, 0)
        content = path.read_bytes()
        if name.endswith(tuple(server.bad)):
            content = bytes(len(content))
        first = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) if asked else 0
        if first >= len(content) > 0:
            return self._head(416, 0)
        self._head(206 if asked else 200, len(content) - first, f"bytes {first}-{len(content) - 1}/{len(content)}")
        if self.command == "GET":
            middle = first
            if name.endswith(tuple(server.hold)):
                server.hold.clear()
                middle = max(first, len(content) // 2)
                self.wfile.write(content[first:middle])
                self.wfile.flush()
                server.go.wait(60)
            self.wfile.write(content[middle:])

    def _head(self, status, length, part=None):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        if part and status == 206:
            self.send_header("Content-Range", part)
        self.end_headers()

    def log_message(self, *words):
        pass


class Published:
    """A dataset with the versions `VERSIONS`, of which the second has one recording more (`PAIR`).

    Attributes
    ----------
    url : Path
        The repository to clone, without content.
    full : Path
        A repository with all content.
    server : Server
        Its content on the web.
    """

    def __init__(self, folder):
        self.full, self.url = folder / "full", folder / "repository.git"
        (folder / "export").mkdir()
        self.server = Server(folder / "export")
        from hedgerow import simulate

        simulate.write(self.full, subjects=3, channels=8, seconds=20)
        self._git("init", "--quiet", "--initial-branch", "main")
        self._annex("init", "full")
        (self.full / ".gitattributes").write_text(ATTRIBUTES)
        self._save("1.0.0")
        self._annex(
            "initremote", "store", "type=directory", f"directory={folder}/export", "encryption=none", "exporttree=yes"
        )
        web = ["initremote", "--sameas=store", "s3-PUBLIC", "type=httpalso", f"url={self.server.url}", "exporttree=yes"]
        self._annex(*web, "autoenable=true")
        for number, name in enumerate(PAIR):
            (self.full / name).parent.mkdir(parents=True, exist_ok=True)
            (self.full / name).write_bytes(bytes([number]) * 3000)
        for path in sorted(self.full.glob("sub-03/eeg/*.[jt]s*")):
            shutil.copy(path, self.full / "sub-04/eeg" / path.name.replace("sub-03", "sub-04"))
        self._annex("add", "--quiet", "--", *PAIR)
        self._annex("unlock", "--quiet", "--", PAIR[1])
        self._save("1.1.0")
        self._annex("export", "--quiet", "1.1.0", "--to", "store")
        self._git("clone", "--quiet", "--bare", self.full, self.url)

    def _save(self, version):
        self._annex("add", "--quiet", ".")
        self._git("add", ".")
        self._git("commit", "--quiet", "--message", version)
        self._git("tag", "--annotate", "--message", version, version)

    def _git(self, *command):
        subprocess.run(["git", *map(str, command)], cwd=self.full, check=True, env=environment(), capture_output=True)

    def _annex(self, *command):
        self._git("annex", *command)

    def commit(self, version):
        """Commit of a version."""
        command = ["git", "rev-parse", f"{version}^{{commit}}"]
        return subprocess.run(command, cwd=self.url, check=True, capture_output=True, text=True).stdout.strip()

    def repair(self):
        """No faults any more, and nothing remembered."""
        for faults in (self.server.gone, self.server.bad, self.server.dead, self.server.hold, self.server.requests):
            faults.clear()
        self.server.go.clear()


def environment():
    """A user with a name and with git-annex; git-annex asks a machine of its own only where it is allowed to."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {
        **os.environ,
        "PATH": path,
        **ALLOWED,
        **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }


#: git-annex fetches nothing from addresses of the own machine or network unless told to.
ALLOWED = {
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "annex.security.allowed-ip-addresses",
    "GIT_CONFIG_VALUE_0": "127.0.0.1",
}


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The dataset; its faults are mended before and after each test by `source`."""
    for tool in ("git", "git-annex"):
        if shutil.which(tool, path=environment()["PATH"]) is None:
            pytest.skip(f"{tool} is missing: `make setup`, or apt-get install {tool}")
    if not Path("/etc/protocols").is_file():
        pytest.skip("no /etc/protocols, without which git-annex reaches no server: apt-get install netbase")
    found = Published(tmp_path_factory.mktemp("published"))
    yield found
    found.server.shutdown()


@pytest.fixture
def source(published, monkeypatch):
    """The dataset without faults, in an environment in which git-annex may ask the server and knows nobody's name."""
    published.repair()
    for name, value in {**ALLOWED, "HOME": "/nonexistent"}.items():
        monkeypatch.setenv(name, value)
    yield published
    published.server.go.set()
