"""Figures that say how far attributions can be trusted.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .agreement import rank_correlation
from .plots import BLUE, GREY, _figure, _legend_below, _styled
from .randomisation import Agreement, Cascade

if TYPE_CHECKING:
    from .plots import Axes, Figure

MAX_NAME = 14


@_styled
def cascade(found: Cascade) -> Figure:
    """Draw how the attributions of a network change while its layers are re-initialised.

    Parameters
    ----------
    found : Cascade
        From :func:`tfbs.randomisation.cascade`.

    Returns
    -------
    Figure
        Sizes of the contributions on the left, with what untrained networks agree by; with their signs on the right.
    """
    figure = _figure(11, 5)
    left, right = figure.subplots(1, 2)
    names = [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in found.layers]
    for row, (axes, kind) in enumerate(((right, "signed"), (left, "absolute"))):
        _agreement(axes, found.steps, kind, row)
        chance = getattr(found.chance, kind)
        axes.axhspan(chance.lo, chance.hi, color=GREY, alpha=0.25, linewidth=0)
        axes.axhline(chance.value, color=GREY, linestyle=":", label="untrained networks with each other, 95 % interval")
        axes.set_xticks(range(len(found.steps)), ["none", *names], rotation=40, ha="right", rotation_mode="anchor")
        axes.set(xlabel="re-initialised, each with all before it", ylabel="Spearman's rho with the trained network")
    left.set(ylim=(-0.3, 1.05))
    left.set_title("sizes of the contributions", loc="left")
    right.set(ylim=(-1.05, 1.05))
    right.set_title("with their signs, which a random logit tosses like a coin", loc="left")
    n, networks = found.steps[0].absolute.n, found.chance.means.shape[1]
    title = f"Agreement over the bases of a sequence, mean of n = {n:,} sequences and {networks} re-initialisations"
    figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return _legend_below(figure)


@_styled
def mutagenesis(contributions: np.ndarray, losses: np.ndarray) -> Figure:
    """Draw the contribution of each base against what its replacement costs.

    Parameters
    ----------
    contributions : ndarray, shape (n, L)
        Log-odds.
    losses : ndarray, shape (n, L)
        Mean over the three other bases of the loss of logit, log-odds, see :func:`tfbs.mutagenesis.losses`.

    Returns
    -------
    Figure
    """
    from matplotlib.colors import LogNorm

    figure = _figure(6, 5.2)
    axes = figure.subplots()
    for draw in (axes.axhline, axes.axvline):
        draw(0, color=GREY, linewidth=0.8)
    image = axes.hexbin(np.ravel(losses), np.ravel(contributions), gridsize=50, mincnt=1, norm=LogNorm(), linewidths=0)
    figure.colorbar(image, ax=axes, label="bases")
    rho = rank_correlation(contributions, losses)
    known = rho[np.isfinite(rho)]
    mean = f"{known.mean():.2f}" if known.size else "unknown"
    axes.set_title(f"n = {len(rho):,} sequences, mean Spearman's rho within them {mean}", loc="left")
    axes.set(xlabel="mean loss of logit when replaced (log-odds)", ylabel="contribution to the logit (log-odds)")
    return figure


def _agreement(axes: Axes, steps: tuple[Agreement, ...], kind: str, row: int) -> None:
    """Draw the means with their intervals, and a dot for each re-initialisation."""
    estimates = [getattr(step, kind) for step in steps]
    values, lo, hi = np.array([(each.value, each.lo, each.hi) for each in estimates]).T
    for at, step in enumerate(steps):
        dots = np.full(step.means.shape[1], at + 0.12)
        axes.plot(dots, step.means[row], ".", color=BLUE, alpha=0.35, label="one re-initialisation")
    axes.errorbar(
        range(len(steps)),
        values,
        (values - lo, hi - values),
        fmt="o",
        color=BLUE,
        capsize=3,
        label="mean, 95 % interval",
    )
