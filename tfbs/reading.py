"""What a network reads: the motifs in its attributions and the known ones they resemble, in words, rows and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import agreement, jaspar, motifs, plots_motifs
from .attribution import Attribution, check_additivity
from .explanation import Sample
from .intervals import Estimate
from .jaspar import Database, Match
from .modisco import Discovery
from .motifs import Pattern
from .plots_motifs import Example

if TYPE_CHECKING:
    from .plots import Figure

EXAMPLES = 3
FIRST_LOOK = "plots/first_look.png"


@dataclass(frozen=True)
class Reading:
    """Motifs found in explained sequences, and what each resembles.

    Attributes
    ----------
    sample : Sample
        The sequences.
    attribution : Attribution
        One entry a sequence.
    losses : ndarray, shape (w, L)
        In-silico mutagenesis of the first sequences, see :func:`tfbs.mutagenesis.losses`.
    patterns : sequence of Pattern
        The most important first, each read so that its best match is forward.
    matches : mapping of str to sequence of Match
        By name of the pattern, the most alike first.
    database : str
        Name of the known motifs.
    """

    sample: Sample
    attribution: Attribution
    losses: np.ndarray
    patterns: Sequence[Pattern]
    matches: Mapping[str, Sequence[Match]]
    database: str

    @cached_property
    def witness(self) -> Estimate:
        """Rank correlation of the contributions with in-silico mutagenesis."""
        return agreement.mutagenesis(self.attribution.contributions[: len(self.losses)], self.losses)

    def best(self, pattern: Pattern) -> Match | None:
        """The known motif that a pattern resembles most."""
        return next(iter(self.matches[pattern.name]), None)

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was found, and what the first motif is."""
        told = motifs.sentence(self.patterns, len(self.sample))
        return (told, self._naming()) if self.patterns else (told,)

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """One row a motif, for a table."""
        return [self._row(pattern) for pattern in self.patterns]

    def _naming(self) -> str:
        """Say what the first motif is."""
        found = self.matches[self.patterns[0].name]
        if not found:
            return f"It resembles no motif of {self.database}."
        names = " and ".join(f"{match.motif.name} ({match.motif.id}, q = {match.q:.1g})" for match in found[:2])
        return f"Of {self.database} it resembles most {names}."

    def _row(self, pattern: Pattern) -> dict[str, str]:
        best = self.best(pattern)
        return {
            "motif": pattern.name,
            "letters": pattern.consensus,
            "occurrences": f"{pattern.count:,}",
            "log-odds each": f"{pattern.scores.mean():+.2f}",
            "resembles": f"{best.motif.name} ({best.motif.id})" if best else "no known motif",
            "family": best.motif.family if best else "",
            "q": f"{best.q:.1g}" if best else "",
            "also": ", ".join(match.motif.name for match in self.matches[pattern.name][1:]),
        }

    def first_look(self) -> Figure:
        """Draw the top motif beside its match, three sequences, and how far to trust it."""
        codes, ids, found = self.sample.codes, self.sample.ids, self.attribution
        if self.patterns:
            first = self.patterns[0]
            shown = plots_motifs.examples(first, codes, found.contributions, ids)
            return plots_motifs.first_look(first, self.best(first), shown, self.trust)
        rows = np.argsort(-found.logits, kind="stable")[:EXAMPLES]
        titles = [f"{ids[row]}, logit {found.logits[row]:+.2f}" for row in rows]
        shown = list(map(Example, titles, codes[rows], found.contributions[rows]))
        return plots_motifs.first_look(None, None, shown, self.trust)

    @property
    def trust(self) -> tuple[str, ...]:
        """How far the attributions can be trusted."""
        told = f"The contributions add up to the logit within {self.attribution.additivity_error:.1e} of the largest."
        if not self.witness.n:
            return (told,)
        n, limits = self.witness.n, f" (95 % interval {self.witness.lo:.2f} to {self.witness.hi:.2f})"
        return told, (
            f"Their ranks agree with in-silico mutagenesis of {n} sequence{'s' * (n > 1)}: mean Spearman correlation "
            f"{self.witness.value:.2f}{limits if n > 1 else ''}."
        )

    def write_meme(self, path: Path) -> None:
        """Write the motifs in MEME format, each called after the known one that it resembles."""
        jaspar.write_meme(path, [jaspar.as_motif(pattern, self.best(pattern)) for pattern in self.patterns])


def read(
    sample: Sample, attribution: Attribution, losses: np.ndarray, known: Database, settings: Discovery | None = None
) -> Reading:
    """Find and name the motifs in explained sequences.

    Parameters
    ----------
    sample : Sample
        Some hundred positives.
    attribution : Attribution
        One entry a sequence.
    losses : ndarray, shape (w, L)
        In-silico mutagenesis of the first sequences, a second witness.
    known : Database
        What to name the motifs by.
    settings : Discovery, optional
        Of TF-MoDISco.

    Raises
    ------
    AttributionError
        If the contributions do not add up, or as :func:`tfbs.motifs.discover` does.
    """
    check_additivity(attribution)
    found = motifs.discover(sample.codes, attribution.contributions, attribution.hypothetical, settings)
    return Reading(sample, attribution, losses, *jaspar.orient(found, jaspar.match(found, known)), known.name)
