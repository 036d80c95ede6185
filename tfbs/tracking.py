"""What a run logs, and under which names: the one place that spells params, metrics, tags and artifacts.

A run is opened with :func:`run`, which takes over the run that ``mlflow run`` created or starts one, checks within
seconds that the store can take artifacts, and ends as FINISHED, FAILED or KILLED, never RUNNING.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shlex
import signal
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient, entities
from mlflow.entities import DatasetInput, Experiment, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils import name_utils
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID

from . import environment
from .datasets import Dataset
from .errors import TfbsError, TrackingError
from .intervals import Estimate

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
logging.getLogger("mlflow.pyfunc").setLevel(logging.WARNING)

StoredRun = entities.Run
EXPERIMENT = "tfbs"
TRIES = 10
NOTE = "mlflow.note.content"
PARENT = MLFLOW_PARENT_RUN_ID
PARENTS = ("comparison", "cross-evaluation")
GUIDE = """\
Each run is one trained network. **See them together:** open the *Charts* view; ROC, precision-recall, calibration and
attribution curves overlay. **Compare architectures:** *Group by* the param `arch`, and each becomes a mean with its
spread over seeds. **Get a verdict:** runs named `compare-...` hold nested replicates, a verdict table in their
description and `report.html` among their artifacts; make one with `mlflow run . -e compare`. Hide collapsed networks
with the filter `tags.tfbs.verdict != "did not train"`. The served model is the alias `champion` under *Models*.
"""
INHERITED = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")
EPOCH_NAMES = {
    "loss": "train/loss",
    "auroc": "train/auroc",
    "lesson_mse": "train/lesson_mse",
    "val_loss": "val/loss",
    "val_auroc": "val/auroc",
    "val_auprc": "val/auprc",
}


class Run:
    """An open run: logs through one client, in few requests.

    Parameters
    ----------
    client : MlflowClient
        The tracking client.
    run_id, experiment_id : str
        The run and its experiment.
    """

    def __init__(self, client: MlflowClient, run_id: str, experiment_id: str):
        self.client, self.run_id, self.experiment_id, self.lost = client, run_id, experiment_id, False

    def params(self, values: Mapping[str, Any]) -> None:
        """Log the params that the run does not hold yet: ``mlflow run`` logged the user's, and they cannot change."""
        known = self.client.get_run(self.run_id).data.params
        fresh = [Param(key, _text(value)) for key, value in values.items() if key not in known]
        self.client.log_batch(self.run_id, params=fresh)

    def tags(self, values: Mapping[str, Any]) -> None:
        """Set tags under the prefix ``tfbs.``."""
        self.client.log_batch(self.run_id, tags=[RunTag(f"tfbs.{key}", _text(value)) for key, value in values.items()])

    def describe(self, markdown: str) -> None:
        """Set the description that the run page shows first."""
        self.client.set_tag(self.run_id, NOTE, markdown)

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics in one request."""
        self._log(Metric(key, float(value), _now(), step) for key, value in values.items())

    def epoch(self, number: int, values: Mapping[str, float]) -> None:
        """Log the values of one epoch; the step is the epoch counted from 1."""
        self.metrics({EPOCH_NAMES[key]: value for key, value in values.items()}, step=number + 1)

    def epochs(self, history: Mapping[str, Sequence[float]]) -> None:
        """Log a whole history in one request, as :meth:`epoch` would have logged it."""
        values = [
            (EPOCH_NAMES[key], step, value) for key, all_ in history.items() for step, value in enumerate(all_, 1)
        ]
        self._log(Metric(name, float(value), _now(), step) for name, step, value in values)

    def estimates(self, estimates: Mapping[str, Estimate]) -> None:
        """Log metrics by their full names, with ``_lo`` and ``_hi`` for the two areas of the test part.

        The table ``metrics.json`` holds value, 95 % limits and sample size of every one; as metrics the limits of all
        of them would bury the charts page.
        """
        values = {name: estimate.value for name, estimate in estimates.items()}
        for name in ("test/auroc", "test/auprc"):
            if name in estimates:
                values |= {
                    f"{name}_lo": estimates[name].lo,
                    f"{name}_hi": estimates[name].hi,
                    "test/n": estimates[name].n,
                }
        self.metrics(values)
        rows = [{"metric": name, **asdict(estimate)} for name, estimate in estimates.items()]
        self.table(rows, "metrics.json")

    def curve(self, name: str, values: np.ndarray, steps: np.ndarray | None = None, section: str = "curve") -> None:
        """Log a curve as ``<section>/<name>``, one metric value per step, so that the UI overlays runs."""
        steps = np.arange(len(values)) if steps is None else steps
        self._log(Metric(f"{section}/{name}", float(v), _now(), int(s)) for v, s in zip(values, steps, strict=True))

    def table(self, data: Mapping[str, list] | list[dict[str, Any]], filename: str) -> None:
        """Log a table, given by columns or by rows, that the UI can compare across runs; more rows are appended."""
        self.client.log_table(self.run_id, pd.DataFrame(data), filename)

    def replace_table(self, rows: list[dict[str, Any]], filename: str) -> None:
        """Log a table in place of the one that an interrupted attempt may have left."""
        if any(found.path == filename for found in self.client.list_artifacts(self.run_id)):
            self.text(pd.DataFrame(rows).to_json(orient="split", index=False, default_handler=str), filename)
        else:
            self.table(rows, filename)

    def text(self, content: str, filename: str) -> None:
        """Log a text file."""
        self.client.log_text(self.run_id, content, filename)

    def picture(self, path: str, caption: str) -> str:
        """Markdown that shows an image among the run's artifacts in its description."""
        return f"![{caption}](get-artifact?path={urllib.parse.quote(path, safe='')}&run_uuid={self.run_id})"

    def dataset(self, data: Dataset, context: str) -> None:
        """Log a part of the data under its own digest (MLflow's looks at the first 10,000 elements only)."""
        features = mlflow.data.from_numpy(data.codes, targets=data.labels, name=data.name, digest=data.digest[:32])
        tags = [InputTag(MLFLOW_DATASET_CONTEXT, context)]
        insist(self.client.log_inputs, self.run_id, [DatasetInput(features._to_mlflow_entity(), tags)])

    @contextlib.contextmanager
    def artifacts(self) -> Iterator[Path]:
        """Yield an empty folder whose content is uploaded at the end, if no error left it half-written."""
        with tempfile.TemporaryDirectory(prefix="tfbs-") as folder:
            yield Path(folder)
            self.client.log_artifacts(self.run_id, folder)

    def environment(self) -> None:
        """Log versions and machine under ``environment/``; the first artifact, so it also proves the store writable."""
        try:
            with self.artifacts() as folder:
                where = folder / "environment"
                where.mkdir()
                (where / "requirements.txt").write_text("\n".join(environment.packages()) + "\n")
                (where / "machine.json").write_text(json.dumps(environment.machine(), indent=2))
        except (MlflowException, OSError) as error:
            raise TrackingError(
                f"Expected to write artifacts to {mlflow.get_artifact_uri()}, received {type(error).__name__} "
                f"({_first_sentence(error)}): check that the folder or server is writable."
            ) from error

    @contextlib.contextmanager
    def child(self, name: str, seconds: float = 0, **tags: str) -> Iterator[Run]:
        """Yield a run nested in this one, and end it as FINISHED, FAILED or KILLED.

        Parameters
        ----------
        name : str
            Run name.
        seconds : float
            How long ago the work that it tells of began.
        **tags
            Tags under the prefix ``tfbs.`` that it has from its first moment: a kill may leave it there.
        """
        parent = self.client.get_run(self.run_id).data.tags
        own = {key: parent[key] for key in INHERITED if key in parent} | {PARENT: self.run_id}
        own |= {f"tfbs.{key}": value for key, value in tags.items()}
        began = _now() - round(1000 * seconds)
        made = self.client.create_run(self.experiment_id, start_time=began, tags=own, run_name=name)
        opened, status = Run(self.client, made.info.run_id, self.experiment_id), "FAILED"
        try:
            yield opened
            status = "FAILED" if opened.lost else "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self.client.set_terminated(opened.run_id, status)

    def give_up(self, reason: str) -> None:
        """Say in the description why a nested run came to nothing; it then ends as FAILED."""
        self.lost = True
        self.describe(f"**This run failed.** {reason}")

    def _log(self, metrics) -> None:
        metrics = list(metrics)
        for at in range(0, len(metrics), 1000):
            self.client.log_batch(self.run_id, metrics=metrics[at : at + 1000])


@contextlib.contextmanager
def run(name: str, resume: str = "") -> Iterator[Run]:
    """Open a run, check its store, and end it whatever happens.

    Parameters
    ----------
    name : str
        Run name, used unless the user gave one.
    resume : str
        Id of an earlier run to go on with; the run that ``mlflow run`` created is then nested in it as a note.

    Yields
    ------
    Run
        The run that ``mlflow run`` created (``MLFLOW_RUN_ID``), or a new one in the experiment that the environment
        names (``MLFLOW_EXPERIMENT_NAME``, ``MLFLOW_EXPERIMENT_ID``), or in ``tfbs``.

    Raises
    ------
    TrackingError
        If the tracking server does not answer or its store cannot take artifacts from here.
    """
    _check_server()
    launched = os.environ.get("MLFLOW_RUN_ID")
    try:
        experiment = _experiment(resume or launched)
        _check_artifacts(experiment)
        _introduce(experiment)
        active = mlflow.start_run(resume or launched, experiment.experiment_id, run_name=None if launched else name)
    except MlflowException as error:
        raise TrackingError(
            f"Expected to open a run at {mlflow.get_tracking_uri()}, received: {_first_sentence(error)}: check "
            "MLFLOW_TRACKING_URI and the experiment's name."
        ) from error
    opened = Run(MlflowClient(), active.info.run_id, active.info.experiment_id)
    status, previous = "FAILED", signal.signal(signal.SIGTERM, _interrupt)
    try:
        if resume and launched:
            _hand_over(opened, launched)
        elif launched and _is_generated(active.info.run_name):
            opened.client.update_run(opened.run_id, name=name)
        opened.environment()
        yield opened
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    except Exception as error:
        with contextlib.suppress(MlflowException):
            opened.describe(failure(error))
        if isinstance(error, MlflowException):
            raise TrackingError(
                f"Expected {mlflow.get_tracking_uri()} to take what the run logs, received: {_first_sentence(error)}: "
                "check the tracking server or store and run again."
            ) from error
        raise
    finally:
        _end(opened.run_id, status)
        if resume and launched:
            opened.client.set_terminated(launched, status)
        signal.signal(signal.SIGTERM, previous)


def _hand_over(resumed: Run, launched: str) -> None:
    """Make the run that ``mlflow run`` created a note inside the run that is resumed."""
    resumed.client.update_run(launched, name="resumed")
    resumed.client.set_tag(launched, PARENT, resumed.run_id)
    resumed.client.set_tag(launched, NOTE, f"This command resumed run {resumed.run_id}; everything is logged there.")


def _end(run_id: str, status: str) -> None:
    """End the active run without being interrupted in turn."""
    handlers = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        mlflow.end_run(status)
    except MlflowException as error:
        raise TrackingError(
            f"Expected to end run {run_id} as {status}, received: {_first_sentence(error)}: it may stay RUNNING in "
            f"{mlflow.get_tracking_uri()} until you delete it."
        ) from error
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def insist(write: Callable[..., Any], *arguments: Any) -> None:
    """Write what other runs may be writing too: two first writers of one row collide, and the refused one tries again.

    Parameters
    ----------
    write : callable
        A method of MLflow that may be called twice without harm.
    *arguments
        Its arguments.

    Raises
    ------
    TrackingError
        If it is refused :data:`TRIES` times.
    """
    for attempt in range(TRIES):
        try:
            write(*arguments)
            return
        except MlflowException as error:
            problem = error
            time.sleep(0.05 * (attempt + 1))
    raise TrackingError(
        f"Expected {mlflow.get_tracking_uri()} to take {write.__name__}, received: {_first_sentence(problem)}: check "
        "the tracking server or store and run again."
    ) from problem


def failure(error: Exception) -> str:
    """Say in the run's description why it failed."""
    reason = str(error) if isinstance(error, TfbsError) else f"{type(error).__name__}: {error}"
    return f"**This run failed.** {reason}"


def explain_failure(error: Exception) -> None:
    """Describe a failure on the run that ``mlflow run`` created, if it can be reached, even before it is opened."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        with contextlib.suppress(MlflowException):
            MlflowClient().set_tag(run_id, NOTE, failure(error))


def client() -> MlflowClient:
    """A client of the store that the environment names."""
    return MlflowClient()


def address() -> str:
    """Where that store is."""
    return mlflow.get_tracking_uri()


def charts_link(experiment_id: str, parent: str = "") -> str:
    """Address of the tracking UI's charts view for an experiment, or for the trained runs nested in one run."""
    server = mlflow.get_tracking_uri()
    server = server.rstrip("/") if server.startswith("http") else "http://127.0.0.1:5000"
    view = f"{server}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&compareRunsMode=CHART"
    wanted = f"tags.`{PARENT}` = '{parent}' and tags.tfbs.verdict = 'trained'"
    return f"{view}&searchFilter={urllib.parse.quote(wanted)}" if parent else view


def next_steps(run_id: str, model: str) -> str:
    """Tell the commands that show the run and serve its model, as they must be typed for this store.

    Parameters
    ----------
    run_id : str
        A finished run.
    model : str
        Registered model; empty if there is nothing to serve.

    Returns
    -------
    str
        A few lines.
    """
    finished = MlflowClient().get_run(run_id)
    server = mlflow.get_tracking_uri()
    remote = server.startswith("http")
    manager = finished.data.tags.get("mlflow.project.env", "local")
    prefix = f"MLFLOW_TRACKING_URI={server} " if remote else ""
    see = "See it:     " if remote else "See it:     mlflow ui, then "
    nested = finished.data.tags.get("tfbs.kind") in PARENTS and "runs" not in finished.data.params
    lines = [f"{see}{charts_link(finished.info.experiment_id, run_id if nested else '')}"]
    if nested and finished.data.tags["tfbs.kind"] == "comparison":
        lines.append("            Group by arch for means with bands; the run's report.html has the verdict's figures.")
    if model:
        address = shlex.quote(f"models:/{model}@champion")
        lines.append(f"Serve it:   {prefix}mlflow models serve -m {address} --env-manager {manager} --port 5001")
    return "\n".join(lines)


def _check_server() -> None:
    """Ask an HTTP tracking server whether it is there: the client alone would retry for minutes."""
    uri = mlflow.get_tracking_uri()
    if not uri.startswith("http"):
        return
    try:
        urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=10).close()
    except OSError as error:
        raise TrackingError(
            f"Expected a tracking server at {uri}, received {getattr(error, 'reason', error)}: start it with "
            '"mlflow server", or unset MLFLOW_TRACKING_URI to use the local store.'
        ) from error


def _experiment(run_id: str | None) -> Experiment:
    """Return the experiment of a launched run, or the one that the environment names, made if need be."""
    client = MlflowClient()
    number = client.get_run(run_id).info.experiment_id if run_id else os.environ.get("MLFLOW_EXPERIMENT_ID")
    if number:
        return client.get_experiment(number)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME", EXPERIMENT)
    if client.get_experiment_by_name(name) is None:
        try:
            client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
    return client.get_experiment_by_name(name)


def _introduce(experiment: Experiment) -> None:
    """Tell newcomers in the experiment's description what to click, unless somebody wrote one."""
    if NOTE not in experiment.tags:
        insist(MlflowClient().set_experiment_tag, experiment.experiment_id, NOTE, GUIDE)


def _check_artifacts(experiment: Experiment) -> None:
    served = experiment.artifact_location.startswith("mlflow-artifacts:")
    if served and not mlflow.get_tracking_uri().startswith("http"):
        raise TrackingError(
            f'Expected an artifact folder, received the experiment "{experiment.name}", whose artifacts only a running '
            f"server can take ({experiment.artifact_location}, made by an `mlflow ui` that was started before the "
            "first run): add --experiment-name tfbs, or set MLFLOW_TRACKING_URI=http://127.0.0.1:5000 while that UI "
            "runs."
        )


def _is_generated(name: str) -> bool:
    """Tell MLflow's random run names (bold-cat-123) from the user's."""
    words = name.rsplit("-", 2)
    return (
        len(words) == 3
        and words[0] in {word.lower() for word in name_utils._GENERATOR_PREDICATES}
        and words[1] in {word.lower() for word in name_utils._GENERATOR_NOUNS}
        and words[2].isdigit()
    )


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


def _first_sentence(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _now() -> int:
    return int(time.time() * 1000)
