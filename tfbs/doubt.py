"""What attributions must survive to be trusted: networks that forgot what they learned, and networks of other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from . import agreement, randomisation
from .attribution import deep_shap
from .intervals import Estimate
from .randomisation import Cascade
from .sequences import one_hot

if TYPE_CHECKING:
    import keras

SEQUENCES, REFERENCES, NETWORKS = 20, 10, 5
"""Sequences, references and re-initialisations of the test, at most."""


@dataclass(frozen=True)
class Doubt:
    """How the attributions of a network stood the tests.

    Attributes
    ----------
    cascade : Cascade
        What is left of them when the network forgets what it learned.
    seeds : ndarray of float64, shape (m,)
        Their correlation with those of m networks that differ in the seed alone, see
        :func:`tfbs.agreement.attributions`.
    n : int
        Sequences of the test.
    """

    cascade: Cascade
    seeds: np.ndarray
    n: int

    @property
    def metrics(self) -> dict[str, Estimate]:
        """What is logged, by name."""
        found = {"shap/left_when_randomised": self.cascade.left}
        if len(self.seeds):
            found["shap/seed_correlation"] = Estimate(self.seeds.mean(), self.seeds.min(), self.seeds.max(), self.n)
        return {name: estimate for name, estimate in found.items() if np.isfinite(estimate.value)}

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same in words."""
        told = [randomisation.sentence(self.cascade)]
        if len(self.seeds) == 1:
            told.append(
                f"A network of another seed points at the same bases with a correlation of {self.seeds[0]:.2f}."
            )
        elif len(self.seeds):
            told.append(
                f"Networks of {len(self.seeds)} other seeds point at the same bases with a mean correlation of "
                f"{self.seeds.mean():.2f} ({self.seeds.min():.2f} to {self.seeds.max():.2f})."
            )
        return tuple(told)


def doubt(model: keras.Model, others: Sequence[keras.Model], codes: np.ndarray, references: np.ndarray) -> Doubt:
    """Test the attributions of a network.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1) logit.
    others : sequence of keras.Model
        The same architecture, trained on the same data with other seeds; may be empty.
    codes : ndarray of uint8, shape (n, L)
        Sequences, of which the first :data:`SEQUENCES` are explained.
    references : ndarray, shape (k, L, 4) or (n, k, L, 4)
        Of these the first :data:`REFERENCES`.

    Returns
    -------
    Doubt

    Raises
    ------
    AttributionError
        As :func:`tfbs.randomisation.cascade`.
    """
    x = one_hot(codes[:SEQUENCES])
    references = (references if references.ndim == 3 else references[:SEQUENCES])[..., :REFERENCES, :, :]
    found = np.stack([deep_shap(each, x, references).contributions for each in (model, *others)])
    cascade = randomisation.cascade(model, x, references, networks=NETWORKS)
    return Doubt(cascade, agreement.attributions(found)[0, 1:], len(x))
