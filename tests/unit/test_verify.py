"""What `verify` finds: any byte, any file, another run by value; and that it names just that."""

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import recorded
from hedgerow import _alike, account, record, store, sums, verify

D, S, TREE = recorded.D, recorded.S, f"{recorded.S}/published/lab"
RECORD = f"{S}/record.tsv"
FEATURES = f"{D}/features/eyes_psd_0of1.zarr.zip"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    """A study and its record, for copies."""
    folder, before = tmp_path_factory.mktemp("pristine"), os.getcwd()
    os.chdir(folder)
    recorded.write()
    os.chdir(before)
    return folder


@pytest.fixture
def here(pristine, tmp_path, monkeypatch):
    """A copy of the study, in which links are files of their own; we are in it."""
    shutil.copytree(pristine, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return recorded.about()


@pytest.fixture
def there(pristine, tmp_path):
    """Another run, of the same content."""
    shutil.copytree(pristine, tmp_path / "there")
    return tmp_path / "there"


def told(study, against=None):
    """What is said, as text, and whether all is well."""
    said = []
    sound = verify.verify(study, against, say=said.append)
    return "\n".join(said), sound


def faults(study):
    """Kind and path of every complaint."""
    return [(kind, path) for kind, path, _ in verify.itself(study, say=lambda text: None)[0]]


def flip(path, at):
    """Another bit at a place; size and time stamp stay."""
    before, content = os.stat(path), bytearray(Path(path).read_bytes())
    content[at] ^= 4
    Path(path).write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def again(folder):
    """Record what stands in another run's folder now."""
    before = os.getcwd()
    os.chdir(folder)
    record.make(recorded.about(), cache=f"{S}/record_cache.tsv")
    os.chdir(before)


def test_a_sound_study_is_told_as_such(here):
    text, sound = told(here)
    assert sound and text.splitlines()[-1].startswith("study s is as it was recorded (")
    rows = {line.split()[0]: [int(each) for each in line.split()[1:]] for line in text.splitlines()[2:-2]}
    assert set(rows) == set(record.ORDER) - {"rerp", "compare"}
    assert all(
        files == equal > 0 == changed == missing == added for files, equal, changed, missing, added in rows.values()
    )
    assert sum(row[0] for row in rows.values()) == len(record.read(RECORD)[1])


def test_a_flipped_byte_in_any_file_is_named_and_nothing_else(here, rng):
    paths = [*record.read(RECORD)[1], RECORD]
    for path in paths:
        size = os.path.getsize(path)
        for at in (0, int(rng.integers(size)), size - 1):
            flip(path, at)
            assert faults(here) == [("changed", path)], at
            flip(path, at)
    assert faults(here) == [] and len(paths) > 50


def test_every_byte_of_a_table_of_sums_counts(here):
    table = f"{TREE}/code/sha256sums"
    for at in range(0, os.path.getsize(table), 37):
        flip(table, at)
        assert faults(here) == [("changed", table)]
        flip(table, at)


def test_a_missing_file_is_named_and_nothing_else(here):
    for path in record.read(RECORD)[1]:
        os.rename(path, "aside")
        assert faults(here) == [("missing", path)]
        os.rename("aside", path)


def test_added_files_are_named(here):
    rec = recorded.RECS[0]
    added = [f"{TREE}/sub-01/eeg/more.tsv", f"{TREE}/.hidden", f"{S}/grid/m/maps2.zarr.zip", f"{S}/notes.txt"]
    added += [f"{D}/{rec}_desc-clean_more.npz", f"{D}/{rec}_desc-eyes_events.tsv.bak"]
    for path in added:
        recorded.text(path, "x")
    recorded.text(f"{D}/{rec}_desc-other_events.tsv", "of another study\n")
    recorded.text(f"{S}/coverage.html", "of another target\n")
    assert sorted(faults(here)) == sorted(("added", path) for path in added)
    text, sound = told(here)
    assert not sound and "to do: delete what was added" in text and "NOT as it was recorded: 6 added" in text


def test_what_was_made_since_is_told(here):
    table = Path("results/index/lab/recordings.tsv")
    table.write_text(table.read_text() + "sub-03/eeg/sub-03_task-x\tok\tn/a\tn/a\t03\tn/a\tx\tn/a\te\t1e6\n")
    record.write(RECORD, {**record.read(RECORD)[1], str(table): record.Entry("index", *_about(table))})
    recorded.text(f"{D}/sub-03/eeg/sub-03_task-x_desc-clean_account.json", "{}")
    text, sound = told(here)
    assert not sound and "sub-03_task-x_desc-clean_account.json (clean): made since the record was written" in text


def _about(path):
    return os.path.getsize(path), sums.of(".", [str(path)])[str(path)]


def test_what_to_do_names_the_outputs_to_ask_for(here):
    Path(f"{D}/{recorded.RECS[0]}_desc-clean_eeg.eeg").unlink()
    recorded.text(f"{TREE}/README", "Another derivative\n")
    text, sound = told(here)
    assert not sound
    assert f"changed  {TREE}/README (publish): not as {RECORD} and {TREE}/code/sha256sums has it; 19 bytes" in text
    command = re.search("to do: snakemake --forcerun (.*)", text)[1].split()
    assert set(command) == {f"{TREE}_validation.json", f"{D}/{recorded.RECS[0]}_desc-clean_eeg.eeg"}
    assert text.splitlines()[-1].startswith("study s is NOT as it was recorded: 1 changed, 1 missing (")


def test_many_faults_are_told_in_short(here, monkeypatch):
    monkeypatch.setattr(verify, "MOST", 3)
    for path in Path(D).rglob("*_desc-clean_*"):
        path.unlink()
    text, _ = told(here)
    assert len(re.findall("^missing  results", text, re.M)) == 3 and "missing  ... and 13 more" in text
    assert "and likewise the other 8" in text and "NOT as it was recorded: 16 missing" in text


def test_a_record_that_changed_says_nothing_of_others_but_trees_are_held(here):
    flip(RECORD, 300)
    recorded.text(f"{TREE}/README", "Another derivative\n")
    recorded.text(f"{S}/grid/m/rows.tsv", "changed\n")
    assert sorted(faults(here)) == [("changed", f"{TREE}/README"), ("changed", RECORD)]
    text, _ = told(here)
    assert f"bring back {RECORD} from a copy" in text


def test_a_tree_of_another_publishing_than_its_account_is_found(here):
    """Recorded as they are: only that they do not belong together gives it away."""
    recorded.text(f"{TREE}/README", "Another derivative\n")
    sums.write(f"{TREE}/code/sha256sums", sums.of(TREE, sums.files(TREE, ["code/sha256sums"])))
    record.make(here, cache=f"{S}/record_cache.tsv")
    assert faults(here) == [("changed", f"{TREE}/code/sha256sums")]
    assert "has the digest of" in told(here)[0]
    Path(f"{TREE}/code/sha256sums").unlink()
    record.make(here, cache=f"{S}/record_cache.tsv")
    assert faults(here) == [("missing", f"{TREE}/code/sha256sums")]
    recorded.seal(TREE)
    record.make(here, cache=f"{S}/record_cache.tsv")
    assert faults(here) == []


def test_without_a_record_there_is_a_sentence(here):
    os.unlink(RECORD)
    assert told(here) == (f"{RECORD} is not there: run `snakemake` to its end, which writes it last", False)


def test_a_record_of_another_study_is_refused(here):
    shutil.copytree(S, "results/studies/t")
    text, sound = told(recorded.about(study="t"))
    assert not sound and "results/studies/t/record.tsv is not there" not in text and "of the study s" in text


@pytest.mark.parametrize("way", ["folder", "study", "copied study", "record", "tree", "sums"])
def test_runs_of_the_same_content_are_alike(here, there, tmp_path, way):
    shutil.copytree(there / S, tmp_path / "copied study")
    against = {
        "folder": there,
        "study": there / S,
        "copied study": tmp_path / "copied study",
        "record": there / RECORD,
        "tree": there / TREE,
        "sums": there / TREE / "code/sha256sums",
    }[way]
    text, sound = told(here, str(against))
    counted = int(re.search(r"the two runs are alike: (\d+) files are equal$", text, re.M)[1])
    entries = record.read(RECORD)[1]
    tree = [path for path in entries if path.startswith(f"{TREE}/")]
    assert sound and counted == (len(tree) if way in ("tree", "sums") else len(entries))


def _features(folder, change, attrs=None):
    """Change the features of another run, and record them."""
    path = Path(folder, FEATURES)
    arrays, found = store.read_arrays(path)
    power = change(arrays["psd"].copy())
    path.unlink()
    dimensions = ["window", "channel", "frequency"][: power.ndim]
    store.write_arrays(
        path, {"psd": (power, dimensions), "store": (arrays["store"], ["window"])}, found | (attrs or {})
    )
    again(folder)


def test_features_within_their_tolerance_are_told(here, there):
    _features(there, lambda power: power * np.float32(1 + 3e-6), {"device": "cuda"})
    text, sound = told(here, str(there))
    assert sound and re.search(r"the two runs are alike: \d+ files are equal, 1 within their tolerance$", text)
    row = re.search(r"^spectra +1 +0 +1 +0 +0 +0 +0 +(\S+), (\S+) of the largest psd, in (\S+)$", text, re.M)
    arrays, _ = store.read_arrays(FEATURES)
    assert float(row[1]) == pytest.approx(3e-6 * arrays["psd"].max(), rel=0.1)
    assert float(row[2]) == pytest.approx(3e-6, rel=0.1) and row[3] == FEATURES


def test_one_value_beyond_its_tolerance_is_told_with_its_place(here, there):
    def change(power):
        power[4, 1, 7] *= np.float32(1.001)
        return power

    _features(there, change)
    text, sound = told(here, str(there))
    assert not sound and f"unlike  {FEATURES} (spectra): psd: 1 of 360 are unlike, at [4, 1, 7]" in text
    assert "the two runs DIFFER: 1 unlike of" in text and "the first stage that differs is spectra" in text
    assert not told(here, str(there / RECORD))[1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda power: power[:-1], "psd: shape (6, 2, 30), there (5, 2, 30)"),
        (lambda power: np.where(power == power.max(), np.nan, power), "psd: 1 of 360 are unlike"),
        (lambda power: power.astype("f8"), ""),
    ],
)
def test_other_shapes_and_missing_values_are_unlike(here, there, change, words):
    _features(there, change)
    text, sound = told(here, str(there))
    assert sound == (not words) and words in text


def test_files_that_describe_the_run_are_told_and_not_judged(here, there):
    recorded.text(there / S / "report.html", "<p>made in 5 h</p>\n")
    recorded.text(there / TREE / "ro-crate-metadata.json", '{"hours": 5}')
    seal_there(there)
    text, sound = told(here, str(there))
    # the sums of the tree and the account of its validation differ as the crate does
    assert sound and re.search(r"alike: \d+ files are equal, 1 within their tolerance, 3 describe the run", text)
    assert f"told  {S}/report.html (report)" in text


def seal_there(folder):
    recorded.seal(Path(folder, TREE))
    again(folder)


def test_an_exact_stage_is_held_to_the_byte(here, there):
    stem = f"{D}/{recorded.RECS[1]}_desc-"
    signal = np.fromfile(there / f"{stem}clean_eeg.eeg", "<f4")
    (signal * np.float32(1 + 1e-6)).tofile(there / f"{stem}clean_eeg.eeg")
    again(there)
    text, sound = told(here, str(there))
    assert not sound and "the first stage that differs is clean" in text
    assert f"unlike  {stem}clean_eeg.eeg (clean): signal: " in text
    relative = re.search(r"^clean .* (\S+) of the largest signal, in", text, re.M)[1]
    assert float(relative) == pytest.approx(1e-6, rel=0.1)


def test_the_same_arrays_in_another_package_are_equal_where_python_packs_them(here, there):
    path = Path(there, f"{D}/{recorded.RECS[0]}_desc-clean_evidence.npz")
    with np.load(path) as arrays:
        np.savez_compressed(path, **arrays)
    again(there)
    text, sound = told(here, str(there))
    assert sound and "1 within their tolerance" in text


def test_what_is_missing_or_added_in_another_run_is_named(here, there):
    for folder, name in ((there, "seed-1_fold-1_curve.tsv"), (".", "seed-1_fold-2_curve.tsv")):
        path = Path(folder, RECORD)
        entries = record.read(path)[1]
        gone = f"{S}/networks/n/{name}"
        Path(folder, gone).unlink()
        record.write(path, {each: entry for each, entry in entries.items() if each != gone})
    text, sound = told(here, str(there))
    assert not sound and f"added  {S}/networks/n/seed-1_fold-1_curve.tsv (train)" in text
    assert f"missing  {S}/networks/n/seed-1_fold-2_curve.tsv (train)" in text and "DIFFER: 1 missing, 1 added" in text


def test_another_run_that_is_not_as_it_was_recorded_is_told(here, there):
    flip(there / S / "split.tsv", 3)
    text, sound = told(here, str(there))
    assert not sound and f"there  {S}/split.tsv is not as" in text and "1 changed there" in text
    assert f"unlike  {S}/split.tsv (split): columns" in text


def test_alike_is_not_enough_where_this_run_has_changed(here, there):
    for folder in (".", there):
        recorded.text(Path(folder, f"{S}/split.tsv"), "changed\n")
    again(there)
    text, sound = told(here, str(there))
    assert not sound and text.splitlines()[-1] == "but this run is not as it was recorded: see above"


def test_another_config_is_told_by_its_key(here, there):
    path = there / S / "config.yaml"
    path.write_text(path.read_text().replace("replicates: 2000", "replicates: 500").replace("path: null", "path: x"))
    again(there)
    text, sound = told(here, str(there))
    assert not sound and f"unlike  {S}/config.yaml (config): models.m.replicates is 2000, there 500" in text
    path.write_text(path.read_text().replace("replicates: 500", "replicates: 2000"))
    again(there)
    assert told(here, str(there))[1]  # where a dataset lies is another matter


@pytest.mark.parametrize(
    ("against", "words"),
    [
        (lambda there: there / "nowhere", "there is no '"),
        (lambda there: ".", "is the record of this very run"),
        (lambda there: RECORD, "is the record of this very run"),
        (lambda there: TREE, "is of this very run"),
        (lambda there: there / "results", "holds no record of the study s; name a folder"),
        (lambda there: there / S / "report.html", "line 1 is no sha256"),
    ],
)
def test_what_is_no_other_run_is_refused_with_a_sentence(here, there, against, words):
    text, sound = told(here, str(against(there)))
    assert not sound and words in text and text.startswith("config: against: ") and "reading" not in text


def test_runs_of_other_studies_are_refused(here, there):
    shutil.move(there / S, there / "results/studies/t")
    text, sound = told(here, str(there))
    assert not sound and "holds no record of the study s; there are records of 't'" in text
    record.write(there / "results/studies/t/record.tsv", {})
    for against in ("results/studies/t", "results/studies/t/record.tsv"):
        text, sound = told(here, str(there / against))
        assert not sound and "is the record of the study t, not of s" in text
    flip(there / "results/studies/t/record.tsv", 3)
    assert "changed or cut short; nothing can be held against it" in told(here, str(there / "results/studies/t"))[0]


def test_the_dataset_of_a_tree_must_be_known(here, there):
    two = recorded.about(datasets={"lab": {"source": "simulate"}, "other": {"source": "simulate"}})
    shutil.copytree(there / TREE, there / "tree")
    text, sound = told(two, str(there / "tree"))
    assert not sound and "of which dataset is" in text and "'lab'" in text and "'other'" in text
    assert told(here, str(there / "tree"))[1]


SOME = record.Tolerance(1e-3, 0.0)


@pytest.mark.parametrize(
    ("ours", "theirs", "tolerance", "alike"),
    [
        ([1.0, 2.0], [1.0005, 2.0], SOME, True),
        ([1.0, 2.0], [1.002, 2.0], SOME, False),
        ([1.0, 1e-9], [1.0, 2e-9], SOME, False),
        ([1.0, 1e-9], [1.0, 2e-9], record.Tolerance(0.0, 1e-6), True),
        ([np.nan, 1.0], [np.nan, 1.0], SOME, True),
        ([np.nan, 1.0], [1.0, 1.0], SOME, False),
        ([1.0, 1.0], [np.nan, 1.0], record.Tolerance(1.0, 1e9), False),
        ([np.inf, 1.0], [np.inf, 1.0], SOME, True),
        ([np.inf, 1.0], [-np.inf, 1.0], SOME, False),
        ([np.inf, 1.0], [1.0, 1.0], record.Tolerance(1.0, 1e9), False),
        ([0.0, -0.0], [-0.0, 0.0], record.SAME, True),
        ([], [], record.SAME, True),
        ([10000], [10001], SOME, False),
        ([2**60], [2**60 + 1], SOME, False),
        ([1, 2], [1.0, 2.001], SOME, True),
        (["a", None], ["a", None], SOME, True),
        (["a", "b"], ["a", None], SOME, False),
        ([True, False], [True, True], SOME, False),
    ],
)
def test_numbers_are_alike_by_value(ours, theirs, tolerance, alike, monkeypatch):
    for block in (1, 2**20):
        monkeypatch.setattr(_alike, "BLOCK", block)
        for a, b in ((ours, theirs), (theirs, ours)):
            said, absolute, _ = _alike._array(np.array(a), np.array(b), tolerance)
            assert (not said) == alike and np.isfinite(absolute)


def test_the_largest_deviation_is_of_its_array(monkeypatch, rng):
    monkeypatch.setattr(_alike, "BLOCK", 7)
    a = rng.normal(size=(10, 10))
    b = a + 1e-7 * rng.normal(size=(10, 10))
    b[3, 4] += 0.5
    said, absolute, relative = _alike._array(a, b, SOME)
    assert "at [3, 4]" in said
    assert absolute == np.abs(a - b).max() and relative == absolute / max(np.abs(a).max(), np.abs(b).max())


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ({"a": {"b": [1.0, 2.0]}}, {"a": {"b": [1.0, 2.0005]}}, ""),
        ({"a": {"b": [1.0, 2.0]}}, {"a": {"b": [1.0, 2.1]}}, "b: 1 of 2 are unlike, at [1] 2.0, there 2.1"),
        ({"a": [{"n": 1}, {"n": 2}]}, {"a": [{"n": 1}, {"n": 3}]}, "a[1].n is 2, there 3"),
        ({"a": [1.0]}, {"a": [1.0, 2.0]}, "a[1] is not here; a: shape (1,), there (2,)"),
        ({"a": 1, "b": {}}, {"a": 1, "c": {}}, "b is here alone (and 1 more)"),
        ({"a": None}, {"a": "x"}, "a is None, there 'x'"),
        ({"a": 1}, {"a": True}, "a is 1, there (True, 'yes')"),
        ({"a": 1}, {"a": 1.5}, "a is 1, there 'a number'; a is not there"),
        ({"a": 1, "device": "cpu", "versions": {"numpy": "1"}}, {"a": 1, "device": "cuda", "versions": {}}, ""),
        ({"digest": "1", "bytes": 1}, {"digest": "2", "bytes": 2}, ""),
        ({"GeneratedBy": [{"Container": {"Tag": "1"}}]}, {"GeneratedBy": [{"Container": {"Tag": "2"}}]}, ""),
        # names that people choose may be these words
        ({"models": {"digest": {"n": 1}}}, {"models": {"digest": {"n": 2}}}, "models.digest.n is 1, there 2"),
    ],
)
def test_accounts_are_alike_but_for_where_they_were_made(tmp_path, ours, theirs, words):
    for name, content in (("a.json", ours), ("b.json", theirs)):
        (tmp_path / name).write_text(json.dumps(content))
    assert _alike.apart(tmp_path / "a.json", tmp_path / "b.json", SOME).unlike == words


def test_weights_are_read_without_torch(tmp_path, rng):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    kinds = {"float32": 0.1, "float64": 0.1, "float16": 0.1, "bfloat16": 0.1, "int64": 3, "uint8": 7, "bool": True}
    tensors = {name: torch.full((2, 3), value, dtype=getattr(torch, name)) for name, value in kinds.items()}
    tensors |= {"scalar": torch.tensor(2.5), "empty": torch.zeros((0, 2))}
    save_file(tensors, tmp_path / "a.safetensors", metadata={"format": "pt"})
    arrays, facts = _alike._weights(tmp_path / "a.safetensors")
    assert arrays.keys() == tensors.keys() and facts == {"format": "pt"}
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(arrays[name], (tensor.float() if name == "bfloat16" else tensor).numpy())


def test_weights_are_held_against_the_largest_of_all(tmp_path):
    """A bias of which nothing depends walks at random; one that counts does not."""
    one = {"conv": np.array([1.0, -0.5]), "bias": np.array([1e-3, -2e-3])}
    recorded.weights(tmp_path / "a.safetensors", **one)
    for name, change, alike in (
        ("bias", [-4e-3, 3e-3], True),
        ("bias", [0.02, 0.0], False),
        ("conv", [0.98, -0.5], False),
    ):
        recorded.weights(tmp_path / "b.safetensors", **one | {name: np.array(change)})
        found = _alike.apart(tmp_path / "a.safetensors", tmp_path / "b.safetensors", record.WEIGHTS)
        assert (not found.unlike) == alike and found.where == name
        assert found.relative == pytest.approx(found.absolute)
    assert _alike.apart(tmp_path / "a.safetensors", tmp_path / "b.safetensors", record.TRAINED).unlike


def test_many_differences_in_a_file_are_told_in_short(tmp_path):
    for name, value in (("a.json", 1.5), ("b.json", 2.5)):
        account.write(tmp_path / name, {f"key{number}": value for number in range(9)})
    said = _alike.apart(tmp_path / "a.json", tmp_path / "b.json", SOME).unlike
    assert said.startswith("key0: 1 of 1 are unlike, at [0] 1.5, there 2.5; key1") and said.endswith("; and 6 more")


def test_a_damaged_file_is_told_whatever_its_kind(here, there, rng):
    """Bytes are changed anywhere in a file of every kind: it is told, never raised, unless no value is touched."""
    kinds = {Path(path).suffix: path for path in sorted(record.read(RECORD)[1]) if "/published/" not in path}
    assert {".npz", ".zip", ".safetensors", ".json", ".yaml", ".tsv", ".eeg", ".vhdr"} <= set(kinds)
    for path in kinds.values():
        content, found = Path(path).read_bytes(), 0
        for _ in range(60):
            at, other = int(rng.integers(len(content))), bytearray(content)
            other[at : at + 4] = rng.bytes(4)
            (there / path).write_bytes(other[: int(rng.integers(1, len(content)))] if rng.random() < 0.3 else other)
            found += bool(_alike.apart(path, there / path, record.SAME).unlike)
        assert found > 20, path


def test_a_file_that_is_no_file_cannot_be_read(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    assert "cannot be read" in _alike.apart(tmp_path / "a.json", tmp_path / "b.json", SOME).unlike
    account.write(tmp_path / "b.json", {})
    assert _alike.apart(tmp_path / "a.json", tmp_path / "b.json", SOME) == ("", 0.0, 0.0, "")
