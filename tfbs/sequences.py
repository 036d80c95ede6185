"""Read, validate and one-hot encode DNA.

Files are read into :class:`Records` (plain strings, labels and where each came from); :func:`encode` turns strings into
one byte a base (A, C, G, T, N = 0 .. 4) and :func:`one_hot` turns those into the network's input. Lower case is read as
upper case; N is allowed and becomes a row of zeros; any other letter is an error that names file, line and letter.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .errors import DataError

ALPHABET = "ACGT"
N = 4

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
    sequences : list of str
        One string a record, letters not yet checked.
    names : list of str
        FASTA identifier, or ``<file stem>:<line>``.
    lines : list of int
        1-based line of the file on which each sequence starts.
    path : Path
        The file.
    labels : list of str or None
        The label column as text, where the file has one.
    """

    sequences: list[str]
    names: list[str]
    lines: list[int]
    path: Path
    labels: list[str] | None = field(default=None)

    def where(self, i: int) -> str:
        """Say in words where record `i` stands: file, line, record name."""
        return f'{self.path.name}, line {self.lines[i]}, record "{self.names[i]}"'


def read_lines(path: str | Path) -> list[str]:
    """Return the lines of a text file (plain or gzip), without line ends.

    Parameters
    ----------
    path : str or Path
        File (``~`` is the home folder); gzip is recognised by its first two bytes, not by its name.

    Returns
    -------
    list of str
        Lines without carriage returns and byte-order mark.

    Raises
    ------
    DataError
        If the file is missing, is a folder, is truncated gzip, or is not text.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise DataError(
            f"Expected an existing file, received {path}, which does not exist (working folder: {Path.cwd()}): check "
            "the spelling or give an absolute path."
        )
    if path.is_dir():
        raise DataError(f"Expected a file, received the folder {path}: name a file inside it.")
    try:
        with path.open("rb") as handle:
            opener = gzip.open if handle.read(2) == b"\x1f\x8b" else open
        with opener(path, "rt", encoding="utf-8-sig") as handle:
            return [line.rstrip("\n") for line in handle]
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{path.name}: expected a complete gzip file, received one that is truncated or damaged: fetch or "
            "compress it again."
        ) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name}: expected text, received bytes that are not text at offset {error.start}: give FASTA, "
            "CSV, TSV or plain text, optionally gzip-compressed."
        ) from error
    except PermissionError as error:
        raise DataError(f"{path.name}: expected a readable file, received one without read permission.") from error


def read_fasta(path: str | Path) -> Records:
    """Read a FASTA file.

    Parameters
    ----------
    path : str or Path
        FASTA, plain or gzip; sequences may span lines.

    Returns
    -------
    Records
        One record per header, in file order, without labels.

    Raises
    ------
    DataError
        If the file does not start with a header, or holds no record.
    """
    path = Path(path)
    sequences, names, lines, chunks = [], [], [], []
    for number, line in enumerate(read_lines(path), 1):
        line = line.strip()
        if line.startswith(">"):
            if names:
                sequences.append("".join(chunks))
            names.append((line[1:].split() or [f"record {len(names) + 1}"])[0])
            lines.append(number + 1)
            chunks = []
        elif line and not names:
            raise DataError(
                f'{path.name}, line {number}: expected a FASTA header starting with ">", received "{line[:20]}": '
                "check the file's format."
            )
        elif line:
            chunks.append(line)
    if names:
        sequences.append("".join(chunks))
    return _not_empty(Records(sequences, names, lines, path))


def read_text(path: str | Path) -> Records:
    """Read plain text with one sequence per line; blank lines at the end are ignored.

    Parameters
    ----------
    path : str or Path
        Text, plain or gzip.

    Returns
    -------
    Records
        One record per line, without labels.

    Raises
    ------
    DataError
        If a line between sequences is blank, or the file is empty.
    """
    path = Path(path)
    rows = [row.strip() for row in read_lines(path)]
    while rows and not rows[-1]:
        rows.pop()
    numbers = list(range(1, len(rows) + 1))
    return _not_empty(Records(rows, [f"{_stem(path)}:{n}" for n in numbers], numbers, path))


def read_table(path: str | Path, sequence_column: str = "sequence", label_column: str = "label") -> Records:
    """Read a CSV or TSV file that has a sequence and a label column; blank lines are ignored.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (comma) or ``.tsv`` (tab), plain or gzip, with a header line.
    sequence_column, label_column : str
        Names in the header.

    Returns
    -------
    Records
        With labels.

    Raises
    ------
    DataError
        If a column is missing, or a line has more or fewer fields than the header.
    """
    path = Path(path)
    reader = csv.reader(read_lines(path), delimiter="\t" if _suffix(path) == ".tsv" else ",", strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: expected fields separated by one character, received a line that "
            f"cannot be split ({error}): check its quotes."
        ) from error
    header = [name.strip() for name in rows[0][1]] if rows else []
    for column in (sequence_column, label_column):
        if column not in header:
            raise DataError(
                f'{path.name}, line 1: expected a column "{column}", received the columns '
                f"{', '.join(map(repr, header)) or 'of an empty file'}: name yours with sequence_column= and "
                "label_column=."
            )
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise DataError(
                f"{path.name}, line {number}: expected {len(header)} fields as in the header, received {len(row)}: "
                "correct this line."
            )
    numbers = [number for number, _ in rows[1:]]
    names = [f"{_stem(path)}:{n}" for n in numbers]
    texts, labels = (
        [row[header.index(column)].strip() for _, row in rows[1:]] for column in (sequence_column, label_column)
    )
    return _not_empty(Records(texts, names, numbers, path, labels))


READERS: dict[str, Callable[..., Records]] = {
    ".fa": read_fasta,
    ".fasta": read_fasta,
    ".fna": read_fasta,
    ".txt": read_text,
    ".csv": read_table,
    ".tsv": read_table,
}
"""File suffix -> reader. A new format is one function and one line here."""


def read(path: str | Path, **columns: str) -> Records:
    """Read a file of sequences by its suffix.

    Parameters
    ----------
    path : str or Path
        A file whose suffix (before an optional ``.gz``) is a key of :data:`READERS`.
    **columns : str
        ``sequence_column`` and ``label_column``, used for tables.

    Returns
    -------
    Records
        What the file holds.

    Raises
    ------
    DataError
        If the suffix is unknown, or the file cannot be read.
    """
    path = Path(path)
    reader = READERS.get(_suffix(path))
    if reader is None:
        raise DataError(
            f"{path.name}: expected a file ending in {', '.join(READERS)} (optionally .gz), received "
            f'"{"".join(path.suffixes) or "no suffix"}": rename or convert the file.'
        )
    return reader(path, **columns) if reader is read_table else reader(path)


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
    length = len(_not_empty(records).sequences[0])
    for i, sequence in enumerate(records.sequences):
        if not sequence:
            raise DataError(f"{records.where(i)}: expected a sequence, received nothing: remove or fill this record.")
        if len(sequence) != length:
            raise DataError(
                f"{records.where(i)}: expected {length} bp like the first record, received {len(sequence)} bp: trim or "
                "pad the sequences to one length."
            )
    letters = np.frombuffer("".join(records.sequences).encode("ascii", "replace"), np.uint8)
    codes = _CODE[letters].reshape(len(records.sequences), length)
    if (codes == _INVALID).any():
        i, j = np.argwhere(codes == _INVALID)[0]
        raise DataError(
            f'{records.where(i)}: expected the letters A, C, G, T or N, received "{records.sequences[i][j]}" at '
            f"position {j + 1}: correct or remove this record."
        )
    return codes


def encode_strings(sequences: Sequence[str]) -> np.ndarray:
    """Turn equally long strings of ACGTN into codes, shape (N, L), uint8; see :func:`encode`."""
    numbers = list(range(1, len(sequences) + 1))
    return encode(Records(list(sequences), [str(n) for n in numbers], numbers, Path("input")))


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


def _suffix(path: Path) -> str:
    """The suffix that names the format: the last one that is not .gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    return suffixes[-1] if suffixes else ""


def _stem(path: Path) -> str:
    return path.name.split(".")[0]


def _not_empty(records: Records) -> Records:
    if not records.sequences:
        raise DataError(f"{records.path.name}: expected at least one sequence, received none.")
    return records
