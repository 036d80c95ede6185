from __future__ import annotations

import pytest

from tfbs import tables
from tfbs.tables import Columns, cut


def test_columns_say_what_they_hold():
    assert Columns().given == {"sequence": "sequence", "label": "label"}
    assert Columns("s", "y", "chrom", "fold").given == {
        "sequence": "s",
        "label": "y",
        "group": "chrom",
        "split": "fold",
    }


@pytest.mark.parametrize(
    ("text", "slow"),
    [
        ("a,b\n1,x\n2,y\n", False),
        ('"a","b"\n"1","x"\n2,""\n', False),
        ('a,b\n"1,1",x\n', True),
        ('a,b\n1,"say ""x"""\n', True),
        ('a,b\n1,"x\ny"\n2,z\n', True),
    ],
)
def test_only_fields_that_need_their_quotes_are_read_row_by_row(tmp_path, monkeypatch, text, slow):
    import csv

    taken = []
    slowly = tables._slow_columns
    monkeypatch.setattr(tables, "_slow_columns", lambda *args: taken.append(1) or slowly(*args))
    (tmp_path / "x.csv").write_text(text)
    lines, found = cut(tmp_path / "x.csv", ",", {"first": "a", "second": "b"})
    rows = list(csv.DictReader(text.splitlines(keepends=True)))
    assert found["first"] == [row["a"] for row in rows]
    assert found["second"] == [row["b"] for row in rows]
    assert len(lines) == len(rows)
    assert bool(taken) == slow


def test_one_column_may_hold_two_things(tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n2\n")
    _, found = cut(tmp_path / "x.csv", ",", {"first": "a", "second": "a"})
    assert found["first"] == found["second"] == ["1", "2"]
