from __future__ import annotations

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

from tfbs import architectures, explanation, pool, replicates, training
from tfbs.architectures import Recipe
from tfbs.datasets import Source, load
from tfbs.pool import Lost
from tfbs.replicates import Task
from tfbs.settings import Settings
from tfbs.simulation import Simulation
from tfbs.splits import random_split

RECIPE = Recipe(epochs=2, lr=0.003)
DIVERGING = Task("baseline", replace(RECIPE, lr=1e30), 0)
COLLAPSING = Task("modified", Recipe(epochs=1, lr=3.0, optimizer="sgd"), 0)
SETTINGS = Settings(n_explained=5, n_references=4, seed=7)
TASKS = [
    Task("baseline", RECIPE, 0),
    Task("modified", RECIPE, 0),
    DIVERGING,
    Task("baseline", RECIPE, 1),
    Task("baseline", RECIPE, 0, part=1),
    Task("modified", RECIPE, 1),
    COLLAPSING,
]


@pytest.fixture(scope="module")
def splits():
    """Two splits of different data sets, of different sizes."""
    data = [load(Source(), Simulation(n_positives=n, n_negatives=40, data_seed=n)) for n in (40, 50)]
    return [random_split(each, RECIPE) for each in data]


@pytest.fixture(scope="module")
def outcomes(splits):
    return dict(replicates.run(TASKS, splits, SETTINGS, workers=2))


class Solo:
    """Trains with `train`; configured as the workers are, hence in a process of its own."""

    def __init__(self, splits):
        training.configure(500)
        self.splits = splits

    def __call__(self, task: Task):
        split = self.splits[task.part]
        trained = training.train(task.arch, task.recipe, (split.train, split.validation), task.seed)
        model = architectures.logit_model(trained.model)
        logits = [training.predict_logits(model, part.codes) for part in (split.validation, split.test)]
        explained = explanation.explain(SETTINGS, split, model)
        return trained.history, *logits, explained.attribution.contributions


def test_replicates_equal_training_alone_to_the_last_bit(splits, outcomes):
    tasks = [task for task in TASKS if task is not DIVERGING]
    for task, alone in pool.run(functools.partial(Solo, splits), tasks, 1):
        history, validation, test, contributions = alone
        found = outcomes[task]
        assert found.task == task
        assert found.history == history
        assert found.validation.dtype == found.test.dtype == np.float64
        assert np.array_equal(found.validation, validation)
        assert np.array_equal(found.test, test)
        assert np.array_equal(found.explained.attribution.contributions, contributions)
        assert found.threads == 1
        assert found.seconds > 0


def network(found, folder):
    import keras

    path = folder / "network.keras"
    path.write_bytes(found.network)
    return keras.saving.load_model(path)


def test_the_file_is_the_network(splits, outcomes, tmp_path):
    for task in TASKS[:2]:
        model = network(outcomes[task], tmp_path)
        logits = training.predict_logits(architectures.logit_model(model), splits[0].test.codes)
        assert np.allclose(logits, outcomes[task].test, atol=1e-5)
        assert model.count_params() == outcomes[task].n_weights


def test_seeds_and_splits_make_a_difference(outcomes):
    zero, one, other = (outcomes[Task("baseline", RECIPE, *which)] for which in ((0, 0), (1, 0), (0, 1)))
    assert not np.array_equal(zero.test, one.test)
    assert len(zero.test) != len(other.test)


def test_a_loss_that_diverges_costs_one_replicate(outcomes):
    assert set(outcomes) == set(TASKS)
    assert [task for task, outcome in outcomes.items() if isinstance(outcome, Lost)] == [DIVERGING]
    assert outcomes[DIVERGING].reason == (
        "Expected a finite loss, received loss = nan in epoch 1 of 2: lower the learning rate (lr=1e+30)."
    )


def test_a_network_that_did_not_train_is_an_outcome(outcomes):
    collapsed = outcomes[COLLAPSING]
    assert np.ptp(collapsed.validation) == np.ptp(collapsed.test) == 0
    assert np.isfinite(collapsed.explained.attribution.contributions).all()


def test_attributions_of_one_split_can_be_compared(splits, outcomes, tmp_path):
    """The same rows for every seed and architecture, and the same references: drawn by the seed of the settings."""
    here = [found for task, found in outcomes.items() if task.part == 0 and not isinstance(found, Lost)]
    assert len(here) == 5
    assert all(np.array_equal(found.explained.rows, here[0].explained.rows) for found in here)
    assert len(here[0].explained.rows) == SETTINGS.n_explained
    for found in here[:2]:
        model = architectures.logit_model(network(found, tmp_path))
        references = explanation.references(SETTINGS, splits[0], splits[0].test.codes)
        expected = training.predict_logits(model, references.argmax(-1)).mean()
        assert np.allclose(found.explained.attribution.expected, expected, atol=1e-5)


def test_without_an_explanation(splits):
    ((task, found),) = replicates.run(TASKS[:1], splits, SETTINGS, explain=False)
    assert task == TASKS[0]
    assert found.explained is None


def test_no_tasks_no_outcomes(splits):
    assert list(replicates.run([], splits, SETTINGS)) == []


def test_tasks_that_share_a_graph_stand_side_by_side(splits):
    order = replicates._grouped(TASKS, splits)
    assert sorted(map(TASKS.index, order)) == list(range(len(TASKS)))
    graphs = [(task.arch, task.recipe) for task in order]
    changes = sum(a != b for a, b in itertools.pairwise(graphs))
    assert changes == len(set(graphs)) - 1
    assert order[0] == TASKS[0]
