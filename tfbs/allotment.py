"""Allot whole units of sequences (chromosomes, clusters) to parts or folds, near to a share and balanced by class."""

from __future__ import annotations

import numpy as np

TRIES = 64
NEAR = 0.01


def choose(units: np.ndarray, labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose units that hold a share of the sequences of each class.

    Units are taken in random order, each only if it brings the sum of the two classes' relative deviations from their
    share down. If the outcome is off by more than 1 % of a class's share, the best of 64 orders counts. Where every
    unit is too large, the one that is nearest to the share is chosen.

    Parameters
    ----------
    units : ndarray of int, shape (N,)
        Unit of each sequence.
    labels : ndarray of uint8, shape (N,)
        0 or 1.
    share : float
        Share of each class to be chosen, in (0, 1).
    seed : int
        Seed of the orders.

    Returns
    -------
    ndarray of bool, shape (N,)
        True for every sequence of a chosen unit.
    """
    names, units = np.unique(units, return_inverse=True)
    counts = _counts(units, labels, len(names))
    random = np.random.RandomState(seed)
    chosen, nearest = np.zeros(len(names), bool), np.inf
    for _ in range(TRIES):
        drawn, distance = _draw(counts, share, random.permutation(len(names)))
        if distance < nearest:
            chosen, nearest = drawn, distance
        if nearest <= NEAR:
            break
    if not chosen.any():
        chosen[np.argmin(np.abs(counts / np.maximum(share * counts.sum(0), 1e-9) - 1).sum(1))] = True
    return chosen[units]


def deal(units: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Deal units to folds of about equal size in each class.

    The largest units come first, equal ones in random order; each goes to the fold that holds least of what the unit
    brings.

    Parameters
    ----------
    units, labels : ndarray, shape (N,)
        As in :func:`choose`.
    folds : int
        At least 2.
    seed : int
        Seed of the order.

    Returns
    -------
    ndarray of int64, shape (N,)
        Fold of each sequence, from 0.
    """
    names, units = np.unique(units, return_inverse=True)
    counts = _counts(units, labels, len(names))
    order = np.random.RandomState(seed).permutation(len(names))
    order = order[np.argsort(-counts.sum(1)[order], kind="stable")]
    scale = 1 / np.maximum(counts.sum(0), 1)
    negatives, positives = [0.0] * folds, [0.0] * folds
    dealt = np.zeros(len(names), np.int64)
    for unit, (fewer, more) in zip(order.tolist(), (counts[order] * scale).tolist(), strict=True):
        costs = [fewer * n + more * p for n, p in zip(negatives, positives, strict=True)]
        fold = costs.index(min(costs))
        dealt[unit] = fold
        negatives[fold] += fewer
        positives[fold] += more
    return dealt[units]


def _counts(units: np.ndarray, labels: np.ndarray, n: int) -> np.ndarray:
    """Negatives and positives of each unit, shape (n, 2)."""
    return np.stack([np.bincount(units[labels == label], minlength=n) for label in (0, 1)], axis=1)


def _draw(counts: np.ndarray, share: float, order: np.ndarray) -> tuple[np.ndarray, float]:
    """Take units in an order, each only if that helps; return which, and the larger deviation of the two classes."""
    target = np.maximum(share * counts.sum(0), 1e-9)
    added = (counts / target).tolist()
    half = (0.5 / target).tolist()
    chosen = np.zeros(len(counts), bool)
    negatives = positives = 0.0
    distance = 2.0
    for unit in order.tolist():
        fewer, more = added[unit]
        reached = abs(negatives + fewer - 1) + abs(positives + more - 1)
        if reached < distance:
            chosen[unit] = True
            negatives, positives, distance = negatives + fewer, positives + more, reached
            if abs(negatives - 1) <= half[0] and abs(positives - 1) <= half[1]:
                return chosen, 0.0
    return chosen, max(abs(negatives - 1), abs(positives - 1))
