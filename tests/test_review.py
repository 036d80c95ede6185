"""Reviews of real models in a real registry, as ``mlflow run . -e promote`` makes them."""

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

import keras
import mlflow
import numpy as np
import pytest

from experiments import promote
from tfbs import logbook, registry, tracking
from tfbs.errors import ParameterError, RegistryError

NAME = "reviewed"
TABLES = (
    "registered_models",
    "registered_model_tags",
    "registered_model_aliases",
    "model_versions",
    "model_version_tags",
)


@pytest.fixture
def register(local_store, candidate):
    """Register a candidate with the given tags on a run that holds its predictions."""

    def make(*seeds, part=None, held_out=False, **tags):
        made = candidate(*seeds, **tags)
        made = replace(made, held_out=made.logits) if held_out else made
        with tracking.run("train") as opened:
            logbook.log_predictions(opened, {"validation": (part or made.validation, made.logits)})
            return registry.register(made, NAME)

    return make


@pytest.fixture
def three(register):
    """Numbers of three registered versions, best first; none is crowned."""
    for seeds in ((0,), (1,), (0, 1)):
        register(*seeds)
    return [version.number for version in sorted(registry.versions(NAME), key=lambda version: version.rank)]


def dump():
    with sqlite3.connect("mlflow.db") as database:
        return {table: database.execute(f"SELECT * FROM {table} ORDER BY 1, 2, 3").fetchall() for table in TABLES}


def review(capsys, *arguments):
    promote.work(["--registered_model", NAME, *arguments])
    return capsys.readouterr().out


def logged(client):
    experiment = client.get_experiment_by_name("tfbs")
    [run] = client.search_runs([experiment.experiment_id], "attributes.run_name = 'promote-reviewed'", max_results=1)
    return run


def tamper(number):
    """Overwrite the weights in the artifacts of a version."""
    source = mlflow.MlflowClient().get_model_version(NAME, str(number)).source
    folder = mlflow.MlflowClient().get_logged_model(source.split("/")[-1]).artifact_location
    path = Path(folder.removeprefix("file://"), "artifacts", "logit_model.keras")
    network = keras.saving.load_model(path)
    network.set_weights([1.5 * weights for weights in network.get_weights()])
    network.save(path)


def test_the_decision_is_told_three_ways_and_applied(three, local_store, capsys):
    best, second, third = three
    output = review(capsys)
    assert registry.aliases(NAME)["champion"] == best
    assert registry.aliases(NAME)["challenger"] == second
    run = logged(local_store)
    note = run.data.tags["mlflow.note.content"]
    for told in (output, note):
        assert f"Version {best} becomes champion: baseline, " in told
        assert f"Challenger: version {second}, baseline, " in told
        assert re.search(
            rf"Version {best} was loaded again: its logits differ .* by \d\.\de[+-]\d\d of their spread\.", told
        )
        assert "There is no incumbent to compare it with." in told
    assert note.startswith("| version | network | place | validation AUPRC (95 % interval) | Brier | gates |\n|---|")
    assert run.info.status == "FINISHED"
    table = mlflow.artifacts.load_dict(f"runs:/{run.info.run_id}/versions.json")
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
    assert [(row["version"], row["place"]) for row in rows] == [
        (best, "champion"),
        (second, "challenger"),
        (third, "rank 3"),
    ]
    assert all(row["lo"] < row["score"] < row["hi"] and row["calibrated"].startswith("pass: ") for row in rows)


def test_training_and_reviewing_decide_alike(three, capsys):
    standing = registry.crown(three[-1], NAME)
    before = registry.aliases(NAME)
    assert f"Version {standing.version} stays champion: {standing.reason}." in review(capsys)
    assert registry.aliases(NAME) == before


def test_a_dry_run_leaves_the_registry_as_it_is(three, local_store, capsys):
    local_store.set_registered_model_alias(NAME, "champion", str(three[-1]))
    before = dump()
    output = review(capsys, "--dry_run", "true")
    assert f"Version {three[0]} would become champion" in output
    assert "Dry run: no alias and no tag was changed." in output
    assert dump() == before
    review(capsys)
    assert dump() != before


def test_a_model_with_other_weights_is_caught_and_the_next_one_is_champion(three, local_store, capsys):
    best, second, third = three
    registry.crown(best, NAME)
    tamper(best)
    before = dump()
    assert "so it is passed over." in review(capsys, "--dry_run", "true")
    assert dump() == before
    output = review(capsys)
    assert re.search(rf"Version {best} was loaded again: its logits differ .* spread, so it is passed over\.", output)
    assert f"Version {second} becomes champion" in output
    assert registry.aliases(NAME)["champion"] == second
    assert registry.aliases(NAME)["challenger"] == third
    tags = local_store.get_model_version(NAME, str(best)).tags
    assert float(tags["reproduction_error"]) > 0.01
    assert tags["reason"].startswith("Not eligible: reproduces: reloaded logits that differ by ")
    assert registry.crown(third, NAME).version == second


def test_a_version_is_back_once_its_files_are(three, capsys):
    best, second, _ = three
    source = mlflow.MlflowClient().get_model_version(NAME, str(best)).source
    folder = mlflow.MlflowClient().get_logged_model(source.split("/")[-1]).artifact_location
    folder = Path(folder.removeprefix("file://"))
    folder.rename(folder.with_name("away"))
    output = review(capsys)
    assert f"Version {best} cannot be checked and is passed over: Expected " in output
    assert registry.aliases(NAME)["champion"] == second
    folder.with_name("away").rename(folder)
    assert f"Version {best} becomes champion" in review(capsys)


def test_champion_and_incumbent_are_compared_on_the_validation_part(three, local_store, capsys):
    best, _, last = three
    local_store.set_registered_model_alias(NAME, "champion", str(last))
    output = review(capsys)
    found = re.search(
        rf"Against the incumbent, version {last}, its validation AUPRC differs by (\S+) \(95 % interval (\S+) to "
        r"(\S+), p = (\S+), n = 150, paired\); the test is reported and does not decide\.",
        output,
    )
    scores = {version.number: version.score for version in registry.versions(NAME)}
    value, lo, hi, p = map(float, found.groups())
    assert value == pytest.approx(scores[best] - scores[last], abs=6e-5)
    assert lo <= value <= hi and 0 <= p <= 1


def test_without_common_sequences_there_is_no_test(register, local_store, candidate, capsys):
    part = candidate(0).validation
    register(0, part=part.take(np.arange(len(part))[::-1]))
    register(1)
    other = register(1, split_digest="t" * 64, data_digest="e" * 64)
    local_store.set_registered_model_alias(NAME, "champion", "1")
    output = review(capsys, "--version", "2", "--dry_run", "true")
    assert "Version 2 would become champion" in output
    assert "No test against the incumbent, version 1: the two runs logged other ids or labels" in output
    assert "1 version of other data or another split, or without a score, is not comparable" in output
    local_store.set_registered_model_alias(NAME, "champion", str(other))
    output = review(capsys, "--version", "2", "--dry_run", "true")
    assert f"No test against the incumbent, version {other}: it was trained on other data or another split." in output
    assert "not comparable: other data and split" in output


def test_logits_that_members_saw_in_training_are_not_compared(register, local_store, capsys):
    for seed in (0, 1):
        register(seed, held_out=True)
    worst = max(registry.versions(NAME), key=lambda version: version.rank).number
    local_store.set_registered_model_alias(NAME, "champion", str(worst))
    told = f"No test against the incumbent, version {worst}: members of an ensemble were trained on the validation"
    assert told in review(capsys)


def test_predictions_in_another_order_do_not_vouch_for_a_network(register, candidate, capsys):
    """The ids of the examples are looked up where the network was registered to have predicted them."""
    part = candidate(0).validation
    register(0, part=part.take(np.arange(len(part))[::-1]))
    output = review(capsys)
    assert "cannot be checked and is passed over: Expected the examples of version 1 among the predictions" in output
    assert "No champion: none of 1 version" in output


@pytest.mark.parametrize(
    ("arguments", "error", "sentence"),
    [
        (["--registered_model", "reviewd"], RegistryError, 'received "reviewd"; did you mean "reviewed"?'),
        (["--version", "9"], RegistryError, 'Expected a version of "reviewed", received version=9: there is 1.'),
        (["--version", "x"], ParameterError, 'version: expected a whole number, received "x".'),
        (["--dry", "yes"], ParameterError, 'received "dry"; did you mean "dry_run"?'),
    ],
)
def test_what_does_not_exist_is_told_in_one_sentence(register, arguments, error, sentence):
    register(0)
    with pytest.raises(error) as caught:
        promote.work(["--registered_model", NAME, *arguments] if arguments[0] != "--registered_model" else arguments)
    assert str(caught.value).endswith(sentence)
