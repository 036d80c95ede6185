"""Registered versions of a model and their aliases ``champion`` and ``challenger``.

Each network is registered as a version whose tags say how it scored on the validation part, on which data, and whether
it can be trusted. The aliases are recomputed from all versions each time, by the rule in :mod:`tfbs.promotion`, so the
result does not depend on who finishes first.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from . import promotion, serving
from .candidate import EXAMPLES, Candidate
from .errors import RegistryError, did_you_mean
from .gates import Version, reproduction_error
from .promotion import CHAMPION, Decision
from .tracking import insist

if TYPE_CHECKING:
    import keras

SERVED_WITH = ("keras", "mlflow", "numpy", "pandas", "tensorflow")
_MAX_ROUNDS = 100


@dataclass(frozen=True)
class Standing:
    """The outcome of a recomputation.

    Attributes
    ----------
    version : int or None
        Where the alias ``champion`` is now.
    reason : str
        Why, in one clause.
    note : str
        What became of the version that was just registered, in a sentence or two.
    """

    version: int | None
    reason: str
    note: str


def register(candidate: Candidate, name: str, run_id: str | None = None) -> int:
    """Log the network as a model of a run, load it again, and register it as a new version.

    The version is there only after the model was read back from the store and has predicted validation sequences. It
    carries all its tags from its first moment, so that no other run sees it without them.

    Parameters
    ----------
    candidate : Candidate
        The network.
    name : str
        Registered model.
    run_id : str, optional
        The run that gets the model, open or finished, whose state does not change; otherwise the active one.

    Returns
    -------
    int
        The version's number.

    Raises
    ------
    RegistryError
        If the store refuses it, or the logged model cannot be loaded.
    DataError
        If the logits do not fit the validation part, or are not finite.
    """
    run_id = run_id or mlflow.active_run().info.run_id
    tags = {**candidate.tags, **candidate.scores()}
    try:
        uri = _log(candidate, run_id)
        examples = candidate.examples
        tags["reproduction_error"] = reproduction_error(_predict(uri, examples), examples["logit"])
        return _add(name, uri, {key: str(value) for key, value in tags.items()})
    except MlflowException as error:
        raise RegistryError(
            f'Expected to register a version of "{name}", received: {str(error).splitlines()[0]}: check the name '
            "and the registry, or run with register=false."
        ) from error


def _log(candidate: Candidate, run_id: str) -> str:
    """Log the model on a run without opening the run, and return its address."""
    client = MlflowClient()
    experiment = client.get_run(run_id).info.experiment_id
    with tempfile.TemporaryDirectory(prefix="tfbs-model-") as folder:
        artifacts = candidate.save(Path(folder))
        return Model.log(
            artifact_path=None,
            flavor=mlflow.pyfunc,
            name="model",
            run_id=run_id,
            model_id=client.create_logged_model(experiment, "model", run_id).model_id,
            python_model=serving.__file__,
            artifacts=artifacts,
            signature=serving.signature(),
            input_example=serving.input_example(candidate.validation.length),
            pip_requirements=requirements(),
        ).model_uri


def _predict(uri: str, examples: pd.DataFrame) -> np.ndarray:
    """Load a model and return its logits of the examples."""
    try:
        return mlflow.pyfunc.load_model(uri).predict(examples[[serving.COLUMN]])["logit"].to_numpy()
    except Exception as error:
        raise RegistryError(
            f"Expected a model that loads and predicts, received {type(error).__name__} from {uri} "
            f"({(str(error).strip() or 'no reason').splitlines()[0]}): check the artifact store."
        ) from error


def _add(name: str, source: str, tags: dict[str, str]) -> int:
    """Create a version; where many do so at once the registry may refuse one, which then tries again."""
    return int(mlflow.register_model(source, name, tags=tags).version)


def requirements() -> list[str]:
    """The packages that the served model needs, at the versions that trained it."""
    return [f"{package}=={metadata.version(package)}" for package in SERVED_WITH]


def crown(version: int, name: str, client: MlflowClient | None = None) -> Standing:
    """Point ``champion`` and ``challenger`` where they belong now that there is a new version.

    Parameters
    ----------
    version : int
        The version that was just registered; its description then says how it stands.
    name : str
        Registered model.
    client : MlflowClient, optional
        Injected in tests.

    Returns
    -------
    Standing
        After every version registered so far has been looked at; the rule is :func:`tfbs.promotion.decide`.

    Raises
    ------
    RegistryError
        If no version carries a selection score, or the versions keep changing.
    TrackingError
        If the registry refuses a write again and again.
    """
    client = client or MlflowClient()
    decision = settle(name, None, version, client)
    mine = next(known for known in versions(name, client) if known.number == version)
    return Standing(aliases(name, client).get(CHAMPION), decision.reason, mine.note)


def settle(name: str, reference: int | None, about: int | None = None, client: MlflowClient | None = None) -> Decision:
    """Write aliases and notes until they agree with all versions.

    Parameters
    ----------
    name : str
        Registered model.
    reference : int or None
        Version whose data and split count for ``champion`` and ``challenger``; None: the newest.
    about : int, optional
        A version that gets a note whatever its place.
    client : MlflowClient, optional
        Injected in tests.

    Returns
    -------
    Decision
        The one that the registry now agrees with.

    Raises
    ------
    RegistryError, TrackingError
        As for :func:`crown`.

    Notes
    -----
    The registry has no compare-and-set. What differs is written and everything is read again until nothing differs, so
    of runs that finish together the last to write has seen all of them. Two first writers of an alias can collide in
    the database; the one that is refused tries again.
    """
    client = client or MlflowClient()
    for attempt in range(_MAX_ROUNDS):
        time.sleep(0.01 * min(attempt, 10))
        plan = promotion.plan(versions(name, client), reference, about)
        present = aliases(name, client)
        stale = {alias: number for alias, number in plan.aliases.items() if present.get(alias) != number}
        if not (stale or plan.notes):
            return plan.decision
        for alias, number in stale.items():
            if number is None:
                insist(client.delete_registered_model_alias, name, alias)
            else:
                insist(client.set_registered_model_alias, name, alias, str(number))
        for number, note in plan.notes.items():
            insist(client.update_model_version, name, str(number), note)
            insist(client.set_model_version_tag, name, str(number), "reason", note)
    raise RegistryError(
        f'Expected the versions of "{name}" to settle, received changes {_MAX_ROUNDS} times in a row: wait for the '
        "other runs to finish and run again."
    )


def versions(name: str, client: MlflowClient | None = None) -> list[Version]:
    """Every version of a model, oldest first; empty if there is no such model."""
    client = client or MlflowClient()
    found, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        found += [Version.of(int(v.version), v.run_id, v.tags, v.description or "") for v in page]
        token = page.token
        if not token:
            return sorted(found, key=lambda version: version.number)


def aliases(name: str, client: MlflowClient | None = None) -> dict[str, int]:
    """Aliases of a model and the numbers of the versions that they point to.

    Raises
    ------
    RegistryError
        If there is no model of that name.
    """
    client = client or MlflowClient()
    try:
        found = client.get_registered_model(name).aliases
    except MlflowException as error:
        known = sorted(model.name for model in client.search_registered_models())
        raise RegistryError(
            f'Expected the name of a registered model, received "{name}"'
            + (did_you_mean(name, known) or f": known are {', '.join(known)}." if known else ", and there is none yet.")
        ) from error
    return {alias: int(number) for alias, number in found.items()}


def record(name: str, version: int, error: float) -> None:
    """Keep in a version's tags how far its logits were off when it was last loaded."""
    insist(MlflowClient().set_model_version_tag, name, str(version), "reproduction_error", str(error))


def predictions(version: Version) -> pd.DataFrame:
    """Read what a version's run logged of the validation part: id, label and logit, in the order of that part.

    Raises
    ------
    RegistryError
        If it cannot be read.
    """
    uri = f"runs:/{version.run_id}/predictions.json"
    table = _read_table(uri, f"the predictions of version {version.number}")
    return table.loc[table["split"] == "validation", ["id", "label", "logit"]].reset_index(drop=True)


def reload_error(name: str, version: Version) -> float:
    """Load a version from the registry and compare its logits with those that its run logged.

    Returns
    -------
    float
        See :func:`tfbs.gates.reproduction_error`; the sequences are those of the version's ``examples.json``.

    Raises
    ------
    RegistryError
        If model, examples or predictions cannot be read, or do not belong together.
    """
    logged, uri = predictions(version), f"models:/{name}/{version.number}"
    examples = _read_table(f"{uri}/artifacts/{EXAMPLES}", f"the examples of version {version.number}")
    expected = logged.reindex(examples["row"])
    if not np.array_equal(expected["id"], examples["id"]):
        raise RegistryError(
            f"Expected the examples of version {version.number} among the predictions of run {version.run_id}, "
            "received other ids: train it again."
        )
    return reproduction_error(_predict(uri, examples), expected["logit"])


def network(uri: str) -> keras.Model:
    """Load the network of a version.

    Parameters
    ----------
    uri : str
        As ``models:/tfbs/3`` or ``models:/tfbs@champion``.

    Returns
    -------
    keras.Model
        Input (N, L, 4), output (N, 1): the logit; of an ensemble the mean of its members'.

    Raises
    ------
    RegistryError
        If it cannot be read.
    """
    import keras

    source = f"{uri}/artifacts/logit_model.keras"
    try:
        with tempfile.TemporaryDirectory(prefix="tfbs-") as folder:
            path = mlflow.artifacts.download_artifacts(source, dst_path=folder)
            found = keras.saving.load_model(path, compile=False)
    except Exception as error:
        raise RegistryError(
            f"Expected a network at {source}, received {type(error).__name__}: its artifacts may have been deleted, or "
            "it is a model of another kind; give another version."
        ) from error
    members = found.output_shape[1]
    if members == 1:
        return found
    mean = keras.layers.Dense(1, use_bias=False, kernel_initializer=keras.initializers.Constant(1 / members))
    return keras.Model(found.inputs[0], mean(found.outputs[0]))


def _read_table(uri: str, what: str) -> pd.DataFrame:
    try:
        with tempfile.TemporaryDirectory(prefix="tfbs-") as folder:
            path = mlflow.artifacts.download_artifacts(uri, dst_path=folder)
            return pd.read_json(path, orient="split", dtype=False, precise_float=True)
    except Exception as error:
        raise RegistryError(
            f"Expected {what} at {uri}, received {type(error).__name__}: its run or its artifacts may have been "
            "deleted; train it again."
        ) from error
