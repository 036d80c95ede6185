"""Time and measure the memory of reading a million sequences, as the exercise does it and as ``tfbs`` does.

Run ``python -m benchmarks.loader_speed``; it takes about two minutes. A table of random sequences with labels is
written once; each side reads and encodes it in a process of its own, and is charged from the first line read to the
array in memory (imports are not), with the peak of the process's memory over what its imports hold.

- *exercise*: ``pandas.read_csv``, then a ``LabelEncoder`` and a ``OneHotEncoder`` fitted to each sequence, and
  ``np.stack``: float64. It is run on a part of the sequences (``--exercise_n``), and its time and memory are scaled up
  by their number: whole, its matrices alone would take 6.4 GB.
- *tfbs, codes*: ``datasets.load``: checked, cleaned, one byte a base, as data are held.
- *tfbs, one-hot*: the same, and ``sequences.one_hot`` in float32, which is what the exercise's array is for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

KILOBYTES = 1 if platform.system() == "Linux" else 1024


def peak() -> float:
    """The largest memory this process has held, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KILOBYTES / 1024


def exercise(path: str, rows: int) -> dict[str, float]:
    """Read the first rows of a table and encode them as the exercise does."""
    import numpy as np
    import pandas as pd
    from sklearn.preprocessing import LabelEncoder, OneHotEncoder

    held, began = peak(), time.perf_counter()
    table = pd.read_csv(path, nrows=rows)
    letters, columns = LabelEncoder(), OneHotEncoder(categories="auto")
    matrices = []
    for sequence in table.sequence:
        numbers = np.array(letters.fit_transform(list(sequence))).reshape(-1, 1)
        matrices.append(columns.fit_transform(numbers).toarray())
    features = np.stack(matrices)
    seconds = time.perf_counter() - began
    return {"seconds": seconds, "peak": peak() - held, "sum": float(features.sum()), "rows": len(features)}


def loader(path: str, encode: bool) -> dict[str, float]:
    """Read a table with `datasets.load`, and one-hot encode it if asked to."""
    from tfbs import sequences
    from tfbs.datasets import Source, load

    held, began = peak(), time.perf_counter()
    codes = load(Source(path)).codes
    if encode:
        features = sequences.one_hot(codes)
    seconds = time.perf_counter() - began
    total = float(features.sum()) if encode else float((codes < sequences.N).sum())
    return {"seconds": seconds, "peak": peak() - held, "sum": total, "rows": len(codes)}


def write(path: Path, rows: int, length: int) -> None:
    """Write a table of random sequences and labels."""
    import numpy as np

    from tfbs import sequences

    random = np.random.RandomState(0)
    with path.open("w") as handle:
        handle.write("sequence,label\n")
        for start in range(0, rows, 10_000):
            texts = sequences.decode(random.randint(0, 4, (min(10_000, rows - start), length), dtype=np.uint8))
            handle.writelines(f"{text},{i % 2}\n" for i, text in enumerate(texts))


def inside(side: str, path: str, rows: int) -> dict[str, float]:
    return exercise(path, rows) if side == "exercise" else loader(path, encode=side == "tfbs, one-hot")


def timed(side: str, path: Path, rows: int) -> dict[str, float]:
    """Run one side in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.loader_speed", "--inside", side, str(path), str(rows)]
    finished = subprocess.run(command, capture_output=True, text=True)
    if finished.returncode:
        sys.exit(finished.stderr)
    return json.loads(finished.stdout.splitlines()[-1])


def report(n: int, length: int, found: dict[str, dict[str, float]], size: float) -> None:
    print(f"{n:,} x {length} bp, a file of {size:.0f} MB\n")
    print(f"{'side':<18}{'seconds':>9}{'peak MB':>10}{'faster':>9}{'file':>7}")
    theirs = found["exercise"]
    scale = n / theirs["rows"]
    for side, one in found.items():
        factor = scale if side == "exercise" else 1
        seconds, memory = one["seconds"] * factor, one["peak"] * factor
        ratio = theirs["seconds"] * scale / seconds
        print(f"{side:<18}{seconds:>9.1f}{memory:>10.0f}{ratio:>8.0f}x{memory / size:>6.1f}x")
        if one["sum"] != one["rows"] * length:
            sys.exit(f"{side}: expected {one['rows'] * length} bases, received {one['sum']}")
    print(f"\nexercise: measured on {theirs['rows']:,.0f} sequences ({theirs['seconds']:.1f} s), scaled by {scale:.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--length", type=int, default=200)
    parser.add_argument("--exercise_n", type=int, default=50_000)
    parser.add_argument("--inside", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        side, path, rows = options.inside
        print(json.dumps(inside(side, path, int(rows))))
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("pandas", "scikit-learn", "numpy"))
    print(f"{packages}, Python {platform.python_version()}, {os.cpu_count()} cores")
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sequences.csv"
        write(path, options.n, options.length)
        found = {}
        for side in ("tfbs, codes", "exercise", "tfbs, one-hot"):
            found[side] = timed(side, path, min(options.exercise_n, options.n))
        report(options.n, options.length, found, path.stat().st_size / 1024**2)
    print(f"load of the machine over the last minute: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
