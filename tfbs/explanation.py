"""Explain the test part of a split with DeepSHAP, as the settings ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import attribution, sequences
from .attribution import Attribution
from .errors import ParameterError
from .settings import Settings
from .splits import Split

if TYPE_CHECKING:
    import keras

LOGOS = 6
WITNESSED = 3


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
    result = attribution.deep_shap(logit_model, sequences.one_hot(codes), _references(settings, split, codes))
    share = None
    if test.motif:
        share = attribution.motif_share(result.contributions, test.starts[rows], len(test.motif))
    return Explained(rows, result, share)


def negatives(settings: Settings, split: Split) -> np.ndarray:
    """Draw ``n_references`` negatives of the training part by the seed: float32 (k, L, 4)."""
    train = split.train
    return attribution.negative_references(train.codes, train.labels, settings.n_references, settings.seed)


def require_references(settings: Settings, split: Split) -> None:
    """Raise ParameterError unless the training part holds ``n_references`` negatives."""
    negatives = int((split.train.labels == 0).sum())
    if settings.n_references > negatives:
        raise ParameterError(
            f"n_references: expected at most the {negatives} negatives of the training part, received "
            f"{settings.n_references}: set n_references={negatives}."
        )


def witness(settings: Settings, split: Split, explained: Explained, logit_model: keras.Model) -> float:
    """Return the largest relative difference of a few contributions to those of ``shap.DeepExplainer`` itself."""
    codes = split.test.codes[explained.rows]
    references = _references(settings, split, codes)
    few = references if references.ndim == 3 else references[:WITNESSED]
    ours = explained.attribution.contributions[:WITNESSED]
    return attribution.witness(logit_model, sequences.one_hot(codes[:WITNESSED]), few, ours)


def _references(settings: Settings, split: Split, codes: np.ndarray) -> np.ndarray:
    """References common to all sequences (k, L, 4), or shuffles of each (n, k, L, 4)."""
    if settings.references == "shuffles":
        return attribution.shuffle_references(codes, settings.n_references, settings.seed)
    return negatives(settings, split)
