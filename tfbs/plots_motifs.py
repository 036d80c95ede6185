"""Figures of the motifs that a network reads, beside the known ones they resemble.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .jaspar import Match
from .motifs import Pattern, information
from .plots import BLUE, GREY, MAX_WIDTH, YELLOW, _figure, _integer_ticks, _logo, _styled, _title, _window
from .sequences import one_hot

if TYPE_CHECKING:
    from .plots import Axes, Figure

FOOT = 105
"""Letters a line at the foot of the first look."""

SEQLET = {"facecolor": YELLOW, "alpha": 0.35, "linewidth": 0, "zorder": -1}


@dataclass(frozen=True)
class Example:
    """A sequence with its contributions.

    Attributes
    ----------
    title : str
        What it is.
    codes : ndarray of uint8, shape (L,)
        Its bases.
    contributions : ndarray, shape (L,)
        Log-odds.
    span : tuple of int
        0-based start and length of the stretch to mark; a length of 0 marks nothing.
    """

    title: str
    codes: np.ndarray
    contributions: np.ndarray
    span: tuple[int, int] = (0, 0)


def examples(pattern: Pattern, codes: np.ndarray, contributions: np.ndarray, ids: Sequence[str]) -> list[Example]:
    """Return the sequences of :meth:`tfbs.motifs.Pattern.examples`, with the motif marked."""
    found = []
    for name, i in pattern.examples().items():
        row, start = int(pattern.seqlets.rows[i]), int(pattern.seqlets.starts[i])
        title = f"{name} of {pattern.count:,} occurrences: {ids[row]}, {pattern.scores[i]:+.2f} log-odds"
        found.append(Example(title, codes[row], contributions[row], (start, pattern.seqlets.width)))
    return found


@_styled
def motif(pattern: Pattern, match: Match | None = None) -> Figure:
    """Draw one pattern: contributions, bases, the known motif that it resembles, and where it lies.

    Parameters
    ----------
    pattern : Pattern
        What the network reads.
    match : Match, optional
        What it resembles, drawn below it column by column.

    Returns
    -------
    Figure
    """
    rows = 4 if match else 3
    figure = _figure(max(6.5, 2.0 + 0.28 * _columns(pattern, match)[1]), 1.9 * rows)
    panels = list(figure.subplots(rows, 1))
    adds = "raises" if pattern.sign == "pos" else "lowers"
    panels[0].set_title(
        f"{pattern.name}: {pattern.count:,} occurrences, each {adds} the logit by {abs(pattern.scores.mean()):.2f} "
        "log-odds on average",
        loc="left",
    )
    _logos(panels[: rows - 1], pattern, match)
    _places(panels[-1], pattern)
    return figure


@_styled
def first_look(pattern: Pattern | None, match: Match | None, shown: Sequence[Example], trust: Sequence[str]) -> Figure:
    """Draw on one page what the network reads: top motif, what it resembles, examples, and how far to trust it.

    Parameters
    ----------
    pattern : Pattern or None
        The most important one; None if there is none.
    match : Match or None
        The known motif that it resembles.
    shown : sequence of Example
        Sequences to draw, see :func:`examples`.
    trust : sequence of str
        Sentences for the foot of the page.

    Returns
    -------
    Figure
    """
    n, lines = len(shown), [line for sentence in trust for line in textwrap.wrap(sentence, FOOT)]
    heights = (2.6, max(1.55 * n, 0.1), 0.1 + 0.22 * len(lines))
    figure = _figure(8.5, sum(heights))
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=heights)
    left, right = top.subplots(1, 2)
    if pattern is None:
        _say(left, "no motif found")
    else:
        _bits(left, pattern.ppm, 0, f"read by the network: {pattern.name}, {pattern.count:,} occurrences")
    if pattern is None or match is None:
        _say(right, "resembles no known motif" if pattern else "")
    else:
        _bits(right, match.ppm, -match.offset, _named(match))
        _show_columns((left, right), pattern, match)
    if n:
        _examples(middle, shown)
    bottom.text(0.01, 0.5, "\n".join(lines), va="center", fontsize=10, linespacing=1.4)
    return figure


def _examples(figure: Figure, shown: Sequence[Example]) -> None:
    """Draw contributions as logos, all on one scale."""
    panels = figure.subplots(len(shown), 1, sharey=True, squeeze=False)[:, 0]
    for axes, example in zip(panels, shown, strict=True):
        values = one_hot(example.codes) * np.asarray(example.contributions, np.float64)[:, None]
        first = _window(np.abs(values).sum(1))
        _logo(axes, values[first : first + MAX_WIDTH], first)
        axes.set_title(_title(example.title, first, len(values)), loc="left", pad=3)
        if example.span[1]:
            axes.axvspan(example.span[0] + 0.5, sum(example.span) + 0.5, **SEQLET)
    low, high = (limit([0.0, *(limit(each.contributions) for each in shown)]) for limit in (np.min, np.max))
    panels[0].set_ylim(1.1 * low - 1e-9, 1.1 * high + 1e-9)
    panels[-1].set_xlabel("position (bp); marked: the motif")
    figure.supylabel("contribution (log-odds)", fontsize=10)


def _columns(pattern: Pattern, match: Match | None) -> tuple[int, int]:
    """First column to show, 0-based from the start of the pattern, and how many."""
    if match is None:
        return 0, len(pattern.ppm)
    first = min(0, -match.offset)
    return first, max(len(pattern.ppm), len(match.ppm) - match.offset) - first


def _show_columns(panels: Sequence[Axes], pattern: Pattern, match: Match | None) -> None:
    """Give logos the same columns, with those of the pattern in grey."""
    first, width = _columns(pattern, match)
    for axes in panels:
        axes.set_xlim(first + 0.25, first + width + 0.75)
        axes.axvspan(0.5, len(pattern.ppm) + 0.5, facecolor="#F2F2F2", linewidth=0, zorder=-2)


def _logos(panels: Sequence[Axes], pattern: Pattern, match: Match | None) -> None:
    """Draw contributions and bases of a pattern and of its match, column under column."""
    _logo(panels[0], pattern.cwm, 0)
    panels[0].set_ylabel("mean contribution\n(log-odds)")
    _bits(panels[1], pattern.ppm, 0, "bases at these occurrences")
    if match:
        _bits(panels[2], match.ppm, -match.offset, _named(match))
    _show_columns(panels, pattern, match)
    panels[-1].set_xlabel("position in the motif (bp)")


def _bits(axes: Axes, ppm: np.ndarray, first: int, title: str) -> None:
    """Draw a logo in bits, its first column at 0-based position `first`."""
    _logo(axes, information(ppm), first)
    axes.set(ylim=(0, 2.05), yticks=(0, 1, 2), ylabel="bits")
    axes.set_title(title, loc="left")


def _places(axes: Axes, pattern: Pattern) -> None:
    """Draw how many seqlets have their middle where."""
    counts, edges = pattern.positions()
    axes.stairs(counts, edges, fill=True, color=BLUE)
    axes.set(xlim=(edges[0], edges[-1]), xlabel="middle of the motif on the sequence (bp)", ylabel="occurrences")
    forward = int((~pattern.seqlets.reverse).sum())
    axes.set_title(f"{forward:,} as drawn, {pattern.count - forward:,} as reverse complement", loc="left")
    _integer_ticks(axes)


def _named(match: Match) -> str:
    """Say which motif it is."""
    words = [match.motif.name or match.motif.id, match.motif.id if match.motif.name else ""]
    strand = ", reverse complement" if match.reverse else ""
    return f"resembles {' '.join(filter(None, words))}{strand}, q = {match.q:.1g}"


def _say(axes: Axes, words: str) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, words, ha="center", va="center", color=GREY, transform=axes.transAxes)
