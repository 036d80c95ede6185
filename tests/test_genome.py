from __future__ import annotations

import gzip
import os

import numpy as np
import pyfaidx
import pytest

from tfbs import genome as genome_module
from tfbs import sequences
from tfbs.errors import DataError, ParameterError
from tfbs.genome import LOWER, Genome, match

LETTERS = {"I": "ACGTNacgtnRrACGTTTTGGC" * 9 + "ACG", "II": "GATTACA", "Mito": "acgt" * 50}
ARABIC = [str(n) for n in range(1, 17)]
YEAST = "I II III IV V VI VII VIII IX X XI XII XIII XIV XV XVI".split()


@pytest.fixture(autouse=True)
def cache(request, tmp_path, monkeypatch):
    """A cache folder of its own; the published files stay where they are."""
    if "published_files" in request.fixturenames:
        request.getfixturevalue("published_files")
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    return tmp_path / "cache"


def fasta(letters: dict[str, str], width: int = 60, line_end: str = "\n") -> str:
    lines = []
    for name, text in letters.items():
        lines += [f">{name} a comment", *(text[at : at + width] for at in range(0, len(text), width))]
    return line_end.join(lines) + line_end


def write(path, text: str):
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def expected_codes(text: str) -> np.ndarray:
    return np.array(["ACGTN".find(letter) if letter in "ACGT" else 4 for letter in text.upper()], np.uint8)


@pytest.mark.parametrize("name", ["x.fa", "x.fa.gz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("width", [7, 60, 1000])
def test_every_packing_gives_the_same_codes(tmp_path, name, line_end, width):
    genome = Genome(write(tmp_path / name, fasta(LETTERS, width, line_end)))
    assert genome.names == tuple(LETTERS)
    assert genome.lengths == {name: len(text) for name, text in LETTERS.items()}
    for chromosome, text in LETTERS.items():
        for start, end in ((0, len(text)), (3, 7), (6, 7), (5, 5), (len(text) - 1, len(text))):
            received = genome.codes(chromosome, start, end)
            assert received.dtype == np.uint8
            assert received.tolist() == expected_codes(text[start:end]).tolist()
        lower = (genome.letters(chromosome, 0, len(text)) & LOWER) > 0
        assert lower.tolist() == [letter.islower() for letter in text]


def test_several_gzip_members_as_bgzip_writes_them(tmp_path):
    content = fasta(LETTERS).encode()
    path = tmp_path / "x.fa.bgz"
    path.write_bytes(b"".join(gzip.compress(content[at : at + 50]) for at in range(0, len(content), 50)))
    assert Genome(path).codes("II", 0, 7).tolist() == [2, 0, 3, 3, 0, 1, 0]


@pytest.mark.parametrize(
    "text",
    [
        ">a\nACGT\nACGT\n\n\n>b\nGG\nGGG\n\n",
        ">a\nACGT\nACGT\n>b\nGG\nGGG",
        ">a\nACGT\r\nACG\nT\n>b\nGGGG\nG\n",
        "\n>a\nAC\n\nGTACGT\n>b\nGGGGG\n",
        ">a\nACG\r\nTACG\nT\n>b\nGGG\nGG\n",
        ">a\nACG\nTACGT\n>b\nGG\nGGG\n",
    ],
)
def test_uneven_and_blank_lines_are_read_all_the_same(tmp_path, text):
    genome = Genome(write(tmp_path / "x.fa", text))
    assert genome.lengths == {"a": 8, "b": 5}
    for start in range(8):
        for end in range(start, 9):
            assert sequences.decode(genome.codes("a", start, end)[None]) == ["ACGTACGT"[start:end]]
    assert genome.codes("b", 0, 5).tolist() == [2] * 5


def test_windows_equal_pyfaidx_one_by_one(tmp_path):
    random = np.random.RandomState(0)
    letters = {name: "".join(random.choice(list("ACGTNacgtn"), 5000)) for name in ("chr1", "chr2", "chrX")}
    path = write(tmp_path / "x.fa", fasta(letters, 61))
    chromosomes = random.choice(list(letters), 300)
    starts = random.randint(0, 5000 - 101 + 1, 300)
    starts[:2] = 0, 5000 - 101
    received = Genome(path).windows(chromosomes, starts, 101)
    with pyfaidx.Fasta(str(path), indexname=tmp_path / "other.fai", as_raw=True) as reference:
        texts = [reference[str(name)][start : start + 101] for name, start in zip(chromosomes, starts, strict=True)]
    assert sequences.decode(received.codes) == [text.upper() for text in texts]
    assert np.allclose(received.repeats, [sum(map(str.islower, text)) / 101 for text in texts])
    assert received.ids[:1] == [f"{chromosomes[0]}:0-101"]
    assert (len(received), received.width) == (300, 101)


def test_each_chromosome_is_read_once(tmp_path, monkeypatch):
    genome = Genome(write(tmp_path / "x.fa", fasta(LETTERS)))
    stretches = []
    read = Genome.letters
    monkeypatch.setattr(Genome, "letters", lambda self, *stretch: stretches.append(stretch) or read(self, *stretch))
    genome.windows(["Mito", "I", "Mito", "I"], [90, 5, 10, 100], 20)
    assert stretches == [("I", 5, 120), ("Mito", 10, 110)]


def test_a_genome_is_prepared_once_and_again_when_it_changes(tmp_path, cache, monkeypatch):
    path = write(tmp_path / "x.fa.gz", fasta(LETTERS))
    Genome(path)
    (folder,) = (cache / "genomes").iterdir()
    assert sorted(file.name for file in folder.iterdir()) == ["genome.fa", "genome.fai"]
    with monkeypatch.context() as patch:
        patch.setattr(pyfaidx, "Faidx", None)
        Genome(path)
    write(path, fasta({**LETTERS, "II": "TTTTTTTT"}))
    assert Genome(path).codes("II", 0, 8).tolist() == [3] * 8
    assert len(list((cache / "genomes").iterdir())) == 2


def test_nothing_is_written_beside_the_file_or_into_a_read_only_folder(tmp_path, cache):
    cache.mkdir()
    path = write(cache / "x.fa.gz", fasta(LETTERS))
    cache.chmod(0o555)
    try:
        Genome(path)
        assert [file.name for file in cache.iterdir()] == ["x.fa.gz"]
        assert len(list((tmp_path / "user" / "tfbs" / "genomes").iterdir())) == 1
    finally:
        cache.chmod(0o755)


def test_a_failed_preparation_leaves_nothing(tmp_path, cache):
    whole = gzip.compress(os.urandom(5000))
    (tmp_path / "cut.fa.gz").write_bytes(whole[:2000])
    with pytest.raises(DataError, match=r"cut\.fa\.gz: expected a complete gzip file"):
        Genome(tmp_path / "cut.fa.gz")
    assert list((cache / "genomes").iterdir()) == []


def test_another_process_may_have_prepared_it_first(tmp_path, cache, monkeypatch):
    path, build = write(tmp_path / "x.fa.gz", fasta(LETTERS)), genome_module._build

    def overtaken(path, folder):
        build(path, folder)
        monkeypatch.setattr(genome_module, "_build", build)
        Genome(path)

    monkeypatch.setattr(genome_module, "_build", overtaken)
    assert Genome(path).names == tuple(LETTERS)
    assert len(list((cache / "genomes").iterdir())) == 1


def test_a_cache_that_cannot_be_written_is_a_clear_error(tmp_path, cache):
    cache.write_text("a file, not a folder")
    with pytest.raises(
        DataError, match=r"x\.fa: expected to read it and to keep its index in .*cache.genomes.*TFBS_DATA"
    ):
        Genome(write(tmp_path / "x.fa", fasta(LETTERS)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ACGT\n>a\nACGT\n", r"x\.fa: expected FASTA with one header .*Unexpected text"),
        (">a\nACGT\n>a\nACGT\n", r'x\.fa: expected FASTA .* all names different.*Duplicate key "a"'),
        ("", r"x\.fa: expected FASTA"),
        (">\nACGT\n", r"x\.fa: expected FASTA.*Bad sequence name"),
    ],
)
def test_files_that_are_no_genome(tmp_path, text, expected):
    with pytest.raises(DataError, match=expected):
        Genome(write(tmp_path / "x.fa", text))


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(DataError, match=r"absent\.fa, which does not exist"):
        Genome(tmp_path / "absent.fa")
    with pytest.raises(DataError, match="which is a folder"):
        Genome(tmp_path)


def test_stretches_that_cannot_be_read(tmp_path):
    genome = Genome(write(tmp_path / "x.fa", fasta({"chr1": "ACGT" * 5, "chr2": "ACGTACGTEA"}, 4)))
    with pytest.raises(
        DataError, match=r'expected one of its chromosomes \(chr1, chr2\), received "chr3"; did you mean'
    ):
        genome.codes("chr3", 0, 1)
    for start, end in ((-1, 3), (0, 21), (5, 4)):
        with pytest.raises(DataError, match=rf"within chr1:0-20, received chr1:{start}-{end}"):
            genome.codes("chr1", start, end)
    with pytest.raises(DataError, match=r'received "E" at chr2, position 9'):
        genome.codes("chr2", 3, 10)
    with pytest.raises(ParameterError, match="width: expected at least 1 bp, received 0"):
        genome.windows(["chr1"], [0], 0)


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (["chr1", "chr10", "chr16", "chrM"], [*YEAST, "Mito"], ["I", "X", "XVI", "Mito"]),
        (["chrI", "chrX", "chrmt"], [*YEAST, "Mito"], ["I", "X", "Mito"]),
        (["I", "IV", "X"], ["chr1", *[f"chr{n}" for n in ARABIC[1:]]], ["chr1", "chr4", "chr10"]),
        (["chr1", "chr22", "chrX", "chrM"], [*map(str, range(1, 23)), "X", "Y", "MT"], ["1", "22", "X", "MT"]),
        (["1", "X", "MT"], ["chr1", "chr2", "chrX", "chrM"], ["chr1", "chrX", "chrM"]),
        (["chr1", "1", "2", "Chr2"], ["chr1", "chr2"], ["chr1", "chr1", "chr2", "chr2"]),
        (["chr1", "1"], ["1", "chr1"], ["chr1", "1"]),
        (["chr5", "chrX"], ["I", "II", "III", "IV", "V", "X"], ["V", "X"]),
        (["chr2L", "4"], ["2L", "4"], ["2L", "4"]),
        (["chr1", "chrII"], YEAST, ["I", "II"]),
    ],
)
def test_names_that_mean_one_chromosome(names, known, expected):
    assert match(names, known) == (dict(zip(names, expected, strict=True)), [])


@pytest.mark.parametrize(
    ("names", "known", "lacks"),
    [
        (["chr10"], ["I", "II", "III", "IV", "V", "X"], ["chr10"]),
        (["chrX"], ARABIC, ["chrX"]),
        (["chr1", "chr17"], YEAST, ["chr17"]),
        (["1"], ["I"], ["1"]),
        (["chr2-micron", "chr1_random"], YEAST, ["chr2-micron", "chr1_random"]),
    ],
)
def test_names_that_mean_none(names, known, lacks):
    found, unclear = match(names, known)
    assert [name for name in names if name not in found] == lacks
    assert unclear == []


@pytest.mark.parametrize(
    ("names", "known", "expected"),
    [
        (["Chr1"], ["1", "chr1"], ["Chr1"]),
        (["chrM"], ["MT", "Mito"], ["chrM"]),
        (["chr1", "chr2", "chrX"], YEAST, ["chrX"]),
        (["I", "II", "X"], [*map(str, range(1, 23)), "X"], ["X"]),
        (["chr1", "chrI"], YEAST, ["chrI"]),
    ],
)
def test_names_that_may_mean_several(names, known, expected):
    assert match(names, known)[1] == expected


def test_resolve_shows_both_lists(tmp_path):
    genome = Genome(write(tmp_path / "x.fa", fasta(dict.fromkeys(YEAST, "ACGT"))))
    assert genome.resolve(["chr2", "chr2", "chr4"]) == {"chr2": "II", "chr4": "IV"}
    with pytest.raises(DataError) as caught:
        genome.resolve([f"scaffold{n}" for n in range(12)], "peaks.bed")
    others = f"{', '.join(f'scaffold{n}' for n in range(8))}, ... 12 in all"
    assert str(caught.value) == (
        "peaks.bed: expected chromosomes of x.fa (I, II, III, IV, V, VI, VII, VIII, ... 16 in all), received "
        f"{others}, of which the genome lacks {others}: give the genome that the regions were called on, or remove "
        "these regions."
    )
    with pytest.raises(DataError, match=r"received chr1, chrX, where chrX may mean several"):
        genome.resolve(["chr1", "chrX"])
    assert genome.resolve(["chr1", "elsewhere"], partly=True) == {"chr1": "I"}
    with pytest.raises(DataError, match="lacks elsewhere"):
        genome.resolve(["elsewhere"], partly=True)


@pytest.mark.data
def test_the_yeast_genome_and_a_piece_of_hg38(published_files):
    yeast = Genome(published_files / "yeast" / "Saccharomyces_cerevisiae.R64-1-1.dna.toplevel.fa.gz")
    assert yeast.names == (*YEAST, "Mito")
    assert sum(yeast.lengths.values()) == 12_157_105
    assert sequences.decode(yeast.codes("I", 0, 20)[None]) == ["CCACACCACACCCACACACC"]
    path = published_files / "hg38_chr1_1Mb" / "hg38_1m.fa.gz"
    text = gzip.decompress(path.read_bytes()).decode().removeprefix(">chr1\n").replace("\n", "")
    human = Genome(path)
    assert human.lengths == {"chr1": 1_000_000}
    received = human.letters("chr1", 0, 1_000_000)
    assert np.array_equal(received & 7, expected_codes(text))
    assert int((received >= LOWER).sum()) == sum(map(str.islower, text))
