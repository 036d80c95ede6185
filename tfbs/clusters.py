"""Group sequences that share a stretch of DNA, on either strand, so that a split can keep them on one side.

The rule: two sequences belong together if they are equal, if one is the reverse complement of the other, or if they
share a word (k-mer) of :func:`word_length` bp on either strand; belonging together is passed on. Two kinds of words
say nothing about common origin and link nothing: short tandem repeats (:data:`REPEAT_SHARE`), and words that very many
sequences hold (:attr:`Clusters.cap`), such as those of a constant flank; nor do words of which these cover more than
half. Everything is sorting of integers: no alignment.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from . import sequences

WORD = 30
SHORTEST_WORD = 16
PERIODS = range(1, 7)
REPEAT_SHARE = 0.8
COMMON_SHARE = 0.01
COMMON_AT_LEAST = 100
MAX_WORDS = 2**24
BLOCK = 2**10

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_NONE = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Shared:
    """Words that occur more than once: entry i says that word ``words[i]`` stands in sequence ``rows[i]``.

    Attributes
    ----------
    rows, starts, words : ndarray of int, shape (M,)
        Sequence, 0-based position in it, and number of the word; sorted by word, then sequence, then position.
    holders : ndarray of int64, shape (number of words,)
        How many sequences hold each word.
    size : tuple of int
        Number of sequences N and their length L.
    length : int
        Word length, bp.
    window : int
        Of how many consecutive words one was kept; 1 if all were. Sequences that share ``length + window - 1`` bp
        are found for certain.
    """

    rows: np.ndarray
    starts: np.ndarray
    words: np.ndarray
    holders: np.ndarray
    size: tuple[int, int]
    length: int
    window: int

    @property
    def cap(self) -> int:
        """Words with more holders are common: 1 % of the sequences, at least 100."""
        return max(COMMON_AT_LEAST, int(COMMON_SHARE * self.size[0]))

    def telling(self, cap: int) -> np.ndarray:
        """Tell which entries speak for a common origin.

        Parameters
        ----------
        cap : int
            Words with more holders are common.

        Returns
        -------
        ndarray of bool, shape (M,)
            False for common words, and for those of which common words cover more than half.
        """
        common = self.holders[self.words] > cap
        if not common.any():
            return ~common
        touched, row = np.unique(self.rows[common], return_inverse=True)
        flags = np.zeros((len(touched), self.size[1] - self.length + 1), bool)
        flags[row, self.starts[common]] = True
        for first in range(0, len(flags), BLOCK):
            flags[first : first + BLOCK] = _mostly_covered(flags[first : first + BLOCK], self.length)
        at = np.minimum(np.searchsorted(touched, self.rows), len(touched) - 1)
        return ~((touched[at] == self.rows) & flags[at, self.starts])


@dataclass(frozen=True)
class Clusters:
    """Which sequences belong together.

    Attributes
    ----------
    of : ndarray of int32, shape (N,)
        Cluster of each sequence, from 0.
    length, window : int
        As in :class:`Shared`.
    cap : int
        Words that more sequences hold link nothing. It starts at :attr:`Shared.cap` and is halved as long as one
        cluster holds more than half of the sequences.
    """

    of: np.ndarray
    length: int
    window: int
    cap: int

    @property
    def count(self) -> int:
        """Number of clusters; a sequence that resembles no other is one of its own."""
        return int(self.of.max(initial=-1)) + 1

    @property
    def largest(self) -> int:
        """Sequences in the largest cluster."""
        return int(np.bincount(self.of).max(initial=0))

    def __str__(self) -> str:
        return (
            f"{self.count:,} clusters of sequences that share {self.length} bp, the largest with {self.largest:,} of "
            f"{len(self.of):,}"
        )


def word_length(length: int) -> int:
    """Length of the words that link sequences of `length` bp.

    It is 30 bp, or half of the sequence if that is shorter, but at least 16 bp, or the whole sequence if even that is
    shorter: long enough that neither chance nor a shared binding motif (rarely above 21 bp) links two sequences.
    Sequences of 101 bp with up to two substitutions share such a word for certain.
    """
    return min(WORD, length, max(SHORTEST_WORD, length // 2))


def find(codes: np.ndarray) -> Clusters:
    """Find the clusters of a set of sequences.

    Parameters
    ----------
    codes : ndarray of uint8, shape (N, L)
        A, C, G, T, N = 0 .. 4.

    Returns
    -------
    Clusters
        The same for every order of the sequences, up to numbering.
    """
    found = shared(codes)
    equal, cap = _equal(codes), found.cap
    while True:
        telling = found.telling(cap)
        rows, words = found.rows[telling], found.words[telling]
        joined = words[1:] == words[:-1]
        of = _components(np.hstack([[rows[:-1][joined], rows[1:][joined]], equal]), len(codes))
        if cap == 1 or 2 * np.bincount(of).max(initial=0) <= len(codes):
            return Clusters(of, found.length, found.window, cap)
        cap //= 2


def shared(*parts: np.ndarray) -> Shared:
    """Find the words that occur more than once, on either strand.

    Words that hold N, and short tandem repeats, are left out. Above :data:`MAX_WORDS` words (about 230,000 sequences of
    101 bp, 98,000 of 200 bp) only minimizers are kept, the smallest hash of every `window` consecutive words (Roberts
    et al., Bioinformatics 20, 3363-3369, 2004), so that the memory is bounded: half a gigabyte, whatever the data.

    Parameters
    ----------
    *parts : ndarray of uint8, shape (N, L)
        A, C, G, T, N = 0 .. 4; rows are counted from the first part to the last.

    Returns
    -------
    Shared
    """
    n, width = sum(map(len, parts)), parts[0].shape[1]
    k = word_length(width)
    total = n * (width - k + 1)
    window = 1 if total <= MAX_WORDS else min(2 * total // MAX_WORDS, width - k + 1)
    keys, places = _repeated(list(_hashes(parts, k, window)))
    order = np.argsort(keys, kind="stable")
    keys, places = keys[order], places[order]
    del order
    rows, starts = np.divmod(places, width)
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    words = np.cumsum(first, dtype=np.int32) - 1
    first[1:] |= rows[1:] != rows[:-1]
    return Shared(rows, starts, words, np.bincount(words[first]), (n, width), k, window)


def fingerprints(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """64-bit hashes of whole sequences and of their reverse complements.

    Two sequences are equal if their hashes are (two of 1,000,000 different ones collide with probability 1e-7).

    Parameters
    ----------
    codes : ndarray of uint8, shape (N, L)
        A, C, G, T, N = 0 .. 4.

    Returns
    -------
    forward, reverse : ndarray of uint64, shape (N,)
    """
    factors = np.random.RandomState(0).randint(0, 2**64, codes.shape[1], dtype=np.uint64) | np.uint64(1)
    forward, reverse = np.empty(len(codes), np.uint64), np.empty(len(codes), np.uint64)
    for first in range(0, len(codes), BLOCK):
        block = codes[first : first + BLOCK]
        forward[first : first + BLOCK] = block.astype(np.uint64) @ factors
        reverse[first : first + BLOCK] = sequences.reverse_complement(block).astype(np.uint64) @ factors
    return forward, reverse


def _equal(codes: np.ndarray) -> np.ndarray:
    """Pairs (2, M) that link all sequences that are equal on either strand."""
    keys = np.minimum(*fingerprints(codes))
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    return np.stack([order[:-1][same], order[1:][same]])


def _components(links: np.ndarray, n: int) -> np.ndarray:
    """Connected components of n sequences from pairs (2, M)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(links.shape[1], np.int8), (links[0], links[1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _hashes(parts: tuple[np.ndarray, ...], k: int, window: int) -> Iterator[tuple[np.ndarray, ...]]:
    """Yield hashes of the words that are kept, each as the smaller of its two strands, and places, row * L + start."""
    width, before = parts[0].shape[1], 0
    kind = np.promote_types(np.int32, np.min_scalar_type(-width * sum(map(len, parts))))
    for part in parts:
        for first in range(0, max(len(part), 1), BLOCK):
            block = part[first : first + BLOCK]
            hashes = _mixed(np.minimum(*_packed(np.minimum(block, 3), k)))
            hashes[(_windowed(block == sequences.N, k) > 0) | _mostly_covered(_repeats(block, k), k)] = _NONE
            kept = _lowest(hashes, window) & (hashes != _NONE)
            rows, starts = np.nonzero(kept)
            yield hashes[kept], ((before + first + rows) * width + starts).astype(kind)
        before += len(part)


def _repeated(blocks: list[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
    """Join blocks of :func:`_hashes` without the hashes that occur once, which `blocks` loses too."""
    keys = np.concatenate([block[0] for block in blocks])
    keys.sort()
    several = np.append(keys[1:][keys[1:] == keys[:-1]], _NONE)
    del keys
    for i, block in enumerate(blocks):
        kept = several[np.searchsorted(several, block[0])] == block[0]
        blocks[i] = tuple(column[kept] for column in block)
    return map(np.concatenate, zip(*blocks, strict=True))


def _lowest(hashes: np.ndarray, window: int) -> np.ndarray:
    """Tell which hashes are the lowest of any `window` neighbours."""
    lowest = _over(np.minimum, hashes, window)
    return _over(np.maximum, np.pad(lowest, ((0, 0), (window - 1, window - 1))), window) == hashes


def _over(combine: Callable, values: np.ndarray, width: int) -> np.ndarray:
    """Smallest or largest of any `width` neighbours (`combine` is the ufunc), from windows that double."""
    span = 1
    while span < width:
        step = min(span, width - span)
        values, span = combine(values[:, :-step], values[:, step:]), span + step
    return values


def _packed(bases: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Words of k bases (at most 32) at 2 bits each, and their reverse complements: two (n, L - k + 1).

    Their type is the smallest unsigned integer that holds them; of 17 bases and more, uint64.
    """
    if k == 1:
        return bases, 3 - bases
    kind = np.min_scalar_type(4**k - 1).type
    left = k // 2
    right = k - left
    width = bases.shape[1] - k + 1
    forward, reverse = (words.astype(kind) for words in _packed(bases, left))
    heads, tails = forward[:, :width], reverse[:, :width]
    if right != left:
        forward, reverse = (words.astype(kind) for words in _packed(bases, right))
    return (
        (heads << kind(2 * right)) | forward[:, left : left + width],
        (reverse[:, left : left + width] << kind(2 * left)) | tails,
    )


def _mixed(words: np.ndarray) -> np.ndarray:
    """Shuffle 64-bit integers one to one (the finalizer of splitmix64), so that the smallest is any of them."""
    words = (words ^ (words >> np.uint64(30))) * _MIX[0]
    words = (words ^ (words >> np.uint64(27))) * _MIX[1]
    return words ^ (words >> np.uint64(31))


def _repeats(codes: np.ndarray, k: int) -> np.ndarray:
    """Tell which words agree with themselves, shifted by 1 to 6 bases, in at least 80 % of the positions."""
    found = np.zeros((len(codes), codes.shape[1] - k + 1), bool)
    for period in PERIODS:
        if period < k:
            agreeing = _windowed(codes[:, period:] == codes[:, :-period], k - period)
            found |= agreeing >= REPEAT_SHARE * (k - period)
    return found


def _mostly_covered(flags: np.ndarray, k: int) -> np.ndarray:
    """Tell of which words (n, L - k + 1) those that are flagged cover more than half."""
    if not flags.any():
        return flags
    begun = np.pad(flags, ((0, 0), (k - 1, k - 1)))
    return 2 * _windowed(_windowed(begun, k) > 0, k) > k


def _windowed(flags: np.ndarray, width: int) -> np.ndarray:
    """Count the flags in every window of `width` positions, at most 255: uint8, from the counts of half a window."""
    if width == 1:
        return flags.view(np.uint8)
    half, wanted = width // 2, flags.shape[1] - width + 1
    counts = _windowed(flags, half)
    counts = counts[:, :wanted] + counts[:, half : half + wanted]
    return counts + flags[:, width - 1 :] if width % 2 else counts
