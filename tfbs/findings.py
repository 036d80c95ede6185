"""What a run found out about its network, and how that is told: sentences, facts, figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import expit

from . import attribution, calibration, evaluation, plots, sequences, thresholds
from .explanation import Explained
from .intervals import Estimate
from .leakage import Leakage
from .reading import Reading
from .report import LABELS, Summary
from .settings import REFERENCES, Settings
from .splits import Split
from .training import Trained

if TYPE_CHECKING:
    import keras

    from .plots import Figure


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
class Findings:
    """Everything that was measured, in the order in which it was measured.

    `ism` is the in-silico mutagenesis of the most confident positive, float32 (L, 4); `choice` tells how the
    architecture was chosen, if it was, and why motifs could not be looked for, if so; `reading` holds the motifs, if
    any were looked for.
    """

    settings: Settings
    split: Split
    fitted: Fitted
    estimates: Mapping[str, Estimate]
    leakage: Leakage
    explained: Explained
    ism: np.ndarray
    choice: tuple[str, ...] = ()
    reading: Reading | None = None

    @cached_property
    def calibrated(self) -> dict[str, np.ndarray]:
        """Logits of the test part before and after calibration, see :func:`tfbs.calibration.calibrated`."""
        return calibration.calibrated((self.split.validation.labels, self.fitted.validation), self.fitted.test)

    def summary(self, standing: str) -> Summary:
        """Tell it all; `standing` is the sentence on the registered version."""
        title = f"{self.settings.arch}, seed {self.settings.seed}, on {self.split.train.name}"
        told = (self.verdict(), *self.choice, *self.motifs(), *self.cautions(), standing)
        return Summary(title, told, self.estimates, self.facts())

    def verdict(self) -> str:
        """Say in one sentence whether the network trained and how well."""
        if self.fitted.learned:
            return f"Trained in {self.fitted.trained.seconds:.1f} s; test AUROC {self.estimates['auroc']}."
        probabilities = expit(self.fitted.validation)
        return (
            "This network did not train: it says the same of every validation sequence (probability "
            f"{probabilities.mean():.3f}, standard deviation {probabilities.std():.1g}), so it is not registered; try "
            f"seed={self.settings.seed + 1}."
        )

    def motifs(self) -> tuple[str, ...]:
        """Say what the network reads."""
        return self.reading.sentences if self.reading else ()

    def cautions(self) -> list[str]:
        """Say what one must know to trust the figures."""
        area = self.estimates["auroc"]
        found = self.leakage.sentences(area.value)
        if area.lo <= 0.5:
            found.append("The interval of the AUROC includes 0.5: this network may be no better than chance.")
        error = self.explained.attribution.additivity_error
        if error > attribution.ADDITIVITY_WARN:
            found.append(f"The contributions add up to the logit only within {error:.1e}.")
        return found

    def facts(self) -> dict[str, str]:
        """Give what stands in the description's second table."""
        split, explained = self.split, self.explained
        facts = {
            f"{name} sequences": f"{len(part):,} ({int(part.labels.sum()):,} positives) x {part.length} bp"
            for name, part in (("training", split.train), ("validation", split.validation), ("test", split.test))
        }
        if split.how:
            facts["split"] = split.how
        facts |= {_counted(reason): f"{count:,}" for reason, count in split.train.dropped.items() if count}
        facts |= self._decisions()
        if explained.motif_share is not None:
            facts["attribution inside the planted motif"] = f"{explained.motif_share:.2f}"
        return facts | {
            "additivity error (relative)": f"{explained.attribution.additivity_error:.1e}",
            "network parameters": f"{self.fitted.trained.model.count_params():,}",
            "data digest (SHA-256)": split.data_digest[:16],
            "split digest (SHA-256)": split.digest[:16],
        }

    def _decisions(self) -> dict[str, str]:
        """Tell the threshold of the calls, and how far probabilities can be believed."""
        labels, logits = self.split.validation.labels, self.fitted.validation
        threshold = thresholds.choose(labels, logits)
        reason = "chosen on the validation part"
        if not evaluation.informative(labels, logits):
            reason = "since the validation part cannot tell a better one"
        facts = {"threshold of the MCC": f"probability {expit(threshold):.3g}, {reason}"}
        for method, mapped in self.calibrated.items():
            found = evaluation.reliability(self.split.test.labels, mapped, resamples=2)
            told = (f"{LABELS[name]} {estimate.value:.4f}" for name, estimate in found.items())
            facts[f"test part {calibration.TITLES[method]}"] = ", ".join(told)
        return facts

    def figures(self) -> Iterator[tuple[str, Figure]]:
        """Yield (name, figure) in the order of the report."""
        test, fitted, explained = self.split.test, self.fitted, self.explained
        result, width = explained.attribution, len(test.motif) or None
        probabilities, labels = expit(fitted.test), test.labels
        top = explained.top(labels[explained.rows])
        rows = explained.rows[top]
        contributions = sequences.one_hot(test.codes[rows]) * result.contributions[top, :, None]
        titles = [f"{test.ids[row]}, probability {probabilities[row]:.3f}" for row in rows]
        kind = self.settings.references
        references = f"{self.settings.n_references} {REFERENCES.get(kind, f'sequences of {Path(kind).name}')}"
        profiled = result.contributions[labels[explained.rows] == 1]
        after = {calibration.TITLES[method]: expit(self.calibrated[method]) for method in list(self.calibrated)[1:]}
        if self.reading:
            yield "first_look", self.reading.first_look()
        yield "loss", plots.loss(fitted.trained.history)
        yield "roc", plots.roc(labels, fitted.test, self.estimates["auroc"])
        yield "pr", plots.precision_recall(labels, fitted.test, self.estimates["auprc"])
        yield "calibration", plots.calibration(labels, probabilities, self.estimates, after)
        yield "shap_logos", plots.logos(contributions, titles, test.starts[rows], width, references)
        yield "shap_position", plots.position_profile(np.abs(profiled).mean(0), n=len(profiled))
        sequence = sequences.decode(test.codes[rows[:1]])[0]
        yield "ism", plots.ism_map(self.ism, sequence, titles[0], int(test.starts[rows[0]]), width)


def _counted(reason: str) -> str:
    """Name what reading the data left out, or changed."""
    return reason.removeprefix("kept: ") if reason.startswith("kept: ") else f"left out: {reason}"
