"""Figure of what the filters of the first convolution look for.

Like :mod:`tfbs.plots`: arrays in, a :class:`matplotlib.figure.Figure` out, no global state.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .filters import MOST, Filter
from .jaspar import Match
from .motifs import information
from .plots import _figure, _logo, _styled

if TYPE_CHECKING:
    from .plots import Figure

COLUMNS = 4
MAX_NAME = 20


@_styled
def filters(found: Sequence[Filter], matches: Mapping[str, Sequence[Match]]) -> Figure:
    """Draw the motifs of filters, with the known motif that each resembles most.

    Parameters
    ----------
    found : sequence of Filter
        From :func:`tfbs.filters.filters`; the first 32 are drawn.
    matches : mapping of str to sequence of Match
        By the name of the filter, best first, as from :func:`tfbs.jaspar.match`.

    Returns
    -------
    Figure
    """
    found = found[:MOST]
    rows = -(-max(len(found), 1) // COLUMNS)
    figure = _figure(3.2 * COLUMNS, 1.55 * rows + 0.4)
    panels = figure.subplots(rows, COLUMNS, squeeze=False)
    for axes in panels.flat[len(found) :]:
        axes.set_axis_off()
    for axes, each in zip(panels.flat, found, strict=False):
        _logo(axes, information(each.ppm), 0)
        axes.set(ylim=(0, 2.05), yticks=(0, 1, 2))
        axes.set_title(f"{each.name}: {each.windows:,} windows\n{_named(matches.get(each.name))}", loc="left", size=9)
    figure.supylabel("bits", fontsize=10)
    figure.supxlabel("position in the filter (bp)", fontsize=10)
    return figure


def _named(matches: Sequence[Match] | None) -> str:
    """Say which motif is the best match."""
    if not matches:
        return "no known motif"
    best = matches[0]
    name = best.motif.name or best.motif.id
    short = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    return f"{short}{', reverse' if best.reverse else ''}, q = {best.q:.1g}"
