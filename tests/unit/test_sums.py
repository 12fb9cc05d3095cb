"""Tables of sums: what sha256sum says of them, what a cache spares, and what of a tree is found to differ."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hedgerow import sums

#: Kinds of file: empty, at the root, deep, hidden, with spaces, an asterisk, letters beyond ASCII, of some size.
FILES = {
    "README": b"words\n",
    "code/empty": b"",
    "sub-01/eeg/sub-01_desc-clean_eeg.eeg": bytes(range(256)) * 5000,
    "sub-01/eeg/sub-01_desc-clean_eeg.json": b"{}\n",
    ".hidden": b"h",
    "with  two spaces": b"s",
    "*star": b"*",
    "größe": b"g",
    " leading": b"l",
}


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name, content in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def _expected():
    return {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}


def _flip(path, at=0):
    """Another byte at a place, with the size and the time stamp that the file had."""
    before = os.stat(path)
    content = bytearray(Path(path).read_bytes())
    content[at] ^= 1
    Path(path).write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("threads", [1, 3])
def test_digests_are_those_of_the_bytes(tree, threads):
    assert sums.of(tree, FILES, threads=threads) == _expected()


def test_many_files_keep_their_order(tmp_path):
    names = [f"{number:03}" for number in range(3 * sums.CHUNK + 1)]
    for name in names:
        (tmp_path / name).write_text(name)
    found = sums.of(tmp_path, reversed(names))
    assert list(found) == names[::-1]
    assert all(found[name] == hashlib.sha256(name.encode()).hexdigest() for name in names)


def test_sha256sum_agrees(tree):
    table = tree / "code/sha256sums"
    sums.write(table, sums.of(tree, FILES))
    check = ["sha256sum", "--check", "--strict", "code/sha256sums"]
    assert subprocess.run(check, cwd=tree, capture_output=True).returncode == 0
    names = sorted(map(os.fsencode, FILES))
    assert table.read_bytes() == subprocess.run(["sha256sum", *names], cwd=tree, capture_output=True).stdout
    assert sums.read(table) == _expected() and not list(tree.rglob("*.tmp"))
    _flip(tree / "README")
    assert subprocess.run(check, cwd=tree, capture_output=True).returncode == 1


def test_names_that_are_no_utf8_keep_their_bytes(tmp_path):
    name = os.fsdecode(b"a\xe9")
    (tmp_path / name).write_bytes(b"x")
    sums.write(tmp_path / "sums", sums.of(tmp_path, [name], tmp_path / "cache"))
    assert sums.read(tmp_path / "sums") == sums.of(tmp_path, [name], tmp_path / "cache")
    check = subprocess.run(["sha256sum", "--check", "sums"], cwd=tmp_path, capture_output=True)
    assert check.returncode == 0


@pytest.mark.parametrize("name", ["a\nb", "a\\b", "a\tb", "a\rb", "-"])
def test_names_that_sha256sum_writes_otherwise_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match="rename the file"):
        sums.of(tmp_path, [name])
    with pytest.raises(ValueError, match="rename the file"):
        sums.write(tmp_path / "sums", {name: "0" * 64})
    assert not (tmp_path / "sums").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda line: line[1:], "line 2 is no sha256"),
        (lambda line: line.replace("  ", " ", 1), "line 2 is no sha256"),
        (lambda line: line.replace("  ", " *", 1), "line 2 is no sha256"),
        (lambda line: "G" + line[1:], "line 2 is no sha256"),
        (lambda line: line.replace("\n", "\r\n"), "line 2 is no sha256"),
        (lambda line: line.rstrip("\n"), "line 2 is no sha256"),
        (lambda line: "\n", "line 2 is no sha256"),
        (lambda line: line.replace("  b", "  /b"), "line 2: /b is not below"),
        (lambda line: line.replace("  b", "  c/../../b"), "line 2: c/../../b is not below"),
        (lambda line: line.replace("  b", "  a"), "line 2: a is there twice"),
    ],
)
def test_a_line_that_is_no_sum_is_named(tmp_path, change, words):
    path = tmp_path / "sums"
    path.write_text(f"{'0' * 64}  a\n" + change(f"{'1' * 64}  b\n"), newline="")
    with pytest.raises(ValueError) as error:
        sums.read(path)
    assert str(error.value).startswith(f"{path}, {words}")


def test_a_cache_spares_reading_what_has_not_changed(tree, tmp_path, monkeypatch):
    cache, read = tmp_path / "cache.tsv", []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(file.name) or digest(file, kind))
    first = sums.of(tree, FILES, cache)
    assert len(read) == len(FILES)
    read.clear()
    assert sums.of(tree, FILES, cache) == first and read == []
    # another content, another time stamp, another inode: read again, and nothing else
    (tree / "README").write_bytes(b"other\n")
    os.utime(tree / "code/empty", ns=(1, 1))
    shutil.copy2(tree / "größe", tree / "copy")
    os.replace(tree / "copy", tree / "größe")
    found = sums.of(tree, FILES, cache)
    assert sorted(os.path.relpath(name, tree) for name in read) == ["README", "code/empty", "größe"]
    assert found == {**first, "README": hashlib.sha256(b"other\n").hexdigest()}
    read.clear()
    cache.write_text(cache.read_text().replace("\t", " ", 3)[:-9])
    assert sums.of(tree, FILES, cache) == found and 0 < len(read) < len(FILES)
    assert sums.of(tree, ["README"], cache) == {"README": found["README"]}
    assert [line.split("\t")[0] for line in cache.read_text().splitlines()] == ["path", "README"]


def test_what_was_read_before_a_fault_is_kept(tree, tmp_path):
    cache = tmp_path / "cache.tsv"
    with pytest.raises(FileNotFoundError, match="nowhere"):
        sums.of(tree, ["README", "nowhere", ".hidden"], cache)
    assert [line.split("\t")[0] for line in cache.read_text().splitlines()] == ["path", "README"]


def test_files_of_two_names_are_read_once(tree, monkeypatch):
    os.link(tree / "README", tree / "again")
    read, digest = [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(file.name) or digest(file, kind))
    found = sums.of(tree, ["README", "again", ".hidden"], threads=1)
    assert found["README"] == found["again"] and len(read) == 2


@pytest.mark.parametrize("name", [name for name in FILES if FILES[name]])
def test_a_flipped_byte_is_found_wherever_it_is(tree, name):
    assert sums.compare(tree, _expected()) == {"missing": [], "changed": [], "added": []}
    for at in (0, len(FILES[name]) // 2, -1):
        _flip(tree / name, at)
        assert sums.compare(tree, _expected()) == {"missing": [], "changed": [name], "added": []}
        _flip(tree / name, at)
    assert sums.compare(tree, _expected()) == {"missing": [], "changed": [], "added": []}


def test_the_cache_would_not_find_it(tree, tmp_path):
    """Why `compare` has none: the time stamp of rotten bytes is that of the sound ones."""
    sums.of(tree, FILES, tmp_path / "cache")
    _flip(tree / "README")
    assert sums.of(tree, FILES, tmp_path / "cache") == _expected()


def test_missing_and_added_files_are_told(tree):
    (tree / "README").unlink()
    shutil.rmtree(tree / "code")
    (tree / "code").write_bytes(b"a file where a folder was")
    (tree / "*star").unlink()
    (tree / "*star").mkdir()
    (tree / "größe").unlink()
    os.mkfifo(tree / "größe")
    (tree / ".hidden").unlink()
    (tree / ".hidden").symlink_to("nowhere")
    (tree / "sub-01/eeg/more.log").write_bytes(b"")
    (tree / "link").symlink_to(tree / "sub-01")
    assert sums.compare(tree, _expected()) == {
        "missing": ["*star", ".hidden", "README", "code/empty", "größe"],
        "changed": [],
        "added": ["code", "link", "sub-01/eeg/more.log"],
    }
    ignored = ["link", "*.log", "code"]
    assert sums.compare(tree, _expected(), ignored)["added"] == []
    assert sums.compare(tree, _expected(), ["sub-01", "link"])["added"] == ["code"]
    assert sums.files(tree, ["sub-*", "[!R]*"]) == []


def test_a_file_that_cannot_be_read_has_changed(tree):
    (tree / "README").unlink()
    (tree / "README").symlink_to("README")
    assert sums.compare(tree, _expected()) == {"missing": [], "changed": ["README"], "added": []}
