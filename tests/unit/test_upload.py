"""Derivatives go to a folder, a DataLad dataset and the layout of the Hub: whole, once, over nothing of others."""

import json
import os
import shutil
import signal
import subprocess
import sys

import pytest
import yaml

from annexed import environment
from conftest import ROOT
from derivatives import ALLOWED, BLOCK, content, everything, send, write
from hedgerow import _annex, _datalad, _destination, _folder, _places, account, config, sums, upload
from hedgerow.account import Stopped

SCHEMA = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
EEG = "sub-02/eeg/sub-02_task-x_desc-clean_eeg.eeg"
#: A version without its second subject, who is withdrawn.
WITHDRAWN = {name: None for name in content() if name.startswith("sub-02/")} | {"participants.tsv": b"id\nsub-01\n"}
NOTE, SUMS = _destination.UNFINISHED, _destination.SUMS


@pytest.fixture
def tree(tmp_path):
    """A derivative."""
    return write(tmp_path / "tree")


@pytest.fixture
def there(tmp_path):
    """Where it goes; nothing is there yet."""
    return tmp_path / "there"


class Killed(BaseException):
    """The process ends here, whatever it is doing."""


def marks(folder):
    """What changes when a file is written: inode and time stamp of each, by path."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def killed(code, *arguments, **more):
    """Run `code` in a Python of its own, which must end by being killed."""
    code = f"import os, sys; from pathlib import Path; from derivatives import send; {code}"
    path = os.pathsep.join(map(str, (ROOT / "workflow/src", ROOT / "tests")))
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def test_a_derivative_arrives_whole_and_a_second_time_nothing_is_written(tree, there):
    done = send(tree, "folder", path=there)
    assert everything(there) == everything(tree)
    size = sum(map(len, everything(tree).values()))
    assert (done["put"], done["same"], done["put_bytes"]) == (len(everything(tree)), 0, size)
    assert (done["files"], done["bytes"], done["removed"], done["others"]) == (done["put"], size, 0, 0)
    assert done["sums"] == sums.of(tree, [SUMS])[SUMS] and done["place"] == str(there)
    before = marks(there)
    again = send(tree, "folder", path=there)
    assert marks(there) == before and (again["put"], again["same"]) == (0, done["files"])
    # a receipt says the same whenever it is written
    assert {key: again[key] for key in done.keys() - {"put", "put_bytes", "same"}} == {
        key: done[key] for key in done.keys() - {"put", "put_bytes", "same"}
    }


def test_the_table_of_sums_is_that_of_a_published_tree():
    publish = pytest.importorskip("hedgerow.publish")
    assert publish.SUMS == SUMS


def test_a_published_file_is_no_link_to_the_results(tree, there):
    send(tree, "folder", path=there)
    with open(tree / EEG, "r+b") as file:
        file.write(b"changed in place")
    assert (there / EEG).read_bytes() == content()[EEG]


def test_what_went_to_one_place_is_not_known_at_another(tree, tmp_path):
    """Digests of what is there are cached: those of the place itself."""
    cache = tmp_path / "cache.tsv"
    block = {**BLOCK, "kind": "folder", "overwrite": True}
    for _ in range(2):
        for name in ("one", "two"):
            block["path"] = str(tmp_path / name)
            upload.send(tree, ALLOWED, block, name="there", study="lab", dataset="eyes", cache=cache)
            assert everything(tmp_path / name) == everything(tree)
            (tmp_path / name / EEG).write_bytes(bytes(len(content()[EEG])))


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"README.md": b"other"}, ["other content of README.md, code/sha256sums"]),
        ({EEG: bytes(60_000)}, ["other content of", EEG]),
        (WITHDRAWN, ["no longer part", "sub-02_task-x_desc-clean_eeg.eeg", "and 1 more"]),
    ],
)
def test_nothing_is_replaced_or_removed_without_consent(tree, there, files, words):
    send(tree, "folder", path=there)
    before, was = marks(there), everything(there)
    write(tree, content(**files))
    with pytest.raises(Stopped) as told:
        send(tree, "folder", path=there)
    assert all(word in str(told.value) for word in [*words, str(there), "`overwrite: true` in uploads.there"])
    assert marks(there) == before
    done = send(tree, "folder", path=there, overwrite=True)
    assert everything(there) == everything(tree)
    assert done["removed"] == len(was.keys() - everything(tree).keys())
    assert not list(there.rglob("sub-02")) or (tree / "sub-02").exists()
    kept = [name for name, text in was.items() if everything(tree).get(name) == text]
    assert {name: marks(there)[name] for name in kept} == {name: before[name] for name in kept}


def test_a_folder_of_others_is_refused_and_with_consent_left_alone(tree, there):
    (there / "sub-01/eeg").mkdir(parents=True)
    (there / "sub-01/eeg/notes.txt").write_text("mine")
    (there / "README.md").write_text("mine too")
    before = everything(there)
    with pytest.raises(Stopped, match=r"not of this derivative: sub-01/eeg/notes\.txt"):
        send(tree, "folder", path=there)
    assert everything(there) == before
    done = send(tree, "folder", path=there, overwrite=True)
    assert done["others"] == 1 and everything(there) == {**everything(tree), "sub-01/eeg/notes.txt": b"mine"}
    # a file that the derivative had, and now somebody else has, at a place of its own
    (there / "sub-02/eeg/more.txt").write_text("mine")
    send(write(tree, content(**WITHDRAWN)), "folder", path=there, overwrite=True)
    left = {"sub-01/eeg/notes.txt": b"mine", "sub-02/eeg/more.txt": b"mine"}
    assert everything(there) == {**everything(tree), **left}


@pytest.mark.parametrize("other", [{"study": "other"}, {"dataset": "other"}])
def test_another_derivative_is_not_taken_for_an_earlier_version(tree, there, tmp_path, other):
    """Consent to replace one is none to remove another."""
    send(write(tmp_path / "other", **other), "folder", path=there, **other)
    before = everything(there)
    with pytest.raises(
        Stopped, match=r"holds another derivative \(study \w+, dataset file:\w+; this one is of study lab"
    ):
        send(tree, "folder", path=there, overwrite=True)
    assert everything(there) == before


@pytest.mark.parametrize("url", ["https://openneuro.org/datasets/ds1/versions/{}", "https://doi.org/10.1/ds1.v{}"])
def test_a_new_version_of_the_raw_dataset_is_the_same_derivative(url):
    def told(version, study=b"study: 'lab'\n"):
        return _destination.identity(json.dumps({"Name": "one", "DatasetLinks": {"raw": url.format(version)}}), study)

    assert told("1.0.0") == told("2.0.1") and told("1.0.0")["raw"] == url[: url.index("ds1") + 3]
    assert not _destination.alike(told("1.0.0"), told("1.0.0", b"study: lab2\n"))
    assert told("1.0.0", b"studies: lab\n") is None
    moved = {**told("1.0.0"), "raw": "https://elsewhere.org/ds1"}
    assert _destination.alike(told("1.0.0"), moved)
    assert not _destination.alike(told("1.0.0"), {**moved, "name": "another"})


def test_a_kill_in_the_middle_of_a_file_and_again(tree, there):
    """By a signal that nothing can catch; what had arrived is not written again, half a file is none."""
    code = """
from hedgerow import _folder
_folder.BLOCK, number = 10_000, [0]
class Slow:
    def __init__(self, file): self.file = file
    def __enter__(self): return self
    def __exit__(self, *error): self.file.close()
    def read(self, size):
        number[0] += 1
        if number[0] == 20: os.kill(os.getpid(), 9)
        return self.file.read(size)
from hedgerow._destination import Goods
opened = Goods.open
Goods.open = lambda self, name: Slow(opened(self, name))
send(Path(sys.argv[1]), 'folder', path=sys.argv[2])
"""
    killed(code, tree, there)
    before = marks(there)
    assert any(name.endswith(".part") for name in before) and NOTE in before and SUMS not in before
    arrived = {name: mark for name, mark in before.items() if name != NOTE and not name.endswith(".part")}
    assert arrived and all((there / name).read_bytes() == everything(tree)[name] for name in arrived)
    done = send(tree, "folder", path=there)
    assert everything(there) == everything(tree)
    assert {name: marks(there)[name] for name in arrived} == arrived and done["same"] == len(arrived)


def _until(left, function):
    """`function`, which can be called until `left` (a list of one number) is used up."""

    def step(*arguments, **more):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        return function(*arguments, **more)

    return step


def test_killed_at_any_step_of_an_update_it_goes_on(tree, tmp_path, monkeypatch):
    """And the table of sums never stands beside what it does not describe; the steps are those that write."""
    send(tree, "folder", path=tmp_path / "first")
    write(tree, content(**{**WITHDRAWN, "README.md": b"new", "new.tsv": b"new"}))
    whole, steps = None, 0
    while whole is None:
        there, left = tmp_path / f"there{steps}", [steps]
        shutil.copytree(tmp_path / "first", there)
        with monkeypatch.context() as patch:
            for name in ("replace", "unlink", "rmdir", "fsync"):
                patch.setattr(os, name, _until(left, getattr(os, name)))
            try:
                send(tree, "folder", path=there, overwrite=True)
                whole = everything(there)
            except Killed:
                steps += 1
        if (there / SUMS).is_file():
            wrong = sums.compare(there, sums.read(there / SUMS), [NOTE, SUMS, "*.part"])
            assert not any(wrong.values())
        arrived = {name for name in everything(there) if everything(there)[name] == everything(tree).get(name)}
        before = marks(there)
        send(tree, "folder", path=there, overwrite=True)
        assert {name: marks(there)[name] for name in arrived} == {name: before[name] for name in arrived}
        assert everything(there) == everything(tree)
    assert steps > 15


def test_an_upload_that_was_killed_is_an_earlier_version_as_well(tree, there, monkeypatch):
    """Who is withdrawn between the two is not left behind."""
    monkeypatch.setattr(_folder.Folder, "put", lambda self, goods, names, done: _put(self, goods, names[:-3], done))
    with pytest.raises(Killed):
        send(tree, "folder", path=there)
    monkeypatch.undo()
    assert (there / EEG).is_file() and not (there / SUMS).exists()
    write(tree, content(**WITHDRAWN))
    with pytest.raises(Stopped, match="no longer part of the derivative: sub-02/eeg"):
        send(tree, "folder", path=there)
    done = send(tree, "folder", path=there, overwrite=True)
    assert everything(there) == everything(tree) and done["removed"] == 1


def _put(place, goods, names, done, _really=_folder.Folder.put):
    _really(place, goods, names, done)
    raise Killed


def test_no_link_leads_an_upload_out_of_its_folder(tree, there, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "README.md").write_text("of somebody else")
    there.mkdir()
    (there / "sub-01").symlink_to(outside)
    with pytest.raises(Stopped, match=r"there/sub-01 is in the way"):
        send(tree, "folder", path=there, overwrite=True)
    (there / "sub-01").unlink()
    (there / "README.md").symlink_to(outside / "README.md")
    (there / ".participants.tsv.part").symlink_to(outside / "README.md")
    # the content is the wanted one, for as long as its owner likes
    (outside / ".bidsignore").write_bytes(content()[".bidsignore"])
    (there / ".bidsignore").symlink_to(outside / ".bidsignore")
    with pytest.raises(Stopped, match=r"other content of \.bidsignore, README\.md"):
        send(tree, "folder", path=there)
    send(tree, "folder", path=there, overwrite=True)
    assert everything(outside) == {"README.md": b"of somebody else", ".bidsignore": content()[".bidsignore"]}
    assert everything(there) == everything(tree) and not any(path.is_symlink() for path in there.rglob("*"))


@pytest.mark.parametrize("in_the_way", ["sub-01", "README.md/file"])
def test_a_file_where_a_folder_goes_is_in_the_way(tree, there, in_the_way):
    (there / in_the_way).parent.mkdir(parents=True)
    (there / in_the_way).write_text("")
    with pytest.raises(Stopped, match=f"{in_the_way.split('/')[0]} is in the way"):
        send(tree, "folder", path=there, overwrite=True)


def test_what_is_not_as_its_digest_says_does_not_go(tree, there):
    (tree / EEG).write_bytes(bytes(len(content()[EEG])))
    with pytest.raises(Stopped, match=rf"{EEG} is not what code/sha256sums says: `snakemake --forcerun"):
        send(tree, "folder", path=there)
    assert not (there / EEG).exists() and not (there / SUMS).exists() and not list(there.rglob("*.part"))
    (tree / EEG).unlink()
    with pytest.raises(Stopped, match=r"no complete derivative .*sub-02"):
        send(tree, "folder", path=there)


def test_what_was_not_written_as_it_was_sent_is_found(tree, there, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda number: os.pwrite(number, b"rot", 0))
    with pytest.raises(Stopped, match="was not written as it was sent"):
        send(tree, "folder", path=there)


def test_a_full_disk_is_told_and_gone_on_from(tree, there, monkeypatch):
    def full(number):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(Stopped, match=r"uploads\.there: .*No space left.*: make room"):
            send(tree, "folder", path=there)
    send(tree, "folder", path=there)
    assert everything(there) == everything(tree)


@pytest.mark.parametrize(
    ("licence", "block", "words"),
    [
        ({"redistribution": "forbidden", "sentence": "DUA."}, {}, "DUA. Nothing was sent: no destination may have it"),
        (
            {"redistribution": "forbidden", "sentence": "DUA."},
            {"licence_confirmed": True, "overwrite": True},
            "no destination",
        ),
        ({"redistribution": "unknown", "sentence": "Ask."}, {}, "Ask. .*`licence_confirmed: true` in uploads.there"),
        (None, {}, "Nobody has judged .*`licence_confirmed: true`"),
        ({"redistribution": "unknown", "sentence": "Ask."}, {"licence_confirmed": True}, None),
        (None, {"licence_confirmed": True}, None),
        ({"redistribution": "allowed", "sentence": "CC0."}, {}, None),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "datalad", "huggingface"])
def test_a_licence_decides_before_anything_is_sent(tree, there, kind, licence, block, words):
    done = {"licence": licence} if licence else {}
    if words is None:
        if kind == "datalad":
            pytest.skip("as for a folder")
        found = send(tree, kind, done=done, path=there, **block)
        assert found["licence"] == (licence or {}).get("redistribution", "unknown")
        return
    block.pop("overwrite", None) if kind == "datalad" else None
    with pytest.raises(Stopped, match=words):
        send(tree, kind, done=done, path=there, **block)
    assert not there.exists()


def test_errors_of_the_validator_are_noted(tree, there):
    assert send(tree, "folder", done={**ALLOWED, "errors": 2}, path=there)["notes"] == [
        "the validator found 2 errors in the derivative"
    ]


def test_the_layout_of_the_hub_keeps_binary_files_beside_git(tree, there):
    """Held against git itself, which reads the attributes."""
    write(tree, content(**{"manifest.tsv": b"x" * (10**7 + 1), "code/hedgerow.zip": b"PK"}))
    send(tree, "huggingface", path=there)
    names = sorted(everything(there))
    assert set(names) == {*everything(tree), ".gitattributes"}
    subprocess.run(["git", "init", "--quiet"], cwd=there, check=True)
    command = ["git", "check-attr", "filter", "--", *names]
    lines = subprocess.run(command, cwd=there, check=True, capture_output=True, text=True).stdout.splitlines()
    kept = {line.split(": ")[0] for line in lines if line.endswith(": lfs")}
    assert kept == {name for name in names if name.endswith((".eeg", ".zip"))} | {"manifest.tsv"}
    # what git and the program that sends it leave there is no matter
    (there / ".cache/huggingface").mkdir(parents=True)
    (there / ".cache/huggingface/x.lock").write_text("")
    assert send(tree, "huggingface", path=there)["others"] == 0


def test_the_limits_of_the_hub_are_told():
    few = {f"sub-{n:05}/eeg/x_eeg.eeg": _destination.File(1, "") for n in range(9_999)}
    assert upload.limits(few) == []
    assert upload.limits({**few, "README.md": _destination.File(1, "")}) == [
        "10000 entries in the top folder: the Hub recommends fewer than 10000"
    ]
    many = {f"sub-{n // 1000:03}/{n}": _destination.File(1, "") for n in range(100_000)}
    assert upload.limits(many) == ["100000 files: the Hub recommends fewer than 100000"]
    assert upload.limits({"a.eeg": _destination.File(21 * 10**9, "")}) == [
        "a.eeg has 21.0 GB: the Hub recommends 20.0 GB at most"
    ]


# the configuration


def complete(datasets=("eyes",), **uploads):
    blocks = {name: {"source": "simulate"} if isinstance(name, str) else name for name in datasets}
    return config.complete({"study": "lab", "datasets": blocks, "uploads": uploads}, SCHEMA)


def test_the_defaults_of_a_destination(tmp_path):
    found = complete(disk={"kind": "folder", "path": str(tmp_path)})["uploads"]
    assert found == {"disk": {**BLOCK, "kind": "folder", "path": str(tmp_path)}}
    assert complete()["uploads"] == {}


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"kind": "ftp"}, r"uploads\.d\.kind: 'ftp'"),
        ({"kind": "folder"}, r"uploads\.d: kind 'folder' needs the key path"),
        ({"kind": "s3"}, r"uploads\.d: kind 's3' needs the key bucket"),
        ({"kind": "s3", "bucket": "s3://b"}, r"uploads\.d\.bucket"),
        ({"kind": "s3", "bucket": "bb", "path": "/x"}, r"uploads\.d\.path is for destinations of the other kinds"),
        ({"kind": "s3", "bucket": "bb", "endpoint": "https://key:secret@x.org"}, r"uploads\.d\.endpoint"),
        ({"kind": "s3", "bucket": "bb", "part_mib": 1}, r"uploads\.d\.part_mib"),
        (
            {"kind": "s3", "bucket": "bb", "prefix": "{subject}"},
            r"uploads\.d\.prefix is '\{subject\}'; only \{dataset\}",
        ),
        ({"kind": "folder", "path": "/x/{"}, r"uploads\.d\.path is '/x/\{'; only"),
        ({"kind": "folder", "path": "/x", "bucket": "bb"}, r"uploads\.d\.bucket is for destinations of kind 's3', not"),
        ({"kind": "folder", "path": "/x", "prefix": "a"}, r"uploads\.d\.prefix is for destinations of kind 's3', not"),
        ({"kind": "datalad", "path": "/x", "region": "eu"}, r"uploads\.d\.region is for"),
        ({"kind": "datalad", "path": "/x", "overwrite": True}, r"uploads\.d\.overwrite: .*keeps its history"),
        ({"kind": "folder", "path": "results/out"}, r"uploads\.d\.path: 'results/out' lies in results/"),
        ({"kind": "folder", "path": "."}, r"uploads\.d\.path: '\.' lies in results/, or results/ in it"),
        ({"kind": "folder", "path": "/"}, "lies in results/"),
        (
            {"kind": "folder", "path": "/x", "overwrit": True},
            r"unknown key 'overwrit' in uploads\.d; did you mean 'over",
        ),
    ],
)
def test_a_destination_that_means_nothing_is_refused(tmp_path, monkeypatch, block, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(config.ConfigError, match=words):
        complete(d=block)


def test_a_link_to_the_results_is_the_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "big").mkdir()
    (tmp_path / "results").symlink_to("big")
    with pytest.raises(config.ConfigError, match="lies in results/"):
        complete(d={"kind": "folder", "path": str(tmp_path / "big/out")})


@pytest.mark.parametrize("path", ["raw", "raw/sub-01", "."])
def test_a_raw_dataset_is_no_destination(tmp_path, monkeypatch, path):
    (tmp_path / "here/results").mkdir(parents=True)
    (tmp_path / "raw").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    study = {"study": "lab", "datasets": {"eyes": {"source": "path", "path": str(tmp_path / "raw")}}}
    study["uploads"] = {"d": {"kind": "folder", "path": str(tmp_path / "raw/derivatives/clean")}}
    config.complete(study, SCHEMA)
    study["uploads"]["d"]["path"] = str(tmp_path / path)
    with pytest.raises(config.ConfigError, match=r"raw dataset 'eyes', which is only read|lies in results/"):
        config.complete(study, SCHEMA)


@pytest.mark.parametrize(
    "uploads",
    [
        {"a": {"kind": "folder", "path": "/x"}},
        {"a": {"kind": "folder", "path": "/x/{dataset}"}, "b": {"kind": "datalad", "path": "/x/{dataset}"}},
        {"a": {"kind": "folder", "path": "/x/{dataset}"}, "b": {"kind": "folder", "path": "/x/ears/{dataset}"}},
        {"a": {"kind": "s3", "bucket": "bb", "prefix": ""}},
        {"a": {"kind": "s3", "bucket": "bb"}, "b": {"kind": "s3", "bucket": "bb", "prefix": "/{dataset}/{study}"}},
    ],
)
def test_no_two_derivatives_go_to_one_place(uploads):
    with pytest.raises(config.ConfigError, match=r"uploads\.[ab]\.(path|prefix): .*put \{dataset\} into the places"):
        complete(("eyes", "ears"), **uploads)


def test_places_beside_each_other_are_fine():
    blocks = {"a": {"kind": "folder", "path": "/x/{study}/{dataset}"}, "b": {"kind": "folder", "path": "/x/{dataset}"}}
    blocks |= {"c": {"kind": "s3", "bucket": "bb"}, "d": {"kind": "s3", "bucket": "bb", "endpoint": "http://x"}}
    assert complete(("eyes", "ears"), **blocks)["uploads"].keys() == {"a", "b", "c", "d"}
    place = upload.destination(complete(**blocks)["uploads"]["a"], study="lab", dataset="eyes")
    assert str(place) == "/x/lab/eyes"


def test_a_container_is_shown_the_folders_that_are_sent_to(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    blocks = {"a": {"kind": "folder", "path": f"{tmp_path}/out/{{dataset}}"}, "b": {"kind": "s3", "bucket": "bb"}}
    blocks |= {"c": {"kind": "folder", "path": "beside"}, "d": {"kind": "folder", "path": "/nowhere-yet/x"}}
    found = _places.folders(complete(**blocks))
    assert config.binds({}, "/a:/a", found) == f"/a:/a,{tmp_path}:{tmp_path}"
    (tmp_path / "out/eyes").mkdir(parents=True)
    assert config.binds({}, "", found) == f"{tmp_path}/out/eyes:{tmp_path}/out/eyes"


# the dry run


def test_preview_tells_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "there"
    uploads = complete(disk={"kind": "folder", "path": str(there)})["uploads"]

    def told():
        before = marks(tmp_path)
        text = upload.preview(uploads, study="lab", datasets=["eyes"])
        assert marks(tmp_path) == before and there.exists() == exists
        return text

    exists = False
    assert "not published yet: `snakemake results/studies/lab/published/eyes_validation.json`" in told()
    tree = write(tmp_path / "results/studies/lab/published/eyes")
    account.write(f"{tree}_validation.json", ALLOWED)
    text = told()
    assert text.startswith(f"disk, eyes\n  to {there}\n  new: 14 files, 181.8 kB\n")
    assert f"60.0 kB  {EEG}" in text and "in all: 181.8 kB of 181.8 kB would be sent" in text and "refused" not in text
    send(tree, "folder", path=there)
    exists = True
    assert "there already: 14 files, 181.8 kB\n  in all: nothing to do" in told()
    (there / "mine.txt").write_text("")
    write(tree, content(**{**WITHDRAWN, "README.md": b"new"}))
    text = told()
    assert "changed: 3 files" in text and "to remove: 4 files" in text and f"\n    {EEG}\n" in text
    assert "of others, left alone: 1 files" in text and "refused: " in text and "`overwrite: true`" in text
    uploads["disk"]["overwrite"] = True
    assert "refused" not in told()
    account.write(f"{tree}_validation.json", {"errors": 3})
    assert "note: the validator found 3 errors" in told() and "`licence_confirmed: true` in uploads.disk" in told()


def test_preview_without_destinations_says_so():
    assert "no destination" in upload.preview({}, study="lab", datasets=["eyes"])


# DataLad datasets


@pytest.fixture
def annex(monkeypatch):
    """git and git-annex of a user whose name nobody knows; ``annex(folder, command...)`` runs git there."""
    for tool in ("git", "git-annex"):
        if shutil.which(tool, path=environment()["PATH"]) is None:
            pytest.skip(f"{tool} is missing: `make setup`, or apt-get install {tool}")
    for name in [name for name in os.environ if name.startswith(("GIT_AUTHOR", "GIT_COMMITTER"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": "/nonexistent",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
    }.items():
        monkeypatch.setenv(name, value)

    # what some users have, and must change no file
    for name, value in {"COUNT": "1", "KEY_0": "core.autocrlf", "VALUE_0": "true"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)

    def run(folder, *command):
        env = environment() | {"HOME": "/nonexistent"}
        command = ["git", *map(str, command)]
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


def commits(annex, there):
    return int(annex(there, "rev-list", "--count", "HEAD"))


def test_a_datalad_dataset_has_text_in_git_and_signals_in_the_annex(tree, there, annex, tmp_path):
    send(tree, "datalad", path=there)
    assert everything(there, [".git", ".datalad", ".gitattributes"]) == everything(tree)
    found = annex(there, "annex", "find").splitlines()
    assert sorted(found) == sorted(n for n in everything(tree) if n.endswith((".eeg", ".zip")))
    assert annex(there, "config", "--file", ".datalad/config", "datalad.dataset.id") == _datalad.identifier(
        "lab", "eyes"
    )
    assert commits(annex, there) == 1 and annex(there, "status", "--porcelain") == ""
    said = annex(there, "log", "--all", "--format=%an %ae %B")
    assert "study lab, dataset eyes" in said and set(annex(there, "log", "--all", "--format=%ae").split()) == {
        "hedgerow@localhost"
    }
    # nothing of this machine is told to those who clone it
    assert str(tmp_path) not in annex(there, "show", "git-annex:uuid.log")
    annex(there, "annex", "fsck", "--quiet")
    annex(tmp_path, "-c", "core.autocrlf=true", "clone", "--quiet", there, "clone")
    annex(tmp_path / "clone", "annex", "get", "--quiet", ".")
    assert everything(tmp_path / "clone", [".git", ".datalad", ".gitattributes"]) == everything(tree)


def test_a_datalad_dataset_grows_by_commits_and_only_by_changes(tree, there, annex):
    """What was keeps standing in the history, so that nobody is asked."""
    send(tree, "datalad", path=there)
    # git-annex itself tidies its cache when it likes
    before = {name: mark for name, mark in marks(there).items() if not name.startswith(".git/annex/keysdb")}
    done = send(tree, "datalad", path=there)
    assert marks(there).items() >= before.items()
    assert (done["put"], commits(annex, there)) == (0, 1)
    (there / "mine.txt").write_text("mine")
    annex(there, "add", "mine.txt")
    annex(there, "commit", "--quiet", "--message", "mine")
    write(tree, content(**{**WITHDRAWN, "sub-01/eeg/sub-01_task-x_desc-clean_eeg.eeg": bytes(50_000)}))
    done = send(tree, "datalad", path=there)
    assert everything(there, [".git", ".datalad", ".gitattributes"]) == {**everything(tree), "mine.txt": b"mine"}
    assert (done["put"], done["removed"], done["others"], commits(annex, there)) == (3, 4, 1, 3)
    annex(there, "checkout", "--quiet", "HEAD~2")
    assert (there / EEG).read_bytes() == content()[EEG]
    with pytest.raises(Stopped, match="is on no branch"):
        send(tree, "datalad", path=there)


def test_a_datalad_upload_that_is_killed_goes_on(tree, tmp_path, annex, monkeypatch):
    """Before and after every command of git, and while files are copied; it ends with one commit."""
    run, steps, ended = _annex._run, 1, False
    while not ended:
        there, left = tmp_path / f"there{steps}", [steps]

        before, after = _until(left, lambda: None), _until(left, lambda: None)

        def step(*arguments, _before=before, _after=after, **more):
            _before()
            done = run(*arguments, **more)
            _after()
            return done

        steps += 9
        with monkeypatch.context() as patch:
            patch.setattr(_annex, "_run", step)
            try:
                send(tree, "datalad", path=there)
                ended = True
            except Killed:
                (there / ".git/index.lock").touch()
        send(tree, "datalad", path=there)
        assert everything(there, [".git", ".datalad", ".gitattributes"]) == everything(tree)
        assert commits(annex, there) == 1 and annex(there, "status", "--porcelain") == ""
    assert steps > 10


def test_a_datalad_upload_that_is_killed_by_a_signal_copies_nothing_twice(tree, there, annex):
    code = """
from hedgerow._folder import Folder
copy, number = Folder._copy, [0]
def few(self, goods, name):
    number[0] += 1
    if number[0] > 5: os.kill(os.getpid(), 9)
    copy(self, goods, name)
Folder._copy = few
send(Path(sys.argv[1]), 'datalad', path=sys.argv[2])
"""
    killed(code, tree, there)
    arrived = {n: mark for n, mark in marks(there).items() if not n.startswith(".") and n in everything(tree)}
    assert 2 < len(arrived) < len(everything(tree))
    done = send(tree, "datalad", path=there)
    assert done["same"] >= len(arrived) and done["put"] + done["same"] == done["files"]
    assert everything(there, [".git", ".datalad", ".gitattributes"]) == everything(tree) and commits(annex, there) == 1


def test_a_repository_of_somebody_else_is_refused(tree, there, annex, tmp_path):
    there.mkdir()
    (there / "x").write_text("mine")
    with pytest.raises(Stopped, match="is no DataLad dataset and not empty"):
        send(tree, "datalad", path=there)
    annex(there, "init", "--quiet")
    with pytest.raises(Stopped, match=r"another repository \(no DataLad dataset\)"):
        send(tree, "datalad", path=there)
    shutil.rmtree(there / ".git/refs")
    annex(tmp_path, "init", "--quiet")
    with pytest.raises(Stopped, match="is no DataLad dataset and not empty"):
        send(tree, "datalad", path=there)
    assert everything(there, [".git"]) == {"x": b"mine"} and not (there / ".git/hedgerow").exists()
    other = tmp_path / "other"
    send(write(tmp_path / "t", study="other"), "datalad", study="other", path=other)
    with pytest.raises(Stopped, match=rf"another repository \({_datalad.identifier('other', 'eyes')}\)"):
        send(tree, "datalad", path=other)


def test_changes_that_are_not_committed_are_nobody_elses_business(tree, there, annex):
    send(tree, "datalad", path=there)
    (there / "README.md").write_text("mine")
    (there / "new.txt").write_text("mine")
    write(tree, content(**{"README.md": b"new"}))
    with pytest.raises(Stopped, match=r"not committed \(README\.md, new\.txt\): commit or discard them"):
        send(tree, "datalad", path=there)
    assert (there / "README.md").read_text() == "mine" and commits(annex, there) == 1


def test_without_git_it_is_told_what_to_install(tree, there, annex, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(Stopped, match=r"git is missing, without which there is no DataLad dataset: install it"):
        send(tree, "datalad", path=there)
    assert not there.exists()


def test_datalad_itself_takes_it_for_a_dataset(tree, there, annex, tmp_path):
    datalad = os.environ.get("DATALAD") or shutil.which("datalad")
    if datalad is None:
        pytest.skip("no datalad here: pip install datalad, anywhere, and name it in DATALAD")
    send(tree, "datalad", path=there)
    env = environment() | {"HOME": str(tmp_path)}
    for command in (
        ["status", "-d", there],
        ["clone", there, tmp_path / "clone"],
        ["get", "-d", tmp_path / "clone", tmp_path / "clone"],
    ):
        done = subprocess.run([datalad, *map(str, command)], env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert everything(tmp_path / "clone", [".git", ".datalad", ".gitattributes"]) == everything(tree)
