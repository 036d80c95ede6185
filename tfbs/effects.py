"""What a variant does to the prediction of a network: the logit of its alternative allele minus that of its reference.

Everything is averaged over both strands and over windows whose centres lie a few bp off, and compared with random
substitutions at random positions of the same genome. Variants come and go in batches, so that memory does not grow
with their number.
"""

from __future__ import annotations

import bisect
import heapq
import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from . import sequences
from .errors import DataError
from .genome import Genome
from .variants import Cuts, Cutter, Frame
from .vcf import Record

if TYPE_CHECKING:
    from .sites import Change

BATCH = 512
STRONG = 99.0
"""Percentile of the background from which on a change counts as strong."""

EDGES = np.sinh(np.linspace(-12, 12, 121))
"""Edges of the bins of :attr:`Tally.histogram`, in units of its scale."""

_ROUNDS = 100

Predict = Callable[[np.ndarray], np.ndarray]
"""Codes (N, width) -> logits (N,)."""

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Effect:
    """What an allele does.

    Attributes
    ----------
    reference, alternative : float
        Logits, means over both strands and all windows.
    percentile : float
        Share of the background with a smaller absolute change of the logit, %; not a number without background.
    motifs : tuple of Change
        Motifs of which the allele makes, breaks or changes a site, where they were looked for; see :mod:`tfbs.sites`.
    """

    reference: float
    alternative: float
    percentile: float = math.nan
    motifs: tuple[Change, ...] = ()

    @property
    def delta(self) -> float:
        """Change of the logit, alternative minus reference."""
        return self.alternative - self.reference

    @property
    def change(self) -> float:
        """Change of the probability, alternative minus reference."""
        return (math.tanh(self.alternative / 2) - math.tanh(self.reference / 2)) / 2

    @property
    def direction(self) -> str:
        """``gain`` of binding, ``loss``, or nothing."""
        return "gain" if self.delta > 0 else "loss" if self.delta < 0 else ""


@dataclass(frozen=True)
class Judge:
    """A network, and what it makes of random substitutions.

    Attributes
    ----------
    predict : callable
        The network.
    background : ndarray of float64, shape (n,)
        Changes of the logit of random substitutions; empty if there is nothing to compare with.
    """

    predict: Predict
    background: np.ndarray = field(default_factory=lambda: np.zeros(0))

    @cached_property
    def _sizes(self) -> np.ndarray:
        return np.sort(np.abs(self.background))

    @property
    def scale(self) -> float:
        """The usual change of the logit: the median size of the background's, or 1."""
        return float(np.median(self._sizes)) or 1.0 if len(self._sizes) else 1.0

    def logits(self, windows: np.ndarray) -> np.ndarray:
        """Predict windows (n, 2, S, width) and average over both strands and S windows: (n, 2)."""
        codes = windows.reshape(-1, windows.shape[-1])
        found = self.predict(np.concatenate([codes, sequences.reverse_complement(codes)]))
        return found.reshape(2, *windows.shape[:3]).mean((0, 3))

    def effects(self, windows: np.ndarray) -> list[Effect]:
        """Effects of n alleles with the windows (n, 2, S, width), first those of the reference."""
        found = self.logits(windows)
        percentiles = np.full(len(found), math.nan)
        if len(self._sizes):
            smaller = np.searchsorted(self._sizes, np.abs(found[:, 1] - found[:, 0]))
            percentiles = 100 * smaller / len(self._sizes)
        return [Effect(*row, percentile) for row, percentile in zip(found.tolist(), percentiles.tolist(), strict=True)]

    def score(
        self, items: Iterable[Item], windows: Callable[[Item], Cuts]
    ) -> Iterator[tuple[Item, list[Effect | str]]]:
        """Score a stream of variants in batches.

        Parameters
        ----------
        items : iterable
            Records or pairs.
        windows : callable
            Cuts the windows of all alleles of an item, or says why there are none.

        Yields
        ------
        tuple
            Each item in turn, and for each allele its effect or the reason why it has none.
        """
        items = iter(items)
        while batch := list(itertools.islice(items, BATCH)):
            cut = [windows(item) for item in batch]
            flat = [found for alleles in cut for found in alleles if not isinstance(found, str)]
            effects = iter(self.effects(np.stack(flat)) if flat else ())
            for item, alleles in zip(batch, cut, strict=True):
                yield item, [found if isinstance(found, str) else next(effects) for found in alleles]


def background(genome: Genome, frame: Frame, predict: Predict, n: int, seed: int) -> np.ndarray:
    """Score random substitutions at random positions of a genome.

    Parameters
    ----------
    genome : Genome
        Every position that has windows without N is equally likely, and each of its three substitutions too.
    frame : Frame
        As for the variants.
    predict : callable
        The network.
    n : int
        How many.
    seed : int
        0 to 4294967295.

    Returns
    -------
    ndarray of float64, shape (n,)
        Changes of the logit, in the order of drawing.

    Raises
    ------
    DataError
        If the genome has hardly such a position.
    """
    random, names = np.random.RandomState(seed), genome.names
    cutter = Cutter(genome, frame, {name: name for name in names})
    ends = np.cumsum(list(genome.lengths.values()))
    found: list[float] = []
    for _ in range(_ROUNDS):
        places = random.randint(0, max(1, int(ends[-1])), n, dtype=np.int64)
        turns = random.randint(1, 4, n)
        chosen = np.searchsorted(ends, places, "right")
        starts = places - np.append(0, ends)[chosen]
        drawn = zip((names[k] for k in chosen), starts.tolist(), turns.tolist(), strict=True)
        records = filter(None, (_substitution(genome, *draw) for draw in drawn))
        scored = Judge(predict).score(records, cutter.windows)
        found += [effect.delta for _, effects in scored for effect in effects if isinstance(effect, Effect)]
        if len(found) >= n:
            return np.array(found[:n])
    raise DataError(
        f"{genome.path.name}: expected {n:,} positions with {frame.width + 2 * frame.reach} bp without N around them, "
        f"as a background, received {len(found):,} in {_ROUNDS * n:,} draws: give a genome with longer chromosomes."
    )


def _substitution(genome: Genome, chromosome: str, start: int, turn: int) -> Record | None:
    """One of the three substitutions of a base, or None of an N."""
    code = int(genome.codes(chromosome, start, start + 1)[0])
    if code == sequences.N:
        return None
    ref, alt = sequences.ALPHABET[code], sequences.ALPHABET[(code + turn) % 4]
    return Record(0, [chromosome, str(start + 1), ".", ref, alt])


class Tally:
    """What is kept of a stream of scored alleles, whatever its length.

    Parameters
    ----------
    scale : float
        Change of the logit, > 0, that is the unit of the histogram.
    most : int
        Alleles to keep.

    Attributes
    ----------
    scored, strong, gains : int
        Alleles with an effect; those above :data:`STRONG` % of the background; those that raise the logit.
    sites : int
        Strong alleles with ``motifs``; of all alleles if there is no background.
    reasons : Counter
        Why alleles have no effect.
    histogram : ndarray of int64, shape (120,)
        Changes of the logit between the :data:`EDGES`; the outermost bins hold what lies beyond.
    """

    def __init__(self, scale: float = 1.0, most: int = 100):
        self.scale, self.most = scale, most
        self.scored = self.strong = self.gains = self.sites = 0
        self.reasons: Counter[str] = Counter()
        self.histogram = np.zeros(len(EDGES) - 1, np.int64)
        self._inner = (EDGES[1:-1] * scale).tolist()
        self._best: list[tuple[float, int, Any, Effect]] = []

    def add(self, what: Any, found: Effect | str) -> None:
        """Take in an allele and its effect, or the reason why it has none."""
        if isinstance(found, str):
            self.reasons[found] += 1
            return
        self.scored += 1
        self.strong += found.percentile >= STRONG
        self.gains += found.delta > 0
        self.sites += bool(found.motifs) and not found.percentile < STRONG
        self.histogram[bisect.bisect(self._inner, found.delta)] += 1
        entry = (abs(found.delta), -self.scored, what, found)
        if len(self._best) < self.most:
            heapq.heappush(self._best, entry)
        else:
            heapq.heappushpop(self._best, entry)

    @property
    def total(self) -> int:
        """All alleles."""
        return self.scored + self.reasons.total()

    @property
    def best(self) -> list[tuple[Any, Effect]]:
        """The alleles with the largest changes, largest first; of equal ones the earlier first."""
        return [(what, found) for _, _, what, found in sorted(self._best, reverse=True)]
