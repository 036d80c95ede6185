from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from test_plots import line, texts
from test_plots_bands import check_no_global_state, check_readable

from tfbs import plots_search

pytestmark = pytest.mark.filterwarnings("error")

VALUES = np.array([0.90, 0.94, 0.50, 0.93, np.nan, 0.92, 0.97, 0.91, 0.95, 0.96])
STATES = [
    "complete",
    "complete",
    "complete",
    "pruned",
    "failed",
    "pruned",
    "complete",
    "complete",
    "complete",
    "complete",
]
PARAMS = {
    "arch": ["baseline", "modified"] * 5,
    "lr": np.geomspace(1e-4, 1e-2, 10).tolist(),
    "batch_size": [10, 20, 50, 100, 10, 20, 50, 100, 10, None],
    "loss": ["binary_crossentropy", "categorical_crossentropy"] * 5,
}


def figures() -> dict[str, Figure]:
    return {
        "search": plots_search.search(VALUES, STATES, 6),
        "search, loss": plots_search.search(1 - VALUES, STATES, 6, "validation loss", higher=False),
        "search, one trial": plots_search.search([0.9], ["complete"], 0),
        "search, nothing done": plots_search.search([np.nan], ["failed"]),
        "importance": plots_search.importance(list(PARAMS), [0.1, 0.7, 0.15, 0.05]),
        "importance, unknown": plots_search.importance(["lr", "batch_size"], [np.nan, np.nan]),
        "slices": plots_search.slices(PARAMS, VALUES, 6),
        "slices, one": plots_search.slices({"lr": [1e-3]}, [0.9], 0),
    }


def test_every_figure_is_readable(tmp_path):
    for name, figure in figures().items():
        check_readable(name, figure, tmp_path)


def test_figures_leave_no_global_state():
    check_no_global_state(figures)


def test_search_draws_trials_by_state_and_the_running_best_of_the_complete_ones():
    figure = plots_search.search(VALUES, STATES, 6)
    np.testing.assert_allclose(
        line(figure, "best so far").get_ydata(), [0.90, 0.94, 0.94, 0.94, 0.94, 0.94, 0.97, 0.97, 0.97, 0.97]
    )
    assert list(line(figure, "complete (7)").get_xdata()) == [0, 1, 6, 7, 8, 9]
    assert list(line(figure, "pruned (2)").get_xdata()) == [3, 5]
    np.testing.assert_allclose(line(figure, "pruned (2)").get_ydata(), [0.93, 0.92])
    star = line(figure, "chosen")
    assert (star.get_xdata()[0], star.get_ydata()[0]) == (6, 0.97)
    assert "chosen: trial 6, 0.9700" in texts(figure)


def test_a_collapsed_trial_does_not_squeeze_the_scale():
    figure = plots_search.search(VALUES, STATES, 6)
    low, high = figure.axes[0].get_ylim()
    assert 0.7 < low < 0.9
    assert high > 0.97
    arrow = line(figure, "arrow: worse than the scale shows")
    assert (list(arrow.get_xdata()), arrow.get_marker()) == ([2], "v")


def test_a_trial_without_a_value_stands_at_the_edge():
    figure = plots_search.search(VALUES, STATES)
    assert "failed (1), at the edge if without a value" in texts(figure)
    (mark,) = [one for one in figure.axes[0].lines if one.get_marker() == "s" and len(one.get_xdata())]
    assert list(mark.get_xdata()) == [4]


def test_lower_can_be_better():
    figure = plots_search.search(1 - VALUES, STATES, 6, "validation loss", higher=False)
    np.testing.assert_allclose(line(figure, "best so far").get_ydata()[[0, 1, 5, 9]], [0.10, 0.06, 0.06, 0.03])
    arrow = line(figure, "arrow")
    assert (list(arrow.get_xdata()), arrow.get_marker()) == ([2], "^")
    assert figure.axes[0].get_ylabel() == "validation loss"


def test_importance_is_sorted_with_its_numbers():
    axes = plots_search.importance(["arch", "lr", "epochs", "loss"], [0.1, 0.7, np.nan, 0.2]).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["lr", "loss", "arch", "epochs"]
    assert [bar.get_width() for bar in axes.patches] == [0.7, 0.2, 0.1, 0]
    assert [text.get_text() for text in axes.texts] == ["0.70", "0.20", "0.10", "unknown"]
    assert axes.yaxis_inverted()


def test_slices_have_a_panel_a_parameter_on_its_own_scale():
    figure = plots_search.slices(PARAMS, VALUES, 6)
    panels = {axes.get_xlabel(): axes for axes in figure.axes}
    assert list(panels) == list(PARAMS)
    assert [axes.get_xscale() for axes in panels.values()] == ["linear", "log", "linear", "linear"]
    shown = [0, 1, 3, 5, 6, 7, 8, 9]
    dots = panels["lr"].lines[0]
    np.testing.assert_allclose(dots.get_xdata(), np.array(PARAMS["lr"])[shown])
    np.testing.assert_allclose(dots.get_ydata(), VALUES[shown])
    assert [label.get_text() for label in panels["arch"].get_xticklabels()] == ["baseline", "modified"]
    columns = np.round(panels["arch"].lines[0].get_xdata())
    np.testing.assert_array_equal(columns, np.array(shown) % 2)
    assert np.isfinite(panels["batch_size"].lines[0].get_xdata()).sum() == len(shown) - 1


def test_whole_numbers_and_words_are_told_apart():
    figure = plots_search.slices({"flag": [True, False, True], "n": np.array([1, 2, 3])}, [0.1, 0.2, 0.3])
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["False", "True"]
    np.testing.assert_array_equal(figure.axes[1].lines[0].get_xdata(), [1, 2, 3])
