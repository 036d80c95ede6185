from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from tfbs import evaluation
from tfbs.calibration import METHODS, TITLES, Platt, calibrated, fit
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
    reference = IsotonicRegression(y_min=1 / 2002, y_max=2001 / 2002, out_of_bounds="clip").fit(logits, labels)
    new = np.linspace(-9, 9, 101)
    assert expit(fit(labels, logits, "isotonic")(new)) == pytest.approx(reference.predict(new), abs=1e-9)


def test_a_calibrated_network_is_left_about_as_it_is():
    found = fit(*draw(5, n=20_000))
    assert (found.slope, found.intercept) == pytest.approx((1, 0), abs=0.05)
    assert Platt(1, 0)(np.array([0.5])) == [0.5]


@pytest.mark.parametrize("scale", [1e-2, 1.0, 1e9, 1e38])
def test_the_scale_and_the_zero_of_the_logits_do_not_matter(scale):
    labels, logits = draw(7, slope=0.5)
    for method in METHODS:
        expected = fit(labels, logits, method)(logits)
        shift = scale if scale < 1e9 else 0
        found = fit(labels, scale * logits + shift, method)(scale * logits + shift)
        assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("positives", [1, 3])
def test_few_positives_give_finite_logits_that_mend_the_log_loss(positives):
    labels = np.r_[np.ones(positives, int), np.zeros(500 * positives, int)]
    logits = 5 * np.random.RandomState(8).randn(len(labels)) + 10 * labels
    before, *after = calibrated((labels, logits), logits).values()
    for mapped in after:
        assert np.isfinite(mapped).all()
        losses = [log_loss(labels, expit(values)) for values in (before, mapped)]
        assert losses[1] < losses[0] / 10


def test_both_maps_come_from_the_validation_part_alone():
    validation, (_, logits) = draw(9, slope=0.3), draw(10)
    found = calibrated(validation, logits)
    assert list(found) == list(TITLES) == ["none", *METHODS]
    assert found["none"] is logits
    for method in METHODS:
        np.testing.assert_array_equal(found[method], fit(*validation, method)(logits))


@pytest.mark.parametrize(
    ("labels", "logits"), [([1, 1], [0.0, 1]), ([0, 1, 1], [3.0, 3, 3]), ([0, 1], [0, np.inf]), ([], [])]
)
def test_a_part_that_teaches_nothing_changes_nothing(labels, logits):
    assert list(calibrated((np.array(labels), np.array(logits)), np.arange(3.0))) == ["none"]


def test_an_unknown_method_is_named():
    with pytest.raises(ParameterError, match='calibrate: expected one of platt, isotonic, received "beta"'):
        fit(*draw(6), "beta")
