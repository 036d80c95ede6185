from __future__ import annotations

import re

import numpy as np
import pytest

from tfbs import splitting
from tfbs.datasets import Dataset
from tfbs.errors import ParameterError
from tfbs.splitting import Splitting


def data(groups: str = "", parts: str = "", motif: str = "") -> Dataset:
    n = max(len(groups.split()), len(parts.split()), 4)
    codes, labels = np.zeros((n, 10), np.uint8), np.arange(n, dtype=np.uint8) % 2
    names = [str(i) for i in range(n)]
    return Dataset("by hand", codes, labels, names, motif, groups=groups.split(), parts=parts.split())


@pytest.mark.parametrize(
    ("given", "asked", "expected"),
    [
        (data(), Splitting(), "cluster"),
        (data(motif="ACGT"), Splitting(), "random"),
        (data("chr1 chr1 chr2 chr2"), Splitting(), "cluster"),
        (data("chr1 chr1 chr2 chr3"), Splitting(), "chromosome"),
        (data("chr1 chr1 chr2 chr3", "train train test test"), Splitting(), "given"),
        (data("chr1 chr1 chr2 chr3", "train train test test"), Splitting(test_groups="chr1"), "chromosome"),
        (data("chr1 chr1 chr2 chr2"), Splitting("auto", val_groups="chr1"), "chromosome"),
        (data("chr1 chr1 chr2 chr2"), Splitting("chromosome"), "chromosome"),
        (data("chr1 chr1 chr2 chr3", "train train test test"), Splitting("random"), "random"),
        (data(motif="ACGT"), Splitting("cluster"), "cluster"),
    ],
)
def test_auto_takes_what_the_data_bring(given, asked, expected):
    assert splitting.resolve(given, asked) == expected


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (
            {"split": "chromosomes"},
            'split: expected one of auto, random, chromosome, given, cluster, received "chromosomes"; did you mean '
            '"chromosome"?',
        ),
        (
            {"split": "random", "test_groups": "chr8"},
            "test_groups: expected nothing beside split=random, for only split=chromosome takes groups, received "
            '"chr8".',
        ),
        (
            {"split": "cluster", "val_groups": "chr8"},
            "val_groups: expected nothing beside split=cluster, for only split=chromosome takes groups, received "
            '"chr8".',
        ),
        (
            {"test_groups": "chr1, chr8", "val_groups": "chr2,chr8"},
            'val_groups: expected other groups than in test_groups, received "chr8" in both: name it once.',
        ),
    ],
)
def test_settings_that_do_not_fit_one_another(values, sentence):
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}$"):
        Splitting(**values)


@pytest.mark.parametrize(
    ("given", "asked", "sentence"),
    [
        (
            data("chr1 chr1 chr2 chr3"),
            Splitting("given"),
            "split=given: expected data that bring a split of their own, received by hand without one: name its column "
            "with split_column=, or choose split=cluster.",
        ),
        (
            data(),
            Splitting("chromosome"),
            "split=chromosome: expected sequences of at least 2 chromosomes or groups, received by hand without any: "
            "name their column with group_column=, or choose split=cluster.",
        ),
        (
            data("chr7 chr7 chr7 chr7"),
            Splitting("chromosome"),
            "split=chromosome: expected sequences of at least 2 chromosomes or groups, received by hand with only "
            "chr7: name their column with group_column=, or choose split=cluster.",
        ),
        (
            data(motif="ACGT"),
            Splitting(test_groups="chr1"),
            "test_groups and val_groups: expected sequences of at least 2 chromosomes or groups, received by hand "
            "without any: name their column with group_column=, or choose split=cluster.",
        ),
    ],
)
def test_data_that_do_not_bring_what_the_split_needs(given, asked, sentence):
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}$"):
        splitting.resolve(given, asked)


def test_an_unknown_group_is_held_against_those_that_exist():
    given = data("chr10 chr2 chrX chr1 chr2")
    sentence = 'test_groups: expected groups of by hand (chr1, chr2, chr10, chrX), received "chr3"; did you mean '
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}"):
        splitting.rows_of(given, Splitting(test_groups="chr1, chr3"), "test_groups")
    sentence = 'val_groups: expected groups of by hand (chr1, chr2, chr10, chrX), received "II".'
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}$"):
        splitting.rows_of(given, Splitting(val_groups="II"), "val_groups")
    many = data(" ".join(f"gene{i}" for i in range(1000)))
    with pytest.raises(ParameterError, match=r"gene0, gene1, .*, gene29 and 970 more\), received"):
        splitting.rows_of(many, Splitting(test_groups="x"), "test_groups")


def test_named_groups_are_found():
    given = data("chr10 chr2 chrX chr1 chr2")
    asked = Splitting("chromosome", test_groups=" chr2 ,chrX", val_groups="chr1,")
    assert splitting.rows_of(given, asked, "test_groups").tolist() == [False, True, True, False, True]
    assert splitting.rows_of(given, asked, "val_groups").tolist() == [False, False, False, True, False]
    assert not splitting.rows_of(given, Splitting(), "test_groups").any()


@pytest.mark.parametrize(
    ("given", "asked", "sentence"),
    [
        (
            data("chr1 chr1 chr2 chr3"),
            Splitting(test_groups="chr1"),
            'test_groups: expected nothing beside folds=3, received "chr1": every group is tested once, leave it out.',
        ),
        (
            data(parts="train train test test"),
            Splitting(),
            "folds: expected 1 with by hand, which brings a split of its own, received 3: leave folds out, or choose "
            "split=cluster to divide all of it anew.",
        ),
        (
            data("chr1 chr1 chr2 chr2"),
            Splitting("chromosome"),
            "folds: expected at most 2, the number of groups in by hand, received 3: use fewer folds, or choose "
            "split=cluster.",
        ),
    ],
)
def test_what_cannot_be_divided_into_folds(given, asked, sentence):
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}$"):
        splitting.resolve_folds(given, asked, 3)


def test_order_of_groups():
    names = ["chrX", "chr10", "chr2", "IV", "chr1", "2", "10", "chr2_random", "", "chr2"]
    expected = ["", "2", "10", "IV", "chr1", "chr2", "chr2_random", "chr10", "chrX"]
    assert splitting.in_order(names) == expected
