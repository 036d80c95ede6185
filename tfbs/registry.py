"""Registered versions of a model and the alias ``champion``.

Each run registers its network as a version whose tags say how it scored on the validation part and on which data. The
champion is recomputed from all versions each time, so the result does not depend on who finishes first.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from . import attribution, serving
from .errors import RegistryError
from .intervals import Estimate
from .tracking import insist

if TYPE_CHECKING:
    import keras

CHAMPION = "champion"
SELECTION_METRIC = "val/auprc"
SERVED_WITH = ("keras", "mlflow", "numpy", "pandas", "tensorflow")
_MAX_ROUNDS = 10


@dataclass(frozen=True)
class Candidate:
    """A trained network and what speaks for it.

    Attributes
    ----------
    logit_model : keras.Model
        Input (N, L, 4), output (N, 1) logit.
    references : ndarray of float32, shape (k, L, 4)
        References of the served explanations.
    auprc, brier : Estimate
        Selection score (higher wins) and tie-break (lower wins), both on the validation part.
    tags : dict of str to str
        ``arch``, ``seed``, ``dataset``, ``data_digest``, ``split_digest`` and whatever else is worth knowing.
    """

    logit_model: keras.Model
    references: np.ndarray
    auprc: Estimate
    brier: Estimate
    tags: dict[str, str]


@dataclass(frozen=True)
class Standing:
    """The outcome of a recomputation: the champion's version number and why it is champion."""

    version: int
    reason: str


def register(candidate: Candidate, name: str) -> int:
    """Log the network as a model of the active run and register it as a new version.

    Parameters
    ----------
    candidate : Candidate
        The network.
    name : str
        Registered model.

    Returns
    -------
    int
        The version's number.

    Raises
    ------
    RegistryError
        If the store refuses it.
    """
    with tempfile.TemporaryDirectory(prefix="tfbs-model-") as folder:
        network, explainer = Path(folder, "logit_model.keras"), Path(folder, "explainer")
        candidate.logit_model.save(network)
        attribution.export_explainer(candidate.logit_model, candidate.references, explainer)
        try:
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=serving.__file__,
                artifacts={"logit_model": str(network), "explainer": str(explainer)},
                signature=serving.signature(),
                input_example=serving.input_example(candidate.logit_model.input_shape[1]),
                pip_requirements=requirements(),
            )
            version = mlflow.register_model(logged.model_uri, name, tags=_tags(candidate))
        except MlflowException as error:
            raise RegistryError(
                f'Expected to register a version of "{name}", received: {str(error).splitlines()[0]}: check the name '
                "and the registry, or run with register=false."
            ) from error
    return int(version.version)


def _tags(candidate: Candidate) -> dict[str, str]:
    """Tags that the version carries from its first moment, so that no other run sees it without them."""
    score = candidate.auprc
    scores = {"selection_metric": SELECTION_METRIC, "selection_score": score.value, "val_brier": candidate.brier.value}
    scores |= {"selection_lo": score.lo, "selection_hi": score.hi, "selection_n": score.n}
    return {key: str(value) for key, value in {**candidate.tags, **scores}.items()}


def requirements() -> list[str]:
    """The packages that the served model needs, at the versions that trained it."""
    return [f"{package}=={metadata.version(package)}" for package in SERVED_WITH]


def crown(version: int, name: str, client: MlflowClient | None = None) -> Standing:
    """Point ``champion`` at the best version among those comparable with the newest one.

    Comparable versions have the same data and split digests. The best has the highest selection score on the validation
    part; ties go to the lower Brier score, then to the older version. A second alias, ``champion-`` and the first eight
    digits of the split digest, keeps the champion of each data set and split when a newer version uses another one.

    Parameters
    ----------
    version : int
        The version that was just registered; its tags then say how it stands.
    name : str
        Registered model.
    client : MlflowClient, optional
        Injected in tests.

    Returns
    -------
    Standing
        Champion and reason, after every version registered so far has been looked at.

    Raises
    ------
    RegistryError
        If no version carries a selection score, or the versions keep changing.
    TrackingError
        If the registry refuses a write again and again.

    Notes
    -----
    The registry has no compare-and-set. The alias is written and everything is read again until nothing changes, so of
    two runs that finish together the last to write has seen both. Two first writers of an alias can collide in the
    database; the one that is refused reads and writes again.
    """
    client = client or MlflowClient()
    previous = None
    for _ in range(_MAX_ROUNDS):
        standing, group = _best(_scored(client, name), name)
        if standing == previous:
            _annotate(client, name, standing, [v for v in group if int(v.version) == version or _claims(v)])
            return standing
        for alias in (CHAMPION, f"{CHAMPION}-{_digests(group[0])[1][:8]}"):
            insist(client.set_registered_model_alias, name, alias, str(standing.version))
        previous = standing
    raise RegistryError(
        f'Expected the versions of "{name}" to settle, received changes {_MAX_ROUNDS} times in a row: wait for the '
        "other runs to finish and run again."
    )


def _scored(client: MlflowClient, name: str) -> list[ModelVersion]:
    """Every version that carries a selection score, oldest first."""
    versions, token = [], None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        versions += [version for version in page if "selection_score" in version.tags]
        token = page.token
        if not token:
            return sorted(versions, key=lambda version: int(version.version))


def _best(versions: list[ModelVersion], name: str) -> tuple[Standing, list[ModelVersion]]:
    """The best of the versions comparable with the newest, and all of these, best first."""
    if not versions:
        raise RegistryError(
            f'Expected a version of "{name}" with the tag selection_score, received none: train one with register=true.'
        )
    newest = _digests(versions[-1])
    group = sorted((v for v in versions if _digests(v) == newest), key=_rank)
    best, tags = group[0], group[0].tags
    reason = (
        f"{tags['arch']}, seed {tags['seed']}: highest validation AUPRC ({float(tags['selection_score']):.4f}, Brier "
        f"{float(tags['val_brier']):.4f}) of {len(group)} version{'s' * (len(group) > 1)} with data {newest[0][:8]} "
        f"and split {newest[1][:8]}"
    )
    if len(group) > 1:
        second = group[1]
        reason += f"; next is version {second.version} ({float(second.tags['selection_score']):.4f})"
    return Standing(int(best.version), reason), group


def _digests(version: ModelVersion) -> tuple[str, str]:
    return version.tags.get("data_digest", ""), version.tags.get("split_digest", "")


def _rank(version: ModelVersion) -> tuple[float, float, int]:
    return -float(version.tags["selection_score"]), float(version.tags["val_brier"]), int(version.version)


def _claims(version: ModelVersion) -> bool:
    return version.tags.get("reason", "").startswith("Champion")


def _annotate(client: MlflowClient, name: str, standing: Standing, versions: list[ModelVersion]) -> None:
    """Write the reason where people look, in tag and description: on the champion and on the versions that it beat."""
    notes = {str(v.version): f"Not champion; version {standing.version} is: {standing.reason}." for v in versions}
    notes[str(standing.version)] = f"Champion: {standing.reason}."
    for number, note in notes.items():
        insist(client.set_model_version_tag, name, number, "reason", note)
        insist(client.update_model_version, name, number, note)
