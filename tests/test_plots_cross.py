from __future__ import annotations

import numpy as np
import pytest
from matplotlib.patches import Rectangle
from test_plots import texts
from test_plots_bands import check_no_global_state, check_readable

from tfbs import plots_cross

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ("genomic", "shuffle", "own.fa", "a_file_with_a_very_long_name.bed.gz")


def panels(k: int, low: float = 0.6) -> dict[str, np.ndarray]:
    values = low + (0.99 - low) * np.random.RandomState(k).rand(k, k)
    limits = np.stack([values, values - 0.03, np.minimum(values + 0.03, 1)], -1)
    return {"AUROC": limits, "AUPRC": limits - 0.05}


def figures() -> dict:
    made = {f"{k} kinds": plots_cross.cross_evaluation(panels(k), NAMES[:k]) for k in (2, 3, 4)}
    made["perfect"] = plots_cross.cross_evaluation({"AUROC": np.ones((2, 2, 3))}, NAMES[:2])
    made["poor"] = plots_cross.cross_evaluation(panels(2, 0.05), ("a", NAMES[3]))
    return made


def test_every_figure_is_readable(tmp_path):
    for name, figure in figures().items():
        check_readable(name, figure, tmp_path)


def test_figures_leave_no_global_state():
    check_no_global_state(figures)


def test_rows_are_trained_against_columns_tested_on_and_each_cell_holds_value_and_interval():
    made = panels(3)
    figure = plots_cross.cross_evaluation(made, NAMES[:3])
    for axes, (metric, values) in zip(figure.axes, made.items(), strict=False):
        assert axes.get_title() == metric
        np.testing.assert_array_equal(axes.images[0].get_array(), values[..., 0])
        written = {(round(t.get_position()[1]), round(t.get_position()[0]), t.get_text()) for t in axes.texts}
        for (i, j), value in np.ndenumerate(values[..., 0]):
            assert (i, j, f"{value:.3f}") in written
            assert (i, j, f"{values[i, j, 1]:.3f} to {values[i, j, 2]:.3f}") in written
        frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
        assert [(round(f.get_x() + 0.48), round(f.get_y() + 0.47)) for f in frames] == [(i, i) for i in range(3)]
        assert axes.get_xlabel() == "tested on"
    assert figure.axes[0].get_ylabel() == "trained against"
    assert {"genomic", "shuffle", "own.fa"} <= set(texts(figure))
