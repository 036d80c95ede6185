from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

from tfbs import texts
from tfbs.texts import Texts, concatenate

STRINGS = ["", "ACGT", " a b\t", "N", "", "é", "chr1:5-9 note", "  "]


@pytest.fixture
def held() -> Texts:
    return Texts.of(STRINGS)


def test_texts_behave_as_a_sequence_of_strings(held):
    assert held == STRINGS
    assert held != STRINGS[:-1]
    assert held != [*STRINGS[:-1], "x"]
    assert (len(held), held[1], held[-1], held[np.int64(3)]) == (8, "ACGT", "  ", "N")
    assert held[1:4] == STRINGS[1:4]
    assert held.index("N") == 3
    assert "ACGT" in held and "CG" not in held
    assert held != "ACGT"
    with pytest.raises(IndexError):
        held[8]


def test_operations_equal_those_on_strings(held, monkeypatch):
    for block in (1, 5, 1 << 22):
        monkeypatch.setattr(texts, "_BLOCK", block)
        assert held.strip() == [string.strip() for string in STRINGS]
        assert held.first_words() == [(string.split() or [""])[0] for string in STRINGS]
        assert held.take(np.array([6, 1, 1])) == [STRINGS[6], "ACGT", "ACGT"]
        assert held[2:6].compact() == STRINGS[2:6]
        assert held.merged(np.array([2, 0, 5, 1])) == ["".join(STRINGS[:2]), "", "".join(STRINGS[2:7]), STRINGS[7]]


def test_what_is_taken_leaves_the_rest_of_the_buffer_behind():
    whole = Texts.of(["A" * 10_000, "C", "G"])
    assert len(whole.take(np.array([2, 1])).content) == 2
    assert len(pickle.dumps(whole.take(np.array([1])))) < 1000
    assert copy.deepcopy(whole) == whole


def test_nothing_at_all():
    empty = Texts.of([])
    assert empty == [] and len(empty.compact()) == len(empty.strip()) == len(empty.first_words()) == 0


def test_concatenate_is_lazy_only_if_all_are(held):
    assert isinstance(concatenate([held, held[1:3]]), Texts)
    assert concatenate([held, held[1:3]]) == STRINGS + STRINGS[1:3]
    assert concatenate([held, ["x"]]) == [*STRINGS, "x"]


@pytest.mark.parametrize("content", ["", "\n", "a", "a\n", "a\n\nb", "\n\n", "a\r\nb\r\n", "\ufeffa\rb"])
def test_lines_equal_those_of_a_text_file(tmp_path, content):
    path = tmp_path / "x.txt"
    path.write_bytes(content.encode())
    with path.open(encoding="utf-8-sig") as handle:
        assert texts.read_lines(path) == [line.rstrip("\n") for line in handle]
