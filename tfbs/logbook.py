"""What every trained network leaves in its run: digests, metrics, curves, predictions, attributions, trust figures.

One spelling for the main job and for the replicates of a comparison, so that all of them overlay in the tracking UI and
any of them can be compared later.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
from scipy.special import expit

from . import calibration, evaluation, thresholds
from .datasets import Dataset
from .explanation import Explained
from .intervals import Estimate
from .leakage import Leakage
from .reading import Reading
from .replicates import Replicate
from .splits import Split
from .tracking import Run

PREDICTIONS = "predictions.json"
ATTRIBUTIONS = "attributions.npz"
MOTIFS = "motifs.meme"


def log_parts(opened: Run, split: Split) -> None:
    """Log the three parts of a split as data sets, and the digests that say whether two runs are comparable."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    for context, part in parts.items():
        opened.dataset(part, context)
    opened.tags(digests(split))
    opened.params({f"n_{context}": len(part) for context, part in parts.items()})
    if counts := {reason: count for reason, count in split.train.dropped.items() if count}:
        opened.table({"what": list(counts), "count": list(counts.values())}, "dropped.json")


def digests(split: Split) -> dict[str, str]:
    """Tags that say on which sequences a run was trained and tested."""
    return {"data_digest": split.data_digest, "split_digest": split.digest, "test_digest": split.test.digest}


def log_results(opened: Run, split: Split, logits: tuple[np.ndarray, np.ndarray], seed: int) -> dict[str, Estimate]:
    """Measure a network on the test part; log metrics, curves and predictions.

    Parameters
    ----------
    opened : Run
        Where to log.
    split : Split
        What was predicted.
    logits : tuple of ndarray
        Logits of the validation part and of the test part.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    dict of str to Estimate
        See :func:`tfbs.evaluation.evaluate` and :func:`tfbs.thresholds.evaluate`.
    """
    validation, test = logits
    threshold = thresholds.choose(split.validation.labels, validation)
    estimates = evaluation.evaluate(split.test.labels, test, seed)
    estimates |= thresholds.evaluate(split.test.labels, test, threshold)
    opened.metrics({"val/mcc_threshold": threshold})
    opened.estimates({f"test/{name}": estimate for name, estimate in estimates.items()})
    log_calibration(opened, split, logits, seed)
    log_curves(opened, split.test.labels, test)
    log_predictions(opened, {"validation": (split.validation, validation), "test": (split.test, test)})
    return estimates


def log_curves(opened: Run, labels: np.ndarray, logits: np.ndarray) -> None:
    """Log ROC, precision-recall and calibration curves of the test part as step metrics.

    The steps of the calibration curve are the centres of its bins, so that those of several seeds can be averaged.
    """
    opened.curve("roc_tpr", evaluation.roc_curve_on_grid(labels, logits))
    opened.curve("pr_precision", evaluation.pr_curve_on_grid(labels, logits))
    calibration = evaluation.calibration_curve(labels, expit(logits))
    width = 100 // evaluation.BINS
    bins = np.minimum(100 * calibration.predicted, 99).astype(int) // width
    opened.curve("calibration", calibration.observed, bins * width + width // 2)


def log_calibration(opened: Run, split: Split, logits: tuple[np.ndarray, np.ndarray], seed: int) -> None:
    """Log ``calibration.json``: how far the test part's probabilities can be believed, before and after each map."""
    validation, test = logits
    rows = [
        {"calibration": method, "metric": name, **asdict(estimate)}
        for method, mapped in calibration.calibrated((split.validation.labels, validation), test).items()
        for name, estimate in evaluation.reliability(split.test.labels, mapped, seed).items()
    ]
    opened.table(rows, "calibration.json")


def log_predictions(opened: Run, parts: Mapping[str, tuple[Dataset, np.ndarray]]) -> None:
    """Log ``predictions.json``: id, label, probability, logit and split of every validation and test sequence."""
    columns: dict[str, list] = {"id": [], "label": [], "probability": [], "logit": [], "split": []}
    for name, (data, logits) in parts.items():
        columns["id"] += list(data.ids)
        columns["label"] += data.labels.tolist()
        columns["probability"] += expit(logits).tolist()
        columns["logit"] += logits.astype(float).tolist()
        columns["split"] += [name] * len(data)
    opened.table(columns, PREDICTIONS)


def log_leakage(opened: Run, found: Leakage) -> Leakage:
    """Log what the test part shares with the training part and gives away without a network, and return it."""
    opened.metrics({"data/duplicate_share": found.duplicate_share, "data/near_share": found.test.near_share})
    measured = {"gc": found.gc, "kmer": found.kmer, "unknown": found.unknown, "length": found.size}
    opened.estimates({f"data/{name}_auroc": estimate for name, estimate in measured.items() if estimate})
    opened.table(found.table(), "leakage.json")
    return found


def log_trust(opened: Run, split: Split, explained: Explained) -> None:
    """Log how exactly the attributions add up, how much falls on the planted motif, and where along the sequence."""
    values = {"shap/additivity_max": explained.attribution.additivity_error}
    if explained.motif_share is not None:
        values["shap/motif_share"] = explained.motif_share
    opened.metrics(values)
    profiled = explained.attribution.contributions[split.test.labels[explained.rows] == 1]
    if len(profiled):
        opened.curve("shap_position", np.abs(profiled).mean(0), np.arange(1, split.test.length + 1))


def log_reading(opened: Run, found: Reading) -> None:
    """Log the motifs that a network reads, as a table that the UI compares across runs, and their second witness."""
    opened.metrics({"motifs/count": len(found.patterns)})
    if found.witness.n:
        opened.metrics({"motifs/ism_rank_correlation": found.witness.value})
    if found.rows:
        opened.table(found.rows, "motifs.json")


def log_replicate(opened: Run, split: Split, found: Replicate, seed: int) -> None:
    """Log a replicate into a run of its own under the names that the main job uses; `seed` is that of the bootstrap."""
    arch = found.task.arch
    log_parts(opened, split)
    opened.params({"threads": found.threads, "n_weights": found.n_weights})
    opened.metrics({"time/training_s": found.seconds})
    opened.epochs(found.history)
    log_results(opened, split, (found.validation, found.test), seed)
    log_trust(opened, split, found.explained)
    with opened.artifacts() as folder:
        (folder / "network").mkdir()
        (folder / "network" / f"{arch}.keras").write_bytes(found.network)
        save_attributions(folder, split, found.explained)
    opened.tags({"verdict": "trained" if evaluation.trained(found.validation) else "did not train"})


def save_attributions(folder: Path, split: Split, explained: Explained) -> None:
    """Write ``attributions.npz``: ids, labels and codes (n, L) of the explained sequences, and their attribution."""
    test, rows = split.test, explained.rows
    np.savez_compressed(
        folder / ATTRIBUTIONS,
        ids=np.array([test.ids[row] for row in rows]),
        labels=test.labels[rows],
        codes=test.codes[rows],
        **asdict(explained.attribution),
    )
