from __future__ import annotations

import gzip
import time

import numpy as np
import pytest

from tfbs import sequences
from tfbs.errors import DataError
from tfbs.genome import Genome
from tfbs.regions import BEYOND, MOSTLY_N, SAME_PLACE, read_regions, windows

BED = """track name="peaks"
browser position chr1:1-100
# chromosome start end
chr2\t10\t21\tfirst\t0\t-\n
chr1\t5\t6\tsecond\t3.5\t+
chr1\t0\t100\tthird\t0\t.
"""
NARROW = "chr1\t10\t30\tpeak\t0\t.\t5.1\t-1\t-1\t{summit}\n"


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    """A cache folder of its own; the published files stay where they are."""
    if "published_files" in request.fixturenames:
        request.getfixturevalue("published_files")
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))


def write(path, text: str, encoding: str = "utf-8"):
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def make_genome(folder, **letters: str) -> Genome:
    text = "".join(
        f">{name}\n" + "".join(f"{line[at : at + 50]}\n" for at in range(0, len(line), 50))
        for name, line in letters.items()
    )
    return Genome(write(folder / "genome.fa", text))


def random_letters(length: int, seed: int = 0) -> str:
    return "".join(np.random.RandomState(seed).choice(list("ACGTacgt"), length))


@pytest.mark.parametrize("name", ["x.bed", "x.bed.gz", "x"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("separator", ["\t", " "])
def test_bed_in_every_packing(tmp_path, name, line_end, encoding, separator):
    text = BED.replace("\t", separator).replace("\n", line_end)
    regions = read_regions(write(tmp_path / name, text, encoding))
    assert len(regions) == 3
    assert regions.chromosome.tolist() == ["chr2", "chr1", "chr1"]
    assert regions.start.tolist() == [10, 5, 0]
    assert regions.end.tolist() == [21, 6, 100]
    assert regions.summit.tolist() == [-1, -1, -1]
    assert regions.centre.tolist() == [15, 5, 50]
    assert regions.strand.tolist() == ["-", "+", "."]
    assert regions.name.tolist() == ["first", "second", "third"]
    assert regions.line.tolist() == [4, 6, 7]
    assert regions.take(np.array([2])).name.tolist() == ["third"]


def test_three_columns_are_enough(tmp_path):
    regions = read_regions(write(tmp_path / "x.bed", "chrtrack\t1\t3\n"))
    assert (regions.name.tolist(), regions.strand.tolist()) == (["chrtrack:1-3"], ["."])


def test_narrow_peak_holds_the_summit(tmp_path):
    text = "".join(NARROW.format(summit=summit) for summit in (0, 19, -1))
    regions = read_regions(write(tmp_path / "x.narrowPeak", text))
    assert regions.summit.tolist() == [10, 29, -1]
    assert regions.centre.tolist() == [10, 29, 20]


def test_column_six_is_the_strand_only_if_it_is_one(tmp_path):
    other = read_regions(write(tmp_path / "x.bed", "chr1\t1\t3\ta\t0\t17.5\nchr1\t1\t3\n"))
    assert other.strand.tolist() == [".", "."]
    with pytest.raises(DataError, match=r'x\.bed, line 2: expected the strand .* received "17\.5"'):
        read_regions(write(tmp_path / "x.bed", "chr1\t1\t3\ta\t0\t+\nchr1\t1\t3\ta\t0\t17.5\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"x\.bed: expected at least one region, received none"),
        ("# nothing\n\n", r"x\.bed: expected at least one region, received none"),
        ("chr1\t1\n", r'x\.bed, line 1: expected chromosome, start and end, received 2 columns \("chr1 1"\)'),
        ("chr1\n", r"line 1: .* received 1 column \("),
        ("\t1\t2\n", r"line 1: expected chromosome, start and end"),
        ("chrom\tstart\tend\n", r'line 1: expected start and end as whole numbers from 0, received "start".*header'),
        ("chr1\t1\t2\nchr1\t-1\t2\n", r'line 2: .* received "-1"'),
        ("chr1\t1\t2.0\n", r'line 1: .* received "2\.0"'),
        ("chr1\t1\t\n", r'line 1: .* received ""'),
        ("chr1\t1\t²\n", r'line 1: .* received "²"'),
        ("chr1\t1\t99999999999999999999\n", r'line 1: .* received "99999999999999999999"'),
        ("chr1\t7\t7\n", r"line 1: expected a start before the end, received 7 and 7"),
        (NARROW.format(summit=20), r'line 1: expected in column 10 .* from 0 to 19, or -1, received "20"'),
        (NARROW.format(summit="x"), r'line 1: expected in column 10 .* received "x"'),
    ],
)
def test_lines_that_are_no_region(tmp_path, text, expected):
    with pytest.raises(DataError, match=expected):
        read_regions(write(tmp_path / "x.bed", text))


@pytest.mark.parametrize("width", [1, 20, 21])
def test_windows_equal_slices_by_hand_and_the_centre_stays_in_place(tmp_path, width):
    letters = random_letters(400)
    genome = make_genome(tmp_path, I=letters, II=random_letters(400, 1))
    text = "".join(f"chr1\t{start}\t{start + 7}\tx\t0\t{strand}\n" for start in range(50, 300, 3) for strand in "+-")
    text = "".join(line for at, line in enumerate(text.splitlines(True)) if (at // 2 + at) % 2)
    regions = read_regions(write(tmp_path / "x.bed", text))
    found, kept, dropped = windows(regions, genome, width)
    assert dropped == {}
    assert kept.tolist() == list(range(len(regions)))
    assert set(regions.strand) == {"+", "-"}
    assert set(found.chromosomes) == {"I"}
    pairs = dict(zip("ACGT", "TGCA", strict=True))
    for i, decoded in enumerate(sequences.decode(found.codes)):
        window = letters[found.starts[i] : found.starts[i] + width].upper()
        minus = regions.strand[i] == "-"
        assert decoded == ("".join(pairs[base] for base in reversed(window)) if minus else window)
        centre = letters[regions.start[i] + 3].upper()
        assert decoded[width // 2] == (pairs[centre] if minus else centre)


def test_what_is_dropped_is_counted(tmp_path):
    genome = make_genome(tmp_path, chr1="ACGTA" * 40, chr2="N" * 61 + "A" * 39)
    lines = [
        "chr1\t9\t10",  # begins at -1
        "chr1\t10\t11",  # 0 to 21
        "chr1\t189\t190",  # 179 to 200
        "chr1\t190\t191",  # ends at 201
        "chr1\t5\t16\tx\t0\t-",  # centre 10 again
        "chr1\t50000\t50001",  # far beyond
        "chr2\t60\t61",  # 11 N of 21
        "chr2\t61\t62",  # 10 N of 21
    ]
    regions = read_regions(write(tmp_path / "x.bed", "\n".join(lines)))
    assert windows(regions.take(np.array([6, 7])), genome, 2)[1].tolist() == [1], "one N of two is not more than half"
    found, kept, dropped = windows(regions, genome, 21)
    assert dropped == {BEYOND: 3, SAME_PLACE: 1, MOSTLY_N: 1}
    assert kept.tolist() == [1, 2, 7]
    assert found.ids == ["chr1:0-21", "chr1:179-200", "chr2:51-72"]
    assert len(regions) == len(kept) + sum(dropped.values())


def test_no_window_left_says_why(tmp_path):
    genome = make_genome(tmp_path, chr1="A" * 100)
    regions = read_regions(write(tmp_path / "x.bed", "chr1\t500\t600\nchr1\t0\t2\n"))
    with pytest.raises(
        DataError,
        match=r"x\.bed: expected .* with a window of 51 bp in genome\.fa, received none \(2 window beyond the end",
    ):
        windows(regions, genome, 51)


def test_another_naming_is_refused_by_the_name_of_the_file(tmp_path):
    genome = make_genome(tmp_path, chr1="A" * 100)
    with pytest.raises(DataError, match=r"peaks\.bed: expected chromosomes of genome\.fa \(chr1\), received chr7"):
        windows(read_regions(write(tmp_path / "peaks.bed", "chr7\t50\t60\n")), genome, 11)


def test_a_hundred_thousand_regions_take_seconds(tmp_path):
    genome = make_genome(tmp_path, chr1=random_letters(1_000_000), chr2=random_letters(1_000_000, 1))
    starts = np.random.RandomState(0).randint(1000, 990_000, 100_000)
    text = "".join(NARROW.replace("10\t30", f"{s}\t{s + 20}").format(summit=7) for s in starts.tolist())
    path = write(tmp_path / "x.narrowPeak", text.replace("chr1", "2", 50_000))
    began = time.perf_counter()
    found, kept, dropped = windows(read_regions(path), genome, 101)
    assert time.perf_counter() - began < 10
    assert len(found) == len({*starts[:50_000].tolist()}) + len({*starts[50_000:].tolist()})
    assert dropped == {SAME_PLACE: 100_000 - len(kept)}


@pytest.mark.data
@pytest.mark.parametrize(("factor", "count"), [("Reb1", 1078), ("Abf1", 724), ("Fkh1", 625)])
def test_yeast_peaks(published_files, factor, count):
    folder = published_files / "yeast"
    genome = Genome(folder / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz")
    regions = read_regions(folder / "peaks" / f"{factor}_CX.bed")
    alias = dict(line.split("\t") for line in (folder / "chrom_alias.tsv").read_text().splitlines())
    resolved = genome.resolve(regions.chromosome)
    assert resolved == {name: alias[name] for name in resolved}
    found, kept, dropped = windows(regions, genome, 101)
    assert (len(kept), dropped) == (count, {})
    whole = {name: sequences.decode(genome.codes(name, 0, length)[None])[0] for name, length in genome.lengths.items()}
    expected = [
        whole[alias[name]][start - 50 : start + 51]
        for name, start in zip(regions.chromosome.tolist(), regions.start.tolist(), strict=True)
    ]
    assert sequences.decode(found.codes) == expected
    if factor == "Reb1":
        for site in ("TTACCCG", "CGGGTAA"):
            places = np.array([text.find(site) for text in expected])
            assert np.bincount(places[places >= 0]).argmax() == 47, "the published site stands about the summit"
