"""Train a network: deterministic per seed, with a progress bar, and faster than ``model.fit``.

Small networks on short sequences spend most of ``model.fit`` between the gradient steps. Here many steps run inside one
compiled graph: sequences stay one byte a base in memory, and each step gathers its batch, one-hot encodes it, and
applies the Keras loss and optimizer. The arithmetic is that of ``model.fit``; only the overhead is gone.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, sequences
from .architectures import Recipe
from .datasets import Dataset
from .errors import TrainingError

if TYPE_CHECKING:
    import keras

CHUNK = 256
SMALL = 20_000
PREDICTED_BASES = 200_000


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes
    ----------
    model : keras.Model
        With the weights of the last epoch.
    history : dict of str to list of float
        One value per epoch: ``loss``, ``auroc`` (over the batches of the epoch, as they were trained), ``val_loss``,
        ``val_auroc``, ``val_auprc`` (at the end of the epoch).
    seconds : float
        Wall time of the training, graph building included.
    """

    model: keras.Model
    history: dict[str, list[float]]
    seconds: float


def configure(batch_bases: int, deterministic: bool = True) -> int:
    """Set TensorFlow's threads and determinism; call once, before anything else uses TensorFlow.

    Parameters
    ----------
    batch_bases : int
        Batch size x sequence length. Below :data:`SMALL` one thread is faster than several, which wait for each other.
    deterministic : bool
        Same seed, same machine: same weights to the last bit.

    Returns
    -------
    int
        Threads per operation.

    Raises
    ------
    TrainingError
        If TensorFlow already runs with other settings.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with _quiet():
        import tensorflow as tf

    threads = 1 if batch_bases < SMALL else os.cpu_count() or 1
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as error:
        raise TrainingError(
            "Expected to set TensorFlow's threads before its first use, received a process that already used it: "
            "call configure first."
        ) from error
    if deterministic:
        tf.config.experimental.enable_op_determinism()
    return threads


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Drop what TensorFlow's C++ part writes while it loads, before its log level applies; exceptions still pass."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


def train(
    arch: str,
    recipe: Recipe,
    parts: tuple[Dataset, Dataset],
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> Trained:
    """Train one network.

    Parameters
    ----------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES`.
    recipe : Recipe
        Loss, optimizer, learning rate, batch size, epochs.
    parts : tuple of Dataset
        Training part and validation part.
    seed : int
        Seeds weights, dropout and the order of the sequences; 0 is a seed like any other.
    on_epoch : callable, optional
        Called with (epoch from 0, values of the epoch) after each epoch.

    Returns
    -------
    Trained
        Network, history, wall time.

    Raises
    ------
    TrainingError
        If the loss of either part becomes infinite or not a number.
    """
    import keras

    began = time.perf_counter()
    keras.utils.set_random_seed(seed)
    training, validation = parts
    model = architectures.build(arch, training.length)
    steps = _Steps(model, recipe, training)
    check = _Forward(model, recipe, validation)
    order = np.random.RandomState(seed)
    history: dict[str, list[float]] = {}
    with _progress() as bar:
        task = bar.add_task(f"{arch} seed {seed}", total=recipe.epochs * len(training), note="")
        for epoch in range(recipe.epochs):
            done = _run_epoch(steps, order.permutation(len(training)), lambda n: bar.advance(task, n))
            values = {**done, **check.values()}
            for name in ("loss", "val_loss"):
                if not np.isfinite(values[name]):
                    raise TrainingError(
                        f"Expected a finite loss, received {name} = {values[name]} in epoch {epoch + 1} of "
                        f"{recipe.epochs}: lower the learning rate (lr={recipe.lr:g})."
                    )
            for name, value in values.items():
                history.setdefault(name, []).append(value)
            bar.update(task, note=f"loss {values['loss']:.4f}  val AUROC {values['val_auroc']:.4f}")
            if on_epoch:
                on_epoch(epoch, values)
    return Trained(model, history, time.perf_counter() - began)


def predict_logits(logit_model: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Return the logit of every sequence: codes (N, L) -> float64 (N,), in constant memory."""
    outputs = [np.asarray(logit_model(x, training=False))[:, 0] for x in _batches(codes)]
    return np.concatenate(outputs).astype(float)


def _batches(codes: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the sequences one-hot encoded, about PREDICTED_BASES at a time."""
    rows = max(1, PREDICTED_BASES // codes.shape[1])
    for first in range(0, len(codes), rows):
        yield sequences.one_hot(codes[first : first + rows])


class _Steps:
    """Many gradient steps in one graph."""

    def __init__(self, model: keras.Model, recipe: Recipe, data: Dataset):
        import keras
        import tensorflow as tf

        self.batch_size, self.labels = recipe.batch_size, data.labels
        codes, targets = tf.constant(data.codes), tf.constant(_targets(model, data.labels))
        table = tf.constant(sequences.one_hot(np.arange(5, dtype=np.uint8)))
        loss_of = _loss(recipe)
        optimizer = keras.optimizers.get({"class_name": recipe.optimizer, "config": {"learning_rate": recipe.lr}})
        optimizer.build(model.trainable_variables)

        @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)])
        def run(order):
            count = tf.shape(order)[0]
            losses = tf.TensorArray(tf.float32, count)
            outputs = tf.TensorArray(tf.float32, count)
            for i in tf.range(count):
                x = tf.gather(table, tf.cast(tf.gather(codes, order[i]), tf.int32))
                with tf.GradientTape() as tape:
                    output = model(x, training=True)
                    loss = loss_of(tf.gather(targets, order[i]), output)
                gradients = tape.gradient(loss, model.trainable_variables)
                optimizer.apply(gradients, model.trainable_variables)
                losses, outputs = losses.write(i, loss), outputs.write(i, output[:, -1])
            return losses.stack(), outputs.stack()

        self.run = run


def _run_epoch(steps: _Steps, order: np.ndarray, advance: Callable[[int], None]) -> dict[str, float]:
    """One pass over the training part in the given order; the last batch may be smaller."""
    size = steps.batch_size
    full = len(order) // size * size
    batches = order[:full].reshape(-1, size)
    chunks = [batches[i : i + CHUNK] for i in range(0, len(batches), CHUNK)]
    if full < len(order):
        chunks.append(order[None, full:])
    total, scores = 0.0, []
    for chunk in chunks:
        losses, outputs = steps.run(chunk.astype(np.int32))
        total += float(losses.numpy().sum()) * chunk.shape[1]
        scores.append(outputs.numpy().ravel())
        advance(chunk.size)
    scores = np.nan_to_num(np.concatenate(scores))
    return {"loss": total / len(order), "auroc": _auroc(steps.labels[order], scores)}


class _Forward:
    """Loss, AUROC and AUPRC of the validation part."""

    def __init__(self, model: keras.Model, recipe: Recipe, data: Dataset):
        import tensorflow as tf

        self.data, self.targets, self.loss = data, _targets(model, data.labels), _loss(recipe)
        shape = tf.TensorSpec([None, data.length, 4], tf.float32)
        self.forward = tf.function(lambda x: model(x, training=False), input_signature=[shape])

    def values(self) -> dict[str, float]:
        from sklearn.metrics import average_precision_score

        parts = [self.forward(x).numpy() for x in _batches(self.data.codes)]
        outputs = np.concatenate(parts)
        scores = np.nan_to_num(outputs[:, -1])
        return {
            "val_loss": float(self.loss(self.targets, outputs)),
            "val_auroc": _auroc(self.data.labels, scores),
            "val_auprc": float(average_precision_score(self.data.labels, scores)),
        }


def _auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _targets(model: keras.Model, labels: np.ndarray) -> np.ndarray:
    """Labels as the head wants them: (N, 1), or one-hot (N, 2)."""
    return np.eye(2, dtype=np.float32)[labels] if model.output_shape[-1] == 2 else labels[:, None].astype(np.float32)


def _loss(recipe: Recipe):
    import keras

    return {"mse": keras.losses.MeanSquaredError, "bce": keras.losses.BinaryCrossentropy}[recipe.loss]()


def _progress():
    """A progress bar with loss and time left; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), "{task.fields[note]}", TimeRemainingColumn())
    columns = tuple(TextColumn(c) if isinstance(c, str) else c for c in columns)
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
