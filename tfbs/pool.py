"""Worker processes that may die: a task whose worker is killed is lost, the others are done all the same.

The pools of :mod:`concurrent.futures` and joblib give up everything when one process dies. Here each worker has a pipe
of its own and one task at a time, so a death says which task it cost; a new worker takes the dead one's place. Unlike
:mod:`multiprocessing`, workers do not import the script that was started, only what they need: they start sooner.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from typing import Any, TypeVar

from .errors import ParameterError, TfbsError

PATIENCE = 5.0
"""Seconds that a worker without a task has to exit by itself."""

WATCH = 0.5
"""Seconds after which a worker looks again whether its parent lives."""

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

    Workers are fresh processes that ignore Ctrl-C; they end when the iterator is closed or left by an exception, and
    within a second if this process is killed, even in the middle of a task.

    Parameters
    ----------
    make_worker : callable
        Called once in each process; returns what turns a task into its result. Must be picklable, like tasks and
        results: a class or function of a module that can be imported (not of the script that was started), or
        :func:`functools.partial` of one.
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
    ahead = isinstance(tasks, Sequence)
    crew = _Crew(pickle.dumps(make_worker), iter(tasks))
    try:
        crew.hire(workers)
        while crew.busy:
            for worker in crew.speaking():
                task = worker.task
                for result in crew.hear(worker):
                    if ahead:
                        crew.go_on(worker)
                    yield task, result
                    if not ahead:
                        crew.go_on(worker)
    finally:
        crew.end()


class _Crew:
    """Workers that have a task, workers that leave, and the tasks that nobody has yet."""

    def __init__(self, maker: bytes, queue: Iterator[Any]):
        self.maker, self.queue = maker, queue
        self.busy: list[_Worker] = []
        self.leaving: list[_Worker] = []

    def hire(self, count: int) -> None:
        """Start up to `count` workers, each for one of the next tasks."""
        for task in itertools.islice(self.queue, count):
            self.busy.append(_Worker(task))

    def speaking(self) -> Iterator[_Worker]:
        """Wait until somebody has something to say, or is dead."""
        pipes = connection.wait([worker.pipe for worker in self.busy])
        for worker in [worker for worker in self.busy if worker.pipe in pipes]:
            if worker in self.busy:
                yield worker

    def hear(self, worker: _Worker) -> list[Any]:
        """Take what a worker says; return the result of its task in a list, if that is what it says."""
        said, content = worker.listen()
        if said == "awake":
            worker.tell(self.maker)
        elif said == "started":
            worker.begin(worker.task)
        elif said == "failed":
            raise content
        elif said == "died" and not worker.started:
            self.queue = itertools.chain([worker.task], self.queue)
            self._dismiss(worker)
            if not self.busy:
                raise WorkerError(f"Expected worker processes that start, received none. {content.reason}")
        else:
            return [content]
        return []

    def go_on(self, worker: _Worker) -> None:
        """Give the next task to a worker that is done, or to its successor if it is dead; without tasks it leaves.

        A task that still waits for its process to start counts too: who is done takes it over.
        """
        tasks = list(itertools.islice(self.queue, 1))
        waiting = [other for other in self.busy if not other.started]
        if not tasks and waiting and worker.process.poll() is None:
            tasks = [waiting[0].task]
            waiting[0].process.kill()
            self._dismiss(waiting[0])
        if not (tasks and worker.begin(tasks[0])):
            self._dismiss(worker)
            self.busy += map(_Worker, tasks)

    def _dismiss(self, worker: _Worker) -> None:
        worker.pipe.close()
        self.busy.remove(worker)
        self.leaving.append(worker)

    def end(self) -> None:
        """Wait for who has done everything, kill the others; afterwards no process is left."""
        for worker in self.busy:
            worker.process.kill()
            worker.pipe.close()
        for worker in self.busy + self.leaving:
            worker.leave()


class _Worker:
    """A process, the pipe to it, and the task it has or will have as soon as it has started."""

    def __init__(self, task: Any):
        self.task, self.started = task, False
        self.pipe, theirs = connection.Pipe()
        descriptor = theirs.fileno()
        code = f"import sys; sys.path[:] = {sys.path!r}; from tfbs.pool import _serve; "
        command = [sys.executable, "-c", f"{code}_serve({descriptor}, {os.getpid()})"]
        with theirs, _interrupts_held():
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=[descriptor])

    def begin(self, task: Any) -> bool:
        """Hand the task over; False if the process is dead."""
        self.task, self.started = task, True
        return self.tell(pickle.dumps(task))

    def tell(self, content: bytes) -> bool:
        """Send bytes; False if the process is dead."""
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
            self.leave()
            return "died", Lost(_death(self.process.returncode))

    def leave(self) -> None:
        """Wait until the process is gone; kill it if that takes long."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _death(code: int) -> str:
    """Say in one sentence how a process ended: by a signal (its negative number) or with an exit code."""
    if code >= 0:
        return f"The worker process ended with exit code {code}: what it wrote before may say why."
    names = {number.value: f" ({number.name})" for number in signal.Signals}
    hint = ", as happens when memory runs out: use fewer workers" if -code == signal.SIGKILL else ""
    return f"The worker process was killed by signal {-code}{names.get(-code, '')}{hint}."


@contextlib.contextmanager
def _interrupts_held() -> Iterator[None]:
    """Start processes that take no Ctrl-C from their first moment on; one that comes now is delivered afterwards."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(descriptor: int, parent: int) -> None:
    """Be a worker: make it, then turn one task after another into its result, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    pipe = connection.Connection(descriptor)
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


def _leave_with(parent: int) -> None:
    """End this process soon after its parent, even in the middle of a task."""
    while os.getppid() == parent:
        time.sleep(WATCH)
    os._exit(1)


def _answer(work: Callable[[Any], Any], content: bytes) -> bytes:
    """Do a task; pickled ("done", result), or ("done", Lost) if the task or its result cannot be had."""
    try:
        return pickle.dumps(("done", work(pickle.loads(content))))
    except Exception as error:
        message = str(error) if isinstance(error, TfbsError) else f"{type(error).__name__}: {error}"
        return pickle.dumps(("done", Lost(message, traceback.format_exc())))


def _portable(error: Exception) -> Exception:
    """Return the error with its traceback as a note; as a WorkerError if it cannot be pickled."""
    text = traceback.format_exc()
    try:
        error = pickle.loads(pickle.dumps(error))
    except Exception:
        error = WorkerError(f"{type(error).__name__}: {error}")
    error.add_note(text)
    return error
