"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tfbs.datasets import Dataset, Source, load
from tfbs.simulation import Simulation

LOCAL_COPY = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture
def published_files(monkeypatch) -> Path:
    """The folder of the published files: TFBS_DATA_DIR, or a copy beside the repository; skips if there is neither."""
    if not os.environ.get("TFBS_DATA_DIR"):
        if not LOCAL_COPY.is_dir():
            pytest.skip("needs the published files: set TFBS_DATA_DIR to the folder that holds packt/ and primer/")
        monkeypatch.setenv("TFBS_DATA_DIR", str(LOCAL_COPY))
    return Path(os.environ["TFBS_DATA_DIR"])


@pytest.fixture(scope="session")
def simulated() -> Dataset:
    """The default data set: 2,000 simulated sequences of 50 bp."""
    return load(Source())


@pytest.fixture(scope="session")
def small() -> Dataset:
    """Sixty simulated sequences of 30 bp."""
    return load(Source(), Simulation(length=30, n_positives=30, n_negatives=30))
