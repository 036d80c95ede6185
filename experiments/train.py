"""Train, evaluate, explain and register one network: ``mlflow run . -P arch=baseline``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import cli
from tfbs.architectures import ARCHITECTURES, Recipe
from tfbs.datasets import NAMES, Source
from tfbs.errors import ParameterError
from tfbs.settings import AUTO, RUN_ID, Job, Settings
from tfbs.simulation import Simulation
from tfbs.splitting import SPLITS, Splitting


def request(argv: Sequence[str]) -> Job:
    """Turn the command line into a job.

    Parameters
    ----------
    argv : sequence of str
        ``--name value`` pairs.

    Returns
    -------
    Job
        Checked as far as it can be without reading data.

    Raises
    ------
    ParameterError
        If a name is unknown or a value does not fit.
    """
    groups = (Settings, Source, Simulation, Recipe, Splitting)
    choices = {"arch": (*ARCHITECTURES, AUTO), "dataset": (*NAMES, "or a path"), "split": SPLITS}
    settings, source, simulation, recipe, splitting = cli.parse(argv, groups, __doc__, choices)
    check_source(source, simulation)
    if RUN_ID.fullmatch(settings.get("arch", "")):
        from tfbs import runs

        settings["arch"], values = runs.configuration(settings["arch"])
        recipe = {**values, **recipe}
    return Job(Settings(**settings), Source(**source), Simulation(**simulation), recipe, Splitting(**splitting))


def check_source(source: Mapping[str, Any], simulation: Mapping[str, Any]) -> None:
    """Refuse settings of the simulation beside another data set, which would ignore them."""
    if simulation and source.get("dataset", "simulated") != "simulated":
        raise ParameterError(
            f"{next(iter(simulation))}: expected only with dataset=simulated, received it with "
            f"dataset={source['dataset']}: leave it out."
        )


def work(argv: Sequence[str]) -> None:
    """Run the job and say where to look."""
    job = request(argv)
    print(f"Running {job.settings.arch} on {job.source.dataset} ...", flush=True)
    from tfbs import cross, crossing, tracking
    from tfbs import job as single

    crossed = len(crossing.kinds(job.source)) > 1
    if crossed and job.settings.arch == AUTO:
        raise ParameterError(
            f"arch: expected one of {', '.join(ARCHITECTURES)} with several kinds of negatives, received {AUTO}: name "
            "the one to train against each."
        )
    result = (cross if crossed else single).run(job)
    model = job.settings.registered_model if result.version else ""
    print(f"\n{result.summary.text()}\n\n{tracking.next_steps(result.run_id, model)}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
