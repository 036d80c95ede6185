from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm, t
from sklearn import metrics
from test_intervals import draw, plain_delong

from tfbs.errors import DataError, ParameterError
from tfbs.evaluation import evaluate, recall_at_fdr
from tfbs.intervals import delong_covariance, newcombe
from tfbs.paired import COMPARED, Scores, difference, holm, measure, resampled
from tfbs.verdict import needed


def crossed(random, seeds, means, n=500, common=0.5, own=0.3, quality=0.05, noise=0.5):
    """Labels, and scores of architectures: class, sequence, architecture by sequence, seed, seed by sequence."""
    labels = np.arange(n) % 2
    shared = common * random.standard_normal(n)
    rows = []
    for mean in means:
        base = shared + own * random.standard_normal(n)
        size = mean * (1 + quality * random.standard_normal(seeds))
        rows.append(size[:, None] * labels + base + noise * random.standard_normal((seeds, n)))
    return labels, np.concatenate(rows)


def areas(labels, rows) -> Scores:
    values, covariance = delong_covariance(labels, rows)
    return Scores(values, covariance, np.stack([values, values], axis=1), len(labels), True)


def hand_made(values, covariance, n=100, higher=True) -> Scores:
    values = np.asarray(values, float)
    return Scores(values, np.asarray(covariance, float), np.stack([values - 0.1, values + 0.05], 1), n, higher)


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_one_network_against_one_is_the_paired_test_of_delong(decimals):
    labels, first = draw(3, n=141, decimals=decimals)
    second = np.round(first + draw(4, n=141)[1], decimals)
    (a, b), covariance = plain_delong(labels, np.array([first, second]))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    found = difference(measure(labels, np.array([first, second]), resamples=2)["auroc"], [0], [1])
    assert found.value == pytest.approx(a - b, abs=1e-12)
    assert found.variance == found.sequence_variance == pytest.approx(variance, abs=1e-14)
    assert found.p == pytest.approx(2 * norm.sf(abs(a - b) / variance**0.5), rel=1e-9)
    assert (found.lo, found.hi) == pytest.approx(norm.interval(0.95, a - b, variance**0.5))
    assert found.df == float("inf")
    assert not found.varied
    assert np.isnan(found.share_of_seeds)


def test_variance_components_of_a_hand_made_matrix():
    # Two seeds of ours, three of theirs: c_A = 0.5, c_B = (0.3 + 0.4 + 0.5) / 3 = 0.4, c_AB = 0.1 on average.
    covariance = 1e-4 * np.array(
        [
            [1.0, 0.5, 0.1, 0.1, 0.1],
            [0.5, 0.8, 0.0, 0.1, 0.2],
            [0.1, 0.0, 0.9, 0.3, 0.4],
            [0.1, 0.1, 0.3, 0.9, 0.5],
            [0.1, 0.2, 0.4, 0.5, 0.9],
        ]
    )
    found = difference(hand_made([0.90, 0.92, 0.85, 0.86, 0.90], covariance), [0, 1], [2, 3, 4])
    ours, theirs = 2e-4, 7e-4  # variances of (.90, .92) and of (.85, .86, .90)
    seeds, sequences = ours / 2 + theirs / 3, 1e-4 * (0.5 + 0.4 - 2 * 0.1)
    df = (seeds + sequences) ** 2 / ((ours / 2) ** 2 / 1 + (theirs / 3) ** 2 / 2)
    assert found.value == pytest.approx(0.04)
    assert found.seed_variances == pytest.approx((ours, theirs))
    assert (found.seed_variance, found.sequence_variance) == pytest.approx((seeds, sequences))
    assert found.df == pytest.approx(df)
    assert found.p == pytest.approx(2 * t.sf(0.04 / (seeds + sequences) ** 0.5, df))
    assert (found.lo, found.hi) == pytest.approx(t.interval(0.95, df, 0.04, (seeds + sequences) ** 0.5))
    assert found.share_of_seeds == pytest.approx(seeds / (seeds + sequences))


def test_a_single_network_brings_its_own_variance_and_no_seeds():
    covariance = 1e-4 * np.array([[1.0, 0.2, 0.2], [0.2, 0.9, 0.5], [0.2, 0.5, 0.9]])
    found = difference(hand_made([0.9, 0.86, 0.88], covariance), [0], [1, 2])
    assert found.sequence_variance == pytest.approx(1e-4 * (1.0 + 0.5 - 2 * 0.2))
    assert found.seed_variances == pytest.approx((0, 2e-4))
    assert found.df == pytest.approx(found.variance**2 / 1e-4**2)
    assert (found.seeds, found.varied) == ((1, 2), False)


def test_sequences_that_take_away_variance_count_as_none():
    found = difference(hand_made([0.9, 0.8, 0.7, 0.75], 1e-4 * (np.eye(4) + 0.5 * np.ones((4, 4)))), [0, 1], [2, 3])
    assert found.sequence_variance == 0
    assert found.share_of_seeds == 1
    swapped = difference(hand_made([0.9, 0.8, 0.7, 0.75], 1e-4 * (np.eye(4) + 0.5 * np.ones((4, 4)))), [2, 3], [0, 1])
    assert (swapped.value, swapped.lo, swapped.hi, swapped.p) == pytest.approx(
        (-found.value, -found.hi, -found.lo, found.p)
    )


def test_values_and_covariances_of_every_metric():
    random = np.random.default_rng(0)
    labels, rows = crossed(random, 2, (2.0, 2.3), n=300)
    scores = measure(labels, rows, seed=1, resamples=400)
    assert tuple(scores) == COMPARED
    for name, found in scores.items():
        single = [evaluate(labels, row, resamples=2)[name] for row in rows]
        assert found.values.tolist() == [estimate.value for estimate in single]
        assert found.limits.tolist() == [[estimate.lo, estimate.hi] for estimate in single]
        assert (found.n, found.higher) == (300, name != "brier")
        assert np.linalg.eigvalsh(found.covariance).min() >= -1e-12
    np.testing.assert_allclose(scores["auroc"].covariance, plain_delong(labels, rows)[1], atol=1e-15)


def test_covariances_are_those_of_a_paired_bootstrap():
    labels, rows = crossed(np.random.default_rng(1), 1, (1.5, 1.8), n=600)
    scores = measure(labels, rows)
    random, drawn = np.random.RandomState(2), {name: [] for name in COMPARED}
    for _ in range(300):
        sample = np.concatenate([random.choice(np.flatnonzero(labels == c), 300) for c in (0, 1)])
        y, resample = labels[sample], rows[:, sample]
        drawn["auroc"].append([metrics.roc_auc_score(y, s) for s in resample])
        drawn["auprc"].append([metrics.average_precision_score(y, s) for s in resample])
        drawn["brier"].append([metrics.brier_score_loss(y, expit(s)) for s in resample])
        drawn["recall_at_fdr10"].append([recall_at_fdr(y, s)[0] for s in resample])
    for name, values in drawn.items():
        expected = np.cov(np.array(values), rowvar=False)
        sd = np.sqrt(np.diag(expected))
        np.testing.assert_allclose(np.sqrt(np.diag(scores[name].covariance)), sd, rtol=0.15)
        assert scores[name].covariance[0, 1] / sd.prod() == pytest.approx(expected[0, 1] / sd.prod(), abs=0.15)


def test_order_of_the_networks_does_not_matter_and_the_seed_does():
    labels, rows = crossed(np.random.default_rng(3), 2, (1.5, 1.8), n=200)
    one, other = measure(labels, rows, 5, 100), measure(labels, rows[::-1], 5, 100)
    for name in COMPARED:
        np.testing.assert_allclose(one[name].covariance, other[name].covariance[::-1, ::-1], atol=1e-15)
    again = measure(labels, rows, 6, 100)["recall_at_fdr10"].covariance
    assert not np.allclose(one["recall_at_fdr10"].covariance, again)


def test_equal_predictions_do_not_differ():
    labels, rows = crossed(np.random.default_rng(4), 2, (1.5,), n=100)
    for found in measure(labels, rows[[0, 1, 0, 1]], resamples=50).values():
        single = difference(found, [0], [2])
        assert (single.value, single.lo, single.hi, single.p, single.variance) == (0, 0, 0, 1, 0)
        both = difference(found, [0, 1], [2, 3])
        assert (both.value, both.p) == (0, 1)


def test_without_variance_limits_are_squared_and_added():
    labels = np.arange(40) % 2
    scores = measure(labels, np.array([labels * 9.0 - 4.5, labels * 8.0 - 4, np.zeros(40)]), resamples=50)
    found = difference(scores["auroc"], [0], [2])
    (perfect, _), (lo, hi) = newcombe(1.0, 20, 20), newcombe(0.5, 20, 20)
    assert found.value == 0.5
    assert found.lo == pytest.approx(0.5 - np.hypot(1 - perfect, hi - 0.5))
    assert found.hi == pytest.approx(0.5 + 0.5 - lo)
    assert found.p == pytest.approx(2 * norm.sf(0.5 / ((0.5 - found.lo) / norm.ppf(0.975))))
    equal = difference(scores["auroc"], [0], [1])
    assert (equal.value, equal.p) == (0, 1)
    assert equal.hi == -equal.lo == pytest.approx(1 - perfect)


@pytest.mark.parametrize("rows", [([0, 1], [2, 3]), ([0], [2])])
def test_a_tiny_perfect_test_set_proves_little(rows):
    labels = np.array([0, 0, 1, 1])
    logits = np.array([labels, 2 * labels, 1 - labels, 1 - 2 * labels], float)
    for found in measure(labels, logits, resamples=20).values():
        told = difference(found, *rows)
        assert told.p > 0.001
        assert np.isfinite([told.lo, told.hi, told.p, told.variance]).all()


def test_holm_on_a_worked_example():
    # Four p values at level .05: .005 x 4, .01 x 3, .03 x 2, then .04 x 1, which may not be below the one before.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9, 0.5]).tolist() == [1, 1, 1]
    assert holm([0.04]).tolist() == [0.04]
    assert holm([]).tolist() == []


def test_corrected_resampled_t_test_by_hand():
    found = resampled(np.array([0.01, 0.02, 0.03, 0.02]), 0.25, higher=False)
    variance = (1 / 4 + 0.25) * (2e-4 / 3)
    assert (found.value, found.variance) == pytest.approx((0.02, variance))
    assert found.p == pytest.approx(2 * t.sf(0.02 / variance**0.5, 3))
    assert (found.lo, found.hi) == pytest.approx(t.interval(0.95, 3, 0.02, variance**0.5))
    assert (found.n, found.df, found.higher) == (4, 3, False)
    assert resampled(np.full(5, 0.1), 0.25).p == 1


@pytest.mark.parametrize("differences", [[0.1], [0.1, np.nan], [[0.1, 0.2]]])
def test_resampled_says_what_it_needs(differences):
    with pytest.raises(ParameterError, match="finite differences of at least two splits"):
        resampled(np.array(differences), 0.25)


def test_resampled_refuses_a_ratio_of_nothing():
    with pytest.raises(ParameterError, match="positive ratio"):
        resampled(np.array([0.1, 0.2]), 0.0)


@pytest.mark.parametrize("rows", [([], [1]), ([0], [0]), ([0, 0], [1]), ([0], [2]), ([-1], [0])])
def test_rows_must_be_different_networks(rows):
    with pytest.raises(ParameterError, match="different rows from 0 to 1"):
        difference(hand_made([0.9, 0.8], np.eye(2)), *rows)


def test_measure_names_what_is_wrong_with_the_data():
    with pytest.raises(DataError, match="at least two sequences of each class"):
        measure(np.array([0, 0, 1]), np.zeros((2, 3)))
    with pytest.raises(DataError, match="received 1 that are not"):
        measure(np.array([0, 0, 1, 1]), np.array([[0, 1, 2, 3.0], [0, 1, np.nan, 3]]))


def test_twenty_networks_take_seconds():
    labels, rows = crossed(np.random.default_rng(5), 10, (1.5, 1.8))
    start = time.process_time()
    measure(labels, rows)
    assert time.process_time() - start < 10


@pytest.mark.slow
def test_twenty_networks_on_ten_thousand_sequences_take_less_than_a_minute():
    labels, rows = crossed(np.random.default_rng(5), 10, (1.5, 1.8), n=10_000)
    start = time.process_time()
    measure(labels, rows)
    assert time.process_time() - start < 60


def rejected(seeds: int, means, datasets: int, quality: float = 0.05, own: float = 0.3) -> float:
    """Share of comparisons of two architectures that are told apart at .05, by AUROC."""
    random, count = np.random.default_rng(6), 0
    for _ in range(datasets):
        scores = areas(*crossed(random, seeds, means, quality=quality, own=own))
        count += difference(scores, np.arange(seeds), np.arange(seeds, 2 * seeds)).p < 0.05
    return count / datasets


@pytest.mark.slow
@pytest.mark.parametrize("mean", [1.1, 2.5])  # AUROC .84 and .99
@pytest.mark.parametrize("own", [0.0, 0.3])
def test_equal_architectures_are_told_apart_in_at_most_6_of_100(mean, own):
    assert 0.01 <= rejected(5, (mean, mean), 2000, own=own) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("mean", [1.1, 2.5])
def test_networks_of_equal_quality_are_told_apart_in_at_most_6_of_100(mean):
    assert 0.03 <= rejected(1, (mean, mean), 2000, quality=0) <= 0.06


@pytest.mark.slow
@pytest.mark.parametrize("mean", [1.1, 2.5])
def test_a_family_of_three_equal_architectures_has_a_false_positive_in_at_most_6_of_100(mean):
    random, count = np.random.default_rng(7), 0
    for _ in range(1500):
        scores = areas(*crossed(random, 5, (mean,) * 3))
        rows = np.arange(15).reshape(3, 5)
        count += holm([difference(scores, rows[a], rows[b]).p for a, b in ((0, 1), (0, 2), (1, 2))]).min() < 0.05
    assert 0.01 <= count / 1500 <= 0.06


@pytest.mark.slow
def test_power_grows_with_the_difference_and_with_the_seeds():
    # Against an AUROC of .844 on 500 sequences, in 1,000 data sets. One seed each takes seeds for architectures.
    #  difference   .000  .013  .025  .049
    table = {1: (0.15, 0.20, 0.34, 0.73), 3: (0.06, 0.11, 0.25, 0.72), 10: (0.05, 0.17, 0.56, 0.99)}
    for seeds, expected in table.items():
        found = [rejected(seeds, (1.1 + more, 1.1), 400) for more in (0, 0.06, 0.12, 0.25)]
        print(seeds, "seeds each:", found)
        assert found == pytest.approx(expected, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(("first", "second"), [(1, 1), (1.3, 1), (2, 2), (2.3, 2), (3, 3), (3.3, 3)])
def test_intervals_of_paired_differences_hold_the_truth(first, second):
    random = np.random.default_rng(11)
    labels = np.arange(500) % 2

    def logits(n, y):
        shared = 0.7**0.5 * random.standard_normal(n)
        scores = [shared + 0.3**0.5 * random.standard_normal(n) + d * y for d in (first, second)]
        return np.array([d * (s - d / 2) for d, s in zip((first, second), scores, strict=True)])

    large = np.arange(2_000_000) % 2
    held, truth = dict.fromkeys(COMPARED, 0), {}
    a, b = logits(len(large), large)
    if first != second:
        for name in COMPARED:
            truth[name] = of(name, large, a) - of(name, large, b)
    for _ in range(500):
        for name, found in measure(labels, logits(500, labels), resamples=200).items():
            one = difference(found, [0], [1])
            held[name] += one.lo <= truth.get(name, 0) <= one.hi
    assert min(held.values()) >= 0.93 * 500, held


def of(name: str, labels: np.ndarray, logits: np.ndarray) -> float:
    if name == "auroc":
        return metrics.roc_auc_score(labels, logits)
    if name == "auprc":
        return metrics.average_precision_score(labels, logits)
    return metrics.brier_score_loss(labels, expit(logits)) if name == "brier" else recall_at_fdr(labels, logits)[0]


def test_the_needed_numbers_give_the_power_they_promise():
    covariance = 1e-5 * (0.1 * np.ones((10, 10)) + 0.3 * np.kron(np.eye(2), np.ones((5, 5))) + 0.6 * np.eye(10))
    spread = np.array([-0.02, -0.01, 0, 0.01, 0.02])
    found = difference(hand_made(np.r_[0.9 + spread, 0.882 + spread], covariance), range(5), range(5, 10))
    least = needed(found)
    random, told = np.random.default_rng(8), 0
    for _ in range(4000):
        seeds = least.seeds
        values = random.normal(0, 2.5e-4**0.5, (2, seeds))
        observed = found.value + values.mean(axis=1) @ [1, -1] + random.normal(0, found.sequence_variance**0.5)
        parts = values.var(axis=1, ddof=1) / seeds
        variance = parts.sum() + found.sequence_variance
        told += abs(observed) / variance**0.5 > t.ppf(0.975, variance**2 / (parts**2 / (seeds - 1)).sum())
    assert told / 4000 == pytest.approx(0.8, abs=0.05)
