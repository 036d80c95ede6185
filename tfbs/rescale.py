"""The DeepLIFT rescale rule, layer by layer: the numbers of shap.DeepExplainer without its overhead.

Each sequence and each reference passes through the network once; the multipliers then walk back through the layers for
all pairs of the two. This serves chains of the layers named in :func:`steps`. :mod:`tfbs.shap_graph` serves the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

ELEMENTWISE = (
    "celu",
    "elu",
    "exponential",
    "gelu",
    "hard_sigmoid",
    "hard_silu",
    "leaky_relu",
    "linear",
    "mish",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "softsign",
    "squareplus",
    "tanh",
)
"""Keras activations that act on each number alone, so that the rescale rule holds for them."""

_SAME_INPUT = 1e-6
_SAME_MAXIMUM = 1e-7


@dataclass(frozen=True)
class Step:
    """One layer, or one half of it.

    Attributes
    ----------
    forward : callable
        Values (N, ...) -> values (N, ...).
    back : callable
        For a linear step: multipliers of the output (N, ...) -> of the input (N, ...). Otherwise: multipliers of the
        output (n, k, ...) and the step's input and output at the sequences (n, 1, ...) and at the references
        (1 or n, k, ...) -> multipliers of the input (n, k, ...).
    linear : bool
        Which of the two.
    """

    forward: Callable
    back: Callable
    linear: bool


def steps(model: keras.Model) -> list[Step] | None:
    """Return the steps of a network that is a chain of known layers, otherwise None.

    Known are Dense, Conv1D, max, average and global pooling, BatchNormalization, Flatten, Reshape, Dropout and the
    activations in :data:`ELEMENTWISE`.
    """
    import keras

    result, value = [], model.inputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        if len(layer._inbound_nodes) != 1 or layer.input is not value:
            return None
        found = _steps_of(layer)
        if found is None:
            return None
        result += found
        value = layer.output
    return result if value is model.outputs[0] else None


def multipliers(chain: list[Step], x: tf.Tensor, references: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Walk the multipliers back from the logit to the input.

    Parameters
    ----------
    chain : list of Step
        From :func:`steps`, ending in one number per row.
    x : Tensor of float32, shape (n, L, 4)
        One-hot sequences.
    references : Tensor of float32, shape (1 or n, k, L, 4)
        One-hot references.

    Returns
    -------
    multipliers (n, k, L, 4), logits of the sequences (n,), logits of the references (1 or n, k)

    References
    ----------
    Shrikumar, Greenside and Kundaje, "Learning important features through propagating activation differences", ICML
    2017. Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017, for max-pooling.
    """
    import tensorflow as tf

    n, groups, k = tf.shape(x)[0], tf.shape(references)[0], tf.shape(references)[1]
    values = [tf.concat([x, tf.reshape(references, (-1, *x.shape[1:]))], axis=0)]
    for step in chain:
        values.append(step.forward(values[-1]))

    def paired(value):
        return value[:n, None], tf.reshape(value[n:], (groups, k, *value.shape[1:]))

    m = tf.ones((n * k, 1))
    for step, before, after in zip(reversed(chain), values[-2::-1], values[:0:-1], strict=True):
        if step.linear:
            m = step.back(m)
        else:
            m = step.back(tf.reshape(m, (n, k, *after.shape[1:])), paired(before), paired(after))
            m = tf.reshape(m, (n * k, *before.shape[1:]))
    at_x, at_references = paired(values[-1][:, 0])
    return tf.reshape(m, (n, k, *x.shape[1:])), at_x[:, 0], at_references


def _steps_of(layer: keras.Layer) -> list[Step] | None:
    from keras import layers

    kind, row = type(layer), tuple(layer.input.shape[1:])
    if kind in (layers.Dense, layers.Conv1D):
        linear = _dense(layer) if kind is layers.Dense else _conv(layer, row)
        activation = _elementwise(layer.activation)
        return None if linear is None or activation is None else [linear, *activation]
    if kind is layers.Activation:
        return _elementwise(layer.activation)
    if kind in (layers.ReLU, layers.LeakyReLU, layers.ELU):
        return [_rescale(layer)]
    if kind in (layers.Dropout, layers.SpatialDropout1D):
        return []
    if kind in (layers.Flatten, layers.Reshape):
        target = tuple(layer.output.shape[1:])
        return [Step(lambda value: _rows(value, target), lambda m: _rows(m, row), True)]
    if kind in (layers.BatchNormalization, layers.AveragePooling1D, layers.GlobalAveragePooling1D):
        return [Step(layer, lambda m: _transpose(layer, m, row), True)]
    if kind is layers.GlobalMaxPooling1D and not layer.keepdims:
        return [_max_pool(row[0], row[0]), Step(lambda value: value[:, 0], lambda m: m[:, None], True)]
    if kind is layers.MaxPooling1D and layer.pool_size == layer.strides and layer.padding == "valid":
        return [_max_pool(layer.pool_size[0], row[0])]
    return None


def _rows(value: tf.Tensor, row: tuple[int, ...]) -> tf.Tensor:
    import tensorflow as tf

    return tf.reshape(value, (-1, *row))


def _dense(layer: keras.Layer) -> Step:
    import tensorflow as tf

    kernel, bias = layer.kernel, layer.bias if layer.use_bias else 0.0
    return Step(lambda value: tf.matmul(value, kernel) + bias, lambda m: tf.matmul(m, kernel, transpose_b=True), True)


def _conv(layer: keras.Layer, row: tuple[int, ...]) -> Step | None:
    import tensorflow as tf

    if layer.groups != 1 or layer.data_format != "channels_last":
        return None
    kernel, bias = layer.kernel, layer.bias if layer.use_bias else 0.0
    stride, dilation, causal = layer.strides[0], layer.dilation_rate[0], layer.padding == "causal"
    padding = "VALID" if causal else layer.padding.upper()
    left = (layer.kernel_size[0] - 1) * dilation if causal else 0

    def forward(value):
        return (
            tf.nn.conv1d(tf.pad(value, [[0, 0], [left, 0], [0, 0]]), kernel, stride, padding, dilations=dilation) + bias
        )

    def back(m):
        shape = (tf.shape(m)[0], row[0] + left, row[1])
        return tf.nn.conv1d_transpose(m, kernel, shape, stride, padding, dilations=dilation)[:, left:]

    return Step(forward, back, True)


def _transpose(layer: keras.Layer, m: tf.Tensor, row: tuple[int, ...]) -> tf.Tensor:
    """Apply the transpose of an affine layer."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = tf.zeros((tf.shape(m)[0], *row))
        tape.watch(value)
        result = layer(value)
    return tape.gradient(result, value, m)


def _elementwise(activation: Callable) -> list[Step] | None:
    name = getattr(activation, "__name__", "")
    if name not in ELEMENTWISE:
        return None
    return [] if name == "linear" else [_rescale(activation)]


def _rescale(activation: Callable) -> Step:
    """Rescale: the slope of the chord from reference to sequence, or the derivative where the two coincide."""
    import tensorflow as tf

    def back(m, before, after):
        slope, run = _derivative(activation, before[1]), before[0] - before[1]
        same = tf.abs(run) < _SAME_INPUT
        return m * tf.where(same, slope, (after[0] - after[1]) / tf.where(same, 1.0, run))

    return Step(activation, back, False)


def _derivative(activation: Callable, value: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    if getattr(activation, "__name__", "") == "relu":
        return tf.cast(value > 0, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = activation(value)
    return tape.gradient(result, value)


def _max_pool(width: int, length: int) -> Step:
    """Max-pooling over windows that do not overlap.

    Of each pair of windows only one position takes part: where the larger of the two maxima is (the first, if tied).
    """
    import tensorflow as tf

    windows = length // width

    def split(value):
        return tf.reshape(value[..., : windows * width, :], (*_lead(value), windows, width, value.shape[-1]))

    def highest(value):
        return tf.one_hot(tf.argmax(value, axis=3, output_type=tf.int32), width, True, False, axis=3, dtype=tf.bool)

    def back(m, before, after):
        x, r = split(before[0]), split(before[1])
        rise = after[0] - after[1]
        run = x - r
        here = tf.where((rise >= 0)[:, :, :, None], highest(x), highest(r)) & (tf.abs(run) >= _SAME_MAXIMUM)
        m = tf.where(here, (m * rise)[:, :, :, None] / run, 0.0)
        m = tf.reshape(m, (*_lead(m), windows * width, m.shape[-1]))
        return tf.pad(m, [[0, 0], [0, 0], [0, length - windows * width], [0, 0]])

    return Step(lambda value: tf.nn.max_pool1d(value, width, width, "VALID"), back, False)


def _lead(value: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow as tf

    shape = tf.shape(value)
    return shape[0], shape[1]
