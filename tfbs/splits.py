"""Split a data set into train, validation and test: at random, by group, by cluster, or as the data give it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import allotment, clusters, splitting
from .architectures import Recipe
from .datasets import Dataset
from .errors import DataError
from .splitting import PARTS, Splitting

RANDOM = Splitting("random")


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of one data set.

    Attributes
    ----------
    train, validation, test : Dataset
        The parts, each with both classes.
    data_digest : str
        :attr:`tfbs.datasets.Dataset.digest` of the whole.
    how : str
        How the parts came about, in words; does not enter :attr:`digest`.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    data_digest: str
    how: str = ""

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) over the digests of train, validation and test: equal only if all three are equal, in order."""
        parts = (self.train, self.validation, self.test)
        return hashlib.sha256(" ".join(part.digest for part in parts).encode()).hexdigest()


@dataclass(frozen=True)
class Part:
    """One of the splits of a comparison: the seed that drew it, and which fold it is (from 1; 0 without folds)."""

    split_seed: int
    fold: int
    split: Split

    @property
    def key(self) -> tuple[str, str]:
        """As the params of a run name it."""
        return str(self.split_seed), str(self.fold)


def joint_digest(made: Sequence[Split]) -> str:
    """SHA-256 (hex) over the digests of several splits, in order."""
    return hashlib.sha256(" ".join(split.digest for split in made).encode()).hexdigest()


def make(data: Dataset, recipe: Recipe, asked: Splitting) -> Split:
    """Split as asked.

    Groups and clusters (:mod:`tfbs.clusters`) are never divided. Which of them are tested is drawn with ``split_seed``
    so that the test part comes near ``test_size`` of each class, and likewise validation. Where the data bring a split
    without validation, or one group alone is left to train on, validation is drawn by cluster. Rows keep the order of
    the data, but for a random split.

    Parameters
    ----------
    data : Dataset
        What to split.
    recipe : Recipe
        ``test_size``, ``val_size`` and ``split_seed`` are used.
    asked : Splitting
        How.

    Returns
    -------
    Split
        With :attr:`Split.how`.

    Raises
    ------
    DataError
        If a part is empty or lacks a class.
    ParameterError
        If the data do not bring what the kind of split needs, or a group is unknown.
    """
    kind = splitting.resolve(data, asked)
    if kind == "random":
        return random_split(data, recipe)
    if kind == "given":
        return _given(data, recipe)
    if kind == "chromosome":
        return _by_group(data, recipe, asked)
    found = clusters.find(data.codes)
    test = allotment.choose(found.of, data.labels, recipe.test_size, recipe.split_seed)
    return _divided(data, test, _held_out(data, found.of, ~test, recipe), f"by cluster ({found})")


def random_split(data: Dataset, recipe: Recipe) -> Split:
    """Split at random, as the published exercise does.

    The test part comes from scikit-learn's ``train_test_split(test_size=0.25, random_state=42)``; the validation part
    is the last ``val_size`` of what remains, as in Keras' ``validation_split``.

    Parameters
    ----------
    data : Dataset
        What to split.
    recipe : Recipe
        ``test_size``, ``val_size`` and ``split_seed`` are used.

    Returns
    -------
    Split
        With 2,000 sequences and the default recipe: 1,350 train, 150 validation, 500 test.

    Raises
    ------
    DataError
        If a part is empty or lacks a class.
    """
    from sklearn.model_selection import train_test_split

    try:
        rest, test = train_test_split(np.arange(len(data)), test_size=recipe.test_size, random_state=recipe.split_seed)
    except ValueError as error:
        raise DataError(
            f"{data.name}: expected enough sequences for a train and a test part, received {len(data)} with "
            f"test_size={recipe.test_size}: use more sequences, or change test_size."
        ) from error
    return _last_rows(data, rest, test, recipe)


def fold_splits(data: Dataset, recipe: Recipe, folds: int, asked: Splitting = RANDOM) -> list[Split]:
    """Split into k folds: each is the test part once; the rest is divided as in :func:`make`.

    Parameters
    ----------
    data : Dataset
        What to split.
    recipe : Recipe
        ``val_size`` and ``split_seed`` are used; the latter shuffles the sequences, groups or clusters.
    folds : int
        At least 2.
    asked : Splitting
        How; folds of groups or clusters hold about equally many sequences of each class.

    Returns
    -------
    list of Split
        One a fold; their test parts are disjoint and make up the data.

    Raises
    ------
    DataError
        If a part is empty or lacks a class.
    ParameterError
        If the data bring their own split, groups are named, or there are fewer groups than folds.
    """
    kind = splitting.resolve_folds(data, asked, folds)
    if kind == "random":
        chunks = np.array_split(np.random.RandomState(recipe.split_seed).permutation(len(data)), folds)
        return [
            _last_rows(data, np.concatenate([*chunks[:fold], *chunks[fold + 1 :]]), test, recipe)
            for fold, test in enumerate(chunks)
        ]
    if kind == "chromosome":
        fold_of = allotment.deal(np.asarray(data.groups), data.labels, folds, recipe.split_seed)
        tests = [fold_of == fold for fold in range(folds)]
        return [_left_groups(data, recipe, test, np.zeros(len(data), bool)) for test in tests]
    found = clusters.find(data.codes)
    fold_of = allotment.deal(found.of, data.labels, folds, recipe.split_seed)
    tests = [fold_of == fold for fold in range(folds)]
    return [_divided(data, test, _held_out(data, found.of, ~test, recipe), f"by cluster ({found})") for test in tests]


def _given(data: Dataset, recipe: Recipe) -> Split:
    """Take the parts that the data bring."""
    given = np.asarray(data.parts)
    strange = sorted(set(data.parts) - set(PARTS))
    if strange:
        raise DataError(
            f'{data.name}: expected {", ".join(PARTS)} as names of the parts, received "{strange[0]}": rename it.'
        )
    test, validation = given == "test", given == "validation"
    how = "as the data give it"
    if not validation.any():
        validation, how = _held_out_by_cluster(data, ~test, recipe), f"{how}, validation by cluster"
    return _divided(data, test, validation, how)


def _by_group(data: Dataset, recipe: Recipe, asked: Splitting) -> Split:
    """Take the groups that are named for the test, or choose them among those not named for validation."""
    test, validation = (splitting.rows_of(data, asked, name) for name in ("test_groups", "val_groups"))
    if not test.any():
        free = ~validation
        share = recipe.test_size * len(data) / max(free.sum(), 1)
        units = np.asarray(data.groups)[free]
        test[free] = allotment.choose(units, data.labels[free], share, recipe.split_seed)
    return _left_groups(data, recipe, test, validation)


def _left_groups(data: Dataset, recipe: Recipe, test: np.ndarray, validation: np.ndarray) -> Split:
    """Divide the groups that are not tested; those of validation may be known."""
    groups = np.asarray(data.groups)
    told = f"by group: test {_listed(groups[test])}"
    if validation.any():
        return _divided(data, test, validation, f"{told}; validation {_listed(groups[validation])}")
    if len(set(groups[~test])) < 2:
        return _divided(data, test, _held_out_by_cluster(data, ~test, recipe), f"{told}; validation by cluster")
    validation = _held_out(data, groups, ~test, recipe)
    return _divided(data, test, validation, f"{told}; validation {_listed(groups[validation])}")


def _held_out_by_cluster(data: Dataset, rest: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Choose whole clusters of the rest for validation: bool (N,)."""
    units = np.zeros(len(data), np.int64)
    units[rest] = clusters.find(data.codes[rest]).of
    return _held_out(data, units, rest, recipe)


def _held_out(data: Dataset, units: np.ndarray, rest: np.ndarray, recipe: Recipe) -> np.ndarray:
    """Choose whole units of the rest for validation: bool (N,)."""
    validation = np.zeros(len(data), bool)
    validation[rest] = allotment.choose(units[rest], data.labels[rest], recipe.val_size, recipe.split_seed)
    return validation


def _last_rows(data: Dataset, rest: np.ndarray, test: np.ndarray, recipe: Recipe) -> Split:
    """Hold out the last rows of the rest for validation."""
    at = int(len(rest) * (1 - recipe.val_size))
    advice = "use more sequences, or change test_size, val_size or split_seed"
    return _taken(data, {"train": rest[:at], "validation": rest[at:], "test": test}, "at random", advice)


def _divided(data: Dataset, test: np.ndarray, validation: np.ndarray, how: str) -> Split:
    """Make the parts of two masks (N,)."""
    masks = {"train": ~(test | validation), "validation": validation & ~test, "test": test}
    advice = f"it was split {how.partition(' (')[0]}, so divide it in another way with split="
    return _taken(data, {name: np.flatnonzero(mask) for name, mask in masks.items()}, how, advice)


def _taken(data: Dataset, parts: Mapping[str, np.ndarray], how: str, advice: str) -> Split:
    """Take the rows of every part; insist on two sequences of each class in each."""
    for name, rows in parts.items():
        positives = int(data.labels[rows].sum())
        if min(positives, len(rows) - positives) < 2:
            raise DataError(
                f"{data.name}: expected at least 2 sequences of each class in the {name} part, received {positives} "
                f"positives and {len(rows) - positives} negatives: {advice}."
            )
    taken = {name: data.take(rows) for name, rows in parts.items()}
    return Split(**taken, data_digest=data.digest, how=how)


def _listed(groups: np.ndarray) -> str:
    return ", ".join(splitting.in_order(groups.tolist()))
