from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from tfbs import evaluation
from tfbs.calibration import Platt, fit
from tfbs.errors import ParameterError


def draw(seed, n=2000, slope=1.0, shift=0.0):
    """Logits whose calibrated value is slope x logit + shift."""
    random = np.random.RandomState(seed)
    logits = 2 * random.randn(n)
    return (random.rand(n) < expit(slope * logits + shift)).astype(int), logits


def test_platt_finds_the_line_that_made_the_labels():
    labels, logits = draw(0, n=50_000, slope=0.4, shift=-0.7)
    found = fit(labels, logits)
    assert (found.slope, found.intercept) == pytest.approx((0.4, -0.7), abs=0.03)
    reference = LogisticRegression(C=1e9).fit(logits[:, None], labels)
    assert (found.slope, found.intercept) == pytest.approx((reference.coef_[0, 0], reference.intercept_[0]), abs=2e-3)


def test_platt_keeps_the_order_and_mends_overconfidence():
    labels, logits = draw(1, slope=0.3)
    held_out = draw(2, slope=0.3)
    found = fit(labels, logits)(held_out[1])
    assert (np.argsort(found) == np.argsort(held_out[1])).all()
    before, after = (evaluation.evaluate(held_out[0], values, resamples=10) for values in (held_out[1], found))
    assert after["ece"].value < 0.5 * before["ece"].value
    assert after["brier"].value < before["brier"].value
    assert after["auroc"] == before["auroc"]


def test_a_network_that_ranks_backwards_is_not_turned_around():
    labels, logits = draw(3)
    assert fit(labels, -logits).slope == 0


def test_isotonic_equals_that_of_scikit_learn():
    labels, logits = draw(4, slope=0.5)
    reference = IsotonicRegression(out_of_bounds="clip").fit(logits, labels)
    new = np.linspace(-9, 9, 101)
    expected = np.clip(reference.predict(new), 1e-6, 1 - 1e-6)
    assert expit(fit(labels, logits, "isotonic")(new)) == pytest.approx(expected, abs=1e-9)


def test_a_calibrated_network_is_left_about_as_it_is():
    found = fit(*draw(5, n=20_000))
    assert (found.slope, found.intercept) == pytest.approx((1, 0), abs=0.05)
    assert Platt(1, 0)(np.array([0.5])) == [0.5]


def test_an_unknown_method_is_named():
    with pytest.raises(ParameterError, match='calibrate: expected one of platt, isotonic, received "beta"'):
        fit(*draw(6), "beta")
