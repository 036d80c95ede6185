"""Metrics of a binary classifier, each with a 95 % interval and the number of sequences behind it.

Ranking metrics are computed on logits, because single-precision probabilities saturate to exactly 0 and 1 and so create
ties that the network did not make. Probabilities are the logistic function of the logits in double precision.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtri

from .errors import DataError

Z = float(ndtri(0.975))
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
class Estimate:
    """A metric, the limits of its 95 % interval, and the number of sequences it was measured on."""

    value: float
    lo: float
    hi: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4f} (95 % interval {self.lo:.4f} to {self.hi:.4f}, n = {self.n:,})"


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
            See :func:`auroc`.
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
        If the lengths differ, a class is missing, or a value is not finite.
    """
    labels, logits = _checked(labels, logits)
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


def auroc(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """Area under the ROC curve with a 95 % interval.

    The interval is DeLong's on the logit scale (variance: DeLong et al. 1988; scale: Pepe 2003, and Perme and Manevski
    2019, who find it the reliable choice). Where that variance is 0 (perfect separation, or one score for all) or
    undefined (one sequence in a class), it is Newcombe's, see :func:`newcombe`.

    Parameters
    ----------
    labels, scores : ndarray, shape (n,)
        0 or 1; any finite score of which only the order counts, ties count half.

    Returns
    -------
    Estimate

    Raises
    ------
    DataError
        See :func:`evaluate`.
    """
    labels, scores = _checked(labels, scores)
    n, positives = len(labels), int(labels.sum())
    if min(positives, n - positives) < 2:
        area, variance = float(_placements(labels, scores[None])[0].mean()), 0.0
    else:
        area, variance, _ = delong(labels, scores)
    if variance == 0:
        return Estimate(area, *newcombe(area, positives, n - positives), n)
    half = Z * variance**0.5 / (area * (1 - area))
    return Estimate(area, float(expit(logit(area) - half)), float(expit(logit(area) + half)), n)


def delong(labels: np.ndarray, scores: np.ndarray) -> tuple[float, float, tuple[np.ndarray, np.ndarray]]:
    """Area under the ROC curve and its variance, in O(n log n).

    Sources: DeLong, DeLong and Clarke-Pearson, Biometrics 44, 837-845 (1988); the midrank form of Sun and Xu, IEEE
    Signal Processing Letters 21, 1389-1393 (2014).

    Parameters
    ----------
    labels, scores : ndarray, shape (n,)
        As in :func:`auroc`; at least two sequences in each class.

    Returns
    -------
    auroc : float
        Area, in [0, 1].
    variance : float
        Estimated variance of the area.
    components : tuple of ndarray, shapes (n_positive,) and (n_negative,)
        V10, the share of negatives that score below each positive, and V01, the share of positives that score above
        each negative, both in the order of the input.

    Raises
    ------
    DataError
        See :func:`evaluate`; also with fewer than two sequences in a class.
    """
    labels, scores = _checked(labels, scores)
    areas, covariance = delong_covariance(labels, scores[None])
    above, below = _placements(labels, scores[None])
    return float(areas[0]), float(covariance[0, 0]), (above[0], below[0])


def delong_covariance(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Areas of several classifiers on the same sequences, and the covariance of these areas; see :func:`delong`.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        0 or 1.
    scores : ndarray, shape (m, n)
        One row a classifier.

    Returns
    -------
    areas : ndarray of float64, shape (m,)
    covariance : ndarray of float64, shape (m, m)

    Raises
    ------
    DataError
        As :func:`delong`.
    """
    rows = [_checked(labels, row) for row in np.atleast_2d(scores)]
    labels = rows[0][0]
    if min(labels.sum(), len(labels) - labels.sum()) < 2:
        raise DataError(
            f"Expected at least two sequences of each class for DeLong's variance, received {labels.sum()} positive "
            f"and {len(labels) - labels.sum()} negative: test on more sequences."
        )
    above, below = _placements(labels, np.array([row for _, row in rows]))
    covariance = np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1]
    return above.mean(axis=1), np.atleast_2d(covariance)


def newcombe(area: float, positives: int, negatives: int) -> tuple[float, float]:
    """95 % score-type interval of an area under the ROC curve, never of width 0.

    Method 5 of Newcombe, Statistics in Medicine 25, 559-573 (2006): the areas A with (A - area)^2 = z^2 V(A), where
    V is the variance of Hanley and McNeil (1982) with both class sizes less one replaced by their mean,
    N* = (positives + negatives) / 2 - 1.

    Parameters
    ----------
    area : float
        Observed area, in [0, 1].
    positives, negatives : int
        Sequences in each class, at least 1.

    Returns
    -------
    lo, hi : float
    """
    from scipy.optimize import brentq

    mean = (positives + negatives) / 2 - 1

    def excess(a: float, observed: float) -> float:
        variance = a * (1 - a) * (1 + mean * (1 - a) / (2 - a) + mean * a / (1 + a)) / (positives * negatives)
        return observed - a - Z * variance**0.5

    def lower(observed: float) -> float:
        return brentq(excess, 0, observed - 1e-12, args=(observed,)) if observed > 1e-12 else 0.0

    return lower(area), 1 - lower(1 - area)


def wilson(successes: float | np.ndarray, n: int | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """95 % interval of the proportion successes / n: Wilson, J. Am. Stat. Assoc. 22, 209-212 (1927).

    Parameters
    ----------
    successes, n : float or ndarray
        Counts, 0 <= successes <= n, n >= 1.

    Returns
    -------
    lo, hi : ndarray of float64
        Limits in [0, 1], of the shape of the input.
    """
    share, n = np.asarray(successes, float) / n, np.asarray(n, float)
    centre = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * np.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return np.where(share == 0, 0.0, centre - half), np.where(share == 1, 1.0, centre + half)


def bootstrap(
    labels: np.ndarray, logits: np.ndarray, seed: int = 0, resamples: int = RESAMPLES, stratified: bool = True
) -> dict[str, np.ndarray]:
    """Bootstrap replicates of every metric, all from the same resamples.

    Parameters
    ----------
    labels, logits : ndarray, shape (n,)
        As in :func:`evaluate`.
    seed : int
        Seed of the generator.
    resamples : int
        Replicates.
    stratified : bool
        Whether to draw within each class, which takes the class sizes as given. Without it the share of positives
        varies too, on which average precision depends: choose that when the figure shall hold for another test set
        whose class sizes are left to chance. Resamples without one of the classes are then left out.

    Returns
    -------
    dict of str to ndarray of float64, shape (resamples,)
        The metrics of :func:`evaluate`, and ``ece_error``, the sum over bins of the absolute change of the gap.

    Raises
    ------
    DataError
        See :func:`evaluate`.
    """
    labels, logits = _sorted(*_checked(labels, logits))
    random = np.random.RandomState(seed)
    classes = [np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)]
    strata = classes if stratified else [np.arange(len(labels))]
    parts = []
    for weights in _resampled(random, strata, resamples):
        whole = np.logical_and(*(weights[:, members].any(axis=1) for members in classes))
        parts.append(_metrics(labels, logits, weights[whole]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def roc_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices of the ROC curve, from (0, 0) to (1, 1).

    Returns
    -------
    fpr, tpr : ndarray of float64, shape (thresholds + 1,)
        Shares of the negatives and of the positives at or above each distinct score.
    """
    fp, tp = _counts(*_checked(labels, scores))
    return fp / fp[-1], tp / tp[-1]


def precision_recall_curve(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Recall and precision at each distinct score, from the highest score down.

    Returns
    -------
    recall, precision : ndarray of float64, shape (thresholds,)
        The average precision is the sum of precision times the step in recall.
    """
    fp, tp = _counts(*_checked(labels, scores))
    return tp[1:] / tp[-1], tp[1:] / (tp[1:] + fp[1:])


def roc_curve_on_grid(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """True positive rate at false positive rates 0, 0.01, .. 1.

    Linear between the vertices of :func:`roc_curve`, which is the curve whose area is the AUROC (ties count half).
    Where the curve rises vertically the top is given: the first value is the recall without any false positive.

    Returns
    -------
    ndarray of float64, shape (101,)
    """
    fp, tp = _counts(*_checked(labels, scores))
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
    fp, tp = _counts(*_checked(labels, scores))
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
        See :func:`evaluate`; also for a probability outside [0, 1].
    """
    labels, probabilities = _checked(labels, probabilities)
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


def _resampled(random: np.random.RandomState, strata: list[np.ndarray], resamples: int) -> Iterator[np.ndarray]:
    """Yield blocks (b, n) of how often each sequence is drawn, with replacement and within its stratum."""
    n = sum(map(len, strata))
    block = max(1, min(resamples, 1_000_000 // n))
    for first in range(0, resamples, block):
        rows = min(block, resamples - first)
        counts = np.empty((rows, n), np.int64)
        for stratum in strata:
            size = len(stratum)
            drawn = random.randint(0, size, (rows, size)) + size * np.arange(rows)[:, None]
            counts[:, stratum] = np.bincount(drawn.ravel(), minlength=rows * size).reshape(rows, size)
        yield counts


def _placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """V10 (m, n_positive) and V01 (m, n_negative) of scores (m, n), from midranks."""
    from scipy.stats import rankdata

    positive, negative = scores[:, labels == 1], scores[:, labels == 0]
    ranks = rankdata(scores, axis=1)
    above = (ranks[:, labels == 1] - rankdata(positive, axis=1)) / negative.shape[1]
    below = 1 - (ranks[:, labels == 0] - rankdata(negative, axis=1)) / positive.shape[1]
    return above, below


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


def _checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as int64 and scores as float64, or say what is wrong with them."""
    labels, scores = np.asarray(labels), np.asarray(scores, float)
    if labels.ndim != 1 or labels.shape != scores.shape:
        raise DataError(
            f"Expected one label and one score a sequence, received labels of shape {labels.shape} and scores of shape "
            f"{scores.shape}: flatten the network's output and pass the labels of the same sequences."
        )
    if labels.dtype.kind not in "biuf":
        raise DataError(f"Expected labels 0 and 1 as numbers, received an array of {labels.dtype}: convert the labels.")
    strange = labels[(labels != 0) & (labels != 1)]
    if strange.size:
        raise DataError(f"Expected labels 0 and 1, received {strange[0]:g}: recode the labels.")
    labels = labels.astype(np.int64)
    if len(labels) in (labels.sum(), labels.sum() + len(labels)):
        kind = "sequences at all" if not len(labels) else "negatives" if labels.all() else "positives"
        raise DataError(
            f"Expected sequences of both classes, received {len(labels)} sequences and no {kind}: test on a part that "
            "holds both."
        )
    if not np.isfinite(scores).all():
        bad = ~np.isfinite(scores)
        raise DataError(
            f"Expected finite scores, received {bad.sum()} that are not, the first for sequence {bad.argmax() + 1}: "
            "train again with a lower learning rate."
        )
    return labels, scores
