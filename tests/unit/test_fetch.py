"""Fetching from a published dataset: a real git-annex repository, whose content a server on this machine has."""

import http.server
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from annexed import ALLOWED, PAIR, environment
from conftest import ROOT
from hedgerow import _annex, account, config, fetch, progress, study
from hedgerow.account import Fault

REC = [f"sub-01/eeg/sub-01_task-sounds_eeg.{ending}" for ending in ("vhdr", "eeg", "vmrk")]
OTHER = [name.replace("sub-01", "sub-02") for name in REC]
KEYED = "SHA256E-s3000000--6936ff80f57578bea0026e10c06d31e20b2c3a74f19711e42e7d13e25b160ede.eeg"


@pytest.fixture(scope="module")
def cloned(published, tmp_path_factory):
    """A clone at version 1.0.0, of which every test gets a copy."""
    root = tmp_path_factory.mktemp("cloned") / "clone"
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ALLOWED.items():
            patch.setenv(name, value)
        fetch.clone(root, str(published.url), "1.0.0", waits=())
    return root


@pytest.fixture
def clone(source, cloned, tmp_path):
    """A clone at version 1.0.0."""
    return Path(shutil.copytree(cloned, tmp_path / "clone", symlinks=True))


@pytest.fixture
def waits(monkeypatch):
    """``waits(action)``: what is done instead of waiting; the list of the seconds that would have been waited."""

    def replace(action=lambda: None):
        seconds = []

        def sleep(time):
            seconds.append(time)
            action()

        monkeypatch.setattr(fetch, "time", SimpleNamespace(sleep=sleep))
        return seconds

    return replace


def start(code, *arguments):
    """Run `code` in a Python of its own, with ``fetch`` imported, as a job of a run would be."""
    code = f"import sys; from hedgerow import fetch; {code}"
    path = {**os.environ, "PYTHONPATH": str(ROOT / "workflow/src")}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, env=path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def until(condition):
    """Wait for something that another process does."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.02)


def here(root, files):
    """Which of `files` have content."""
    return [name for name in files if os.path.exists(root / name)]


def everything(folder):
    """Content of all files below a folder, by path."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_clone_holds_what_describes_the_signals_and_no_signal(source, tmp_path):
    before = everything(source.url)
    root = tmp_path / "clone"
    found = fetch.clone(root, str(source.url), "1.0.0", waits=())
    assert found["version"] == "1.0.0" and found["commit"] == source.commit("1.0.0") and found["missing"] == []
    assert found["annexed"][".eeg"] == {
        "files": 3,
        "bytes": sum(path.stat().st_size for path in source.full.glob("sub-0[123]/eeg/*.eeg")),
    }
    assert set(found["annexed"]) == {".eeg", ".vhdr", ".vmrk", ".tsv"}
    assert (root / "participants.tsv").read_bytes() == (source.full / "participants.tsv").read_bytes()
    assert (root / "sub-01/eeg/sub-01_task-sounds_events.tsv").is_file()
    assert here(root, REC) == [] and all((root / name).is_symlink() for name in REC)
    assert not list(root.rglob("sub-04*"))
    # nobody is written to, and nothing of the user's is asked for
    assert everything(source.url) == before
    assert {name for _, name, _ in source.server.requests} == {"participants.tsv"}
    assert not (tmp_path / ".clone.part").exists()


def test_the_same_version_again_needs_no_network(clone, source, monkeypatch):
    first = account.read(clone / fetch.NOTES / "pinned.json")
    monkeypatch.setattr(fetch, "remote", lambda *words, **more: pytest.fail(f"asked: {words}"))
    assert fetch.clone(clone, str(source.url), "1.0.0", waits=())["commit"] == first["commit"]


def test_another_version_is_checked_out_in_the_same_clone_and_shares_content(clone, source):
    fetch.keep(clone, REC, waits=())
    source.server.requests.clear()
    found = fetch.clone(clone, str(source.url), "1.1.0", waits=())
    assert found["commit"] == source.commit("1.1.0") and here(clone, REC) == REC
    # what is unlocked in this version shows its key like all others
    assert all((clone / name).is_symlink() for name in PAIR) and here(clone, PAIR) == []
    fetch.keep(clone, [*REC, *PAIR], waits=())
    assert {name for _, name, _ in source.server.requests} == set(PAIR)
    assert fetch.clone(clone, str(source.url), source.commit("1.0.0"), waits=())["commit"] == source.commit("1.0.0")
    assert not list(clone.rglob("sub-04*.fdt"))


def test_a_recording_comes_with_all_its_files_verified(clone, source):
    found = fetch.keep(clone, REC, waits=())
    assert found["status"] == "ok" and [entry["path"] for entry in found["files"]] == REC
    for entry in found["files"]:
        content = (source.full / entry["path"]).read_bytes()
        assert (clone / entry["path"]).read_bytes() == content and entry["size"] == len(content)
        assert entry["checksum"] == "SHA256" and entry["key"] == _annex.key_of(clone / entry["path"])
    assert here(clone, OTHER) == []
    json.dumps(found)


def test_a_file_in_git_itself_needs_no_fetching(clone):
    name = "sub-01/eeg/sub-01_task-sounds_events.tsv"
    (found,) = fetch.get(clone, [name])
    assert found == {"path": name, "key": None, "size": (clone / name).stat().st_size, "checksum": "git"}


def test_a_corrupted_object_is_refused_and_fetched_again(clone, source, waits, capsys):
    source.server.bad.add("sub-01_task-sounds_eeg.eeg")
    asked = waits(source.server.bad.clear)
    fetch.keep(clone, REC, waits=(7, 8))
    assert asked == [7]
    assert (clone / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()
    assert f"{REC[1]}: refused, it fails its checksum" in capsys.readouterr().out
    assert len(source.server.asked(REC[1])) > 1


def test_an_object_that_stays_corrupted_is_a_fault_of_the_data(clone, source, waits):
    source.server.bad.add(REC[1])
    waits()
    with pytest.raises(Fault, match=r"sub-01_task-sounds_eeg\.eeg .*checksum.*--forcerun FILE") as found:
        fetch.keep(clone, REC, waits=(1, 1))
    assert found.value.code == "missing-file"
    assert here(clone, REC) == [REC[0], REC[2]]
    assert not list((clone / ".git/annex/tmp").glob("*.eeg")) and not list((clone / ".git/annex/bad").glob("*"))


def test_an_object_corrupted_at_one_remote_comes_from_another(source, tmp_path):
    """The repository that is cloned has content too, nearer than the server."""
    near = tmp_path / "near"
    shutil.copytree(source.full, near, symlinks=True)
    bad = near / os.path.relpath(os.path.realpath(near / REC[1]), near)
    size = bad.stat().st_size
    bad.chmod(0o644)
    bad.write_bytes(bytes(size))
    fetch.clone(tmp_path / "clone", str(near), "1.0.0", waits=())
    source.server.requests.clear()
    fetch.keep(tmp_path / "clone", REC, waits=())
    assert (tmp_path / "clone" / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()
    assert {name for _, name, _ in source.server.requests} == {REC[1]}


def test_what_is_here_already_is_verified(clone, source):
    fetch.keep(clone, REC, waits=())
    path = Path(os.path.realpath(clone / REC[1]))
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    source.server.requests.clear()
    fetch.keep(clone, REC, waits=())
    assert (clone / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()
    assert [name for _, name, _ in source.server.requests] == [REC[1]]
    assert not list((clone / ".git/annex/bad").glob("*"))


def test_content_that_no_remote_has_is_a_fault_of_the_data_at_once(clone, source, waits):
    source.server.gone.add(REC[1])
    asked = waits()
    with pytest.raises(Fault, match=r"no remote of the dataset has its content.*tell those who publish") as found:
        fetch.keep(clone, REC, waits=(1, 1, 1))
    assert found.value.code == "missing-file" and asked == []
    with pytest.raises(Fault, match="is not in this version"):
        fetch.keep(clone, PAIR, waits=())


def test_a_fault_of_the_network_is_tried_again_and_then_one_of_the_machine(clone, source, waits):
    source.server.dead.add(REC[1])
    asked = waits()
    with pytest.raises(fetch.Stopped, match=r"at 3 attempts .*mend the network and run again; what has come stays"):
        fetch.keep(clone, REC[1:2], waits=(3, 4))
    assert asked == [3, 4]
    asked = waits(source.server.dead.clear)
    assert fetch.keep(clone, REC, waits=(3, 4))["status"] == "ok" and asked == [3]


def test_an_address_that_git_annex_does_not_trust_is_named_with_the_way_out(clone, monkeypatch, waits):
    asked = waits()
    monkeypatch.setenv("GIT_CONFIG_COUNT", "0")
    with pytest.raises(fetch.Stopped, match=r"address 127\.0\.0\.1.*git config --global annex\.security\.allowed-ip"):
        fetch.keep(clone, REC, waits=(1, 1))
    assert asked == []  # waiting does not help


def test_a_killed_fetch_goes_on_where_it_was(clone, source):
    source.server.hold.add(REC[1])
    size = (source.full / REC[1]).stat().st_size
    part = clone / ".git/annex/tmp" / _annex.key_of(clone / REC[1])
    job = start("fetch.keep(sys.argv[1], sys.argv[2:], waits=())", clone, *REC)
    until(lambda: part.is_file() and part.stat().st_size > size // 4)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert here(clone, REC[1:2]) == []
    # the server holds the rest: a transfer that did not end with its job would be under way for ever
    fetch.keep(clone, REC, waits=(0.2,) * 20)
    first, second = source.server.asked(REC[1])
    assert first is None and size // 4 < int(second.removeprefix("bytes=").removesuffix("-")) <= size // 2
    assert (clone / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()


def test_a_transfer_that_stands_still_is_begun_again(clone, source, waits):
    subprocess.run(["git", "config", "annex.stalldetection", "1KB/2s"], cwd=clone, check=True)
    source.server.hold.add(REC[1])
    waits()
    assert fetch.keep(clone, REC, waits=(5, 6))["status"] == "ok"
    first, second = source.server.asked(REC[1])
    assert first is None and second.startswith("bytes=")
    assert (clone / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()


def test_two_fetches_at_once_in_one_clone(clone, source):
    code = "print(fetch.keep(sys.argv[1], sys.argv[2:], waits=(0.2,) * 20)['status'])"
    jobs = [start(code, clone, *files) for files in (REC, OTHER, REC)]
    said = [job.communicate()[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], said
    for name in REC + OTHER:
        assert (clone / name).read_bytes() == (source.full / name).read_bytes()


def test_an_unknown_version_names_those_that_exist(source, tmp_path):
    with pytest.raises(fetch.Stopped, match=r"no version '1\.2\.0'; there are 1\.[01]\.0, 1\.[01]\.0: mend version"):
        fetch.clone(tmp_path / "clone", str(source.url), "1.2.0")
    head = subprocess.run(["git", "rev-parse", "main"], cwd=source.url, capture_output=True, text=True, check=True)
    with pytest.raises(fetch.Stopped, match=rf"is a branch, which moves \(now it is {head.stdout.strip()}\)"):
        fetch.clone(tmp_path / "clone", str(source.url), "main")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(fetch.Stopped, match=r"no version 'abcdef012'; there are 1\."):
        fetch.clone(tmp_path / "clone", str(source.url), "abcdef012")


def test_of_many_versions_the_nearest_are_named():
    refs = {f"refs/tags/{a}.{b}.0": "" for a in range(9) for b in range(9)} | {"refs/tags/7.7.0^{}": ""}
    text = fetch._unknown("URL", "7.7.1", refs)
    assert text.startswith("URL has no version '7.7.1'; there are 7.7.0, ") and " and 69 more: mend" in text
    assert "no version is tagged there, give a commit" in fetch._unknown("URL", "1", {"refs/heads/main": ""})


def test_a_repository_that_cannot_be_read_is_named_with_the_way_out(source, tmp_path):
    waited = tmp_path / "none"
    with pytest.raises(fetch.Stopped, match=r"none cannot be read \(.*mend accession or url .* or the network"):
        fetch.clone(tmp_path / "clone", str(waited), "1.0.0")
    with pytest.raises(fetch.Stopped, match=r"http://127\.0\.0\.1:1/x cannot be read \(.*onnect"):
        fetch.clone(tmp_path / "clone", "http://127.0.0.1:1/x", "1.0.0", waits=())


@pytest.fixture
def private():
    """Address (without ``http://``) of a server that answers 401 to everybody."""

    class Refusal(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="private"')
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refusal)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}/x"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("way", ["GIT_ASKPASS", "SSH_ASKPASS", "core.askPass"])
def test_nobody_is_asked_for_a_password(way, source, private, tmp_path, monkeypatch):
    ask, trace = tmp_path / "ask", tmp_path / "asked"
    ask.write_text(f"#!/bin/sh\necho asked >> '{trace}'\necho word\n")
    ask.chmod(0o755)
    for name in "GIT_ASKPASS", "SSH_ASKPASS":
        monkeypatch.delenv(name, raising=False)
    setting = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": way, "GIT_CONFIG_VALUE_0": ask}
    for name, value in (setting if way == "core.askPass" else {way: ask}).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(_annex, "time", SimpleNamespace(sleep=lambda wait: pytest.fail("tried again")))
    with pytest.raises(fetch.Stopped, match=r"cannot be read \(.*could not read Username.*a credential\.helper"):
        fetch.clone(tmp_path / "clone", f"http://{private}", "1.0.0")
    assert not trace.exists()


def test_a_password_that_is_refused_is_not_tried_again(source, private, tmp_path, monkeypatch):
    monkeypatch.setattr(_annex, "time", SimpleNamespace(sleep=lambda wait: pytest.fail("tried again")))
    with pytest.raises(fetch.Stopped, match="Authentication failed"):
        fetch.clone(tmp_path / "clone", f"http://me:word@{private}", "1.0.0")


def test_ssh_asks_nothing_unless_a_person_chose_another(monkeypatch):
    for name in "GIT_SSH", "GIT_SSH_COMMAND":
        monkeypatch.delenv(name, raising=False)
    assert _annex._environment()["GIT_SSH_COMMAND"] == "ssh -oBatchMode=yes"
    monkeypatch.setenv("GIT_SSH", "/mine")
    assert "GIT_SSH_COMMAND" not in _annex._environment()
    monkeypatch.setenv("GIT_SSH_COMMAND", "ssh -i key")
    assert _annex._environment()["GIT_SSH_COMMAND"] == "ssh -i key"


def test_a_folder_that_was_not_fetched_is_left_alone(source, tmp_path):
    (tmp_path / "clone").mkdir()
    (tmp_path / "clone/mine.txt").write_text("kept")
    with pytest.raises(fetch.Stopped, match="was not fetched: move it away"):
        fetch.clone(tmp_path / "clone", str(source.url), "1.0.0")
    assert (tmp_path / "clone/mine.txt").read_text() == "kept"


@pytest.mark.parametrize("tool", ["git", "git-annex"])
def test_a_missing_tool_is_named_with_the_way_out(tool, tmp_path, monkeypatch):
    for name in {"git", "git-annex"} - {tool}:
        (tmp_path / name).symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(fetch.Stopped, match=f"^{tool} is missing, .*(install it|make setup)"):
        fetch.clone(tmp_path / "clone", "URL", "1.0.0")


def test_a_file_system_without_links_is_refused(clone, source):
    subprocess.run(["git", "config", "annex.crippledfilesystem", "true"], cwd=clone, check=True)
    with pytest.raises(fetch.Stopped, match="file system without symbolic links"):
        fetch.clone(clone, str(source.url), "1.0.0")


@pytest.mark.parametrize("numbers", [(1, 4, 8), pytest.param(range(40), marks=pytest.mark.slow)], ids=["some", "all"])
def test_a_clone_that_was_interrupted_anywhere_is_mended(source, tmp_path, monkeypatch, numbers):
    """The n-th command of git is the last, for every n; the next clone in the same folder ends as one that was not."""
    whole = fetch.clone(tmp_path / "whole", str(source.url), "1.1.0", waits=())
    run = _annex._run
    for number in numbers:
        left, root = [number], tmp_path / f"clone-{number}"

        def counted(*words, left=left, **more):
            left[0] -= 1
            if left[0] < 0:
                raise KeyboardInterrupt
            return run(*words, **more)

        monkeypatch.setattr(_annex, "_run", counted)
        try:
            fetch.clone(root, str(source.url), "1.1.0", waits=())
            break
        except KeyboardInterrupt:
            monkeypatch.setattr(_annex, "_run", run)
        if (root / ".git").is_dir():
            (root / ".git/index.lock").touch()
        (tmp_path / f".clone-{number}.part").mkdir(exist_ok=True)
        assert fetch.clone(root, str(source.url), "1.1.0", waits=()) == whole
        assert {path.relative_to(root) for path in root.rglob("*") if ".git/" not in f"{path}"} == {
            path.relative_to(tmp_path / "whole") for path in (tmp_path / "whole").rglob("*") if ".git/" not in f"{path}"
        }
    assert number == numbers[-1] or 8 < number < numbers[-1]


def test_what_was_edited_in_a_clone_becomes_the_version_again(clone, source):
    (clone / "dataset_description.json").write_text("{")
    (clone / REC[0]).unlink()
    fetch.clone(clone, str(source.url), "1.0.0", waits=())
    assert json.loads((clone / "dataset_description.json").read_text())["Name"]
    assert (clone / REC[0]).is_symlink()


def test_a_file_that_was_deleted_is_checked_out_again(clone, source):
    content = (source.full / REC[1]).read_bytes()
    shutil.rmtree(clone / "sub-01")
    fetch.keep(clone, REC, waits=())
    assert (clone / REC[1]).is_symlink() and (clone / REC[1]).read_bytes() == content
    # what is asked for comes back, nothing else; what was fetched is here still
    assert not (clone / "sub-01/eeg/sub-01_task-sounds_events.tsv").exists()
    shutil.rmtree(clone / "sub-01")
    source.server.requests.clear()
    assert [entry["checksum"] for entry in fetch.get(clone, REC, waits=())] == ["SHA256"] * 3
    assert source.server.requests == []
    # likewise what is lent, which is freed as ever
    shutil.rmtree(clone / "sub-02")
    with fetch.lent(clone, OTHER, waits=()):
        assert here(clone, OTHER) == OTHER
    assert here(clone, OTHER) == [] and (clone / OTHER[1]).is_symlink()
    # only what the version lacks is a fault of the data
    with pytest.raises(Fault, match="is not in this version"):
        fetch.get(clone, ["sub-01/eeg/*.eeg"], waits=())


def test_an_unlocked_file_that_was_deleted_shows_its_key_again(clone, source):
    fetch.clone(clone, str(source.url), "1.1.0", waits=())
    shutil.rmtree(clone / "sub-04")
    fetch.keep(clone, PAIR, waits=())
    assert all((clone / name).is_symlink() for name in PAIR) and here(clone, PAIR) == PAIR


@pytest.mark.parametrize("left", [False, True], ids=["gone", "without .git"])
def test_a_clone_that_was_deleted_stops_the_job_with_the_way_out(clone, left):
    """In a folder that is itself in a repository, which git would take for the clone."""
    subprocess.run(["git", "init", "--quiet"], cwd=clone.parent, check=True)
    shutil.rmtree(clone / ".git" if left else clone)
    way = rf"{clone} was fetched and .*{'move away' if left else 'hand.*: run again'}.*`--forcerun {clone}_clone\.json`"
    with pytest.raises(fetch.Stopped, match=way):
        fetch.keep(clone, REC, waits=())
    with pytest.raises(fetch.Stopped, match=way), fetch.lent(clone, REC, waits=()):
        pass


def test_a_description_that_cannot_be_had_is_told_and_the_clone_goes_on(source, tmp_path):
    source.server.gone.add("participants.tsv")
    found = fetch.clone(tmp_path / "clone", str(source.url), "1.0.0", waits=())
    assert found["missing"] == ["participants.tsv"]


def test_what_is_lent_is_freed(clone, source):
    with fetch.lent(clone, REC, waits=()):
        assert (clone / REC[1]).read_bytes() == (source.full / REC[1]).read_bytes()
    assert here(clone, REC) == [] and all((clone / name).is_symlink() for name in REC)
    assert list((clone / fetch.NOTES / "lent").iterdir()) == []
    # also after a fault of what it was lent for
    with pytest.raises(ZeroDivisionError), fetch.lent(clone, REC, waits=()):
        print(1 / 0)
    assert here(clone, REC) == []


def test_what_was_here_before_is_not_freed(clone):
    fetch.keep(clone, REC[:1], waits=())
    with fetch.lent(clone, REC, waits=()):
        pass
    assert here(clone, REC) == REC[:1]
    fetch.keep(clone, REC, waits=())
    with fetch.lent(clone, REC, waits=()):
        pass
    assert here(clone, REC) == REC


def test_what_two_have_been_lent_stays_until_both_are_done(clone):
    with fetch.lent(clone, REC, waits=()):
        with fetch.lent(clone, REC[1:2], waits=()):
            pass
        assert here(clone, REC) == REC
    assert here(clone, REC) == []


def test_what_a_killed_job_was_lent_is_freed_by_the_next(clone):
    code = "l = fetch.lent(sys.argv[1], sys.argv[2:]); l.__enter__(); print('here', flush=True); sys.stdin.read()"
    job = start(code, clone, *REC)
    until(lambda: here(clone, REC) == REC)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    with fetch.lent(clone, REC, waits=()):
        pass
    assert here(clone, REC) == []
    with fetch.lent(clone, REC, waits=()):
        fetch.keep(clone, REC, waits=())
    assert here(clone, REC) == REC


def test_a_recording_that_was_quarantined_before_is_not_fetched(clone, source, tmp_path):
    path = tmp_path / "receipt.json"
    account.write(path, account.quarantined("fetch", Fault("missing-file", "gone")))
    with pytest.raises(Fault, match="gone"), fetch.lent(clone, REC, [path], waits=()):
        pass
    assert source.server.requests == []


def test_nothing_is_looked_at_where_nothing_is_fetched(tmp_path):
    with fetch.lent(tmp_path / "none", []):
        assert list(tmp_path.iterdir()) == []


def test_a_clone_stands_alone(clone):
    """Its configuration is its own, a person's is as it was, and git of a surrounding repository has no say."""
    config = subprocess.run(
        ["git", "config", "--local", "--list"], cwd=clone, capture_output=True, text=True, check=True
    )
    for line in ("annex.private=true", "user.name=hedgerow", "remote.origin.annex-readonly=true"):
        assert line in config.stdout.splitlines()
    heads = subprocess.run(
        ["git", "log", "git-annex", "--format=%an"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert "hedgerow" not in heads.stdout


def test_the_git_that_calls_has_no_say(source, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    fetch.clone(tmp_path / "clone", str(source.url), "1.0.0", waits=())
    assert (tmp_path / "clone/.git/index").is_file() and not (tmp_path / "index").exists()


@pytest.mark.parametrize(
    ("key", "size", "checksum"),
    [
        (KEYED, 3000000, "SHA256"),
        ("MD5E-s12--d41d8cd98f00b204e9800998ecf8427e.eeg", 12, "MD5"),
        ("SHA1-s5--d41d", 5, "SHA1"),
        ("BLAKE2B160E-s7--d41d.set", 7, "BLAKE2B160"),
        ("WORM-s3-m1289672605--file.eeg", 3, None),
        ("WORM-m1289672605-s3--file-s9.eeg", 3, None),
        ("URL--http&c%%example.org%a-s44.eeg", 0, None),
        ("URL-s44--http&c%%example.org%a.eeg", 44, None),
    ],
)
def test_a_key_tells_size_and_checksum(key, size, checksum, tmp_path):
    assert (_annex.size_of(key), _annex.checksum_of(key)) == (size, checksum)
    (tmp_path / "a.eeg").symlink_to(f"../.git/annex/objects/W8/5K/{key}/{key}")
    assert _annex.key_of(tmp_path / "a.eeg") == key
    (tmp_path / "b.eeg").symlink_to("/data/b.eeg")
    (tmp_path / "c.eeg").write_text("signal")
    assert _annex.key_of(tmp_path / "b.eeg") is None and _annex.key_of(tmp_path / "c.eeg") is None


def test_a_source_has_its_address():
    block = {"source": "openneuro", "url": None, "accession": None}
    assert fetch.address("ds003645", block) == "https://github.com/OpenNeuroDatasets/ds003645"
    assert fetch.address("faces", block | {"accession": "ds003645"}).endswith("/ds003645")
    assert fetch.address("nm000104", block | {"source": "nemar"}) == "https://github.com/nemarDatasets/nm000104"
    assert fetch.address("faces", block | {"url": "/mirror"}) == "/mirror"


@pytest.fixture
def run(clone, tmp_path, monkeypatch):
    """A run in a folder whose dataset `faces` is the clone, indexed: ``run(**block)`` gives its study."""
    monkeypatch.chdir(tmp_path)
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    Path("results/raw").mkdir(parents=True)
    clone.rename("results/raw/faces")
    Path("results/index/faces").mkdir(parents=True)
    lines = [("rec", "status", "reason", "subject", "size", "files", "signal_sha256")]
    for name in REC, OTHER, [file.replace("01", "03") for file in REC]:
        lines.append((name[0].removesuffix("_eeg.vhdr"), "ok", "", name[0][4:6], "2000000", ";".join(name), "f00"))
    lines.append(("sub-09/eeg/sub-09_task-sounds", "quarantined", "missing-file", "09", "", "", ""))
    Path("results/index/faces/recordings.tsv").write_text("".join("\t".join(line) + "\n" for line in lines))
    Path("results/index/faces/participants.tsv").write_text("participant_id\n")

    def make(**block):
        block = {"source": "openneuro", "version": "1.0.0", **block}
        text = {"study": "tiny", "datasets": {"faces": block}}
        text |= {"selections": {"s": {"classes": {"a": "Event"}, "tmax": 1}}}
        return study.Study(config.complete(text, schema), "results/index/{}/recordings.tsv".format)

    return make


def test_a_run_begins_with_what_is_to_come(run, source):
    each = sum((source.full / name).stat().st_size for name in REC)
    kept, lent = {"source": "openneuro"}, {"keep_raw": False}
    whole = progress.human(3 * each)
    assert progress.totals(run(**kept)) == [f"faces 1.0.0: 3 recordings, {whole} to fetch, 0 bytes here"]
    fetch.keep("results/raw/faces", REC)
    left, here_ = progress.human(2 * each), progress.human(each)
    assert progress.totals(run(**kept)) == [f"faces 1.0.0: 2 recordings, {left} to fetch, {here_} here"]
    # what was fetched and dropped since is not fetched again
    path = Path("results/fetch/faces/sub-02/eeg/sub-02_task-sounds.json")
    path.parent.mkdir(parents=True)
    account.write(path, {"of": "f00"})
    assert progress.totals(run(**kept))[0].startswith("faces 1.0.0: 1 recordings, ")
    path.unlink()
    # what the study is about, and no more
    assert progress.totals(run(only={"subject": ["01"]})) == []
    sentence = f"faces 1.0.0: 3 recordings, {whole}, each fetched when it is cleaned and freed after"
    assert progress.totals(run(**lent)) == [sentence]
    path = Path("results/derivatives/faces/standard/sub-02/eeg/sub-02_task-sounds_desc-clean_account.json")
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert "2 recordings" in progress.totals(run(**lent))[0]
    assert progress.totals(run(source="path", version=None, path=".")) == []
    shutil.rmtree("results/index")
    assert progress.totals(run()) == []


def test_the_jobs_of_a_run_tell_how_far_it_is(run):
    """The first says what is to come; a line for every further tenth, not for every job."""
    progress.totals(run(only={"subject": ["01", "02"]}))
    root, terminal = Path("results/raw/faces"), io.StringIO()
    for files in REC, OTHER:
        fetch.keep(root, files, progress=progress.meter("faces", root, files, terminal))
    told = [line.partition(",")[0] for line in terminal.getvalue().splitlines()]
    assert told == ["faces 1.0.0: 50%", "faces 1.0.0: 100%"]
    # in the run that makes the index, nothing can be said when it starts
    (root / progress.SAID).unlink()
    subprocess.run(["git", "annex", "drop", "--force", "--quiet", "sub-02"], cwd=root, check=True, env=environment())
    terminal = io.StringIO()
    fetch.keep(root, OTHER, progress=progress.meter("faces", root, OTHER, terminal))
    first, last = terminal.getvalue().splitlines()
    assert first.startswith("faces 1.0.0: 1 recordings, ") and last.startswith("faces 1.0.0: 100%")


def test_runs_of_two_studies_at_once_each_tell_of_their_datasets(run):
    mine = run()
    progress.totals(mine)
    block = {**mine.config["datasets"]["faces"], "version": "9"}
    progress.totals(study.Study({**mine.config, "study": "other", "datasets": {"houses": block}}, None))
    root, terminal = Path("results/raw/faces"), io.StringIO()
    fetch.keep(root, REC, progress=progress.meter("faces", root, REC, terminal))
    assert terminal.getvalue().startswith("faces 1.0.0: 33%")
    assert sorted(path.name for path in Path("results/fetch").iterdir()) == ["faces.json", "houses.json"]


@pytest.mark.parametrize("what", ["overrides", "another's note", "no note", "no folder"])
def test_no_job_fails_because_its_progress_cannot_be_told(what, run, capsys):
    mine = run()
    progress.totals(mine)
    root, terminal, note = Path("results/raw/faces"), io.StringIO(), Path(progress.RUN.format("faces"))
    if what == "overrides":
        note.write_text(json.dumps({**mine.config, "overrides": "none.tsv"}, default=str))
    elif what == "another's note":
        note.write_text(json.dumps({**mine.config, "datasets": {}}, default=str))
    elif what == "no note":
        note.write_text("{")
    else:
        shutil.rmtree(root)
        meter = progress.meter("faces", root, REC, terminal)
        with pytest.raises(fetch.Stopped, match=r"--forcerun results/raw/faces_clone\.json"):
            fetch.keep(root, REC, progress=meter)
    if what != "no folder":
        assert fetch.keep(root, REC, progress=progress.meter("faces", root, REC, terminal))["status"] == "ok"
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out.count("how far faces is cannot be told") == 1


def test_a_note_that_was_cut_short_is_written_anew(run):
    progress.totals(run())
    root, terminal = Path("results/raw/faces"), io.StringIO()
    (root / progress.SAID).write_text('{"whole": 1')
    fetch.keep(root, REC, progress=progress.meter("faces", root, REC, terminal))
    assert terminal.getvalue().splitlines()[-1].startswith("faces 1.0.0: 33%")
    (root / progress.SAID).write_text('{"whole": 1')
    assert progress.totals(run())[0].startswith("faces 1.0.0: 2 recordings")


def test_a_terminal_shows_a_bar(run):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    progress.totals(run())
    root, terminal = Path("results/raw/faces"), Terminal()
    fetch.keep(root, REC, progress=progress.meter("faces", root, REC, terminal))
    text = terminal.getvalue()
    assert text.startswith("\rfaces 1.0.0 [..........") and "[###" in text and text.endswith("\033[K\n")


def test_without_a_terminal_nothing_is_told(run):
    root = Path("results/raw/faces")
    progress.totals(run())
    before = (root / progress.SAID).read_bytes()
    fetch.keep(root, REC, progress=progress.meter("faces", root, REC))
    assert (root / progress.SAID).read_bytes() == before


def test_a_receipt_is_an_input_where_signals_are_kept(run):
    rec, path = "sub-01/eeg/sub-01_task-sounds", "results/fetch/faces/sub-01/eeg/sub-01_task-sounds.json"
    assert run().kept("faces", rec) == [path] and run(keep_raw=False).kept("faces", rec) == []
    assert run().lent_mb("faces", rec) == 0 and run(keep_raw=False).lent_mb("faces", rec) == 2
    assert run().fetched("faces", rec) == REC
    Path(path).parent.mkdir(parents=True)
    account.write(path, {"status": "ok", "of": "f00"})
    assert run(keep_raw=False).kept("faces", rec) == [path] and run(keep_raw=False).lent_mb("faces", rec) == 0
    account.write(path, {"status": "ok", "of": "another version"})
    assert run(keep_raw=False).kept("faces", rec) == []
    local = run(source="path", version=None, path=".")
    assert local.kept("faces", rec) == local.fetched("faces", rec) == [] and local.lent_mb("faces", rec) == 0


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345_678_901, "12.3 GB"), (345e9, "345 GB")],
)
def test_sizes_are_told_in_units_that_are_read(size, text):
    assert progress.human(size) == text


@pytest.mark.parametrize("name", ["local", "slurm", "berzelius.example"])
def test_every_profile_bounds_the_raw_signal_in_flight(name):
    content = yaml.safe_load((ROOT / f"config/profiles/{name}/config.yaml").read_text(encoding="utf-8"))
    assert "raw_mb=200000" in content["resources"]
    # of all jobs of a run together, not of each group by itself
    assert "raw_mb=local" not in content.get("set-resource-scopes", [])
