"""A version of a model as its tags describe it, and the gates that it must pass before it can be champion."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .attribution import ADDITIVITY_LIMIT
from .evaluation import COLLAPSE_SD

CALIBRATION_LIMIT = 0.10
"""Calibration error that a version must not be shown to exceed.

It is held against the lower 95 % limit of the error on the validation part. The value itself would refuse good networks
on small parts, because noise only adds to it. A network whose probabilities are off by ten percentage points on average
misleads whoever reads them as probabilities; ranking metrics do not notice.
"""

REPRODUCTION_LIMIT = 1e-4
"""Largest difference of a reloaded network's logits, in units of their spread; see :func:`reproduction_error`.

Another machine or batch size changes single-precision logits by about 1e-6 of their spread. Another set of weights, or
sequences encoded in another way, changes them by 1e-2 or more.
"""

_LIMITS = {
    "calibrated": ("ece_lo", CALIBRATION_LIMIT, "a calibration error (ECE) of at least {:.3f}"),
    "additivity": ("additivity", ADDITIVITY_LIMIT, "contributions that miss the logit by {:.1e}, relative"),
    "reproduces": ("reproduction_error", REPRODUCTION_LIMIT, "reloaded logits that differ by {:.1e} of their spread"),
}
_NOT_RECORDED = "not recorded: train it again"


@dataclass(frozen=True)
class Version:
    """A version as the registry holds it; None where a figure was not recorded.

    Attributes
    ----------
    number : int
        1 is the oldest.
    run_id : str
        The run that holds its predictions.
    network : str
        Architecture, and seed or number of members.
    data, split : str
        Digests (SHA-256) of the data set and of its three parts.
    score, lo, hi : float or None
        Area under the precision-recall curve of the validation part, and its 95 % interval.
    brier, ece, ece_lo : float or None
        Brier score, calibration error and its lower 95 % limit, all on the validation part.
    trained : bool or None
        Whether it tells sequences apart at all.
    additivity : float or None
        Relative additivity error of its explanations.
    reproduction_error : float or None
        See :func:`reproduction_error`.
    note : str
        What stands in its description about its place.
    held_out : bool
        Whether its scores are of other logits than its run logged, because members have seen the validation part of
        others.
    """

    number: int
    run_id: str = ""
    network: str = ""
    data: str = ""
    split: str = ""
    score: float | None = None
    lo: float | None = None
    hi: float | None = None
    brier: float | None = None
    ece: float | None = None
    ece_lo: float | None = None
    trained: bool | None = None
    additivity: float | None = None
    reproduction_error: float | None = None
    note: str = ""
    held_out: bool = False

    @classmethod
    def of(cls, number: int, run_id: str, tags: Mapping[str, str], description: str = "") -> Version:
        """Read a version from its tags; see :func:`_note` for its note."""
        figures = {
            field: _number(tags.get(tag))
            for field, tag in (
                ("score", "selection_score"),
                ("lo", "selection_lo"),
                ("hi", "selection_hi"),
                ("brier", "val_brier"),
                ("ece", "val_ece"),
                ("ece_lo", "val_ece_lo"),
                ("additivity", "additivity"),
                ("reproduction_error", "reproduction_error"),
            )
        }
        reason, members = tags.get("reason", ""), tags.get("members", "1")
        which = f"seed {tags.get('seed', '?')}" if members == "1" else f"{members} members"
        return cls(
            number,
            run_id or "",
            f"{tags.get('arch', 'unknown network')}, {which}",
            tags.get("data_digest", ""),
            tags.get("split_digest", ""),
            **figures,
            trained={"true": True, "false": False}.get(tags.get("trained", "")),
            note=_note(reason, description),
            held_out=tags.get("held_out") == "true",
        )

    @property
    def scored(self) -> bool:
        """Whether it can be compared with any other: it has its score, and the digests of what it was scored on."""
        return None not in (self.score, self.brier) and bool(self.data and self.split)

    @property
    def basis(self) -> tuple[str, str]:
        """Data and split digests; versions are comparable if both agree."""
        return self.data, self.split

    @property
    def rank(self) -> tuple[float, float, int]:
        """Sort key, best first: highest score, then lowest Brier score, then the older version."""
        return -self.score, self.brier, self.number

    @property
    def eligible(self) -> bool:
        """Whether it passes every gate."""
        return all(gate.passed for gate in gates(self))


def _note(reason: str, description: str) -> str:
    """The note of a version, as tag and description hold it.

    Two writers that cross may leave one half each. Where either half then claims a place, what is returned claims it
    too, but equals no note, so that it is written again; other differences, as descriptions of the user's own, stay.
    """
    if reason == description:
        return reason
    claims = [half for half in (reason, description) if half.startswith(("Champion", "Challenger"))]
    return f"{claims[0]} (half written)" if claims else ""


@dataclass(frozen=True)
class Gate:
    """A condition that a champion must meet, whether a version does, and the figure in a sentence."""

    name: str
    passed: bool
    detail: str


def gates(version: Version) -> tuple[Gate, ...]:
    """Hold a version against every gate.

    Returns
    -------
    tuple of Gate
        ``trained``: it tells sequences apart; ``calibrated``: see :data:`CALIBRATION_LIMIT`; ``additivity``: its
        explanations add up within :data:`tfbs.attribution.ADDITIVITY_LIMIT`; ``reproduces``: loaded again, it gives the
        logits that were logged, see :data:`REPRODUCTION_LIMIT`. What was not recorded does not pass.
    """
    told = {True: "it tells sequences apart", False: "it says the same of every validation sequence"}
    found = [Gate("trained", bool(version.trained), told.get(version.trained, _NOT_RECORDED))]
    for name, (field, limit, text) in _LIMITS.items():
        value = getattr(version, field)
        if value is None:
            found.append(Gate(name, False, _NOT_RECORDED))
        else:
            found.append(Gate(name, value <= limit, f"{text.format(value)} (limit {limit:g})"))
    return tuple(found)


def failures(version: Version) -> str:
    """Name the gates that a version does not pass, each with its figure; empty if it passes all."""
    return "; ".join(f"{gate.name}: {gate.detail}" for gate in gates(version) if not gate.passed)


def reproduction_error(reloaded: np.ndarray, logged: np.ndarray) -> float:
    """Measure how far a reloaded network is from the one that was logged.

    Parameters
    ----------
    reloaded, logged : ndarray of float, shape (n,)
        Logits of the same sequences.

    Returns
    -------
    float
        Largest absolute difference, in units of the standard deviation of the logged logits; infinite if one of the
        reloaded is not finite.
    """
    reloaded, logged = np.asarray(reloaded, float), np.asarray(logged, float)
    error = np.abs(reloaded - logged).max() / max(logged.std(), COLLAPSE_SD)
    return float(error) if np.isfinite(error) else float("inf")


def _number(text: str | None) -> float | None:
    """Read a figure; None if it is missing or not a number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return None if np.isnan(value) else value
