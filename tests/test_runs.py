from __future__ import annotations

import json
import shutil
from dataclasses import astuple
from pathlib import Path

import mlflow
import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss, matthews_corrcoef

from tfbs import calibration, logbook, runs, thresholds, tracking
from tfbs.architectures import Recipe
from tfbs.datasets import Source
from tfbs.errors import DataError, ParameterError
from tfbs.settings import NONE, Job, Settings
from tfbs.simulation import Simulation
from tfbs.splits import random_split
from tfbs.splitting import Splitting


@pytest.fixture
def client(tmp_path, empty_store, monkeypatch):
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    client = tracking.client()
    client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
    yield client
    mlflow.set_tracking_uri(None)


def made(client, **tags):
    [experiment] = client.search_experiments(filter_string="name = 'e'")
    run = client.create_run(experiment.experiment_id, tags={f"tfbs.{key}": value for key, value in tags.items()})
    return tracking.Run(client, run.info.run_id, experiment.experiment_id)


def test_an_entrant_is_read_back_as_it_was_logged(client, simulated):
    split = random_split(simulated, Recipe())
    random = np.random.RandomState(0)
    validation, test = (4.0 * part.labels - 2 + random.randn(len(part)) for part in (split.validation, split.test))
    opened = made(client, arch="modified", verdict="trained")
    opened.params({"arch": "modified-tuned", "seed": 3, "split_seed": 42, "fold": 0, "n_weights": 7})
    logbook.log_parts(opened, split)
    estimates = logbook.log_results(opened, split, (validation, test), seed=3)
    opened.epochs({"loss": [0.5, 0.25], "val_loss": [0.6, 0.3]})
    opened.metrics({"time/training_s": 1.5, "shap/additivity_max": 1e-6})
    found = runs.entrant(runs.find(opened.run_id))
    assert (found.name, found.seed, found.part, found.learned) == ("modified-tuned", "3", ("42", "0"), True)
    assert found.test.ids == tuple(split.test.ids)
    assert np.allclose(found.test.logits, test, rtol=0, atol=1e-10)
    assert np.allclose(found.validation.logits, validation, rtol=0, atol=1e-10)
    assert np.array_equal(found.test.labels, split.test.labels)
    for name, estimate in estimates.items():
        assert astuple(found.metrics[name]) == pytest.approx(astuple(estimate), abs=1e-9)
    assert found.history["loss"] == [0.5, 0.25]
    assert found.history["val_auprc"] == []
    assert (found.n_weights, found.n_train, found.seconds, found.additivity) == (7, 1350, 1.5, 1e-6)
    assert found.test_digest == split.test.digest
    assert found.explanations is None


def test_a_run_tells_its_threshold_and_its_calibration_before_and_after(client, simulated, tmp_path):
    split = random_split(simulated, Recipe())
    random = np.random.RandomState(1)
    validation, test = (4.0 * part.labels + random.randn(len(part)) for part in (split.validation, split.test))
    opened = made(client)
    estimates = logbook.log_results(opened, split, (validation, test), seed=3)
    logged = client.get_run(opened.run_id).data.metrics
    threshold = thresholds.choose(split.validation.labels, validation)
    assert logged["val/mcc_threshold"] == pytest.approx(threshold)
    assert logged["test/mcc"] == pytest.approx(matthews_corrcoef(split.test.labels, test >= threshold))
    assert logged["test/auprc_no_skill"] == pytest.approx(split.test.labels.mean())
    assert {"test/precision_at_n_positives", "test/precision_at_100"} <= logged.keys()
    table = json.loads(Path(client.download_artifacts(opened.run_id, "calibration.json", str(tmp_path))).read_text())
    assert table["columns"] == ["calibration", "metric", "value", "lo", "hi", "n"]
    values = {(row[0], row[1]): row[2] for row in table["data"]}
    assert values["none", "ece"] == pytest.approx(estimates["ece"].value)
    for method in calibration.METHODS:
        mapped = expit(calibration.fit(split.validation.labels, validation, method)(test))
        assert values[method, "log_loss"] == pytest.approx(log_loss(split.test.labels, mapped))
        assert values[method, "brier"] == pytest.approx(np.mean((mapped - split.test.labels) ** 2))
    assert len(values) == 9


def test_a_run_without_predictions_is_no_entrant(client):
    opened = made(client)
    with pytest.raises(DataError, match=f"Run {opened.run_id} .*: expected the artifact predictions.json, received a"):
        runs.entrant(runs.find(opened.run_id))


@pytest.mark.parametrize("reference", ["0" * 32, "models:/none/1", "models:/none@champion", "not an id"])
def test_what_does_not_exist_is_named(client, reference):
    with pytest.raises(ParameterError) as caught:
        runs.find(reference)
    assert f'received "{reference}", which sqlite:///' in str(caught.value)
    assert "\n" not in str(caught.value)


def test_children_are_all_found_oldest_first(client):
    opened = made(client)
    for i in range(3):
        with opened.child(f"child {i}") as child:
            child.params({"i": i})
    made(client)
    assert [run.data.params["i"] for run in runs.children(opened.run_id)] == ["0", "1", "2"]


def test_a_configuration_is_taken_over_with_its_types(client):
    opened = made(client, arch="modified")
    opened.params({"arch": "a label", "lr": "5e-4", "epochs": 3, "loss": "bce", "seed": 9, "n_weights": 5})
    assert runs.configuration(opened.run_id) == ("modified", {"lr": 5e-4, "epochs": 3, "loss": "bce"})
    search = made(client, best_run=opened.run_id)
    assert runs.configuration(search.run_id) == ("modified", {"lr": 5e-4, "epochs": 3, "loss": "bce"})


def test_a_run_of_no_single_network_has_no_configuration(client):
    opened = made(client, arch="baseline-ensemble")
    with pytest.raises(ParameterError, match="expected a run that trained one network"):
        runs.configuration(opened.run_id)


JOBS = {
    "the default": Job(),
    "simulated": Job(
        Settings(
            "modified", 7, register=False, references="shuffles", n_references=3, motifs=NONE, deterministic=False
        ),
        simulation=Simulation(length=60, both_strands=True, mutation_rate=0.1, decoys=0.25),
        recipe={"lr": 2e-4, "epochs": 3, "val_size": 0.2, "split_seed": 5},
    ),
    "a table": Job(
        Settings("gapped", references="own.fa"),
        Source("peaks.csv", sequence_column="seq", group_column="chromosome", width=80),
        splitting=Splitting("chromosome", test_groups="chr1,chr2"),
    ),
    "peaks": Job(source=Source("peaks.bed", negatives="genomic", genome="hg.fa", negative_ratio=2, negative_seed=9)),
}


@pytest.mark.parametrize("name", JOBS)
def test_a_run_gives_back_the_job_that_it_logged(client, name):
    asked = JOBS[name]
    opened = made(client, arch=asked.settings.arch)
    opened.params(asked.params | {"threads": 1, "n_weights": 5, "n_train": 10, "of_another_version": "x"})
    found = runs.job(runs.find(opened.run_id))
    for part in ("settings", "source", "simulation", "splitting", "full_recipe"):
        assert getattr(found, part) == getattr(asked, part)
    assert found.params == asked.params


def test_a_job_bears_its_architecture_not_its_label_and_defaults_where_the_run_is_silent(client):
    replicate = made(client, arch="modified")
    replicate.params({"arch": "modified-tuned", "fold": 0, "seed": 4, "lr": "5e-4"})
    found = runs.job(runs.find(replicate.run_id))
    assert (found.settings, found.full_recipe.lr) == (Settings("modified", 4), 5e-4)
    ensemble = made(client, arch="baseline-ensemble")
    ensemble.params({"arch": "baseline-ensemble", "members": 3, "dataset": "packt"})
    assert runs.job(runs.find(ensemble.run_id)) == Job(source=Source("packt"))


def test_a_value_that_this_version_does_not_take_is_named(client):
    opened = made(client, arch="baseline")
    opened.params({"references": "zeros"})
    with pytest.raises(ParameterError, match=r"^references: expected .* or the path of a file"):
        runs.job(runs.find(opened.run_id))


def test_replicates_differ_in_the_seed_alone(client):
    tags = {"arch": "baseline", "split_digest": "a" * 64, "verdict": "trained"}

    def trained(seed: int, lr: float = 1e-3, **more: str) -> str:
        opened = made(client, **tags | more)
        opened.params({"seed": seed, "lr": lr, "epochs": 5})
        return opened.run_id

    asked = runs.find(trained(0))
    trained(0)
    others = [trained(seed) for seed in (1, 2)]
    trained(1)
    trained(3, lr=1e-2)
    trained(3, kind="trial")
    for name, value in (("arch", "modified"), ("split_digest", "b" * 64), ("verdict", "did not train")):
        trained(4, **{name: value})
    assert {run.info.run_id for run in runs.replicates(asked, 9)} == set(others)
    assert len(runs.replicates(asked, 1)) == 1
    assert runs.replicates(runs.find(made(client).run_id), 9) == []


def test_only_a_comparison_or_search_can_be_resumed(client):
    opened = made(client, arch="baseline")
    with pytest.raises(
        ParameterError, match=f"resume: expected the id of a comparison or search, received {opened.run_id}"
    ):
        runs.request(opened.run_id, "request.json")
    opened.text('{"a": 1}', "request.json")
    assert runs.request(opened.run_id, "request.json") == {"a": 1}


def test_nested_runs_end_as_they_should(client):
    opened = made(client)
    with opened.child("good", seconds=5):
        pass
    with opened.child("lost") as child:
        child.give_up("The worker died.")
    with pytest.raises(ZeroDivisionError), opened.child("broken"):
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), opened.child("stopped"):
        raise KeyboardInterrupt
    found = {run.info.run_name: run for run in runs.children(opened.run_id)}
    assert {name: run.info.status for name, run in found.items()} == {
        "good": "FINISHED",
        "lost": "FAILED",
        "broken": "FAILED",
        "stopped": "KILLED",
    }
    assert found["good"].info.end_time - found["good"].info.start_time >= 5000
    assert found["lost"].data.tags["mlflow.note.content"] == "**This run failed.** The worker died."
