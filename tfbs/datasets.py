"""Data sets: the simulated default, published ones by name, and the user's own files.

:func:`load` turns what the user typed (a name or a path) into a :class:`Dataset`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import cleaning, formats, sequences
from .cleaning import Windows
from .errors import DataError, ParameterError, did_you_mean, require
from .published import BENCHMARKS, NAMES, PLACES, PUBLISHED, File, Published, cache_folder, fetch
from .sequences import Records
from .simulation import Simulation, simulate
from .tables import Columns
from .texts import Texts, concatenate

__all__ = ["NAMES", "PUBLISHED", "Dataset", "Published", "Source", "cache_folder", "join", "load"]

MIN_PER_CLASS = 10
SHUFFLE, GENOMIC = "shuffle", "genomic"
REGIONS = (".bed", ".narrowpeak")
WIDTH = 101
ARRAYS, TEXTS = ("codes", "labels", "starts", "sizes"), ("ids", "groups", "parts")


@dataclass(frozen=True)
class Dataset:
    """Labelled sequences of one length.

    Attributes
    ----------
    name : str
        What the user asked for.
    codes : ndarray of uint8, shape (N, L)
        A, C, G, T, N = 0 .. 4.
    labels : ndarray of uint8, shape (N,)
        1 = binding site, 0 = not.
    ids : sequence of str
        One identifier per sequence, in order.
    motif : str
        The planted motif where the truth is known, else empty.
    starts : ndarray of int32, shape (N,)
        0-based position of the planted motif, -1 where there is none or it is not known.
    groups : sequence of str
        One a sequence: its chromosome, or what the user's group column says; empty where that is not known.
    parts : sequence of str
        One a sequence: "train", "validation" or "test"; empty unless the data come with a split of their own.
    dropped : mapping of str to int
        What reading left out, and what it changed, in plain words -> how many; in the order in which it was done.
    sizes : ndarray of int32, shape (N,)
        Bases that each sequence brought; the others were filled in, see :func:`tfbs.cleaning.window`.
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]
    motif: str = ""
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))
    groups: Sequence[str] = ()
    parts: Sequence[str] = ()
    dropped: Mapping[str, int] = field(default_factory=dict)
    sizes: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self):
        for name, value in (("starts", -1), ("sizes", self.length)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.labels), value, np.int32))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def length(self) -> int:
        """Sequence length, bp."""
        return self.codes.shape[1]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of shape, sequences and labels, in order; names, ids, groups and parts do not enter."""
        content = hashlib.sha256(repr(self.codes.shape).encode())
        content.update(np.ascontiguousarray(self.codes))
        content.update(np.ascontiguousarray(self.labels))
        return content.hexdigest()

    def take(self, rows: np.ndarray) -> Dataset:
        """Return the rows with the given indices as a data set of their own."""
        arrays = {name: getattr(self, name)[rows] for name in ARRAYS}
        return replace(self, **arrays, **{name: _pick(getattr(self, name), rows) for name in TEXTS})


def _pick(texts: Sequence[str], rows: np.ndarray) -> Sequence[str]:
    if isinstance(texts, Texts):
        return texts.take(rows)
    return [texts[i] for i in rows] if len(texts) else texts


def join(parts: Sequence[Dataset]) -> Dataset:
    """Put parts of one data set after one another; a sequence may stand in several."""
    arrays = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS}
    texts = {name: _together([getattr(part, name) for part in parts], parts) for name in TEXTS}
    return replace(parts[0], **arrays, **texts)


def _together(texts: Sequence[Sequence[str]], owners: Sequence) -> Sequence[str]:
    """Concatenate what every owner has one of a sequence; nothing if one of them has none."""
    return concatenate(texts) if all(map(len, texts)) or not any(map(len, owners)) else ()


@dataclass(frozen=True)
class Source:
    """What the user asked for: a name or path, and what belongs to it.

    Attributes
    ----------
    dataset : str
        A name (:data:`NAMES`) or the path of a file: FASTA or text with the positives, text with all sequences, a
        table, or peaks (BED, narrowPeak) beside a genome.
    negatives, labels : str
        Path of the negatives (beside FASTA, text or BED), ``shuffle`` (of the positives), or ``genomic`` (beside BED,
        and the default there), or path of a file with one 0/1 label per line (beside text).
    genome, blacklist : str
        Beside BED: path of the genome (FASTA, plain or compressed), and of a BED file of regions to leave out.
    sequence_column, label_column : str
        Column names of a table.
    group_column, split_column : str
        Columns of a table with the chromosome or other group, and with train, validation or test.
    width : int
        Length in bp to which sequences are cut or filled; 0 for the longest, and for 101 bp around peaks.
    negative_ratio : int
        Negatives a positive, where they are made.
    negative_seed : int
        Seed that they are made with.
    """

    dataset: str = "simulated"
    negatives: str = ""
    labels: str = ""
    genome: str = ""
    blacklist: str = ""
    sequence_column: str = "sequence"
    label_column: str = "label"
    group_column: str = ""
    split_column: str = ""
    width: int = 0
    negative_ratio: int = 1
    negative_seed: int = 0

    def __post_init__(self):
        checks = {
            "width": (self.width >= 0, "a number of bp, or 0 for the longest sequence"),
            "negative_ratio": (self.negative_ratio >= 1, "a whole number of at least 1"),
            "negative_seed": (0 <= self.negative_seed < 2**32, "a whole number from 0 to 4294967295"),
        }
        require(self, checks)

    @property
    def params(self) -> dict[str, object]:
        """What the data depend on, by parameter name; of the numbers those that are used."""
        made = self.negatives in (SHUFFLE, GENOMIC) or self.genome or self.dataset in PLACES
        kept = {"negative_ratio": made, "negative_seed": made, "sequence_column": self._is_table}
        kept["label_column"] = self._is_table
        values = asdict(self)
        return {name: value for name, value in values.items() if value != "" and kept.get(name, value != 0)}

    @property
    def _is_table(self) -> bool:
        return not (self.dataset in NAMES or is_regions(self.dataset, self.genome))

    @property
    def columns(self) -> Columns:
        """The column names alone."""
        return Columns(**{column.name: getattr(self, column.name) for column in fields(Columns)})


def load(source: Source, simulation: Simulation | None = None) -> Dataset:
    """Load a data set by name or from the user's files.

    Sequences of unequal length are put into one window (:func:`tfbs.cleaning.window`), and repeated, contradictory and
    unknown ones are dropped (:func:`tfbs.cleaning.clean`); ``Dataset.dropped`` says how many. The simulated sets
    ``simulated``, ``packt`` and ``primer`` are left as they are: the published split goes by position.

    Parameters
    ----------
    source : Source
        Name or path.
    simulation : Simulation, optional
        Settings of ``simulated``.

    Returns
    -------
    Dataset
        At least :data:`MIN_PER_CLASS` sequences of each class.

    Raises
    ------
    DataError
        If a file cannot be read or downloaded, or a class is too small.
    ParameterError
        If the name is unknown or a companion file does not fit.
    """
    name = source.dataset
    if name in NAMES and (source.negatives or source.labels):
        given = "negatives" if source.negatives else "labels"
        raise ParameterError(
            f"{given}: expected only beside a file of your own, received it beside dataset={name}, which brings its "
            "labels: leave it out."
        )
    if name == "simulated":
        settings = simulation or Simulation()
        codes, labels, starts = simulate(settings)
        ids = [f"simulated:{i + 1}" for i in range(len(labels))]
        return Dataset(name, codes, labels, ids, settings.consensus, starts)
    if name in PUBLISHED:
        return _load_published(name)
    if name in BENCHMARKS:
        return _load_benchmark(source)
    if name in PLACES:
        return _load_places(source)
    _require_path(name)
    if is_regions(name, source.genome):
        return _load_regions(source)
    for given in ("genome", "blacklist"):
        if getattr(source, given):
            raise ParameterError(
                f"{given}: expected only beside peaks ({', '.join(REGIONS)}), received it beside {Path(name).name}: "
                "leave it out."
            )
    return _load_files(source)


def _require_path(name: str) -> None:
    """Refuse what is neither a path nor a name."""
    spelt = {known.lower(): known for known in NAMES}
    hint = did_you_mean(name, spelt)
    for lower, known in spelt.items():
        hint = hint.replace(f'"{lower}"', f'"{known}"')
    if not (Path(name).is_file() or "." in name or (os.sep in name and not hint)):
        raise ParameterError(
            f'dataset: expected one of {", ".join(NAMES)} or the path of a file, received "{name}"{hint or "."}'
        )


def _load_published(name: str) -> Dataset:
    published = PUBLISHED[name]
    files = [
        fetch(File(f"{name}/{filename}", published.url + filename, sha256))
        for filename, sha256 in (published.sequences, published.labels)
    ]
    records = formats.read_text(files[0])
    labels = _read_labels(files[1], records, header=int(published.labels_header))
    starts = np.array([s.upper().find(published.motif) for s in records.sequences], np.int32)
    ids = [f"{name}:{n}" for n in records.lines.tolist()]
    return Dataset(name, sequences.encode(records), labels, ids, published.motif, starts)


def _load_benchmark(source: Source) -> Dataset:
    """Load a published benchmark with its parts; the file names show in errors only."""
    benchmark, files, labels = BENCHMARKS[source.dataset], [], []
    for member in benchmark.members:
        records = formats.read(fetch(member.file))
        files.append(replace(records, parts=[member.part] * len(records)))
        labels.append(_labels_of(records) if member.label is None else _constant(member.label, records))
    return _assemble(replace(source, negatives=benchmark.negatives), source.dataset, files, labels)


def _load_places(source: Source) -> Dataset:
    """Cut binding events of a published set out of their genome, beside places without one."""
    from . import background

    places = PLACES[source.dataset]
    data = background.load_regions(
        fetch(places.peaks),
        fetch(places.genome),
        width=source.width or WIDTH,
        ratio=source.negative_ratio,
        seed=source.negative_seed,
        blacklist=fetch(places.blacklist),
    )
    return replace(data, name=source.dataset)


def is_regions(path: str, genome: str = "") -> bool:
    """Say whether a path names a file of peaks; beside a genome any name does that no other format claims."""
    named = path.lower().removesuffix(".gz").endswith(REGIONS)
    return named or (bool(genome) and formats.suffix(Path(path)) not in set(formats.READERS) - {".txt"})


def _load_regions(source: Source) -> Dataset:
    """Cut the user's peaks out of the user's genome."""
    from . import background

    if not source.genome or source.labels:
        wrong = "labels" if source.labels else "no genome"
        raise ParameterError(
            f"dataset={Path(source.dataset).name}: expected genome=<FASTA file> beside peaks, received {wrong}: name "
            "the genome that the peaks were called on."
        )
    return background.load_regions(
        source.dataset,
        source.genome,
        width=source.width or WIDTH,
        negatives=source.negatives or GENOMIC,
        ratio=source.negative_ratio,
        seed=source.negative_seed,
        blacklist=source.blacklist,
    )


def _load_files(source: Source) -> Dataset:
    path = Path(source.dataset)
    records = formats.read(path, source.columns)
    files, name = [records], path.name
    if records.labels is not None:
        if source.labels or source.negatives not in ("", SHUFFLE):
            raise ParameterError(
                f"Expected labels from the table {name} alone, received negatives= or labels= too: leave it out."
            )
        labels = [_labels_of(records)]
        if source.negatives and not labels[0].all():
            raise ParameterError(
                f"negatives: expected {SHUFFLE} beside positives alone, received it beside {name}, which holds "
                f"{int((labels[0] == 0).sum()):,} negatives: leave it out."
            )
    elif bool(source.negatives) == bool(source.labels):
        raise ParameterError(
            f"dataset={name}: expected exactly one companion, negatives=<file> or labels=<file>, received "
            f"{'both' if source.labels else 'neither'}: say which sequences do not bind."
        )
    elif source.labels:
        labels = [_read_labels(Path(source.labels), records)]
    else:
        if source.negatives != SHUFFLE:
            files.append(_read_negatives(source))
        labels = [_constant(1 - k, file) for k, file in enumerate(files)]
    del records
    return _assemble(source, name, files, labels)


def _read_negatives(source: Source) -> Records:
    negatives = formats.read(source.negatives, source.columns)
    if negatives.labels is not None:
        raise ParameterError(
            f"negatives: expected FASTA or text beside {Path(source.dataset).name}, received the table "
            f"{negatives.path.name}: give the table as dataset, its label column says what binds."
        )
    return negatives


def _constant(label: int, records: Records) -> np.ndarray:
    return np.full(len(records), label, np.uint8)


def _assemble(source: Source, name: str, files: list[Records], labels: Sequence[np.ndarray]) -> Dataset:
    """Put files into windows, drop what misleads, make shuffles if asked for; `files` is emptied on the way."""
    texts = {
        "ids": concatenate([records.names.compact() for records in files]),
        "groups": _together([records.groups for records in files], files),
        "parts": _together([records.parts for records in files], files),
    }
    windows = cleaning.cut(files, source.width)
    data = Dataset(name, windows.codes, np.concatenate(labels), **texts, sizes=windows.sizes.astype(np.int32))
    dropped = dict(windows.changed)
    data = _clean(data, dropped)
    if source.negatives == SHUFFLE:
        data = _clean(_with_shuffles(data, source), dropped)
    cleaning.require_classes(name, data.labels, MIN_PER_CLASS, dropped)
    return replace(data, codes=cleaning.fill(Windows(data.codes, data.sizes)), dropped=dropped)


def _clean(data: Dataset, dropped: dict[str, int]) -> Dataset:
    """Keep what :func:`tfbs.cleaning.clean` keeps, and add to the counts of what was dropped."""
    rows, counts = cleaning.clean(Windows(data.codes, data.sizes), data.labels, data.parts)
    for reason, count in counts.items():
        dropped[reason] = dropped.get(reason, 0) + count
    return data if len(rows) == len(data) else data.take(rows)


def _with_shuffles(data: Dataset, source: Source) -> Dataset:
    """Add shuffles of the positives of every part that has no negatives of its own."""
    parts = np.asarray(data.parts or [""] * len(data))
    rows = np.flatnonzero(~np.isin(parts, parts[data.labels == 0]))
    positives = data.take(rows)
    made = cleaning.shuffled(Windows(positives.codes, positives.sizes), source.negative_ratio, source.negative_seed)
    shuffles = positives.take(np.repeat(np.arange(len(rows)), source.negative_ratio))
    ids = Texts.of(f"{name}:shuffle{k % source.negative_ratio + 1}" for k, name in enumerate(shuffles.ids))
    return join([data, replace(shuffles, codes=made.codes, labels=np.zeros(len(ids), np.uint8), ids=ids)])


def _read_labels(path: Path, records: Records, header: int = 0) -> np.ndarray:
    """Read a file of one label a line, one per record, below `header` lines."""
    texts = formats.read_rows(path)[header:]
    if len(texts) != len(records):
        one_more = len(texts) == len(records) + 1
        raise DataError(
            f"{path.name}: expected {len(records):,} labels, one per sequence of {records.path.name}, "
            f"received {len(texts):,}: "
            f"{'its first line may be a header, remove it' if one_more else 'give one 0 or 1 per line'}."
        )
    return _labels(texts, np.arange(1 + header, 1 + header + len(texts)), path, "line")


def _labels_of(records: Records) -> np.ndarray:
    return _labels(records.labels, records.lines, records.path, records.unit)


def _labels(texts: Texts, lines: np.ndarray, path: Path, unit: str) -> np.ndarray:
    """Turn "0", "1", "0.0" and "1.0" into uint8; `lines` says where in the file each stands."""
    letters = np.concatenate([texts.content, np.zeros(3, np.uint8)])
    first, second, third = (letters[texts.starts + k] for k in range(3))
    decimal = (texts.lengths == 3) & (second == ord(".")) & (third == ord("0"))
    good = ((first == ord("0")) | (first == ord("1"))) & ((texts.lengths == 1) | decimal)
    if not good.all():
        i = int(np.argmin(good))
        raise DataError(
            f'{path.name}, {unit} {lines[i]}: expected the label 0 or 1, received "{texts[i]}": correct this {unit}.'
        )
    return (first == ord("1")).astype(np.uint8)
