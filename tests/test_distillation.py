from __future__ import annotations

import numpy as np
import pytest

from tfbs import architectures, attribution, distillation, gapped, sequences, splits, training
from tfbs.architectures import Recipe
from tfbs.datasets import Dataset
from tfbs.distillation import Distiller, Text, words
from tfbs.errors import ParameterError
from tfbs.gapped import READ, WORD, Machine
from tfbs.simulation import Simulation, simulate

RECIPE = Recipe(lr=3e-3, batch_size=500, epochs=2)


def random_codes(n: int, length: int, seed: int = 0, letters: int = 4) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, letters, (n, length)).astype(np.uint8)


def whole(codes: np.ndarray) -> Text:
    return Text(codes, np.arange(len(codes)))


@pytest.fixture(scope="module")
def split():
    codes, labels, _ = simulate(Simulation(n_positives=400, n_negatives=400, both_strands=True))
    data = Dataset("simulated", codes, labels, [str(row) for row in range(len(labels))])
    return splits.random_split(data, RECIPE)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(distillation, "WORDS", 100_000)


def test_words_come_from_the_sequences_on_either_strand():
    codes = random_codes(3, 20)
    drawn = words(whole(codes), 500, np.random.default_rng(0), rates=(0.0,))
    own = np.lib.stride_tricks.sliding_window_view(codes, WORD, axis=1).reshape(-1, WORD)
    strands = {strand.tobytes() for strand in np.concatenate([own, sequences.reverse_complement(own)])}
    assert {word.tobytes() for word in drawn} == strands and drawn.dtype == np.uint8


def test_words_are_mutated_at_the_rates_and_some_are_cut():
    drawn = words(whole(np.zeros((2, 30), np.uint8)), 40_000, np.random.default_rng(0))
    forward = drawn[(drawn == 0).sum(1) > (drawn == 3).sum(1)]
    known = forward < sequences.N
    assert (forward[known] != 0).mean() == pytest.approx(0.75 * (0.1 + 0.25) / 3, abs=0.005)
    cut = ~known.all(1)
    assert cut.mean() == pytest.approx(distillation.CUT_SHARE, abs=0.005)
    ends = forward[cut][:, [0, -1]] == sequences.N
    assert (ends.sum(1) == 1).all() and ends.any(0).all()


def test_a_rare_class_gives_many_of_the_words():
    labels = (np.arange(5_000) % 500 == 0).astype(np.uint8)
    codes = np.where(labels[:, None] == 1, 0, 1).astype(np.uint8) * np.ones((1, 20), np.uint8)
    drawn = words(Text.of(codes, labels), 5_000, np.random.default_rng(0), rates=(0.0,))
    assert np.isin(drawn, (0, 3)).all(1).mean() == pytest.approx(1 / 3, abs=0.02)
    even = np.arange(6) % 2
    assert np.array_equal(Text.of(codes[:6], even).rows, np.arange(6))


def test_the_network_says_of_a_sequence_the_sum_of_what_the_student_says_of_its_words():
    model, taught = architectures.build("gapped", 30), distillation.student(2048)
    distillation.unfold(taught, model)
    weights = np.random.RandomState(0).rand(20, 1)
    model.get_layer("logit").set_weights([weights, np.array([0.25])])
    codes = random_codes(8, 30, letters=5)
    own = np.lib.stride_tricks.sliding_window_view(codes, WORD, axis=1)
    said = np.stack([np.asarray(taught(sequences.one_hot(row)))[:, 0] for row in own])
    logits = training.predict_logits(architectures.logit_model(model), codes)
    assert np.allclose(logits, (said @ weights)[:, 0] + 0.25, atol=1e-5)


def test_a_student_learns_the_lesson(short, split):
    table = np.random.RandomState(0).standard_normal((210, 4**READ)).astype(np.float32)
    lesson = distillation.Lesson.of(Machine(table), whole(split.train.codes), np.random.default_rng(0))
    real = words(whole(split.train.codes), 50_000, np.random.default_rng(1), rates=(0.0,))
    targets = lesson.targets(real)
    assert targets.mean() == pytest.approx(0, abs=0.02) and targets.std() == pytest.approx(1, abs=0.1)
    assert lesson.targets(np.full((1, WORD), sequences.N, np.uint8))[0, 0] == 0


def test_it_trains_a_network_that_ranks_and_does_not_see_the_strand(short, split):
    told, rows = [], []
    trained = Distiller("gapped", RECIPE, 50).fit(
        (split.train, split.validation), 0, lambda epoch, values: told.append((epoch, values)), rows.append
    )
    model = architectures.logit_model(trained.model)
    logits = training.predict_logits(model, split.test.codes)
    assert training._auroc(split.test.labels, logits) > 0.95
    assert set(trained.history) == {"loss", "auroc", "val_loss", "val_auroc", "val_auprc", "lesson_mse"}
    assert [epoch for epoch, _ in told] == [0, 1]
    assert trained.history["lesson_mse"][1] < trained.history["lesson_mse"][0]
    assert sum(rows) == RECIPE.epochs * len(split.train)
    turned = training.predict_logits(model, sequences.reverse_complement(split.test.codes))
    assert np.allclose(turned, logits, atol=1e-4 * logits.std())
    probability = 1 / (1 + np.exp(-logits))
    assert abs(probability.mean() - split.test.labels.mean()) < 0.1


def test_contributions_are_those_of_shap(short, split):
    trained = Distiller("gapped", Recipe(epochs=1, batch_size=500), 50).fit((split.train, split.validation), 0)
    model, x = architectures.logit_model(trained.model), sequences.one_hot(split.test.codes[:20])
    references = attribution.negative_references(split.train.codes, split.train.labels, 10, 0)
    found = attribution.deep_shap(model, x, references)
    assert found.additivity_error < 1e-5
    assert attribution.witness(model, x[:3], references, found.contributions[:3]) < 1e-5


def test_the_same_seed_gives_the_same_network_and_stopping_early_a_shorter_history(short, split):
    parts, recipe = (split.train, split.validation), Recipe(epochs=2, batch_size=2000)
    one = Distiller("gapped", recipe, 50).fit(parts, 3, lambda epoch, values: True)
    two = Distiller("gapped", recipe, 50).fit(parts, 3, lambda epoch, values: True)
    assert len(one.history["loss"]) == 1
    for ours, theirs in zip(one.model.get_weights(), two.model.get_weights(), strict=True):
        assert np.array_equal(ours, theirs)


def test_sequences_of_eleven_bases_are_enough_and_other_lengths_are_refused(monkeypatch):
    monkeypatch.setattr(distillation, "WORDS", 2_000)
    codes, labels = random_codes(80, WORD), (np.arange(80) % 2).astype(np.uint8)
    data = Dataset("short", codes, labels, [str(i) for i in range(80)])
    trained = Distiller("gapped", Recipe(epochs=1), WORD).fit((data, data), 0)
    assert np.isfinite(trained.model.get_weights()[-1]).all()
    with pytest.raises(ParameterError, match="expected sequences of 12 bp, for which this trainer was made"):
        Distiller("gapped", Recipe(), 12).fit((data, data), 0)
    with pytest.raises(ParameterError, match="arch=gapped: expected sequences of at least 11 bp, received 10 bp"):
        Distiller("gapped", Recipe(), 10)


def test_training_hands_taught_architectures_to_it():
    assert isinstance(training.trainer("gapped", Recipe(), 20), Distiller)
    assert isinstance(training.trainer("baseline", Recipe(), 20), training.Trainer)
    assert architectures.build("gapped", 20).get_layer("word").kernel_size[0] == gapped.WORD
