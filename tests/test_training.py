from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from tfbs import architectures, sequences, training
from tfbs.architectures import Recipe
from tfbs.datasets import Source, load
from tfbs.errors import ParameterError, TrainingError
from tfbs.simulation import Simulation
from tfbs.splits import random_split

KEYS = ["loss", "auroc", "val_loss", "val_auroc", "val_auprc"]


@pytest.fixture(scope="module")
def parts():
    """Training and validation part: 47 and 16 sequences, so that neither 10 nor 9 divides the first."""
    split = random_split(load(Source(), Simulation(n_positives=42, n_negatives=42)), Recipe(val_size=0.25))
    assert (len(split.train), len(split.validation)) == (47, 16)
    return split.train, split.validation


def targets(model, labels: np.ndarray) -> np.ndarray:
    return np.eye(2)[labels] if model.output_shape[-1] == 2 else labels[:, None]


def keras_fit(arch: str, recipe: Recipe, parts, seed: int):
    """Train with ``model.fit(shuffle=False)``, fed one epoch at a time in the order that `seed` gives."""
    import keras

    train, validation = parts
    keras.utils.set_random_seed(seed)
    model = architectures.build(arch, train.length)
    optimizer = keras.optimizers.get({"class_name": recipe.optimizer, "config": {"learning_rate": recipe.lr}})
    loss = {"mse": "mse", "bce": "binary_crossentropy"}[recipe.loss]
    model.compile(loss=loss, optimizer=optimizer, jit_compile=False)
    held_out = (sequences.one_hot(validation.codes), targets(model, validation.labels))
    x, y, random = sequences.one_hot(train.codes), targets(model, train.labels), np.random.RandomState(seed)
    history = {"loss": [], "val_loss": []}
    for _ in range(recipe.epochs):
        rows = random.permutation(len(train))
        fit = model.fit(
            x[rows], y[rows], batch_size=recipe.batch_size, shuffle=False, validation_data=held_out, verbose=0
        )
        for name, values in history.items():
            values += fit.history[name]
    return model, history


def assert_same_weights(ours, theirs, rtol: float = 1e-4):
    for a, b in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert np.allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.parametrize("arch", ["baseline", "modified"])
@pytest.mark.parametrize(("loss", "batch_size"), [("mse", 10), ("bce", 9), ("mse", 64)])
def test_training_equals_model_fit(arch, loss, batch_size, parts):
    """Weights and losses of ``model.fit``: a smaller last batch or a single batch, one unit or two with dropout."""
    recipe = Recipe(loss=loss, batch_size=batch_size, epochs=2)
    ours = training.train(arch, recipe, parts, seed=3)
    model, history = keras_fit(arch, recipe, parts, seed=3)
    assert_same_weights(ours.model, model)
    assert np.allclose(ours.history["loss"], history["loss"], rtol=1e-4)
    assert np.allclose(ours.history["val_loss"], history["val_loss"], rtol=1e-4)


@pytest.mark.parametrize("optimizer", architectures.OPTIMIZERS)
def test_every_optimizer_equals_that_of_keras(optimizer, parts):
    recipe = Recipe(optimizer=optimizer, epochs=2, lr=0.01)
    ours = training.train("baseline", recipe, parts, seed=0)
    model, _ = keras_fit("baseline", recipe, parts, seed=0)
    assert_same_weights(ours.model, model, rtol=1e-3)


def test_the_first_step_is_gradient_descent(parts):
    """One batch, one epoch, plain SGD: the weights move by -lr times the gradient of the mean squared error."""
    import keras
    import tensorflow as tf

    train, _ = parts
    recipe = Recipe(optimizer="sgd", lr=0.5, batch_size=len(train), epochs=1)
    ours = training.train("baseline", recipe, parts, seed=1)
    keras.utils.set_random_seed(1)
    model = architectures.build("baseline", train.length)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(sequences.one_hot(train.codes)) - train.labels[:, None].astype("float32")) ** 2)
    steps = tape.gradient(loss, model.trainable_variables)
    expected = [w - 0.5 * step for w, step in zip(model.get_weights(), steps, strict=True)]
    assert ours.history["loss"] == pytest.approx([float(loss)])
    for a, b in zip(ours.model.get_weights(), expected, strict=True):
        assert np.allclose(a, b, atol=1e-6)


def test_more_steps_than_one_graph_call_holds(parts, monkeypatch):
    recipe = Recipe(batch_size=2, epochs=1)
    whole = training.train("baseline", recipe, parts, seed=0)
    monkeypatch.setattr(training, "CHUNK", 5)
    pieces = training.train("baseline", recipe, parts, seed=0)
    assert_same_weights(whole.model, pieces.model, rtol=1e-6)
    assert whole.history["loss"] == pytest.approx(pieces.history["loss"])


def test_history_holds_one_value_per_epoch_and_describes_the_returned_network(parts):
    trained = training.train("modified", Recipe(epochs=3, lr=0.003), parts, seed=0)
    assert list(trained.history) == KEYS
    assert all(len(values) == 3 for values in trained.history.values())
    assert trained.seconds > 0
    _, validation = parts
    output = np.asarray(trained.model(sequences.one_hot(validation.codes), training=False), float)
    last = {name: values[-1] for name, values in trained.history.items()}
    assert last["val_loss"] == pytest.approx(((output - np.eye(2)[validation.labels]) ** 2).mean(), rel=1e-5)
    assert last["val_auroc"] == pytest.approx(roc_auc_score(validation.labels, output[:, 1]))
    assert last["val_auprc"] == pytest.approx(average_precision_score(validation.labels, output[:, 1]))


def test_training_auroc_is_that_of_the_outputs_as_they_were_trained(parts):
    """With one batch per epoch the outputs are those before its step: of a network trained one epoch less."""
    train, _ = parts
    recipe = Recipe(batch_size=len(train), epochs=4, lr=0.01)
    shorter = training.train("baseline", replace(recipe, epochs=3), parts, seed=0)
    longer = training.train("baseline", recipe, parts, seed=0)
    output = np.asarray(shorter.model(sequences.one_hot(train.codes), training=False))[:, 0]
    assert longer.history["auroc"][-1] == pytest.approx(roc_auc_score(train.labels, output))
    assert longer.history["loss"][-1] == pytest.approx(float(((output - train.labels) ** 2).mean()), rel=1e-5)


def test_on_epoch_receives_each_epoch_as_it_ends(parts):
    calls = []
    recipe = Recipe(epochs=3)
    trained = training.train(
        "baseline", recipe, parts, seed=0, on_epoch=lambda epoch, values: calls.append((epoch, values))
    )
    assert [epoch for epoch, _ in calls] == [0, 1, 2]
    for name in KEYS:
        assert [values[name] for _, values in calls] == trained.history[name]


def test_on_epoch_can_stop_the_training(parts):
    """What was trained until then stays: the network of a recipe with fewer epochs."""
    stopped = training.train("modified", Recipe(epochs=5), parts, seed=0, on_epoch=lambda epoch, values: epoch == 1)
    shorter = training.train("modified", Recipe(epochs=2), parts, seed=0)
    assert stopped.history == shorter.history
    assert_same_weights(stopped.model, shorter.model, rtol=1e-6)


def test_a_trainer_does_not_trace_again_for_other_parts_and_seeds(parts):
    """Parts of 47, 31 and 12 sequences, with and without a smaller last batch."""
    import tensorflow as tf

    train, validation = parts
    trainer = training.Trainer("baseline", Recipe(epochs=1), train.length)
    for seed, rows in enumerate((47, 31, 12)):
        chosen = np.r_[np.flatnonzero(train.labels == 0)[: rows // 2], np.flatnonzero(train.labels == 1)[: rows // 2]]
        trained = trainer.fit((train.take(chosen), validation), seed)
        assert len(trained.history["loss"]) == 1
    graphs = (trainer._steps, trainer._forward)
    assert all(isinstance(graph, tf.types.experimental.PolymorphicFunction) for graph in graphs)
    assert [graph.experimental_get_tracing_count() for graph in graphs] == [1, 1]


def test_a_trainer_takes_one_length_only(small):
    trainer = training.Trainer("baseline", Recipe(), 50)
    expected = r"simulated: expected sequences of 50 bp, .*, received 30 bp: make another trainer\."
    with pytest.raises(ParameterError, match=expected):
        trainer.fit((small, small), seed=0)


def test_a_network_that_was_returned_is_left_alone(parts):
    trainer = training.Trainer("baseline", Recipe(epochs=1), 50)
    first = trainer.fit(parts, seed=0)
    kept = [weights.copy() for weights in first.model.get_weights()]
    trainer.fit(parts, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(kept, first.model.get_weights(), strict=True))


def test_another_seed_gives_another_network_and_zero_is_a_seed(parts):
    recipe = Recipe(epochs=1)
    zero, one = (training.train("baseline", recipe, parts, seed=seed) for seed in (0, 1))
    assert not np.array_equal(zero.model.get_weights()[0], one.model.get_weights()[0])
    assert zero.history["loss"] != one.history["loss"]


@pytest.mark.parametrize(
    ("recipe", "name"),
    [
        (Recipe(lr=1e30, epochs=3), "loss"),
        (Recipe(lr=1e38, epochs=1, optimizer="sgd", batch_size=47), "val_loss"),
    ],
    ids=["within the epoch", "by the very last step"],
)
def test_a_loss_that_is_not_a_number_is_said_in_words(recipe, name, parts):
    expected = rf"finite loss, received {name} = nan in epoch 1 of {recipe.epochs}: lower the learning rate \(lr=1e"
    with pytest.raises(TrainingError, match=expected):
        training.train("baseline", recipe, parts, seed=0)


def test_a_collapsed_network_is_a_result_not_an_error(parts):
    """Steps so large that every unit of a layer dies: constant output, AUROC one half, and no exception."""
    trained = training.train("modified", Recipe(lr=3.0, optimizer="sgd", epochs=2), parts, seed=0)
    logits = training.predict_logits(architectures.logit_model(trained.model), parts[1].codes)
    assert np.ptp(logits) == 0
    assert trained.history["val_auroc"][-1] == 0.5
    assert np.isfinite(trained.history["loss"]).all()


def test_the_published_recipe_learns_the_motif(simulated):
    split = random_split(simulated, Recipe())
    trained = training.train("baseline", Recipe(), (split.train, split.validation), seed=0)
    logits = training.predict_logits(architectures.logit_model(trained.model), split.test.codes)
    assert roc_auc_score(split.test.labels, logits) > 0.95
    assert trained.history["val_auroc"][-1] > 0.95
    assert trained.history["loss"][-1] < trained.history["loss"][0] / 2


def test_logits_do_not_depend_on_how_they_are_batched(parts, monkeypatch):
    model = architectures.logit_model(architectures.build("baseline", 50))
    codes = parts[0].codes
    whole = training.predict_logits(model, codes)
    assert whole.shape == (47,)
    assert whole.dtype == np.float64
    monkeypatch.setattr(training, "PREDICTED_BASES", 10 * codes.shape[1])
    assert np.allclose(whole, training.predict_logits(model, codes), atol=1e-6)
    assert np.allclose(whole, np.asarray(model(sequences.one_hot(codes)))[:, 0], atol=1e-6)


def digest(trained) -> str:
    """SHA-256 of history, weights and the states of the seed generators."""
    content = hashlib.sha256(json.dumps(trained.history).encode())
    for variable in trained.model.variables:
        content.update(variable.numpy().tobytes())
    return content.hexdigest()


def digests() -> list[str]:
    """Train `modified` with the seeds 0, 0, 1 and `baseline` with 0, 0."""
    split = random_split(load(Source(), Simulation(n_positives=60, n_negatives=60)), Recipe(epochs=2))
    runs = [("modified", 0), ("modified", 0), ("modified", 1), ("baseline", 0), ("baseline", 0)]
    return [
        digest(training.train(arch, Recipe(epochs=2), (split.train, split.validation), seed)) for arch, seed in runs
    ]


def shared() -> dict[str, list[str]]:
    """Digests of two networks that were trained alone, then by a trainer that did other things before and between."""
    training.configure(training.SMALL - 1)
    one, two = (
        random_split(load(Source(), Simulation(n_positives=n, n_negatives=60, data_seed=n)), Recipe()) for n in (60, 70)
    )
    one, two = (one.train, one.validation), (two.train, two.validation)
    cases = [("modified", Recipe(epochs=2))]
    cases += [("baseline", Recipe(optimizer=name, epochs=2, lr=0.01)) for name in architectures.OPTIMIZERS]
    found = {}
    for arch, recipe in cases:
        alone = [training.train(arch, recipe, one, 0), training.train(arch, recipe, two, 3)]
        trainer = training.Trainer(arch, recipe, 50)
        trainer.fit(two, 7, on_epoch=lambda epoch, values: True)
        together = [trainer.fit(one, 0), trainer.fit(two, 3), trainer.fit(one, 0)]
        found[f"{arch}, {recipe.optimizer}"] = [digest(trained) for trained in alone + together]
    diverging = training.Trainer("baseline", Recipe(lr=1e30), 50)
    for seed in (0, 1):
        try:
            diverging.fit(one, seed)
        except TrainingError as error:
            found.setdefault("diverging", []).append(str(error))
    return found


def configured(threads: int) -> dict[str, object]:
    """Say what `configure` answers, what training then gives, and what a second `configure` answers."""
    os.cpu_count = lambda: threads
    found: dict[str, object] = {
        "small": training.configure(training.SMALL - 1),
        "large": training.configure(training.SMALL),
        "digests": digests(),
    }
    os.cpu_count = lambda: 3
    try:
        training.configure(training.SMALL)
    except TrainingError as error:
        found["too late"] = str(error)
    return found


@pytest.fixture(scope="module")
def processes():
    """What four processes of their own print: two that train on one thread, one on two, one with shared trainers."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    commands = [[sys.executable, __file__, threads] for threads in ("1", "1", "2", "shared")]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) for command in commands]
    return [json.loads(process.communicate(timeout=300)[0].splitlines()[-1]) for process in running]


def test_the_same_seed_gives_the_same_bits_within_and_across_processes(processes):
    assert processes[0] == processes[1]
    for found, threads in zip(processes[:3], (1, 1, 2), strict=True):
        assert (found["small"], found["large"]) == (1, threads), "a small batch runs on one thread"
        first, again, other, baseline, baseline_again = found["digests"]
        assert first == again != other
        assert baseline == baseline_again


def test_a_trainer_gives_the_same_bits_as_training_alone(processes):
    found = dict(processes[3])
    first, second = found.pop("diverging")
    assert first == second
    assert len(found) == 1 + len(architectures.OPTIMIZERS)
    for case, (one, two, *together) in found.items():
        assert one != two, case
        assert together == [one, two, one], case


def test_threads_cannot_be_set_once_tensorflow_runs(processes):
    for found in processes[:3]:
        assert found["too late"].startswith("Expected to set TensorFlow's threads before its first use")


if __name__ == "__main__":
    print(json.dumps(shared() if sys.argv[1] == "shared" else configured(int(sys.argv[1]))))
