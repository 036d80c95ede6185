from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from tfbs import jaspar, motifs, sequences
from tfbs.errors import DataError, ParameterError
from tfbs.jaspar import Database, Motif
from tfbs.motifs import Pattern, Seqlets

MEME = """MEME version 4

ALPHABET= ACGT

MOTIF MA1 first one
letter-probability matrix: alength= 4 w= 2 nsites= 7 E= 0
 0.1 0.2 0.3 0.4
 1 0 0 0
URL https://example.org/MA1

MOTIF MA2
letter-probability matrix:
0.25\t0.25\t0.25\t0.25
"""


@pytest.fixture(scope="module")
def vertebrates() -> Database:
    return jaspar.database("vertebrates")


def pattern(name: str, ppm: np.ndarray) -> Pattern:
    seqlets = Seqlets(np.arange(3), np.arange(3), np.array([False, True, True]), len(ppm))
    return Pattern(name, ppm, ppm, seqlets, np.ones(3), 50)


def test_jaspar_is_the_latest_version_of_each_matrix(vertebrates):
    assert vertebrates.name == "JASPAR 2026 CORE vertebrates"
    ids = [motif.id for motif in vertebrates.motifs]
    assert len(ids) > 800
    assert len({name.split(".")[0] for name in ids}) == len(ids)
    spi1 = next(motif for motif in vertebrates.motifs if motif.id.startswith("MA0080."))
    assert spi1.name.upper() == "SPI1" and spi1.family == "Ets-related"
    assert spi1.url == f"https://jaspar.elixir.no/matrix/{spi1.id}/"
    assert "GGAA" in sequences.decode(spi1.ppm.argmax(1)[None])[0]
    np.testing.assert_allclose(spi1.ppm.sum(1), 1)


def test_every_motif_of_a_sample_finds_itself_on_either_strand(vertebrates):
    sample = vertebrates.motifs[::100]
    forward = [pattern(motif.id, motif.ppm) for motif in sample]
    reverse = [pattern(f"{motif.id} rc", motif.ppm[::-1, ::-1]) for motif in sample]
    matches = jaspar.match(forward + reverse, vertebrates)
    for motif in sample:
        for name, flip in ((motif.id, False), (f"{motif.id} rc", True)):
            best = matches[name][0]
            assert (best.motif.id, best.offset, best.overlap) == (motif.id, 0, len(motif.ppm))
            assert best.reverse == flip or np.allclose(motif.ppm, motif.ppm[::-1, ::-1], atol=0.2)
            np.testing.assert_array_equal(
                best.ppm, matches[name][0].motif.ppm[:: -1 if best.reverse else 1, :: -1 if best.reverse else 1]
            )


def test_offsets_overlaps_and_turning_in_closed_form(vertebrates):
    ctcf = next(motif for motif in vertebrates.motifs if motif.name == "CTCF" and len(motif.ppm) >= 15)
    width = len(ctcf.ppm)
    flank = np.full((3, 4), 0.25)
    cases = {
        "part": (ctcf.ppm[2:], 2, width - 2),
        "flanked": (np.vstack([flank, ctcf.ppm]), -3, width),
        "turned": (np.vstack([flank, ctcf.ppm, flank[:1]])[::-1, ::-1], -1, width),
    }
    patterns = [pattern(name, ppm) for name, (ppm, *_) in cases.items()]
    alone = Database("one", (ctcf,))
    matches = jaspar.match(patterns, alone)
    for name, (_, offset, overlap) in cases.items():
        (hit,) = matches[name]
        assert (hit.offset, hit.overlap, hit.reverse) == (offset, overlap, name == "turned")
    faced, turned = jaspar.orient(patterns, matches)
    assert [hits[0].reverse for hits in turned.values()] == [False] * 3
    assert turned["turned"][0].offset == -3
    np.testing.assert_array_equal(faced[2].ppm[3:-1], ctcf.ppm)
    assert faced[2].seqlets.reverse.tolist() == [True, False, False]
    assert faced[0] is patterns[0]


def test_q_values_are_those_of_benjamini_and_hochberg(vertebrates):
    from memelite import tomtom

    few = vertebrates.motifs[:100]
    p = tomtom([few[5].ppm.T.copy()], [motif.ppm.T.copy() for motif in few])[0, 0]
    expected = dict(zip([motif.id for motif in few], false_discovery_control(p.clip(0, 1)), strict=True))
    hits = jaspar.match([pattern("x", few[5].ppm)], Database("few", few), best=100)["x"]
    assert hits[0].motif == few[5]
    np.testing.assert_allclose([hit.q for hit in hits], [expected[hit.motif.id] for hit in hits])
    assert max(hit.q for hit in hits) <= jaspar.MAX_Q
    assert [hit.likeness for hit in hits] == sorted((hit.likeness for hit in hits), reverse=True)


def test_likeness_is_the_cosine_of_the_logos_as_they_lie():
    one, two = np.eye(4), np.vstack([np.full((1, 4), 0.25), np.eye(4)[:2]])
    assert jaspar._likeness(one, one, 0) == pytest.approx(1)
    assert jaspar._likeness(one, two, 1) == pytest.approx(2 / np.sqrt(4 * 2))
    assert jaspar._likeness(one, two, 0) == 0
    assert jaspar._likeness(one, one, -3) == 0


def test_what_resembles_nothing_has_no_match(vertebrates):
    flat = pattern("flat", np.full((8, 4), 0.25))
    assert jaspar.match([flat], vertebrates) == {"flat": []}
    assert jaspar.orient([flat], {"flat": []})[0] == [flat]
    assert jaspar.match([], vertebrates) == {}


def test_meme_files_are_read(tmp_path):
    (tmp_path / "own.meme").write_text(MEME)
    known = jaspar.database(str(tmp_path / "own.meme"))
    first, second = known.motifs
    assert known.name == "own.meme"
    assert (first.id, first.name, first.sites, first.url) == ("MA1", "first one", 7, "https://example.org/MA1")
    np.testing.assert_allclose(first.ppm, [[0.1, 0.2, 0.3, 0.4], [1, 0, 0, 0]])
    assert (second.id, second.name, second.sites, second.ppm.tolist()) == ("MA2", "", 0, [[0.25] * 4])


def test_what_is_written_in_meme_format_is_read_back_here_and_by_memelite(tmp_path, vertebrates):
    from memelite.io import read_meme

    path, written = tmp_path / "x.meme", vertebrates.motifs[:20]
    jaspar.write_meme(path, [*written, jaspar.as_motif(pattern("pos_1", written[0].ppm))])
    theirs = list(read_meme(str(path)).values())
    for ours, other, motif in zip(jaspar.read_meme(path).motifs, theirs, written, strict=False):
        assert (ours.id, ours.name, ours.sites, ours.url) == (motif.id, motif.name, motif.sites, motif.url)
        np.testing.assert_allclose(ours.ppm, motif.ppm, atol=2e-6)
        np.testing.assert_allclose(other.T, motif.ppm, atol=2e-6)
    assert len(theirs) == 21


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("MEME version 4", "", 'own.meme: expected a file in MEME format, received no line "MEME version"'),
        ("ACGT", "ACGU", 'own.meme, line 3: expected "ALPHABET= ACGT", received "ALPHABET= ACGU"'),
        ("MOTIF", "motif", 'own.meme: expected at least one line "MOTIF <name>", received none'),
        ("MOTIF MA2", "MOTIF", "own.meme, line 11: expected a name after MOTIF"),
        ("0.1 0.2", "0.1 x", r'own.meme, line 7: expected four probabilities .* received "0.1 x 0.3 0.4"'),
        ("0.1 0.2", "0.9 0.2", "own.meme, line 7: expected four probabilities .* that sum to 1"),
        ("w= 2", "w= 3", "own.meme, line 6: expected 3 lines of four probabilities below it, received 2"),
        ("letter-probability matrix:\n", "", 'own.meme, line 11: expected a line "letter-probability matrix'),
    ],
)
def test_meme_files_that_cannot_be_read_are_told_by_line(tmp_path, before, after, message):
    path = tmp_path / "own.meme"
    path.write_text(MEME.replace(before, after))
    with pytest.raises(DataError, match=message):
        jaspar.read_meme(path)


def test_a_database_that_is_neither_a_group_nor_a_file(tmp_path):
    with pytest.raises(ParameterError, match='received "vertebrate"; did you mean "vertebrates"'):
        jaspar.database("vertebrate")
    with pytest.raises(DataError, match="does not exist"):
        jaspar.database(str(tmp_path / "none.meme"))


def test_a_pattern_is_exported_under_its_consensus():
    ppm = sequences.one_hot(sequences.encode_strings(["ACGT"]))[0].astype(float)
    motif = jaspar.as_motif(pattern("pos_1", ppm))
    assert motif == Motif("pos_1", "ACGT", motif.ppm, 3)
    np.testing.assert_array_equal(motif.ppm, ppm)
    assert motifs.information(motif.ppm).sum() == 8
