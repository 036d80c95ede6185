"""In-silico experiments with motifs that are not there: what one, several or two of them add to neutral sequences.

Attributions say which bases of a sequence matter; inserting a motif says what it does by itself, how its copies add
up, and at which distance and orientation two motifs do more than each alone. Codes and a network in, log-odds out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError
from .intervals import Estimate, mean
from .motifs import information
from .sequences import N, reverse_complement

if TYPE_CHECKING:
    from .effects import Predict

BATCH = 50_000
"""Sequences that exist at a time."""

COPIES, GAP = 5, 50
"""Most copies of a motif, and largest distance of two motifs in bp."""

LEAST_BITS = 0.25
"""Information from which on a position of a motif has a letter."""

ORIENTATIONS = ("++", "+-", "-+", "--")
"""Strand of the left and of the right motif; the opposite order is the same, seen from the other strand."""


@dataclass(frozen=True)
class Insertion:
    """What copies of a motif add to neutral sequences.

    Attributes
    ----------
    effects : ndarray of float64, shape (c, 2, n)
        Logit with 1 to c copies minus logit without, log-odds: the motif as given, then its reverse complement.
    """

    effects: np.ndarray

    def estimate(self, copies: int = 1, strand: int | None = None) -> Estimate:
        """Mean effect of some copies with its 95 % interval, log-odds, as given (0), reversed (1), or of both."""
        effects = self.effects[copies - 1]
        return mean(effects.mean(0) if strand is None else effects[strand])


@dataclass(frozen=True)
class Spacing:
    """What two motifs add together, at every distance and in every orientation.

    Attributes
    ----------
    gaps : ndarray of int64, shape (g,)
        bp between the first motif and the second one, which is on its right.
    both : ndarray of float64, shape (4, g, n)
        Logit with both motifs minus logit without, log-odds, by :data:`ORIENTATIONS`.
    alone : ndarray of float64, shape (4, g, n)
        Effect of the first alone plus effect of the second alone, each at the same place, log-odds.
    """

    gaps: np.ndarray
    both: np.ndarray
    alone: np.ndarray

    @property
    def cooperativity(self) -> np.ndarray:
        """What both add beyond the sum of each, log-odds: (4, g, n); 0 where the network merely adds them up."""
        return self.both - self.alone

    @cached_property
    def estimates(self) -> np.ndarray:
        """Mean cooperativity and the limits of its 95 % interval, each interval for itself: (3, 4, g) log-odds."""
        found = map(mean, self.cooperativity.reshape(-1, self.both.shape[2]))
        return np.array([(each.value, each.lo, each.hi) for each in found]).T.reshape(3, 4, -1)

    def strongest(self) -> tuple[str, int, Estimate]:
        """Orientation, gap and value of the mean cooperativity of largest size; the interval allows for the search."""
        values = self.cooperativity
        orientation, gap = np.unravel_index(np.abs(values.mean(2)).argmax(), values.shape[:2])
        found = mean(values[orientation, gap], looks=values[..., 0].size)
        return ORIENTATIONS[orientation], int(self.gaps[gap]), found


def consensus(ppm: np.ndarray) -> np.ndarray:
    """Return the letters of a motif to insert.

    Parameters
    ----------
    ppm : ndarray, shape (w, 4)
        Probability of each base, as :attr:`tfbs.motifs.Pattern.ppm`.

    Returns
    -------
    ndarray of uint8, shape (w,)
        The most probable base, and N at positions of less than :data:`LEAST_BITS`, where any base will do.
    """
    return np.where(information(ppm).sum(1) >= LEAST_BITS, np.argmax(ppm, 1), N).astype(np.uint8)


def marginalise(predict: Predict, neutral: np.ndarray, motif: np.ndarray, copies: int = COPIES) -> Insertion:
    """Measure what a motif adds to neutral sequences, on both strands, and how its copies add up.

    One copy lies in the middle; more are spread evenly, without overlap, all on one strand.

    Parameters
    ----------
    predict : callable
        The network: codes (N, L) -> logits (N,).
    neutral : ndarray of uint8, shape (n, L)
        Sequences without motifs, such as shuffled negatives; some hundred are enough.
    motif : ndarray of uint8, shape (w,)
        Its letters, see :func:`consensus`; where it has N, the neutral base stays.
    copies : int
        Most copies; fewer if no more fit.

    Returns
    -------
    Insertion

    Raises
    ------
    DataError
        If the motif does not fit.

    References
    ----------
    Koo et al., "Global importance analysis: an interpretability method to quantify importance of genomic features in
    deep neural networks", PLoS Computational Biology 17, e1008925 (2021). ``marginalize`` of tangermeme does likewise.
    """
    n, length = _checked(neutral, motif)
    strands = (motif, reverse_complement(motif))
    designs = [_design(length)]
    for count in range(1, min(copies, length // len(motif)) + 1):
        free = length - count * len(motif)
        starts = [(i + 1) * free // (count + 1) + i * len(motif) for i in range(count)]
        designs += [_design(length, *((turned, start) for start in starts)) for turned in strands]
    without, *found = _logits(predict, neutral, np.array(designs))
    return Insertion((np.array(found) - without).reshape(-1, 2, n))


def spacing(predict: Predict, neutral: np.ndarray, first: np.ndarray, second: np.ndarray, most: int = GAP) -> Spacing:
    """Measure at which distance and orientation two motifs do more than each alone.

    The pair lies in the middle. What each does alone is measured where it stands in the pair, so an effect that
    depends on the position within the sequence does not pass for cooperativity.

    Parameters
    ----------
    predict : callable
        The network: codes (N, L) -> logits (N,).
    neutral : ndarray of uint8, shape (n, L)
        As in :func:`marginalise`.
    first, second : ndarray of uint8, shape (w,) and (v,)
        Letters of the motifs; may be the same.
    most : int
        Largest gap, bp; less if it does not fit.

    Returns
    -------
    Spacing

    Raises
    ------
    DataError
        If the motifs do not fit beside each other.
    """
    n, length = _checked(neutral, first, second)
    free = length - len(first) - len(second)
    gaps = np.arange(min(most, free) + 1)
    designs = [_design(length)]
    for left, right in ORIENTATIONS:
        for gap in gaps:
            start = (free - gap) // 2
            a, b = (_turned(first, left), start), (_turned(second, right), start + len(first) + gap)
            designs += [_design(length, a, b), _design(length, a), _design(length, b)]
    distinct, which = np.unique(designs, axis=0, return_inverse=True)
    without, *found = _logits(predict, neutral, distinct)[which.ravel()]
    both, a, b = np.moveaxis((np.array(found) - without).reshape(4, len(gaps), 3, n), 2, 0)
    return Spacing(gaps, both, a + b)


def predict_made(predict: Predict, n: int, make: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Predict n sequences that `make` makes from their numbers, at most :data:`BATCH` at a time: (n,) float64."""
    logits = np.empty(n)
    for first in range(0, n, BATCH):
        numbers = np.arange(first, min(first + BATCH, n))
        logits[numbers] = predict(make(numbers))
    return logits


def _logits(predict: Predict, neutral: np.ndarray, designs: np.ndarray) -> np.ndarray:
    """Logit of each neutral sequence with each design (d, L) laid over it: (d, n)."""

    def make(numbers: np.ndarray) -> np.ndarray:
        design, row = np.divmod(numbers, len(neutral))
        return np.where(designs[design] == N, neutral[row], designs[design])

    return predict_made(predict, len(designs) * len(neutral), make).reshape(len(designs), -1)


def _design(length: int, *placed: tuple[np.ndarray, int]) -> np.ndarray:
    """Motifs at their 0-based starts, and N where the neutral base stays: (length,) codes."""
    design = np.full(length, N, np.uint8)
    for motif, start in placed:
        design[start : start + len(motif)] = motif
    return design


def _turned(motif: np.ndarray, strand: str) -> np.ndarray:
    return reverse_complement(motif) if strand == "-" else motif


def _checked(neutral: np.ndarray, *motifs: np.ndarray) -> tuple[int, int]:
    """Insist on sequences that hold the motifs; return their number and length."""
    n, length = neutral.shape
    width = sum(map(len, motifs))
    if not n:
        raise DataError("Expected at least one neutral sequence to insert motifs into, received none.")
    if not width or width > length:
        widths = " and ".join(str(len(motif)) for motif in motifs)
        raise DataError(
            f"Expected motifs that fit into neutral sequences of {length} bp, received {widths} bp: trim the motifs or "
            "give longer sequences."
        )
    return n, length
