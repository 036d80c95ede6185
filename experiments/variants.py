"""Score variants with a trained network: ``mlflow run . -e variants``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from experiments import cli
from tfbs.variants import MISMATCHES, Request


def work(argv: Sequence[str]) -> None:
    """Score the variants and say what was found."""
    asked = cli.single(argv, Request, __doc__, {"mismatch": MISMATCHES})
    print(f"Scoring {asked.vcf or asked.pairs} with {asked.network} ...", flush=True)
    from tfbs import tracking, variant_job

    result = variant_job.run(asked)
    print(f"\n{result.summary.text()}\n\n{tracking.next_steps(result.run_id, model='')}")


if __name__ == "__main__":
    sys.exit(cli.main(lambda: work(sys.argv[1:])))
