"""Find and name the motifs that a trained network reads: ``mlflow run . -e interpret``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from tfbs.interpretation import Request


def request(argv: Sequence[str]) -> Request:
    """Turn the command line into a request.

    Parameters
    ----------
    argv : sequence of str
        ``--name value`` pairs.

    Raises
    ------
    ParameterError
        If a name is unknown, a value does not fit, or values exclude each other.
    """
    (given,) = cli.parse(argv, (Request,), __doc__, {})
    return Request(**given)


def work(argv: Sequence[str]) -> None:
    """Interpret the network and say what was found."""
    asked = request(argv)
    print(f"Interpreting {asked.network} ...", flush=True)
    from tfbs import interpretation, tracking

    result = interpretation.run(asked)
    print(f"\n{result.summary.text()}\n\n{tracking.next_steps(result.run_id, model='')}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
