"""The search job as users start it: repeatable on every engine, resumed after a kill, blind to the test part."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tfbs import engines, splits, study
from tfbs.architectures import Recipe
from tfbs.datasets import Source, load
from tfbs.engines import Task
from tfbs.pool import Lost
from tfbs.search import Request, Search, Space
from tfbs.simulation import Simulation
from tfbs.study import Trial

ROOT = Path(__file__).parents[1]
DATA = {"n_positives": 80, "n_negatives": 80, "length": 30, "epochs": "2:3"}
VARYING = ("run_id", "seconds")


class Store:
    """A tracking store of its own in a folder of its own."""

    def __init__(self, folder, template):
        self.folder = folder
        (folder / "mlflow.db").write_bytes(template.read_bytes())
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(self.uri, self.uri)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        self.env |= {"MLFLOW_TRACKING_URI": self.uri, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.env |= {"GIT_PYTHON_REFRESH": "quiet"}

    def start(self, *command, **env):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def tune(self, env=None, **parameters):
        words = [word for key, value in parameters.items() for word in (f"--{key}", str(value))]
        return self.start(sys.executable, "-m", "experiments.tune", *words, **(env or {}))

    def searched(self, **parameters):
        """Run a search to its end; return its run and its table."""
        code, output = finish(self.tune(**parameters))
        assert code == 0, output
        return self.parents()[0], self.table(self.parents()[0])

    def runs(self):
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        return self.client.search_runs(experiments, order_by=["start_time DESC"])

    def parents(self):
        return [run for run in self.runs() if run.data.tags.get("tfbs.kind") == "search"]

    def trials(self):
        """Runs of trials by number; those that were killed have no state."""
        return [run for run in self.runs() if run.data.tags.get("tfbs.kind") == "trial"]

    def table(self, parent):
        path = self.client.download_artifacts(parent.info.run_id, "trials.json", str(self.folder))
        table = json.loads(Path(path).read_text())
        rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
        return [{key: value for key, value in row.items() if key not in VARYING} for row in rows]


def finish(process):
    output = process.communicate(timeout=300)[0]
    return process.returncode, output


@pytest.fixture
def store(tmp_path, empty_store):
    return Store(tmp_path, empty_store)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, empty_store):
    """A search of seven trials on two processes."""
    store = Store(tmp_path_factory.mktemp("reference"), empty_store)
    parent, table = store.searched(trials=7, workers=2, **DATA)
    return store, parent, table


def test_a_search_logs_the_whole_contract(reference):
    store, parent, table = reference
    trials = {int(run.data.tags["tfbs.trial"]): run for run in store.trials()}
    assert sorted(trials) == list(range(7)) == [row["trial"] for row in table]
    assert parent.info.run_name == "tune-baseline-modified"
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    for number, run in trials.items():
        params, row = run.data.params, table[number]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.info.run_name == f"{row['arch']}-t{number}"
        assert params.keys() >= {*vars(Recipe()), "arch", "seed", "dataset", "n_positives", "n_weights"}
        assert all(str(row[key]) == params[key] for key in Space().domains)
        history = store.client.get_metric_history(run.info.run_id, "val/auprc")
        assert [metric.step for metric in history] == list(range(1, int(params["epochs"]) + 1))
        assert run.data.tags.keys() >= {"tfbs.data_digest", "tfbs.split_digest", "tfbs.test_digest", "tfbs.arch"}
        if row["state"] == "complete":
            assert row["val_auprc"] == history[-1].value
    complete = [row for row in table if row["state"] == "complete"]
    best = min(complete, key=lambda row: (-row["val_auprc"], row["val_brier"], row["trial"]))
    assert parent.data.tags["tfbs.best_run"] == trials[best["trial"]].info.run_id
    assert parent.data.tags["tfbs.split_digest"] == trials[0].data.tags["tfbs.split_digest"]
    course = store.client.get_metric_history(parent.info.run_id, "tune/best_val_auprc")
    assert [metric.step for metric in course] == list(range(7))
    running = [max(row["val_auprc"] for row in complete if row["trial"] <= number) for number in range(7)]
    assert [metric.value for metric in course] == running
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("| trial | validation AUPRC |")
    assert f"mlflow run . -P arch={parent.data.tags['tfbs.best_run']} -P length=30 -P n_positives=80" in note
    assert f"mlflow run . -e compare -P archs=baseline,{parent.data.tags['tfbs.best_run']} -P length=30" in note
    assert "no trial has looked at the test part" in note
    artifacts = Path(store.client.download_artifacts(parent.info.run_id, ""))
    assert {path.name for path in (artifacts / "plots").iterdir()} == {"search.png", "slices.png"}
    page = (artifacts / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert f"{best['val_auprc']:.4f}" in page


def test_no_run_of_a_search_holds_anything_of_the_test_part(reference):
    """But its digest, which says with which runs the trials can be compared."""
    store, _, _ = reference
    for run in store.runs():
        assert not any(name.startswith(("test/", "curve/")) for name in run.data.metrics)
        assert "n_test" not in run.data.params
        assert {tag.value for found in run.inputs.dataset_inputs for tag in found.tags} <= {"train", "validation"}
        files = {file.path for file in store.client.list_artifacts(run.info.run_id)}
        assert not {"predictions.json", "metrics.json", "network"} & files


def test_the_same_seed_gives_the_same_trials_on_one_process_and_another_seed_others(reference, store):
    _, parent, table = reference
    again, same = store.searched(trials=7, workers=1, **DATA)
    assert same == table
    assert again.data.tags["tfbs.split_digest"] == parent.data.tags["tfbs.split_digest"]
    _, other = store.searched(trials=3, seed=1, **DATA)
    assert [row["val_auprc"] for row in other] != [row["val_auprc"] for row in table[:3]]


def test_spark_gives_the_same_trials(reference, store):
    pytest.importorskip("pyspark")
    _, _, table = reference
    parent, same = store.searched(trials=7, engine="spark", **DATA)
    assert same == table
    assert parent.data.params["spark_master"] == "local[2]"
    assert "workers" not in parent.data.params


def test_a_killed_search_is_resumed_by_mlflow_run_and_ends_like_an_uninterrupted_one(reference, store):
    """Killed in the middle of a batch; a trial that was being logged is run again."""
    _, _, table = reference
    process = store.tune(trials=5, **DATA)
    wait(process, lambda: sum("tfbs.state" in run.data.tags for run in store.trials()) >= 3)
    process.kill()
    finish(process)
    [parent] = store.parents()
    assert parent.info.status == "RUNNING"
    assert f"mlflow run . -e tune -P resume={parent.info.run_id}" in parent.data.tags["mlflow.note.content"]
    kept = {run.info.run_id for run in store.trials() if "tfbs.state" in run.data.tags}
    first = min((run for run in store.trials() if run.info.run_id in kept), key=lambda run: run.info.start_time)
    store.client.update_run(first.info.run_id, status="RUNNING")
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "tune"]
    code, output = finish(store.start(*command, "-P", f"resume={parent.info.run_id}", "-P", "trials=7"))
    assert code == 0, output
    [parent] = store.parents()
    assert parent.info.status == "FINISHED"
    assert store.table(parent) == table
    finished = {run.info.run_id for run in store.trials() if run.info.status == "FINISHED"}
    assert finished > kept - {first.info.run_id}
    assert store.client.get_run(first.info.run_id).info.status == "KILLED"
    assert len(finished) == 7
    assert [m.step for m in store.client.get_metric_history(parent.info.run_id, "tune/best_val_auprc")] == [*range(7)]
    [note] = [run for run in store.runs() if run.info.run_name == "resumed"]
    assert note.data.tags["mlflow.parentRunId"] == parent.info.run_id


def test_an_interrupted_search_says_how_to_go_on_and_leaves_no_process(store):
    process = store.tune(trials=500, **DATA)
    wait(process, lambda: len(store.trials()) >= 1)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    [parent] = store.parents()
    assert code == 130
    assert f"To go on: mlflow run . -e tune -P resume={parent.info.run_id}\n" in output
    assert output.rstrip().endswith("Interrupted; the run is marked as KILLED.")
    assert "Traceback" not in output
    assert parent.info.status == "KILLED"
    assert workers
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_a_worker_that_dies_costs_its_own_trial(engine):
    if engine == "spark":
        pytest.importorskip("pyspark")
    split = splits.random_split(load(Source(), Simulation(length=30, n_positives=80, n_negatives=80)), Recipe())
    deadly = Task(1, "baseline", Recipe(epochs=2), 0, (Deadly(),))
    tasks = [Task(0, "baseline", Recipe(epochs=1), 0), deadly, Task(2, "modified", Recipe(lr=1e9, epochs=1), 0)]
    with engines.opened(Search(engine=engine), (split.train, split.validation)) as work:
        found = {task.number: outcome for task, outcome in work(tasks)}
        [(_, after)] = list(work([Task(3, "baseline", Recipe(epochs=1), 0)]))
    assert isinstance(found[1], Lost)
    assert "crashed" in found[1].reason if engine == "spark" else "SIGKILL" in found[1].reason
    assert found[0].state == after.state == "complete"
    assert found[0].history == after.history
    assert (found[2].state, found[2].verdict) == ("failed", "did not train")


class Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self):
        return _die, (os.getpid(),)


def _die(parent):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def test_pruning_stops_a_trial_where_optunas_pruner_says():
    split = splits.random_split(load(Source(), Simulation(length=30, n_positives=80, n_negatives=80)), Recipe())
    space, recipe = Space(), Recipe(epochs=6)
    [params] = study.propose(space, 0, [], 1)
    with engines.opened(Search(workers=1), (split.train, split.validation)) as work:
        [(_, free)] = list(work([Task(0, "baseline", recipe, 0)]))
        curve = free.history["val_auprc"]
        better = [Trial(i, params, "complete", "trained", (*curve[:3], *[2.0] * 3), 0.1) for i in range(5)]
        worse = [Trial(i, params, "complete", "trained", (0.0,) * 6, 0.1) for i in range(5)]
        last = [Trial(i, params, "complete", "trained", (0.0,) * 5 + (2.0,), 0.1) for i in range(5)]
        asked = [
            Task(i, "baseline", recipe, 0, study.rivals(space, found)) for i, found in enumerate((better, worse, last))
        ]
        outcomes = {task.number: outcome for task, outcome in work(asked)}
    assert (outcomes[0].state, outcomes[0].history["val_auprc"]) == ("pruned", curve[:4])
    assert outcomes[1].state == outcomes[2].state == "complete"
    assert outcomes[1].history == outcomes[2].history == free.history
    assert outcomes[1].brier == free.brier


def test_a_search_of_which_nothing_trained_fails_and_says_so(store):
    code, output = finish(store.tune(trials=2, archs="modified", lr="1e8:1e9", **DATA))
    assert code == 1
    assert "Error: Expected a network that trained, received none among 2 trials: lower the learning rates" in output
    [parent] = store.parents()
    assert parent.info.status == "FAILED"
    assert [row["verdict"] for row in store.table(parent)] == ["did not train"] * 2


def test_what_cannot_be_resumed_is_refused_and_left_alone(store):
    for resume, sentence in {
        "0" * 32: 'Expected a run id, or a version as "models:/tfbs/3"',
        other(store): "resume: expected the id of a comparison or search, received",
        other(store, "request.json", "{}"): "which is a comparison: use -e compare.",
        other(store, "request.json", Request().to_json()): "",
    }.items():
        trials = {} if sentence else {"trials": 3}
        code, output = finish(store.tune(resume=resume, **trials))
        assert code == 1
        assert f"Error: {sentence}" in output or sentence in output
        if not sentence:
            assert 'Error: trials: expected at least the 20 that this search was asked for, received "3".' in output
    assert {run.info.status for run in store.runs()} == {"FINISHED"}


def other(store, filename="", content=""):
    """A run of another kind."""
    run = store.client.create_run("0")
    if filename:
        store.client.log_text(run.info.run_id, content, filename)
    store.client.set_terminated(run.info.run_id)
    return run.info.run_id


def test_changed_data_are_not_mixed_into_a_search(store):
    table = store.folder / "own.csv"
    rows = [f"{'ACGT' * 5},1", f"{'TTGA' * 5},0"]
    table.write_text("\n".join(["sequence,label", *rows * 40]) + "\n")
    parent, _ = store.searched(trials=1, dataset="own.csv", epochs="1:2")
    table.write_text("\n".join(["sequence,label", *rows * 41]) + "\n")
    code, output = finish(store.tune(resume=parent.info.run_id, trials=2))
    assert code == 1
    assert "Error: resume: expected the sequences that this search began with (split digest" in output


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"PATH": "/nowhere", "JAVA_HOME": ""}, "engine=spark: expected Java 17 or newer on the PATH or in JAVA_HOME"),
        ({"PYTHONPATH": "blocked"}, "engine=spark: expected the package pyspark, received none: run pip install"),
        ({}, 'spark_master: expected the address of a Spark master that answers, received "lokal"'),
    ],
)
def test_spark_that_cannot_be_had_is_told_in_one_sentence(store, env, sentence):
    pytest.importorskip("pyspark")
    if "PYTHONPATH" in env:
        (store.folder / "blocked" / "pyspark").mkdir(parents=True)
        (store.folder / "blocked" / "pyspark" / "__init__.py").write_text("raise ImportError\n")
        env = {"PYTHONPATH": f"{store.folder}/blocked:{ROOT}"}
    master = {} if env else {"spark_master": "lokal"}
    code, output = finish(store.tune(env=env, trials=1, engine="spark", **master, **DATA))
    assert code == 1, output
    assert f"Error: {sentence}" in output
    assert "Traceback" not in output


def wait(process, done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(pid):
    """Processes that a process has started."""
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True).stdout
    return [int(word) for word in found.split()]
