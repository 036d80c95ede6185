"""Train a network on what a gapped k-mer machine knows: word by word instead of sequence by sequence.

On a few thousand sequences no convolutional network trained on the labels ranks binding sites as well as a support
vector machine on gapped k-mers (:mod:`tfbs.gapped`). The machine's score is a sum over words of 11 bases of one
function of a word, and so is the output of a network whose first layer is 11 bases wide and whose other layers are one
base wide. The function has 4^11 arguments that can be drawn without end, so it is taught directly: words of the
training sequences, mutated at several rates, with the machine's score as the target (distillation: Hinton, Vinyals and
Dean, arXiv 1503.02531, 2015). A word and its reverse complement get the same score, because filters come in pairs
(Shrikumar, Greenside and Kundaje, "Reverse-complement parameter sharing", bioRxiv 103663, 2017).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, calibration, gapped, sequences, steps, training
from .architectures import Recipe
from .datasets import Dataset
from .gapped import WORD, Machine
from .training import OnEpoch, Trained

if TYPE_CHECKING:
    import keras

WORDS = 2_000_000
"""Words an epoch, rounded down to whole batches."""

RATES = (0.0, 0.1, 0.25)
CUT_SHARE = 0.05
PIECES = 20
SLOPE, SHARED = 0.5, 7
"""A filter starts as relu(SLOPE * (bases shared with its word - SHARED))."""

REAL_WORDS = 100_000
JUDGED = 2_000


@dataclass(frozen=True)
class Text:
    """Sequences that words are drawn from: codes uint8 (N, L), L >= 11, and the rows to draw, some repeated."""

    codes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, codes: np.ndarray, labels: np.ndarray) -> Text:
        """Repeat the rarer class until it is about half as frequent as the other, or leave it if it is."""
        classes = sorted((np.flatnonzero(labels == label) for label in (0, 1)), key=len)
        times = max(1, len(classes[1]) // (2 * max(len(classes[0]), 1)))
        return cls(codes, np.concatenate([np.arange(len(codes)), np.tile(classes[0], times - 1)]))


@dataclass(frozen=True)
class Lesson:
    """What is taught: a machine's score of a word, less its mean over real words, in standard deviations of these."""

    machine: Machine
    mean: float
    spread: float

    @classmethod
    def of(cls, machine: Machine, text: Text, draw: np.random.Generator) -> Lesson:
        """Measure mean and standard deviation on words of the sequences as they are."""
        scores, seen = machine.score_words(words(text, REAL_WORDS, draw, rates=(0.0,)))
        scores = scores[seen == 1]
        return cls(machine, float(scores.mean()), float(scores.std()) or 1.0)

    def targets(self, drawn: np.ndarray) -> np.ndarray:
        """Target of each word, float32 (n, 1); words of N alone get 0, as real words do on average."""
        scores, seen = self.machine.score_words(drawn)
        return ((scores - self.mean * seen) / self.spread).astype(np.float32)[:, None]


def words(text: Text, count: int, draw: np.random.Generator, rates: tuple[float, ...] = RATES) -> np.ndarray:
    """Draw words of 11 bases of the sequences, either strand, each mutated at one of the rates, some with N at one end.

    Parameters
    ----------
    text : Text
        The sequences.
    count : int
        How many.
    draw : numpy.random.Generator
        Randomness.
    rates : tuple of float
        Chances that a base is replaced by a random one.

    Returns
    -------
    ndarray of uint8, shape (count, 11)
    """
    rows = text.rows[draw.integers(len(text.rows), size=count)]
    starts = draw.integers(text.codes.shape[1] - WORD + 1, size=count)
    drawn = text.codes[rows[:, None], starts[:, None] + np.arange(WORD)]
    hit = (draw.random(drawn.shape, np.float32) < draw.choice(rates, count)[:, None]) & (drawn < sequences.N)
    drawn = np.where(hit, draw.integers(0, 4, drawn.shape, np.uint8), drawn)
    if len(rates) > 1:
        cut = np.where(draw.random(count) < CUT_SHARE, draw.integers(1, WORD, size=count), 0)
        drawn[np.arange(WORD) < cut[:, None]] = sequences.N
    turned = draw.random(count) < 0.5
    drawn[turned] = sequences.reverse_complement(drawn[turned])
    return drawn


def student(filters: int, known: np.ndarray | None = None) -> keras.Model:
    """Build the network of one word, blind to the strand: input (n, 11, 4), output (n, 1).

    Parameters
    ----------
    filters : int
        Each reads the word on both strands.
    known : ndarray of uint8, shape (filters, 11), optional
        Words to start from: each filter begins by counting the bases that it shares with its word, from
        :data:`SHARED` on. Random weights without it.
    """
    import keras
    from keras import layers

    word = keras.Input((WORD, 4))
    flat, filtered = layers.Flatten(), layers.Dense(filters, "relu")
    strands = [filtered(flat(strand)) for strand in (word, keras.ops.flip(word, (1, 2)))]
    taught = keras.Model(word, layers.Dense(1)(layers.Add()(strands)))
    if known is not None:
        kernel = sequences.one_hot(known).reshape(filters, -1).T
        filtered.set_weights([SLOPE * kernel, np.full(filters, -SLOPE * SHARED)])
    return taught


def prototypes(lesson: Lesson, text: Text, count: int, draw: np.random.Generator) -> np.ndarray:
    """Draw words of the sequences to start filters from, the more often the more they tell: uint8 (count, 11)."""
    real = words(text, max(REAL_WORDS, 4 * count), draw, rates=(0.0,))
    telling = np.abs(lesson.targets(real)[:, 0]).astype(float) + 1e-6
    return real[draw.choice(len(real), count, replace=False, p=telling / telling.sum())]


def unfold(taught: keras.Model, model: keras.Model) -> None:
    """Write a student's weights, for both strands, into the layers ``word`` and ``score`` of the network."""
    (kernel, bias), (score, shift) = (layer.get_weights() for layer in taught.layers if layer.get_weights())
    kernel = kernel.reshape(WORD, 4, -1)
    model.get_layer("word").set_weights([np.concatenate([kernel, kernel[::-1, ::-1]], 2), np.tile(bias, 2)])
    model.get_layer("score").set_weights([np.tile(score, (2, 1))[None], shift])


class Distiller:
    """Trains networks by teaching them what a gapped k-mer machine learned from the labels.

    It takes the place of :class:`tfbs.training.Trainer` for architectures that are taught. An epoch is
    :data:`WORDS` words, a batch counts words, and the loss of the recipe measures the two parts, not the lesson.

    Parameters
    ----------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES` with layers ``word``, ``score`` and ``logit``.
    recipe : Recipe
        Optimizer, learning rate (that of the start: it falls to 0 along a cosine), batch size, epochs.
    length : int
        Sequence length, bp.

    Raises
    ------
    ParameterError
        If there is no such architecture, or the sequences are too short for it.
    """

    def __init__(self, arch: str, recipe: Recipe, length: int):
        self.arch, self.recipe, self.length = arch, recipe, length
        architectures.get(arch).require(length)

    def fit(
        self,
        parts: tuple[Dataset, Dataset],
        seed: int,
        on_epoch: OnEpoch | None = None,
        on_rows: Callable[[int], None] | None = None,
    ) -> Trained:
        """Train one network; see :meth:`tfbs.training.Trainer.fit`.

        The history holds ``lesson_mse`` too, the mean squared error of the taught scores in units of their variance.
        After every epoch the logit is scaled on the validation part (:func:`tfbs.calibration.fit`).
        """
        for part in parts:
            training.require_length(part, self.length)
        began, (train, validation) = time.perf_counter(), parts
        rows = _Rows(len(train) * self.recipe.epochs, on_rows)
        draw = np.random.default_rng(seed)
        random.seed(seed)  # Keras draws all its seeds from here
        machine = gapped.teach(train.codes, train.labels, seed, lambda: rows.advance(0.4 / gapped.PASSES))
        text = Text.of(train.codes, train.labels)
        lesson = Lesson.of(machine, text, draw)
        model = architectures.build(self.arch, self.length)
        filters = model.get_layer("word").filters // 2
        taught = student(filters, prototypes(lesson, text, filters, draw))
        learn = self._compiled(taught)
        judged = train.take(np.sort(draw.permutation(len(train))[:JUDGED]))
        history: dict[str, list[float]] = {}
        for epoch in range(self.recipe.epochs):
            error = np.mean([self._piece(learn, lesson, text, draw, rows) for _ in range(PIECES)])
            unfold(taught, model)
            _scale(model, machine, validation)
            values = {**self._judge(model, judged, validation), "lesson_mse": float(error)}
            training.keep(history, values, self.recipe)
            if on_epoch and on_epoch(epoch, values):
                break
        rows.finish()
        return Trained(model, history, time.perf_counter() - began)

    def _compiled(self, taught: keras.Model) -> Callable:
        """Compile what trains the student of one word: see :func:`tfbs.steps.compiled`."""
        import keras

        schedule = keras.optimizers.schedules.CosineDecay(self.recipe.lr, self._batches * PIECES * self.recipe.epochs)
        config = {"class_name": self.recipe.optimizer, "config": {"learning_rate": schedule}}
        optimizer = keras.optimizers.get(config)
        optimizer.build(taught.trainable_variables)
        return steps.compiled(taught, optimizer, replace(self.recipe, loss="mse"))[0]

    @property
    def _batches(self) -> int:
        """Batches of a piece of an epoch."""
        return max(1, WORDS // PIECES // self.recipe.batch_size)

    def _piece(self, learn: Callable, lesson: Lesson, text: Text, draw: np.random.Generator, rows: _Rows) -> float:
        """Draw words and learn them; return the mean squared error."""
        drawn = words(text, self._batches * self.recipe.batch_size, draw)
        order = np.arange(len(drawn), dtype=np.int32).reshape(self._batches, -1)
        losses, _ = learn(order, drawn, lesson.targets(drawn))
        rows.advance(0.6 / PIECES / self.recipe.epochs)
        return float(losses.numpy().mean())

    def _judge(self, model: keras.Model, judged: Dataset, validation: Dataset) -> dict[str, float]:
        """Loss, AUROC and AUPRC as :class:`tfbs.training.Trainer` gives them; of the training part on a sample."""
        seen, unseen = (training.judge(model, model, self.recipe, part) for part in (judged, validation))
        return {
            "loss": seen["loss"],
            "auroc": seen["auroc"],
            **{f"val_{name}": value for name, value in unseen.items()},
        }


def _scale(model: keras.Model, machine: Machine, validation: Dataset) -> None:
    """Let the last layer weigh the words as the machine does, and turn their sum into the logit of a probability."""
    logit, weights = model.get_layer("logit"), gapped.word_weights(validation.length, machine.half)[:, None]
    logit.set_weights([weights, np.zeros(1)])
    scores = training.predict_logits(architectures.logit_model(model), validation.codes)
    spread = scores.std() or 1.0
    platt = calibration.fit(validation.labels, scores / spread)
    logit.set_weights([weights * platt.slope / spread, np.array([platt.intercept])])


@dataclass
class _Rows:
    """Tells progress in rows of the training part."""

    total: int
    on_rows: Callable[[int], None] | None
    done: float = 0.0
    told: int = 0

    def advance(self, share: float) -> None:
        """Tell that a share of the whole is done."""
        self.done = min(1.0, self.done + share)
        count = int(self.done * self.total) - self.told
        if self.on_rows and count:
            self.told += count
            self.on_rows(count)

    def finish(self) -> None:
        """Tell what is left."""
        self.advance(1.0)
