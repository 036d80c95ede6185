from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn.metrics import matthews_corrcoef, precision_score
from test_intervals import Z, draw

from tfbs.errors import DataError, ParameterError
from tfbs.intervals import wilson
from tfbs.thresholds import choose, evaluate, mcc, precision_at


def rare(seed: int, positives: int, negatives: int, distance: float) -> tuple[np.ndarray, np.ndarray]:
    labels = np.r_[np.ones(positives, int), np.zeros(negatives, int)]
    return labels, np.random.RandomState(seed).randn(len(labels)) + distance * labels


@pytest.mark.parametrize("k", [1, 7, 150, 299, 300])
def test_precision_of_a_list_is_that_of_scikit_learn(k):
    labels, scores = draw(1)
    called = np.zeros(300, int)
    called[np.argsort(-scores)[:k]] = 1
    assert precision_at(labels, scores, k).value == pytest.approx(precision_score(labels, called))


@pytest.mark.parametrize("k", range(1, 7))
def test_equal_scores_count_as_in_the_mean_of_all_their_orders(k):
    labels, scores = np.array([1, 0, 1, 0, 0, 1]), np.array([2.0, 1, 1, 1, 1, 0])
    orders = [[0, *order, 5] for order in permutations([1, 2, 3, 4])]
    expected = np.mean([labels[order][:k].mean() for order in orders])
    for shift in range(6):
        assert precision_at(np.roll(labels, shift), np.roll(scores, shift), k).value == pytest.approx(expected)


def test_interval_of_a_list_by_hand():
    # 8 positives, then 1 positive and 3 negatives of one score, then 8 negatives: a quarter is right at the cutoff.
    labels, scores = np.repeat([1, 1, 0, 0], [8, 1, 3, 8]), np.repeat([3.0, 2.0, 1.0], [8, 4, 8])
    found = precision_at(labels, scores, 10)
    (right_lo, right_hi), (wrong_lo, wrong_hi) = 9 * np.array(wilson(8.5, 9)), 11 * np.array(wilson(1.5, 11))
    assert found.value == 0.85
    assert found.lo == pytest.approx(0.85 - np.hypot(0.75 * (8.5 - right_lo), 0.25 * (wrong_hi - 1.5)) / 10)
    assert found.hi == pytest.approx(0.85 + np.hypot(0.75 * (right_hi - 8.5), 0.25 * (1.5 - wrong_lo)) / 10)


def test_a_perfect_list_has_wilsons_limit():
    labels, scores = rare(0, 20, 10_000, 100)
    found = evaluate(labels, scores, 50.0)
    for name, value in {"precision_at_n_positives": 1.0, "precision_at_100": 0.2, "mcc": 1.0}.items():
        assert (found[name].value, found[name].hi) == pytest.approx((value, value)), name
    wrong = 10_000 * Z**2 / (10_000 + Z**2)
    assert found["precision_at_n_positives"].lo == pytest.approx(1 - wrong / 20)
    assert found["precision_at_100"].lo == pytest.approx(20 / (20 + Z**2) / 5)
    assert 0.7 < found["mcc"].lo < 0.9


@pytest.mark.parametrize("scores", [np.zeros(300), np.full(300, -40.0)])
def test_one_score_for_all_finds_the_share_of_positives(scores):
    labels = np.r_[np.ones(3, int), np.zeros(297, int)]
    found = evaluate(labels, scores, choose(labels, scores))
    assert {name: estimate.value for name, estimate in found.items()} == pytest.approx(
        {"auprc_no_skill": 0.01, "precision_at_n_positives": 0.01, "precision_at_100": 0.01, "mcc": 0}
    )
    assert all(e.lo < e.value < e.hi for name, e in found.items() if name != "auprc_no_skill")


def test_the_top_100_takes_more_than_100_sequences():
    labels, scores = draw(2, n=100)
    assert "precision_at_100" not in evaluate(labels, scores, 0.0)
    labels, scores = draw(2, n=101)
    assert evaluate(labels, scores, 0.0)["precision_at_100"].value == precision_at(labels, scores, 100).value


@pytest.mark.parametrize("k", [0, 301])
def test_a_list_longer_than_the_part_is_refused(k):
    with pytest.raises(ParameterError, match=f"a list of 1 to 300 of 300 sequences, received k = {k}"):
        precision_at(*draw(3), k)


@pytest.mark.parametrize("threshold", [-9.0, -1.0, 0.0, 0.3, 2.0, 9.0])
@pytest.mark.parametrize(("positives", "negatives"), [(150, 150), (3, 1500), (1, 1)])
def test_matthews_correlation_is_that_of_scikit_learn(positives, negatives, threshold):
    labels, scores = rare(4, positives, negatives, 1.0)
    found = mcc(labels, scores, threshold)
    assert found.value == pytest.approx(matthews_corrcoef(labels, scores >= threshold), abs=1e-12)
    assert -1 <= found.lo <= found.value <= found.hi <= 1
    assert found.hi - found.lo > 0.02
    assert found.n == positives + negatives


def test_interval_of_the_correlation_turns_with_the_ranking():
    labels, scores = draw(5)
    found, turned = mcc(labels, scores, 0.1), mcc(1 - labels, -scores, -0.1)
    assert (found.value, found.lo, found.hi) == pytest.approx((turned.value, turned.lo, turned.hi))
    backwards = mcc(labels, -scores, -0.1)
    assert (backwards.value, backwards.lo, backwards.hi) == pytest.approx((-found.value, -found.hi, -found.lo))


@pytest.mark.parametrize("decimals", [8, 1, 0])
@pytest.mark.parametrize("seed", [6, 7])
def test_the_chosen_threshold_has_the_highest_correlation(seed, decimals):
    labels, scores = draw(seed, n=120, decimals=decimals)
    levels = np.unique(scores)
    middles = (levels[1:] + levels[:-1]) / 2
    correlations = [matthews_corrcoef(labels, scores >= middle) for middle in middles]
    threshold = choose(labels, scores)
    assert threshold in middles
    assert matthews_corrcoef(labels, scores >= threshold) == pytest.approx(max(correlations))
    assert choose(labels, scores.astype(np.float32)) == pytest.approx(threshold, abs=1e-5)


def test_the_highest_of_equally_good_thresholds_is_chosen():
    assert choose(np.array([0, 1, 0, 1]), np.arange(4.0)) == 2.5
    assert choose(np.array([0, 0, 1, 1]), np.array([-4.0, -2, 5, 6])) == 1.5


@pytest.mark.parametrize(
    ("labels", "logits"),
    [
        ([1, 1, 1], [1.0, 2, 3]),
        ([0, 0], [1.0, 2]),
        ([], []),
        ([0, 1, 1], [7.0, 7, 7]),
        ([0, 1, 1], [7.0, np.inf, 8]),
        ([0, 1, 1], [7.0, np.nan, 8]),
    ],
)
def test_a_part_that_teaches_nothing_leaves_probability_one_half(labels, logits):
    assert choose(np.array(labels), np.array(logits)) == 0


@pytest.mark.parametrize(("labels", "scores"), [([1, 1], [0.0, 1.0]), ([0, 1], [0.0, np.inf]), ([0, 1], [0.0])])
def test_bad_input_is_named(labels, scores):
    for function in (evaluate, mcc, precision_at):
        with pytest.raises(DataError):
            function(np.array(labels), np.array(scores), 1)


def coverage(datasets: int, positives: int, negatives: int, distance: float) -> dict[str, float]:
    """Share of 95 % intervals that hold the truth; the threshold is chosen on a third as many sequences."""
    lists = {"precision_at_n_positives": positives, "precision_at_100": 100}
    cutoffs = {
        name: brentq(lambda c, k=k: positives * norm.sf(c - distance) + negatives * norm.sf(c) - k, -9, 19)
        for name, k in lists.items()
    }
    truth = {name: positives * norm.sf(cutoffs[name] - distance) / k for name, k in lists.items()}
    share = positives / (positives + negatives)
    held = dict.fromkeys([*truth, "mcc"], 0)
    for seed in range(datasets):
        threshold = choose(*rare(datasets + seed, max(positives // 3, 1), negatives // 3, distance))
        found = evaluate(*rare(seed, positives, negatives, distance), threshold)
        recall, fallout = norm.sf(threshold - distance), norm.sf(threshold)
        called = share * recall + (1 - share) * fallout
        truth["mcc"] = (recall - fallout) * (share * (1 - share) / (called * (1 - called))) ** 0.5
        for name, value in truth.items():
            held[name] += found[name].lo <= value <= found[name].hi
    return {name: count / datasets for name, count in held.items()}


def test_intervals_hold_the_truth_about_95_times_in_100():
    held = coverage(300, 100, 300, 2.0)
    assert min(held.values()) >= 0.92, held
    assert max(held.values()) <= 0.99, held


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0, 4.0])
@pytest.mark.parametrize(("positives", "negatives"), [(250, 250), (200, 2000), (20, 10_000)])
def test_intervals_hold_the_truth_in_500_data_sets(positives, negatives, distance):
    held = coverage(500, positives, negatives, distance)
    nearly_perfect = positives >= 200 and distance >= 3
    if nearly_perfect:
        assert held.pop("precision_at_100") >= 0.87
    assert min(held.values()) >= 0.92, held
    assert max(held.values()) <= 0.995, held
