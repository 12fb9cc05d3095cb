"""The record of a study: it has every result and nothing else, repeats itself, and cannot change unseen."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

import pytest

import recorded
from hedgerow import account, record, table

S = recorded.S


@pytest.fixture
def made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return recorded.write()


def _every():
    return sorted(path.as_posix() for path in Path("results").rglob("*") if path.is_file())


def test_every_result_is_recorded_with_its_size_and_digest(made):
    named, entries = record.read(f"{S}/record.tsv")
    assert named == "s" and list(entries) == sorted(entries)
    assert set(entries) == set(_every()) - {f"{S}/record.tsv", f"{S}/record_cache.tsv"}
    for path, entry in entries.items():
        content = Path(path).read_bytes()
        assert entry[1:] == (len(content), hashlib.sha256(content).hexdigest())
        assert entry.stage == record.stage(path)[0]
    assert {entry.stage for entry in entries.values()} == set(record.ORDER) - {"rerp", "compare"}


def test_it_is_a_table_whose_last_row_is_of_itself(made):
    found = table.read(f"{S}/record.tsv")
    assert tuple(found.columns) == record.COLUMNS
    content = Path(f"{S}/record.tsv").read_bytes()
    above = content[: content.rstrip(b"\n").rindex(b"\n") + 1]
    last = found.iloc[-1]
    assert (last["path"], last["stage"], last["size"]) == (f"{S}/record.tsv", "record", len(above))
    assert last["sha256"] == hashlib.sha256(above).hexdigest()
    sums = "".join(f"{row.sha256}  {row.path}\n" for row in found[:-1].itertuples())
    assert subprocess.run(["sha256sum", "--check", "--quiet"], input=sums.encode(), check=False).returncode == 0


def test_it_repeats_itself_and_reads_what_has_changed_alone(made, monkeypatch):
    before, read, digest = Path(f"{S}/record.tsv").read_bytes(), [], hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda file, kind: read.append(file.name) or digest(file, kind))
    record.make(made, cache=f"{S}/record_cache.tsv")
    assert Path(f"{S}/record.tsv").read_bytes() == before and read == []
    recorded.text(f"{S}/report.html", "another page\n")
    record.make(made, cache=f"{S}/record_cache.tsv")
    assert [os.path.normpath(path) for path in read] == [f"{S}/report.html"]
    assert Path(f"{S}/record.tsv").read_bytes() != before


def test_what_is_of_another_study_or_no_result_is_left_out(made):
    before = record.make(made, cache=f"{S}/record_cache.tsv")
    others = ["sub-01/eeg/sub-01_task-x_desc-other_events.tsv", "sub-09/eeg/sub-09_task-x_desc-clean_account.json"]
    others = [
        f"{recorded.D}/{name}" for name in (*others, "features/eyes_other_0of1.zarr.zip", "code/selection-b.json")
    ]
    aside = ["coverage.tsv", "coverage/lab.tsv", "grid/m/scratch.npy", "grid/m/unfinished_1-of-2/0.npy", "x.tsv.tmp"]
    aside += ["networks/n/checkpoints/seed-1_fold-1.pt", "grid/m/replicates_1-of-2.npy", ".nfs1", "record_cache.tsv"]
    aside = [f"{S}/{name}" for name in aside]
    for path in (*others, *aside, "results/logs/clean/x.log"):
        recorded.text(path, "x")
    assert record.make(made, cache=f"{S}/record_cache.tsv") == before
    assert all(record.stage(path) for path in others)
    assert all(record.ASIDE.fullmatch(path) and not record.stage(path) for path in aside)
    assert not any(record.ASIDE.fullmatch(path) for path in before if "/.bidsignore" not in path)


def test_a_study_without_networks_or_models_has_the_rest(made):
    less = recorded.about(models={}, networks={}, features={})
    found = set(record.results(less))
    assert found < set(record.results(made)) and f"{S}/split.tsv" not in found
    assert not any(re.search("/(grid|networks)/|/standard/features/|feature-", path) for path in found)


def test_the_record_waits_for_all_that_is_the_studys_own(made):
    """What it does not wait for belongs to recordings and trees, of which manifests and validations tell."""
    own = set(record.of_study(made))
    rest = {record.stage(path)[0] for path in set(record.results(made)) - own}
    assert own < set(record.results(made))
    assert rest == {"index", "freeze", "selection", "clean", "windows", "publish"}


def test_a_result_that_is_not_there_is_named(made):
    Path(f"{S}/grid/m/rows.tsv").unlink()
    with pytest.raises(
        account.Stopped, match=r"grid/m/rows.tsv is not there: `snakemake --forcerun results/\S+` makes"
    ):
        record.make(made, cache=f"{S}/record_cache.tsv")


def test_a_byte_of_the_record_that_changed_is_found(made, rng):
    path = Path(f"{S}/record.tsv")
    content = path.read_bytes()
    for at in [0, len(content) - 1, *rng.integers(0, len(content), 200)]:
        other = bytearray(content)
        other[at] ^= 1 << rng.integers(0, 8)
        path.write_bytes(other)
        with pytest.raises(ValueError, match=r"record.tsv, line \d+ .*: the record was changed or cut short"):
            record.read(path)


@pytest.mark.parametrize("cut", [0, 10, 500, -1, -100])
def test_a_record_that_was_cut_short_is_found(made, cut):
    path = Path(f"{S}/record.tsv")
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match="changed or cut short"):
        record.read(path)


def test_rows_taken_out_or_put_in_are_found(made):
    path = Path(f"{S}/record.tsv")
    lines = path.read_bytes().splitlines(keepends=True)
    for other in (lines[:5] + lines[6:], lines[:5] + lines[4:], lines[:-1], lines + lines[-1:], lines[1:], lines[:1]):
        path.write_bytes(b"".join(other))
        with pytest.raises(ValueError, match="changed or cut short"):
            record.read(path)


def test_tolerances_are_by_name_where_they_are_given():
    assert record.MAPS.of("ci_low") == record.REPLICATES and record.MAPS.of("coef") == record.MAPS
    assert record.SAME.of("ci_low") == record.SAME
