"""Known motifs: JASPAR or a file in MEME format, and which of them a pattern resembles."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .errors import DataError, ParameterError, did_you_mean
from .motifs import information
from .texts import read_lines

if TYPE_CHECKING:
    from .motifs import Pattern

RELEASE = "JASPAR2026"
GROUPS = ("vertebrates", "plants", "insects", "fungi", "nematodes", "urochordates", "diatoms")
MAX_Q = 0.05
"""Share of false matches that is put up with; a pattern without a match below it has none."""

ALIKE = 0.6
"""Cosine of the logos, laid over each other, that a match must have: Tomtom also finds flat stretches alike."""

FEW = 50
"""Databases of fewer motifs borrow the columns of JASPAR vertebrates, which p-values are measured against."""

BEST = 3
_HEADER = (
    "MEME version 4\n\nALPHABET= ACGT\n\nstrands: + -\n\nBackground letter frequencies\nA 0.25 C 0.25 G 0.25 T 0.25\n"
)


@dataclass(frozen=True)
class Motif:
    """A known motif.

    Attributes
    ----------
    id, name : str
        As ``MA0080.7`` and ``SPI1``; the name may be empty.
    ppm : ndarray of float64, shape (w, 4)
        Probability of each base; rows sum to 1.
    sites : int
        Sites it was made from, 0 where that is not known.
    family : str
        Of the factor, where that is known.
    url : str
        Page about it, or empty.
    """

    id: str
    name: str
    ppm: np.ndarray
    sites: int = 0
    family: str = ""
    url: str = ""


@dataclass(frozen=True)
class Database:
    """Known motifs and what to call them together."""

    name: str
    motifs: tuple[Motif, ...]


@dataclass(frozen=True)
class Match:
    """A known motif that a pattern resembles.

    Attributes
    ----------
    motif : Motif
        The known one.
    reverse : bool
        Whether it is read as reverse complement.
    offset : int
        Column of the motif, read that way, on which the first column of the pattern lies.
    overlap : int
        Columns they share.
    likeness : float
        Cosine of the two logos (letter heights in bits) as they lie over each other, 0 to 1.
    p, q : float
        Probability that an unrelated motif of the database scores as high in Tomtom, and the same after Benjamini and
        Hochberg over the database.
    """

    motif: Motif
    reverse: bool
    offset: int
    overlap: int
    likeness: float
    p: float
    q: float

    @property
    def ppm(self) -> np.ndarray:
        """The motif as it is read."""
        return self.motif.ppm[::-1, ::-1] if self.reverse else self.motif.ppm


class Named(Protocol):
    """Anything with a name and base probabilities (w, 4)."""

    name: str
    ppm: np.ndarray


def database(choice: str) -> Database:
    """Return the motifs of a taxonomic group in JASPAR CORE (the latest version of each), or those of a file.

    Parameters
    ----------
    choice : str
        One of :data:`GROUPS`, or the path of a file in MEME format.

    Raises
    ------
    ParameterError
        If it is neither.
    DataError
        If the file cannot be read.

    References
    ----------
    JASPAR 2026, https://jaspar.elixir.no, read through pyjaspar.
    """
    if choice in GROUPS:
        return _jaspar(choice)
    if not Path(choice).expanduser().exists() and not {".", "/"} & set(choice):
        raise ParameterError(
            f"motif database: expected {', '.join(GROUPS)} or the path of a file in MEME format, received "
            f'"{choice}"{did_you_mean(choice, GROUPS) or "."}'
        )
    return read_meme(choice)


@functools.cache
def _jaspar(group: str) -> Database:
    from pyjaspar import jaspardb

    motifs = []
    for found in jaspardb(release=RELEASE).fetch_motifs(collection="CORE", tax_group=group):
        counts = np.array([found.counts[letter] for letter in "ACGT"], np.float64).T
        family = ", ".join(filter(None, found.tf_family or found.tf_class or []))
        url = f"https://jaspar.elixir.no/matrix/{found.matrix_id}/"
        ppm, sites = counts / counts.sum(1, keepdims=True), round(counts.sum(1).max())
        motifs.append(Motif(found.matrix_id, found.name, ppm, sites, family, url))
    return Database(f"JASPAR {RELEASE[6:]} CORE {group}", tuple(motifs))


def match(patterns: Sequence[Named], known: Database, best: int = BEST) -> dict[str, list[Match]]:
    """Look for known motifs that patterns resemble, on both strands, with Tomtom.

    Parameters
    ----------
    patterns : sequence
        Patterns or filters: anything with ``name`` and ``ppm``.
    known : Database
        Tomtom measures p-values against all its columns; a small one borrows those of JASPAR vertebrates.
    best : int
        Matches a pattern, at most.

    Returns
    -------
    dict of str to list of Match
        By name of the pattern, the most alike logo first; an empty list where none has a q-value of at most
        :data:`MAX_Q` and a likeness of at least :data:`ALIKE`. The q-value is that of Benjamini and Hochberg over the
        database (MEME's Tomtom gives that of Storey).

    References
    ----------
    Gupta et al., "Quantifying similarity between motifs", Genome Biology 8, R24 (2007), in the implementation of
    memelite.
    """
    if not patterns:
        return {}
    keep_compiled()
    from memelite import tomtom
    from scipy.stats import false_discovery_control

    borrowed = _jaspar("vertebrates").motifs if len(known.motifs) < FEW else ()
    targets = [np.ascontiguousarray(motif.ppm.T) for motif in (*known.motifs, *borrowed)]
    queries = [np.ascontiguousarray(pattern.ppm.T) for pattern in patterns]
    results = tomtom(queries, targets)[:, :, : len(known.motifs)]
    matches = {}
    for pattern, (p, _, offset, overlap, strand) in zip(patterns, results.transpose(1, 0, 2), strict=True):
        p = np.clip(p, 0, 1)
        q = false_discovery_control(p)
        found = []
        for i in np.flatnonzero(q <= MAX_Q):
            hit = Match(
                known.motifs[i], bool(strand[i]), int(offset[i]), int(overlap[i]), 0.0, float(p[i]), float(q[i])
            )
            found.append(replace(hit, likeness=_likeness(pattern.ppm, hit.ppm, hit.offset)))
        alike = [hit for hit in found if hit.likeness >= ALIKE]
        matches[pattern.name] = sorted(alike, key=lambda hit: (-hit.likeness, hit.q))[:best]
    return matches


def _likeness(ppm: np.ndarray, known: np.ndarray, offset: int) -> float:
    """Cosine of two logos, the first column of the one on column `offset` of the other."""
    a, b = information(ppm), information(known)
    first, last = max(0, -offset), min(len(a), len(b) - offset)
    product = float((a[first:last] * b[first + offset : last + offset]).sum())
    return product / max(float(np.linalg.norm(a) * np.linalg.norm(b)), 1e-300)


def orient(
    patterns: Iterable[Pattern], matches: Mapping[str, list[Match]]
) -> tuple[list[Pattern], dict[str, list[Match]]]:
    """Turn each pattern, and its matches with it, so that its best match is read forward; others stay as they are."""
    turned, found = [], dict(matches)
    for pattern in patterns:
        hits, width = found[pattern.name], len(pattern.ppm)
        if hits and hits[0].reverse:
            pattern = pattern.flipped()
            found[pattern.name] = [
                replace(hit, reverse=not hit.reverse, offset=len(hit.motif.ppm) - width - hit.offset) for hit in hits
            ]
        turned.append(pattern)
    return turned, found


def read_meme(path: str | Path) -> Database:
    """Read a file in the minimal MEME format.

    Parameters
    ----------
    path : str or Path
        Text, plain or gzip, with ``MEME version``, and for each motif a line ``MOTIF <id> [<name>]``, a line
        ``letter-probability matrix: ...`` and one line of four probabilities (A C G T) a position.

    Raises
    ------
    DataError
        If the file is not of this format; the message names the line.
    """
    path, lines = Path(path), read_lines(path)
    if not any(line.startswith("MEME version") for line in lines):
        raise DataError(f'{path.name}: expected a file in MEME format, received no line "MEME version": export one.')
    for number, line in enumerate(lines, 1):
        if line.startswith("ALPHABET") and line.partition("=")[2].strip() != "ACGT":
            raise DataError(f'{path.name}, line {number}: expected "ALPHABET= ACGT", received "{line.strip()[:40]}".')
    heads = [i for i, line in enumerate(lines) if line.split()[:1] == ["MOTIF"]]
    if not heads:
        raise DataError(f'{path.name}: expected at least one line "MOTIF <name>", received none.')
    return Database(
        path.name, tuple(_meme_motif(path.name, lines, *ends) for ends in itertools.pairwise([*heads, len(lines)]))
    )


def _meme_motif(file: str, lines: list[str], head: int, stop: int) -> Motif:
    """Read the motif whose head is line `head` (from 0), before line `stop`."""
    words = lines[head].split()[1:]
    first = next((i for i in range(head, stop) if lines[i].startswith("letter-probability matrix")), None)
    if not words or first is None:
        expected = 'a line "letter-probability matrix: ..." below this one' if words else "a name after MOTIF"
        raise DataError(f"{file}, line {head + 1}: expected {expected}, received none.")
    width, sites = (re.search(rf"\b{key}=\s*(\d+)", lines[first]) for key in ("w", "nsites"))
    body = itertools.takewhile(lambda i: lines[i].strip() and not lines[i].startswith("URL"), range(first + 1, stop))
    rows = [_row(f"{file}, line {i + 1}", lines[i]) for i in body]
    if not rows or (width and len(rows) != int(width[1])):
        raise DataError(
            f"{file}, line {first + 1}: expected {width[1] if width else 'some'} lines of four probabilities below it, "
            f"received {len(rows)}."
        )
    url = next((line.split()[1] for line in lines[first:stop] if line.startswith("URL ") and line.split()[1:]), "")
    return Motif(words[0], " ".join(words[1:]), np.array(rows), int(sites[1]) if sites else 0, url=url)


def _row(where: str, line: str) -> np.ndarray:
    """Read the probabilities of A, C, G and T."""
    try:
        row = np.array(line.split(), float)
    except ValueError:
        row = np.zeros(0)
    if row.shape != (4,) or not (row >= 0).all() or not abs(row.sum() - 1) < 0.02:
        raise DataError(
            f'{where}: expected four probabilities (A C G T) that sum to 1, received "{line.strip()[:40]}": correct it.'
        )
    return row / row.sum()


def write_meme(path: str | Path, motifs: Iterable[Motif]) -> None:
    """Write motifs in the minimal MEME format, which :func:`read_meme` and the programs of the MEME suite read."""
    with Path(path).open("w", encoding="utf-8") as file:
        file.write(_HEADER)
        for motif in motifs:
            sites = f" nsites= {motif.sites}" if motif.sites else ""
            file.write(f"\nMOTIF {motif.id} {motif.name.replace(' ', '_')}".rstrip() + "\n")
            file.write(f"letter-probability matrix: alength= 4 w= {len(motif.ppm)}{sites}\n")
            file.writelines(" " + " ".join(f"{p:.6f}" for p in row) + "\n" for row in motif.ppm)
            if motif.url:
                file.write(f"URL {motif.url}\n")


def as_motif(pattern: Pattern, match: Match | None = None) -> Motif:
    """Return a pattern as a motif, to be written, called after the known one that it resembles, else its consensus."""
    name = f"{match.motif.name or match.motif.id}-like" if match else pattern.consensus
    return Motif(pattern.name, name, pattern.ppm, pattern.count)


def keep_compiled() -> None:
    """Keep what numba compiles in the user's cache folder: Tomtom takes a minute the first time, then a second."""
    import numba
    import pooch

    numba.config.CACHE_DIR = numba.config.CACHE_DIR or str(pooch.os_cache("tfbs") / "numba")
