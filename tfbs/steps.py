"""The compiled graphs that train a network: many gradient steps in one call.

Each step gathers its batch from sequences kept at one byte a base, one-hot encodes it, and applies the Keras loss and
optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from . import sequences
from .architectures import Recipe

if TYPE_CHECKING:
    import keras


def compiled(model: keras.Model, optimizer: keras.Optimizer, recipe: Recipe) -> tuple[Callable, Callable]:
    """Return two graphs, each traced when it is first called.

    Parameters
    ----------
    model : keras.Model
        Network to train; the graphs hold its variables.
    optimizer : keras.Optimizer
        Built for the model's variables.
    recipe : Recipe
        ``loss`` is used.

    Returns
    -------
    steps : callable
        (order int32 (steps, batch), codes uint8 (N, L), targets float32 (N, units)) -> loss of each step, float32
        (steps,), and output of the last unit before the step, float32 (steps, batch). `order` holds rows of `codes`.
    forward : callable
        One-hot sequences float32 (N, L, 4) -> outputs float32 (N, units), as in inference.
    """
    import tensorflow as tf

    table = tf.constant(sequences.one_hot(np.arange(5, dtype=np.uint8)))
    loss_of = loss(recipe)
    length, width = model.input_shape[1], model.output_shape[-1]
    data = [tf.TensorSpec([None, length], tf.uint8), tf.TensorSpec([None, width], tf.float32)]

    @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32), *data])
    def steps(order, codes, targets):
        count = tf.shape(order)[0]
        losses = tf.TensorArray(tf.float32, count)
        outputs = tf.TensorArray(tf.float32, count)
        for i in tf.range(count):
            x = tf.gather(table, tf.cast(tf.gather(codes, order[i]), tf.int32))
            with tf.GradientTape() as tape:
                output = model(x, training=True)
                error = loss_of(tf.gather(targets, order[i]), output)
            gradients = tape.gradient(error, model.trainable_variables)
            optimizer.apply(gradients, model.trainable_variables)
            losses, outputs = losses.write(i, error), outputs.write(i, output[:, -1])
        return losses.stack(), outputs.stack()

    shape = tf.TensorSpec([None, length, 4], tf.float32)
    return steps, tf.function(lambda x: model(x, training=False), input_signature=[shape])


def targets(model: keras.Model, labels: np.ndarray) -> np.ndarray:
    """Labels as the head wants them: (N, 1), or one-hot (N, 2)."""
    return np.eye(2, dtype=np.float32)[labels] if model.output_shape[-1] == 2 else labels[:, None].astype(np.float32)


def loss(recipe: Recipe) -> keras.losses.Loss:
    """Return the loss that the recipe names."""
    import keras

    return {"mse": keras.losses.MeanSquaredError, "bce": keras.losses.BinaryCrossentropy}[recipe.loss]()
