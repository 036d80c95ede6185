from __future__ import annotations

import random

import numpy as np
import pytest
from scipy.stats import spearmanr, t

from tfbs import architectures, attribution, randomisation, sequences, splits, training
from tfbs.architectures import Recipe
from tfbs.errors import AttributionError

RANDOM = np.random.RandomState(0)
X = sequences.one_hot(RANDOM.randint(0, 4, (12, 30), dtype=np.uint8))
REFERENCES = sequences.one_hot(RANDOM.randint(0, 4, (3, 30), dtype=np.uint8))


def linear(**kwargs):
    import keras

    return keras.Sequential([keras.Input((30, 4)), keras.layers.Flatten(), keras.layers.Dense(1, **kwargs)])


def test_a_linear_network_loses_its_weights_at_once():
    import keras

    initial = keras.initializers.GlorotUniform(seed=3)
    model = linear(kernel_initializer=initial, name="logit")
    fresh, trained = np.asarray(initial((120, 1))), RANDOM.randn(120, 1)
    model.set_weights([trained, np.ones(1)])
    before, after = ((X - REFERENCES.mean(0)) * weights.reshape(30, 4) @ np.ones(4) for weights in (trained, fresh))
    rhos = [spearmanr(*pair).statistic for pair in zip(before, after, strict=True)]
    sizes = [spearmanr(*pair).statistic for pair in zip(np.abs(before), np.abs(after), strict=True)]

    found = randomisation.cascade(model, X, REFERENCES, networks=2)

    assert found.layers == ("logit",)
    for same in (found.steps[0].signed, found.steps[0].absolute, found.chance.signed):
        assert (same.value, same.lo, same.hi, same.n) == pytest.approx((1, 1, 1, 12))
    assert found.steps[1].signed.value == pytest.approx(np.mean(rhos), abs=1e-6)
    half = t.ppf(0.975, 11) * np.std(sizes, ddof=1) / 12**0.5
    last = found.steps[1].absolute
    assert (last.value, last.hi - last.value) == pytest.approx((np.mean(sizes), half), abs=1e-6)
    np.testing.assert_allclose(found.steps[1].means, [[np.mean(rhos)] * 2, [np.mean(sizes)] * 2], atol=1e-6)
    assert found.left.value == pytest.approx(np.mean(sizes) - 1, abs=1e-6)


def test_the_network_and_the_generator_stay_as_they_are_and_the_seed_decides():
    model = architectures.logit_model(architectures.build("baseline", 30))
    weights, state = model.get_weights(), random.getstate()
    first, same, other = (randomisation.cascade(model, X, REFERENCES, seed, 2) for seed in (0, 0, 1))
    assert all(map(np.array_equal, weights, model.get_weights())) and random.getstate() == state
    assert first.left == same.left != other.left


def test_layers_are_forgotten_from_the_logit_down():
    model = architectures.logit_model(architectures.build("gapped", 30))
    assert randomisation.cascade(model, X[:2], REFERENCES, networks=2).layers == ("logit", "score", "word")


def test_what_training_gave_is_lost_down_to_chance(simulated):
    split = splits.random_split(simulated, architectures.get("baseline").recipe)
    trained = training.train("baseline", Recipe(epochs=4), (split.train, split.validation), 0)
    model, codes = architectures.logit_model(trained.model), split.test.codes[split.test.labels == 1][:30]
    references = attribution.negative_references(split.train.codes, split.train.labels, 10, 0)

    found = randomisation.cascade(model, sequences.one_hot(codes), references, networks=8)

    logit, dense, conv = (step.absolute for step in found.steps[1:])
    assert found.steps[0].absolute.value == pytest.approx(1)
    assert logit.value > dense.value and logit.lo > found.chance.absolute.hi
    assert abs(found.left.value) < 0.08 and found.left.lo < 0.02
    assert found.left.value == pytest.approx(conv.value - found.chance.absolute.value)
    assert abs(found.chance.signed.value) < 0.1 and abs(found.steps[-1].signed.value) < 0.15
    assert f"{found.left.value:+.2f} (95 % interval" in randomisation.sentence(found)


def test_networks_that_see_nothing_are_left_out():
    import keras

    dead = keras.initializers.Constant(-100)
    model = keras.Sequential(
        [
            keras.Input((30, 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(4, activation="relu", bias_initializer=dead),
            keras.layers.Dense(1, name="logit"),
        ]
    )
    model.layers[1].set_weights([RANDOM.randn(120, 4), np.ones(4)])
    found = randomisation.cascade(model, X, REFERENCES, networks=3)
    assert np.isfinite(found.steps[1].signed.value)
    assert np.isnan(found.steps[2].signed.value) and found.steps[2].signed.n == 0
    assert "unknown" in randomisation.sentence(found)


def test_intervals_hold_the_mean_when_networks_and_sequences_vary():
    draws = np.random.RandomState(1)
    held = []
    for _ in range(1000):
        values = draws.randn(5, 1) + draws.randn(1, 20) + draws.randn(5, 20)
        found = randomisation._estimate(values)
        held.append(found.lo <= 0 <= found.hi)
    assert 0.93 < np.mean(held) < 0.98


@pytest.mark.parametrize(("networks", "n"), [(1, 12), (2, 1)])
def test_one_network_or_sequence_is_too_few(networks, n):
    with pytest.raises(AttributionError, match=f"received {networks} and {n}"):
        randomisation.cascade(linear(), X[:n], REFERENCES, networks=networks)
