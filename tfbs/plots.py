"""Every figure: arrays in, a :class:`matplotlib.figure.Figure` out.

Figures are built with matplotlib's object interface and leave no global state. Colours are those of Okabe and Ito,
which colour-blind readers can tell apart; the bases have logomaker's classic ones (A green, C blue, G orange, T red).
Positions are printed from 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .evaluation import BINS, calibration_curve, precision_recall_curve, roc_curve
from .intervals import Estimate
from .sequences import ALPHABET

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, YELLOW, PURPLE = "#0072B2", "#E69F00", "#009E73", "#F0E442", "#CC79A7"
GREY = "#666666"
MAX_LOGOS = 8
MAX_WIDTH = 120
STYLE = {
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.6,
}
MOTIF = {"facecolor": YELLOW, "alpha": 0.35, "linewidth": 0, "zorder": -1, "label": "planted motif"}


def _styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Draw under the common style, whatever the reader's matplotlibrc says."""

    @functools.wraps(draw)
    def styled(*args, **kwargs) -> Figure:
        from matplotlib import style

        with style.context(["default", STYLE]):
            return draw(*args, **kwargs)

    return styled


@_styled
def loss(history: Mapping[str, Sequence[float]]) -> Figure:
    """Draw loss and ranking quality by epoch.

    Parameters
    ----------
    history : mapping of str to sequence of float
        One value an epoch under ``loss``, ``val_loss``, ``auroc``, ``val_auroc``, ``val_auprc``; those absent are left
        out.

    Returns
    -------
    Figure
    """
    figure = _figure(9, 4.2)
    panels = figure.subplots(1, 2)
    lines = (
        (panels[0], "loss", "training", BLUE, "-"),
        (panels[0], "val_loss", "validation", ORANGE, "-"),
        (panels[1], "auroc", "AUROC, training", BLUE, "-"),
        (panels[1], "val_auroc", "AUROC, validation", ORANGE, "-"),
        (panels[1], "val_auprc", "AUPRC, validation", GREEN, "--"),
    )
    for axes, key, label, colour, style in lines:
        if len(values := history.get(key, ())):
            last = f"{label} (last {values[-1]:.3f})"
            axes.plot(range(1, len(values) + 1), values, style, color=colour, label=last, marker="o", markersize=3)
    for axes, name in zip(panels, ("loss (mean per sequence)", "area under the curve"), strict=True):
        _integer_ticks(axes)
        axes.set(xlabel="epoch", ylabel=name)
        if axes.lines:
            axes.legend(loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)
    return figure


@_styled
def roc(labels: np.ndarray, logits: np.ndarray, estimate: Estimate) -> Figure:
    """Draw the ROC curve.

    Parameters
    ----------
    labels, logits : ndarray, shape (n,)
        0 or 1; log-odds, of which the order counts.
    estimate : Estimate
        The area with its interval, for the legend.

    Returns
    -------
    Figure
    """
    figure, axes = _square()
    axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance, AUROC 0.5")
    axes.plot(*roc_curve(labels, logits), color=BLUE, label=_legend("AUROC", estimate))
    axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)", title=_sizes(labels))
    return _legend_below(figure)


@_styled
def precision_recall(labels: np.ndarray, logits: np.ndarray, estimate: Estimate) -> Figure:
    """Draw precision against recall as the step function whose area is the average precision.

    Parameters
    ----------
    labels, logits : ndarray, shape (n,)
        As in :func:`roc`.
    estimate : Estimate
        The area with its interval, for the legend.

    Returns
    -------
    Figure
    """
    figure, axes = _square()
    recall, precision = precision_recall_curve(labels, logits)
    share = float(np.mean(labels))
    axes.axhline(share, ls=":", color=GREY, label=f"no skill, AUPRC {share:.3f} (share of positives)")
    curve = np.r_[0, recall], np.r_[precision[0], precision]
    axes.plot(*curve, color=BLUE, drawstyle="steps-pre", label=_legend("AUPRC", estimate))
    axes.set(xlabel="recall", ylabel="precision", title=_sizes(labels))
    return _legend_below(figure)


@_styled
def calibration(
    labels: np.ndarray,
    probabilities: np.ndarray,
    estimates: Mapping[str, Estimate],
    after: Mapping[str, np.ndarray] | None = None,
) -> Figure:
    """Draw the reliability diagram with 95 % Wilson bars over the histogram of the predictions.

    Parameters
    ----------
    labels, probabilities : ndarray, shape (n,)
        0 or 1; probability of the positive class.
    estimates : mapping of str to Estimate
        ``ece`` and ``brier``, for the legend.
    after : mapping of str to ndarray, shape (n,), optional
        Probabilities after calibration by its title, of which the curve is drawn too.

    Returns
    -------
    Figure
    """
    curve = calibration_curve(labels, probabilities)
    figure = _figure(5.2, 6.6)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], ":", color=GREY, label="perfect calibration")
    bars = np.maximum([curve.observed - curve.lo, curve.hi - curve.observed], 0)
    top.plot(curve.predicted, curve.observed, "o-", color=BLUE, ms=4, label="observed as trained, bars: 95 % interval")
    top.errorbar(curve.predicted, curve.observed, bars, fmt="none", ecolor=BLUE, elinewidth=1.2, capsize=3)
    for name, key in (("ECE", "ece"), ("Brier score", "brier")):
        top.plot([], [], " ", label=_legend(name, estimates[key]))
    for (title, mapped), style, colour in zip((after or {}).items(), ("s--", "^:"), (GREEN, PURPLE), strict=False):
        found = calibration_curve(labels, mapped)
        label = f"{title}, ECE {_number(found.error)}"
        top.plot(found.predicted, found.observed, style, color=colour, ms=4, lw=1.2, label=label)
    top.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="observed share of positives", title=_sizes(labels))
    edges = np.arange(BINS + 1) / BINS
    groups = [np.asarray(probabilities)[np.asarray(labels) == label] for label in (0, 1)]
    bottom.hist(groups, edges, color=[ORANGE, BLUE], label=["negative", "positive"], log=True)
    bottom.set(xlabel="predicted probability", ylabel="sequences")
    bottom.legend(loc="upper center", ncols=2)
    bottom.set_ylim(0.5, bottom.get_ylim()[1] * 10)
    return _legend_below(figure, top)


@_styled
def logos(
    contributions: np.ndarray, titles: Sequence[str], starts: Sequence[int], width: int | None, reference_label: str
) -> Figure:
    """Draw stacked attribution logos, all on one scale.

    Parameters
    ----------
    contributions : ndarray, shape (n, L, 4)
        One-hot sequence times contribution of the base, log-odds; the first 8 sequences are drawn. Sequences over
        120 bp are cut to the 120 bp with the largest summed absolute contribution.
    titles : sequence of str, length n
        One a logo.
    starts : sequence of int, length n
        0-based start of the planted motif, -1 where unknown.
    width : int or None
        Length of the motif, bp.
    reference_label : str
        What the contributions are measured against, for the title.

    Returns
    -------
    Figure
    """
    contributions = np.asarray(contributions, np.float64)[:MAX_LOGOS]
    n = len(contributions)
    figure = _figure(11, 1.5 + 1.25 * max(n, 1.6))
    panels = figure.subplots(n, 1, sharey=True, squeeze=False)[:, 0]
    for axes, values, title, start in zip(panels, contributions, titles[:n], starts[:n], strict=True):
        first = _window(np.abs(values).sum(axis=1))
        _logo(axes, values[first : first + MAX_WIDTH], first)
        axes.set_title(_title(title, first, len(values)), loc="left", pad=3)
        if start >= 0 and width:
            axes.axvspan(start + 0.5, start + width + 0.5, **MOTIF)
    low, high = min(contributions.sum(-1).min(), 0), max(contributions.sum(-1).max(), 0)
    margin = 0.08 * (high - low) or 1.0
    panels[0].set_ylim(low - margin, high + margin)
    panels[-1].set_xlabel("position (bp)")
    figure.supylabel("contribution to the logit (log-odds)", fontsize=10)
    figure.suptitle(f"{n} sequence{'s' * (n != 1)}; reference: {reference_label}", fontsize=10)
    return _legend_below(figure, *panels)


@_styled
def position_profile(mean_abs: np.ndarray, shared: tuple[int, int] | None = None, n: int | None = None) -> Figure:
    """Draw the mean absolute contribution by position.

    Parameters
    ----------
    mean_abs : ndarray, shape (L,)
        Mean over the sequences of |contribution|, log-odds.
    shared : tuple of int, optional
        0-based start and length (bp) of the motif, where all sequences hold it at one place.
    n : int, optional
        Sequences behind the mean, for the title.

    Returns
    -------
    Figure
    """
    figure = _figure(9, 3.2)
    axes = figure.subplots()
    if shared:
        axes.axvspan(shared[0] + 0.5, sum(shared) + 0.5, **MOTIF)
    length = len(mean_abs)
    axes.stairs(mean_abs, np.arange(length + 1) + 0.5, fill=True, color=BLUE)
    _integer_ticks(axes)
    ylabel = "mean |contribution|\nto the logit (log-odds)"
    axes.set(xlim=(0.25, length + 0.75), xlabel="position (bp)", ylabel=ylabel)
    if n is not None:
        axes.set_title(f"mean of n = {n:,} sequences")
    return _legend_below(figure)


@_styled
def ism_map(ism: np.ndarray, sequence: str, title: str = "", start: int = -1, width: int | None = None) -> Figure:
    """Draw the change of the logit for every substitution (in-silico mutagenesis).

    Parameters
    ----------
    ism : ndarray, shape (L, 4)
        Logit of the mutant less logit of the sequence, log-odds; columns A, C, G, T; 0 for the base that is there.
        Sequences over 120 bp are cut to the 120 bp with the largest summed absolute change.
    sequence : str
        The L bases.
    title : str
        Name of the sequence.
    start : int
        0-based start of the planted motif, -1 where unknown.
    width : int or None
        Length of the motif, bp.

    Returns
    -------
    Figure
    """
    from matplotlib.patches import Rectangle

    ism = np.asarray(ism, float)
    first = _window(np.abs(ism).sum(axis=1))
    shown = ism[first : first + MAX_WIDTH].T
    limit = float(np.abs(shown).max()) or 1.0
    figure = _figure(11, 2.6)
    axes = figure.subplots()
    extent = (first + 0.5, first + shown.shape[1] + 0.5, 3.5, -0.5)
    image = axes.imshow(shown, "RdBu_r", aspect="auto", vmin=-limit, vmax=limit, extent=extent, interpolation="nearest")
    letters = enumerate(sequence.upper()[first : first + MAX_WIDTH], first + 1)
    dots = [(position, ALPHABET.index(base)) for position, base in letters if base in ALPHABET]
    if dots:
        axes.plot(*zip(*dots, strict=True), "o", color="black", markersize=3, label="base of the sequence")
    if start >= 0 and width:
        box = {"fill": False, "edgecolor": GREEN, "lw": 2, "label": "planted motif"}
        axes.add_patch(Rectangle((start + 0.5, -0.46), width, 3.92, **box))
    axes.set_yticks(range(4), list(ALPHABET))
    axes.grid(False)
    _integer_ticks(axes)
    axes.set(xlim=extent[:2], xlabel="position (bp)", ylabel="substituted base")
    axes.set_title(_title(title, first, len(ism)), loc="left")
    figure.colorbar(image, ax=axes, label="change of the logit\n(log-odds)", pad=0.01, aspect=12)
    return _legend_below(figure)


def save(figure: Figure, path: str | Path, dpi: int = 120) -> Path:
    """Write a figure; the suffix of `path` names the format. Returns the path."""
    path = Path(path)
    figure.savefig(path, dpi=dpi)
    return path


def _logo(axes: Axes, values: np.ndarray, first: int) -> None:
    """Draw one logo of values (length, 4) whose first row is 0-based position `first`."""
    import logomaker
    import pandas as pd

    frame = pd.DataFrame(
        values, index=np.arange(first + 1, first + len(values) + 1), columns=list(ALPHABET), dtype=float
    )
    logomaker.Logo(frame, ax=axes, color_scheme="classic", baseline_width=0.5, show_spines=False)
    axes.spines["left"].set_visible(True)
    axes.set_xlim(first + 0.25, first + len(values) + 0.75)
    axes.grid(False)
    _integer_ticks(axes)


def _window(weights: np.ndarray) -> int:
    """0-based start of the heaviest stretch of MAX_WIDTH positions."""
    if len(weights) <= MAX_WIDTH:
        return 0
    return int(np.convolve(weights, np.ones(MAX_WIDTH), "valid").argmax())


def _title(title: str, first: int, length: int) -> str:
    """The title, and which part of a long sequence is shown."""
    if length <= MAX_WIDTH:
        return title
    return f"{title} (positions {first + 1:,} to {first + MAX_WIDTH:,} of {length:,})".strip()


def _figure(width: float, height: float) -> Figure:
    """An empty figure of `width` by `height` inches that keeps its labels apart."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _square() -> tuple[Figure, Axes]:
    """One nearly square panel from 0 to 1 with room for a legend under it."""
    figure = _figure(5.2, 5.8)
    axes = figure.subplots()
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, axes


def _integer_ticks(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(nbins=12, integer=True, min_n_ticks=1))


def _legend_below(figure: Figure, *panels: Axes) -> Figure:
    """Put one legend, each label once, under the panels."""
    entries = {}
    for axes in panels or figure.axes:
        handles, labels = axes.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    if entries:
        columns = 2 if figure.get_figwidth() > 8 else 1
        figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=columns)
    return figure


def _legend(name: str, estimate: Estimate) -> str:
    value, lo, hi = map(_number, (estimate.value, estimate.lo, estimate.hi))
    return f"{name} {value} (95 % interval {lo} to {hi})"


def _number(x: float) -> str:
    return f"{x:.3f}" if x >= 0.01 or x == 0 else f"{x:.2g}"


def _sizes(labels: np.ndarray) -> str:
    positive = int(np.sum(labels))
    return f"n = {len(labels):,}: {positive:,} positive, {len(labels) - positive:,} negative"
