from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from sklearn.model_selection import train_test_split

from tfbs import clusters, sequences
from tfbs.architectures import Recipe
from tfbs.datasets import Dataset, Source, load
from tfbs.errors import DataError, ParameterError
from tfbs.simulation import Simulation
from tfbs.splits import Part, Split, fold_splits, joint_digest, make, random_split
from tfbs.splitting import Splitting

PARTS = ("train", "validation", "test")


SIZES = {"chr1": 60, "chr2": 50, "chr3": 40, "chr4": 40, "chr5": 30, "chr10": 30, "chrX": 30, "chrY": 20}


def grouped(parts: list[str] | None = None) -> Dataset:
    """300 random sequences of 101 bp on eight chromosomes, in random order, two negatives for each positive."""
    random = np.random.RandomState(5)
    groups = random.permutation(np.repeat(list(SIZES), list(SIZES.values()))).tolist()
    codes = random.randint(0, 4, (300, 101)).astype(np.uint8)
    labels = (np.arange(300) % 3 == 0).astype(np.uint8)
    return Dataset("by hand", codes, labels, [str(i) for i in range(300)], groups=groups, parts=parts or ())


def families(seed: int) -> Dataset:
    """200 founders with up to four relatives: turned, shifted by 30 bp or with two bases changed."""
    random = np.random.RandomState(seed)
    rows, labels, names = [], [], []
    for family in range(200):
        founder = random.randint(0, 4, 161).astype(np.uint8)
        for relative in range(random.randint(1, 6)):
            start = random.choice([30, 30, 0, 60]) if relative else 30
            row = founder[start : start + 101].copy()
            if relative and start == 30:
                row[random.randint(0, 101, 2)] = random.randint(0, 4, 2)
            rows.append(sequences.reverse_complement(row) if random.rand() < 0.5 else row)
            labels.append(random.rand() < 0.4)
            names.append(f"family {family}")
    order = random.permutation(len(rows))
    ids = [names[i] for i in order]
    return Dataset("families", np.array(rows)[order], np.array(labels, np.uint8)[order], ids)


def sizes(split: Split) -> list[int]:
    return [len(getattr(split, name)) for name in PARTS]


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


@pytest.mark.parametrize("asked", [Splitting(), Splitting("random")])
def test_the_published_split_is_the_default_of_simulated_data(simulated, asked):
    split = make(simulated, Recipe(), asked)
    assert split.digest == random_split(simulated, Recipe()).digest
    assert split.how == "at random"


@pytest.mark.parametrize("seed", range(6))
def test_clusters_are_never_divided(seed):
    data = families(seed)
    split = make(data, Recipe(split_seed=seed, val_size=0.2), Splitting())
    held = [set(getattr(split, name).ids) for name in PARTS]
    assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
    assert sum(sizes(split)) == len(data)
    assert len(split.test) == pytest.approx(0.25 * len(data), rel=0.02)
    assert len(split.validation) == pytest.approx(0.15 * len(data), rel=0.04)
    for name in PARTS:
        assert getattr(split, name).labels.mean() == pytest.approx(data.labels.mean(), rel=0.03)
    assert split.how == f"by cluster ({clusters.find(data.codes)})"


def test_a_random_split_divides_families():
    """What the test above guards against does happen."""
    split = random_split(families(0), Recipe())
    assert len(set(split.train.ids) & set(split.test.ids)) > 20


@pytest.mark.parametrize("data", [families(0), grouped()])
def test_splits_depend_on_the_seed_alone(data):
    asked = Splitting()
    first = make(data, Recipe(), asked)
    assert first.digest == make(data, Recipe(lr=0.5), asked).digest
    assert len({make(data, Recipe(split_seed=seed), asked).digest for seed in range(4)}) > 1


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_never_divided_and_near_the_sizes(seed):
    data = grouped()
    split = make(data, Recipe(split_seed=seed, val_size=0.2), Splitting())
    train, validation, test = (set(getattr(split, name).groups) for name in PARTS)
    assert train | validation | test == set(SIZES) and len(train) + len(validation) + len(test) == 8
    assert len(split.test) == pytest.approx(75, abs=6)
    assert len(split.validation) == pytest.approx(0.2 * (300 - len(split.test)), abs=9)
    assert split.how.startswith("by group: test chr")


def test_named_groups_make_the_parts():
    data = grouped()
    split = make(data, Recipe(), Splitting(test_groups="chrX, chr10", val_groups="chr3"))
    assert (set(split.test.groups), set(split.validation.groups)) == ({"chr10", "chrX"}, {"chr3"})
    assert split.how == "by group: test chr10, chrX; validation chr3"
    assert split.test.ids == [i for i, group in zip(data.ids, data.groups, strict=True) if group in ("chr10", "chrX")]
    chosen = make(data, Recipe(), Splitting(val_groups="chr3"))
    assert set(chosen.validation.groups) == {"chr3"} and "chr3" not in chosen.test.groups
    assert len(chosen.test) == pytest.approx(75, abs=6)


def test_the_last_group_left_is_divided_by_cluster():
    data = grouped()
    two = data.take(np.flatnonzero(np.isin(data.groups, ["chr1", "chr2"])))
    split = make(two, Recipe(), Splitting(test_groups="chr2"))
    assert sizes(split) == [54, 6, 50]
    assert split.how == "by group: test chr2; validation by cluster"


def test_naming_all_groups_leaves_nothing_to_train_on():
    sentence = (
        "by hand: expected at least 2 sequences of each class in the train part, received 0 positives and 0 negatives: "
        "it was split by group: test "
    )
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}"):
        make(grouped(), Recipe(), Splitting(test_groups=",".join(list(SIZES)[:-1]), val_groups="chrY"))


def test_a_group_of_one_class_cannot_be_the_test():
    data = grouped()
    data = replace(data, labels=np.where(np.array(data.groups) == "chrY", 1, data.labels).astype(np.uint8))
    sentence = "in the test part, received 20 positives and 0 negatives: it was split by group: test chrY; validation"
    with pytest.raises(DataError, match=sentence):
        make(data, Recipe(), Splitting(test_groups="chrY"))
    assert "chrY" not in make(data, Recipe(test_size=0.07), Splitting()).test.groups


def test_given_parts_are_taken_as_they_are():
    names = ["train"] * 200 + ["test"] * 60 + ["validation"] * 40
    data = grouped(np.random.RandomState(0).permutation(names).tolist())
    split = make(data, Recipe(), Splitting())
    for name in PARTS:
        assert getattr(split, name).ids == [i for i, part in zip(data.ids, data.parts, strict=True) if part == name]
    assert split.how == "as the data give it"


def test_given_parts_without_validation_hold_out_whole_clusters():
    data = families(3)
    names = set(data.ids)
    tested = {name for name in names if int(name.split()[1]) % 5 == 0}
    data = replace(data, parts=["test" if name in tested else "train" for name in data.ids])
    split = make(data, Recipe(val_size=0.2), Splitting("given"))
    assert set(split.test.ids) == tested
    assert not set(split.validation.ids) & set(split.train.ids)
    assert len(split.validation) == pytest.approx(0.2 * (len(data) - len(split.test)), rel=0.02)
    assert split.how == "as the data give it, validation by cluster"


def test_given_parts_with_other_names_or_without_test_are_refused():
    sentence = 'by hand: expected train, validation, test as names of the parts, received "dev": rename it.'
    with pytest.raises(DataError, match=f"^{re.escape(sentence)}$"):
        make(grouped(["train", "test", "dev"] * 100), Recipe(), Splitting())
    with pytest.raises(DataError, match="in the test part, received 0 positives and 0 negatives: it was split as the"):
        make(grouped(["train"] * 300), Recipe(), Splitting())


@pytest.mark.parametrize("folds", [2, 4])
def test_folds_of_groups_and_of_clusters_are_whole(folds):
    for data, asked, kept in ((grouped(), Splitting(), "groups"), (families(1), Splitting("cluster"), "ids")):
        made = fold_splits(data, Recipe(val_size=0.2), folds, asked)
        tested = [set(getattr(split.test, kept)) for split in made]
        assert sum(map(len, tested)) == len(set(getattr(data, kept))) == len(set.union(*tested))
        assert sum(len(split.test) for split in made) == len(data)
        for split in made:
            held = [set(getattr(getattr(split, name), kept)) for name in PARTS]
            assert not (held[0] & held[1] or held[0] & held[2] or held[1] & held[2])
            assert sum(sizes(split)) == len(data)
            assert len(split.test) == pytest.approx(len(data) / folds, rel=0.15)
        assert [s.digest for s in made] == [s.digest for s in fold_splits(data, Recipe(val_size=0.2), folds, asked)]


def test_folds_that_cannot_be_are_refused():
    sentence = "folds: expected at most 8, the number of groups in by hand, received 9: use fewer folds, or choose "
    with pytest.raises(ParameterError, match=f"^{re.escape(sentence)}"):
        fold_splits(grouped(), Recipe(), 9, Splitting())


def test_auto_folds_of_simulated_data_are_the_random_ones(simulated):
    made, expected = (fold_splits(simulated, Recipe(), 5, asked) for asked in (Splitting(), Splitting("random")))
    assert joint_digest(made) == joint_digest(expected) == joint_digest(fold_splits(simulated, Recipe(), 5))
