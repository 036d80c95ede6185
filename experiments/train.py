"""Train, evaluate, explain and register one network: ``mlflow run . -P arch=baseline``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli


def work(argv: Sequence[str]) -> None:
    """Parse the parameters, run the job, and say where to look."""
    from tfbs.architectures import Recipe
    from tfbs.datasets import Source
    from tfbs.errors import ParameterError
    from tfbs.settings import Job, Settings
    from tfbs.simulation import Simulation

    settings, source, simulation, recipe = cli.parse(argv, (Settings, Source, Simulation, Recipe), __doc__)
    if simulation and source.get("dataset", "simulated") != "simulated":
        raise ParameterError(
            f"{next(iter(simulation))}: expected only with dataset=simulated, received it with "
            f"dataset={source['dataset']}: leave it out."
        )
    request = Job(Settings(**settings), Source(**source), Simulation(**simulation), recipe)
    from tfbs import job, tracking

    print(f"Running {request.settings.arch} on {request.source.dataset} ...", flush=True)
    result = job.run(request)
    print(f"\n{result.summary.text()}\n\n{tracking.next_steps(result.run_id, request.settings.registered_model)}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
