"""In-silico mutagenesis: what the logit loses when single bases are replaced, a witness beside attributions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from . import architectures, shap_graph
from .attribution import NUMBERS, Progress, checked

if TYPE_CHECKING:
    import keras


def ism(model: keras.Model, x: np.ndarray, batch: int = 4096, progress: Progress | None = None) -> np.ndarray:
    """In-silico mutagenesis: the change of the logit for every substitution of a single base.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1), as for :func:`tfbs.attribution.deep_shap`.
    x : ndarray, shape (n, L, 4)
        One-hot sequences.
    batch : int
        Substituted sequences per forward pass, at most; fewer where a network is wide.
    progress : callable, optional
        Called with (substitutions done, substitutions in all) after each batch.

    Returns
    -------
    ndarray of float32, shape (n, L, 4)
        Logit with that base minus logit of the sequence; 0 at the base that is there. At an N all four are
        relative to the N.

    Raises
    ------
    AttributionError
        If the shapes do not fit.
    """
    x, _ = checked(model, x, np.asarray(x)[:1])
    forward = shap_graph.forward_function(model)
    batch = max(1, min(batch, 4 * NUMBERS // (architectures.width(model) * x.shape[1])))
    logits = np.concatenate([forward(x[start : start + batch]).numpy() for start in range(0, len(x), batch)])
    change = np.zeros(x.size, np.float32)
    absent = np.flatnonzero(x == 0)
    for start in range(0, len(absent), batch):
        chosen = absent[start : start + batch]
        row, position, base = np.unravel_index(chosen, x.shape)
        substituted = x[row]
        substituted[np.arange(len(chosen)), position] = 0
        substituted[np.arange(len(chosen)), position, base] = 1
        change[chosen] = forward(substituted).numpy() - logits[row]
        if progress is not None:
            progress(start + len(chosen), len(absent))
    return change.reshape(x.shape)


def losses(model: keras.Model, x: np.ndarray, both_strands: bool = False) -> np.ndarray:
    """Mean loss of logit when a base is replaced by the three others, log-odds: (n, L); see :func:`ism`.

    With `both_strands` it is the mean logit of a sequence and its reverse complement that is lost.
    """
    found = -ism(model, x).sum(2) / 3
    return (found + losses(model, x[:, ::-1, ::-1])[:, ::-1]) / 2 if both_strands else found
