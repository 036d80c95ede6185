"""Network architectures: a builder in stock Keras layers plus the recipe it was published with.

To add an architecture, write one function here that takes the sequence length and returns an uncompiled
:class:`keras.Model`, and decorate it with :func:`architecture`: it then appears in the choices, the help and the tests.
The head must be one sigmoid unit, or two softmax units (negative, positive).

Source of the two published networks: "Deep Learning for Genomics" (Packt, 2022), chapter 10, which follows Zou et al.,
"A primer on deep learning in genomics", Nature Genetics 51, 12-18 (2019).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ParameterError, did_you_mean, require

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; the defaults are the published recipe.

    Attributes
    ----------
    loss : str
        ``mse`` (the published one) or ``bce`` (cross-entropy).
    optimizer : str
        A Keras optimizer: ``adam``, ``adamw``, ``sgd``, ``rmsprop``, ``nadam``.
    lr : float
        Learning rate, > 0.
    batch_size, epochs : int
        Sequences per gradient step, passes over the training part; >= 1.
    test_size : float
        Share of all sequences held out for the test, in (0, 1).
    val_size : float
        Share of the training part used for validation (its last rows), in (0, 1).
    split_seed : int
        ``random_state`` of the split.
    """

    loss: str = "mse"
    optimizer: str = "adam"
    lr: float = 1e-3
    batch_size: int = 10
    epochs: int = 10
    test_size: float = 0.25
    val_size: float = 0.1
    split_seed: int = 42

    def __post_init__(self):
        checks = {
            "loss": (self.loss in LOSSES, f"one of {', '.join(LOSSES)}"),
            "optimizer": (self.optimizer in OPTIMIZERS, f"one of {', '.join(OPTIMIZERS)}"),
            "lr": (0 < self.lr < float("inf"), "a positive number"),
            "batch_size": (self.batch_size >= 1, "a whole number of at least 1"),
            "epochs": (self.epochs >= 1, "a whole number of at least 1"),
            "test_size": (0 < self.test_size < 1, "a share between 0 and 1"),
            "val_size": (0 < self.val_size < 1, "a share between 0 and 1"),
            "split_seed": (0 <= self.split_seed < 2**32, "a whole number from 0 to 4294967295"),
        }
        require(self, checks, {"loss": LOSSES, "optimizer": OPTIMIZERS})


LOSSES = ("mse", "bce")
OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop", "nadam")


@dataclass(frozen=True)
class Architecture:
    """A named builder with its default recipe and the shortest sequence it can take (bp).

    `taught` says how it is trained: by :class:`tfbs.distillation.Distiller` if True, else on the labels.
    """

    name: str
    build: Callable[[int], keras.Model]
    recipe: Recipe
    min_length: int
    summary: str
    taught: bool = False

    def require(self, length: int) -> None:
        """Raise ParameterError unless sequences of `length` bp are long enough."""
        if length < self.min_length:
            raise ParameterError(
                f"arch={self.name}: expected sequences of at least {self.min_length} bp, received {length} bp: use "
                "longer sequences or another architecture."
            )


ARCHITECTURES: dict[str, Architecture] = {}


def architecture(recipe: Recipe, min_length: int, taught: bool = False):
    """Register a builder under its function name, with its recipe, its shortest input (bp) and how it is trained."""

    def register(build: Callable[[int], keras.Model]) -> Callable[[int], keras.Model]:
        summary = (build.__doc__ or "").strip().partition("\n")[0]
        ARCHITECTURES[build.__name__] = Architecture(build.__name__, build, recipe, min_length, summary, taught)
        return build

    return register


@architecture(Recipe(), min_length=15)
def baseline(length: int) -> keras.Model:
    """Conv1D(32, 12) linear, max-pool 4, Dense 16, one sigmoid unit; 6,209 parameters on 50 bp."""
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((length, 4), name="sequence"),
            layers.Conv1D(32, 12),
            layers.MaxPooling1D(4),
            layers.Flatten(),
            layers.Dense(16, activation="relu"),
            layers.Dense(1, activation="sigmoid"),
        ],
        name="baseline",
    )


@architecture(Recipe(), min_length=5)
def modified(length: int) -> keras.Model:
    """Conv1D(32, 12, same), max-pool 5, ten dense layers, two softmax units; 128,050 parameters on 50 bp."""
    import keras
    from keras import layers

    stack = [keras.Input((length, 4), name="sequence"), layers.Conv1D(32, 12, padding="same")]
    stack += [layers.MaxPooling1D(5), layers.Flatten()]
    for units in (256, 128, 64, 32):
        stack += [layers.Dense(units, activation="relu"), layers.Dropout(0.2)]
    stack += [layers.Dense(units, activation="relu") for units in (16, 16, 8, 8, 4, 4)]
    return keras.Sequential([*stack, layers.Dense(2, activation="softmax")], name="modified")


@architecture(Recipe(lr=1e-2, batch_size=1024, epochs=3, val_size=0.05), min_length=11, taught=True)
def gapped(length: int) -> keras.Model:
    """Conv1D(4096, 11) ReLU, Conv1D(1, 1), weighted sum over positions; taught by a gapped k-mer machine.

    Both strands of a sequence get the same logit: see :mod:`tfbs.distillation`. 188,418 parameters and one a position.
    """
    import keras
    from keras import layers

    return keras.Sequential(
        [
            keras.Input((length, 4), name="sequence"),
            layers.Conv1D(4096, 11, activation="relu", name="word"),
            layers.Conv1D(1, 1, name="score"),
            layers.Flatten(),
            layers.Dense(1, activation="sigmoid", name="logit"),
        ],
        name="gapped",
    )


def get(name: str) -> Architecture:
    """Look an architecture up by name.

    Raises
    ------
    ParameterError
        If there is none of that name.
    """
    if name not in ARCHITECTURES:
        raise ParameterError(
            f'arch: expected one of {", ".join(ARCHITECTURES)}, received "{name}"'
            f"{did_you_mean(name, ARCHITECTURES) or '.'}"
        )
    return ARCHITECTURES[name]


def build(name: str, length: int) -> keras.Model:
    """Build an untrained network.

    Parameters
    ----------
    name : str
        A key of :data:`ARCHITECTURES`.
    length : int
        Sequence length, bp.

    Returns
    -------
    keras.Model
        Input (N, length, 4) float32; output (N, 1) sigmoid or (N, 2) softmax.

    Raises
    ------
    ParameterError
        If the name is unknown or the sequences are too short for the network.
    """
    chosen = get(name)
    chosen.require(length)
    return chosen.build(length)


def width(model: keras.Model) -> int:
    """Numbers that the widest layer of a network holds for each base of its input: what sets the memory of a batch."""
    sizes = [math.prod(layer.output.shape[1:]) for layer in model.layers if not hasattr(layer, "layers")]
    inner = [width(layer) for layer in model.layers if hasattr(layer, "layers")]
    return max([-(-max(sizes) // model.input_shape[1]), *inner])


def logit_model(model: keras.Model) -> keras.Model:
    """Return the same network with one linear output, the logit of the positive class.

    A sigmoid head gives its pre-activation z; a two-unit softmax head gives z1 - z0, as one unit with the weights
    W[:, 1] - W[:, 0]. sigmoid(logit) equals the network's probability. Attributions explain this scalar.

    Parameters
    ----------
    model : keras.Model
        Ends in Dense(1, sigmoid) or Dense(2, softmax).

    Returns
    -------
    keras.Model
        Input (N, L, 4); output (N, 1) float32. Weights are copied, so later training does not reach it.

    Raises
    ------
    ParameterError
        If the head is another one.
    """
    import keras

    head = model.layers[-1]
    kind = (getattr(head, "units", None), getattr(getattr(head, "activation", None), "__name__", None))
    if kind not in ((1, "sigmoid"), (2, "softmax")):
        raise ParameterError(
            f"Expected a network that ends in Dense(1, sigmoid) or Dense(2, softmax), received {head.name} with "
            f"(units, activation) = {kind}."
        )
    twin = keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    weights = twin.layers[-1].get_weights()
    if kind[0] == 2:
        weights = [w[..., 1:] - w[..., :1] for w in weights]
    logit = keras.layers.Dense(1, use_bias=head.use_bias, name="logit")
    result = keras.Model(twin.inputs[0], logit(twin.layers[-1].input), name=f"{model.name}_logit")
    logit.set_weights(weights)
    return result
