"""The served model: in Python, and behind the real scoring server, which must run without this package."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tfbs import architectures, attribution, sequences

mlflow = pytest.importorskip("mlflow")
requests = pytest.importorskip("requests")

LENGTH = 50
READY_SECONDS = 180
MEMORY_LIMIT = 1.5e9
PICKLE = b"\x80"
RNG = np.random.default_rng(7)
CODES = RNG.integers(0, 5, (5000, LENGTH)).astype(np.uint8)
DNA = sequences.decode(CODES)
GOOD = "ACGT" * 12 + "AC"
REFERENCES = sequences.one_hot(RNG.integers(0, 4, (20, LENGTH)))


def network_of(seed: int):
    """A seeded, untrained baseline network."""
    import keras

    keras.utils.set_random_seed(seed)
    return architectures.build("baseline", LENGTH)


def save(members, folder: Path) -> Path:
    """Log networks the way the registry logs them, and return the folder of the model."""
    from tfbs import candidate, serving

    artifacts = {"logit_model": str(folder / "logit_model.keras"), "explainer": str(folder / "explainer")}
    candidate.stack(members).save(artifacts["logit_model"])
    attribution.export_explainer(members, REFERENCES, artifacts["explainer"])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MLFLOW_TRACKING_URI", "restored afterwards")
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        experiment = mlflow.create_experiment("serving", artifact_location=(folder / "store").as_uri())
        with mlflow.start_run(experiment_id=experiment):
            info = mlflow.pyfunc.log_model(
                name="model",
                python_model=serving.__file__,
                artifacts=artifacts,
                signature=serving.signature(),
                input_example=serving.input_example(LENGTH),
                pip_requirements=["mlflow", "tensorflow", "keras", "numpy", "pandas"],
            )
        path = Path(mlflow.artifacts.download_artifacts(info.model_uri))
        mlflow.set_tracking_uri(None)
    return path


@pytest.fixture(scope="module")
def logged(tmp_path_factory):
    network = network_of(3)
    logit_model = architectures.logit_model(network)
    path = save((logit_model,), tmp_path_factory.mktemp("serving"))
    return SimpleNamespace(network=network, logit_model=logit_model, path=path)


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    members = tuple(architectures.logit_model(network_of(seed)) for seed in (3, 4, 5))
    path = save(members, tmp_path_factory.mktemp("ensemble"))
    return SimpleNamespace(members=members, path=path, model=mlflow.pyfunc.load_model(str(path)))


@pytest.fixture(scope="module")
def model(logged):
    return mlflow.pyfunc.load_model(str(logged.path))


def table(*values) -> pd.DataFrame:
    return pd.DataFrame({"sequence": list(values)}, dtype=object)


def logit(probability: np.ndarray) -> np.ndarray:
    return np.log(probability) - np.log1p(-probability)


def reference(network, codes: np.ndarray) -> np.ndarray:
    """Probabilities of the published network itself, before its head was made linear."""
    return network.predict(sequences.one_hot(codes), verbose=0)[:, 0].astype(np.float64)


def test_probability_is_the_networks_over_several_chunks(logged, model):
    answer = model.predict(table(*DNA))
    assert list(answer.columns) == ["probability", "logit"]
    np.testing.assert_allclose(answer.probability, reference(logged.network, CODES), atol=2e-6)
    np.testing.assert_allclose(answer.logit, logit(answer.probability.to_numpy()), atol=1e-9)


def test_strand_average_is_the_mean_logit_of_both_strands(logged, model):
    codes = CODES[:40]
    both = [reference(logged.network, c) for c in (codes, sequences.reverse_complement(codes))]
    answer = model.predict(table(*DNA[:40]), params={"strand_average": True})
    np.testing.assert_allclose(answer.logit, np.mean([logit(p) for p in both], axis=0), atol=2e-5)
    assert np.ptp(both, axis=0).max() > 1e-2
    flipped = model.predict(
        table(*sequences.decode(sequences.reverse_complement(codes))), params={"strand_average": True}
    )
    np.testing.assert_allclose(flipped.logit, answer.logit, atol=1e-6)


def explained(network, codes: np.ndarray) -> np.ndarray:
    """DeepSHAP contributions, computed outside the served model."""
    return attribution.deep_shap(network, sequences.one_hot(codes), REFERENCES).contributions


def contributions(answer: pd.DataFrame) -> np.ndarray:
    return np.array(answer.contributions.tolist())


def test_contributions_are_deep_shap_over_several_chunks(logged, model):
    answer = model.predict(table(*DNA[:600]), params={"explain": True})
    assert isinstance(answer.contributions[0], list) and isinstance(answer.contributions[0][0], float)
    np.testing.assert_allclose(contributions(answer), explained(logged.logit_model, CODES[:600]), atol=2e-6)
    np.testing.assert_array_equal(answer.logit, model.predict(table(*DNA[:600])).logit)


def test_contributions_sum_to_the_logit_minus_the_mean_logit_of_the_references(logged, model):
    expected = logit(logged.network.predict(REFERENCES, verbose=0).astype(np.float64)).mean()
    answer = model.predict(table(*DNA[:50]), params={"explain": True})
    np.testing.assert_allclose(contributions(answer).sum(1), answer.logit - expected, atol=1e-4)
    assert np.ptp(answer.logit) > 0.1


def test_strand_averaged_contributions_are_flipped_back(logged, model):
    codes = CODES[:9]
    answer = model.predict(table(*DNA[:9]), params={"explain": True, "strand_average": True})
    strands = [explained(logged.logit_model, c) for c in (codes, sequences.reverse_complement(codes))]
    np.testing.assert_allclose(contributions(answer), (strands[0] + strands[1][:, ::-1]) / 2, atol=2e-6)


def test_lower_case_reads_as_upper_case_and_the_index_is_kept(model):
    mixed = pd.DataFrame({"sequence": [GOOD, GOOD.lower()], "note": [1, 2]}, index=[7, 7])
    answer = model.predict(mixed)
    assert list(answer.index) == [7, 7]
    assert answer.logit.iloc[0] == answer.logit.iloc[1]


@pytest.mark.parametrize(
    "data",
    [pd.Series([GOOD], name="sequence"), [{"sequence": GOOD}], {"sequence": GOOD}],
    ids=["series", "records", "dict"],
)
def test_other_python_inputs(model, data):
    pd.testing.assert_frame_equal(model.predict(data), model.predict(table(GOOD)))


@pytest.mark.parametrize("data", [GOOD, [GOOD], pd.Series([GOOD]), np.array([GOOD])], ids=["str", "list", "s", "array"])
def test_the_model_itself_takes_bare_sequences(model, data):
    pd.testing.assert_frame_equal(model.unwrap_python_model().predict(None, data), model.predict(table(GOOD)))


def test_threads_get_the_answers_of_their_own_requests(logged):
    fresh = mlflow.pyfunc.load_model(str(logged.path))
    parts = [slice(i, i + 7) for i in range(0, 112, 7)]
    with ThreadPoolExecutor(8) as pool:
        answers = pd.concat(pool.map(lambda part: fresh.predict(table(*DNA[part]), params={"explain": True}), parts))
    np.testing.assert_allclose(answers.probability, reference(logged.network, CODES[:112]), atol=2e-6)
    np.testing.assert_allclose(contributions(answers), explained(logged.logit_model, CODES[:112]), atol=2e-6)


@pytest.mark.parametrize(("bias", "probability"), [(-800, 0.0), (800, 1.0)])
def test_extreme_logits_do_not_overflow(logged, tmp_path, bias, probability):
    from tfbs import serving

    extreme = architectures.logit_model(logged.network)
    extreme.layers[-1].bias.assign([bias])
    extreme.save(tmp_path / "extreme.keras")
    model = serving.SequenceModel()
    model.load_context(SimpleNamespace(artifacts={"logit_model": tmp_path / "extreme.keras", "explainer": "unused"}))
    with np.errstate(over="raise", invalid="raise"):
        assert model.predict(None, [GOOD]).probability[0] == probability


def test_the_model_travels_without_the_package_and_without_pickle(logged):
    sources = list(logged.path.rglob("*.py"))
    assert [source.name for source in sources] == ["serving.py"]
    imports = [line for line in sources[0].read_text().splitlines() if line.strip().startswith(("import ", "from "))]
    roots = {line.split()[1].split(".")[0] for line in imports}
    assert roots <= {
        "__future__",
        "threading",
        "collections",
        "typing",
        "mlflow",
        "numpy",
        "pandas",
        "keras",
        "tensorflow",
    }
    for path in (p for p in logged.path.rglob("*") if p.is_file()):
        assert path.suffix not in (".pkl", ".pickle", ".joblib")
        assert not path.read_bytes().startswith(PICKLE)


def test_the_signature_names_inputs_outputs_and_parameters(model):
    signature = model.metadata.signature
    assert signature.inputs.input_names() == ["sequence"]
    assert signature.outputs.input_names() == ["probability", "logit", "probability_sd", "contributions"]
    assert signature.outputs.required_input_names() == ["probability", "logit"]
    assert {param.name: param.default for param in signature.params} == {"strand_average": False, "explain": False}


def member_logits(ensemble, codes: np.ndarray) -> np.ndarray:
    """(K, n), from the members themselves."""
    x = sequences.one_hot(codes)
    return np.stack([np.asarray(member(x))[:, 0] for member in ensemble.members]).astype(np.float64)


def logistic(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_an_ensemble_answers_with_the_mean_logit_and_the_spread_of_its_members(ensemble):
    answer = ensemble.model.predict(table(*DNA[:40]))
    logits = member_logits(ensemble, CODES[:40])
    assert list(answer.columns) == ["probability", "logit", "probability_sd"]
    np.testing.assert_allclose(answer.logit, logits.mean(0), atol=1e-6)
    np.testing.assert_allclose(answer.probability, logistic(logits.mean(0)), atol=1e-6)
    np.testing.assert_allclose(answer.probability_sd, logistic(logits).std(0, ddof=1), atol=1e-6)
    assert answer.probability_sd.min() > 1e-4


def test_an_ensemble_averages_each_members_strands_first(ensemble):
    codes = CODES[:40]
    strands = [member_logits(ensemble, c) for c in (codes, sequences.reverse_complement(codes))]
    members = np.mean(strands, axis=0)
    answer = ensemble.model.predict(table(*DNA[:40]), params={"strand_average": True})
    np.testing.assert_allclose(answer.logit, members.mean(0), atol=1e-6)
    np.testing.assert_allclose(answer.probability_sd, logistic(members).std(0, ddof=1), atol=1e-6)
    assert np.abs(strands[0] - strands[1]).max() > 1e-2


@pytest.mark.parametrize("strand_average", [False, True])
def test_the_contributions_of_an_ensemble_are_the_means_of_its_members(ensemble, strand_average):
    codes = CODES[:20]
    expected = np.mean([explained(member, codes) for member in ensemble.members], axis=0)
    if strand_average:
        flipped = sequences.reverse_complement(codes)
        reverse = np.mean([explained(member, flipped) for member in ensemble.members], axis=0)
        expected = (expected + reverse[:, ::-1]) / 2
    params = {"explain": True, "strand_average": strand_average}
    answer = ensemble.model.predict(table(*DNA[:20]), params=params)
    np.testing.assert_allclose(contributions(answer), expected, atol=2e-6)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The scoring server in a folder of its own, where importing this package would end in an error."""

    def __init__(self, model_path: Path, folder: Path):
        trap = folder / "trap" / "tfbs"
        trap.mkdir(parents=True)
        (trap / "__init__.py").write_text("raise ImportError('the served model imported tfbs')\n")
        self.url = f"http://127.0.0.1:{free_port()}"
        self.log = folder / "server.log"
        command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", str(model_path), "--env-manager", "local"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
        scripts = Path(sys.executable).parent
        environment |= {
            "PYTHONPATH": str(trap.parent),
            "PATH": f"{scripts}{os.pathsep}{environment.get('PATH', '')}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/server.db",
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--port", self.url.rsplit(":", 1)[1]],
                cwd=folder,
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if requests.get(f"{self.url}/ping", timeout=5).status_code == 200:
                    return
            except requests.ConnectionError:
                time.sleep(0.2)
        pytest.fail(f"The server did not answer within {READY_SECONDS} s:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        for stop in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, stop)
                self.process.wait(10)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                continue

    def post(self, body, content_type: str = "application/json") -> requests.Response:
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        return requests.post(f"{self.url}/invocations", data, headers={"Content-Type": content_type}, timeout=120)

    def peak_memory(self) -> int:
        """Sum of the highest resident memory of the server's processes, bytes (an upper bound of the peak)."""
        total = 0
        for process in Path("/proc").glob("[0-9]*"):
            try:
                group = int((process / "stat").read_text().rsplit(")", 1)[1].split()[2])
                status = (process / "status").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if group == self.process.pid and "VmHWM:" in status:
                total += int(status.split("VmHWM:")[1].split()[0]) * 1024
        return total


@pytest.fixture(scope="module")
def server(logged, tmp_path_factory):
    served = Server(logged.path, tmp_path_factory.mktemp("server"))
    try:
        served.wait()
        yield served
    finally:
        served.stop()


def records(*values, **more) -> dict:
    return {"dataframe_records": [{"sequence": value, **more} for value in values]}


def split(*values, column: str = "sequence") -> dict:
    return {"dataframe_split": {"columns": [column], "data": [[value] for value in values]}}


GOOD_REQUESTS = {
    "records": records(GOOD, GOOD.lower()),
    "extra column": records(GOOD, GOOD, id=5),
    "split": split(GOOD, GOOD),
    "inputs": {"inputs": {"sequence": [GOOD, GOOD]}},
    "inputs, bare": {"inputs": [GOOD, GOOD]},
    "instances": {"instances": [{"sequence": GOOD}, {"sequence": GOOD}]},
    "misspelt parameter, which MLflow drops": records(GOOD, GOOD) | {"params": {"explian": True}},
    "parameter without value": records(GOOD, GOOD) | {"params": {"explain": None}},
}


@pytest.mark.parametrize("name", GOOD_REQUESTS)
def test_good_requests_over_http(server, model, name):
    reply = server.post(GOOD_REQUESTS[name])
    assert reply.status_code == 200, reply.text
    expected = model.predict(table(GOOD, GOOD)).to_dict("records")
    assert reply.json() == {"predictions": [pytest.approx(row, abs=1e-6) for row in expected]}


def test_csv_over_http(server, model):
    reply = server.post(f"sequence\n{GOOD}\n", "text/csv")
    assert reply.json()["predictions"][0]["logit"] == pytest.approx(model.predict(table(GOOD)).logit[0], abs=1e-6)


def test_parameters_over_http(server, model):
    params = {"strand_average": True, "explain": True}
    reply = server.post(split(DNA[0]) | {"params": params})
    expected = model.predict(table(DNA[0]), params=params).iloc[0]
    (row,) = reply.json()["predictions"]
    assert row["probability"] == pytest.approx(expected.probability, abs=1e-6)
    assert row["contributions"] == pytest.approx(expected.contributions, abs=2e-6)


def test_an_ensemble_over_http(ensemble, tmp_path):
    served = Server(ensemble.path, tmp_path)
    try:
        served.wait()
        params = {"strand_average": True, "explain": True}
        (row,) = served.post(split(DNA[0]) | {"params": params}).json()["predictions"]
    finally:
        served.stop()
    expected = ensemble.model.predict(table(DNA[0]), params=params).iloc[0]
    assert row.keys() == {"probability", "logit", "probability_sd", "contributions"}
    for name in ("probability", "logit", "probability_sd"):
        assert row[name] == pytest.approx(expected[name], abs=1e-6)
    assert row["contributions"] == pytest.approx(expected.contributions, abs=2e-6)


ROW = "Row {} (counting from 1): expected a DNA sequence of 50 bp, received {}."
LETTER = (
    "Row {} (counting from 1): expected the letters A, C, G, T or N, "
    'received "{}" at position {}: correct or remove this row.'
)
EMPTY = "an empty string: fill or remove this row"
NULL = "no value (null): fill or remove this row"
TYPE = "a value of type {}: send the sequence as a string"
OTHER_LENGTH = "{} bp: trim the sequence, or pad it with N, to the length this model takes"
NO_COLUMN = (
    'Expected a table with a column "sequence", received no such column, or no rows: send for example '
    '{"dataframe_records": [{"sequence": "ACGT"}]}, or pd.DataFrame({"sequence": ["ACGT"]}) in Python.'
)
NO_ROWS = "Expected at least one row, received none: send one row per sequence."
BAD_REQUESTS = {
    "empty string": (records(GOOD, ""), ROW.format(2, EMPTY)),
    "null": (records(GOOD, None), ROW.format(2, NULL)),
    "only nulls": (split(None, None), ROW.format(1, NULL)),
    "whole number": (records(5), ROW.format(1, TYPE.format("int"))),
    "number among strings": (split(GOOD, 5.5), ROW.format(2, TYPE.format("float"))),
    "truth value": (records(True), ROW.format(1, TYPE.format("bool"))),
    "list in a row": (records([GOOD, GOOD]), ROW.format(1, TYPE.format("list"))),
    "object in a row": (records(GOOD, GOOD, {"a": 1}), ROW.format(3, TYPE.format("dict"))),
    "too short": (records(GOOD, GOOD[:-1]), ROW.format(2, OTHER_LENGTH.format(49))),
    "too long": (split(GOOD + "A"), ROW.format(1, OTHER_LENGTH.format(51))),
    "wrong letter": (records(GOOD, GOOD, GOOD[:10] + "X" + GOOD[11:]), LETTER.format(3, "X", 11)),
    "letter outside ASCII": (records("é" + GOOD[1:]), LETTER.format(1, "é", 1)),
    "blank": (split(" " + GOOD[1:]), LETTER.format(1, " ", 1)),
    "another column": (split(GOOD, column="seq"), NO_COLUMN),
    "no column name": ({"dataframe_split": {"data": [[GOOD]]}}, NO_COLUMN),
    "no records": (records(), NO_COLUMN),
    "no rows": (split(), NO_ROWS),
    "no inputs": ({"inputs": []}, NO_ROWS),
}


@pytest.mark.parametrize("name", BAD_REQUESTS)
def test_bad_requests_get_one_sentence(server, name):
    body, sentence = BAD_REQUESTS[name]
    reply = server.post(body)
    assert (reply.status_code, reply.json()["message"]) == (400, sentence)
    assert "stack_trace" not in reply.json() and "Traceback" not in reply.text


@pytest.mark.parametrize(
    "body",
    ["{not json", "[1]", {}, {"dataframe_records": {"sequence": GOOD}}, records(GOOD) | {"params": {"explain": "yes"}}],
    ids=["malformed", "list", "empty", "not a list", "parameter of another type"],
)
def test_what_mlflow_refuses_itself_is_400_without_a_stack_trace(server, body):
    reply = server.post(body)
    assert reply.status_code == 400
    assert "stack_trace" not in reply.json() and "Traceback" not in reply.text


@pytest.mark.parametrize("name", ["null", "list in a row", "wrong letter"])
def test_bad_rows_raise_the_same_sentence_in_python(model, name):
    body, sentence = BAD_REQUESTS[name]
    with pytest.raises(mlflow.MlflowException) as error:
        model.predict(pd.DataFrame(body["dataframe_records"]))
    assert str(error.value) == sentence


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_hundred_thousand_sequences_in_one_request(server):
    codes = np.random.default_rng(1).integers(0, 4, (100_000, LENGTH)).astype(np.uint8)
    reply = server.post(split(*sequences.decode(codes)))
    assert reply.status_code == 200
    assert len(reply.json()["predictions"]) == 100_000
    assert 0 < server.peak_memory() < MEMORY_LIMIT
