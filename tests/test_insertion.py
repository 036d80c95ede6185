from __future__ import annotations

import numpy as np
import pytest

from tfbs import insertion, sequences
from tfbs.errors import DataError

WORD, OTHER = "GATTACA", "CCGGAAGT"
LENGTH, N_NEUTRAL = 60, 40


def codes(text: str) -> np.ndarray:
    return sequences.encode_strings([text])[0]


def turned(text: str) -> str:
    return sequences.decode(sequences.reverse_complement(codes(text))[None])[0]


def starts(text: str, word: str) -> list[int]:
    return [i for i in range(len(text)) if text.startswith(word, i)]


@pytest.fixture(scope="module")
def neutral() -> np.ndarray:
    """Sequences of A and T, which hold neither word and make none at its borders, with a logit of their own."""
    return np.random.RandomState(0).choice([0, 3], (N_NEUTRAL, LENGTH)).astype(np.uint8)


def base(text: str) -> float:
    return 0.01 * text[:4].count("A")


class Counts:
    """A network that adds a weight for each word it sees; remembers how many sequences it was given at a time."""

    def __init__(self, weights: dict[str, float]):
        self.weights, self.sizes = weights, []

    def __call__(self, given: np.ndarray) -> np.ndarray:
        self.sizes.append(len(given))
        return np.array([base(text) + self.bonus(text) for text in sequences.decode(given)])

    def bonus(self, text: str) -> float:
        return sum(weight * len(starts(text, word)) for word, weight in self.weights.items())


def test_one_copy_has_its_weight_on_each_strand_and_copies_add_up(neutral):
    found = insertion.marginalise(Counts({WORD: 2.0, turned(WORD): -0.5}), neutral, codes(WORD))
    assert found.effects.shape == (5, 2, N_NEUTRAL)
    for count in range(1, 6):
        np.testing.assert_allclose(found.effects[count - 1, 0], 2.0 * count, atol=1e-12)
        np.testing.assert_allclose(found.effects[count - 1, 1], -0.5 * count, atol=1e-12)
    one = found.estimate()
    assert (one.value, one.lo, one.hi, one.n) == pytest.approx((0.75, 0.75, 0.75, N_NEUTRAL))
    assert found.estimate(3, 1).value == pytest.approx(-1.5)


def test_copies_lie_evenly_and_only_as_many_as_fit():
    seen = []
    blank = np.zeros((1, 23), np.uint8)
    insertion.marginalise(
        lambda given: seen.extend(sequences.decode(given)) or np.zeros(len(given)), blank, codes("CGTCG")
    )
    places = [starts(text, "CGTCG") for text in seen if "CGTCG" in text]
    assert places == [[9], [4, 13], [2, 9, 16], [0, 6, 11, 17]]


def test_where_the_motif_has_n_the_neutral_base_stays(neutral):
    seen = []
    insertion.marginalise(lambda given: seen.append(given) or np.zeros(len(given)), neutral, codes("CNNG"), copies=1)
    without, given, reverse = seen[0].reshape(3, N_NEUTRAL, LENGTH)
    np.testing.assert_array_equal(without, neutral)
    for laid in (given, reverse):
        assert (laid[:, 28] == 1).all() and (laid[:, 31] == 2).all()
        kept = np.delete(np.arange(LENGTH), [28, 31])
        np.testing.assert_array_equal(laid[:, kept], neutral[:, kept])


def test_the_consensus_leaves_out_what_says_little():
    ppm = np.array(
        [[0.01, 0.01, 0.97, 0.01], [0.5, 0.2, 0.15, 0.15], [0, 0.5, 0, 0.5], [0.25] * 4, [0.7, 0.1, 0.1, 0.1]]
    )
    assert sequences.decode(insertion.consensus(ppm)[None]) == ["GNCNA"]


@pytest.mark.parametrize("bonus", [1.5, -1.5])
@pytest.mark.parametrize("orientation", insertion.ORIENTATIONS)
def test_a_bonus_at_one_distance_and_orientation_is_found_there_and_nowhere_else(neutral, orientation, bonus):
    left, right = (word if sign == "+" else turned(word) for word, sign in zip((WORD, OTHER), orientation, strict=True))
    pair, gap = Counts({WORD: 1.0, turned(WORD): 0.7, OTHER: 2.0, turned(OTHER): 0.3}), 11

    def predict(given: np.ndarray) -> np.ndarray:
        together = [
            any(second - first == len(left) + gap for first in starts(text, left) for second in starts(text, right))
            for text in sequences.decode(given)
        ]
        return pair(given) + bonus * np.array(together)

    found = insertion.spacing(predict, neutral, codes(WORD), codes(OTHER))
    np.testing.assert_array_equal(found.gaps, np.arange(LENGTH - 15 + 1))
    expected = np.zeros((4, len(found.gaps), N_NEUTRAL))
    expected[insertion.ORIENTATIONS.index(orientation), gap] = bonus
    np.testing.assert_allclose(found.cooperativity, expected, atol=1e-12)
    np.testing.assert_allclose(found.alone[:, 0].mean(1), [3.0, 1.3, 2.7, 1.0])
    assert found.strongest()[:2] == (orientation, gap)
    assert found.strongest()[2].value == pytest.approx(bonus)
    np.testing.assert_allclose(found.estimates, np.broadcast_to(expected.mean(2), (3, 4, len(found.gaps))), atol=1e-12)


def test_an_effect_of_position_does_not_pass_for_cooperativity(neutral):
    weights = np.linspace(-1, 3, LENGTH)

    def predict(given: np.ndarray) -> np.ndarray:
        return ((given == 2) * weights).sum(1)

    found = insertion.spacing(predict, neutral, codes("GG"), codes("GNG"), most=20)
    assert np.ptp(found.both) > 1
    np.testing.assert_allclose(found.cooperativity, 0, atol=1e-12)


def test_a_pair_of_one_motif_lies_in_the_middle_with_its_gap(neutral):
    seen = []
    insertion.spacing(
        lambda given: seen.extend(sequences.decode(given)) or np.zeros(len(given)),
        neutral[:1],
        codes("GGC"),
        codes("GGC"),
    )
    assert len(seen) == len(set(seen))
    assert {text.index("GCC") - text.index("GGC") - 3 for text in seen if "GGC" in text and "GCC" in text} >= set(
        range(51)
    )
    assert {len(text.split("GGC")[0]) for text in seen if text.count("GGC") == 2} == {
        (54 - gap) // 2 for gap in range(51)
    }


def test_memory_is_bounded(neutral, monkeypatch):
    whole = insertion.spacing(Counts({WORD: 1.0}), neutral, codes(WORD), codes(OTHER), most=6).both
    monkeypatch.setattr(insertion, "BATCH", 97)
    predict = Counts({WORD: 1.0})
    np.testing.assert_array_equal(insertion.spacing(predict, neutral, codes(WORD), codes(OTHER), most=6).both, whole)
    assert max(predict.sizes) == 97


def test_what_does_not_fit_is_said(neutral):
    with pytest.raises(DataError, match="fit into neutral sequences of 60 bp, received 61 bp"):
        insertion.marginalise(Counts({}), neutral, np.zeros(61, np.uint8))
    with pytest.raises(DataError, match="received 40 and 21 bp"):
        insertion.spacing(Counts({}), neutral, np.zeros(40, np.uint8), np.zeros(21, np.uint8))
    with pytest.raises(DataError, match="at least one neutral sequence"):
        insertion.marginalise(Counts({}), neutral[:0], codes(WORD))
