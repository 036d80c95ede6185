from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm
from sklearn import metrics
from test_intervals import Z, draw

from tfbs.errors import DataError
from tfbs.evaluation import (
    METRICS,
    _calibration,
    _gaps,
    calibration_curve,
    evaluate,
    informative,
    pr_curve_on_grid,
    precision_recall_curve,
    recall_at_fdr,
    reliability,
    roc_curve,
    roc_curve_on_grid,
    trained,
)
from tfbs.intervals import auroc, replicate, wilson


def constant(n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    return np.arange(n) % 2, np.zeros(n)


@pytest.mark.parametrize("decimals", [8, 1, 0])
@pytest.mark.parametrize("seed", [1, 2])
def test_metrics_equal_scikit_learn(seed, decimals):
    labels, logits = draw(seed, n=301, decimals=decimals)
    probabilities = expit(logits)
    result = {name: estimate.value for name, estimate in evaluate(labels, logits, resamples=20).items()}
    decisions = probabilities >= 0.5
    precision, recall, _ = metrics.precision_recall_curve(labels, logits)
    assert result == pytest.approx(
        {
            "auroc": metrics.roc_auc_score(labels, logits),
            "auprc": metrics.average_precision_score(labels, logits),
            "accuracy": metrics.accuracy_score(labels, decisions),
            "brier": metrics.brier_score_loss(labels, probabilities),
            "recall_at_fdr10": recall[precision >= 0.9].max(),
            "auroc_thresholded": metrics.roc_auc_score(labels, decisions),
            "auprc_thresholded": metrics.average_precision_score(labels, decisions),
            "ece": sum(
                abs((probabilities - labels)[inside].sum())
                for inside in (np.digitize(probabilities, np.arange(1, 10) / 10) == b for b in range(10))
            )
            / len(labels),
        },
        abs=1e-12,
    )
    assert tuple(result) == METRICS


def test_reliability_equals_scikit_learn_and_the_metrics():
    labels, logits = draw(3, n=301)
    found, metric = reliability(labels, 2 * logits, resamples=20), evaluate(labels, 2 * logits, resamples=20)
    assert found["log_loss"].value == pytest.approx(metrics.log_loss(labels, expit(2 * logits)))
    assert {name: found[name] for name in ("brier", "ece")} == {name: metric[name] for name in ("brier", "ece")}
    assert calibration_curve(labels, expit(2 * logits)).error == found["ece"].value


def test_log_loss_is_finite_where_probabilities_are_0_and_1():
    labels = np.arange(20) % 2
    assert reliability(labels, np.where(labels, -1000.0, 1000.0), resamples=2)["log_loss"].value == 1000
    found = reliability(labels, np.where(labels, 1000.0, -1000.0), resamples=2)["log_loss"]
    assert (found.value, found.lo, found.hi) == (0, 0, 0)


def test_thresholded_areas_of_a_published_confusion():
    labels = np.r_[np.ones(241, int), np.zeros(259, int)]
    logits = np.r_[np.full(246, 2.0), np.full(254, -2.0)]
    result = evaluate(labels, logits)
    assert round(result["auroc_thresholded"].value, 4) == 0.9903
    assert round(result["auprc_thresholded"].value, 4) == 0.9797
    assert result["accuracy"].value == pytest.approx(495 / 500)


@pytest.mark.parametrize("decimals", [8, 1])
@pytest.mark.parametrize("stratified", [True, False])
def test_weights_equal_sequences_drawn_more_than_once(decimals, stratified):
    labels, logits = draw(8, n=60, decimals=decimals)
    drawn = replicate(lambda weights: {"weights": weights}, labels, 9, 25, stratified)["weights"]
    recalls = recall_at_fdr(labels, logits, drawn)
    calibrations = _calibration(_gaps(labels, expit(logits)), drawn)["ece"]
    for weights, recall, calibration in zip(drawn, recalls, calibrations, strict=True):
        result = evaluate(np.repeat(labels, weights), np.repeat(logits, weights), resamples=2)
        assert recall == result["recall_at_fdr10"].value
        assert calibration == pytest.approx(result["ece"].value, abs=1e-12)


def test_replicates_leave_out_resamples_without_a_class():
    labels = np.r_[1, np.zeros(9, int)]
    found = replicate(
        lambda weights: {"recall": recall_at_fdr(labels, np.arange(10.0), weights)}, labels, 0, 1000, False
    )
    assert 550 < len(found["recall"]) < 750  # 1 - 0.9^10 = 0.651 of the resamples hold the one positive
    assert np.isfinite(found["recall"]).all()


def test_same_input_same_result_and_the_seed_decides():
    labels, logits = draw(10, n=500)
    assert evaluate(labels, logits, seed=1) == evaluate(labels, logits, seed=1)
    assert evaluate(labels, logits, seed=1)["ece"] != evaluate(labels, logits, seed=2)["ece"]


@pytest.mark.parametrize("stratified", [True, False])
def test_interval_of_the_auprc_is_that_of_the_bootstrap_for_many_sequences(stratified):
    labels, logits = draw(10, n=2000)
    result = evaluate(labels, logits, stratified=stratified)["auprc"]
    random, drawn = np.random.RandomState(1), []
    for _ in range(500):
        groups = [labels == 0, labels == 1] if stratified else [labels >= 0]
        rows = np.concatenate([random.choice(np.flatnonzero(group), group.sum()) for group in groups])
        drawn.append(metrics.average_precision_score(labels[rows], logits[rows]))
    assert result.hi - result.lo == pytest.approx(2 * Z * np.std(drawn), rel=0.12)


def test_interval_of_the_recall_adds_the_error_of_the_cutoff_to_that_of_the_recall():
    # 40 positives, then 10 negatives, 60 positives, 90 negatives: precision 0.9 is reached by 100 calls of 100 + 10.
    labels = np.repeat([1, 0, 1, 0], [40, 10, 60, 90])
    result = evaluate(labels, -np.arange(200.0), resamples=2)["recall_at_fdr10"]
    tp, called = np.cumsum(labels), np.arange(1, 201)
    lower, upper = wilson(tp, called)
    cutoff = tp[lower >= 0.9].max() / 100, tp[upper >= 0.9].max() / 100
    assert (result.value, *cutoff) == (1.0, 0.4, 1.0)
    assert result.lo == pytest.approx(1 - np.hypot(0.6, 1 - wilson(100, 100)[0]))
    assert result.hi == 1


def test_order_of_the_sequences_does_not_matter_to_the_values():
    labels, logits = draw(11, decimals=1)
    shuffled = np.random.RandomState(0).permutation(len(labels))
    one, other = evaluate(labels, logits, resamples=50), evaluate(labels[shuffled], logits[shuffled], resamples=50)
    assert [e.value for e in one.values()] == pytest.approx([e.value for e in other.values()], abs=1e-12)


@pytest.mark.parametrize("scale", [30.0, 3.0, 1e300])
def test_perfect_classifier_has_intervals_of_some_width(scale):
    labels = np.r_[np.ones(241, int), np.zeros(259, int)]
    result = evaluate(labels, (2 * labels - 1) * scale)
    for name in ("auroc", "auprc", "recall_at_fdr10", "auroc_thresholded", "auprc_thresholded"):
        assert (result[name].value, result[name].hi) == (1, 1), name
        assert 0.98 < result[name].lo < 0.995, name
    assert result["auprc"].lo == pytest.approx(241 / (241 + Z**2))
    assert result["accuracy"].lo == pytest.approx(500 / (500 + Z**2))
    assert all(estimate.hi - estimate.lo > 1e-3 for estimate in result.values())


@pytest.mark.parametrize("level", [0.0, 0.7, -40.0])
def test_constant_prediction_ranks_at_chance_and_has_no_missing_value(level):
    labels = np.r_[np.ones(120, int), np.zeros(80, int)]
    result = evaluate(labels, np.full(200, level))
    assert result["auroc"].value == result["auroc_thresholded"].value == 0.5
    assert result["auroc"].lo == pytest.approx(1 - result["auroc"].hi) == pytest.approx(0.42, abs=0.02)
    assert result["auprc"].value == pytest.approx(0.6)
    assert (result["auprc"].lo, result["auprc"].hi) == pytest.approx([float(limit) for limit in wilson(120, 200)])
    assert result["recall_at_fdr10"].value == result["recall_at_fdr10"].lo == 0
    for estimate in result.values():
        assert 0 <= estimate.lo <= estimate.value <= estimate.hi <= 1
        assert estimate.hi - estimate.lo > 0.01


def test_recall_counts_a_precision_of_exactly_nine_tenths():
    # From the top: 4 positives, 1 negative, 5 positives (9 of 10 right), 2 negatives, 1 positive.
    labels = np.array([1] * 4 + [0] + [1] * 5 + [0, 0] + [1])
    assert evaluate(labels, -np.arange(13.0), resamples=2)["recall_at_fdr10"].value == pytest.approx(9 / 10)


def test_two_sequences_give_wide_but_finite_intervals():
    for logits in ([0.0, 1.0], [1.0, 0.0], [1.0, 1.0]):
        for estimate in evaluate(np.array([0, 1]), np.array(logits)).values():
            assert 0 <= estimate.lo <= estimate.value <= estimate.hi <= 1
            assert estimate.hi - estimate.lo > 0.5


def test_logits_keep_the_order_that_single_precision_probabilities_lose():
    labels, logits = np.array([0, 0, 1, 1]), np.array([20.0, 30.0, 40.0, 50.0])
    saturated = expit(logits.astype(np.float32))
    assert np.unique(saturated).size == 1
    assert evaluate(labels, logits)["auroc"].value == 1
    assert auroc(labels, saturated).value == 0.5


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_roc_grid_is_the_trapezoid_curve(decimals):
    labels, logits = draw(12, n=257, decimals=decimals)
    fpr, tpr, _ = metrics.roc_curve(labels, logits, drop_intermediate=False)
    np.testing.assert_allclose(np.array(roc_curve(labels, logits)), [fpr, tpr])
    assert metrics.auc(*roc_curve(labels, logits)) == pytest.approx(metrics.roc_auc_score(labels, logits))
    # numpy.interp takes the last of several vertices at one FPR only when x lies just above it.
    expected = np.interp(np.arange(101) / 100 + 1e-9, fpr, tpr)
    np.testing.assert_allclose(roc_curve_on_grid(labels, logits), expected, atol=1e-6)


def test_roc_grid_by_hand():
    labels = np.array([1, 0, 1, 0])
    assert list(roc_curve_on_grid(labels, np.array([4, 3, 2, 1.0]))[[0, 49, 50, 100]]) == [0.5, 0.5, 1, 1]
    tied = roc_curve_on_grid(labels, np.zeros(4))
    np.testing.assert_allclose(tied, np.arange(101) / 100)
    assert list(roc_curve_on_grid(labels, labels * 1.0)) == [1] * 101


@pytest.mark.parametrize("decimals", [8, 1, 0])
def test_precision_recall_grid_is_the_step_curve(decimals):
    labels, logits = draw(13, n=257, decimals=decimals)
    recall, precision = precision_recall_curve(labels, logits)
    expected_precision, expected_recall, _ = metrics.precision_recall_curve(labels, logits)
    np.testing.assert_allclose(recall, expected_recall[-2::-1])
    np.testing.assert_allclose(precision, expected_precision[-2::-1])
    average = np.diff(np.r_[0, recall]) @ precision
    assert average == pytest.approx(metrics.average_precision_score(labels, logits))
    first = [np.flatnonzero(recall >= wanted - 1e-12)[0] for wanted in np.arange(101) / 100]
    np.testing.assert_allclose(pr_curve_on_grid(labels, logits), precision[first])


def test_precision_recall_grid_by_hand():
    labels, scores = np.array([0, 1, 1, 0]), np.array([4, 3, 2, 1.0])
    curve = pr_curve_on_grid(labels, scores)
    assert list(curve[[0, 1, 50, 51, 100]]) == pytest.approx([0, 1 / 2, 1 / 2, 2 / 3, 2 / 3])
    assert list(pr_curve_on_grid(labels, np.zeros(4))) == [0.5] * 101


def test_calibration_curve_by_hand_and_against_scikit_learn():
    from sklearn.calibration import calibration_curve as reference

    labels, logits = draw(14, n=400)
    curve = calibration_curve(labels, expit(logits))
    observed, predicted = reference(labels, expit(logits), n_bins=10)
    np.testing.assert_allclose(curve.observed, observed)
    np.testing.assert_allclose(curve.predicted, predicted)
    assert curve.count.sum() == 400
    assert ((curve.lo <= curve.observed) & (curve.observed <= curve.hi)).all()
    few = calibration_curve(np.array([0, 1, 1, 1]), np.array([0.0, 0.05, 0.1, 1.0]))
    assert few.count.tolist() == [2, 1, 1]
    assert few.observed.tolist() == [0.5, 1, 1]
    assert few.predicted == pytest.approx([0.025, 0.1, 1])


def test_trained_tells_a_collapsed_network_from_a_trained_one():
    _, logits = draw(15)
    assert trained(logits)
    assert trained(logits.astype(np.float32)[:, None])
    assert not trained(constant()[1])
    assert not trained(3 + 1e-4 * logits)
    assert not trained(np.r_[logits, np.nan])
    assert not trained(np.r_[logits, np.inf])


def test_a_part_is_informative_with_both_classes_told_apart():
    labels, logits = draw(15)
    assert informative(labels, logits)
    assert not informative(np.ones(300, int), logits)
    assert not informative(*constant())
    assert not informative(labels, np.r_[logits[1:], np.inf])
    assert not informative(np.array([]), np.array([]))


@pytest.mark.parametrize(
    ("labels", "logits", "words"),
    [
        ([0, 1], [0.0], "received labels of shape (2,) and scores of shape (1,)"),
        ([0, 1], [[0.0], [1.0]], "scores of shape (2, 1)"),
        ([1, 1], [0.0, 1.0], "received 2 sequences and no negatives"),
        ([0, 0, 0], [0.0, 1.0, 2.0], "received 3 sequences and no positives"),
        ([], [], "received 0 sequences and no sequences at all"),
        ([0, 2], [0.0, 1.0], "Expected labels 0 and 1, received 2"),
        ([0, np.nan], [0.0, 1.0], "Expected labels 0 and 1, received nan"),
        (["0", "1"], [0.0, 1.0], "Expected labels 0 and 1 as numbers"),
        ([0, 1, 1], [0.0, np.nan, np.inf], "received 2 that are not, the first for sequence 2"),
    ],
)
@pytest.mark.parametrize("function", [evaluate, auroc, recall_at_fdr, roc_curve_on_grid, pr_curve_on_grid, roc_curve])
def test_bad_input_is_named_in_one_sentence(function, labels, logits, words):
    with pytest.raises(DataError) as caught:
        function(np.array(labels), np.array(logits))
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_calibration_curve_refuses_what_is_no_probability():
    with pytest.raises(DataError, match="probabilities from 0 to 1, received -1 to 2"):
        calibration_curve(np.array([0, 1]), np.array([-1.0, 2.0]))


def test_labels_may_be_booleans_or_floats():
    labels, logits = draw(16)
    expected = evaluate(labels, logits, resamples=20)
    assert evaluate(labels.astype(bool), logits, resamples=20) == expected
    assert evaluate(labels.astype(np.float32), logits, resamples=20) == expected


def test_ten_thousand_sequences_take_seconds():
    labels, logits = draw(17, n=10_000)
    start = time.process_time()
    evaluate(labels, logits)
    assert time.process_time() - start < 20


def coverage(datasets: int, distance: float, n: int = 500) -> dict[str, float]:
    """Share of 95 % intervals that hold the truth, for calibrated logits doubled, so that the calibration is off."""
    labels, logits = draw(0, n=1_000_000, distance=distance)
    truth = {
        "auroc": norm.cdf(distance / 2**0.5),
        "auprc": metrics.average_precision_score(labels, logits),
        "accuracy": norm.cdf(distance / 2),
        "auroc_thresholded": norm.cdf(distance / 2),
        "brier": metrics.brier_score_loss(labels, expit(2 * logits)),
        "log_loss": metrics.log_loss(labels, expit(2 * logits)),
        "ece": evaluate(labels[:200_000], 2 * logits[:200_000], resamples=2)["ece"].value,
        "recall_at_fdr10": recall_at_fdr(labels, logits)[0],
    }
    held = dict.fromkeys(truth, 0)
    for seed in range(1, datasets + 1):
        sample, values = draw(seed, n=n, distance=distance)
        result = evaluate(sample, 2 * values, seed=seed, resamples=300)
        result["log_loss"] = reliability(sample, 2 * values, resamples=2)["log_loss"]
        for name, value in truth.items():
            held[name] += result[name].lo <= value <= result[name].hi
    return {name: count / datasets for name, count in held.items()}


def test_intervals_hold_the_truth_about_95_times_in_100():
    held = coverage(200, distance=2.0)
    assert min(held.values()) >= 0.92, held
    assert held["auroc"] <= 0.99, held


@pytest.mark.slow
@pytest.mark.parametrize("distance", [1.0, 2.0, 3.0, 4.0])
def test_intervals_hold_the_truth_in_500_data_sets(distance):
    # Wanted are 0.93 to 0.97, to which 500 data sets add an error of 0.01; measured in 2,000 are 0.947 to 0.971, for
    # the recall 0.963 to 0.978. The calibration error and the areas of decisions are safe rather than exact.
    held = coverage(500, distance)
    assert min(held.values()) >= 0.93, held
    safe = {"ece", "auroc_thresholded"}
    assert max(share for name, share in held.items() if name not in safe) <= 0.98, held


def test_a_calibrated_network_is_not_called_miscalibrated():
    held = 0
    for seed in range(100):
        estimate = evaluate(*draw(seed, n=500, distance=2.0), resamples=200)["ece"]
        assert estimate.lo <= estimate.value <= estimate.hi
        held += estimate.lo == 0
    assert held >= 92


def test_a_saturated_network_did_not_train():
    assert not trained(np.linspace(-4.6e9, -4.2e9, 50))
    assert not trained(np.linspace(90, 110, 50))
    assert trained(np.linspace(-9, -7, 50))
