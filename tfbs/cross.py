"""The cross-evaluation job: a network a kind of negatives, each tested on all kinds, in one parent run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import (
    architectures,
    crossing,
    environment,
    evaluation,
    explanation,
    leakage,
    logbook,
    page,
    plots,
    plots_cross,
    progress,
    replicates,
    runs,
    tracking,
    training,
)
from .crossing import METRICS, Crossed, Matrix
from .errors import TrainingError
from .paired import Difference
from .pool import Lost
from .replicates import Replicate, Task
from .report import LABELS
from .settings import NONE, Job, Settings
from .splits import Split
from .tracking import Run
from .verdict import ALPHA, p_in_words

if TYPE_CHECKING:
    from .plots import Figure

NAME = "cross_evaluation"
CAPTION = "Rows: trained against; columns: tested on; each with its 95 % interval"


@dataclass(frozen=True)
class Summary:
    """What a person should read first: sentences, and by metric a row a network and a column a kind of negatives."""

    title: str
    sentences: tuple[str, ...]
    tables: Mapping[str, list[dict[str, str]]]

    def markdown(self) -> str:
        """The run's description: the AUROCs first, because the UI folds the rest away."""
        first, *rest = [page.markdown_table(rows) for rows in self.tables.values()]
        return "\n\n".join([first, *self.sentences, *rest])

    def text(self) -> str:
        """The end of the terminal output."""
        tables = [f"\n{caption}\n{page.text_table(rows)}" for caption, rows in self.tables.items()]
        return "\n".join([self.title, *self.sentences, *tables])

    def page(self, png: bytes) -> str:
        """A self-contained web page with the figure inside it."""
        tables = [page.table(caption, rows) for caption, rows in self.tables.items()]
        return page.document(self.title, [*map(page.paragraph, self.sentences), *tables, page.figure(CAPTION, png)])


@dataclass(frozen=True)
class Result:
    """What a cross-evaluation leaves; it registers no version."""

    run_id: str
    experiment_id: str
    summary: Summary
    matrix: Matrix
    version: None = None


def run(job: Job) -> Result:
    """Train a network against each kind of negatives and test it on all of them.

    Parameters
    ----------
    job : Job
        Whose ``negatives`` names several kinds, see :func:`tfbs.crossing.kinds`. Nothing is registered.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it.
    """
    named = crossing.kinds(job.source)
    jobs = {name: _single(job, item) for name, item in named.items()}
    with tracking.run(f"{job.settings.arch}-s{job.settings.seed}-cross-{'-'.join(named)}") as opened:
        opened.params(replace(job, settings=_quiet(job.settings)).params)
        opened.tags({"kind": "cross-evaluation", "arch": job.settings.arch, **environment.git_state()})
        crossed = prepare(job)
        nested, learned = _train(opened, jobs, crossed)
        matrix = crossing.measure(crossed, _predict(nested, crossed))
        summary = tell(jobs, matrix, [name for name in named if learned[name]])
        _log(opened, matrix, summary)
    return Result(opened.run_id, opened.experiment_id, summary, matrix)


def _single(job: Job, negatives: str) -> Job:
    """The main job with one kind of negatives."""
    return replace(job, settings=_quiet(job.settings), source=replace(job.source, negatives=negatives))


def _quiet(settings: Settings) -> Settings:
    """The settings of a network that is neither registered nor asked what it reads."""
    return replace(settings, register=False, motifs=NONE)


def prepare(job: Job) -> Crossed:
    """Read and split the data, and check what can be checked before training.

    Raises
    ------
    DataError
        If the data cannot be read or split.
    ParameterError
        If a setting does not fit the data.
    """
    union = crossing.load(job.source, job.simulation)
    architectures.get(job.settings.arch).require(union.data.length)
    crossed = crossing.split(union, job.full_recipe, job.splitting)
    for split in crossed.splits.values():
        explanation.require_references(job.settings, split)
    return crossed


def _train(opened: Run, jobs: Mapping[str, Job], crossed: Crossed) -> tuple[dict[str, str], dict[str, bool]]:
    """Train a network a kind in a nested run each; return the ids of these runs, and which networks learned."""
    names, parts = list(jobs), list(crossed.splits.values())
    settings, recipe = jobs[names[0]].settings, jobs[names[0]].full_recipe
    tasks = [Task(settings.arch, recipe, settings.seed, part) for part in range(len(parts))]
    nested, learned = {}, {}
    with progress.bar("networks", len(tasks)) as advance:
        for task, outcome in replicates.run(tasks, parts, settings):
            name = names[task.part]
            nested[name] = _log_network(opened, name, jobs[name], parts[task.part], outcome)
            if isinstance(outcome, Lost):
                raise TrainingError(f"The network trained against {name} was lost: {outcome.reason}")
            learned[name] = evaluation.trained(outcome.validation)
            advance(name)
    return {name: nested[name] for name in names}, learned


def _log_network(opened: Run, name: str, job: Job, split: Split, outcome: Replicate | Lost) -> str:
    """Log a network as a nested run, under the names that the main job uses; return the id of the run."""
    settings = job.settings
    title = f"{settings.arch}-s{settings.seed}-{name}"
    tags = {"arch": settings.arch, "kind": "replicate", "negatives": name}
    with opened.child(title, getattr(outcome, "seconds", 0), **tags) as child:
        child.params(job.params)
        if isinstance(outcome, Lost):
            child.give_up(outcome.reason)
            return child.run_id
        logbook.log_replicate(child, split, outcome, settings.seed)
        logbook.log_leakage(child, leakage.report(split))
        return child.run_id


def _predict(nested: Mapping[str, str], crossed: Crossed) -> dict[str, np.ndarray]:
    """Logits of every network on the test part with the negatives of all kinds."""
    training.load()
    models = {name: architectures.logit_model(runs.network(run_id)) for name, run_id in nested.items()}
    return {name: training.predict_logits(model, crossed.test.codes) for name, model in models.items()}


def tell(jobs: Mapping[str, Job], matrix: Matrix, learned: list[str]) -> Summary:
    """Tell what a cross-evaluation found.

    Parameters
    ----------
    jobs : mapping of str to Job
        What trains each network alone.
    matrix : Matrix
        What was measured.
    learned : list of str
        Kinds whose networks learned something.

    Returns
    -------
    Summary
    """
    job = jobs[matrix.names[0]]
    settings, data = job.settings, Path(job.source.dataset).name
    sentences = [
        f"The network trained against {name} did not train: it says the same of every validation sequence; try "
        f"seed={settings.seed + 1}."
        for name in matrix.names
        if name not in learned
    ]
    if len(learned) > 1:
        sentences = [*_worst(matrix, tuple(learned)), *sentences]
    alone = f"-P negatives={shlex.quote(job.source.negatives)}"
    sentences.append(f"Not registered: to register a network, train it against one kind, with {alone}.")
    tables = {LABELS[metric]: _rows(matrix, metric) for metric in METRICS}
    title = f"{settings.arch}, seed {settings.seed}, on {data}, against {', '.join(matrix.names)}"
    return Summary(title, tuple(sentences), tables)


def _worst(matrix: Matrix, names: tuple[str, ...]) -> list[str]:
    """Say how far a network falls at most, and whether one trained against the other kind does better there."""
    (trained, tested), (drop, drop_p), (gap, gap_p) = crossing.worst(matrix, names)
    own, other, best = (
        f"{matrix.estimates[pair]['auroc'].value:.4f}"
        for pair in ((trained, trained), (trained, tested), (tested, tested))
    )
    told = f"reaches AUROC {own} against {trained} and {other} against {tested}"
    basis = _basis(drop, drop_p, "the same positives")
    fell = f"Worst drop: the network trained against {trained} {told}, lower by {drop.value:.4f} ({basis})."
    if drop_p >= ALPHA or drop.value <= 0:
        fell = (
            "Cannot tell that any network does worse against another kind of negatives: at most, the network trained "
            f"against {trained} {told} (difference {drop.value:+.4f}; {basis})."
        )
    basis = _basis(gap, gap_p, "the same test sequences")
    there = f"The network trained against {tested} reaches {best} there"
    if gap_p >= ALPHA:
        there += f", which cannot be told from {other} (difference {gap.value:+.4f}; {basis})."
    else:
        there += f", {'higher' if gap.value > 0 else 'lower'} by {abs(gap.value):.4f} ({basis})."
    return [fell, there, "One seed each: another seed may change this."]


def _basis(difference: Difference, p: float, on: str) -> str:
    return f"95 % interval {difference.lo:.4f} to {difference.hi:.4f}, {p_in_words(p)} after Holm; {on}"


def _rows(matrix: Matrix, metric: str) -> list[dict[str, str]]:
    """A table to read: a row a network, a column a kind of negatives."""
    rows = []
    for trained in matrix.names:
        row = {"trained against": trained}
        for tested in matrix.names:
            found = matrix.estimates[trained, tested][metric]
            row[f"tested on {tested}"] = f"{found.value:.4f} ({found.lo:.4f} to {found.hi:.4f}), n = {found.n:,}"
        rows.append(row)
    return rows


def _log(opened: Run, matrix: Matrix, summary: Summary) -> None:
    """Log figures, table, metrics and report on the parent."""
    cells = [(*pair, metric, found[metric]) for pair, found in matrix.estimates.items() for metric in METRICS]
    opened.metrics({f"cross/{trained}_on_{tested}_{metric}": found.value for trained, tested, metric, found in cells})
    rows = [
        {"trained_on": trained, "tested_on": tested, "metric": metric, **asdict(found)}
        for trained, tested, metric, found in cells
    ]
    opened.table(rows, f"{NAME}.json")
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        png = plots.save(_draw(matrix), folder / "plots" / f"{NAME}.png").read_bytes()
    opened.describe(summary.markdown())
    opened.text(summary.page(png), "report.html")


def _draw(matrix: Matrix) -> Figure:
    k = len(matrix.names)
    panels = {
        LABELS[metric]: np.array(
            [(found[metric].value, found[metric].lo, found[metric].hi) for found in matrix.estimates.values()]
        ).reshape(k, k, 3)
        for metric in METRICS
    }
    return plots_cross.cross_evaluation(panels, matrix.names)
