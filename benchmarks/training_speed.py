"""Time the published recipe: the exercise's ``model.compile`` and ``model.fit`` against ``tfbs.training.train``.

Run ``python benchmarks/training_speed.py``; it takes two to four minutes. Both sides train the published networks on
the same simulated data, split and seeds; the time runs from building the network to the trained one, compilation
included. TensorFlow's threads can be set only once per process, so each setting has a process of its own:

- *default*: the exercise as it stands, with TensorFlow's default threads;
- *configured*: all sides after ``tfbs.training.configure``, interleaved, hence the same threads;
- *free*: ``tfbs.training.train`` on the same threads without determinism.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

SEEDS = (0, 1, 2)
ARCHITECTURES = ("baseline", "modified")
SIDES = {"default": ("fit", "fit steps"), "configured": ("fit", "fit steps", "tfbs"), "free": ("tfbs",)}
STEPS = 27
ROOT = Path(__file__).resolve().parents[1]


def fit(arch: str, recipe, split, seed: int, steps: int):
    """The exercise: ``fit`` holds out the last tenth of the 1,500 sequences that are not in the test part."""
    import keras
    import numpy as np

    from tfbs import architectures, sequences

    keras.utils.set_random_seed(seed)
    model = architectures.build(arch, split.train.length)
    x = sequences.one_hot(np.concatenate([split.train.codes, split.validation.codes]))
    y = np.concatenate([split.train.labels, split.validation.labels])
    y = np.eye(2, dtype=np.float32)[y] if model.output_shape[-1] == 2 else y.astype(np.float32)
    model.compile(loss="mse", optimizer="adam", metrics=["binary_accuracy"], steps_per_execution=steps)
    model.fit(x, y, epochs=recipe.epochs, batch_size=recipe.batch_size, validation_split=recipe.val_size, verbose=0)
    return model


def run(side: str, arch: str, split, seed: int) -> dict[str, object]:
    """Train once; seconds and test AUROC."""
    from sklearn.metrics import roc_auc_score

    from tfbs import architectures, sequences, training

    recipe = architectures.get(arch).recipe
    began = time.perf_counter()
    if side == "tfbs":
        model = training.train(arch, recipe, (split.train, split.validation), seed).model
    else:
        model = fit(arch, recipe, split, seed, STEPS if side == "fit steps" else 1)
    seconds = time.perf_counter() - began
    scores = model(sequences.one_hot(split.test.codes), training=False).numpy()[:, -1]
    return {"side": side, "arch": arch, "seconds": seconds, "auroc": roc_auc_score(split.test.labels, scores)}


def child(setting: str) -> None:
    """Run every side of one setting, interleaved, and print the results as JSON."""
    from tfbs import training
    from tfbs.architectures import Recipe
    from tfbs.datasets import Source, load
    from tfbs.splits import random_split

    split = random_split(load(Source()), Recipe())
    threads = "default"
    if setting != "default":
        threads = training.configure(Recipe().batch_size * split.train.length, deterministic=setting == "configured")
    runs = [run(side, arch, split, seed) for seed in SEEDS for arch in ARCHITECTURES for side in SIDES[setting]]
    print(json.dumps([{"setting": setting, "threads": threads, "n": len(split.train), **result} for result in runs]))


def collect() -> list[dict[str, object]]:
    """Give every setting its process; one result per training."""
    results = []
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": str(ROOT)}
    for setting in SIDES:
        command = [sys.executable, __file__, setting]
        finished = subprocess.run(command, env=environment, capture_output=True, text=True)
        if finished.returncode:
            sys.exit(finished.stderr)
        results += json.loads(finished.stdout.splitlines()[-1])
    return results


def main() -> None:
    began = time.perf_counter()
    results = collect()
    packages = ", ".join(f"{name} {version(name)}" for name in ("tensorflow", "keras", "numpy"))
    print(f"{packages}, Python {platform.python_version()}, {os.cpu_count()} cores")
    print(
        f"{results[0]['n']:,} training sequences of 50 bp, 10 epochs, batches of 10, seeds {SEEDS}; median of seconds\n"
    )
    print(f"{'network':<10}{'process':<12}{'threads':<9}{'side':<28}{'seconds':>8}{'range':>15}{'test AUROC':>12}")
    medians = {}
    for arch in ARCHITECTURES:
        for setting, sides in SIDES.items():
            for side in sides:
                rows = [r for r in results if (r["arch"], r["setting"], r["side"]) == (arch, setting, side)]
                seconds, auroc = [r["seconds"] for r in rows], statistics.fmean(r["auroc"] for r in rows)
                medians[arch, setting, side] = statistics.median(seconds)
                label = {"fit": "model.fit", "fit steps": f"model.fit, {STEPS} steps a call", "tfbs": "tfbs"}[side]
                limits = f"{min(seconds):.2f} - {max(seconds):.2f}"
                print(
                    f"{arch:<10}{setting:<12}{rows[0]['threads']:<9}{label:<28}{medians[arch, setting, side]:>8.2f}"
                    f"{limits:>15}{auroc:>12.4f}"
                )
    print()
    for arch in ARCHITECTURES:
        ours = medians[arch, "configured", "tfbs"]
        print(
            f"{arch}: {medians[arch, 'default', 'fit'] / ours:.1f} x faster than model.fit as users run it "
            f"({medians[arch, 'default', 'fit steps'] / ours:.1f} x with {STEPS} steps a call), "
            f"{medians[arch, 'configured', 'fit'] / ours:.1f} x on the same threads "
            f"({medians[arch, 'configured', 'fit steps'] / ours:.1f} x); determinism costs "
            f"{ours / medians[arch, 'free', 'tfbs'] - 1:+.0%}"
        )
    print(f"\ntook {time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    child(sys.argv[1]) if len(sys.argv) > 1 else main()
