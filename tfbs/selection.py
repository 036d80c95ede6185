"""Choose architecture and recipe on the validation part, within a time budget.

Every architecture that the length of the sequences allows is trained once, those that are taught first: they rank
binding sites best where sequences are few. The others follow their published recipe as long as an epoch of it has at
most :data:`STEPS` steps. Beyond, the loss is cross-entropy, and until an epoch has no more steps, at most
:data:`MOST_GROWTH` times, the batch is made four times as large, the learning rate twice (the square-root rule for
adaptive optimizers: Malladi et al., "On the SDEs and scaling rules for adaptive gradient algorithms", NeurIPS 2022) and
the number of epochs half. Those that are taught keep their recipe, for their epochs do not grow with the data.

The network with the highest validation AUPRC is kept as it is; of equals that with fewer weights. The test part has no
say.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from . import architectures, training
from .architectures import Architecture, Recipe
from .datasets import Dataset
from .errors import ParameterError, TrainingError
from .plan import Contender
from .training import Trained

STEPS = 2_000
MOST_GROWTH = 3


@dataclass(frozen=True)
class Trial:
    """A candidate and what became of it.

    Attributes
    ----------
    contender : Contender
        Architecture and recipe.
    outcome : str
        ``trained``; ``stopped`` after an epoch, as the budget was spent; ``skipped``, as it was spent before; or
        ``diverged``: the loss became infinite or not a number.
    trained : Trained, optional
        The network, of a candidate that was trained or stopped.
    """

    contender: Contender
    outcome: str
    trained: Trained | None = None

    def __str__(self) -> str:
        return f"{self.contender.name} {f'{self.auprc:.4f}' if self.trained else self.outcome}"

    @property
    def auprc(self) -> float:
        """Validation AUPRC of the network."""
        return self.trained.history["val_auprc"][-1]

    @property
    def epochs(self) -> int:
        """Epochs that it was trained for."""
        return len(self.trained.history["val_auprc"])

    @property
    def rank(self) -> tuple[float, int]:
        """The higher the better."""
        return self.auprc, -self.trained.model.count_params()

    @property
    def row(self) -> dict[str, Any]:
        """Its line of the table."""
        recipe = self.contender.recipe
        found = dict.fromkeys(("val_auprc", "val_auroc", "epochs_trained", "seconds", "n_weights"))
        if self.trained:
            found = {
                "val_auprc": self.auprc,
                "val_auroc": self.trained.history["val_auroc"][-1],
                "epochs_trained": self.epochs,
                "seconds": self.trained.seconds,
                "n_weights": self.trained.model.count_params(),
            }
        asked = {name: getattr(recipe, name) for name in ("loss", "optimizer", "lr", "batch_size", "epochs")}
        return {"arch": self.contender.arch, "outcome": self.outcome, **found, **asked}


@dataclass(frozen=True)
class Selection:
    """All trials, at least one of them with a network, and the seconds that they took of a budget."""

    trials: tuple[Trial, ...]
    seconds: float
    budget: float

    @cached_property
    def best(self) -> Trial:
        """The trial that was chosen."""
        return max((trial for trial in self.trials if trial.trained), key=lambda trial: trial.rank)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A line for each trial, in the order in which they were trained."""
        return [{"chosen": trial is self.best, **trial.row} for trial in self.trials]

    def sentences(self) -> tuple[str, ...]:
        """Say what was chosen, from what, and what the budget cut short."""
        best, others = self.best, ", ".join(str(trial) for trial in self.trials if trial is not self.best)
        chosen = f"{best.contender.name} was chosen of {len(self.trials)} by validation AUPRC {best.auprc:.4f}"
        found = [f"{chosen}{f' ({others})' if others else ''} in {self.seconds:.1f} s."]
        cut = [
            f"{trial.contender.name} was stopped after {trial.epochs} of {trial.contender.recipe.epochs} epochs"
            for trial in self.trials
            if trial.outcome == "stopped"
        ]
        cut += [f"{trial.contender.name} was skipped" for trial in self.trials if trial.outcome == "skipped"]
        if cut:
            found.append(f"The budget of {self.budget:g} s was spent: {', '.join(cut)}.")
        return tuple(found)


def allowed(length: int) -> list[Architecture]:
    """The architectures that take sequences of `length` bp, those that are taught first.

    Raises
    ------
    ParameterError
        If there is none.
    """
    known = sorted(architectures.ARCHITECTURES.values(), key=lambda one: not one.taught)
    shortest = min(one.min_length for one in known)
    if length < shortest:
        raise ParameterError(
            f"arch=auto: expected sequences of at least {shortest} bp, received {length} bp: use longer sequences."
        )
    return [one for one in known if one.min_length <= length]


def candidates(n: int, length: int, values: Mapping[str, Any] | None = None) -> list[Contender]:
    """Architectures with the recipes that suit the data, in the order in which they are tried.

    Parameters
    ----------
    n : int
        Training sequences.
    length : int
        Their length, bp.
    values : mapping of str to value, optional
        Values of a recipe that hold for all.

    Returns
    -------
    list of Contender
        One an architecture.

    Raises
    ------
    ParameterError
        If the sequences are too short for every architecture.
    """
    return [Contender(one.name, one.name, replace(_scaled(one, n), **(values or {}))) for one in allowed(length)]


def _scaled(one: Architecture, n: int) -> Recipe:
    """The recipe of an architecture for `n` training sequences."""
    recipe = one.recipe
    for _ in range(0 if one.taught else MOST_GROWTH):
        if n > STEPS * recipe.batch_size:
            sizes = {"batch_size": 4 * recipe.batch_size, "epochs": math.ceil(recipe.epochs / 2)}
            recipe = replace(recipe, loss="bce", lr=2 * recipe.lr, **sizes)
    return recipe


def choose(
    parts: tuple[Dataset, Dataset],
    contenders: Sequence[Contender],
    seed: int,
    budget: float,
    clock: Callable[[], float] = time.monotonic,
) -> Selection:
    """Train the candidates one after another, with a progress bar each, and keep the best.

    Parameters
    ----------
    parts : tuple of Dataset
        Training part and validation part.
    contenders : sequence of Contender
        What to try, in order.
    seed : int
        Seed of every network.
    budget : float
        Seconds. A candidate that is trained when they are over stops at the end of its epoch, and no other is begun,
        unless there is no network yet.
    clock : callable
        Tells the seconds.

    Returns
    -------
    Selection

    Raises
    ------
    TrainingError
        If every candidate diverges.
    """
    began, trials = clock(), []

    def spent(*_: Any) -> bool:
        return clock() - began >= budget

    for contender in contenders:
        skipped = any(trial.trained for trial in trials) and spent()
        trials.append(Trial(contender, "skipped") if skipped else _try(contender, parts, seed, spent))
    if not any(trial.trained for trial in trials):
        raise TrainingError(
            "arch=auto: expected a network with a finite loss, received none from "
            f"{', '.join(contender.name for contender in contenders)}: lower the learning rate (lr)."
        )
    return Selection(tuple(trials), clock() - began, budget)


def _try(contender: Contender, parts: tuple[Dataset, Dataset], seed: int, spent: Callable[..., bool]) -> Trial:
    """Train one candidate until its last epoch or until the budget is spent."""
    try:
        trained = training.train(contender.arch, contender.recipe, parts, seed, spent)
    except TrainingError:
        return Trial(contender, "diverged")
    trial = Trial(contender, "trained", trained)
    return trial if trial.epochs == contender.recipe.epochs else replace(trial, outcome="stopped")
