from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from tfbs import pool
from tfbs.errors import DataError, ParameterError, TfbsError


class Worker:
    """Does what a task says: a callable name and its argument."""

    def __init__(self, folder: Path | None = None):
        self.folder = folder
        if folder:
            (folder / str(os.getpid())).touch()

    def __call__(self, task):
        action, argument = task
        return getattr(self, action)(argument)

    def square(self, number):
        return number**2, os.getpid()

    def sleep(self, seconds):
        time.sleep(seconds)
        return seconds

    def die(self, number):
        os.kill(os.getpid(), number)
        time.sleep(60)

    def leave(self, code):
        os._exit(code)

    def complain(self, text):
        raise DataError(text)

    def divide(self, number):
        return number / 0

    def unpicklable(self, _):
        return lambda: None


class Unpicklable(Exception):
    def __init__(self, one, two):
        super().__init__(f"{one} and {two}")


def broken():
    raise DataError("no data")


def broken_strangely():
    raise Unpicklable("one", "two")


def gone():
    os.kill(os.getpid(), signal.SIGKILL)


def gone_unless_first(path: Path):
    """Only the first process that gets here starts."""
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        gone()
    return Worker()


def slow_unless_first(path: Path):
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        time.sleep(60)
    return Worker()


def alive(pid: int) -> bool:
    """Say whether a process runs; one that nobody has waited for counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def ended(pids, seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def appear(folder: Path, count: int) -> list[int]:
    """Wait until `count` workers have been made; their process ids."""
    deadline = time.monotonic() + 60
    while len(pids := [int(path.name) for path in folder.iterdir()]) < count:
        assert time.monotonic() < deadline, "no workers"
        time.sleep(0.05)
    return pids


@pytest.mark.parametrize("workers", [1, 2, 9])
def test_every_task_comes_back_with_its_result(workers):
    tasks = [("square", n) for n in range(5)]
    found = dict(pool.run(Worker, tasks, workers))
    assert {task: result for task, (result, _) in found.items()} == {("square", n): n**2 for n in range(5)}
    pids = {pid for _, pid in found.values()}
    assert os.getpid() not in pids
    assert len(pids) <= min(workers, 5)
    assert ended(pids, 0)


def test_one_worker_keeps_the_order_and_is_made_once(tmp_path):
    tasks = [("square", n) for n in range(6)]
    assert [task for task, _ in pool.run(partial(Worker, tmp_path), tasks, 1)] == tasks
    assert len(list(tmp_path.iterdir())) == 1


def test_results_come_as_they_are_ready():
    tasks = [("sleep", 2.0), ("sleep", 0.0), ("sleep", 0.1)]
    assert [task[1] for task, _ in pool.run(Worker, tasks, 2)] == [0.0, 0.1, 2.0]


def test_no_tasks_no_processes(tmp_path):
    assert list(pool.run(partial(Worker, tmp_path), [], 2)) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_costs_its_own_task_only(workers):
    tasks = [("square", 1), ("die", signal.SIGKILL), ("square", 2), ("die", signal.SIGSEGV), ("square", 3)]
    found = dict(pool.run(Worker, tasks, workers))
    assert len(found) == 5
    assert [found["square", n][0] for n in (1, 2, 3)] == [1, 4, 9]
    assert found["die", signal.SIGKILL] == pool.Lost(
        "The worker process was killed by signal 9 (SIGKILL), as happens when memory runs out: use fewer workers."
    )
    assert found["die", signal.SIGSEGV] == pool.Lost("The worker process was killed by signal 11 (SIGSEGV).")


def test_a_worker_killed_from_outside_in_the_middle_of_a_task_is_replaced(tmp_path):
    run = pool.run(partial(Worker, tmp_path), [("square", 1), ("sleep", 60), ("square", 2)], 1)
    _, (_, pid) = next(run)
    os.kill(pid, signal.SIGKILL)
    task, lost = next(run)
    assert task == ("sleep", 60)
    assert "signal 9" in lost.reason
    _, (_, successor) = next(run)
    assert successor != pid
    assert list(run) == []
    assert len(list(tmp_path.iterdir())) == 2


def test_a_worker_that_dies_between_tasks_costs_none():
    """Of an iterator the next task is taken later: the worker is idle when it is killed."""
    run = pool.run(Worker, iter([("square", 1), ("square", 2)]), 1)
    _, (_, pid) = next(run)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    task, (result, successor) = next(run)
    assert (task, result) == (("square", 2), 4)
    assert successor != pid


def test_an_exit_is_told_with_its_code():
    found = dict(pool.run(Worker, [("leave", 3), ("square", 2)], 1))
    assert "exit code 3" in found["leave", 3].reason
    assert found["square", 2][0] == 4


def test_errors_are_told_and_the_rest_goes_on():
    tasks = [("complain", "too short"), ("divide", 1), ("unpicklable", 0), ("square", 2)]
    found = dict(pool.run(Worker, tasks, 1))
    assert found[tasks[0]].reason == "too short"
    assert "in complain" in found[tasks[0]].traceback
    assert found[tasks[1]].reason == "ZeroDivisionError: division by zero"
    assert "in divide" in found[tasks[1]].traceback
    assert "pickle" in found[tasks[2]].reason
    assert found[tasks[3]][0] == 4


def test_a_worker_that_cannot_be_made_stops_it_all():
    with pytest.raises(DataError, match="no data") as caught:
        list(pool.run(broken, [("square", 1)] * 3, 2))
    assert "in broken" in "".join(caught.value.__notes__)
    with pytest.raises(pool.WorkerError, match="Unpicklable: one and two"):
        list(pool.run(broken_strangely, [("square", 1)], 1))
    with pytest.raises(pool.WorkerError, match=r"processes that start, received none\. .* signal 9"):
        list(pool.run(gone, [("square", 1)] * 3, 2))
    assert issubclass(pool.WorkerError, TfbsError)


def test_one_worker_that_starts_is_enough(tmp_path):
    tasks = [("square", n) for n in range(4)]
    found = dict(pool.run(partial(gone_unless_first, tmp_path / "mark"), tasks, 3))
    assert [found[task][0] for task in tasks] == [0, 1, 4, 9]


def test_who_is_done_takes_over_the_task_of_a_process_that_has_not_started(tmp_path):
    """Of two processes only the first starts within a minute."""
    began = time.monotonic()
    found = dict(pool.run(partial(slow_unless_first, tmp_path / "mark"), [("square", 1), ("square", 2)], 2))
    assert sorted(result for result, _ in found.values()) == [1, 4]
    assert len({pid for _, pid in found.values()}) == 1
    assert time.monotonic() - began < 20


def test_an_iterator_is_asked_after_the_result_was_taken_and_a_sequence_before():
    taken, asked = [], []

    def ask():
        for n in range(3):
            asked.append(list(taken))
            yield "square", n

    for task, _ in pool.run(Worker, ask(), 1):
        taken.append(task[1])
    assert asked == [[], [0], [0, 1]]
    run = pool.run(Worker, [("sleep", 0.0), ("sleep", 1.0)], 1)
    next(run)
    time.sleep(1.5)
    began = time.monotonic()
    next(run)
    assert time.monotonic() - began < 0.5


def test_closing_ends_the_workers(tmp_path):
    run = pool.run(partial(Worker, tmp_path), [("square", 1), ("sleep", 60), ("sleep", 60)], 2)
    next(run)
    pids = appear(tmp_path, 2)
    run.close()
    assert ended(pids, 0)


def test_workers_are_counted_from_one():
    with pytest.raises(ParameterError, match="workers: expected a whole number of at least 1, received 0"):
        next(pool.run(Worker, [("square", 1)], 0))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_its_parent(number, tmp_path):
    """Ctrl-C goes to the whole group: workers stay silent, the parent ends them. Killed, it cannot: they see to it."""
    folder = tmp_path / "pids"
    folder.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, __file__, str(folder)]
    parent = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, start_new_session=True)
    pids = appear(folder, 2)
    assert all(map(alive, pids))
    if number == signal.SIGINT:
        os.killpg(parent.pid, number)
    else:
        parent.kill()
    _, written = parent.communicate(timeout=20)
    assert ended(pids, 5)
    if number == signal.SIGINT:
        assert written.strip() == "interrupted"


if __name__ == "__main__":
    import test_pool

    try:
        list(pool.run(partial(test_pool.Worker, Path(sys.argv[1])), [("sleep", 60)] * 3, 2))
    except KeyboardInterrupt:
        sys.exit("interrupted")
