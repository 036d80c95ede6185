"""The main job: read -> split -> train -> evaluate -> explain -> log -> register, as one tracked run."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np

from . import (
    architectures,
    attribution,
    datasets,
    environment,
    evaluation,
    plots,
    registry,
    sequences,
    splits,
    tracking,
    training,
)
from .errors import ParameterError
from .findings import Explained, Findings, Fitted, Shortcuts
from .intervals import Estimate, auroc
from .registry import Candidate, Standing
from .report import Summary
from .settings import Job, Settings
from .splits import Split
from .tracking import Run

LOGOS = 6
WITNESSED = 3


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
        tracking.log_parts(opened, split)
        fitted = _fit(opened, job, split)
        findings = Findings(
            settings,
            split,
            fitted,
            _evaluate(opened, split, fitted, settings.seed),
            _shortcuts(opened, split),
            _explain(opened, settings, split, fitted),
        )
        figures = _draw(opened, findings)
        version, standing = _register(settings, split, fitted)
        summary = findings.summary(_standing(settings, version, standing))
        opened.tags({"verdict": "trained" if fitted.learned else "did not train", "version": version or "none"})
        opened.describe(summary.markdown())
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
    architectures.get(job.settings.arch).require(data.length)
    split = splits.random_split(data, job.full_recipe)
    negatives = int((split.train.labels == 0).sum())
    if job.settings.n_references > negatives:
        raise ParameterError(
            f"n_references: expected at most the {negatives} negatives of the training part, received "
            f"{job.settings.n_references}: set n_references={negatives}."
        )
    return split


def _fit(opened: Run, job: Job, split: Split) -> Fitted:
    """Train, and predict the parts that training did not see."""
    recipe, settings = job.full_recipe, job.settings
    threads = training.configure(recipe.batch_size * split.train.length, settings.deterministic)
    trained = training.train(settings.arch, recipe, (split.train, split.validation), settings.seed, opened.epoch)
    opened.params({"threads": threads, "n_weights": trained.model.count_params()})
    opened.metrics({"time/training_s": trained.seconds})
    model = architectures.logit_model(trained.model)
    validation, test = (training.predict_logits(model, part.codes) for part in (split.validation, split.test))
    return Fitted(trained, model, validation, test)


def _evaluate(opened: Run, split: Split, fitted: Fitted, seed: int) -> dict[str, Estimate]:
    """Measure the network on the test part; log metrics, curves and predictions."""
    estimates = evaluation.evaluate(split.test.labels, fitted.test, seed)
    opened.estimates({f"test/{name}": estimate for name, estimate in estimates.items()})
    tracking.log_curves(opened, split.test.labels, fitted.test)
    parts = {"validation": (split.validation, fitted.validation), "test": (split.test, fitted.test)}
    tracking.log_predictions(opened, parts)
    return estimates


def _shortcuts(opened: Run, split: Split) -> Shortcuts:
    """Measure what the test part gives away without a network."""
    labels = split.test.labels
    found = Shortcuts(
        splits.duplicate_share(split.train, split.test),
        auroc(labels, splits.gc_scores(split.train, split.test)),
        auroc(labels, splits.kmer_scores(split.train, split.test)),
    )
    opened.metrics({"data/duplicate_share": found.duplicate_share})
    opened.estimates({"data/gc_auroc": found.gc, "data/kmer_auroc": found.kmer})
    return found


def _explain(opened: Run, settings: Settings, split: Split, fitted: Fitted) -> Explained:
    """Explain test sequences; log the additivity error before insisting on it."""
    test = split.test
    rows = np.arange(len(test))
    if len(rows) > settings.n_explained:
        rows = np.sort(np.random.RandomState(settings.seed).choice(rows, settings.n_explained, replace=False))
    codes, labels, starts = test.codes[rows], test.labels[rows], test.starts[rows]
    x = sequences.one_hot(codes)
    references = _references(settings, split, codes)
    result = attribution.deep_shap(fitted.logit_model, x, references)
    metrics = {"shap/additivity_max": result.additivity_error}
    share = None
    if test.motif:
        share = metrics["shap/motif_share"] = attribution.motif_share(result.contributions, starts, len(test.motif))
    opened.metrics(metrics)
    attribution.check_additivity(result)
    few = references if references.ndim == 3 else references[:WITNESSED]
    theirs = attribution.witness(fitted.logit_model, x[:WITNESSED], few, result.contributions[:WITNESSED])
    opened.metrics({"shap/explainer_difference": theirs})
    opened.curve("shap_position", np.abs(result.contributions[labels == 1]).mean(0), np.arange(1, test.length + 1))
    positives = np.flatnonzero(labels == 1)
    top = positives[np.argsort(-result.logits[positives], kind="stable")][:LOGOS]
    return Explained(rows, result, top, attribution.ism(fitted.logit_model, x[top[:1]])[0], share)


def _references(settings: Settings, split: Split, codes: np.ndarray) -> np.ndarray:
    if settings.references == "shuffles":
        return attribution.shuffle_references(codes, settings.n_references, settings.seed)
    return _negatives(settings, split)


def _negatives(settings: Settings, split: Split) -> np.ndarray:
    train = split.train
    return attribution.negative_references(train.codes, train.labels, settings.n_references, settings.seed)


def _register(settings: Settings, split: Split, fitted: Fitted) -> tuple[int | None, Standing | None]:
    """Register the network if it learned something, and recompute the champion."""
    validation = split.validation
    if not (fitted.learned and settings.register):
        return None, None
    scores = evaluation.evaluate(validation.labels, fitted.validation, settings.seed)
    tags = {
        "arch": settings.arch,
        "seed": str(settings.seed),
        "dataset": split.train.name,
        "data_digest": split.data_digest,
        "split_digest": split.digest,
    }
    candidate = Candidate(fitted.logit_model, _negatives(settings, split), scores["auprc"], scores["brier"], tags)
    version = registry.register(candidate, settings.registered_model)
    return version, registry.crown(version, settings.registered_model)


def _standing(settings: Settings, version: int | None, standing: Standing | None) -> str:
    if standing is None:
        return "Not registered."
    champion = "and champion" if standing.version == version else f"; champion is version {standing.version}"
    return f"Registered as version {version} of {settings.registered_model} {champion} ({standing.reason})."


def _draw(opened: Run, findings: Findings) -> dict[str, bytes]:
    """Draw every figure; log figures, attributions and network, and return the PNG files by name."""
    test, explained, network = findings.split.test, findings.explained, findings.fitted.trained.model
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        (folder / "network").mkdir()
        paths = {name: plots.save(figure, folder / "plots" / f"{name}.png") for name, figure in findings.figures()}
        np.savez_compressed(
            folder / "attributions.npz",
            ids=np.array([test.ids[row] for row in explained.rows]),
            labels=test.labels[explained.rows],
            **asdict(explained.attribution),
        )
        network.save(folder / "network" / f"{network.name}.keras")
        return {name: path.read_bytes() for name, path in paths.items()}
