"""DNA as text and as numbers: check letters, one-hot encode.

:class:`Records` are what a file holds (:mod:`tfbs.formats` reads them). :func:`encode` turns them into one byte a base
(A, C, G, T, N = 0 .. 4) and :func:`one_hot` turns those into the network's input. Lower case is read as upper case; N
is allowed and becomes a row of zeros; any other letter is an error that names file, line and letter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import DataError
from .texts import Texts, blocks
from .texts import read_lines as read_lines

ALPHABET = "ACGT"
N = 4
AMBIGUITY = "RYSWKMBDHV"

_INVALID = 255
_CODE = np.full(256, _INVALID, np.uint8)
for _i, _letter in enumerate(ALPHABET + "N"):
    _CODE[[ord(_letter), ord(_letter.lower())]] = _i
_ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.zeros((1, 4), np.float32)])
_COMPLEMENT = np.array([3, 2, 1, 0, 4], np.uint8)


@dataclass(frozen=True)
class Records:
    """Sequences as a file holds them.

    Attributes
    ----------
    sequences : Texts
        One string a record, letters not yet checked.
    names : Texts
        FASTA identifier, or ``<file stem>:<line>``.
    lines : ndarray of int64
        1-based line of the file on which each sequence starts.
    path : Path
        The file.
    labels : Texts or None
        The label column as text, where the file has one.
    groups : sequence of str
        The chromosome or the user's group column, where the file has one; else empty.
    parts : sequence of str
        "train", "validation" or "test", where the file says so; else empty.
    unit : str
        What `lines` counts: "line", or "row" of a file that has no lines.
    """

    sequences: Texts
    names: Texts
    lines: np.ndarray
    path: Path
    labels: Texts | None = field(default=None)
    groups: Sequence[str] = ()
    parts: Sequence[str] = ()
    unit: str = "line"

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, i: int) -> str:
        """Say in words where record `i` stands: file, line, record name."""
        return f'{self.path.name}, {self.unit} {self.lines[i]}, record "{self.names[i]}"'


def encode(records: Records) -> np.ndarray:
    """Turn the sequences of a file into one byte a base.

    Parameters
    ----------
    records : Records
        All sequences of one length.

    Returns
    -------
    ndarray of uint8, shape (N, L)
        A, C, G, T, N = 0, 1, 2, 3, 4.

    Raises
    ------
    DataError
        If there is no sequence, or one is empty, has another length than the first, or holds a letter other than
        ACGTN.
    """
    lengths = not_empty(records).sequences.lengths
    if lengths[0] == 0 or (lengths != lengths[0]).any():
        raise explain(records, one_length=True)
    codes = np.empty((len(records), int(lengths[0])), np.uint8)
    for rows in blocks(np.cumsum(lengths)):
        codes[rows] = translate(letters_at(records.sequences, rows, codes.shape[1]), _CODE)
        if (codes[rows] == _INVALID).any():
            raise explain(records, one_length=True)
    return codes


def letters_at(texts: Texts, rows: slice | np.ndarray, width: int, shift: np.ndarray | int = 0) -> np.ndarray:
    """Copy `width` bytes of each of some strings, from `shift` bytes after its start: (rows, width) uint8."""
    return np.lib.stride_tricks.sliding_window_view(texts.content, width)[texts.starts[rows] + shift]


def translate(letters: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Look up each byte in a table of 256 bytes: as ``table[letters]``, four times faster."""
    return np.frombuffer(letters.tobytes().translate(table.tobytes()), np.uint8).reshape(letters.shape)


def explain(records: Records, one_length: bool, allowed: str = "ACGTN") -> DataError:
    """Find the first record that cannot be encoded, one at a time, and say why in a sentence.

    Parameters
    ----------
    records : Records
        At least one of them cannot be encoded.
    one_length : bool
        Insist on the length of the first record.
    allowed : str
        Letters, upper case.

    Returns
    -------
    DataError
        To be raised.
    """
    length = len(records.sequences[0])
    for i, sequence in enumerate(records.sequences):
        if not sequence:
            return DataError(f"{records.where(i)}: expected a sequence, received nothing: remove or fill this record.")
        if one_length and len(sequence) != length:
            return DataError(
                f"{records.where(i)}: expected {length} bp like the first record, received {len(sequence)} bp: trim or "
                "pad the sequences to one length."
            )
    other = re.compile(f"[^{allowed}{allowed.lower()}]")
    bad = ((i, other.search(sequence)) for i, sequence in enumerate(records.sequences))
    i, found = next((i, found) for i, found in bad if found)
    return DataError(
        f'{records.where(i)}: expected the letters A, C, G, T or N, received "{found[0]}" at position '
        f"{found.start() + 1}: correct or remove this record."
    )


def encode_strings(sequences: Sequence[str]) -> np.ndarray:
    """Turn equally long strings of ACGTN into codes, shape (N, L), uint8; see :func:`encode`."""
    numbers = np.arange(1, len(sequences) + 1)
    return encode(Records(Texts.of(sequences), Texts.of(map(str, numbers)), numbers, Path("input")))


def decode(codes: np.ndarray) -> list[str]:
    """Turn codes (N, L) back into upper-case strings; the inverse of :func:`encode_strings`."""
    letters = np.frombuffer(b"ACGTN", np.uint8)[codes]
    return [row.tobytes().decode("ascii") for row in letters]


def one_hot(codes: np.ndarray) -> np.ndarray:
    """One-hot encode.

    Parameters
    ----------
    codes : ndarray of uint8, shape (..., L)
        Values 0 to 4.

    Returns
    -------
    ndarray of float32, shape (..., L, 4)
        Channels A, C, G, T; N is a row of zeros.
    """
    return _ONE_HOT[codes]


def reverse_complement(codes: np.ndarray) -> np.ndarray:
    """Return the other strand, read 5' to 3': codes (..., L) -> codes (..., L)."""
    return _COMPLEMENT[codes][..., ::-1]


def not_empty(records: Records) -> Records:
    """Insist on at least one record."""
    if not len(records):
        raise DataError(f"{records.path.name}: expected at least one sequence, received none.")
    return records
