"""Read finished runs back: what a comparison needs to know of them, their networks, and their configurations."""

from __future__ import annotations

import contextlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import architectures, jaspar, registry, tracking
from .architectures import ARCHITECTURES, Recipe
from .comparison import Entrant, Explanations, Predictions
from .datasets import Source
from .errors import DataError, ParameterError, TrackingError
from .intervals import Estimate
from .jaspar import Database
from .logbook import ATTRIBUTIONS, MOTIFS, PREDICTIONS
from .settings import Job, Settings
from .simulation import Simulation
from .splitting import Splitting

if TYPE_CHECKING:
    import keras

    from .tracking import StoredRun as Run


def find(reference: str) -> Run:
    """Find the run that a run id or the URI of a registered version names.

    Parameters
    ----------
    reference : str
        Run id, ``models:/name/3`` or ``models:/name@champion``.

    Returns
    -------
    mlflow.entities.Run

    Raises
    ------
    ParameterError
        If there is none.
    """
    client = tracking.client()
    try:
        if reference.startswith("models:/"):
            name, _, alias = reference.removeprefix("models:/").partition("@")
            if alias:
                return client.get_run(client.get_model_version_by_alias(name, alias).run_id)
            name, _, version = name.rpartition("/")
            return client.get_run(client.get_model_version(name, version).run_id)
        return client.get_run(reference)
    except tracking.MlflowException as error:
        raise ParameterError(
            f'Expected a run id, or a version as "models:/tfbs/3" or "models:/tfbs@champion", received "{reference}", '
            f"which {tracking.address()} does not hold: copy the run id from the tracking UI."
        ) from error


def replicates(run: Run, most: int) -> list[Run]:
    """Find up to `most` runs that differ from a run in the seed alone: the oldest of each; trials keep no network."""
    tags, recipe = run.data.tags, _fields(Recipe, run.data.params)
    if "tfbs.arch" not in tags or "tfbs.split_digest" not in tags:
        return []
    same = [f"tags.`tfbs.{key}` = '{tags[f'tfbs.{key}']}'" for key in ("arch", "split_digest")]
    wanted = " and ".join([*same, "tags.`tfbs.verdict` = 'trained'"])
    found = tracking.client().search_runs([run.info.experiment_id], wanted, order_by=["start_time DESC"])
    alike = [each for each in found if _fields(Recipe, each.data.params) == recipe]
    others = {each.data.params.get("seed"): each for each in alike if each.data.tags.get("tfbs.kind") != "trial"}
    others.pop(run.data.params.get("seed"), None)
    return list(others.values())[:most]


def children(run_id: str) -> list[Run]:
    """The runs nested in a run, oldest first."""
    client, found, token = tracking.client(), [], None
    experiment = client.get_run(run_id).info.experiment_id
    while True:
        page = client.search_runs(
            [experiment], f"tags.`{tracking.PARENT}` = '{run_id}'", order_by=["start_time"], page_token=token
        )
        found, token = [*found, *page], page.token
        if not token:
            return found


def entrant(run: Run) -> Entrant:
    """Read back what a comparison needs to know of a run.

    Parameters
    ----------
    run : mlflow.entities.Run
        Holds ``predictions.json`` and ``metrics.json``; attributions if it logged any.

    Returns
    -------
    Entrant

    Raises
    ------
    DataError
        If the run holds no predictions.
    """
    data, tags = run.data, run.data.tags
    with artifacts(run.info.run_id) as folder:
        if not (folder / PREDICTIONS).exists():
            raise DataError(
                f"Run {run.info.run_id} ({run.info.run_name}): expected the artifact {PREDICTIONS}, received a run "
                f"without it (status {run.info.status}): give a run that has trained a network to the end."
            )
        table = _columns(folder / PREDICTIONS)
        metrics = {
            row["metric"].removeprefix("test/"): Estimate(*(row[key] for key in ("value", "lo", "hi", "n")))
            for row in _rows(folder / "metrics.json")
            if row["metric"].startswith("test/")
        }
        explanations = _explanations(folder / ATTRIBUTIONS)
    asked, arch = data.params.get("arch", run.info.run_name), tags.get("tfbs.arch", "")
    return Entrant(
        run_id=run.info.run_id,
        name=asked if asked.startswith(arch) else arch,
        seed=data.params.get("seed", "0"),
        part=(data.params.get("split_seed", ""), data.params.get("fold", "")),
        test_digest=tags.get("tfbs.test_digest", ""),
        learned=tags.get("tfbs.verdict") == "trained",
        test=_predictions(table, "test"),
        validation=_predictions(table, "validation"),
        metrics=metrics,
        explanations=explanations,
        history=_history(run.info.run_id),
        n_weights=int(data.params.get("n_weights", 0)),
        seconds=data.metrics.get("time/training_s", float("nan")),
        n_train=int(data.params.get("n_train", 0)),
        additivity=data.metrics.get("shap/additivity_max", float("nan")),
    )


def configuration(reference: str) -> tuple[str, dict[str, Any]]:
    """Architecture and recipe of a run, for a new one to take over.

    Parameters
    ----------
    reference : str
        See :func:`find`; a search stands for its best trial.

    Returns
    -------
    arch : str
        A key of :data:`tfbs.architectures.ARCHITECTURES`.
    recipe : dict
        Every field of :class:`tfbs.architectures.Recipe` that the run names.

    Raises
    ------
    ParameterError
        If there is no such run, or it names no architecture.
    """
    run = _best(find(reference))
    arch = run.data.tags.get("tfbs.arch", run.data.params.get("arch", ""))
    if arch not in ARCHITECTURES:
        raise ParameterError(
            f"Run {run.info.run_id} ({run.info.run_name}): expected a run that trained one network, received one of "
            f'architecture "{arch}": give a run of the main job, a replicate or a search.'
        )
    return arch, _fields(Recipe, run.data.params)


def job(run: Run) -> Job:
    """The main job that a run stands for, as far as its parameters tell: its data, how they were split, its settings.

    Raises
    ------
    ParameterError
        If a value is not what this version of tfbs expects.
    """
    given = dict(run.data.params) | {"arch": run.data.tags.get("tfbs.arch", "")}
    if given["arch"] not in ARCHITECTURES:
        del given["arch"]
    kinds = (Settings, Source, Simulation, Splitting)
    settings, source, simulation, splitting = (kind(**_fields(kind, given)) for kind in kinds)
    return Job(settings, source, simulation, _fields(Recipe, given), splitting)


def _fields(kind: type, given: Mapping[str, str]) -> dict[str, Any]:
    """Those fields of a settings dataclass that logged parameters hold, in their types."""
    types = {"str": str, "float": float, "int": int, "bool": lambda text: text.lower() in ("true", "yes", "1")}
    return {field.name: types[field.type](given[field.name]) for field in fields(kind) if field.name in given}


def _best(run: Run) -> Run:
    """A search stands for its best trial."""
    best = run.data.tags.get("tfbs.best_run")
    return find(best) if best else run


@contextlib.contextmanager
def artifacts(run_id: str) -> Iterator[Path]:
    """Yield a folder with the artifacts of a run, its networks and figures left out."""
    client = tracking.client()
    with tempfile.TemporaryDirectory(prefix="tfbs-run-") as folder:
        for found in client.list_artifacts(run_id):
            if not found.is_dir and found.path in (PREDICTIONS, ATTRIBUTIONS, "metrics.json"):
                client.download_artifacts(run_id, found.path, folder)
        yield Path(folder)


def request(run_id: str, filename: str) -> dict[str, Any]:
    """Read the JSON artifact that says what a run was asked to do.

    Raises
    ------
    ParameterError
        If the run does not exist or does not hold it.
    """
    run = find(run_id)
    with tempfile.TemporaryDirectory(prefix="tfbs-run-") as folder:
        try:
            return json.loads(Path(tracking.client().download_artifacts(run_id, filename, folder)).read_text())
        except (tracking.MlflowException, OSError) as error:
            raise ParameterError(
                f"resume: expected the id of a comparison or search, received {run_id} ({run.info.run_name}), which "
                "is neither: copy the id of the run that holds the nested ones."
            ) from error


def load(reference: str) -> tuple[Run, keras.Model]:
    """Load a network with a linear output, and the run that trained it.

    Parameters
    ----------
    reference : str
        See :func:`find`.

    Returns
    -------
    run : mlflow.entities.Run
        The one that trained the network, or registered the ensemble.
    network : keras.Model
        Input (N, L, 4), output (N, 1) logit.

    Raises
    ------
    ParameterError
        If there is none.
    """
    found = find(reference)
    if reference.startswith("models:/"):
        return found, registry.network(reference)
    if "tfbs.best_run" in found.data.tags:
        raise ParameterError(
            f"Expected a run that trained a network, received the search {reference}, which keeps none: train its best "
            f"configuration with `mlflow run . -P arch={reference}` and give that run."
        )
    return found, architectures.logit_model(network(reference))


def network(run_id: str) -> keras.Model:
    """Load the trained network of a run.

    Raises
    ------
    ParameterError
        If the run has none.
    """
    import keras

    client = tracking.client()
    found = next(iter(client.list_artifacts(run_id, "network")), None)
    if found is None:
        raise ParameterError(
            f"Expected a run that trained a network, received {run_id}, which holds none: give a run of the main job, "
            "a replicate, or a version of a model."
        )
    with tempfile.TemporaryDirectory(prefix="tfbs-run-") as folder:
        return keras.saving.load_model(client.download_artifacts(run_id, found.path, folder), compile=False)


def motifs(run_id: str) -> Database | None:
    """Read the motifs that a run found, or None if it logged none."""
    client = tracking.client()
    if MOTIFS not in {found.path for found in client.list_artifacts(run_id)}:
        return None
    with tempfile.TemporaryDirectory(prefix="tfbs-run-") as folder:
        path = Path(client.download_artifacts(run_id, MOTIFS, folder))
        found = jaspar.read_meme(path).motifs if "\nMOTIF " in path.read_text() else ()
    return Database(f"run {run_id}", found)


def close(run: Run) -> None:
    """End a nested run that a kill has left RUNNING as KILLED."""
    tracking.client().set_terminated(run.info.run_id, "KILLED")


def _history(run_id: str) -> dict[str, list[float]]:
    """Values by epoch, under the names that training gives them."""
    client = tracking.client()
    return {
        name: [metric.value for metric in sorted(client.get_metric_history(run_id, logged), key=lambda m: m.step)]
        for name, logged in tracking.EPOCH_NAMES.items()
    }


def _predictions(table: dict[str, list], part: str) -> Predictions:
    rows = [row for row, name in enumerate(table["split"]) if name == part]
    ids, labels, logits = ([table[key][row] for row in rows] for key in ("id", "label", "logit"))
    return Predictions(tuple(map(str, ids)), np.array(labels, np.int64), np.array(logits, float))


def _explanations(path: Path) -> Explanations | None:
    if not path.exists():
        return None
    with np.load(path) as saved:
        if "codes" not in saved:
            return None
        return Explanations(tuple(saved["ids"].tolist()), saved["codes"], saved["contributions"])


def _columns(path: Path) -> dict[str, list]:
    table = json.loads(path.read_text())
    return dict(zip(table["columns"], map(list, zip(*table["data"], strict=True)), strict=True))


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        raise TrackingError(f"Expected the artifact {path.name} beside {PREDICTIONS}, received a run without it.")
    table = json.loads(path.read_text())
    return [dict(zip(table["columns"], row, strict=True)) for row in table["data"]]
