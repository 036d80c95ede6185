"""The main job: read -> split -> train -> evaluate -> explain -> log -> register, as one tracked run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

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
from .attribution import Attribution
from .datasets import Dataset
from .intervals import Estimate, auroc
from .registry import Candidate, Standing
from .report import Summary
from .settings import Job, Settings
from .splits import Split
from .tracking import Run
from .training import Trained

if TYPE_CHECKING:
    import keras

    from .plots import Figure

LOGOS = 6
WITNESSED = 3
REFERENCES = {"negatives": "training negatives", "shuffles": "dinucleotide shuffles of each sequence"}


@dataclass(frozen=True)
class Fitted:
    """A trained network, its logits on the validation and test parts, and whether it learned anything."""

    trained: Trained
    logit_model: keras.Model
    validation: np.ndarray
    test: np.ndarray

    @property
    def learned(self) -> bool:
        """False when the logits are constant; see :func:`tfbs.evaluation.trained`."""
        return evaluation.trained(self.validation)


@dataclass(frozen=True)
class Explained:
    """DeepSHAP of the explained test sequences, and the mutagenesis map of the most confident positive.

    Attributes
    ----------
    rows : ndarray of int, shape (n,)
        Rows of the test part.
    attribution : Attribution
        One entry per row.
    top : ndarray of int
        Positions in `rows` of the most confident positives, best first.
    ism : ndarray of float32, shape (L, 4)
        In-silico mutagenesis of the first of `top`.
    motif_share : float or None
        Share of attribution inside the planted motif, where the truth is known.
    """

    rows: np.ndarray
    attribution: Attribution
    top: np.ndarray
    ism: np.ndarray
    motif_share: float | None


@dataclass(frozen=True)
class Shortcuts:
    """What one reaches without a network: share of test sequences seen in training, AUROC of GC content and k-mers."""

    duplicate_share: float
    gc: Estimate
    kmer: Estimate


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
        split = _prepare(opened, job)
        fitted = _fit(opened, job, split)
        estimates = _evaluate(opened, split, fitted, settings.seed)
        explained = _explain(opened, settings, split, fitted)
        figures = _draw(opened, settings, split, fitted, explained, estimates)
        version, standing = _register(job, split, fitted)
        sentences = (
            _verdict(job, estimates, fitted),
            *_cautions(_shortcuts(opened, split), estimates["auroc"], explained),
            _standing(settings, version, standing),
        )
        title = f"{settings.arch}, seed {settings.seed}, on {split.train.name}"
        summary = Summary(title, sentences, estimates, _facts(split, fitted, explained))
        opened.tags({"verdict": "trained" if fitted.learned else "did not train", "version": version or "none"})
        opened.describe(summary.markdown())
        opened.text(summary.page(figures), "report.html")
    return Result(opened.run_id, opened.experiment_id, summary, version)


def _prepare(opened: Run, job: Job) -> Split:
    """Read and split the data, and log what they are."""
    data = datasets.load(job.source, job.simulation)
    architectures.get(job.settings.arch).require(data.length)
    split = splits.random_split(data, job.full_recipe)
    tracking.log_parts(opened, split)
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
    train = split.train
    return attribution.negative_references(train.codes, train.labels, settings.n_references, settings.seed)


def _register(job: Job, split: Split, fitted: Fitted) -> tuple[int | None, Standing | None]:
    """Register the network if it learned something, and recompute the champion."""
    settings, validation = job.settings, split.validation
    if not (fitted.learned and settings.register):
        return None, None
    scores = evaluation.evaluate(validation.labels, fitted.validation, settings.seed)
    train = split.train
    references = attribution.negative_references(train.codes, train.labels, settings.n_references, settings.seed)
    tags = {
        "arch": settings.arch,
        "seed": str(settings.seed),
        "dataset": train.name,
        "data_digest": split.data_digest,
        "split_digest": split.digest,
    }
    candidate = Candidate(fitted.logit_model, references, scores["auprc"], scores["brier"], tags)
    version = registry.register(candidate, settings.registered_model)
    return version, registry.crown(version, settings.registered_model)


def _verdict(job: Job, estimates: Mapping[str, Estimate], fitted: Fitted) -> str:
    if not fitted.learned:
        return (
            "This network did not train: it says the same of every validation sequence (probability "
            f"{expit(fitted.validation).mean():.3f}, standard deviation {expit(fitted.validation).std():.1g}), so it "
            f"is not registered; try seed={job.settings.seed + 1}."
        )
    area = estimates["auroc"]
    return f"Trained in {fitted.trained.seconds:.1f} s; test AUROC {area}."


def _cautions(shortcuts: Shortcuts, area: Estimate, explained: Explained) -> list[str]:
    """Say what one must know to trust the figures."""
    beaten = area.value > max(shortcuts.gc.value, shortcuts.kmer.value)
    found = [
        f"Without a network, GC content reaches AUROC {shortcuts.gc.value:.4f} and a logistic regression on "
        f"{splits.KMER}-mer counts {shortcuts.kmer.value:.4f}"
        + ("." if beaten else "; the network does not beat that.")
    ]
    if area.lo <= 0.5:
        found.append("The interval of the AUROC includes 0.5: this network may be no better than chance.")
    if shortcuts.duplicate_share:
        count = round(shortcuts.duplicate_share * area.n)
        found.append(f"{count:,} of the {area.n:,} test sequences stand in the training part too, on either strand.")
    if explained.attribution.additivity_error > attribution.ADDITIVITY_WARN:
        found.append(f"The contributions add up to the logit only within {explained.attribution.additivity_error:.1e}.")
    return found


def _standing(settings: Settings, version: int | None, standing: Standing | None) -> str:
    if standing is None:
        return "Not registered."
    champion = "and champion" if standing.version == version else f"; champion is version {standing.version}"
    return f"Registered as version {version} of {settings.registered_model} {champion} ({standing.reason})."


def _facts(split: Split, fitted: Fitted, explained: Explained) -> dict[str, str]:
    """What stands in the description's second table."""
    facts = {
        f"{name} sequences": f"{len(part):,} ({int(part.labels.sum()):,} positives) x {part.length} bp"
        for name, part in (("training", split.train), ("validation", split.validation), ("test", split.test))
    }
    if explained.motif_share is not None:
        facts["attribution inside the planted motif"] = f"{explained.motif_share:.2f}"
    return facts | {
        "additivity error (relative)": f"{explained.attribution.additivity_error:.1e}",
        "network parameters": f"{fitted.trained.model.count_params():,}",
        "data digest (SHA-256)": split.data_digest[:16],
        "split digest (SHA-256)": split.digest[:16],
    }


def _draw(
    opened: Run,
    settings: Settings,
    split: Split,
    fitted: Fitted,
    explained: Explained,
    estimates: Mapping[str, Estimate],
) -> dict[str, bytes]:
    """Draw every figure; log figures, attributions and network, and return the PNG files by name."""
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        (folder / "network").mkdir()
        label = f"{settings.n_references} " + REFERENCES[settings.references]
        paths = {
            name: plots.save(figure, folder / "plots" / f"{name}.png")
            for name, figure in _figures(split.test, fitted, explained, estimates, label)
        }
        np.savez_compressed(
            folder / "attributions.npz",
            ids=np.array([split.test.ids[row] for row in explained.rows]),
            labels=split.test.labels[explained.rows],
            **asdict(explained.attribution),
        )
        fitted.trained.model.save(folder / "network" / f"{fitted.trained.model.name}.keras")
        return {name: path.read_bytes() for name, path in paths.items()}


def _figures(
    test: Dataset, fitted: Fitted, explained: Explained, estimates: Mapping[str, Estimate], references: str
) -> Iterator[tuple[str, Figure]]:
    """Yield (name, figure) in the order of the report."""
    result, rows, width = explained.attribution, explained.rows[explained.top], len(test.motif) or None
    contributions = sequences.one_hot(test.codes[rows]) * result.contributions[explained.top, :, None]
    probabilities, labels = expit(fitted.test), test.labels
    titles = [f"{test.ids[row]}, probability {probabilities[row]:.3f}" for row in rows]
    profiled = result.contributions[labels[explained.rows] == 1]
    yield "loss", plots.loss(fitted.trained.history)
    yield "roc", plots.roc(labels, fitted.test, estimates["auroc"])
    yield "pr", plots.precision_recall(labels, fitted.test, estimates["auprc"])
    yield "calibration", plots.calibration(labels, probabilities, estimates)
    yield "shap_logos", plots.logos(contributions, titles, test.starts[rows], width, references)
    yield "shap_position", plots.position_profile(np.abs(profiled).mean(0), n=len(profiled))
    sequence = sequences.decode(test.codes[rows[:1]])[0]
    yield "ism", plots.ism_map(explained.ism, sequence, titles[0], int(test.starts[rows[0]]), width)
