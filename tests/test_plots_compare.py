from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import stats
from test_plots import attributions, letters, texts
from test_plots_bands import NAMES, check_no_global_state, check_readable

from tfbs import plots_compare

pytestmark = pytest.mark.filterwarnings("error")

NOBODY = {"baseline": np.zeros(5, bool), "modified": np.zeros(5, bool)}
VALUES = {
    "baseline": np.array([0.9951, 0.9960, 0.5000, 0.9966, 0.9958]),
    "modified": np.array([0.9984, 0.9986, 0.9989, 0.9986, 0.9983]),
}
COLLAPSED = NOBODY | {"baseline": np.array([False, False, True, False, False])}
METRICS = ("AUROC", "AUPRC", "Brier score", "recall at 10 % FDR")


def rows(architectures: int = 2) -> list[dict]:
    names, made = NAMES[:architectures], []
    for metric, scale in zip(METRICS, (0.002, 0.003, 0.01, 0.02), strict=True):
        for i, theirs in enumerate(names):
            for ours in names[i + 1 :]:
                value = scale * (len(made) % 3 - 1)
                made.append(
                    {"pair": f"{ours} less {theirs}", "metric": metric, "value": value}
                    | {"lo": value - scale / 2, "hi": value + scale / 2, "seeds": scale**2, "sequences": 3 * scale**2}
                    | {"verdict": ("worse", "cannot tell", "better")[len(made) % 3]}
                )
    return made


def correlations(m: int) -> np.ndarray:
    return np.corrcoef(np.random.RandomState(0).randn(m, 30) + 2 * np.random.RandomState(1).randn(30))


def figures() -> dict[str, Figure]:
    many = {name: 0.8 + 0.02 * i + 0.004 * np.arange(3) for i, name in enumerate(NAMES)}
    none = {name: np.zeros(len(group), bool) for name, group in many.items()}
    broken = correlations(5)
    broken[2] = broken[:, 2] = np.nan
    pair = attributions(4), -0.5 * attributions(4)
    return {
        "seeds": plots_compare.seeds(VALUES, COLLAPSED, "AUROC on the test part"),
        "seeds, all trained": plots_compare.seeds(VALUES, NOBODY, "AUROC on the test part"),
        "seeds, many": plots_compare.seeds(many, none | {NAMES[3]: np.ones(3, bool)}, "AUPRC"),
        "seeds, one each": plots_compare.seeds({"a": [0.9], "b": [0.8]}, {"a": [False], "b": [True]}, "AUROC"),
        "seeds, two": plots_compare.seeds({"a": np.array([0.7, 0.72])}, {"a": np.zeros(2, bool)}, "AUROC"),
        "differences": plots_compare.differences(rows()),
        "differences, many": plots_compare.differences(rows(4)),
        "differences, zero": plots_compare.differences([rows()[0] | {"value": 0, "lo": 0, "hi": 0}]),
        "variance": plots_compare.variance(rows(3)),
        "variance, unknown": plots_compare.variance([rows()[0] | {"seeds": np.nan}, rows()[3] | {"seeds": 0}]),
        "agreement": plots_compare.agreement(correlations(6), list("abcdef"), ["x", "x", "y", "y", "y", "z"], "logits"),
        "agreement, nan": plots_compare.agreement(broken, [f"baseline-ensemble-s{i}" for i in range(5)], "aabbb", "t"),
        "agreement, many": plots_compare.agreement(correlations(24), [""] * 24, np.repeat(NAMES, 3).tolist(), "logits"),
        "agreement, one": plots_compare.agreement(np.eye(1), ["a"], ["a"], "logits"),
        "logos": plots_compare.disagreement_logos(*pair, list("abcd"), ("baseline", NAMES[-1]), [20, -1, 3, 0], 12),
        "logos, one": plots_compare.disagreement_logos(pair[0][:1], pair[1][:1], ["a"], ("baseline-ensemble", "b")),
        "logos, zero": plots_compare.disagreement_logos(np.zeros((1, 50, 4)), np.zeros((1, 50, 4)), ["a"], ("a", "b")),
    }


def test_every_figure_is_readable(tmp_path):
    for name, figure in figures().items():
        check_readable(name, figure, tmp_path)


def test_figures_leave_no_global_state():
    check_no_global_state(figures)


def dots(axes, marker: str) -> list[np.ndarray]:
    return [line.get_xdata() for line in axes.lines if line.get_marker() == marker]


def test_seeds_draw_each_network_and_students_interval_of_those_that_trained():
    figure = plots_compare.seeds(VALUES, COLLAPSED, "AUROC")
    margin, axes = figure.axes
    trained = VALUES["baseline"][[0, 1, 3, 4]]
    np.testing.assert_array_equal(dots(axes, "o"), [trained])
    np.testing.assert_array_equal(dots(axes, "s"), [VALUES["modified"]])
    means, spans = dots(axes, "|"), [line.get_xdata() for line in axes.lines if line.get_linestyle() == "-"]
    lo, hi = stats.t.interval(0.95, 3, trained.mean(), stats.sem(trained))
    np.testing.assert_allclose(means[0], [trained.mean()])
    assert any(np.allclose(span, [lo, hi]) for span in spans if len(span) == 2)
    assert f"{trained.mean():.4f}\n{lo:.4f} to {hi:.4f}" in texts(figure)
    assert axes.get_xlim()[0] > 0.99
    assert [label.get_text() for label in margin.get_yticklabels()] == ["baseline", "modified"]


def test_networks_that_did_not_train_are_hollow_in_the_margin_with_their_number():
    figure = plots_compare.seeds(VALUES, COLLAPSED, "AUROC")
    (hollow,) = figure.axes[0].lines
    assert len(hollow.get_xdata()) == 1
    assert hollow.get_markerfacecolor() == "none"
    assert {"did not train", "1 of 5"} <= set(texts(figure))
    assert len(plots_compare.seeds(VALUES, NOBODY, "AUROC").axes) == 1


def test_an_interval_wider_than_the_panel_ends_in_arrows_and_is_written_whole():
    values = {"a": np.array([0.7, 0.72])}
    figure = plots_compare.seeds(values, {"a": np.zeros(2, bool)}, "AUROC")
    low, high = figure.axes[0].get_xlim()
    assert (dots(figure.axes[0], "<")[0], dots(figure.axes[0], ">")[0]) == ([low], [high])
    lo, hi = stats.t.interval(0.95, 1, 0.71, 0.01)
    assert low > lo
    assert f"0.7100\n{lo:.4f} to {hi:.4f}" in texts(figure)


def test_one_seed_or_none_has_no_interval():
    figure = plots_compare.seeds({"a": [0.9], "b": [np.nan, 0.5]}, {"a": [False], "b": [False, True]}, "AUROC")
    assert {"0.9000\none seed", "no network trained"} <= set(texts(figure))
    assert not [line for line in figure.axes[1].lines if line.get_linestyle() == "-"]


def test_differences_have_a_panel_a_metric_with_interval_numbers_and_verdict():
    made = rows(3)
    figure = plots_compare.differences(made)
    assert [axes.get_xlabel() for axes in figure.axes] == [f"difference in {m}, 95 % interval" for m in METRICS]
    for axes, metric in zip(figure.axes, METRICS, strict=True):
        group = [row for row in made if row["metric"] == metric]
        zero, *lines = axes.lines
        assert list(zero.get_xdata()) == [0, 0]
        for row, interval, point in zip(group, lines[::2], lines[1::2], strict=True):
            assert list(interval.get_xdata()) == [row["lo"], row["hi"]]
            assert list(point.get_xdata()) == [row["value"]]
            assert (point.get_markerfacecolor() == "white") == (row["verdict"] == "cannot tell")
        assert [label.get_text() for label in axes.get_yticklabels()] == [row["pair"] for row in group]
        low, high = axes.get_xlim()
        assert low == -high
        assert high > max(abs(row[key]) for row in group for key in ("lo", "hi"))
    assert "−0.0020 (−0.0030 to −0.0010), worse" in texts(figure)
    assert "+0.0000 (−0.0010 to +0.0010), cannot tell" in texts(figure)


def test_variance_bars_add_up_to_the_whole():
    made = rows()
    figure = plots_compare.variance([made[0], made[1] | {"seeds": 0.0}, made[2] | {"seeds": np.nan}])
    seeds, sequences = figure.axes[0].patches
    assert (seeds.get_width(), sequences.get_width()) == (0.25, 0.75)
    assert sequences.get_x() == 0.25
    assert [bar.get_width() for bar in figure.axes[1].patches] == [0, 1]
    assert not figure.axes[2].patches
    assert {"25 %", "75 %", "standard error 0.004", "seeds not varied"} <= set(texts(figure))
    nothing = plots_compare.variance([made[0] | {"seeds": 0, "sequences": 0}])
    assert "no variance" in texts(nothing)


def test_agreement_writes_the_numbers_and_parts_the_architectures():
    matrix = correlations(5)
    matrix[1, 0] = matrix[0, 1] = np.nan
    groups = ["x", "y", "x", "y", "x"]
    axes = plots_compare.agreement(matrix, list("abcde"), groups, "rank correlation of the logits").axes[0]
    order = [0, 2, 4, 1, 3]
    np.testing.assert_allclose(axes.images[0].get_array().filled(np.nan), matrix[np.ix_(order, order)])
    assert [label.get_text() for label in axes.get_xticklabels()] == list("acebd")
    written = [text.get_text() for text in axes.texts]
    assert written[:5] == [f"{matrix[0, j]:.2f}" if j != 1 else "n/a" for j in order]
    assert {tuple(line.get_xdata()) for line in axes.lines} == {(0, 1), (2.5, 2.5)}


def test_agreement_of_many_names_the_architectures_alone():
    groups = ["x"] * 8 + ["y"] * 6
    axes = plots_compare.agreement(correlations(14), [""] * 14, groups, "t").axes[0]
    assert not axes.texts
    assert [label.get_text() for label in axes.get_yticklabels()] == ["x", "y"]
    assert list(axes.get_yticks()) == [3.5, 10.5]


def test_disagreement_logos_draw_both_architectures_on_one_scale():
    first, second = attributions(2), -0.5 * attributions(2)
    figure = plots_compare.disagreement_logos(first, second, ["one", "two"], ("baseline", "modified"), [20, -1], 12)
    assert len(figure.axes) == 4
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    for axes, values in zip(figure.axes, (first[0], second[0], first[1], second[1]), strict=True):
        for position, (height, _) in letters(axes).items():
            base = np.abs(values[position - 1]).argmax()
            assert height == pytest.approx(values[position - 1, base], abs=0.02)
    assert [axes.get_ylabel() for axes in figure.axes] == ["baseline", "modified"] * 2
    assert [len([p for p in axes.patches if p.get_label() == "planted motif"]) for axes in figure.axes] == [1, 1, 0, 0]
    assert "baseline above modified, mean over the seeds of each" in texts(figure)


def test_long_sequences_are_cut_to_the_same_window_for_both():
    first, second = attributions(1, 400, start=300), 0.01 * attributions(1, 400, start=10)
    figure = plots_compare.disagreement_logos(first, second, ["one"], ("a", "b"))
    assert figure.axes[0].get_xlim() == figure.axes[1].get_xlim()
    low, high = figure.axes[0].get_xlim()
    assert low < 301 < 312 < high


def test_at_most_four_sequences_are_drawn():
    five = attributions(5)
    assert len(plots_compare.disagreement_logos(five, five, list("abcde"), ("a", "b"), [1] * 5, 3).axes) == 8
