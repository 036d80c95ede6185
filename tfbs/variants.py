"""Which variants to score, and the windows around each: both alleles in the middle, filled from the genome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from . import sequences
from .errors import DataError, ParameterError, require
from .genome import Genome
from .pairs import Pair
from .regions import BEYOND
from .settings import MODEL
from .vcf import Record, has_bases

NO_BASES = "no bases (<...>, *, . or a breakend)"
MISMATCH = "REF differs from the genome"
UNKNOWN = "chromosome not in the genome"
TOO_LONG = "change too long for the window"
HOLDS_N = "N in the window"
MISMATCHES = ("refuse", "skip")

REACH = 10
LISTED = 20
FLANK = 7

Cuts = list[np.ndarray | str]
"""For each allele the windows, codes (2, S, width), first those of the reference; or why there are none."""


@dataclass(frozen=True)
class Request:
    """Which variants to score with which network.

    Attributes
    ----------
    vcf : str
        VCF of variants, plain or gzip; needs ``genome``.
    genome : str
        FASTA on which the variants were called, plain or gzip.
    pairs : str
        Instead of a VCF a table with the columns id, ref and alt, two sequences as long as the network's input.
    model : str
        Version of a registered model, as ``models:/tfbs/3`` or ``models:/tfbs@champion``, which is the default.
    run_id : str
        Instead of a model the id of a run that trained a network.
    motifs : str
        Motifs whose sites a variant may make, break or change: by default those that the run of the network found; or
        the id of another run that found motifs, a group of JASPAR such as vertebrates, or a file in MEME format.
    mismatch : str
        What to do where REF differs from the genome: ``refuse`` the file, or ``skip`` and count.
    shifts : int
        Windows to average over; their centres lie up to 10 bp from the variant's.
    background : int
        Random substitutions to compare with.
    seed : int
        Seed of these substitutions.
    out : str
        Folder that also gets the annotated VCF and the table.
    """

    vcf: str = ""
    genome: str = ""
    pairs: str = ""
    model: str = ""
    run_id: str = ""
    motifs: str = ""
    mismatch: str = "refuse"
    shifts: int = 5
    background: int = 1000
    seed: int = 0
    out: str = ""

    def __post_init__(self):
        if bool(self.vcf) == bool(self.pairs):
            received = "both" if self.vcf else "neither"
            raise ParameterError(f"vcf: expected either vcf= or pairs=, received {received}: give one of them.")
        if self.vcf and not self.genome:
            raise ParameterError("genome: expected the FASTA on which the variants were called, received none.")
        if self.model and self.run_id:
            raise ParameterError("model: expected either model= or run_id=, received both: leave one out.")
        checks = {
            "mismatch": (self.mismatch in MISMATCHES, f"one of {', '.join(MISMATCHES)}"),
            "shifts": (1 <= self.shifts <= 2 * REACH + 1, f"a whole number from 1 to {2 * REACH + 1}"),
            "background": (self.background >= 1, "a whole number of at least 1"),
            "seed": (0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
        }
        require(self, checks, {"mismatch": MISMATCHES})

    @property
    def network(self) -> str:
        """What names the network: run id or URI of a version."""
        return self.run_id or self.model or f"models:/{MODEL}@champion"

    @property
    def params(self) -> dict[str, Any]:
        """Every value that the run depends on."""
        return {name: value for name, value in asdict(self).items() if value != ""} | {"network": self.network}


@dataclass(frozen=True)
class Frame:
    """How windows lie around a change.

    Attributes
    ----------
    width : int
        Length of the network's input, bp.
    shifts : int
        Windows an allele. Their centres are spread evenly over up to :data:`REACH` bp to either side, and at most a
        quarter of the width; where that leaves less room, there are fewer.
    """

    width: int
    shifts: int = 5

    @property
    def reach(self) -> int:
        """Largest shift, bp."""
        return min(REACH, self.width // 4) if self.shifts > 1 else 0

    @property
    def offsets(self) -> np.ndarray:
        """Shift of each window, bp, rising, shape (S,)."""
        return np.unique(np.rint(np.linspace(-self.reach, self.reach, self.shifts)).astype(int))


def trimmed(ref: str, alt: str) -> tuple[int, str, str]:
    """Take off what two alleles share at the end, then at the start.

    Returns
    -------
    skipped : int
        Letters taken off at the start.
    ref, alt : str
        What changes; one of them may be empty.
    """
    end = _shared(ref[::-1], alt[::-1])
    ref, alt = ref[: len(ref) - end], alt[: len(alt) - end]
    skipped = _shared(ref, alt)
    return skipped, ref[skipped:], alt[skipped:]


def _shared(a: str, b: str) -> int:
    """How many letters two strings share at the start."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


class Cutter:
    """Cuts the windows of variants from a genome.

    Parameters
    ----------
    genome : Genome
        On which the variants were called.
    frame : Frame
        How windows lie around a change.
    names : mapping of str to str
        Chromosome as the variants name it -> as the genome does; see :meth:`tfbs.genome.Genome.resolve`.
    """

    def __init__(self, genome: Genome, frame: Frame, names: Mapping[str, str]):
        self.genome, self.frame = genome, frame
        self._names, self._lengths = names, genome.lengths
        self._positions = frame.offsets[:, None] + np.arange(frame.width)

    def windows(self, record: Record) -> Cuts:
        """Cut the windows of every alternative allele of a record.

        What changes stands in the middle of each window, shifts apart; of an indel it is what REF and ALT do not
        share, whose windows are filled to the same width from the genome.
        """
        spelt = [has_bases(alt) for alt in record.alts]
        fault = self._fault(record) if any(spelt) else ""
        return [
            (fault or self.cut(record, alt)) if has else NO_BASES for alt, has in zip(record.alts, spelt, strict=True)
        ]

    def _fault(self, record: Record) -> str:
        """Why no allele of a record can be scored, if so."""
        if record.chromosome not in self._names:
            return UNKNOWN
        return "" if self.difference(record) is None else MISMATCH

    def cut(self, record: Record, alt: str) -> np.ndarray | str:
        """Cut the windows of one allele, without a look at REF; see :meth:`windows`."""
        chromosome = self._names[record.chromosome]
        skipped, ref, alt = trimmed(record.ref.upper(), alt.upper())
        start, width, reach = record.start + skipped, self.frame.width, self.frame.reach
        if max(len(ref), len(alt)) + 2 * reach > width:
            return TOO_LONG
        spare = width - min(len(ref), len(alt))
        left, right = spare // 2 + reach, (spare + 1) // 2 + reach
        if start < left or start + len(ref) + right > self._lengths[chromosome]:
            return BEYOND
        letters = self.genome.codes(chromosome, start - left, start + len(ref) + right)
        before, kept, after = letters[:left], letters[left : left + len(ref)], letters[left + len(ref) :]
        wholes = [(allele, np.concatenate([before, allele, after])) for allele in (kept, _codes(alt))]
        cut = np.stack([whole[left - (width - len(allele)) // 2 + self._positions] for allele, whole in wholes])
        return HOLDS_N if (cut == sequences.N).any() else cut

    def around(self, record: Record, number: int, flank: int) -> tuple[np.ndarray, np.ndarray]:
        """Codes of REF and of an ALT, trimmed, among `flank` neighbours; N beyond the end of the chromosome."""
        chromosome = self._names[record.chromosome]
        skipped, ref, alt = trimmed(record.ref.upper(), record.alts[number].upper())
        left = record.start + skipped - flank
        whole = np.full(len(ref) + 2 * flank, sequences.N, np.uint8)
        first, last = max(0, left), min(left + len(whole), self._lengths[chromosome])
        whole[first - left : last - left] = self.genome.codes(chromosome, first, last)
        return whole, np.concatenate([whole[:flank], _codes(alt), whole[flank + len(ref) :]])

    def difference(self, record: Record) -> str | None:
        """What the genome has in place of REF where that is something else, else None."""
        chromosome = self._names[record.chromosome]
        length = self._lengths[chromosome]
        start, end = (min(max(0, at), length) for at in (record.start, record.start + len(record.ref)))
        codes = self.genome.codes(chromosome, start, end)
        return None if np.array_equal(codes, _codes(record.ref)) else sequences.decode(codes[None])[0]

    def check(self, records: Iterable[Record], source: str) -> None:
        """Insist that REF is what the genome has, in every record with an allele that is spelt out.

        Raises
        ------
        DataError
            One sentence that lists the records where it is not, the first :data:`LISTED` of them.
        """
        wrong, listed = 0, []
        for record in records:
            if record.chromosome in self._names and any(map(has_bases, record.alts)):
                found = self.difference(record)
                wrong += found is not None
                if found is not None and len(listed) < LISTED:
                    place = f"{record.chromosome}:{record.columns[1]}"
                    listed.append(
                        f"line {record.line} ({place}) has {record.ref[:20]}, the genome {found[:20] or 'none'}"
                    )
        if wrong:
            raise DataError(
                f"{source}: expected in REF what {self.genome.path.name} has there, received {wrong:,} "
                f"record{'s' * (wrong > 1)} with something else: {'; '.join(listed)}{'; ...' * (wrong > len(listed))}: "
                "give the genome on which the variants were called, swap REF and ALT, or leave these out with "
                "mismatch=skip."
            )

    def context(self, record: Record, alt: str) -> str:
        """The change among its :data:`FLANK` neighbours to either side, as in ``TTGACGA[C/T]GGCATAA``."""
        chromosome = self._names[record.chromosome]
        skipped, ref, alt = trimmed(record.ref.upper(), alt.upper())
        start, length = record.start + skipped, self._lengths[chromosome]
        end = start + len(ref)
        flanks = (max(0, start - FLANK), start), (end, min(end + FLANK, length))
        before, after = (sequences.decode(self.genome.codes(chromosome, *flank)[None])[0] for flank in flanks)
        return f"{before}[{ref}/{alt}]{after}"


def _codes(letters: str) -> np.ndarray:
    """Codes of letters, ambiguity codes as N, shape (n,)."""
    return np.array([sequences.ALPHABET.find(letter) % 5 for letter in letters.upper()], np.uint8)


def pair_windows(pair: Pair) -> Cuts:
    """Take the two sequences of a pair as its windows, one an allele."""
    codes = np.stack([_codes(pair.ref), _codes(pair.alt)])[:, None]
    return [HOLDS_N if (codes == sequences.N).any() else codes]


def pair_around(pair: Pair, _: int, flank: int) -> tuple[np.ndarray, np.ndarray]:
    """Codes of what differs between the sequences of a pair, among `flank` neighbours; N beyond their ends."""
    skipped, *alleles = trimmed(pair.ref.upper(), pair.alt.upper())
    margin = "N" * flank
    whole = (f"{margin}{sequence}{margin}"[skipped:] for sequence in (pair.ref, pair.alt))
    ref, alt = (_codes(text[: len(allele) + 2 * flank]) for text, allele in zip(whole, alleles, strict=True))
    return ref, alt
