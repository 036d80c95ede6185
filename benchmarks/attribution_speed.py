"""Time deep_shap against shap.DeepExplainer on the same networks, sequences and references, in one process.

Both sides are imported before the clock starts. "first" is the first explanation of a network, with all tracing;
"later" is a later one (shap keeps its traced graph, deep_shap starts anew). Medians of interleaved repeats. Then the
peak of the resident memory of long sequences, each in a process of its own.

Run from the repository: ``python -m benchmarks.attribution_speed``.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import multiprocessing
import re
import statistics
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import shap

from tfbs import architectures
from tfbs.attribution import deep_shap, negative_references
from tfbs.sequences import encode_strings, one_hot

SEQUENCES, REPEATS = 2000, 3
SETTINGS = ((50, 20, 500), (50, 100, 500), (1000, 20, 50))
"""Length (bp), references, sequences explained."""

LONG = (("baseline", 2000, 20, 200), ("gapped", 2000, 100, 2))
"""Network, length (bp), references, sequences explained."""

MOTIF = "AAAGAGGAAGTT"


def simulate(length: int) -> tuple[np.ndarray, np.ndarray]:
    """Uniform bases, the motif planted in every second sequence: codes (2000, length) and labels."""
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (SEQUENCES, length)).astype(np.uint8)
    labels = np.arange(SEQUENCES) % 2
    for i in np.flatnonzero(labels):
        start = random.randint(0, length - len(MOTIF) + 1)
        codes[i, start : start + len(MOTIF)] = encode_strings([MOTIF])[0]
    return codes, labels


def train(name: str, codes: np.ndarray, labels: np.ndarray) -> keras.Model:
    """A briefly trained network with its logit as output."""
    keras.utils.set_random_seed(1)
    model = architectures.build(name, codes.shape[1])
    model.compile("adam", "binary_crossentropy" if model.output_shape[1] == 1 else "sparse_categorical_crossentropy")
    model.fit(one_hot(codes), labels, epochs=2, batch_size=32, verbose=0)
    return architectures.logit_model(model)


def clock(function) -> tuple[float, object]:
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def compare(model: keras.Model, x: np.ndarray, references: np.ndarray) -> tuple[float, ...]:
    """Median seconds (shap first, ours first, shap later, ours later), largest difference, additivity error."""
    seconds = []
    for _ in range(REPEATS):
        fresh = keras.models.clone_model(model)
        fresh.set_weights(model.get_weights())
        explainers = []

        def first(fresh=fresh, explainers=explainers):
            explainers.append(shap.DeepExplainer(fresh, references))
            return explainers[0].shap_values(x)

        def later(explainers=explainers):
            return explainers[0].shap_values(x)

        def ours(fresh=fresh):
            return deep_shap(fresh, x, references)

        runs = [clock(function) for function in (first, ours, later, ours)]
        seconds.append([run[0] for run in runs])
    difference = float(np.abs(runs[2][1][..., 0].sum(-1) - runs[3][1].contributions).max())
    return *map(statistics.median, zip(*seconds, strict=True)), difference, runs[3][1].additivity_error


def memory(name: str, length: int, k: int, n: int) -> tuple[float, float]:
    """Peak of the resident memory of this process in GB, before and after an explanation; on Linux."""
    codes, labels = simulate(length)
    model = architectures.logit_model(architectures.build(name, length))
    x, references = one_hot(codes[:n]), negative_references(codes, labels, k, 0)
    model(x[:1])
    before = peak()
    deep_shap(model, x, references)
    return before, peak()


def peak() -> float:
    return int(re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())[1]) / 1e6


def main() -> None:
    warnings.filterwarnings("ignore")
    print(f"Medians of {REPEATS}, in seconds")
    print("| network | bp | references | sequences | shap, first | tfbs, first | ratio ", end="")
    print("| shap, later | tfbs, later | ratio | largest difference | additivity error |")
    print("|---" * 12 + "|")
    for name in ("baseline", "modified"):
        for length, k, n in SETTINGS:
            codes, labels = simulate(length)
            model = train(name, codes, labels)
            row = compare(model, one_hot(codes[:n]), negative_references(codes, labels, k, 0))
            shap_first, first, shap_later, later, difference, error = row
            print(
                f"| `{name}` | {length} | {k} | {n} | {shap_first:.2f} | {first:.2f} | {shap_first / first:.1f} | "
                f"{shap_later:.2f} | {later:.2f} | {shap_later / later:.1f} | {difference:.1e} | {error:.1e} |",
                flush=True,
            )
    for name, length, k, n in LONG:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            before, after = pool.apply(memory, (name, length, k, n))
        print(f"{name}, {n} sequences of {length} bp, {k} references: {before:.2f} GB before, {after:.2f} at the peak")


if __name__ == "__main__":
    main()
