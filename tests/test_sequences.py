from __future__ import annotations

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

from tfbs import sequences
from tfbs.errors import DataError


def random_codes(shape: tuple[int, ...], letters: int = 5) -> np.ndarray:
    return np.random.RandomState(1).randint(0, letters, shape).astype(np.uint8)


def test_encode_of_nothing_is_an_error():
    with pytest.raises(DataError, match="expected at least one sequence"):
        sequences.encode_strings([])


def test_codes_are_the_alphabet_in_order():
    codes = sequences.encode_strings(["ACGTN", "acgtn"])
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_decode_inverts_encode():
    codes = random_codes((200, 37))
    assert np.array_equal(sequences.encode_strings(sequences.decode(codes)), codes)
    assert sequences.decode(sequences.encode_strings(["GATTACAN"])) == ["GATTACAN"]


def test_one_hot_equals_scikit_learn_on_letters():
    codes = random_codes((100, 50), letters=4)
    letters = np.array([list(row) for row in sequences.decode(codes)])
    encoder = OneHotEncoder(categories=[list("ACGT")], sparse_output=False)
    expected = np.stack([encoder.fit_transform(row[:, None]) for row in letters])
    received = sequences.one_hot(codes)
    assert received.dtype == np.float32
    assert np.array_equal(received, expected)


def test_one_hot_of_n_is_zero():
    assert sequences.one_hot(sequences.encode_strings(["NAN"]))[0].tolist() == [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_reverse_complement_of_a_known_sequence():
    codes = sequences.encode_strings(["GATTACAN"])
    assert sequences.decode(sequences.reverse_complement(codes)) == ["NTGTAATC"]
    assert sequences.decode(sequences.reverse_complement(codes[0])[None]) == ["NTGTAATC"]


def test_reverse_complement_is_an_involution_that_pairs_bases():
    codes = random_codes((50, 31))
    other = sequences.reverse_complement(codes)
    assert np.array_equal(sequences.reverse_complement(other), codes)
    x, y = sequences.one_hot(codes), sequences.one_hot(other)
    assert np.array_equal(y, x[:, ::-1, ::-1]), "A pairs with T and C with G, so both axes turn round"
