"""The comparison as users start it: trained, killed and resumed, from finished runs, over folds, as ensembles."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import numpy as np
import pytest
from scipy.special import expit
from test_job import ROOT, Store, finish, table

PARENT = "mlflow.parentRunId"
SMALL = ["--n_positives", "150", "--n_negatives", "150", "--epochs", "3", "--n_explained", "20", "--lr", "0.003"]
COMPARED = {"auroc", "auprc", "brier", "recall_at_fdr10"}


@pytest.fixture
def store(tmp_path, empty_store):
    return Store(tmp_path, empty_store)


def compare(store, *arguments, **env):
    return store.start(sys.executable, "-m", "experiments.compare", *arguments, **env)


def parent(store):
    [found] = [run for run in store.runs() if run.data.tags.get("tfbs.kind") == "comparison"]
    return found


def nested(store, run):
    return [r for r in store.runs() if r.data.tags.get(PARENT) == run.info.run_id]


def rows(store, run, name):
    content = json.loads(Path(store.client.download_artifacts(run.info.run_id, name)).read_text())
    return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


def report(store, run):
    """The report without what no two comparisons share: the training times."""
    text = Path(store.client.download_artifacts(run.info.run_id, "report.html")).read_text()
    return re.sub(r'<section id="cost">.*?</section>', "", text)


def test_mlflow_run_compares_and_says_so(store):
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "compare"]
    params = ["seeds=2", "n_positives=150", "n_negatives=150", "epochs=3", "n_explained=20", "lr=3e-3"]
    code, output = finish(store.start(*command, *(word for p in params for word in ("-P", p))))
    assert code == 0, output
    run = parent(store)
    children = nested(store, run)
    assert run.info.status == "FINISHED"
    assert run.info.run_name == "compare-baseline-modified"
    assert sorted(child.info.run_name for child in children) == [
        f"{arch}-s{seed}-split42" for arch in ("baseline", "modified") for seed in (0, 1)
    ]
    for child in children:
        assert child.info.status == "FINISHED"
        assert child.data.params["arch"] == child.data.tags["tfbs.arch"]
        assert child.data.tags["tfbs.test_digest"] == run.data.tags["tfbs.test_digest"]
        assert child.data.metrics.keys() >= {"test/auroc", "curve/roc_tpr", "val/loss", "shap/additivity_max"}
        assert [m.step for m in store.client.get_metric_history(child.info.run_id, "val/loss")] == [1, 2, 3]
        names = {found.path for found in store.client.list_artifacts(child.info.run_id)}
        assert names >= {"predictions.json", "metrics.json", "attributions.npz", "network"}
    differences = rows(store, run, "differences.json")
    assert {row["metric"] for row in differences} == COMPARED
    assert all(row["lo"] <= row["value"] <= row["hi"] and 0 < row["p"] <= row["p_holm"] <= 1 for row in differences)
    assert {row["run_id"] for row in rows(store, run, "replicates.json")} == {c.info.run_id for c in children}
    assert {row["of"] for row in rows(store, run, "agreement.json")} == {"predictions", "attributions"}
    assert len(rows(store, run, "disagreements.json")) == 10
    note = run.data.tags["mlflow.note.content"]
    assert note.startswith("| difference | metric | value |")
    sentence = next(line for line in note.splitlines() if "modified" in line and "AUROC" in line and line[0] != "|")
    assert sentence in output.replace("\n", " ") or sentence in output
    assert "| baseline | 2 of 2 |" in note
    drawn = {found.path.removeprefix("plots/") for found in store.client.list_artifacts(run.info.run_id, "plots")}
    assert drawn >= {"roc.png", "pr.png", "learning.png", "calibration.png", "differences.png", "seeds_auroc.png"}
    page = report(store, run)
    assert page.count("<img") == len(drawn)
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)
    version = store.client.get_model_version_by_alias("tfbs", "champion")
    best = max(rows(store, run, "replicates.json"), key=lambda row: row["val_auprc"] if row["trained"] else 0)
    assert version.run_id == best["run_id"]
    experiment = store.client.get_experiment(run.info.experiment_id)
    assert "Group by" in experiment.tags["mlflow.note.content"]


def test_a_killed_comparison_resumes_to_the_report_of_an_uninterrupted_one(store, tmp_path, empty_store):
    process = compare(store, *SMALL, "--seeds", "2", "--workers", "1", "--register", "no")
    wait_until(lambda: any(run.info.status == "FINISHED" for run in store.runs()), process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    killed = parent(store)
    assert killed.info.status == "RUNNING"
    kept = {run.info.run_id for run in nested(store, killed) if run.info.status == "FINISHED"}
    assert 1 <= len(kept) < 4
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local", "-e", "compare"]
    code, output = finish(store.start(*command, "-P", f"resume={killed.info.run_id}"))
    assert code == 0, output
    resumed = parent(store)
    assert (resumed.info.run_id, resumed.info.status) == (killed.info.run_id, "FINISHED")
    found = nested(store, resumed)
    assert kept < {run.info.run_id for run in found}
    assert {run.info.status for run in found} <= {"FINISHED", "KILLED"}
    [note] = [run for run in found if run.info.run_name == "resumed"]
    assert resumed.info.run_id in note.data.tags["mlflow.note.content"]
    (tmp_path / "whole").mkdir()
    other = Store(tmp_path / "whole", empty_store)
    code, output = finish(compare(other, *SMALL, "--seeds", "2", "--register", "no"))
    assert code == 0, output
    whole = parent(other)
    for name in ("spreads.json", "differences.json", "agreement.json", "disagreements.json"):
        assert rows(store, resumed, name) == rows(other, whole, name), name
    assert report(store, resumed) == report(other, whole)
    assert resumed.data.tags["mlflow.note.content"] == whole.data.tags["mlflow.note.content"]


def test_a_dead_worker_costs_its_replicate_only_and_an_ensemble_is_the_mean_of_its_members(store):
    data = store.folder / "sites.csv"
    write_sites(data, seed=0)
    arguments = ["--dataset", str(data), "--archs", "baseline", "--seeds", "3", "--register", "ensemble"]
    process = compare(store, *arguments, "--workers", "1", "--epochs", "800")
    wait_until(lambda: any(run.info.status == "FINISHED" for run in store.runs()), process)
    os.kill(worker_of(process.pid), signal.SIGKILL)
    code, output = finish(process)
    assert code == 0, output
    assert "1 replicate was lost" in output
    assert "killed by signal 9 (SIGKILL)" in output
    run = parent(store)
    children = [child for child in nested(store, run) if child.data.tags["tfbs.kind"] == "replicate"]
    [lost] = [child for child in children if child.info.status == "FAILED"]
    assert "killed by signal 9" in lost.data.tags["mlflow.note.content"]
    assert sum(child.info.status == "FINISHED" for child in children) == 2
    assert f"resume={run.info.run_id}" in output
    write_sites(data, seed=1)
    code, output = finish(compare(store, "--resume", run.info.run_id))
    assert code == 1
    assert "resume: expected the data with split digest " in output
    write_sites(data, seed=0)
    code, output = finish(compare(store, "--resume", run.info.run_id))
    assert code == 0, output
    assert "lost" not in output
    assert len(rows(store, run, "replicates.json")) == 3
    assert "baseline-ensemble (3 members): registered as version 2 of tfbs." in output
    children = [child for child in nested(store, run) if child.info.status == "FINISHED"]
    members = [predictions(store, child) for child in children if child.data.tags["tfbs.kind"] == "replicate"]
    ensemble = [child for child in children if child.data.tags["tfbs.kind"] == "ensemble"][-1]
    mean = np.mean([member["logit"] for member in members], axis=0)
    assert len(members) == 3
    assert np.allclose(predictions(store, ensemble)["logit"], mean, atol=1e-5)
    assert ensemble.data.params["arch"] == "baseline-ensemble"


def test_an_interrupted_comparison_says_how_to_go_on(store):
    process = compare(store, *SMALL, "--archs", "baseline", "--seeds", "2", "--epochs", "100000")
    wait_until(lambda: [run for run in store.runs() if "n_train" in run.data.params], process)
    process.send_signal(signal.SIGINT)
    code, output = finish(process)
    run = parent(store)
    assert code == 130
    assert f"Train what is missing with -e compare -P resume={run.info.run_id}." in output
    assert run.info.status == "KILLED"


def test_splits_and_finished_runs_are_compared_and_other_test_sequences_refused(store):
    arguments = ["--seeds", "1", "--split_seeds", "1,2", "--register", "no"]
    code, output = finish(compare(store, *SMALL, *arguments))
    assert code == 0, output
    assert "2 splits" in output
    children = {run.info.run_name: run for run in nested(store, parent(store))}
    first, second, other = (
        children[name] for name in ("baseline-s0-split1", "modified-s0-split1", "modified-s0-split2")
    )
    code, output = finish(compare(store, "--runs", f"{first.info.run_id},{second.info.run_id}"))
    assert code == 0, output
    run = next(run for run in store.runs() if run.info.run_name == "compare-2-runs")
    assert nested(store, run) == []
    logits = [predictions(store, each) for each in (first, second)]
    difference = next(row for row in rows(store, run, "differences.json") if row["metric"] == "brier")
    briers = [np.mean((expit(values["logit"]) - values["label"]) ** 2) for values in logits]
    assert difference["value"] == pytest.approx(briers[1] - briers[0])
    assert store.client.search_registered_models() == []
    code, output = finish(compare(store, "--runs", f"{first.info.run_id},{other.info.run_id}"))
    assert code == 1
    for each in (first, other):
        assert each.info.run_id in output
        assert each.data.tags["tfbs.test_digest"][:16] in output


def predictions(store, run):
    import pandas as pd

    found = pd.DataFrame(rows(store, run, "predictions.json"))
    return found[found.split == "test"]


def test_folds_and_ensembles(store, monkeypatch):
    """Each fold once the test part; the average of the networks of all folds becomes a version."""
    arguments = ["--archs", "baseline", "--seeds", "1", "--folds", "3", "--register", "ensemble"]
    code, output = finish(compare(store, *SMALL, *arguments))
    assert code == 0, output
    run = parent(store)
    children = nested(store, run)
    folds = [child for child in children if child.data.tags["tfbs.kind"] == "replicate"]
    tested = [name for child in folds for name in predictions(store, child)["id"]]
    assert len(tested) == len(set(tested)) == 300
    [ensemble] = [child for child in children if child.data.tags["tfbs.kind"] == "ensemble"]
    version = store.client.get_model_version_by_alias("tfbs", "champion")
    assert version.run_id == ensemble.info.run_id
    assert version.tags["members"] == "3"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    mlflow.set_tracking_uri(store.uri)
    try:
        model = mlflow.pyfunc.load_model("models:/tfbs@champion")
        found = model.predict(table(["ACGTN" * 10, "AAAGAGGAAGTT" + "ACGTACGTACGTACGTACG" * 2]))
        assert (found["probability_sd"] > 0).all()
        assert found["probability"].between(0, 1).all()
    finally:
        mlflow.set_tracking_uri(None)


def write_sites(path, seed):
    from tfbs.sequences import decode
    from tfbs.simulation import Simulation, simulate

    codes, labels, _ = simulate(Simulation(n_positives=150, n_negatives=150, data_seed=seed))
    lines = [f"{sequence},{label}" for sequence, label in zip(decode(codes), labels, strict=True)]
    path.write_text("\n".join(["sequence,label", *lines]) + "\n")


def test_a_recipe_that_diverges_everywhere_fails_in_one_sentence(store):
    code, output = finish(compare(store, *SMALL, "--seeds", "1", "--lr", "1e30", "--optimizer", "sgd"))
    assert code == 1
    assert "Error: Expected replicates, received none that finished; the first says: baseline-s0-split42: " in output
    assert "Traceback" not in output
    assert parent(store).info.status == "FAILED"


@pytest.mark.slow
@pytest.mark.data
def test_the_published_comparison_comes_out_right(store, published_files):
    """On probabilities `modified`, where it trains, is at least as good as `baseline`; how often not is told."""
    code, output = finish(compare(store, "--dataset", "packt"))
    assert code == 0, output
    run = parent(store)
    trained = {}
    for row in rows(store, run, "replicates.json"):
        trained.setdefault(row["architecture"], []).append(row["trained"])
    assert trained["baseline"] == [True] * 5
    assert sorted(trained["modified"]) == [False, True, True, True, True]
    assert "modified: 1 of 5 collapsed to a constant (share 0.20, 95 % interval 0.04 to 0.62)" in output
    differences = {row["metric"]: row for row in rows(store, run, "differences.json")}
    assert differences["auroc"]["value"] > 0.001
    assert differences["auroc"]["lo"] > -0.002
    assert differences["brier"]["value"] < 0
    assert differences["auroc"]["verdict"] in ("better", "cannot tell")
    assert "modified is" in output and "worse" not in output


def wait_until(condition, process, seconds=200):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.2)


def worker_of(pid):
    """The worker process among the children of a process."""
    command = ["ps", "-ww", "-o", "pid=,args=", "--ppid", str(pid)]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return next(int(line.split()[0]) for line in listed.splitlines() if "tfbs.pool" in line)
