"""Multipliers from shap's own gradient graph, traced once and run on batches of (sequence, reference) pairs.

For networks that :mod:`tfbs.rescale` does not serve: branches, residual additions, overlapping pools.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from .errors import AttributionError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_TRACING = threading.Lock()


def multipliers(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """Trace shap's multipliers of one scalar output.

    Shap patches TensorFlow's gradients for the whole process while its graph is traced; they are restored whatever
    happens, and one thread traces at a time.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1) without activation.

    Returns
    -------
    callable
        ``(x (n, L, 4), references (1 or n, k, L, 4)) -> multipliers (n, k, L, 4), logits of the sequences (n,), logits
        of the references (1 or n, k)``.

    Raises
    ------
    AttributionError
        If shap cannot explain an operation of the network.

    References
    ----------
    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017; the package shap.
    """
    import tensorflow as tf

    with _TRACING:
        graph = _trace(model)
    forward = forward_function(model)

    def explain(x, references):
        n, k, row = tf.shape(x)[0], tf.shape(references)[1], x.shape[1:]
        paired = tf.reshape(tf.broadcast_to(references, (n, k, *row)), (-1, *row))
        both = graph(tf.concat([tf.repeat(x, k, axis=0), paired], axis=0))[0]
        logits = tf.reshape(forward(tf.reshape(references, (-1, *row))), (-1, k))
        return tf.reshape(both[n * k :], (n, k, *row)), forward(x), logits

    return explain


def deep_explainer(model: keras.Model, x: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Call the public :class:`shap.DeepExplainer`, the reference that our values are held against.

    Parameters
    ----------
    model : keras.Model
        As for :func:`multipliers`.
    x : ndarray of float32, shape (n, L, 4)
        One-hot sequences; few, because this is slow.
    references : ndarray of float32, shape (1 or n, k, L, 4)
        One-hot references.

    Returns
    -------
    ndarray of float64, shape (n, L)
        Its values summed over the channels.

    Raises
    ------
    AttributionError
        If shap cannot explain an operation of the network.
    """
    import shap
    from tensorflow.python.eager import backprop, execute

    groups = [x] if len(references) == 1 else [x[i : i + 1] for i in range(len(x))]
    values = []
    with _TRACING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            for group, background in zip(groups, references, strict=True):
                explainer = shap.DeepExplainer(model, background)
                values.append(explainer.shap_values(group, check_additivity=False)[..., 0].sum(-1))
        except Exception as error:
            raise AttributionError(_refusal(model, error)) from error
        finally:
            execute.record_gradient = backprop.record_gradient
    return np.concatenate(values).astype(np.float64)


def forward_function(model: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the network as a graph: (n, L, 4) -> logits (n,)."""
    import tensorflow as tf

    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32)]
    return tf.function(lambda x: model(x, training=False)[:, 0], input_signature=signature)


def _trace(model: keras.Model) -> tf.types.experimental.ConcreteFunction:
    """Trace shap's gradient: pairs (2 N, L, 4), sequences first -> list of one tensor (2 N, L, 4)."""
    import tensorflow as tf
    from shap.explainers._deep.deep_tf import TFDeep, custom_record_gradient
    from tensorflow.python.eager import backprop, execute

    row = model.input_shape[1:]
    traced = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explainer = TFDeep(model, np.zeros((1, *row), np.float32))

        def trace():
            execute.record_gradient = custom_record_gradient
            traced.append(explainer.phi_symbolic(0).get_concrete_function([tf.TensorSpec((None, *row), tf.float32)]))
            return []

        try:
            explainer.execute_with_overridden_gradients(trace)
        except Exception as error:
            raise AttributionError(_refusal(model, error)) from error
        finally:
            execute.record_gradient = backprop.record_gradient
    return traced[0]


def _refusal(model: keras.Model, error: Exception) -> str:
    """Say in one sentence which operation of which layer stopped shap."""
    remedy = "replace that layer or use ism()."
    missing = re.search(r"gradient registry has no entry for: shap_(\w+)", str(error))
    if missing is None:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip().rstrip(".")
        return f"Expected a network that shap can explain, received {model.name}, where it stopped ({reason}): {remedy}"
    kind = missing[1]
    graph = forward_function(model).get_concrete_function().graph
    scopes = {part for op in graph.get_operations() if op.type == kind for part in op.name.split("/")[:-1]}
    names = [[x.name for x in model.layers if re.fullmatch(re.escape(x.name) + r"(_\d+)?", scope)] for scope in scopes]
    layers = sorted({max(found, key=len) for found in names if found}) or ["an inner layer"]
    return (
        f"Expected a network of operations that shap can explain, received {model.name} with the operation {kind} in "
        f"{', '.join(layers)}: {remedy}"
    )
