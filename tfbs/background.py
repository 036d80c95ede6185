"""What does not bind: background windows of a genome beside peaks, and the data set they make together."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from . import negatives as shuffling
from . import sequences
from .datasets import MIN_PER_CLASS, Dataset
from .errors import DataError, ParameterError, did_you_mean
from .genome import LOWER, Genome, Windows
from .regions import Regions, read_regions, windows

STRATEGIES = ("genomic", "shuffle")
BLACKLISTED = "in the blacklist"
ON_A_POSITIVE = "negative overlaps a positive"

GC_STEP = 0.02
REPEAT_STEP = 0.1
GC_TOLERANCE = 0.05
REPEAT_TOLERANCE = 0.25
MOST_UNMATCHED = 0.05

_STEPS = np.array([GC_STEP, REPEAT_STEP])
_TOLERANCES = np.array([GC_TOLERANCE, REPEAT_TOLERANCE])
_BLOCK = 1 << 24


@dataclass(frozen=True)
class Stretches:
    """Stretches of a genome to stay away from: names as the genome has them, 0-based, half open."""

    chromosome: np.ndarray
    start: np.ndarray
    end: np.ndarray

    def overlap(self, chromosome: str, starts: np.ndarray, width: int) -> np.ndarray:
        """Say for windows of one chromosome whether each overlaps a stretch: shape (n,), bool."""
        here = self.chromosome == chromosome
        begun = np.searchsorted(np.sort(self.start[here]), starts + width, "left")
        over = np.searchsorted(np.sort(self.end[here]), starts, "right")
        return begun > over


_NOWHERE = Stretches(np.array([], str), np.array([], np.int64), np.array([], np.int64))


def stretches(regions: Regions, genome: Genome, margin: int = 0, partly: bool = False) -> Stretches:
    """Place regions on a genome and widen them.

    Parameters
    ----------
    regions : Regions
        Chromosome names are resolved by :meth:`Genome.resolve`.
    genome : Genome
        The assembly.
    margin : int
        Bases to add on both sides.
    partly : bool
        Leave out regions on chromosomes that the genome lacks.

    Returns
    -------
    Stretches
        In the order of the regions.
    """
    names, inverse = np.unique(regions.chromosome, return_inverse=True)
    found = genome.resolve(names.tolist(), regions.path.name, partly)
    chromosome = np.array([found.get(str(name), "") for name in names])[inverse]
    known = chromosome != ""
    return Stretches(chromosome[known], regions.start[known] - margin, regions.end[known] + margin)


def genomic(genome: Genome, positives: Windows, avoid: Stretches, ratio: int = 1, seed: int = 0) -> Windows:
    """Draw background windows that match positives in chromosome, GC content and repeat content.

    Each chromosome is cut into adjoining windows from a random first position. Those without N and off `avoid` are
    sorted into bins of GC content (:data:`GC_STEP`) and of the share of soft-masked letters (:data:`REPEAT_STEP`), and
    from each bin `ratio` times as many are drawn as it holds positives of this chromosome. A bin that holds too few
    gives all, and the rest comes from the nearest bins that have windows left. No two background windows overlap, and
    a split by chromosome keeps the balance of the classes.

    Parameters
    ----------
    genome : Genome
        Where to draw from.
    positives : Windows
        What to match.
    avoid : Stretches
        Where not to draw: the peaks with a margin, the blacklist, the positive windows.
    ratio : int
        Background windows a positive, >= 1.
    seed : int
        0 to 4294967295; the windows of a chromosome depend on it, on the positives there and on nothing else.

    Returns
    -------
    Windows
        ``ratio * len(positives)``, forward strand, by chromosome and position.

    Raises
    ------
    DataError
        If a chromosome has too few free windows, or more than :data:`MOST_UNMATCHED` of the windows come from a bin
        that differs by more than :data:`GC_TOLERANCE` or :data:`REPEAT_TOLERANCE`.
    ParameterError
        If `ratio` or `seed` is out of range.

    References
    ----------
    Ghandi et al., "gkmSVM: an R package for gapped-kmer SVM", Bioinformatics 32, 2205-2207 (2016): genNullSeqs. Khan,
    Riudavets Puig, Boddie and Mathelier, "BiasAway: command-line and web server to generate nucleotide
    composition-matched DNA background sequences", Bioinformatics 37, 1607-1609 (2021).
    """
    _check(ratio, seed)
    chosen, unmatched = [], 0
    for name in map(str, np.unique(positives.chromosomes)):
        here = positives.take(np.flatnonzero(positives.chromosomes == name))
        random = np.random.RandomState([seed, zlib.crc32(name.encode())])
        first, letters, free, content = _free_windows(genome, name, here.width, avoid, random)
        if len(free) < ratio * len(here):
            raise DataError(
                f"{genome.path.name}: expected at least {ratio * len(here):,} background windows of {here.width} bp on "
                f"{name} ({ratio} a positive), received {len(free):,} that hold no N and lie off peaks and "
                'blacklist: ask for fewer negatives a positive, or use negatives="shuffle".'
            )
        wanted = np.repeat(np.c_[_gc(here.codes), here.repeats], ratio, axis=0)
        rows, far = _draw(content, wanted, random)
        rows.sort()
        tiles = free[rows]
        codes = letters[tiles] & (LOWER - 1)
        chosen.append(Windows(np.repeat(name, len(rows)), first + here.width * tiles, codes, content[rows, 1]))
        unmatched += far
    if unmatched > MOST_UNMATCHED * ratio * len(positives):
        raise DataError(
            f"{genome.path.name}: expected background windows like the positives in GC and repeat content, received "
            f"{unmatched:,} of {ratio * len(positives):,} that differ by more than {GC_TOLERANCE} or "
            f'{REPEAT_TOLERANCE}, so the genome is too small: ask for fewer negatives, or use negatives="shuffle".'
        )
    return Windows(*(np.concatenate([getattr(part, field.name) for part in chosen]) for field in fields(Windows)))


def _free_windows(
    genome: Genome, name: str, width: int, avoid: Stretches, random: np.random.RandomState
) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
    """Cut a chromosome into windows: first position, letters (n, width), which are free (m,), GC and repeats (m, 2)."""
    length = genome.lengths[name]
    first = random.randint(width)
    count = max(0, (length - first) // width)
    letters = genome.letters(name, first, first + count * width) if count else np.empty(0, np.uint8)
    letters = letters.reshape(count, width)
    step = max(1, _BLOCK // width)
    measured = [_measure(letters[at : at + step]) for at in range(0, count, step)]
    measured = np.concatenate(measured) if measured else np.empty((0, 3))
    starts = first + width * np.arange(count)
    free = np.flatnonzero((measured[:, 0] == 0) & ~avoid.overlap(name, starts, width))
    return first, letters, free, measured[free, 1:]


def _measure(letters: np.ndarray) -> np.ndarray:
    """Shares of N, of C and G, and of lower case among the letters of each window: (n, 3)."""
    codes = letters & (LOWER - 1)
    return np.stack([_share(codes == sequences.N), _share((codes == 1) | (codes == 2)), _share(letters >= LOWER)], 1)


def _share(mask: np.ndarray) -> np.ndarray:
    """Mean of each row; as a matrix product, which is faster and exact for whole numbers."""
    return (mask.astype(np.float32) @ np.ones(mask.shape[1], np.float32)).astype(np.float64) / mask.shape[1]


def _gc(codes: np.ndarray) -> np.ndarray:
    """Share of C and G among the known bases, (n,)."""
    known = (codes != sequences.N).sum(1)
    return ((codes == 1) | (codes == 2)).sum(1) / np.maximum(known, 1)


def _draw(have: np.ndarray, want: np.ndarray, random: np.random.RandomState) -> tuple[np.ndarray, int]:
    """Draw a row of `have` (n, 2: GC, repeats) for each row of `want`, none twice; count those that do not match."""
    have_bins, want_bins = (np.floor(values / _STEPS + 1e-9).astype(np.int64) for values in (have, want))
    order = random.permutation(len(have))
    bins, inverse = np.unique(have_bins[order], axis=0, return_inverse=True)
    left = np.bincount(inverse)
    members = np.split(order[np.argsort(inverse, kind="stable")], np.cumsum(left)[:-1])
    wishes, needs = np.unique(want_bins, axis=0, return_counts=True)
    drawn, far = [], 0
    for reach in (0, np.inf):
        for i, wish in enumerate(wishes):
            difference = np.abs(bins - wish) * _STEPS / _TOLERANCES
            distance = difference.sum(1)
            near = np.flatnonzero((left > 0) & (distance <= reach))
            for b in near[np.argsort(distance[near], kind="stable")]:
                taken = min(needs[i], left[b])
                drawn.append(members[b][left[b] - taken : left[b]])
                left[b] -= taken
                needs[i] -= taken
                far += int(taken) * bool(difference[b].max() > 1 + 1e-9)
                if not needs[i]:
                    break
    return np.concatenate(drawn), far


def shuffles(codes: np.ndarray, ratio: int = 1, seed: int = 0) -> np.ndarray:
    """Make dinucleotide shuffles of sequences: codes (N, L) -> (N * ratio, L), those of one sequence together.

    See :func:`tfbs.negatives.dinucleotide_shuffle`.
    """
    return shuffling.dinucleotide_shuffle(codes, ratio, seed).reshape(-1, codes.shape[1])


def load_regions(
    path: str | Path,
    genome_path: str | Path,
    width: int = 101,
    negatives: str = "genomic",
    ratio: int = 1,
    seed: int = 0,
    blacklist: str | Path = "",
) -> Dataset:
    """Turn peaks and a genome into a labelled data set.

    Parameters
    ----------
    path : str or Path
        Peaks: BED or narrowPeak, see :func:`tfbs.regions.read_regions`.
    genome_path : str or Path
        FASTA of the assembly they were called on, see :class:`tfbs.genome.Genome`.
    width : int
        Window around the centre of each peak, bp; also what background windows keep away from peaks and blacklist.
    negatives : str
        ``genomic`` (:func:`genomic`), ``shuffle`` (:func:`shuffles`), or the path of a BED file of regions that do not
        bind.
    ratio, seed : int
        Negatives a positive, and the seed they are drawn with; not used for a file.
    blacklist : str or Path
        BED of regions of artefacts, left out of both classes; chromosomes that the genome lacks are passed over.

    Returns
    -------
    Dataset
        Positives, then negatives. Groups are the genome's chromosome names, ids ``<chromosome>:<start>-<end>`` (of a
        shuffle that of its source with ``:shuffle<k>``), dropped counts say what was left out and why.

    Raises
    ------
    DataError
        If a file cannot be read, the names of chromosomes do not fit, or a class is too small.
    ParameterError
        If a number is out of range.
    """
    _check(ratio, seed)
    genome, regions = Genome(genome_path), read_regions(path)
    positives, _, dropped = windows(regions, genome, width)
    artefacts = stretches(read_regions(blacklist), genome, partly=True) if str(blacklist) else _NOWHERE
    positives = _without(positives, artefacts, BLACKLISTED, dropped)
    if len(positives) < MIN_PER_CLASS:
        raise _too_few(regions.path, "positives", len(positives), dropped)
    if negatives == "shuffle":
        codes = shuffles(positives.codes, ratio, seed)
        ids = [f"{name}:shuffle{k + 1}" for name in positives.ids for k in range(ratio)]
        groups = np.repeat(positives.chromosomes, ratio).tolist()
    else:
        if negatives == "genomic":
            avoid = _join(stretches(regions, genome, width), _occupied(positives), artefacts)
            others = genomic(genome, positives, avoid, ratio, seed)
        else:
            others, more = _read_negatives(negatives, genome, positives, artefacts)
            dropped |= {f"negatives: {reason}": count for reason, count in more.items()}
        codes, ids, groups = others.codes, others.ids, others.chromosomes.tolist()
    return Dataset(
        regions.path.name,
        np.concatenate([positives.codes, codes]),
        np.repeat(np.array([1, 0], np.uint8), [len(positives), len(codes)]),
        positives.ids + ids,
        groups=positives.chromosomes.tolist() + groups,
        dropped=dropped,
    )


def _read_negatives(
    path: str, genome: Genome, positives: Windows, artefacts: Stretches
) -> tuple[Windows, dict[str, int]]:
    """Windows around the regions of a file that do not bind, off the positives and the blacklist."""
    if not Path(path).expanduser().exists() and "." not in path and "/" not in path:
        raise ParameterError(
            f'negatives: expected {", ".join(STRATEGIES)} or the path of a BED file, received "{path}"'
            f"{did_you_mean(path, STRATEGIES) or '.'}"
        )
    regions = read_regions(path)
    found, _, dropped = windows(regions, genome, positives.width)
    found = _without(found, artefacts, BLACKLISTED, dropped)
    found = _without(found, _occupied(positives), ON_A_POSITIVE, dropped)
    if len(found) < MIN_PER_CLASS:
        raise _too_few(regions.path, "negatives", len(found), dropped)
    return found, dropped


def _without(found: Windows, avoid: Stretches, reason: str, dropped: dict[str, int]) -> Windows:
    """Leave out the windows that overlap `avoid`, and count them in `dropped`."""
    hit = np.zeros(len(found), bool)
    for name in np.unique(found.chromosomes):
        rows = np.flatnonzero(found.chromosomes == name)
        hit[rows] = avoid.overlap(str(name), found.starts[rows], found.width)
    if hit.any():
        dropped[reason] = int(hit.sum())
    return found.take(np.flatnonzero(~hit))


def _occupied(found: Windows) -> Stretches:
    return Stretches(found.chromosomes, found.starts, found.starts + found.width)


def _join(*parts: Stretches) -> Stretches:
    return Stretches(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Stretches)))


def _check(ratio: int, seed: int) -> None:
    if ratio < 1 or ratio != int(ratio):
        raise ParameterError(f"ratio: expected a whole number of negatives a positive, at least 1, received {ratio}.")
    if not 0 <= seed < 2**32:
        raise ParameterError(f"seed: expected a whole number from 0 to 4294967295, received {seed}.")


def _too_few(path: Path, kind: str, count: int, dropped: dict[str, int]) -> DataError:
    why = "; ".join(f"{number:,} {reason}" for reason, number in dropped.items())
    return DataError(
        f"{path.name}: expected at least {MIN_PER_CLASS} {kind}, received {count}{f' ({why})' if why else ''}: add "
        "regions."
    )
