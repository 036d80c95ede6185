"""What the user can ask of a search for a better recipe, and the space that it searches.

=============  ==============================  =========================================================
parameter      default                         drawn
=============  ==============================  =========================================================
``archs``      those trained on labels         one of them
``loss``       ``mse,bce``                     one of them
``optimizer``  every one of ``OPTIMIZERS``     one of them
``lr``         ``1e-4:1e-2``                   evenly on the logarithmic scale
``batch_size`` ``10,20,50,100``                one of them; of a range evenly on the logarithmic scale
``epochs``     ``5:20``                        evenly, both ends included
=============  ==============================  =========================================================

A single value (``lr=1e-3``) holds a parameter fixed, commas offer values (``lr=1e-3,1e-2``), a colon a range.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from typing import Any

from . import architectures
from .architectures import ARCHITECTURES, OPTIMIZERS, Recipe
from .datasets import Source
from .errors import ParameterError, require
from .settings import Job, Settings
from .simulation import Simulation
from .splitting import Splitting

PRUNERS = ("median", "none")
ENGINES = ("local", "spark")
SPARK_MASTER = "local[2]"
LABELLED = tuple(name for name, known in ARCHITECTURES.items() if not known.taught)
LOGARITHMIC = ("lr", "batch_size")
_KINDS = {field.name: {"str": str, "float": float, "int": int}[field.type] for field in fields(Recipe)}
_EXPECTED = {
    float: "a number, several as 1e-3,1e-2 or a range as 1e-4:1e-2",
    int: "a whole number, several as 10,20 or a range as 5:20",
}


@dataclass(frozen=True)
class Search:
    """How a search goes about it.

    Attributes
    ----------
    trials : int
        Networks to train.
    batch : int
        Trials that are proposed together, from the results of all earlier batches; also the most that train at once.
        Part of what makes a search repeatable: its trials depend on the seed and on this, not on the machine.
    workers : int
        Processes that train at once with engine=local; 0 for one a core.
    seed : int
        Seed of the proposals and of every network.
    pruner : str
        ``median`` stops a trial whose best validation AUPRC so far lies below the median of the finished trials at the
        same epoch; ``none``.
    engine : str
        Where trials run: ``local`` processes, or ``spark``.
    spark_master : str
        Spark's master with engine=spark, such as ``local[2]`` or ``spark://host:7077``.
    resume : str
        Id of an interrupted search: train what is missing; give nothing else, but for more `trials`.
    """

    trials: int = 20
    batch: int = 2
    workers: int = 0
    seed: int = 0
    pruner: str = "median"
    engine: str = "local"
    spark_master: str = SPARK_MASTER
    resume: str = ""

    def __post_init__(self):
        checks = {
            "trials": (self.trials >= 1, "a whole number of at least 1"),
            "batch": (self.batch >= 1, "a whole number of at least 1"),
            "workers": (self.workers >= 0, "a whole number of at least 0"),
            "seed": (0 <= self.seed < 2**32, "a whole number from 0 to 4294967295"),
            "pruner": (self.pruner in PRUNERS, f"one of {', '.join(PRUNERS)}"),
            "engine": (self.engine in ENGINES, f"one of {', '.join(ENGINES)}"),
        }
        require(self, checks, {"pruner": PRUNERS, "engine": ENGINES})
        for name, unused, engine in (("workers", 0, "local"), ("spark_master", SPARK_MASTER, "spark")):
            if self.engine != engine and getattr(self, name) != unused:
                raise ParameterError(
                    f"{name}: expected only with engine={engine}, received it with engine={self.engine}: leave it out."
                )


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included, drawn evenly on the linear or on the logarithmic scale."""

    low: float
    high: float
    logarithmic: bool

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Space:
    """What is searched: one value holds a parameter fixed, ``a,b,c`` offers values, ``low:high`` a range.

    Attributes
    ----------
    archs : str
        Architectures, separated by commas; all that are trained on the labels if empty.
    loss, optimizer : str
        Names, separated by commas.
    lr, batch_size, epochs : str
        A number, several separated by commas, or a range.
    """

    archs: str = ""
    loss: str = "mse,bce"
    optimizer: str = ",".join(OPTIMIZERS)
    lr: str = "1e-4:1e-2"
    batch_size: str = "10,20,50,100"
    epochs: str = "5:20"

    def __post_init__(self):
        if not self.searched:
            raise ParameterError(
                "Expected at least one parameter with more than one value, received one value for each: widen one of "
                f"{', '.join(asdict(self))}."
            )

    @cached_property
    def domains(self) -> dict[str, Range | tuple]:
        """Every parameter by its name in a recipe, and ``arch``: a range, or the values to choose from."""
        names = [name.strip() for name in self.archs.split(",")] if self.archs else LABELLED
        arch = tuple(dict.fromkeys(architectures.get(name).name for name in names))
        return {
            "arch": arch,
            **{name: _domain(name, text) for name, text in asdict(self).items() if name != "archs"},
        }

    @cached_property
    def searched(self) -> dict[str, Range | tuple]:
        """The domains with more than one value."""
        return {key: domain for key, domain in self.domains.items() if isinstance(domain, Range) or len(domain) > 1}

    @cached_property
    def fixed(self) -> dict[str, Any]:
        """The other parameters with their values."""
        return {key: domain[0] for key, domain in self.domains.items() if key not in self.searched}

    @cached_property
    def published(self) -> list[dict[str, Any]]:
        """Each architecture with its own recipe, as far as the space holds it: where a search begins."""
        recipes = {name: asdict(architectures.get(name).recipe) | {"arch": name} for name in self.domains["arch"]}
        return [
            {key: recipe[key] for key, domain in self.searched.items() if recipe[key] in domain}
            for recipe in recipes.values()
        ]

    def read(self, logged: Mapping[str, str]) -> dict[str, Any]:
        """Turn logged parameters back into values; those that are not of the space are left out."""
        return {key: _KINDS.get(key, str)(logged[key]) for key in self.domains}


def _domain(name: str, text: str) -> Range | tuple:
    """Read a value, several, or a range."""
    low, colon, high = text.partition(":")
    if not (colon and _KINDS[name] is not str):
        return tuple(dict.fromkeys(_value(name, part.strip(), text) for part in text.split(",")))
    found = Range(_value(name, low, text), _value(name, high, text), name in LOGARITHMIC)
    if not found.low < found.high:
        raise ParameterError(f'{name}: expected a range whose first number is the lower one, received "{text}".')
    return found


def _value(name: str, part: str, text: str) -> Any:
    """Convert a value and let the recipe judge it."""
    kind = _KINDS[name]
    try:
        value = kind(part)
    except ValueError as error:
        raise ParameterError(f'{name}: expected {_EXPECTED[kind]}, received "{text}".') from error
    return getattr(Recipe(**{name: value}), name)


@dataclass(frozen=True)
class Request:
    """A complete request: how to search, where, the data, and how these are divided.

    `division` holds those of ``test_size``, ``val_size`` and ``split_seed`` that differ from the published ones.
    """

    search: Search = field(default_factory=Search)
    space: Space = field(default_factory=Space)
    source: Source = field(default_factory=Source)
    simulation: Simulation = field(default_factory=Simulation)
    division: Mapping[str, Any] = field(default_factory=dict)
    splitting: Splitting = field(default_factory=Splitting)

    def __post_init__(self):
        Recipe(**self.division)

    def recipe(self, params: Mapping[str, Any]) -> Recipe:
        """The recipe of a trial with these parameters."""
        return Recipe(**{key: value for key, value in params.items() if key != "arch"}, **self.division)

    def trial_params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that a trial depends on, under the names of the main job."""
        settings = Settings(params["arch"], self.search.seed)
        job = Job(settings, self.source, self.simulation, asdict(self.recipe(params)), self.splitting)
        unused = asdict(settings).keys() - {"arch", "seed"}
        return {key: value for key, value in job.params.items() if key not in unused}

    @property
    def params(self) -> dict[str, Any]:
        """Everything that the search depends on."""
        search = asdict(self.search)
        unused = {"resume", "spark_master" if self.search.engine == "local" else "workers"}
        job = Job(Settings(), self.source, self.simulation, self.division, self.splitting).params
        data = {key: value for key, value in job.items() if key not in asdict(Settings())}
        searched = {**asdict(self.space), "archs": ",".join(self.space.domains["arch"])}
        return {**{key: value for key, value in search.items() if key not in unused}, **data, **searched}

    @property
    def data_arguments(self) -> dict[str, Any]:
        """Parameters of the data that differ from the defaults: what another command needs to read the same data."""
        groups = (self.source, self.simulation, self.splitting)
        values = {item.name: (getattr(group, item.name), item.default) for group in groups for item in fields(group)}
        return {name: value for name, (value, default) in values.items() if value != default}

    def to_json(self) -> str:
        """Write it down, so that an interrupted search can be resumed."""
        return json.dumps(asdict(self), indent=2)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Read it back."""
        kinds = {"search": Search, "space": Space, "source": Source, "simulation": Simulation, "division": dict}
        kinds["splitting"] = Splitting
        return cls(**{name: kind(**values[name]) for name, kind in kinds.items()})
