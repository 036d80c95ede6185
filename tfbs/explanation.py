"""Explain sequences with DeepSHAP, as the settings ask: those of the test part, and positives to find motifs in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import attribution, cleaning, datasets, formats, progress, sequences
from .attribution import Attribution
from .errors import ParameterError
from .settings import REFERENCES, Settings
from .splits import Split

if TYPE_CHECKING:
    import keras

LOGOS = 6
WITNESSED = 3
POSITIVES = 500


@dataclass(frozen=True)
class Explained:
    """DeepSHAP of the explained test sequences.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Rows of the test part.
    attribution : Attribution
        One entry per row.
    motif_share : float or None
        Share of attribution inside the planted motif, where the truth is known.
    """

    rows: np.ndarray
    attribution: Attribution
    motif_share: float | None

    def top(self, labels: np.ndarray) -> np.ndarray:
        """Positions in `rows` of the most confident positives, best first; `labels` are those of the rows."""
        positives = np.flatnonzero(labels == 1)
        return positives[np.argsort(-self.attribution.logits[positives], kind="stable")][:LOGOS]


def explain(settings: Settings, split: Split, logit_model: keras.Model) -> Explained:
    """Explain up to ``n_explained`` test sequences, drawn by the seed, in the order of the test part.

    Parameters
    ----------
    settings : Settings
        ``references``, ``n_references``, ``n_explained`` and ``seed`` are used.
    split : Split
        Test part to explain, training part to draw references from.
    logit_model : keras.Model
        Input (N, L, 4), output (N, 1) logit.

    Returns
    -------
    Explained
        Whatever its additivity error; :func:`tfbs.attribution.check_additivity` insists on it.
    """
    test = split.test
    rows = np.arange(len(test))
    if len(rows) > settings.n_explained:
        rows = np.sort(np.random.RandomState(settings.seed).choice(rows, settings.n_explained, replace=False))
    codes = test.codes[rows]
    result = explain_codes(logit_model, codes, references(settings, split, codes))
    share = None
    if test.motif:
        share = attribution.motif_share(result.contributions, test.starts[rows], len(test.motif))
    return Explained(rows, result, share)


@dataclass(frozen=True)
class Sample:
    """Sequences to explain.

    Attributes
    ----------
    ids : sequence of str
        One a sequence.
    codes : ndarray of uint8, shape (n, L)
        Bases.
    origin : str
        What they are, in words.
    """

    ids: Sequence[str]
    codes: np.ndarray
    origin: str

    def __len__(self) -> int:
        return len(self.codes)


def positives(split: Split, most: int, seed: int) -> Sample:
    """Take up to `most` positives, those of the test part first, then of the validation and of the training part.

    What a network reads may be asked of sequences that it has seen: this measures no performance.
    """
    parts, told, wanted = [], [], most
    for name, part in (("test", split.test), ("validation", split.validation), ("training", split.train)):
        rows = np.flatnonzero(part.labels == 1)
        if len(rows) > wanted:
            rows = np.sort(np.random.RandomState(seed).choice(rows, wanted, replace=False))
        if len(rows):
            parts.append(part.take(rows))
            told.append(f"{len(rows):,} of the {name} part")
            wanted -= len(rows)
    data = datasets.join(parts)
    return Sample(data.ids, data.codes, f"positives: {', '.join(told)}")


def read(path: str, length: int) -> Sample:
    """Read the sequences of a file (FASTA, text, table), cut or filled to `length` bp."""
    records = formats.read(path)
    ids, origin = records.names, f"sequences of {records.path.name}"
    return Sample(ids, cleaning.fill(cleaning.cut([records], length)), origin)


def explain_codes(
    logit_model: keras.Model, codes: np.ndarray, references: np.ndarray, both_strands: bool = False
) -> Attribution:
    """Explain sequences (n, L) with a progress bar, see :func:`tfbs.attribution.deep_shap`."""
    with progress.meter("explaining") as tell:
        return attribution.deep_shap(logit_model, sequences.one_hot(codes), references, tell, both_strands=both_strands)


def shared_references(settings: Settings, split: Split | None, length: int) -> np.ndarray:
    """Draw ``n_references`` by the seed, float32 (k, L, 4): of the user's file, else negatives of the training part.

    Raises
    ------
    ParameterError
        If there are fewer.
    """
    if settings.references not in REFERENCES:
        given = read(settings.references, length)
        codes, where = given.codes, given.origin
    else:
        codes, where = split.train.codes[split.train.labels == 0], "negatives of the training part"
    if settings.n_references > len(codes):
        raise ParameterError(
            f"n_references: expected at most the {len(codes)} {where}, received {settings.n_references}: set "
            f"n_references={len(codes)}."
        )
    return attribution.negative_references(codes, np.zeros(len(codes)), settings.n_references, settings.seed)


def require_references(settings: Settings, split: Split) -> None:
    """Raise ParameterError unless the references can be drawn, see :func:`shared_references`."""
    shared_references(settings, split, split.train.length)


def witness(settings: Settings, split: Split, explained: Explained, logit_model: keras.Model) -> float:
    """Return the largest relative difference of a few contributions to those of ``shap.DeepExplainer`` itself."""
    codes = split.test.codes[explained.rows]
    given = references(settings, split, codes)
    few = given if given.ndim == 3 else given[:WITNESSED]
    ours = explained.attribution.contributions[:WITNESSED]
    return attribution.witness(logit_model, sequences.one_hot(codes[:WITNESSED]), few, ours)


def references(settings: Settings, split: Split | None, codes: np.ndarray) -> np.ndarray:
    """References common to all sequences (k, L, 4), or shuffles of each (n, k, L, 4)."""
    if settings.references == "shuffles":
        return attribution.shuffle_references(codes, settings.n_references, settings.seed)
    return shared_references(settings, split, codes.shape[1])
