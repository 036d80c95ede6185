"""Metrics of a binary classifier, each with a 95 % interval and the number of sequences behind it.

Ranking metrics are computed on logits, because single-precision probabilities saturate to exactly 0 and 1 and so create
ties that the network did not make. Probabilities are the logistic function of the logits in double precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.special import expit, stdtrit

from .components import average_precision, logit_t, spread, strata_of
from .errors import DataError
from .intervals import Estimate, auroc, checked, replicate, wilson

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

    @property
    def error(self) -> float:
        """Expected calibration error: mean absolute gap between prediction and observation over the sequences."""
        return float(np.average(np.abs(self.observed - self.predicted), weights=self.count))


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
    seed, resamples
        Of the bootstrap that gives the calibration error its interval, see :func:`tfbs.intervals.replicate`.
    stratified : bool
        Whether intervals take the class sizes as given. Average precision depends on the share of positives: choose
        False when the figure shall hold for another test set whose class sizes are left to chance.

    Returns
    -------
    dict of str to Estimate
        ``auroc``, ``auroc_thresholded``
            See :func:`tfbs.intervals.auroc`.
        ``auprc``, ``auprc_thresholded``
            Average precision; interval of its jackknife, see :func:`tfbs.components.logit_t`.
        ``accuracy``
            Share of right decisions at probability 0.5; Wilson's interval.
        ``brier``
            Mean squared error of the probability; interval as the AUPRC's.
        ``ece``
            Expected calibration error: mean absolute gap between predicted and observed share of positives over 10
            bins of equal width (Naeini et al., AAAI 2015), as in most published figures. Bins of equal mass would
            almost all lie at 0 and 1 for a confident network, and would move from network to network. Interval: see
            :func:`_calibration_error`.
        ``recall_at_fdr10``
            Largest recall at a precision of at least 0.9, 0 where no threshold has it. Being a maximum it is too high
            on few sequences of a weak network; its interval, see :func:`_recall`, allows for that.

        The two ``_thresholded`` areas are computed on the 0/1 decisions, a mistake found in published work, given so
        that its size can be seen.

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.checked`.
    """
    labels, logits = checked(labels, logits)
    strata = strata_of(labels, stratified)
    decisions = (expit(logits) >= 0.5).astype(float)
    estimates = reliability(labels, logits, seed, resamples, stratified) | {
        "auroc": auroc(labels, logits),
        "auprc": _auprc(labels, logits, strata),
        "accuracy": _accuracy(decisions == labels),
        "recall_at_fdr10": _recall(labels, logits),
        "auroc_thresholded": auroc(labels, decisions),
        "auprc_thresholded": _auprc(labels, decisions, strata),
    }
    return {name: estimates[name] for name in METRICS}


def reliability(
    labels: np.ndarray, logits: np.ndarray, seed: int = 0, resamples: int = RESAMPLES, stratified: bool = True
) -> dict[str, Estimate]:
    """Measure how far the probabilities can be believed.

    Parameters
    ----------
    labels, logits, seed, resamples, stratified
        As in :func:`evaluate`.

    Returns
    -------
    dict of str to Estimate
        ``brier`` and ``ece``, see :func:`evaluate`, and ``log_loss``: mean of -ln(probability of the true class), with
        Student's interval on the log scale, which holds the truth in 94 to 96 % of samples with at least 20 of each
        class, in 78 to 91 % with 5. Where each class has but one prediction, its limits are equal.

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.checked`.
    """
    labels, logits = checked(labels, logits)
    probabilities, strata = expit(logits), strata_of(labels, stratified)
    replicates = replicate(partial(_calibration, _gaps(labels, probabilities)), labels, seed, resamples, stratified)
    return {
        "brier": _brier(labels, probabilities, strata),
        "ece": _calibration_error(replicates, calibration_curve(labels, probabilities)),
        "log_loss": _log_loss(labels, logits, strata),
    }


def trained(logits: np.ndarray) -> bool:
    """Say whether a network tells sequences apart at all.

    It does not when a logit is not finite, when the logits are constant (standard deviation below COLLAPSE_SD: dead
    units), or when the probabilities are (below SATURATION_SD: every sequence at 0, or every one at 1).
    """
    logits = np.asarray(logits, float)
    if not np.isfinite(logits).all():
        return False
    return bool(np.std(logits) >= COLLAPSE_SD and np.std(expit(logits)) >= SATURATION_SD)


def informative(labels: np.ndarray, logits: np.ndarray) -> bool:
    """Say whether a part can teach a threshold or a calibration: it holds both classes, and is told apart at all."""
    return len(np.unique(labels)) > 1 and trained(logits)


def recall_at_fdr(labels: np.ndarray, scores: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Largest recall at a precision of at least 0.9, 0 where no threshold has it.

    Parameters
    ----------
    labels, scores : ndarray, shape (n,)
        As in :func:`tfbs.intervals.auroc`.
    weights : ndarray of int, shape (b, n), optional
        How often each sequence counts, one row a resample.

    Returns
    -------
    ndarray of float64, shape (b,), or (1,) without weights
    """
    labels, scores = checked(labels, scores)
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    weights = np.ones((1, len(labels)), np.int64) if weights is None else weights[:, order]
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True])
    tp, called = (np.cumsum(counted, axis=1)[:, last] for counted in (weights * labels, weights))
    return np.where(10 * tp >= 9 * called, tp, 0).max(axis=1) / tp[:, -1]


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


def _auprc(labels: np.ndarray, scores: np.ndarray, strata: list[np.ndarray]) -> Estimate:
    return _sum(*average_precision(labels, scores, strata), strata, labels.sum())


def _brier(labels: np.ndarray, probabilities: np.ndarray, strata: list[np.ndarray]) -> Estimate:
    added = (probabilities - labels) ** 2 / len(labels)
    return _sum(float(added.sum()), added, strata, len(labels))


def _log_loss(labels: np.ndarray, logits: np.ndarray, strata: list[np.ndarray]) -> Estimate:
    added = np.logaddexp(0, np.where(labels == 1, -logits, logits)) / len(labels)
    value, (variance, df) = float(added.sum()), spread(added, strata)
    factor = float(np.exp(stdtrit(df, 0.975) * variance**0.5 / value)) if variance else 1.0
    return Estimate(value, value / factor, value * factor, len(labels))


def _sum(value: float, added: np.ndarray, strata: list[np.ndarray], size: int) -> Estimate:
    """Interval of a metric from what each sequence adds to it, or Wilson's where that does not vary.

    That is so for perfect ranking or decisions (value 0 or 1: Wilson's interval for none or all of the `size` sequences
    the metric is a share of) and for a constant prediction (Wilson's for a mean over all n: a mean of numbers between 0
    and 1 varies at most as much as a proportion does; the AUPRC is then the share of positives).
    """
    variance, df = spread(added, strata)
    if variance:
        return _around(value, logit_t(value, variance, df), len(added))
    size = size if round(value, 9) in (0, 1) else len(added)
    return _around(value, wilson(value * size, size), len(added))


def _accuracy(right: np.ndarray) -> Estimate:
    return _around(float(right.mean()), wilson(right.sum(), len(right)), len(right))


def _recall(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """Recall at a precision of 0.9 and its interval, in which two errors are squared and added.

    One is that of the cutoff, where the precision is only estimated: the recall ranges from where Wilson's lower limit
    of the precision last reaches 0.9 to where his upper limit does. The other is that of the recall at a given cutoff,
    Wilson's. Squared and added as by Zou and Donner, Statistics in Medicine 27, 1693-1702 (2008). Measured on 2,000
    normal samples of 250 and 250, it holds the truth in 96.3 to 97.8 % of them for an AUROC of .76 to .998, and more
    often on fewer sequences or where the truth is 0; percentiles of the bootstrap do so in 70 to 96 %.
    """
    fp, tp = (counts[1:] for counts in _counts(labels, scores))
    lower, upper = wilson(tp, tp + fp)
    positives = tp[-1]
    value, least, most = (
        np.max(tp, initial=0, where=kept) / positives for kept in (tp >= 9 * fp, lower >= 0.9, upper >= 0.9)
    )
    lo, hi = wilson(value * positives, positives)
    return _around(
        value, (value - np.hypot(value - least, value - lo), value + np.hypot(most - value, hi - value)), len(labels)
    )


def _around(value: float, limits: tuple[float, float], n: int) -> Estimate:
    """Estimate with limits in [0, 1], to either side of the value."""
    return Estimate(float(value), float(np.clip(limits[0], 0, value)), float(np.clip(limits[1], value, 1)), n)


def _gaps(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Prediction less label of each sequence, in the column of its bin: (n, BINS)."""
    gaps = np.zeros((len(labels), BINS))
    gaps[np.arange(len(labels)), _bin(probabilities, BINS)] = probabilities - labels
    return gaps


def _calibration(gaps: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Sum over bins of the absolute gap, and of its absolute change; one value a row of weights (b, n)."""
    gap = weights @ gaps / len(gaps)
    return {"ece": np.abs(gap).sum(axis=1), "ece_error": np.abs(gap - gaps.mean(axis=0)).sum(axis=1)}


def _calibration_error(replicates: dict[str, np.ndarray], curve: Calibration) -> Estimate:
    """Interval of the expected calibration error.

    Noise only adds to a sum of absolute gaps, in the sample and once more in its resamples, so that the percentile
    interval of a well calibrated network lies wholly above its value. Its upper limit is kept, being safe. The lower
    limit is the value less the 97.5th percentile of the summed absolute changes of the gaps, which by the triangle
    inequality bound the error of the value. Where all replicates are equal, it is the value and the mean half-width of
    the bins' Wilson intervals to either side.
    """
    n, value = int(curve.count.sum()), curve.error
    lo = value - np.percentile(replicates["ece_error"], 97.5)
    hi = np.percentile(replicates["ece"], 97.5)
    if max(hi - value, value - lo) < 1e-9:
        half = np.maximum(curve.hi - curve.observed, curve.observed - curve.lo) @ curve.count / n
        lo, hi = value - half, value + half
    return Estimate(value, float(max(lo, 0)), float(min(max(hi, value), 1)), n)


def _counts(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative false and true positives at each distinct score from the highest down, both starting with 0."""
    order = np.argsort(-scores, kind="stable")
    labels, scores = labels[order], scores[order]
    last = np.flatnonzero(np.r_[scores[1:] != scores[:-1], True])
    tp = np.cumsum(labels)[last]
    return np.r_[0, last + 1 - tp], np.r_[0, tp]


def _bin(probabilities: np.ndarray, bins: int) -> np.ndarray:
    return np.minimum((probabilities * bins).astype(int), bins - 1)
