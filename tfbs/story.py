"""What a comparison found, told three ways: the description in the UI, the terminal, and a self-contained web page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import agreement, page
from .comparison import COMPARED, Comparison, Group, Pair
from .paired import Difference
from .plan import METRICS, Plan
from .report import LABELS

DISAGREEMENTS = 10


@dataclass(frozen=True)
class Table:
    """A table to read and to compute with.

    Attributes
    ----------
    name, caption : str
        File name without suffix; heading.
    rows : list of dict
        Cells as people read them, by column.
    records : list of dict
        The same in numbers, for ``<name>.json``.
    """

    name: str
    caption: str
    rows: list[dict[str, str]]
    records: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Story:
    """Title, sentences (verdicts first), and tables of a comparison."""

    title: str
    sentences: tuple[str, ...]
    tables: tuple[Table, ...]

    def table(self, name: str) -> Table:
        """Look a table up by its name."""
        return next(table for table in self.tables if table.name == name)

    def markdown(self) -> str:
        """The run's description: verdict table first, because the UI folds the rest away."""
        shown = (self.table("differences"), self.table("architectures"))
        tables = [page.markdown_table(table.rows) for table in shown if table.rows]
        return "\n\n".join([*tables[:1], *self.sentences, *tables[1:]])

    def text(self) -> str:
        """The end of the terminal output."""
        tables = (self.table("architectures"), self.table("differences"))
        parts = [self.title, *self.sentences]
        for table in tables:
            parts += ["", table.caption, page.text_table(table.rows)]
        return "\n".join(parts)

    def page(self, figures: Mapping[str, tuple[str, bytes]]) -> str:
        """A web page with every figure inside it; `figures` gives caption and PNG file by name."""
        first, last = self.tables[:5], self.tables[5:]
        body = [page.paragraph(sentence) for sentence in self.sentences]
        body += [page.table(table.caption, table.rows, table.name) for table in first if table.rows]
        body += [page.figure(caption, png) for caption, png in figures.values()]
        body += [page.table(table.caption, table.rows, table.name) for table in last if table.rows]
        return page.document(self.title, body)


def tell(found: Comparison, plan: Plan, remarks: tuple[str, ...] = ()) -> Story:
    """Tell what a comparison found.

    Parameters
    ----------
    found : Comparison
        The comparison.
    plan : Plan
        ``metric`` is what the verdicts are about.
    remarks : tuple of str
        Sentences on what was lost and what was registered.

    Returns
    -------
    Story
    """
    verdicts = [pair.sentence(plan.metric, METRICS[plan.metric]) for pair in found.pairs]
    names = [group.name for group in found.groups]
    sentences = [*verdicts, *map(_collapse, found.groups), *_alone(found), *remarks]
    kinds = (_differences, _architectures, _cost, _agreement, _disagreements, _replicates, _spreads)
    return Story(f"Comparison of {_listed(names)}", tuple(sentences), tuple(kind(found) for kind in kinds))


def _collapse(group: Group) -> str:
    """Say how many seeds trained."""
    share, n = group.collapsed, len(group.entrants)
    count = n - len(group.trained)
    if not count:
        return f"{group.name}: all {n} trained (share that collapses: at most {share.hi:.2f}, 95 % limit)."
    left = "none is left to compare" if count == n else "the comparison is of those that trained"
    return (
        f"{group.name}: {count} of {n} collapsed to a constant (share {share.value:.2f}, 95 % interval "
        f"{share.lo:.2f} to {share.hi:.2f}); {left}."
    )


def _alone(found: Comparison) -> list[str]:
    """Say why there is no verdict, where there is none."""
    if found.pairs:
        return []
    if len(found.groups) == 1:
        return ["There is one architecture, so there is nothing to compare it with."]
    return ["No two architectures trained on a common split, so there is no verdict."]


def _differences(found: Comparison) -> Table:
    rows, records = [], []
    for pair in found.pairs:
        for metric in COMPARED:
            d, p = pair.differences[metric], pair.adjusted[metric]
            rows.append(
                {
                    "difference": f"{pair.ours} − {pair.theirs}",
                    "metric": METRICS[metric],
                    "value": f"{d.value:+.4f}",
                    "95 % interval": f"{d.lo:+.4f} to {d.hi:+.4f}",
                    "p (Holm)": _p(p),
                    "verdict": _verdict(pair, metric),
                    "variance from seeds": _share(d),
                }
            )
            record = {"ours": pair.ours, "theirs": pair.theirs, "metric": metric, "value": d.value, "lo": d.lo}
            record |= {"hi": d.hi, "p": d.p, "p_holm": p, "n": d.n, "verdict": pair.verdict(metric)}
            records.append(record)
    splits = f", {len(found.parts)} splits" if len(found.parts) > 1 else ""
    return Table("differences", f"Differences on the same test sequences{splits}", rows, records)


def _verdict(pair: Pair, metric: str) -> str:
    told = pair.verdict(metric)
    return told if told == "cannot tell" else f"{pair.ours} is {told}"


def _share(difference: Any) -> str:
    if not isinstance(difference, Difference) or not np.isfinite(difference.share_of_seeds):
        return "-"
    return f"{100 * difference.share_of_seeds:.0f} %"


def _architectures(found: Comparison) -> Table:
    rows = []
    for group in found.groups:
        row = {"architecture": group.name, "trained": f"{len(group.trained)} of {len(group.entrants)}"}
        for metric in COMPARED:
            spread = group.spread(metric)
            sd = f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{spread.sd:.4f}" if spread and spread.n > 1 else ""
            row[LABELS[metric]] = f"{spread.mean:.4f}{sd}" if spread else "-"
        row |= {"best seed (AUROC)": _seed(group.best), "median seed (AUROC)": _seed(group.median)}
        rows.append(row)
    caption = "Architectures: mean ± sd over the seeds that trained; the best seed is that of the validation part"
    return Table("architectures", caption, rows)


def _spreads(found: Comparison) -> Table:
    rows, records = [], []
    for group in found.groups:
        common = [name for name in LABELS if all(name in entrant.metrics for entrant in group.trained)]
        for metric in common if group.trained else ():
            spread = group.spread(metric)
            row = {"architecture": group.name, "metric": LABELS[metric], "mean": f"{spread.mean:.4f}"}
            if spread.n > 1:
                row |= {"sd": f"{spread.sd:.4f}", "95 % interval": f"{spread.lo:.4f} to {spread.hi:.4f}"}
            rows.append(row | {"lowest to highest": f"{spread.lowest:.4f} to {spread.highest:.4f}"})
            records.append({"architecture": group.name, "metric": metric, **vars(spread)})
    return Table("spreads", "Every metric over the seeds that trained, with the interval of the mean", rows, records)


def _seed(entrant: Any) -> str:
    if entrant is None:
        return "-"
    fold = f", fold {entrant.part[1]}" if entrant.part[1] not in ("", "0") else ""
    return f"{entrant.seed}{fold} ({entrant.metrics['auroc'].value:.4f})"


def _replicates(found: Comparison) -> Table:
    rows = [
        {
            "architecture": entrant.name,
            "seed": entrant.seed,
            "split": " fold ".join(part for part in entrant.part if part not in ("", "0")),
            "trained": "yes" if entrant.learned else "no",
            **{LABELS[metric]: f"{entrant.metrics[metric].value:.4f}" for metric in COMPARED},
            "validation AUPRC": f"{entrant.score:.4f}",
        }
        for entrant in found.entrants
    ]
    records = [
        {
            "architecture": entrant.name,
            "seed": entrant.seed,
            "split_seed": entrant.part[0],
            "fold": entrant.part[1],
            "trained": entrant.learned,
            "val_auprc": entrant.score,
            **{metric: estimate.value for metric, estimate in entrant.metrics.items()},
            "seconds": entrant.seconds,
            "run_id": entrant.run_id,
        }
        for entrant in found.entrants
    ]
    return Table("replicates", "Every seed", rows, records)


def _cost(found: Comparison) -> Table:
    rows = [
        {
            "architecture": group.name,
            "trainable weights": f"{group.entrants[0].n_weights:,}",
            "training time, mean (s)": f"{np.mean([entrant.seconds for entrant in group.entrants]):.1f}",
        }
        for group in found.groups
    ]
    return Table("cost", "Cost of one replicate", rows)


def _agreement(found: Comparison) -> Table:
    rows, records = [], []
    for what, matrix in agreements(found).items():
        for pairing in agreement.summary(matrix, [entrant.name for entrant in found.trained]):
            if not pairing.pairs:
                continue
            same = pairing.first == pairing.second
            between = f"seeds of {pairing.first}" if same else f"{pairing.first} and {pairing.second}"
            value = f"{pairing.mean:.2f} ({pairing.lowest:.2f} to {pairing.highest:.2f})"
            rows.append({"agreement of": what, "between": between, "mean (lowest to highest)": value})
            records.append({"of": what, **vars(pairing)})
    return Table("agreement", "Agreement: correlation of ranks (predictions), of bases (attributions)", rows, records)


def agreements(found: Comparison) -> dict[str, np.ndarray]:
    """Matrices of agreement between the trained entrants, where they share one test part (and explained sequences)."""
    trained = found.trained
    if len(trained) < 2 or len(found.parts) > 1:
        return {}
    matrices = {"predictions": agreement.predictions(np.array([entrant.test.logits for entrant in trained]))}
    if same_explained(found):
        stacked = np.array([entrant.explanations.contributions for entrant in trained])
        matrices["attributions"] = agreement.attributions(stacked)
    return matrices


def same_explained(found: Comparison) -> bool:
    """Say whether all trained entrants explained the same sequences."""
    explained = [entrant.explanations for entrant in found.trained]
    return bool(explained) and all(e is not None and e.ids == explained[0].ids for e in explained)


def _disagreements(found: Comparison) -> Table:
    if len(found.parts) > 1 or len(found.trained) < 2:
        return Table("disagreements", "", [])
    trained, first = found.trained, found.trained[0].test
    logits, names = np.array([entrant.test.logits for entrant in trained]), [entrant.name for entrant in trained]
    worst = agreement.disagreements(logits, names, first.labels, DISAGREEMENTS)
    rows, records = [], []
    for at, index in enumerate(worst.indices):
        row = {"sequence": first.ids[index], "label": str(int(worst.labels[at]))}
        record: dict[str, Any] = {"id": first.ids[index], "label": int(worst.labels[at])}
        for name, means, sds in zip(worst.names, worst.means, worst.sds, strict=True):
            row[f"{name}: probability"] = (
                f"{means[at]:.3f} ± {sds[at]:.3f}" if np.isfinite(sds[at]) else f"{means[at]:.3f}"
            )
            record |= {f"{name}_mean": float(means[at]), f"{name}_sd": float(sds[at])}
        rows.append(row)
        records.append(record)
    caption = "Test sequences on which they disagree most (mean ± sd of the probability over seeds)"
    return Table("disagreements", caption, rows, records)


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else f"{value:.4f}"


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
