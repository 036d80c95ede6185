"""Genomic regions: read peaks from BED and narrowPeak files and cut windows of one width around them."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from . import sequences
from .errors import DataError
from .genome import Genome, Windows

BEYOND = "window beyond the end of the chromosome"
SAME_PLACE = "same place as an earlier region"
MOSTLY_N = "more than half N"

_NOT_DATA = ("#", "track ", "track\t", "browser ", "browser\t")


@dataclass(frozen=True)
class Regions:
    """Regions of a genome, as a file holds them.

    Attributes
    ----------
    chromosome : ndarray of str, shape (N,)
        Names as the file has them.
    start, end : ndarray of int64, shape (N,)
        0-based, half open.
    summit : ndarray of int64, shape (N,)
        0-based position of the summit on the chromosome, -1 where there is none.
    strand : ndarray of str, shape (N,)
        "+", "-" or ".".
    name : ndarray of str, shape (N,)
        Column 4, or ``<chromosome>:<start>-<end>``.
    line : ndarray of int64, shape (N,)
        1-based line of the file.
    path : Path
        The file.
    """

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray
    summit: np.ndarray
    strand: np.ndarray
    name: np.ndarray
    line: np.ndarray
    path: Path

    def __len__(self) -> int:
        return len(self.start)

    @property
    def centre(self) -> np.ndarray:
        """Summit where there is one, else the midpoint; of two midpoints the right one. Shape (N,), int64."""
        return np.where(self.summit >= 0, self.summit, (self.start + self.end) // 2)

    def take(self, rows: np.ndarray) -> Regions:
        """Return the regions with the given indices (or where a mask holds)."""
        return Regions(*(getattr(self, field.name)[rows] for field in fields(self)[:-1]), self.path)


def read_regions(path: str | Path) -> Regions:
    """Read a BED or narrowPeak file.

    Comments, ``track`` and ``browser`` lines and blank lines are passed over; fields are separated by tabs, or by
    spaces in a line without tabs. Columns 1 to 3 are needed. Column 4 is the name. Column 6 is the strand if it is
    "+", "-" or "." in every line. Ten columns make a narrowPeak line, whose column 10 is the summit counted from the
    start, or -1. Regions may overlap and stand in any order.

    Parameters
    ----------
    path : str or Path
        Plain or gzip, with any line ends.

    Returns
    -------
    Regions
        One a line, in file order.

    Raises
    ------
    DataError
        If the file cannot be read, holds no region, or a line is not a region; the message names the line.

    References
    ----------
    UCSC Genome Browser, "Data file formats": BED, ENCODE narrowPeak.
    """
    path = Path(path).expanduser()
    rows = []
    for number, line in enumerate(sequences.read_lines(path), 1):
        if line.strip() and not line.startswith(_NOT_DATA):
            columns = [column.strip() for column in line.split("\t")] if "\t" in line else line.split()
            rows.append((columns[0], *_positions(columns, f"{path.name}, line {number}"), columns, number))
    if not rows:
        raise DataError(f"{path.name}: expected at least one region, received none.")
    chromosome, start, end, summit, columns, number = zip(*rows, strict=True)
    return Regions(
        np.array(chromosome),
        np.array(start, np.int64),
        np.array(end, np.int64),
        np.array(summit, np.int64),
        _strands(columns, number, path),
        np.array([row[4][3] if len(row[4]) > 3 else f"{row[0]}:{row[1]}-{row[2]}" for row in rows]),
        np.array(number, np.int64),
        path,
    )


def _positions(columns: list[str], where: str) -> tuple[int, int, int]:
    """Start, end and summit of a line."""
    if len(columns) < 3 or not columns[0]:
        raise DataError(
            f"{where}: expected chromosome, start and end, received {len(columns)} column"
            f'{"" if len(columns) == 1 else "s"} ("{" ".join(columns)[:40]}"): separate them by tabs.'
        )
    for text in columns[1:3]:
        if not (text.isascii() and text.isdecimal() and len(text) < 13):
            raise DataError(
                f'{where}: expected start and end as whole numbers from 0, received "{text[:40]}": correct this line, '
                'or begin it with "#" if it is a header.'
            )
    start, end = int(columns[1]), int(columns[2])
    if start >= end:
        raise DataError(f"{where}: expected a start before the end, received {start} and {end}: correct this line.")
    if len(columns) != 10 or columns[9] == "-1":
        return start, end, -1
    if not (columns[9].isascii() and columns[9].isdecimal() and len(columns[9]) < 13 and int(columns[9]) < end - start):
        raise DataError(
            f"{where}: expected in column 10 of a narrowPeak line the summit as an offset from 0 to {end - start - 1}, "
            f'or -1, received "{columns[9][:40]}": correct this line.'
        )
    return start, end, start + int(columns[9])


def _strands(columns: tuple[list[str], ...], numbers: tuple[int, ...], path: Path) -> np.ndarray:
    """Column 6 if it is the strand; a file may also hold something else there, or nothing."""
    strand = np.array([row[5] if len(row) > 5 else "." for row in columns])
    valid = np.isin(strand, ["+", "-", "."])
    given = np.isin(strand, ["+", "-"])
    if given.any() and not valid.all():
        row = int((~valid).argmax())
        raise DataError(
            f'{path.name}, line {numbers[row]}: expected the strand "+", "-" or "." in column 6 as in other lines, '
            f'received "{strand[row][:40]}": correct this line.'
        )
    return np.where(valid, strand, ".").astype("U1")


def windows(regions: Regions, genome: Genome, width: int) -> tuple[Windows, np.ndarray, dict[str, int]]:
    """Cut a window around the centre of each region.

    The centre stands at position ``width // 2`` of the window, counted from the left, and on the minus strand in the
    sequence as returned, which there is the reverse complement.

    Parameters
    ----------
    regions : Regions
        Their chromosome names are resolved by :meth:`Genome.resolve`.
    genome : Genome
        The assembly on which the regions were called.
    width : int
        Width, bp.

    Returns
    -------
    windows : Windows
        In the order of the regions.
    kept : ndarray of intp
        The region each window belongs to.
    dropped : dict of str to int
        Why regions have no window, and how many: :data:`BEYOND`, :data:`SAME_PLACE` (the first is kept; one centre is
        one place, on whichever strand), :data:`MOSTLY_N`. Only reasons that occur.

    Raises
    ------
    DataError
        If a chromosome cannot be resolved, or no window remains.
    ParameterError
        If the width is below 1.
    """
    names, inverse = np.unique(regions.chromosome, return_inverse=True)
    resolved = genome.resolve(names.tolist(), regions.path.name)
    chromosomes = np.array([resolved[str(name)] for name in names])[inverse]
    lengths = np.array([genome.lengths[resolved[str(name)]] for name in names])[inverse]
    minus = regions.strand == "-"
    starts = regions.centre - np.where(minus, (width - 1) // 2, width // 2)

    inside = np.flatnonzero((starts >= 0) & (starts + width <= lengths))
    _, places = np.unique(chromosomes, return_inverse=True)
    order = np.lexsort((inside, regions.centre[inside], places[inside]))
    sorted_places = np.column_stack([places[inside], regions.centre[inside]])[order]
    first = np.append(True, (sorted_places[1:] != sorted_places[:-1]).any(1))[: len(order)]
    kept = inside[np.sort(order[first])]
    found = genome.windows(chromosomes[kept], starts[kept], width)
    readable = (found.codes == sequences.N).sum(1) * 2 <= width
    counts = {
        BEYOND: len(regions) - len(inside),
        SAME_PLACE: len(inside) - len(kept),
        MOSTLY_N: int((~readable).sum()),
    }
    dropped = {reason: count for reason, count in counts.items() if count}
    if not readable.any():
        raise DataError(
            f"{regions.path.name}: expected at least one region with a window of {width} bp in {genome.path.name}, "
            f"received none ({', '.join(f'{count:,} {reason}' for reason, count in dropped.items())}): check that the "
            "regions were called on this genome."
        )
    found, kept = found.take(readable), kept[readable]
    found.codes[minus[kept]] = sequences.reverse_complement(found.codes[minus[kept]])
    return found, kept, dropped
