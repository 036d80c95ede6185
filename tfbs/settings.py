"""What the user can ask of the main job."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from . import architectures
from .architectures import Recipe
from .datasets import Source
from .errors import ParameterError, require
from .simulation import Simulation
from .splitting import Splitting

if TYPE_CHECKING:
    from .plan import Contender

AUTO, BUDGET = "auto", 600
NONE = "none"
DIVISION = ("test_size", "val_size", "split_seed")
MODEL = "tfbs"
RUN_ID = re.compile(r"[0-9a-f]{32}")
REFERENCES = {"negatives": "training negatives", "shuffles": "dinucleotide shuffles of each sequence"}


@dataclass(frozen=True)
class Settings:
    """What a run does beside reading data and following a recipe.

    Attributes
    ----------
    arch : str
        Architecture; ``auto`` trains each that the sequences allow and keeps the best on the validation part; the id of
        a run or search stands for its architecture with its recipe.
    seed : int
        Seed of weights, dropout, order of sequences, references and bootstrap.
    budget : int
        With arch=auto: seconds for all of its trainings; what runs over stops at the end of an epoch.
    register : bool
        Register the network as a version and recompute the champion.
    registered_model : str
        Name of the registered model.
    references : str
        What DeepSHAP compares with: ``negatives`` of the training part, dinucleotide ``shuffles`` of each sequence, or
        the path of a file of sequences.
    n_references : int
        References per sequence.
    n_explained : int
        Test sequences to explain; all if there are no more.
    motifs : str
        Known motifs to name what the network reads: a group of JASPAR as ``vertebrates``, ``plants``, ``insects`` or
        ``fungi``, or the path of a file in MEME format; ``none`` looks for no motifs.
    deterministic : bool
        Same seed, same machine: same metrics to the last digit.
    """

    arch: str = "baseline"
    seed: int = 0
    budget: int = BUDGET
    register: bool = True
    registered_model: str = MODEL
    references: str = "negatives"
    n_references: int = 20
    n_explained: int = 500
    motifs: str = "vertebrates"
    deterministic: bool = True

    def __post_init__(self):
        known = (*architectures.ARCHITECTURES, AUTO)
        checks = {
            "arch": (self.arch in known, f"one of {', '.join(known)}"),
            "budget": (self.budget >= 1, "a whole number of at least 1"),
            "seed": (0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
            "registered_model": (_is_name(self.registered_model), 'a name without "/" and ":"'),
            "references": (is_references(self.references), f"{', '.join(REFERENCES)} or the path of a file"),
            "motifs": (bool(self.motifs), f"a group of JASPAR, the path of a file in MEME format, or {NONE}"),
            "n_references": (self.n_references >= 1, "a whole number of at least 1"),
            "n_explained": (self.n_explained >= 1, "a whole number of at least 1"),
        }
        require(self, checks, {"arch": known, "references": REFERENCES})
        if self.budget != BUDGET and self.arch != AUTO:
            raise ParameterError(
                f"budget: expected only with arch={AUTO}, received it with arch={self.arch}: leave it out."
            )


def is_references(text: str) -> bool:
    """Say whether `text` is a key of :data:`REFERENCES`, or looks like a path."""
    return text in REFERENCES or bool({".", "/"} & set(text))


def _is_name(text: str) -> bool:
    """Say whether MLflow takes `text` as the name of a registered model."""
    return bool(text.strip()) and not set(text) & set("/:") and text not in (".", "..")


@dataclass(frozen=True)
class Job:
    """A complete request: settings, data, split, and the recipe values that differ from the architecture's own."""

    settings: Settings = field(default_factory=Settings)
    source: Source = field(default_factory=Source)
    simulation: Simulation = field(default_factory=Simulation)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    splitting: Splitting = field(default_factory=Splitting)

    def __post_init__(self):
        _ = self.full_recipe

    @cached_property
    def full_recipe(self) -> Recipe:
        """The architecture's recipe with the user's values; with arch=auto the published one, to divide the data."""
        own = Recipe() if self.settings.arch == AUTO else architectures.get(self.settings.arch).recipe
        return replace(own, **self.recipe)

    @property
    def common(self) -> dict[str, Any]:
        """The recipe values that hold whatever arch=auto chooses: the user's, and those that divide the data."""
        return {name: getattr(self.full_recipe, name) for name in (*DIVISION, *self.recipe)}

    def decided(self, chosen: Contender) -> Job:
        """The job that arch=auto comes down to."""
        settings = replace(self.settings, arch=chosen.arch, budget=BUDGET)
        return replace(self, settings=settings, recipe=asdict(chosen.recipe))

    @property
    def params(self) -> dict[str, Any]:
        """Every settled value that the run depends on, by its parameter name; files only where they are used."""
        simulated = asdict(self.simulation) if self.source.dataset == "simulated" else {}
        source = {} if simulated else self.source.params
        auto = self.settings.arch == AUTO
        unused = {"arch", *asdict(self.full_recipe)} - self.common.keys() if auto else {"budget"}
        values = {
            **asdict(self.settings),
            "dataset": self.source.dataset,
            **source,
            **{key: value for key, value in simulated.items() if value != ""},
            **asdict(self.full_recipe),
            **{key: value for key, value in asdict(self.splitting).items() if value},
        }
        return {key: value for key, value in values.items() if key not in unused}
