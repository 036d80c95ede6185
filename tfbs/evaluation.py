"""Metrics of a binary classifier, each with a 95 % interval and the number of sequences behind it.

Ranking metrics are computed on logits, because single-precision probabilities saturate to exactly 0 and 1 and so create
ties that the network did not make. Probabilities are the logistic function of the logits in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, logit

from .errors import DataError
from .intervals import Estimate, Z, auroc, checked, replicate, wilson

COLLAPSE_SD = 1e-3
SATURATION_SD = 1e-6
BINS = 10
GRID = 100
RESAMPLES = 1000
METRICS = (
    "auroc",
    "auprc",
    "accuracy",
    "brier",
    "ece",
    "recall_at_fdr10",
    "auroc_thresholded",
    "auprc_thresholded",
)


@dataclass(frozen=True)
class Calibration:
    """A reliability curve: one entry per non-empty bin, in rising order of the prediction.

    Attributes
    ----------
    predicted : ndarray of float64, shape (b,)
        Mean predicted probability of the bin.
    observed, lo, hi : ndarray of float64, shape (b,)
        Share of positives in the bin and its 95 % Wilson interval.
    count : ndarray of int, shape (b,)
        Sequences in the bin.
    """

    predicted: np.ndarray
    observed: np.ndarray
    lo: np.ndarray
    hi: np.ndarray
    count: np.ndarray


def evaluate(
    labels: np.ndarray, logits: np.ndarray, seed: int = 0, resamples: int = RESAMPLES, stratified: bool = True
) -> dict[str, Estimate]:
    """Measure a binary classifier.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        0 (negative) or 1 (positive).
    logits : ndarray, shape (n,)
        Log-odds of the positive class; larger means more likely positive.
    seed, resamples, stratified
        See :func:`bootstrap`.

    Returns
    -------
    dict of str to Estimate
        ``auroc``, ``auroc_thresholded``
            See :func:`tfbs.intervals.auroc`.
        ``auprc``, ``auprc_thresholded``
            Average precision.
        ``accuracy``
            Share of right decisions at probability 0.5.
        ``brier``
            Mean squared error of the probability.
        ``ece``
            Expected calibration error: mean absolute gap between predicted and observed share of positives over 10
            bins of equal width (Naeini et al., AAAI 2015), as in most published figures. Bins of equal mass would
            almost all lie at 0 and 1 for a confident network, and would move from network to network.
        ``recall_at_fdr10``
            Largest recall at a precision of at least 0.9, 0 where no threshold has it. Being a maximum it is too high
            on few sequences of a weak network, and its interval with it.

        The two ``_thresholded`` areas are computed on the 0/1 decisions, a mistake found in published work, given so
        that its size can be seen. All but the AUROC have bootstrap intervals, see :func:`_interval` and
        :func:`_calibration_error`.

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.checked`.
    """
    labels, logits = checked(labels, logits)
    points = {name: float(value[0]) for name, value in _metrics(*_sorted(labels, logits)).items()}
    replicates = bootstrap(labels, logits, seed, resamples, stratified)
    size = {"auprc": labels.sum(), "auprc_thresholded": labels.sum(), "recall_at_fdr10": labels.sum()}
    estimates = {
        name: _interval(name, points[name], replicates[name], len(labels), size.get(name, len(labels)))
        for name in ("auprc", "accuracy", "brier", "recall_at_fdr10", "auprc_thresholded")
    }
    estimates["auroc"] = auroc(labels, logits)
    estimates["auroc_thresholded"] = auroc(labels, expit(logits) >= 0.5)
    estimates["ece"] = _calibration_error(points["ece"], replicates, calibration_curve(labels, expit(logits)))
    return {name: estimates[name] for name in METRICS}


def trained(logits: np.ndarray) -> bool:
    """Say whether a network tells sequences apart at all.

    It does not when a logit is not finite, when the logits are constant (standard deviation below COLLAPSE_SD: dead
    units), or when the probabilities are (below SATURATION_SD: every sequence at 0, or every one at 1).
    """
    logits = np.asarray(logits, float)
    if not np.isfinite(logits).all():
        return False
    return bool(np.std(logits) >= COLLAPSE_SD and np.std(expit(logits)) >= SATURATION_SD)


def bootstrap(
    labels: np.ndarray, logits: np.ndarray, seed: int = 0, resamples: int = RESAMPLES, stratified: bool = True
) -> dict[str, np.ndarray]:
    """Bootstrap replicates of every metric, all from the same resamples.

    Parameters
    ----------
    labels, logits : ndarray, shape (n,)
        As in :func:`evaluate`.
    seed, resamples, stratified
        See :func:`tfbs.intervals.replicate`. Average precision depends on the share of positives: choose
        ``stratified=False`` when the figure shall hold for another test set whose class sizes are left to chance.

    Returns
    -------
    dict of str to ndarray of float64, shape (resamples,)
        The metrics of :func:`evaluate`, and ``ece_error``, the sum over bins of the absolute change of the gap.

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.checked`.
    """
    labels, logits = _sorted(*checked(labels, logits))
    return replicate(partial(_metrics, labels, logits), labels, seed, resamples, stratified)


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the ROC curve, from (0, 0) to (1, 1).

    Returns
    -------
    fpr, tpr : ndarray of float64, shape (thresholds + 1,)
        Shares of the negatives and of the positives at or above each distinct score.
    """
    fp, tp = _counts(*checked(labels, scores))
    return fp / fp[-1], tp / tp[-1]


def precision_recall_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at each distinct score, from the highest score down.

    Returns
    -------
    recall, precision : ndarray of float64, shape (thresholds,)
        The average precision is the sum of precision times the step in recall.
    """
    fp, tp = _counts(*checked(labels, scores))
    return tp[1:] / tp[-1], tp[1:] / (tp[1:] + fp[1:])


def roc_curve_on_grid(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """True positive rate at false positive rates 0, 0.01, .. 1.

    Linear between the vertices of :func:`roc_curve`, which is the curve whose area is the AUROC (ties count half).
    Where the curve rises vertically the top is given: the first value is the recall without any false positive.

    Returns
    -------
    ndarray of float64, shape (101,)
    """
    fp, tp = _counts(*checked(labels, scores))
    wanted = np.arange(GRID + 1) * fp[-1]
    left = np.searchsorted(fp * GRID, wanted, side="right") - 1
    right = np.minimum(left + 1, len(fp) - 1)
    step = np.maximum((fp[right] - fp[left]) * GRID, 1)
    return (tp[left] + (wanted - fp[left] * GRID) / step * (tp[right] - tp[left])) / tp[-1]


def pr_curve_on_grid(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Precision at recalls 0, 0.01, .. 1.

    A step function: the precision at the highest threshold that reaches the recall, the curve whose area is the average
    precision. It is neither interpolated linearly, which is too optimistic (Davis and Goadrich 2006), nor made
    monotone. At recall 0 it is the precision at the highest score.

    Returns
    -------
    ndarray of float64, shape (101,)
    """
    fp, tp = _counts(*checked(labels, scores))
    reached = np.searchsorted(tp[1:] * GRID, np.arange(GRID + 1) * tp[-1], side="left") + 1
    return tp[reached] / (tp[reached] + fp[reached])


def calibration_curve(labels: np.ndarray, probabilities: np.ndarray, bins: int = BINS) -> Calibration:
    """Share of positives against predicted probability, in bins of equal width; empty bins are left out.

    Parameters
    ----------
    labels, probabilities : ndarray, shape (n,)
        0 or 1; probability of the positive class, in [0, 1].
    bins : int
        Bins between 0 and 1; each holds its lower edge, the last one both.

    Returns
    -------
    Calibration

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.checked`; also for a probability outside [0, 1].
    """
    labels, probabilities = checked(labels, probabilities)
    if probabilities.min() < 0 or probabilities.max() > 1:
        raise DataError(
            f"Expected probabilities from 0 to 1, received {probabilities.min():g} to {probabilities.max():g}: pass "
            "the logistic function of the logits."
        )
    bin_of = _bin(probabilities, bins)
    count = np.bincount(bin_of, minlength=bins)
    kept = count > 0
    count = count[kept]
    positives = np.bincount(bin_of, labels, bins)[kept]
    predicted = np.bincount(bin_of, probabilities, bins)[kept] / count
    return Calibration(predicted, positives / count, *wilson(positives, count), count)


def _metrics(labels: np.ndarray, logits: np.ndarray, weights: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Every metric, one value a row of weights (b, n): how often each sequence counts. Logits must fall."""
    weights = np.ones((1, len(labels)), np.int64) if weights is None else weights
    probabilities = expit(logits)
    decisions = probabilities >= 0.5
    thresholded = _ranking(labels, decisions, weights)
    error = probabilities - labels
    gaps = np.zeros((len(labels), BINS))
    gaps[np.arange(len(labels)), _bin(probabilities, BINS)] = error
    shares = weights / len(labels)
    gap = shares @ gaps
    return {
        **_ranking(labels, logits, weights),
        "accuracy": shares @ (decisions == labels),
        "brier": shares @ error**2,
        "ece": np.abs(gap).sum(axis=1),
        "ece_error": np.abs(gap - gaps.mean(axis=0)).sum(axis=1),
        "auroc_thresholded": thresholded["auroc"],
        "auprc_thresholded": thresholded["auprc"],
    }


def _ranking(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Metrics that depend on the order alone; one value a row of weights (b, n), scores must fall."""
    starts = np.flatnonzero(np.r_[True, scores[1:] != scores[:-1]])
    positive = np.add.reduceat(weights * labels, starts, axis=1)
    both = np.add.reduceat(weights, starts, axis=1)
    tp, called = np.cumsum(positive, axis=1), np.cumsum(both, axis=1)
    total = tp[:, -1]
    won = ((both - positive) * (tp - 0.5 * positive)).sum(axis=1)
    return {
        "auroc": won / (total * (called[:, -1] - total)),
        "auprc": (positive * (tp / np.maximum(called, 1))).sum(axis=1) / total,
        "recall_at_fdr10": np.where(10 * tp >= 9 * called, tp, 0).max(axis=1) / total,
    }


def _interval(name: str, value: float, replicates: np.ndarray, n: int, size: int) -> Estimate:
    """Bootstrap interval, or Wilson's where all replicates are equal, so that the interval is never a point.

    The AUPRC's is normal on the logit scale with the replicates' standard deviation, because the percentile interval
    is too short for nearly perfect networks (measured on normal samples of 500: it holds a true AUPRC of 0.998 in 87 %
    of them, the logit one in 93 %). The others' are percentiles. All replicates are equal for perfect ranking or
    decisions (value 0 or 1: Wilson's interval for none or all of the `size` sequences the metric is a share of) and
    for a constant prediction (Wilson's for a mean over all n: a mean of numbers between 0 and 1 varies at most as much
    as a proportion does; the AUPRC is then the share of positives).
    """
    lo, hi = np.percentile(replicates, [2.5, 97.5])
    if hi - lo < 1e-9:
        size = size if round(value, 9) in (0, 1) else n
        lo, hi = wilson(value * size, size)
    elif name.startswith("auprc") and value < 1:
        half = Z * replicates.std(ddof=1) / (value * (1 - value))
        lo, hi = expit(logit(value) - half), expit(logit(value) + half)
    return Estimate(value, float(min(lo, value)), float(max(hi, value)), n)


def _calibration_error(value: float, replicates: dict[str, np.ndarray], curve: Calibration) -> Estimate:
    """Interval of the expected calibration error.

    Noise only adds to a sum of absolute gaps, in the sample and once more in its resamples, so that the percentile
    interval of a well calibrated network lies wholly above its value. Its upper limit is kept, being safe. The lower
    limit is the value less the 97.5th percentile of the summed absolute changes of the gaps, which by the triangle
    inequality bound the error of the value. Where all replicates are equal, it is the value and the mean half-width of
    the bins' Wilson intervals to either side.
    """
    n = int(curve.count.sum())
    lo = value - np.percentile(replicates["ece_error"], 97.5)
    hi = np.percentile(replicates["ece"], 97.5)
    if max(hi - value, value - lo) < 1e-9:
        half = np.maximum(curve.hi - curve.observed, curve.observed - curve.lo) @ curve.count / n
        lo, hi = value - half, value + half
    return Estimate(value, float(max(lo, 0)), float(min(max(hi, value), 1)), n)


def _counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative false and true positives at each distinct score from the highest down, both starting with 0."""
    labels, scores = _sorted(labels, scores)
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True])
    tp = np.cumsum(labels)[last]
    return np.r_[0, last + 1 - tp], np.r_[0, tp]


def _sorted(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(-scores, kind="stable")
    return labels[order], scores[order]


def _bin(probabilities: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((probabilities * bins).astype(int), bins - 1)
