"""Figures of a search for hyper-parameters: its course, what mattered, and the objective along each parameter.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .plots import BLUE, GREY, _figure, _integer_ticks, _styled
from .plots_bands import BLACK, VERMILION, _key

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOG_FROM = 30
"""Ratio of the largest to the smallest positive value from which on a parameter is drawn on a logarithmic axis."""

COLUMNS = 3
HOLLOW = {"mfc": "none"}
STATES = {
    "complete": ("o", {"color": BLUE}),
    "pruned": ("x", {"color": GREY}),
    "failed": ("s", {"color": VERMILION} | HOLLOW),
}
_BEYOND = "arrow: worse than the scale shows"
_BEST = {"marker": "*", "color": VERMILION, "mec": BLACK, "mew": 0.6, "ms": 14, "ls": "none", "zorder": 5}


@_styled
def search(
    values: Sequence[float],
    states: Sequence[str],
    best: int | None = None,
    label: str = "validation AUPRC",
    higher: bool = True,
) -> Figure:
    """Draw the objective of every trial in order, and the best so far.

    Trials far below the bulk would squeeze the scale: they are drawn as arrows at the edge of the panel.

    Parameters
    ----------
    values : sequence of float, length t
        Objective by trial: of a pruned trial the last value it reported, NaN where there is none.
    states : sequence of str, length t
        ``complete``, ``pruned`` or ``failed``.
    best : int, optional
        Position of the chosen trial.
    label : str
        What the objective is.
    higher : bool
        Whether higher values are better.

    Returns
    -------
    Figure
    """
    values, states, trials = np.asarray(values, float), np.asarray(states, object), np.arange(len(values))
    figure = _figure(8, 5.2)
    axes = figure.subplots()
    bounds, known = _bounds(values, higher), np.isfinite(values)
    inside = known & (np.clip(values, *bounds) == values)
    complete = np.where(states == "complete", values, np.nan)
    running = (np.fmax if higher else np.fmin).accumulate(complete) if len(values) else values
    axes.plot(trials, running, drawstyle="steps-post", color=BLUE, label="best so far")
    for state, (marker, style) in STATES.items():
        chosen = states == state
        if chosen.any():
            words = f"{state} ({chosen.sum()})" + ("" if known[chosen].all() else ", at the edge if without a value")
            drawn = chosen & inside
            axes.plot(trials[drawn], values[drawn], marker, ms=6, mew=1.6, label=words, **style)
            _at_edge(axes, trials[chosen & known & ~inside], low=higher, label=_BEYOND, **style | HOLLOW)
            _at_edge(axes, trials[chosen & ~known], marker, low=higher, **style)
    if best is not None:
        axes.plot([best], [values[best]], label=f"chosen: trial {best}, {values[best]:.4f}", **_BEST)
    _integer_ticks(axes)
    axes.set(ylim=bounds, xlabel="trial", ylabel=label)
    return _key(figure, axes)


@_styled
def importance(names: Sequence[str], shares: Sequence[float]) -> Figure:
    """Draw the importance of each parameter, the largest on top.

    Parameters
    ----------
    names : sequence of str
        Parameters.
    shares : sequence of float
        Share of the variance of the objective that each explains; NaN is drawn as unknown.

    Returns
    -------
    Figure
    """
    shares = np.asarray(shares, float)
    order = np.argsort(-np.nan_to_num(shares, nan=-1), kind="stable")
    figure = _figure(7, 1.2 + 0.36 * len(names))
    axes = figure.subplots()
    axes.barh(range(len(order)), np.nan_to_num(shares[order]), 0.62, color=BLUE)
    for row, share in enumerate(shares[order]):
        words = "unknown" if np.isnan(share) else f"{share:.2f}"
        axes.annotate(words, (np.nan_to_num(share), row), (4, 0), textcoords="offset points", va="center", fontsize=9)
    axes.set_yticks(range(len(order)), [names[i] for i in order])
    axes.set(xlim=(0, 1.15 * (np.nan_to_num(shares).max(initial=0) or 1)), ylim=(len(order) - 0.4, -0.6))
    axes.set_xlabel("importance (share of the variance of the objective)")
    axes.grid(False, axis="y")
    return figure


@_styled
def slices(
    params: Mapping[str, Sequence],
    values: Sequence[float],
    best: int | None = None,
    label: str = "validation AUPRC",
    higher: bool = True,
) -> Figure:
    """Draw the objective against each parameter, one panel a parameter.

    Parameters
    ----------
    params : mapping of str to sequence, length t
        Value of each parameter by trial: numbers, or words for one column each; None where a trial had none.
    values : sequence of float, length t
        Objective by trial; NaN is left out.
    best : int, optional
        Position of the chosen trial.
    label : str
        What the objective is.
    higher : bool
        Whether higher values are better; trials far to the worse side are drawn as arrows at the edge.

    Returns
    -------
    Figure
    """
    values, bounds = np.asarray(values, float), _bounds(np.asarray(values, float), higher)
    rows, columns = -(-len(params) // COLUMNS), min(len(params), COLUMNS)
    figure = _figure(max(3.3 * columns, 5), 0.6 + 2.9 * rows)
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes in panels[len(params) :]:
        axes.remove()
    for axes, (name, settings) in zip(panels, params.items(), strict=False):
        place = _placed(axes, settings, values)
        inside = np.clip(values, *bounds) == values
        axes.plot(place[inside], values[inside], "o", color=BLUE, ms=6, alpha=0.6, mew=0, label="trial")
        beyond = place[~inside & np.isfinite(values)]
        _at_edge(axes, beyond, low=higher, color=BLUE, label=_BEYOND, **HOLLOW)
        if best is not None:
            axes.plot([place[best]], [values[best]], label=f"chosen: trial {best}", **_BEST)
        axes.set(xlabel=name, ylim=bounds)
    for axes in panels[: len(params) : columns]:
        axes.set_ylabel(label)
    return _key(figure, *panels[: len(params)])


def _placed(axes: Axes, settings: Sequence, values: np.ndarray) -> np.ndarray:
    """Where each trial stands on the axis of a parameter, whose scale and ticks are set; NaN for None."""
    given = [setting for setting in settings if setting is not None]
    if all(isinstance(setting, int | float | np.number) and not isinstance(setting, bool) for setting in given):
        place = np.array([np.nan if setting is None else setting for setting in settings], float)
        if given and min(given) > 0 and max(given) / min(given) >= LOG_FROM:
            axes.set_xscale("log")
        else:
            axes.locator_params(axis="x", nbins=5)
        return place
    words = sorted({str(setting) for setting in given})
    column = np.array([np.nan if setting is None else words.index(str(setting)) for setting in settings], float)
    for i in range(len(words)):
        members = np.flatnonzero((column == i) & np.isfinite(values))
        column[members] += np.linspace(-0.2, 0.2, len(members)) if len(members) > 1 else 0
    axes.set_xticks(range(len(words)), words, rotation=30, ha="right", rotation_mode="anchor")
    axes.set_xlim(-0.6, len(words) - 0.4)
    return column


def _bounds(values: np.ndarray, higher: bool) -> tuple[float, float]:
    """Limits that show the best values and the bulk: at most three interquartile ranges to the worse side."""
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    lower, upper = np.percentile(values, [25, 75])
    reach = 3 * max(upper - lower, 1e-3)
    low, high = (
        (max(values.min(), lower - reach), values.max()) if higher else (values.min(), min(values.max(), upper + reach))
    )
    room = 0.1 * (high - low) or 0.01
    return low - room, high + room


def _at_edge(axes: Axes, trials: np.ndarray, marker: str = "", *, low: bool, **style) -> None:
    """Marks along the lower or upper edge of the panel: arrows that point out of it, where no marker is named."""
    if len(trials):
        height, marker = (0.03, marker or "v") if low else (0.97, marker or "^")
        transform = axes.get_xaxis_transform()
        axes.plot(trials, np.full(len(trials), height), marker, transform=transform, ms=6, mew=1.6, **style)
