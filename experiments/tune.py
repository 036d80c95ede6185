"""Search architecture and recipe: ``mlflow run . -e tune``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from experiments.train import check_source
from tfbs.architectures import ARCHITECTURES, LOSSES, OPTIMIZERS, Recipe
from tfbs.datasets import NAMES, Source
from tfbs.errors import ParameterError
from tfbs.search import ENGINES, PRUNERS, Request, Search, Space
from tfbs.simulation import Simulation
from tfbs.splitting import SPLITS, Splitting


def request(argv: Sequence[str]) -> Request:
    """Turn the command line into a search.

    Parameters
    ----------
    argv : sequence of str
        ``--name value`` pairs.

    Returns
    -------
    Request
        Checked as far as it can be without reading data; of ``resume`` the request of the search that it names.

    Raises
    ------
    ParameterError
        If a name is unknown, a value does not fit, or something else stands beside ``resume``.
    """
    groups = (Search, Space, Source, Simulation, Recipe, Splitting)
    choices = {"pruner": PRUNERS, "engine": ENGINES, "archs": ARCHITECTURES, "loss": LOSSES, "optimizer": OPTIMIZERS}
    choices |= {"dataset": (*NAMES, "or a path"), "split": SPLITS}
    parsed = cli.parse(argv, groups, __doc__, choices)
    search, space, source, simulation, division, splitting = parsed
    check_source(source, simulation)
    data = (Source(**source), Simulation(**simulation))
    made = Request(Search(**search), Space(**space), *data, division, Splitting(**splitting))
    return _resumed(made, search, [name for group in parsed for name in group]) if made.search.resume else made


def _resumed(made: Request, search: dict, given: Sequence[str]) -> Request:
    """Look up what the search to resume was asked to do."""
    others = [name for name in given if name not in ("resume", "trials")]
    if others:
        raise ParameterError(
            f"{others[0]}: expected no other parameter than trials beside resume, received {others[0]}: leave it out, "
            "because the search to resume knows its own."
        )
    from tfbs import tune

    return tune.restore(made.search.resume, search.get("trials"))


def work(argv: Sequence[str]) -> None:
    """Run the search and say what it found and how to go on."""
    asked = request(argv)
    print(f"Searching {', '.join(asked.space.domains['arch'])} on {asked.source.dataset} ...", flush=True)
    from tfbs import tracking, tune

    result = tune.run(asked, asked.search.resume)
    print(f"\n{result.ranking.text()}\n{tracking.next_steps(result.run_id, model='')}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
