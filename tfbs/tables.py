"""Cut tables of text (CSV, TSV) into columns, a million rows in a second."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from .errors import DataError
from .texts import Texts, find, lines_of, read_bytes


@dataclass(frozen=True)
class Columns:
    """Names of the columns of a table.

    Attributes
    ----------
    sequence_column, label_column : str
        DNA, and 0 or 1.
    group_column, split_column : str
        A chromosome or other group, and "train", "validation" or "test"; empty where the table has none.
    """

    sequence_column: str = "sequence"
    label_column: str = "label"
    group_column: str = ""
    split_column: str = ""

    @property
    def given(self) -> dict[str, str]:
        """What each named column holds: ``{"sequence": name, "label": name, ...}``."""
        return {kind.removesuffix("_column"): name for kind, name in asdict(self).items() if name}


def cut(path: Path, separator: str, wanted: dict[str, str]) -> tuple[np.ndarray, dict[str, Texts]]:
    """Read the wanted columns of a table; blank lines are ignored.

    Parameters
    ----------
    path : Path
        Text, plain or gzip, with a header line.
    separator : str
        One character; fields that hold it, a quote or a line end stand in quotes.
    wanted : dict of str to str
        What a column holds -> its name in the header.

    Returns
    -------
    lines : ndarray of int64
        1-based line of every row.
    columns : dict of str to Texts
        What a column holds -> its fields, without white space at either end.

    Raises
    ------
    DataError
        If a column is missing, or a line has more or fewer fields than the header.
    """
    content = read_bytes(path)
    table = _bulk_columns(path, content, separator, wanted)
    numbers, found = table or _slow_columns(path, content, separator, wanted)
    return numbers, {kind: texts.strip() for kind, texts in found.items()}


def _bulk_columns(path: Path, content: bytes, separator: str, wanted: dict[str, str]):
    """Cut a table at its separators; None if quotes make that wrong."""
    lines = lines_of(content)
    filled = np.flatnonzero(lines.lengths)
    lines, quotes = Texts(lines.content, lines.starts[filled], lines.ends[filled]), content.count(b'"')
    header = [name.strip() for name in next(csv.reader(lines[:1], delimiter=separator), [])]
    if not quotes:
        require_columns(path, header, wanted)
    at = find(lines.content, separator.encode())
    first = np.searchsorted(at, lines.starts)
    fields_found = np.searchsorted(at, lines.ends) - first + 1
    wrong = np.flatnonzero(fields_found != len(header))
    if len(wrong):
        if quotes:
            return None
        raise _wrong_fields(path, filled[wrong[0]] + 1, len(header), fields_found[wrong[0]])
    found, quoted = {}, 0
    for k, name in enumerate(header):
        kinds = [kind for kind, column in wanted.items() if column == name and header.index(name) == k]
        if not kinds and not quotes:
            continue
        starts = lines.starts if k == 0 else at[first + k - 1] + 1
        ends = lines.ends if k == len(header) - 1 else at[first + k]
        if quotes:
            starts, ends, here = _unquoted(lines.content, starts, ends)
            quoted += here
        found.update({kind: Texts(lines.content, starts[1:], ends[1:]) for kind in kinds})
    if 2 * quoted != quotes:
        return None
    require_columns(path, header, wanted)
    return filled[1:] + 1, found


def _unquoted(letters: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """Take the quotes off the fields that have one at both ends, and count those fields."""
    long = np.flatnonzero(ends - starts >= 2)
    both = long[(letters[starts[long]] == ord('"')) & (letters[ends[long] - 1] == ord('"'))]
    starts, ends = starts.copy(), ends.copy()
    starts[both] += 1
    ends[both] -= 1
    return starts, ends, len(both)


def _slow_columns(path: Path, content: bytes, separator: str, wanted: dict[str, str]):
    """Cut a table whose quoted fields hold separators, quotes or line ends, one row at a time."""
    reader = csv.reader((f"{line}\n" for line in lines_of(content)), delimiter=separator, strict=True)
    try:
        rows = [(reader.line_num, row) for row in reader if row]
    except csv.Error as error:
        raise DataError(
            f"{path.name}, line {reader.line_num}: expected fields separated by one character, received a line that "
            f"cannot be split ({error}): check its quotes."
        ) from error
    header = [name.strip() for name in rows[0][1]]
    require_columns(path, header, wanted)
    for number, row in rows[1:]:
        if len(row) != len(header):
            raise _wrong_fields(path, number, len(header), len(row))
    found = {kind: Texts.of(row[header.index(name)] for _, row in rows[1:]) for kind, name in wanted.items()}
    return np.array([number for number, _ in rows[1:]], np.int64), found


def require_columns(path: Path, header: Sequence[str], wanted: dict[str, str]) -> None:
    """Insist on the wanted columns (what they hold -> name) in the header."""
    for kind, column in wanted.items():
        if column not in header:
            names = "sequence_column= and label_column=" if kind in ("sequence", "label") else f"{kind}_column="
            raise DataError(
                f'{path.name}, line 1: expected a column "{column}", received the columns '
                f"{', '.join(map(repr, header)) or 'of an empty file'}: name yours with {names}."
            )


def _wrong_fields(path: Path, number: int, expected: int, received: int) -> DataError:
    return DataError(
        f"{path.name}, line {number}: expected {expected} fields as in the header, received {received}: "
        "correct this line."
    )
