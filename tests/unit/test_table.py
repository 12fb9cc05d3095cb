"""Tables as BIDS writes them."""

import numpy as np
import pandas as pd

from hedgerow import table


def test_round_trip_keeps_missing_values_text_and_numbers(tmp_path):
    frame = pd.DataFrame(
        {"subject": ["01", "02"], "age": [31.0, np.nan], "label": ["a b", None], "code": ["007", "010"], "n": [1, 2]}
    )
    table.write(tmp_path / "t.tsv", frame)
    text = (tmp_path / "t.tsv").read_text()
    assert text.splitlines()[2] == "02\tn/a\tn/a\t010\t2"
    back = table.read(tmp_path / "t.tsv")
    assert list(back["subject"]) == ["01", "02"]
    assert list(back["code"]) == ["007", "010"]
    assert back["age"].iloc[0] == 31 and np.isnan(back["age"].iloc[1])
    assert back["label"].isna().tolist() == [False, True]
    assert back["n"].dtype.kind == "i"


def test_the_words_null_and_none_are_text(tmp_path):
    (tmp_path / "t.tsv").write_text("trial_type\nnull\nNone\nn/a\n")
    assert table.read(tmp_path / "t.tsv")["trial_type"].tolist()[:2] == ["null", "None"]


def test_a_byte_order_mark_does_not_spoil_the_first_column(tmp_path):
    (tmp_path / "t.tsv").write_bytes(b"\xef\xbb\xbfonset\tduration\n1.5\t0\n")
    assert table.read(tmp_path / "t.tsv")["onset"].tolist() == [1.5]
