"""Review the versions of a model: check the would-be champion, apply the rule, and explain the decision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np

from . import promotion, registry, tracking, training
from .errors import RegistryError
from .gates import REPRODUCTION_LIMIT, Version, failures, gates
from .promotion import CHAMPION, Decision, Request


@dataclass(frozen=True)
class Review:
    """What a review found.

    Attributes
    ----------
    request : Request
        What was asked.
    versions : tuple of Version
        All versions, with what the check of this review measured.
    incumbent : int or None
        Champion before the review.
    checks : tuple of str
        One sentence for each version that was loaded again.
    comparison : str
        Champion against incumbent on the validation part, in one sentence.
    """

    request: Request
    versions: tuple[Version, ...]
    incumbent: int | None
    checks: tuple[str, ...]
    comparison: str

    @cached_property
    def decision(self) -> Decision:
        """The rule, applied to the versions."""
        return promotion.decide(self.versions, self.request.version or None)

    def sentences(self) -> tuple[str, ...]:
        """Explain the decision: what it is and why, how it was checked, and what a test against the incumbent says."""
        champion, challenger = self.decision.champion, self.decision.challenger
        found = []
        if champion is None:
            found.append(f"No champion: {self.decision.reason}.")
        else:
            change = "stays" if champion.number == self.incumbent else "becomes"
            if self.request.dry_run and change == "becomes":
                change = "would become"
            found.append(f"Version {champion.number} {change} champion: {self.decision.reason}.")
        if challenger:
            found.append(f"Challenger: version {challenger.number}, {challenger.network}.")
        found += [*self.checks, *([self.comparison] if self.comparison else [])]
        others = len(self.versions) - len(self.decision.ranking) - len(self.decision.refused)
        if others:
            found.append(
                f"{others} version{'s' * (others > 1)} of other data or another split, or without a score, "
                f"{'are' if others > 1 else 'is'} not comparable and not looked at."
            )
        if self.request.dry_run:
            found.append("Dry run: no alias and no tag was changed.")
        return tuple(found)

    def rows(self) -> list[dict[str, object]]:
        """One row a version, best first, then those that are not eligible, then those that are not comparable."""
        group = (*self.decision.ranking, *self.decision.refused)
        others = [version for version in self.versions if version not in group]
        return [self._row(version) for version in (*group, *others)]

    def _row(self, version: Version) -> dict[str, object]:
        figures = {key: getattr(version, key) for key in ("score", "lo", "hi", "brier", "ece")}
        return {
            "version": version.number,
            "network": version.network,
            "place": self._place(version),
            **{key: float("nan") if value is None else value for key, value in figures.items()},
            **{gate.name: f"{'pass' if gate.passed else 'FAIL'}: {gate.detail}" for gate in gates(version)},
            "data": version.data[:8],
            "split": version.split[:8],
            "run_id": version.run_id,
        }

    def _place(self, version: Version) -> str:
        ranking, refused = self.decision.ranking, self.decision.refused
        if version in ranking:
            at = ranking.index(version)
            return ("champion", "challenger")[at] if at < 2 else f"rank {at + 1}"
        if version in refused:
            return "not eligible"
        if not version.scored:
            return "not comparable: no score or no digests"
        data, split = (*ranking, *refused)[0].basis
        other = ["data"] * (version.data != data) + ["split"] * (version.split != split)
        return f"not comparable: other {' and '.join(other)}"

    def table(self) -> list[tuple[str, ...]]:
        """Header and rows of the short table: figures as text, and the gates that are not passed."""
        lines = [("version", "network", "place", "validation AUPRC (95 % interval)", "Brier", "gates")]
        by_number = {version.number: version for version in self.versions}
        for row in self.rows():
            version = by_number[row["version"]]
            failed = failures(version)
            score = f"{row['score']:.4f} ({row['lo']:.4f} to {row['hi']:.4f})" if version.scored else "not recorded"
            lines.append(
                (
                    str(version.number),
                    version.network,
                    str(row["place"]),
                    score,
                    f"{row['brier']:.4f}" if version.scored else "",
                    f"fails {failed}" if failed else "passes all",
                )
            )
        return lines

    def markdown(self) -> str:
        """The run's description: the table first, because the UI folds the rest away."""
        header, *rows = (f"| {' | '.join(cells)} |" for cells in self.table())
        rule = "|" + "---|" * len(self.table()[0])
        return "\n".join([header, rule, *rows, "", *(f"{sentence}\n" for sentence in self.sentences())])

    def text(self) -> str:
        """The terminal output."""
        table = self.table()
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in table)
        return "\n".join([*self.sentences(), "", *lines])


@dataclass(frozen=True)
class Result:
    """Where a review is logged, and what it found."""

    run_id: str
    experiment_id: str
    review: Review


def run(request: Request) -> Result:
    """Review a model as one run, and apply the decision unless it is a dry run.

    Parameters
    ----------
    request : Request
        What to review.

    Returns
    -------
    Result
        After everything is logged.

    Raises
    ------
    RegistryError
        If there is no such model or version, or no version has a score.
    TrackingError
        If the tracking server or the registry does not take what is written.
    """
    with tracking.run(f"promote-{request.registered_model}") as opened:
        training.load()
        opened.params(asdict(request))
        review = examine(request)
        if not request.dry_run:
            registry.settle(request.registered_model, request.version or None)
        champion = review.decision.champion
        opened.tags({"verdict": f"champion {champion.number}" if champion else "no champion"})
        opened.describe(review.markdown())
        opened.table(review.rows(), "versions.json")
    return Result(opened.run_id, opened.experiment_id, review)


def examine(request: Request) -> Review:
    """Load the would-be champion, and the next one where it does not give the logits that its run logged.

    Whether a version reproduces is measured again here, so one that failed for want of a file is back once the file is.
    What was measured is kept in the version's tags, unless it is a dry run.

    Raises
    ------
    RegistryError
        See :func:`run`.
    """
    name, reference = request.registered_model, request.version or None
    incumbent = registry.aliases(name).get(CHAMPION)
    known = registry.versions(name)
    if reference and reference not in [version.number for version in known]:
        raise RegistryError(
            f'Expected a version of "{name}", received version={reference}: there '
            f"{'is' if len(known) == 1 else 'are'} {_listed(known)}."
        )
    measured: dict[int, float] = {}
    checks = []
    while True:
        hopeful = [replace(v, reproduction_error=measured.get(v.number, _hope(v))) for v in known]
        champion = promotion.decide(hopeful, reference).champion
        if champion is None or champion.number in measured:
            break
        measured[champion.number], sentence = _check(name, champion)
        checks.append(sentence)
        if not request.dry_run:
            registry.record(name, champion.number, measured[champion.number])
    seen = tuple(replace(v, reproduction_error=measured.get(v.number, v.reproduction_error)) for v in known)
    return Review(request, seen, incumbent, tuple(checks), _compare(seen, champion, incumbent))


def _hope(version: Version) -> float | None:
    """Figure of a version that was not loaded yet: what was recorded may have changed, what was not stays missing."""
    return None if version.reproduction_error is None else 0.0


def _check(name: str, version: Version) -> tuple[float, str]:
    """Load a version; return how far off its logits are, infinite if that cannot be said, and tell it."""
    try:
        error = registry.reload_error(name, version)
    except RegistryError as problem:
        return float("inf"), f"Version {version.number} cannot be checked and is passed over: {problem}"
    said = (
        f"Version {version.number} was loaded again: its logits differ from those that its run logged by "
        f"{error:.1e} of their spread"
    )
    return error, f"{said}." if error <= REPRODUCTION_LIMIT else f"{said}, so it is passed over."


def _compare(versions: Sequence[Version], champion: Version | None, incumbent: int | None) -> str:
    """Tell the paired difference between champion and incumbent on the validation part, or why there is none."""
    if champion is None:
        return ""
    theirs = next((version for version in versions if version.number == incumbent), None)
    if theirs is None:
        return "There is no incumbent to compare it with."
    if theirs.number == champion.number:
        return ""
    told = f"No test against the incumbent, version {incumbent}"
    if theirs.basis != champion.basis:
        return f"{told}: it was trained on other data or another split."
    if champion.held_out or theirs.held_out:
        return f"{told}: members of an ensemble were trained on the validation parts of others."
    try:
        tables = [registry.predictions(version) for version in (champion, theirs)]
    except RegistryError as problem:
        return f"{told}: {problem}"
    if any(not np.array_equal(tables[0][column], tables[1][column]) for column in ("id", "label")):
        return f"{told}: the two runs logged other ids or labels of the validation part."
    return _difference(tables[0]["label"].to_numpy(), np.stack([table["logit"] for table in tables]), incumbent)


def _difference(labels: np.ndarray, logits: np.ndarray, incumbent: int) -> str:
    from . import paired

    found = paired.difference(paired.measure(labels, logits, 0)["auprc"], [0], [1])
    return (
        f"Against the incumbent, version {incumbent}, its validation AUPRC differs by {found.value:+.4f} (95 % "
        f"interval {found.lo:+.4f} to {found.hi:+.4f}, p = {found.p:.2g}, n = {len(labels):,}, paired); the test is "
        "reported and does not decide."
    )


def _listed(versions: Sequence[Version]) -> str:
    numbers = [version.number for version in versions]
    if len(numbers) == numbers[-1] - numbers[0] + 1 > 2:
        return f"{numbers[0]} to {numbers[-1]}"
    return ", ".join(map(str, numbers)) if numbers else "none"
