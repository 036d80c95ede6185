"""The DeepLIFT rescale rule, layer by layer: the numbers of shap.DeepExplainer without its overhead.

Each sequence and each reference passes through the network once; the multipliers then walk back through the layers for
all pairs of the two. Below a first convolution and its max-pooling, where most of the numbers are, no pair is kept: the
sum over shared references is a matrix product. This serves chains of the layers named in :func:`steps`.
:mod:`tfbs.shap_graph` serves the rest.
"""

from __future__ import annotations

import math
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

RISING = ("celu", "elu", "exponential", "leaky_relu", "relu", "selu", "softplus")
"""Those of them that rise, or stay at their lowest: the largest output is that of the largest input."""

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
    rising : bool
        Whether it is an activation that never falls.
    width : int
        Window of a max-pooling; otherwise 0.
    conv : keras.Layer, optional
        The Conv1D that a linear step is.
    kernel : Tensor, optional
        The weights of the Dense over one axis that a linear step is.
    """

    forward: Callable
    back: Callable
    linear: bool
    rising: bool = False
    width: int = 0
    conv: keras.Layer | None = None
    kernel: tf.Tensor | None = None


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
    return _pooled_first(result) if value is model.outputs[0] else None


def _pooled_first(chain: list[Step]) -> list[Step]:
    """Move each activation that never falls behind the max-pooling that follows it: the same numbers, fewer of them."""
    result = []
    for step in chain:
        before = len(result) - bool(step.width and result and result[-1].rising)
        result.insert(before, step)
    return result


def averages(chain: list[Step], x: tf.Tensor, references: tf.Tensor) -> tuple[tf.Tensor, ...]:
    """Walk the multipliers back from the logit to the input and average over the references.

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
    multipliers (n, L, 4), multipliers x reference summed over the bases (n, L), both means over the references; logits
    of the sequences (n,), logits of the references (1 or n, k)

    References
    ----------
    Shrikumar, Greenside and Kundaje, "Learning important features through propagating activation differences", ICML
    2017. Lundberg and Lee, "A unified approach to interpreting model predictions", NeurIPS 2017, for max-pooling.
    """
    import tensorflow as tf

    n, groups, k = size(x, 0), size(references, 0), size(references, 1)
    values = [(x, tf.reshape(references, (-1, *x.shape[1:])))]
    for step in chain:
        values.append(tuple(map(step.forward, values[-1])))

    def paired(value):
        at_x, at_references = value
        return tf.expand_dims(at_x, 1), tf.reshape(at_references, (groups, k, *at_references.shape[1:]))

    stem = references.shape[0] == 1 and len(chain) > 3 and chain[0].conv is not None and chain[1].width > 0
    pooled = values[2][0].shape[1:] if stem else None
    turned = stem and chain[3].kernel is not None and chain[3].kernel.shape[0] == math.prod(pooled)
    m = tf.ones((n * k, 1))
    for i in reversed(range(2 * stem + 2 * turned, len(chain))):
        if chain[i].linear:
            m = chain[i].back(m)
        else:
            before, after = paired(values[i]), paired(values[i + 1])
            m = chain[i].back(tf.reshape(m, (n, k, *after[0].shape[2:])), before, after)
            m = tf.reshape(m, (n * k, *before[0].shape[2:]))
    if stem:
        m = tf.matmul(chain[3].kernel, m, transpose_b=True) if turned else tf.transpose(m, (1, 2, 0))
        m = tf.reshape(m, (*pooled, n, k))
        mean, base = _through_stem(chain[0].conv, chain[1].width, m, values[1], references[0])
    else:
        mean, base = mean_and_base(tf.reshape(m, (n, k, *x.shape[1:])), references)
    logits, of_references = values[-1]
    return mean, base, logits[:, 0], tf.reshape(of_references, (groups, k))


def mean_and_base(m: tf.Tensor, references: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Average multipliers (n, k, L, 4), and multipliers x reference, over the references: (n, L, 4) and (n, L)."""
    import tensorflow as tf

    return tf.reduce_mean(m, axis=1), tf.reduce_mean(tf.reduce_sum(m * references, axis=3), axis=1)


def size(value: tf.Tensor, axis: int) -> int | tf.Tensor:
    """Length of an axis: a number where it is known, which makes the graph smaller."""
    import tensorflow as tf

    return tf.shape(value)[axis] if value.shape[axis] is None else value.shape[axis]


def _through_stem(
    conv: keras.Layer, width: int, m: tf.Tensor, values: tuple[tf.Tensor, tf.Tensor], references: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Bring multipliers of a max-pooling (W, F, n, k) to the input of its convolution, averaged over the references.

    `values` are what the convolution gives for the sequences (n, Q, F) and the references (k, Q, F). Of each pair of
    windows one position takes part, as in :func:`_max_pool`: the sequence's highest where it rises over the reference,
    otherwise the reference's. A position gives to the bases below it its multiplier times the convolution's weights, so
    that the sum over the references is a matrix product with the weights that the bases of each reference pick.
    """
    import tensorflow as tf

    windows, filters, n, k = (size(m, axis) for axis in range(4))
    length, (taps, channels, _) = values[0].shape[1], conv.kernel.shape

    def split(value):
        value = tf.reshape(value[:, : windows * width], (-1, windows, width, filters, *value.shape[3:]))
        return tf.transpose(value, (1, 3, 0, 2, *range(4, len(value.shape))))

    def join(value):
        value = tf.reshape(value, (n, windows * width, value.shape[-1]))
        return tf.pad(value, [[0, 0], [0, length - windows * width], [0, 0]])

    x, r = map(split, values)
    x_top, r_top = (tf.one_hot(tf.argmax(value, axis=3), width) for value in (x, r))
    x_max, r_max = (tf.reduce_max(value, axis=3, keepdims=True) for value in (x, r))
    rise = x_max - tf.linalg.matrix_transpose(r_max)
    run_x = tf.matmul(tf.concat([x_top, x_max], 3), tf.concat([-r, tf.ones_like(r_max)], 3), transpose_b=True)
    run_r = tf.matmul(tf.concat([x, tf.ones_like(x_max)], 3), tf.concat([-r_top, r_max], 3), transpose_b=True)
    m_x = tf.where(run_x < _SAME_MAXIMUM, 0.0, m * tf.nn.relu(rise) / run_x)
    m_r = tf.where(run_r < _SAME_MAXIMUM, 0.0, m * tf.nn.relu(-rise) / run_r)

    one_tap = tf.eye(taps)
    each_tap = tf.reshape(conv.kernel[..., None] * one_tap[:, None, None], (taps, channels, filters * taps))
    picked = tf.reshape(_convolve(conv, references, each_tap), (k, length, filters, taps))
    weights = tf.pad(split(picked), [[0, 0]] * 4 + [[1, 0]], constant_values=1.0)
    flat, shape = (windows, filters, k, width * (taps + 1)), (windows, filters, n, width, taps + 1)
    total = tf.reshape(tf.matmul(m_x, tf.reshape(weights, flat)), shape) * tf.expand_dims(x_top, 4)
    total += tf.reshape(tf.matmul(m_r, tf.reshape(weights * tf.expand_dims(r_top, 4), flat)), shape)
    mean = join(tf.transpose(total[..., 0], (2, 0, 3, 1))) / tf.cast(k, total.dtype)
    base = join(tf.transpose(tf.reduce_sum(total, axis=1)[..., 1:], (1, 0, 2, 3))) / tf.cast(k, total.dtype)
    row = conv.input.shape[1]
    return _transposed(conv, mean, conv.kernel, row), _transposed(conv, base, one_tap[:, None], row)[..., 0]


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
    return Step(
        lambda value: tf.matmul(value, kernel) + bias,
        lambda m: tf.matmul(m, kernel, transpose_b=True),
        True,
        kernel=kernel if len(layer.input.shape) == 2 else None,
    )


def _conv(layer: keras.Layer, row: tuple[int, ...]) -> Step | None:
    if layer.groups != 1 or layer.data_format != "channels_last":
        return None
    kernel, bias = layer.kernel, layer.bias if layer.use_bias else 0.0
    return Step(
        lambda value: _convolve(layer, value, kernel) + bias,
        lambda m: _transposed(layer, m, kernel, row[0]),
        True,
        conv=layer,
    )


def _convolve(layer: keras.Layer, value: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """Convolve as a Conv1D does, with any kernel of its length."""
    import tensorflow as tf

    value = tf.pad(value, [[0, 0], [_left(layer), 0], [0, 0]])
    return tf.nn.conv1d(value, kernel, layer.strides[0], _padding(layer), dilations=layer.dilation_rate[0])


def _transposed(layer: keras.Layer, m: tf.Tensor, kernel: tf.Tensor, length: int) -> tf.Tensor:
    """Apply the transpose of :func:`_convolve` over `length` positions."""
    import tensorflow as tf

    left = _left(layer)
    shape = (size(m, 0), length + left, kernel.shape[1])
    strides, dilations = layer.strides[0], layer.dilation_rate[0]
    return tf.nn.conv1d_transpose(m, kernel, shape, strides, _padding(layer), dilations=dilations)[:, left:]


def _padding(layer: keras.Layer) -> str:
    return "VALID" if layer.padding == "causal" else layer.padding.upper()


def _left(layer: keras.Layer) -> int:
    return (layer.kernel_size[0] - 1) * layer.dilation_rate[0] if layer.padding == "causal" else 0


def _transpose(layer: keras.Layer, m: tf.Tensor, row: tuple[int, ...]) -> tf.Tensor:
    """Apply the transpose of an affine layer."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = tf.zeros((size(m, 0), *row))
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

    name = getattr(activation, "__name__", "")
    if name == "relu":
        return _relu()

    def back(m, before, after):
        slope, run = _derivative(activation, before[1]), before[0] - before[1]
        same = tf.abs(run) < _SAME_INPUT
        return m * tf.where(same, slope, (after[0] - after[1]) / tf.where(same, 1.0, run))

    return Step(activation, back, False, rising=name in RISING)


def _relu() -> Step:
    """Rescale for ReLU: the chord rises by the larger positive part, and runs over it and the larger negative part."""
    import tensorflow as tf

    def back(m, before, after):
        rise = tf.maximum(*after)
        return m * tf.math.divide_no_nan(rise, rise + tf.maximum(*(tf.nn.relu(-value) for value in before)))

    return Step(tf.nn.relu, back, False, rising=True)


def _derivative(activation: Callable, value: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

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

    return Step(lambda value: tf.nn.max_pool1d(value, width, width, "VALID"), back, False, width=width)


def _lead(value: tf.Tensor) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    return size(value, 0), size(value, 1)
