from __future__ import annotations

import numpy as np
import pytest

from tfbs import plots_trust
from tfbs.intervals import Estimate
from tfbs.randomisation import Agreement, Cascade


def agreement(value: float) -> Agreement:
    return Agreement(
        Estimate(value - 0.1, value - 0.2, value, 30),
        Estimate(value, value - 0.1, value + 0.1, 30),
        np.full((2, 4), value),
    )


def test_the_cascade_shows_each_step_beside_chance():
    found = Cascade(
        ("logit", "a_layer_with_a_long_name"),
        (agreement(1), agreement(0.5), agreement(0.2)),
        agreement(0.1),
        Estimate(0.1, 0, 0.2, 30),
    )
    figure = plots_trust.cascade(found)
    for axes, values, chance in zip(figure.axes, ([1, 0.5, 0.2], [0.9, 0.4, 0.1]), (0.1, 0), strict=True):
        bars = axes.containers[0]
        assert bars.lines[0].get_ydata().tolist() == pytest.approx(values)
        ends = np.array([segment[:, 1] for segment in bars.lines[2][0].get_segments()])
        np.testing.assert_allclose(np.diff(ends)[:, 0], 0.2)
        assert [line.get_ydata()[0] for line in axes.lines if line.get_linestyle() == ":"] == pytest.approx([chance])
        assert [label.get_text() for label in axes.get_xticklabels()] == ["none", "logit", "a_layer_with_…"]
        assert "Spearman" in axes.get_ylabel()
    assert "n = 30 sequences and 4 re-initialisations" in figure.get_suptitle()


def test_mutagenesis_counts_every_base_and_tells_the_rank_correlation():
    losses = np.random.RandomState(0).randn(5, 40)
    contributions = np.exp(losses)
    contributions[4] *= -1
    axes, bar = plots_trust.mutagenesis(contributions, losses).axes
    assert axes.collections[0].get_array().sum() == 200
    assert axes.get_title(loc="left") == "n = 5 sequences, mean Spearman's rho within them 0.60"
    assert "log-odds" in axes.get_xlabel() and "log-odds" in axes.get_ylabel() and bar.get_ylabel() == "bases"


def test_mutagenesis_of_a_network_that_sees_nothing_is_drawn():
    axes = plots_trust.mutagenesis(np.zeros((2, 30)), np.zeros((2, 30))).axes[0]
    assert axes.get_title(loc="left").endswith("unknown")
