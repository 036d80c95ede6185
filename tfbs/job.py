"""The main job: read -> split -> train -> evaluate -> explain -> log -> register, as one tracked run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import (
    architectures,
    attribution,
    datasets,
    environment,
    explanation,
    jaspar,
    leakage,
    logbook,
    mutagenesis,
    plots,
    reading,
    registry,
    selection,
    sequences,
    splits,
    tracking,
    training,
)
from .candidate import Candidate, origin
from .errors import AttributionError
from .explanation import Explained
from .findings import Findings, Fitted
from .reading import Reading
from .report import CAPTIONS, Summary
from .settings import AUTO, NONE, Job, Settings
from .splits import Split
from .tracking import Run
from .training import Trained

WITNESSES = 10


@dataclass(frozen=True)
class Result:
    """What a finished run leaves: where it is logged, its summary, and its version (None if not registered)."""

    run_id: str
    experiment_id: str
    summary: Summary
    version: int | None


def run(job: Job) -> Result:
    """Do the whole job as one run.

    Parameters
    ----------
    job : Job
        What to do.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it.
    """
    settings = job.settings
    with tracking.run(f"{settings.arch}-s{settings.seed}") as opened:
        opened.params(job.params)
        opened.tags({"arch": settings.arch, **environment.git_state()})
        split = prepare(job)
        logbook.log_parts(opened, split)
        job, trained, selected = (_choose if settings.arch == AUTO else _train)(opened, job, split)
        settings, fitted = job.settings, _predict(opened, split, trained)
        estimates = logbook.log_results(opened, split, (fitted.validation, fitted.test), settings.seed)
        leaks = logbook.log_leakage(opened, leakage.report(split))
        explained = _explain(opened, settings, split, fitted)
        mutated = _mutate(split, explained, fitted)
        read, fault = _read(opened, settings, split, fitted)
        told = (*selected, *fault)
        findings = Findings(settings, split, fitted, estimates, leaks, explained, mutated, told, read)
        figures = _draw(opened, findings)
        version, standing = _register(settings, split, fitted, explained)
        summary = findings.summary(standing)
        opened.tags({"verdict": "trained" if fitted.learned else "did not train", "version": version or "none"})
        opened.describe(summary.markdown(opened.picture(reading.FIRST_LOOK, CAPTIONS["first_look"]) if read else ""))
        opened.text(summary.page(figures), "report.html")
    return Result(opened.run_id, opened.experiment_id, summary, version)


def prepare(job: Job) -> Split:
    """Read and split the data, and check what can be checked before training.

    Raises
    ------
    DataError
        If the data cannot be read or split.
    ParameterError
        If a setting does not fit the data.
    """
    data = datasets.load(job.source, job.simulation)
    if job.settings.motifs != NONE:
        jaspar.database(job.settings.motifs)
    if job.settings.arch == AUTO:
        selection.allowed(data.length)
    else:
        architectures.get(job.settings.arch).require(data.length)
    split = splits.make(data, job.full_recipe, job.splitting)
    explanation.require_references(job.settings, split)
    return split


def _train(opened: Run, job: Job, split: Split) -> tuple[Job, Trained, tuple[str, ...]]:
    """Train the network that is asked for."""
    recipe, settings = job.full_recipe, job.settings
    threads = training.configure(recipe.batch_size * split.train.length, settings.deterministic)
    trained = training.train(settings.arch, recipe, (split.train, split.validation), settings.seed, opened.epoch)
    opened.params({"threads": threads})
    return job, trained, ()


def _choose(opened: Run, job: Job, split: Split) -> tuple[Job, Trained, tuple[str, ...]]:
    """Train every candidate; log the best one, how it was chosen, and what the job has come down to."""
    settings, (train, validation) = job.settings, (split.train, split.validation)
    contenders = selection.candidates(len(train), train.length, job.common)
    bases = max(contender.recipe.batch_size for contender in contenders) * train.length
    threads = training.configure(bases, settings.deterministic)
    found = selection.choose((train, validation), contenders, settings.seed, settings.budget)
    job, trained = job.decided(found.best.contender), found.best.trained
    opened.params({**job.params, "threads": threads})
    opened.tags({"arch": job.settings.arch, "arch_asked": AUTO})
    opened.epochs(trained.history)
    opened.table(found.rows, "selection.json")
    return job, trained, found.sentences()


def _predict(opened: Run, split: Split, trained: Trained) -> Fitted:
    """Log what the network cost, and predict the parts that training did not see."""
    opened.params({"n_weights": trained.model.count_params()})
    opened.metrics({"time/training_s": trained.seconds})
    model = architectures.logit_model(trained.model)
    validation, test = (training.predict_logits(model, part.codes) for part in (split.validation, split.test))
    return Fitted(trained, model, validation, test)


def _explain(opened: Run, settings: Settings, split: Split, fitted: Fitted) -> Explained:
    """Explain test sequences; log the additivity error before insisting on it."""
    explained = explanation.explain(settings, split, fitted.logit_model)
    result = explained.attribution
    logbook.log_trust(opened, split, explained)
    attribution.check_additivity(result)
    opened.metrics({"shap/explainer_difference": explanation.witness(settings, split, explained, fitted.logit_model)})
    return explained


def _mutate(split: Split, explained: Explained, fitted: Fitted) -> np.ndarray:
    """In-silico mutagenesis of the most confident positive."""
    row = explained.rows[explained.top(split.test.labels[explained.rows])[:1]]
    return mutagenesis.ism(fitted.logit_model, sequences.one_hot(split.test.codes[row]))[0]


def _read(opened: Run, settings: Settings, split: Split, fitted: Fitted) -> tuple[Reading | None, tuple[str, ...]]:
    """Find, name and log the motifs in positives, if the user wants to know and the network learned something.

    A fault of TF-MoDISco is told in a sentence: the network is no worse for it.
    """
    if settings.motifs == NONE or not fitted.learned:
        return None, ()
    sample = explanation.positives(split, explanation.POSITIVES, settings.seed)
    references = explanation.references(settings, split, sample.codes)
    result = explanation.explain_codes(fitted.logit_model, sample.codes, references)
    losses = mutagenesis.losses(fitted.logit_model, sequences.one_hot(sample.codes[:WITNESSES]))
    try:
        found = reading.read(sample, result, losses, jaspar.database(settings.motifs))
    except AttributionError as error:
        return None, (str(error),)
    logbook.log_reading(opened, found)
    return found, ()


def _register(settings: Settings, split: Split, fitted: Fitted, explained: Explained) -> tuple[int | None, str]:
    """Register the network if it learned something, recompute the champion, and say how it stands."""
    if not (fitted.learned and settings.register):
        return None, "Not registered."
    tags = {"arch": settings.arch, "seed": str(settings.seed), **origin(split)}
    candidate = Candidate(
        (fitted.logit_model,),
        explanation.shared_references(settings, split, split.train.length),
        split.validation,
        fitted.validation,
        explained.attribution.additivity_error,
        tags,
    )
    version = registry.register(candidate, settings.registered_model)
    standing = registry.crown(version, settings.registered_model)
    return version, f"Registered as version {version} of {settings.registered_model}. {standing.note}"


def _draw(opened: Run, findings: Findings) -> dict[str, bytes]:
    """Draw every figure; log figures, attributions and network, and return the PNG files by name."""
    network = findings.fitted.trained.model
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        (folder / "network").mkdir()
        paths = {name: plots.save(figure, folder / "plots" / f"{name}.png") for name, figure in findings.figures()}
        logbook.save_attributions(folder, findings.split, findings.explained)
        if findings.reading:
            findings.reading.write_meme(folder / logbook.MOTIFS)
        network.save(folder / "network" / f"{network.name}.keras")
        return {name: path.read_bytes() for name, path in paths.items()}
