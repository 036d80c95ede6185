"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfbs.datasets import Dataset, Source, load
from tfbs.simulation import Simulation


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


@pytest.fixture(scope="session")
def simulated() -> Dataset:
    """The default data set: 2,000 simulated sequences of 50 bp."""
    return load(Source())


@pytest.fixture(scope="session")
def small() -> Dataset:
    """Sixty simulated sequences of 30 bp."""
    return load(Source(), Simulation(length=30, n_positives=30, n_negatives=30))
