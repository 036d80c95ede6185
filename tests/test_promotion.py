from dataclasses import replace
from itertools import permutations

import pytest

from tfbs import promotion
from tfbs.errors import ParameterError, RegistryError
from tfbs.gates import Version
from tfbs.promotion import Request

SOUND = {"trained": True, "ece_lo": 0.0, "additivity": 1e-6, "reproduction_error": 0.0}


def version(number, score=0.9, brier=0.1, data="d", split="s", **more):
    fields = {"network": f"baseline, seed {number}", "data": data * 64, "split": split * 64, **SOUND, **more}
    return Version(number, score=score, brier=brier, **fields)


def numbers(versions):
    return [found.number for found in versions]


def settled(versions, reference=None):
    """The registry after everything that was planned is written, and planned again until nothing changes."""
    aliases, versions = {}, list(versions)
    while True:
        plan = promotion.plan(versions, reference)
        wanted = {**aliases, **plan.aliases}
        wanted = {alias: number for alias, number in wanted.items() if number}
        if wanted == aliases and not plan.notes:
            return aliases, {found.number: found.note for found in versions if found.note}
        aliases, versions = wanted, [replace(v, note=plan.notes.get(v.number, v.note)) for v in versions]


def test_the_highest_score_wins_and_the_runner_up_challenges():
    decision = promotion.decide([version(1, 0.8), version(2, 0.99, 0.02), version(3, 0.95)])
    assert numbers(decision.ranking) == [2, 3, 1]
    assert (decision.champion.number, decision.challenger.number) == (2, 3)
    assert decision.reason == (
        "baseline, seed 2: highest validation AUPRC (0.9900, Brier 0.0200) of 3 eligible versions with data dddddddd "
        "and split ssssssss; next is version 3 (0.9500, Brier 0.1000)"
    )


def test_ties_go_to_the_lower_brier_score_then_to_the_older_version():
    versions = [version(1, 1.0, 0.05), version(2, 1.0, 0.01), version(3, 1.0, 0.01)]
    assert numbers(promotion.decide(versions).ranking) == [2, 3, 1]


@pytest.mark.parametrize(
    "flaw",
    [{"trained": False}, {"ece_lo": 0.2}, {"additivity": 0.1}, {"reproduction_error": 1.0}, {"trained": None}],
    ids=lambda flaw: next(iter(flaw)),
)
def test_a_version_that_fails_a_gate_is_never_champion(flaw):
    decision = promotion.decide([version(1, 0.8), version(2, 0.99, **flaw)])
    assert decision.champion.number == 1
    assert decision.challenger is None
    assert numbers(decision.refused) == [2]
    assert "of 1 eligible version with" in decision.reason
    assert decision.reason.endswith("(1 more did not pass every gate)")


def test_only_versions_of_the_same_data_and_split_are_ranked():
    versions = [version(1, 0.99), version(2, 0.98, split="t"), version(3, 0.97, data="e"), version(4, 0.5)]
    assert numbers(promotion.decide(versions).ranking) == [1, 4]
    assert numbers(promotion.decide(versions, 2).ranking) == [2]
    assert numbers(promotion.decide(versions, 3).ranking) == [3]


def test_the_newest_counts_even_if_it_is_refused_but_not_without_a_score():
    versions = [version(1), version(2, split="t", trained=False), Version(3)]
    decision = promotion.decide(versions)
    assert decision.champion is None and numbers(decision.refused) == [2]
    assert decision.reason == (
        "none of 1 version with data dddddddd and split tttttttt passes every gate, so the alias champion stays where "
        "it is"
    )


@pytest.mark.parametrize(("versions", "reference"), [([], None), ([Version(1)], None), ([version(1), Version(2)], 2)])
def test_without_a_score_there_is_nothing_to_decide(versions, reference):
    received = "one without" if reference else "none"
    with pytest.raises(RegistryError, match=rf"^Expected .*selection_score.*, received {received}: train one"):
        promotion.decide(versions, reference)


SET = [
    version(1, 0.99, 0.02),
    version(2, 0.99, 0.02),
    version(3, 0.99, 0.01),
    version(4, 1.00, 0.0, ece_lo=0.3),
    version(5, 0.97, split="t"),
]


def test_the_outcome_does_not_depend_on_the_order():
    expected = settled(SET)
    assert expected[0] == {"champion-ssssssss": 3, "champion-tttttttt": 5, "champion": 5}
    for order in permutations(SET):
        assert promotion.decide(order) == promotion.decide(SET)
        assert promotion.plan(order) == promotion.plan(SET)
        assert settled(order) == expected


def test_naming_a_version_decides_for_its_data():
    aliases, _ = settled(SET, 1)
    assert aliases == {"champion-ssssssss": 3, "champion-tttttttt": 5, "champion": 3, "challenger": 1}


def test_every_split_keeps_its_champion_whoever_came_last():
    """Two runs on different splits register before either looks: each split still gets its champion."""
    plan = promotion.plan([version(1, split="s"), version(2, split="t")])
    assert plan.aliases == {"champion-ssssssss": 1, "champion-tttttttt": 2, "champion": 2, "challenger": None}


def test_nobody_eligible_leaves_the_champion_and_removes_the_challenger():
    assert promotion.plan([version(1, trained=None), version(2, ece_lo=0.5)]).aliases == {"challenger": None}


def test_notes_are_written_once_and_rewritten_when_they_no_longer_hold():
    first = [version(1, 0.9), version(2, 0.8), version(3, 0.7), version(4, 0.95, additivity=1.0)]
    plan = promotion.plan(first, about=4)
    champion = f"version 1 is champion: {plan.decision.reason}."
    assert plan.notes == {
        1: f"Champion: {plan.decision.reason}.",
        2: f"Challenger; {champion}",
        4: "Not eligible: additivity: contributions that miss the logit by 1.0e+00, relative (limit 0.01). "
        + f"V{champion[1:]}",
    }
    noted = [replace(found, note=plan.notes.get(found.number, "")) for found in first]
    assert promotion.plan(noted, about=4).notes == {}
    after = promotion.plan([*noted, version(5, 0.99), version(6, 0.98)], about=6)
    assert after.notes[1].startswith("Not champion; version 5 is champion: ")
    assert after.notes[2].startswith("Not champion; ")
    assert after.notes[5].startswith("Champion: ")
    assert after.notes[6].startswith("Challenger; ")


def test_a_request_names_a_version_or_the_newest():
    assert Request() == Request("tfbs", 0, False)
    with pytest.raises(ParameterError, match=r'version: expected a version number, or 0 .*, received "-1"'):
        Request(version=-1)
