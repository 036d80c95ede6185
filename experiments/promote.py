"""Explain which version of a model is champion, check it, and set the aliases: ``mlflow run . -e promote``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from tfbs.promotion import Request


def request(argv: Sequence[str]) -> Request:
    """Turn the command line into a request.

    Parameters
    ----------
    argv : sequence of str
        ``--name value`` pairs.

    Raises
    ------
    ParameterError
        If a name is unknown or a value does not fit.
    """
    (given,) = cli.parse(argv, (Request,), __doc__)
    return Request(**given)


def work(argv: Sequence[str]) -> None:
    """Review the model and print the explanation."""
    asked = request(argv)
    print(f"Reviewing {asked.registered_model} ...", flush=True)
    from tfbs.review import run

    print(f"\n{run(asked).review.text()}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
