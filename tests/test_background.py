from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ks_2samp

from tfbs import background, sequences
from tfbs.background import BLACKLISTED, ON_A_POSITIVE, Stretches, genomic, load_regions, shuffles, stretches
from tfbs.errors import DataError, ParameterError
from tfbs.genome import Genome
from tfbs.regions import BEYOND, MOSTLY_N, read_regions, windows

WIDTH = 51


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    """A cache folder of its own; the published files stay where they are."""
    if "published_files" in request.fixturenames:
        request.getfixturevalue("published_files")
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))


def patchwork(length: int, seed: int) -> str:
    """A chromosome whose GC content changes every 200 bp, with soft-masked stretches and some N."""
    random = np.random.RandomState(seed)
    letters = []
    for _ in range(length // 200):
        gc = random.uniform(0.2, 0.8)
        text = "".join(random.choice(list("ACGT"), 200, p=[(1 - gc) / 2, gc / 2, gc / 2, (1 - gc) / 2]))
        text = text[:190] + "N" + text[191:] if random.rand() < 0.3 else text
        letters.append(text.lower() if random.rand() < 0.3 else text)
    return "N" * 1000 + "".join(letters)[1000:]


@pytest.fixture
def folder(tmp_path):
    """A genome of two chromosomes, and peaks that favour high GC."""
    lengths = {"I": 200_000, "II": 100_000}
    letters = {name: patchwork(length, seed) for seed, (name, length) in enumerate(lengths.items())}
    (tmp_path / "genome.fa").write_text("".join(f">{name}\n{text}\n" for name, text in letters.items()))
    random = np.random.RandomState(3)
    lines = []
    for name, text in letters.items():
        for start in random.randint(2000, len(text) - 100, len(text) // 300):
            window = text[start - 25 : start + 26].upper()
            if window.count("G") + window.count("C") > random.randint(WIDTH, size=2).max():
                lines.append(f"chr{1 if name == 'I' else 2}\t{start}\t{start + 1}\n")
    (tmp_path / "peaks.bed").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def case(folder):
    """Genome, positive windows, and where not to draw."""
    genome, regions = Genome(folder / "genome.fa"), read_regions(folder / "peaks.bed")
    positives, _, _ = windows(regions, genome, WIDTH)
    return genome, positives, stretches(regions, genome, WIDTH)


def gc(codes: np.ndarray) -> np.ndarray:
    return np.array([(text.count("G") + text.count("C")) / len(text) for text in sequences.decode(codes)])


@pytest.mark.parametrize("ratio", [1, 3])
def test_the_background_is_like_the_positives_but_does_not_touch_them(case, ratio):
    genome, positives, avoid = case
    found = genomic(genome, positives, avoid, ratio, 1)
    assert len(found) == ratio * len(positives)
    assert np.array_equal(found.codes, genome.windows(found.chromosomes, found.starts, WIDTH).codes)
    assert np.array_equal(found.repeats, genome.windows(found.chromosomes, found.starts, WIDTH).repeats)
    assert (found.codes < sequences.N).all()
    for name in ("I", "II"):
        assert (found.chromosomes == name).sum() == ratio * (positives.chromosomes == name).sum()
        starts = np.sort(found.starts[found.chromosomes == name])
        assert (np.diff(starts) >= WIDTH).all()
        peaks = positives.starts[positives.chromosomes == name] + WIDTH // 2
        distance = np.abs(starts[:, None] + WIDTH // 2 - peaks).min()
        assert distance > WIDTH + WIDTH // 2
    assert ks_2samp(gc(found.codes), gc(positives.codes), method="asymp").pvalue > 0.5
    assert ks_2samp(found.repeats, positives.repeats, method="asymp").pvalue > 0.5


def test_a_random_background_would_differ(case):
    genome, positives, _ = case
    starts = np.random.RandomState(0).randint(1000, 99_000, len(positives))
    random = genome.windows(np.repeat("I", len(starts)), starts, WIDTH)
    assert ks_2samp(gc(random.codes), gc(positives.codes), method="asymp").pvalue < 1e-6


def test_the_seed_decides_and_a_chromosome_does_not_depend_on_the_others(case):
    genome, positives, avoid = case
    first, again, other = (genomic(genome, positives, avoid, 1, seed) for seed in (1, 1, 2))
    assert first.ids == again.ids
    assert first.ids != other.ids
    alone = genomic(genome, positives.take(np.flatnonzero(positives.chromosomes == "II")), avoid, 1, 1)
    assert alone.ids == first.take(np.flatnonzero(first.chromosomes == "II")).ids


def test_a_bin_that_is_empty_is_filled_from_the_nearest():
    content = np.array([[0.30, 0.0], [0.301, 0.0], [0.34, 0.0], [0.60, 0.0], [0.30, 1.0]])
    random = np.random.RandomState(0)
    rows, far = background._draw(content, np.array([[0.305, 0.0]] * 3), random)
    assert (sorted(rows), far) == ([0, 1, 2], 0)
    rows, far = background._draw(content, np.array([[0.305, 0.0]] * 4), random)
    assert (sorted(rows), far) == ([0, 1, 2, 4], 1)
    rows, far = background._draw(content, np.array([[0.305, 0.0]] * 5), random)
    assert (sorted(rows), far) == ([0, 1, 2, 3, 4], 2)


def test_overlap_counts_every_stretch_and_not_its_neighbours():
    random = np.random.RandomState(0)
    start = random.randint(0, 900, 12)
    avoid = Stretches(np.repeat(["a", "b"], 6), start, start + random.randint(1, 80, 12))
    starts = np.arange(1000)
    for name in ("a", "b", "c"):
        covered = np.zeros(1100, bool)
        for chromosome, begin, end in zip(avoid.chromosome, avoid.start, avoid.end, strict=True):
            covered[begin:end] |= chromosome == name
        expected = [covered[s : s + 20].any() for s in starts]
        assert avoid.overlap(name, starts, 20).tolist() == expected


def test_a_genome_that_is_too_small_is_refused(tmp_path, case):
    genome, positives, avoid = case
    with pytest.raises(
        DataError, match=r"genome\.fa: expected at least [\d,]+ background windows of 51 bp on I \(40 a"
    ):
        genomic(genome, positives, avoid, 40)
    text = "AT" * 20_000 + "GC" * 500
    (tmp_path / "small.fa").write_text(f">I\n{text}\n")
    small = Genome(tmp_path / "small.fa")
    rich = small.windows(["I"] * 15, np.arange(40_001, 40_900, 60), WIDTH)
    with pytest.raises(
        DataError, match=r"small\.fa: expected background windows like .* received 15 of 15 .* too small"
    ):
        genomic(small, rich, Stretches(np.array(["I"]), np.array([40_000]), np.array([41_000])))


def test_shuffles_keep_the_dinucleotides():
    codes = np.random.RandomState(0).randint(0, 4, (20, 40)).astype(np.uint8)
    found = shuffles(codes, 3, 5)
    assert found.shape == (60, 40)
    assert np.array_equal(found, shuffles(codes, 3, 5))
    for i, row in enumerate(found):
        pairs = [np.bincount(c[:-1] * 4 + c[1:], minlength=16).tolist() for c in (row, codes[i // 3])]
        assert pairs[0] == pairs[1]
        assert not np.array_equal(row, codes[i // 3])


@pytest.mark.parametrize("negatives", ["genomic", "shuffle"])
def test_peaks_and_genome_make_a_data_set(folder, negatives):
    data = load_regions(folder / "peaks.bed", folder / "genome.fa", WIDTH, negatives, ratio=2, seed=4)
    positives = int(data.labels.sum())
    assert data.name == "peaks.bed"
    assert (data.codes.shape, data.codes.dtype) == ((3 * positives, WIDTH), np.uint8)
    assert data.labels.tolist() == [1] * positives + [0] * (2 * positives)
    assert len(set(data.ids)) == len(data.ids) == len(data)
    assert list(data.groups) == [name.split(":")[0] for name in data.ids]
    assert dict(data.dropped) == {}
    again = load_regions(folder / "peaks.bed", folder / "genome.fa", WIDTH, negatives, ratio=2, seed=4)
    other = load_regions(folder / "peaks.bed", folder / "genome.fa", WIDTH, negatives, ratio=2, seed=5)
    assert data.digest == again.digest != other.digest
    if negatives == "shuffle":
        assert data.ids[positives : positives + 2] == [f"{data.ids[0]}:shuffle1", f"{data.ids[0]}:shuffle2"]


def test_a_blacklist_is_left_out_of_both_classes(folder):
    (folder / "blacklist.bed").write_text("chr1\t10000\t60000\nchrM\t0\t10\n")
    files = folder / "peaks.bed", folder / "genome.fa", WIDTH
    without = load_regions(*files)
    data = load_regions(*files, blacklist=folder / "blacklist.bed")
    spans = [(name.split(":")[0], *map(int, name.split(":")[1].split("-"))) for name in without.ids]
    hit = [name == "I" and start < 60_000 and end > 10_000 for name, start, end in spans]
    assert data.dropped == {BLACKLISTED: sum(hit[: int(without.labels.sum())])}
    assert data.dropped[BLACKLISTED] > 10
    spans = [(name.split(":")[0], *map(int, name.split(":")[1].split("-"))) for name in data.ids]
    assert not any(name == "I" and start < 60_000 and end > 10_000 for name, start, end in spans)


def test_negatives_of_a_file(folder):
    first = read_regions(folder / "peaks.bed")
    lines = [f"chr2\t{start}\t{start + 1}\n" for start in range(2000, 99_000, 500)]
    lines += [
        f"{first.chromosome[0]}\t{first.start[0] + 3}\t{first.start[0] + 4}\n",
        "chr1\t3\t4\n",
        "chr1\t500\t501\n",
    ]
    (folder / "others.bed").write_text("".join(lines))
    files = folder / "peaks.bed", folder / "genome.fa", WIDTH
    data = load_regions(*files, negatives=str(folder / "others.bed"), ratio=7)
    negatives = len(data) - int(data.labels.sum())
    assert data.dropped[f"negatives: {BEYOND}"] == data.dropped[f"negatives: {MOSTLY_N}"] == 1
    assert data.dropped[f"negatives: {ON_A_POSITIVE}"] >= 1
    assert negatives + sum(data.dropped.values()) == len(lines)
    assert set(data.groups[-negatives:]) == {"II"}


@pytest.mark.parametrize(
    ("given", "error", "expected"),
    [
        (
            {"ratio": 0},
            ParameterError,
            "ratio: expected a whole number of negatives a positive, at least 1, received 0",
        ),
        ({"ratio": 1.5}, ParameterError, r"ratio: expected .* received 1\.5"),
        ({"seed": -1}, ParameterError, "seed: expected a whole number from 0 to 4294967295, received -1"),
        ({"width": 0}, ParameterError, "width: expected at least 1 bp, received 0"),
        (
            {"negatives": "shufle"},
            ParameterError,
            'expected genomic, shuffle or the path .* "shufle"; did you mean "shuf',
        ),
        ({"negatives": "absent.bed"}, DataError, r"absent\.bed, which does not exist"),
        ({"width": 250_000}, DataError, "with a window of 250000 bp in genome.fa, received none"),
    ],
)
def test_requests_that_make_no_data_set(folder, given, error, expected):
    with pytest.raises(error, match=expected):
        load_regions(folder / "peaks.bed", folder / "genome.fa", **{"width": WIDTH, **given})


def test_a_class_that_is_too_small_is_refused(folder):
    (folder / "few.bed").write_text("chr1\t5000\t5001\nchr1\t5\t6\n")
    with pytest.raises(DataError, match=r"few\.bed: expected at least 10 positives, received 1 \(1 window beyond the"):
        load_regions(folder / "few.bed", folder / "genome.fa", WIDTH)
    with pytest.raises(DataError, match=r"few\.bed: expected at least 10 negatives, received 1 \(1 window beyond the"):
        load_regions(folder / "peaks.bed", folder / "genome.fa", WIDTH, str(folder / "few.bed"))


@pytest.mark.data
@pytest.mark.parametrize(("factor", "count", "artefacts"), [("Reb1", 1078, 29), ("Abf1", 724, 5), ("Fkh1", 625, 7)])
def test_yeast(published_files, factor, count, artefacts):
    folder = published_files / "yeast"
    genome = folder / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz"
    data = load_regions(folder / "peaks" / f"{factor}_CX.bed", genome, blacklist=folder / "blacklist.bed")
    positives = data.labels == 1
    assert data.dropped == {BLACKLISTED: artefacts}
    assert positives.sum() == (~positives).sum() == count - artefacts
    groups = np.array(data.groups)
    assert sorted(groups[positives]) == sorted(groups[~positives])
    assert set(groups) <= set(Genome(genome).names)
    assert ks_2samp(gc(data.codes[positives]), gc(data.codes[~positives]), method="asymp").pvalue > 0.9
