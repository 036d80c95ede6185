"""The search itself: Optuna proposes recipes from the finished trials, stops the hopeless ones, ranks the rest.

Nothing is kept between two calls. What is proposed follows from the finished trials and the seed alone, so a search can
be interrupted anywhere, and continues as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from .search import Range, Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

STARTUP_TRIALS = 5
"""Finished trials before any is pruned."""
WARMUP_EPOCHS = 3
"""First epoch, counted from 1, after which a trial may be pruned."""
MIN_IMPORTANCE = 10
"""Finished trials before importances are told."""
TRAINED, COLLAPSED = "trained", "did not train"


@dataclass(frozen=True)
class Trial:
    """A finished trial.

    Attributes
    ----------
    number : int
        Counted from 0, in the order of the proposals.
    params : mapping of str to value
        ``arch`` and every other parameter of the space.
    state : str
        ``complete``; ``pruned`` (stopped early, being worse than half of the trials before it); ``failed``.
    verdict : str
        ``trained``, or ``did not train``: the loss diverged, or the network says the same of every validation
        sequence. Empty if that is not known, because the trial was pruned or its process died.
    auprc : tuple of float
        Validation AUPRC after each epoch.
    brier : float
        Validation Brier score after the last epoch; NaN unless the trial is complete.
    run_id : str
        The run that holds it.
    seconds : float
        Time to train it.
    """

    number: int
    params: Mapping[str, Any]
    state: str
    verdict: str = ""
    auprc: tuple[float, ...] = ()
    brier: float = float("nan")
    run_id: str = ""
    seconds: float = 0.0

    @property
    def value(self) -> float:
        """The objective: validation AUPRC after the last epoch; NaN if there is none."""
        return self.auprc[-1] if self.auprc else float("nan")


def propose(space: Space, seed: int, history: Sequence[Trial], count: int) -> list[dict[str, Any]]:
    """Propose the next trials, all from the same history.

    The first trials are the architectures with their own recipes, as far as the space holds these, so that the best
    trial can be compared with them. The others come from Optuna's tree-structured Parzen estimator (Bergstra et al.,
    NeurIPS 2011), whose generator is seeded anew by `seed` and the number of the first trial.

    Parameters
    ----------
    space : Space
        What is searched.
    seed : int
        Seed of the search.
    history : sequence of Trial
        Trials 0 to n - 1, in order.
    count : int
        Trials wanted: n to n + count - 1.

    Returns
    -------
    list of dict
        ``arch`` and every other parameter of the space.
    """
    optuna = _optuna()
    fresh = int(np.random.SeedSequence([seed, len(history)]).generate_state(1)[0])
    study = _study(space, history, sampler=optuna.samplers.TPESampler(seed=fresh))
    for start in space.published[len(history) : len(history) + count]:
        study.enqueue_trial(start)
    asked = [study.ask(_distributions(space)).params for _ in range(count)]
    return [{key: (space.fixed | params)[key] for key in space.domains} for params in asked]


def rivals(space: Space, history: Sequence[Trial]) -> tuple[FrozenTrial, ...]:
    """What a new trial is compared with: the finished trials as Optuna keeps them; can be pickled."""
    return tuple(_freeze(space, trial) for trial in history)


class Judge:
    """Says after each epoch whether a trial should stop: Optuna's median pruner among the trials given.

    Parameters
    ----------
    others : sequence of FrozenTrial
        See :func:`rivals`.
    """

    def __init__(self, others: Sequence[FrozenTrial]):
        optuna = _optuna()
        pruner = optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=WARMUP_EPOCHS)
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0), pruner=pruner)
        study.add_trials(others)
        self.trial = study.ask()

    def stops(self, epoch: int, auprc: float) -> bool:
        """Take note of the validation AUPRC after an epoch, counted from 1, and decide."""
        self.trial.report(auprc, epoch)
        return self.trial.should_prune()


def ranked(trials: Sequence[Trial]) -> list[Trial]:
    """Complete trials, the best first: by validation AUPRC, then by lower Brier score, then the earlier one.

    The Brier score breaks ties as it does between champions: unlike the loss it means the same for every recipe. AUPRCs
    that differ by rounding alone are ties.
    """
    complete = [trial for trial in trials if trial.state == "complete"]
    return sorted(complete, key=lambda trial: (-round(trial.value, 9), trial.brier, trial.number))


def importances(space: Space, trials: Sequence[Trial]) -> dict[str, float]:
    """Share of the variance of the objective that each searched parameter explains.

    Functional analysis of variance (Hutter, Hoos and Leyton-Brown, ICML 2014) over the complete trials and those that
    did not train, which count as 0.

    Returns
    -------
    dict of str to float
        The largest first; empty if fewer than MIN_IMPORTANCE trials count, or if all of them score the same.
    """
    optuna = _optuna()
    study = _study(space, trials)
    values = [trial.value for trial in study.get_trials(states=[optuna.trial.TrialState.COMPLETE])]
    if len(values) < MIN_IMPORTANCE or np.ptp(values) == 0:
        return {}
    return optuna.importance.get_param_importances(study, evaluator=optuna.importance.FanovaImportanceEvaluator(seed=0))


def _study(space: Space, trials: Sequence[Trial], **options: Any) -> Study:
    study = _optuna().create_study(direction="maximize", **options)
    study.add_trials(rivals(space, trials))
    return study


def _freeze(space: Space, trial: Trial) -> FrozenTrial:
    """Tell Optuna of a trial.

    One that did not train counts as the worst there is, an AUPRC of 0, and leaves no values by epoch, so that trials
    are not judged by its low ones. One whose process died says nothing of its recipe and counts for nothing.
    """
    optuna = _optuna()
    states = optuna.trial.TrialState
    known = {
        "params": {key: trial.params[key] for key in space.searched},
        "distributions": _distributions(space),
    }
    if trial.verdict == COLLAPSED:
        return optuna.trial.create_trial(state=states.COMPLETE, value=0.0, **known)
    epochs = dict(enumerate(trial.auprc, 1))
    if trial.state == "complete":
        return optuna.trial.create_trial(state=states.COMPLETE, value=trial.value, intermediate_values=epochs, **known)
    state = states.PRUNED if trial.state == "pruned" else states.FAIL
    return optuna.trial.create_trial(state=state, intermediate_values=epochs, **known)


def _distributions(space: Space) -> dict[str, Any]:
    """The searched part of the space in Optuna's words."""
    made = _optuna().distributions
    kinds = {int: made.IntDistribution, float: made.FloatDistribution}
    return {
        key: kinds[type(domain.low)](domain.low, domain.high, log=domain.logarithmic)
        if isinstance(domain, Range)
        else made.CategoricalDistribution(domain)
        for key, domain in space.searched.items()
    }


def _optuna():
    """Optuna, silent."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
