"""In-silico experiments with motifs that are there: how much of the logit is lost when they are replaced."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import DataError
from .insertion import predict_made
from .intervals import Estimate, mean
from .motifs import Seqlets

if TYPE_CHECKING:
    from .effects import Predict

REPLACEMENTS = 10
"""Neutral stretches that replace a motif in turn."""


@dataclass(frozen=True)
class Ablation:
    """What is lost with each seqlet of a motif, and with a random stretch of the same sequence.

    Attributes
    ----------
    rows : ndarray of int64, shape (s,)
        Sequence of each seqlet.
    losses : ndarray of float64, shape (s,)
        Logit as it is minus mean logit with the seqlet replaced, log-odds.
    control : ndarray of float64, shape (s,)
        The same of a random stretch of the same width that touches no motif; not a number where there is no room.
    """

    rows: np.ndarray
    losses: np.ndarray
    control: np.ndarray

    @property
    def loss(self) -> Estimate:
        """Mean loss, log-odds; `n` counts sequences, whose seqlets may depend on each other."""
        return mean(self.losses, self.rows)

    @property
    def random_loss(self) -> Estimate | None:
        """Mean loss with a random stretch, log-odds; None if no sequence has room for one."""
        return self._where_room(self.control)

    @property
    def difference(self) -> Estimate | None:
        """Mean loss with a seqlet minus that with a random stretch of its sequence, log-odds; None as above."""
        return self._where_room(self.losses - self.control)

    def _where_room(self, values: np.ndarray) -> Estimate | None:
        room = np.isfinite(self.control)
        return mean(values[room], self.rows[room]) if room.any() else None


@dataclass(frozen=True)
class Explained:
    """How much of the logits all motifs together explain.

    Attributes
    ----------
    losses : ndarray of float64, shape (n,)
        Logit as it is minus mean logit with all motifs replaced, log-odds; 0 for a sequence without motifs.
    whole : ndarray of float64, shape (n,)
        Logit as it is minus mean logit of the neutral sequences, log-odds.
    covered : ndarray of float64, shape (n,)
        Share of the bases that lie in motifs.
    """

    losses: np.ndarray
    whole: np.ndarray
    covered: np.ndarray

    @property
    def share(self) -> Estimate | None:
        """Mean of `losses` as a share of that of `whole`; None if the logits are no higher than the neutral ones.

        The interval is that of a ratio of means (Cochran, "Sampling Techniques", 1977, section 6.3); it takes the
        neutral sequences as given.
        """
        total = float(self.whole.mean())
        if total <= 0:
            return None
        share = float(self.losses.mean()) / total
        error = mean(self.losses - share * self.whole)
        return Estimate(share, share + error.lo / total, share + error.hi / total, error.n)


def ablate(
    predict: Predict,
    codes: np.ndarray,
    seqlets: Seqlets,
    neutral: np.ndarray,
    others: Sequence[Seqlets] = (),
    replacements: int = REPLACEMENTS,
    seed: int = 0,
) -> Ablation:
    """Replace each seqlet of a motif and measure how much of the logit is lost.

    A stretch is replaced by what stands at its place in neutral sequences drawn at random. Its control is a random
    stretch of the same width elsewhere in the sequence, replaced from the same neutral sequences.

    Parameters
    ----------
    predict : callable
        The network: codes (N, L) -> logits (N,).
    codes : ndarray of uint8, shape (n, L)
        Sequences, as in :func:`tfbs.motifs.discover`.
    seqlets : Seqlets
        Where the motif lies, as :attr:`tfbs.motifs.Pattern.seqlets`.
    neutral : ndarray of uint8, shape (m, L)
        Sequences without motifs, such as shuffled negatives; some hundred are enough.
    others : sequence of Seqlets
        Other motifs, which the control is not to touch either.
    replacements : int
        Neutral stretches to average over.
    seed : int
        0 to 4294967295; the same seed gives the same result.

    Returns
    -------
    Ablation

    Raises
    ------
    DataError
        If there is no seqlet, one lies outside the sequences, or the neutral sequences have another length.

    Notes
    -----
    ``ablate`` of tangermeme shuffles the stretch itself. Shuffled letters keep some of the motif: with one planted in
    50 bp, random stretches replaced from dinucleotide shuffles of their own sequence raised the logit by 0.48 log-odds,
    and replaced from 100 shuffled negatives by 0.10 (baseline network).
    """
    covered, random = _covered(codes, neutral, seqlets, *others), np.random.RandomState(seed)
    replacing = _drawn(neutral, len(codes), replacements, random)
    elsewhere = _elsewhere(covered[seqlets.rows], seqlets.width, random)
    room = elsewhere >= 0
    rows, starts = np.r_[seqlets.rows, seqlets.rows[room]], np.r_[seqlets.starts, elsewhere[room]][:, None]
    places = np.arange(codes.shape[1])
    stretches = (places >= starts) & (places < starts + seqlets.width)
    losses, random_losses = np.split(_losses(predict, codes, replacing, rows, stretches), [len(seqlets)])
    control = np.full(len(seqlets), np.nan)
    control[room] = random_losses
    return Ablation(seqlets.rows, losses, control)


def ablate_all(
    predict: Predict,
    codes: np.ndarray,
    seqlets: Sequence[Seqlets],
    neutral: np.ndarray,
    replacements: int = REPLACEMENTS,
    seed: int = 0,
) -> Explained:
    """Replace all motifs of each sequence at once, and measure how much of the logit they explain.

    Parameters
    ----------
    predict, codes, neutral, replacements, seed
        As in :func:`ablate`.
    seqlets : sequence of Seqlets
        Where each motif lies; they may overlap.

    Returns
    -------
    Explained

    Raises
    ------
    DataError
        As :func:`ablate`.
    """
    covered, rows = _covered(codes, neutral, *seqlets), np.arange(len(codes))
    replacing = _drawn(neutral, len(codes), replacements, np.random.RandomState(seed))
    losses = _losses(predict, codes, replacing, rows, covered)
    return Explained(losses, _predicted(predict, codes) - _predicted(predict, neutral).mean(), covered.mean(1))


def _losses(
    predict: Predict, codes: np.ndarray, replacing: np.ndarray, rows: np.ndarray, replaced: np.ndarray
) -> np.ndarray:
    """Mean loss of logit when the bases marked in `replaced` (s, L) of sequences `rows` (s,) are replaced: (s,)."""
    k = replacing.shape[1]

    def make(numbers: np.ndarray) -> np.ndarray:
        i, j = np.divmod(numbers, k)
        return np.where(replaced[i], replacing[rows[i], j], codes[rows[i]])

    return _predicted(predict, codes)[rows] - predict_made(predict, len(rows) * k, make).reshape(-1, k).mean(1)


def _predicted(predict: Predict, codes: np.ndarray) -> np.ndarray:
    return predict_made(predict, len(codes), codes.__getitem__)


def _drawn(neutral: np.ndarray, n: int, k: int, random: np.random.RandomState) -> np.ndarray:
    """Neutral sequences to replace from, k for each of n: (n, k, L)."""
    return neutral[random.randint(0, len(neutral), (n, k))]


def _elsewhere(covered: np.ndarray, width: int, random: np.random.RandomState) -> np.ndarray:
    """Random start in each row of a stretch that touches nothing covered (s, L), -1 without room: (s,)."""
    taken = np.lib.stride_tricks.sliding_window_view(covered, width, axis=1).any(2)
    return np.where(taken.all(1), -1, np.where(taken, -1, random.random_sample(taken.shape)).argmax(1))


def _covered(codes: np.ndarray, neutral: np.ndarray, *seqlets: Seqlets) -> np.ndarray:
    """Which bases (n, L) lie in a seqlet; insist on seqlets on the sequences and on neutral ones of their length."""
    n, length = codes.shape
    if not len(neutral) or neutral.shape[1] != length:
        raise DataError(
            f"Expected at least one neutral sequence of {length} bp to replace motifs from, received {len(neutral):,} "
            f"of {neutral.shape[1]} bp: shuffle sequences of this length."
        )
    if not sum(map(len, seqlets)):
        raise DataError("Expected at least one seqlet to replace, received none: find motifs first.")
    covered = np.zeros((n, length), bool)
    for each in filter(len, seqlets):
        ends = each.starts + each.width
        if each.rows.min() < 0 or each.rows.max() >= n or each.starts.min() < 0 or ends.max() > length:
            raise DataError(
                f"Expected seqlets on {n:,} sequences of {length} bp, received sequence {each.rows.max() + 1:,} and "
                f"stretches from {each.starts.min() + 1} to {ends.max()} bp: give the sequences they were found on."
            )
        covered[each.rows[:, None], each.starts[:, None] + np.arange(each.width)] = True
    return covered
