"""Train a network: deterministic per seed, with a progress bar, and faster than ``model.fit``.

Small networks on short sequences spend most of ``model.fit`` between the gradient steps. Here many steps run inside one
compiled graph: sequences stay one byte a base in memory, and each step gathers its batch, one-hot encodes it, and
applies the Keras loss and optimizer. The arithmetic is that of ``model.fit``; only the overhead is gone.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, sequences, steps
from .architectures import Recipe
from .datasets import Dataset
from .errors import ParameterError, TrainingError

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

    from .distillation import Distiller

CHUNK = 256
SMALL = 20_000
PREDICTED_BASES, PREDICTED_NUMBERS = 200_000, 1 << 26

OnEpoch = Callable[[int, dict[str, float]], bool | None]
"""Receives the epoch, counted from 0, and its values; training stops there if it returns True."""


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
        Wall time of the training, graph building included where it was still to be done.
    """

    model: keras.Model
    history: dict[str, list[float]]
    seconds: float


def configure(batch_bases: int, deterministic: bool = True, cores: int | None = None) -> int:
    """Set TensorFlow's threads and determinism; call once, before anything else uses TensorFlow.

    Parameters
    ----------
    batch_bases : int
        Batch size x sequence length. Below :data:`SMALL` one thread is faster than several, which wait for each other.
    deterministic : bool
        Same seed, same machine: same weights to the last bit.
    cores : int, optional
        Threads to use at most, where processes share the machine; without it all cores.

    Returns
    -------
    int
        Threads per operation.

    Raises
    ------
    TrainingError
        If TensorFlow already runs with other settings.
    """
    load()
    import tensorflow as tf

    threads = 1 if batch_bases < SMALL else cores or os.cpu_count() or 1
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


def load() -> None:
    """Load TensorFlow, quietly; whoever uses it first calls this."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet():
        importlib.import_module("tensorflow")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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
    arch: str, recipe: Recipe, parts: tuple[Dataset, Dataset], seed: int, on_epoch: OnEpoch | None = None
) -> Trained:
    """Train one network, with a progress bar; :class:`Trainer` trains many.

    Parameters
    ----------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES`.
    recipe : Recipe
        Loss, optimizer, learning rate, batch size, epochs.
    parts, seed, on_epoch
        As in :meth:`Trainer.fit`.

    Returns
    -------
    Trained
        Network, history, wall time with everything included.

    Raises
    ------
    ParameterError
        If the sequences are too short for the network.
    TrainingError
        If the loss of either part becomes infinite or not a number.
    """
    import keras  # noqa: F401  (loading it is not training)

    began = time.perf_counter()
    with _progress() as bar:
        task = bar.add_task(f"{arch} seed {seed}", total=recipe.epochs * len(parts[0]), note="")

        def told(epoch: int, values: dict[str, float]) -> bool | None:
            bar.update(task, note=f"loss {values['loss']:.4f}  val AUROC {values['val_auroc']:.4f}")
            return on_epoch(epoch, values) if on_epoch else None

        trained = trainer(arch, recipe, parts[0].length).fit(parts, seed, told, lambda count: bar.advance(task, count))
    return replace(trained, seconds=time.perf_counter() - began)


def trainer(arch: str, recipe: Recipe, length: int) -> Trainer | Distiller:
    """Return what trains networks of this architecture; arguments and errors as those of :class:`Trainer`."""
    from .distillation import Distiller

    return (Distiller if architectures.get(arch).taught else Trainer)(arch, recipe, length)


class Trainer:
    """Trains networks of one architecture and recipe, one after another, in graphs that are compiled once.

    What a network becomes depends on parts and seed alone, to the last bit, not on what was trained before. For that
    its layers must take random numbers from seed generators, as all layers of Keras do.

    Parameters
    ----------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES`.
    recipe : Recipe
        Loss, optimizer, learning rate, batch size, epochs.
    length : int
        Sequence length, bp.

    Raises
    ------
    ParameterError
        If there is no such architecture, or the sequences are too short for it.
    """

    def __init__(self, arch: str, recipe: Recipe, length: int):
        import keras

        keras.utils.set_random_seed(0)
        self.arch, self.recipe, self.length = arch, recipe, length
        self._model = architectures.build(arch, length)
        config = {"class_name": recipe.optimizer, "config": {"learning_rate": recipe.lr}}
        self._optimizer = keras.optimizers.get(config)
        self._optimizer.build(self._model.trainable_variables)
        self._untouched = [variable.numpy() for variable in self._optimizer.variables]
        self._steps, self._forward = steps.compiled(self._model, self._optimizer, recipe)

    def fit(
        self,
        parts: tuple[Dataset, Dataset],
        seed: int,
        on_epoch: OnEpoch | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> Trained:
        """Train one network.

        Parameters
        ----------
        parts : tuple of Dataset
            Training part and validation part, of any number of sequences of the trainer's length.
        seed : int
            Seeds weights, dropout and the order of the sequences; 0 is a seed like any other.
        on_epoch : callable, optional
            Called with (epoch from 0, values of the epoch) after each epoch; training stops there if it returns True.
        on_rows : callable, optional
            Called with the number of sequences trained on since the last call, every few hundred steps.

        Returns
        -------
        Trained
            Network, history of the epochs that were trained, wall time (with that of compiling, the first time).

        Raises
        ------
        ParameterError
            If the sequences have another length.
        TrainingError
            If the loss of either part becomes infinite or not a number.
        """
        for part in parts:
            require_length(part, self.length)
        began = time.perf_counter()
        random.seed(seed)  # Keras draws all its seeds from here; setting TensorFlow's would drop its compiled graphs
        model = architectures.build(self.arch, self.length)
        _assign(self._model.variables, model.variables)
        _assign(self._optimizer.variables, self._untouched)
        training, order = self._tensors(parts[0]), np.random.RandomState(seed)
        history: dict[str, list[float]] = {}
        for epoch in range(self.recipe.epochs):
            rows = order.permutation(len(parts[0]))
            values = self._epoch(training, parts[0].labels, rows, on_rows)
            unseen = judge(self._forward, self._model, self.recipe, parts[1])
            values |= {f"val_{name}": value for name, value in unseen.items()}
            keep(history, values, self.recipe)
            if on_epoch and on_epoch(epoch, values):
                break
        _assign(model.variables, self._model.variables)
        return Trained(model, history, time.perf_counter() - began)

    def _tensors(self, data: Dataset) -> tuple[tf.Tensor, tf.Tensor]:
        """Codes and targets where the graph finds them without copying."""
        import tensorflow as tf

        return tf.constant(data.codes), tf.constant(steps.targets(self._model, data.labels))

    def _epoch(
        self,
        tensors: tuple[tf.Tensor, tf.Tensor],
        labels: np.ndarray,
        order: np.ndarray,
        on_rows: Callable[[int], None] | None,
    ) -> dict[str, float]:
        """One pass over the training part in the given order; the last batch may be smaller."""
        size = self.recipe.batch_size
        full = len(order) // size * size
        batches = order[:full].reshape(-1, size)
        chunks = [batches[i : i + CHUNK] for i in range(0, len(batches), CHUNK)]
        if full < len(order):
            chunks.append(order[None, full:])
        total, scores = 0.0, []
        for chunk in chunks:
            losses, outputs = self._steps(chunk.astype(np.int32), *tensors)
            total += float(losses.numpy().sum()) * chunk.shape[1]
            scores.append(outputs.numpy().ravel())
            if on_rows:
                on_rows(chunk.size)
        return {"loss": total / len(order), "auroc": _auroc(labels[order], np.nan_to_num(np.concatenate(scores)))}


def judge(forward: Callable, model: keras.Model, recipe: Recipe, data: Dataset) -> dict[str, float]:
    """Loss, AUROC and AUPRC of a part.

    Parameters
    ----------
    forward : callable
        One-hot sequences float32 (N, L, 4) -> outputs float32 (N, units).
    model : keras.Model
        Says what the outputs are.
    recipe : Recipe
        ``loss`` is used.
    data : Dataset
        The part.
    """
    from sklearn.metrics import average_precision_score

    outputs = np.concatenate([np.asarray(forward(x)) for x in _batches(data.codes, model)])
    scores = np.nan_to_num(outputs[:, -1])
    return {
        "loss": float(steps.loss(recipe)(steps.targets(model, data.labels), outputs)),
        "auroc": _auroc(data.labels, scores),
        "auprc": float(average_precision_score(data.labels, scores)),
    }


def predict_logits(logit_model: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Return the logit of every sequence: codes (N, L) -> float64 (N,), in constant memory."""
    outputs = [np.asarray(logit_model(x, training=False))[:, 0] for x in _batches(codes, logit_model)]
    return np.concatenate(outputs).astype(float)


def _batches(codes: np.ndarray, model: keras.Model) -> Iterator[np.ndarray]:
    """Yield the sequences one-hot encoded, as many at a time as the widest layer of the network allows."""
    rows = max(1, min(PREDICTED_BASES, PREDICTED_NUMBERS // architectures.width(model)) // codes.shape[1])
    for first in range(0, len(codes), rows):
        yield sequences.one_hot(codes[first : first + rows])


def _assign(variables: Iterable[keras.Variable], values: Iterable) -> None:
    """Set every variable to its value, in order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def require_length(part: Dataset, length: int) -> None:
    """Raise ParameterError unless the sequences of a part have the length that a trainer was made for."""
    if part.length != length:
        raise ParameterError(
            f"{part.name}: expected sequences of {length} bp, for which this trainer was made, received "
            f"{part.length} bp: make another trainer."
        )


def keep(history: dict[str, list[float]], values: dict[str, float], recipe: Recipe) -> None:
    """Add the values of an epoch to the history; raise TrainingError if a loss is infinite or not a number."""
    epoch = len(history.get("loss", ()))
    for name in ("loss", "val_loss"):
        if not np.isfinite(values[name]):
            raise TrainingError(
                f"Expected a finite loss, received {name} = {values[name]} in epoch {epoch + 1} of {recipe.epochs}: "
                f"lower the learning rate (lr={recipe.lr:g})."
            )
    for name, value in values.items():
        history.setdefault(name, []).append(value)


def _auroc(labels: np.ndarray, scores: np.ndarray) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(labels, scores))


def _progress():
    """A progress bar with loss and time left; silent where there is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), TaskProgressColumn(), "{task.fields[note]}", TimeRemainingColumn())
    columns = tuple(TextColumn(c) if isinstance(c, str) else c for c in columns)
    console = Console(stderr=True)
    return Progress(*columns, console=console, disable=not console.is_terminal)
