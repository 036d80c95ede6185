"""Time and measure the memory of the whole main job on a million sequences of 200 bp.

Run ``python -m benchmarks.million``; it takes two to four minutes. Two FASTA files of random sequences are written,
with a motif planted into those of one. The job (read, clean, split by cluster, train for one epoch in batches of 1,000,
test, explain, draw, log, register) then runs in a fresh process, with a tracking store of its own:

- *first gradient step*: from the start of that process, imports included, to where the compiled graph begins to train;
- *peak*: the largest resident memory of that process from its start to its end.
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOTIF = "CGACCGAACTCC"
BLOCK = 10_000


def write(path: Path, rows: int, length: int, motif: str, seed: int) -> None:
    """Write random sequences, with a motif at a random place of each."""
    import numpy as np

    from tfbs import sequences

    random, site = np.random.RandomState(seed), np.array(["ACGT".index(base) for base in motif], int)
    with path.open("w") as handle:
        for first in range(0, rows, BLOCK):
            codes = random.randint(0, 4, (min(BLOCK, rows - first), length), dtype=np.uint8)
            starts = random.randint(0, length - len(site) + 1, (len(codes), 1))
            codes[np.arange(len(codes))[:, None], starts + np.arange(len(site))] = site
            texts = enumerate(sequences.decode(codes), first + 1)
            handle.writelines(f">{path.stem}_{number}\n{text}\n" for number, text in texts)


def inside(began: float, arguments: list[str]) -> None:
    """Run the job, and print when the first network begins to train."""
    from experiments import train
    from tfbs import steps

    compiled = steps.compiled

    def told(*settings):
        trained, forward = compiled(*settings)

        def timed(*values):
            if trained.experimental_get_tracing_count() == 0:
                trained.get_concrete_function()
                print(f"first gradient step after {time.time() - began:.1f} s", flush=True)
            return trained(*values)

        return timed, forward

    steps.compiled = told
    train.work(arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--arch", default="baseline")
    parser.add_argument("--inside", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        inside(float(options.inside[0]), options.inside[1:])
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "mlflow", "numpy"))
    print(f"{packages}, Python {platform.python_version()}, {os.cpu_count()} cores")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        positives, negatives = Path(folder) / "positives.fa", Path(folder) / "negatives.fa"
        write(positives, options.n // 2, options.length, MOTIF, 0)
        write(negatives, options.n - options.n // 2, options.length, "", 1)
        store = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db", "PYTHONPATH": str(ROOT)}
        began = time.time()
        job = ["--dataset", positives, "--negatives", negatives, "--batch_size", "1000", "--epochs", "1"]
        command = [sys.executable, "-m", "benchmarks.million", "--inside", began, *job, "--arch", options.arch]
        child = subprocess.Popen(list(map(str, command)), cwd=folder, env={**os.environ, **store})
        _, status, used = os.wait4(child.pid, 0)
    if status:
        sys.exit("the job failed")
    peak = used.ru_maxrss * (1024 if platform.system() == "Linux" else 1) / 1e9
    print(f"\n{options.n:,} x {options.length} bp: {time.time() - began:.0f} s in all, peak {peak:.2f} GB")
    print(f"load of the machine over the last minute: {load:.1f} before, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
