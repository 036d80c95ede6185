from __future__ import annotations

import dataclasses
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from experiments import train
from tfbs import architectures, distillation, job, selection, splits, training
from tfbs.architectures import ARCHITECTURES, Recipe
from tfbs.errors import ParameterError, TrainingError
from tfbs.plan import Contender
from tfbs.selection import Selection, Trial
from tfbs.settings import Job, Settings

QUICK = Recipe(loss="bce", batch_size=32, epochs=2)


@pytest.fixture
def parts(small):
    split = splits.random_split(small, Recipe())
    return split.train, split.validation


def contenders(*recipes: Recipe) -> list[Contender]:
    return [Contender(f"c{i}", "baseline", recipe) for i, recipe in enumerate(recipes)]


def ticking():
    """A clock that is a second later whenever it is read."""
    return itertools.count().__next__


def trial(name: str, auprc: float, outcome: str = "trained", arch: str = "baseline") -> Trial:
    history = {"val_auprc": [0.1, auprc], "val_auroc": [0.5, 0.75]}
    return Trial(
        Contender(name, arch, Recipe(epochs=4)), outcome, training.Trained(architectures.build(arch, 20), history, 1.5)
    )


def test_small_data_get_every_published_recipe_and_those_that_are_taught_come_first():
    found = selection.candidates(20_000, 50)
    assert [one.name for one in found] == ["gapped", "baseline", "modified"]
    assert all(one.recipe == ARCHITECTURES[one.arch].recipe for one in found)


@pytest.mark.parametrize(
    ("n", "batch", "lr", "epochs"),
    [(20_001, 40, 2e-3, 5), (80_001, 160, 4e-3, 3), (320_001, 640, 8e-3, 2), (10**9, 640, 8e-3, 2)],
)
def test_larger_data_get_larger_batches_and_learning_rates_in_fewer_epochs(n, batch, lr, epochs):
    gapped, *others = selection.candidates(n, 50)
    assert gapped.recipe == ARCHITECTURES["gapped"].recipe
    for one in others:
        recipe = one.recipe
        assert (recipe.loss, recipe.batch_size, recipe.lr, recipe.epochs) == ("bce", batch, lr, epochs)


def test_short_sequences_leave_fewer_candidates_and_shorter_ones_none():
    assert [one.name for one in selection.candidates(100, 14)] == ["gapped", "modified"]
    assert [one.name for one in selection.candidates(100, 5)] == ["modified"]
    with pytest.raises(ParameterError, match=r"^arch=auto: expected sequences of at least 5 bp, received 4 bp"):
        selection.candidates(100, 4)


def test_values_of_the_user_hold_for_all_candidates():
    found = selection.candidates(50_000, 50, {"epochs": 3, "lr": 1e-4, "val_size": 0.2})
    assert {(one.recipe.epochs, one.recipe.lr, one.recipe.val_size) for one in found} == {(3, 1e-4, 0.2)}
    assert {one.recipe.batch_size for one in found} == {40, 1024}


def test_the_best_is_kept_as_it_was_trained(parts):
    asked = contenders(dataclasses.replace(QUICK, lr=1e-9), dataclasses.replace(QUICK, lr=1e-2, epochs=8))
    found = selection.choose(parts, asked, 3, 600)
    alone = [training.train("baseline", one.recipe, parts, 3) for one in asked]
    assert [one.auprc for one in found.trials] == [one.history["val_auprc"][-1] for one in alone]
    best = int(np.argmax([one.auprc for one in found.trials]))
    assert found.best is found.trials[best]
    for ours, theirs in zip(found.best.trained.model.get_weights(), alone[best].model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)
    assert [row["outcome"] for row in found.rows] == ["trained"] * 2
    assert [row["chosen"] for row in found.rows] == [i == best for i in range(2)]


def test_what_runs_over_the_budget_is_stopped_and_the_rest_skipped(parts):
    """The clock is read at the start, after each epoch, before each later candidate, and at the end."""
    found = selection.choose(parts, contenders(*[dataclasses.replace(QUICK, epochs=3)] * 3), 0, 5, ticking())
    assert [one.outcome for one in found.trials] == ["trained", "stopped", "skipped"]
    assert [row["epochs_trained"] for row in found.rows] == [3, 1, None]
    assert found.sentences()[1] == "The budget of 5 s was spent: c1 was stopped after 1 of 3 epochs, c2 was skipped."
    assert found.seconds == 7


def test_a_candidate_whose_last_epoch_ends_after_the_budget_was_not_stopped(parts):
    found = selection.choose(parts, contenders(QUICK, QUICK), 0, 2, ticking())
    assert [one.outcome for one in found.trials] == ["trained", "skipped"]


def test_the_first_network_is_trained_whatever_the_budget(parts):
    diverging = dataclasses.replace(QUICK, optimizer="sgd", loss="mse", lr=1e30)
    found = selection.choose(parts, contenders(diverging, QUICK, QUICK), 0, 1, ticking())
    assert [one.outcome for one in found.trials] == ["diverged", "stopped", "skipped"]
    assert found.best is found.trials[1]
    assert found.sentences()[0].startswith("c1 was chosen of 3 by validation AUPRC 0.")
    assert "(c0 diverged, c2 skipped) in" in found.sentences()[0]


def test_all_diverging_is_one_sentence(parts):
    diverging = dataclasses.replace(QUICK, optimizer="sgd", loss="mse", lr=1e30)
    with pytest.raises(TrainingError) as caught:
        selection.choose(parts, contenders(diverging, diverging), 0, 600)
    assert str(caught.value) == (
        "arch=auto: expected a network with a finite loss, received none from c0, c1: lower the learning rate (lr)."
    )


def test_the_higher_area_wins_and_of_equals_the_smaller_network():
    large, small_, worse = trial("a", 0.9, arch="modified"), trial("b", 0.9), trial("c", 0.8)
    assert Selection((large, small_, worse), 3, 600).best is small_
    assert Selection((worse, large), 3, 600).best is large


def test_the_choice_is_told_in_a_sentence():
    assert Selection((trial("a", 0.93), trial("b", 0.81), trial("c", 0.52)), 140.04, 600).sentences() == (
        "a was chosen of 3 by validation AUPRC 0.9300 (b 0.8100, c 0.5200) in 140.0 s.",
    )
    assert Selection((trial("a", 0.93, "stopped"),), 9, 5).sentences() == (
        "a was chosen of 1 by validation AUPRC 0.9300 in 9.0 s.",
        "The budget of 5 s was spent: a was stopped after 2 of 4 epochs.",
    )


def test_a_row_holds_areas_cost_and_recipe():
    assert trial("a", 0.93).row == {
        "arch": "baseline",
        "outcome": "trained",
        "val_auprc": 0.93,
        "val_auroc": 0.75,
        "epochs_trained": 2,
        "seconds": 1.5,
        "n_weights": architectures.build("baseline", 20).count_params(),
        "loss": "mse",
        "optimizer": "adam",
        "lr": 1e-3,
        "batch_size": 10,
        "epochs": 4,
    }


def test_until_the_choice_params_hold_what_is_settled():
    asked = Job(Settings("auto", budget=60), recipe={"epochs": 3})
    settled = {"epochs": 3, "test_size": 0.25, "val_size": 0.1, "split_seed": 42}
    assert asked.common == settled
    assert {key: asked.params.get(key) for key in vars(Recipe()) if key in asked.params} == settled
    assert "arch" not in asked.params and asked.params["budget"] == 60
    chosen = asked.decided(Contender("modified", "modified", Recipe(epochs=3, lr=0.01)))
    assert chosen.full_recipe == Recipe(epochs=3, lr=0.01)
    assert chosen.params["arch"] == "modified" and chosen.params["lr"] == 0.01
    assert "budget" not in chosen.params


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("--arch auto --budget 0", 'budget: expected a whole number of at least 1, received "0".'),
        (
            "--arch gapped --budget 5",
            "budget: expected only with arch=auto, received it with arch=gapped: leave it out.",
        ),
        (
            "--arch auto --dataset peaks.fa --negatives shuffle,other.fa",
            f"arch: expected one of {', '.join(ARCHITECTURES)} with several kinds of negatives, received auto: name "
            "the one to train against each.",
        ),
        ("--arch auto --length 4 --motif ACGT", "arch=auto: expected sequences of at least 5 bp, received 4 bp: use l"),
    ],
)
def test_bad_input_is_one_sentence(command, sentence, monkeypatch):
    monkeypatch.setattr(job, "run", job.prepare)
    with pytest.raises(ParameterError) as caught:
        train.work(command.split())
    assert str(caught.value).startswith(sentence)


def test_the_job_logs_the_choice_and_only_the_winners_epochs(local_store, monkeypatch, capsys):
    monkeypatch.setattr(distillation, "WORDS", 100_000)
    monkeypatch.setattr(training, "configure", lambda *_: 1)
    few = "--n_positives 100 --n_negatives 100 --epochs 2 --n_explained 10 --n_references 5 --motifs none"
    train.work(["--arch", "auto", *few.split()])
    [experiment] = [one for one in local_store.search_experiments() if one.name == "tfbs"]
    [run] = local_store.search_runs([experiment.experiment_id])
    table = json.loads(Path(local_store.download_artifacts(run.info.run_id, "selection.json")).read_text())
    rows = [dict(zip(table["columns"], values, strict=True)) for values in table["data"]]
    assert [row["arch"] for row in rows] == ["gapped", "baseline", "modified"]
    assert {row["outcome"] for row in rows} == {"trained"}
    [chosen] = [row for row in rows if row["chosen"]]
    assert chosen["val_auprc"] == max(row["val_auprc"] for row in rows)
    assert run.info.status == "FINISHED" and run.info.run_name == "auto-s0"
    assert run.data.params["arch"] == run.data.tags["tfbs.arch"] == chosen["arch"]
    assert run.data.tags["tfbs.arch_asked"] == "auto"
    assert (run.data.params["budget"], run.data.params["epochs"], run.data.params["val_size"]) == ("600", "2", "0.1")
    assert float(run.data.params["lr"]) == chosen["lr"] and int(run.data.params["n_weights"]) == chosen["n_weights"]
    areas = [metric.value for metric in local_store.get_metric_history(run.info.run_id, "val/auprc")]
    assert len(areas) == 2 and areas[-1] == pytest.approx(chosen["val_auprc"])
    sentence = f"{chosen['arch']} was chosen of 3 by validation AUPRC {chosen['val_auprc']:.4f} ("
    assert sentence in capsys.readouterr().out and sentence in run.data.tags["mlflow.note.content"]


def test_a_spent_budget_skips_what_is_left(local_store, monkeypatch, capsys):
    monkeypatch.setattr(distillation, "WORDS", 500_000)
    monkeypatch.setattr(training, "configure", lambda *_: 1)
    few = "--n_positives 100 --n_negatives 100 --epochs 1 --n_explained 10 --n_references 5 --motifs none"
    train.work(["--arch", "auto", "--budget", "1", *few.split()])
    [experiment] = [one for one in local_store.search_experiments() if one.name == "tfbs"]
    [run] = local_store.search_runs([experiment.experiment_id])
    assert (run.data.params["arch"], run.data.params["budget"]) == ("gapped", "1")
    assert run.data.tags["tfbs.arch"] == "gapped" and run.data.params["lr"] == "0.01"
    output = capsys.readouterr().out
    assert "gapped was chosen of 3 by validation AUPRC" in output
    assert "The budget of 1 s was spent: baseline was skipped, modified was skipped." in output
