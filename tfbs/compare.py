"""The comparison job: replicates of several architectures on the same split, compared in one parent run."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from . import (
    architectures,
    comparison,
    datasets,
    environment,
    explanation,
    gallery,
    logbook,
    nomination,
    plots,
    progress,
    replicates,
    runs,
    splits,
    tracking,
)
from .comparison import Comparison, Entrant
from .errors import ParameterError, TrainingError
from .plan import Contender, Request, items
from .pool import Lost
from .replicates import Replicate, Task
from .splits import Part
from .story import Story, tell
from .tracking import Run

if TYPE_CHECKING:
    from .plan import Plan
    from .tracking import StoredRun

REQUEST = "request.json"


@dataclass(frozen=True)
class Result:
    """What a comparison leaves: where it is logged, what it found, and that told."""

    run_id: str
    experiment_id: str
    comparison: Comparison
    story: Story


def run(request: Request, resume: str = "") -> Result:
    """Compare, as one run with the replicates nested in it.

    Parameters
    ----------
    request : Request
        What to compare.
    resume : str
        Id of an interrupted comparison with this request; replicates that it finished are kept.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it.
    """
    with tracking.run(_title(request.plan), resume) as opened:
        opened.params(request.params)
        opened.tags({"kind": "comparison", **environment.git_state()})
        opened.text(request.to_json(), REQUEST)
        parts, lost = [], []
        if request.plan.runs:
            entrants = _taken(request.plan)
        else:
            parts = prepare(request)
            lost = _train(opened, request, parts)
            entrants = _finished_entrants(opened, request, parts)
        for part in dict.fromkeys(entrant.part for entrant in entrants):
            comparison.check([entrant for entrant in entrants if entrant.part == part])
        found = comparison.compare(entrants, request.settings.seed)
        remarks = _missing(lost, opened.run_id)
        if parts:
            remarks += nomination.nominate(opened, request, found, parts)
        story = tell(found, request.plan, remarks)
        _log(opened, found, story, request.plan.metric)
    return Result(opened.run_id, opened.experiment_id, found, story)


def _title(plan: Plan) -> str:
    if plan.runs:
        return f"compare-{len(items(plan.runs))}-runs"
    return f"compare-{'-'.join(item[:12] for item in items(plan.archs))}"


def prepare(request: Request) -> list[Part]:
    """Read the data, make the splits, and check what can be checked before training.

    Raises
    ------
    DataError
        If the data cannot be read or split.
    ParameterError
        If a setting does not fit the data.
    """
    data = datasets.load(request.source, request.simulation)
    for contender in request.contenders:
        architectures.get(contender.arch).require(data.length)
    parts = []
    for split_seed in request.split_seeds:
        recipe = replace(request.split_recipe, split_seed=split_seed)
        if request.plan.folds > 1:
            made = splits.fold_splits(data, recipe, request.plan.folds, request.splitting)
            parts += [Part(split_seed, fold, split) for fold, split in enumerate(made, 1)]
        else:
            parts.append(Part(split_seed, 0, splits.make(data, recipe, request.splitting)))
    for part in parts:
        explanation.require_references(request.settings, part.split)
    return parts


def _taken(plan: Plan) -> list[Entrant]:
    """Read finished runs back; their splits are told apart by their test sequences alone."""
    return [replace(runs.entrant(runs.find(item)), part=("", "")) for item in dict.fromkeys(items(plan.runs))]


def _wanted(request: Request, parts: Sequence[Part]) -> dict[Task, tuple[Contender, Part]]:
    """Every replicate of the plan: architecture by architecture, so that a worker seldom compiles another one."""
    return {
        Task(contender.arch, contender.recipe, seed, number): (contender, part)
        for contender in request.contenders
        for number, part in enumerate(parts)
        for seed in request.plan.seed_list
    }


def _train(opened: Run, request: Request, parts: Sequence[Part]) -> list[str]:
    """Train the replicates that are missing and log each; return what became of those that were lost."""
    if len(parts) == 1:
        logbook.log_parts(opened, parts[0].split)
    wanted, done = _wanted(request, parts), _finished(opened.run_id)
    _require_same_data(done, wanted)
    missing = [task for task, what in wanted.items() if _key(*what, task.seed) not in done]
    outcomes = replicates.run(missing, [part.split for part in parts], request.settings, request.plan.workers or None)
    lost = []
    with progress.bar("replicates", len(missing)) as advance, _hint(opened.run_id):
        for task, outcome in outcomes:
            key = _key(*wanted[task], task.seed)
            if isinstance(outcome, Lost):
                lost.append(f"{key}: {outcome.reason}")
            _log_replicate(opened, request, wanted[task], (task, outcome))
            advance(key)
    if len(lost) == len(wanted):
        raise TrainingError(f"Expected replicates, received none that finished; the first says: {lost[0]}")
    return lost


@contextlib.contextmanager
def _hint(run_id: str) -> Iterator[None]:
    """Say to whoever interrupts how to go on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        stop.add_note(f"Train what is missing with -e compare -P resume={run_id}.")
        raise


def _require_same_data(done: Mapping[str, StoredRun], wanted: Mapping[Task, tuple[Contender, Part]]) -> None:
    """Refuse to resume on data that have changed since."""
    for task, what in wanted.items():
        run, split = done.get(_key(*what, task.seed)), what[1].split
        if run and run.data.tags.get("tfbs.split_digest") != split.digest:
            raise ParameterError(
                f"resume: expected the data with split digest {run.data.tags.get('tfbs.split_digest', '')[:16]}, on "
                f"which {run.info.run_name} was trained, received {split.digest[:16]}: restore the files, or start a "
                "new comparison."
            )


def _finished_entrants(opened: Run, request: Request, parts: Sequence[Part]) -> list[Entrant]:
    """Read the replicates back in the order of the plan, so that the result does not depend on who finished first."""
    done = _finished(opened.run_id)
    keys = [_key(*what, task.seed) for task, what in _wanted(request, parts).items()]
    return [runs.entrant(done[key]) for key in keys if key in done]


def _missing(lost: Sequence[str], run_id: str) -> tuple[str, ...]:
    """Say which replicates were lost, and how to train them."""
    if not lost:
        return ()
    count = f"{len(lost)} replicate{'s were' if len(lost) > 1 else ' was'} lost"
    return (f"{count} ({'; '.join(lost)}) Train what is missing with -P resume={run_id}.",)


def _key(contender: Contender, part: Part, seed: int) -> str:
    """The name of a replicate within its comparison; also its run name."""
    fold = f"-fold{part.fold}" if part.fold else ""
    return f"{contender.name}-s{seed}-split{part.split_seed}{fold}"


def _finished(run_id: str) -> dict[str, StoredRun]:
    """Replicates that finished, by key; those that a kill left RUNNING are ended."""
    found = {}
    for child in runs.children(run_id):
        key = child.data.tags.get("tfbs.replicate")
        if key and child.info.status == "RUNNING":
            runs.close(child)
        elif key and child.info.status == "FINISHED":
            found[key] = child
    return found


def _log_replicate(
    opened: Run, request: Request, what: tuple[Contender, Part], came: tuple[Task, Replicate | Lost]
) -> None:
    """Log a replicate as a nested run, under the names that the main job uses."""
    (contender, part), (task, outcome) = what, came
    key = _key(contender, part, task.seed)
    params = request.job(contender, task.seed, part.split_seed).params | {"arch": contender.name, "fold": part.fold}
    tags = {"arch": contender.arch, "replicate": key, "kind": "replicate"}
    with opened.child(key, getattr(outcome, "seconds", 0), **tags) as child:
        child.params(params)
        if isinstance(outcome, Lost):
            child.give_up(outcome.reason)
            return
        logbook.log_replicate(child, part.split, outcome, task.seed)


def _log(opened: Run, found: Comparison, story: Story, metric: str) -> None:
    """Log figures, tables, curves and the report on the parent."""
    figures = {}
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        for name, caption, figure in gallery.draw(found, metric):
            figures[name] = caption, plots.save(figure, folder / "plots" / f"{name}.png").read_bytes()
    for table in story.tables:
        if table.records:
            opened.replace_table(table.records, f"{table.name}.json")
    for kind, by_name in gallery.curves(found).items():
        for name, rows in by_name.items():
            opened.curve(f"{kind}_{name}", rows.mean(axis=0), section="mean")
    verdicts = {f"verdict.{pair.ours}.{pair.theirs}": pair.verdict(metric) for pair in found.pairs}
    opened.tags(verdicts)
    opened.describe(story.markdown())
    opened.text(story.page(figures), "report.html")
