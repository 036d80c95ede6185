"""Figures that compare architectures: their seeds, the differences between them, and how far their networks agree.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state. Colours are those of
:mod:`tfbs.plots_bands`, whose figures are at hand here too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from .plots import BLUE, GREY, MAX_WIDTH, MOTIF, ORANGE, _figure, _legend_below, _logo, _styled, _title, _window
from .plots_bands import (
    BLACK,
    MARKERS,
    VERMILION,
    _finite,
    _key,
    _look,
    bands,
    calibration_bands,
    learning_bands,
    pr_bands,
    roc_bands,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "agreement",
    "bands",
    "calibration_bands",
    "differences",
    "disagreement_logos",
    "learning_bands",
    "pr_bands",
    "roc_bands",
    "seeds",
    "variance",
]

VERDICTS = {"better": (BLUE, "o"), "worse": (VERMILION, "s")}
MAX_PAIRS = 4
WRITTEN = 12


@_styled
def seeds(values: Mapping[str, np.ndarray], collapsed: Mapping[str, np.ndarray], label: str) -> Figure:
    """Draw a metric of every network as one dot, with each architecture's mean and its 95 % interval over the seeds.

    The interval is Student's for the mean of the networks that trained; with one there is none. Networks that did not
    train are counted in a panel of their own, so that they neither enter the mean nor squeeze the scale. An interval
    wider than the panel (two seeds hardly have one) ends in an arrow; the numbers give it whole.

    Parameters
    ----------
    values : mapping of str to ndarray, shape (S,)
        The metric, one value a seed, by architecture; NaN is left out.
    collapsed : mapping of str to ndarray of bool, shape (S,)
        Which seeds did not train.
    label : str
        Name of the metric.

    Returns
    -------
    Figure
    """
    names, lost = list(values), {name: int(np.sum(collapsed[name])) for name in values}
    trained = {name: _finite(np.asarray(values[name], float)[~np.asarray(collapsed[name], bool)]) for name in names}
    figure = _figure(_width(names), 1.5 + 0.62 * len(names))
    axes, margin = _with_margin(figure, any(lost.values()))
    limits = _limits([value for group in trained.values() for value in group])
    for i, name in enumerate(names):
        group, (colour, _) = trained[name], _look(i)
        heights = i + 0.2 * _spread(len(group)) + 0.2
        axes.plot(group, heights, MARKERS[i % 8], color=colour, ms=6, alpha=0.75, mew=0)
        mean, lo, hi = _student(group)
        _interval(axes, i - 0.22, (mean, lo, hi), colour, limits)
        words = "no network trained" if not len(group) else f"{mean:.4f}"
        words += f"\n{lo:.4f} to {hi:.4f}" if len(group) > 1 else "\none seed" if len(group) else ""
        axes.text(1.02, i, words, transform=axes.get_yaxis_transform(), va="center", ha="left", fontsize=9)
        if lost[name]:
            margin.plot(_spread(lost[name]), np.full(lost[name], i), MARKERS[i % 8], color=colour, mfc="none", ms=6)
            margin.text(0, i - 0.3, f"{lost[name]} of {len(collapsed[name])}", ha="center", va="center", fontsize=9)
    left = margin or axes
    left.set_yticks(range(len(names)), names)
    axes.set(xlim=limits, ylim=(-0.6, len(names) - 0.4), xlabel=label)
    axes.invert_yaxis()
    figure.suptitle("dots: one network each; lines: mean and its 95 % interval over the seeds", fontsize=10)
    return figure


@_styled
def differences(rows: Sequence[Mapping[str, object]]) -> Figure:
    """Draw a forest plot of differences between architectures, one panel a metric.

    Parameters
    ----------
    rows : sequence of mapping
        ``pair`` (words that name the two), ``metric``, ``value``, ``lo``, ``hi`` (the difference and its 95 %
        interval) and ``verdict`` (``better``, ``worse``, or any other words, drawn hollow).

    Returns
    -------
    Figure
    """
    metrics = _grouped(rows)
    heights = [0.8 + 0.36 * len(group) for group in metrics.values()]
    figure = _figure(_width(row["pair"] for row in rows), 0.5 + sum(heights))
    panels = figure.subplots(len(metrics), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (metric, group) in zip(panels, metrics.items(), strict=True):
        ends = _finite(np.array([[row["lo"], row["value"], row["hi"]] for row in group], float).ravel())
        limit = 1.1 * max(np.abs(ends), default=0) or 1.0
        axes.axvline(0, color=BLACK, lw=1)
        for i, row in enumerate(group):
            value, lo, hi = (float(row[key]) for key in ("value", "lo", "hi"))
            colour, marker = VERDICTS.get(row["verdict"], (GREY, "o"))
            axes.plot([lo, hi], [i, i], color=colour, lw=2)
            fill = colour if row["verdict"] in VERDICTS else "white"
            axes.plot([value], [i], marker, color=colour, mfc=fill, ms=7, mew=1.6)
            numbers = f"{value:+.4f} ({lo:+.4f} to {hi:+.4f})".replace("-", "\u2212")
            words = f"{numbers}, {row['verdict']}"
            axes.text(1.02, i, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=BLACK)
        axes.set_yticks(range(len(group)), [row["pair"] for row in group])
        axes.set(xlim=(-limit, limit), ylim=(len(group) - 0.4, -0.6), xlabel=f"difference in {metric}, 95 % interval")
        axes.locator_params(axis="x", nbins=5)
    return figure


@_styled
def variance(rows: Sequence[Mapping[str, object]]) -> Figure:
    """Draw how much of the uncertainty of each difference comes from the seeds and how much from the test sequences.

    Parameters
    ----------
    rows : sequence of mapping
        ``pair``, ``metric``, ``seeds`` and ``sequences``: the two parts of the variance of the difference. NaN for
        ``seeds`` says that seeds were not varied.

    Returns
    -------
    Figure
    """
    from matplotlib.ticker import PercentFormatter

    metrics = _grouped(rows)
    heights = [0.55 + 0.34 * len(group) for group in metrics.values()]
    figure = _figure(_width(row["pair"] for row in rows), 0.9 + sum(heights))
    panels = figure.subplots(len(metrics), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
    for axes, (metric, group) in zip(panels, metrics.items(), strict=True):
        for i, row in enumerate(group):
            parts = np.array([row["seeds"], row["sequences"]], float)
            total = parts.sum()
            if total > 0:
                _shares(axes, i, parts / total)
            words = (
                f"standard error {total**0.5:.2g}" if total > 0 else "no variance" if total == 0 else "seeds not varied"
            )
            axes.text(1.01, i, words, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
        axes.set_yticks(range(len(group)), [row["pair"] for row in group])
        axes.set(xlim=(0, 1), ylim=(len(group) - 0.4, -0.6))
        axes.set_title(metric, loc="left")
        axes.xaxis.set_major_formatter(PercentFormatter(1, symbol=" %"))
    panels[-1].set_xlabel("share of the variance of the difference")
    return _key(figure, *panels)


@_styled
def agreement(matrix: np.ndarray, names: Sequence[str], groups: Sequence[str], title: str) -> Figure:
    """Draw a matrix of correlations between networks, those of one architecture side by side.

    Parameters
    ----------
    matrix : ndarray, shape (m, m)
        Correlations, see :mod:`tfbs.agreement`; NaN is drawn grey. Numbers are written for up to 12 networks.
    names, groups : sequence of str, length m
        Name and architecture of each network. Over 12 networks the architectures are named alone.
    title : str
        What is correlated.

    Returns
    -------
    Figure
    """
    order = np.argsort([list(dict.fromkeys(groups)).index(group) for group in groups], kind="stable")
    matrix, groups = np.asarray(matrix, float)[np.ix_(order, order)], [groups[i] for i in order]
    m, values = len(matrix), _finite(np.asarray(matrix, float).ravel())
    low = np.floor(10 * min(values, default=0)) / 10
    side = 3.0 + (0.56 * m if m <= WRITTEN else 4.5)
    figure = _figure(side + 1.2, side)
    axes = figure.subplots()
    image = axes.imshow(matrix, "cividis", vmin=min(low, 0.9), vmax=1, interpolation="nearest")
    axes.set_facecolor("#DDDDDD")
    axes.grid(False)
    edges = np.flatnonzero([a != b for a, b in pairwise(groups)]) + 0.5
    for edge in edges:
        axes.axhline(edge, color="white", lw=3)
        axes.axvline(edge, color="white", lw=3)
    if m <= WRITTEN:
        _numbers(axes, matrix, image)
        ticks, words = np.arange(m), [names[i] for i in order]
    else:
        borders = np.r_[-0.5, edges, m - 0.5]
        ticks, words = (borders[1:] + borders[:-1]) / 2, list(dict.fromkeys(groups))
    axes.set_xticks(ticks, words, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, words)
    axes.set_title(title)
    figure.colorbar(image, ax=axes, label="correlation", shrink=0.8)
    return figure


@_styled
def disagreement_logos(
    contributions_a: np.ndarray,
    contributions_b: np.ndarray,
    titles: Sequence[str],
    names: tuple[str, str],
    starts: Sequence[int] = (),
    width: int | None = None,
) -> Figure:
    """Draw for each sequence the attribution logo of one architecture above that of another, all on one scale.

    Parameters
    ----------
    contributions_a, contributions_b : ndarray, shape (k, L, 4)
        One-hot sequence times mean contribution of the base over the seeds, log-odds; the first 4 sequences are drawn.
        Sequences over 120 bp are cut to the 120 bp with the largest summed absolute contribution of both.
    titles : sequence of str, length k
        One a sequence.
    names : tuple of two str
        The architectures.
    starts : sequence of int, optional
        0-based start of the planted motif, -1 where unknown.
    width : int, optional
        Length of the motif, bp.

    Returns
    -------
    Figure
    """
    pairs = np.stack(
        [np.asarray(values, np.float64)[:MAX_PAIRS] for values in (contributions_a, contributions_b)], axis=1
    )
    k = len(pairs)
    figure = _figure(11, 1.2 + 2.5 * k)
    panels = figure.subplots(2 * k, 1, sharey=True, squeeze=False)[:, 0].reshape(k, 2)
    starts = starts if len(starts) else [-1] * k
    for row, pair, title, start in zip(panels, pairs, titles[:k], starts[:k], strict=True):
        first = _window(np.abs(pair).sum(axis=(0, 2)))
        for i, (axes, values, name) in enumerate(zip(row, pair, names, strict=True)):
            _logo(axes, values[first : first + MAX_WIDTH], first)
            axes.set_ylabel(name if len(name) <= 18 else f"{name[:17]}\u2026", color=_look(i)[0], fontsize=8)
            if start >= 0 and width:
                axes.axvspan(start + 0.5, start + width + 0.5, **MOTIF)
        row[0].tick_params(labelbottom=False)
        row[0].set_title(_title(title, first, pair.shape[1]), loc="left", pad=3)
    heights = pairs.sum(axis=-1)
    low, high = min(heights.min(), 0), max(heights.max(), 0)
    margin = 0.08 * (high - low) or 1.0
    panels[0, 0].set_ylim(low - margin, high + margin)
    panels[-1, 1].set_xlabel("position (bp)")
    figure.supylabel("contribution to the logit (log-odds)", fontsize=10)
    figure.suptitle(f"{names[0]} above {names[1]}, mean over the seeds of each", fontsize=10)
    return _legend_below(figure, *panels.ravel())


def _shares(axes: Axes, row: int, shares: np.ndarray) -> None:
    """One stacked bar: seeds, then test sequences, each with its share where there is room for it."""
    styles = ((ORANGE, "//", "which seeds were drawn"), (BLUE, "", "which test sequences were drawn"))
    for left, share, (colour, hatch, label) in zip((0, shares[0]), shares, styles, strict=True):
        axes.barh(row, share, 0.62, left, color=colour, hatch=hatch, edgecolor="white", linewidth=0, label=label)
        if share >= 0.08:
            box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5}
            where = {"ha": "center", "va": "center", "fontsize": 9, "bbox": box}
            axes.text(left + share / 2, row, f"{100 * share:.0f} %", **where)


def _numbers(axes: Axes, matrix: np.ndarray, image: object) -> None:
    """Write each correlation into its cell, dark on light and light on dark."""
    digits = 3 if np.nanmin(np.r_[matrix.ravel(), 1]) >= 0.9 else 2
    for (i, j), value in np.ndenumerate(matrix):
        words = "n/a" if np.isnan(value) else f"{value:.{digits}f}"
        dark = np.isfinite(value) and image.norm(value) < 0.5
        axes.text(j, i, words, ha="center", va="center", fontsize=8, color="white" if dark else "black")


def _width(names: Iterable[str]) -> float:
    """Inches that leave the panels their room beside the longest name."""
    return 9 + 0.08 * max(0, max(map(len, names), default=0) - 25)


def _grouped(rows: Sequence[Mapping[str, object]]) -> dict[str, list[Mapping[str, object]]]:
    """Rows by their metric, in the order in which the metrics come."""
    return {metric: [r for r in rows if r["metric"] == metric] for metric in dict.fromkeys(r["metric"] for r in rows)}


def _student(values: np.ndarray) -> tuple[float, float, float]:
    """Mean and its 95 % interval by Student's t; NaN where there is none."""
    from scipy.special import stdtrit

    if len(values) < 2:
        return (float(values[0]) if len(values) else np.nan), np.nan, np.nan
    half = stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / len(values) ** 0.5
    return float(values.mean()), float(values.mean() - half), float(values.mean() + half)


def _interval(axes: Axes, height: float, estimate: tuple[float, float, float], colour: str, limits: tuple) -> None:
    """A mean as a tick and its interval as a line, with an arrow at each end that lies outside the limits."""
    mean, lo, hi = estimate
    if np.isfinite(lo):
        axes.plot(np.clip([lo, hi], *limits), [height] * 2, color=colour, lw=2)
        for end, edge, arrow in ((lo, limits[0], "<"), (hi, limits[1], ">")):
            if not limits[0] <= end <= limits[1]:
                axes.plot([edge], [height], arrow, color=colour, ms=7, clip_on=False)
    if np.isfinite(mean):
        axes.plot([mean], [height], "|", color=colour, ms=13, mew=2.5)


def _with_margin(figure: Figure, wanted: bool) -> tuple[Axes, Axes | None]:
    """A panel, and a narrow one to its left for the networks that did not train."""
    if not wanted:
        return figure.subplots(), None
    margin, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 7))
    margin.set(xlim=(-1.5, 1.5), xticks=(), title="did not train", facecolor="#F4F4F4")
    return axes, margin


def _limits(values: Sequence[float]) -> tuple[float, float]:
    """Limits of an axis with room for the intervals around the values."""
    low, high = (min(values), max(values)) if len(values) else (0.0, 1.0)
    room = 0.6 * (high - low) or 0.01
    return low - room, high + room


def _spread(count: int) -> np.ndarray:
    """Offsets from -1 to 1 that keep equal values apart; 0 for one."""
    return np.linspace(-1, 1, count) if count > 1 else np.zeros(count)
