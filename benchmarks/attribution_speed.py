"""Time deep_shap against shap.DeepExplainer on the same networks, sequences and references, in one process.

Both sides are imported before the clock starts. "cold" is the first explanation of a network, with all tracing; "warm"
is a later one (shap keeps its traced graph, deep_shap starts anew). Medians of interleaved repeats.

Run from the repository: ``python -m benchmarks.attribution_speed``.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import statistics
import time
import warnings

import keras
import numpy as np
import shap

from tfbs import architectures
from tfbs.attribution import deep_shap, negative_references
from tfbs.sequences import encode_strings, one_hot

SEQUENCES, LENGTH, EXPLAINED, REPEATS = 2000, 50, 500, 3
MOTIF = "AAAGAGGAAGTT"


def simulate() -> tuple[np.ndarray, np.ndarray]:
    """Uniform bases, the motif planted in every second sequence: codes (2000, 50) and labels."""
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (SEQUENCES, LENGTH)).astype(np.uint8)
    labels = np.arange(SEQUENCES) % 2
    for i in np.flatnonzero(labels):
        start = random.randint(0, LENGTH - len(MOTIF) + 1)
        codes[i, start : start + len(MOTIF)] = encode_strings([MOTIF])[0]
    return codes, labels


def train(name: str, codes: np.ndarray, labels: np.ndarray) -> keras.Model:
    """A briefly trained network with its logit as output."""
    keras.utils.set_random_seed(1)
    model = architectures.build(name, LENGTH)
    model.compile("adam", "binary_crossentropy" if model.output_shape[1] == 1 else "sparse_categorical_crossentropy")
    model.fit(one_hot(codes), labels, epochs=3, batch_size=32, verbose=0)
    return architectures.logit_model(model)


def clock(function) -> tuple[float, object]:
    begin = time.perf_counter()
    result = function()
    return time.perf_counter() - begin, result


def compare(model: keras.Model, x: np.ndarray, references: np.ndarray) -> tuple[float, ...]:
    """Median seconds (shap cold, ours cold, shap warm, ours warm), largest difference, additivity error."""
    seconds = []
    for _ in range(REPEATS):
        fresh = keras.models.clone_model(model)
        fresh.set_weights(model.get_weights())
        explainers = []

        def cold(fresh=fresh, explainers=explainers):
            explainers.append(shap.DeepExplainer(fresh, references))
            return explainers[0].shap_values(x)

        def warm(explainers=explainers):
            return explainers[0].shap_values(x)

        def ours(fresh=fresh):
            return deep_shap(fresh, x, references)

        runs = [clock(function) for function in (cold, ours, warm, ours)]
        seconds.append([run[0] for run in runs])
    difference = float(np.abs(runs[2][1][..., 0].sum(-1) - runs[3][1].contributions).max())
    return *map(statistics.median, zip(*seconds, strict=True)), difference, runs[3][1].additivity_error


def main() -> None:
    warnings.filterwarnings("ignore")
    codes, labels = simulate()
    x = one_hot(codes[:EXPLAINED])
    print(f"{EXPLAINED} sequences of {LENGTH} bp, medians of {REPEATS}, seconds")
    print(
        "| network | k | shap cold | ours cold | ratio | shap warm | ours warm | ratio | max difference | additivity |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in ("baseline", "modified"):
        model = train(name, codes, labels)
        for k in (20, 100):
            row = compare(model, x, negative_references(codes, labels, k, 0))
            shap_cold, cold, shap_warm, warm, difference, error = row
            print(
                f"| {name} | {k} | {shap_cold:.2f} | {cold:.2f} | {shap_cold / cold:.1f} | {shap_warm:.2f} | "
                f"{warm:.2f} | {shap_warm / warm:.1f} | {difference:.1e} | {error:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
