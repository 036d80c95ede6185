"""Bring sequences of any length into one window, and drop those that would mislead a comparison.

Every step is counted in plain words; a data set keeps the counts as ``Dataset.dropped``.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from . import sequences
from .errors import DataError
from .negatives import dinucleotide_shuffle
from .sequences import AMBIGUITY, Records
from .texts import Texts, blocks, flat_indices

MOSTLY_N = "more than half N"
DUPLICATE = "duplicate within a class"
REVERSE = "reverse complement of another within a class"
CONFLICT = "same sequence in both classes, on either strand"
LOWER = "kept: bases in lower case, read as upper case"
AMBIGUOUS = "kept: ambiguous bases, read as N"
LONGER = "kept: sequences longer than the window, cut to their centre"
SHORTER = "kept: sequences shorter than the window, filled with random bases"
CHANGED = (LOWER, AMBIGUOUS, LONGER, SHORTER)
"""What is counted although nothing is dropped; all other words in ``Dataset.dropped`` count sequences left out."""

_EMPTY = 5
_AMBIGUOUS = 6
_CODE = sequences._CODE.copy()
for _letter in AMBIGUITY:
    _CODE[[ord(_letter), ord(_letter.lower())]] = _AMBIGUOUS
_KNOWN = np.arange(256, dtype=np.uint8)
_KNOWN[_AMBIGUOUS] = sequences.N
_PRIOR = 2
_ROWS = 1 << 14
_MOST = 1 << 33
_HASH_SEED = 20_190_101


@dataclass(frozen=True)
class Windows:
    """Sequences in windows of one width, each in the centre, before the sides are filled.

    Attributes
    ----------
    codes : ndarray of uint8, shape (N, width)
        A, C, G, T, N = 0 .. 4; 5 where a shorter sequence leaves room.
    sizes : ndarray of int64, shape (N,)
        Bases that each sequence brings, at most the width.
    changed : mapping of str to int
        What was counted on the way: lower-case and ambiguous bases, sequences cut and to be filled.
    """

    codes: np.ndarray
    sizes: np.ndarray
    changed: Mapping[str, int] = field(default_factory=dict)


def window(texts: Sequence[str], width: int = 0) -> np.ndarray:
    """Bring sequences of any length into one window without telling their length.

    A longer sequence is cut to its centre. A shorter one is centred (the odd base of room stands right), and both sides
    are filled with random bases, drawn with the shares of A, C, G and T in the sequence itself (two more of each are
    counted, because a short sequence says little about its shares): padding of zeros or N would tell a network the
    length, which often tells the class. The filling is a function of the sequence alone (a counter hashed with its
    CRC-32), so equal sequences stay equal, in any order and on any machine.

    Parameters
    ----------
    texts : sequence of str
        Letters ACGTN and the ambiguity codes RYSWKMBDHV, which are read as N. What a cut removes is not looked at.
    width : int
        Width of the window, bp; 0 for the longest sequence.

    Returns
    -------
    ndarray of uint8, shape (N, width)
        Codes 0 to 4.

    Raises
    ------
    DataError
        If there is no sequence, or one is empty or holds another letter.

    Notes
    -----
    Random bases cannot imitate the words of real DNA. With 40 to 69 bp in one class and 70 to 100 bp in the other, in
    windows of 101 bp, a logistic regression on 6-mers reaches an AUROC of 0.50 on random sequences and 0.56 on ENCODE
    peaks cut to these lengths; with 20 to 39 and 90 to 100 bp, 0.52 and 0.76. Where the lengths of the classes differ
    much, set a width that most sequences reach, or cut windows of equal length from the genome.
    """
    numbers = np.arange(1, len(texts) + 1)
    return fill(cut([Records(Texts.of(texts), Texts.of(map(str, numbers)), numbers, Path("input"))], width))


def cut(files: list[Records], width: int = 0) -> Windows:
    """Put the sequences of several files, one file after another, into windows of one width.

    Parameters
    ----------
    files : list of Records
        Emptied on the way, so that each file's bytes can go when its codes are there.
    width : int
        Width of the window, bp; 0 for the longest sequence of all files.

    Returns
    -------
    Windows
        Not yet filled.

    Raises
    ------
    DataError
        If a file has no sequence, or one is empty or holds a letter other than ACGTN and the ambiguity codes; or if a
        few sequences are so long that windows of that width would not fit into memory.
    """
    lengths = np.concatenate([sequences.not_empty(records).sequences.lengths for records in files])
    if not width and len(lengths) * int(lengths.max()) > _MOST:
        raise DataError(
            f"{files[0].path.name}: expected sequences that fit one window, received {len(lengths):,} of up to "
            f"{lengths.max():,} bp: set width=, half of them have at most {int(np.median(lengths)):,} bp."
        )
    width = width or int(lengths.max())
    codes, counts, at = np.empty((len(lengths), width), np.uint8), {LOWER: 0, AMBIGUOUS: 0}, 0
    while files:
        records = files.pop(0)
        own = codes[at : at + len(records)]
        at += len(records)
        for name, count in _cut_file(records, own).items():
            counts[name] += count
        del records
    counts |= {LONGER: int((lengths > width).sum()), SHORTER: int((lengths < width).sum())}
    return Windows(codes, np.minimum(lengths, width), {name: count for name, count in counts.items() if count})


def _cut_file(records: Records, codes: np.ndarray) -> dict[str, int]:
    """Fill the rows of one file; count the bases in lower case and the ambiguous ones."""
    texts, width, counts = records.sequences, codes.shape[1], {LOWER: 0, AMBIGUOUS: 0}
    lengths = texts.lengths
    if not lengths.all():
        raise sequences.explain(records, one_length=False, allowed="ACGTN" + AMBIGUITY)
    whole = np.flatnonzero(lengths >= width)
    for rows in blocks(np.full(len(whole), width).cumsum()):
        chosen = whole[rows]
        letters = sequences.letters_at(texts, chosen, width, (lengths[chosen] - width) // 2)
        codes[chosen] = _read(letters, records, counts)
    short = np.flatnonzero(lengths < width)
    for rows in blocks(lengths[short].cumsum()):
        chosen = short[rows]
        own = codes[chosen]
        own[:] = _EMPTY
        at = flat_indices(texts.starts[chosen], lengths[chosen])
        own[_inside(lengths[chosen], width)] = _read(texts.content[at], records, counts)
        codes[chosen] = own
    return counts


def _inside(sizes: np.ndarray, width: int) -> np.ndarray:
    """Say where in the window a sequence of each size stands: (n, width) bool."""
    position = np.arange(width) - ((width - sizes) // 2)[:, None]
    return (position >= 0) & (position < sizes[:, None])


def _read(letters: np.ndarray, records: Records, counts: dict[str, int]) -> np.ndarray:
    """Turn letters into codes 0 to 4, counting what was changed."""
    codes = sequences.translate(letters, _CODE)
    if codes.max() == sequences._INVALID:
        raise sequences.explain(records, one_length=False, allowed="ACGTN" + AMBIGUITY)
    counts[LOWER] += int(np.count_nonzero(letters >= ord("a")))
    ambiguous = int(np.count_nonzero(codes == _AMBIGUOUS))
    counts[AMBIGUOUS] += ambiguous
    return sequences.translate(codes, _KNOWN) if ambiguous else codes


def fill(windows: Windows) -> np.ndarray:
    """Fill the room beside shorter sequences with random bases; see :func:`window`.

    Parameters
    ----------
    windows : Windows
        Filled in place.

    Returns
    -------
    ndarray of uint8, shape (N, width)
        Codes 0 to 4.
    """
    codes, width = windows.codes, windows.codes.shape[1]
    short = np.flatnonzero(windows.sizes < width)
    for rows in blocks(np.full(len(short), width).cumsum()):
        chosen = short[rows]
        own, sizes = codes[chosen], windows.sizes[chosen]
        starts = (width - sizes) // 2
        seeds = [zlib.crc32(row[a : a + m].tobytes()) for row, a, m in zip(own, starts, sizes, strict=True)]
        counts = np.stack([(own == base).sum(1) for base in range(4)], 1) + _PRIOR
        limits = np.cumsum(counts, 1) / counts.sum(1, keepdims=True)
        row, position = np.nonzero(own == _EMPTY)
        draws = _uniform(np.array(seeds, np.uint64)[row], position)
        own[row, position] = sum((draws >= limit[row]).astype(np.uint8) for limit in limits.T[:3])
        codes[chosen] = own
    return codes


def _uniform(seeds: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """Numbers in [0, 1): SplitMix64 of seed x 2**32 + position (Steele, Lea and Flood, 2014)."""
    state = ((seeds << np.uint64(32)) + positions.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    return (state >> np.uint64(11)) * 2.0**-53


def shuffled(windows: Windows, ratio: int, seed: int) -> Windows:
    """Shuffle every sequence by itself with :func:`tfbs.negatives.dinucleotide_shuffle`.

    Parameters
    ----------
    windows : Windows
        Not yet filled; each shuffle has the size of its sequence.
    ratio : int
        Shuffles a sequence.
    seed : int
        0 to 4294967295.

    Returns
    -------
    Windows
        Row ``i * ratio + j`` is shuffle `j` of sequence `i`.
    """
    width = windows.codes.shape[1]
    made = np.repeat(windows.codes, ratio, axis=0)
    for size in np.unique(windows.sizes).tolist():
        rows, start = np.flatnonzero(windows.sizes == size), (width - size) // 2
        shuffles = dinucleotide_shuffle(windows.codes[rows, start : start + size], ratio, seed)
        at = (rows[:, None] * ratio + np.arange(ratio)).ravel()
        made[at, start : start + size] = shuffles.reshape(-1, size)
    return Windows(made, np.repeat(windows.sizes, ratio))


def clean(windows: Windows, labels: np.ndarray, parts: Sequence[str] = ()) -> tuple[np.ndarray, dict[str, int]]:
    """Say which sequences to keep.

    Dropped are: sequences of which more than half is N; sequences that stand in both classes, on either strand (all of
    them); and repetitions within a class, on either strand (the first is kept). Where the data come with a split of
    their own, each part is cleaned by itself: what two parts share is for the leakage report to tell.

    Parameters
    ----------
    windows : Windows
        Compared as they are cut, before the sides are filled.
    labels : ndarray of uint8, shape (N,)
        Classes.
    parts : sequence of str
        One a sequence, or empty.

    Returns
    -------
    rows : ndarray of int64
        What to keep, in order.
    dropped : dict of str to int
        Reason -> number of sequences; only reasons that occurred.

    Notes
    -----
    Sequences are compared by 64-bit hashes with random weights: that two different ones among a million agree has a
    probability below one in a million.
    """
    blocked = (windows.codes[at : at + _ROWS] for at in range(0, len(windows.codes), _ROWS))
    mostly_n = 2 * np.concatenate([(codes == sequences.N).sum(1) for codes in blocked]) > windows.sizes
    rows = np.flatnonzero(~mostly_n)
    forward, reverse = (keys[rows] for keys in strand_keys(windows))
    if len(parts):
        part = np.unique(np.asarray(parts)[rows], return_inverse=True)[1].astype(np.uint64)
        forward, reverse = (keys ^ (part << np.uint64(60)) for keys in (forward, reverse))
    labels = labels[rows]
    either = np.unique(np.minimum(forward, reverse), return_inverse=True)[1]
    sizes = np.bincount(either)
    conflict = (np.bincount(either, labels) % sizes > 0)[either]
    first = _is_first(either * 2 + labels)
    exact = ~_is_first(np.unique(forward, return_inverse=True)[1] * 2 + labels)
    counts = {
        MOSTLY_N: mostly_n.sum(),
        CONFLICT: conflict.sum(),
        DUPLICATE: (exact & ~conflict).sum(),
        REVERSE: (~first & ~exact & ~conflict).sum(),
    }
    return rows[first & ~conflict], {reason: int(count) for reason, count in counts.items() if count}


def _is_first(keys: np.ndarray) -> np.ndarray:
    first = np.zeros(len(keys), bool)
    first[np.unique(keys, return_index=True)[1]] = True
    return first


def strand_keys(windows: Windows) -> tuple[np.ndarray, np.ndarray]:
    """Hash every sequence and its reverse complement.

    Returns
    -------
    forward, reverse : ndarray of uint64, shape (N,)
        ``forward[i] == reverse[j]`` if `i` is the reverse complement of `j`.
    """
    n, width = windows.codes.shape
    weights = np.random.RandomState(_HASH_SEED).randint(0, 2**63, width + 1, np.int64).astype(np.uint64) * 2 + 1
    weights[width] = 0
    odd = (width - windows.sizes) % 2
    mirrored = weights[width - 1 - np.arange(width)], weights[width - 2 - np.arange(width)]
    values = [np.zeros(256, np.uint8), np.zeros(256, np.uint8)]
    values[0][:5], values[1][:5] = np.arange(1, 6), [4, 3, 2, 1, 5]
    forward, reverse = np.empty(n, np.uint64), np.empty(n, np.uint64)
    for at in range(0, n, _ROWS):
        rows = slice(at, at + _ROWS)
        own, other = (sequences.translate(windows.codes[rows], table).astype(np.uint64) for table in values)
        forward[rows] = own @ weights[:width]
        reverse[rows] = other @ mirrored[0]
        if odd[rows].any():
            reverse[rows] = np.where(odd[rows], other @ mirrored[1], reverse[rows])
    return forward, reverse


def require_classes(name: str, labels: np.ndarray, at_least: int, dropped: Mapping[str, int]) -> None:
    """Insist on enough sequences of each class after cleaning."""
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) >= at_least:
        return
    reasons = {reason: count for reason, count in dropped.items() if reason not in CHANGED}
    said = ", ".join(f"{reason}: {count:,}" for reason, count in reasons.items())
    left = f" once {sum(reasons.values()):,} were dropped ({said})" if said else ""
    raise DataError(
        f"{name}: expected at least {at_least} sequences of each class, received {positives} positives "
        f"and {len(labels) - positives} negatives{left}: add sequences of the smaller class."
    )
