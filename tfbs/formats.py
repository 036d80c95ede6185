"""Read sequences, labels, groups and parts from files: FASTA, plain text, CSV, TSV, DeepBind's ``.seq``, Parquet.

A file of a million sequences takes seconds: its bytes are read at once, line ends and separators are found with NumPy,
and no Python string is made a record. Records are looked at one at a time only to say what is wrong with one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from .errors import DataError
from .sequences import Records, not_empty
from .tables import Columns, cut, require_columns
from .texts import Texts, concatenate, existing, lines_of, read_bytes

PARTS = {
    "train": "train",
    "training": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}
"""What a split column may say -> the part."""

_LOCUS = re.compile(r"(?:.*::)?([^\s:]+):\d+-\d+(?:\([-+.]\))?")


DEEPBIND = Columns("seq", "Bound")


def read_fasta(path: str | Path) -> Records:
    """Read a FASTA file.

    Parameters
    ----------
    path : str or Path
        FASTA, plain or gzip; sequences may span lines.

    Returns
    -------
    Records
        One record per header, in file order, without labels. If every header starts with ``chromosome:start-end``
        (as ``bedtools getfasta`` writes it, with or without ``name::`` before and ``(strand)`` behind), the chromosome
        is the group.

    Raises
    ------
    DataError
        If the file does not start with a header, or holds no record.
    """
    path = Path(path)
    lines = lines_of(read_bytes(path)).strip()
    filled = np.flatnonzero(lines.lengths)
    is_header = lines.content[lines.starts[filled]] == ord(">")
    if len(filled) and not is_header[0]:
        raise DataError(
            f'{path.name}, line {filled[0] + 1}: expected a FASTA header starting with ">", received '
            f'"{lines[filled[0]][:20]}": check the file\'s format.'
        )
    headers, body = filled[is_header], filled[~is_header]
    counts = np.bincount(np.cumsum(is_header)[~is_header] - 1, minlength=len(headers))
    names = Texts(lines.content, lines.starts[headers] + 1, lines.ends[headers]).first_words()
    if len(names) and not names.lengths.all():
        names = Texts.of(name or f"record {k}" for k, name in enumerate(names, 1))
    sequences = Texts(lines.content, lines.starts[body], lines.ends[body])
    if len(counts) and (counts != 1).any():
        sequences = sequences.merged(counts)
    return not_empty(Records(sequences, names, headers + 2, path, groups=_chromosomes(names)))


def _chromosomes(names: Texts) -> list[str]:
    """The chromosome of every name, or nothing unless all names are places on one."""
    found = []
    for name in names:
        place = _LOCUS.fullmatch(name)
        if not place:
            return []
        found.append(sys.intern(place[1]))
    return found


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
    rows = read_rows(path)
    numbers = np.arange(1, len(rows) + 1)
    return not_empty(Records(rows, _numbered(path, numbers), numbers, path))


def read_rows(path: str | Path) -> Texts:
    """Return the lines of a text file without white space at their ends and without blank lines at the end."""
    rows = lines_of(read_bytes(path)).strip()
    filled = np.flatnonzero(rows.lengths)
    return rows[: filled[-1] + 1 if len(filled) else 0]


def read_table(path: str | Path, columns: Columns | None = None) -> Records:
    """Read a CSV or TSV file that has a sequence and a label column; blank lines are ignored.

    Parameters
    ----------
    path : str or Path
        ``.csv`` (comma) or ``.tsv`` (tab), plain or gzip, with a header line.
    columns : Columns, optional
        Names in the header.

    Returns
    -------
    Records
        With labels; with groups and parts if their columns are named.

    Raises
    ------
    DataError
        If a column is missing, a line has more or fewer fields than the header, or a split column says something else
        than a key of :data:`PARTS`.
    """
    return _read_columns(Path(path), "\t" if suffix(path) == ".tsv" else ",", columns or Columns())


def read_deepbind(path: str | Path, columns: Columns | None = None) -> Records:
    """Read a file in DeepBind's format: tab-separated columns ``FoldID``, ``EventID``, ``seq``, ``Bound``.

    Parameters
    ----------
    path : str or Path
        ``.seq``, plain or gzip. DeepBind's training files (``_AC``) hold positives alone.
    columns : Columns, optional
        Names in the header, where they are not DeepBind's.

    Returns
    -------
    Records
        As from :func:`read_table`.

    Raises
    ------
    DataError
        As :func:`read_table`.
    """
    given = columns or Columns()
    return _read_columns(Path(path), "\t", DEEPBIND if given == Columns() else given)


def read_parquet(path: str | Path, columns: Columns | None = None) -> Records:
    """Read a Parquet file that has a sequence and a label column.

    Parameters
    ----------
    path : str or Path
        ``.parquet``.
    columns : Columns, optional
        Names of the columns; only these are read.

    Returns
    -------
    Records
        As from :func:`read_table`; `lines` counts rows from 1. A missing value is an empty string.

    Raises
    ------
    DataError
        If the file is not Parquet, or a column is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, columns = existing(path), columns or Columns()
    try:
        file = pq.ParquetFile(path)
        require_columns(path, file.schema_arrow.names, columns.given)
        found = {kind: _parquet_column(file, name).strip() for kind, name in columns.given.items()}
    except (pa.ArrowException, OSError) as error:
        raise DataError(
            f"{path.name}: expected a complete Parquet file, received one that cannot be read: write it again."
        ) from error
    return _records(path, np.arange(1, file.metadata.num_rows + 1), found, unit="row")


def _parquet_column(file, name: str) -> Texts:
    """Read one column as text, whatever its type."""
    return concatenate([_arrow_texts(batch.column(0)) for batch in file.iter_batches(columns=[name])] or [Texts.of([])])


def _arrow_texts(column) -> Texts:
    """Copy an Arrow array as text; missing values become empty."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    column = column.cast(pa.large_string()).fill_null("")
    _, offsets, content = column.buffers()
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    return Texts(np.frombuffer(content or b"", np.uint8), ends[:-1], ends[1:]).compact()


def _records(path: Path, numbers: np.ndarray, found: dict[str, Texts], unit: str = "line") -> Records:
    labels = found["label"].compact()
    groups = [sys.intern(text) for text in found.get("group", ())]
    parts = _parts(found.get("split", ()), numbers, path, unit)
    return not_empty(Records(found["sequence"], _numbered(path, numbers), numbers, path, labels, groups, parts, unit))


def _parts(texts: Sequence[str], numbers: np.ndarray, path: Path, unit: str) -> list[str]:
    parts = [PARTS.get(text.lower(), "") for text in texts]
    if "" in parts:
        i = parts.index("")
        raise DataError(
            f"{path.name}, {unit} {numbers[i]}: expected train, validation or test in the split column, received "
            f'"{texts[i]}": correct this {unit}.'
        )
    return parts


def _read_columns(path: Path, separator: str, columns: Columns) -> Records:
    return _records(path, *cut(path, separator, columns.given))


READERS: dict[str, Callable[..., Records]] = {
    ".fa": read_fasta,
    ".fasta": read_fasta,
    ".fna": read_fasta,
    ".txt": read_text,
    ".csv": read_table,
    ".tsv": read_table,
    ".seq": read_deepbind,
    ".parquet": read_parquet,
}
"""File suffix -> reader. A new format is one function and one line here."""

_TABLES = (read_table, read_deepbind, read_parquet)


def read(path: str | Path, columns: Columns | None = None) -> Records:
    """Read a file of sequences by its suffix.

    Parameters
    ----------
    path : str or Path
        A file whose suffix (before an optional ``.gz``) is a key of :data:`READERS`.
    columns : Columns, optional
        Used for CSV, TSV and Parquet.

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
    reader = READERS.get(suffix(path))
    if reader is None:
        raise DataError(
            f"{path.name}: expected a file ending in {', '.join(READERS)} (optionally .gz), received "
            f'"{"".join(path.suffixes) or "no suffix"}": rename or convert the file.'
        )
    return reader(path, columns) if reader in _TABLES else reader(path)


def suffix(path: Path) -> str:
    """The suffix that names the format: the last one that is not .gz."""
    suffixes = [part.lower() for part in path.suffixes if part.lower() != ".gz"]
    return suffixes[-1] if suffixes else ""


def _numbered(path: Path, numbers: np.ndarray) -> Texts:
    stem = path.name.split(".")[0]
    return Texts.of(f"{stem}:{n}" for n in numbers.tolist())
