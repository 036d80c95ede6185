"""Sequences that keep the composition of DNA and lose its motifs: training negatives, attribution references."""

from __future__ import annotations

import functools
import itertools

import numpy as np

from .errors import DataError, ParameterError

_LETTERS = 5
_BLOCK = 4_000_000


def dinucleotide_shuffle(codes: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Shuffle each sequence so that every count of two neighbouring letters stays what it was.

    A shuffle is an Eulerian path through the multigraph whose vertices are the letters and whose edges are the
    neighbouring pairs; all paths, and so all distinct shuffles, are equally likely. The last edge that leaves each
    letter is drawn by enumerating the at most 125 trees into the final letter, weighted by the number of edges, so
    repeats cost no more time than other sequences. First and last letter stay in place. N is a fifth letter.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, L)
        Values 0 to 4 (A, C, G, T, N), L >= 1.
    k : int
        Shuffles per sequence, >= 1.
    seed : int
        0 to 4294967295; the same seed gives the same shuffles on every platform.

    Returns
    -------
    ndarray of uint8, shape (n, k, L)
        ``result[i]`` holds the shuffles of ``codes[i]``.

    Raises
    ------
    DataError
        If `codes` is not a matrix of the values 0 to 4.
    ParameterError
        If `k` or `seed` is out of range.

    References
    ----------
    Altschul and Erickson, "Significance of nucleotide sequence alignments: a method for random sequence permutation
    that preserves dinucleotide and codon usage", Molecular Biology and Evolution 2, 526-538 (1985).
    """
    codes = np.asarray(codes)
    if codes.ndim != 2 or codes.shape[1] == 0 or codes.dtype.kind not in "ui" or (codes.size and codes.max() > 4):
        raise DataError(
            f"Expected integer codes 0 to 4 of shape (sequences, length), received {codes.dtype} of shape "
            f"{codes.shape}: encode the sequences first."
        )
    if k < 1:
        raise ParameterError(f"k: expected at least 1 shuffle per sequence, received {k}.")
    if not 0 <= seed < 2**32:
        raise ParameterError(f"seed: expected a whole number from 0 to 4294967295, received {seed}.")
    random = np.random.RandomState(seed)
    n, length = codes.shape
    picks = random.random_sample((n, k))
    result = np.empty((n, k, length), np.uint8)
    step = max(1, _BLOCK // (k * length))
    for start in range(0, n, step):
        block = codes[start : start + step].astype(np.uint8)
        keys = random.random_sample((len(block), k, length - 1))
        result[start : start + step] = _shuffle(block, picks[start : start + step], keys)
    return result


def _shuffle(codes: np.ndarray, picks: np.ndarray, keys: np.ndarray) -> np.ndarray:
    """Shuffle (n, L) codes with one draw a shuffle (n, k) for the tree and one an edge (n, k, L - 1) for the order."""
    n, k, edges = keys.shape
    if edges == 0:
        return np.repeat(codes[:, None], k, axis=1)
    source, target = codes[:, :-1], codes[:, 1:]
    pair = source * np.uint8(_LETTERS) + target
    last = _last_edges(pair, codes[:, -1], picks)

    keys = keys * 0.5 + source[:, None]
    for letter in range(_LETTERS):
        is_last = pair[:, None] == letter * _LETTERS + last[:, :, letter, None]
        first = is_last.argmax(2)[..., None]
        chosen = np.take_along_axis(is_last, first, 2) & (codes[:, -1] != letter)[:, None, None]
        key = np.where(chosen, letter + 0.75, np.take_along_axis(keys, first, 2))
        np.put_along_axis(keys, first, key, 2)
    order = keys.reshape(n * k, edges).argsort(axis=1, kind="stable")
    targets = np.take_along_axis(np.repeat(target, k, axis=0), order, 1)
    leaving = (source[:, :, None] == np.arange(_LETTERS)).sum(1)
    return _walk(np.repeat(codes[:, 0], k), targets, np.repeat(leaving, k, axis=0)).reshape(n, k, edges + 1)


def _walk(first: np.ndarray, targets: np.ndarray, leaving: np.ndarray) -> np.ndarray:
    """Follow the edges, sorted by the letter they leave, from the first letter of each row: (rows, L)."""
    rows = np.arange(len(first))
    path = np.empty((len(first), targets.shape[1] + 1), np.uint8)
    path[:, 0] = first
    following = np.cumsum(leaving, axis=1) - leaving
    for step in range(targets.shape[1]):
        here = path[:, step]
        edge = following[rows, here]
        path[:, step + 1] = targets[rows, edge]
        following[rows, here] = edge + 1
    return path


def _last_edges(pair: np.ndarray, final: np.ndarray, picks: np.ndarray) -> np.ndarray:
    """Draw where the last edge of each letter leads: (n, k, 5), a tree into the final letter."""
    n = len(pair)
    rows = np.arange(n)
    counts = (pair[:, :, None] == np.arange(_LETTERS**2)).sum(1).reshape(n, _LETTERS, _LETTERS).astype(np.float64)
    absent = counts.sum(2) == 0
    counts[rows, :, final] += absent
    counts[rows, final, final] = 1
    trees = _trees()[final]
    weights = np.ones(trees.shape[:2])
    for letter in range(_LETTERS):
        weights *= counts[rows[:, None], letter, trees[:, :, letter]]
    limits = np.cumsum(weights, axis=1)
    draws = picks * limits[:, -1:]
    index = np.zeros(picks.shape, np.intp)
    for limit in limits[:, :-1].T:
        index += draws >= limit[:, None]
    return trees[rows[:, None], index]


@functools.cache
def _trees() -> np.ndarray:
    """All trees into each letter, (5, 125, 5): ``[root, tree, letter]`` is where the letter's edge leads."""
    maps = np.array(list(itertools.product(range(_LETTERS), repeat=_LETTERS)), np.uint8)
    ends = maps
    for _ in range(3):
        ends = np.take_along_axis(ends, ends, 1)
    fixed = maps == np.arange(_LETTERS)
    return np.stack([maps[(ends == root).all(1) & (fixed.sum(1) == 1)] for root in range(_LETTERS)])
