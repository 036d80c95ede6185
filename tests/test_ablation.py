from __future__ import annotations

import numpy as np
import pytest

from tfbs import ablation, insertion, sequences
from tfbs.errors import DataError
from tfbs.motifs import Seqlets

WORD = "GATTACAGT"
LENGTH, N = 50, 60


@pytest.fixture(scope="module")
def planted() -> tuple[np.ndarray, Seqlets]:
    """Random sequences with one word each, and a second one in the first ten."""
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (N, LENGTH), dtype=np.uint8)
    rows, starts = np.r_[np.arange(N), np.arange(10)], np.r_[random.randint(0, 15, N), np.full(10, 30)]
    codes[rows[:, None], starts[:, None] + np.arange(len(WORD))] = sequences.encode_strings([WORD])[0]
    return codes, Seqlets(rows, starts, np.zeros(len(rows), bool), len(WORD))


@pytest.fixture(scope="module")
def neutral() -> np.ndarray:
    return np.random.RandomState(2).randint(0, 4, (40, LENGTH), dtype=np.uint8)


def words(given: np.ndarray) -> np.ndarray:
    """A network that gives 2.5 log-odds a word and nothing else."""
    return np.array([2.5 * text.count(WORD) for text in sequences.decode(given)])


def gc(given: np.ndarray) -> np.ndarray:
    return ((given == 1) | (given == 2)).sum(1) * np.float32(0.25)


def test_each_word_is_worth_its_weight_and_a_random_stretch_nothing(planted, neutral):
    found = ablation.ablate(words, *planted, neutral)
    np.testing.assert_allclose(found.losses, 2.5)
    np.testing.assert_allclose(found.control, 0)
    assert (found.loss.value, found.random_loss.value, found.difference.value) == pytest.approx((2.5, 0, 2.5))
    assert found.loss.n == N and len(found.losses) == N + 10


def test_a_loss_is_what_the_replaced_bases_had_more_than_neutral_ones(planted, neutral):
    codes, seqlets = planted
    found = ablation.ablate(gc, codes, seqlets, np.zeros_like(neutral))
    np.testing.assert_allclose(found.losses, 0.25 * sum(letter in "GC" for letter in WORD))
    found = ablation.ablate(gc, codes, seqlets, neutral, replacements=4000)
    ours = 0.25 * ((neutral == 1) | (neutral == 2)).mean(0)
    expected = [0.75 - ours[start : start + len(WORD)].sum() for start in seqlets.starts]
    np.testing.assert_allclose(found.losses, expected, atol=0.05)


def test_only_the_stretch_is_replaced_and_the_control_lies_elsewhere_in_the_same_sequence(planted, neutral):
    codes, seqlets = planted
    given = []
    ablation.ablate(lambda made: given.append(made) or np.zeros(len(made)), codes, seqlets, neutral, replacements=30)
    made = given[-1].reshape(2, len(seqlets), 30, LENGTH)
    neutral_texts = sequences.decode(neutral)
    for i, (row, start) in enumerate(zip(seqlets.rows, seqlets.starts, strict=True)):
        motif, control = (np.flatnonzero((variants[i] != codes[row]).any(0)) for variants in made)
        assert motif.tolist() == list(range(start, start + len(WORD)))
        assert np.ptp(control) == len(WORD) - 1
        others = {place for at in seqlets.starts[seqlets.rows == row] for place in range(at, at + len(WORD))}
        assert not set(control) & others
        here = slice(control[0], control[0] + len(WORD))
        assert {text[here] for text in sequences.decode(made[1, i])} <= {text[here] for text in neutral_texts}


def test_without_room_there_is_no_control(neutral):
    codes = np.random.RandomState(1).randint(0, 4, (3, 20), dtype=np.uint8)
    seqlets = Seqlets(np.arange(3), np.array([5, 5, 0]), np.zeros(3, bool), 10)
    found = ablation.ablate(gc, codes, seqlets, neutral[:, :20])
    assert np.isnan(found.control).tolist() == [True, True, False] and np.isfinite(found.losses).all()
    assert found.random_loss.n == found.difference.n == 1
    none = ablation.ablate(gc, codes, seqlets.take(np.arange(2)), neutral[:, :20])
    assert none.random_loss is None and none.difference is None


def test_the_same_seed_gives_the_same_and_batches_change_nothing(planted, neutral, monkeypatch):
    first, other = (ablation.ablate(gc, *planted, neutral, seed=seed) for seed in (3, 4))
    sizes = []
    monkeypatch.setattr(insertion, "BATCH", 31)
    again = ablation.ablate(lambda given: sizes.append(len(given)) or gc(given), *planted, neutral, seed=3)
    np.testing.assert_array_equal(again.losses, first.losses)
    np.testing.assert_array_equal(again.control, first.control)
    assert (other.control != first.control).any() and max(sizes) == 31


def test_all_motifs_together_explain_a_network_that_reads_nothing_else(planted, neutral):
    codes, seqlets = planted
    parts = [seqlets.take(np.arange(N)), seqlets.take(np.arange(N, N + 10)), seqlets.take(np.arange(0))]
    found = ablation.ablate_all(words, codes, parts, neutral)
    np.testing.assert_allclose(found.losses, np.r_[np.full(10, 5.0), np.full(N - 10, 2.5)])
    np.testing.assert_allclose(found.whole, found.losses)
    np.testing.assert_allclose(found.covered, np.r_[np.full(10, 18), np.full(N - 10, 9)] / LENGTH)
    assert (found.share.value, found.share.lo, found.share.hi) == pytest.approx((1, 1, 1))


def test_what_counts_outside_motifs_is_not_explained_and_the_interval_is_that_of_a_bootstrap():
    random = np.random.RandomState(2)
    codes = np.zeros((200, LENGTH), np.uint8)
    codes[:, :30] = random.randint(0, 2, (200, 30))
    seqlets = Seqlets(np.arange(200), np.zeros(200, np.int64), np.zeros(200, bool), 10)
    found = ablation.ablate_all(gc, codes, [seqlets], np.zeros((1, LENGTH), np.uint8))
    np.testing.assert_allclose(found.losses, 0.25 * codes[:, :10].sum(1))
    np.testing.assert_allclose(found.whole, 0.25 * codes.sum(1))
    assert found.share.value == pytest.approx(codes[:, :10].sum() / codes.sum())
    resamples = random.randint(0, 200, (4000, 200))
    shares = found.losses[resamples].mean(1) / found.whole[resamples].mean(1)
    assert found.share.hi - found.share.lo == pytest.approx(2 * 1.972 * np.std(shares), rel=0.06)


def test_nothing_to_explain_has_no_share(planted, neutral):
    codes, seqlets = planted
    assert ablation.ablate_all(lambda given: np.zeros(len(given)), codes, [seqlets], neutral).share is None


def test_bad_input_is_said_in_a_sentence(planted, neutral):
    codes, seqlets = planted
    none = seqlets.take(np.arange(0))
    for call in (
        lambda: ablation.ablate(gc, codes, none, neutral),
        lambda: ablation.ablate_all(gc, codes, [], neutral),
    ):
        with pytest.raises(DataError, match="at least one seqlet to replace, received none"):
            call()
    with pytest.raises(DataError, match=r"on 60 sequences of 20 bp.*to 39 bp"):
        ablation.ablate(gc, codes[:, :20], seqlets, neutral[:, :20])
    with pytest.raises(DataError, match="on 5 sequences of 50 bp, received sequence 60"):
        ablation.ablate(gc, codes[:5], seqlets, neutral)
    with pytest.raises(DataError, match="neutral sequence of 50 bp to replace motifs from, received 40 of 49 bp"):
        ablation.ablate(gc, codes, seqlets, neutral[:, 1:])
    with pytest.raises(DataError, match="at least one neutral sequence"):
        ablation.ablate(gc, codes, seqlets, neutral[:0])
