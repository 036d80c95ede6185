"""From attributions to motifs: what the network reads again and again, as matrices and as places."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import modisco
from .errors import AttributionError
from .modisco import Discovery
from .sequences import N, decode, one_hot, reverse_complement

SIMILAR = 0.9
"""Cosine of two aligned matrices, of contributions or of bits, from which on they are one motif."""

TRIM, TRIM_BITS = 0.3, 1.0
"""A pattern ends where contributions fall below this share of its strongest position, and information below this."""

FLANK = 5


@dataclass(frozen=True)
class Seqlets:
    """Stretches of one width, aligned with each other.

    Attributes
    ----------
    rows : ndarray of int64, shape (n,)
        Sequence on which each lies.
    starts : ndarray of int64, shape (n,)
        0-based leftmost position on that sequence as it was given.
    reverse : ndarray of bool, shape (n,)
        Whether the stretch is read as reverse complement.
    width : int
        bp.
    """

    rows: np.ndarray
    starts: np.ndarray
    reverse: np.ndarray
    width: int

    def __len__(self) -> int:
        return len(self.rows)

    def moved(self, column: int, width: int, flip: bool = False) -> Seqlets:
        """Return the stretches from `column` on, `width` wide, and read them on the other strand if `flip`."""
        starts = np.where(self.reverse, self.starts + self.width - column - width, self.starts + column)
        return Seqlets(self.rows, starts, self.reverse ^ flip, width)

    def take(self, chosen: np.ndarray) -> Seqlets:
        """Return those with the given indices."""
        return Seqlets(self.rows[chosen], self.starts[chosen], self.reverse[chosen], self.width)

    def joined(self, other: Seqlets) -> Seqlets:
        """Return these and then others of the same width."""
        pairs = ((self.rows, other.rows), (self.starts, other.starts), (self.reverse, other.reverse))
        return Seqlets(*map(np.concatenate, pairs), self.width)

    def read(self, values: np.ndarray, beyond: float) -> np.ndarray:
        """Cut the stretches out of values (N, L), by increasing position: (n, width), `beyond` where there is none."""
        at = self.starts[:, None] + np.arange(self.width)
        inside = (at >= 0) & (at < values.shape[1])
        return np.where(inside, values[self.rows[:, None], np.where(inside, at, 0)], values.dtype.type(beyond))


@dataclass(frozen=True)
class Pattern:
    """A motif that the network reads.

    Attributes
    ----------
    name : str
        ``pos_1`` is the most important of those that raise the logit, ``neg_1`` of those that lower it.
    cwm : ndarray of float64, shape (w, 4)
        Contribution weight matrix: mean contribution of each base to the logit, log-odds.
    ppm : ndarray of float64, shape (w, 4)
        Probability of each base; rows sum to 1.
    seqlets : Seqlets
        Where it occurs.
    scores : ndarray of float64, shape (n,)
        Sum of the contributions within each seqlet, log-odds.
    length : int
        Length of the sequences, bp.
    """

    name: str
    cwm: np.ndarray
    ppm: np.ndarray
    seqlets: Seqlets
    scores: np.ndarray
    length: int

    @property
    def count(self) -> int:
        """Number of seqlets."""
        return len(self.seqlets)

    @property
    def sign(self) -> str:
        """``pos`` if it raises the logit, else ``neg``."""
        return "pos" if self.scores.sum() > 0 else "neg"

    @property
    def importance(self) -> float:
        """Number of seqlets times their mean contribution, without sign: log-odds over all sequences."""
        return float(abs(self.scores.sum()))

    @cached_property
    def bits(self) -> np.ndarray:
        """Heights of the letters in a logo of the bases, (w, 4): see :func:`information`."""
        return information(self.ppm)

    @property
    def consensus(self) -> str:
        """The most probable letters, lower case where less than half of the seqlets have them."""
        letters = decode(self.ppm.argmax(1)[None])[0]
        return "".join(a if p >= 0.5 else a.lower() for a, p in zip(letters, self.ppm.max(1), strict=True))

    def positions(self, bins: int = 50) -> tuple[np.ndarray, np.ndarray]:
        """Count the seqlets by the position of their middle: counts (b,) and edges (b + 1,), bp from 1."""
        edges = np.linspace(0.5, self.length + 0.5, min(bins, self.length) + 1)
        return np.histogram(self.seqlets.starts + (self.seqlets.width + 1) / 2, edges)

    def examples(self) -> dict[str, int]:
        """Seqlets that stand for all, at most one a sequence: the strongest, the median and the weakest."""
        order = np.argsort(-np.abs(self.scores), kind="stable")
        order = order[np.sort(np.unique(self.seqlets.rows[order], return_index=True)[1])]
        return {name: int(order[i]) for name, i in (("strongest", 0), ("median", len(order) // 2), ("weakest", -1))}

    def flipped(self) -> Pattern:
        """Return the same motif, read on the other strand."""
        turned = self.seqlets.moved(0, self.seqlets.width, flip=True)
        return replace(self, cwm=self.cwm[::-1, ::-1], ppm=self.ppm[::-1, ::-1], seqlets=turned)


def information(ppm: np.ndarray) -> np.ndarray:
    """Share of each base in the information of its position: (w, 4) bits; rows sum to 0 (even bases) up to 2."""
    ppm = np.asarray(ppm, np.float64)
    entropy = -np.sum(ppm * np.log2(np.where(ppm > 0, ppm, 1)), axis=1, keepdims=True)
    return ppm * (2 - entropy)


def discover(
    codes: np.ndarray, contributions: np.ndarray, hypothetical: np.ndarray, settings: Discovery | None = None
) -> list[Pattern]:
    """Find the motifs that contribute alike in many sequences, with TF-MoDISco.

    TF-MoDISco cuts stretches of high contribution ("seqlets") out of the sequences, clusters them on both strands and
    aligns each cluster. Then its patterns are trimmed, duplicates are merged, and all numbers are taken anew from what
    was given. A pattern faces the strand on which most of its seqlets lie. The same input gives the same patterns.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, L)
        Sequences; some hundred positives are enough.
    contributions : ndarray, shape (n, L)
        As in :class:`tfbs.attribution.Attribution`.
    hypothetical : ndarray, shape (n, L, 4)
        As in :class:`tfbs.attribution.Attribution`.
    settings : Discovery, optional
        Default: :class:`tfbs.modisco.Discovery`.

    Returns
    -------
    list of Pattern
        The most important first; empty if the network reads nothing that recurs: :func:`sentence` says so in words.

    Raises
    ------
    AttributionError
        If shapes do not fit, a contribution is not finite, or TF-MoDISco fails.

    References
    ----------
    Shrikumar et al., "Technical note on transcription factor motif discovery from importance scores (TF-MoDISco)",
    arXiv:1811.00416 (2018).
    """
    n, length = codes.shape
    if contributions.shape != (n, length) or hypothetical.shape != (n, length, 4):
        raise AttributionError(
            f"Expected contributions of shape {(n, length)} and hypothetical ones of shape {(n, length, 4)} for {n} "
            f"sequences of {length} bp, received {contributions.shape} and {hypothetical.shape}."
        )
    if not (np.isfinite(contributions).all() and np.isfinite(hypothetical).all()):
        raise AttributionError("Expected finite contributions, received some that are infinite or not a number.")
    if not contributions.any():
        return []
    found = modisco.find(codes, hypothetical, settings or Discovery())
    trimmed = [_trimmed(codes, contributions, Seqlets(*each)) for each in found]
    patterns = _merged(codes, contributions, [pattern for pattern in trimmed if pattern])
    numbers = {sign: itertools.count(1) for sign in ("pos", "neg")}
    return [replace(pattern, name=f"{pattern.sign}_{next(numbers[pattern.sign])}") for pattern in patterns]


def sentence(patterns: Sequence[Pattern], n: int) -> str:
    """Say in words what :func:`discover` found in `n` sequences."""
    if not patterns:
        return (
            f"TF-MoDISco found no motif: nothing contributes alike often enough in the {n:,} explained sequences, so "
            "look at the logos of single sequences, or explain more of them."
        )
    first = patterns[0]
    does = "adds" if first.sign == "pos" else "takes"
    return (
        f"TF-MoDISco found {len(patterns)} motif{'s' * (len(patterns) != 1)} in {n:,} explained sequences; the most "
        f"important one, {first.consensus}, occurs {first.count:,} times and {does} "
        f"{abs(first.scores.mean()):.2f} log-odds each time."
    )


def alignment(a: np.ndarray, b: np.ndarray) -> tuple[float, int, bool]:
    """Lay one matrix over another where they are most alike.

    Parameters
    ----------
    a, b : ndarray, shape (w, 4) and (v, 4)
        Contributions; beyond their ends they are 0.

    Returns
    -------
    cosine : float
        -1 to 1.
    offset : int
        Column of `a` on which the first column of `b` lies.
    flip : bool
        Whether `b` is read as reverse complement.
    """
    found = []
    for flip, turned in ((False, b), (True, b[::-1, ::-1])):
        products = sum(np.correlate(a[:, c], turned[:, c], "full") for c in range(4))
        found.append((float(products.max()), int(products.argmax()) - len(b) + 1, flip))
    product, offset, flip = max(found, key=lambda each: each[0])
    return product / float(np.linalg.norm(a) * np.linalg.norm(b)), offset, flip


def write_tsv(path: str | Path, patterns: Sequence[Pattern], ids: Sequence[str], codes: np.ndarray) -> None:
    """Write a line a seqlet: pattern, sequence, 0-based start, end, strand, contribution (log-odds), letters."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.write("pattern\tsequence\tstart\tend\tstrand\tcontribution\tsite\n")
        for pattern in patterns:
            sites = decode(_letters(codes, pattern.seqlets))
            for place, score, site in zip(_places(pattern, ids), pattern.scores, sites, strict=True):
                file.write("\t".join([pattern.name, *place, f"{score:.6g}", site]) + "\n")


def write_bed(path: str | Path, patterns: Sequence[Pattern], ids: Sequence[str]) -> None:
    """Write BED of six columns, with positions on the sequences; the largest contribution has the score 1000."""
    largest = max((np.abs(pattern.scores).max() for pattern in patterns), default=1.0)
    with Path(path).open("w", encoding="utf-8") as file:
        for pattern in patterns:
            for (*place, strand), score in zip(_places(pattern, ids), pattern.scores, strict=True):
                file.write("\t".join([*place, pattern.name, f"{1000 * abs(score) / largest:.0f}", strand]) + "\n")


def _places(pattern: Pattern, ids: Sequence[str]) -> Iterator[tuple[str, str, str, str]]:
    """Sequence, 0-based start, end and strand of each seqlet."""
    seqlets = pattern.seqlets
    for row, start, reverse in zip(seqlets.rows, seqlets.starts, seqlets.reverse, strict=True):
        yield ids[row], str(start), str(start + seqlets.width), "-" if reverse else "+"


def _letters(codes: np.ndarray, seqlets: Seqlets) -> np.ndarray:
    """Bases of the seqlets, each on its strand: (n, width) uint8."""
    letters = seqlets.read(codes, N)
    letters[seqlets.reverse] = reverse_complement(letters[seqlets.reverse])
    return letters


def _pattern(codes: np.ndarray, contributions: np.ndarray, seqlets: Seqlets) -> Pattern:
    """Average aligned seqlets."""
    values = seqlets.read(contributions.astype(np.float64), 0)
    values[seqlets.reverse] = values[seqlets.reverse, ::-1]
    x = one_hot(_letters(codes, seqlets))
    counts = x.sum(0, dtype=np.float64)
    known = counts.sum(1, keepdims=True)
    ppm = np.where(known > 0, counts / np.maximum(known, 1), 0.25)
    return Pattern("", (x * values[..., None]).mean(0), ppm, seqlets, values.sum(1), codes.shape[1])


def _trimmed(codes: np.ndarray, contributions: np.ndarray, seqlets: Seqlets) -> Pattern | None:
    """Trim aligned seqlets to the motif; leave out those that reach over an end, and what is there twice.

    None if nothing remains, as can happen on sequences hardly longer than a motif.
    """
    wide = seqlets.moved(-FLANK, seqlets.width + 2 * FLANK)
    found = _pattern(codes, contributions, wide)
    size = np.abs(found.cwm.sum(1))
    kept = np.flatnonzero((size >= TRIM * size.max()) | (found.bits.sum(1) >= TRIM_BITS))
    narrow = wide.moved(int(kept[0]), int(kept[-1] - kept[0]) + 1)
    narrow = narrow.take(np.unique(np.column_stack([narrow.rows, narrow.starts]), axis=0, return_index=True)[1])
    narrow = narrow.take((narrow.starts >= 0) & (narrow.starts + narrow.width <= codes.shape[1]))
    if not len(narrow):
        return None
    pattern = _pattern(codes, contributions, narrow)
    return pattern.flipped() if narrow.reverse.mean() > 0.5 else pattern


def _merged(codes: np.ndarray, contributions: np.ndarray, patterns: list[Pattern]) -> list[Pattern]:
    """Put those of one sign together that are alike on either strand; the most important first."""
    kept: list[Pattern] = []
    for pattern in sorted(patterns, key=lambda each: -each.importance):
        for i, other in enumerate(kept):
            pairs = ((other.cwm, pattern.cwm), (other.bits, pattern.bits))
            cosine, offset, flip = max(alignment(*pair) for pair in pairs)
            if cosine >= SIMILAR and other.sign == pattern.sign:
                turned = pattern.seqlets.moved(0, pattern.seqlets.width, flip)
                aligned = turned.moved(-offset, other.seqlets.width)
                kept[i] = _trimmed(codes, contributions, other.seqlets.joined(aligned)) or other
                break
        else:
            kept.append(pattern)
    return sorted(kept, key=lambda each: -each.importance)
