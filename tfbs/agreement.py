"""How far networks agree: in the order they give the sequences, in the bases they point at, and where they differ most.

Networks are stacked on the first axis; ``groups`` names the architecture of each, so that agreement between the seeds
of one architecture can be told from agreement between architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

import numpy as np
from scipy.special import expit

from .errors import DataError
from .intervals import Estimate, mean

_BLOCK = 1_000_000
_FLOAT32_RESOLUTION = 1e-6
_TIE = 1e-6


@dataclass(frozen=True)
class Pairing:
    """Agreement between two architectures, or between the seeds of one.

    Attributes
    ----------
    first, second : str
        The architectures; equal for the seeds of one.
    mean, lowest, highest : float
        Correlation over the pairs of networks; NaN without any pair.
    pairs : int
        Pairs of networks whose correlation is defined.
    """

    first: str
    second: str
    mean: float
    lowest: float
    highest: float
    pairs: int

    @property
    def label(self) -> str:
        """Say in words what was paired."""
        return f"{self.first}, between seeds" if self.first == self.second else f"{self.first} and {self.second}"

    def __str__(self) -> str:
        if not self.pairs:
            return "no two networks to compare"
        if self.pairs == 1:
            return f"{self.mean:.3f} (1 pair of networks)"
        return f"{self.mean:.3f} ({self.lowest:.3f} to {self.highest:.3f}, {self.pairs} pairs of networks)"


@dataclass(frozen=True)
class Disagreements:
    """The sequences on which networks disagree most, the strongest disagreement first.

    Attributes
    ----------
    names : tuple of str, length a
        Architectures in the order of their first network.
    indices : ndarray of int, shape (k,)
        Positions of the sequences.
    labels : ndarray, shape (k,)
        True labels of these sequences.
    means, sds : ndarray of float64, shape (a, k)
        Mean probability of each architecture over its seeds and the standard deviation over them (n - 1); the latter
        is NaN for one seed.
    """

    names: tuple[str, ...]
    indices: np.ndarray
    labels: np.ndarray
    means: np.ndarray
    sds: np.ndarray


def predictions(logits: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of the logits between networks.

    Ranks, because the areas under the curves depend on nothing else; ties get their mean rank.

    Parameters
    ----------
    logits : ndarray, shape (m, n)
        One row a network.

    Returns
    -------
    ndarray of float64, shape (m, m)
        Symmetric, in [-1, 1]. The row and column of a network are NaN where its logits are constant or hold a NaN.

    Raises
    ------
    DataError
        If `logits` has not two dimensions.
    """
    from scipy.stats import rankdata

    logits = _stacked(logits, 2, "logits", "(networks, sequences)")
    unit = _standardised(rankdata(logits, axis=1))
    return np.clip(unit @ unit.T, -1, 1)


def attributions(contributions: np.ndarray) -> np.ndarray:
    """Mean over the sequences of Pearson's correlation between two networks' contributions of the bases.

    A correlation asks whether two networks point at the same bases of a sequence: it is blind to the scale of a
    network and to what it adds to all bases alike. Cosine similarity is not blind to the latter: two maps whose
    contributions are mostly positive are similar by it even where they point at different bases. Pearson's correlation
    is also what Esser-Skala and Fortelny (npj Systems Biology and Applications, 2023, doi:10.1038/s41540-023-00310-8)
    take between the importance scores of networks that differ in their seed. It is taken within each sequence, since
    over all of them it would mostly tell strong sequences from weak ones. Memory beyond the input holds about a million
    values at a time, or those of one sequence if these are more.

    Parameters
    ----------
    contributions : ndarray, shape (m, n, L)
        Contribution of each base in the same n sequences, one block a network, as
        :attr:`tfbs.attribution.Attribution.contributions`.

    Returns
    -------
    ndarray of float64, shape (m, m)
        Symmetric, in [-1, 1]. Sequences are left out of a pair where the contributions of either network are constant
        or not finite; NaN where none is left.

    Raises
    ------
    DataError
        If `contributions` has not three dimensions.
    """
    contributions = _stacked(contributions, 3, "contributions", "(networks, sequences, positions)")
    m, n, length = contributions.shape
    total, count = np.zeros((m, m)), np.zeros((m, m))
    block = max(1, _BLOCK // max(1, m * max(m, length)))
    for first in range(0, n, block):
        unit = _standardised(contributions[:, first : first + block]).swapaxes(0, 1)
        correlations = unit @ unit.swapaxes(1, 2)
        total += np.nansum(correlations, axis=0)
        count += np.isfinite(correlations).sum(axis=0)
    return np.clip(np.divide(total, count, out=np.full((m, m), np.nan), where=count > 0), -1, 1)


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's rho over the last axis; values closer than a millionth of the largest may tie.

    Parameters
    ----------
    first, second : ndarray, shape (..., L)
        Shapes that fit each other.

    Returns
    -------
    ndarray of float64, shape (...)
        NaN where either is constant or not finite.
    """
    return (_unit_ranks(first) * _unit_ranks(second)).sum(-1)


def mutagenesis(contributions: np.ndarray, losses: np.ndarray) -> Estimate:
    """Rank correlation of contributions with in-silico mutagenesis, a second witness.

    Parameters
    ----------
    contributions : ndarray, shape (n, L)
        Log-odds.
    losses : ndarray, shape (n, L)
        Mean loss of logit when a base is replaced, see :func:`tfbs.mutagenesis.losses`.

    Returns
    -------
    Estimate
        Spearman's rho within a sequence, -1 to 1, mean over those in which neither is constant; not a number if there
        is none.
    """
    found = rank_correlation(contributions, losses)
    found = found[np.isfinite(found)]
    return mean(found) if len(found) else Estimate(np.nan, np.nan, np.nan, 0)


def summary(matrix: np.ndarray, groups: Sequence[str]) -> list[Pairing]:
    """Sum up a matrix of :func:`predictions` or :func:`attributions` by architecture.

    Parameters
    ----------
    matrix : ndarray, shape (m, m)
        Symmetric; NaN is left out.
    groups : sequence of str, length m
        Architecture of each network.

    Returns
    -------
    list of Pairing
        Each architecture between its seeds, then each pair of architectures, in the order of their first networks.

    Raises
    ------
    DataError
        If the lengths differ.
    """
    matrix = _stacked(matrix, 2, "the matrix", "(networks, networks)")
    members = _members(groups, len(matrix))
    pairings = [_pairing(matrix, members, first, second) for first, second in combinations_with_replacement(members, 2)]
    return sorted(pairings, key=lambda pairing: pairing.first != pairing.second)


def disagreements(logits: np.ndarray, groups: Sequence[str], labels: np.ndarray, count: int) -> Disagreements:
    """Find the sequences on which architectures disagree most.

    The measure is the gap between the highest and the lowest of the architectures' mean probabilities; for one
    architecture alone it is the standard deviation of the probability over its seeds. Ties go to the earlier sequence.

    Parameters
    ----------
    logits : ndarray, shape (m, n)
        One row a network; leave out those that did not train.
    groups : sequence of str, length m
        Architecture of each network.
    labels : ndarray, shape (n,)
        0 or 1.
    count : int
        Sequences wanted; fewer come back if there are fewer, and none for one network alone.

    Returns
    -------
    Disagreements

    Raises
    ------
    DataError
        If shapes do not fit or a logit is not finite.
    """
    logits, labels = _stacked(logits, 2, "logits", "(networks, sequences)"), np.asarray(labels)
    members = _members(groups, len(logits))
    if labels.shape != logits.shape[1:]:
        raise DataError(
            f"Expected one label a sequence, received {labels.size} labels for logits of {logits.shape[1]} sequences: "
            "pass the labels of the part that was predicted."
        )
    if not np.isfinite(logits).all():
        row = int(np.argmin(np.isfinite(logits).all(axis=1)))
        raise DataError(f"Expected finite logits, received others from network {row + 1}: leave that network out.")
    parts = [expit(logits[rows]) for rows in members.values()]
    means = np.array([part.mean(axis=0) for part in parts])
    sds = np.array([part.std(axis=0, ddof=1) if len(part) > 1 else np.full(part.shape[1], np.nan) for part in parts])
    gap = np.ptp(means, axis=0) if len(parts) > 1 else sds[0]
    order = np.argsort(-np.round(gap, 12), kind="stable")
    chosen = order[np.isfinite(gap[order])][:count]
    return Disagreements(tuple(members), chosen, labels[chosen], means[:, chosen], sds[:, chosen])


def _pairing(matrix: np.ndarray, members: dict[str, np.ndarray], first: str, second: str) -> Pairing:
    values = matrix[np.ix_(members[first], members[second])]
    if first == second:
        values = values[np.triu_indices(len(values), 1)]
    values = values[np.isfinite(values)]
    if not values.size:
        return Pairing(first, second, np.nan, np.nan, np.nan, 0)
    return Pairing(first, second, float(values.mean()), float(values.min()), float(values.max()), values.size)


def _members(groups: Sequence[str], m: int) -> dict[str, np.ndarray]:
    """Rows of each architecture, in the order of their first rows."""
    if len(groups) != m:
        raise DataError(f"Expected one architecture a network, received {len(groups)} names for {m} networks.")
    return {name: np.flatnonzero([group == name for group in groups]) for name in dict.fromkeys(groups)}


def _stacked(values: np.ndarray, dimensions: int, what: str, axes: str) -> np.ndarray:
    values = np.asarray(values)
    if values.ndim != dimensions or 0 in values.shape:
        raise DataError(f"Expected {what} of shape {axes}, none of them 0, received shape {values.shape}.")
    return values


def _unit_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks, centred and of length 1."""
    from scipy.stats import rankdata

    values = np.asarray(values, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        ranks = rankdata(np.round(values / (_TIE * np.abs(values).max(-1, keepdims=True))), axis=-1)
        ranks -= ranks.mean(-1, keepdims=True)
        return ranks / np.linalg.norm(ranks, axis=-1, keepdims=True)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Centre the last axis and scale it to length 1, in float64; NaN where it is constant or not finite."""
    values = np.asarray(values, np.float64)
    with np.errstate(invalid="ignore"):
        centred = values - values.mean(axis=-1, keepdims=True)
        norm = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
        resolution = _FLOAT32_RESOLUTION * np.sqrt((values**2).sum(axis=-1, keepdims=True))
    norm[~(norm > resolution)] = np.nan
    return centred / norm
