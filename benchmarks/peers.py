"""Train one architecture with its own recipe on the sets that LS-GKM was trained on, and compare their test areas.

At equal data: five sets cut to 2,500 + 2,500 training sequences of 101 bp (``<set>.<train|test>.<pos|neg>.fa.gz`` in
the folder ``peers`` of the cache), and nfe2, of which LS-GKM had all. With ``--all`` the same sets with all of their
training data. Every network is trained in a process of its own, which also tells its peak memory; finished ones are
kept in ``--out`` and not trained again.

    TFBS_DATA_DIR=... python -m benchmarks.peers --seeds 3
    TFBS_DATA_DIR=... python -m benchmarks.peers --seeds 1 --all
    TFBS_DATA_DIR=... python -m benchmarks.peers --curve --sets gue_3,GABPA

The last prints a learning curve of one seed: the machine that teaches the network, and the network, by training size.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from scipy.stats import t

from tfbs import architectures, cleaning, datasets, formats, gapped, intervals, splits, training
from tfbs.datasets import Dataset, Source
from tfbs.published import cache_folder
from tfbs.splits import Split
from tfbs.splitting import Splitting

LSGKM = {"ARID3A": 0.9106, "GABPA": 0.9881, "REST": 0.9994, "gue_0": 0.8960, "gue_3": 0.8494, "nfe2": 0.9929}
"""Test AUROC of gkmtrain with default settings (-t 4 -l 11 -k 7) on the same files, one thread."""

WHOLE = {
    "ARID3A": "deepbind/ARID3A",
    "GABPA": "deepbind/GABPA",
    "REST": "deepbind/REST",
    "gue_0": "gue/0",
    "gue_3": "gue/3",
}

SIZES = (1_000, 2_000, 4_000, 8_000, 16_000)


def read(name: str, whole: bool, arch: str) -> Split:
    """Training, validation and test part: a random share of the training files is held out for validation."""
    recipe = architectures.get(arch).recipe
    if whole or name == "nfe2":
        return splits.make(datasets.load(Source(WHOLE.get(name, name))), recipe, Splitting())
    train, test = (_pair(name, part) for part in ("train", "test"))
    order = np.random.RandomState(recipe.split_seed).permutation(len(train))
    held = int(recipe.val_size * len(train))
    return Split(train.take(np.sort(order[held:])), train.take(np.sort(order[:held])), test, train.digest)


def _pair(name: str, part: str) -> Dataset:
    """Read the positives and negatives of a part as they are."""
    folder = cache_folder() / "peers"
    texts = [formats.read_fasta(folder / f"{name}.{part}.{kind}.fa.gz").sequences for kind in ("neg", "pos")]
    codes = [cleaning.window(one) for one in texts]
    labels = np.repeat(np.array([0, 1], np.uint8), [len(one) for one in codes])
    return Dataset(name, np.concatenate(codes), labels, [f"{part}{row}" for row in range(len(labels))])


def one(name: str, seed: int, arch: str, whole: bool, out: Path) -> None:
    """Train one network and write its test logits and what it cost."""
    split, recipe = read(name, whole, arch), architectures.get(arch).recipe
    training.configure(recipe.batch_size * split.train.length)
    began = time.perf_counter()
    trained = training.train(arch, recipe, (split.train, split.validation), seed)
    model = architectures.logit_model(trained.model)
    found = {
        "labels": split.test.labels.tolist(),
        "logits": training.predict_logits(model, split.test.codes).tolist(),
        "train": len(split.train),
        "seconds": time.perf_counter() - began,
        "gigabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "val_auroc": trained.history["val_auroc"][-1],
    }
    out.write_text(json.dumps(found))


def curve(name: str, arch: str) -> None:
    """Print the areas of machine and network for growing shares of all training data, the smaller within the larger."""
    split, recipe = read(name, True, arch), architectures.get(arch).recipe
    training.configure(recipe.batch_size * split.train.length)
    order = np.random.RandomState(0).permutation(len(split.train))
    for size in [*(n for n in SIZES if n < len(order)), len(order)]:
        part = split.train.take(np.sort(order[:size]))
        machine = gapped.teach(part.codes, part.labels)
        logits = architectures.logit_model(training.train(arch, recipe, (part, split.validation), 0).model)
        scores = machine.score(split.test.codes), training.predict_logits(logits, split.test.codes)
        areas = [str(intervals.auroc(split.test.labels, one)) for one in scores]
        print(f"| {name} | {size:,} | {' | '.join(areas)} |", flush=True)


def row(name: str, found: list[dict]) -> str:
    """One line of the table: mean over the seeds with Student's interval, the ensemble with DeLong's, and the costs."""
    labels, logits = np.array(found[0]["labels"]), np.array([one["logits"] for one in found])
    areas = [intervals.auroc(labels, one).value for one in logits]
    mean, spread = statistics.fmean(areas), statistics.stdev(areas) if len(areas) > 1 else float("nan")
    half = t.ppf(0.975, len(areas) - 1) * spread / len(areas) ** 0.5
    together = intervals.auroc(labels, logits.mean(0))
    seconds, gigabytes = (statistics.fmean(one[key] for one in found) for key in ("seconds", "gigabytes"))
    cells = [name, f"{found[0]['train']:,}", f"{len(labels):,}", f"{LSGKM[name]:.4f}", f"{mean:.4f} ± {half:.4f}"]
    cells += [str(together), f"{mean - LSGKM[name]:+.4f}", f"{seconds:.0f}", f"{gigabytes:.1f}"]
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arch", default="gapped", choices=architectures.ARCHITECTURES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--sets", default=",".join(LSGKM))
    parser.add_argument("--all", action="store_true", help="all training data instead of the equal 2,500 + 2,500")
    parser.add_argument("--curve", action="store_true", help="areas by training size instead")
    parser.add_argument("--out", type=Path, default=Path("peers"))
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    size = "all" if options.all else "equal"

    def place(name: str, seed: int | str) -> Path:
        return options.out / f"{options.arch}-{size}-{name}-{seed}.json"

    if options.one:
        return one(options.one[0], int(options.one[1]), options.arch, options.all, place(*options.one))
    if options.curve:
        print("| set | training | machine | network |\n|---|---|---|---|", flush=True)
        for name in options.sets.split(","):
            curve(name, options.arch)
        return
    print("| set | training | test | LS-GKM | mean of seeds | ensemble (95 %) | mean - LS-GKM | s a network | GB |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in options.sets.split(","):
        for seed in range(options.seeds):
            if not place(name, seed).exists():
                command = [sys.executable, "-m", "benchmarks.peers", *sys.argv[1:], "--one", name, str(seed)]
                subprocess.run(command, check=True)
        print(row(name, [json.loads(place(name, seed).read_text()) for seed in range(options.seeds)]), flush=True)


if __name__ == "__main__":
    main()
