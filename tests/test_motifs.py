from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from tfbs import architectures, attribution, jaspar, modisco, motifs, sequences, splits, training
from tfbs.errors import AttributionError
from tfbs.motifs import Pattern, Seqlets

SITE = "CGACCGAACTCC"


def turned(text: str) -> str:
    return sequences.decode(sequences.reverse_complement(sequences.encode_strings([text])))[0]


@pytest.fixture(scope="module")
def planted():
    """Sequences with one site each on either strand, contributions of about 0.75 a base within it and noise."""
    random = np.random.RandomState(0)
    n, length = 200, 50
    codes = random.randint(0, 4, (n, length), dtype=np.uint8)
    starts, reverse = random.randint(0, length - len(SITE) + 1, n), random.random_sample(n) < 0.4
    site = sequences.encode_strings([SITE])[0]
    hypothetical = random.normal(0, 0.05, (n, length, 4)).astype(np.float32)
    for row, (start, flip) in enumerate(zip(starts, reverse, strict=True)):
        inside = slice(start, start + len(SITE))
        codes[row, inside] = sequences.reverse_complement(site) if flip else site
        strength = random.uniform(0.5, 1.5, (len(SITE), 1))
        hypothetical[row, inside] += strength * (sequences.one_hot(codes[row, inside]) - 0.25)
    contributions = (hypothetical * sequences.one_hot(codes)).sum(2)
    return codes, contributions, hypothetical, starts, reverse


@pytest.fixture(scope="module")
def found(planted) -> list[Pattern]:
    return motifs.discover(*planted[:3])


def test_a_planted_motif_is_found_where_it_is_on_both_strands(planted, found):
    _, contributions, _, starts, reverse = planted
    assert [(pattern.name, pattern.consensus) for pattern in found] == [("pos_1", SITE)]
    seqlets = found[0].seqlets
    assert found[0].count >= 190
    np.testing.assert_array_equal(seqlets.starts, starts[seqlets.rows])
    np.testing.assert_array_equal(seqlets.reverse, reverse[seqlets.rows])
    np.testing.assert_array_equal(found[0].ppm, sequences.one_hot(sequences.encode_strings([SITE]))[0])
    np.testing.assert_allclose(found[0].cwm.sum(1), 0.75, atol=0.1)
    inside = [contributions[row, start : start + len(SITE)].sum() for row, start in enumerate(starts)]
    np.testing.assert_allclose(found[0].scores, np.array(inside)[seqlets.rows], rtol=1e-5)
    np.testing.assert_allclose(found[0].importance, found[0].count * found[0].scores.mean())


def test_the_same_input_gives_the_same_patterns(planted, found):
    again = motifs.discover(*planted[:3])[0].seqlets
    np.testing.assert_array_equal(again.rows, found[0].seqlets.rows)
    np.testing.assert_array_equal(again.starts, found[0].seqlets.starts)


@pytest.mark.parametrize("arch", ["baseline", "modified"])
def test_a_trained_network_reads_the_motif_of_the_simulation(simulated, arch):
    recipe = replace(architectures.get(arch).recipe, epochs=6)
    split = splits.random_split(simulated, recipe)
    model = training.train(arch, recipe, (split.train, split.validation), 0).model
    test = split.test.take(np.flatnonzero(split.test.labels == 1))
    references = attribution.negative_references(split.train.codes, split.train.labels, 20, 0)
    explained = attribution.deep_shap(architectures.logit_model(model), sequences.one_hot(test.codes), references)
    first = motifs.discover(test.codes, explained.contributions, explained.hypothetical)[0]
    assert first.consensus == simulated.motif
    right = first.seqlets.starts == test.starts[first.seqlets.rows]
    assert right.mean() > 0.9 and first.count > 0.6 * len(test)
    hits = jaspar.match([first], jaspar.database("vertebrates"))[first.name]
    assert "Ets-related" in hits[0].motif.family and hits[0].motif.name.upper() in ("SPI1", "SPIB", "SPIC")


def test_nothing_that_recurs_gives_no_pattern_and_a_sentence():
    random = np.random.RandomState(1)
    codes = random.randint(0, 4, (60, 50), dtype=np.uint8)
    noise = random.normal(size=(60, 50, 4)).astype(np.float32)
    contributions = (noise * sequences.one_hot(codes)).sum(2)
    assert motifs.discover(codes, contributions, noise) == []
    assert motifs.discover(codes, 0 * contributions, 0 * noise) == []
    assert motifs.sentence([], 1234).startswith("TF-MoDISco found no motif: ")
    assert "1,234 explained" in motifs.sentence([], 1234)


def test_the_sentence_counts(found):
    assert motifs.sentence(found, 200) == (
        f"TF-MoDISco found 1 motif in 200 explained sequences; the most important one, {SITE}, occurs "
        f"{found[0].count} times and adds {found[0].importance / found[0].count:.2f} log-odds each time."
    )


def test_a_motif_that_was_found_twice_becomes_one(planted, monkeypatch):
    codes, contributions, hypothetical, starts, reverse = planted
    rows = np.arange(len(codes))
    whole = Seqlets(rows, starts, reverse, len(SITE))
    parts = [whole.take(rows < 120), whole.take(rows >= 110).moved(2, 12, flip=True)]
    given = [(part.rows, part.starts, part.reverse, part.width) for part in parts]
    monkeypatch.setattr(modisco, "find", lambda *_: given)
    (only,) = motifs.discover(codes, contributions, hypothetical)
    assert only.consensus == SITE
    np.testing.assert_array_equal(only.seqlets.rows, rows)
    np.testing.assert_array_equal(only.seqlets.starts, starts)
    np.testing.assert_array_equal(only.seqlets.reverse, reverse)


def test_stretches_that_all_reach_over_an_end_are_no_motif(planted, monkeypatch):
    over = (np.arange(50), np.full(50, -30), np.zeros(50, bool), 12)
    monkeypatch.setattr(modisco, "find", lambda *_: [over])
    assert motifs.discover(*planted[:3]) == []


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("offset", [-3, 0, 4])
def test_alignment_finds_the_shift_and_the_strand(flip, offset):
    random = np.random.RandomState(2)
    a = random.normal(size=(10, 4))
    b = np.zeros((10, 4))
    shared = slice(max(offset, 0), min(10, 10 + offset))
    b[shared.start - offset : shared.stop - offset] = a[shared]
    cosine, found_offset, found_flip = motifs.alignment(a, b[::-1, ::-1] if flip else b)
    assert (found_offset, found_flip) == (offset, flip)
    assert cosine == pytest.approx(np.linalg.norm(a[shared]) / np.linalg.norm(a))


def test_moving_and_flipping_stretches_keeps_them_on_their_bases():
    codes = sequences.encode_strings(["AACGTTTT", "AAAACGTT"])
    seqlets = Seqlets(np.array([0, 1]), np.array([1, 2]), np.array([False, True]), 4)
    read = lambda s: sequences.decode(motifs._letters(codes, s))  # noqa: E731
    assert read(seqlets) == ["ACGT", "CGTT"]
    assert read(seqlets.moved(1, 2)) == ["CG", "GT"]
    assert read(seqlets.moved(1, 2, flip=True)) == ["CG", "AC"]
    assert read(seqlets.moved(-2, 4)) == ["NAAC", "AACG"]


def test_information_content_in_closed_form():
    ppm = np.array([[0.25] * 4, [1, 0, 0, 0], [0.5, 0.5, 0, 0]])
    np.testing.assert_allclose(motifs.information(ppm), [[0] * 4, [2, 0, 0, 0], [0.5, 0.5, 0, 0]])


def test_a_flipped_pattern_is_the_other_strand(found):
    pattern, other = found[0], found[0].flipped()
    assert other.consensus == turned(SITE)
    np.testing.assert_array_equal(other.seqlets.starts, pattern.seqlets.starts)
    np.testing.assert_array_equal(other.flipped().cwm, pattern.cwm)


def test_positions_count_every_seqlet_at_its_middle():
    seqlets = Seqlets(np.arange(3), np.array([0, 0, 8]), np.zeros(3, bool), 2)
    pattern = Pattern("pos_1", np.zeros((2, 4)), np.full((2, 4), 0.25), seqlets, np.ones(3), 10)
    counts, edges = pattern.positions(5)
    assert counts.tolist() == [2, 0, 0, 0, 1]
    assert edges.tolist() == [0.5, 2.5, 4.5, 6.5, 8.5, 10.5]


def test_examples_are_the_strongest_the_median_and_the_weakest_on_sequences_of_their_own():
    seqlets = Seqlets(np.array([0, 0, 1, 2, 3, 4]), np.arange(6), np.zeros(6, bool), 2)
    scores = np.array([9.0, 8, 3, 5, 4, 1])
    pattern = Pattern("pos_1", np.zeros((2, 4)), np.full((2, 4), 0.25), seqlets, scores, 10)
    assert pattern.examples() == {"strongest": 0, "median": 4, "weakest": 5}


def test_files_name_the_letters_that_stand_there(planted, found, tmp_path):
    codes = planted[0]
    texts, ids = sequences.decode(codes), [f"s{i}" for i in range(len(codes))]
    motifs.write_tsv(tmp_path / "x.tsv", found, ids, codes)
    motifs.write_bed(tmp_path / "x.bed", found, ids)
    with (tmp_path / "x.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    assert len(rows) == found[0].count
    for row in rows:
        site = texts[int(row["sequence"][1:])][int(row["start"]) : int(row["end"])]
        assert row["site"] == (turned(site) if row["strand"] == "-" else site)
    bed = [line.split("\t") for line in (tmp_path / "x.bed").read_text().splitlines()]
    keys = ("sequence", "start", "end", "pattern", "strand")
    assert [[*b[:4], b[5]] for b in bed] == [[row[key] for key in keys] for row in rows]
    assert max(int(b[4]) for b in bed) == 1000


def test_what_does_not_fit_is_named(planted):
    codes, contributions, hypothetical, *_ = planted
    with pytest.raises(AttributionError, match=r"shape \(200, 50\).*received \(200, 49\)"):
        motifs.discover(codes, contributions[:, 1:], hypothetical)
    with pytest.raises(AttributionError, match="finite"):
        motifs.discover(codes, np.where(contributions > 0.5, np.nan, contributions), hypothetical)
