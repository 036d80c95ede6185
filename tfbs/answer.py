"""What an interpretation found out about a network, in sentences, tables and figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from . import plots_filters, plots_trust
from .dissection import Dissection
from .doubt import Doubt
from .filters import Filter
from .jaspar import Match
from .reading import Reading

if TYPE_CHECKING:
    from .plots import Figure

SHOWN = 20


@dataclass(frozen=True)
class Answer:
    """What was found out.

    Attributes
    ----------
    reading : Reading
        The motifs and their names.
    dissection : Dissection or None
        What they do to the network; None if there is none.
    doubt : Doubt
        How the attributions stood the tests.
    filters : sequence of Filter
        Those of the first convolution; empty if none reads the bases, as in an ensemble.
    matches : mapping of str to sequence of Match
        What each filter resembles, by its name.
    """

    reading: Reading
    dissection: Dissection | None
    doubt: Doubt
    filters: Sequence[Filter]
    matches: Mapping[str, Sequence[Match]]

    @property
    def sentences(self) -> tuple[str, ...]:
        """All in words: what was explained, what is read, what it does, and how far to trust it."""
        sample, does = self.reading.sample, self.dissection.sentences if self.dissection else ()
        told = (f"Explained {len(sample):,} {sample.origin}.", *self.reading.sentences, *does)
        return (*told, *self.reading.trust, *self.doubt.sentences)

    @property
    def tables(self) -> list[list[dict[str, str]]]:
        """The motifs, and what the first of them do."""
        tables = [self.reading.rows[:SHOWN], self.dissection.rows if self.dissection else []]
        return [rows for rows in tables if rows]

    def figures(self) -> Iterator[tuple[str, str, Figure]]:
        """Yield file name, caption and figure of everything but the single motifs."""
        found = self.reading
        yield "first_look", "First look", found.first_look()
        if self.dissection:
            yield from self.dissection.figures()
        contributions = found.attribution.contributions[: len(found.losses)]
        figure = plots_trust.mutagenesis(contributions, found.losses)
        yield "mutagenesis", "Contributions beside in-silico mutagenesis", figure
        figure = plots_trust.cascade(self.doubt.cascade)
        yield "randomisation", "Contributions as the network forgets what it learned", figure
        if self.filters:
            figure = plots_filters.filters(self.filters, self.matches)
            yield "filters", "Filters of the first convolution, the most used first", figure
