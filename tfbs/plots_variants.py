"""The figure of scored variants. Like :mod:`tfbs.plots`: arrays in, a Figure out, no global state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .plots import BLUE, GREY, _figure, _legend_below, _styled
from .plots_bands import VERMILION

if TYPE_CHECKING:
    from .plots import Axes, Figure

MAX_NAMED = 12
MAX_NAME = 30


@_styled
def effects(
    edges: np.ndarray, histogram: np.ndarray, scale: float, background: np.ndarray, named: Sequence[tuple[str, float]]
) -> Figure:
    """Draw how variants change the logit: their distribution beside that of random substitutions, and the largest.

    Parameters
    ----------
    edges : ndarray, shape (2 m + 1,)
        Edges of the bins, symmetrical about 0.
    histogram : ndarray, shape (2 m,)
        Variants in each bin.
    scale : float
        The usual size of a change: about 0 the axis is linear, beyond it logarithmic.
    background : ndarray, shape (n,)
        Changes of the logit of random substitutions; may be empty.
    named : sequence of (str, float)
        Name and change of the variants with the largest changes, largest first; the first :data:`MAX_NAMED` are drawn.

    Returns
    -------
    Figure
    """
    figure = _figure(10.5, 4.6)
    left, right = figure.subplots(1, 2, width_ratios=(1.15, 1))
    shares = {f"variants, n = {histogram.sum():,}": (histogram, BLUE)}
    if len(background):
        shares[f"random substitutions, n = {len(background):,}"] = (np.histogram(background, edges)[0], GREY)
    _draw_shares(left, edges, scale, shares)
    _draw_named(right, named[:MAX_NAMED])
    if len(background):
        limit = float(np.quantile(np.abs(background), 0.99))
        for axes in (left, right):
            axes.axvspan(-limit, limit, color=GREY, alpha=0.15, lw=0, zorder=0, label="99 % of random substitutions")
    return _legend_below(figure)


def _draw_shares(axes: Axes, edges: np.ndarray, scale: float, shares: dict[str, tuple[np.ndarray, str]]) -> None:
    """Draw histograms as shares, on a logarithmic axis, over the bins that are not empty."""
    filled, middle = np.flatnonzero(sum(counts for counts, _ in shares.values())), len(edges) // 2
    reach = int(min(middle, max([10, *np.abs(filled + 0.5 - middle)]) + 3))
    seen = slice(middle - reach, middle + reach)
    bins = edges[seen.start : seen.stop + 1]
    for name, (counts, colour) in shares.items():
        look = {"fill": True, "alpha": 0.5} if colour == GREY else {"lw": 1.6, "zorder": 3}
        axes.stairs(counts[seen] / max(1, counts.sum()), bins, color=colour, label=name, **look)
    smallest = min(1 / max(1, counts.sum()) for counts, _ in shares.values())
    axes.set(yscale="log", ylim=(smallest / 2, 1.5))
    axes.set_xscale("asinh", linear_width=scale)
    powers = 10.0 ** np.arange(np.ceil(np.log10(2 * scale)), np.log10(bins[-1]))
    ticks = (*-powers, 0, *powers)
    axes.set_xticks(ticks, [f"{tick:g}".replace("-", "\u2212") for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlim=(bins[0], bins[-1]), xlabel="change of the logit, alternative minus reference")
    axes.set(ylabel="share", title="all scored alleles")


def _draw_named(axes: Axes, named: Sequence[tuple[str, float]]) -> None:
    """Draw the largest changes with their names."""
    names = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}\u2026" for name, _ in named]
    values = np.array([value for _, value in named])
    rows = np.arange(len(named))
    axes.hlines(rows, 0, values, color=[BLUE if value > 0 else VERMILION for value in values], lw=2.5)
    axes.scatter(values, rows, c=[BLUE if value > 0 else VERMILION for value in values], s=28, zorder=3)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.set_yticks(rows, names, fontsize=8)
    axes.set(ylim=(max(len(named), 3) - 0.5, -0.5), xlabel="change of the logit", title="largest changes")
