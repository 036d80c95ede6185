"""Time 20 networks, 10 seeds of the two published architectures: the exercise run 20 times, and ``tfbs.replicates``.

Run ``python -m benchmarks.comparison_speed``; it takes four to six minutes. Both sides train the published recipe on
the same sequences and test on the same 500; every time runs from the start of a process to its end.

- *exercise*: the published code (one-hot encoding, ``model.compile``, ``model.fit``, ``model.predict``) in a fresh
  process for each network, one after another, with TensorFlow's default threads;
- *tfbs, replicates alone*: one process that calls ``replicates.run`` without explanations, which starts one worker a
  core;
- *tfbs, whole comparison*: all that ``mlflow run . -e compare`` does, on an empty store: training, metrics with
  intervals, attributions, nested runs, tests, figures, report.

The sides take turns: half of the exercise, tfbs, the other half, tfbs again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

SEEDS = 10
ARCHITECTURES = ("baseline", "modified")
HEADER = "0"
FILES = ("sequences_mod.txt", "labels.txt")


def exercise(folder: str, arch: str, seed: str) -> float:
    """Do what the exercise does, from its two files to the test AUROC."""
    import keras
    import numpy as np
    import pandas as pd
    from sklearn.metrics import auc, roc_curve
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import LabelEncoder, OneHotEncoder

    from tfbs import architectures

    keras.utils.set_random_seed(int(seed))
    table = pd.read_table(Path(folder) / FILES[0], header=None).rename(columns={0: "sequence"})
    letters, columns = LabelEncoder(), OneHotEncoder(categories="auto")
    matrices = []
    for sequence in table.sequence:
        numbers = np.array(letters.fit_transform(list(sequence))).reshape(-1, 1)
        matrices.append(columns.fit_transform(numbers).toarray())
    labels = np.array(pd.read_csv(Path(folder) / FILES[1])).reshape(-1)
    x, x_test, y, y_test = train_test_split(np.stack(matrices), labels, test_size=0.25, random_state=42, shuffle=True)
    model = architectures.build(arch, x.shape[1])
    targets = np.eye(2)[y] if model.output_shape[-1] == 2 else y
    model.compile(loss="mse", optimizer="adam", metrics=["binary_accuracy"])
    model.fit(x, targets, epochs=10, batch_size=10, validation_split=0.1, verbose=0)
    fpr, tpr, _ = roc_curve(y_test, model.predict(x_test, batch_size=32, verbose=0)[:, -1])
    return float(auc(fpr, tpr))


def replicates_alone(dataset: str) -> dict[str, list[float]]:
    """Train all with `replicates.run`; the test AUROCs of each architecture."""
    from sklearn.metrics import roc_auc_score

    from tfbs import architectures, replicates
    from tfbs.datasets import Source, load
    from tfbs.settings import Settings
    from tfbs.splits import random_split

    split = random_split(load(Source(dataset)), architectures.Recipe())
    tasks = [replicates.Task(arch, architectures.get(arch).recipe, s) for arch in ARCHITECTURES for s in range(SEEDS)]
    found: dict[str, list[float]] = {}
    for task, replicate in replicates.run(tasks, [split], Settings(), explain=False):
        if isinstance(replicate, replicates.Lost):
            sys.exit(replicate.reason)
        found.setdefault(task.arch, []).append(float(roc_auc_score(split.test.labels, replicate.test)))
    return found


def whole_comparison(dataset: str) -> dict[str, list[float]]:
    """Do all that ``-e compare`` does: measure, explain, log, compare, report; the test AUROCs of each architecture."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
        from experiments.compare import request
        from tfbs import compare

        result = compare.run(request(["--dataset", dataset, "--seeds", str(SEEDS), "--register", "no"]))
        os.chdir("/")
    groups = result.comparison.groups
    return {group.name: [entrant.metrics["auroc"].value for entrant in group.entrants] for group in groups}


SIDES = {"tfbs, replicates alone": replicates_alone, "tfbs, whole comparison": whole_comparison}
"""What is compared with the exercise: each is called with the name of the data set, in a process of its own."""


def timed(*words: str) -> tuple[float, object]:
    """Run this module in a process of its own; seconds from its start to its end, and what it found."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    began = time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.comparison_speed", "--inside", *words]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True)
    seconds = time.perf_counter() - began
    if finished.returncode:
        sys.exit(finished.stderr)
    return seconds, json.loads(finished.stdout.splitlines()[-1])


def write(dataset: str, folder: str) -> None:
    """Write the data set as the exercise reads it: one sequence a line; labels below a line that pandas drops."""
    from tfbs import sequences
    from tfbs.datasets import Source, load

    data = load(Source(dataset))
    lines = (sequences.decode(data.codes), [HEADER, *map(str, data.labels.tolist())])
    for name, content in zip(FILES, lines, strict=True):
        (Path(folder) / name).write_text("\n".join(content) + "\n")


def measure(dataset: str) -> tuple[dict[str, list[tuple[float, float]]], dict[str, list[tuple[float, object]]]]:
    """Time both sides in turns: (seconds, AUROC) of every exercise by architecture, (seconds, AUROCs) of our sides."""
    theirs = {arch: [] for arch in ARCHITECTURES}
    ours = {side: [] for side in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        write(dataset, folder)
        for half in (range(SEEDS // 2), range(SEEDS // 2, SEEDS)):
            for seed in half:
                for arch in ARCHITECTURES:
                    theirs[arch].append(timed("exercise", folder, arch, str(seed)))
            for side, results in ours.items():
                results.append(timed(side, dataset))
    return theirs, ours


def report(theirs, ours) -> None:
    alone = sum(seconds for results in theirs.values() for seconds, _ in results)
    print(f"{'side':<28}{'seconds':>9}{'ratio':>8}  mean test AUROC")
    areas = ", ".join(f"{arch} {statistics.fmean(area for _, area in results):.4f}" for arch, results in theirs.items())
    print(f"{'exercise, ' + str(SEEDS * len(theirs)) + ' times':<28}{alone:>9.1f}{1:>8.2f}  {areas}")
    for side, results in ours.items():
        for seconds, found in results:
            areas = ", ".join(f"{arch} {statistics.fmean(found[arch]):.4f}" for arch in ARCHITECTURES)
            print(f"{side:<28}{seconds:>9.1f}{seconds / alone:>8.2f}  {areas}")
    for arch, results in theirs.items():
        median = statistics.median(seconds for seconds, _ in results)
        print(f"\none exercise, {arch}: {median:.1f} s (median of {len(results)} processes)", end="")
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="simulated", choices=("simulated", "packt"))
    parser.add_argument("--inside", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        side, *words = options.inside
        print(json.dumps(exercise(*words) if side == "exercise" else SIDES[side](*words)))
        return
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    print(f"{packages}, Python {platform.python_version()}, {os.cpu_count()} cores, {options.dataset}")
    before = os.getloadavg()[0]
    report(*measure(options.dataset))
    print(f"load of the machine over the last minute: {before:.1f} before, {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
