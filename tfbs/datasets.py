"""Data sets: the simulated default, published ones by name, and the user's own files.

:func:`load` turns what the user typed (a name or a path) into a :class:`Dataset`. Published files are downloaded from a
pinned commit, verified by SHA-256 and cached; the environment variable ``TFBS_DATA_DIR`` replaces the cache folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from . import sequences
from .errors import DataError, ParameterError, did_you_mean
from .sequences import Records
from .simulation import Simulation, simulate

MIN_PER_CLASS = 10


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
    ids : list of str
        One identifier per sequence, in order.
    motif : str
        The planted motif where the truth is known, else empty.
    starts : ndarray of int32, shape (N,)
        0-based position of the planted motif, -1 where there is none or it is not known.
    """

    name: str
    codes: np.ndarray
    labels: np.ndarray
    ids: Sequence[str]
    motif: str = ""
    starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int32))

    def __post_init__(self):
        if not len(self.starts):
            object.__setattr__(self, "starts", np.full(len(self.labels), -1, np.int32))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def length(self) -> int:
        """Sequence length, bp."""
        return self.codes.shape[1]

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of shape, sequences and labels, in order; names and ids do not enter."""
        content = hashlib.sha256(repr(self.codes.shape).encode())
        content.update(np.ascontiguousarray(self.codes).tobytes())
        content.update(np.ascontiguousarray(self.labels).tobytes())
        return content.hexdigest()

    def take(self, rows: np.ndarray) -> Dataset:
        """Return the rows with the given indices as a data set of their own."""
        ids = [self.ids[i] for i in rows]
        return replace(self, codes=self.codes[rows], labels=self.labels[rows], ids=ids, starts=self.starts[rows])


def join(parts: Sequence[Dataset]) -> Dataset:
    """Put parts of one data set after one another; a sequence may stand in several."""
    whole = {name: np.concatenate([getattr(part, name) for part in parts]) for name in ("codes", "labels", "starts")}
    return replace(parts[0], **whole, ids=[name for part in parts for name in part.ids])


@dataclass(frozen=True)
class Published:
    """Where a published data set lies: a pinned address, its files with their SHA-256, and its planted motif."""

    url: str
    sequences: tuple[str, str]
    labels: tuple[str, str]
    motif: str
    labels_header: bool = False


_GITHUB = "https://raw.githubusercontent.com"
PUBLISHED = {
    "packt": Published(
        f"{_GITHUB}/PacktPublishing/Deep-Learning-for-Genomics-/cfaf01b111ea65094829876a80d9dfcf2d17fb1d/Chapter10/",
        ("sequences_mod.txt", "5d041b9ca5fc1a71de5114b5a3fee8ea0840d26b36fea5620b0d7ba9f1e6c342"),
        ("labels.txt", "5b649532480f4af8c6d9530d6202aef8e26e06c4443f25fd03a27d7d405eb7a4"),
        motif="AAAGAGGAAGTT",
        labels_header=True,
    ),
    "primer": Published(
        f"{_GITHUB}/abidlabs/deep-learning-genomics-primer/30caa5426ab2d588dad710898a6651aad6fddc5f/",
        ("sequences.txt", "8d9156486cf383cf04470395961970db80203689e6368c393e854aaef2268fbd"),
        ("labels.txt", "912af2e66b139c7f1762b7df513f675d4631eb9c280ba73c08d8135f1a4e5d6a"),
        motif="CGACCGAACTCC",
    ),
}
NAMES = ("simulated", *PUBLISHED)


@dataclass(frozen=True)
class Source:
    """What the user asked for: a name or path, and what belongs to it.

    Attributes
    ----------
    dataset : str
        A name (:data:`NAMES`) or the path of a file: FASTA or text with the positives, text with all sequences, or a
        table.
    negatives, labels : str
        Path of the negatives (beside FASTA or text), or of a file with one 0/1 label per line (beside text).
    sequence_column, label_column : str
        Column names of a table.
    """

    dataset: str = "simulated"
    negatives: str = ""
    labels: str = ""
    sequence_column: str = "sequence"
    label_column: str = "label"


def load(source: Source, simulation: Simulation | None = None) -> Dataset:
    """Load a data set by name or from the user's files.

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
    if not (os.sep in name or "." in name or Path(name).is_file()):
        raise ParameterError(
            f'dataset: expected one of {", ".join(NAMES)} or the path of a file, received "{name}"'
            f"{did_you_mean(name, NAMES) or '.'}"
        )
    return _load_files(source)


def _load_published(name: str) -> Dataset:
    published = PUBLISHED[name]
    records = sequences.read_text(fetch(name, *published.sequences))
    labels = _read_labels(fetch(name, *published.labels), records, header=int(published.labels_header))
    codes = sequences.encode(records)
    starts = np.array([s.upper().find(published.motif) for s in records.sequences], np.int32)
    return Dataset(name, codes, labels, [f"{name}:{n}" for n in records.lines], published.motif, starts)


def _load_files(source: Source) -> Dataset:
    path = Path(source.dataset)
    columns = {"sequence_column": source.sequence_column, "label_column": source.label_column}
    records = sequences.read(path, **columns)
    if records.labels is not None:
        if source.negatives or source.labels:
            raise ParameterError(
                f"Expected labels from the table {path.name} alone, received negatives= or labels= too: leave it out."
            )
        labels = _labels(records.labels, records.lines, path)
        return _checked(Dataset(path.name, sequences.encode(records), labels, records.names), path)
    if bool(source.negatives) == bool(source.labels):
        raise ParameterError(
            f"dataset={path.name}: expected exactly one companion, negatives=<file> or labels=<file>, received "
            f"{'both' if source.labels else 'neither'}: say which sequences do not bind."
        )
    if source.labels:
        labels = _read_labels(Path(source.labels), records)
        return _checked(Dataset(path.name, sequences.encode(records), labels, records.names), path)
    negatives = sequences.read(source.negatives, **columns)
    if negatives.labels is not None:
        raise ParameterError(
            f"negatives: expected FASTA or text beside {path.name}, received the table {negatives.path.name}: give the "
            "table as dataset, its label column says what binds."
        )
    parts = [sequences.encode(records), sequences.encode(negatives)]
    if parts[0].shape[1] != parts[1].shape[1]:
        raise DataError(
            f"{negatives.path.name}: expected {parts[0].shape[1]} bp like {path.name}, received {parts[1].shape[1]} "
            "bp: a network could tell the classes by length alone, so trim or pad both to one length."
        )
    labels = np.repeat(np.array([1, 0], np.uint8), [len(p) for p in parts])
    return _checked(Dataset(path.name, np.vstack(parts), labels, records.names + negatives.names), path)


def _read_labels(path: Path, records: Records, header: int = 0) -> np.ndarray:
    """Read a file of one label a line, one per record, below `header` lines."""
    texts = [line.strip() for line in sequences.read_lines(path)][header:]
    while texts and not texts[-1]:
        texts.pop()
    if len(texts) != len(records.sequences):
        one_more = len(texts) == len(records.sequences) + 1
        raise DataError(
            f"{path.name}: expected {len(records.sequences):,} labels, one per sequence of {records.path.name}, "
            f"received {len(texts):,}: "
            f"{'its first line may be a header, remove it' if one_more else 'give one 0 or 1 per line'}."
        )
    return _labels(texts, range(1 + header, 1 + header + len(texts)), path)


def _labels(texts: Sequence[str], lines: Sequence[int], path: Path) -> np.ndarray:
    """Turn "0"/"1" into uint8; `lines` says where in the file each stands."""
    for text, line in zip(texts, lines, strict=True):
        if text not in ("0", "1", "0.0", "1.0"):
            raise DataError(
                f'{path.name}, line {line}: expected the label 0 or 1, received "{text}": correct this line.'
            )
    return np.array([text[0] == "1" for text in texts], np.uint8)


def _checked(data: Dataset, path: Path) -> Dataset:
    positives = int(data.labels.sum())
    if min(positives, len(data) - positives) < MIN_PER_CLASS:
        raise DataError(
            f"{path.name}: expected at least {MIN_PER_CLASS} sequences of each class, received {positives} positives "
            f"and {len(data) - positives} negatives: add sequences of the smaller class."
        )
    return data


def cache_folder() -> Path:
    """The folder of downloaded files: ``TFBS_DATA_DIR`` if set, else the user's cache folder."""
    import pooch

    return Path(os.environ.get("TFBS_DATA_DIR") or pooch.os_cache("tfbs")).expanduser()


def fetch(name: str, filename: str, sha256: str) -> Path:
    """Return the path of a published file, downloading it once.

    Parameters
    ----------
    name : str
        A key of :data:`PUBLISHED`; also the folder below :func:`cache_folder`.
    filename, sha256 : str
        The file and the SHA-256 it must have.

    Returns
    -------
    Path
        A verified local file. A file already there is verified, never overwritten.

    Raises
    ------
    DataError
        If the file cannot be had or is not the published one.
    """
    import pooch

    target = cache_folder() / name / filename
    url = PUBLISHED[name].url + filename
    if target.exists():
        received = pooch.file_hash(str(target))
        if received != sha256:
            raise DataError(
                f"{target}: expected the published file with SHA-256 {sha256[:12]}, received one with {received[:12]}: "
                "move yours away and run again to download it."
            )
        return target
    try:
        return Path(pooch.retrieve(url, sha256, fname=filename, path=target.parent))
    except ValueError as error:
        raise DataError(
            f"{url}: expected a file with SHA-256 {sha256[:12]}, received another one: try again, and if it stays so "
            "report it."
        ) from error
    except OSError as error:
        raise DataError(
            f"{url}: expected to download it to {target.parent}, received {type(error).__name__}: connect to the "
            "internet and check that the folder can be written, or put the file at "
            f"{Path('$TFBS_DATA_DIR') / name / filename}."
        ) from error
