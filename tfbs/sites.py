"""Sites of known motifs: which motif a variant makes, breaks or changes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import quote

import numpy as np

from .effects import BATCH, Effect

if TYPE_CHECKING:
    from .jaspar import Motif

P = 1e-4
"""Probability that random bases score as high as a site must."""

WEAKEST = 1e-3
"""Of a motif too short for :data:`P` the best spelling is a site, if its probability is at most this."""

MOST = 3
"""Motifs named for one allele, those whose best score changes most."""

MANY, NOTABLE = 100, 95.0
"""With more motifs than this only alleles at or above this percentile are scanned."""

STEP = 0.01
"""Scores are whole multiples of this, bits."""

CHANGE = np.log2(10)
"""Change of the best score from which on it is named, bits: a site is then ten times as likely, or a tenth."""

PSEUDOCOUNT = 0.01

_TOGETHER = 32

Item = TypeVar("Item")
Alleles = tuple[np.ndarray, np.ndarray]
"""Codes of the reference and of the alternative allele, each between the same neighbours."""


@dataclass(frozen=True, slots=True)
class Change:
    """What the alternative allele does to a motif: ``gained``, ``lost``, ``strengthened`` or ``weakened``."""

    kind: str
    motif: Motif

    def __str__(self) -> str:
        name = f" ({self.motif.name})" if self.motif.name else ""
        return f"{self.kind} {self.motif.id}{name}"

    @property
    def code(self) -> str:
        """As INFO of a VCF may hold it: without spaces and separators."""
        return f"{self.kind}:{quote(self.motif.id, safe='')}"


def log_odds(ppm: np.ndarray) -> np.ndarray:
    """Scores of the bases (w, 4), whole multiples of :data:`STEP`, against a uniform background."""
    return np.rint(np.log2(4 * (ppm + PSEUDOCOUNT) / (1 + 4 * PSEUDOCOUNT)) / STEP).astype(int)


def threshold(scores: np.ndarray) -> tuple[int, float]:
    """Find the score that a site must have.

    Parameters
    ----------
    scores : ndarray of int, shape (w, 4)
        See :func:`log_odds`.

    Returns
    -------
    score : int
        The lowest that random bases reach with a probability of at most :data:`P`, or else the highest there is.
    p : float
        That probability, exact.

    References
    ----------
    Staden, "Methods for calculating the probabilities of finding patterns in sequences", CABIOS 5, 89-96 (1989).
    """
    density = np.ones(1)
    for row in scores - scores.min(1, keepdims=True):
        longer = np.zeros(len(density) + row.max())
        for score in row:
            longer[score : score + len(density)] += density / 4
        density = longer
    tail = np.cumsum(density[::-1])[::-1]
    first = int((tail > max(P, tail[-1])).sum())
    return int(scores.min(1).sum()) + first, float(tail[first])


class Scanner:
    """Looks for sites of motifs, on both strands, that overlap a change.

    Parameters
    ----------
    motifs : sequence of Motif
        May be empty. Those so short or flat that even their best spelling is likelier than :data:`WEAKEST` are left
        out.

    Attributes
    ----------
    motifs : list of Motif
        Those that are looked for, by width.
    flank : int
        Neighbours that every change needs to either side, bp.
    """

    def __init__(self, motifs: Sequence[Motif]):
        motifs = sorted(motifs, key=lambda motif: len(motif.ppm))
        limits, p = np.array([threshold(log_odds(motif.ppm)) for motif in motifs]).reshape(-1, 2).T
        self.motifs = [motif for motif, rare in zip(motifs, p <= WEAKEST, strict=True) if rare]
        self.flank = max((len(motif.ppm) for motif in self.motifs), default=1) - 1
        self._limits = limits[p <= WEAKEST]
        scores = [log_odds(motif.ppm) for motif in self.motifs]
        self._groups = [_Group(scores[at : at + _TOGETHER]) for at in range(0, len(scores), _TOGETHER)]

    def name(
        self, scored: Iterable[tuple[Item, list[Effect | str]]], around: Callable[[Item, int, int], Alleles]
    ) -> Iterator[tuple[Item, list[Effect | str]]]:
        """Name the motifs whose sites scored variants make, break or change, in batches.

        Parameters
        ----------
        scored : iterable
            What :meth:`tfbs.effects.Judge.score` yields.
        around : callable
            Item, number of its allele, flank -> both alleles between as many neighbours.

        Yields
        ------
        tuple
            The same, with motifs in the effects.
        """
        if not self.motifs:
            yield from scored
            return
        scored, least = iter(scored), NOTABLE if len(self.motifs) > MANY else 0.0
        while batch := list(itertools.islice(scored, BATCH)):
            chosen = [
                (item, found, k)
                for item, found in batch
                for k, effect in enumerate(found)
                if isinstance(effect, Effect) and not effect.percentile < least
            ]
            changes = self.changes([around(item, k, self.flank) for item, _, k in chosen])
            for (_, found, k), motifs in zip(chosen, changes, strict=True):
                if motifs:
                    found[k] = replace(found[k], motifs=motifs)
            yield from batch

    def changes(self, alleles: Sequence[Alleles]) -> list[tuple[Change, ...]]:
        """Name the motifs with a site in either allele and, over the change, best scores that differ by :data:`CHANGE`.

        With a site in one allele only they are gained or lost, else strengthened or weakened.

        Parameters
        ----------
        alleles : sequence of n Alleles
            Codes, each of :attr:`flank` bases, the allele, which may be empty, and as many bases again. N is neutral.

        Returns
        -------
        list of n tuples of Change
            At most :data:`MOST` each, the largest change of the best score first.
        """
        if not (alleles and self.motifs):
            return [()] * len(alleles)
        best = self.best(list(itertools.chain.from_iterable(alleles))).reshape(len(alleles), 2, -1)
        passes, gain = best >= self._limits, best[:, 1] - best[:, 0]
        rows, columns = np.nonzero(passes.any(1) & (np.abs(gain) * STEP >= CHANGE))
        order = np.argsort(-np.abs(gain[rows, columns]), kind="stable")
        named: list[tuple[Change, ...]] = [()] * len(alleles)
        for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
            if len(named[row]) < MOST:
                kinds = ("weakened", "strengthened") if passes[row, :, column].all() else ("lost", "gained")
                named[row] += (Change(kinds[int(gain[row, column] > 0)], self.motifs[column]),)
        return named

    def best(self, stretches: Sequence[np.ndarray]) -> np.ndarray:
        """Best score of each motif at each of n stretches, as multiples of :data:`STEP`: (n, motifs)."""
        lengths = np.array([len(codes) for codes in stretches])
        triples = np.convolve(np.concatenate(stretches), (1, 5, 25))[2:]
        middles = np.cumsum(lengths) - lengths + self.flank
        return np.hstack([group.best(triples, middles, lengths - 2 * self.flank) for group in self._groups])


class _Group:
    """Scores of motifs of similar width, three bases at a time: for each three columns a table (125, 2 motifs).

    First come all motifs forward, then all of them reversed; the narrower are filled up on the right, N is 0.
    """

    def __init__(self, scores: Sequence[np.ndarray]):
        self.widths, self.width = np.array([len(table) for table in scores]), max(map(len, scores))
        columns = np.zeros((-(-self.width // 3), 3, 5, 2 * len(scores)), np.int32)
        by_position = columns.reshape(-1, 5, 2, len(scores))
        for k, table in enumerate(scores):
            by_position[: len(table), :4, 0, k] = table
            by_position[: len(table), :4, 1, k] = table[::-1, ::-1]
        first, second, third = columns.swapaxes(0, 1)
        triples = first[:, :, None, None] + second[:, None, :, None] + third[:, None, None, :]
        self.tables = triples.reshape(len(columns), 125, -1)

    def best(self, triples: np.ndarray, middles: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Best score of each motif, (n, motifs), over the sites that overlap n places of a sequence of triples."""
        counts = lengths + self.width - 1
        ends = np.cumsum(counts)
        offsets = np.arange(ends[-1]) - np.repeat(ends - lengths, counts)
        starts = np.repeat(middles, counts) + offsets
        scores = sum(table[triples[starts + 3 * k]] for k, table in enumerate(self.tables))
        scores = np.maximum(*np.split(scores, 2, axis=1))
        scores[-offsets[:, None] >= self.widths] = np.iinfo(scores.dtype).min
        return np.maximum.reduceat(scores, ends - counts)
