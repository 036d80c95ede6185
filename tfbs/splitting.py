"""What the user can ask of a split, and whether the data can do it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from .datasets import Dataset
from .errors import ParameterError, did_you_mean, require

SPLITS = ("auto", "random", "chromosome", "given", "cluster")
PARTS = ("train", "validation", "test")
MIN_GROUPS = 3
MAX_LISTED = 30


@dataclass(frozen=True)
class Splitting:
    """How the data are divided.

    Attributes
    ----------
    split : str
        ``random``; ``chromosome``: whole groups on one side, chromosomes or those of the group column; ``given``: as
        the data say; ``cluster``: sequences that share a stretch of DNA on one side; ``auto``: given where the data
        bring a split, else chromosome from 3 groups on, else random where the motif is planted, else cluster.
    test_groups, val_groups : str
        Groups of the test and of the validation part, separated by commas; empty: drawn with ``split_seed``.
    """

    split: str = "auto"
    test_groups: str = ""
    val_groups: str = ""

    def __post_init__(self):
        takes_groups = self.split in ("auto", "chromosome")
        nothing = f"nothing beside split={self.split}, for only split=chromosome takes groups"
        checks = {
            "split": (self.split in SPLITS, f"one of {', '.join(SPLITS)}"),
            "test_groups": (takes_groups or not self.test_groups, nothing),
            "val_groups": (takes_groups or not self.val_groups, nothing),
        }
        require(self, checks, {"split": SPLITS})
        twice = [name for name in items(self.test_groups) if name in items(self.val_groups)]
        if twice:
            raise ParameterError(
                f'val_groups: expected other groups than in test_groups, received "{twice[0]}" in both: name it once.'
            )

    @property
    def named(self) -> bool:
        """Whether groups are named."""
        return bool(items(self.test_groups) or items(self.val_groups))


def resolve(data: Dataset, splitting: Splitting) -> str:
    """Return the kind of split that is asked for, one of :data:`SPLITS` but ``auto``.

    Parameters
    ----------
    data : Dataset
        What to split.
    splitting : Splitting
        ``auto`` stands for chromosome if groups are named, else for what :class:`Splitting` says.

    Returns
    -------
    str

    Raises
    ------
    ParameterError
        If the data do not bring what the kind of split needs.
    """
    kind = splitting.split
    if kind in ("random", "cluster"):
        return kind
    groups = in_order(data.groups)
    if kind == "auto":
        kind = _automatic(data, len(groups), splitting.named)
    asked = f"split={splitting.split}" if splitting.split != "auto" else "test_groups and val_groups"
    if kind == "given" and not len(data.parts):
        raise ParameterError(
            f"{asked}: expected data that bring a split of their own, received {data.name} without one: name its "
            "column with split_column=, or choose split=cluster."
        )
    if kind == "chromosome" and len(groups) < 2:
        received = f"{data.name} with only {groups[0]}" if groups else f"{data.name} without any"
        raise ParameterError(
            f"{asked}: expected sequences of at least 2 chromosomes or groups, received {received}: name their column "
            "with group_column=, or choose split=cluster."
        )
    return kind


def resolve_folds(data: Dataset, splitting: Splitting, folds: int) -> str:
    """Return the kind of split as :func:`resolve`, and refuse what cannot be divided into folds.

    Raises
    ------
    ParameterError
        If the data bring their own split, groups are named, or there are fewer groups than folds.
    """
    kind = resolve(data, splitting)
    if splitting.named:
        name = "test_groups" if items(splitting.test_groups) else "val_groups"
        raise ParameterError(
            f'{name}: expected nothing beside folds={folds}, received "{getattr(splitting, name)}": every group is '
            "tested once, leave it out."
        )
    if kind == "given":
        raise ParameterError(
            f"folds: expected 1 with {data.name}, which brings a split of its own, received {folds}: leave folds out, "
            "or choose split=cluster to divide all of it anew."
        )
    if kind == "chromosome" and len(set(data.groups)) < folds:
        raise ParameterError(
            f"folds: expected at most {len(set(data.groups))}, the number of groups in {data.name}, received {folds}: "
            "use fewer folds, or choose split=cluster."
        )
    return kind


def rows_of(data: Dataset, splitting: Splitting, name: str) -> np.ndarray:
    """Tell which sequences stand in the groups that are named.

    Parameters
    ----------
    data : Dataset
        With groups.
    splitting : Splitting
        Names them.
    name : str
        Its field: ``test_groups`` or ``val_groups``.

    Returns
    -------
    ndarray of bool, shape (N,)

    Raises
    ------
    ParameterError
        If a group does not exist.
    """
    known, wanted = in_order(data.groups), items(getattr(splitting, name))
    for group in wanted:
        if group not in known:
            listed = ", ".join(known[:MAX_LISTED])
            if len(known) > MAX_LISTED:
                listed += f" and {len(known) - MAX_LISTED:,} more"
            raise ParameterError(
                f'{name}: expected groups of {data.name} ({listed}), received "{group}"'
                f"{did_you_mean(group, known) or '.'}"
            )
    return np.isin(np.asarray(data.groups), wanted)


def in_order(groups: Iterable[str]) -> list[str]:
    """Return each group once, chr2 before chr10."""
    return sorted(
        set(groups),
        key=lambda name: [
            (part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)
        ],
    )


def items(text: str) -> list[str]:
    """The parts of a list separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _automatic(data: Dataset, groups: int, named: bool) -> str:
    """Tell what ``auto`` stands for."""
    if named:
        return "chromosome"
    if len(data.parts):
        return "given"
    if groups >= MIN_GROUPS:
        return "chromosome"
    return "random" if data.motif else "cluster"
