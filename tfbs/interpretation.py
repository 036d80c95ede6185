"""The job that asks a trained network what it reads, and how far that can be trusted, as one tracked run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import (
    architectures,
    datasets,
    dissection,
    environment,
    explanation,
    filters,
    jaspar,
    logbook,
    motif_page,
    motifs,
    mutagenesis,
    page,
    plots,
    plots_motifs,
    reading,
    runs,
    splits,
    tracking,
    training,
)
from .answer import Answer
from .attribution import Attribution
from .doubt import doubt
from .errors import DataError, ParameterError, require
from .explanation import Sample
from .modisco import Discovery
from .negatives import dinucleotide_shuffle
from .sequences import one_hot
from .settings import REFERENCES, Job, Settings, is_references
from .splits import Split
from .tracking import Run, StoredRun

if TYPE_CHECKING:
    import keras

    from .plots import Figure

WITNESSES, SEEDS = 30, 4


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    Attributes
    ----------
    run_id, model : str
        The network: id of the run that trained it, or a version as ``models:/tfbs@champion``.
    sequences : str
        File of sequences to explain, cut or filled to the network's length; by default positives of the data that the
        network was trained and tested with, held-out ones first.
    n_explained : int
        Sequences to explain, at most.
    references : str
        What DeepSHAP compares with: ``negatives`` of the training part, dinucleotide ``shuffles`` of each sequence, or
        the path of a file of sequences; by default as in the run, and shuffles beside ``sequences``.
    n_references : int
        References per sequence.
    both_strands : bool
        Explain the mean logit of both strands.
    motifs : str
        Known motifs: a taxonomic group of JASPAR (:data:`tfbs.jaspar.GROUPS`), or the path of a file in MEME format.
    max_seqlets, min_seqlets : int
        See :class:`tfbs.modisco.Discovery`.
    """

    run_id: str = ""
    model: str = ""
    sequences: str = ""
    n_explained: int = 1000
    references: str = ""
    n_references: int = Settings.n_references
    both_strands: bool = False
    motifs: str = Settings.motifs
    max_seqlets: int = Discovery.max_seqlets
    min_seqlets: int = Discovery.min_seqlets

    def __post_init__(self):
        if bool(self.run_id) == bool(self.model):
            raise ParameterError(
                "Expected either run_id=<id of a run> or model=models:/<name>@champion, received "
                f"{'both' if self.run_id else 'neither'}: give one."
            )
        known = not self.references or is_references(self.references)
        checks = {
            "n_explained": (self.n_explained >= 2, "a whole number of at least 2"),
            "references": (known, f"{', '.join(REFERENCES)} or the path of a file"),
            "n_references": (self.n_references >= 1, "a whole number of at least 1"),
            "motifs": (bool(self.motifs), f"one of {', '.join(jaspar.GROUPS)} or a file in MEME format"),
        }
        require(self, checks, {"references": REFERENCES})
        _ = self.discovery

    @property
    def network(self) -> str:
        """The network as the user named it."""
        return self.run_id or self.model

    @property
    def discovery(self) -> Discovery:
        """Settings of TF-MoDISco."""
        return Discovery(self.max_seqlets, self.min_seqlets)

    def settings(self, own: Settings) -> Settings:
        """How to explain, where the run's own settings are `own`."""
        references = self.references or ("shuffles" if self.sequences else own.references)
        return replace(own, references=references, n_references=self.n_references)


@dataclass(frozen=True)
class Case:
    """A network and its explained sequences.

    Attributes
    ----------
    model : keras.Model
        Input (N, L, 4), output (N, 1) logit.
    sample : Sample
        The sequences.
    attribution : Attribution
        One entry a sequence.
    references : ndarray of float32, shape (k, L, 4) or (n, k, L, 4)
        What they were compared with.
    neutral : ndarray of uint8, shape (m, L)
        Sequences without motifs: shuffled training negatives, or the shuffled sequences where these are not at hand.
    """

    model: keras.Model
    sample: Sample
    attribution: Attribution
    references: np.ndarray
    neutral: np.ndarray

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Logits of sequences (N, L)."""
        return training.predict_logits(self.model, codes)


@dataclass(frozen=True)
class Result:
    """What a finished run leaves: where it is logged, the name of the network's run, and what was found out."""

    run_id: str
    experiment_id: str
    name: str
    answer: Answer

    def text(self) -> str:
        """The end of the terminal output."""
        tables = [f"\n{page.text_table(rows)}" for rows in self.answer.tables]
        return "\n".join([f"What {self.name} reads", *self.answer.sentences, *tables])


def run(request: Request) -> Result:
    """Find and name the motifs that a network reads, try them out, and test the attributions, as one run.

    Parameters
    ----------
    request : Request
        Which network, which sequences, which known motifs.

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
        training.configure(training.PREDICTED_BASES)
        source, model = runs.load(request.network)
        opened.tags({"network_run": source.info.run_id})
        case = _explain(request, source, model)
        losses = mutagenesis.losses(model, one_hot(case.sample.codes[:WITNESSES]), request.both_strands)
        found = reading.read(case.sample, case.attribution, losses, known, request.discovery)
        others = [architectures.logit_model(runs.network(each.info.run_id)) for each in runs.replicates(source, SEEDS)]
        doubts = doubt(model, others, case.sample.codes, case.references)
        first = filters.filters(model, case.sample.codes) if filters.readable(model) else []
        effects = dissection.dissect(case.predict, found, case.neutral)
        answer = Answer(found, effects, doubts, first, jaspar.match(first, known))
        _log(opened, answer)
    return Result(opened.run_id, opened.experiment_id, source.info.run_name, answer)


def _explain(request: Request, source: StoredRun, model: keras.Model) -> Case:
    """Explain the user's sequences, or positives of the network's own data."""
    job = runs.job(source)
    settings = request.settings(job.settings)
    split = None if request.sequences and settings.references != "negatives" else _split(job, source)
    if request.sequences:
        given, most = explanation.read(request.sequences, model.input_shape[1]), request.n_explained
        sample = Sample(given.ids[:most], given.codes[:most], given.origin)
    else:
        sample = explanation.positives(split, request.n_explained, settings.seed)
        if split.digest != source.data.tags.get("tfbs.split_digest"):
            sample = replace(sample, origin="positives")
    references = explanation.references(settings, split, sample.codes)
    attribution = explanation.explain_codes(model, sample.codes, references, request.both_strands)
    plain = split.train.codes[split.train.labels == 0] if split else sample.codes
    neutral = dinucleotide_shuffle(plain[: dissection.NEUTRAL], 1, settings.seed)[:, 0]
    return Case(model, sample, attribution, references, neutral)


def _split(job: Job, source: StoredRun) -> Split:
    """Read and split the data again that the network was trained and tested with."""
    data, logged = datasets.load(job.source, job.simulation), source.data.tags.get("tfbs.data_digest")
    if data.digest != logged:
        raise DataError(
            f"{job.source.dataset}: expected the data that run {source.info.run_id} ({source.info.run_name}) logged "
            f"(SHA-256 {str(logged)[:16]}), received other data ({data.digest[:16]}): restore the file, or say what to "
            "explain with sequences=<file>."
        )
    return splits.make(data, job.full_recipe, job.splitting)


def _log(opened: Run, answer: Answer) -> None:
    """Log tables, page, figures, motifs in MEME format, and places."""
    found = answer.reading
    logbook.log_reading(opened, found)
    opened.estimates(answer.doubt.metrics)
    opened.metrics({"shap/additivity_max": found.attribution.additivity_error})
    if answer.dissection:
        opened.table(answer.dissection.rows, "motif_effects.json")
    with opened.artifacts() as folder:
        (folder / "plots").mkdir()
        drawn = ((each.name, plots_motifs.motif(each, found.best(each))) for each in found.patterns)
        pictures = {name: _save(folder, name, figure) for name, figure in drawn}
        exhibits = {caption: _save(folder, name, figure) for name, caption, figure in answer.figures()}
        text = motif_page.document(answer.sentences, found, pictures, exhibits)
        (folder / "motifs.html").write_text(text, encoding="utf-8")
        found.write_meme(folder / logbook.MOTIFS)
        motifs.write_bed(folder / "seqlets.bed", found.patterns, found.sample.ids)
        motifs.write_tsv(folder / "seqlets.tsv", found.patterns, found.sample.ids, found.sample.codes)
    picture = opened.picture(reading.FIRST_LOOK, "What the network reads")
    first, *rest = [*map(page.markdown_table, answer.tables), ""]
    opened.describe("\n\n".join(filter(None, [first, picture, *answer.sentences, *rest])))


def _save(folder: Path, name: str, figure: Figure) -> bytes:
    """Write a figure and return its PNG."""
    return plots.save(figure, folder / "plots" / f"{name}.png").read_bytes()
