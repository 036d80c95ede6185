"""Replicates: the same networks trained again with other seeds and on other splits, on all cores.

Each worker process receives the encoded splits once and compiles each architecture once; see
:func:`tfbs.training.trainer` and :mod:`tfbs.pool`.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, explanation, pool, training
from .architectures import Recipe
from .explanation import Explained
from .pool import Lost
from .settings import Settings
from .splits import Split

if TYPE_CHECKING:
    import keras

KEPT_GRAPHS = 4


@dataclass(frozen=True)
class Task:
    """A network to train.

    Attributes
    ----------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES`.
    recipe : Recipe
        How to train it; the shares and the seed of the split are not used.
    seed : int
        Seeds weights, dropout and the order of the sequences.
    part : int
        Which of the splits, from 0.
    """

    arch: str
    recipe: Recipe
    seed: int
    part: int = 0


@dataclass(frozen=True)
class Replicate:
    """A network trained as a task says.

    Attributes
    ----------
    task : Task
        What was asked for.
    history : dict of str to list of float
        See :class:`tfbs.training.Trained`.
    seconds : float
        Wall time of the training.
    n_weights, threads : int
        Parameters of the network, threads per operation that trained it.
    validation, test : ndarray of float64, shape (n,)
        Logits of the two parts of its split; constant if the network did not train.
    explained : Explained or None
        DeepSHAP of the test part.
    network : bytes
        A ``.keras`` file.
    """

    task: Task
    history: dict[str, list[float]]
    seconds: float
    n_weights: int
    threads: int
    validation: np.ndarray
    test: np.ndarray
    explained: Explained | None
    network: bytes


def run(
    tasks: Sequence[Task],
    splits: Sequence[Split],
    settings: Settings,
    workers: int | None = None,
    explain: bool = True,
) -> Iterator[tuple[Task, Replicate | Lost]]:
    """Train all tasks and yield each with its outcome as soon as that is there.

    Each network equals the one that :func:`tfbs.training.train` makes on as many threads, to the last bit.

    Parameters
    ----------
    tasks : sequence of Task
        Trained in an order in which graphs are compiled seldom: by architecture and recipe.
    splits : sequence of Split
        What ``Task.part`` points into.
    settings : Settings
        ``deterministic``, and of the explanation ``references``, ``n_references``, ``n_explained`` and ``seed``: they
        are the same for all tasks, so that attributions of networks on one split can be compared.
    workers : int, optional
        Processes; one a core without it, and never more than tasks.
    explain : bool
        Explain the test part.

    Yields
    ------
    tuple
        A task and its replicate; or :class:`tfbs.pool.Lost` if the loss diverged, the explanation failed or the
        process died.

    Raises
    ------
    TfbsError
        If no worker can start.
    """
    if not tasks:
        return
    cores = os.cpu_count() or 1
    workers = min(workers or cores, len(tasks))
    bases = max(task.recipe.batch_size * splits[task.part].train.length for task in tasks)
    threads = functools.partial(training.configure, bases, settings.deterministic, max(1, cores // workers))
    yield from pool.run(functools.partial(Worker, threads, splits, settings, explain), _grouped(tasks, splits), workers)


def _grouped(tasks: Sequence[Task], splits: Sequence[Split]) -> list[Task]:
    """Put tasks that share a graph side by side; otherwise keep their order."""
    graphs: dict[tuple[str, Recipe, int], list[Task]] = {}
    for task in tasks:
        graphs.setdefault((task.arch, task.recipe, splits[task.part].train.length), []).append(task)
    return [task for group in graphs.values() for task in group]


class Worker:
    """Turns tasks into replicates, in a process of its own.

    Parameters
    ----------
    configure : callable
        Sets TensorFlow's threads and returns them.
    splits, settings, explain
        As in :func:`run`.
    """

    def __init__(self, configure: functools.partial[int], splits: Sequence[Split], settings: Settings, explain: bool):
        self.threads = configure()
        self.splits, self.settings, self.explain = splits, settings, explain
        self.trainer = functools.lru_cache(KEPT_GRAPHS)(training.trainer)

    def __call__(self, task: Task) -> Replicate:
        """Train, predict and, if asked for, explain."""
        split = self.splits[task.part]
        trained = self.trainer(task.arch, task.recipe, split.train.length).fit(
            (split.train, split.validation), task.seed
        )
        model = architectures.logit_model(trained.model)
        explained = explanation.explain(self.settings, split, model) if self.explain else None
        return Replicate(
            task,
            trained.history,
            trained.seconds,
            trained.model.count_params(),
            self.threads,
            training.predict_logits(model, split.validation.codes),
            training.predict_logits(model, split.test.codes),
            explained,
            _file(trained.model),
        )


def _file(model: keras.Model) -> bytes:
    """The network as a ``.keras`` file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.keras"
        model.save(path)
        return path.read_bytes()
