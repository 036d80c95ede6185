from __future__ import annotations

import csv
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from tfbs import clusters, leakage, sequences
from tfbs.architectures import Recipe
from tfbs.datasets import Dataset, Source, load
from tfbs.intervals import Estimate
from tfbs.leakage import Leakage, Overlap, duplicate_share, gc_scores, kmer_scores, report, unknown_scores
from tfbs.simulation import Simulation
from tfbs.splits import Split, make, random_split
from tfbs.splitting import Splitting

TURN = str.maketrans("ACGTN", "TGCAN")


def dataset(texts: list[str], labels: list[int]) -> Dataset:
    codes = sequences.encode_strings(texts)
    return Dataset("by hand", codes, np.array(labels, np.uint8), [str(i) for i in range(len(texts))])


def counted(text: str, k: int) -> list[str]:
    """Words of a sequence, each as the first in the alphabet of its two strands."""
    words = [text[i : i + k] for i in range(len(text) - k + 1)]
    return [min(word, word.translate(TURN)[::-1]) for word in words]


def leaking() -> Split:
    """100 training sequences; of 40 tested, 4 stand there, 6 stand there turned, 8 share 30 to 60 bp on some strand."""
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (180, 101)).astype(np.uint8)
    train, validation, test = codes[:100], codes[100:140], codes[140:]
    test[:4] = train[:4]
    test[4:10] = sequences.reverse_complement(train[4:10])
    test[10:14, 20:50] = train[10:14, 50:80]
    test[14:18, 20:80] = sequences.reverse_complement(train[14:18, :60])
    test[18, 20:45] = train[18, :25]
    validation[5, 7:60] = train[50, 40:93]
    labels = np.tile([0, 1], 90).astype(np.uint8)
    ids = [str(i) for i in range(180)]
    whole = Dataset("leaking", codes, labels, ids)
    parts = (whole.take(np.arange(100)), whole.take(np.arange(100, 140)), whole.take(np.arange(140, 180)))
    return Split(*parts, whole.digest)


def test_every_kind_of_leak_is_counted_once_by_class():
    found = report(leaking())
    assert found.test == Overlap((20, 20), (2, 2), (3, 3), (4, 4))
    assert found.validation == Overlap((20, 20), (0, 0), (0, 0), (0, 1))
    assert (found.word, found.window, found.unknown) == (30, 1, None)
    assert found.duplicate_share == duplicate_share(leaking().train, leaking().test) == 10 / 40
    assert (found.test.near_share, found.test.related) == (18 / 40, (9, 9))


def test_areas_are_those_of_the_scores():
    split = leaking()
    found = report(split)
    for estimate, scores in ((found.gc, gc_scores), (found.kmer, kmer_scores)):
        assert estimate.value == pytest.approx(roc_auc_score(split.test.labels, scores(split.train, split.test)))
        assert estimate.lo < estimate.value < estimate.hi and estimate.n == 40


def test_unknown_bases_that_tell_the_classes_are_told():
    split = leaking()
    parts = []
    for part in (split.train, split.validation, split.test):
        codes = part.codes.copy()
        codes[part.labels == 0, :3] = sequences.N
        parts.append(replace(part, codes=codes))
    assert unknown_scores(parts[0], parts[2])[:2] == pytest.approx([-3 / 101, 0])
    found = report(Split(*parts, "digest"))
    assert found.unknown.value == 1
    told = found.sentences(0.8)
    assert told[0].endswith("; the network does not beat that.")
    assert told[1] == (
        "The share of unknown bases (N) alone reaches AUROC 1.0000: the classes differ in how their sequences were "
        "read."
    )


def test_lengths_that_tell_the_classes_are_told(tmp_path):
    """Positives of 20 to 80 bp beside negatives of 60 to 100, in windows of 100."""
    random = np.random.RandomState(0)
    sizes = [random.randint(*limits, 300) for limits in ((20, 81), (60, 101))]
    for name, lengths in zip(("p.fa", "n.fa"), sizes, strict=True):
        texts = ("".join(random.choice(list("ACGT"), length)) for length in lengths)
        (tmp_path / name).write_text("".join(f">{name}{i}\n{text}\n" for i, text in enumerate(texts)))
    source = Source(str(tmp_path / "p.fa"), negatives=str(tmp_path / "n.fa"))
    split = make(load(source), Recipe(), Splitting("cluster"))
    found, expected = report(split), roc_auc_score(1 - split.test.labels, split.test.sizes)
    assert found.size.value == pytest.approx(expected) and expected > 0.85
    assert found.sentences(1.0)[1:] == [
        f"The length of the sequences alone reaches AUROC {expected:.4f}: a network may tell the classes by the random "
        "bases that fill the shorter ones; set width= to a length that most of them reach."
    ]
    even = report(make(load(replace(source, width=15)), Recipe(), Splitting("cluster")))
    assert even.size is None and len(even.sentences(1.0)) == 1


def test_lengths_that_differ_little_are_not_told():
    found = report(leaking())
    assert len(replace(found, size=Estimate(0.6, 0.5, 0.7, 40)).sentences(1.0)) == len(found.sentences(1.0))


def test_blocks_do_not_show(monkeypatch):
    split = leaking()
    expected = report(split)
    monkeypatch.setattr(leakage, "BLOCK", 7)
    monkeypatch.setattr(clusters, "BLOCK", 11)
    assert report(split) == expected


def test_a_clean_split_is_told_in_one_sentence():
    none = Overlap((10, 10), (0, 0), (0, 0), (0, 0))
    found = Leakage(none, none, 30, 1, Estimate(0.6, 0.5, 0.7, 20), Estimate(0.8, 0.7, 0.9, 20))
    start = "Without a network, GC content reaches AUROC 0.6000 and a logistic regression on 6-mer counts 0.8000"
    assert found.sentences(0.81) == [f"{start}."]
    assert found.sentences(0.8) == [f"{start}; the network does not beat that."]


def test_leaks_are_told():
    assert report(leaking()).sentences(1.0)[1:] == [
        "10 of the 40 test sequences stand in the training part too, on either strand.",
        "8 more of the 40 test sequences share 30 bp with a training sequence (20.0 % of the positives, 20.0 % of the "
        "negatives); split=cluster keeps such sequences on one side.",
        "1 of the 40 validation sequences shares 30 bp with a training sequence (5.0 % of the positives, 0.0 % of the "
        "negatives); split=cluster keeps such sequences on one side.",
    ]


def test_the_table_holds_every_count():
    table = report(leaking()).table()
    assert list(table) == ["part", "overlap", "negatives", "positives", "share of the part"]
    assert table["part"] == ["test"] * 3 + ["validation"] * 3
    assert (table["negatives"], table["positives"]) == ([2, 3, 4, 0, 0, 0], [2, 3, 4, 0, 0, 1])
    assert table["share of the part"] == [0.1, 0.15, 0.2, 0, 0, 1 / 40]
    assert table["overlap"][2] == "shares 30 bp with a training sequence"


def test_a_split_by_cluster_leaks_nothing():
    """The very sequences that leak above."""
    split = leaking()
    codes = np.concatenate([split.train.codes, split.validation.codes, split.test.codes])
    whole = Dataset("leaking", codes, np.tile([0, 1], 90).astype(np.uint8), [str(i) for i in range(180)])
    for seed in range(5):
        found = report(make(whole, Recipe(split_seed=seed), Splitting("cluster")))
        assert found.test.related == found.validation.related == (0, 0)


def test_tandem_repeats_and_flanks_are_no_leaks():
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (400, 101)).astype(np.uint8)
    codes[:, :40] = codes[0, :40]
    codes[:, 60:95] = sequences.encode_strings([("CAG" * 12)[:35]])
    whole = Dataset("flanks", codes, np.tile([0, 1], 200).astype(np.uint8), [str(i) for i in range(400)])
    found = report(random_split(whole, Recipe()))
    assert found.test.related == (0, 0)


def read_gue(folder: Path, name: str) -> Split:
    """One of the GUE data sets as it stands in its files."""
    parts = {}
    for part, filename in (("train", "train.csv"), ("validation", "dev.csv"), ("test", "test.csv")):
        path = folder / "gue" / name / filename
        if not path.exists():
            pytest.skip("needs the files of gue below TFBS_DATA_DIR")
        with path.open() as handle:
            rows = list(csv.DictReader(handle))
        parts[part] = dataset([row["sequence"] for row in rows], [int(row["label"]) for row in rows])
    return Split(**parts, data_digest="gue")


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "related", "duplicates", "kmer"), [("3", (94, 24), 20, 0.8222), ("0", (87, 5), 8, 0.8861)]
)
def test_gue_leaks_through_its_negatives(published_files, name, related, duplicates, kmer):
    split = read_gue(published_files, name)
    known = {word for text in sequences.decode(split.train.codes) for word in counted(text, 30)}
    by_hand = np.array([not known.isdisjoint(counted(text, 30)) for text in sequences.decode(split.test.codes)])
    assert by_hand[split.test.labels == 0].mean() == pytest.approx(0.18, abs=0.02)
    found = report(split)
    assert found.test.related == related
    assert by_hand.sum() - sum(related) <= 5
    assert found.kmer.value == pytest.approx(kmer, abs=2e-3)
    assert len(split.train) - len(np.unique(split.train.codes, axis=0)) == duplicates


@pytest.mark.data
def test_gc_content_tells_the_published_classes_a_little(published_files):
    found = report(random_split(load(Source("packt")), Recipe()))
    assert found.gc.value == pytest.approx(0.66, abs=0.02)
    assert found.test.related == (0, 0)


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
    counter = CountVectorizer(analyzer=lambda text: counted(text, k))
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(counter.fit_transform(texts["train"]), split.train.labels)
    expected = model.decision_function(counter.transform(texts["test"]))
    received = kmer_scores(split.train, split.test, k)
    assert np.allclose(received, expected, atol=0.02 * np.abs(expected).max())
    difference = roc_auc_score(split.test.labels, received) - roc_auc_score(split.test.labels, expected)
    assert abs(difference) < 1e-3


def test_kmer_scores_are_the_same_on_the_other_strand(simulated):
    split = random_split(simulated, Recipe())
    turned = replace(split.test, codes=sequences.reverse_complement(split.test.codes))
    assert np.allclose(kmer_scores(split.train, turned), kmer_scores(split.train, split.test))


def test_kmer_scores_of_many_training_sequences_are_fitted_to_some(simulated, monkeypatch):
    split = random_split(simulated, Recipe())
    everything = kmer_scores(split.train, split.test)
    monkeypatch.setattr(leakage, "MAX_FITTED", 700)
    some = kmer_scores(split.train, split.test)
    assert np.corrcoef(everything, some)[0, 1] > 0.9 and not np.allclose(everything, some)
    assert np.array_equal(some, kmer_scores(split.train, split.test))


def test_kmers_take_few_bytes_each(monkeypatch):
    """A number (4) and a count (8) of each."""
    monkeypatch.setattr(leakage, "BLOCK", 500)
    codes = np.random.RandomState(0).randint(0, 4, (20_000, 200)).astype(np.uint8)
    tracemalloc.start()
    counts = leakage._kmer_counts(codes, 6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert counts.sum() == 20_000 * 195
    assert peak < 14 * counts.sum()


def test_kmers_with_n_are_skipped():
    """N splits a sequence: what stands left and right of it counts, what holds it does not."""
    rows = ["AAACCCNAAACCC", "TATGTGNTATGTG"] * 5
    train = dataset(rows, [1, 0] * 5)
    test = dataset(["AAACCCNNNNNNN", "NNNNNNNGGGTTT", "NNNNNNNNNNNNN", "AANCCNAANCCNA", "TATGTGNNNNNNN"], [1] * 5)
    left, right, nothing, broken, negative = kmer_scores(train, test, 3)
    assert left == pytest.approx(right)
    assert nothing == pytest.approx(broken)
    assert negative < nothing < left
    counter = CountVectorizer(analyzer=lambda text: [word for word in counted(text, 3) if "N" not in word])
    model = LogisticRegression(tol=1e-8, max_iter=10_000).fit(counter.fit_transform(rows), train.labels)
    expected = model.decision_function(counter.transform(sequences.decode(test.codes)))
    assert np.allclose([left, right, nothing, broken, negative], expected, atol=1e-3)


def test_kmers_longer_than_the_sequences_tell_nothing():
    train = dataset(["ACG", "TTT", "AAA", "CCC"], [1, 0, 1, 0])
    assert np.ptp(kmer_scores(train, train, 6)) == 0
