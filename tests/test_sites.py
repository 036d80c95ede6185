from __future__ import annotations

import itertools

import numpy as np
import pytest

from tfbs import jaspar, sequences, sites, variants
from tfbs.effects import Effect, Tally
from tfbs.genome import Genome
from tfbs.jaspar import Motif
from tfbs.pairs import Pair
from tfbs.sites import Scanner
from tfbs.variants import Cutter, Frame
from tfbs.vcf import Record

SPI1 = "AGAGGAAG"
LONG = "AAAGAGGAAGTG"


def codes(letters: str) -> np.ndarray:
    return np.array(["ACGTN".index(letter) for letter in letters], np.uint8)


def sharp(consensus: str, name: str = "") -> Motif:
    return Motif(consensus, name, np.where(np.eye(4)[codes(consensus)], 0.91, 0.03))


def drawn(random, width: int) -> Motif:
    return Motif(f"w{width}", "", random.dirichlet([0.3] * 4, width))


@pytest.mark.parametrize("width", [5, 6, 8])
def test_thresholds_are_those_of_all_sequences(width):
    random = np.random.RandomState(width)
    words = np.array(list(itertools.product(range(4), repeat=width)))
    for _ in range(5):
        scores = sites.log_odds(drawn(random, width).ppm)
        totals = scores[np.arange(width), words].sum(1)
        limit, p = sites.threshold(scores)
        assert p == pytest.approx((totals >= limit).mean(), rel=1e-9)
        if (totals == totals.max()).mean() > sites.P:
            assert p == (totals == totals.max()).mean()
        else:
            assert p <= sites.P < (totals >= totals[totals < limit].max()).mean()


def naive(motif: Motif, stretch: np.ndarray, flank: int) -> int:
    """Best score over both strands and all sites that overlap what stands between the flanks."""
    scores, width = sites.log_odds(motif.ppm), len(motif.ppm)
    table = np.vstack([scores.T, np.zeros(width, int)])
    starts = range(flank - width + 1, len(stretch) - flank)
    words = [stretch[at : at + width] for at in starts]
    both = [*words, *map(sequences.reverse_complement, words)]
    return max(int(table[word, np.arange(width)].sum()) for word in both)


def test_best_sites_are_those_of_a_loop_over_overlapping_words(monkeypatch):
    monkeypatch.setattr(sites, "_TOGETHER", 3)
    random = np.random.RandomState(0)
    scanner = Scanner([drawn(random, width) for width in (7, 12, 20, 9, 9, 15, 8)])
    assert (scanner.flank, len(scanner.motifs)) == (19, 7)
    lengths = [1, 0, 5, 1, 40, 0, 2]
    stretches = [random.randint(0, 5, 2 * scanner.flank + length).astype(np.uint8) for length in lengths]
    expected = [[naive(motif, stretch, scanner.flank) for motif in scanner.motifs] for stretch in stretches]
    assert np.array_equal(scanner.best(stretches), expected)


def named(scanner: Scanner, left: str, ref: str, alt: str, right: str) -> list[str]:
    """What the change of `ref` to `alt` between two stretches, filled up with N, makes and breaks."""
    flanks = left.rjust(scanner.flank, "N")[-scanner.flank :], right.ljust(scanner.flank, "N")[: scanner.flank]
    [changes] = scanner.changes([tuple(codes(flanks[0] + allele + flanks[1]) for allele in (ref, alt))])
    return list(map(str, changes))


@pytest.mark.parametrize("strand", [1, -1])
def test_sites_are_made_and_broken_by_substitutions_insertions_and_deletions(strand):
    site = SPI1 if strand > 0 else sequences.decode(sequences.reverse_complement(codes(SPI1))[None])[0]
    scanner = Scanner([sharp(SPI1, "SPI1"), sharp("CACGTGACCCAT")])
    lost, gained = [f"lost {SPI1} (SPI1)"], [f"gained {SPI1} (SPI1)"]
    for left, ref, alt, right in (
        (site[:5], site[5], "ACGT"[3 - "ACGT".index(site[5])], site[6:]),
        (site[:6], "", "CA", site[6:]),
        (site[:3], site[3:6], "", site[6:]),
        ("C", site, "", "C"),
    ):
        assert named(scanner, left, ref, alt, right) == lost
        assert named(scanner, left, alt, ref, right) == gained
    assert named(scanner, f"{site}TT", "A", "C", "GG") == [], "a site beside the change is in both alleles"
    assert named(scanner, site[:5], "", site[:5], site[5:]) == [], "the duplication leaves one site"


def test_a_site_that_stays_one_is_weakened_or_strengthened_by_a_tenfold_change():
    scanner = Scanner([sharp(LONG)])
    assert named(scanner, LONG[:5], LONG[5], "C", LONG[6:]) == [f"weakened {LONG}"]
    assert named(scanner, LONG[:5], "C", LONG[5], LONG[6:]) == [f"strengthened {LONG}"]
    slight = sharp(LONG).ppm
    slight[5] = (0.19, 0.08, 0.7, 0.03)
    bits = np.log2((np.array([0.19, 0.08, 0.03]) + 0.01) / 0.71)
    assert (bits > -np.log2(10)).tolist() == [True, True, False]
    found = [named(Scanner([Motif("x", "", slight)]), LONG[:5], LONG[5], other, LONG[6:]) for other in "ACT"]
    assert found == [[], [], ["weakened x"]]


def test_the_motifs_whose_best_score_changes_most_are_named_first_and_few():
    motifs = [Motif(f"m{k}", "", k / 100 * sharp(SPI1).ppm + (1 - k / 100) / 4) for k in (94, 98, 96, 100)]
    assert named(Scanner(motifs), SPI1[:3], SPI1[3], "C", SPI1[4:]) == ["lost m100", "lost m98", "lost m96"]
    scanner = Scanner([sharp("ACGT"), sharp("ACGTA"), Motif("flat", "", np.full((20, 4), 0.25))])
    assert [motif.id for motif in scanner.motifs] == ["ACGTA"]
    assert named(scanner, "AC", "G", "C", "TA") == ["lost ACGTA"]
    assert Scanner([]).changes([(codes("A"), codes("C"))]) == [()]


def test_codes_are_fit_for_info():
    assert sites.Change("lost", Motif("pos_1", "SPI1", np.zeros((0, 4)))).code == "lost:pos_1"
    code = sites.Change("gained", Motif("a;b=c,d|e:f", "", np.zeros((0, 4)))).code
    assert code == "gained:a%3Bb%3Dc%2Cd%7Ce%3Af"


def test_variants_of_a_genome_are_named_in_batches_and_only_notable_ones_by_many_motifs(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(sites, "BATCH", 2)
    letters = f"CCC{SPI1[:6]}{'CT' * 10}{SPI1}{'CT' * 10}"
    (tmp_path / "g.fa").write_text(f">chr1\n{letters}\n")
    cutter = Cutter(Genome(tmp_path / "g.fa"), Frame(20), {"1": "chr1"})
    at = letters.index(SPI1)
    records = [
        Record(1, ["1", "1", ".", "C", "<DEL>"]),
        Record(2, ["1", "5", ".", "A", "C"]),
        Record(3, ["1", str(at + 6), ".", SPI1[5:7], f"{SPI1[5:7]}T,{SPI1[5]},C{SPI1[6]}"]),
        Record(4, ["1", "9", ".", "A", f"A{SPI1[6:]}"]),
        Record(5, ["1", str(len(letters)), ".", "T", "G"]),
    ]
    alike = [Effect(0, 1, 10.0), Effect(0, 1, 95.0), Effect(0, 1)]
    scored = [["no"], alike[:1], alike, alike[:1], alike[:1]]
    scanner = Scanner([sharp(SPI1)])

    def kinds(of: Scanner) -> list[list[list[str]]]:
        found = list(of.name(zip(records, map(list, scored), strict=True), cutter.around))
        assert [record for record, _ in found] == records
        assert found[0][1] == ["no"]
        return [[[change.kind for change in effect.motifs] for effect in effects] for _, effects in found[1:]]

    assert kinds(scanner) == [[[]], [["lost"]] * 3, [["gained"]], [[]]]
    monkeypatch.setattr(sites, "MANY", 0)
    assert kinds(scanner) == [[[]], [[], ["lost"], ["lost"]], [[]], [[]]]
    assert kinds(Scanner([])) == [[[]], [[], [], []], [[]], [[]]]


def test_pairs_are_compared_where_they_differ():
    scanner = Scanner([sharp(SPI1)])
    whole = f"ca{SPI1}CTC"
    for pair, expected in (
        (Pair("x", whole, whole.replace("GAGG", "gacg")), ["lost"]),
        (Pair("x", whole.replace("GAAG", "CATG"), whole), ["gained"]),
        (Pair("x", whole, "g" + whole[1:]), []),
        (Pair("x", whole, whole), []),
    ):
        [changes] = scanner.changes([variants.pair_around(pair, 0, scanner.flank)])
        assert [change.kind for change in changes] == expected


def test_motifs_come_from_a_file_and_strong_variants_with_one_are_counted(tmp_path):
    jaspar.write_meme(tmp_path / "m.meme", [sharp(SPI1, "SPI1")])
    [motif] = Scanner(jaspar.database(str(tmp_path / "m.meme")).motifs).motifs
    lost = (sites.Change("lost", motif),)
    assert str(lost[0]) == f"lost {SPI1} (SPI1)"
    tally = Tally()
    for percentile, motifs in ((99.5, lost), (99.5, ()), (50.0, lost), (float("nan"), lost)):
        tally.add("", Effect(0, 1, percentile, motifs))
    assert (tally.strong, tally.sites) == (2, 2)
