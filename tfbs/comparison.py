"""Compare finished runs: per architecture over its seeds, and pairwise on the same test sequences.

Pure functions of what the runs left: nothing here trains, and nothing reads a store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations

import numpy as np

from . import paired, verdict
from .errors import ParameterError
from .intervals import Estimate, wilson
from .paired import Difference, Resampled

COMPARED = ("auroc", "auprc", "brier", "recall_at_fdr10")
Key = tuple[str, str]


@dataclass(frozen=True)
class Predictions:
    """Ids, labels (n,) and logits (n,) of one part, in the order of the part."""

    ids: tuple[str, ...]
    labels: np.ndarray
    logits: np.ndarray


@dataclass(frozen=True)
class Explanations:
    """Ids (n,), codes (n, L) uint8 and DeepSHAP contributions (n, L) of the explained test sequences."""

    ids: tuple[str, ...]
    codes: np.ndarray
    contributions: np.ndarray


@dataclass(frozen=True)
class Entrant:
    """A finished run, as it enters a comparison.

    Attributes
    ----------
    run_id, name, seed : str
        Run, architecture (or the name of its configuration), and seed.
    part : tuple of str
        ``split_seed`` and ``fold`` of the run.
    test_digest : str
        SHA-256 of the test sequences and labels.
    learned : bool
        False if the network collapsed to a constant.
    test, validation : Predictions
        What it predicted.
    metrics : dict of str to Estimate
        Metrics of the test part.
    explanations : Explanations or None
        Attributions, if it logged any.
    history : dict of str to list of float
        Values by epoch.
    n_weights, n_train : int
        Trainable parameters, training sequences.
    seconds, additivity : float
        Time of the training; largest relative additivity error of its attributions.
    """

    run_id: str
    name: str
    seed: str
    part: Key
    test_digest: str
    learned: bool
    test: Predictions
    validation: Predictions
    metrics: Mapping[str, Estimate]
    explanations: Explanations | None
    history: Mapping[str, list[float]]
    n_weights: int
    n_train: int
    seconds: float
    additivity: float

    @cached_property
    def score(self) -> float:
        """AUPRC of the validation part: what a selection may look at."""
        from sklearn.metrics import average_precision_score

        return float(average_precision_score(self.validation.labels, self.validation.logits))


@dataclass(frozen=True)
class Spread:
    """A metric over the seeds that trained: mean, sd, extremes, and Student's 95 % interval of the mean.

    The limits lie between 0 and 1, as the metrics do, those of the MCC between -1 and 1. With one seed, sd and limits
    are NaN.
    """

    mean: float
    sd: float
    lo: float
    hi: float
    lowest: float
    highest: float
    n: int


@dataclass(frozen=True)
class Group:
    """The entrants of one architecture."""

    name: str
    entrants: tuple[Entrant, ...]

    @cached_property
    def trained(self) -> tuple[Entrant, ...]:
        """Those that learned something."""
        return tuple(entrant for entrant in self.entrants if entrant.learned)

    @property
    def collapsed(self) -> Estimate:
        """Share of seeds that collapsed, with Wilson's 95 % interval."""
        n, count = len(self.entrants), len(self.entrants) - len(self.trained)
        lo, hi = wilson(count, n)
        return Estimate(count / n, float(lo), float(hi), n)

    @property
    def best(self) -> Entrant | None:
        """The trained entrant with the highest validation AUPRC; ties go to the first."""
        return max(self.trained, key=lambda entrant: entrant.score, default=None)

    @property
    def median(self) -> Entrant | None:
        """The trained entrant in the middle by test AUROC (the lower of two)."""
        ordered = sorted(self.trained, key=lambda entrant: entrant.metrics["auroc"].value)
        return ordered[(len(ordered) - 1) // 2] if ordered else None

    def spread(self, metric: str) -> Spread | None:
        """How a metric varies over the seeds that trained; None if none did."""
        from scipy.stats import t

        values = np.array([entrant.metrics[metric].value for entrant in self.trained])
        n = len(values)
        if not n:
            return None
        sd = float(values.std(ddof=1)) if n > 1 else float("nan")
        half = float(t.ppf(0.975, n - 1) * sd / n**0.5) if n > 1 else float("nan")
        mean = float(values.mean())
        lo, hi = np.clip([mean - half, mean + half], -1 if metric == "mcc" else 0, 1)
        return Spread(mean, sd, float(lo), float(hi), float(values.min()), float(values.max()), n)


@dataclass(frozen=True)
class Pair:
    """Two architectures compared: by metric the difference ours - theirs, its p corrected over pairs, its verdict."""

    ours: str
    theirs: str
    differences: Mapping[str, Difference | Resampled]
    adjusted: Mapping[str, float]

    def verdict(self, metric: str) -> str:
        """Say ``better``, ``worse`` or ``cannot tell``."""
        return verdict.verdict(self.differences[metric], self.adjusted[metric])

    def sentence(self, metric: str, label: str) -> str:
        """The verdict in words."""
        found = self.differences[metric]
        return verdict.sentence(self.ours, self.theirs, label, found, self.adjusted[metric])


@dataclass(frozen=True)
class Comparison:
    """Groups in the order of their names' first appearance, and their pairs."""

    groups: tuple[Group, ...]
    pairs: tuple[Pair, ...]

    @property
    def entrants(self) -> tuple[Entrant, ...]:
        """All of them, group by group."""
        return tuple(entrant for group in self.groups for entrant in group.entrants)

    @property
    def trained(self) -> tuple[Entrant, ...]:
        """Those that learned something, group by group."""
        return tuple(entrant for group in self.groups for entrant in group.trained)

    @property
    def parts(self) -> tuple[Key, ...]:
        """The splits that were compared."""
        return tuple(dict.fromkeys(entrant.part for entrant in self.entrants))


def compare(entrants: Sequence[Entrant], seed: int = 0) -> Comparison:
    """Compare runs.

    Parameters
    ----------
    entrants : sequence of Entrant
        Those of one split have the same test sequences, see :func:`check`. Of one split, architectures are compared
        with :func:`tfbs.paired.difference`; of several, with :func:`tfbs.paired.resampled` on the mean over the seeds.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Comparison
        Pairs hold the seeds that trained; an architecture of which none did is in no pair.
    """
    names = dict.fromkeys(entrant.name for entrant in entrants)
    groups = tuple(Group(name, tuple(e for e in entrants if e.name == name)) for name in names)
    able = [group for group in groups if group.trained]
    several = len({entrant.part for entrant in entrants}) > 1
    found = _over_splits(able) if several else _on_one_split(able, seed)
    adjusted = {
        metric: dict(zip(found, paired.holm([found[pair][metric].p for pair in found]), strict=True))
        for metric in COMPARED
        if found
    }
    pairs = tuple(
        Pair(*pair, by_metric, {metric: float(adjusted[metric][pair]) for metric in by_metric})
        for pair, by_metric in found.items()
    )
    return Comparison(groups, pairs)


def check(entrants: Sequence[Entrant]) -> None:
    """Insist that runs were tested on the same sequences.

    Raises
    ------
    ParameterError
        Names two runs that were not, and the digests of both.
    """
    first = entrants[0]
    for other in entrants[1:]:
        if other.test_digest != first.test_digest or other.test.ids != first.test.ids:
            raise ParameterError(
                f"Expected runs tested on the same sequences, received run {first.run_id} ({first.name}, seed "
                f"{first.seed}) with test digest {first.test_digest[:16]} and run {other.run_id} ({other.name}, seed "
                f"{other.seed}) with {other.test_digest[:16]}: compare runs with the same data, test_size and "
                "split_seed."
            )


def _on_one_split(groups: Sequence[Group], seed: int) -> dict[Key, dict[str, Difference]]:
    """Differences on the same test sequences, seeds and sequences both varied."""
    trained = [entrant for group in groups for entrant in group.trained]
    if len(groups) < 2:
        return {}
    scores = paired.measure(trained[0].test.labels, np.array([entrant.test.logits for entrant in trained]), seed)
    rows = {group.name: [i for i, entrant in enumerate(trained) if entrant.name == group.name] for group in groups}
    return {
        (ours, theirs): {
            metric: paired.difference(scores[metric], np.array(rows[ours]), np.array(rows[theirs]))
            for metric in COMPARED
        }
        for theirs, ours in combinations(rows, 2)
    }


def _over_splits(groups: Sequence[Group]) -> dict[Key, dict[str, Resampled]]:
    """Differences of the mean over seeds, one a split in which both architectures trained."""
    found = {}
    for theirs, ours in combinations(groups, 2):
        ours_by, theirs_by = _by_part(ours), _by_part(theirs)
        common = [part for part in ours_by if part in theirs_by]
        if len(common) < 2:
            continue
        one = ours_by[common[0]][0]
        found[ours.name, theirs.name] = {
            metric: paired.resampled(
                np.array([_mean(ours_by[part], metric) - _mean(theirs_by[part], metric) for part in common]),
                len(one.test.ids) / one.n_train,
                higher=metric != "brier",
            )
            for metric in COMPARED
        }
    return found


def _by_part(group: Group) -> dict[Key, list[Entrant]]:
    found: dict[Key, list[Entrant]] = {}
    for entrant in group.trained:
        found.setdefault(entrant.part, []).append(entrant)
    return found


def _mean(entrants: Sequence[Entrant], metric: str) -> float:
    return float(np.mean([entrant.metrics[metric].value for entrant in entrants]))
