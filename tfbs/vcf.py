"""Read and write VCF 4.x a line at a time.

A file may be plain, gzip or bgzip (recognised by content). What is not changed is passed on as it stands; compressed
output is bgzip, so that tabix can index it.
"""

from __future__ import annotations

import contextlib
import gzip
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DataError
from .sequences import AMBIGUITY
from .texts import TRUNCATED, existing, truncated

COLUMNS = ("CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO")
NEEDED = 5

_BASES = re.compile(f"[ACGTN{AMBIGUITY}]+", re.IGNORECASE)
_NO_BASES = re.compile(r"[.*]|<[^<>\s]+>|\.[A-Za-z]+|[A-Za-z]+\.|[A-Za-z.]*([\[\]])[^\[\]\s]+\1[A-Za-z.]*")
_POSITION = re.compile(r"[0-9]{1,10}")
_GZIP = b"\x1f\x8b"
_BLOCK = 65_280


def has_bases(allele: str) -> bool:
    """Say whether an allele is spelt out; ``<DEL>``, ``*``, ``.`` and breakends are not."""
    return bool(_BASES.fullmatch(allele))


@dataclass(frozen=True, slots=True)
class Record:
    """A line of a VCF.

    Attributes
    ----------
    line : int
        1-based line of the file.
    columns : list of str
        As the line has them; at least eight.
    """

    line: int
    columns: list[str]

    @property
    def chromosome(self) -> str:
        """Name as the file has it."""
        return self.columns[0]

    @property
    def start(self) -> int:
        """0-based position of the first base of REF; -1 is the telomere."""
        return int(self.columns[1]) - 1

    @property
    def name(self) -> str:
        """The ID column."""
        return self.columns[2]

    @property
    def ref(self) -> str:
        """Reference allele."""
        return self.columns[3]

    @property
    def alts(self) -> list[str]:
        """Alternative alleles, spelt out or not."""
        return self.columns[4].split(",")

    def text(self, info: Mapping[str, str]) -> str:
        """The line with values in INFO in place of those of the same names; an empty value takes a name away."""
        kept = [entry for entry in self.columns[7].split(";") if entry.partition("=")[0] not in info]
        added = [f"{name}={value}" for name, value in info.items() if value]
        if added:
            kept = [entry for entry in kept if entry not in ("", ".")]
        return "\t".join([*self.columns[:7], ";".join(kept + added) or ".", *self.columns[8:]])


@dataclass(frozen=True)
class Info:
    """A field to add to INFO: its name, description and type, one value an alternative allele."""

    name: str
    description: str
    kind: str = "Float"

    def header(self, version: str) -> str:
        """The line that declares it."""
        return (
            f'##INFO=<ID={self.name},Number=A,Type={self.kind},Description="{self.description}",Source="tfbs",'
            f'Version="{version}">'
        )


class Vcf:
    """A VCF file.

    Parameters
    ----------
    path : str or Path
        Plain, gzip or bgzip; lines end in LF or CRLF. The line ``#CHROM`` and the columns after ALT may be missing.

    Raises
    ------
    DataError
        If the file is missing, is truncated gzip, or its header is not one.
    """

    def __init__(self, path: str | Path):
        self.path = existing(path)
        self.packed = is_packed(self.path)
        self.meta, self.names, self._header = [], [], 0
        for number, line in lines(self.path):
            if not line.startswith("##"):
                self.names = self._columns(line, number)
                self._header += line.startswith("#")
                break
            self.meta.append(line)
            self._header += 1
        with gzip.open(self.path) if self.packed else self.path.open("rb") as handle:
            self.line_end = "\r\n" if handle.readline().endswith(b"\r\n") else "\n"

    def _columns(self, line: str, number: int) -> list[str]:
        """Names of the columns: as the line #CHROM has them, or as many as the first record has."""
        columns = _split(line, f"{self.path.name}, line {number}")
        if line.startswith("#"):
            return columns
        if len(columns) > len(COLUMNS):
            raise DataError(
                f"{self.path.name}, line {number}: expected a line #CHROM that names the {len(columns)} columns, "
                "received a variant: add that line."
            )
        return ["#CHROM", *COLUMNS[1 : len(columns)]]

    def records(self) -> Iterator[Record]:
        """Yield the records in file order; blank lines are passed over.

        Raises
        ------
        DataError
            If a line is no record, or there is none; the message names the line.
        """
        number = 0
        for number, line in self._body():
            where = f"{self.path.name}, line {number}"
            columns = _split(line, where)
            if len(columns) != len(self.names):
                raise DataError(
                    f"{where}: expected {len(self.names)} columns like the line #CHROM or the first record, received "
                    f"{len(columns)}: correct this line."
                )
            _check(columns, where)
            yield Record(number, columns + ["."] * (len(COLUMNS) - len(columns)))
        if not number:
            raise DataError(f"{self.path.name}: expected at least one variant, received none.")

    def _body(self) -> Iterator[tuple[int, str]]:
        """Yield the lines after the header, without line ends, blank ones left out."""
        for number, line in lines(self.path):
            if number <= self._header or not line.strip():
                continue
            if line.startswith("#"):
                raise DataError(
                    f"{self.path.name}, line {number}: expected a variant, received a header line among the variants: "
                    "join files with bcftools concat, or remove this line."
                )
            yield number, line

    @contextlib.contextmanager
    def copy(self, target: Path, added: Sequence[str]) -> Iterator[Callable[[str], None]]:
        """Open a copy, compressed if this file is, and write its header.

        Parameters
        ----------
        target : Path
            New file.
        added : sequence of str
            Lines to add to the header, in place of those that declare the same field.

        Yields
        ------
        callable
            Writes a line, which comes without its line end.
        """
        declared = tuple(line.split(",")[0] + "," for line in added)
        meta = [line for line in self.meta if not line.startswith(declared)]
        if not (meta and meta[0].startswith("##fileformat=")):
            meta.insert(0, "##fileformat=VCFv4.2")
        names = [*self.names, *COLUMNS[len(self.names) :]]
        with contextlib.closing(_Bgzip(target) if self.packed else target.open("wb")) as out:

            def write(line: str) -> None:
                out.write(f"{line}{self.line_end}".encode())

            for line in (*meta, *added, "\t".join(names)):
                write(line)
            yield write


def _split(line: str, where: str) -> list[str]:
    columns = line.split("\t")
    if len(columns) < NEEDED:
        raise DataError(
            f"{where}: expected at least the columns {', '.join(COLUMNS[:NEEDED])}, separated by tabs, received "
            f'{len(columns)} column{"s" * (len(columns) > 1)} ("{line[:40]}"): separate them by tabs, not spaces.'
        )
    return columns


def _check(columns: list[str], where: str) -> None:
    """Insist on a place and on alleles."""
    chromosome, position, _, ref, alts = columns[:NEEDED]
    if not chromosome or len(chromosome.split()) != 1 or chromosome.strip() != chromosome:
        raise DataError(f'{where}: expected a chromosome without spaces, received "{chromosome[:40]}".')
    if not _POSITION.fullmatch(position):
        raise DataError(
            f'{where}: expected in POS a whole number from 1, received "{position[:40]}": correct this line.'
        )
    if not has_bases(ref):
        raise DataError(
            f'{where}: expected in REF the letters A, C, G, T or N, received "{ref[:40]}": correct this line.'
        )
    for alt in alts.split(","):
        if not (has_bases(alt) or _NO_BASES.fullmatch(alt)):
            raise DataError(
                f'{where}: expected in ALT letters A, C, G, T or N, or "<...>", "*", "." or a breakend, received '
                f'"{alt[:40]}": correct this line.'
            )


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the number, from 1, and the text of each line of a file, plain or gzip, without its line end.

    Raises
    ------
    DataError
        If the file cannot be read, is truncated gzip, or is not text.
    """
    try:
        with gzip.open(path) if is_packed(path) else path.open("rb") as source:
            for number, line in enumerate(source, 1):
                yield number, line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").decode().rstrip("\r\n")
    except TRUNCATED as error:
        raise truncated(path) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path.name}: expected text, received bytes that are not: give a VCF or a table, plain or gzip; BCF "
            'becomes VCF with "bcftools view".'
        ) from error
    except PermissionError as error:
        raise DataError(f"{path.name}: expected a readable file, received one without read permission.") from error


def is_packed(path: Path) -> bool:
    """Say whether a file is gzip; raise DataError if it is bgzip without the block that ends it."""
    with path.open("rb") as handle:
        head = handle.read(18)
        handle.seek(max(0, path.stat().st_size - len(_END)))
        tail = handle.read()
    if head[:4] == _GZIP + b"\x08\x04" and head[12:14] == b"BC" and tail != _END:
        raise truncated(path)
    return head.startswith(_GZIP)


def _bgzip_block(content: bytes) -> bytes:
    """A gzip member that says how long it is: section 4.1 of the SAM specification."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -15)
    packed = packer.compress(content) + packer.flush()
    head = b"\x1f\x8b\x08\x04\0\0\0\0\0\xff\x06\0BC\x02\0"
    return head + struct.pack("<H", len(packed) + 25) + packed + struct.pack("<II", zlib.crc32(content), len(content))


_END = _bgzip_block(b"")


class _Bgzip:
    """Writes a file as bgzip does."""

    def __init__(self, path: Path):
        self._file, self._waiting = path.open("wb"), bytearray()

    def write(self, content: bytes) -> None:
        self._waiting += content
        while len(self._waiting) >= _BLOCK:
            self._file.write(_bgzip_block(bytes(self._waiting[:_BLOCK])))
            del self._waiting[:_BLOCK]

    def close(self) -> None:
        with self._file as file:
            if self._waiting:
                file.write(_bgzip_block(bytes(self._waiting)))
            file.write(_END)
