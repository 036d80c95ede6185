import dataclasses

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import log_loss

from tfbs import architectures, calibration, evaluation, report, splits, thresholds
from tfbs.architectures import Recipe
from tfbs.attribution import Attribution
from tfbs.explanation import Explained, Sample
from tfbs.findings import Findings, Fitted
from tfbs.intervals import Estimate
from tfbs.leakage import Leakage, Overlap
from tfbs.reading import Reading
from tfbs.settings import Settings
from tfbs.training import Trained


@pytest.fixture(scope="module")
def findings(simulated):
    """Plausible findings on the test part of the simulated data, made without training."""
    split = splits.random_split(simulated, Recipe())
    random = np.random.RandomState(0)
    test, validation = (4 * part.labels + random.randn(len(part)) for part in (split.test, split.validation))
    history = {name: [0.5, 0.4] for name in ("loss", "auroc", "val_loss", "val_auroc", "val_auprc")}
    model = architectures.build("baseline", 50)
    n = len(split.test)
    contributions = random.randn(n, 50).astype(np.float32)
    zeros = np.zeros(n, np.float32)
    attribution = Attribution(contributions, np.zeros((n, 50, 4), np.float32), contributions.sum(1), zeros)
    none = Overlap((250, 250), (0, 0), (0, 0), (0, 0))
    return Findings(
        Settings(seed=7),
        split,
        Fitted(Trained(model, history, 1.25), model, validation, test),
        evaluation.evaluate(split.test.labels, test),
        Leakage(none, none, 30, 1, Estimate(0.6, 0.5, 0.7, n), Estimate(0.8, 0.7, 0.9, n)),
        Explained(np.arange(n), attribution, 0.61),
        random.randn(50, 4),
    )


def test_verdict_gives_time_and_area_with_its_interval(findings):
    assert findings.verdict() == f"Trained in 1.2 s; test AUROC {findings.estimates['auroc']}."


def test_verdict_of_a_constant_network(findings):
    fitted = dataclasses.replace(findings.fitted, validation=np.zeros(150))
    assert dataclasses.replace(findings, fitted=fitted).verdict() == (
        "This network did not train: it says the same of every validation sequence (probability 0.500, standard "
        "deviation 0), so it is not registered; try seed=8."
    )


def test_shortcuts_are_told_and_held_against_the_network(findings):
    assert findings.cautions() == [
        "Without a network, GC content reaches AUROC 0.6000 and a logistic regression on 6-mer counts 0.8000."
    ]
    overlap = Overlap((250, 250), exact=(1, 0), reverse=(0, 2), near=(0, 0))
    better = dataclasses.replace(findings.leakage, kmer=Estimate(1.0, 0.99, 1.0, 500), test=overlap)
    assert dataclasses.replace(findings, leakage=better).cautions() == [
        "Without a network, GC content reaches AUROC 0.6000 and a logistic regression on 6-mer counts 1.0000; the "
        "network does not beat that.",
        "3 of the 500 test sequences stand in the training part too, on either strand.",
    ]


def test_chance_and_lost_additivity_are_told(findings):
    attribution = dataclasses.replace(
        findings.explained.attribution, logits=findings.explained.attribution.logits * np.float32(1.001)
    )
    changed = dataclasses.replace(
        findings,
        estimates={**findings.estimates, "auroc": Estimate(0.85, 0.45, 0.99, 500)},
        explained=dataclasses.replace(findings.explained, attribution=attribution),
    )
    assert changed.cautions()[1:] == [
        "The interval of the AUROC includes 0.5: this network may be no better than chance.",
        "The contributions add up to the logit only within 1.0e-03.",
    ]


def test_facts_name_the_motif_only_where_it_is_known(findings):
    facts = findings.facts()
    assert facts["training sequences"] == "1,350 (677 positives) x 50 bp"
    assert facts["attribution inside the planted motif"] == "0.61"
    assert facts["network parameters"] == "6,209"
    unknown = dataclasses.replace(findings.explained, motif_share=None)
    assert "attribution inside the planted motif" not in dataclasses.replace(findings, explained=unknown).facts()


def test_facts_tell_the_threshold_and_the_calibration_before_and_after(findings):
    facts = findings.facts()
    threshold = thresholds.choose(findings.split.validation.labels, findings.fitted.validation)
    assert facts["threshold of the MCC"] == f"probability {expit(threshold):.3g}, chosen on the validation part"
    losses = []
    for title, logits in zip(calibration.TITLES.values(), findings.calibrated.values(), strict=True):
        told = facts[f"test part {title}"]
        losses.append(float(told.rpartition(" ")[2]))
        assert losses[-1] == pytest.approx(log_loss(findings.split.test.labels, expit(logits)), abs=1e-4)
        assert told.startswith("Brier score 0.")
    assert max(losses[1:]) < losses[0] / 2


def test_a_constant_network_has_neither_a_threshold_nor_a_map(findings):
    fitted = dataclasses.replace(findings.fitted, validation=np.zeros(150))
    facts = dataclasses.replace(findings, fitted=fitted).facts()
    reason = "since the validation part cannot tell a better one"
    assert facts["threshold of the MCC"] == f"probability 0.5, {reason}"
    assert [name for name in facts if name.startswith("test part")] == ["test part as trained"]


def test_every_figure_of_the_report_is_drawn(findings):
    plain = [name for name, _ in findings.figures()]
    assert plain == [name for name in report.CAPTIONS if name != "first_look"]
    codes, attribution = findings.split.test.codes, findings.explained.attribution
    sample = Sample(findings.split.test.ids, codes, "the test part")
    found = dataclasses.replace(findings, reading=Reading(sample, attribution, np.zeros((0, 50)), (), {}, "JASPAR"))
    assert [name for name, _ in found.figures()] == list(report.CAPTIONS)
    assert f"TF-MoDISco found no motif: nothing contributes alike often enough in the {len(codes)} explained" in (
        found.summary("Not registered.").text()
    )


def test_summary_puts_the_verdict_first_and_the_standing_last(findings):
    summary = findings.summary("Not registered.")
    assert summary.title == "baseline, seed 7, on simulated"
    assert summary.sentences[0] == findings.verdict()
    assert summary.sentences[-1] == "Not registered."
