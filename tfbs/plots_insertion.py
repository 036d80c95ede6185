"""Figures of in-silico experiments with motifs: inserted, paired, replaced.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .ablation import Ablation
from .insertion import ORIENTATIONS, Insertion, Spacing
from .intervals import Estimate
from .plots import BLUE, GREY, ORANGE, _figure, _integer_ticks, _legend_below, _styled

if TYPE_CHECKING:
    from .plots import Axes, Figure

STRANDS = (("as given", BLUE, "o-"), ("reverse complement", ORANGE, "s-"))
BINS = 24
ARROWS = {"+": "{} →", "-": "← {}"}


@_styled
def insertion(found: Insertion, name: str) -> Figure:
    """Draw what a motif adds to neutral sequences: one copy in each of them, and several on average.

    Parameters
    ----------
    found : Insertion
        See :func:`tfbs.insertion.marginalise`.
    name : str
        The motif.

    Returns
    -------
    Figure
    """
    figure = _figure(10.5, 4.4)
    left, right = figure.subplots(1, 2)
    copies, _, n = found.effects.shape
    numbers = np.arange(1, copies + 1)
    edges = np.histogram_bin_edges(found.effects[0], BINS)
    for strand, (label, colour, style) in enumerate(STRANDS):
        _share(left, found.effects[0, strand], edges, colour, "", found.estimate(1, strand))
        estimates = [found.estimate(int(count), strand) for count in numbers]
        values = np.array([each.value for each in estimates])
        bars = [values - [each.lo for each in estimates], [each.hi for each in estimates] - values]
        said = f"{label}, one copy {_said(estimates[0])}"
        right.plot([0, copies], [0, copies * values[0]], ":", color=colour, lw=1.2)
        right.errorbar(numbers + 0.06 * (strand - 0.5), values, bars, fmt=style, **_bars(colour), label=said)
    left.axvline(0, color=GREY, lw=0.8)
    right.plot([], [], ":", color=GREY, label="if copies added up")
    left.set(xlabel="effect of one copy on the logit (log-odds)", ylabel="share of neutral sequences")
    right.set(xlabel="copies", ylabel="mean effect on the logit (log-odds)", xlim=(0, copies + 0.3))
    _integer_ticks(right)
    left.set_title(f"{name} in the middle of {n:,} neutral sequences", loc="left")
    right.set_title("copies spread evenly", loc="left")
    return _legend_below(figure)


@_styled
def spacing(found: Spacing, first: str, second: str) -> Figure:
    """Draw what two motifs do beyond the sum of each, by distance, one panel an orientation.

    Parameters
    ----------
    found : Spacing
        See :func:`tfbs.insertion.spacing`.
    first, second : str
        The motifs.

    Returns
    -------
    Figure
    """
    figure = _figure(9, 6)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    best, gap, strongest = found.strongest()
    for axes, orientation, value, lo, hi in zip(panels, ORIENTATIONS, *found.estimates, strict=True):
        axes.plot(found.gaps, value, "o-", color=BLUE, ms=3, lw=1.2, label="mean")
        axes.fill_between(found.gaps, lo, hi, color=BLUE, alpha=0.25, lw=0, label="its 95 % interval, each for itself")
        axes.axhline(0, color=GREY, lw=0.8)
        pair = "  ".join(ARROWS[sign].format(name) for sign, name in zip(orientation, (first, second), strict=True))
        axes.set_title(f"{orientation}:  {pair}", loc="left")
        if orientation == best:
            label = f"strongest, at {gap} bp: {_said(strongest)}, which allows for the search"
            axes.plot(gap, strongest.value, "D", color=ORANGE, ms=7, mfc="none", mew=2, label=label)
        _integer_ticks(axes)
    for axes in panels[2:]:
        axes.set_xlabel("distance between the motifs (bp)")
    figure.supylabel("effect of both beyond the sum of each (log-odds)", fontsize=10)
    return _legend_below(figure)


@_styled
def ablation(found: Ablation, name: str) -> Figure:
    """Draw what is lost with each occurrence of a motif, beside random stretches of the same sequences.

    Parameters
    ----------
    found : Ablation
        See :func:`tfbs.ablation.ablate`.
    name : str
        The motif.

    Returns
    -------
    Figure
    """
    figure = _figure(8, 4.8)
    axes = figure.subplots()
    control = found.control[np.isfinite(found.control)]
    edges = np.histogram_bin_edges(np.r_[found.losses, control], BINS)
    if found.random_loss:
        label = f"random stretches of the same width, n = {len(control):,}: mean {_said(found.random_loss)}"
        _share(axes, control, edges, GREY, label, found.random_loss)
    label = f"{name}, n = {len(found.losses):,}: mean {_said(found.loss)}"
    _share(axes, found.losses, edges, BLUE, label, found.loss)
    axes.set(xlabel="loss of logit when the stretch is replaced (log-odds)", ylabel="share of stretches")
    if found.difference:
        axes.set_title(f"{name} minus random stretch of its sequence: {_said(found.difference)} log-odds", loc="left")
    return _legend_below(figure)


def _share(axes: Axes, values: np.ndarray, edges: np.ndarray, colour: str, label: str, estimate: Estimate) -> None:
    """Draw a histogram as shares, and the mean with its interval at the top."""
    shares = np.histogram(values, edges)[0] / len(values)
    axes.stairs(shares, edges, fill=True, color=colour, alpha=0.25)
    axes.stairs(shares, edges, color=colour, lw=1.2, label=label)
    axes.axvline(estimate.value, color=colour, lw=1.2, ls="--")
    bar = [[estimate.value - estimate.lo], [estimate.hi - estimate.value]]
    axes.errorbar(estimate.value, 0.95, xerr=bar, fmt="o", **_bars(colour), transform=axes.get_xaxis_transform())
    axes.margins(y=0.15)


def _bars(colour: str) -> dict:
    return {"color": colour, "ms": 4, "capsize": 3}


def _said(estimate: Estimate) -> str:
    words = f"{estimate.value:+.2f} (95 % interval {estimate.lo:+.2f} to {estimate.hi:+.2f})"
    return words.replace("-", "\u2212")
