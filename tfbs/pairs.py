"""Read a table of pairs of sequences, one with the reference and one with the alternative allele, a line at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError
from .texts import existing
from .vcf import has_bases, lines

COLUMNS = ("id", "ref", "alt")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two sequences to compare, letters in either case."""

    name: str
    ref: str
    alt: str


def read(path: str | Path, length: int) -> Iterator[Pair]:
    """Yield the rows of a table.

    Parameters
    ----------
    path : str or Path
        Tab-separated, plain or gzip, with a header line that names the columns ``id``, ``ref`` and ``alt``.
    length : int
        Length that every sequence must have, bp.

    Yields
    ------
    Pair

    Raises
    ------
    DataError
        If a line is no pair of sequences of that length, or there is none; the message names the line.
    """
    path = existing(path)
    header: list[str] = []
    found = False
    for number, line in lines(path):
        fields, where = [field.strip() for field in line.split("\t")], f"{path.name}, line {number}"
        if not header:
            header = _checked_header(fields, where)
        elif line.strip():
            if len(fields) != len(header):
                raise DataError(
                    f"{where}: expected {len(header)} columns separated by tabs, as in the header, received "
                    f"{len(fields)}: correct this line."
                )
            name, *alleles = (fields[header.index(column)] for column in COLUMNS)
            for column, allele in zip(COLUMNS[1:], alleles, strict=True):
                _check(allele, length, f"{where}, {column}")
            found = True
            yield Pair(name, *alleles)
    if not found:
        raise DataError(f"{path.name}: expected at least one pair of sequences, received none.")


def _checked_header(fields: list[str], where: str) -> list[str]:
    if not set(COLUMNS) <= set(fields):
        raise DataError(
            f"{where}: expected a header with the columns {', '.join(COLUMNS)}, separated by tabs, received "
            f'"{" ".join(fields)[:40]}": name the columns.'
        )
    return fields


def _check(sequence: str, length: int, where: str) -> None:
    if len(sequence) != length:
        raise DataError(
            f"{where}: expected a sequence of {length} bp, as the network takes, received {len(sequence)} bp: trim or "
            "extend it around the variant."
        )
    if not has_bases(sequence):
        bad = next(letter for letter in sequence if not has_bases(letter))
        raise DataError(f'{where}: expected the letters A, C, G, T or N, received "{bad}": correct this line.')
