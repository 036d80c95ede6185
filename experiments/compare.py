"""Compare architectures over several seeds, or finished runs: ``mlflow run . -e compare``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from experiments.train import check_source
from tfbs.architectures import Recipe
from tfbs.datasets import NAMES, Source
from tfbs.errors import ParameterError
from tfbs.plan import METRICS, REGISTER, Plan, Request
from tfbs.settings import RUN_ID, Settings
from tfbs.simulation import Simulation
from tfbs.splitting import SPLITS, Splitting, items

WITHOUT = ("arch", "seed", "budget", "motifs")


def request(argv: Sequence[str]) -> Request:
    """Turn the command line into what is to be compared.

    Parameters
    ----------
    argv : sequence of str
        ``--name value`` pairs.

    Returns
    -------
    Request
        Checked as far as it can be without reading data; of ``resume`` nothing is read yet.

    Raises
    ------
    ParameterError
        If a name is unknown, a value does not fit, or values exclude each other.
    """
    groups = (Plan, Settings, Source, Simulation, Recipe, Splitting)
    choices = {"metric": METRICS, "register": REGISTER, "dataset": (*NAMES, "or a path"), "split": SPLITS}
    plan, settings, source, simulation, recipe, splitting = cli.parse(argv, groups, __doc__, choices, WITHOUT)
    check_source(source, simulation)
    made = Plan(**plan)
    given = [*plan, *settings, *source, *simulation, *recipe, *splitting]
    _alone("resume", plan, given, ())
    _alone("runs", plan, given, ("metric", "register"))
    if made.runs and made.register == "ensemble":
        raise ParameterError("register: expected ensemble only with archs, received it with runs: leave one out.")
    data = (Source(**source), Simulation(**simulation))
    return Request(made, Settings(**settings), *data, recipe, Splitting(**splitting), _configurations(made))


def _alone(name: str, plan: dict, given: Sequence[str], allowed: Sequence[str]) -> None:
    """Refuse parameters that would be ignored."""
    others = [other for other in given if other not in (name, *allowed)]
    if plan.get(name) and others:
        raise ParameterError(
            f"{others[0]}: expected no other parameter beside {name}, received {others[0]}: leave it out, because "
            f"{name} says what was trained."
        )


def _configurations(plan: Plan) -> dict:
    """Look up the architectures that are named by a run."""
    named = [item for item in items(plan.archs) if RUN_ID.fullmatch(item)]
    if named:
        from tfbs import runs

        return {item: runs.configuration(item) for item in named}
    return {}


def work(argv: Sequence[str]) -> None:
    """Run the comparison and say where to look."""
    asked = request(argv)
    from tfbs import compare, runs, tracking

    resume = asked.plan.resume
    if resume:
        asked = Request.from_dict(runs.request(resume, compare.REQUEST))
    print(f"Comparing {asked.plan.runs or asked.plan.archs} ...", flush=True)
    result = compare.run(asked, resume)
    registered = asked.plan.register != "no" and not asked.plan.runs
    model = asked.settings.registered_model if registered else ""
    print(f"\n{result.story.text()}\n\n{tracking.next_steps(result.run_id, model)}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
