from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tfbs import doubt, randomisation, sequences
from tfbs.intervals import Estimate

RANDOM = np.random.RandomState(0)
CODES = RANDOM.randint(0, 4, (25, 20), dtype=np.uint8)
REFERENCES = sequences.one_hot(RANDOM.randint(0, 4, (12, 20), dtype=np.uint8))


def network(seed: int):
    import keras

    keras.utils.set_random_seed(seed)
    layers = [keras.layers.Conv1D(3, 5, activation="relu"), keras.layers.Flatten(), keras.layers.Dense(1)]
    return keras.Sequential([keras.Input((20, 4)), *layers])


@pytest.fixture(scope="module")
def found() -> doubt.Doubt:
    model = network(0)
    return doubt.doubt(model, [model, network(1)], CODES, REFERENCES)


def test_a_network_agrees_with_itself_and_less_with_another_seed(found):
    assert found.n == doubt.SEQUENCES and found.seeds.shape == (2,)
    assert found.seeds[0] == pytest.approx(1, abs=1e-9) and abs(found.seeds[1]) < 0.9
    logged = found.metrics
    assert list(logged) == ["shap/left_when_randomised", "shap/seed_correlation"]
    assert logged["shap/left_when_randomised"] == found.cascade.left
    assert logged["shap/seed_correlation"] == Estimate(found.seeds.mean(), found.seeds[1], found.seeds[0], 20)


def test_the_tests_are_told_in_words(found):
    first, second = found.sentences
    assert first == randomisation.sentence(found.cascade)
    assert second == (
        "Networks of 2 other seeds point at the same bases with a mean correlation of "
        f"{found.seeds.mean():.2f} ({found.seeds[1]:.2f} to 1.00)."
    )
    one = dataclasses.replace(found, seeds=found.seeds[:1])
    assert one.sentences[1].startswith("A network of another seed points at the same bases")


def test_without_other_seeds_there_is_one_test(found):
    alone = doubt.doubt(network(0), [], CODES, np.stack([REFERENCES] * 25))
    assert alone.seeds.shape == (0,) and list(alone.metrics) == ["shap/left_when_randomised"]
    assert len(alone.sentences) == 1
    assert alone.cascade.left.value == pytest.approx(found.cascade.left.value, abs=1e-5)


def test_what_is_unknown_is_not_logged(found):
    unknown = dataclasses.replace(found.cascade, left=Estimate(np.nan, np.nan, np.nan, 0))
    assert doubt.Doubt(unknown, np.zeros(0), 20).metrics == {}
