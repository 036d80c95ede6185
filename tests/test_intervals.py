from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import logit
from scipy.stats import norm, t

from tfbs.errors import DataError
from tfbs.intervals import auroc, delong, delong_covariance, mean, newcombe, replicate, wilson

Z = norm.ppf(0.975)


def draw(seed: int, n: int = 300, distance: float = 1.5, decimals: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Labels and logits that are calibrated log-odds: normal with means -d^2/2 and d^2/2 and standard deviation d."""
    random = np.random.RandomState(seed)
    labels = random.permutation(np.arange(n) % 2)
    logits = distance * random.randn(n) + (2 * labels - 1) * distance**2 / 2
    return labels, np.round(logits, decimals)


def plain_delong(labels: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """DeLong's estimate as it is defined, over all pairs."""
    above, below = [], []
    for scores in rows:
        positive, negative = scores[labels == 1][:, None], scores[labels == 0][None]
        kernel = (positive > negative) + 0.5 * (positive == negative)
        above.append(kernel.mean(axis=1))
        below.append(kernel.mean(axis=0))
    above, below = np.array(above), np.array(below)
    covariance = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    return above.mean(axis=1), np.atleast_2d(covariance)


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_delong_equals_its_definition(decimals):
    labels, first = draw(3, n=121, decimals=decimals)
    _, noise = draw(4, n=121, decimals=decimals)
    rows = np.array([first, first + noise, -noise])
    areas, covariance = delong_covariance(labels, rows)
    expected = plain_delong(labels, rows)
    np.testing.assert_allclose(areas, expected[0], atol=1e-13)
    np.testing.assert_allclose(covariance, expected[1], atol=1e-13)
    area, variance, (above, below) = delong(labels, first)
    assert (area, variance) == pytest.approx((areas[0], covariance[0, 0]), abs=1e-15)
    assert above.shape == (60,) if labels.sum() == 60 else (61,)
    assert above.mean() == pytest.approx(below.mean()) == pytest.approx(area)


def test_paired_variance_from_the_components_equals_the_covariance():
    labels, first = draw(5)
    second = first + draw(6)[1]
    (_, _, (v10, v01)), (_, _, (w10, w01)) = delong(labels, first), delong(labels, second)
    paired = np.var(v10 - w10, ddof=1) / len(v10) + np.var(v01 - w01, ddof=1) / len(v01)
    _, covariance = delong_covariance(labels, np.array([first, second]))
    assert paired == pytest.approx(np.array([1, -1]) @ covariance @ np.array([1, -1]))


def test_auroc_interval_is_delong_on_the_logit_scale():
    labels, logits = draw(7)
    estimate = auroc(labels, logits)
    (area,), covariance = plain_delong(labels, logits[None])
    _, _, (above, below) = delong(labels, logits)
    fourth = sum((((v - v.mean()) / len(v)) ** 4).sum() - v.var() ** 2 / len(v) ** 3 for v in (above, below))
    df = 2 * covariance[0, 0] ** 2 / fourth
    half = t.ppf(0.975, df) * covariance[0, 0] ** 0.5 / (area * (1 - area))
    assert 30 < df < 300
    assert logit([estimate.lo, estimate.value, estimate.hi]) == pytest.approx(logit(area) + half * np.array([-1, 0, 1]))
    assert estimate.n == 300


@pytest.mark.parametrize(("area", "positives", "negatives"), [(1, 241, 259), (0.5, 30, 300), (0.93, 8, 11), (0, 5, 9)])
def test_newcombe_solves_its_quartic(area, positives, negatives):
    a, poly = np.polynomial.Polynomial([0, 1]), np.polynomial.Polynomial
    mean = (positives + negatives) / 2 - 1
    inner = (2 - a) * (1 + a) + mean * (1 - a) * (1 + a) + mean * a * (2 - a)
    quartic = positives * negatives * (area - a) ** 2 * (2 - a) * (1 + a) - Z**2 * a * (1 - a) * inner
    assert isinstance(quartic, poly)
    roots = quartic.roots()
    roots = np.sort(roots[np.abs(roots.imag) < 1e-6].real)
    roots = roots[(roots > -1e-6) & (roots < 1 + 1e-6)]
    assert newcombe(area, positives, negatives) == pytest.approx((roots[0], roots[-1]), abs=1e-6)


def test_newcombe_at_perfect_separation_of_one_pair_is_the_score_interval_of_a_proportion():
    # One positive and one negative: N* = 0, V = A (1 - A), so that the interval is Wilson's for 1 of 1.
    assert newcombe(1.0, 1, 1) == pytest.approx((1 / (1 + Z**2), 1.0))


def test_wilson_equals_its_closed_form_at_the_edges_and_a_textbook_value():
    lo, hi = wilson(np.array([0, 20, 81]), np.array([20, 20, 263]))
    assert (lo[0], hi[1]) == (0, 1)
    assert hi[0] == pytest.approx(Z**2 / (20 + Z**2)) == pytest.approx(1 - lo[1])
    # Newcombe, Statistics in Medicine 17, 857-872 (1998), table I: 81/263 gives 0.2553 to 0.3662.
    assert (round(float(lo[2]), 4), round(float(hi[2]), 4)) == (0.2553, 0.3662)


def test_estimate_reads_as_a_sentence():
    labels, logits = draw(18)
    estimate = auroc(labels, logits)
    assert str(estimate) == f"{estimate.value:.4f} (95 % interval {estimate.lo:.4f} to {estimate.hi:.4f}, n = 300)"


def test_delong_asks_for_two_sequences_of_each_class():
    with pytest.raises(DataError, match="at least two sequences of each class"):
        delong(np.array([0, 0, 1]), np.arange(3.0))


@pytest.mark.parametrize("stratified", [True, False])
def test_replicates_of_a_mean_have_its_moments(stratified):
    labels = np.arange(200) % 4 // 3
    values = np.random.RandomState(0).randn(200) + 3 * labels
    groups = [values[labels == 0], values[labels == 1]] if stratified else [values]
    sd = sum(len(group) * group.var() for group in groups) ** 0.5 / 200
    found = replicate(lambda weights: {"mean": weights @ values / 200}, labels, 1, 20_000, stratified)["mean"]
    assert found.shape == (20_000,)
    assert found.mean() == pytest.approx(values.mean(), abs=4 * sd / 20_000**0.5)
    assert found.std() == pytest.approx(sd, rel=4 / (2 * 20_000) ** 0.5)


def test_stratified_replicates_keep_the_class_sizes():
    labels = np.r_[np.ones(30, int), np.zeros(70, int)]
    for stratified in (True, False):
        found = replicate(
            lambda weights: {"n": weights.sum(axis=1), "positives": weights @ labels}, labels, 2, 300, stratified
        )
        assert set(found["n"]) == {100}
        assert (set(found["positives"]) == {30}) is stratified


def test_the_interval_is_students():
    values = np.random.RandomState(1).normal(1, 2, 30)
    found = mean(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.value, found.lo, found.hi, found.n) == pytest.approx((values.mean(), *expected, 30))
    searched = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / 204)
    assert (mean(values, looks=204).lo, mean(values, looks=204).hi) == pytest.approx(tuple(searched))
    assert np.isnan(mean(values[:1]).lo) and mean(values[:1]).value == values[0]


def test_repeats_within_a_sequence_do_not_narrow_the_interval():
    values = np.random.RandomState(2).normal(size=20)
    once, thrice = mean(values), mean(np.repeat(values, 3), np.repeat(np.arange(20) + 5, 3))
    assert (thrice.value, thrice.lo, thrice.hi, thrice.n) == pytest.approx((once.value, once.lo, once.hi, 20))
