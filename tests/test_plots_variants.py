from __future__ import annotations

import numpy as np
import pytest
from test_plots import texts
from test_plots_bands import check_no_global_state, check_readable

from tfbs import plots_variants
from tfbs.effects import EDGES

pytestmark = pytest.mark.filterwarnings("error")


def drawn(values: np.ndarray, background: np.ndarray, scale: float = 0.3, name: str = "rs{}"):
    order = np.argsort(-np.abs(values))[:20]
    named = [(name.format(k), float(values[k])) for k in order]
    return plots_variants.effects(EDGES * scale, np.histogram(values, EDGES * scale)[0], scale, background, named)


def figures() -> dict:
    random = np.random.RandomState(0)
    background = 0.4 * random.standard_t(3, 1000)
    return {
        "many": drawn(np.append(0.4 * random.standard_t(3, 20_000), [9, 9.1, -50]), background),
        "few": drawn(np.array([0.5, -0.2]), background, name="chr{}:123456789 ACGTACGTAC>ACGTACGTACGTACGT"),
        "one, without background": drawn(np.array([0.5]), np.zeros(0)),
        "none": drawn(np.zeros(0), background),
        "tiny": drawn(1e-4 * random.randn(100), 1e-4 * random.randn(100), 1e-4),
        "large": drawn(1e3 * random.randn(100), 1e3 * random.randn(100), 1e3),
    }


def test_every_figure_is_readable(tmp_path):
    for name, figure in figures().items():
        check_readable(name, figure, tmp_path)


def test_figures_leave_no_global_state():
    check_no_global_state(figures)


def test_the_figure_shows_shares_and_the_largest_changes_by_name():
    random = np.random.RandomState(0)
    values, background = np.append(random.randn(999), 40.0), random.randn(500)
    figure = drawn(values, background)
    left, right = figure.axes
    stairs = {patch.get_label(): patch.get_data() for patch in left.patches if hasattr(patch, "get_data")}
    assert set(stairs) == {"variants, n = 1,000", "random substitutions, n = 500"}
    for data in stairs.values():
        assert data.values.sum() == pytest.approx(1)
    assert [label.get_text() for label in right.get_yticklabels()][:1] == ["rs999"]
    assert len(right.get_yticks()) == plots_variants.MAX_NAMED
    offsets = right.collections[-1].get_offsets()
    assert offsets[0].tolist() == [40, 0]
    assert {"99 % of random substitutions", "share"} <= set(texts(figure))
