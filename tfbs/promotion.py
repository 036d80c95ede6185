"""Which version of a model is champion, and why: one rule for training, comparing and promoting.

Nothing here knows MLflow: versions come in as their tags describe them, and what goes out is a decision, the places
where the aliases belong, and the notes that versions should carry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .errors import ParameterError, RegistryError
from .gates import Version, failures
from .settings import MODEL

CHAMPION = "champion"
CHALLENGER = "challenger"


@dataclass(frozen=True)
class Request:
    """Which model to review, and whether to act on it.

    Attributes
    ----------
    registered_model : str
        Name of the registered model.
    version : int
        Version whose data and split count; 0 for the newest. Naming an older one holds until the next is registered.
    dry_run : bool
        Explain without changing aliases or tags.
    """

    registered_model: str = MODEL
    version: int = 0
    dry_run: bool = False

    def __post_init__(self):
        if self.version < 0:
            raise ParameterError(f'version: expected a version number, or 0 for the newest, received "{self.version}".')


@dataclass(frozen=True)
class Decision:
    """The outcome for one data set and split.

    Attributes
    ----------
    ranking : tuple of Version
        Comparable versions that pass every gate, best first.
    refused : tuple of Version
        Comparable versions that do not, oldest first.
    """

    ranking: tuple[Version, ...]
    refused: tuple[Version, ...]

    @property
    def champion(self) -> Version | None:
        """The best, or None if no version passes every gate."""
        return self.ranking[0] if self.ranking else None

    @property
    def challenger(self) -> Version | None:
        """The runner-up, if there is one."""
        return self.ranking[1] if len(self.ranking) > 1 else None

    @property
    def reason(self) -> str:
        """Why, in one clause without its full stop."""
        data, split = (self.ranking + self.refused)[0].basis
        basis = f"with data {data[:8]} and split {split[:8]}"
        refused = f"{len(self.refused)} version{'s' * (len(self.refused) > 1)}"
        if not self.ranking:
            return f"none of {refused} {basis} passes every gate, so the alias {CHAMPION} stays where it is"
        best, n = self.ranking[0], len(self.ranking)
        reason = (
            f"{best.network}: highest validation AUPRC ({best.score:.4f}, Brier {best.brier:.4f}) of {n} eligible "
            f"version{'s' * (n > 1)} {basis}"
        )
        if self.refused:
            reason += f" ({len(self.refused)} more did not pass every gate)"
        if n > 1:
            second = self.ranking[1]
            reason += f"; next is version {second.number} ({second.score:.4f}, Brier {second.brier:.4f})"
        return reason


@dataclass(frozen=True)
class Plan:
    """What the registry should hold.

    Attributes
    ----------
    decision : Decision
        For the data and split in question.
    aliases : dict of str to (int or None)
        The version that each alias belongs to; None: the alias is removed. An alias that is left out stays.
    notes : dict of int to str
        Notes by version number, of those that do not carry theirs yet.
    """

    decision: Decision
    aliases: dict[str, int | None]
    notes: dict[int, str]


def decide(versions: Iterable[Version], reference: int | None = None) -> Decision:
    """Rank the versions that are comparable and eligible.

    Comparable versions share the data and split digests of the newest version that has a score, or of the one that is
    named. Eligible ones pass every gate. The champion has the highest area under the precision-recall curve on the
    validation part, which no network was trained on; ties go to the lower Brier score, then to the older version. The
    test part has no say, so that its figures stay honest whoever wins.

    Parameters
    ----------
    versions : iterable of Version
        All versions, in any order.
    reference : int, optional
        Number of the version whose data and split count.

    Returns
    -------
    Decision

    Raises
    ------
    RegistryError
        If no version has a score, or the named one has none.

    Notes
    -----
    The rule is a function of the set of versions, so runs that finish together agree whatever their order. A rule such
    as "replace the champion only if the challenger is significantly better" is none: of three versions that each differ
    little from the next, who is champion would depend on who came first, and two machines that registered the same
    networks would serve different ones. The test against the incumbent is therefore reported and does not decide.
    """
    scored = sorted((version for version in versions if version.scored), key=lambda version: version.number)
    chosen = [version for version in scored if reference in (None, version.number)]
    if not chosen:
        named = "a version" if reference is None else f"version {reference}"
        raise RegistryError(
            f"Expected {named} with the tags selection_score, val_brier, data_digest and split_digest, received "
            f"{'none' if reference is None else 'one without'}: train one with register=true."
        )
    group = [version for version in scored if version.basis == chosen[-1].basis]
    ranking = sorted((version for version in group if version.eligible), key=lambda version: version.rank)
    return Decision(tuple(ranking), tuple(version for version in group if not version.eligible))


def plan(versions: Iterable[Version], reference: int | None = None, about: int | None = None) -> Plan:
    """Say where every alias belongs and which notes are to be written.

    Parameters
    ----------
    versions, reference
        As for :func:`decide`, which fills ``champion`` and ``challenger``.
    about : int, optional
        A version that gets a note whatever its place; champions, challengers and those that were so get theirs anyhow.

    Returns
    -------
    Plan
        Besides, ``champion-`` and the first eight digits of the split digest keep the champion of every split.

    Raises
    ------
    RegistryError
        See :func:`decide`.
    """
    versions = sorted(versions, key=lambda version: version.number)
    decision = decide(versions, reference)
    aliases: dict[str, int | None] = {}
    notes: dict[int, str] = {}
    newest = {version.basis: version.number for version in versions if version.scored}
    for number in sorted(newest.values()):
        settled = decide(versions, number)
        best = settled.champion
        if best:
            aliases[f"{CHAMPION}-{best.split[:8]}"] = best.number
        for version in settled.ranking + settled.refused:
            placed = version in settled.ranking[:2] or version.note.startswith(("Champion", "Challenger"))
            if (placed or version.number == about) and version.note != note(version, settled):
                notes[version.number] = note(version, settled)
    if decision.champion:
        aliases[CHAMPION] = decision.champion.number
    aliases[CHALLENGER] = decision.challenger.number if decision.challenger else None
    return Plan(decision, aliases, notes)


def note(version: Version, decision: Decision) -> str:
    """Say in one or two sentences what became of a version under the decision for its data and split."""
    champion = decision.champion
    if version == champion:
        return f"Champion: {decision.reason}."
    if version in decision.refused:
        standing = f"Version {champion.number} is champion: {decision.reason}" if champion else decision.reason
        return f"Not eligible: {failures(version)}. {standing[0].upper()}{standing[1:]}."
    place = "Challenger" if version == decision.challenger else "Not champion"
    return f"{place}; version {champion.number} is champion: {decision.reason}."
