"""Whether attributions depend on what a network learned: they must be lost as its layers are re-initialised.

The test of Adebayo et al.: the layers go back to random weights one after another, from the logit to the first
convolution, and the bases are explained again after each. Attributions that stayed as they were would come from the
sequences and the method, not from the training.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtrit

from .agreement import rank_correlation
from .attribution import deep_shap
from .errors import AttributionError
from .intervals import Estimate

if TYPE_CHECKING:
    import keras

NETWORKS = 10


@dataclass(frozen=True)
class Agreement:
    """How far attributions agree: Spearman's rho over the positions of a sequence, mean over sequences and networks.

    Attributes
    ----------
    signed : Estimate
        Of the contributions. Chance is 0 from the moment the logit is re-initialised, whatever is left below it: its
        random weights have either sign alike.
    absolute : Estimate
        Of their absolute values, for which that sign does not matter. Chance is above 0 where any network gives some
        positions less: the ends, which fewer windows of a convolution without padding see.
    means : ndarray of float64, shape (2, networks)
        Mean over the sequences for each re-initialisation: signed, then absolute.
    """

    signed: Estimate
    absolute: Estimate
    means: np.ndarray


@dataclass(frozen=True)
class Cascade:
    """What is left of a network's attributions while it forgets.

    Attributes
    ----------
    layers : tuple of str
        Layers with weights, the logit first: the order in which they are re-initialised.
    steps : tuple of Agreement, one more than the layers
        With the attributions of the trained network, after none, one, two, ... all of them.
    chance : Agreement
        Of untrained networks with each other.
    left : Estimate
        The verdict: absolute agreement after all of them less chance, in the same sequences.
    """

    layers: tuple[str, ...]
    steps: tuple[Agreement, ...]
    chance: Agreement
    left: Estimate


def cascade(
    model: keras.Model, x: np.ndarray, references: np.ndarray, seed: int = 0, networks: int = NETWORKS
) -> Cascade:
    """Re-initialise a network layer by layer, from the logit down, and compare its attributions with those before.

    Parameters
    ----------
    model, x, references
        As for :func:`tfbs.attribution.deep_shap`, at least 2 sequences. The network stays as it is.
    seed : int
        Of the random weights.
    networks : int
        Times that all this is done, at least 2, each with random weights of its own. A layer draws them as it did
        before its training. The time is that of `networks` explanations for each layer.

    Returns
    -------
    Cascade
        With 95 % intervals over both sequences and re-initialisations. Sequences are left out where one of two
        networks gives all positions the same.

    Raises
    ------
    AttributionError
        If there are fewer than 2 re-initialisations or sequences, or as for :func:`tfbs.attribution.deep_shap`.

    References
    ----------
    Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
    """
    if min(networks, len(x)) < 2:
        raise AttributionError(
            f"Expected at least 2 re-initialisations and 2 sequences, received {networks} and {len(x)}: an interval "
            "takes more of them."
        )
    layers = [i for i, layer in enumerate(model.layers) if layer.weights][::-1]
    trained = deep_shap(model, x, references).contributions
    found = np.stack([_forget(model, x, references, layers, seed + i) for i in range(networks)], axis=1)
    untrained, others = found[-1], np.roll(found[-1], 1, axis=0)
    left = rank_correlation(*map(np.abs, (untrained, trained))) - rank_correlation(*map(np.abs, (untrained, others)))
    steps = tuple(_agreement(each, trained) for each in (np.stack([trained] * networks), *found))
    names = tuple(model.layers[i].name for i in layers)
    return Cascade(names, steps, _agreement(untrained, others), _estimate(left))


def sentence(found: Cascade) -> str:
    """Say what is left of the attributions in a network that has forgotten all."""
    last, chance = found.steps[-1].absolute, found.chance.absolute.value
    if np.isnan(found.left.value):
        return (
            "What randomising the network leaves is unknown: with or without its training, it gives all bases the same."
        )
    return (
        f"With random weights in place of the learned ones the sizes of contributions keep a rank correlation of "
        f"{last.value:.2f} with those of the trained network, where untrained networks agree by {chance:.2f}: "
        f"{found.left.value:+.2f} (95 % interval {found.left.lo:+.2f} to {found.left.hi:+.2f}) is left."
    )


def _forget(
    model: keras.Model, x: np.ndarray, references: np.ndarray, layers: list[int], seed: int
) -> list[np.ndarray]:
    """Contributions (n, L) after each of the layers."""
    import keras

    with _seeded(seed):
        fresh, twin = keras.models.clone_model(model), keras.models.clone_model(model)
    twin.set_weights(model.get_weights())
    found = []
    for i in layers:
        twin.layers[i].set_weights(fresh.layers[i].get_weights())
        found.append(deep_shap(twin, x, references).contributions)
    return found


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed Python's generator, from which Keras's initialisers take their seeds, and put it back afterwards."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)


def _agreement(found: np.ndarray, other: np.ndarray) -> Agreement:
    """Compare contributions (networks, n, L) with others of that shape or (n, L)."""
    values = np.array([rank_correlation(found, other), rank_correlation(np.abs(found), np.abs(other))])
    return Agreement(*map(_estimate, values), _mean(values, 2))


def _estimate(values: np.ndarray) -> Estimate:
    """Mean of (networks, n) with a 95 % interval for drawing both networks and sequences anew, by Student's quantile.

    The variance is that of the rows' mean and that of the columns' mean together, which is never too small on average;
    its degrees of freedom are Satterthwaite's (1946).
    """
    value = float(_mean(values, None))
    means = [each[np.isfinite(each)] for each in (_mean(values, 1), _mean(values, 0))]
    if min(map(len, means)) < 2:
        return Estimate(value, np.nan, np.nan, len(means[1]))
    parts = [each.var(ddof=1) / len(each) for each in means]
    squares = sum(part**2 / (len(each) - 1) for part, each in zip(parts, means, strict=True))
    half = float(stdtrit(sum(parts) ** 2 / squares, 0.975) * sum(parts) ** 0.5) if squares else 0.0
    return Estimate(value, value - half, value + half, len(means[1]))


def _mean(values: np.ndarray, axis: int | None) -> np.ndarray:
    """Mean without NaN; NaN where nothing else is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.nanmean(values, axis=axis)
