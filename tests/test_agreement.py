from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, logit

from tfbs import agreement
from tfbs.errors import DataError

pytestmark = pytest.mark.filterwarnings("error")

GROUPS = ("baseline", "modified", "baseline", "modified", "baseline")


def networks(m: int = 5, n: int = 60) -> np.ndarray:
    random = np.random.RandomState(0)
    return np.round(random.randn(n) * 3 + random.randn(m, n), 1)


def contributions(m: int = 4, n: int = 7, length: int = 30) -> np.ndarray:
    random = np.random.RandomState(1)
    return (random.randn(n, length) + random.randn(m, n, length) + 0.5).astype(np.float32)


def test_predictions_are_those_of_spearman_with_ties():
    logits = networks()
    matrix = agreement.predictions(logits)
    assert len(np.unique(logits[0])) < logits.shape[1]
    np.testing.assert_allclose(matrix, stats.spearmanr(logits, axis=1).statistic, atol=1e-12)
    np.testing.assert_allclose(agreement.predictions(3 * logits - 7), matrix, atol=1e-12)


def test_two_opposite_networks_disagree_entirely():
    logits = networks(1)
    np.testing.assert_allclose(agreement.predictions(np.vstack([logits, -logits])), [[1, -1], [-1, 1]])


@pytest.mark.parametrize("bad", [np.full(60, 0.25), np.r_[np.nan, np.arange(59.0)]])
def test_a_constant_or_undefined_network_is_kept_as_nan(bad):
    logits = networks(3)
    matrix = agreement.predictions(np.vstack([logits[:2], bad, logits[2]]))
    assert np.isnan(matrix[2]).all()
    assert np.isnan(matrix[:, 2]).all()
    rest = np.delete(np.delete(matrix, 2, 0), 2, 1)
    np.testing.assert_allclose(rest, agreement.predictions(logits), atol=1e-12)


def test_attributions_are_the_mean_of_pearson_by_sequence():
    values = contributions()
    matrix = agreement.attributions(values)
    for i, j in product(range(4), repeat=2):
        pearson = [
            stats.pearsonr(a.astype(float), b.astype(float)).statistic
            for a, b in zip(values[i], values[j], strict=True)
        ]
        assert matrix[i, j] == pytest.approx(np.mean(pearson), abs=1e-10)


def test_attributions_do_not_depend_on_scale_or_offset_of_a_network():
    values = contributions().astype(float)
    changed = values * np.array([1, 20, 0.01, 3])[:, None, None] + np.array([0, 1, -0.2, 5])[:, None, None]
    np.testing.assert_allclose(agreement.attributions(changed), agreement.attributions(values), atol=1e-10)


def test_sequences_with_constant_contributions_are_left_out_of_their_pairs():
    values = contributions()
    values[1, 2], values[2, 4], values[3] = 0, 0.7, 0
    matrix = agreement.attributions(values)
    keep = [0, 1, 3, 5, 6]
    assert matrix[1, 2] == pytest.approx(agreement.attributions(values[1:3, keep])[0, 1])
    keep = [0, 1, 3, 4, 5, 6]
    assert matrix[0, 1] == pytest.approx(agreement.attributions(values[:2, keep])[0, 1])
    assert np.isnan(matrix[3]).all()


def test_blocks_change_nothing_and_bound_the_memory(monkeypatch):
    values = contributions(3, 2000, 50)
    whole = agreement.attributions(values)
    monkeypatch.setattr(agreement, "_BLOCK", 3 * 50 * 7)
    tracemalloc.start()
    parts = agreement.attributions(values)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    np.testing.assert_allclose(parts, whole, atol=1e-12)
    assert peak < values.nbytes / 10


def test_summary_gives_mean_and_range_within_and_between_architectures():
    matrix = agreement.predictions(networks())
    within_b, within_m, between = agreement.summary(matrix, GROUPS)
    assert (within_b.first, within_b.second, within_b.pairs) == ("baseline", "baseline", 3)
    values = [matrix[0, 2], matrix[0, 4], matrix[2, 4]]
    assert (within_b.mean, within_b.lowest, within_b.highest) == pytest.approx(
        (np.mean(values), min(values), max(values))
    )
    assert (within_m.mean, within_m.lowest, within_m.highest) == pytest.approx((matrix[1, 3],) * 3)
    values = matrix[np.ix_([0, 2, 4], [1, 3])]
    assert (between.first, between.second, between.pairs) == ("baseline", "modified", 6)
    assert (between.mean, between.lowest, between.highest) == pytest.approx((values.mean(), values.min(), values.max()))
    assert within_b.label == "baseline, between seeds"
    assert between.label == "baseline and modified"
    assert str(between).endswith("6 pairs of networks)")
    assert str(within_m).endswith("(1 pair of networks)")


def test_summary_leaves_nan_out_and_says_when_nothing_is_left():
    matrix = agreement.predictions(np.vstack([networks(2), np.zeros(60)]))
    rows = agreement.summary(matrix, ["a", "b", "b"])
    assert [row.pairs for row in rows] == [0, 0, 1]
    assert [str(row) for row in rows[:2]] == ["no two networks to compare"] * 2
    assert np.isnan(rows[1].mean)
    assert rows[2].mean == pytest.approx(matrix[0, 1])


def test_disagreements_are_the_largest_gaps_between_the_mean_probabilities():
    logits, labels = networks(), np.arange(60) % 2
    found = agreement.disagreements(logits, GROUPS, labels, 5)
    one, two = expit(logits[[0, 2, 4]]), expit(logits[[1, 3]])
    gap = np.abs(one.mean(0) - two.mean(0))
    assert found.names == ("baseline", "modified")
    assert len(found.indices) == 5
    np.testing.assert_allclose(gap[found.indices], np.sort(gap)[:-6:-1])
    np.testing.assert_allclose(found.means, [one.mean(0)[found.indices], two.mean(0)[found.indices]])
    np.testing.assert_allclose(found.sds, [part.std(0, ddof=1)[found.indices] for part in (one, two)])
    np.testing.assert_array_equal(found.labels, labels[found.indices])


def test_ties_go_to_the_earlier_sequence():
    probabilities = np.array([[0.5, 0.2, 0.9, 0.1, 0.4], [0.5, 0.1, 0.2, 0.8, 0.4]])
    found = agreement.disagreements(logit(probabilities), ["a", "b"], np.zeros(5), 10)
    assert found.indices.tolist() == [2, 3, 1, 0, 4]
    assert np.isnan(found.sds).all()


def test_three_architectures_are_ranked_by_their_widest_gap():
    probabilities = np.array([[0.5, 0.1, 0.2], [0.5, 0.2, 0.6], [0.5, 0.8, 0.3]])
    found = agreement.disagreements(logit(probabilities), ["a", "b", "c"], np.zeros(3), 1)
    assert found.indices.tolist() == [1]
    np.testing.assert_allclose(found.means[:, 0], [0.1, 0.2, 0.8])


def test_one_architecture_alone_disagrees_where_its_seeds_spread():
    logits = networks()
    found = agreement.disagreements(logits, ["a"] * 5, np.zeros(60), 3)
    spread = expit(logits).std(0, ddof=1)
    np.testing.assert_array_equal(found.indices, np.argsort(-spread)[:3])
    np.testing.assert_allclose(found.sds[0], spread[found.indices])


def test_one_network_alone_has_nothing_to_disagree_with():
    found = agreement.disagreements(networks(1), ["a"], np.zeros(60), 3)
    assert found.indices.size == 0
    assert found.means.shape == (1, 0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: agreement.predictions(np.zeros(5)), r"\(networks, sequences\).*received shape \(5,\)"),
        (lambda: agreement.attributions(np.zeros((2, 5))), r"\(networks, sequences, positions\)"),
        (lambda: agreement.summary(np.eye(3), ["a", "b"]), "2 names for 3 networks"),
        (lambda: agreement.disagreements(networks(), GROUPS, np.zeros(59), 3), "59 labels for logits of 60 sequences"),
        (lambda: agreement.disagreements(np.array([[0, 1.0], [np.inf, 0]]), "ab", np.zeros(2), 1), "network 2"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(call, words):
    with pytest.raises(DataError, match=words):
        call()


def test_rank_correlation_is_that_of_scipy_with_ties():
    random = np.random.RandomState(0)
    first, second = random.randint(0, 5, (2, 4, 30)).astype(np.float32)
    expected = [stats.spearmanr(*pair).statistic for pair in zip(first, second, strict=True)]
    noise = first + 1e-8 * random.randn(4, 30)
    np.testing.assert_allclose(agreement.rank_correlation(noise, second), expected)
    first[0], second[1, 3] = 0, np.nan
    assert np.isnan(agreement.rank_correlation(first, second)).tolist() == [True, True, False, False]
