"""The job that asks a trained network what it reads: attributions in, named motifs out, as one tracked run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from . import (
    architectures,
    attribution,
    environment,
    jaspar,
    motif_page,
    motifs,
    page,
    plots,
    plots_motifs,
    runs,
    sequences,
    tracking,
    training,
)
from .errors import DataError, ParameterError, require
from .jaspar import Match
from .logbook import ATTRIBUTIONS
from .modisco import Discovery
from .motifs import Pattern
from .tracking import StoredRun

WITNESSES = 30
SHOWN = 20


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes
    ----------
    run_id, model : str
        The network: id of the run that trained it, or a version as ``models:/tfbs@champion``.
    motifs : str
        Known motifs: a taxonomic group of JASPAR (:data:`tfbs.jaspar.GROUPS`), or the path of a file in MEME format.
    max_seqlets, min_seqlets : int
        See :class:`tfbs.modisco.Discovery`.
    """

    run_id: str = ""
    model: str = ""
    motifs: str = "vertebrates"
    max_seqlets: int = Discovery.max_seqlets
    min_seqlets: int = Discovery.min_seqlets

    def __post_init__(self):
        if bool(self.run_id) == bool(self.model):
            raise ParameterError(
                "Expected either run_id=<id of a run> or model=models:/<name>@champion, received "
                f"{'both' if self.run_id else 'neither'}: give one."
            )
        require(self, {"motifs": (bool(self.motifs), f"one of {', '.join(jaspar.GROUPS)} or a file in MEME format")})
        _ = self.discovery

    @property
    def network(self) -> str:
        """The network as the user named it."""
        return self.run_id or self.model

    @property
    def discovery(self) -> Discovery:
        """Settings of TF-MoDISco."""
        return Discovery(self.max_seqlets, self.min_seqlets)


@dataclass(frozen=True)
class Evidence:
    """The explained positives of a run: ids, codes (n, L), contributions (n, L) and hypothetical ones (n, L, 4)."""

    ids: Sequence[str]
    codes: np.ndarray
    contributions: np.ndarray
    hypothetical: np.ndarray


@dataclass(frozen=True)
class Summary:
    """What a person should read first."""

    title: str
    sentences: tuple[str, ...]
    rows: list[dict[str, str]]

    def markdown(self) -> str:
        """The run's description."""
        return "\n\n".join([*self.sentences, *([page.markdown_table(self.rows)] if self.rows else [])])

    def text(self) -> str:
        """The end of the terminal output."""
        return "\n".join([self.title, *self.sentences, *(["", page.text_table(self.rows)] if self.rows else [])])


@dataclass(frozen=True)
class Result:
    """What a finished run leaves: where it is logged, its summary, the motifs and what each resembles."""

    run_id: str
    experiment_id: str
    summary: Summary
    patterns: list[Pattern]
    matches: dict[str, list[Match]]


def run(request: Request) -> Result:
    """Find and name the motifs that a network reads, as one run.

    Parameters
    ----------
    request : Request
        Which network, which known motifs.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it.
    """
    with tracking.run(f"interpret-{request.network.rpartition('/')[2][:16]}") as opened:
        opened.params({key: value for key, value in asdict(request).items() if value != ""})
        opened.tags({"kind": "interpretation", **environment.git_state()})
        known = jaspar.database(request.motifs)
        source = runs.find(request.network)
        opened.tags({"network_run": source.info.run_id})
        evidence = _evidence(source)
        found = motifs.discover(evidence.codes, evidence.contributions, evidence.hypothetical, request.discovery)
        patterns, matches = jaspar.orient(found, jaspar.match(found, known))
        agreement = mutagenesis_agreement(source.info.run_id, evidence)
        opened.metrics({"motifs/count": len(patterns), "motifs/ism_rank_correlation": agreement})
        trust = _trust(source, agreement, min(WITNESSES, len(evidence.codes)))
        with opened.artifacts() as folder:
            _write(folder, evidence, (patterns, matches), known.name, trust)
        rows = [_row(pattern, matches[pattern.name]) for pattern in patterns]
        if rows:
            opened.table(rows, "motifs.json")
        sentences = (motifs.sentence(patterns, len(evidence.codes)), _naming(patterns, matches, known.name), *trust)
        summary = Summary(f"What {source.info.run_name} reads", tuple(filter(None, sentences)), rows[:SHOWN])
        opened.describe(summary.markdown())
    return Result(opened.run_id, opened.experiment_id, summary, patterns, matches)


def _evidence(source: StoredRun) -> Evidence:
    """Read the attributions that a run logged, of the positives alone."""
    with runs.artifacts(source.info.run_id) as folder:
        if not (folder / ATTRIBUTIONS).exists():
            raise DataError(
                f"Run {source.info.run_id} ({source.info.run_name}): expected the artifact {ATTRIBUTIONS}, received a "
                "run without it: give a run that trained one network to the end."
            )
        with np.load(folder / ATTRIBUTIONS) as held:
            rows = np.flatnonzero(held["labels"] == 1)
            ids, *arrays = (held[name][rows] for name in ("ids", "codes", "contributions", "hypothetical"))
    return Evidence(ids.tolist(), *arrays)


def mutagenesis_agreement(run_id: str, evidence: Evidence) -> float:
    """Mean rank correlation of contributions with in-silico mutagenesis, over the first positives.

    Parameters
    ----------
    run_id : str
        Run that holds the network.
    evidence : Evidence
        At most 30 of its sequences are mutated, every base to each of the three others.

    Returns
    -------
    float
        Spearman's rho of a base's contribution with the mean loss of logit when it is replaced, -1 to 1; NaN where
        either is constant.
    """
    from scipy.stats import spearmanr

    training.configure(training.PREDICTED_BASES)
    model = architectures.logit_model(runs.network(run_id))
    codes = evidence.codes[:WITNESSES]
    losses = -attribution.ism(model, sequences.one_hot(codes)).sum(2) / 3
    pairs = zip(evidence.contributions, losses, strict=False)
    return float(np.mean([spearmanr(ours, loss).statistic for ours, loss in pairs if np.ptp(ours) and np.ptp(loss)]))


def _trust(source: StoredRun, agreement: float, n: int) -> tuple[str, ...]:
    """Say how far the attributions can be trusted."""
    told = f"Their ranks agree with in-silico mutagenesis of {n} sequences: mean Spearman correlation {agreement:.2f}."
    error = source.data.metrics.get("shap/additivity_max")
    return (f"The contributions add up to the logit within {error:.1e}.", told) if error is not None else (told,)


def _write(
    folder: Path,
    evidence: Evidence,
    found: tuple[Sequence[Pattern], Mapping[str, Sequence[Match]]],
    database: str,
    trust: Sequence[str],
) -> None:
    """Write page, figures, motifs in MEME format, and places."""
    patterns, matches = found
    (folder / "plots").mkdir()
    pictures = {}
    for pattern in patterns:
        figure = plots_motifs.motif(pattern, next(iter(matches[pattern.name]), None))
        pictures[pattern.name] = plots.save(figure, folder / "plots" / f"{pattern.name}.png").read_bytes()
    first = patterns[0] if patterns else None
    match = next(iter(matches[first.name]), None) if first else None
    shown = plots_motifs.examples(first, evidence.codes, evidence.contributions, evidence.ids) if first else []
    plots.save(plots_motifs.first_look(first, match, shown, trust), folder / "plots" / "first_look.png")
    text = motif_page.document(patterns, matches, pictures, database, len(evidence.codes))
    (folder / "motifs.html").write_text(text, encoding="utf-8")
    jaspar.write_meme(folder / "motifs.meme", map(jaspar.as_motif, patterns))
    motifs.write_bed(folder / "seqlets.bed", patterns, evidence.ids)
    motifs.write_tsv(folder / "seqlets.tsv", patterns, evidence.ids, evidence.codes)


def _row(pattern: Pattern, matches: Sequence[Match]) -> dict[str, str]:
    """One line of the table of motifs."""
    best = matches[0] if matches else None
    return {
        "motif": pattern.name,
        "letters": pattern.consensus,
        "occurrences": f"{pattern.count:,}",
        "log-odds each": f"{pattern.scores.mean():+.2f}",
        "resembles": f"{best.motif.name} ({best.motif.id})" if best else "no known motif",
        "family": best.motif.family if best else "",
        "q": f"{best.q:.1g}" if best else "",
        "also": ", ".join(match.motif.name for match in matches[1:]),
    }


def _naming(patterns: Sequence[Pattern], matches: Mapping[str, Sequence[Match]], database: str) -> str:
    """Say what the first motif is."""
    if not patterns:
        return ""
    found = matches[patterns[0].name]
    if not found:
        return f"It resembles no motif of {database}."
    names = " and ".join(f"{match.motif.name} ({match.motif.id}, q = {match.q:.1g})" for match in found[:2])
    return f"Of {database} it resembles most {names}."
