"""The search job: batches of trials on an engine, each a run nested in the search's own, which is all that is kept.

A search is read back from its nested runs. What the missing trials are follows from the finished ones and the seed, so
an interrupted search, resumed, ends like one that was never interrupted.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import (
    architectures,
    datasets,
    engines,
    environment,
    logbook,
    plots,
    plots_search,
    progress,
    ranking,
    runs,
    splits,
    study,
    tracking,
)
from .engines import Engine, Outcome, Task
from .errors import DataError, ParameterError, TrackingError
from .pool import Lost
from .ranking import Ranking
from .search import Request
from .splits import Split
from .study import Trial
from .tracking import Run

if TYPE_CHECKING:
    from .tracking import StoredRun as Logged

REQUEST = "request.json"
BEST = "tune/best_val_auprc"
BRIER = "val/brier"


@dataclass(frozen=True)
class Result:
    """What a search leaves: where it is logged, and what it found."""

    run_id: str
    experiment_id: str
    ranking: Ranking


def run(request: Request, resume: str = "") -> Result:
    """Search, as one run with the trials nested in it.

    Parameters
    ----------
    request : Request
        What to search.
    resume : str
        Id of an interrupted search with this request; the trials that it finished are kept.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it.
    KeyboardInterrupt
        With a note that tells how to resume.
    """
    with tracking.run(f"tune-{'-'.join(request.space.domains['arch'])}", resume) as opened:
        again = f"To go on: {command(opened, 'tune', {'resume': opened.run_id})}"
        opened.describe(f"This search is running, or was cut off. {again}")
        try:
            split = _begin(opened, request)
            trials = _search(opened, request, split)
        except KeyboardInterrupt as stop:
            opened.describe(f"This search was interrupted; the trials that it finished are kept. {again}")
            stop.add_note(f"The trials that finished are kept. {again}")
            raise
        found = _conclude(opened, request, split, trials)
    return Result(opened.run_id, opened.experiment_id, found)


def restore(run_id: str, trials: int | None = None) -> Request:
    """Read back what an interrupted search was asked to do.

    Parameters
    ----------
    run_id : str
        The search's own run.
    trials : int, optional
        How many trials it shall have, if more than it was asked for.

    Raises
    ------
    ParameterError
        If the run is no search, or has more trials already.
    """
    values = runs.request(run_id, REQUEST)
    if "search" not in values:
        raise ParameterError(
            f"resume: expected the id of a search, received {run_id}, which is a comparison: use -e compare."
        )
    request = Request.from_dict(values)
    asked = request.search.trials
    if trials is not None and trials < asked:
        raise ParameterError(
            f'trials: expected at least the {asked} that this search was asked for, received "{trials}".'
        )
    return replace(request, search=replace(request.search, trials=trials or asked, resume=run_id))


def command(opened: Run, entry: str, values: Mapping[str, Any]) -> str:
    """Spell an ``mlflow run`` command as it must be typed for the store and environment of a run."""
    manager = opened.client.get_run(opened.run_id).data.tags.get("mlflow.project.env")
    words = ["mlflow", "run", "."] + (["-e", entry] if entry else []) + (["--env-manager", manager] if manager else [])
    for key, value in values.items():
        words += ["-P", f"{key}={str(value).lower() if isinstance(value, bool) else value}"]
    server = tracking.address()
    return (f"MLFLOW_TRACKING_URI={server} " if server.startswith("http") else "") + shlex.join(words)


def prepare(request: Request) -> Split:
    """Read the data, split, and check what can be checked before training.

    Raises
    ------
    DataError
        If the data cannot be read or split.
    ParameterError
        If a setting does not fit the data.
    """
    data = datasets.load(request.source, request.simulation)
    for arch in request.space.domains["arch"]:
        architectures.get(arch).require(data.length)
    return splits.make(data, architectures.Recipe(**request.division), request.splitting)


def _begin(opened: Run, request: Request) -> Split:
    """Log what is searched and on what; the test part leaves its digest and nothing else."""
    opened.params(request.params)
    opened.text(request.to_json(), REQUEST)
    split = prepare(request)
    before = opened.client.get_run(opened.run_id).data.tags.get("tfbs.split_digest", split.digest)
    if before != split.digest:
        raise DataError(
            f"resume: expected the sequences that this search began with (split digest {before[:12]}), received "
            f"others ({split.digest[:12]}): restore {request.source.dataset}, or begin a new search."
        )
    opened.tags({"kind": "search", **environment.git_state(), **logbook.digests(split)})
    opened.params({"n_train": len(split.train), "n_validation": len(split.validation)})
    opened.dataset(split.train, "train")
    opened.dataset(split.validation, "validation")
    return split


def _search(opened: Run, request: Request, split: Split) -> list[Trial]:
    """Run the batches that are missing, or what is missing of them; return all trials in order."""
    known = finished(opened.run_id, request)
    search, trials = request.search, []
    logged = {metric.step for metric in opened.client.get_metric_history(opened.run_id, BEST)}
    with (
        engines.opened(search, (split.train, split.validation)) as engine,
        progress.bar("trials", search.trials) as advance,
    ):
        for first in range(0, search.trials, search.batch):
            numbers = range(first, min(first + search.batch, search.trials))
            for task, outcome in _run(engine, _tasks(request, trials, known, numbers)):
                known[task.number] = _log_trial(opened, request, split, (task, outcome))
            for number in numbers:
                trials.append(known[number])
                best = study.ranked(trials)[:1]
                if best and number not in logged:
                    opened.metrics({BEST: best[0].value}, step=number)
                advance(f"best {best[0].value:.4f} ({ranking.name(best[0])})" if best else "")
    return trials


def _run(engine: Engine, tasks: Sequence[Task]):
    return engine(tasks) if tasks else ()


def _tasks(request: Request, history: Sequence[Trial], known: Mapping[int, Trial], numbers: range) -> list[Task]:
    """The trials of a batch that are not finished; those that are must be the ones that would be proposed now."""
    if all(number in known for number in numbers):
        return []
    others = study.rivals(request.space, history) if request.search.pruner != "none" else ()
    tasks = []
    for number, params in zip(
        numbers, study.propose(request.space, request.search.seed, history, len(numbers)), strict=True
    ):
        if number not in known:
            tasks.append(Task(number, params["arch"], request.recipe(params), request.search.seed, others))
        elif known[number].params != params:
            raise TrackingError(
                f"resume: expected trial {number} to be {params}, received {dict(known[number].params)} from run "
                f"{known[number].run_id}: a search must be resumed with the versions that it was begun with."
            )
    return tasks


def finished(run_id: str, request: Request) -> dict[int, Trial]:
    """Read the finished trials of a search back, by number; runs that a kill has left RUNNING are ended."""
    found = {}
    for child in runs.children(run_id):
        tags, status = child.data.tags, child.info.status
        if status == "RUNNING" and child.info.run_id != os.environ.get("MLFLOW_RUN_ID"):
            runs.close(child)
        elif "tfbs.state" in tags and status in ("FINISHED", "FAILED"):
            found[int(tags["tfbs.trial"])] = _read(child, request)
    return found


def _read(child: Logged, request: Request) -> Trial:
    tags, metrics = child.data.tags, child.data.metrics
    history = tracking.client().get_metric_history(child.info.run_id, tracking.EPOCH_NAMES["val_auprc"])
    return Trial(
        int(tags["tfbs.trial"]),
        request.space.read(child.data.params),
        tags["tfbs.state"],
        tags.get("tfbs.verdict", ""),
        tuple(metric.value for metric in sorted(history, key=lambda metric: metric.step)),
        metrics.get(BRIER, float("nan")),
        child.info.run_id,
        metrics.get("time/training_s", 0.0),
    )


def _log_trial(opened: Run, request: Request, split: Split, came: tuple[Task, Outcome | Lost]) -> Trial:
    """Log a trial as a nested run, under the names of the main job; the tag ``tfbs.state`` comes last and says done."""
    task, outcome = came
    if isinstance(outcome, Lost):
        outcome = Outcome("failed", reason=outcome.reason)
    recipe = vars(task.recipe) | {"arch": task.arch}
    params = {key: recipe[key] for key in request.space.domains}
    auprc = tuple(outcome.history.get("val_auprc", ()))
    with opened.child(f"{task.arch}-t{task.number}", outcome.seconds) as child:
        child.tags({"kind": "trial", "trial": task.number, "arch": task.arch, **logbook.digests(split)})
        child.params(request.trial_params(params))
        if outcome.history:
            child.epochs(outcome.history)
            child.metrics({"time/training_s": outcome.seconds})
            child.params({"threads": 1, "n_weights": outcome.n_weights})
        if outcome.state == "complete":
            child.metrics({BRIER: outcome.brier})
        if outcome.reason and not outcome.history:
            child.give_up(outcome.reason)
        elif outcome.reason:
            child.describe(f"This network did not train: {outcome.reason}")
        child.tags(({"verdict": outcome.verdict} if outcome.verdict else {}) | {"state": outcome.state})
    return Trial(
        task.number, params, outcome.state, outcome.verdict, auprc, outcome.brier, child.run_id, outcome.seconds
    )


def _conclude(opened: Run, request: Request, split: Split, trials: Sequence[Trial]) -> Ranking:
    """Log tables, figures, the report and the description on the search's own run."""
    opened.replace_table(ranking.records(trials), "trials.json")
    found = ranking.rank(request, trials, len(split.validation), _commands(opened, request, trials))
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        figures = _draw(folder / "plots", request, trials, found)
        (folder / "report.html").write_text(found.page(figures), encoding="utf-8")
    values = {"tune/best_val_brier": found.best.brier}
    opened.metrics(values | {f"tune/{state}": sum(t.state == state for t in trials) for state in plots_search.STATES})
    opened.tags({"best_run": found.best.run_id, "best_trial": found.best.number})
    opened.describe(found.markdown())
    return found


def _commands(opened: Run, request: Request, trials: Sequence[Trial]) -> dict[str, str]:
    """What to do with the best trial; nothing if there is none."""
    best = study.ranked(trials)[:1]
    if not best:
        return {}
    chosen, data = best[0].run_id, request.data_arguments
    return {
        "Train it, measure it on the test part and register it": command(opened, "", {"arch": chosen, **data}),
        "Compare it over several seeds": command(opened, "compare", {"archs": f"baseline,{chosen}", **data}),
        "Search on": command(opened, "tune", {"resume": opened.run_id, "trials": 2 * len(trials)}),
    }


def _draw(folder: Path, request: Request, trials: Sequence[Trial], found: Ranking) -> dict[str, bytes]:
    """Draw and save the figures; return the PNG files by name."""
    values, best = [trial.value for trial in trials], found.best.number
    figures = {"search": plots_search.search(values, [trial.state for trial in trials], best)}
    if found.shares:
        figures["importance"] = plots_search.importance(list(found.shares), list(found.shares.values()))
    searched = {key: [trial.params[key] for trial in trials] for key in request.space.searched}
    figures["slices"] = plots_search.slices(searched, values, best)
    return {name: plots.save(figure, folder / f"{name}.png").read_bytes() for name, figure in figures.items()}
