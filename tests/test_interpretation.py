"""Interpreting a network as users start it: from a run or a version to named motifs, and what is refused."""

from __future__ import annotations

import json
import sys

import mlflow
import numpy as np
import pytest
from test_job import ROOT, Store, finish

from experiments.interpret import work
from tfbs import interpretation, jaspar, sequences, training
from tfbs.errors import DataError, ParameterError
from tfbs.interpretation import Request


@pytest.fixture(scope="module")
def store(tmp_path_factory, empty_store):
    """A store with one trained network, which is champion."""
    made = Store(tmp_path_factory.mktemp("interpret"), empty_store)
    code, output = finish(made.train("--motifs", "none", "--n_explained", "20"))
    assert code == 0, output
    return made


@pytest.fixture
def here(store, monkeypatch):
    """Interpret in this process, with the store as the active one."""
    monkeypatch.setattr(training, "configure", lambda *_: 1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    monkeypatch.chdir(store.folder)
    mlflow.set_tracking_uri(store.uri)
    yield store
    mlflow.set_tracking_uri(None)


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
    figures = {"insertion", "spacing", "ablation", "mutagenesis", "randomisation", "filters"}
    assert figures < {path.stem for path in (tmp_path / "plots").iterdir()}
    effects = json.loads((tmp_path / "motif_effects.json").read_text())
    effect = dict(zip(effects["columns"], effects["data"][0], strict=True))
    assert effect["motif"] == rows["data"][0][rows["columns"].index("motif")]
    assert all(float(effect[name].split()[0]) > 2 for name in ("inserted", "lost when taken out"))
    assert abs(run.data.metrics["shap/left_when_randomised"]) < 0.3
    note = run.data.tags["mlflow.note.content"]
    assert f"![What the network reads](get-artifact?path=plots%2Ffirst_look.png&run_uuid={run.info.run_id})" in note
    assert "neutral sequences, pos_1 changes the logit by +" in note and "neutral sequences, pos_1" in output
    assert jaspar.read_meme(tmp_path / "motifs.meme").motifs[0].ppm.shape == (12, 4)
    lines = (tmp_path / "seqlets.bed").read_text().splitlines()
    assert len(lines) == len((tmp_path / "seqlets.tsv").read_text().splitlines()) - 1
    spans = np.array([line.split("\t")[1:3] for line in lines], int)
    assert (spans[:, 1] > spans[:, 0]).all()


def test_what_cannot_be_interpreted_is_refused_in_one_sentence(here):
    code, output = finish(here.start(sys.executable, "-m", "experiments.interpret", "--run_id", "0" * 32))
    assert code == 1 and "Traceback" not in output and "Error: Expected a run id" in output
    with pytest.raises(ParameterError, match='received "vertebrate"; did you mean "vertebrates"'):
        work(["--model", "models:/tfbs@champion", "--motifs", "vertebrate"])
    assert here.runs()[-1].info.status == "FAILED"


def test_sequences_of_ones_own_without_a_motif_are_told_in_words(here, capsys):
    """The data of the run need not be at hand: the references are shuffles of the sequences."""
    texts = sequences.decode(np.random.RandomState(5).randint(0, 4, (31, 60), dtype=np.uint8))
    (here.folder / "own.fa").write_text("".join(f">s{i}\n{text}\n" for i, text in enumerate(texts)))
    trained = here.client.get_model_version_by_alias("tfbs", "champion").run_id
    work(f"--run_id {trained} --sequences own.fa --n_explained 30 --n_references 3".split())
    run = here.runs()[-1]
    assert run.info.status == "FINISHED" and run.data.metrics["motifs/count"] == 0
    told = capsys.readouterr().out
    assert "Explained 30 sequences of own.fa.\nTF-MoDISco found no motif: nothing contributes alike often" in told
    names = {found.path for found in here.client.list_artifacts(run.info.run_id)}
    assert {"motifs.html", "motifs.meme", "seqlets.tsv"} <= names and "motif_effects.json" not in names
    plots = {found.path for found in here.client.list_artifacts(run.info.run_id, "plots")}
    drawn = ("first_look", "mutagenesis", "randomisation", "filters")
    assert plots == {f"plots/{name}.png" for name in drawn}


def test_data_that_changed_since_are_refused_in_one_sentence(here):
    """As if the sequences had been others when the network was trained."""
    trained = here.client.get_model_version_by_alias("tfbs", "champion").run_id
    digest = here.client.get_run(trained).data.tags["tfbs.data_digest"]
    here.client.set_tag(trained, "tfbs.data_digest", "0" * 64)
    with pytest.raises(DataError) as caught:
        interpretation.run(Request(run_id=trained))
    here.client.set_tag(trained, "tfbs.data_digest", digest)
    assert str(caught.value) == (
        f"simulated: expected the data that run {trained} (baseline-s0) logged (SHA-256 {'0' * 16}), received other "
        f"data ({digest[:16]}): restore the file, or say what to explain with sequences=<file>."
    )
    assert here.runs()[-1].info.status == "FAILED"


@pytest.mark.parametrize("given", [{}, {"run_id": "a", "model": "models:/tfbs/1"}])
def test_a_network_is_named_once(given):
    with pytest.raises(ParameterError, match="Expected either run_id=<id of a run> or model="):
        Request(**given)
