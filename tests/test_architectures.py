from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.special import expit

from tfbs import architectures, sequences
from tfbs.architectures import ARCHITECTURES, LOSSES, OPTIMIZERS, Recipe, architecture
from tfbs.errors import ParameterError

NAMES = sorted(ARCHITECTURES)
HIDDEN = [f"Dense {units} relu" for units in (16, 16, 8, 8, 4, 4)]
WIDE = [text for units in (256, 128, 64, 32) for text in (f"Dense {units} relu", "Dropout 0.2")]
PUBLISHED = {
    "baseline": ["Conv1D 32x12 linear valid", "MaxPooling1D 4", "Flatten", "Dense 16 relu", "Dense 1 sigmoid"],
    "modified": ["Conv1D 32x12 linear same", "MaxPooling1D 5", "Flatten", *WIDE, *HIDDEN, "Dense 2 softmax"],
}


def in_words(layer) -> str:
    config, kind = layer.get_config(), type(layer).__name__
    details = {
        "Conv1D": lambda: f" {config['filters']}x{config['kernel_size'][0]} {config['activation']} {config['padding']}",
        "MaxPooling1D": lambda: f" {config['pool_size'][0]}",
        "Dense": lambda: f" {config['units']} {config['activation']}",
        "Dropout": lambda: f" {config['rate']}",
    }
    return kind + details.get(kind, lambda: "")()


def random_input(n: int, length: int) -> np.ndarray:
    return sequences.one_hot(np.random.RandomState(0).randint(0, 5, (n, length)).astype(np.uint8))


def randomise(model) -> None:
    """Give every weight, biases too, a random value that keeps the signal alive through many layers."""
    random = np.random.RandomState(0)
    scales = [np.sqrt(2 / np.prod(w.shape[:-1])) if w.ndim > 1 else 0.1 for w in model.get_weights()]
    model.set_weights([s * random.standard_normal(w.shape) for s, w in zip(scales, model.get_weights(), strict=True)])


@pytest.fixture
def registry(monkeypatch):
    """Let a test add architectures that are gone afterwards."""
    monkeypatch.setattr(architectures, "ARCHITECTURES", dict(ARCHITECTURES))
    return architectures.ARCHITECTURES


@pytest.mark.parametrize(("name", "parameters"), [("baseline", 6209), ("modified", 128_050)])
def test_published_networks_have_the_published_size(name, parameters):
    assert architectures.build(name, 50).count_params() == parameters


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_published_networks_have_the_published_layers(name):
    assert [in_words(layer) for layer in architectures.build(name, 50).layers] == PUBLISHED[name]


@pytest.mark.parametrize("name", sorted(PUBLISHED))
def test_the_published_recipe_is_the_default(name):
    recipe = ARCHITECTURES[name].recipe
    assert (recipe.loss, recipe.optimizer, recipe.lr, recipe.batch_size, recipe.epochs) == ("mse", "adam", 1e-3, 10, 10)
    assert (recipe.test_size, recipe.val_size, recipe.split_seed) == (0.25, 0.1, 42)


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_builds_from_its_shortest_length_on(name):
    chosen = ARCHITECTURES[name]
    for length in (chosen.min_length, 101):
        model = architectures.build(name, length)
        output = np.asarray(model(random_input(3, length), training=False))
        assert model.input_shape == (None, length, 4)
        assert output.shape in ((3, 1), (3, 2))
        assert ((output >= 0) & (output <= 1)).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_refuses_shorter_sequences_in_words(name):
    chosen = ARCHITECTURES[name]
    with pytest.raises(
        ParameterError, match=f"^arch={name}: expected sequences of at least {chosen.min_length} bp, rec"
    ):
        architectures.build(name, chosen.min_length - 1)
    with pytest.raises(Exception, match=r".") as caught:
        chosen.build(chosen.min_length - 1)
    assert not isinstance(caught.value, ParameterError), "Keras fails too: the limit is not stricter than it must be"


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_is_stock_keras_and_survives_a_file(name, tmp_path):
    import keras

    model = architectures.build(name, 50)
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    x = random_input(20, 50)
    assert np.array_equal(model(x, training=False), loaded(x, training=False))
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in loaded.layers)
    assert 'registered_name": "' not in json.dumps(model.get_config()), "a custom object would be registered by name"
    assert all(type(layer).__module__.startswith("keras.src.layers.") for layer in model.layers)


@pytest.mark.parametrize("name", NAMES)
def test_the_logit_is_that_of_the_probability(name):
    model = architectures.build(name, 50)
    randomise(model)
    x = random_input(300, 50)
    logits = np.asarray(architectures.logit_model(model)(x, training=False))
    probabilities = np.asarray(model(x, training=False))[:, -1]
    assert logits.shape == (300, 1)
    assert np.ptp(probabilities) > 1e-3, "a constant would prove nothing"
    assert np.allclose(expit(logits[:, 0].astype(float)), probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_is_offered_with_a_summary(name):
    with pytest.raises(ParameterError, match=f'expected one of .*{name}.*, received "zzz"'):
        architectures.get("zzz")
    assert len(ARCHITECTURES[name].summary) > 20


def test_the_logit_model_is_a_copy():
    model = architectures.build("baseline", 20)
    twin, x = architectures.logit_model(model), random_input(5, 20)
    before = np.array(twin(x))
    randomise(model)
    assert np.array_equal(twin(x), before)


def test_the_logit_of_a_head_without_bias():
    import keras

    for units, activation in ((1, "sigmoid"), (2, "softmax")):
        head = keras.layers.Dense(units, activation=activation, use_bias=False)
        model = keras.Sequential([keras.Input((20, 4)), keras.layers.Flatten(), head])
        x = random_input(50, 20)
        logits = np.asarray(architectures.logit_model(model)(x))[:, 0]
        assert np.allclose(expit(logits), np.asarray(model(x))[:, -1], rtol=0, atol=1e-6)


def test_another_head_has_no_logit():
    import keras

    model = keras.Sequential([keras.Input((20, 4)), keras.layers.Flatten(), keras.layers.Dense(3, name="three")])
    with pytest.raises(
        ParameterError, match=r"ends in Dense\(1, sigmoid\) .* received three with .* = \(3, 'linear'\)"
    ):
        architectures.logit_model(model)


def test_a_decorated_function_is_an_architecture(registry):
    @architecture(Recipe(epochs=3), min_length=7)
    def tiny(length):
        """One dense unit.

        More words that are not the summary.
        """
        import keras

        return keras.Sequential([keras.Input((length, 4)), keras.layers.Flatten(), keras.layers.Dense(1, "sigmoid")])

    assert "tiny" in registry
    assert architectures.get("tiny").recipe.epochs == 3
    assert architectures.get("tiny").summary == "One dense unit."
    assert architectures.build("tiny", 7).count_params() == 29
    with pytest.raises(ParameterError, match="at least 7 bp, received 6 bp"):
        architectures.build("tiny", 6)
    with pytest.raises(ParameterError, match=r'expected one of .*tiny.* received "tinny"; did you mean "tiny"'):
        architectures.get("tinny")


def test_an_architecture_without_docstring_is_accepted(registry):
    @architecture(Recipe(), min_length=1)
    def bare(length):
        raise NotImplementedError

    assert registry["bare"].summary == ""


@pytest.mark.parametrize("typed", ["Baseline", "base-line", "basline"])
def test_a_misspelt_name_gets_a_hint(typed):
    with pytest.raises(ParameterError, match=f'received "{typed}"; did you mean "baseline"'):
        architectures.get(typed)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("loss", "msee", 'one of mse, bce, received "msee"; did you mean "mse"'),
        ("loss", "adm", r'one of mse, bce, received "adm"\.$'),
        ("optimizer", "adamm", 'received "adamm"; did you mean "adam"'),
        ("lr", 0, "a positive number"),
        ("lr", float("inf"), "a positive number"),
        ("lr", float("nan"), "a positive number"),
        ("batch_size", 0, "at least 1"),
        ("epochs", 0, "at least 1"),
        ("test_size", 1.0, "between 0 and 1"),
        ("val_size", 0.0, "between 0 and 1"),
        ("split_seed", -1, "whole number from 0"),
    ],
)
def test_a_recipe_out_of_range_is_refused_by_name(name, value, expected):
    with pytest.raises(ParameterError, match=f"^{name}: expected .*{expected}"):
        Recipe(**{name: value})


def test_every_loss_and_optimizer_is_accepted():
    assert {Recipe(loss=loss, optimizer=optimizer).loss for loss in LOSSES for optimizer in OPTIMIZERS} == set(LOSSES)
