from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from sklearn.svm import LinearSVC

from tfbs import gapped, sequences
from tfbs.gapped import READ, WORD, Machine


def random_codes(n: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.RandomState(seed).randint(0, 4, (n, length)).astype(np.uint8)


def with_site(codes: np.ndarray, at: np.ndarray, site: str = "TGACTCAGCA") -> np.ndarray:
    codes = codes.copy()
    for row, start in enumerate(at):
        codes[row, start : start + len(site)] = ["ACGT".index(base) for base in site]
    return codes


def features(row: np.ndarray, weights: np.ndarray) -> Counter:
    """Every gapped k-mer of a sequence by its name, the smaller of the two strands', from the definition."""
    found: Counter = Counter()
    for shape in gapped.shapes():
        for start in range(len(row) - shape[-1]):
            read = row[start + shape]
            other = sequences.reverse_complement(read), shape[-1] - shape[::-1]
            name = min((tuple(shape), tuple(read)), (tuple(other[1]), tuple(other[0])))
            found[name] += np.sqrt(WORD - shape[-1]) * weights[start + shape[-1] // 2]
    return found


def test_shapes_are_all_ways_to_read_seven_of_at_most_eleven():
    shapes = gapped.shapes()
    assert shapes.shape == (210, READ) and len({tuple(shape) for shape in shapes}) == 210
    assert (np.diff(shapes) > 0).all() and (shapes[:, 0] == 0).all() and shapes.max() == WORD - 1


@pytest.mark.parametrize("half", [0, 12])
def test_the_machine_is_that_of_liblinear(monkeypatch, half):
    monkeypatch.setattr(gapped, "PASSES", 100)
    codes, labels = random_codes(30, 16), np.repeat([0, 0, 1], 10)
    machine = gapped.descend(codes, labels, half, np.random.RandomState(0))
    weights = gapped._base_weights(16, half)
    counted = [features(row, weights) for row in codes]
    names = sorted({name for one in counted for name in one})
    matrix = np.array([[one[name] for name in names] for one in counted])
    matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
    theirs = LinearSVC(C=gapped.COST, tol=1e-10, max_iter=100_000, intercept_scaling=0.3, class_weight="balanced")
    theirs.fit(matrix, labels)
    number = {tuple(shape): row for row, shape in enumerate(gapped.shapes())}
    place = 4 ** np.arange(READ)[::-1]
    ours = [machine.table[number[shape], np.dot(read, place)] * np.sqrt(WORD - shape[-1]) for shape, read in names]
    assert np.allclose(ours, theirs.coef_[0], atol=2e-5 * np.abs(ours).max() + 1e-6)


def test_the_score_of_a_word_is_the_sum_of_its_gapped_kmers():
    table = np.random.RandomState(1).standard_normal((210, 4**READ)).astype(np.float32)
    word = random_codes(1, WORD, 3)
    scores, seen = Machine(table).score_words(word)
    place = 4 ** np.arange(READ)[::-1]
    parts = [
        table[p, word[0, start + shape] @ place]
        for p, shape in enumerate(gapped.shapes())
        for start in range(WORD - shape[-1])
    ]
    assert scores[0] == pytest.approx(sum(parts), abs=1e-3) and seen[0] == 1
    word[0, 4] = sequences.N
    scores, seen = Machine(table).score_words(word)
    assert 0 < seen[0] < 1
    assert Machine(table).score_words(np.full((1, WORD), sequences.N, np.uint8)) == (0, 0)


def test_both_strands_score_the_same_and_sites_score_more():
    codes = random_codes(400, 60)
    labels = np.arange(400) % 2
    codes[labels == 1] = with_site(codes[labels == 1], np.random.RandomState(0).randint(0, 50, 200))
    machine = gapped.teach(codes[:300], labels[:300])
    scores = machine.score(codes[300:])
    assert scores[1::2].mean() > scores[::2].mean() + 2 * scores[::2].std()
    assert np.allclose(machine.score(sequences.reverse_complement(codes[300:])), scores, rtol=1e-3, atol=1e-4)


def test_sites_in_the_centre_choose_weights_that_fall_from_it():
    codes = random_codes(300, 240)
    labels, random = np.arange(300) % 2, np.random.RandomState(0)
    codes[labels == 1] = with_site(codes[labels == 1], random.randint(110, 120, 150))
    at = np.where(random.rand(150) < 0.5, random.randint(0, 30, 150), random.randint(200, 230, 150))
    codes[labels == 0] = with_site(codes[labels == 0], at)
    machine = gapped.teach(codes, labels)
    assert machine.half == 50
    weights = gapped.word_weights(240, machine.half)
    assert len(weights) == 230 and np.argmax(weights) in (114, 115) and np.allclose(weights, weights[::-1])
    assert weights[115 - 50] / weights[115] == pytest.approx(0.5, abs=0.01)


def test_a_rare_class_is_kept_and_counts_as_much():
    labels = np.r_[np.ones(30, int), np.zeros(9_970, int)]
    rows = gapped._draw(labels, 1000, np.random.RandomState(0))
    assert len(rows) == 1000 and labels[rows].sum() == 30 and (np.diff(rows) > 0).all()
    assert len(gapped._draw(labels, 50_000, np.random.RandomState(0))) == 10_000
    codes = random_codes(1_000, 40)
    labels = (np.arange(1_000) % 100 == 0).astype(int)
    codes[labels == 1] = with_site(codes[labels == 1], np.full(10, 15))
    scores = gapped.teach(codes, labels).score(codes)
    assert scores[labels == 1].min() > np.percentile(scores[labels == 0], 99)


def test_the_same_seed_gives_the_same_machine():
    codes, labels = random_codes(60, 30), np.arange(60) % 2
    one, two, other = (gapped.teach(codes, labels, seed).table for seed in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, other)


def test_words_alone_and_few_sequences_are_enough():
    codes, labels, told = random_codes(6, WORD), np.arange(6) % 2, []
    machine = gapped.teach(codes, labels, on_pass=lambda: told.append(1))
    assert np.isfinite(machine.score(codes)).all() and len(told) == gapped.PASSES
