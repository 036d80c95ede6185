"""Explain which version of a model is champion, check it, and set the aliases: ``mlflow run . -e promote``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from tfbs.promotion import Request


def work(argv: Sequence[str]) -> None:
    """Review the model and print the explanation."""
    asked = cli.single(argv, Request, __doc__)
    print(f"Reviewing {asked.registered_model} ...", flush=True)
    from tfbs.review import run

    print(f"\n{run(asked).review.text()}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
