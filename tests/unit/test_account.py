"""Accounts and faults."""

import pytest

from hedgerow import account


def test_a_fault_becomes_a_quarantine_with_code_and_sentence(tmp_path):
    fault = account.Fault("not-finite", "sub-01 has NaN at 3 s in Cz: cut it out")
    account.write(tmp_path / "a.json", account.quarantined("clean", fault))
    back = account.read(tmp_path / "a.json")
    assert back == {"status": "quarantined", "stage": "clean", "reason": "not-finite", "message": fault.message}


def test_a_code_that_is_not_in_the_table_is_refused():
    with pytest.raises(KeyError, match="no-such-code"):
        account.Fault("no-such-code", "x")


def test_numbers_that_json_has_no_word_for_are_refused_and_nothing_is_written(tmp_path):
    with pytest.raises(ValueError):
        account.write(tmp_path / "a.json", account.ok("clean", share=float("nan")))
    assert not (tmp_path / "a.json").exists()


def test_what_follows_a_quarantined_step_is_quarantined_for_the_same_reason():
    found = account.quarantined("clean", account.Fault("too-short", "sub-01 lasts 2 s"))
    with pytest.raises(account.Fault, match="lasts 2 s") as caught:
        account.demand(found)
    assert caught.value.code == "too-short"
    account.demand(account.ok("clean"))
