"""The main job as users start it: through ``mlflow run``, as a module, twice at once, interrupted, on a server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient

ROOT = Path(__file__).parents[1]
QUICK = ["--n_positives", "150", "--n_negatives", "150", "--epochs", "2", "--n_explained", "20", "--motifs", "none"]


class Store:
    """A tracking store of its own in a folder of its own."""

    def __init__(self, folder, template):
        self.folder = folder
        (folder / "mlflow.db").write_bytes(template.read_bytes())
        self.uri = f"sqlite:///{folder}/mlflow.db"
        self.client = MlflowClient(self.uri, self.uri)
        self.env = {k: v for k, v in os.environ.items() if not k.startswith("MLFLOW_")}
        self.env |= {"MLFLOW_TRACKING_URI": self.uri, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}

    def start(self, *command, **env):
        return subprocess.Popen(
            command, cwd=self.folder, env=self.env | env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def train(self, *arguments, **env):
        return self.start(sys.executable, "-m", "experiments.train", *arguments, **env)

    def runs(self):
        experiments = [e.experiment_id for e in self.client.search_experiments()]
        return self.client.search_runs(experiments, order_by=["start_time"])


@pytest.fixture
def store(tmp_path, empty_store):
    return Store(tmp_path, empty_store)


def finish(process):
    output = process.communicate(timeout=300)[0]
    return process.returncode, output


def test_mlflow_run_logs_the_whole_contract(store):
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "--run-name", "my own name"]
    params = ["arch=modified", "lr=1e-3", "registered_model=my model", "n_positives=300", "n_negatives=300", "epochs=6"]
    code, output = finish(store.start(*command, *(word for p in params for word in ("-P", p))))
    assert code == 0, output
    [run] = store.runs()
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "my own name"
    assert run.data.params["lr"] == "1e-3"
    assert run.data.params.keys() >= {"arch", "dataset", "seed", "loss", "batch_size", "epochs", "motif", "threads"}
    areas = [f"test/{name}{end}" for name in ("auroc", "auprc") for end in ("", "_lo", "_hi")]
    others = ["accuracy", "brier", "ece", "recall_at_fdr10", "auroc_thresholded", "auprc_thresholded", "n"]
    others += ["auprc_no_skill", "precision_at_n_positives", "precision_at_100", "mcc"]
    epochs = ["train/loss", "train/auroc", "val/loss", "val/auroc", "val/auprc", "val/mcc_threshold"]
    curves = ["curve/roc_tpr", "curve/pr_precision", "curve/calibration", "curve/shap_position"]
    trust = ["shap/additivity_max", "shap/explainer_difference", "shap/motif_share"]
    trust += ["data/duplicate_share", "data/gc_auroc", "data/kmer_auroc"]
    assert run.data.metrics.keys() >= {*areas, *(f"test/{name}" for name in others), *epochs, *curves, *trust}
    assert [m.step for m in store.client.get_metric_history(run.info.run_id, "val/loss")] == [1, 2, 3, 4, 5, 6]
    assert len(store.client.get_metric_history(run.info.run_id, "curve/roc_tpr")) == 101
    assert run.data.metrics["shap/additivity_max"] < 1e-4
    assert run.data.metrics["shap/explainer_difference"] < 1e-4
    assert run.data.tags["mlflow.note.content"].startswith("| modified, seed 0, on simulated: test part, n = 150 |")
    assert {"tfbs.data_digest", "tfbs.split_digest", "tfbs.test_digest", "tfbs.verdict"} <= run.data.tags.keys()
    artifacts = Path(store.client.download_artifacts(run.info.run_id, ""))
    names = ["loss", "roc", "pr", "calibration", "shap_logos", "shap_position", "ism"]
    expected = {"report.html", "attributions.npz", "predictions.json", "calibration.json", "environment", "network"}
    if run.data.tags["tfbs.verdict"] == "trained":
        names.append("first_look")
        expected.add("motifs.meme")
        assert ("motifs.json" in os.listdir(artifacts)) == (run.data.metrics["motifs/count"] > 0)
        picture = f"![What the network reads](get-artifact?path=plots%2Ffirst_look.png&run_uuid={run.info.run_id})"
        assert picture in run.data.tags["mlflow.note.content"] and "TF-MoDISco found" in output
    assert {path.stem for path in (artifacts / "plots").iterdir()} == set(names)
    assert expected <= set(os.listdir(artifacts))
    table = json.loads((artifacts / "predictions.json").read_text())
    assert table["columns"] == ["id", "label", "probability", "logit", "split"]
    metrics = json.loads((artifacts / "metrics.json").read_text())
    assert metrics["columns"] == ["metric", "value", "lo", "hi", "n"]
    assert [row[0] for row in metrics["data"]].count("test/brier") == 1
    assert all(low <= value <= high and n == 150 for _, value, low, high, n in metrics["data"])
    with np.load(artifacts / "attributions.npz") as saved:
        assert saved["contributions"].shape == (150, 50)
        assert saved["hypothetical"].shape == (150, 50, 4)
    if run.data.tags["tfbs.verdict"] == "trained":
        version = store.client.get_model_version_by_alias("my model", "champion")
        assert version.run_id == run.info.run_id
        assert float(version.tags["selection_lo"]) <= float(version.tags["selection_score"])
        assert version.tags["selection_n"] == "45"
        assert version.tags["data_digest"] == run.data.tags["tfbs.data_digest"]
        assert "mlflow models serve -m 'models:/my model@champion' --env-manager local" in output
    assert "workflowType=machine_learning&compareRunsMode=CHART" in output


def test_two_runs_at_once_with_one_seed_agree_to_the_last_digit(store):
    results = [finish(p) for p in [store.train(*QUICK, "--references", "shuffles") for _ in range(2)]]
    assert [code for code, _ in results] == [0, 0], "\n".join(output for _, output in results)
    first, second = store.runs()
    assert first.info.run_name == second.info.run_name == "baseline-s0"
    assert store.client.get_experiment(first.info.experiment_id).name == "tfbs"
    same = first.data.metrics.keys() - {"time/training_s"}
    assert {key: first.data.metrics[key] for key in same} == {key: second.data.metrics[key] for key in same}
    assert len(store.client.search_model_versions("name = 'tfbs'")) == 2
    assert str(store.client.get_model_version_by_alias("tfbs", "champion").version) == "1"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_killed(store, number):
    process = store.train("--epochs", "1000000", "--n_positives", "50", "--n_negatives", "50")
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and not any("val/loss" in run.data.metrics for run in store.runs()):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.3)
    process.send_signal(number)
    code, output = finish(process)
    assert code == 130
    assert output.rstrip().endswith("Interrupted; the run is marked as KILLED.")
    [run] = store.runs()
    assert run.info.status == "KILLED"
    assert "Traceback" not in output


def test_a_failed_run_says_why_on_its_page(store):
    code, output = finish(
        store.start("mlflow", "run", str(ROOT), "--env-manager", "local", "-P", "dataset=missing.fa", "-P", "seed=1")
    )
    sentence = f"Expected an existing file, received missing.fa, which does not exist (working folder: {ROOT}): check"
    assert code == 1
    assert f"Error: {sentence}" in output
    [run] = store.runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["mlflow.note.content"].startswith(f"**This run failed.** {sentence}")


def test_shortcuts_and_chance_are_told_in_plain_sentences(store):
    """The labels are noise, and 20 of the 60 test sequences are reverse complements of training sequences."""
    random = np.random.RandomState(0)
    rows = []
    for i in range(180):
        sequence = "".join(random.choice(list("ACGT"), 30))
        part = "train" if i < 140 else "test"
        rows.append(f"{sequence},{i % 2},{part}")
        if i < 20:
            rows.append(f"{sequence[::-1].translate(str.maketrans('ACGT', 'TGCA'))},{i % 2},test")
    (store.folder / "noise.csv").write_text("\n".join(["sequence,label,split", *rows]) + "\n")
    arguments = ["--dataset", "noise.csv", "--split_column", "split", "--epochs", "1", "--register", "false"]
    code, output = finish(store.train(*arguments, "--motifs", "none"))
    assert code == 0, output
    metrics = store.runs()[0].data.metrics
    assert metrics["data/duplicate_share"] + metrics["data/near_share"] > 0.3
    assert re.search(r"\d+ of the 60 test sequences", output)
    assert "The interval of the AUROC includes 0.5: this network may be no better than chance." in output
    assert "Not registered." in output
    assert "Serve it" not in output


def test_a_misspelt_parameter_fails_the_run_with_a_hint(store):
    code, output = finish(store.start("mlflow", "run", str(ROOT), "--env-manager", "local", "-P", "epoch=3"))
    assert code == 1
    assert 'Error: Expected a known parameter, received "epoch"; did you mean "epochs"?' in output
    [run] = store.runs()
    assert run.info.status == "FAILED"
    assert 'did you mean "epochs"?' in run.data.tags["mlflow.note.content"]


def test_an_experiment_that_only_a_server_can_write_is_refused_before_training(store):
    store.client.create_experiment("served", artifact_location="mlflow-artifacts:/9")
    began = time.monotonic()
    code, output = finish(store.train(*QUICK, MLFLOW_EXPERIMENT_NAME="served"))
    assert code == 1
    assert (
        'Error: Expected an artifact folder, received the experiment "served", whose artifacts only a running server '
        "can take (mlflow-artifacts:/9, made by an `mlflow ui` that was started before the first run): add "
        "--experiment-name tfbs, or set MLFLOW_TRACKING_URI=http://127.0.0.1:5000 while that UI runs."
    ) in output
    assert store.runs() == []
    assert time.monotonic() - began < 30


def test_a_server_that_does_not_answer_is_named_within_seconds(store):
    code, output = finish(store.train(*QUICK, MLFLOW_TRACKING_URI="http://127.0.0.1:9"))
    assert code == 1
    assert "Error: Expected a tracking server at http://127.0.0.1:9, received [Errno 111] Connection refused" in output


def test_a_net_that_did_not_train_is_tagged_and_not_registered(store):
    """At this learning rate the units of this net die (seed 1) or saturate (seed 0)."""
    for seed in ("0", "1"):
        code, output = finish(store.train(*QUICK, "--arch", "modified", "--lr", "0.3", "--seed", seed))
        assert code == 0, output
        assert "This network did not train: it says the same of every validation sequence" in output
    saturated, dead = store.runs()
    for run in (saturated, dead):
        assert run.data.tags["tfbs.verdict"] == "did not train"
        assert "This network did not train" in run.data.tags["mlflow.note.content"]
    assert dead.data.metrics["test/auroc"] == 0.5
    assert dead.data.metrics["shap/additivity_max"] == 0
    assert store.client.search_registered_models() == []


@pytest.mark.slow
def test_a_remote_tracking_server_takes_runs_artifacts_and_models(store, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    options = ["--backend-store-uri", store.uri, "--artifacts-destination", str(tmp_path / "served"), "--workers", "1"]
    env = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(
        ["mlflow", "server", "--port", str(port), *options], env=store.env | env, cwd=tmp_path, start_new_session=True
    )
    try:
        wait_for(f"{url}/health")
        code, output = finish(store.train(*QUICK, MLFLOW_TRACKING_URI=url))
        assert code == 0, output
        assert f"{url}/#/experiments/" in output
        assert f"MLFLOW_TRACKING_URI={url} mlflow models serve -m models:/tfbs@champion" in output
        assert (tmp_path / "served").is_dir()
        mlflow.set_tracking_uri(url)
        assert len(mlflow.pyfunc.load_model("models:/tfbs@champion").predict(table(["ACGTN" * 10] * 3))) == 3
    finally:
        mlflow.set_tracking_uri(None)
        os.killpg(server.pid, signal.SIGKILL)


def table(sequences):
    import pandas as pd

    return pd.DataFrame({"sequence": sequences})


def wait_for(url, seconds=120):
    deadline = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            assert time.monotonic() < deadline, f"{url} did not answer within {seconds} s"
            time.sleep(0.5)
