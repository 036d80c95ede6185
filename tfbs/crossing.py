"""Several kinds of negatives beside the same positives: one data set, one split, and a matrix of trained and tested.

A network that was trained against one kind of negatives (shuffles, say) need not tell binding sites from another
(genomic background). Each kind gets a network of its own, and every network is tested on every kind.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path

import numpy as np

from . import cleaning, datasets, paired, splits
from .architectures import Recipe
from .cleaning import Windows
from .datasets import Dataset, Source
from .errors import DataError, ParameterError
from .evaluation import evaluate
from .intervals import Estimate, delong
from .paired import Difference, Scores
from .simulation import Simulation
from .splits import Split
from .splitting import PARTS, Splitting, items

METRICS = ("auroc", "auprc")
NOT_COMMON = "positive that is not one beside all kinds of negatives"
Pair = tuple[str, str]


@dataclass(frozen=True)
class Union:
    """The positives that all kinds of negatives share, then every negative once, whichever kinds hold it.

    Attributes
    ----------
    data : Dataset
        All of them; a negative that stands in several kinds, on either strand, is one row.
    members : dict of str to ndarray of bool, shape (N,)
        The rows of each kind: all positives and its negatives.
    dropped : dict of str to mapping
        What reading left out of each kind, see :class:`tfbs.datasets.Dataset`.
    """

    data: Dataset
    members: dict[str, np.ndarray]
    dropped: dict[str, Mapping[str, int]]


@dataclass(frozen=True)
class Crossed:
    """One split, as each kind of negatives sees it.

    Attributes
    ----------
    splits : dict of str to Split
        By kind; a sequence stands in the same part of all of them.
    test : Dataset
        The test part with the negatives of all kinds.
    members : dict of str to ndarray of bool, shape (n_test,)
        The rows of :attr:`test` that each kind is tested on.
    """

    splits: dict[str, Split]
    test: Dataset
    members: dict[str, np.ndarray]


@dataclass(frozen=True)
class Matrix:
    """Every network on the test part of every kind.

    Attributes
    ----------
    names : tuple of str
        The kinds.
    estimates : dict of (str, str) to dict of str to Estimate
        AUROC and AUPRC by kind trained against and kind tested on, row by row.
    scores : Scores
        The AUROCs in this order; their covariance allows for sequences that several of them are measured on.
    """

    names: tuple[str, ...]
    estimates: dict[Pair, dict[str, Estimate]]
    scores: Scores

    def drop(self, trained: str, tested: str) -> Difference:
        """AUROC of a network on its own kind less that on another: same positives, other negatives."""
        return self._difference((trained, trained), (trained, tested))

    def gap(self, trained: str, tested: str) -> Difference:
        """AUROC of the kind's own network less that of the one trained against another: same test sequences."""
        return self._difference((tested, tested), (trained, tested))

    def _difference(self, ours: Pair, theirs: Pair) -> Difference:
        cells = list(self.estimates)
        return paired.difference(self.scores, [cells.index(ours)], [cells.index(theirs)])


def kinds(source: Source) -> dict[str, str]:
    """Tell the kinds of negatives that are asked for.

    Parameters
    ----------
    source : Source
        ``negatives`` may list several, separated by commas; a file whose name holds a comma is one.

    Returns
    -------
    dict of str to str
        Short name -> what was typed; a file goes by its name without folders.

    Raises
    ------
    ParameterError
        If two have the same name.
    """
    one = Path(source.negatives).expanduser().is_file()
    typed = [source.negatives] if one else items(source.negatives)
    names = [re.sub(r"[^A-Za-z0-9_.-]", "_", Path(item).name) for item in typed]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ParameterError(
            f'negatives: expected kinds of different names, received "{twice[0]}" twice: leave one out, or rename the '
            "file."
        )
    return dict(zip(names, typed, strict=True))


def load(source: Source, simulation: Simulation | None = None) -> Union:
    """Read the same positives beside each kind of negatives.

    A positive that is left out beside one kind (because a negative equals it) is left out beside all.

    Parameters
    ----------
    source, simulation
        As in :func:`tfbs.datasets.load`; see :func:`kinds`.

    Returns
    -------
    Union

    Raises
    ------
    DataError
        If a kind cannot be read, or too few positives are common to all.
    ParameterError
        If the kinds differ in length, or :func:`tfbs.datasets.load` refuses one.
    """
    named = kinds(source)
    read = {name: datasets.load(replace(source, negatives=item), simulation) for name, item in named.items()}
    lengths = {data.length for data in read.values()}
    if len(lengths) > 1:
        told = ", ".join(f"{data.length} bp beside {name}" for name, data in read.items())
        raise ParameterError(f"width: expected the same length beside all kinds of negatives, received {told}: set it.")
    keys = {name: _keys(data) for name, data in read.items()}
    common = functools.reduce(np.intersect1d, [keys[name][data.labels == 1] for name, data in read.items()])
    kept = {name: (data.labels == 0) | np.isin(keys[name], common) for name, data in read.items()}
    first = next(iter(read))
    shared = read[first].take(np.flatnonzero((read[first].labels == 1) & kept[first]))
    negatives = datasets.join([data.take(np.flatnonzero(data.labels == 0)) for data in read.values()])
    all_keys = np.concatenate([keys[name][data.labels == 0] for name, data in read.items()])
    once = np.sort(np.unique(all_keys, return_index=True)[1])
    data = replace(datasets.join([shared, negatives.take(once)]), dropped={})
    cleaning.require_classes(data.name, data.labels, datasets.MIN_PER_CLASS, {NOT_COMMON: int((~kept[first]).sum())})
    held = {name: np.isin(all_keys[once], keys[name][read[name].labels == 0]) for name in read}
    members = {name: np.concatenate([np.ones(len(shared), bool), rows]) for name, rows in held.items()}
    dropped = {name: {**read[name].dropped, NOT_COMMON: int((~rows).sum())} for name, rows in kept.items()}
    return Union(data, members, dropped)


def _keys(data: Dataset) -> np.ndarray:
    """A number for each sequence, the same for its reverse complement: (N,) uint64."""
    return np.minimum(*cleaning.strand_keys(Windows(data.codes, np.full(len(data), data.length))))


def split(union: Union, recipe: Recipe, asked: Splitting) -> Crossed:
    """Split the union once, and hand each kind its rows of every part.

    Parameters
    ----------
    union : Union
        What to split.
    recipe, asked
        As in :func:`tfbs.splits.make`.

    Returns
    -------
    Crossed
        What the split keeps apart stays apart across kinds: the training part of one kind and the test part of
        another are disjoint.

    Raises
    ------
    DataError
        If a part lacks a class, of the union or of a kind.
    ParameterError
        See :func:`tfbs.splits.make`.
    """
    numbered = replace(union.data, ids=[str(row) for row in range(len(union.data))])
    made = splits.make(numbered, recipe, asked)
    rows = {part: np.array([int(row) for row in getattr(made, part).ids]) for part in PARTS}
    by_kind = {name: _of_kind(union, name, rows, made.how) for name in union.members}
    members = {name: held[rows["test"]] for name, held in union.members.items()}
    return Crossed(by_kind, union.data.take(rows["test"]), members)


def _of_kind(union: Union, name: str, rows: Mapping[str, np.ndarray], how: str) -> Split:
    """The rows of one kind in every part; insist on two of its negatives in each, as on two positives."""
    held, data = union.members[name], replace(union.data, dropped=union.dropped[name])
    parts = {part: data.take(own[held[own]]) for part, own in rows.items()}
    for part, own in parts.items():
        if (own.labels == 0).sum() < 2:
            raise DataError(
                f"{name}: expected at least 2 of its negatives in the {part} part, received {(own.labels == 0).sum()}: "
                f"the data were split {how.partition(' (')[0]}, so divide them in another way with split=."
            )
    return Split(**parts, data_digest=data.take(np.flatnonzero(held)).digest, how=how)


def measure(crossed: Crossed, logits: Mapping[str, np.ndarray]) -> Matrix:
    """Measure every network on the test part of every kind.

    The AUROCs of two cells share positives, and negatives too where they are tested on the same kind. Their covariance
    is DeLong's, each class by itself: see :func:`tfbs.intervals.delong`.

    Parameters
    ----------
    crossed : Crossed
        With the test part.
    logits : mapping of str to ndarray, shape (n_test,)
        What the network trained against each kind says of :attr:`Crossed.test`.

    Returns
    -------
    Matrix
    """
    labels, estimates, above, below = crossed.test.labels, {}, [], []
    for trained, tested in product(logits, repeat=2):
        rows = np.flatnonzero(crossed.members[tested])
        found = evaluate(labels[rows], logits[trained][rows], resamples=2)
        estimates[trained, tested] = {metric: found[metric] for metric in METRICS}
        area, _, (higher, lower) = delong(labels[rows], logits[trained][rows])
        above.append(higher)
        below.append(np.zeros(len(labels)))
        below[-1][rows[labels[rows] == 0]] = (lower - area) / (len(lower) * (len(lower) - 1)) ** 0.5
    areas = [found["auroc"] for found in estimates.values()]
    covariance = np.cov(above) / len(above[0]) + np.array(below) @ np.array(below).T
    limits = np.array([(area.lo, area.hi) for area in areas])
    scores = Scores(np.array([area.value for area in areas]), covariance, limits, len(labels), True)
    return Matrix(tuple(logits), estimates, scores)


def worst(matrix: Matrix, names: tuple[str, ...]) -> tuple[Pair, tuple[Difference, float], tuple[Difference, float]]:
    """Find the network that falls most against another kind of negatives.

    Parameters
    ----------
    matrix : Matrix
        The figures.
    names : tuple of str
        Kinds whose networks learned something, at least two.

    Returns
    -------
    pair : tuple of str
        Trained against, tested on.
    drop, gap : tuple of (Difference, float)
        :meth:`Matrix.drop` and :meth:`Matrix.gap`, each with its p adjusted for all pairs (Holm).
    """
    pairs = list(permutations(names, 2))
    found = [[kind(*pair) for pair in pairs] for kind in (matrix.drop, matrix.gap)]
    adjusted = [paired.holm([difference.p for difference in family]) for family in found]
    at = int(np.argmax([difference.value for difference in found[0]]))
    drop, gap = ((family[at], float(p[at])) for family, p in zip(found, adjusted, strict=True))
    return pairs[at], drop, gap
