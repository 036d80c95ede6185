"""Interpreting a network as users start it: from a run or a version to named motifs, and what is refused."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from test_job import ROOT, Store, finish

from tfbs import jaspar
from tfbs.errors import ParameterError
from tfbs.interpretation import Request


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_store):
    """A store with one trained network, which is champion."""
    made = Store(tmp_path_factory.mktemp("interpret"), empty_store)
    code, output = finish(made.train())
    assert code == 0, output
    return made


def interpret(store, *arguments):
    return finish(store.start(sys.executable, "-m", "experiments.interpret", *arguments))


def test_mlflow_run_finds_and_names_the_planted_motif(store, tmp_path):
    command = [
        "mlflow",
        "run",
        str(ROOT),
        "--env-manager",
        "local",
        "-e",
        "interpret",
        "-P",
        "model=models:/tfbs@champion",
    ]
    code, output = finish(store.start(*command))
    assert code == 0, output
    run = store.runs()[-1]
    assert run.info.status == "FINISHED" and run.data.tags["tfbs.kind"] == "interpretation"
    assert run.data.tags["tfbs.network_run"] == store.client.get_model_version_by_alias("tfbs", "champion").run_id
    assert "AAAGAGGAAGTT" in output and "SPI" in output
    assert run.data.metrics["motifs/count"] >= 1 and run.data.metrics["motifs/ism_rank_correlation"] > 0.5
    folder = store.client.download_artifacts(run.info.run_id, "", str(tmp_path))
    rows = json.loads((tmp_path / "motifs.json").read_text())
    letters = rows["data"][0][rows["columns"].index("letters")]
    assert letters == "AAAGAGGAAGTT"
    page = (tmp_path / "motifs.html").read_text()
    assert "SPI" in page and "<input" in page and "http://" not in page.replace("http://www.w3.org", "")
    assert (tmp_path / "plots" / "first_look.png").stat().st_size > 20_000 and folder
    assert jaspar.read_meme(tmp_path / "motifs.meme").motifs[0].ppm.shape == (12, 4)
    lines = (tmp_path / "seqlets.bed").read_text().splitlines()
    assert len(lines) == len((tmp_path / "seqlets.tsv").read_text().splitlines()) - 1
    spans = np.array([line.split("\t")[1:3] for line in lines], int)
    assert (spans[:, 1] > spans[:, 0]).all()


def test_what_cannot_be_interpreted_is_refused_in_one_sentence(store):
    code, output = interpret(store, "--run_id", "0" * 32)
    assert code == 1 and "Traceback" not in output and "expected a run id" in output.lower()
    code, output = interpret(store, "--model", "models:/tfbs@champion", "--motifs", "vertebrate")
    assert code == 1 and 'did you mean "vertebrates"' in output and "Traceback" not in output
    assert store.runs()[-1].info.status == "FAILED"


@pytest.mark.parametrize("given", [{}, {"run_id": "a", "model": "models:/tfbs/1"}])
def test_a_network_is_named_once(given):
    with pytest.raises(ParameterError, match="Expected either run_id=<id of a run> or model="):
        Request(**given)
