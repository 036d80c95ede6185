"""Make probabilities honest: maps from logits to calibrated logits, fitted on the validation part.

Networks that rank well may be over- or under-confident. Platt's map (a line on the logit scale) keeps the order of the
sequences and the exactness of attributions; isotonic regression bends further but needs more sequences and flattens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from .errors import ParameterError
from .evaluation import informative
from .intervals import checked

METHODS = ("platt", "isotonic")
TITLES = {"none": "as trained", "platt": "after Platt's map", "isotonic": "after isotonic regression"}


@dataclass(frozen=True)
class Platt:
    """Calibrated logit = slope x logit + intercept; the slope is never negative, so that the order stays."""

    slope: float
    intercept: float

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits (n,)."""
        return self.slope * np.asarray(logits, float) + self.intercept


@dataclass(frozen=True)
class Isotonic:
    """A function from logits to probabilities that never falls, linear between its knots and level beyond them."""

    knots: np.ndarray
    probabilities: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits (n,)."""
        return logit(np.interp(np.asarray(logits, float), self.knots, self.probabilities))


def fit(labels: np.ndarray, logits: np.ndarray, method: str = "platt") -> Platt | Isotonic:
    """Fit a calibration map.

    Platt, Advances in Large Margin Classifiers, 61-74 (1999), with his smoothed targets; isotonic regression by
    Zadrozny and Elkan, KDD 2002, with probabilities from 1 / (n + 2) to 1 - 1 / (n + 2), because none of n sequences is
    no proof of 0. The solvers are scikit-learn's.

    Parameters
    ----------
    labels, logits : ndarray, shape (n,)
        Of sequences that training has not seen.
    method : str
        ``platt`` or ``isotonic``.

    Returns
    -------
    Platt or Isotonic
        Maps logits to calibrated logits.

    Raises
    ------
    ParameterError
        If the method is unknown.
    DataError
        See :func:`tfbs.intervals.checked`.
    """
    if method not in METHODS:
        raise ParameterError(f'calibrate: expected one of {", ".join(METHODS)}, received "{method}".')
    labels, logits = checked(labels, logits)
    return _platt(labels, logits) if method == "platt" else _isotonic(labels, logits)


def calibrated(validation: tuple[np.ndarray, np.ndarray], logits: np.ndarray) -> dict[str, np.ndarray]:
    """Logits before and after calibration, by the keys of :data:`TITLES`.

    Parameters
    ----------
    validation : tuple of ndarray, shapes (m,) and (m,)
        Labels and logits that the maps are fitted on.
    logits : ndarray, shape (n,)
        Of other sequences.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        ``none``; with ``platt`` and ``isotonic`` where the validation part can teach them, see
        :func:`tfbs.evaluation.informative`.
    """
    methods = METHODS if informative(*validation) else ()
    return {"none": logits} | {method: fit(*validation, method)(logits) for method in methods}


def _platt(labels: np.ndarray, logits: np.ndarray) -> Platt:
    """Logistic regression on targets a little inside 0 and 1: each sequence counts as both classes, in those shares."""
    from sklearn.linear_model import LogisticRegression

    positives = labels.sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    both = np.repeat([1, 0], len(labels))
    centre = np.median(logits)
    width = np.abs(logits - centre).max() or 1.0
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(np.tile((logits - centre) / width, 2)[:, None], both, np.concatenate([target, 1 - target]))
    slope = float(model.coef_[0, 0] / width)
    if slope > 0:
        return Platt(slope, float(model.intercept_[0] - slope * centre))
    return Platt(0.0, float(logit(target.mean())))


def _isotonic(labels: np.ndarray, logits: np.ndarray) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression().fit(logits, labels)
    least = 1 / (len(labels) + 2)
    return Isotonic(model.X_thresholds_, np.clip(model.y_thresholds_, least, 1 - least))
