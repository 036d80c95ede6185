"""Multipliers from shap's own gradient graph, traced once and run on batches of (sequence, reference) pairs.

For networks that :mod:`tfbs.rescale` does not serve: branches, residual additions, overlapping pools.
"""

from __future__ import annotations

import contextlib
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from .errors import AttributionError
from .rescale import mean_and_base

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

_TRACING = threading.Lock()

_RESCALED = ("Erf", "Erfc", "Expm1", "LeakyRelu", "Relu6", "Softsign", "Sqrt")
_LINEAR = ("BatchToSpaceND", "DepthwiseConv2dNative", "Neg", "SpaceToBatchND")
_REMEDY = "replace that layer or use in-silico mutagenesis."


def averages(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Trace shap's multipliers of one scalar output, averaged over the references.

    Shap patches TensorFlow's gradients for the whole process while its graph is traced; they are restored whatever
    happens, and one thread traces at a time.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1) without activation.

    Returns
    -------
    callable
        What :func:`tfbs.rescale.averages` gives: ``(x (n, L, 4), references (1 or n, k, L, 4)) -> mean multipliers (n,
        L, 4), mean of multipliers x reference (n, L), logits of the sequences (n,), logits of the references (1 or n,
        k)``.

    Raises
    ------
    AttributionError
        If shap cannot explain an operation of the network.

    References
    ----------
    Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017; the package shap.
    """
    import tensorflow as tf

    with _shap(model):
        graph = _trace(model)
    forward = forward_function(model)

    def explain(x, references):
        n, k, row = tf.shape(x)[0], tf.shape(references)[1], x.shape[1:]
        paired = tf.reshape(tf.broadcast_to(references, (n, k, *row)), (-1, *row))
        both = graph(tf.concat([tf.repeat(x, k, axis=0), paired], axis=0))[0]
        logits = tf.reshape(forward(tf.reshape(references, (-1, *row))), (-1, k))
        mean, base = mean_and_base(tf.reshape(both[n * k :], (n, k, *row)), references)
        return mean, base, forward(x), logits

    return explain


def deep_explainer(model: keras.Model, x: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Call the public :class:`shap.DeepExplainer`, the reference that our values are held against.

    Parameters
    ----------
    model : keras.Model
        As for :func:`averages`.
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

    groups = [x] if len(references) == 1 else [x[i : i + 1] for i in range(len(x))]
    values = []
    with _shap(model):
        for group, background in zip(groups, references, strict=True):
            explainer = shap.DeepExplainer(model, background)
            values.append(explainer.shap_values(group, check_additivity=False)[..., 0].sum(-1))
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
    from tensorflow.python.eager import execute

    row = model.input_shape[1:]
    traced = []
    explainer = TFDeep(model, np.zeros((1, *row), np.float32))

    def trace():
        execute.record_gradient = custom_record_gradient
        traced.append(explainer.phi_symbolic(0).get_concrete_function([tf.TensorSpec((None, *row), tf.float32)]))
        return []

    explainer.execute_with_overridden_gradients(trace)
    return traced[0]


@contextlib.contextmanager
def _shap(model: keras.Model) -> Iterator[None]:
    """Lend shap the rules it lacks, refuse what it would explain wrongly, and restore TensorFlow whatever happens."""
    from shap.explainers._deep import deep_tf
    from tensorflow.python.eager import backprop, execute

    lacking = dict.fromkeys(_RESCALED, deep_tf.nonlinearity_1d(0)) | dict.fromkeys(_LINEAR, deep_tf.linearity_1d(0))
    with _TRACING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _refuse_silent_errors(model)
        lent = [kind for kind in lacking if kind not in deep_tf.op_handlers]
        deep_tf.op_handlers.update({kind: lacking[kind] for kind in lent})
        try:
            yield
        except Exception as error:
            raise AttributionError(_refusal(model, error)) from error
        finally:
            execute.record_gradient = backprop.record_gradient
            for kind in lent:
                del deep_tf.op_handlers[kind]


def _refuse_silent_errors(model: keras.Model) -> None:
    """Refuse the largest of an axis, which shap takes for an activation, and gradients of one's own, which it follows.

    Of the activations of Keras, silu brings its own gradient.
    """
    for op in _operations(model):
        if op.type == "Max" or "_gradient_op_type" in op.node_def.attr:
            raise AttributionError(_naming(model, op.type, [op]))


def _operations(model: keras.Model) -> list[tf.Operation]:
    return forward_function(model).get_concrete_function().graph.get_operations()


def _refusal(model: keras.Model, error: Exception) -> str:
    """Say in one sentence which operation of which layer stopped shap."""
    missing = re.search(r"gradient registry has no entry for: shap_(\w+)", str(error))
    if missing is None:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[-1].strip().rstrip(".")
        return (
            f"Expected a network that shap can explain, received {model.name}, where it stopped ({reason}): {_REMEDY}"
        )
    return _naming(model, missing[1], [op for op in _operations(model) if op.type == missing[1]])


def _naming(model: keras.Model, kind: str, ops: list[tf.Operation]) -> str:
    """Say in one sentence which layers hold the operations of one kind."""
    scopes = {part for op in ops for part in op.name.split("/")[:-1]}
    names = [[x.name for x in model.layers if re.fullmatch(re.escape(x.name) + r"(_\d+)?", scope)] for scope in scopes]
    layers = sorted({max(found, key=len) for found in names if found}) or ["an inner layer"]
    return (
        f"Expected a network of operations that shap can explain, received {model.name} with the operation {kind} in "
        f"{', '.join(layers)}: {_REMEDY}"
    )
