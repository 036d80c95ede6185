"""Curves of many networks: several architectures, each trained with several seeds.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state. Every architecture has its
colour and its line style, by its place in the mapping, so that the figures can be read in grey too. A line is the mean
over the seeds and its band goes from the lowest to the highest of them: the range says what happened, where the
standard deviation of a handful of seeds is itself hardly known and leaves the range of the metric. Leave networks out
that did not train: one of them drags a mean far from every network that there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .evaluation import BINS, calibration_curve
from .plots import BLUE, GREEN, GREY, ORANGE, PURPLE, _figure, _integer_ticks, _sizes, _styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

VERMILION, SKY, BLACK, WINE = "#D55E00", "#56B4E9", "#000000", "#882255"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, BLACK, SKY, WINE)
"""Those of Okabe and Ito that can be seen on white; the eighth is the wine of Tol's muted scheme."""

DASHES = (
    "-",
    (0, (5, 2)),
    (0, (1, 1)),
    (0, (6, 2, 1, 2)),
    (0, (9, 2)),
    (0, (3, 1, 1, 1, 1, 1)),
    (0, (2, 2)),
    (0, (12, 2, 2, 2)),
)
MARKERS = "osD^vPXh"
CORNERS = (0.05, 0.1, 0.2)

_BAND = "line: mean over the seeds, band: lowest to highest"


@_styled
def bands(
    curves: Mapping[str, np.ndarray], grid: np.ndarray, xlabel: str, ylabel: str, title: str = "", steps: bool = False
) -> Figure:
    """Draw one curve per architecture: the mean over its seeds, and a band from the lowest to the highest of them.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (S, g)
        One row a seed, by architecture; NaN is left out. One seed alone has no band.
    grid : ndarray, shape (g,)
        Where the curves are given.
    xlabel, ylabel, title : str
        Words of the axes.
    steps : bool
        Whether a value holds back to the grid point before it.

    Returns
    -------
    Figure
    """
    figure = _figure(7, 4.4 + 0.2 * len(curves))
    axes = figure.subplots()
    _bands(axes, curves, grid, _counted(curves), steps)
    axes.set(xlabel=xlabel, ylabel=ylabel, title=title)
    return _key(figure, axes)


@_styled
def roc_bands(
    curves: Mapping[str, np.ndarray], labels: np.ndarray, areas: Mapping[str, np.ndarray] | None = None
) -> Figure:
    """Draw ROC curves as in :func:`bands`, with a second panel of the upper left corner where they all run into it.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (S, g)
        True positive rate at g false positive rates evenly spaced from 0 to 1, one row a seed; see
        :func:`tfbs.evaluation.roc_curve_on_grid`.
    labels : ndarray, shape (n,)
        0 or 1, for the title.
    areas : mapping of str to ndarray, shape (S,), optional
        AUROC of each seed, for the legend.

    Returns
    -------
    Figure
    """
    grid = np.linspace(0, 1, _points(curves))
    corner = _corner(curves, grid)
    figure, panels = _squares(curves, corner)
    risen = {name: np.insert(np.atleast_2d(rows), 0, 0, axis=1) for name, rows in curves.items()}
    for axes in panels:
        axes.plot([0, 1], [0, 1], ":", color=GREY, label="chance, AUROC 0.5", lw=1)
        _bands(axes, risen, np.r_[0, grid], _counted(curves, areas, "AUROC"))
        axes.set(xlabel="false positive rate", ylabel="true positive rate (recall)")
    panels[0].set_title(_sizes(labels))
    if corner:
        edge = 0.02 * corner
        panels[1].set(xlim=(-edge, corner), ylim=(1 - corner, 1 + edge), title="upper left corner")
        panels[1].locator_params(nbins=6)
    return _key(figure, panels[0])


@_styled
def pr_bands(
    curves: Mapping[str, np.ndarray], labels: np.ndarray, areas: Mapping[str, np.ndarray] | None = None
) -> Figure:
    """Draw precision against recall as in :func:`bands`, with a panel of the upper right corner where all run into it.

    Parameters
    ----------
    curves : mapping of str to ndarray, shape (S, g)
        Precision at g recalls evenly spaced from 0 to 1, one row a seed; see
        :func:`tfbs.evaluation.pr_curve_on_grid`.
    labels : ndarray, shape (n,)
        0 or 1; the share of positives is the precision without skill.
    areas : mapping of str to ndarray, shape (S,), optional
        AUPRC of each seed, for the legend.

    Returns
    -------
    Figure
    """
    grid, share = np.linspace(0, 1, _points(curves)), float(np.mean(labels))
    corner = _corner({name: np.atleast_2d(rows)[:, ::-1] for name, rows in curves.items()}, grid)
    figure, panels = _squares(curves, corner)
    for axes in panels:
        axes.axhline(share, ls=":", color=GREY, label=f"no skill, AUPRC {share:.3f} (share of positives)", lw=1)
        _bands(axes, curves, grid, _counted(curves, areas, "AUPRC"), steps=True)
        axes.set(xlabel="recall", ylabel="precision")
    panels[0].set_title(_sizes(labels))
    if corner:
        edge = 0.02 * corner
        panels[1].set(xlim=(1 - corner, 1 + edge), ylim=(1 - corner, 1 + edge), title="upper right corner")
        panels[1].locator_params(nbins=6)
    return _key(figure, panels[0])


@_styled
def learning_bands(histories: Mapping[str, Sequence[Mapping[str, Sequence[float]]]]) -> Figure:
    """Draw validation loss and validation AUPRC by epoch as in :func:`bands`.

    Seeds may have stopped at different epochs: a line is the mean of those still training, and ends when fewer than
    half of them are.

    Parameters
    ----------
    histories : mapping of str to sequence of mapping
        For each architecture the history of each seed: ``val_loss`` and ``val_auprc``, one value an epoch.

    Returns
    -------
    Figure
    """
    figure = _figure(9, 4.0 + 0.2 * len(histories))
    panels = figure.subplots(1, 2)
    keys = (("val_loss", "validation loss (mean per sequence)"), ("val_auprc", "validation AUPRC"))
    for axes, (key, ylabel) in zip(panels, keys, strict=True):
        curves = {name: _padded([history.get(key, ()) for history in seeds]) for name, seeds in histories.items()}
        epochs = max((rows.shape[1] for rows in curves.values()), default=0)
        for i, (name, rows) in enumerate(curves.items()):
            label = _counted({name: rows})[name]
            _band(axes, rows, np.arange(1, rows.shape[1] + 1), i, label, marker="." if epochs <= 30 else None)
        _integer_ticks(axes)
        axes.set(xlabel="epoch", ylabel=ylabel)
    if any(len({len(history.get("val_loss", ())) for history in seeds}) > 1 for seeds in histories.values()):
        figure.suptitle("mean of the seeds still training, as long as half of them are", fontsize=10)
    return _key(figure, *panels)


@_styled
def calibration_bands(labels: np.ndarray, probabilities: Mapping[str, np.ndarray]) -> Figure:
    """Draw the mean reliability curve over the seeds, as in :func:`bands`, over the mean size of its bins.

    A bin that is empty for some seeds is the mean of the others.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        0 or 1.
    probabilities : mapping of str to ndarray, shape (S, n)
        Probability of the positive class, one row a seed.

    Returns
    -------
    Figure
    """
    figure = _figure(5.6, 6.4 + 0.2 * len(probabilities))
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], ":", color=GREY, label="perfect calibration", lw=1)
    for i, (name, rows) in enumerate(probabilities.items()):
        binned = np.array([_reliability(labels, row) for row in np.atleast_2d(rows)])
        used = np.isfinite(binned[:, 0]).any(axis=0)
        predicted = np.nanmean(binned[:, 0][:, used], axis=0)
        _band(top, binned[:, 1][:, used], predicted, i, _counted({name: rows})[name], marker=MARKERS[i % 8])
        colour, dashes = _look(i)
        edges = np.arange(BINS + 1) / BINS
        bottom.stairs(binned[:, 2].mean(axis=0), edges, baseline=None, color=colour, linestyle=dashes, linewidth=1.6)
    top.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), ylabel="observed share of positives", title=_sizes(labels))
    bottom.set(xlabel="predicted probability", ylabel="sequences in bin\n(mean)", yscale="symlog")
    bottom.set_ylim(bottom=0)
    return _key(figure, top)


def _look(i: int) -> tuple[str, object]:
    """Colour and line style of the i-th architecture; from the ninth on, colours come back with other styles."""
    return COLOURS[i % 8], DASHES[(i + i // 8) % 8]


def _bands(
    axes: Axes, curves: Mapping[str, np.ndarray], grid: np.ndarray, names: Mapping[str, str], steps: bool = False
) -> None:
    for i, (name, rows) in enumerate(curves.items()):
        _band(axes, rows, grid, i, names[name], steps=steps)


def _band(
    axes: Axes, rows: np.ndarray, grid: np.ndarray, i: int, label: str, steps: bool = False, marker: str | None = None
) -> None:
    """The mean of rows (S, g) and, for several seeds, the band from the lowest to the highest; NaN is left out."""
    rows, (colour, dashes) = np.atleast_2d(np.asarray(rows, float)), _look(i)
    known = np.isfinite(rows)
    count = known.sum(axis=0)
    mean = np.divide(np.where(known, rows, 0).sum(axis=0), count, out=np.full(len(grid), np.nan), where=count > 0)
    lo, hi = (
        np.where(count, edge(np.where(known, rows, fill), axis=0, initial=fill), np.nan)
        for edge, fill in ((np.min, np.inf), (np.max, -np.inf))
    )
    drawstyle = "steps-pre" if steps else "default"
    axes.plot(grid, mean, color=colour, linestyle=dashes, drawstyle=drawstyle, label=label, marker=marker, ms=5)
    if len(rows) > 1:
        step = "pre" if steps else None
        axes.fill_between(grid, lo, hi, step=step, color=colour, alpha=0.15, linewidth=0, label=_BAND)


def _counted(
    curves: Mapping[str, np.ndarray], areas: Mapping[str, np.ndarray] | None = None, metric: str = ""
) -> dict[str, str]:
    """For the legend: the name of each architecture, its seeds, and its mean area with the range over them."""
    words = {}
    for name, rows in curves.items():
        count = len(np.atleast_2d(rows))
        words[name] = f"{name}, {count} seed{'s' * (count != 1)}"
        if areas is not None:
            group = _finite(np.asarray(areas[name], float))
            words[name] += f": {metric} {group.mean():.4f}" if len(group) else ""
            words[name] += f" ({group.min():.4f} to {group.max():.4f})" if len(group) > 1 else ""
    return words


def _points(curves: Mapping[str, np.ndarray]) -> int:
    return max((np.shape(rows)[-1] for rows in curves.values()), default=2)


def _corner(curves: Mapping[str, np.ndarray], grid: np.ndarray) -> float | None:
    """Side of the smallest corner into which all mean curves run before they are half its width from the edge."""
    means = [np.atleast_2d(rows).mean(axis=0) for rows in curves.values()]
    for side in CORNERS:
        if means and all(np.interp(side / 2, grid, mean) >= 1 - side / 2 for mean in means):
            return side
    return None


def _squares(curves: Mapping[str, np.ndarray], corner: float | None) -> tuple[Figure, np.ndarray]:
    """One nearly square panel from 0 to 1, and a second one for the corner if there is one."""
    count = 2 if corner else 1
    figure = _figure(5.2 * count, 5.2 + 0.2 * (len(curves) + 2))
    panels = figure.subplots(1, count, squeeze=False)[0]
    panels[0].set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    return figure, panels


def _key(figure: Figure, *panels: Axes) -> Figure:
    """One legend under the panels, each label once, one grey entry for all bands; the figure is as wide as it needs."""
    from matplotlib.patches import Patch

    entries = {}
    for axes in panels:
        entries.update((label, handle) for handle, label in zip(*axes.get_legend_handles_labels(), strict=True))
    if entries.pop(_BAND, None):
        entries[_BAND] = Patch(color=GREY, alpha=0.3, linewidth=0)
    if entries:
        width = 0.08 * max(map(len, entries)) + 0.8
        figure.set_figwidth(max(figure.get_figwidth(), width))
        columns = 2 if figure.get_figwidth() > 2 * width else 1
        options = {"loc": "outside lower center", "ncols": columns, "handlelength": 3.2}
        figure.legend(entries.values(), entries.keys(), **options)
    return figure


def _padded(seeds: Sequence[Sequence[float]]) -> np.ndarray:
    """Stack lists of unequal lengths as rows (S, epochs), NaN where fewer than half of them go on."""
    epochs = max(map(len, seeds), default=0)
    rows = np.full((len(seeds), epochs), np.nan)
    for row, values in zip(rows, seeds, strict=True):
        row[: len(values)] = values
    running = [2 * sum(len(values) > epoch for values in seeds) >= len(seeds) for epoch in range(epochs)]
    return rows[:, np.array(running, bool)]


def _reliability(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Mean prediction, observed share and size of all bins, (3, BINS); the first two NaN for an empty bin."""
    curve = calibration_curve(labels, probabilities)
    used = np.unique(np.minimum((np.asarray(probabilities, float) * BINS).astype(int), BINS - 1))
    binned = np.vstack([np.full((2, BINS), np.nan), np.zeros((1, BINS))])
    binned[:, used] = curve.predicted, curve.observed, curve.count
    return binned


def _finite(values: Iterable[float]) -> np.ndarray:
    values = np.asarray(values, float)
    return values[np.isfinite(values)]
