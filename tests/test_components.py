from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t
from sklearn.metrics import average_precision_score
from test_intervals import draw

from tfbs.components import average_precision, covariance, logit_t, spread, strata_of


@pytest.mark.parametrize("decimals", [8, 1, 0])
@pytest.mark.parametrize("seed", [1, 2])
def test_jackknife_of_the_average_precision_equals_leaving_out_one_after_another(seed, decimals):
    labels, scores = draw(seed, n=61, decimals=decimals)
    strata = strata_of(labels)
    value, components = average_precision(labels, scores, strata)
    left_out = np.array([average_precision_score(np.delete(labels, i), np.delete(scores, i)) for i in range(61)])
    assert value == pytest.approx(average_precision_score(labels, scores), abs=1e-14)
    k = np.where(labels == 1, labels.sum(), 61 - labels.sum())
    np.testing.assert_allclose(components, -(1 - 1 / k) * left_out, atol=1e-14)
    jackknife = sum(
        (k - 1) / k * ((left_out[m] - left_out[m].mean()) ** 2).sum() for m, k in zip(strata, (31, 30), strict=True)
    )
    assert spread(components, strata)[0] == pytest.approx(jackknife)
    assert covariance(components[None], strata)[0, 0] == pytest.approx(jackknife)


def test_jackknife_without_strata_is_the_plain_one():
    labels, scores = draw(3, n=60)
    _, components = average_precision(labels, scores, strata_of(labels, False))
    left_out = [average_precision_score(np.delete(labels, i), np.delete(scores, i)) for i in range(60)]
    assert spread(components, strata_of(labels, False))[0] == pytest.approx(59 * np.var(left_out))


def test_covariance_of_means_is_that_of_their_terms():
    random = np.random.RandomState(0)
    labels, terms = np.arange(90) % 3 // 2, random.randn(2, 90)
    expected = sum(np.cov(terms[:, labels == c]) * (labels == c).sum() for c in (0, 1)) / 90**2
    np.testing.assert_allclose(covariance(terms / 90, strata_of(labels)), expected)


def test_degrees_of_freedom_are_those_of_a_normal_sample_and_few_where_one_sequence_decides():
    random = np.random.RandomState(1)
    labels = np.arange(20_000) % 2
    assert spread(random.randn(20_000), strata_of(labels))[1] == pytest.approx(20_000, rel=0.1)
    assert spread(np.r_[1.0, np.zeros(999)], strata_of(np.arange(1000) % 2))[1] == pytest.approx(2, rel=0.02)
    assert spread(np.ones(100), strata_of(np.arange(100) % 2))[0] == 0
    assert spread(np.arange(3.0), strata_of(np.array([0, 0, 1])))[0] == 0


def test_interval_on_the_logit_scale_by_hand():
    half = t.ppf(0.975, 7) * 0.02 / (0.9 * 0.1)
    assert logit(logit_t(0.9, 0.02**2, 7)) == pytest.approx([logit(0.9) - half, logit(0.9) + half])
