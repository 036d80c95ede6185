"""Say in words whether one architecture is better than another, and what it would take to tell."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from .paired import Difference, Resampled

ALPHA = 0.05
POWER = 0.8
MOST = 1_000_000


@dataclass(frozen=True)
class Needed:
    """What it takes to tell two architectures apart.

    Attributes
    ----------
    sequences : int or None
        Test sequences, with the seeds as they are; None where no number suffices.
    seeds : int or None
        Seeds of each architecture, with the test sequences as they are; None where no number suffices, or where the
        seeds did not vary, so that their variance is not known.
    detectable : float
        The smallest true difference, of either sign, that the comparison as it is tells with this power.
    """

    sequences: int | None
    seeds: int | None
    detectable: float


def needed(difference: Difference, power: float = POWER, alpha: float = ALPHA) -> Needed:
    """Estimate how many test sequences or seeds would tell a true difference as large as the observed one.

    A difference d is told with the wanted power, nearly, where ``d^2 >= k^2 V`` with ``k = t(1 - alpha / 2) +
    t(power)``, quantiles of Student's t. With the variances over seeds and over sequences that were found, V is
    ``(s_A^2 + s_B^2) / S + sequences`` for S seeds each, with the degrees of freedom that S seeds give, and
    ``seeds + sequences n / n'`` for n' sequences, with the present degrees of freedom. Both variances are estimates, so
    these numbers are good to a factor of about two.

    Parameters
    ----------
    difference : Difference
    power, alpha : float
        Probability of telling the difference; two-sided level of the test.

    Returns
    -------
    Needed
    """
    factor = _factor(difference.df, power, alpha)
    room = (difference.value / factor) ** 2 - difference.seed_variance
    sequences = math.ceil(difference.n * difference.sequence_variance / room) if room > 0 else None
    detectable = float(factor * difference.variance**0.5)
    return Needed(sequences if sequences is None else max(sequences, 4), _seeds(difference, power, alpha), detectable)


def verdict(difference: Difference | Resampled, p_adjusted: float) -> str:
    """Return ``better``, ``worse`` (ours than theirs), or ``cannot tell`` where the adjusted p is not below .05."""
    if p_adjusted >= ALPHA:
        return "cannot tell"
    return "better" if (difference.value > 0) == difference.higher else "worse"


def sentence(ours: str, theirs: str, label: str, difference: Difference | Resampled, p_adjusted: float) -> str:
    """Word the verdict on two architectures.

    Parameters
    ----------
    ours, theirs : str
        Names of the architectures.
    label : str
        Name of the metric.
    difference : Difference or Resampled
        Ours less theirs.
    p_adjusted : float
        Its p, adjusted for all comparisons that were made, see :func:`tfbs.paired.holm`.

    Returns
    -------
    str
        One to four sentences.
    """
    told = verdict(difference, p_adjusted)
    d = _digits(difference)
    holm = " after Holm" if p_adjusted > difference.p else ""
    basis = (
        f"95 % interval {_number(difference.lo, d)} to {_number(difference.hi, d)}, {p_in_words(p_adjusted)}{holm}; "
        f"{_basis(difference)}"
    )
    if told == "cannot tell":
        words = f"Cannot tell {ours} from {theirs} by {label}: difference {difference.value:+.{d}f} ({basis})"
        return " ".join([words + _worst(ours, difference, d) + ".", *_missing(difference, p_adjusted, d)])
    side = "higher" if difference.value > 0 else "lower"
    words = f"{ours} is {told} than {theirs}: {label} {side} by {abs(difference.value):.{d}f} ({basis})."
    return " ".join([words, *_single_seed(difference)])


def _factor(df: float, power: float, alpha: float) -> float:
    return float(stdtrit(df, 1 - alpha / 2) + stdtrit(df, power))


def _seeds(difference: Difference, power: float, alpha: float) -> int | None:
    """Smallest number of seeds each, by bisection: both the variance and its uncertainty fall with the number."""

    def enough(count: int) -> bool:
        parts = [variance / count for variance in difference.seed_variances]
        variance = sum(parts) + difference.sequence_variance
        uncertainty = sum(part**2 for part in parts) / (count - 1)
        df = variance**2 / uncertainty if uncertainty else float("inf")
        return difference.value**2 >= _factor(df, power, alpha) ** 2 * variance

    if not difference.varied or not enough(MOST):
        return None
    least, most = 1, MOST
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (least, middle) if enough(middle) else (middle, most)
    return most


def _basis(difference: Difference | Resampled) -> str:
    if isinstance(difference, Resampled):
        return f"{difference.n} splits"
    a, b = difference.seeds
    seeds = f"{a} and {b} seeds" if a != b else f"{a} seeds each" if a > 1 else "one seed each"
    return f"{seeds}, n = {difference.n:,} test sequences"


def _worst(ours: str, difference: Difference | Resampled, digits: int) -> str:
    """By how much ours may be the worse one."""
    worst = -difference.lo if difference.higher else difference.hi
    if worst < 0.5 * 10.0**-digits:
        return ""
    if (difference.value > 0) == difference.higher:
        return f"; {ours} is at least as good to within {worst:.{digits}f}"
    return f"; at worst {ours} is {'lower' if difference.higher else 'higher'} by {worst:.{digits}f}"


def _missing(difference: Difference | Resampled, p_adjusted: float, digits: int) -> list[str]:
    """What it would take to tell, and what was not varied."""
    if isinstance(difference, Resampled):
        return []
    # Holm multiplied p, which is to have divided the level of this comparison.
    level = ALPHA * difference.p / p_adjusted if p_adjusted > difference.p > 0 else ALPHA
    least = needed(difference, alpha=level)
    if not difference.varied:
        return [*_only_sequences(least), *_single_seed(difference)]
    if least.sequences and least.seeds:
        return [
            f"To tell a difference of this size, about {_about(least.sequences)} test sequences, or about "
            f"{_about(least.seeds)} seeds each, would be needed."
        ]
    if least.seeds:
        return [
            "The seeds differ too much for more test sequences alone to tell a difference of this size; about "
            f"{_about(least.seeds)} seeds each would."
        ]
    if least.sequences:
        return [
            "More seeds alone would not tell a difference of this size; about "
            f"{_about(least.sequences)} test sequences would."
        ]
    if not (least.detectable and difference.value):
        return []
    times = (least.detectable / difference.value) ** 2
    seeds, sequences = (_about(math.ceil(times * count)) for count in (max(difference.seeds), difference.n))
    return [
        "Neither more seeds nor more test sequences alone would tell a difference of this size; about "
        f"{seeds} seeds each and {sequences} test sequences would."
    ]


def _only_sequences(least: Needed) -> list[str]:
    if least.sequences is None:
        return []
    return [f"To tell a difference of this size, about {_about(least.sequences)} test sequences would be needed."]


def _single_seed(difference: Difference | Resampled) -> list[str]:
    if isinstance(difference, Resampled) or difference.varied:
        return []
    if max(difference.seeds) == 1:
        return ["Only one seed each was compared: another seed may change this."]
    return ["One side has a single seed: another seed may change this."]


def _digits(difference: Difference | Resampled) -> int:
    """Decimals that show the interval with two digits, at least four."""
    width = difference.hi - difference.lo
    return int(np.clip(1 - math.floor(math.log10(width)), 4, 10)) if width > 0 else 4


def _number(value: float, digits: int) -> str:
    return f"{round(value, digits) + 0.0:.{digits}f}"


def p_in_words(p: float) -> str:
    """A p-value as a sentence gives it."""
    if p < 0.001:
        return "p < 0.001"
    return f"p = {p:.2f}" if p >= 0.1 else f"p = {p:.4f}" if abs(p - ALPHA) < 5e-4 else f"p = {p:.3f}"


def _about(count: int) -> str:
    """A number rounded up to two digits."""
    step = 10 ** max(len(str(count)) - 2, 0)
    return f"{math.ceil(count / step) * step:,}"
