"""A linear support vector machine on gapped k-mers: the strongest simple model of binding sites on few sequences.

A gapped k-mer is a word of 11 bases of which 7 are read. Every one of the 210 shapes with every one of the 4^7 readings
is a feature, the same for a word and its reverse complement; a sequence is the vector of their counts at unit norm. As
the model is linear, the score of a sequence is a sum, over its words of 11 bases, of one function of a word. That is
what :mod:`tfbs.distillation` teaches a network.

Sources: Ghandi et al., PLoS Computational Biology 10, e1003711 (2014); Lee, Bioinformatics 32, 2196-2198 (2016), for
weights that fall from the centre. The features are made on the fly in dual coordinate descent (Hsieh et al., ICML
2008), so that no matrix is held.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

WORD, READ = 11, 7
COST, PASSES = 0.5, 5
BIAS = 0.3
HALVES = (0, 50)
"""Distances from the centre, bp, at which a word counts half; 0 for words that count alike everywhere."""

MOST_BASES, MOST_BASES_TO_CHOOSE = 6_000_000, 1_000_000
HELD_OUT = 0.2
_PREDICTED = 1 << 16


@dataclass(frozen=True)
class Machine:
    """A trained machine.

    Attributes
    ----------
    table : ndarray of float32, shape (210, 16384)
        Weight of each reading of each shape; equal for a gapped k-mer and its reverse complement.
    half : int
        Distance from the centre, bp, at which a word counts half; 0 if all count alike.
    """

    table: np.ndarray
    half: int = 0

    def score_words(self, words: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Score words of 11 bases.

        Parameters
        ----------
        words : ndarray of uint8, shape (n, 11)
            A, C, G, T, N = 0 .. 4.

        Returns
        -------
        scores : ndarray of float32, shape (n,)
            Sum of the weights of the gapped k-mers in the word that hold no N, each divided by the number of words of
            a sequence that it stands in.
        seen : ndarray of float32, shape (n,)
            Share of the gapped k-mers that hold no N.
        """
        return _loops().score_words(np.ascontiguousarray(words), shapes(), self.table)

    def score(self, codes: np.ndarray) -> np.ndarray:
        """Score sequences by the weighted sum over their words: codes (N, L) -> float32 (N,)."""
        weights, rows = word_weights(codes.shape[1], self.half), max(1, _PREDICTED // codes.shape[1])
        parts = [
            np.lib.stride_tricks.sliding_window_view(codes[i : i + rows], WORD, axis=1)
            for i in range(0, len(codes), rows)
        ]
        return np.concatenate(
            [self.score_words(part.reshape(-1, WORD))[0].reshape(len(part), -1) @ weights for part in parts]
        )


def word_weights(length: int, half: int) -> np.ndarray:
    """Weight of each word of a sequence by the distance of its centre from that of the sequence: float32 (L - 10,)."""
    return _base_weights(length, half)[WORD // 2 : length - WORD // 2]


def teach(codes: np.ndarray, labels: np.ndarray, seed: int = 0, on_pass: Callable[[], None] | None = None) -> Machine:
    """Train the machine; whether words near the centre count more is decided on a fifth of the sequences.

    Parameters
    ----------
    codes : ndarray of uint8, shape (N, L)
        Training sequences, L >= 11. Of more than 6 million bases as many are drawn, of each class at most half unless
        the other has less.
    labels : ndarray, shape (N,)
        0 or 1. Errors on either class cost the same in all, however rare it is.
    seed : int
        Seed of what is drawn and of the order of the sequences.
    on_pass : callable, optional
        Called after each of the passes over the sequences.

    Returns
    -------
    Machine
        Squared hinge loss, cost 0.5, 5 passes (more change no AUROC by more than .001).
    """
    random = np.random.RandomState(seed)
    half = _choose(codes, labels, random)
    rows = _draw(labels, MOST_BASES // codes.shape[1], random)
    return descend(codes[rows], labels[rows], half, random, on_pass)


def _choose(codes: np.ndarray, labels: np.ndarray, random: np.random.RandomState) -> int:
    """The half-distance that ranks a held-out fifth best; the first where that cannot be told."""
    from sklearn.metrics import roc_auc_score

    rows = random.permutation(_draw(labels, MOST_BASES_TO_CHOOSE // codes.shape[1], random))
    out, rest = np.split(rows, [int(HELD_OUT * len(rows))])
    if min(len(np.unique(labels[part])) for part in (out, rest)) < 2:
        return HALVES[0]
    seeds = random.randint(2**31, size=len(HALVES))

    def judge(half: int, seed: int) -> float:
        machine = descend(codes[rest], labels[rest], half, np.random.RandomState(seed))
        return roc_auc_score(labels[out], machine.score(codes[out]))

    with ThreadPoolExecutor(len(HALVES)) as threads:
        areas = list(threads.map(judge, HALVES, seeds))
    return HALVES[int(np.argmax(areas))]


def _draw(labels: np.ndarray, most: int, random: np.random.RandomState) -> np.ndarray:
    """Rows in order, at most `most`: half of each class, or all of a class that has less and the more of the other."""
    classes = [np.flatnonzero(labels == label) for label in (0, 1)]
    fewer = min(len(rows) for rows in classes)
    sizes = [min(len(rows), max(most // 2, most - fewer)) for rows in classes]
    return np.sort(np.concatenate([random.permutation(rows)[:size] for rows, size in zip(classes, sizes, strict=True)]))


def descend(
    codes: np.ndarray,
    labels: np.ndarray,
    half: int,
    random: np.random.RandomState,
    on_pass: Callable[[], None] | None = None,
) -> Machine:
    """Train the machine for one half-distance on all sequences; see :func:`teach`."""
    loops, codes, signs = _loops(), np.ascontiguousarray(codes), 2.0 * np.asarray(labels, float) - 1
    value = np.sqrt(WORD - shapes()[:, -1]).astype(np.float32)
    made = (shapes(), *_strands(), value, _base_weights(codes.shape[1], half))
    share = np.where(signs > 0, (signs > 0).mean(), (signs < 0).mean())
    ridge = 0.5 / COST * 2 * share
    weights, bias = np.zeros(len(shapes()) * 4**READ, np.float32), np.zeros(1)
    dual, scale = np.zeros(len(codes)), loops.norms(codes, made, weights)
    for _ in range(PASSES):
        order = random.permutation(len(codes))
        loops.sweep(order, codes, signs, made, (weights, bias, dual), (scale, ridge, BIAS))
        if on_pass:
            on_pass()
    return Machine((_both_strands(weights) / value[:, None]).astype(np.float32), half)


@functools.cache
def shapes() -> np.ndarray:
    """Positions of the bases that are read, the first always 0: int64 (210, 7)."""
    rest = itertools.combinations(range(1, WORD), READ - 1)
    return np.array([(0, *positions) for positions in rest], np.int64)


@functools.cache
def _strands() -> tuple[np.ndarray, np.ndarray]:
    """Where a gapped k-mer stands on the other strand: its shape's row int64 (210,), and its reading int32 (4**7,)."""
    number = {tuple(shape): i for i, shape in enumerate(shapes().tolist())}
    mirror = [number[tuple((shape[-1] - shape[::-1]).tolist())] for shape in shapes()]
    place = 4 ** np.arange(READ - 1, -1, -1)
    digits = np.arange(4**READ)[:, None] // place % 4
    return np.array(mirror), ((3 - digits[:, ::-1]) @ place).astype(np.int32)


def _both_strands(weights: np.ndarray) -> np.ndarray:
    """Give every gapped k-mer the weight that it shares with its reverse complement: (210 * 4**7,) -> (210, 4**7)."""
    mirror, turned = _strands()
    here = np.arange(len(weights)).reshape(len(mirror), -1)
    return weights[np.minimum(here, here[mirror][:, turned])]


def _base_weights(length: int, half: int) -> np.ndarray:
    distance = np.abs(np.arange(length) - (length - 1) / 2)
    return (0.5 ** (distance / half) if half else np.ones(length)).astype(np.float32)


@functools.cache
def _loops() -> SimpleNamespace:
    """The inner loops, compiled when they are first needed."""
    import numba

    compiled = numba.njit(nogil=True)

    @compiled
    def features(codes, made, room, found, amount):
        """Write number and amount of every gapped k-mer without N of one sequence; return how many there are."""
        shapes, mirror, turned, value, weights = made
        word, unknown = room
        count, k = 0, shapes.shape[1]
        for p in range(len(shapes)):
            span = shapes[p, k - 1]
            size = len(codes) - span
            word[:size], unknown[:size] = 0, 0
            for j in range(k):
                first = shapes[p, j]
                for start in range(size):
                    word[start] = word[start] * 4 + (codes[first + start] & 3)
                    unknown[start] |= codes[first + start] >> 2
            here, there = p * len(turned), mirror[p] * len(turned)
            for start in range(size):
                if unknown[start] == 0:
                    found[count] = min(here + word[start], there + turned[word[start]])
                    amount[count] = value[p] * weights[start + span // 2]
                    count += 1
        return count

    @compiled
    def gather(weights, found, amount, count):
        total = 0.0
        for j in range(count):
            total += weights[found[j]] * amount[j]
        return total

    @compiled
    def scatter(weights, found, amount, count, step):
        for j in range(count):
            weights[found[j]] += step * amount[j]

    @compiled
    def norms(codes, made, weights):
        """One over the norm of every sequence's features; `weights` is used and left at zero."""
        most, length = len(made[0]) * codes.shape[1], codes.shape[1]
        found, amount, scale = np.empty(most, np.int32), np.empty(most, np.float32), np.zeros(len(codes))
        room = np.empty(length, np.int32), np.empty(length, np.int32)
        for i in range(len(codes)):
            count = features(codes[i], made, room, found, amount)
            scatter(weights, found, amount, count, 1.0)
            square = gather(weights, found, amount, count)
            for j in range(count):
                weights[found[j]] = 0.0
            scale[i] = 1.0 / np.sqrt(square) if square > 0 else 0.0
        return scale

    @compiled
    def sweep(order, codes, signs, made, state, fixed):
        """One pass of dual coordinate descent; weights, bias and dual variables are changed in place."""
        (weights, bias, dual), (scale, ridge, unit) = state, fixed
        most, length = len(made[0]) * codes.shape[1], codes.shape[1]
        found, amount = np.empty(most, np.int32), np.empty(most, np.float32)
        room = np.empty(length, np.int32), np.empty(length, np.int32)
        for i in order:
            count = features(codes[i], made, room, found, amount)
            score = gather(weights, found, amount, count) * scale[i] + unit * bias[0]
            gradient = signs[i] * score - 1 + ridge[i] * dual[i]
            new = max(dual[i] - gradient / (1 + unit * unit + ridge[i]), 0.0)
            step = (new - dual[i]) * signs[i]
            dual[i] = new
            if step != 0.0:
                scatter(weights, found, amount, count, step * scale[i])
                bias[0] += unit * step

    @compiled
    def score_words(words, shapes, table):
        n, width, k = len(words), words.shape[1], shapes.shape[1]
        score, seen, total, block = np.zeros(n, np.float32), np.zeros(n, np.float32), 0, 4096
        for p in range(len(shapes)):
            total += width - shapes[p, k - 1]
        for first in range(0, n, block):
            size = min(block, n - first)
            columns = np.ascontiguousarray(words[first : first + size].T).astype(np.int32)
            for p in range(len(shapes)):
                for offset in range(width - shapes[p, k - 1]):
                    word, unknown = np.zeros(size, np.int32), np.zeros(size, np.int32)
                    for j in range(k):
                        base = columns[offset + shapes[p, j]]
                        for i in range(size):
                            word[i] = word[i] * 4 + (base[i] & 3)
                            unknown[i] |= base[i] >> 2
                    for i in range(size):
                        if unknown[i] == 0:
                            score[first + i] += table[p, word[i]]
                            seen[first + i] += 1
        return score, seen / total

    return SimpleNamespace(norms=norms, sweep=sweep, score_words=score_words)
