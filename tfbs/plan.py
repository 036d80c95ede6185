"""What the user can ask of a comparison."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any

from . import architectures
from .architectures import Recipe
from .datasets import Source
from .errors import ParameterError, require
from .settings import NONE, Job, Settings
from .simulation import Simulation
from .splitting import Splitting, items

REGISTER = ("best", "ensemble", "no")
METRICS = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "recall_at_fdr10": "recall at 10 % FDR",
}
MAX_SEEDS = 1000


@dataclass(frozen=True)
class Plan:
    """What a comparison trains, or which finished runs it takes.

    Attributes
    ----------
    archs : str
        Architectures, separated by commas, the reference first. In place of one the id of a run or search stands for
        its architecture with its recipe.
    seeds : str
        How many seeds, counted from 0, or the seeds themselves, separated by commas.
    folds : int
        Folds of a cross-validation; 1 compares on one split.
    split_seeds : str
        Seeds of several splits, separated by commas; with folds, of several cross-validations.
    runs : str
        Finished runs to compare instead of training: run ids or ``models:/`` addresses, separated by commas.
    resume : str
        Id of an interrupted comparison: train what is missing; give nothing else.
    metric : str
        What the verdict is about: ``auroc``, ``auprc``, ``brier`` or ``recall_at_fdr10``.
    register : str
        ``best``: the network with the best validation AUPRC; ``ensemble``: the seeds or folds of each architecture,
        averaged, as one model; ``no``.
    workers : int
        Processes that train at once; 0 for one a core.
    """

    archs: str = "baseline,modified"
    seeds: str = "5"
    folds: int = 1
    split_seeds: str = ""
    runs: str = ""
    resume: str = ""
    metric: str = "auroc"
    register: str = "best"
    workers: int = 0

    def __post_init__(self):
        checks = {
            "archs": (bool(items(self.archs)), "names separated by commas"),
            "seeds": (_are_seeds(self.seeds), "a number from 1 to 1000, or seeds separated by commas"),
            "folds": (1 <= self.folds <= MAX_SEEDS, "a whole number of at least 1"),
            "split_seeds": (_are_numbers(self.split_seeds), "whole numbers separated by commas"),
            "metric": (self.metric in METRICS, f"one of {', '.join(METRICS)}"),
            "register": (self.register in REGISTER, f"one of {', '.join(REGISTER)}"),
            "workers": (self.workers >= 0, "a whole number of at least 0"),
        }
        require(self, checks, {"metric": METRICS, "register": REGISTER})

    @property
    def seed_list(self) -> list[int]:
        """The seeds, in order, each once."""
        if "," not in self.seeds:
            return list(range(int(self.seeds)))
        return list(dict.fromkeys(int(seed) for seed in items(self.seeds)))


@dataclass(frozen=True)
class Contender:
    """An architecture with its recipe, under the name that the comparison gives it."""

    name: str
    arch: str
    recipe: Recipe


@dataclass(frozen=True)
class Request:
    """A complete request: plan, data and their split, and the settings and recipe values common to all replicates."""

    plan: Plan = field(default_factory=Plan)
    settings: Settings = field(default_factory=Settings)
    source: Source = field(default_factory=Source)
    simulation: Simulation = field(default_factory=Simulation)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    splitting: Splitting = field(default_factory=Splitting)
    configurations: Mapping[str, tuple[str, Mapping[str, Any]]] = field(default_factory=dict)

    def __post_init__(self):
        _ = self.contenders

    @cached_property
    def contenders(self) -> list[Contender]:
        """What is compared, in order; those named by a run come with the values that `configurations` holds."""
        found = []
        for item in dict.fromkeys(items(self.plan.archs)):
            arch, values = self.configurations.get(item, (item, {}))
            recipe = replace(architectures.get(arch).recipe, **{**values, **self.recipe})
            found.append(Contender(f"{arch}-{item[:8]}" if values else arch, arch, recipe))
        names = [contender.name for contender in found]
        if len(set(names)) < len(names):
            raise ParameterError(f"archs: expected each configuration once, received {', '.join(names)}.")
        return found

    @property
    def split_recipe(self) -> Recipe:
        """The recipe whose ``test_size``, ``val_size`` and ``split_seed`` divide the data for all contenders."""
        return self.contenders[0].recipe

    @property
    def split_seeds(self) -> list[int]:
        """Seeds of the splits."""
        return [int(seed) for seed in items(self.plan.split_seeds)] or [self.split_recipe.split_seed]

    def job(self, contender: Contender, seed: int, split_seed: int) -> Job:
        """The main job that one replicate stands for."""
        recipe = asdict(contender.recipe) | {"split_seed": split_seed}
        settings = replace(self.settings, arch=contender.arch, seed=seed, register=False, motifs=NONE)
        return Job(settings, self.source, self.simulation, recipe, self.splitting)

    @property
    def params(self) -> dict[str, Any]:
        """What the comparison itself depends on, by parameter name."""
        common = Job(self.settings, self.source, self.simulation, splitting=self.splitting).params
        left_out = {"arch", "seed", "register", "motifs", *asdict(Recipe())}
        kept = {key: value for key, value in common.items() if key not in left_out}
        return {**{k: v for k, v in asdict(self.plan).items() if v != "" and k != "resume"}, **kept, **self.recipe}

    def to_json(self) -> str:
        """Write it down, so that an interrupted comparison can be resumed."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Read it back."""
        kinds = {"plan": Plan, "settings": Settings, "source": Source, "simulation": Simulation, "splitting": Splitting}
        made = {name: kind(**values[name]) for name, kind in kinds.items()}
        configurations = {key: (arch, recipe) for key, (arch, recipe) in values["configurations"].items()}
        return cls(**made, recipe=values["recipe"], configurations=configurations)


def _are_numbers(text: str) -> bool:
    return all(part.isdecimal() and int(part) < 2**32 for part in items(text))


def _are_seeds(text: str) -> bool:
    found = items(text)
    return bool(found) and _are_numbers(text) and ("," in text or 1 <= int(text) <= MAX_SEEDS)
