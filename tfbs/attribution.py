"""Which bases made the network decide: DeepSHAP on the logit, its references and its check.

The values are those of :class:`shap.DeepExplainer`, in logit units. Chains of common layers go through
:mod:`tfbs.rescale`, which is faster; all other networks through shap's own graph in :mod:`tfbs.shap_graph`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, rescale, shap_graph
from .errors import AttributionError
from .negatives import dinucleotide_shuffle
from .sequences import one_hot

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ADDITIVITY_WARN = 1e-4
"""Relative additivity error from which on attributions deserve a warning."""

ADDITIVITY_LIMIT = 1e-2
"""Relative additivity error from which on attributions are refused."""

_POSITIONS = 1 << 20
NUMBERS = 1 << 25
"""Numbers that the widest layer of a network may hold at a time."""

_TRACED_FROM = 6
_FLOAT32_RESOLUTION = 1e-6

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Attribution:
    """What each base adds to the logit of its sequence.

    Attributes
    ----------
    contributions : ndarray of float32, shape (n, L)
        Logit units. Multiplier x (sequence - reference), summed over the four channels, mean over the references.
    hypothetical : ndarray of float32, shape (n, L, 4)
        Logit units. What each base would contribute if it stood at that position, at the multipliers of the sequence.
        Its entry at the base that is there is the contribution.
    logits : ndarray of float32, shape (n,)
        The network's output.
    expected : ndarray of float32, shape (n,)
        Mean logit of the references of each sequence.
    """

    contributions: np.ndarray
    hypothetical: np.ndarray
    logits: np.ndarray
    expected: np.ndarray

    @property
    def additivity_error(self) -> float:
        """Largest gap between a sequence's sum of contributions and logit - expected, relative.

        The unit is the largest absolute logit - expected of all sequences. A network whose output is constant within
        the resolution of float32, and whose contributions are 0 within it, has the error 0.
        """
        difference = self.logits.astype(np.float64) - self.expected
        gap = np.abs(self.contributions.sum(1, dtype=np.float64) - difference).max()
        scale = np.abs(difference).max()
        resolution = _FLOAT32_RESOLUTION * max(1.0, float(np.abs(self.logits).max()))
        if gap <= resolution and scale <= resolution:
            return 0.0
        return float(gap / np.maximum(scale, resolution))


def deep_shap(
    model: keras.Model,
    x: np.ndarray,
    references: np.ndarray,
    progress: Progress | None = None,
    both_strands: bool = False,
) -> Attribution:
    """Attribute the logit to the bases with DeepSHAP.

    The result equals ``shap.DeepExplainer(model, references).shap_values(x)`` summed over the channels. Memory holds
    about a million positions of pairs at a time, fewer where a network is wide, and at least one pair. For networks
    that go through shap's graph, TensorFlow's gradients are patched for the whole process while it is traced (a
    fraction of a second): do not train meanwhile in another thread. They are restored whatever happens.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1) without activation: see :func:`tfbs.architectures.logit_model`.
    x : ndarray, shape (n, L, 4)
        One-hot sequences; N is a row of zeros.
    references : ndarray, shape (k, L, 4) or (n, k, L, 4)
        One-hot references, shared by all sequences or one set per sequence.
    progress : callable, optional
        Called with (sequences done, sequences in all) after each batch.
    both_strands : bool
        Explain the mean logit of a sequence and its reverse complement. The references are reverse complemented along,
        and the logits are means over the strands too.

    Returns
    -------
    Attribution
        Call :func:`check_additivity` on it before use.

    Raises
    ------
    AttributionError
        If shapes do not fit or shap cannot explain an operation of the network.

    References
    ----------
    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017. Shrikumar, Greenside and
    Kundaje, "Learning important features through propagating activation differences", ICML 2017.
    """
    import tensorflow as tf

    x, references = checked(model, x, references)
    n, k, shared = len(x), references.shape[1], len(references) == 1
    pairs = max(1, min(_POSITIONS, NUMBERS // architectures.width(model)) // x.shape[1])
    columns = min(k, pairs, 2 * math.isqrt(pairs))
    rows = min(n, pairs // columns)
    explain = _explainer(model, both_strands)
    if n * k > _TRACED_FROM * rows * columns:
        explain = tf.function(explain, autograph=False)
    parts = []
    for start in range(0, n, rows):
        first = min(start, n - rows)
        chosen = references if shared else references[first : first + rows]
        part = _over_references(explain, tf.constant(x[first : first + rows]), chosen, columns)
        parts.append([value[start - first :] for value in part])
        if progress is not None:
            progress(min(start + rows, n), n)
    return Attribution(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def check_additivity(attribution: Attribution) -> float:
    """Return the additivity error.

    Parameters
    ----------
    attribution : Attribution
        Result of :func:`deep_shap`.

    Returns
    -------
    float
        Relative error; above :data:`ADDITIVITY_WARN` it deserves a warning.

    Raises
    ------
    AttributionError
        If it is above :data:`ADDITIVITY_LIMIT` or not a number.
    """
    error = attribution.additivity_error
    if not error <= ADDITIVITY_LIMIT:
        raise AttributionError(
            f"Expected contributions that sum to the logit within {ADDITIVITY_LIMIT:.0%}, received a relative error of "
            f"{error:.2g}: the network holds an operation that shap explains wrongly, so replace that layer or "
            "use in-silico mutagenesis."
        )
    return error


def witness(model: keras.Model, x: np.ndarray, references: np.ndarray, contributions: np.ndarray) -> float:
    """Compare contributions with a call of :class:`shap.DeepExplainer` itself.

    Parameters
    ----------
    model, x, references
        As for :func:`deep_shap`; a few sequences are enough.
    contributions : ndarray, shape (n, L)
        Ours for the same sequences.

    Returns
    -------
    float
        Largest absolute difference, in units of the largest absolute contribution (0 if both are 0).

    Raises
    ------
    AttributionError
        If shap cannot explain the network, or the difference is above :data:`ADDITIVITY_LIMIT`.
    """
    x, references = checked(model, x, references)
    theirs = shap_graph.deep_explainer(model, x, references)
    difference = float(np.abs(theirs - contributions).max() / max(np.abs(theirs).max(), _FLOAT32_RESOLUTION))
    if not difference <= ADDITIVITY_LIMIT:
        raise AttributionError(
            f"Expected the contributions of shap.DeepExplainer within {ADDITIVITY_LIMIT:.0%}, received a relative "
            f"difference of {difference:.2g}: please report the network, and use in-silico mutagenesis meanwhile."
        )
    return difference


def negative_references(codes: np.ndarray, labels: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Draw references that all sequences share from the negatives of the training part.

    Parameters
    ----------
    codes : ndarray of uint8, shape (N, L)
        Training sequences.
    labels : ndarray, shape (N,)
        0 marks the negatives.
    k : int
        References, drawn without replacement.
    seed : int
        0 to 4294967295.

    Returns
    -------
    ndarray of float32, shape (k, L, 4)

    Raises
    ------
    AttributionError
        If there are fewer than `k` negatives.
    """
    negatives = np.flatnonzero(np.asarray(labels).ravel() == 0)
    if not 1 <= k <= len(negatives):
        raise AttributionError(
            f"Expected a number of references from 1 to the {len(negatives)} negatives of the training part, received "
            f"{k}: ask for fewer or use shuffle_references()."
        )
    return one_hot(codes[np.random.RandomState(seed).choice(negatives, k, replace=False)])


def shuffle_references(codes: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Make `k` references for each sequence (n, L) by dinucleotide shuffling: (n, k, L, 4), float32.

    See :func:`tfbs.negatives.dinucleotide_shuffle` for parameters and errors.
    """
    return one_hot(dinucleotide_shuffle(codes, k, seed))


def motif_share(contributions: np.ndarray, starts: np.ndarray, width: int) -> float:
    """Share of the attribution that lies inside planted motifs.

    Parameters
    ----------
    contributions : ndarray, shape (n, L)
        As in :class:`Attribution`.
    starts : ndarray of int, shape (n,)
        0-based first position of each sequence's motif; negative where there is none.
    width : int
        Motif length, bp. ``width / L`` is what chance gives.

    Returns
    -------
    float
        Mean over the sequences with a motif: sum of the absolute contributions inside over the sum of all. A sequence
        without any attribution counts 0.

    Raises
    ------
    AttributionError
        If no sequence has a motif, or one ends outside its sequence.
    """
    starts = np.asarray(starts)
    planted = starts >= 0
    length = contributions.shape[1]
    if not planted.any() or (starts + width).max() > length:
        raise AttributionError(
            f"Expected at least one start of a motif of {width} bp within {length} bp, received "
            f"{f'starts up to {starts.max()}' if planted.any() else 'none'}: pass the planted positions, 0-based."
        )
    size = np.abs(contributions[planted]).astype(np.float64)
    offset = np.arange(length) - starts[planted, None]
    inside = np.where((offset >= 0) & (offset < width), size, 0).sum(1)
    total = size.sum(1)
    return float(np.divide(inside, total, out=np.zeros_like(total), where=total > 0).mean())


def export_explainer(model: keras.Model | Sequence[keras.Model], references: np.ndarray, folder: str | Path) -> None:
    """Write a TensorFlow SavedModel that explains sequences without shap, Keras or tfbs.

    ``tf.saved_model.load(folder).explain(x)`` takes x (n, L, 4) float32, any n, and returns a dictionary:
    ``contributions`` (n, L), ``hypothetical`` (n, L, 4) and ``logit`` (n,), as :func:`deep_shap` gives them. It is also
    the signature ``serving_default``. All n x k pairs are in memory at once, so send long lists in parts.

    Parameters
    ----------
    model : keras.Model or sequence of keras.Model
        As for :func:`deep_shap`. Of several networks the mean logit is explained: its DeepSHAP values are the means of
        theirs, because they are linear in the output.
    references : ndarray, shape (k, L, 4)
        One-hot references, stored with the network.
    folder : str or Path
        Created if need be.

    Raises
    ------
    AttributionError
        As :func:`deep_shap`, and if the references are one set per sequence.
    """
    import tensorflow as tf

    models = list(model) if isinstance(model, Sequence) else [model]
    shape = np.shape(references)
    if len(shape) != 3:
        raise AttributionError(f"Expected shared references of shape (k, L, 4), received the shape {shape}.")
    for each in models:
        _, stored = checked(each, np.asarray(references)[:1], references)
    explainers = [_explainer(each) for each in models]

    @tf.function(input_signature=[tf.TensorSpec((None, *shape[1:]), tf.float32, name="x")])
    def serve(x):
        background = tf.constant(stored)
        parts = zip(*(explain(x, background) for explain in explainers), strict=True)
        contributions, hypothetical, logit, _ = (tf.add_n(part) / len(models) for part in parts)
        return {"contributions": contributions, "hypothetical": hypothetical, "logit": logit}

    module = tf.Module()
    module.explain = serve
    module.weights = [variable.value for each in models for variable in each.variables]
    tf.saved_model.save(module, str(folder), signatures=serve)


def checked(model: keras.Model, x: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 sequences (n, L, 4) and references (1 or n, k, L, 4), or say what does not fit."""
    x, references = np.asarray(x, np.float32), np.asarray(references, np.float32)
    row, output = tuple(model.input_shape[1:]), tuple(model.output_shape)
    if output != (None, 1):
        raise AttributionError(f"Expected a network with one output, received the shape {output}: use logit_model().")
    if x.ndim != 3 or x.shape[1:] != row or len(x) == 0:
        raise AttributionError(f"Expected one-hot sequences of shape (n, {row[0]}, {row[1]}), received {x.shape}.")
    if references.ndim == 3:
        references = references[None]
    if (
        references.ndim != 4
        or references.shape[2:] != row
        or len(references) not in (1, len(x))
        or 0 in references.shape
    ):
        raise AttributionError(
            f"Expected one-hot references of shape (k, {row[0]}, {row[1]}) or ({len(x)}, k, {row[0]}, {row[1]}), "
            f"received {references.shape}."
        )
    return x, references


def _over_references(explain: Callable, x: tf.Tensor, references: np.ndarray, columns: int) -> list[np.ndarray]:
    """Explain a batch against `columns` references at a time; everything but the logits is a mean over references."""
    import tensorflow as tf

    k, result = references.shape[1], []
    for start in range(0, k, columns):
        some = tf.constant(references[:, start : start + columns])
        parts = [part.numpy() * np.float32(some.shape[1] / k) for part in explain(x, some)]
        result = [sum(pair) for pair in zip(result, parts, strict=True)] if result else parts
    return result


def _explainer(model: keras.Model, both_strands: bool = False) -> Callable:
    """(x (n, L, 4), references (1 or n, k, L, 4)) -> contributions, hypothetical, logits, expected, as tensors."""
    import tensorflow as tf

    chain = rescale.steps(model)
    averages = shap_graph.averages(model) if chain is None else functools.partial(rescale.averages, chain)

    def explain(x, references):
        m, base, logits, reference_logits = averages(x, references)
        contributions = tf.reduce_sum(m * x, axis=2) - base
        expected = tf.broadcast_to(tf.reduce_mean(reference_logits, axis=1), tf.shape(logits))
        return contributions, m - base[:, :, None], logits, expected

    def explain_both(x, references):
        turned = explain(tf.reverse(x, [1, 2]), tf.reverse(references, [2, 3]))
        turned = tf.reverse(turned[0], [1]), tf.reverse(turned[1], [1, 2]), *turned[2:]
        return [(one + other) / 2 for one, other in zip(explain(x, references), turned, strict=True)]

    return explain_both if both_strands else explain
