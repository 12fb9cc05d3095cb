"""Tables as BIDS writes them."""

import numpy as np
import pandas as pd
import pytest

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


def test_quotes_and_trailing_tabs_are_what_they_are(tmp_path):
    (tmp_path / "t.tsv").write_text('onset\tkind\n0.5\t"a\t\n1.5\tb"\t\n')
    frame = table.read(tmp_path / "t.tsv")
    assert frame["onset"].tolist() == [0.5, 1.5] and frame["kind"].tolist() == ['"a', 'b"']
    table.write(tmp_path / "u.tsv", frame)
    assert table.read(tmp_path / "u.tsv").equals(frame)


def test_names_stay_text_even_if_all_are_numbers(tmp_path):
    (tmp_path / "t.tsv").write_text("subject\tlabel\tage\n1\t13\t40\n1e5\t17\t41\n")
    frame = table.read(tmp_path / "t.tsv")
    assert frame["subject"].tolist() == ["1", "1e5"] and frame["label"].tolist() == ["13", "17"]
    assert frame["age"].tolist() == [40, 41]
    assert table.read(tmp_path / "t.tsv", text=True)["age"].tolist() == ["40", "41"]


@pytest.mark.parametrize("content", [b"", "onset\tunit\n1\t\u00b5V\n".encode("latin-1")])
def test_what_is_no_table_is_named(tmp_path, content):
    (tmp_path / "t.tsv").write_bytes(content)
    with pytest.raises(ValueError, match=r"t\.tsv is no tab-separated table"):
        table.read(tmp_path / "t.tsv")


def test_a_row_with_more_fields_than_the_header_is_refused(tmp_path):
    (tmp_path / "t.tsv").write_text("onset\tduration\n0.5\t0\textra\n")
    with pytest.raises(ValueError, match="line 2 has 3 fields, the header 2"):
        table.read(tmp_path / "t.tsv")
