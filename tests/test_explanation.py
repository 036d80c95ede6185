from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfbs import explanation, sequences, splits
from tfbs.architectures import Recipe
from tfbs.errors import ParameterError
from tfbs.settings import Settings


@pytest.fixture(scope="module")
def split(simulated):
    return splits.random_split(simulated, Recipe())


def counts(split) -> list[int]:
    return [int(part.labels.sum()) for part in (split.test, split.validation, split.train)]


def test_positives_are_those_held_out_before_those_seen(split):
    test, validation, train = counts(split)
    every = explanation.positives(split, test + validation + 5, 3)
    told = f"{test:,} of the test part, {validation:,} of the validation part, 5 of the training part"
    assert every.origin == f"positives: {told}"
    assert len(every) == len(every.ids) == test + validation + 5
    held_out = split.test.take(np.flatnonzero(split.test.labels == 1))
    np.testing.assert_array_equal(every.codes[:test], held_out.codes)
    assert list(every.ids[:test]) == list(held_out.ids)
    labels = dict(zip(split.train.ids, split.train.labels, strict=True))
    assert [labels[name] for name in every.ids[-5:]] == [1] * 5
    assert len(explanation.positives(split, 10**6, 3)) == test + validation + train


def test_fewer_positives_are_drawn_by_the_seed_from_the_test_part(split):
    first, same, other = (explanation.positives(split, 20, seed) for seed in (0, 0, 1))
    assert first.origin == "positives: 20 of the test part"
    np.testing.assert_array_equal(first.codes, same.codes)
    assert list(first.ids) == list(same.ids) != list(other.ids)
    assert set(first.ids) < set(split.test.ids) and len(set(first.ids)) == 20


def test_a_part_without_positives_is_not_told(split):
    negatives = split.test.take(np.flatnonzero(split.test.labels == 0))
    found = explanation.positives(dataclasses.replace(split, test=negatives), 7, 0)
    assert found.origin == "positives: 7 of the validation part"


def test_sequences_of_a_file_are_cut_to_the_middle_or_filled(tmp_path):
    long, short = "C" * 10 + "ACGTTGCATG" + "C" * 10, "GATTAC"
    (tmp_path / "own.fa").write_text(f">long\n{long}\n>short\n{short}\n")
    found = explanation.read(str(tmp_path / "own.fa"), 10)
    assert (list(found.ids), found.origin) == (["long", "short"], "sequences of own.fa")
    cut, filled = sequences.decode(found.codes)
    assert cut == "ACGTTGCATG"
    assert short in filled and len(filled) == 10 and "N" not in filled


def test_references_are_training_negatives_unless_shuffles_or_a_file_are_asked_for(split, tmp_path):
    codes = split.test.codes[:4]
    negatives = explanation.references(Settings(n_references=6), split, codes)
    known = set(sequences.decode(split.train.codes[split.train.labels == 0]))
    assert negatives.shape == (6, 50, 4) and set(sequences.decode(negatives.argmax(2))) <= known
    shuffles = explanation.references(Settings(references="shuffles", n_references=3), None, codes)
    assert shuffles.shape == (4, 3, 50, 4)
    np.testing.assert_array_equal(shuffles.sum(2), np.repeat(sequences.one_hot(codes).sum(1)[:, None], 3, axis=1))
    texts = sequences.decode(split.validation.codes[:5])
    (tmp_path / "own.txt").write_text("\n".join(texts) + "\n")
    own = explanation.references(Settings(references=str(tmp_path / "own.txt"), n_references=5), None, codes)
    assert sorted(sequences.decode(own.argmax(2))) == sorted(texts)


def test_more_references_than_there_are_is_refused_in_one_sentence(split, tmp_path):
    (tmp_path / "two.fa").write_text(">a\nACGT\n>b\nGGTT\n")
    settings = Settings(references=str(tmp_path / "two.fa"), n_references=3)
    with pytest.raises(ParameterError) as caught:
        explanation.references(settings, None, np.zeros((1, 4), np.uint8))
    expected = "n_references: expected at most the 2 sequences of two.fa, received 3: set n_references=2."
    assert str(caught.value) == expected
    with pytest.raises(ParameterError, match=r"at most the \d+ negatives of the training part, received 5000"):
        explanation.require_references(Settings(n_references=5000), split)
