"""Train a network on each real data set and ask whether the first motif that it reads is that of the factor.

The main job, its motifs found in up to 500 positives. The factor's own name or family must be the best or the second
match of the first pattern in JASPAR 2026 CORE.

Run from the repository: ``python -m benchmarks.motifs --arch gapped`` (half an hour).
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import tempfile
import time
from pathlib import Path

from tfbs import job, tracking
from tfbs.datasets import Source
from tfbs.settings import Job, Settings

EXPECTED = {
    "packt": ("vertebrates", "Ets-related"),
    "primer": ("vertebrates", ""),
    "deepbind/GABPA": ("vertebrates", "Ets-related"),
    "deepbind/REST": ("vertebrates", "REST"),
    "nfe2": ("vertebrates", "NFE2"),
    "yeast/Reb1": ("fungi", "REB1"),
    "yeast/Abf1": ("fungi", "ABF1"),
    "yeast/Fkh1": ("fungi", "FKH1"),
}
"""Data set -> group of JASPAR, and the name or family that one of the first two matches should have."""


def interpret(arch: str, dataset: str, group: str, seed: int) -> tuple[float, dict[str, str], float]:
    """AUROC of the test part, the row of the first motif (empty if the network did not train), and seconds."""
    begin = time.perf_counter()
    settings = Settings(arch, seed, register=False, motifs=group)
    result = job.run(Job(settings, Source(dataset)))
    seconds = time.perf_counter() - begin
    client = tracking.client()
    found = client.get_run(result.run_id).data
    if found.tags["tfbs.verdict"] != "trained":
        return found.metrics["test/auroc"], {}, seconds
    table = json.loads(Path(client.download_artifacts(result.run_id, "motifs.json")).read_text())
    first = dict(zip(table["columns"], table["data"][0], strict=True))
    return found.metrics["test/auroc"], first, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arch", default="gapped")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sets", nargs="*", default=list(EXPECTED))
    asked = parser.parse_args()
    print("| set | AUROC | first motif | occurrences | best match (family) | next matches | expected | s |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        for dataset in asked.sets:
            group, expected = EXPECTED[dataset]
            auroc, first, seconds = interpret(asked.arch, dataset, group, asked.seed)
            if not first:
                print(f"| {dataset} | {auroc:.4f} | did not train | - | - | - | - | {seconds:.0f} |", flush=True)
                continue
            close = " ".join([first["resembles"], first["family"], first["also"].partition(",")[0]]).lower()
            found = "yes" if expected.lower() in close else "no"
            print(
                f"| {dataset} | {auroc:.4f} | `{first['letters']}` | {first['occurrences']} | {first['resembles']}, "
                f"{first['family'] or '-'} | {first['also'] or '-'} | {f'{expected}: {found}' if expected else '-'} | "
                f"{seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
