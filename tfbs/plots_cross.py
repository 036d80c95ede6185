"""The figure of networks that were trained against one kind of negatives and tested on another.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from .plots import _figure, _styled
from .plots_bands import VERMILION

if TYPE_CHECKING:
    from .plots import Figure

MAX_NAME = 18


@_styled
def cross_evaluation(panels: Mapping[str, np.ndarray], names: Sequence[str]) -> Figure:
    """Draw a heat map a metric: rows are what the networks were trained against, columns what they were tested on.

    Value and 95 % interval are written in each cell; the diagonal, where both are the same, is framed.

    Parameters
    ----------
    panels : mapping of str to ndarray, shape (k, k, 3)
        Value and limits, in [0, 1], by the name of the metric.
    names : sequence of str, length k
        The kinds of negatives.

    Returns
    -------
    Figure
    """
    k, words = len(names), [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}\u2026" for name in names]
    low = min(np.floor(10 * min(values[..., 0].min() for values in panels.values())) / 10, 0.9)
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if k > 2 else {}
    figure = _figure(1.9 + len(panels) * (0.5 + 1.3 * k), 2.1 + 0.9 * k)
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (metric, values) in zip(row, panels.items(), strict=True):
        image = axes.imshow(values[..., 0], "cividis", vmin=low, vmax=1, aspect="auto", interpolation="nearest")
        for i, j in np.ndindex(k, k):
            value, lo, hi = values[i, j]
            colour = "white" if image.norm(value) < 0.5 else "black"
            where = {"ha": "center", "color": colour}
            axes.text(j, i, f"{value:.3f}", va="bottom", fontsize=11, **where)
            axes.text(j, i + 0.06, f"{lo:.3f} to {hi:.3f}", va="top", fontsize=8, **where)
        axes.bar(range(k), 0.94, 0.96, np.arange(k) - 0.47, fill=False, edgecolor=VERMILION, lw=2.5)
        axes.grid(False)
        axes.set_xticks(range(k), words, **slanted)
        axes.set_yticks(range(k), words)
        axes.set(xlim=(-0.5, k - 0.5), ylim=(k - 0.5, -0.5), xlabel="tested on", title=metric)
    row[0].set_ylabel("trained against")
    figure.colorbar(image, ax=list(row), shrink=0.9)
    figure.suptitle("framed: tested on what it was trained against\nbelow each value its 95 % interval", fontsize=10)
    return figure
