"""Where trials run: worker processes of this machine, or Spark. The same worker, the same results to the last bit.

An engine takes a batch of tasks and yields each with its outcome as soon as that is there. A task whose process dies is
:class:`tfbs.pool.Lost`; the others are done all the same.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import sys
import tempfile
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from . import architectures, evaluation, pool, training
from .architectures import Recipe
from .datasets import Dataset
from .errors import ParameterError, TfbsError, TrainingError
from .pool import Lost
from .search import Search
from .study import COLLAPSED, TRAINED, Judge

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial
    from pyspark import Broadcast, SparkContext

IDLE_SECONDS = 0.05
RENEWAL = 100
"""Trials after which worker processes are replaced: TensorFlow keeps several MB of every graph that it has compiled."""

Parts = tuple[Dataset, Dataset]


@dataclass(frozen=True)
class Task:
    """A network to train: a trial's number, architecture, recipe and seed, and the trials it must not lag behind.

    `others` is empty where nothing is pruned.
    """

    number: int
    arch: str
    recipe: Recipe
    seed: int
    others: tuple[FrozenTrial, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What became of a trial: state, verdict and Brier score as in :class:`tfbs.study.Trial`.

    Attributes
    ----------
    history : dict of str to list of float
        See :class:`tfbs.training.Trained`; empty if the loss diverged.
    seconds : float
        Wall time of the training.
    n_weights : int
        Weights of the network; 0 if the loss diverged.
    reason : str
        Why it did not train.
    """

    state: str
    verdict: str = ""
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    brier: float = float("nan")
    n_weights: int = 0
    reason: str = ""


Engine = Callable[[Sequence[Task]], Iterator[tuple[Task, Outcome | Lost]]]


class Worker:
    """Trains the network of a task and judges it on the validation part.

    It uses one thread whatever the machine, because sums over more threads differ in the last digit, and because the
    machine's other cores have trials of their own.

    Parameters
    ----------
    training_part, validation_part : Dataset
        All that a search ever sees of the data.
    """

    def __init__(self, training_part: Dataset, validation_part: Dataset):
        _configure()
        self.parts = (training_part, validation_part)

    def __call__(self, task: Task | None) -> Outcome | None:
        """Do a task; nothing to do is done in a moment."""
        if task is None:
            return time.sleep(IDLE_SECONDS)
        judge = Judge(task.others) if task.others else None
        stopped = []

        def on_epoch(epoch: int, values: dict[str, float]) -> bool:
            done = epoch + 1
            if judge and judge.stops(done, values["val_auprc"]) and done < task.recipe.epochs:
                stopped.append(done)
            return bool(stopped)

        try:
            trainer = training.trainer(task.arch, task.recipe, self.parts[0].length)
            trained = trainer.fit(self.parts, task.seed, on_epoch)
        except TrainingError as error:
            return Outcome("failed", COLLAPSED, reason=str(error))
        found = {"history": trained.history, "seconds": trained.seconds, "n_weights": trained.model.count_params()}
        if stopped:
            return Outcome("pruned", **found)
        validation = self.parts[1]
        logits = training.predict_logits(architectures.logit_model(trained.model), validation.codes)
        if not evaluation.trained(logits):
            return Outcome("failed", COLLAPSED, **found, reason="It says the same of every validation sequence.")
        return Outcome("complete", TRAINED, **found, brier=float(np.mean((expit(logits) - validation.labels) ** 2)))


@functools.cache
def _configure() -> None:
    """Settle TensorFlow's threads once a process: Spark uses its processes for several tasks.

    Every trial needs a graph of its own, which TensorFlow would warn of.
    """
    training.configure(0)
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")


@contextlib.contextmanager
def opened(search: Search, parts: Parts) -> Iterator[Engine]:
    """Yield the engine that a search asks for; all its processes end with it.

    Parameters
    ----------
    search : Search
        ``engine``, ``workers``, ``batch`` and ``spark_master`` are used.
    parts : tuple of Dataset
        Training and validation part.

    Raises
    ------
    ParameterError
        If Spark is asked for and cannot be had.
    """
    if search.engine == "spark":
        with _spark(parts, search.spark_master) as engine:
            yield engine
    else:
        with _local(parts, min(search.batch, search.workers or os.cpu_count() or 1)) as engine:
            yield engine


@contextlib.contextmanager
def _local(parts: Parts, workers: int) -> Iterator[Engine]:
    """Worker processes that live through all batches; between two tasks they ask again every moment."""
    waiting: deque[Task] = deque()

    def queue() -> Iterator[Task | None]:
        while True:
            yield waiting.popleft() if waiting else None

    def crew() -> Iterator[tuple[Task | None, Outcome | Lost | None]]:
        return pool.run(functools.partial(Worker, *parts), queue(), workers)

    results, done = crew(), 0

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome | Lost]]:
        nonlocal results, done
        if done >= RENEWAL:
            results.close()
            results, done = crew(), 0
        waiting.extend(tasks)
        missing = len(tasks)
        while missing:
            task, outcome = next(results)
            if task is not None:
                missing, done = missing - 1, done + 1
                yield task, outcome

    try:
        yield engine
    finally:
        results.close()


@contextlib.contextmanager
def _spark(parts: Parts, master: str) -> Iterator[Engine]:
    """One Spark job a task, so that a task that kills its process fails alone; the package travels with them."""
    context = _context(master)
    package = tempfile.TemporaryDirectory(prefix="tfbs-spark-")
    here = Path(__file__).parent
    context.addPyFile(shutil.make_archive(f"{package.name}/tfbs", "zip", here.parent, here.name))
    shared = context.broadcast(parts)

    def engine(tasks: Sequence[Task]) -> Iterator[tuple[Task, Outcome | Lost]]:
        with ThreadPoolExecutor(len(tasks)) as threads:
            jobs = {threads.submit(_submit, context, shared, task): task for task in tasks}
            try:
                for job in as_completed(jobs):
                    yield jobs[job], job.result()
            finally:
                context.cancelAllJobs()

    try:
        yield engine
    finally:
        context.stop()
        package.cleanup()


def _submit(context: SparkContext, shared: Broadcast, task: Task) -> Outcome | Lost:
    try:
        return context.parallelize([task], 1).map(functools.partial(_work, shared)).collect()[0]
    except Exception as error:
        told = next((line for line in str(error).splitlines() if "Exception: " in line), type(error).__name__)
        return Lost(f"Spark gave the trial up: {told.rpartition('Exception: ')[2].strip().rstrip('.')}.", str(error))


def _work(shared: Broadcast, task: Task) -> Outcome | Lost:
    """Do a task inside Spark; an error must not reach Spark, which would try again and then give everything up."""
    try:
        return Worker(*shared.value)(task)
    except Exception as error:
        message = str(error) if isinstance(error, TfbsError) else f"{type(error).__name__}: {error}"
        return Lost(message, traceback.format_exc())


def _context(master: str) -> SparkContext:
    """Start Spark, quietly."""
    try:
        from pyspark import SparkConf, SparkContext
    except ImportError as error:
        raise ParameterError(
            'engine=spark: expected the package pyspark, received none: run pip install "tfbs[spark]", or use '
            "engine=local."
        ) from error
    java = Path(os.environ["JAVA_HOME"], "bin", "java") if os.environ.get("JAVA_HOME") else shutil.which("java")
    if not (java and Path(java).exists()):
        raise ParameterError(
            "engine=spark: expected Java 17 or newer on the PATH or in JAVA_HOME, received none: install it, or use "
            "engine=local."
        )
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    settings = {"spark.ui.enabled": "false", "spark.ui.showConsoleProgress": "false", "spark.log.level": "OFF"}
    try:
        with training.quiet():
            return SparkContext(conf=SparkConf().setMaster(master).setAppName("tfbs").setAll(settings.items()))
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if "Exception" in line), str(error)).strip()
        raise ParameterError(
            f'spark_master: expected the address of a Spark master that answers, received "{master}" ({reason}): '
            "start it, or use spark_master=local[2]."
        ) from error
