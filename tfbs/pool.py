"""Worker processes that may die: a task whose worker is killed is lost, the others are done all the same.

The pools of :mod:`concurrent.futures` and joblib give up everything when one process dies. Here each worker has a pipe
of its own and one task at a time, so a death says which task it cost; a new worker takes the dead one's place.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection, resource_tracker
from multiprocessing.reduction import ForkingPickler
from typing import Any, TypeVar

from .errors import ParameterError, TfbsError

PATIENCE = 5.0
"""Seconds that a worker without a task has to exit by itself."""

T = TypeVar("T")
R = TypeVar("R")


class WorkerError(TfbsError):
    """No worker process could be started."""


@dataclass(frozen=True)
class Lost:
    """What stands in the place of a result that will not come.

    Attributes
    ----------
    reason : str
        One sentence: the message of the error, or how the process ended.
    traceback : str
        Where in the worker the error was raised; empty if the process died.
    """

    reason: str
    traceback: str = ""


def run(make_worker: Callable[[], Callable[[T], R]], tasks: Iterable[T], workers: int) -> Iterator[tuple[T, R | Lost]]:
    """Do tasks in worker processes and yield each with its result as soon as that is there.

    The processes are spawned: the module that was started as a script is imported in them, so it must start its work
    under ``if __name__ == "__main__"``. They ignore Ctrl-C, end when the iterator is closed or left by an exception,
    and end within moments if this process is killed, even in the middle of a task.

    Parameters
    ----------
    make_worker : callable
        Called once in each process; returns what turns a task into its result. Must be picklable, like tasks and
        results: a class or function of a module, or :func:`functools.partial` of one.
    tasks : iterable
        Handed out one at a time, in order. Of a sequence, the next task is handed out before a result is yielded, so
        that no worker waits for the caller. Of any other iterable the next task is taken after the caller has dealt
        with the result, so that it may depend on it.
    workers : int
        Processes at a time, >= 1; never more than there are tasks.

    Yields
    ------
    tuple
        A task, and its result or :class:`Lost`: the task raised an error, or its process died.

    Raises
    ------
    ParameterError
        If `workers` is not positive.
    Exception
        What `make_worker` raised in a process.
    WorkerError
        If every process died before its worker was made.
    """
    if workers < 1:
        raise ParameterError(f"workers: expected a whole number of at least 1, received {workers}.")
    ahead, queue, maker = isinstance(tasks, Sequence), iter(tasks), bytes(ForkingPickler.dumps(make_worker))
    busy: list[_Worker] = []
    leaving: list[_Worker] = []
    try:
        for task in itertools.islice(queue, workers):
            busy.append(_Worker(task))
        while busy:
            speaking = connection.wait([worker.pipe for worker in busy])
            for worker in [worker for worker in busy if worker.pipe in speaking]:
                said, content = worker.listen()
                if said == "awake":
                    worker.tell(maker)
                elif said == "started":
                    worker.begin(worker.task)
                elif said == "failed":
                    raise content
                elif said == "died" and not worker.started:
                    busy.remove(worker)
                    queue = itertools.chain([worker.task], queue)
                    if not busy:
                        raise WorkerError(
                            f"Expected worker processes to start, received none that did. {content.reason}"
                        )
                else:
                    task = worker.task
                    if ahead:
                        _next(worker, queue, busy, leaving)
                    yield task, content
                    if not ahead:
                        _next(worker, queue, busy, leaving)
    finally:
        _end(busy, leaving)


def _next(worker: _Worker, queue: Iterator[Any], busy: list[_Worker], leaving: list[_Worker]) -> None:
    """Give a worker without a task the next one, or a successor if it is dead, or leave."""
    for task in itertools.islice(queue, 1):
        if not worker.begin(task):
            busy[busy.index(worker)] = _Worker(task)
        return
    worker.pipe.close()
    busy.remove(worker)
    leaving.append(worker)


def _end(busy: list[_Worker], leaving: list[_Worker]) -> None:
    """Kill who has a task, wait for who has none; afterwards no process is left."""
    for worker in busy:
        worker.process.kill()
        worker.pipe.close()
    for worker in leaving:
        worker.process.join(PATIENCE)
        worker.process.kill()
    for worker in busy + leaving:
        worker.process.join()
        worker.process.close()


class _Worker:
    """A process, the pipe to it, and the task it has or will have as soon as it has started."""

    def __init__(self, task: Any):
        context = multiprocessing.get_context("spawn")
        self.task, self.started = task, False
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs,), daemon=True)
        with _interrupts_held():
            self.process.start()
        theirs.close()

    def begin(self, task: Any) -> bool:
        """Hand the task over; False if the process is dead."""
        self.task, self.started = task, True
        return self.tell(bytes(ForkingPickler.dumps(task)))

    def tell(self, content: bytes) -> bool:
        try:
            self.pipe.send_bytes(content)
        except OSError:
            return False
        return True

    def listen(self) -> tuple[str, Any]:
        """Return what the process says, or that it died, in words."""
        try:
            return self.pipe.recv()
        except (EOFError, OSError):
            self.process.join(PATIENCE)
            self.process.kill()
            self.process.join()
            return "died", Lost(_death(self.process.exitcode))


def _death(code: int) -> str:
    """Say in one sentence how a process ended: by a signal (its negative number) or with an exit code."""
    if code >= 0:
        return f"The worker process ended with exit code {code}: what it wrote before may say why."
    with contextlib.suppress(ValueError):
        name = f" ({signal.Signals(-code).name})"
        hint = ", as happens when memory runs out: use fewer workers" if -code == signal.SIGKILL else ""
        return f"The worker process was killed by signal {-code}{name}{hint}."
    return f"The worker process was killed by signal {-code}."


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that take no Ctrl-C from their first moment on; one that comes now is delivered afterwards."""
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: connection.Connection) -> None:
    """Be a worker: make it, then turn one task after another into its result, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        pipe.send(("awake", None))
        maker = pipe.recv_bytes()
        try:
            work = pickle.loads(maker)()
        except Exception as error:
            pipe.send(("failed", _portable(error)))
            return
        pipe.send(("started", None))
        while True:
            pipe.send_bytes(_answer(work, pipe.recv_bytes()))


def _leave_with_parent() -> None:
    """End this process as soon as its parent is dead."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os._exit(1)


def _answer(work: Callable[[Any], Any], content: bytes) -> bytes:
    """Do a task; pickled ("done", result), or ("done", Lost) if the task or its result cannot be had."""
    try:
        return bytes(ForkingPickler.dumps(("done", work(pickle.loads(content)))))
    except Exception as error:
        message = str(error) if isinstance(error, TfbsError) else f"{type(error).__name__}: {error}"
        return bytes(ForkingPickler.dumps(("done", Lost(message, traceback.format_exc()))))


def _portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note; as a WorkerError if it cannot be pickled."""
    text = traceback.format_exc()
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = WorkerError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error
