from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from tfbs import sequences
from tfbs.architectures import Recipe
from tfbs.datasets import Dataset, Source, load
from tfbs.errors import DataError
from tfbs.simulation import Simulation
from tfbs.splits import (
    Part,
    Split,
    duplicate_share,
    fold_splits,
    gc_scores,
    joint_digest,
    kmer_scores,
    random_split,
)

PARTS = ("train", "validation", "test")


def dataset(texts: list[str], labels: list[int]) -> Dataset:
    codes = sequences.encode_strings(texts)
    return Dataset("by hand", codes, np.array(labels, np.uint8), [str(i) for i in range(len(texts))])


def test_split_equals_the_published_procedure(simulated):
    split = random_split(simulated, Recipe())
    features = sequences.one_hot(simulated.codes)
    x_train, x_test, y_train, y_test = train_test_split(features, simulated.labels, test_size=0.25, random_state=42)
    expected = {"train": slice(0, 1350), "validation": slice(1350, 1500)}
    for name, rows in expected.items():
        part = getattr(split, name)
        assert np.array_equal(sequences.one_hot(part.codes), x_train[rows])
        assert np.array_equal(part.labels, y_train[rows])
    assert np.array_equal(sequences.one_hot(split.test.codes), x_test)
    assert np.array_equal(split.test.labels, y_test)
    assert split.data_digest == simulated.digest


def test_validation_is_what_keras_holds_out():
    """A network that returns its input, fed with 0, 1, 2 ..: its validation loss is the mean of what Keras held out."""
    import keras

    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")])
    model.compile(optimizer=keras.optimizers.SGD(0.0), loss="mae", run_eagerly=True)
    for n, share in ((61, 0.1), (60, 0.3), (97, 0.15), (50, 0.2)):
        data = load(Source(), Simulation(length=30, n_positives=n // 2, n_negatives=n - n // 2))
        split = random_split(data, Recipe(val_size=share, test_size=0.2))
        rest = len(split.train) + len(split.validation)
        places = np.arange(rest, dtype=np.float32)[:, None]
        history = model.fit(places, 0 * places, batch_size=rest, validation_split=share, verbose=0).history
        assert history["val_loss"][0] == pytest.approx(places[len(split.train) :].mean())


def test_parts_are_disjoint_and_complete(simulated):
    split = random_split(simulated, Recipe(test_size=0.3, val_size=0.2, split_seed=1))
    ids = [name for part in PARTS for name in getattr(split, part).ids]
    assert sorted(ids) == sorted(simulated.ids)
    assert len(set(ids)) == len(simulated)


def test_digest_changes_when_anything_changes(small):
    split = random_split(small, Recipe())
    codes = small.codes.copy()
    codes[0, 0] = (codes[0, 0] + 1) % 4
    others = [
        random_split(small, Recipe(split_seed=43)),
        random_split(small, Recipe(test_size=0.3)),
        random_split(small, Recipe(val_size=0.2)),
        random_split(replace(small, codes=codes), Recipe()),
        random_split(small.take(np.arange(len(small))[::-1]), Recipe()),
        Split(split.train, split.test, split.validation, split.data_digest),
    ]
    assert len({split.digest, *(other.digest for other in others)}) == 7
    assert random_split(small, Recipe(lr=0.5, epochs=1)).digest == split.digest


@pytest.mark.parametrize("sizes", [{"test_size": 0.999}, {"val_size": 0.01}, {"test_size": 0.01}, {"val_size": 0.99}])
def test_a_part_without_a_class_is_refused(small, sizes):
    with pytest.raises(DataError, match=r"^simulated: expected .*: use more sequences, or change test_size"):
        random_split(small, Recipe(**sizes))


def test_duplicate_share_counts_both_strands():
    train = dataset(["AAACC", "ACGTN", "TTTTT"], [0, 1, 0])
    test = dataset(["AAACC", "GGTTT", "NACGT", "AAAAA", "CCAAA", "ACGTA"], [1] * 6)
    assert duplicate_share(train, test) == pytest.approx(4 / 6)
    assert duplicate_share(train, train) == 1
    assert duplicate_share(train, dataset(["CCAAA"], [1])) == 0


def test_default_data_have_no_duplicates(simulated):
    split = random_split(simulated, Recipe())
    assert duplicate_share(split.train, split.test) == 0


def test_gc_scores_are_the_share_among_known_bases_with_the_sign_of_the_training_part():
    test = dataset(["GGCC", "GANN", "ATAT", "NNNN"], [1, 1, 0, 0])
    rich = dataset(["GGGA", "ATAC"], [1, 0])
    assert gc_scores(rich, test).tolist() == [1, 0.5, 0, 0]
    poor = dataset(["GGGA", "ATAC"], [0, 1])
    assert gc_scores(poor, test).tolist() == [-1, -0.5, 0, 0]


def test_gc_separates_the_default_data_a_little_and_decoys_not_at_all(simulated):
    aurocs = []
    for data in (simulated, load(Source(), Simulation(decoys=1.0))):
        split = random_split(data, Recipe())
        aurocs.append(roc_auc_score(split.test.labels, gc_scores(split.train, split.test)))
    assert aurocs[0] == pytest.approx(0.65, abs=0.06)
    assert aurocs[1] == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize("k", [1, 3, 6])
def test_kmer_scores_equal_logistic_regression_on_counted_words(simulated, k):
    split = random_split(simulated, Recipe())
    texts = {name: sequences.decode(getattr(split, name).codes) for name in ("train", "test")}
    counter = CountVectorizer(analyzer="char", ngram_range=(k, k), lowercase=False)
    model = LogisticRegression(solver="liblinear", tol=1e-8).fit(
        counter.fit_transform(texts["train"]), split.train.labels
    )
    expected = model.decision_function(counter.transform(texts["test"]))
    received = kmer_scores(split.train, split.test, k)
    assert np.allclose(received, expected, atol=0.02 * np.abs(expected).max())
    difference = roc_auc_score(split.test.labels, received) - roc_auc_score(split.test.labels, expected)
    assert abs(difference) < 1e-3


def test_kmers_with_n_are_skipped():
    """N splits a sequence: what stands left and right of it counts, what holds it does not."""
    rows = ["AAACCCNAAACCC", "TTTGGGNTTTGGG"] * 5
    train = dataset(rows, [1, 0] * 5)
    test = dataset(["AAACCCNNNNNNN", "NNNNNNNAAACCC", "NNNNNNNNNNNNN", "AANCCNAANCCNA", "TTTGGGNNNNNNN"], [1] * 5)
    left, right, nothing, broken, negative = kmer_scores(train, test, 3)
    assert left == pytest.approx(right)
    assert nothing == pytest.approx(broken)
    assert negative < nothing < left
    counter = CountVectorizer(analyzer="char", ngram_range=(3, 3), lowercase=False)
    counts = counter.fit_transform(rows)
    known = [i for word, i in counter.vocabulary_.items() if "N" not in word]
    model = LogisticRegression(solver="liblinear").fit(counts[:, known], train.labels)
    expected = model.decision_function(counter.transform(sequences.decode(test.codes))[:, known])
    assert np.allclose([left, right, nothing, broken, negative], expected, atol=1e-3)


def test_kmers_longer_than_the_sequences_tell_nothing():
    train = dataset(["ACG", "TTT", "AAA", "CCC"], [1, 0, 1, 0])
    assert np.ptp(kmer_scores(train, train, 6)) == 0


def test_folds_are_each_tested_once_and_never_trained_on(simulated):
    made = fold_splits(simulated, Recipe(), 5)
    tested = [name for split in made for name in split.test.ids]
    assert sorted(tested) == sorted(simulated.ids)
    for split in made:
        parts = [set(part.ids) for part in (split.train, split.validation, split.test)]
        assert set.union(*parts) == set(simulated.ids)
        assert sum(map(len, parts)) == len(simulated)
        assert (len(split.train), len(split.validation), len(split.test)) == (1440, 160, 400)
    assert made[0].digest != made[1].digest
    assert [s.digest for s in made] == [s.digest for s in fold_splits(simulated, Recipe(), 5)]
    assert made[0].digest != fold_splits(simulated, Recipe(split_seed=1), 5)[0].digest


def test_folds_without_a_class_are_refused(small):
    with pytest.raises(DataError, match="expected at least 2 sequences of each class in the test part"):
        fold_splits(small, Recipe(), 30)


def test_joint_digest_minds_the_order(simulated):
    first, second = fold_splits(simulated, Recipe(), 2)
    assert joint_digest([first, second]) != joint_digest([second, first])
    assert joint_digest([first]) != first.digest


def test_a_part_is_known_by_its_seed_and_fold(simulated):
    part = Part(42, 0, random_split(simulated, Recipe()))
    assert part.key == ("42", "0")
