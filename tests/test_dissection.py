from __future__ import annotations

import numpy as np
import pytest

from tfbs import dissection, sequences
from tfbs.attribution import Attribution
from tfbs.dissection import SEQUENCES
from tfbs.explanation import Sample
from tfbs.motifs import Pattern, Seqlets
from tfbs.reading import Reading

FIRST, SECOND = "GATTACAGT", "CCGCATC"
WEIGHTS = {FIRST: 2.5, SECOND: 1.5}
LENGTH, N = 60, 30
NEUTRAL = np.random.RandomState(0).choice([0, 3], (60, LENGTH)).astype(np.uint8)


def predict(codes: np.ndarray) -> np.ndarray:
    """A network that gives each word its weight and nothing else; where both are, 0.75 more."""
    texts = sequences.decode(codes)
    alone = [sum(weight * text.count(word) for word, weight in WEIGHTS.items()) for text in texts]
    return np.array(alone) + 0.75 * np.array([FIRST in text and SECOND in text for text in texts])


def pattern(name: str, word: str, rows: np.ndarray, starts: np.ndarray, length: int = LENGTH) -> Pattern:
    """A motif that stands for a word at the given places."""
    ppm = sequences.one_hot(sequences.encode_strings([word]))[0].astype(np.float64)
    seqlets = Seqlets(rows, starts, np.zeros(len(rows), bool), len(word))
    return Pattern(name, ppm * WEIGHTS[word] / len(word), ppm, seqlets, np.full(len(rows), WEIGHTS[word]), length)


def reading(patterns: list[Pattern], codes: np.ndarray) -> Reading:
    n = len(codes)
    values = Attribution(np.zeros(codes.shape), np.zeros((*codes.shape, 4)), np.zeros(n), np.zeros(n))
    sample = Sample([str(i) for i in range(n)], codes, "sequences")
    return Reading(sample, values, np.zeros((0, codes.shape[1])), patterns, {each.name: [] for each in patterns}, "own")


@pytest.fixture(scope="module")
def planted() -> Reading:
    """Sequences of A and T with the first word in all, and the second one in ten of them."""
    codes = np.random.RandomState(1).choice([0, 3], (N, LENGTH)).astype(np.uint8)
    codes[:, 10:19] = sequences.encode_strings([FIRST])[0]
    codes[:10, 40:47] = sequences.encode_strings([SECOND])[0]
    rows = np.arange(N)
    found = [pattern("pos_1", FIRST, rows, np.full(N, 10)), pattern("pos_2", SECOND, rows[:10], np.full(10, 40))]
    return reading(found, codes)


def test_rows_and_sentences_hold_the_weights_of_the_words(planted):
    found = dissection.dissect(predict, planted, NEUTRAL)
    assert (found.names, found.pair) == (("pos_1", "pos_2"), ("pos_1", "pos_2"))
    first, second = found.rows
    assert list(first) == list(second) and list(first)[-2:] == ["lost when taken out", "lost with a random stretch"]
    assert list(first.values())[:4] == [
        "pos_1",
        "+2.50 (+2.50 to +2.50)",
        "+0.00 (+0.00 to +0.00)",
        "+12.50 (+12.50 to +12.50)",
    ]
    np.testing.assert_array_equal(found.ablations[0].control, 0)
    assert second["inserted"] == "+1.50 (+1.50 to +1.50)" and second["5 copies"].startswith("+7.50")
    assert second["lost when taken out"] == "+2.25 (+2.25 to +2.25)"
    together = (10 * 2.5 + 20 * 2.5 + 10 * 0.75) / N
    assert first["lost when taken out"].startswith(f"{together:+.2f} (")
    assert found.sentences == (
        "Inserted into 50 neutral sequences, pos_1 changes the logit by +2.50 (+2.50 to +2.50).",
        f"Taken out of {N} sequences, the motifs take along 100% (95 % interval 100% to 100%) of what raises their "
        "logits above neutral ones.",
        "pos_1 and pos_2 change the logit by +0.75 (+0.75 to +0.75) beyond the sum of what each does alone when they "
        "lie 0 bp apart on strands ++, the most of all distances and orientations tried.",
    )
    assert [name for name, _, figure in found.figures() if figure.axes] == ["insertion", "spacing", "ablation"]


def test_one_motif_is_paired_with_itself(planted):
    found = dissection.dissect(predict, reading(planted.patterns[:1], planted.sample.codes), NEUTRAL)
    assert found.pair == ("pos_1", "pos_1")
    assert "Two copies of pos_1 change the logit by +0.00" in found.sentences[2]


def test_without_a_motif_there_is_nothing_to_try(planted):
    assert dissection.dissect(predict, reading([], planted.sample.codes), NEUTRAL) is None


def test_motifs_that_do_not_fit_beside_each_other_have_no_spacing(planted):
    codes = planted.sample.codes[:, 9:21]
    found = [pattern("pos_1", FIRST, np.arange(N), np.full(N, 1), 12)]
    found = dissection.dissect(predict, reading(found, codes), NEUTRAL[:, :12])
    assert found.spacing is None and len(found.sentences) == 2
    assert found.insertions[0].effects.shape[0] == 1 and found.rows[0]["1 copies"] == "+2.50 (+2.50 to +2.50)"
    assert [name for name, *_ in found.figures()] == ["insertion", "ablation"]


def test_a_motif_beyond_the_changed_sequences_is_inserted_but_not_taken_out():
    codes = np.repeat(NEUTRAL[:1], SEQUENCES + 1, axis=0)
    codes[-1, 10:19] = sequences.encode_strings([FIRST])[0]
    found = dissection.dissect(
        predict, reading([pattern("pos_1", FIRST, np.array([SEQUENCES]), np.array([10]))], codes), NEUTRAL
    )
    assert (found.ablations, found.together) == ((None,), None)
    assert found.rows[0]["inserted"].startswith("+2.50") and found.rows[0]["lost when taken out"] == ""
    assert [name for name, *_ in found.figures()] == ["insertion", "spacing"]
