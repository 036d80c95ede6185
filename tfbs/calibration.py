"""Make probabilities honest: a map from logits to probabilities, fitted on the validation part.

Networks that rank well may be over- or under-confident. Platt's map (a line on the logit scale) keeps the order of the
sequences and the exactness of attributions; isotonic regression bends further but needs more sequences and flattens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from .errors import ParameterError
from .intervals import checked

METHODS = ("platt", "isotonic")
EDGE = 1e-6


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
    """A rising step function from logits to probabilities, linear between its knots."""

    knots: np.ndarray
    probabilities: np.ndarray

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrate logits (n,); probabilities are kept 1e-6 away from 0 and 1, so that logits stay finite."""
        found = np.interp(np.asarray(logits, float), self.knots, self.probabilities)
        return logit(np.clip(found, EDGE, 1 - EDGE))


def fit(labels: np.ndarray, logits: np.ndarray, method: str = "platt") -> Platt | Isotonic:
    """Fit a calibration map.

    Platt, Advances in Large Margin Classifiers, 61-74 (1999), with his smoothed targets; isotonic regression by
    Zadrozny and Elkan, KDD 2002. Both are scikit-learn's.

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


def _platt(labels: np.ndarray, logits: np.ndarray) -> Platt:
    """Logistic regression on targets a little inside 0 and 1: each sequence counts as both classes, in those shares."""
    from sklearn.linear_model import LogisticRegression

    positives = labels.sum()
    target = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (len(labels) - positives + 2))
    both = np.repeat([1, 0], len(labels))
    model = LogisticRegression(C=np.inf, tol=1e-8, max_iter=1000)
    model.fit(np.tile(logits, 2)[:, None], both, np.concatenate([target, 1 - target]))
    slope = float(model.coef_[0, 0])
    if slope > 0:
        return Platt(slope, float(model.intercept_[0]))
    return Platt(0.0, float(logit(target.mean())))


def _isotonic(labels: np.ndarray, logits: np.ndarray) -> Isotonic:
    from sklearn.isotonic import IsotonicRegression

    model = IsotonicRegression(out_of_bounds="clip").fit(logits, labels)
    return Isotonic(model.X_thresholds_, model.y_thresholds_)
