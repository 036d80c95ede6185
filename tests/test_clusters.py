from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from tfbs import clusters, sequences


def random_codes(n: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 4, (n, length)).astype(np.uint8)


def partition(of: np.ndarray) -> set[frozenset[int]]:
    """Clusters as sets of rows, whatever their numbers."""
    return {frozenset(np.flatnonzero(of == name).tolist()) for name in np.unique(of)}


def joined_by_hand(codes: np.ndarray, k: int) -> set[frozenset[int]]:
    """Clusters of sequences that share a word of k bp on either strand, word by word in plain Python."""
    strands = zip(sequences.decode(codes), sequences.decode(sequences.reverse_complement(codes)), strict=True)
    words = [
        {min(text[i : i + k], other[len(other) - k - i : len(other) - i]) for i in range(len(text) - k + 1)}
        for text, other in strands
    ]
    of = np.arange(len(codes))
    for i in range(len(codes)):
        for j in range(i):
            if any("N" not in word for word in words[i] & words[j]):
                of[of == of[i]] = of[j]
    return partition(of)


def related(seed: int, length: int = 101) -> np.ndarray:
    """Families of up to five: a founder, shifted, turned and mutated copies, some with N; in random order."""
    random = np.random.RandomState(seed)
    made = []
    for _ in range(12):
        founder = random.randint(0, 4, 2 * length)
        for _ in range(random.randint(1, 6)):
            start = random.randint(0, length)
            copy = founder[start : start + length].astype(np.uint8)
            spots = random.randint(0, length, random.randint(0, 6))
            copy[spots] = random.randint(0, 5, len(spots))
            made.append(sequences.reverse_complement(copy) if random.rand() < 0.5 else copy)
    return random.permutation(np.array(made))


@pytest.mark.parametrize("seed", range(8))
def test_clusters_equal_those_found_word_by_word(seed):
    codes = related(seed)
    found = clusters.find(codes)
    assert found.length == 30
    assert partition(found.of) == joined_by_hand(codes, 30)
    assert (found.count, found.largest) == (len(np.unique(found.of)), np.bincount(found.of).max())


@pytest.mark.parametrize(("length", "word"), [(8, 8), (20, 16), (36, 18), (50, 25), (59, 29), (60, 30), (500, 30)])
def test_word_length_is_30_or_half_of_a_short_sequence(length, word):
    assert clusters.word_length(length) == word
    assert clusters.find(random_codes(5, length)).length == word


def test_every_word_is_found_where_it_stands():
    """Odd and even lengths: 2 bits a base, the other strand read backwards."""
    codes = random_codes(3, 40)
    for k in (1, 2, 5, 16, 25, 29, 30, 31):
        forward, backward = clusters._packed(codes.astype(np.uint64), k)
        other = sequences.reverse_complement(codes)
        for i, start in [(0, 0), (1, 3), (2, 40 - k)]:
            expected = [
                int("".join(map(str, strand)), 4)
                for strand in (codes[i, start : start + k], other[i, 40 - k - start : 40 - start])
            ]
            assert [int(forward[i, start]), int(backward[i, start])] == expected


def test_up_to_two_substitutions_in_101_bp_never_part_a_copy_from_its_origin():
    codes = random_codes(60, 101)
    copies = codes.copy()
    for i, spots in enumerate(np.random.RandomState(1).randint(0, 101, (60, 2))):
        copies[i, spots] = (copies[i, spots] + 1) % 4
    copies[::2] = sequences.reverse_complement(copies[::2])
    found = clusters.find(np.vstack([codes, copies]))
    assert np.array_equal(found.of[:60], found.of[60:])
    assert found.count == 60


def test_a_shared_motif_links_nothing():
    """17 bp at random places of unrelated sequences."""
    codes, motif = random_codes(500, 101), random_codes(1, 17, seed=9)[0]
    for row, start in zip(codes, np.random.RandomState(2).randint(0, 84, 500), strict=True):
        row[start : start + 17] = motif
    assert clusters.find(codes).largest == 1


def test_the_published_exercise_has_no_clusters(simulated):
    assert clusters.find(simulated.codes).largest == 1


@pytest.mark.parametrize("unit", ["A", "AC", "ACG", "TTAGGG"])
def test_tandem_repeats_link_nothing(unit):
    """Each sequence holds 60 bp of the repeat; the last two are equal all over, which counts nevertheless."""
    codes = random_codes(40, 101)
    codes[:, 20:80] = sequences.encode_strings([(unit * 60)[:60]])
    codes[-1] = codes[-2]
    found = clusters.find(codes)
    assert (found.count, found.largest) == (39, 2)


def test_repeats_with_a_few_errors_are_repeats_and_random_words_are_not():
    text = "CACACACACACATACACACACACACGCACA"
    assert clusters._repeats(sequences.encode_strings([text]), 30)[0, 0]
    assert not clusters._repeats(random_codes(2000, 101), 30).any()


def test_words_with_n_link_nothing():
    codes = random_codes(10, 101)
    codes[:, 20:60] = codes[0, 20:60]
    codes[:, 40] = sequences.N
    assert clusters.find(codes).count == 10


def test_a_constant_flank_links_nothing_and_copies_are_linked_nevertheless():
    codes = random_codes(400, 101)
    codes[:, :35] = codes[0, :35]
    codes[1::2, 40:] = codes[::2, 40:]
    found = clusters.find(codes)
    assert (found.count, found.largest, found.cap) == (200, 2, 100)


def test_one_flank_in_few_sequences_lowers_the_cap():
    """80 sequences are too few for the flank to be common at once, but then all would be one cluster."""
    codes = random_codes(80, 101)
    codes[:, :35] = codes[0, :35]
    codes[1, 50:] = codes[0, 50:]
    found = clusters.find(codes)
    assert (found.largest, found.cap) == (2, 50)


def test_equal_sequences_are_linked_whatever_they_are():
    rows = ["N" * 40, "N" * 40, "A" * 40, "T" * 40, "AC" * 20, "GT" * 20, "ACGTN" * 8, "NACGT" * 8]
    found = clusters.find(sequences.encode_strings(rows * 20))
    assert (found.count, found.largest) == (4, 40)


def test_minimizers_link_what_shares_a_little_more(monkeypatch):
    """Sampled words still find every stretch of length + window - 1 bp, and link nothing that all words do not."""
    codes = random_codes(600, 200)
    everything = clusters.find(codes)
    for i, start in enumerate(np.random.RandomState(3).randint(0, 150, 300)):
        stretch = codes[i, start : start + 45]
        at = np.random.RandomState(i).randint(0, 150)
        codes[300 + i, at : at + 45] = sequences.reverse_complement(stretch) if i % 2 else stretch
    monkeypatch.setattr(clusters, "MAX_WORDS", 171 * 600 // 8)
    found = clusters.find(codes)
    assert found.window == 16
    assert np.array_equal(found.of[:300], found.of[300:])
    assert (everything.count, found.count) == (600, 300)
    assert len(clusters.shared(random_codes(600, 200)).rows) == 0


def test_counts_and_lowest_neighbours_are_those_found_one_by_one():
    flags = np.random.RandomState(0).rand(5, 60) < 0.6
    hashes = np.random.RandomState(1).randint(0, 40, (5, 60)).astype(np.uint64)
    for width in (1, 2, 3, 7, 24, 30, 60):
        counts = np.array([[row[i : i + width].sum() for i in range(61 - width)] for row in flags])
        assert np.array_equal(clusters._windowed(flags, width), counts)
        least = np.array([[row[i : i + width].min() for i in range(61 - width)] for row in hashes])
        found = [[hashes[row, i] in least[row, max(i - width + 1, 0) : i + 1] for i in range(60)] for row in range(5)]
        assert np.array_equal(clusters._lowest(hashes, width), found)


@pytest.mark.parametrize("most", [clusters.MAX_WORDS, 900])
def test_parts_and_blocks_are_read_as_one(monkeypatch, most):
    codes = related(2)
    monkeypatch.setattr(clusters, "MAX_WORDS", most)
    expected = vars(clusters.shared(codes))
    flanked = np.concatenate([np.tile(random_codes(1, 40), (len(codes), 1)), codes], axis=1)
    telling = clusters.shared(flanked).telling(5)
    monkeypatch.setattr(clusters, "BLOCK", 7)
    found = vars(clusters.shared(codes[:11], codes[:0], codes[11:]))
    assert len(expected["rows"]) > 100
    assert all(np.array_equal(found[name], expected[name]) for name in expected)
    assert np.array_equal(clusters.shared(flanked).telling(5), telling)
    assert not telling.all()


def test_words_take_few_bytes_each():
    """Hash and place of each, and the hashes once more, sorted."""
    codes = random_codes(20_000, 200)
    tracemalloc.start()
    clusters.shared(codes)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 26 * len(codes) * 171


def test_clusters_do_not_depend_on_the_order_or_the_strand():
    codes = related(1)
    order = np.random.RandomState(0).permutation(len(codes))
    expected = clusters.find(codes)
    shuffled, turned = clusters.find(codes[order]), clusters.find(sequences.reverse_complement(codes))
    assert partition(shuffled.of[np.argsort(order)]) == partition(expected.of) == partition(turned.of)


def test_fingerprints_tell_all_different_sequences_apart():
    codes = np.unique(random_codes(20_000, 8), axis=0)
    forward, backward = clusters.fingerprints(codes)
    assert len(np.unique(forward)) == len(codes)
    assert np.array_equal(clusters.fingerprints(sequences.reverse_complement(codes))[0], backward)


def test_nothing_and_one_sequence():
    assert clusters.find(random_codes(0, 50)).count == 0
    assert (clusters.find(random_codes(1, 50)).count, clusters.find(random_codes(1, 50)).largest) == (1, 1)


def test_clusters_are_told_in_words():
    codes = random_codes(3, 50)
    codes[2] = codes[1]
    assert str(clusters.find(codes)) == "2 clusters of sequences that share 25 bp, the largest with 2 of 3"
