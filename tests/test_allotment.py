from __future__ import annotations

import numpy as np
import pytest

from tfbs import allotment


def units_of(sizes: list[int]) -> np.ndarray:
    return np.repeat(np.arange(len(sizes)), sizes)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.25, 0.6])
def test_chosen_units_are_whole_and_hold_the_share_of_each_class(seed, share):
    random = np.random.RandomState(seed)
    units = units_of(random.geometric(0.4, 2000).tolist())
    labels = (random.rand(len(units)) < 0.2).astype(np.uint8)
    chosen = allotment.choose(units, labels, share, seed)
    assert not set(units[chosen]) & set(units[~chosen])
    for label in (0, 1):
        assert chosen[labels == label].mean() == pytest.approx(share, rel=0.01)
    assert np.array_equal(chosen, allotment.choose(units, labels, share, seed))
    assert not np.array_equal(chosen, allotment.choose(units, labels, share, seed + 1))


def test_few_groups_come_as_near_as_any_choice_of_them():
    """Human-like: 23 chromosomes of decreasing size. Compared with all 2^10 choices for ten groups."""
    labels_of = np.tile([0, 1], 5000).astype(np.uint8)
    sizes = [40, 34, 28, 26, 22, 20, 10, 8, 7, 5]
    units = units_of(sizes)
    subsets = [sum(s for i, s in enumerate(sizes) if mask >> i & 1) for mask in range(1024)]
    nearest = min(abs(total - 50) for total in subsets)
    assert nearest == 0
    for seed in range(5):
        chosen = allotment.choose(units, labels_of[: len(units)], 0.25, seed)
        assert abs(chosen.sum() - 50) <= 1


def test_a_group_of_one_class_alone_is_not_the_test():
    units = units_of([100, 100, 100, 100])
    labels = np.concatenate([np.ones(100), np.zeros(100), np.tile([0, 1], 100)]).astype(np.uint8)
    for seed in range(10):
        chosen = allotment.choose(units, labels, 0.25, seed)
        assert set(units[chosen]) in ({2}, {3})


def test_large_units_are_not_broken_nor_preferred():
    """A unit of 40 % cannot be part of a quarter; single sequences fill it."""
    units = units_of([400, *[1] * 600])
    labels = np.tile([0, 1], 500).astype(np.uint8)
    for seed in range(20):
        chosen = allotment.choose(units, labels, 0.25, seed)
        assert chosen.sum() == 250 and not chosen[0]


@pytest.mark.parametrize("folds", [2, 5, 10])
def test_folds_are_whole_even_and_balanced(folds):
    random = np.random.RandomState(folds)
    units = units_of([150, *random.geometric(0.5, 1000).tolist()])
    labels = (random.rand(len(units)) < 0.3).astype(np.uint8)
    fold = allotment.deal(units, labels, folds, 7)
    assert set(fold) == set(range(folds))
    assert len(set(zip(units.tolist(), fold.tolist(), strict=True))) == len(set(units))
    for label in (0, 1):
        counts = np.bincount(fold[labels == label], minlength=folds)
        assert np.ptp(counts) <= 3
    assert np.array_equal(fold, allotment.deal(units, labels, folds, 7))
    assert not np.array_equal(fold, allotment.deal(units, labels, folds, 8))


def test_names_serve_as_units():
    units = np.array(["chr2", "chr1", "chr2", "chr1", "chrX", "chrX"])
    labels = np.array([0, 1, 1, 0, 0, 1], np.uint8)
    assert sorted(allotment.deal(units, labels, 3, 0)[[0, 1, 4]]) == [0, 1, 2]
    chosen = allotment.choose(units, labels, 1 / 3, 0)
    assert len(set(units[chosen])) == 1 and chosen.sum() == 2


def test_a_share_smaller_than_every_unit_gets_the_nearest_unit():
    units, labels = np.repeat(["a", "b", "c", "d"], [40, 30, 40, 40]), np.tile([0, 1], 75)
    assert set(units[allotment.choose(units, labels, 0.05, 0)]) == {"b"}
