"""Compare two architectures on the same test sequences: how much of a difference is the network, how much is chance.

A difference varies with the seeds that the networks were trained from and with the sequences they were tested on. This
is the multi-reader, multi-case problem of radiology, with seeds as readers of one architecture each and test sequences
as cases. Over repeated splits, whose training parts overlap, see :func:`resampled`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, stdtr, stdtrit

from .components import ROUNDING, average_precision, covariance, strata_of
from .errors import ParameterError
from .evaluation import RESAMPLES, evaluate, recall_at_fdr
from .intervals import Z, checked, delong_covariance, replicate

COMPARED = ("auroc", "auprc", "brier", "recall_at_fdr10")
RELATIVE = 1e-12


@dataclass(frozen=True)
class Scores:
    """One metric of m networks on the same sequences.

    Attributes
    ----------
    values : ndarray of float64, shape (m,)
        As :func:`tfbs.evaluation.evaluate` gives them.
    covariance : ndarray of float64, shape (m, m)
        Of the values, over test sets of the same class sizes; the networks are fixed.
    limits : ndarray of float64, shape (m, 2)
        The 95 % interval of each value.
    n : int
        Test sequences.
    higher : bool
        Whether higher is better.
    """

    values: np.ndarray
    covariance: np.ndarray
    limits: np.ndarray
    n: int
    higher: bool


@dataclass(frozen=True)
class Difference:
    """Mean of a metric over our networks less that over theirs, on the same test sequences.

    Attributes
    ----------
    value, lo, hi : float
        The difference and its 95 % interval.
    p : float
        Two-sided, of no difference.
    df : float
        Degrees of freedom of Student's t; infinite where no seed varied.
    n : int
        Test sequences.
    seeds : tuple of int
        Networks on our side and on theirs. Where one side has a single network, its seed was not varied: what is said
        then holds for this network, not for its architecture.
    seed_variances : tuple of float
        Variance of the observed values over the seeds of either side, 0 where there is one.
    sequence_variance : float
        Variance of the difference from the choice of test sequences.
    higher : bool
        Whether higher is better.
    """

    value: float
    lo: float
    hi: float
    p: float
    df: float
    n: int
    seeds: tuple[int, int]
    seed_variances: tuple[float, float]
    sequence_variance: float
    higher: bool

    @property
    def seed_variance(self) -> float:
        """Variance of the difference from the choice of seeds; with `sequence_variance` it adds up to all."""
        return sum(variance / count for variance, count in zip(self.seed_variances, self.seeds, strict=True))

    @property
    def variance(self) -> float:
        """Variance of the difference, seeds and sequences both drawn anew."""
        return self.seed_variance + self.sequence_variance

    @property
    def share_of_seeds(self) -> float:
        """Share of the variance that comes from the seeds; NaN where they did not vary on both sides."""
        return self.seed_variance / self.variance if self.varied and self.variance else float("nan")

    @property
    def varied(self) -> bool:
        """Whether the seeds varied on both sides."""
        return min(self.seeds) > 1


@dataclass(frozen=True)
class Resampled:
    """Mean difference of a metric over repeated splits of one data set; the fields as in :class:`Difference`.

    Attributes
    ----------
    value, lo, hi, p, df : float
    n : int
        Splits (folds and repeats).
    variance : float
        Variance of the mean, overlap of the training parts allowed for.
    higher : bool
    """

    value: float
    lo: float
    hi: float
    p: float
    df: float
    n: int
    variance: float
    higher: bool


def measure(labels: np.ndarray, logits: np.ndarray, seed: int = 0, resamples: int = RESAMPLES) -> dict[str, Scores]:
    """Measure several networks on the same sequences, and how their figures vary together.

    Covariances: AUROC, DeLong's; AUPRC, the jackknife's; Brier score, that of a mean. Recall at 10 % FDR jumps where a
    sequence is left out, so its covariance is that of bootstrap replicates, all networks on the same resamples. The
    class sizes are taken as given throughout.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        0 (negative) or 1 (positive); at least two sequences of each.
    logits : ndarray, shape (m, n)
        One row a network.
    seed, resamples : int
        See :func:`tfbs.intervals.replicate`.

    Returns
    -------
    dict of str to Scores
        ``auroc``, ``auprc``, ``brier``, ``recall_at_fdr10``.

    Raises
    ------
    DataError
        See :func:`tfbs.intervals.delong_covariance`.
    """
    logits = np.atleast_2d(np.asarray(logits, float))
    _, areas = delong_covariance(labels, logits)
    labels, _ = checked(labels, logits[0])
    strata = strata_of(labels)
    precision = np.array([average_precision(labels, row, strata)[1] for row in logits])
    errors = (expit(logits) - labels) ** 2 / len(labels)
    replicates = replicate(
        lambda weights: {"recall": np.transpose([recall_at_fdr(labels, row, weights) for row in logits])},
        labels,
        seed,
        resamples,
        stratified=True,
    )["recall"]
    found = {
        "auroc": areas,
        "auprc": covariance(precision, strata),
        "brier": covariance(errors, strata),
        "recall_at_fdr10": np.atleast_2d(np.cov(replicates, rowvar=False)),
    }
    single = [evaluate(labels, row, seed, resamples=2) for row in logits]
    return {
        name: Scores(
            np.array([estimates[name].value for estimates in single]),
            found[name],
            np.array([(estimates[name].lo, estimates[name].hi) for estimates in single]),
            len(labels),
            name != "brier",
        )
        for name in COMPARED
    }


def difference(scores: Scores, ours: Sequence[int] | np.ndarray, theirs: Sequence[int] | np.ndarray) -> Difference:
    """Compare two architectures, each represented by one or several seeds, on the same test sequences.

    The variance of the difference of the means is (Obuchowski and Rockette, Communications in Statistics B 24, 285-308
    (1995), for readers nested in the treatment and of unequal variance)::

        s_A^2 / S_A + s_B^2 / S_B + max(c_A + c_B - 2 c_AB, 0)

    with the variance s^2 of the values over S seeds, the mean covariance c of two different seeds of one architecture,
    and that of two seeds of either architecture, c_AB. Degrees of freedom after Satterthwaite (1946), in which only the
    seeds count, as in Hillis, Statistics in Medicine 26, 596-619 (2007). A single network has no s^2, and its own
    variance instead of c: its seed is then taken as given. One network against one is so the paired z test of DeLong,
    DeLong and Clarke-Pearson (1988), for the AUROC.

    Without any variance (perfect ranking against one score for all, say) the interval is made of the limits of the two
    sides, squared and added (Zou and Donner, Statistics in Medicine 27, 1693-1702 (2008)), and p belongs to it.

    Measured on 250 positives and 250 negatives by AUROC (.85 and .99), between equal architectures whose scores hold
    effects of class, sequence, architecture by sequence, quality of the seed and seed by sequence: 2.5 to 5 of 100
    comparisons of 5 seeds each are called different, 5 to 6.5 of 2 or 3 seeds each, and 4 to 5 of single networks of
    equal quality. Where seeds differ in quality, single networks do differ, but that says little of architectures.
    Share of comparisons called different, against an AUROC of .844, with AUROCs that vary by .010 over seeds::

        true difference   .000  .013  .025  .049
        1 seed each        .15   .20   .34   .73
        3 seeds each       .06   .11   .25   .72
        5 seeds each       .05   .14   .40   .92
        10 seeds each      .05   .17   .56   .99

    The interval between two single networks (AUROC .76 to .998, 600 data sets) holds the true difference of AUROC,
    AUPRC or Brier score in 93 to 97 % of them; of recall in 92 % for weak networks to 99.8 % for nearly perfect ones.

    Parameters
    ----------
    scores : Scores
        A metric, of :func:`measure`.
    ours, theirs : sequence of int
        Rows of the networks of either architecture.

    Returns
    -------
    Difference

    Raises
    ------
    ParameterError
        If a side is empty, a row does not exist, or a row is named twice.
    """
    sides = _rows(scores, ours, theirs)
    seeds = tuple(map(len, sides))
    value = float(scores.values[sides[0]].mean() - scores.values[sides[1]].mean())
    spread = tuple(float(scores.values[side].var(ddof=1)) if len(side) > 1 else 0.0 for side in sides)
    shared = [_shared(scores.covariance[np.ix_(side, side)]) for side in sides]
    between = scores.covariance[np.ix_(*sides)].mean()
    sequences = max(float(sum(shared) - 2 * between), 0.0)
    if sequences < RELATIVE * max(shared):
        sequences = 0.0
    parts = [variance / count for variance, count in zip(spread, seeds, strict=True)]
    variance = sum(parts) + sequences
    if variance < ROUNDING:
        return _without_variance(scores, sides, value, max(shared) >= ROUNDING)
    df = _satterthwaite(variance, parts, seeds)
    half = stdtrit(df, 0.975) * variance**0.5
    p = 2 * stdtr(df, -abs(value) / variance**0.5)
    lo, hi = float(value - half), float(value + half)
    return Difference(value, lo, hi, float(p), df, scores.n, seeds, spread, sequences, scores.higher)


def resampled(differences: np.ndarray, ratio: float, higher: bool = True) -> Resampled:
    """Corrected resampled t-test of a difference over repeated splits.

    The training parts of several splits overlap, so their differences vary too little. Nadeau and Bengio, Machine
    Learning 52, 239-281 (2003), make the variance of the mean (1 / J + n_test / n_train) s^2, with J - 1 degrees of
    freedom; Bouckaert and Frank, PAKDD 2004, find it right for repeated cross-validation too.

    Parameters
    ----------
    differences : ndarray, shape (J,)
        Ours less theirs, one a split; at least two.
    ratio : float
        Test sequences over training sequences, n_test / n_train, > 0.
    higher : bool
        Whether higher is better.

    Returns
    -------
    Resampled
        Where the differences do not vary at all, nothing is known of their variance: p is 1, the interval -1 to 1.

    Raises
    ------
    ParameterError
        With fewer than two differences, one that is not finite, or a ratio that is not positive.
    """
    differences = np.asarray(differences, float)
    if differences.ndim != 1 or len(differences) < 2 or not np.isfinite(differences).all():
        raise ParameterError(
            "Expected the finite differences of at least two splits, received "
            f"{np.array2string(differences, threshold=5)}: compare over more splits."
        )
    if not 0 < ratio < float("inf"):
        raise ParameterError(f"Expected a positive ratio of test to training sequences, received {ratio:g}.")
    count, value = len(differences), float(differences.mean())
    variance = float((1 / count + ratio) * differences.var(ddof=1))
    if variance < ROUNDING:
        return Resampled(value, -1.0, 1.0, 1.0, count - 1.0, count, 0.0, higher)
    half = float(stdtrit(count - 1, 0.975) * variance**0.5)
    p = 2 * stdtr(count - 1, -abs(value) / variance**0.5)
    return Resampled(value, value - half, value + half, float(p), count - 1.0, count, variance, higher)


def holm(p: Sequence[float] | np.ndarray) -> np.ndarray:
    """Adjust the p values of a family so that one below .05 is a false positive in 5 % of families at most.

    Holm, Scandinavian Journal of Statistics 6, 65-70 (1979): the i-th smallest of m is multiplied by m - i + 1, and is
    no smaller than those before it.

    Parameters
    ----------
    p : sequence of float, shape (m,)

    Returns
    -------
    ndarray of float64, shape (m,)
        In the order of the input, at most 1.
    """
    p = np.asarray(p, float)
    order = np.argsort(p)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)), 1)
    return adjusted


def _rows(scores: Scores, ours: Sequence[int], theirs: Sequence[int]) -> list[np.ndarray]:
    sides = [np.asarray(side, int).ravel() for side in (ours, theirs)]
    named, m = np.concatenate(sides), len(scores.values)
    if not all(map(len, sides)) or len(np.unique(named)) < len(named) or named.min() < 0 or named.max() >= m:
        raise ParameterError(
            f"Expected different rows from 0 to {m - 1} for the networks of two architectures, received "
            f"{sides[0].tolist()} and {sides[1].tolist()}."
        )
    return sides


def _shared(block: np.ndarray) -> float:
    """Mean covariance of two different networks of one architecture, or the variance of a single one."""
    k = len(block)
    return float((block.sum() - np.trace(block)) / (k * (k - 1))) if k > 1 else float(block[0, 0])


def _satterthwaite(variance: float, parts: Sequence[float], seeds: Sequence[int]) -> float:
    """Degrees of freedom of a variance whose `parts`, each from some seeds, are estimated and whose rest is known."""
    uncertainty = sum(part**2 / (count - 1) for part, count in zip(parts, seeds, strict=True) if count > 1)
    return float(variance**2 / uncertainty) if uncertainty else float("inf")


def _without_variance(scores: Scores, sides: list[np.ndarray], value: float, known: bool) -> Difference:
    """Compare by the limits of the two sides; equal networks with a known variance do not differ at all."""
    seeds, spread = tuple(map(len, sides)), (0.0, 0.0)
    if known and abs(value) < RELATIVE:
        return Difference(0.0, 0.0, 0.0, 1.0, float("inf"), scores.n, seeds, spread, 0.0, scores.higher)
    (a, (a_lo, a_hi)), (b, (b_lo, b_hi)) = (
        (scores.values[side].mean(), scores.limits[side].mean(axis=0)) for side in sides
    )
    lo, hi = value - np.hypot(a - a_lo, b_hi - b), value + np.hypot(a_hi - a, b - b_lo)
    error = (value - lo if value > 0 else hi - value) / Z
    p = 2 * stdtr(float("inf"), -abs(value) / error)
    return Difference(
        value, float(lo), float(hi), float(p), float("inf"), scores.n, seeds, spread, float(error**2), scores.higher
    )
