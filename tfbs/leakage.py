"""What a split leaks from training to test, and what one reaches on it without a network."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import clusters, sequences
from .intervals import Estimate, auroc

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

    from .datasets import Dataset
    from .splits import Split

KMER = 6
MAX_FITTED = 100_000
TELLING_SIZE = 0.6
BLOCK = 2**13


@dataclass(frozen=True)
class Overlap:
    """How many sequences of one part resemble training sequences; every count is (negatives, positives).

    Attributes
    ----------
    sequences : tuple of int
        All of the part.
    exact : tuple of int
        Those that stand in the training part letter by letter.
    reverse : tuple of int
        Those whose reverse complement, but not themselves, stands there.
    near : tuple of int
        Those that are neither but share a word with a training sequence, see :mod:`tfbs.clusters`.
    """

    sequences: tuple[int, int]
    exact: tuple[int, int]
    reverse: tuple[int, int]
    near: tuple[int, int]

    @property
    def duplicate_share(self) -> float:
        """Share of the part that stands in training on either strand."""
        return (sum(self.exact) + sum(self.reverse)) / sum(self.sequences)

    @property
    def near_share(self) -> float:
        """Share of the part that shares a word with training, duplicates included."""
        return self.duplicate_share + sum(self.near) / sum(self.sequences)

    @property
    def related(self) -> tuple[int, int]:
        """Those of any kind."""
        return tuple(map(sum, zip(self.exact, self.reverse, self.near, strict=True)))


@dataclass(frozen=True)
class Leakage:
    """What the test part gives away.

    Attributes
    ----------
    test, validation : Overlap
        What stands in the training part too, or nearly.
    word : int
        Length of the word that near-duplicates share, bp.
    window : int
        1 if every word was looked at; else shared stretches of less than ``word + window - 1`` bp may be missed.
    gc : Estimate
        AUROC of the GC content.
    kmer : Estimate
        AUROC of a logistic regression on :data:`KMER`-mer counts.
    unknown : Estimate or None
        AUROC of the share of N; None without N.
    size : Estimate or None
        AUROC of the length that sequences had before they were filled; None if none of the test part was.
    """

    test: Overlap
    validation: Overlap
    word: int
    window: int
    gc: Estimate
    kmer: Estimate
    unknown: Estimate | None = None
    size: Estimate | None = None

    @property
    def duplicate_share(self) -> float:
        """Share of the test sequences that stand in the training part too, on either strand."""
        return self.test.duplicate_share

    def sentences(self, network: float) -> list[str]:
        """Say what one must know to trust the network's AUROC on the test part, most important first."""
        best = max(estimate.value for estimate in (self.gc, self.kmer, self.unknown) if estimate)
        found = [
            f"Without a network, GC content reaches AUROC {self.gc.value:.4f} and a logistic regression on {KMER}-mer "
            f"counts {self.kmer.value:.4f}" + ("." if network > best else "; the network does not beat that.")
        ]
        if self.unknown and self.unknown.lo > 0.5:
            found.append(
                f"The share of unknown bases (N) alone reaches AUROC {self.unknown.value:.4f}: the classes differ in "
                "how their sequences were read."
            )
        if self.size and self.size.value > TELLING_SIZE:
            found.append(
                f"The length of the sequences alone reaches AUROC {self.size.value:.4f}: a network may tell the classes"
                " by the random bases that fill the shorter ones; set width= to a length that most of them reach."
            )
        found += _told(self.test, "test", self.word)
        found += _told(self.validation, "validation", self.word)
        return found

    def table(self) -> dict[str, list]:
        """Give the overlaps by column, one row a part and kind."""
        rows = [
            (name, kind, *count, sum(count) / sum(part.sequences))
            for name, part in (("test", self.test), ("validation", self.validation))
            for kind, count in (
                ("exact duplicate of a training sequence", part.exact),
                ("reverse complement of a training sequence", part.reverse),
                (f"shares {self.word} bp with a training sequence", part.near),
            )
        ]
        names = ("part", "overlap", "negatives", "positives", "share of the part")
        return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}


def report(split: Split) -> Leakage:
    """Measure what a split leaks and which shortcuts it offers.

    Parameters
    ----------
    split : Split
        Train, validation and test.

    Returns
    -------
    Leakage
    """
    train, test = split.train, split.test
    gc, kmer = (auroc(test.labels, scores(train, test)) for scores in (gc_scores, kmer_scores))
    unknown = auroc(test.labels, unknown_scores(train, test)) if (test.codes == sequences.N).any() else None
    size = auroc(test.labels, size_scores(train, test)) if (test.sizes < test.length).any() else None
    (validation_overlap, test_overlap), words = overlaps(train, (split.validation, test))
    return Leakage(test_overlap, validation_overlap, words.length, words.window, gc, kmer, unknown, size)


def overlaps(train: Dataset, parts: tuple[Dataset, ...]) -> tuple[list[Overlap], clusters.Shared]:
    """Count in each part what stands in the training part too, or nearly.

    Parameters
    ----------
    train : Dataset
        The training part.
    parts : tuple of Dataset
        Those held against it, of the same sequence length.

    Returns
    -------
    list of Overlap
        One a part.
    words : Shared
        The words looked at, over all parts. Only telling ones count (:meth:`tfbs.clusters.Shared.telling`).
    """
    words = clusters.shared(train.codes, *(part.codes for part in parts))
    telling = words.telling(words.cap)
    trained = np.zeros(len(words.holders), bool)
    trained[words.words[telling & (words.rows < len(train))]] = True
    near = np.zeros(words.size[0], bool)
    near[words.rows[telling & trained[words.words]]] = True
    known = clusters.fingerprints(train.codes)[0]
    found, first = [], len(train)
    for part in parts:
        forward, backward = clusters.fingerprints(part.codes)
        exact, reverse = np.isin(forward, known), np.isin(backward, known)
        flags = (exact, reverse & ~exact, near[first : first + len(part)] & ~exact & ~reverse)
        found.append(Overlap(*(_by_class(part.labels, flag) for flag in (np.ones(len(part), bool), *flags))))
        first += len(part)
    return found, words


def duplicate_share(train: Dataset, test: Dataset) -> float:
    """Return the share of the test sequences that stand in the training part too, on either strand."""
    known = clusters.fingerprints(train.codes)[0]
    forward, backward = clusters.fingerprints(test.codes)
    return float((np.isin(forward, known) | np.isin(backward, known)).mean())


def gc_scores(train: Dataset, test: Dataset) -> np.ndarray:
    """Score test sequences by GC content alone, signed so that the training positives score higher.

    Returns
    -------
    ndarray of float64, shape (n_test,)
        GC share of the known bases, negated if the training positives are poorer in GC than the negatives.
    """
    return _signed(train, *(_by_block(_gc, part.codes) for part in (train, test)))


def unknown_scores(train: Dataset, test: Dataset) -> np.ndarray:
    """Score test sequences by their share of N alone, signed as in :func:`gc_scores`; float64 (n_test,)."""
    return _signed(train, *(_by_block(_unknown, part.codes) for part in (train, test)))


def size_scores(train: Dataset, test: Dataset) -> np.ndarray:
    """Score test sequences by the length they had before they were filled, signed as in :func:`gc_scores`."""
    return _signed(train, train.sizes, test.sizes)


def kmer_scores(train: Dataset, test: Dataset, k: int = KMER) -> np.ndarray:
    """Score test sequences by a logistic regression on their k-mer counts, trained on the training part.

    What it reaches, a network reaches without learning where and in which order k-mers stand. A k-mer and its reverse
    complement count as one, because a factor binds either strand. Above :data:`MAX_FITTED` training sequences it is
    fitted to that many, drawn at random.

    Returns
    -------
    ndarray of float64, shape (n_test,)
        Log-odds.
    """
    from sklearn.linear_model import LogisticRegression

    rows = np.arange(len(train))
    if len(rows) > MAX_FITTED:
        rows = np.sort(np.random.RandomState(0).choice(rows, MAX_FITTED, replace=False))
    model = LogisticRegression(max_iter=1000)
    model.fit(_kmer_counts(train.codes[rows], k), train.labels[rows])
    return _by_block(lambda codes: model.decision_function(_kmer_counts(codes, k)), test.codes)


def _told(part: Overlap, name: str, word: int) -> list[str]:
    """Say what stands in the training part too."""
    total, found = sum(part.sequences), []
    duplicates, near = sum(part.exact) + sum(part.reverse), sum(part.near)
    if duplicates:
        stand = "stands" if duplicates == 1 else "stand"
        found.append(
            f"{duplicates:,} of the {total:,} {name} sequences {stand} in the training part too, on either strand."
        )
    if near:
        share = "shares" if near == 1 else "share"
        negatives, positives = (100 * n / max(of, 1) for n, of in zip(part.near, part.sequences, strict=True))
        found.append(
            f"{near:,} {'more ' if duplicates else ''}of the {total:,} {name} sequences {share} {word} bp with a "
            f"training sequence ({positives:.1f} % of the positives, {negatives:.1f} % of the negatives); "
            "split=cluster keeps such sequences on one side."
        )
    return found


def _by_class(labels: np.ndarray, flags: np.ndarray) -> tuple[int, int]:
    positives = int((flags & (labels == 1)).sum())
    return int(flags.sum()) - positives, positives


def _signed(train: Dataset, known: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Turn scores round if the training positives score lower than the negatives."""
    rises = known[train.labels == 1].mean() >= known[train.labels == 0].mean()
    return scores if rises else -scores


def _by_block(measure: Callable[[np.ndarray], np.ndarray], codes: np.ndarray) -> np.ndarray:
    """Measure every sequence, few at a time."""
    return np.concatenate([measure(codes[at : at + BLOCK]) for at in range(0, len(codes), BLOCK)])


def _unknown(codes: np.ndarray) -> np.ndarray:
    return (codes == sequences.N).mean(1)


def _gc(codes: np.ndarray) -> np.ndarray:
    known = np.maximum((codes != sequences.N).sum(1), 1)
    return ((codes == 1) | (codes == 2)).sum(1) / known


def _kmer_counts(codes: np.ndarray, k: int) -> csr_matrix:
    """Count k-mers without N, each with its reverse complement under the smaller of their two numbers: (n, 4**k)."""
    from scipy.sparse import csr_matrix

    blocks = (_kmers(codes[at : at + BLOCK], k) for at in range(0, len(codes), BLOCK))
    words, sizes = map(np.concatenate, zip(*blocks, strict=True))
    ends = np.concatenate([[0], sizes.cumsum()])
    counts = csr_matrix((np.ones(len(words)), words, ends), shape=(len(codes), 4**k))
    counts.sum_duplicates()
    return counts


def _kmers(codes: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Give the numbers of all k-mers, int32, sequence after sequence, and how many each sequence has."""
    n, length = codes.shape
    width = max(length - k + 1, 0)
    forward, backward = np.zeros((n, width), np.int32), np.zeros((n, width), np.int32)
    valid = np.ones((n, width), bool)
    for offset in range(k):
        base = codes[:, offset : offset + width]
        letter = np.minimum(base, 3).astype(np.int32)
        forward = forward * 4 + letter
        backward += (3 - letter) << 2 * offset
        valid &= base != sequences.N
    return np.minimum(forward, backward)[valid], valid.sum(1)
