from dataclasses import replace

import numpy as np
import pytest

from tfbs import attribution, gates
from tfbs.gates import Version

GOOD = {
    "arch": "baseline",
    "seed": "3",
    "data_digest": "d" * 64,
    "split_digest": "s" * 64,
    "selection_score": "0.9",
    "selection_lo": "0.8",
    "selection_hi": "0.95",
    "val_brier": "0.1",
    "val_ece": "0.12",
    "val_ece_lo": "0.02",
    "trained": "true",
    "additivity": "1e-6",
    "reproduction_error": "2e-7",
}


def version(**tags):
    return Version.of(7, "run", {**GOOD, **tags})


def without(*names):
    return Version.of(7, "run", {key: value for key, value in GOOD.items() if key not in names})


def failed(found):
    return {gate.name: gate.detail for gate in gates.gates(found) if not gate.passed}


def test_a_version_is_read_from_its_tags():
    found = version()
    assert (found.number, found.run_id, found.network) == (7, "run", "baseline, seed 3")
    assert (found.score, found.lo, found.hi, found.brier, found.ece_lo) == (0.9, 0.8, 0.95, 0.1, 0.02)
    assert found.trained is True and found.scored and found.eligible
    assert version(members="5").network == "baseline, 5 members"
    assert version(held_out="true").held_out and not found.held_out


def test_a_note_counts_only_where_tag_and_description_agree():
    assert Version.of(1, "", {"reason": "a"}, "a").note == "a"
    assert Version.of(1, "", {"reason": "a"}, "b").note == ""


@pytest.mark.parametrize("name", ["selection_score", "val_brier", "data_digest", "split_digest"])
def test_without_a_score_or_digests_it_is_not_comparable(name):
    assert not without(name).scored


@pytest.mark.parametrize("text", ["", "high", "nan"])
def test_what_is_not_a_number_counts_as_not_recorded(text):
    assert version(selection_score=text).score is None


def test_a_good_version_passes_every_gate():
    assert failed(version()) == {}
    assert [gate.name for gate in gates.gates(version())] == ["trained", "calibrated", "additivity", "reproduces"]
    assert gates.failures(version()) == ""


@pytest.mark.parametrize(
    ("tag", "value", "gate", "detail"),
    [
        ("trained", "false", "trained", "it says the same of every validation sequence"),
        ("val_ece_lo", "0.1001", "calibrated", "a calibration error (ECE) of at least 0.100 (limit 0.1)"),
        ("additivity", "0.5", "additivity", "contributions that miss the logit by 5.0e-01, relative (limit 0.01)"),
        ("additivity", "inf", "additivity", "contributions that miss the logit by inf, relative (limit 0.01)"),
        (
            "reproduction_error",
            "0.02",
            "reproduces",
            "reloaded logits that differ by 2.0e-02 of their spread (limit 0.0001)",
        ),
    ],
)
def test_each_gate_refuses_with_its_figure(tag, value, gate, detail):
    assert failed(version(**{tag: value})) == {gate: detail}
    assert not version(**{tag: value}).eligible
    assert gates.failures(version(**{tag: value})) == f"{gate}: {detail}"


@pytest.mark.parametrize(
    ("tag", "gate"),
    [
        ("trained", "trained"),
        ("val_ece_lo", "calibrated"),
        ("additivity", "additivity"),
        ("reproduction_error", "reproduces"),
    ],
)
def test_what_was_not_recorded_does_not_pass(tag, gate):
    assert failed(without(tag)) == {gate: "not recorded: train it again"}


def test_limits_belong_to_the_good_side():
    limits = {
        "ece_lo": gates.CALIBRATION_LIMIT,
        "additivity": attribution.ADDITIVITY_LIMIT,
        "reproduction_error": gates.REPRODUCTION_LIMIT,
    }
    for field, limit in limits.items():
        assert replace(version(), **{field: limit}).eligible
        assert not replace(version(), **{field: float(np.nextafter(limit, 1))}).eligible


def test_a_large_calibration_error_of_few_sequences_is_no_reason_to_refuse():
    assert version(val_ece="0.3", val_ece_lo="0.05").eligible


def test_reproduction_error_is_the_largest_gap_in_units_of_the_spread():
    logged = np.array([-1.0, 1.0, -1.0, 1.0])
    assert gates.reproduction_error(logged, logged) == 0
    assert gates.reproduction_error(logged + [0, 0.5, 0, -0.25], logged) == 0.5
    assert gates.reproduction_error(10 * logged + 1, 10 * logged) == pytest.approx(0.1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_logits_that_are_not_finite_do_not_reproduce(value):
    assert gates.reproduction_error(np.array([value, 1.0]), np.array([0.0, 1.0])) == float("inf")


def test_constant_logits_have_a_finite_error():
    assert gates.reproduction_error(np.zeros(3), np.zeros(3)) == 0
    assert gates.reproduction_error(np.full(3, 1e-3), np.zeros(3)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("reason", "description", "note"),
    [
        ("Champion: a.", "Champion: a.", "Champion: a."),
        ("Challenger; b.", "Not champion; b.", "Challenger; b. (half written)"),
        ("Not champion; b.", "Challenger; b.", "Challenger; b. (half written)"),
        ("Not champion; b.", "my favourite", ""),
        ("", "my favourite", ""),
    ],
)
def test_notes_that_two_writers_left_half_written_are_written_again(reason, description, note):
    assert Version.of(1, "run", {"reason": reason}, description).note == note
