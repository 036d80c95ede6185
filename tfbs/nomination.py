"""Which replicates of a comparison become versions: the best network, or each architecture's average."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from . import architectures, explanation, logbook, registry, runs, training
from .candidate import Candidate, origin
from .comparison import Comparison, Group
from .datasets import Dataset, join
from .plan import Request
from .splits import Part, joint_digest
from .tracking import Run

if TYPE_CHECKING:
    import keras


def nominate(opened: Run, request: Request, found: Comparison, parts: Sequence[Part]) -> tuple[str, ...]:
    """Register what the plan asks for, and recompute the champion by the rule of the main job.

    Parameters
    ----------
    opened : Run
        The comparison; ensembles get nested runs of their own.
    request : Request
        ``register``: ``best``, ``ensemble`` or ``no``.
    found : Comparison
        What was trained.
    parts : sequence of Part
        Its splits.

    Returns
    -------
    tuple of str
        One sentence on each version.

    Raises
    ------
    RegistryError
        If the registry refuses a version.
    """
    if request.plan.register == "no":
        return ()
    training.load()
    if request.plan.register == "best":
        return _best(request, found, parts[0])
    groups = [group for group in found.groups if len(group.trained) > 1]
    return tuple(_ensemble(opened, request, group, parts) for group in groups)


def _best(request: Request, found: Comparison, part: Part) -> tuple[str, ...]:
    """Register the network with the best validation AUPRC on the first split; ties go to the first."""
    able = [entrant for entrant in found.trained if entrant.part == part.key]
    if not able:
        return ()
    best = max(able, key=lambda entrant: entrant.score)
    tags = {"arch": best.name, "seed": best.seed, **origin(part.split)}
    candidate = Candidate(
        (architectures.logit_model(runs.network(best.run_id)),),
        explanation.shared_references(request.settings, part.split, part.split.train.length),
        part.split.validation,
        best.validation.logits,
        best.additivity,
        tags,
    )
    version = registry.register(candidate, request.settings.registered_model, best.run_id)
    return (_told(f"{best.name}, seed {best.seed}", request, version),)


def _told(what: str, request: Request, version: int) -> str:
    standing = registry.crown(version, request.settings.registered_model)
    return f"{what}: registered as version {version} of {request.settings.registered_model}. {standing.note}"


def _ensemble(opened: Run, request: Request, group: Group, parts: Sequence[Part]) -> str:
    """Register the average of a group's networks, in a nested run that holds its predictions."""
    used = [part for part in parts if any(entrant.part == part.key for entrant in group.trained)]
    members = tuple(architectures.logit_model(runs.network(entrant.run_id)) for entrant in group.trained)
    name, first = f"{group.name}-ensemble", used[0].split
    seeds = ",".join(dict.fromkeys(entrant.seed for entrant in group.trained))
    tags = {"arch": name, "seed": seeds, **origin(first)}
    held_out, data = None, first.validation
    if len(used) > 1:
        held_out, data = _held_out(group, used), join([part.split.validation for part in used])
        tags["split_digest"] = joint_digest([part.split for part in used])
    validation = _mean_logits(members, data)
    error = max(entrant.additivity for entrant in group.trained)
    references = explanation.shared_references(request.settings, first, first.train.length)
    with opened.child(name) as child:
        child.params({"arch": name, "members": len(members), "seeds": seeds, "dataset": first.train.name})
        child.tags({"arch": name, "kind": "ensemble", "verdict": "trained"})
        if len(used) == 1:
            logbook.log_parts(child, first)
            test = _mean_logits(members, first.test)
            logbook.log_results(child, first, (validation, test), request.settings.seed)
        else:
            logbook.log_predictions(child, {"validation": (data, validation)})
        child.metrics({"shap/additivity_max": error})
        candidate = Candidate(members, references, data, validation, error, tags, held_out)
        version = registry.register(candidate, request.settings.registered_model, child.run_id)
    return _told(f"{name} ({len(members)} members)", request, version)


def _mean_logits(members: Sequence[keras.Model], data: Dataset) -> np.ndarray:
    return np.mean([training.predict_logits(member, data.codes) for member in members], axis=0)


def _held_out(group: Group, parts: Sequence[Part]) -> np.ndarray:
    """Logits of each validation part by the networks that did not train on it: what an ensemble of folds is scored by.

    Every other member has seen those sequences, so the ensemble's own logits would flatter it.
    """
    by_part = [[e.validation.logits for e in group.trained if e.part == part.key] for part in parts]
    return np.concatenate([np.mean(logits, axis=0) for logits in by_part])
