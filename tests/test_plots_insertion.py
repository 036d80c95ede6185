from __future__ import annotations

import numpy as np
import pytest

from tfbs import plots_insertion
from tfbs.ablation import Ablation
from tfbs.insertion import Insertion, Spacing


@pytest.fixture
def inserted() -> Insertion:
    random = np.random.RandomState(0)
    return Insertion(np.array([[[2 * k], [1.8 * k]] for k in range(1, 6)]) + random.normal(0, 0.4, (5, 2, 100)))


@pytest.fixture
def spaced() -> Spacing:
    random, gaps = np.random.RandomState(1), np.arange(51)
    effect = np.stack([np.exp(-gaps / 15) * np.cos(2 * np.pi * gaps / 10.5) * size for size in (1, 0.3, 0.2, 1.1)])
    both = effect[..., None] + random.normal(3, 0.5, (4, 51, 100))
    return Spacing(gaps, both, np.full_like(both, 3.0))


@pytest.fixture
def ablated() -> Ablation:
    random = np.random.RandomState(2)
    return Ablation(
        np.arange(300) // 2, random.gamma(6, 0.4, 300), np.r_[random.normal(0, 0.3, 290), np.full(10, np.nan)]
    )


def legend(figure) -> list[str]:
    return [text.get_text() for each in figure.legends for text in each.get_texts()]


def lines(axes) -> dict[str, np.ndarray]:
    return {line.get_label(): line.get_ydata() for line in axes.lines}


def test_insertion_shows_both_strands_and_the_line_of_additivity(inserted):
    figure = plots_insertion.insertion(inserted, "pos_1")
    left, right = figure.axes
    assert "pos_1" in left.get_title(loc="left") and "100 neutral" in left.get_title(loc="left")
    np.testing.assert_allclose([patch.get_data().values.sum() for patch in left.patches], 1)
    drawn = [bars.lines[0].get_ydata() for bars in right.containers]
    np.testing.assert_allclose(drawn, inserted.effects.mean(2).T)
    additive = [line.get_ydata()[1] for line in right.lines if line.get_linestyle() == ":" and len(line.get_ydata())]
    np.testing.assert_allclose(additive, 5 * inserted.effects[0].mean(1))
    assert "log-odds" in left.get_xlabel() and "log-odds" in right.get_ylabel()
    assert len(legend(figure)) == 3 and all("−" not in text.split("copy")[-1] for text in legend(figure)[:2])


def test_spacing_shows_every_orientation_and_marks_the_largest(spaced):
    figure = plots_insertion.spacing(spaced, "pos_1", "pos_2")
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "++:  pos_1 →  pos_2 →",
        "+-:  pos_1 →  ← pos_2",
        "-+:  ← pos_1  pos_2 →",
        "--:  ← pos_1  ← pos_2",
    ]
    for axes, values in zip(figure.axes, spaced.cooperativity, strict=True):
        np.testing.assert_allclose(lines(axes)["mean"], values.mean(1))
    assert [text for text in legend(figure) if text.startswith("strongest, at 0 bp")]


def test_ablation_shows_motif_and_control(ablated):
    figure = plots_insertion.ablation(ablated, "pos_1")
    control, motif = legend(figure)
    assert "n = 290" in control and motif.startswith(f"pos_1, n = 300: mean {ablated.losses.mean():+.2f}")
    assert f"{ablated.difference.value:+.2f}" in figure.axes[0].get_title(loc="left")


def test_ablation_without_room_for_a_control_shows_the_motif(ablated):
    figure = plots_insertion.ablation(Ablation(ablated.rows, ablated.losses, np.full(300, np.nan)), "pos_1")
    assert len(legend(figure)) == 1
