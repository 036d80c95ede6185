"""95 % intervals of figures measured on labelled sequences, and the bootstrap that gives them where no formula does.

Areas under the ROC curve: DeLong, or Newcombe where the variance is 0. Proportions: Wilson. Sums over sequences:
:mod:`tfbs.components`. Anything else: the replicates of a bootstrap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri, stdtrit

from .components import logit_t, spread, strata_of
from .errors import DataError

Z = float(ndtri(0.975))


@dataclass(frozen=True)
class Estimate:
    """A metric, the limits of its 95 % interval, and the number of sequences it was measured on."""

    value: float
    lo: float
    hi: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.4f} (95 % interval {self.lo:.4f} to {self.hi:.4f}, n = {self.n:,})"


def auroc(labels: np.ndarray, scores: np.ndarray) -> Estimate:
    """Area under the ROC curve with a 95 % interval.

    The interval is DeLong's on the logit scale (variance: DeLong et al. 1988; scale: Pepe 2003, and Perme and Manevski
    2019, who find it the reliable choice), with Student's quantile, see :func:`tfbs.components.logit_t`. Where that
    variance is 0 (perfect separation, or one score for all) or undefined (one sequence in a class), it is Newcombe's,
    see :func:`newcombe`.

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
        See :func:`checked`.
    """
    labels, scores = checked(labels, scores)
    above, below = (placements[0] for placements in _placements(labels, scores[None]))
    added = np.empty(len(labels))
    added[labels == 1], added[labels == 0] = above / len(above), below / len(below)
    area, (variance, df) = float(above.mean()), spread(added, strata_of(labels))
    limits = logit_t(area, variance, df) if variance else newcombe(area, len(above), len(below))
    return Estimate(area, *limits, len(labels))


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
        See :func:`checked`; also with fewer than two sequences in a class.
    """
    above, below = _checked_placements(labels, np.asarray(scores)[None])
    return float(above.mean()), float(_covariance(above, below)[0, 0]), (above[0], below[0])


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
    above, below = _checked_placements(labels, np.atleast_2d(scores))
    return above.mean(axis=1), _covariance(above, below)


def _checked_placements(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Placements of scores (m, n), for which a variance takes two sequences of each class."""
    rows = [checked(labels, row) for row in scores]
    labels = rows[0][0]
    if min(labels.sum(), len(labels) - labels.sum()) < 2:
        raise DataError(
            f"Expected at least two sequences of each class for DeLong's variance, received {labels.sum()} positive "
            f"and {len(labels) - labels.sum()} negative: test on more sequences."
        )
    return _placements(labels, np.array([row for _, row in rows]))


def _covariance(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Covariance (m, m) of the areas, from the placements (m, n_positive) and (m, n_negative)."""
    return np.atleast_2d(np.cov(above) / above.shape[1] + np.cov(below) / below.shape[1])


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


def mean(values: np.ndarray, groups: np.ndarray | None = None, looks: int = 1) -> Estimate:
    """Mean with its 95 % interval, Student's.

    Parameters
    ----------
    values : ndarray, shape (n,)
        At least one.
    groups : ndarray, shape (n,), optional
        Values of one group, such as those of one sequence, may depend on each other; default: each is its own.
    looks : int
        How many means this one was picked from (Bonferroni).

    Returns
    -------
    Estimate
        `n` is the number of groups; with one group the limits are not numbers.
    """
    value = float(np.mean(values))
    deviations = np.asarray(values) - value
    if groups is not None:
        deviations = np.bincount(np.unique(groups, return_inverse=True)[1], deviations)
    k = len(deviations)
    variance = k / (k - 1) * np.sum(deviations**2) / len(values) ** 2 if k > 1 else np.nan
    half = float(stdtrit(k - 1, 1 - 0.025 / looks) * np.sqrt(variance))
    return Estimate(value, value - half, value + half, k)


def replicate(
    measure: Callable[[np.ndarray], dict[str, np.ndarray]],
    labels: np.ndarray,
    seed: int,
    resamples: int,
    stratified: bool,
) -> dict[str, np.ndarray]:
    """Bootstrap replicates of any metrics, all from the same resamples.

    Parameters
    ----------
    measure : callable
        Takes weights, ndarray of int64, shape (b, n): how often each sequence counts in each of b resamples. Returns
        the metrics by name, each an ndarray of shape (b,). Called once for every block of resamples.
    labels : ndarray of int64, shape (n,)
        0 or 1; both occur.
    seed : int
        Seed of the generator.
    resamples : int
        Resamples to draw.
    stratified : bool
        Whether to draw within each class, which takes the class sizes as given. Without it the share of positives
        varies too; resamples without one of the classes are then left out.

    Returns
    -------
    dict of str to ndarray, shape (resamples,) or shorter by those left out
    """
    random = np.random.RandomState(seed)
    classes = [np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)]
    strata = classes if stratified else [np.arange(len(labels))]
    parts = []
    for weights in _resampled(random, strata, resamples):
        whole = np.logical_and(*(weights[:, members].any(axis=1) for members in classes))
        parts.append(measure(weights[whole]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def checked(labels: np.ndarray, scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return labels as int64 and scores as float64, or say what is wrong with them.

    Parameters
    ----------
    labels, scores : ndarray, shape (n,)
        0 (negative) or 1 (positive), of any numeric type; any finite score.

    Returns
    -------
    labels : ndarray of int64, shape (n,)
    scores : ndarray of float64, shape (n,)

    Raises
    ------
    DataError
        If the lengths differ, a label is not 0 or 1, a class is missing, or a score is not finite.
    """
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
