"""One summary of a run, told three ways: the description in the UI, the terminal, and a self-contained web page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from . import page
from .intervals import Estimate

LABELS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "auprc_no_skill": "AUPRC without skill",
    "precision_at_n_positives": "Precision of the top n, n positives",
    "precision_at_100": "Precision of the top 100",
    "mcc": "Matthews correlation (MCC)",
    "accuracy": "Accuracy at 0.5",
    "brier": "Brier score",
    "ece": "Calibration error (ECE)",
    "log_loss": "Log loss",
    "recall_at_fdr10": "Recall at 10 % FDR",
    "auroc_thresholded": "AUROC of 0/1 decisions",
    "auprc_thresholded": "AUPRC of 0/1 decisions",
}
CAPTIONS = {
    "first_look": "What the network reads",
    "loss": "Learning curves",
    "roc": "ROC curve, test part",
    "pr": "Precision-recall curve, test part",
    "calibration": "Calibration, test part; maps fitted on the validation part",
    "shap_logos": "DeepSHAP contributions of the most confident positives",
    "shap_position": "Mean |contribution| by position",
    "ism": "In-silico mutagenesis of the most confident positive",
}


@dataclass(frozen=True)
class Summary:
    """What a person should read first.

    Attributes
    ----------
    title : str
        Architecture, seed and data set.
    sentences : tuple of str
        The verdict first, then whatever must be known to trust the figures.
    estimates : dict of str to Estimate
        Metrics of the test part.
    facts : dict of str to str
        Data, digests, durations.
    """

    title: str
    sentences: tuple[str, ...]
    estimates: Mapping[str, Estimate]
    facts: Mapping[str, str]

    @property
    def rows(self) -> list[tuple[str, str, str]]:
        """Label, value and 95 % interval of each metric."""
        return [
            (label, f"{e.value:.4f}", f"{e.lo:.4f} to {e.hi:.4f}" if e.lo < e.hi else "exact")
            for name, label in LABELS.items()
            if (e := self.estimates.get(name))
        ]

    @property
    def n(self) -> int:
        """Sequences of the test part."""
        return next(iter(self.estimates.values())).n

    def markdown(self, picture: str = "") -> str:
        """The run's description: the table first, because the UI folds the rest away, then the picture."""
        lines = [f"| {self.title}: test part, n = {self.n:,} | value (95 % interval) |", "|---|---|"]
        lines += [f"| {label} | {value} ({interval}) |" for label, value, interval in self.rows]
        lines += ["", *([f"{picture}\n"] if picture else []), *(f"{sentence}\n" for sentence in self.sentences)]
        lines += ["| data and network | |", "|---|---|", *(f"| {key} | {value} |" for key, value in self.facts.items())]
        return "\n".join(lines)

    def text(self) -> str:
        """The end of the terminal output."""
        width = max(len(label) for label, _, _ in self.rows)
        lines = [self.title, *self.sentences, "", f"Test part, n = {self.n:,}, with 95 % intervals"]
        lines += [f"  {label:<{width}}  {value}  ({interval})" for label, value, interval in self.rows]
        return "\n".join(lines)

    def page(self, figures: Mapping[str, bytes]) -> str:
        """A web page with every figure inside it.

        Parameters
        ----------
        figures : mapping of str to bytes
            PNG files by the keys of :data:`CAPTIONS`.

        Returns
        -------
        str
            HTML that needs no other file.
        """
        columns = (f"Test part, n = {self.n:,}", "Value", "95 % interval")
        rows = [dict(zip(columns, row, strict=True)) for row in self.rows]
        facts = [{"": key, " ": value} for key, value in self.facts.items()]
        body = [page.paragraph(sentence) for sentence in self.sentences]
        body.append(page.table("Metrics", rows, "metrics"))
        body += [page.figure(CAPTIONS[name], png) for name, png in figures.items()]
        return page.document(self.title, [*body, page.table("Facts", facts, "facts")])
