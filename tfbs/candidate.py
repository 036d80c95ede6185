"""A trained network, or an ensemble of several, with what speaks for it: what becomes a version of a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from . import attribution, evaluation, sequences
from .datasets import Dataset
from .splits import Split

if TYPE_CHECKING:
    import keras

SELECTION_METRIC = "val/auprc"
EXAMPLES = "examples.json"
N_EXAMPLES = 100


@dataclass(frozen=True)
class Candidate:
    """A trained network, or an ensemble, and what speaks for it.

    Attributes
    ----------
    members : tuple of keras.Model
        Networks with input (N, L, 4) and output (N, 1) logit; the logit of several is the mean of theirs.
    references : ndarray of float32, shape (k, L, 4)
        References of the served explanations.
    validation : Dataset
        The validation part.
    logits : ndarray of float, shape (n,)
        Logits of the validation part, as the run logs them in ``predictions.json``.
    additivity_error : float
        Largest relative additivity error of the explanations.
    tags : dict of str to str
        ``arch``, ``seed``, ``dataset``, ``data_digest``, ``split_digest`` and whatever else is worth knowing.
    held_out : ndarray of float, shape (n,), or None
        What the scores are measured on instead of `logits`, where some members have seen the validation part of others.
    """

    members: tuple[keras.Model, ...]
    references: np.ndarray
    validation: Dataset
    logits: np.ndarray
    additivity_error: float
    tags: dict[str, str]
    held_out: np.ndarray | None = None

    @property
    def examples(self) -> pd.DataFrame:
        """Up to 100 validation sequences, from the lowest logit to the highest: row, id, sequence, logit."""
        n = len(self.validation)
        rows = np.argsort(self.logits, kind="stable")[np.linspace(0, n - 1, min(n, N_EXAMPLES)).astype(int)]
        ids = [self.validation.ids[row] for row in rows]
        dna = sequences.decode(self.validation.codes[rows])
        return pd.DataFrame({"row": rows, "id": ids, "sequence": dna, "logit": np.asarray(self.logits)[rows]})

    def scores(self) -> dict[str, object]:
        """Measure it on the validation part.

        Returns
        -------
        dict
            Tags by which versions are compared: ``selection_score`` with ``_lo``, ``_hi`` and ``_n``, ``val_brier``,
            ``val_ece`` and ``val_ece_lo``, ``trained``, ``additivity``, ``members``, ``held_out``. The seed of the
            bootstrap is the same for all versions, so that none passes a gate by its luck.

        Raises
        ------
        DataError
            See :func:`tfbs.intervals.checked`.
        """
        logits = self.logits if self.held_out is None else self.held_out
        measured = evaluation.evaluate(self.validation.labels, logits)
        score, ece = measured["auprc"], measured["ece"]
        return {
            "selection_metric": SELECTION_METRIC,
            "selection_score": score.value,
            "selection_lo": score.lo,
            "selection_hi": score.hi,
            "selection_n": score.n,
            "val_brier": measured["brier"].value,
            "val_ece": ece.value,
            "val_ece_lo": ece.lo,
            "trained": str(evaluation.trained(self.logits)).lower(),
            "additivity": float(self.additivity_error),
            "members": len(self.members),
            "held_out": str(self.held_out is not None).lower(),
        }

    def save(self, folder: Path) -> dict[str, str]:
        """Write what :class:`tfbs.serving.SequenceModel` loads, and the examples, into an empty folder.

        Returns
        -------
        dict of str to str
            Paths of ``logit_model``, ``explainer`` and ``examples``.

        Raises
        ------
        AttributionError
            See :func:`tfbs.attribution.export_explainer`.
        """
        paths = {"logit_model": "logit_model.keras", "explainer": "explainer", "examples": EXAMPLES}
        paths = {name: str(folder / path) for name, path in paths.items()}
        stack(self.members).save(paths["logit_model"])
        attribution.export_explainer(self.members, self.references, paths["explainer"])
        self.examples.to_json(paths["examples"], orient="split", index=False, double_precision=15)
        return paths


def origin(split: Split) -> dict[str, str]:
    """Tags that say on which data and split a network was trained: versions with equal digests are comparable."""
    return {"dataset": split.train.name, "data_digest": split.data_digest, "split_digest": split.digest}


def stack(members: Sequence[keras.Model]) -> keras.Model:
    """Put networks with one logit each side by side.

    Parameters
    ----------
    members : sequence of keras.Model
        Input (N, L, 4), output (N, 1); they share their weights with the result.

    Returns
    -------
    keras.Model
        Input (N, L, 4), output (N, K), in stock layers; a single network as it is.
    """
    import keras

    if len(members) == 1:
        return members[0]
    x = keras.Input(members[0].input_shape[1:], name="sequence")
    renamed = [
        keras.Model(model.inputs[0], model.outputs[0], name=f"member_{i + 1}") for i, model in enumerate(members)
    ]
    return keras.Model(x, keras.layers.Concatenate(name="logits")([model(x) for model in renamed]), name="ensemble")
