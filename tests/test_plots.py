from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from matplotlib.text import Text
from scipy.special import expit
from sklearn import metrics

from tfbs import plots
from tfbs.calibration import TITLES, calibrated
from tfbs.evaluation import calibration_curve, evaluate
from tfbs.intervals import Estimate

pytestmark = pytest.mark.filterwarnings("error")

LENGTH, WIDTH = 50, 12
KINDS = ("good", "tied", "perfect", "collapsed")


def scores(kind: str, n: int = 120) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.RandomState(1)
    labels = random.permutation(np.arange(n) % 2)
    logits = random.randn(n) * 2 + 2 * (2 * labels - 1)
    return labels, {
        "good": logits,
        "tied": np.round(logits),
        "perfect": 40.0 * (2 * labels - 1),
        "collapsed": np.full(n, 0.1),
    }[kind]


def attributions(n: int, length: int = LENGTH, start: int = 20) -> np.ndarray:
    """One-hot times contribution, with the largest contributions in the window that starts at `start`."""
    random = np.random.RandomState(2)
    values = 0.1 * random.randn(n, length)
    values[:, start : start + WIDTH] += 1
    return np.eye(4)[random.randint(0, 4, (n, length))] * values[..., None]


def mutations(length: int = LENGTH, start: int = 20) -> tuple[np.ndarray, str]:
    random = np.random.RandomState(3)
    codes = random.randint(0, 4, length)
    ism = 0.1 * random.randn(length, 4)
    ism[start : start + WIDTH] -= 1
    ism[np.arange(length), codes] = 0
    return ism, "".join("ACGT"[code] for code in codes)


def history(epochs: int) -> dict[str, list[float]]:
    names = ("loss", "val_loss", "auroc", "val_auroc", "val_auprc")
    return {name: [0.1 * i + 0.5 / (epoch + 1) for epoch in range(epochs)] for i, name in enumerate(names)}


def figures() -> dict[str, Figure]:
    made = {}
    for kind in KINDS:
        labels, logits = scores(kind)
        estimates = evaluate(labels, logits, resamples=50)
        made[f"roc {kind}"] = plots.roc(labels, logits, estimates["auroc"])
        made[f"precision_recall {kind}"] = plots.precision_recall(labels, logits, estimates["auprc"])
        made[f"calibration {kind}"] = plots.calibration(labels, expit(logits), estimates)
        after = calibrated((labels, logits), logits)
        made[f"recalibration {kind}"] = plots.calibration(
            labels, expit(logits), estimates, {TITLES[name]: expit(after[name]) for name in list(after)[1:]}
        )
    for epochs in (1, 10, 200):
        made[f"loss {epochs}"] = plots.loss(history(epochs))
    for n, length in ((1, 50), (8, 50), (1, 101), (2, 400)):
        made[f"logos {n} x {length}"] = plots.logos(attributions(n, length), ["s"] * n, [20] * n, WIDTH, "20 negatives")
    made["logos zero"] = plots.logos(np.zeros((2, 50, 4)), ["a", "b"], [-1, -1], None, "20 negatives")
    for length in (50, 101, 400):
        made[f"ism {length}"] = plots.ism_map(*mutations(length), "sequence 1", 20, WIDTH)
    made["ism zero"] = plots.ism_map(np.zeros((50, 4)), "N" * 50)
    made["profile"] = plots.position_profile(np.abs(attributions(5)).sum(-1).mean(0), (20, WIDTH), n=5)
    made["profile zero"] = plots.position_profile(np.zeros(1000))
    return made


@pytest.fixture(scope="module")
def drawn() -> dict[str, Figure]:
    return figures()


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def line(figure: Figure, label: str):
    (found,) = [one for axes in figure.axes for one in axes.lines if one.get_label().startswith(label)]
    return found


def test_every_figure_renders_with_nothing_clipped(drawn, tmp_path):
    for name, figure in drawn.items():
        assert isinstance(figure, Figure)
        path = plots.save(figure, tmp_path / f"{name}.png".replace(" ", "_"))
        pixels = imread(path)[..., :3]
        assert pixels.shape[:2] == tuple(int(inches * 120) for inches in figure.get_size_inches()[::-1])
        assert pixels.std() > 0.01, name
        border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
        assert (border == 1).all(), name


def test_every_axis_has_a_label(drawn):
    for name, figure in drawn.items():
        panels = [axes for axes in figure.axes if axes.get_label() != "<colorbar>"]
        shared = figure.get_supylabel()
        assert all(axes.get_ylabel() or shared for axes in panels), name
        assert panels[-1].get_xlabel(), name
    assert drawn["logos 8 x 50"].get_supylabel() == "contribution to the logit (log-odds)"
    assert drawn["logos 8 x 50"].axes[-1].get_xlabel() == "position (bp)"
    assert drawn["ism 50"].axes[-1].get_ylabel().replace("\n", " ") == "change of the logit (log-odds)"
    assert drawn["profile"].axes[0].get_ylabel().replace("\n", " ") == "mean |contribution| to the logit (log-odds)"


def test_no_text_lies_over_another_or_outside(drawn):
    for name, figure in drawn.items():
        figure.draw_without_rendering()
        frame = figure.bbox.padded(1)
        boxes = [
            (text.get_text(), text.get_window_extent())
            for text in figure.findobj(Text)
            if text.get_text() and text.get_visible() and not _unused_tick(text, figure)
        ]
        for i, (words, box) in enumerate(boxes):
            assert frame.contains(*box.min), (name, words)
            assert frame.contains(*box.max), (name, words)
            for other, second in boxes[:i]:
                assert not box.padded(-1).overlaps(second.padded(-1)), (name, words, other)


def _unused_tick(text: Text, figure: Figure) -> bool:
    """Whether a text is a tick label that matplotlib keeps but does not draw."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label for tick in axis.get_major_ticks() + axis.get_minor_ticks() for label in _labels(tick)]
            if text in labels:
                return text not in [label for tick in axis._update_ticks() for label in _labels(tick)]
    return False


def _labels(tick) -> tuple[Text, Text]:
    return tick.label1, tick.label2


@pytest.mark.parametrize("kind", KINDS)
def test_roc_draws_the_curve_and_its_area(kind):
    labels, logits = scores(kind)
    figure = plots.roc(labels, logits, Estimate(0.9876, 0.9123, 0.9949, 120))
    curve = line(figure, "AUROC")
    fpr, tpr, _ = metrics.roc_curve(labels, logits, drop_intermediate=False)
    np.testing.assert_allclose(curve.get_xdata(), fpr)
    np.testing.assert_allclose(curve.get_ydata(), tpr)
    assert "AUROC 0.988 (95 % interval 0.912 to 0.995)" in texts(figure)
    assert "n = 120: 60 positive, 60 negative" in texts(figure)
    assert list(line(figure, "chance").get_ydata()) == [0, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_precision_recall_draws_steps_with_the_area_of_the_average_precision(kind):
    labels, logits = scores(kind)
    figure = plots.precision_recall(labels, logits, Estimate(0.9, 0.8, 0.95, 120))
    curve = line(figure, "AUPRC")
    assert curve.get_drawstyle() == "steps-pre"
    area = np.diff(curve.get_xdata()) @ curve.get_ydata()[1:]
    assert area == pytest.approx(metrics.average_precision_score(labels, logits))
    assert "AUPRC 0.900 (95 % interval 0.800 to 0.950)" in texts(figure)
    assert set(line(figure, "no skill").get_ydata()) == {0.5}


@pytest.mark.parametrize("kind", KINDS)
def test_calibration_draws_the_bins_their_bars_and_the_histogram(kind):
    labels, logits = scores(kind)
    probabilities = expit(logits)
    estimates = {"ece": Estimate(0.0312, 0, 0.06, 120), "brier": Estimate(0.00012, 0.00003, 0.12, 120)}
    figure = plots.calibration(labels, probabilities, estimates)
    curve = calibration_curve(labels, probabilities)
    observed = line(figure, "observed")
    np.testing.assert_allclose(observed.get_xdata(), curve.predicted)
    np.testing.assert_allclose(observed.get_ydata(), curve.observed)
    (bars,) = figure.axes[0].containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, np.transpose([curve.lo, curve.hi]), atol=1e-12)
    assert "ECE 0.031 (95 % interval 0.000 to 0.060)" in texts(figure)
    assert "Brier score 0.00012 (95 % interval 3e-05 to 0.120)" in texts(figure)
    assert sum(bar.get_height() for bar in figure.axes[1].patches) == pytest.approx(120)


def test_calibration_draws_what_each_map_makes_of_it():
    labels, logits = scores("good")
    after = {"halved": expit(logits / 2), "shifted": expit(logits + 1)}
    figure = plots.calibration(labels, expit(logits), evaluate(labels, logits, resamples=20), after)
    for title, probabilities in after.items():
        curve = calibration_curve(labels, probabilities)
        drawn = line(figure, title)
        np.testing.assert_allclose(np.array(drawn.get_data()), [curve.predicted, curve.observed])
        assert drawn.get_label() == f"{title}, ECE {curve.error:.3f}"


def test_three_positives_in_1500_can_be_seen_below_the_calibration():
    labels, logits = np.arange(1500) % 500 == 0, np.linspace(-9, 1, 1500)
    axes = plots.calibration(labels, expit(logits), evaluate(labels, logits, resamples=20)).axes[1]
    heights = [bar.get_height() for bar in axes.patches if bar.get_height()]
    assert axes.get_yscale() == "log"
    assert min(heights) == 3
    assert axes.get_ylim()[0] < 1 < max(heights) < axes.get_ylim()[1]


def test_loss_draws_each_epoch_from_one_with_whole_ticks():
    figure = plots.loss(history(10))
    left, right = figure.axes
    assert [len(left.lines), len(right.lines)] == [2, 3]
    np.testing.assert_array_equal(left.lines[0].get_xdata(), np.arange(1, 11))
    np.testing.assert_allclose(right.lines[2].get_ydata(), history(10)["val_auprc"])
    assert all(tick == int(tick) for tick in left.get_xticks())
    assert "AUPRC, validation (last 0.450)" in texts(figure)


def test_loss_leaves_out_what_was_not_measured():
    figure = plots.loss({"loss": [0.5, 0.25], "auroc": [0.6, 0.7]})
    assert [len(axes.lines) for axes in figure.axes] == [1, 1]
    assert [len(axes.lines) for axes in plots.loss({}).axes] == [0, 0]


def letters(axes) -> dict[int, tuple[float, tuple]]:
    """Position -> (height with sign, colour) of the letters of a logo."""
    result = {}
    for patch in axes.patches:
        box = patch.get_path().get_extents(patch.get_patch_transform())
        if patch.get_label() != "planted motif" and box.height > 1e-3:
            position = round((box.x0 + box.x1) / 2)
            result[position] = (box.y1 if box.y1 > 1e-6 else box.y0, to_rgb(patch.get_facecolor()))
    return result


def test_logos_have_the_heights_and_colours_of_the_data():
    values = attributions(2)
    figure = plots.logos(values, ["first", "second"], [20, -1], WIDTH, "20 training negatives")
    colours = {0: (0, 0.5, 0), 1: (0, 0, 1), 2: (1, 0.65, 0), 3: (1, 0, 0)}
    for axes, rows in zip(figure.axes, values, strict=True):
        shown = letters(axes)
        assert len(shown) > 40
        for position, (height, colour) in shown.items():
            base = np.abs(rows[position - 1]).argmax()
            assert height == pytest.approx(rows[position - 1, base], abs=0.02)
            assert colour == pytest.approx(colours[base])
    assert {"first", "second"} <= set(texts(figure))
    assert "2 sequences; reference: 20 training negatives" in texts(figure)
    assert figure.axes[0].get_ylim() == figure.axes[1].get_ylim()


def test_logos_shade_the_motif_only_where_it_is_known():
    figure = plots.logos(attributions(3), ["a", "b", "c"], [20, -1, 0], WIDTH, "zeros")
    shades = [[p for p in axes.patches if p.get_label() == "planted motif"] for axes in figure.axes]
    assert [len(found) for found in shades] == [1, 0, 1]
    box = shades[0][0].get_path().get_extents(shades[0][0].get_patch_transform())
    assert (box.x0, box.x1) == (20.5, 32.5)
    assert texts(figure).count("planted motif") == 1
    assert "planted motif" not in texts(plots.logos(attributions(1), ["a"], [-1], None, "zeros"))


def test_long_sequences_show_the_window_of_the_largest_contributions():
    figure = plots.logos(attributions(1, 400, start=300), ["a"], [300], WIDTH, "zeros")
    low, high = figure.axes[0].get_xlim()
    assert high - low == pytest.approx(120.5)
    assert low < 301 < 312 < high
    (title,) = [words for words in texts(figure) if words.startswith("a (positions")]
    assert title == f"a (positions {low + 0.75:.0f} to {high - 0.75:.0f} of 400)"
    ism, sequence = mutations(400, start=300)
    axes = plots.ism_map(ism, sequence, "a", 300, WIDTH).axes[0]
    first = round(axes.get_xlim()[0] + 0.5)
    np.testing.assert_allclose(axes.images[0].get_array(), ism[first - 1 : first + 119].T)
    assert first <= 301 < 312 <= first + 119


def test_at_most_eight_logos_are_drawn():
    figure = plots.logos(attributions(9), list("abcdefghi"), [-1] * 9, None, "zeros")
    assert len(figure.axes) == 8


def test_ism_map_shows_the_values_the_bases_and_the_motif():
    ism, sequence = mutations()
    axes = plots.ism_map(ism, sequence, "sequence 1", 20, WIDTH).axes[0]
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), ism.T)
    assert image.norm.vmin == -image.norm.vmax == -np.abs(ism).max()
    dots = line(axes.figure, "base of the sequence")
    np.testing.assert_array_equal(dots.get_xdata(), np.arange(1, 51))
    assert "".join("ACGT"[row] for row in dots.get_ydata()) == sequence
    assert [label.get_text() for label in axes.get_yticklabels()] == list("ACGT")
    (box,) = axes.patches
    assert (box.get_x(), box.get_x() + box.get_width()) == (20.5, 32.5)
    # The first row of the picture is A, the first column position 1.
    assert image.get_extent() == [0.5, 50.5, 3.5, -0.5]


def test_ism_map_leaves_unknown_bases_undotted():
    ism, sequence = mutations()
    figure = plots.ism_map(ism, "N" + sequence[1:].lower())
    np.testing.assert_array_equal(line(figure, "base of the sequence").get_xdata(), np.arange(2, 51))


def test_position_profile_draws_the_values():
    values = np.arange(50) / 10
    figure = plots.position_profile(values, (20, WIDTH), n=241)
    (steps,) = [p for p in figure.axes[0].patches if p.get_label() != "planted motif"]
    np.testing.assert_array_equal(steps.get_data().values, values)
    np.testing.assert_array_equal(steps.get_data().edges, np.arange(51) + 0.5)
    assert "mean of n = 241 sequences" in texts(figure)
    assert "planted motif" in texts(figure)


def test_figures_leave_no_global_state():
    import matplotlib
    from matplotlib import pyplot

    with matplotlib.rc_context({"backend": "svg", "font.size": 7}):
        before = dict(matplotlib.rcParams)
        figures()
        assert dict(matplotlib.rcParams) == before
    assert pyplot.get_fignums() == []


def test_importing_plots_does_not_import_matplotlib():
    code = "import sys, tfbs.plots; print([m for m in ('matplotlib', 'logomaker', 'pandas') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
