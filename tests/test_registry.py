import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tfbs import registry, tracking
from tfbs.errors import RegistryError, TrackingError

NAME = "model"
SOURCE = "mlflow-artifacts:/none"


@pytest.fixture
def client(tmp_path, empty_store):
    shutil.copy(empty_store, tmp_path / "store.db")
    uri = f"sqlite:///{tmp_path}/store.db"
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    client.create_registered_model(NAME)
    return client


def add(client, auprc=0.9, brier=0.1, data="d" * 64, split="s" * 64):
    tags = {
        "selection_score": auprc,
        "val_brier": brier,
        "data_digest": data,
        "split_digest": split,
        "arch": "baseline",
        "seed": 0,
    }
    tags = {key: str(value) for key, value in tags.items()}
    return int(client.create_model_version(NAME, SOURCE, tags=tags).version)


def champion(client, alias="champion"):
    return int(client.get_model_version_by_alias(NAME, alias).version)


def test_highest_score_wins_and_says_why(client):
    add(client, 0.90)
    best = add(client, 0.99, 0.02)
    newest = add(client, 0.95)
    standing = registry.crown(newest, NAME, client)
    assert standing.version == best == champion(client)
    assert standing.reason == (
        "baseline, seed 0: highest validation AUPRC (0.9900, Brier 0.0200) of 3 versions with data dddddddd and split "
        "ssssssss; next is version 3 (0.9500)"
    )
    assert client.get_model_version(NAME, "2").tags["reason"] == f"Champion: {standing.reason}."
    assert client.get_model_version(NAME, "3").description == f"Not champion; version 2 is: {standing.reason}."


def test_a_dethroned_champion_no_longer_claims_to_be_one(client):
    registry.crown(add(client, 0.90), NAME, client)
    registry.crown(add(client, 0.99), NAME, client)
    assert client.get_model_version(NAME, "1").tags["reason"].startswith("Not champion; version 2 is: ")
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
    assert "of 1 version with data eeeeeeee" in standing.reason
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
        'Expected a version of "model" with the tag selection_score, received none: train one with register=true.'
    )


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
def test_eight_concurrent_finishes_give_the_same_champion_in_any_order(client, seed):
    scores = np.random.RandomState(seed).permutation([0.90, 0.91, 0.92, 0.93, 0.94, 0.95, 0.96, 0.99])

    def finish(score):
        registry.crown(add(client, score), NAME, client)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(finish, scores))
    assert client.get_model_version_by_alias(NAME, "champion").tags["selection_score"] == "0.99"


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
