"""A reference genome: stretches of chromosomes as codes, read from FASTA without holding the genome in memory.

The file may be plain, gzip or bgzip; nothing is ever written beside it. Its index, and the decompressed copy of a
compressed file, are made once and kept in the cache folder. Letters may be lower case (soft-masked repeats), which
is kept apart from the bases; the ambiguity codes of IUPAC are read as N. :func:`match` finds the chromosome that
another file calls by another name.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import datasets, sequences
from .errors import DataError, ParameterError, did_you_mean
from .texts import TRUNCATED, truncated

LOWER = 8
"""Bit of :meth:`Genome.letters` that says that the letter stands in lower case."""

_INVALID = 255
_BLOCK = 1 << 24
_LINE_ENDS = b"\r\n"
_LETTERS = bytearray([_INVALID]) * 256
for _code, _letter in [*enumerate(sequences.ALPHABET), *((sequences.N, _letter) for _letter in "NRYSWKMBDHV")]:
    _LETTERS[ord(_letter)], _LETTERS[ord(_letter.lower())] = _code, _code | LOWER


@dataclass(frozen=True)
class Windows:
    """Windows of one width on a genome.

    Attributes
    ----------
    chromosomes : ndarray of str, shape (N,)
        Names as the genome has them.
    starts : ndarray of int64, shape (N,)
        0-based first position.
    codes : ndarray of uint8, shape (N, width)
        A, C, G, T, N = 0 .. 4.
    repeats : ndarray of float64, shape (N,)
        Share of the letters in lower case, 0 to 1; 0 where the genome is not soft-masked.
    """

    chromosomes: np.ndarray
    starts: np.ndarray
    codes: np.ndarray
    repeats: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def width(self) -> int:
        """Width of a window, bp."""
        return self.codes.shape[1]

    @property
    def ids(self) -> list[str]:
        """One ``<chromosome>:<start>-<end>`` a window, 0-based, the end exclusive."""
        return [
            f"{name}:{start}-{start + self.width}"
            for name, start in zip(self.chromosomes, self.starts.tolist(), strict=True)
        ]

    def take(self, rows: np.ndarray) -> Windows:
        """Return the windows with the given indices."""
        return Windows(self.chromosomes[rows], self.starts[rows], self.codes[rows], self.repeats[rows])


class Genome:
    """A FASTA file of chromosomes.

    Parameters
    ----------
    path : str or Path
        FASTA, plain, gzip or bgzip (recognised by content); ``~`` is the home folder. The first use of a file makes
        its index (and decompresses it) into :func:`tfbs.datasets.cache_folder` ``/genomes``, or into the user's cache
        folder where that one is read-only; a file with another size or time of change is prepared anew.

    Raises
    ------
    DataError
        If the file is missing, damaged or not FASTA, holds a name twice, or the cache folder cannot be written.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path).expanduser()
        self._fasta, self._index = _prepare(self.path)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the chromosomes, in file order: the first word of each header."""
        return tuple(self._index)

    @property
    def lengths(self) -> dict[str, int]:
        """Name -> length, bp."""
        return {name: entry[0] for name, entry in self._index.items()}

    def letters(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """Read a stretch with its letter case.

        Parameters
        ----------
        chromosome : str
            A name in :attr:`names`.
        start, end : int
            0-based, half open.

        Returns
        -------
        ndarray of uint8, shape (end - start,)
            A, C, G, T, N = 0 .. 4, plus :data:`LOWER` where the letter stands in lower case.

        Raises
        ------
        DataError
            If the chromosome is unknown, the stretch leaves it, or a letter is neither a base nor an ambiguity code.
        """
        if chromosome not in self._index:
            raise DataError(
                f'{self.path.name}: expected one of its chromosomes ({shortened(self.names)}), received "{chromosome}"'
                f"{did_you_mean(chromosome, self.names) or '.'}"
            )
        length, offset, bases, line = self._index[chromosome]
        if not 0 <= start <= end <= length:
            raise DataError(
                f"{self.path.name}: expected a stretch within {chromosome}:0-{length}, received "
                f"{chromosome}:{start}-{end}: check that the positions belong to this assembly."
            )
        result = np.empty(end - start, np.uint8)
        if end == start:
            return result
        first, last = (offset + p // bases * line + p % bases for p in (start, end - 1))
        filled = 0
        with self._fasta.open("rb") as handle:
            handle.seek(first)
            for at in range(first, last + 1, _BLOCK):
                block = handle.read(min(_BLOCK, last + 1 - at))
                codes = np.frombuffer(block.translate(_LETTERS, _LINE_ENDS), np.uint8)
                if codes.max(initial=0) == _INVALID:
                    bad = int((codes == _INVALID).argmax())
                    raise DataError(
                        f"{self.path.name}: expected the letters A, C, G, T, N or an ambiguity code, received "
                        f'"{chr(block.translate(None, _LINE_ENDS)[bad])}" at {chromosome}, position '
                        f"{start + filled + bad + 1}: correct the file."
                    )
                result[filled : filled + len(codes)] = codes
                filled += len(codes)
        return result

    def codes(self, chromosome: str, start: int, end: int) -> np.ndarray:
        """Read a stretch as codes 0 to 4, shape (end - start,), uint8; see :meth:`letters`."""
        return self.letters(chromosome, start, end) & (LOWER - 1)

    def windows(
        self, chromosomes: Sequence[str] | np.ndarray, starts: Sequence[int] | np.ndarray, width: int
    ) -> Windows:
        """Read windows of one width, each chromosome once.

        Memory is the result plus the longest stretch between the first and the last window of one chromosome, one
        byte a base.

        Parameters
        ----------
        chromosomes : sequence of str, length N
            Names in :attr:`names`.
        starts : sequence of int, length N
            0-based first positions, in any order.
        width : int
            Width, bp, >= 1.

        Returns
        -------
        Windows
            In the order asked for, on the forward strand.

        Raises
        ------
        DataError
            As :meth:`letters`.
        ParameterError
            If the width is below 1.
        """
        if width < 1:
            raise ParameterError(f"width: expected at least 1 bp, received {width}.")
        chromosomes, starts = np.asarray(chromosomes, dtype=str), np.asarray(starts, np.int64)
        codes, repeats = np.empty((len(starts), width), np.uint8), np.empty(len(starts))
        for name in np.unique(chromosomes):
            rows = np.flatnonzero(chromosomes == name)
            begin, end = int(starts[rows].min()), int(starts[rows].max()) + width
            stretch = np.lib.stride_tricks.sliding_window_view(self.letters(str(name), begin, end), width)
            letters = stretch[starts[rows] - begin]
            codes[rows] = letters & (LOWER - 1)
            repeats[rows] = (letters >= LOWER).mean(1)
        return Windows(chromosomes, starts, codes, repeats)

    def resolve(self, names: Iterable[str], source: str = "the regions", partly: bool = False) -> dict[str, str]:
        """Find the chromosome that each name of another file means; see :func:`match` for the rule.

        Parameters
        ----------
        names : iterable of str
            Chromosome names of another file.
        source : str
            What to call that file in a message.
        partly : bool
            Leave out names that the genome does not hold, unless it holds none.

        Returns
        -------
        dict of str to str
            Name there -> name in this genome.

        Raises
        ------
        DataError
            If a name means no chromosome, or may mean several.
        """
        names = list(dict.fromkeys(map(str, names)))
        found, unclear = match(names, self.names)
        if unclear:
            raise DataError(
                f"{source}: expected names that each mean one chromosome of {self.path.name} "
                f"({shortened(self.names)}), received {shortened(names)}, where {shortened(unclear)} may mean several: "
                "rename the chromosomes as the genome has them."
            )
        missing = [name for name in names if name not in found]
        if missing and not (partly and found):
            raise DataError(
                f"{source}: expected chromosomes of {self.path.name} ({shortened(self.names)}), received "
                f"{shortened(names)}, of which the genome lacks {shortened(missing)}: give the genome that the regions "
                "were called on, or remove these regions."
            )
        return found


_Index = Mapping[str, tuple[int, int, int, int]]


def _prepare(path: Path) -> tuple[Path, _Index]:
    """Return the plain FASTA and its index: name -> length, offset, bases a line, bytes a line."""
    if not path.is_file():
        raise DataError(
            f"Expected an existing genome file, received {path}, which "
            f"{'is a folder' if path.is_dir() else f'does not exist (working folder: {Path.cwd()})'}: give the path "
            "of a FASTA file."
        )
    try:
        state = path.stat()
        key = hashlib.sha256(f"{path.resolve()} {state.st_size} {state.st_mtime_ns}".encode()).hexdigest()[:16]
        folder = _folder() / f"{path.name.split('.')[0]}-{key}"
        if not folder.exists():
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _build(path, Path(scratch) / "genome")
                _publish(Path(scratch) / "genome", folder)
        copy = folder / "genome.fa"
        return (copy if copy.exists() else path), _read_index(folder / "genome.fai")
    except TRUNCATED as error:
        raise truncated(path) from error
    except OSError as error:
        raise DataError(
            f"{path.name}: expected to read it and to keep its index in {_folder()}, received {error}: check the "
            "permissions and the free space, or set TFBS_DATA_DIR to a folder that can be written."
        ) from error


def _folder() -> Path:
    """Where prepared genomes are kept; a folder without write permission is left alone, even by the superuser."""
    import pooch

    wanted = datasets.cache_folder()
    existing = next(folder for folder in (wanted.absolute(), *wanted.absolute().parents) if folder.exists())
    writable = os.access(existing, os.W_OK) and existing.stat().st_mode & 0o222
    return (wanted if writable else Path(pooch.os_cache("tfbs"))) / "genomes"


def _build(path: Path, folder: Path) -> None:
    """Make the index of a FASTA file in a new folder, and a plain copy where the file itself cannot be indexed."""
    folder.mkdir()
    copy = folder / "genome.fa"
    with path.open("rb") as handle:
        compressed = handle.read(2) == b"\x1f\x8b"
    if compressed or path.suffix.lower() in (".gz", ".bgz", ".bz2", ".zip"):
        with (gzip.open if compressed else open)(path, "rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
    try:
        _make_index(copy if copy.exists() else path, folder)
    except ValueError:
        _rewrap(copy if copy.exists() else path, folder / "rewrapped")
        (folder / "rewrapped").replace(copy)
        try:
            _make_index(copy, folder)
        except ValueError as error:
            raise DataError(
                f'{path.name}: expected FASTA with one header (">name") for each chromosome, all names different, '
                f"received a file that cannot be indexed ({str(error).split('. ')[0].replace(str(copy), path.name)}): "
                "correct the file."
            ) from error


def _make_index(fasta: Path, folder: Path) -> None:
    """Write the samtools index of a plain FASTA; ValueError if it has none."""
    import pyfaidx

    index = folder / "genome.fai"
    index.unlink(missing_ok=True)
    try:
        pyfaidx.Faidx(fasta, indexname=index).close()
    except (pyfaidx.FastaIndexingError, RuntimeError) as error:
        raise ValueError(str(error)) from error
    for name, entry in _read_index(index).items():
        if not _is_regular(fasta, *entry):
            raise ValueError(f"lines of {name} differ in length")


def _is_regular(fasta: Path, length: int, offset: int, bases: int, line: int) -> bool:
    """Say whether each line of a sequence but the last holds `bases` letters, as the index takes for granted."""
    if not length:
        return True
    size = (length - 1) // bases * line + (length - 1) % bases + 1
    rows = max(1, _BLOCK // line)
    with fasta.open("rb") as handle:
        handle.seek(offset)
        for at in range(0, size, rows * line):
            block = np.frombuffer(handle.read(min(rows * line, size - at)), np.uint8)
            ends = (block == ord("\n")) | (block == ord("\r"))
            if not np.array_equal(ends, np.arange(len(block)) % line >= bases):
                return False
    return True


def _rewrap(source: Path, target: Path) -> None:
    """Copy a FASTA with each sequence on one line: an index needs lines of one length and no blank ones."""
    with source.open("rb") as lines, target.open("wb") as out:
        for number, line in enumerate(lines):
            header = line.startswith(b">")
            out.write((b"\n" if header and number else b"") + line.strip() + (b"\n" if header else b""))


def _publish(built: Path, folder: Path) -> None:
    """Put a finished folder in its place in one step; another process may have been first."""
    try:
        built.rename(folder)
    except OSError:
        if not folder.exists():
            raise


def _read_index(path: Path) -> _Index:
    rows = [line.split("\t") for line in path.read_text().splitlines()]
    return {name: (int(length), int(offset), int(bases), int(line)) for name, length, offset, bases, line in rows}


def _numerals() -> dict[str, int]:
    ones = ["", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX"]
    return {"X" * tens + one: 10 * tens + i for tens in range(4) for i, one in enumerate(ones) if tens or one}


_ROMAN = _numerals()
_MITOCHONDRION = {"m", "mt", "mito", "mitochondrion"}


def match(names: Sequence[str], known: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Find the chromosomes of a genome that names of another file mean.

    A name means, by the first rule that finds one: (1) the chromosome of the same name; (2) of the same name but for
    "chr" in front; (3) of the same number, where one file counts in Roman and the other in Arabic numerals; (4) the
    mitochondrion, under the names M, MT, Mito, mitochondrion. Numerals count as such only where the genome numbers its
    chromosomes from 1 without a gap, so that the X of a genome I, II, III, IV, V, X is no ten, and Roman names of the
    other file only if one of them has two letters or more, so that a lone X is no ten either. Unclear is a name for
    which one rule finds several chromosomes, and a single letter found by rule 1 or 2 that is also one of the genome's
    numbers while other names need rule 3: X beside 1, 2, 3 may be the sex chromosome or the tenth.

    Parameters
    ----------
    names : sequence of str
        Names of the other file, each once.
    known : sequence of str
        Names of the genome.

    Returns
    -------
    found : dict of str to str
        Name -> chromosome; a name that means none is absent.
    unclear : list of str
        Names that may mean several.
    """
    by_bare: dict[str, list[str]] = {}
    for name in known:
        by_bare.setdefault(_bare(name), []).append(name)
    arabic, roman = (_numbered(by_bare, number) for number in (_arabic, _ROMAN.get))
    other_is_roman = any(len(_bare(name)) > 1 and _bare(name) in _ROMAN for name in names)
    mitochondria = [name for name in known if _bare(name).lower() in _MITOCHONDRION]
    by_name = {name: [name] if name in known else by_bare.get(_bare(name), []) for name in names}
    by_number = {
        name: roman.get(_arabic(_bare(name)), []) or arabic.get(_ROMAN.get(_bare(name)) if other_is_roman else None, [])
        for name in names
        if not by_name[name]
    }
    candidates = {
        name: by_name[name] or by_number[name] or (mitochondria if _bare(name).lower() in _MITOCHONDRION else [])
        for name in names
    }
    unclear = [name for name in names if len(candidates[name]) > 1]
    if any(by_number.values()):
        numbers = arabic or roman
        letters = [name for name in names if len(_bare(name)) == 1 and _ROMAN.get(_bare(name)) in numbers]
        unclear += [name for name in letters if by_name[name] and name not in unclear]
    return {name: found[0] for name, found in candidates.items() if found}, unclear


def shortened(names: Sequence[str], most: int = 8) -> str:
    """List names for a message: all, or the first `most` and how many there are."""
    listed = ", ".join(names[:most])
    return listed if len(names) <= most else f"{listed}, ... {len(names)} in all"


def _bare(name: str) -> str:
    return name[3:] if name[:3].lower() == "chr" and len(name) > 3 else name


def _arabic(bare: str) -> int | None:
    return int(bare) if bare.isdecimal() and bare.isascii() else None


def _numbered(by_bare: Mapping[str, list[str]], number: Callable[[str], int | None]) -> dict[int | None, list[str]]:
    """Number -> chromosomes, as far as a genome counts from 1 without a gap, and at least to 2."""
    numbers = {number(bare): names for bare, names in by_bare.items()}
    last = next(n for n in itertools.count(1) if n not in numbers) - 1
    return {n: numbers[n] for n in range(1, last + 1)} if last > 1 else {}
