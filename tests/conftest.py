"""Fixtures that several test modules share."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tfbs.datasets import Dataset, Source, load
from tfbs.simulation import Simulation


def pytest_configure(config):
    """Take Ctrl-C in the processes of pytest-xdist too: they ignore it, and what the tests start would inherit that."""
    if hasattr(config, "workerinput"):
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Start with the file that takes longest, so that no process is left alone with it at the end."""
    items.sort(key=lambda item: item.path.name != "test_readme.py")


@pytest.fixture
def published_files() -> Path:
    """The folder of the published files; skips unless TFBS_DATA_DIR names one."""
    if not os.environ.get("TFBS_DATA_DIR"):
        pytest.skip("needs the published files: set TFBS_DATA_DIR to the folder that holds packt/ and primer/")
    return Path(os.environ["TFBS_DATA_DIR"])


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory) -> Path:
    """An SQLite tracking store without runs, to copy: making one takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    uri = f"sqlite:///{path}"
    MlflowClient(uri, uri).search_experiments()
    return path


@pytest.fixture
def local_store(tmp_path, empty_store, monkeypatch):
    """A client of a tracking store of its own, which is the active one, in a working folder of its own."""
    import mlflow

    uri = f"sqlite:///{tmp_path}/mlflow.db"
    (tmp_path / "mlflow.db").write_bytes(empty_store.read_bytes())
    monkeypatch.chdir(tmp_path)
    for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    mlflow.set_tracking_uri(uri)
    yield mlflow.MlflowClient(uri, uri)
    mlflow.set_tracking_uri(None)


@pytest.fixture(scope="session")
def candidate(simulated):
    """Make candidates of untrained baseline networks on the default data, one member a seed."""
    import keras
    import numpy as np

    from tfbs import architectures, attribution, splits, training
    from tfbs.candidate import Candidate

    split = splits.random_split(simulated, architectures.get("baseline").recipe)
    references = attribution.negative_references(split.train.codes, split.train.labels, 5, 0)
    origin = {"dataset": "simulated", "data_digest": split.data_digest, "split_digest": split.digest}

    def make(*seeds: int, **tags: str) -> Candidate:
        members = []
        for seed in seeds:
            keras.utils.set_random_seed(seed)
            members.append(architectures.logit_model(architectures.build("baseline", simulated.length)))
        logits = np.mean([training.predict_logits(member, split.validation.codes) for member in members], axis=0)
        tags = {"arch": "baseline", "seed": str(seeds[0]), **origin, **tags}
        return Candidate(tuple(members), references, split.validation, logits, 1e-6, tags)

    return make


@pytest.fixture(scope="session")
def simulated() -> Dataset:
    """The default data set: 2,000 simulated sequences of 50 bp."""
    return load(Source())


@pytest.fixture(scope="session")
def small() -> Dataset:
    """Sixty simulated sequences of 30 bp."""
    return load(Source(), Simulation(length=30, n_positives=30, n_negatives=30))
