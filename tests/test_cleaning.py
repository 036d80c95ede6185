from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tfbs import cleaning, sequences
from tfbs.cleaning import Windows, clean, cut, fill, strand_keys, window
from tfbs.errors import DataError
from tfbs.sequences import Records
from tfbs.texts import Texts

OTHER = str.maketrans("ACGTN", "TGCAN")


def letters(random: np.random.RandomState, length: int) -> str:
    return "".join(random.choice(list("ACGT"), length))


def records(texts: list[str]) -> Records:
    return Records(Texts.of(texts), Texts.of(map(str, range(len(texts)))), np.arange(len(texts)) + 1, Path("x"))


def turned(text: str) -> str:
    return text.translate(OTHER)[::-1]


@pytest.fixture(params=[7, 1 << 20])
def block(request, monkeypatch):
    """Work in blocks of a few bases too."""
    monkeypatch.setattr("tfbs.texts._BLOCK", request.param)


def test_equal_lengths_are_left_alone(block):
    texts = [letters(np.random.RandomState(i), 31) for i in range(20)]
    assert np.array_equal(window(texts), sequences.encode_strings(texts))


def test_longer_sequences_are_cut_to_their_centre_and_shorter_ones_stand_there(block):
    random = np.random.RandomState(0)
    texts = [letters(random, n) for n in (1, 4, 5, 10, 11, 12, 17, 60)]
    for width in (5, 10, 11, 0):
        made = sequences.decode(window(texts, width))
        assert {len(text) for text in made} == {width or 60}
        for text, result in zip(texts, made, strict=True):
            room = (width or 60) - len(text)
            if room < 0:
                assert result == text[-room // 2 :][:width]
            else:
                assert result[room // 2 : room // 2 + len(text)] == text
                assert "N" not in result


def filled_by_hand(text: str, width: int) -> list[int]:
    """The rule of `window` in Python's whole numbers, one base at a time."""
    codes = ["ACGT".index(letter) for letter in text]
    start, seed, mask = (width - len(text)) // 2, zlib.crc32(bytes(codes)), 2**64 - 1
    limits = np.cumsum([codes.count(base) + 2 for base in range(4)]) / (len(codes) + 8)
    made = []
    for position in range(width):
        if start <= position < start + len(text):
            made.append(codes[position - start])
            continue
        state = ((seed << 32) + position) * 0x9E3779B97F4A7C15 & mask
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & mask
        state = (state ^ state >> 27) * 0x94D049BB133111EB & mask
        made.append(int(sum((state ^ state >> 31) >> 11 >= limit * 2**53 for limit in limits[:3])))
    return made


def test_the_filling_depends_on_the_sequence_alone(block):
    random = np.random.RandomState(1)
    texts = [letters(random, random.randint(5, 30)) for _ in range(50)]
    whole = window(texts, 40)
    order = random.permutation(50)
    assert np.array_equal(window([texts[i] for i in order], 40), whole[order])
    assert np.array_equal(window([text.lower() for text in texts], 40), whole)
    assert len({row[:5].tobytes() for row in whole}) > 40
    assert [row.tolist() for row in whole] == [filled_by_hand(text, 40) for text in texts]


@pytest.mark.parametrize(("text", "shares"), [("A" * 30, [32 / 38, 2 / 38, 2 / 38, 2 / 38]), ("N" * 30, [1 / 4] * 4)])
def test_the_filling_has_the_shares_of_the_sequence(text, shares):
    made = window([text], 40_000)[0]
    filled = np.concatenate([made[: (40_000 - 30) // 2], made[(40_000 + 30) // 2 :]])
    assert np.allclose(np.bincount(filled, minlength=4) / len(filled), shares, atol=0.01)


def kmer_auroc(texts: list[str], labels: np.ndarray) -> float:
    half = len(texts) // 2
    counts = CountVectorizer(analyzer="char", ngram_range=(6, 6), lowercase=False).fit_transform(texts)
    model = LogisticRegression(solver="liblinear").fit(counts[:half], labels[:half])
    return roc_auc_score(labels[half:], model.decision_function(counts[half:]))


def test_a_length_that_tells_the_class_is_not_told_by_the_window():
    random, n = np.random.RandomState(0), 4000
    labels = np.arange(n) % 2
    lengths = np.where(labels, random.randint(40, 70, n), random.randint(70, 101, n))
    texts = [letters(random, length) for length in lengths]
    made = window(texts, 101)
    assert 0.47 < kmer_auroc(sequences.decode(made), labels) < 0.53
    assert 0.47 < kmer_auroc_of_places(made, labels) < 0.53
    padded = [text.center(101, "N") for text in texts]
    assert kmer_auroc(padded, labels) > 0.95, "which padding would tell"


def kmer_auroc_of_places(codes: np.ndarray, labels: np.ndarray) -> float:
    x, half = sequences.one_hot(codes).reshape(len(codes), -1), len(codes) // 2
    model = LogisticRegression(solver="liblinear", C=0.1).fit(x[:half], labels[:half])
    return roc_auc_score(labels[half:], model.decision_function(x[half:]))


def test_what_is_changed_is_counted(block):
    made = cut([records(["ACGTRYSWKM", "acgtACGTAC"]), records(["BDHVbdhvnN", "ACGTACGTACGT", "AC"])], 10)
    assert made.changed == {cleaning.LOWER: 9, cleaning.AMBIGUOUS: 14, cleaning.LONGER: 1, cleaning.SHORTER: 1}
    assert sequences.decode(made.codes[:4]) == ["ACGTNNNNNN", "ACGTACGTAC", "NNNNNNNNNN", "CGTACGTACG"]
    assert made.sizes.tolist() == [10, 10, 10, 10, 2]


@pytest.mark.parametrize("bad", ["U", "X", "-", "*", " ", "é"])
def test_other_letters_are_refused(bad):
    with pytest.raises(
        DataError, match=f'record "2": expected the letters A, C, G, T or N, received "[{bad}]" at posi'
    ):
        window(["ACGT", f"ACR{bad}A"])


def test_an_empty_sequence_and_no_sequence_are_refused():
    with pytest.raises(DataError, match='record "2": expected a sequence, received nothing'):
        window(["ACGT", "", "A"])
    with pytest.raises(DataError, match="at least one sequence"):
        window([])


def test_one_enormous_sequence_does_not_fill_the_memory():
    texts = ["ACGT"] * 20_000 + ["A" * 500_000]
    with pytest.raises(DataError, match=r"received 20,001 of up to 500,000 bp: set width=, half .* at most 4 bp\."):
        window(texts)
    assert window(texts, 4).shape == (20_001, 4)


def brute_force(texts: list[str], labels, parts) -> tuple[list[int], dict[str, int]]:
    """The rules of `clean`, one sequence at a time, on strings."""
    kept, counts = [], dict.fromkeys((cleaning.MOSTLY_N, cleaning.CONFLICT, cleaning.DUPLICATE, cleaning.REVERSE), 0)
    rows = [i for i, text in enumerate(texts) if text.count("N") * 2 <= len(text)]
    counts[cleaning.MOSTLY_N] = len(texts) - len(rows)
    classes: dict[tuple[str, str], set[int]] = {}
    for i in rows:
        classes.setdefault((parts[i], min(texts[i], turned(texts[i]))), set()).add(labels[i])
    seen, either = set(), set()
    for i in rows:
        own, both = (parts[i], texts[i], labels[i]), (parts[i], min(texts[i], turned(texts[i])), labels[i])
        if len(classes[both[:2]]) == 2:
            counts[cleaning.CONFLICT] += 1
        elif own in seen:
            counts[cleaning.DUPLICATE] += 1
        elif both in either:
            counts[cleaning.REVERSE] += 1
        else:
            kept.append(i)
        seen.add(own)
        either.add(both)
    return kept, {reason: count for reason, count in counts.items() if count}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("ragged", [False, True])
def test_what_is_kept_equals_a_search_by_hand(seed, ragged):
    random = np.random.RandomState(seed)
    texts = ["".join(random.choice(list("ACN"), random.randint(3, 9) if ragged else 5)) for _ in range(400)]
    texts = [turned(text) if random.randint(2) else text for text in texts]
    labels = (random.random_sample(400) < 0.15).astype(np.uint8)
    parts = [["train", "validation", "test"][i] for i in random.randint(0, 3, 400)] if seed % 2 else []
    made = cut([records(texts)])
    rows, dropped = clean(made, labels, parts)
    expected = brute_force(texts, labels.tolist(), parts or [""] * 400)
    assert (rows.tolist(), dropped) == expected
    assert len(dropped) == 4


def test_keys_of_the_two_strands_are_each_others():
    random = np.random.RandomState(0)
    texts = [letters(random, random.randint(1, 40)) + "N" for _ in range(300)]
    forward, reverse = strand_keys(cut([records(texts)], 41))
    forward_turned, reverse_turned = strand_keys(cut([records([turned(text) for text in texts])], 41))
    assert np.array_equal(forward, reverse_turned)
    assert np.array_equal(reverse, forward_turned)
    assert len(set(forward.tolist())) == len(set(texts))
    assert len(set(strand_keys(cut([records(["A", "AA", "AAA"])], 9))[0].tolist())) == 3


def pairs(text: str) -> list[str]:
    return sorted(text[i : i + 2] for i in range(len(text) - 1))


def test_shuffles_have_the_size_and_the_pairs_of_their_sequence():
    random = np.random.RandomState(2)
    texts = [letters(random, length) for length in (30, 12, 30, 29, 1, 12)]
    made = cut([records(texts)], 30)
    shuffles = cleaning.shuffled(made, 3, 7)
    assert shuffles.sizes.tolist() == np.repeat([30, 12, 30, 29, 1, 12], 3).tolist()
    for k, (codes, size) in enumerate(zip(shuffles.codes, shuffles.sizes, strict=True)):
        start = (30 - size) // 2
        [text] = sequences.decode(codes[None, start : start + size])
        assert pairs(text) == pairs(texts[k // 3])
        assert (np.delete(codes, np.arange(start, start + size)) == 5).all()
    assert np.array_equal(cleaning.shuffled(made, 3, 7).codes, shuffles.codes)
    assert not np.array_equal(cleaning.shuffled(made, 3, 8).codes, shuffles.codes)
    assert fill(shuffles).max() < 4


def test_too_few_sequences_say_what_was_dropped():
    labels = np.array([1, 0, 0], np.uint8)
    with pytest.raises(DataError) as caught:
        cleaning.require_classes("x.fa", labels, 2, {cleaning.LOWER: 9, cleaning.DUPLICATE: 1200, cleaning.REVERSE: 3})
    assert str(caught.value) == (
        "x.fa: expected at least 2 sequences of each class, received 1 positives and 2 negatives once 1,203 were "
        "dropped (duplicate within a class: 1,200, reverse complement of another within a class: 3): add sequences of "
        "the smaller class."
    )
    cleaning.require_classes("x.fa", labels, 1, {})


def test_windows_of_nothing_but_n_can_be_filled():
    assert fill(Windows(np.array([[5, 4, 5]], np.uint8), np.array([1])))[0, 1] == 4
