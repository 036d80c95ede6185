"""Find and name the motifs that a trained network reads: ``mlflow run . -e interpret``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from tfbs.interpretation import Request
from tfbs.jaspar import GROUPS
from tfbs.settings import REFERENCES


def work(argv: Sequence[str]) -> None:
    """Interpret the network and say what was found."""
    asked = cli.single(argv, Request, __doc__, {"references": REFERENCES, "motifs": GROUPS})
    print(f"Interpreting {asked.network} ...", flush=True)
    from tfbs import interpretation, tracking

    result = interpretation.run(asked)
    print(f"\n{result.text()}\n\n{tracking.next_steps(result.run_id, model='')}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
