from __future__ import annotations

import itertools

import numpy as np
import pytest

from tfbs import sequences, variants
from tfbs.errors import DataError, ParameterError
from tfbs.genome import Genome
from tfbs.pairs import Pair
from tfbs.regions import BEYOND
from tfbs.variants import HOLDS_N, MISMATCH, NO_BASES, TOO_LONG, UNKNOWN, Cutter, Frame, Request, trimmed
from tfbs.vcf import Record, Vcf

WIDTH = 21
LETTERS = "".join(np.random.RandomState(0).choice(list("ACGT"), 400))
WITH_N = "ACGT" * 20 + "R" + "ACGT" * 20


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    path = tmp_path / "g.fa"
    path.write_text(f">chr1\n{LETTERS[:200].lower()}{LETTERS[200:]}\n>chr2\n{WITH_N}\n")
    return Genome(path)


@pytest.fixture
def cutter(genome):
    return Cutter(genome, Frame(WIDTH, 3), {"1": "chr1", "2": "chr2"})


def record(position, ref, alt, chromosome="1"):
    return Record(1, [chromosome, str(position), ".", ref, alt, ".", ".", "."])


@pytest.mark.parametrize(
    ("width", "shifts", "expected"), [(50, 1, [0]), (50, 5, [-10, -5, 0, 5, 10]), (8, 9, [-2, -1, 0, 1, 2])]
)
def test_shifts_are_spread_evenly_and_stay_inside_the_window(width, shifts, expected):
    assert Frame(width, shifts).offsets.tolist() == expected


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "G", (0, "A", "G")),
        ("CA", "C", (1, "A", "")),
        ("C", "CAT", (1, "", "AT")),
        ("ACG", "ATG", (1, "C", "T")),
        ("CAAA", "CA", (1, "AA", "")),
        ("AC", "GT", (0, "AC", "GT")),
        ("A", "A", (0, "", "")),
    ],
)
def test_alleles_are_trimmed_to_what_changes(ref, alt, expected):
    assert trimmed(ref, alt) == expected


def test_every_window_is_cut_from_the_changed_chromosome_with_the_change_in_the_middle(cutter):
    """Against strings: each allele is written into the chromosome, and its windows are looked up there."""
    random = np.random.RandomState(1)
    for position, size, inserted in itertools.product((60, 173, 330), (1, 2, 5), ("", "G", "TT", "ACGTA")):
        at, ref = position - 1, LETTERS[position - 1 : position - 1 + size]
        alt = (ref[0] + inserted) if size > 1 or inserted else random.choice([c for c in "ACGT" if c != ref])
        [cut] = cutter.windows(record(position, ref if random.rand() < 0.5 else ref.lower(), alt))
        assert cut.shape == (2, 3, WIDTH) and cut.dtype == np.uint8
        skipped, *changed = trimmed(ref, alt)
        for allele, change, windows in zip((ref, alt), changed, cut, strict=True):
            whole = LETTERS[:at] + allele + LETTERS[at + size :]
            for shift, letters in zip((-5, 0, 5), sequences.decode(windows), strict=True):
                start = at + skipped - (WIDTH - len(change)) // 2 + shift
                assert letters == whole[start : start + WIDTH]
                assert 0 <= at + skipped - start <= WIDTH - len(change)


def test_windows_may_touch_the_ends_of_the_chromosome(cutter):
    for position in (16, 400 - 15):
        assert isinstance(cutter.windows(record(position, LETTERS[position - 1], "N"))[0], str)
        alt = "A" if LETTERS[position - 1] != "A" else "C"
        assert not isinstance(cutter.windows(record(position, LETTERS[position - 1], alt))[0], str)
    for position in (15, 400 - 14):
        assert cutter.windows(record(position, LETTERS[position - 1], "A" * 2)) == [BEYOND]


@pytest.mark.parametrize(
    ("position", "ref", "alt", "chromosome", "reasons"),
    [
        (100, LETTERS[99], "<DEL>", "1", [NO_BASES]),
        (100, "N", "*,.", "7", [NO_BASES, NO_BASES]),
        (100, LETTERS[99], "A", "7", [UNKNOWN]),
        (100, "ACGT"["CGTA".index(LETTERS[99])], "A,<INS>", "1", [MISMATCH, NO_BASES]),
        (500, "A", "C", "1", [MISMATCH]),
        (400, LETTERS[399] + "A", "C", "1", [MISMATCH]),
        (0, "A", "C", "1", [MISMATCH]),
        (100, LETTERS[99:120], LETTERS[99], "1", [TOO_LONG]),
        (100, LETTERS[99], LETTERS[99] + "ACGT" * 3, "1", [TOO_LONG]),
        (75, "G", "A", "2", [HOLDS_N]),
        (81, "N", "A", "2", [HOLDS_N]),
        (100, LETTERS[99], "R", "1", [HOLDS_N]),
    ],
)
def test_what_cannot_be_scored_has_a_reason(cutter, position, ref, alt, chromosome, reasons):
    assert cutter.windows(record(position, ref, alt, chromosome)) == reasons


def test_alleles_of_one_record_are_cut_each(cutter):
    base = LETTERS[99]
    others = [letter for letter in "ACGT" if letter != base]
    alleles = [others[0], "<DEL>", base + others[1]]
    cut = cutter.windows(record(100, base, ",".join(alleles)))
    assert cut[1] == NO_BASES
    for alone, together in zip((0, 2), (cut[0], cut[2]), strict=True):
        assert np.array_equal(cutter.windows(record(100, base, alleles[alone]))[0], together)


def test_records_that_differ_from_the_genome_are_all_listed(cutter, tmp_path):
    wrong = ["ACGT"["CGTA".index(letter)] for letter in LETTERS]
    rows = [f"1\t{p}\t.\t{wrong[p - 1] if p % 2 else LETTERS[p - 1]}\tA" for p in range(50, 60)]
    rows += ["1\t70\t.\tN\t<DEL>", "7\t1\t.\tA\tC", "1\t900\t.\tA\tC"]
    path = tmp_path / "x.vcf"
    path.write_text("\n".join(rows))
    with pytest.raises(DataError) as raised:
        cutter.check(Vcf(path).records(), "x.vcf")
    message = str(raised.value)
    assert message.startswith("x.vcf: expected in REF what g.fa has there, received 6 records with something else: ")
    for line, position in ((2, 51), (4, 53), (6, 55), (8, 57), (10, 59)):
        assert f"line {line} (1:{position}) has {wrong[position - 1]}, the genome {LETTERS[position - 1]}" in message
    assert "line 13 (1:900) has A, the genome none" in message
    assert message.endswith("or leave these out with mismatch=skip.") and "\n" not in message
    cutter.check(list(Vcf(path).records())[0:10:2], "x.vcf")


def test_context_shows_the_change_among_its_neighbours(cutter):
    assert cutter.context(record(100, LETTERS[99], "N"), "N") == f"{LETTERS[92:99]}[{LETTERS[99]}/N]{LETTERS[100:107]}"
    deleted = record(100, LETTERS[99:102], LETTERS[99])
    ref, alt = trimmed(LETTERS[99:102], LETTERS[99])[1:]
    assert cutter.context(deleted, LETTERS[99]).count(f"[{ref}/{alt}]") == 1
    assert cutter.context(record(1, LETTERS[0], "N"), "N") == f"[{LETTERS[0]}/N]{LETTERS[1:8]}"


def test_pairs_are_their_own_windows():
    [cut] = variants.pair_windows(Pair("x", "ACGT", "acga"))
    assert cut.tolist() == [[[0, 1, 2, 3]], [[0, 1, 2, 0]]]
    assert variants.pair_windows(Pair("x", "ACGN", "ACGT")) == [HOLDS_N]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "vcf: expected either vcf= or pairs=, received neither: give one of them."),
        ({"vcf": "a", "pairs": "b"}, "vcf: expected either vcf= or pairs=, received both: give one of them."),
        ({"vcf": "a"}, "genome: expected the FASTA on which the variants were called, received none."),
        ({"pairs": "a", "model": "b", "run_id": "c"}, "model: expected either model= or run_id=, received both"),
        ({"pairs": "a", "shifts": 0}, 'shifts: expected a whole number from 1 to 21, received "0".'),
        (
            {"pairs": "a", "mismatch": "skp"},
            'mismatch: expected one of refuse, skip, received "skp"; did you mean "skip"?',
        ),
    ],
)
def test_requests_that_make_no_sense_are_refused(given, message):
    with pytest.raises(ParameterError) as raised:
        Request(**given)
    assert str(raised.value).startswith(message)
