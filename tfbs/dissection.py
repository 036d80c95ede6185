"""What each motif does to a network: inserted where there is none, paired with another, and taken out where it is."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import ablation, insertion, plots_insertion
from .ablation import Ablation, Explained
from .insertion import Insertion, Spacing
from .motifs import Pattern, Seqlets
from .reading import Reading

if TYPE_CHECKING:
    from .effects import Predict
    from .plots import Figure

MOTIFS, NEUTRAL, SEQUENCES = 5, 50, 200
"""Motifs, neutral sequences and explained sequences to experiment with, at most."""

REPLACEMENTS, GAP = 5, 30


@dataclass(frozen=True)
class Dissection:
    """Experiments with the most important motifs.

    Attributes
    ----------
    names : tuple of str
        The motifs.
    insertions : tuple of Insertion
        One a motif.
    ablations : tuple of (Ablation or None)
        One a motif; None if it lies in none of the sequences that were changed.
    together : Explained or None
        All motifs that were found taken out at once.
    pair : tuple of str
        Names of the two motifs that were put beside each other; the first one twice if there is no other.
    spacing : Spacing or None
        What they do together; None if they do not fit beside each other.
    """

    names: tuple[str, ...]
    insertions: tuple[Insertion, ...]
    ablations: tuple[Ablation | None, ...]
    together: Explained | None
    pair: tuple[str, str]
    spacing: Spacing | None

    @property
    def rows(self) -> list[dict[str, str]]:
        """One row a motif, for a table; all in log-odds with 95 % intervals."""
        return [
            {
                "motif": name,
                "inserted": _told(inserted.estimate(1, 0)),
                "inserted reversed": _told(inserted.estimate(1, 1)),
                f"{len(inserted.effects)} copies": _told(inserted.estimate(len(inserted.effects), 0)),
                "lost when taken out": _told(removed.loss) if removed else "",
                "lost with a random stretch": _told(removed.random_loss) if removed else "",
            }
            for name, inserted, removed in zip(self.names, self.insertions, self.ablations, strict=True)
        ]

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the first motif does, in words."""
        first, told = self.insertions[0].estimate(1, 0), []
        told.append(f"Inserted into {first.n} neutral sequences, {self.names[0]} changes the logit by {_told(first)}.")
        if self.together and self.together.share:
            share = self.together.share
            told.append(
                f"Taken out of {share.n} sequences, the motifs take along {share.value:.0%} (95 % interval "
                f"{share.lo:.0%} to {share.hi:.0%}) of what raises their logits above neutral ones."
            )
        if self.spacing:
            orientation, gap, found = self.spacing.strongest()
            told.append(
                f"{self._pair} change the logit by {_told(found)} beyond the sum of what each does alone when they lie "
                f"{gap} bp apart on strands {orientation}, the most of all distances and orientations tried."
            )
        return tuple(told)

    @property
    def _pair(self) -> str:
        return f"Two copies of {self.pair[0]}" if len(set(self.pair)) == 1 else " and ".join(self.pair)

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield file name, caption and figure."""
        yield "insertion", f"{self.names[0]} inserted", plots_insertion.insertion(self.insertions[0], self.names[0])
        if self.spacing:
            yield "spacing", f"{self._pair} beside each other", plots_insertion.spacing(self.spacing, *self.pair)
        if self.ablations[0]:
            yield "ablation", f"{self.names[0]} taken out", plots_insertion.ablation(self.ablations[0], self.names[0])


def dissect(predict: Predict, found: Reading, neutral: np.ndarray) -> Dissection | None:
    """Experiment with the motifs that a network reads.

    Parameters
    ----------
    predict : callable
        The network: codes (N, L) -> logits (N,).
    found : Reading
        Its motifs, and the sequences they were found in.
    neutral : ndarray of uint8, shape (n, L)
        Sequences without motifs, of which :data:`NEUTRAL` are used.

    Returns
    -------
    Dissection or None
        None if there is no motif.
    """
    if not found.patterns:
        return None
    neutral, codes = neutral[:NEUTRAL], found.sample.codes[:SEQUENCES]
    chosen = found.patterns[:MOTIFS]
    letters = [insertion.consensus(pattern.ppm) for pattern in chosen]
    places = {pattern.name: _among(pattern, len(codes)) for pattern in found.patterns}
    everywhere = list(places.values())

    def remove(name: str) -> Ablation | None:
        own = places[name]
        return ablation.ablate(predict, codes, own, neutral, everywhere, REPLACEMENTS) if len(own) else None

    together = None
    if any(map(len, everywhere)):
        together = ablation.ablate_all(predict, codes, everywhere, neutral, REPLACEMENTS)
    pair = next(itertools.combinations(range(len(chosen)), 2), (0, 0))
    fits = sum(len(letters[i]) for i in pair) <= codes.shape[1]
    return Dissection(
        names=tuple(pattern.name for pattern in chosen),
        insertions=tuple(insertion.marginalise(predict, neutral, each) for each in letters),
        ablations=tuple(remove(pattern.name) for pattern in chosen),
        together=together,
        pair=tuple(chosen[i].name for i in pair),
        spacing=insertion.spacing(predict, neutral, *(letters[i] for i in pair), most=GAP) if fits else None,
    )


def _among(pattern: Pattern, n: int) -> Seqlets:
    """Its seqlets on the first n sequences."""
    return pattern.seqlets.take(np.flatnonzero(pattern.seqlets.rows < n))


def _told(estimate) -> str:
    """Value and limits, log-odds."""
    return f"{estimate.value:+.2f} ({estimate.lo:+.2f} to {estimate.hi:+.2f})" if estimate else ""
