from __future__ import annotations

import hashlib
import itertools
import time
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from tfbs.errors import DataError, ParameterError
from tfbs.negatives import dinucleotide_shuffle
from tfbs.sequences import decode, encode_strings


def pairs(sequence):
    return Counter(itertools.pairwise(sequence))


def all_shuffles(sequence):
    """Every distinct sequence with the same first letter and the same pairs, by depth-first search."""
    found, stack = set(), [(sequence[0], pairs(sequence))]
    while stack:
        path, left = stack.pop()
        if len(path) == len(sequence):
            found.add(path)
        for pair in left:
            if pair[0] == path[-1] and left[pair]:
                stack.append((path + pair[1], left - Counter([pair])))
    return found


def test_keeps_pairs_and_ends():
    codes = np.random.RandomState(3).randint(0, 5, (40, 73)).astype(np.uint8)
    shuffled = dinucleotide_shuffle(codes, 7, 0)
    assert shuffled.shape == (40, 7, 73)
    assert shuffled.dtype == np.uint8
    assert (shuffled[:, :, 0] == codes[:, :1]).all()
    assert (shuffled[:, :, -1] == codes[:, -1:]).all()
    for before, after in zip(decode(codes), shuffled, strict=True):
        assert all(pairs(row) == pairs(before) for row in decode(after))
    assert (shuffled != codes[:, None]).mean() > 0.5


@pytest.mark.parametrize("sequence", ["ACAGATACCA", "ACGTACGGTAC", "AACACAANAC", "ACACACGCGCT", "CAAAACAAGAAAT"])
def test_uniform_over_all_eulerian_paths(sequence):
    possible = sorted(all_shuffles(sequence))
    assert len(possible) > 1
    drawn = Counter(decode(dinucleotide_shuffle(encode_strings([sequence]), 300 * len(possible), 11)[0]))
    assert set(drawn) == set(possible)
    assert chisquare([drawn[p] for p in possible]).pvalue > 1e-3


def test_sequences_are_shuffled_independently_of_each_other():
    codes = encode_strings(["ACAGATACCA"] * 2000)
    shuffled = dinucleotide_shuffle(codes, 2, 5)
    possible = len(all_shuffles("ACAGATACCA"))
    same = (shuffled[:, 0] == shuffled[:, 1]).all(1).mean()
    assert abs(same - 1 / possible) < 4 * np.sqrt(1 / possible / 2000)


def test_deterministic():
    codes = np.random.RandomState(0).randint(0, 4, (5, 30)).astype(np.uint8)
    first = dinucleotide_shuffle(codes, 3, 0)
    assert np.array_equal(first, dinucleotide_shuffle(codes, 3, 0))
    assert not np.array_equal(first, dinucleotide_shuffle(codes, 3, 1))
    assert (
        hashlib.sha256(first.tobytes()).hexdigest()
        == "cdcb4455426ff6681e94cf9803ccb87e2e0cee30e1a314f6bb237039733af5c9"
    )


def test_result_does_not_depend_on_blocks(monkeypatch):
    codes = np.random.RandomState(1).randint(0, 5, (9, 21)).astype(np.uint8)
    whole = dinucleotide_shuffle(codes, 4, 2)
    monkeypatch.setattr("tfbs.negatives._BLOCK", 200)
    assert np.array_equal(whole, dinucleotide_shuffle(codes, 4, 2))


@pytest.mark.parametrize("sequence", ["A", "N", "AC", "AA", "AAAAAAAA", "NNNN", "ACACAC", "ACGTN"])
def test_sequences_with_one_shuffle(sequence):
    codes = encode_strings([sequence])
    assert decode(dinucleotide_shuffle(codes, 3, 0)[0]) == [sequence] * 3


@pytest.mark.parametrize("sequence", ["AC" * 999 + "GT", "A" * 1000 + "C" * 999 + "G", "AC" * 500 + "GT" * 499 + "NA"])
def test_low_complexity_is_fast(sequence):
    begin = time.perf_counter()
    shuffled = dinucleotide_shuffle(encode_strings([sequence]), 20, 0)[0]
    assert time.perf_counter() - begin < 5
    assert all(pairs(row) == pairs(sequence) for row in decode(shuffled))


@pytest.mark.parametrize(
    ("codes", "k", "seed", "error", "words"),
    [
        (np.zeros(5, np.uint8), 1, 0, DataError, "received uint8 of shape"),
        (np.full((1, 5), 7, np.uint8), 1, 0, DataError, "codes 0 to 4"),
        (np.zeros((1, 5), np.float32), 1, 0, DataError, "integer codes"),
        (np.zeros((1, 5), np.uint8), 0, 0, ParameterError, "at least 1 shuffle"),
        (np.zeros((1, 5), np.uint8), 1, -1, ParameterError, "seed"),
    ],
)
def test_bad_input(codes, k, seed, error, words):
    with pytest.raises(error, match=words):
        dinucleotide_shuffle(codes, k, seed)
