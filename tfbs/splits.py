"""Split a data set into train, validation and test, and say what a split leaks and which shortcuts it offers."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import sequences
from .architectures import Recipe
from .datasets import Dataset
from .errors import DataError

KMER = 6


@dataclass(frozen=True)
class Split:
    """Three disjoint parts of one data set.

    Attributes
    ----------
    train, validation, test : Dataset
        The parts, each with both classes.
    data_digest : str
        :attr:`tfbs.datasets.Dataset.digest` of the whole.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    data_digest: str

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
    return _parts(data, rest, test, recipe)


def fold_splits(data: Dataset, recipe: Recipe, folds: int) -> list[Split]:
    """Split into k folds: each is the test part once; the rest is divided as in :func:`random_split`.

    Parameters
    ----------
    data : Dataset
        What to split.
    recipe : Recipe
        ``val_size`` and ``split_seed`` are used; the order of the sequences is shuffled by the latter.
    folds : int
        At least 2.

    Returns
    -------
    list of Split
        One a fold; their test parts are disjoint and make up the data.

    Raises
    ------
    DataError
        If a part is empty or lacks a class.
    """
    chunks = np.array_split(np.random.RandomState(recipe.split_seed).permutation(len(data)), folds)
    return [
        _parts(data, np.concatenate([*chunks[:fold], *chunks[fold + 1 :]]), test, recipe)
        for fold, test in enumerate(chunks)
    ]


def _parts(data: Dataset, rest: np.ndarray, test: np.ndarray, recipe: Recipe) -> Split:
    """Hold out the last rows of the rest for validation; insist on two sequences of each class in every part."""
    at = int(len(rest) * (1 - recipe.val_size))
    parts = {"train": rest[:at], "validation": rest[at:], "test": test}
    for name, rows in parts.items():
        positives = int(data.labels[rows].sum())
        if min(positives, len(rows) - positives) < 2:
            raise DataError(
                f"{data.name}: expected at least 2 sequences of each class in the {name} part, received {positives} "
                f"positives and {len(rows) - positives} negatives: use more sequences, or change test_size, val_size "
                "or split_seed."
            )
    return Split(**{name: data.take(rows) for name, rows in parts.items()}, data_digest=data.digest)


def duplicate_share(train: Dataset, test: Dataset) -> float:
    """Return the share of the test sequences that stand in the training part too, on either strand."""
    known = {row.tobytes() for row in train.codes}
    known |= {row.tobytes() for row in np.ascontiguousarray(sequences.reverse_complement(train.codes))}
    return float(np.mean([row.tobytes() in known for row in test.codes]))


def gc_scores(train: Dataset, test: Dataset) -> np.ndarray:
    """Score test sequences by GC content alone, signed so that the training positives score higher.

    Returns
    -------
    ndarray of float64, shape (n_test,)
        GC share of the known bases, negated if the training positives are poorer in GC than the negatives.
    """
    gc_train, gc_test = _gc(train.codes), _gc(test.codes)
    rises = gc_train[train.labels == 1].mean() >= gc_train[train.labels == 0].mean()
    return gc_test if rises else -gc_test


def kmer_scores(train: Dataset, test: Dataset, k: int = KMER) -> np.ndarray:
    """Score test sequences by a logistic regression on their k-mer counts, trained on the training part.

    What it reaches, a network reaches without learning where and in which order k-mers stand.

    Returns
    -------
    ndarray of float64, shape (n_test,)
        Log-odds.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(solver="liblinear", random_state=0)
    model.fit(_kmer_counts(train.codes, k), train.labels)
    return model.decision_function(_kmer_counts(test.codes, k))


def _gc(codes: np.ndarray) -> np.ndarray:
    known = np.maximum((codes != sequences.N).sum(1), 1)
    return ((codes == 1) | (codes == 2)).sum(1) / known


def _kmer_counts(codes: np.ndarray, k: int):
    """Count k-mers without N: sparse (n, 4**k)."""
    from scipy.sparse import csr_matrix

    n, length = codes.shape
    width = max(length - k + 1, 0)
    words = np.zeros((n, width), np.int64)
    valid = np.ones((n, width), bool)
    for offset in range(k):
        base = codes[:, offset : offset + width]
        words = words * 4 + np.minimum(base, 3)
        valid &= base != sequences.N
    rows = np.repeat(np.arange(n), valid.sum(1))
    return csr_matrix((np.ones(len(rows)), (rows, words[valid])), shape=(n, 4**k))
