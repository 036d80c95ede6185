import contextlib
import os
import shutil
import signal
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

from tfbs import tracking
from tfbs.errors import DataError, TrackingError
from tfbs.evaluation import Estimate


@pytest.fixture
def client(tmp_path, empty_store, monkeypatch):
    """An empty store, chosen through the environment as users choose it."""
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(uri)
    yield MlflowClient(uri, uri)
    mlflow.set_tracking_uri(None)


@pytest.fixture
def launched(client, monkeypatch):
    """A run that ``mlflow run`` has created: params pre-logged, name made up."""
    run = client.create_run("0")
    client.log_param(run.info.run_id, "lr", "1e-3")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    return run


def test_a_run_without_a_launcher_lands_in_the_experiment_tfbs_under_its_name(client):
    with tracking.run("baseline-s0") as opened:
        pass
    run = client.get_run(opened.run_id)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "baseline-s0"
    assert client.get_experiment(run.info.experiment_id).name == "tfbs"
    assert {a.path for a in client.list_artifacts(opened.run_id, "environment")} == {
        "environment/machine.json",
        "environment/requirements.txt",
    }


def test_the_experiment_of_the_environment_is_respected(client, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    with tracking.run("x") as opened:
        assert client.get_experiment(opened.experiment_id).name == "mine"


def test_a_launched_run_is_taken_over_and_named(client, launched):
    with tracking.run("baseline-s0") as opened:
        assert opened.run_id == launched.info.run_id
        opened.params({"lr": 0.001, "epochs": 10, "register": True})
    run = client.get_run(opened.run_id)
    assert run.data.params == {"lr": "1e-3", "epochs": "10", "register": "true"}
    assert run.info.run_name == "baseline-s0"


@pytest.mark.parametrize("name", ["my run", "try-7", "bold-cat-x", "ours-cat-12"])
def test_a_name_that_the_user_gave_stays(client, launched, name):
    client.update_run(launched.info.run_id, name=name)
    with tracking.run("baseline-s0") as opened:
        pass
    assert client.get_run(opened.run_id).info.run_name == name


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (DataError("Expected x, received y."), "**This run failed.** Expected x, received y."),
        (ZeroDivisionError("oops"), "**This run failed.** ZeroDivisionError: oops"),
    ],
)
def test_an_error_ends_the_run_as_failed_with_the_reason(client, error, note):
    with pytest.raises(type(error)), tracking.run("x") as opened:
        raise error
    run = client.get_run(opened.run_id)
    assert run.info.status == "FAILED"
    assert run.data.tags["mlflow.note.content"] == note


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_as_killed_and_the_handlers_return(client, number):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(KeyboardInterrupt), tracking.run("x") as opened:
        os.kill(os.getpid(), number)
    assert client.get_run(opened.run_id).info.status == "KILLED"
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_artifacts_of_a_failed_step_are_not_logged_in_part(client):
    with tracking.run("x") as opened:
        with contextlib.suppress(ArithmeticError), opened.artifacts() as folder:
            (folder / "half.txt").write_text("half")
            raise ArithmeticError
        with opened.artifacts() as folder:
            (folder / "whole.txt").write_text("whole")
    assert {a.path for a in client.list_artifacts(opened.run_id)} == {"environment", "whole.txt"}


def test_metrics_curves_and_estimates_stand_under_their_names(client):
    with tracking.run("x") as opened:
        opened.epoch(0, {"loss": 0.5, "auroc": 0.6, "val_loss": 0.4, "val_auroc": 0.7, "val_auprc": 0.8})
        opened.curve("roc_tpr", np.linspace(0, 1, 1500))
        opened.estimates({"test/auroc": Estimate(0.9, 0.8, 0.95, 77), "test/brier": Estimate(0.1, 0.05, 0.2, 77)})
        opened.estimates({"data/gc_auroc": Estimate(0.6, 0.5, 0.7, 77)})
    metrics = client.get_run(opened.run_id).data.metrics
    assert metrics["train/loss"] == 0.5
    assert metrics["val/auprc"] == 0.8
    assert client.get_metric_history(opened.run_id, "train/loss")[0].step == 1
    history = sorted(client.get_metric_history(opened.run_id, "curve/roc_tpr"), key=lambda metric: metric.step)
    assert [m.step for m in history] == list(range(1500))
    assert np.allclose([m.value for m in history], np.linspace(0, 1, 1500))
    assert {key: metrics[key] for key in metrics if key.startswith("test")} == {
        "test/n": 77,
        "test/auroc": 0.9,
        "test/auroc_lo": 0.8,
        "test/auroc_hi": 0.95,
        "test/brier": 0.1,
    }
    table = client.load_table(opened.experiment_id, "metrics.json", run_ids=[opened.run_id])
    assert table["metric"].tolist() == ["test/auroc", "test/brier", "data/gc_auroc"]
    assert table.iloc[1][["metric", "value", "lo", "hi", "n"]].to_dict() == {
        "metric": "test/brier",
        "value": 0.1,
        "lo": 0.05,
        "hi": 0.2,
        "n": 77,
    }


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder that not even root can write")
def test_a_store_that_takes_no_artifacts_is_refused_before_any_work(client, monkeypatch):
    client.create_experiment("closed", artifact_location="file:///proc/closed")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "closed")
    sentence = r"^Expected to write artifacts to .*closed.*, received .*check that the"
    with pytest.raises(TrackingError, match=sentence), tracking.run("x"):
        pytest.fail("the body must not run")
    [run] = client.search_runs([client.get_experiment_by_name("closed").experiment_id])
    assert run.info.status == "FAILED"


def test_links_and_commands_fit_the_store(client, monkeypatch):
    with tracking.run("x") as opened:
        pass
    text = tracking.next_steps(opened.run_id, "my model")
    assert "mlflow ui, then http://127.0.0.1:5000/#/experiments/" in text
    assert text.endswith("mlflow models serve -m 'models:/my model@champion' --env-manager local --port 5001")
    client.set_tag(opened.run_id, "mlflow.project.env", "uv")
    assert "--env-manager uv" in tracking.next_steps(opened.run_id, "tfbs")


class Unreachable(MlflowClient):
    """A store that is gone."""

    def log_batch(self, *args, **kwargs):
        raise mlflow.exceptions.MlflowException("API request failed with ConnectionError\nTraceback")


def test_a_store_that_fails_half_way_is_told_in_one_sentence(client):
    sentence = r"^Expected sqlite.* to take what the run logs, received: API request failed with ConnectionError: check"
    gone = Unreachable(client.tracking_uri, client.tracking_uri)
    with pytest.raises(TrackingError, match=sentence), tracking.run("x") as opened:
        tracking.Run(gone, opened.run_id, opened.experiment_id).metrics({"a": 1.0})
    assert client.get_run(opened.run_id).info.status == "FAILED"


def test_runs_that_log_one_data_set_at_the_same_moment_do_not_fail(client):
    """Two first writers of the same data set collide in the database."""

    def collide(*arguments):
        calls.append(arguments)
        if len(calls) < 3:
            raise mlflow.exceptions.MlflowException("UNIQUE constraint failed: datasets.digest")

    calls = []
    tracking.insist(collide, "data", "train")
    assert calls == [("data", "train")] * 3
