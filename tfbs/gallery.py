"""The figures of a comparison, in the order of its report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from . import agreement, evaluation, plots_compare, sequences
from .comparison import COMPARED, Comparison
from .paired import Difference
from .plan import METRICS
from .story import agreements, same_explained

if TYPE_CHECKING:
    from .plots import Figure

LOGOS = 4
Drawn = tuple[str, str, "Figure"]


def draw(found: Comparison, metric: str) -> Iterator[Drawn]:
    """Draw what a comparison found.

    Parameters
    ----------
    found : Comparison
        With at least one entrant.
    metric : str
        What its verdicts are about.

    Yields
    ------
    tuple
        Name of the file without suffix, caption, figure.
    """
    for shown in dict.fromkeys((metric, "auprc")):
        values = {g.name: np.array([e.metrics[shown].value for e in g.entrants]) for g in found.groups}
        collapsed = {g.name: np.array([not e.learned for e in g.entrants]) for g in found.groups}
        label = METRICS[shown]
        yield f"seeds_{shown}", f"{label} of every seed", plots_compare.seeds(values, collapsed, label)
    if found.pairs:
        caption = "Differences with their 95 % intervals"
        yield "differences", caption, plots_compare.differences(list(_differences(found)))
    if variances := list(_variances(found)):
        yield "variance", "Where the uncertainty of a difference comes from", plots_compare.variance(variances)
    if found.trained:
        yield from _curves(found)
        yield from _agreement(found)


def curves(found: Comparison) -> dict[str, dict[str, np.ndarray]]:
    """ROC and precision-recall curves on the grid of 101 points, by kind and architecture: (S, 101), trained seeds."""
    able = [group for group in found.groups if group.trained]
    kinds = {"roc_tpr": evaluation.roc_curve_on_grid, "pr_precision": evaluation.pr_curve_on_grid}
    return {
        kind: {g.name: np.array([measure(e.test.labels, e.test.logits) for e in g.trained]) for g in able}
        for kind, measure in kinds.items()
    }


def _curves(found: Comparison) -> Iterator[Drawn]:
    able = [group for group in found.groups if group.trained]
    labels = found.trained[0].test.labels
    drawn = curves(found)
    areas = {
        metric: {g.name: np.array([e.metrics[metric].value for e in g.trained]) for g in able}
        for metric in ("auroc", "auprc")
    }
    yield "roc", "ROC curves", plots_compare.roc_bands(drawn["roc_tpr"], labels, areas["auroc"])
    yield "pr", "Precision-recall curves", plots_compare.pr_bands(drawn["pr_precision"], labels, areas["auprc"])
    histories = {g.name: [e.history for e in g.trained if e.history["val_loss"]] for g in able}
    if all(histories.values()):
        caption = "Learning curves on the validation part"
        yield "learning", caption, plots_compare.learning_bands(histories)
    if len(found.parts) == 1:
        probabilities = {g.name: expit(np.array([e.test.logits for e in g.trained])) for g in able}
        yield "calibration", "Calibration", plots_compare.calibration_bands(labels, probabilities)


def _agreement(found: Comparison) -> Iterator[Drawn]:
    names = [f"{entrant.name}, seed {entrant.seed}" for entrant in found.trained]
    groups = [entrant.name for entrant in found.trained]
    for what, matrix in agreements(found).items():
        title = {
            "predictions": "Spearman correlation of the logits",
            "attributions": "mean correlation of the contributions within a sequence",
        }[what]
        drawn = plots_compare.agreement(matrix, names, groups, title)
        yield f"agreement_{what}", f"Agreement of {what}", drawn
    if len(set(groups)) > 1 and len(found.parts) == 1 and same_explained(found):
        yield "disagreement_logos", "What they look at where they disagree most", _logos(found)


def _logos(found: Comparison) -> Figure:
    """Mean attributions of the two architectures that disagree most, on the explained sequences where they do."""
    trained, first = found.trained, found.trained[0].explanations
    rows = [trained[0].test.ids.index(name) for name in first.ids]
    logits, names = np.array([entrant.test.logits[rows] for entrant in trained]), [entrant.name for entrant in trained]
    worst = agreement.disagreements(logits, names, trained[0].test.labels[rows], LOGOS)
    ours, theirs = (worst.names[i] for i in (int(worst.means[:, 0].argmax()), int(worst.means[:, 0].argmin())))
    x = sequences.one_hot(first.codes[worst.indices])
    maps = [
        x * np.mean([e.explanations.contributions[worst.indices] for e in trained if e.name == name], axis=0)[..., None]
        for name in (ours, theirs)
    ]
    at = [worst.names.index(name) for name in (ours, theirs)]
    titles = [
        f"{first.ids[index]}, {'positive' if worst.labels[k] else 'negative'}: {ours} {worst.means[at[0], k]:.3f}, "
        f"{theirs} {worst.means[at[1], k]:.3f}"
        for k, index in enumerate(worst.indices)
    ]
    return plots_compare.disagreement_logos(*maps, titles, (ours, theirs))


def _differences(found: Comparison) -> Iterator[dict[str, object]]:
    for pair in found.pairs:
        for metric in COMPARED:
            d = pair.differences[metric]
            row = {"pair": f"{pair.ours} − {pair.theirs}", "metric": METRICS[metric], "value": d.value}
            yield row | {"lo": d.lo, "hi": d.hi, "verdict": pair.verdict(metric)}


def _variances(found: Comparison) -> Iterator[dict[str, object]]:
    for pair in found.pairs:
        for metric in COMPARED:
            d = pair.differences[metric]
            if isinstance(d, Difference):
                row = {"pair": f"{pair.ours} − {pair.theirs}", "metric": METRICS[metric]}
                yield row | {"seeds": d.seed_variance, "sequences": d.sequence_variance}
