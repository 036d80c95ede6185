"""What a search found, told three ways: the description in the UI, the terminal, and a self-contained web page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from . import architectures, page, study
from .errors import TrainingError
from .search import Request
from .study import COLLAPSED, Trial

BEST = 5
CAPTIONS = {
    "search": "Objective by trial",
    "importance": "Importance of the parameters",
    "slices": "Objective by parameter",
}


@dataclass(frozen=True)
class Ranking:
    """Title, sentences (the best configuration first), the best trials, and the commands that go on from here.

    `best` is the chosen trial, `shares` the importance of each parameter, empty where it cannot be told.
    """

    title: str
    best: Trial
    sentences: tuple[str, ...]
    rows: list[dict[str, str]]
    shares: Mapping[str, float]
    commands: Mapping[str, str]

    def markdown(self) -> str:
        """The run's description: the table first, because the UI folds the rest away."""
        commands = [f"{purpose}:\n\n    {command}" for purpose, command in self.commands.items()]
        return "\n\n".join([page.markdown_table(self.rows), *self.sentences, *commands])

    def text(self) -> str:
        """The end of the terminal output."""
        commands = [f"{purpose}:\n  {command}" for purpose, command in self.commands.items()]
        return "\n".join([self.title, *self.sentences, "", page.text_table(self.rows), "", *commands])

    def page(self, figures: Mapping[str, bytes]) -> str:
        """A web page with every figure inside it; `figures` gives PNG files by the keys of :data:`CAPTIONS`."""
        body = [page.paragraph(sentence) for sentence in self.sentences]
        body.append(page.table(f"The best {len(self.rows)} trials", self.rows, "best"))
        if self.shares:
            shares = [{"parameter": name, "share": f"{share:.2f}"} for name, share in self.shares.items()]
            body.append(page.table("Share of the variance of the objective", shares, "importance"))
        body += [page.figure(CAPTIONS[name], png) for name, png in figures.items()]
        body += [page.paragraph(f"{purpose}: {command}") for purpose, command in self.commands.items()]
        return page.document(self.title, body)


def rank(request: Request, trials: Sequence[Trial], n_validation: int, commands: Mapping[str, str]) -> Ranking:
    """Rank the trials of a search and tell what was found.

    Parameters
    ----------
    request : Request
        What was searched.
    trials : sequence of Trial
        All of them, in order.
    n_validation : int
        Sequences of the validation part.
    commands : mapping of str to str
        Purpose and command.

    Returns
    -------
    Ranking

    Raises
    ------
    TrainingError
        If no trial is complete.
    """
    ordered = study.ranked(trials)
    if not ordered:
        raise TrainingError(
            f"Expected a network that trained, received none among {len(trials)} trials: lower the learning rates "
            f"(lr={request.space.lr}), or read in the nested runs what happened."
        )
    best, shares = ordered[0], study.importances(request.space, trials)
    sentences = (
        f"Best of {len(trials)} trials: {name(best)} with a validation AUPRC of {best.value:.4f} ({_words(best)}).",
        *_published(request, trials),
        f"The {n_validation:,} validation sequences chose the best of {len(trials)} trials, so its figure is too high "
        "by an unknown amount; no trial has looked at the test part.",
        _count(trials),
        _importance(shares),
    )
    title = f"Search for a recipe on {request.source.dataset}, {len(trials)} trials"
    return Ranking(title, best, sentences, [_row(trial) for trial in ordered[:BEST]], shares, commands)


def name(trial: Trial) -> str:
    """The run name of a trial."""
    return f"{trial.params['arch']}-t{trial.number}"


def records(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """The table of all trials, in order, in numbers; values that there are not are None."""
    return [
        {
            "trial": trial.number,
            "run_id": trial.run_id,
            "state": trial.state,
            "verdict": trial.verdict,
            "val_auprc": trial.auprc[-1] if trial.auprc else None,
            "val_brier": trial.brier if trial.state == "complete" else None,
            **trial.params,
            "epochs_done": len(trial.auprc),
            "seconds": round(trial.seconds, 3),
        }
        for trial in trials
    ]


def _row(trial: Trial) -> dict[str, str]:
    params = {key: f"{value:.3g}" if isinstance(value, float) else str(value) for key, value in trial.params.items()}
    return {"trial": name(trial), "validation AUPRC": f"{trial.value:.4f}", "Brier": f"{trial.brier:.4f}", **params}


def _words(trial: Trial) -> str:
    return ", ".join(f"{key}={value}" for key, value in trial.params.items())


def _published(request: Request, trials: Sequence[Trial]) -> list[str]:
    """Say what the architectures' own recipes reach in the same search."""
    found = []
    for trial in trials[: len(request.space.published)]:
        own = asdict(architectures.get(trial.params["arch"]).recipe)
        if all(own[key] == value for key, value in trial.params.items() if key != "arch"):
            reached = f"{trial.value:.4f}" if trial.state == "complete" else trial.verdict or trial.state
            found.append(f"{name(trial)} {reached}")
    return [f"The architectures' own recipes, in the same search: {', '.join(found)}."] if found else []


def _count(trials: Sequence[Trial]) -> str:
    """Say what became of the trials."""
    failed = [trial for trial in trials if trial.state == "failed"]
    collapsed = sum(trial.verdict == COLLAPSED for trial in failed)
    pruned = sum(trial.state == "pruned" for trial in trials)
    sentence = f"{len(trials) - pruned - len(failed)} trials are complete, {pruned} were stopped early as hopeless"
    if collapsed:
        sentence += f", {collapsed} did not train (they count as the worst there is)"
    if len(failed) > collapsed:
        sentence += f", {len(failed) - collapsed} were lost (they count for nothing; their runs say why)"
    return f"{sentence}."


def _importance(shares: Mapping[str, float]) -> str:
    if not shares:
        return f"Importances are told from {study.MIN_IMPORTANCE} complete trials on that do not all score the same."
    largest = ", ".join(f"{key} {share:.2f}" for key, share in list(shares.items())[:3])
    return f"What the objective depends on (share of its variance): {largest}."
