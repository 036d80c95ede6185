"""The search job: repeatable on every engine, resumed after a kill, blind to the test part; bad requests."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from experiments import tune as command
from tfbs import engines, splits, study, tune
from tfbs.architectures import Recipe
from tfbs.datasets import Source, load
from tfbs.engines import Task
from tfbs.errors import DataError, ParameterError, TfbsError, TrainingError
from tfbs.pool import Lost
from tfbs.search import Request, Search, Space
from tfbs.simulation import Simulation
from tfbs.study import Trial

ROOT = Path(__file__).parents[1]
SMALL = Simulation(length=30, n_positives=80, n_negatives=80, mutation_rate=0.15)
EPOCHS = Space(epochs="3:6")
TRIALS = 10
ARGUMENTS = "--length 30 --n_positives 80 --n_negatives 80 --mutation_rate 0.15 --epochs 3:6".split()


class Store:
    """A tracking store of its own in a folder of its own, for this process and for those that it starts."""

    def __init__(self, folder, template, monkeypatch):
        self.folder = folder
        (folder / "mlflow.db").write_bytes(template.read_bytes())
        uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(uri, uri)
        for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
        monkeypatch.chdir(folder)

    def start(self, *words):
        env = os.environ | {"PYTHONPATH": str(ROOT)}
        return subprocess.Popen(
            words, cwd=self.folder, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def runs(self, kind=""):
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        found = self.client.search_runs(experiments, order_by=["start_time"])
        return [run for run in found if run.data.tags.get("tfbs.kind", "") == kind or not kind]

    def history(self, run, name):
        return [(m.step, m.value) for m in self.client.get_metric_history(run.info.run_id, name)]

    def table(self, run):
        path = self.client.download_artifacts(run.info.run_id, "trials.json", str(self.folder))
        table = json.loads(Path(path).read_text())
        return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]

    def trials(self):
        """Everything that must not depend on how a search was run, by number, to the last digit."""
        found = {}
        for run in self.runs("trial"):
            if run.info.status != "KILLED":
                kept = {key: run.data.tags.get(f"tfbs.{key}") for key in ("state", "verdict", "split_digest")}
                values = [self.history(run, name) for name in ("train/loss", "val/auprc", "val/loss", "val/brier")]
                found[int(run.data.tags["tfbs.trial"])] = run.info.run_name, run.data.params, kept, values
        return found


@pytest.fixture
def store(tmp_path, empty_store, monkeypatch):
    return Store(tmp_path, empty_store, monkeypatch)


@pytest.fixture(scope="module")
def reference(tmp_path_factory, empty_store):
    """A search on two processes: its store, what it returned, and its trials."""
    with pytest.MonkeyPatch.context() as patch:
        made = Store(tmp_path_factory.mktemp("reference"), empty_store, patch)
        result = tune.run(Request(Search(trials=TRIALS, workers=2), EPOCHS, simulation=SMALL))
    return made, result, made.trials()


@pytest.fixture(scope="module")
def parts():
    split = splits.random_split(load(Source(), SMALL), Recipe())
    return split.train, split.validation


def test_a_search_logs_the_whole_contract(reference):
    store, result, trials = reference
    [parent] = store.runs("search")
    table, best = store.table(parent), result.ranking.best
    assert parent.info.run_id == result.run_id
    assert parent.info.run_name == "tune-baseline-modified"
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert sorted(trials) == list(range(TRIALS)) == [row["trial"] for row in table]
    for run, row in zip(sorted(store.runs("trial"), key=lambda r: int(r.data.tags["tfbs.trial"])), table, strict=True):
        params, curve = run.data.params, store.history(run, "val/auprc")
        assert run.data.tags["mlflow.parentRunId"] == result.run_id
        assert run.info.run_id == row["run_id"]
        assert run.info.run_name == f"{params['arch']}-t{row['trial']}"
        assert params.keys() >= {*vars(Recipe()), "arch", "seed", "dataset", "n_positives", "n_weights"}
        assert float(params["lr"]) == pytest.approx(row["lr"])
        assert [step for step, _ in curve] == list(range(1, row["epochs_done"] + 1))
        assert row["state"] == "pruned" or row["epochs_done"] == row["epochs"] == int(params["epochs"])
        assert curve[-1][1] == pytest.approx(row["val_auprc"])
        assert run.data.tags.keys() >= {"tfbs.data_digest", "tfbs.split_digest", "tfbs.test_digest", "tfbs.arch"}
    complete = [row for row in table if row["state"] == "complete"]
    assert best.value == pytest.approx(max(row["val_auprc"] for row in complete))
    assert parent.data.tags["tfbs.best_run"] == best.run_id == table[best.number]["run_id"]
    running = [max(row["val_auprc"] for row in complete if row["trial"] <= number) for number in range(TRIALS)]
    course = store.history(parent, "tune/best_val_auprc")
    assert [step for step, _ in course] == list(range(TRIALS))
    np.testing.assert_allclose([value for _, value in course], running)
    note = parent.data.tags["mlflow.note.content"]
    assert note.startswith("| trial | validation AUPRC |")
    data = "-P length=30 -P n_positives=80 -P n_negatives=80 -P mutation_rate=0.15"
    assert f"\n    mlflow run . -P arch={best.run_id} {data}\n" in note
    assert f"\n    mlflow run . -e compare -P archs=baseline,{best.run_id} {data}\n" in note
    assert "no trial has looked at the test part" in note
    artifacts = Path(store.client.download_artifacts(result.run_id, ""))
    assert {path.name for path in (artifacts / "plots").iterdir()} == {"search.png", "slices.png"}
    page = (artifacts / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 2
    assert f"{best.value:.4f}" in page


def test_no_run_of_a_search_holds_anything_of_the_test_part(reference):
    """But its digest, which says with which runs the trials can be compared."""
    store, _, _ = reference
    for run in store.runs():
        assert not any(name.startswith(("test/", "curve/")) for name in run.data.metrics)
        assert "n_test" not in run.data.params
        assert {tag.value for found in run.inputs.dataset_inputs for tag in found.tags} <= {"train", "validation"}
        files = {file.path for file in store.client.list_artifacts(run.info.run_id)}
        assert not {"predictions.json", "metrics.json", "network"} & files


def test_pruned_trials_are_those_that_optunas_rule_stops(reference):
    """The rule by hand, on the values that the runs hold: only trials of earlier batches count."""
    _, _, trials = reference
    curves = {number: [value for _, value in values[1]] for number, (_, _, _, values) in trials.items()}
    state = {number: kept["state"] for number, (_, _, kept, _) in trials.items()}
    for number, curve in curves.items():
        others = [curves[n] for n in range(number - number % 2) if state[n] == "complete"]
        stops = [
            epoch
            for epoch in range(3, int(trials[number][1]["epochs"]))
            if len(others) >= 5
            and max(curve[:epoch]) < np.median([other[epoch - 1] for other in others if len(other) >= epoch])
        ]
        assert len(curve) == (stops[0] if stops else int(trials[number][1]["epochs"]))
        assert state[number] == ("pruned" if stops else "complete")
    assert "pruned" in state.values()


def test_spark_gives_the_same_trials(reference, store):
    pytest.importorskip("pyspark")
    tune.run(Request(Search(trials=TRIALS, engine="spark"), EPOCHS, simulation=SMALL))
    [parent] = store.runs("search")
    assert store.trials() == reference[2]
    assert parent.data.params["spark_master"] == "local[2]"
    assert "workers" not in parent.data.params


@pytest.mark.slow
def test_killed_on_one_process_and_resumed_by_mlflow_run_it_ends_like_an_uninterrupted_one(reference, store):
    """Killed in the middle of a batch and of writing a trial down, which is then run again; resumed for more trials."""
    words = [sys.executable, "-m", "experiments.tune", "--trials", "5", "--workers", "1", *ARGUMENTS]
    process = store.start(*words)
    wait(process, lambda: sum("tfbs.state" in run.data.tags for run in store.runs("trial")) >= 3)
    process.kill()
    finish(process)
    [parent] = store.runs("search")
    assert parent.info.status == "RUNNING"
    assert f"mlflow run . -e tune -P resume={parent.info.run_id}" in parent.data.tags["mlflow.note.content"]
    first, *kept = [run.info.run_id for run in store.runs("trial") if "tfbs.state" in run.data.tags]
    store.client.update_run(first, status="RUNNING")
    words = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "tune", "-P", f"resume={parent.info.run_id}"]
    code, output = finish(store.start(*words, "-P", f"trials={TRIALS}"))
    assert code == 0, output
    [parent] = store.runs("search")
    assert parent.info.status == "FINISHED"
    assert store.trials() == reference[2]
    assert [row["trial"] for row in store.table(parent)] == list(range(TRIALS))
    assert store.client.get_run(first).info.status == "KILLED"
    assert {store.client.get_run(run_id).info.status for run_id in kept} == {"FINISHED"}
    assert {run.info.status for run in store.runs("trial")} == {"FINISHED", "KILLED"}
    assert [step for step, _ in store.history(parent, "tune/best_val_auprc")] == list(range(TRIALS))
    [note] = [run for run in store.runs() if run.info.run_name == "resumed"]
    assert note.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert f"mlflow run . -P arch={parent.data.tags['tfbs.best_run']} -P length=30" in output


def test_an_interrupted_search_says_how_to_go_on_and_leaves_no_process(store):
    process = store.start(sys.executable, "-m", "experiments.tune", "--trials", "500", *ARGUMENTS)
    wait(process, lambda: len(store.runs("trial")) >= 1)
    workers = children(process.pid)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    [parent] = store.runs("search")
    assert code == 130
    assert f"To go on: mlflow run . -e tune -P resume={parent.info.run_id}\n" in output
    assert "Interrupted; the run is marked as KILLED. The trials that finished are kept." in output
    assert "Traceback" not in output
    assert parent.info.status == "KILLED"
    assert workers
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


class Deadly:
    """Kills the process that unpickles it."""

    def __reduce__(self):
        return eval, ("__import__('os').kill(__import__('os').getpid(), 9)",)


@pytest.mark.parametrize("engine", ["local", "spark"])
def test_a_worker_that_dies_costs_its_own_trial(engine, parts):
    if engine == "spark":
        pytest.importorskip("pyspark")
    tasks = [
        Task(0, "baseline", Recipe(epochs=1), 0),
        Task(1, "baseline", Recipe(epochs=1), 0, (Deadly(),)),
        Task(2, "modified", Recipe(optimizer="sgd", loss="bce", lr=1e9, epochs=1), 0),
    ]
    with engines.opened(Search(engine=engine), parts) as work:
        found = {task.number: outcome for task, outcome in work(tasks)}
        [(_, after)] = list(work([Task(3, "baseline", Recipe(epochs=1), 0)]))
    assert isinstance(found[1], Lost)
    assert {"local": "killed by signal 9", "spark": "Python worker exited unexpectedly"}[engine] in found[1].reason
    assert found[0].state == after.state == "complete"
    assert found[0].history == after.history
    assert (found[2].state, found[2].verdict) == ("failed", "did not train")


def test_a_lost_trial_is_logged_as_failed_and_the_search_goes_on(store, monkeypatch):
    def losing(*arguments):
        tasks = propose(*arguments)
        return [Task(t.number, t.arch, t.recipe, t.seed, (Deadly(),)) if t.number == 1 else t for t in tasks]

    propose = tune._tasks
    monkeypatch.setattr(tune, "_tasks", losing)
    result = tune.run(Request(Search(trials=3), EPOCHS, simulation=SMALL))
    [lost] = [run for run in store.runs("trial") if run.info.status == "FAILED"]
    assert lost.data.tags["tfbs.trial"] == "1"
    assert lost.data.tags["tfbs.state"] == "failed"
    assert "killed by signal 9 (SIGKILL)" in lost.data.tags["mlflow.note.content"]
    assert "1 were lost (they count for nothing; their runs say why)" in " ".join(result.ranking.sentences)
    assert len(store.runs("trial")) == 3


def test_pruning_happens_in_the_worker_and_never_after_the_last_epoch(parts):
    recipe, [params] = Recipe(epochs=5), study.propose(Space(), 0, [], 1)

    def others(*curve):
        return study.rivals(Space(), [Trial(i, params, "complete", "trained", curve, 0.1) for i in range(5)])

    with engines.opened(Search(workers=1), parts) as work:
        [(_, free)] = list(work([Task(0, "baseline", recipe, 0)]))
        asked = [others(0, 0, 0, 2, 2), others(0, 0, 0, 0, 0), others(0, 0, 0, 0, 2)]
        outcomes = {t.number: o for t, o in work([Task(i, "baseline", recipe, 0, o) for i, o in enumerate(asked)])}
    assert (outcomes[0].state, outcomes[0].history["val_auprc"]) == ("pruned", free.history["val_auprc"][:4])
    assert outcomes[1].state == outcomes[2].state == "complete"
    assert outcomes[1].history == outcomes[2].history == free.history
    assert outcomes[1].brier == free.brier


def test_worker_processes_are_replaced_after_a_number_of_trials(parts, monkeypatch):
    def counted(*arguments):
        before.append(set(children(os.getpid())))
        return run(*arguments)

    before, run = [], engines.pool.run
    monkeypatch.setattr(engines.pool, "run", counted)
    monkeypatch.setattr(engines, "RENEWAL", 2)
    with engines.opened(Search(workers=1), parts) as work:
        asked = [[Task(number, "baseline", Recipe(epochs=1), 0)] for number in range(3)]
        histories = [outcome.history for tasks in asked for _, outcome in work(tasks)]
    assert len(before) == 2
    assert before[1] <= before[0]
    assert histories[0] == histories[1] == histories[2]


def test_a_search_of_which_nothing_trained_fails_and_says_so(store):
    space = Space(archs="modified", optimizer="sgd", loss="bce", lr="1e8:1e9", epochs="1")
    with pytest.raises(TrainingError, match=r"^Expected a network that trained, received none"):
        tune.run(Request(Search(trials=1), space, simulation=SMALL))
    [parent] = store.runs("search")
    assert parent.info.status == "FAILED"
    assert [(row["state"], row["verdict"]) for row in store.table(parent)] == [("failed", "did not train")]


def other(store, request="", **tags):
    """A finished run of another kind."""
    run = store.client.create_run("0")
    if request:
        store.client.log_text(run.info.run_id, request, "request.json")
    for key, value in tags.items():
        store.client.set_tag(run.info.run_id, f"tfbs.{key}", value)
    store.client.set_terminated(run.info.run_id)
    return run.info.run_id


def test_what_cannot_be_resumed_is_refused_and_left_alone(store):
    search = other(store, Request().to_json())
    for words, sentence in {
        f"--resume {'0' * 32}": "^Expected a run id, ",
        f"--resume {other(store)}": "^resume: expected the id of a comparison or search, received ",
        f"--resume {other(store, '{}')}": "^resume: expected the id of a search, received .* use -e compare.$",
        f"--resume {search} --trials 3": '^trials: expected at least the 20 .* asked for, received "3".$',
    }.items():
        with pytest.raises(ParameterError, match=sentence):
            command.request(words.split())
    assert {run.info.status for run in store.runs()} == {"FINISHED"}
    assert command.request(["--resume", search]).search == Search(resume=search)
    assert command.request(["--resume", search, "--trials", "30"]).search.trials == 30


def test_changed_data_are_not_mixed_into_a_search(store):
    run_id = other(store, Request().to_json(), split_digest="0" * 64)
    with pytest.raises(DataError, match=r"^resume: expected the sequences .* \(split digest 0"):
        tune.run(command.request(["--resume", run_id]), run_id)


def test_a_trial_that_would_not_be_proposed_now_is_not_mixed_into_a_search():
    request = Request()
    params = study.propose(request.space, 0, [], 1)[0] | {"lr": 0.5}
    known = {0: Trial(0, params, "complete", "trained", (0.5,), 0.1, "f" * 32)}
    with pytest.raises(TfbsError, match=r"^resume: expected trial 0 to be .* the versions that it was begun with\.$"):
        tune._tasks(request, [], known, range(2))


def test_spark_that_cannot_be_had_is_told_in_one_sentence(parts, monkeypatch):
    pytest.importorskip("pyspark")
    sentences = {"lokal": 'spark_master: expected the address of a Spark master that answers, received "lokal"'}
    assert sentences["lokal"] in refused("lokal", parts)
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        patch.delenv("JAVA_HOME", raising=False)
        assert "engine=spark: expected Java 17 or newer on the PATH or in JAVA_HOME, received none" in refused(
            "x", parts
        )
    monkeypatch.setitem(sys.modules, "pyspark", None)
    assert "engine=spark: expected the package pyspark, received none: run pip install" in refused("x", parts)


def refused(master, parts):
    with pytest.raises(ParameterError) as caught, engines.opened(Search(engine="spark", spark_master=master), parts):
        pass
    assert "\n" not in str(caught.value)
    return str(caught.value)


def finish(process):
    output = process.communicate(timeout=300)[0]
    return process.returncode, output


def wait(process, done, seconds=120):
    deadline = time.monotonic() + seconds
    while not done():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.1)


def children(pid):
    """Processes that a process has started."""
    ps = subprocess.Popen(["ps", "-o", "pid=", "--ppid", str(pid)], stdout=subprocess.PIPE, text=True)
    return [int(word) for word in ps.communicate()[0].split() if int(word) != ps.pid]
