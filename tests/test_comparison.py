"""Comparisons of hand-made entrants, checked against SciPy, scikit-learn and the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from tfbs import comparison, evaluation
from tfbs.comparison import Entrant, Predictions
from tfbs.errors import ParameterError

N = 200


def entrant(name: str, seed: int, strength: float = 2.0, learned: bool = True, part=("42", "0")) -> Entrant:
    """A run whose logits are `strength` x label plus noise of its own and noise common to all runs of the part."""
    labels = np.arange(N) % 2
    common = np.random.RandomState(int(part[1])).randn(N)
    noise = np.random.RandomState(1000 * len(name) + seed).randn(N)
    logits = strength * (labels - 0.5) + common + 0.3 * noise if learned else np.zeros(N)
    predictions = Predictions(tuple(f"s{i}" for i in range(N)), labels, logits)
    metrics = evaluation.evaluate(labels, logits, resamples=20)
    history = {key: [0.5, 0.4] for key in ("loss", "auroc", "val_loss", "val_auroc", "val_auprc")}
    return Entrant(
        run_id=f"{name}{seed}{part}",
        name=name,
        seed=str(seed),
        part=part,
        test_digest=f"{part}" * 8,
        learned=learned,
        test=predictions,
        validation=replace(predictions, logits=logits + noise),
        metrics=metrics,
        explanations=None,
        history=history,
        n_weights=100,
        n_train=4 * N,
        seconds=1.0,
        additivity=1e-7,
    )


@pytest.fixture(scope="module")
def entrants():
    weak = [entrant("weak", seed, 1.0) for seed in range(3)]
    return [*weak, *(entrant("strong", seed, 3.0) for seed in range(3)), entrant("strong", 3, learned=False)]


def test_groups_tell_trained_from_collapsed(entrants):
    weak, strong = comparison.compare(entrants).groups
    assert (weak.name, len(weak.trained), weak.collapsed.value) == ("weak", 3, 0)
    assert (strong.name, len(strong.trained), strong.collapsed.value) == ("strong", 3, 0.25)
    low, high = stats.binomtest(1, 4).proportion_ci(method="wilson")
    assert (strong.collapsed.lo, strong.collapsed.hi) == pytest.approx((low, high))


def test_spread_is_students_interval_over_the_trained_seeds(entrants):
    strong = comparison.compare(entrants).groups[1]
    areas = [roc_auc_score(e.test.labels, e.test.logits) for e in entrants[3:6]]
    spread = strong.spread("auroc")
    low, high = stats.t.interval(0.95, 2, np.mean(areas), stats.sem(areas))
    assert (spread.mean, spread.lo, spread.hi, spread.n) == pytest.approx((np.mean(areas), low, high, 3))
    assert (spread.lowest, spread.highest) == pytest.approx((min(areas), max(areas)))


def test_best_is_chosen_on_the_validation_part_and_median_on_the_test_part(entrants):
    weak = comparison.compare(entrants).groups[0]
    scores = [average_precision_score(e.validation.labels, e.validation.logits) for e in entrants[:3]]
    assert weak.best is entrants[int(np.argmax(scores))]
    areas = [e.metrics["auroc"].value for e in entrants[:3]]
    assert weak.median is entrants[int(np.argsort(areas)[1])]


def test_the_later_architecture_is_compared_with_the_earlier(entrants):
    [pair] = comparison.compare(entrants).pairs
    assert (pair.ours, pair.theirs) == ("strong", "weak")
    areas = [roc_auc_score(e.test.labels, e.test.logits) for e in entrants[:6]]
    assert pair.differences["auroc"].value == pytest.approx(np.mean(areas[3:]) - np.mean(areas[:3]))
    assert pair.verdict("auroc") == "better"
    assert pair.verdict("brier") == "better"
    assert pair.differences["brier"].value < 0
    assert "strong" in pair.sentence("auroc", "AUROC")


def test_the_same_networks_under_two_names_cannot_be_told_apart(entrants):
    copies = [replace(e, name="copy") for e in entrants[:3]]
    [pair] = comparison.compare([*entrants[:3], *copies]).pairs
    assert all(d.value == 0 for d in pair.differences.values())
    assert {pair.verdict(metric) for metric in comparison.COMPARED} == {"cannot tell"}


def test_an_architecture_that_never_trained_is_in_no_pair(entrants):
    found = comparison.compare([*entrants[:3], entrant("dead", 0, learned=False)])
    assert found.pairs == ()
    assert [group.name for group in found.groups] == ["weak", "dead"]
    assert found.groups[1].best is None
    assert found.groups[1].spread("auroc") is None


def test_three_architectures_are_corrected_for_three_pairs(entrants):
    third = [entrant("middle", seed, 1.2) for seed in range(3)]
    found = comparison.compare([*entrants[:6], *third])
    assert len(found.pairs) == 3
    raw = [pair.differences["auroc"].p for pair in found.pairs]
    order = np.argsort(raw)
    expected = np.maximum.accumulate(np.minimum(1, np.array(raw)[order] * [3, 2, 1]))
    assert [found.pairs[i].adjusted["auroc"] for i in order] == pytest.approx(expected)


def test_several_splits_use_the_corrected_resampled_t_test():
    parts = [("42", str(fold)) for fold in range(1, 6)]
    runs = [entrant(name, seed, s, part=p) for name, s in (("a", 2.0), ("b", 2.4)) for p in parts for seed in (0, 1)]
    [pair] = comparison.compare(runs).pairs

    def mean(name, part):
        return np.mean([e.metrics["auroc"].value for e in runs if (e.name, e.part) == (name, part)])

    d = np.array([mean("b", part) - mean("a", part) for part in parts])
    t = d.mean() / np.sqrt((1 / 5 + N / (4 * N)) * d.var(ddof=1))
    assert pair.differences["auroc"].value == pytest.approx(d.mean())
    assert pair.differences["auroc"].p == pytest.approx(2 * stats.t.sf(abs(t), 4))


def test_the_order_of_the_runs_within_an_architecture_does_not_matter(entrants):
    forwards = comparison.compare(entrants[:6]).pairs[0].differences
    backwards = comparison.compare([*entrants[2::-1], *entrants[5:2:-1]]).pairs[0].differences
    for metric in comparison.COMPARED:
        assert backwards[metric].value == pytest.approx(forwards[metric].value, abs=1e-12)
        assert backwards[metric].p == pytest.approx(forwards[metric].p, rel=1e-6)


def test_runs_with_other_test_sequences_are_refused_by_both_digests(entrants):
    other = replace(entrants[1], test_digest="f" * 64)
    with pytest.raises(ParameterError) as caught:
        comparison.check([entrants[0], other])
    for word in (entrants[0].run_id, other.run_id, entrants[0].test_digest[:16], "f" * 16):
        assert word in str(caught.value)
    comparison.check(entrants)
