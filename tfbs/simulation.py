"""Simulated binding sites with a known truth, as easy or as hard as one likes.

The default equals the published exercise in distribution: 2,000 sequences of 50 bp with uniform bases, 987 of them
with one AAAGAGGAAGTT written over a random position, 1,013 without it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import sequences
from .errors import DataError, ParameterError, require

MAX_TRIES = 1000


@dataclass(frozen=True)
class Simulation:
    """Settings of the simulated data set.

    Attributes
    ----------
    motif : str
        Letters ACGT planted into every positive.
    length : int
        Sequence length, bp.
    n_positives, n_negatives : int
        Sequences of each class.
    pwm : str
        Path of a matrix (one line per position, four columns A C G T, counts or probabilities) from which every planted
        site is drawn; replaces `motif`.
    both_strands : bool
        Plant half of the sites as reverse complement.
    mutation_rate : float
        Probability that a planted base is replaced by one of the three others.
    decoys : float
        Share of the negatives that carry the motif's letters in shuffled order, so that composition says nothing.
    data_seed : int
        Seed of the data; the training seed does not change them.
    """

    motif: str = "AAAGAGGAAGTT"
    length: int = 50
    n_positives: int = 987
    n_negatives: int = 1013
    pwm: str = ""
    both_strands: bool = False
    mutation_rate: float = 0.0
    decoys: float = 0.0
    data_seed: int = 0

    def __post_init__(self):
        checks = {
            "motif": (bool(self.motif) and set(self.motif) <= set("ACGT"), "letters A, C, G and T"),
            "length": (self.length >= 1, "a positive number of bp"),
            "n_positives": (self.n_positives >= 10, "at least 10"),
            "n_negatives": (self.n_negatives >= 10, "at least 10"),
            "mutation_rate": (0 <= self.mutation_rate <= 1, "a share from 0 to 1"),
            "decoys": (0 <= self.decoys <= 1, "a share from 0 to 1"),
            "data_seed": (0 <= self.data_seed < 2**32, "a whole number from 0 to 4294967295"),
        }
        require(self, checks)
        if self.length < len(self.consensus):
            raise ParameterError(
                f"length: expected at least the {len(self.consensus)} bp of the motif, received {self.length}: use "
                "longer sequences or a shorter motif."
            )
        if len(set(self.consensus)) < 2 and self.decoys:
            raise ParameterError(
                f'decoys: expected a motif of at least two different letters, received "{self.consensus}": its '
                "shuffles are the motif itself."
            )

    @cached_property
    def matrix(self) -> np.ndarray:
        """Base probabilities of the planted site, shape (width, 4)."""
        return read_pwm(self.pwm) if self.pwm else sequences.one_hot(sequences.encode_strings([self.motif]))[0]

    @cached_property
    def consensus(self) -> str:
        """The motif, or the most probable letters of the PWM."""
        return sequences.decode(self.matrix.argmax(1)[None])[0]


def read_pwm(path: str) -> np.ndarray:
    """Read a matrix of one line per position and four columns A C G T.

    Parameters
    ----------
    path : str
        Whitespace-separated counts or probabilities; lines starting with ``#`` or ``>`` are skipped.

    Returns
    -------
    ndarray of float64, shape (width, 4)
        Rows sum to 1.

    Raises
    ------
    DataError
        If a line does not hold four non-negative numbers with a positive sum.
    """
    rows = []
    for number, line in enumerate(sequences.read_lines(path), 1):
        if not line.strip() or line.startswith(("#", ">")):
            continue
        try:
            row = np.array(line.split(), float)
        except ValueError:
            row = np.zeros(0)
        if row.shape != (4,) or not np.isfinite(row).all() or row.min() < 0 or row.sum() == 0:
            raise DataError(
                f"{path}, line {number}: expected four non-negative numbers (A C G T) with a positive sum, received "
                f'"{line.strip()[:40]}": correct this line.'
            )
        rows.append(row / row.sum())
    if not rows:
        raise DataError(f"{path}: expected a matrix of four columns, received no numbers.")
    return np.array(rows)


def simulate(settings: Simulation) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the data set.

    Parameters
    ----------
    settings : Simulation
        What to plant, how often, how cleanly.

    Returns
    -------
    codes : ndarray of uint8, shape (N, length)
        Sequences, classes in random order.
    labels : ndarray of uint8, shape (N,)
        1 where a site is planted.
    starts : ndarray of int32, shape (N,)
        0-based position of the site, -1 in negatives.

    Notes
    -----
    As in the published sequences, a site never ends on the last base: it starts at 0 to length - width - 1.
    No negative holds the consensus, and no positive holds it outside its site (on either strand when `both_strands`).
    The same settings give the same bytes everywhere: the stream of ``numpy.random.RandomState`` is frozen (NEP 19).
    """
    random = np.random.RandomState(settings.data_seed)
    classes = np.repeat(np.array([1, 0], np.uint8), [settings.n_positives, settings.n_negatives])
    labels = random.permutation(classes)
    drawn = [_draw(settings, bool(label), random) for label in labels]
    codes = np.array([row for row, _ in drawn], np.uint8)
    return codes, labels, np.array([start for _, start in drawn], np.int32)


def _draw(settings: Simulation, positive: bool, random: np.random.RandomState) -> tuple[np.ndarray, int]:
    """Draw one sequence and the position of its site (-1 if none), until it holds no site by chance."""
    width = len(settings.consensus)
    decoy = not positive and random.random_sample() < settings.decoys
    for _ in range(MAX_TRIES):
        row = random.randint(0, 4, settings.length, dtype=np.uint8)
        start = int(random.randint(0, max(settings.length - width, 1), dtype=np.int64))
        planted = np.zeros(0, np.uint8)
        if positive:
            planted = _site(settings, random)
        elif decoy:
            planted = random.permutation(sequences.encode_strings([settings.consensus])[0])
        row[start : start + len(planted)] = planted
        if _occurrences(row, settings) == (_occurrences(planted, settings) if positive else 0):
            return row, start if positive else -1
    raise ParameterError(
        f'motif: expected one that random sequences of {settings.length} bp rarely hold, received "'
        f'{settings.consensus}": use a longer motif or shorter sequences.'
    )


def _site(settings: Simulation, random: np.random.RandomState) -> np.ndarray:
    """Draw one planted site, codes (width,)."""
    cumulative = settings.matrix.cumsum(1)
    draws = random.random_sample(len(cumulative))
    site = (draws[:, None] >= cumulative[:, :3]).sum(1).astype(np.uint8)
    mutated = random.random_sample(len(site)) < settings.mutation_rate
    site[mutated] = (site[mutated] + random.randint(1, 4, int(mutated.sum()), dtype=np.uint8)) % 4
    reverse = random.random_sample() < 0.5
    return sequences.reverse_complement(site) if settings.both_strands and reverse else site


def _occurrences(row: np.ndarray, settings: Simulation) -> int:
    """Count the consensus in a sequence, overlaps included, on both strands when sites are planted on both."""
    strands = [row, sequences.reverse_complement(row)] if settings.both_strands else [row]
    texts, motif = sequences.decode(np.array(strands)), settings.consensus
    return sum(text.startswith(motif, i) for text in texts for i in range(len(text) - len(motif) + 1))
