from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from scipy.special import expit
from test_plots import _unused_tick, texts

from tfbs import evaluation, plots, plots_bands

pytestmark = pytest.mark.filterwarnings("error")

NAMES = ("baseline", "modified", "baseline-ensemble", "a", "b", "c", "d", "an-architecture-with-a-long-name")
KINDS = {"easy": (2, 5, 5.0), "hard": (3, 2, 0.8), "one seed": (2, 1, 2.5), "alone": (1, 3, 2.0), "many": (8, 3, 1.5)}


def networks(kind: str, n: int = 200) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels (n,) and, by architecture, logits (S, n) of rising quality."""
    architectures, count, distance = KINDS[kind]
    random = np.random.RandomState(0)
    labels = random.permutation(np.arange(n) % 2)
    signal = (2 * labels - 1) * distance / 2 + 0.7 * random.randn(n)
    return labels, {
        name: 2 * (signal * (1 + 0.2 * i) + 0.7 * random.randn(count, n))
        for i, name in enumerate(NAMES[:architectures])
    }


def curves(measure, labels: np.ndarray, logits: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: np.array([measure(labels, row) for row in rows]) for name, rows in logits.items()}


def histories() -> dict[str, list[dict[str, list[float]]]]:
    return {
        "baseline": [{"val_loss": [0.6, 0.4], "val_auprc": [0.5, 0.8]}, {"val_loss": [0.8], "val_auprc": [0.7]}],
        "modified": [{"val_loss": [0.5] * length, "val_auprc": [0.9] * length} for length in (4, 3, 1)],
    }


def figures() -> dict[str, Figure]:
    made = {"bands": plots_bands.bands({"a": np.eye(3), "b": np.ones((1, 3))}, np.arange(3), "x", "y", "title")}
    for kind in KINDS:
        labels, logits = networks(kind)
        roc = curves(evaluation.roc_curve_on_grid, labels, logits)
        pr = curves(evaluation.pr_curve_on_grid, labels, logits)
        made[f"roc {kind}"] = plots_bands.roc_bands(roc, labels, {name: rows.mean(1) for name, rows in roc.items()})
        made[f"pr {kind}"] = plots_bands.pr_bands(pr, labels)
        made[f"calibration {kind}"] = plots_bands.calibration_bands(
            labels, {name: expit(rows) for name, rows in logits.items()}
        )
    made["learning"] = plots_bands.learning_bands(histories())
    made["learning, one without"] = plots_bands.learning_bands(histories() | {"untrained": []})
    made["learning nothing"] = plots_bands.learning_bands({"baseline": [{"val_loss": [0.5]}]})
    return made


def check_readable(name: str, figure: Figure, folder) -> None:
    """Insist on a picture with something in it, nothing cut off, and no text over another."""
    pixels = imread(plots.save(figure, folder / "figure.png"))[..., :3]
    assert pixels.std() > 0.01, name
    assert (np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]]) == 1).all(), name
    figure.draw_without_rendering()
    written = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    boxes = [(text, text.get_window_extent()) for text in written if not _unused_tick(text, figure)]
    for i, (text, box) in enumerate(boxes):
        assert figure.bbox.padded(1).contains(*box.min), (name, text)
        assert figure.bbox.padded(1).contains(*box.max), (name, text)
        for other, second in boxes[:i]:
            # Boxes of slanted names overlap although the parallel names do not.
            slanted = text.get_rotation() % 90 and other.get_rotation() % 90
            assert slanted or not box.padded(-1).overlaps(second.padded(-1)), (name, text, other)


def check_no_global_state(draw) -> None:
    import matplotlib
    from matplotlib import pyplot

    with matplotlib.rc_context({"backend": "svg", "font.size": 7}):
        before = dict(matplotlib.rcParams)
        draw()
        assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def drawn(axes, name: str):
    """The line of one architecture."""
    (found,) = [line for line in axes.lines if line.get_label().split(",")[0] == name]
    return found


def edges(band) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a band stands, its lower and its upper edge."""
    corners = band.get_paths()[0].vertices
    x = np.unique(corners[:, 0])
    parts = [corners[corners[:, 0] == value, 1] for value in x]
    return x, np.array([part.min() for part in parts]), np.array([part.max() for part in parts])


def test_every_figure_is_readable(tmp_path):
    for name, figure in figures().items():
        check_readable(name, figure, tmp_path)


def test_figures_leave_no_global_state():
    check_no_global_state(figures)


def test_a_curve_is_the_mean_of_the_seeds_in_a_band_from_the_lowest_to_the_highest():
    rows = np.array([[0.1, 0.4, 0.8], [0.3, np.nan, 0.7], [0.2, 0.6, 0.9]])
    grid = np.array([1.0, 2, 4])
    axes = plots_bands.bands({"a": rows, "b": rows[:1]}, grid, "x", "y").axes[0]
    np.testing.assert_array_equal(drawn(axes, "a").get_xdata(), grid)
    np.testing.assert_allclose(drawn(axes, "a").get_ydata(), [0.2, 0.5, 0.8])
    np.testing.assert_allclose(drawn(axes, "b").get_ydata(), rows[0])
    (band,) = axes.collections
    for found, wanted in zip(edges(band), (grid, [0.1, 0.4, 0.7], [0.3, 0.6, 0.9]), strict=True):
        np.testing.assert_allclose(found, wanted)


def test_a_point_without_any_value_is_a_gap():
    rows = np.array([[0.1, np.nan, 0.8], [0.3, np.nan, 0.7]])
    line = drawn(plots_bands.bands({"a": rows}, np.arange(3), "x", "y").axes[0], "a")
    np.testing.assert_allclose(line.get_ydata(), [0.2, np.nan, 0.75])


def test_the_legend_counts_the_seeds_and_explains_the_band_once():
    words = texts(plots_bands.bands({"a": np.eye(3), "b": np.ones((1, 3))}, np.arange(3), "x", "y"))
    assert {"a, 3 seeds", "b, 1 seed"} <= set(words)
    assert words.count("line: mean over the seeds, band: lowest to highest") == 1
    alone = texts(plots_bands.bands({"b": np.ones((1, 3))}, np.arange(3), "x", "y"))
    assert not [text for text in alone if "band" in text]


def test_eight_architectures_differ_in_colour_and_in_grey():
    looks = [plots_bands._look(i) for i in range(16)]
    assert len({colour for colour, _ in looks[:8]}) == 8
    assert len(set(looks)) == 16
    grey = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b in (to_rgb(colour) for colour, _ in looks[:8])]
    assert max(grey) < 0.75
    axes = plots_bands.bands({name: np.ones((1, 2)) for name in NAMES}, np.arange(2), "x", "y").axes[0]
    assert [to_hex(line.get_color()).upper() for line in axes.lines] == [colour.upper() for colour, _ in looks[:8]]
    assert len({str(line._unscaled_dash_pattern) for line in axes.lines}) == 8


@pytest.mark.parametrize("kind", KINDS)
def test_roc_bands_draw_the_mean_of_the_curves(kind):
    labels, logits = networks(kind)
    rows = curves(evaluation.roc_curve_on_grid, labels, logits)
    figure = plots_bands.roc_bands(rows, labels)
    for axes in figure.axes:
        for name, group in rows.items():
            np.testing.assert_allclose(drawn(axes, name).get_xdata(), np.r_[0, np.linspace(0, 1, 101)])
            np.testing.assert_allclose(drawn(axes, name).get_ydata(), np.r_[0, group.mean(axis=0)])
    assert "n = 200: 100 positive, 100 negative" in texts(figure)


@pytest.mark.parametrize("kind", KINDS)
def test_pr_bands_draw_steps_and_the_line_without_skill(kind):
    labels, logits = networks(kind)
    labels = labels.copy()
    rows = curves(evaluation.pr_curve_on_grid, labels, logits)
    figure = plots_bands.pr_bands(rows, np.r_[labels, np.zeros(200, int)])
    for name, group in rows.items():
        line = drawn(figure.axes[0], name)
        assert line.get_drawstyle() == "steps-pre"
        np.testing.assert_allclose(line.get_ydata(), group.mean(axis=0))
    assert set(drawn(figure.axes[0], "no skill").get_ydata()) == {0.25}


def test_the_corner_is_enlarged_where_all_curves_run_into_it():
    labels, logits = networks("easy")
    rows = curves(evaluation.roc_curve_on_grid, labels, logits)
    whole, corner = plots_bands.roc_bands(rows, labels).axes
    assert whole.get_xlim() == (-0.02, 1.02)
    side = corner.get_xlim()[1]
    assert side in plots_bands.CORNERS
    assert corner.get_ylim()[0] == pytest.approx(1 - side)
    grid = np.linspace(0, 1, 101)
    assert all(np.interp(side / 2, grid, group.mean(0)) >= 1 - side / 2 for group in rows.values())
    rows = curves(evaluation.pr_curve_on_grid, labels, logits)
    _, corner = plots_bands.pr_bands(rows, labels).axes
    assert corner.get_xlim()[0] == corner.get_ylim()[0]
    assert corner.get_title() == "upper right corner"
    rows["weak"] = np.full((2, 101), 0.5)
    assert len(plots_bands.pr_bands(rows, labels).axes) == 1


def test_the_legend_gives_mean_and_range_of_the_areas():
    labels, logits = networks("hard")
    rows = curves(evaluation.roc_curve_on_grid, labels, logits)
    areas = {"baseline": [0.7, 0.8], "modified": [0.75, np.nan], "baseline-ensemble": [0.91234, 0.91234]}
    words = texts(plots_bands.roc_bands(rows, labels, areas))
    assert "baseline, 2 seeds: AUROC 0.7500 (0.7000 to 0.8000)" in words
    assert "modified, 2 seeds: AUROC 0.7500" in words
    assert "baseline-ensemble, 2 seeds: AUROC 0.9123 (0.9123 to 0.9123)" in words


def test_learning_bands_end_when_fewer_than_half_of_the_seeds_train():
    figure = plots_bands.learning_bands(histories())
    loss, auprc = figure.axes
    np.testing.assert_allclose(drawn(loss, "baseline").get_ydata(), [0.7, 0.4])
    np.testing.assert_allclose(drawn(auprc, "baseline").get_ydata(), [0.6, 0.8])
    np.testing.assert_array_equal(drawn(loss, "modified").get_xdata(), [1, 2, 3])
    assert all(tick == int(tick) for axes in figure.axes for tick in axes.get_xticks())
    assert "mean of the seeds still training, as long as half of them are" in texts(figure)
    equal = {"a": [{"val_loss": [0.5], "val_auprc": [0.9]}] * 2}
    assert not plots_bands.learning_bands(equal).get_suptitle()


def test_calibration_bands_are_the_mean_of_the_reliability_curves():
    labels = np.array([0, 0, 1, 0, 1, 1])
    first, second = np.array([0.02, 0.31, 0.35, 0.61, 0.98, 1]), np.array([0.04, 0.05, 0.33, 0.34, 0.35, 0.99])
    figure = plots_bands.calibration_bands(labels, {"a": np.array([first, second])})
    line = drawn(figure.axes[0], "a")
    # Bins 0, 3, 6 and 9; bin 6 is empty for the second seed.
    np.testing.assert_allclose(line.get_xdata(), [(0.02 + 0.045) / 2, (0.33 + 0.34) / 2, 0.61, (0.99 + 0.99) / 2])
    np.testing.assert_allclose(line.get_ydata(), [0, (1 / 2 + 2 / 3) / 2, 0, 1])
    (band,) = figure.axes[0].collections
    np.testing.assert_allclose(edges(band)[1], [0, 1 / 2, 0, 1])
    np.testing.assert_allclose(edges(band)[2], [0, 2 / 3, 0, 1])
    (steps,) = figure.axes[1].patches
    np.testing.assert_allclose(steps.get_data().values, [1.5, 0, 0, 2.5, 0, 0, 0.5, 0, 0, 1.5])


def test_calibration_bins_are_those_of_the_evaluation():
    labels, logits = networks("hard")
    probabilities = np.round(expit(logits["baseline"][:1]), 1)
    line = drawn(plots_bands.calibration_bands(labels, {"a": probabilities}).axes[0], "a")
    curve = evaluation.calibration_curve(labels, probabilities[0])
    np.testing.assert_allclose(line.get_xdata(), curve.predicted)
    np.testing.assert_allclose(line.get_ydata(), curve.observed)


def test_importing_the_figures_does_not_import_matplotlib():
    modules = "tfbs.plots_bands, tfbs.plots_compare, tfbs.plots_search"
    code = f"import sys, {modules}; print([m for m in ('matplotlib', 'logomaker', 'pandas') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
