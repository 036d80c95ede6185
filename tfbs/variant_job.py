"""The job that scores variants: a VCF or a table of pairs in, the same with effects out, as one tracked run."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from . import (
    __version__,
    effects,
    environment,
    jaspar,
    logbook,
    page,
    pairs,
    plots,
    plots_variants,
    progress,
    runs,
    tracking,
    training,
    variants,
)
from .effects import Effect, Judge, Tally
from .errors import DataError, ParameterError
from .genome import Genome
from .jaspar import Database
from .pairs import Pair
from .settings import RUN_ID
from .sites import P, Scanner
from .tracking import Run
from .variants import Cutter, Frame, Request
from .vcf import Info, Record, Vcf

if TYPE_CHECKING:
    pass

TABLE = "variants.tsv"
PLACE = ("chromosome", "position", "id", "ref", "alt")
SCORES = ("reference_logit", "alternative_logit", "delta", "probability_change", "percentile", "effect")
COLUMNS = (*PLACE, *SCORES, "motif_change", "reason")
INFO = (
    Info("TFBS_DELTA", "Logit of binding with ALT minus that with REF, mean over both strands and shifted windows"),
    Info("TFBS_DP", "Probability of binding with ALT minus that with REF"),
    Info("TFBS_PCT", "Percentage of random substitutions in this genome with a smaller absolute TFBS_DELTA"),
    Info("TFBS_MOTIF", "Motifs with a site gained, lost, strengthened or weakened by ALT, joined by |", "String"),
)
CAPTION = "Changes of the logit beside those of random substitutions, and the largest ones"
SHOWN = 20


@dataclass(frozen=True)
class Summary:
    """What a person should read first: sentences, the largest effects, and why alleles were not scored."""

    title: str
    sentences: tuple[str, ...]
    best: list[dict[str, str]]
    reasons: list[dict[str, str]]

    @property
    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Those that have rows, by caption."""
        named = {"Largest changes": self.best, "Not scored": self.reasons}
        return {caption: rows for caption, rows in named.items() if rows}

    def markdown(self) -> str:
        """The run's description."""
        return "\n\n".join([*self.sentences, *map(page.markdown_table, self.tables.values())])

    def text(self) -> str:
        """The end of the terminal output."""
        tables = [f"\n{caption}\n{page.text_table(rows[:10])}" for caption, rows in self.tables.items()]
        return "\n".join([self.title, *self.sentences, *tables])

    def page(self, png: bytes) -> str:
        """A self-contained web page with the figure inside it."""
        tables = [page.table(caption, rows) for caption, rows in self.tables.items()]
        return page.document(self.title, [*map(page.paragraph, self.sentences), page.figure(CAPTION, png), *tables])


@dataclass(frozen=True)
class Result:
    """What a finished run leaves: where it is logged, its summary, and what it counted."""

    run_id: str
    experiment_id: str
    summary: Summary
    tally: Tally


def run(request: Request) -> Result:
    """Score variants as one run.

    Parameters
    ----------
    request : Request
        Which variants, with which network.

    Returns
    -------
    Result
        After everything is logged, and written to the folder ``out`` if there is one.

    Raises
    ------
    TfbsError
        One sentence; the run has then ended as FAILED and shows it, and nothing was written to the folder.
    """
    with tracking.run(f"variants-{_source(request).split('.')[0]}") as opened:
        opened.params(request.params)
        opened.tags({"kind": "variants", **environment.git_state()})
        out = _folder(request.out)
        genome = Genome(request.genome) if request.genome else None
        calls = _calls(request, genome) if request.vcf else None
        training.configure(training.PREDICTED_BASES)
        source, model = runs.load(request.network)
        trained_by = source.info.run_id
        opened.tags({"network_run": trained_by})
        known = _motifs(request, trained_by)
        scanner = Scanner(known.motifs if known else ())
        frame = Frame(model.input_shape[1], request.shifts if calls else 1)
        judge = Judge(functools.partial(training.predict_logits, model))
        if genome:
            drawn = effects.background(genome, frame, judge.predict, request.background, request.seed)
            judge = Judge(judge.predict, drawn)
        with opened.artifacts() as folder:
            tally = Tally(judge.scale)
            if calls:
                cutter = Cutter(genome, frame, calls.names)
                scored = scanner.name(judge.score(calls.vcf.records(), cutter.windows), cutter.around)
                best = _write_calls(calls, cutter, scored, tally, folder)
            else:
                scored = judge.score(pairs.read(request.pairs, frame.width), variants.pair_windows)
                best = _write_pairs(scanner.name(scored, variants.pair_around), tally, folder)
            png = _draw(folder, tally, judge.background, best)
            _publish(folder, out)
        summary = _tell(request, trained_by, tally, best, known)
        _log(opened, tally, best, summary, png)
    return Result(opened.run_id, opened.experiment_id, summary, tally)


def _source(request: Request) -> str:
    """Name of the file with the variants."""
    return Path(request.vcf or request.pairs).name


@dataclass(frozen=True)
class Calls:
    """A VCF that was read once: how many records it holds, and what the genome calls its chromosomes."""

    vcf: Vcf
    n_records: int
    names: Mapping[str, str]


def _calls(request: Request, genome: Genome) -> Calls:
    """Read a VCF to its end, so that what is wrong with it is told before anything is scored."""
    vcf = Vcf(request.vcf)
    counts = Counter(record.chromosome for record in vcf.records())
    calls = Calls(vcf, counts.total(), genome.resolve(counts, vcf.path.name, partly=True))
    if request.mismatch == "refuse":
        Cutter(genome, Frame(1), calls.names).check(vcf.records(), vcf.path.name)
    return calls


def _motifs(request: Request, trained_by: str) -> Database | None:
    """The motifs to look for, or None if none were asked for and the run of the network found none."""
    if not request.motifs:
        return runs.motifs(trained_by)
    if not RUN_ID.fullmatch(request.motifs):
        return jaspar.database(request.motifs)
    found = runs.motifs(runs.find(request.motifs).info.run_id)
    if found is None:
        raise ParameterError(
            f"motifs: expected the id of a run that found motifs, received {request.motifs}, which holds no "
            f"{logbook.MOTIFS}: give that of a run of -e interpret."
        )
    return found


def _write_calls(
    calls: Calls, cutter: Cutter, scored: Iterable[tuple[Record, list[Effect | str]]], tally: Tally, folder: Path
) -> list[dict[str, str]]:
    """Write the table and the annotated VCF; return rows of the largest effects."""
    target = folder / f"variants.vcf{'.gz' if calls.vcf.packed else ''}"
    with (
        calls.vcf.copy(target, [info.header(__version__) for info in INFO]) as write,
        _table(folder, tally) as add,
        progress.bar("variants", calls.n_records) as advance,
    ):
        for record, found in scored:
            write(record.text(_info(found)))
            for alt, effect in zip(record.alts, found, strict=True):
                add((record.chromosome, record.columns[1], record.name, record.ref, alt), effect)
            advance("")
    contexts = [cutter.context(Record(0, list(place)), place[-1]) for place, _ in tally.best]
    return [_row(*found) | {"sequence": context} for found, context in zip(tally.best, contexts, strict=True)]


def _write_pairs(scored: Iterable[tuple[Pair, list[Effect | str]]], tally: Tally, folder: Path) -> list[dict[str, str]]:
    """Write the table; return rows of the largest effects."""
    with _table(folder, tally) as add:
        for pair, [effect] in scored:
            add(("", "", pair.name, "", ""), effect)
    return [_row(*found) | {"sequence": ""} for found in tally.best]


@contextlib.contextmanager
def _table(folder: Path, tally: Tally) -> Iterator[Callable[[tuple[str, ...], Effect | str], None]]:
    """Open the table, and yield what writes a row an allele and counts it."""
    with (folder / TABLE).open("w", encoding="utf-8", newline="") as table:

        def add(place: tuple[str, ...], effect: Effect | str) -> None:
            table.write("\t".join(_row(place, effect).values()) + "\n")
            tally.add(place, effect)

        table.write("\t".join(COLUMNS) + "\n")
        yield add


def _row(place: tuple[str, ...], found: Effect | str) -> dict[str, str]:
    """A row of the table."""
    if isinstance(found, str):
        values = [*("",) * (len(SCORES) + 1), found]
    else:
        numbers = (found.reference, found.alternative, found.delta, found.change, found.percentile)
        told = ("" if np.isnan(number) else f"{number:.6g}" for number in numbers)
        values = [*told, found.direction, "; ".join(map(str, found.motifs)), ""]
    return dict(zip(COLUMNS, (*place, *values), strict=True))


def _info(found: Sequence[Effect | str]) -> dict[str, str]:
    """The INFO fields of a record, each empty if none of its alleles has a value."""
    columns = zip(INFO, zip(*map(_values, found), strict=True), strict=True)
    return {info.name: ",".join(values) if set(values) != {"."} else "" for info, values in columns}


def _values(found: Effect | str) -> tuple[str, ...]:
    """What INFO says of an allele."""
    if isinstance(found, str):
        return (".",) * len(INFO)
    numbers = (f"{number:.4g}" for number in (found.delta, found.change, found.percentile))
    return (*numbers, "|".join(change.code for change in found.motifs) or ".")


def _tell(
    request: Request, trained_by: str, tally: Tally, best: list[dict[str, str]], known: Database | None
) -> Summary:
    """Put into words what was found."""
    name = _source(request)
    told = [f"Scored {tally.scored:,} of {tally.total:,} alleles of {name} with {request.network} (run {trained_by})."]
    if tally.scored:
        told.append(
            f"{tally.gains:,} raise the logit of binding, {tally.scored - tally.gains:,} do not; the largest change is "
            f"{float(best[0]['delta']):+.3f}, of {_label(best[0])}."
        )
    if tally.scored and request.genome:
        told.append(
            f"{tally.strong:,} ({tally.strong / tally.scored:.1%}) change it more than {effects.STRONG:.0f} % of "
            f"{request.background:,} random substitutions in {Path(request.genome).name} do; of random variants "
            f"{100 - effects.STRONG:.0f} % would."
        )
    if tally.scored:
        told.append(_naming(request, trained_by, tally, known))
    if tally.reasons:
        told.append(f"{tally.reasons.total():,} were not scored; {TABLE} says why for each.")
    shown = [
        {
            "variant": _label(row),
            "position": f"{row['chromosome']}:{row['position']}",
            "sequence": row["sequence"],
            "change of the logit": f"{float(row['delta']):+.3f}",
            "of the probability": f"{float(row['probability_change']):+.3f}",
            "percentile": row["percentile"],
            "effect": row["effect"],
            "motif": row["motif_change"],
        }
        for row in best[:SHOWN]
    ]
    hidden = {*(("position", "sequence") if request.pairs else ()), *(() if known else ("motif",))}
    shown = [{key: value for key, value in row.items() if key not in hidden} for row in shown]
    reasons = [{"reason": reason, "alleles": f"{count:,}"} for reason, count in tally.reasons.most_common()]
    return Summary(f"Variants of {name}", tuple(told), shown, reasons)


def _naming(request: Request, trained_by: str, tally: Tally, known: Database | None) -> str:
    """Say how many variants make, break or change a site of a motif."""
    if known is None:
        return (
            f"No motif is named, as run {trained_by} holds none: find them with -e interpret -P run_id={trained_by}, "
            "then add -P motifs=<id of that run>."
        )
    of = f"{tally.strong:,} strong changes" if request.genome else f"{tally.scored:,} changes"
    return (
        f"{tally.sites:,} of the {of} lie in a site (p < {P:g}) of a motif of {known.name}, which holds "
        f"{len(known.motifs):,}, and change its likelihood at least tenfold."
    )


def _label(row: Mapping[str, str]) -> str:
    """How a person calls a variant."""
    if row["id"] not in ("", "."):
        return row["id"]
    return f"{row['chromosome']}:{row['position']} {row['ref'][:10]}>{row['alt'][:10]}"


def _draw(folder: Path, tally: Tally, background: np.ndarray, best: list[dict[str, str]]) -> bytes:
    named = [(_label(row), float(row["delta"])) for row in best]
    figure = plots_variants.effects(effects.EDGES * tally.scale, tally.histogram, tally.scale, background, named)
    (folder / "plots").mkdir()
    return plots.save(figure, folder / "plots" / "variants.png").read_bytes()


def _log(opened: Run, tally: Tally, best: list[dict[str, str]], summary: Summary, png: bytes) -> None:
    """Log counts, tables and the report."""
    counts = {"scored": tally.scored, "not_scored": tally.reasons.total(), "strong": tally.strong, "gains": tally.gains}
    opened.metrics({f"variants/{name}": count for name, count in counts.items()})
    if best:
        opened.table(best, "variants_top.json")
    if tally.reasons:
        opened.table({"reason": list(tally.reasons), "alleles": list(tally.reasons.values())}, "not_scored.json")
    opened.describe(summary.markdown())
    opened.text(summary.page(png), "report.html")


def _folder(out: str) -> Path | None:
    """Make the folder that is to get the results, and see whether it can be written."""
    if not out:
        return None
    folder = Path(out).expanduser()
    if folder.suffix in (".vcf", ".gz", ".bgz", ".tsv"):
        raise ParameterError(f'out: expected a folder, received "{out}", which looks like a file: name its folder.')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise ParameterError(f'out: expected a folder that can be written, received "{out}" ({error}).') from error
    return folder


def _publish(folder: Path, out: Path | None) -> None:
    """Copy the results to the user's folder, each file in one step."""
    if out is None:
        return
    try:
        with tempfile.TemporaryDirectory(dir=out, prefix=".tfbs-") as scratch:
            for path in sorted(folder.glob("variants.*")):
                os.replace(shutil.copy(path, scratch), out / path.name)
    except OSError as error:
        raise DataError(f"out: expected to write the results to {out}, received {error}: free space there.") from error
