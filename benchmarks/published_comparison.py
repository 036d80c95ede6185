"""Repeat the published comparison of ``baseline`` and ``modified`` over many seeds, scored rightly and wrongly.

The published figures scored ``baseline`` on probabilities and ``modified`` on thresholded 0/1 decisions. This script
trains both with the published recipe and scores both networks in both ways, on the same 500 test sequences.

    python -m benchmarks.published_comparison --dataset packt --seeds 10
"""

from __future__ import annotations

import argparse

import numpy as np

from tfbs import architectures, attribution, datasets, evaluation, sequences, splits, training

METRICS = ("auroc", "auprc", "auroc_thresholded", "auprc_thresholded")


def measure(arch: str, seed: int, split: splits.Split) -> dict[str, float] | None:
    """Train one network; None if it did not train."""
    trained = training.train(arch, architectures.get(arch).recipe, (split.train, split.validation), seed)
    model = architectures.logit_model(trained.model)
    if not evaluation.trained(training.predict_logits(model, split.validation.codes)):
        return None
    test = split.test
    found = evaluation.evaluate(test.labels, training.predict_logits(model, test.codes), seed, resamples=200)
    references = attribution.negative_references(split.train.codes, split.train.labels, 20, seed)
    result = attribution.deep_shap(model, sequences.one_hot(test.codes), references)
    share = attribution.motif_share(result.contributions, test.starts, len(test.motif))
    values = {name: found[name].value for name in METRICS}
    return values | {"motif_share": share, "additivity": result.additivity_error, "seconds": trained.seconds}


def describe(values: np.ndarray) -> str:
    """Mean, standard deviation and range over the seeds."""
    spread = values.std(ddof=1) if len(values) > 1 else float("nan")
    return f"{values.mean():.4f} (sd {spread:.4f}, {values.min():.4f} to {values.max():.4f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="packt", choices=datasets.NAMES)
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    training.configure(batch_bases=500)
    data = datasets.load(datasets.Source(options.dataset))
    split = splits.random_split(data, architectures.Recipe())
    positives = int(split.test.labels.sum())
    print(f"{options.dataset}, {options.seeds} seeds, test n = {len(split.test)} ({positives} positives)")
    for arch in ("baseline", "modified"):
        runs = [measure(arch, seed, split) for seed in range(options.seeds)]
        good = [run for run in runs if run]
        collapsed = [seed for seed, run in enumerate(runs) if run is None]
        print(f"\n{arch}: {len(good)} of {len(runs)} seeds trained; collapsed: {collapsed or 'none'}")
        for name in good[0]:
            values = np.array([run[name] for run in good])
            text = f"{values.max():.1e} at most" if name == "additivity" else describe(values)
            print(f"  {name:<18} {text}")


if __name__ == "__main__":
    main()
