from __future__ import annotations

import gzip

import numpy as np
import pytest
from sklearn.preprocessing import OneHotEncoder

from tfbs import sequences
from tfbs.errors import DataError


def write(path, text: str, encoding: str = "utf-8"):
    """Write bytes as given, gzip-compressed if the name says so."""
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def random_codes(shape: tuple[int, ...], letters: int = 5) -> np.ndarray:
    return np.random.RandomState(1).randint(0, letters, shape).astype(np.uint8)


FASTA = ">one first record\nACGT\nacgn\n\n>two\nTTTTGGGG\n"


@pytest.mark.parametrize("name", ["x.fa", "x.fasta", "x.fna", "x.FA", "x.v1.fa.gz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_fasta_in_every_packing(tmp_path, name, line_end, encoding):
    records = sequences.read(write(tmp_path / name, FASTA.replace("\n", line_end), encoding))
    assert records.sequences == ["ACGTacgn", "TTTTGGGG"]
    assert records.names == ["one", "two"]
    assert records.lines == [2, 6]
    assert records.labels is None
    assert sequences.decode(sequences.encode(records)) == ["ACGTACGN", "TTTTGGGG"]


def test_gzip_is_recognised_by_content_not_by_name(tmp_path):
    path = tmp_path / "plain.fa"
    path.write_bytes(gzip.compress(FASTA.encode()))
    assert sequences.read(path).names == ["one", "two"]


def test_a_file_below_the_home_folder(tmp_path, monkeypatch):
    write(tmp_path / "x.fa", FASTA)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert sequences.read("~/x.fa").names == ["one", "two"]


def test_fasta_without_final_line_end_and_without_a_name(tmp_path):
    records = sequences.read(write(tmp_path / "x.fa", ">\nAC\n>b\nGT"))
    assert records.sequences == ["AC", "GT"]
    assert records.names == ["record 1", "b"]


def test_text_is_one_sequence_per_line(tmp_path):
    records = sequences.read(write(tmp_path / "set.txt", "ACGT \r\ntttt\r\nGGNG\r\n\r\n \r\n"))
    assert records.sequences == ["ACGT", "tttt", "GGNG"]
    assert records.names == ["set:1", "set:2", "set:3"]
    assert records.lines == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "separator"), [("x.csv", ","), ("x.tsv", "\t"), ("x.csv.gz", ","), ("x.tsv.gz", "\t")]
)
def test_table_keeps_na_and_quoted_fields(tmp_path, name, separator):
    rows = [["id", "sequence", "label"], ["a", "NA", "1"], [f'"b{separator}c"', '"nan"', "0"], ["d", "AC", '"1"']]
    text = "\n".join(separator.join(row) for row in rows) + "\n\n"
    records = sequences.read(write(tmp_path / name, text))
    assert records.sequences == ["NA", "nan", "AC"]
    assert records.labels == ["1", "0", "1"]
    assert records.names == ["x:2", "x:3", "x:4"]
    assert records.lines == [2, 3, 4]


def test_table_with_other_column_names_and_order(tmp_path):
    path = write(tmp_path / "x.csv", "bound, seq\r\n1,ACGT\r\n\r\n0,TTTT\r\n", "utf-8-sig")
    records = sequences.read(path, sequence_column="seq", label_column="bound")
    assert (records.sequences, records.labels, records.lines) == (["ACGT", "TTTT"], ["1", "0"], [2, 4])


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.fa", "ACGT\n", r'x\.fa, line 1: expected a FASTA header .* received "ACGT"'),
        ("x.fa", "", r"x\.fa: expected at least one sequence"),
        ("x.txt", "\n\n", r"x\.txt: expected at least one sequence"),
        ("x.csv", "", r'x\.csv, line 1: expected a column "sequence".*empty file'),
        ("x.csv", "sequence,label\n", r"x\.csv: expected at least one sequence"),
        (
            "x.csv",
            "seq,label\nA,1\n",
            r"expected a column \"sequence\", received the columns 'seq', 'label'.*sequence_col",
        ),
        ("x.tsv", "sequence,label\nA,1\n", r"received the columns 'sequence,label'"),
        ("x.csv", "sequence,label\nA,1\nC\n", r"x\.csv, line 3: expected 2 fields as in the header, received 1"),
        ("x.csv", "sequence,label\nA,1,9\nC,0,9\n", r"x\.csv, line 2: expected 2 fields as in the header, received 3"),
        ("x.csv", 'sequence,label\n"A,1\nC,0\n', r"x\.csv, line 3: expected fields .*check its quotes"),
        ("x.bed", "chr1\t1\t2\n", r'x\.bed: expected a file ending in \.fa, .* received "\.bed"'),
        ("x", "ACGT\n", r'received "no suffix"'),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, text, expected):
    with pytest.raises(DataError, match=expected):
        sequences.read(write(tmp_path / name, text))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("x.fa", ">a\nACGT\n>b\nAC\nXT\n", r'x\.fa, line 4, record "b": expected the letters .* "X" at position 3'),
        ("x.fa", ">a\nACGT\n>b\n>c\nACGT\n", r'x\.fa, line 4, record "b": expected a sequence, received nothing'),
        ("x.txt", "ACGT\nACG\n", r'x\.txt, line 2, record "x:2": expected 4 bp like the first record, received 3 bp'),
        ("x.txt", "ACGT\n\nACGT\n", r'x\.txt, line 2, record "x:2": expected a sequence, received nothing'),
        (
            "x.txt",
            "ACGT\nACG\N{LATIN CAPITAL LETTER A WITH DIAERESIS}\n",
            r'"\N{LATIN CAPITAL LETTER A WITH DIAERESIS}" at position 4',
        ),
        ("x.csv", "sequence,label\nACGT,1\n\nACUT,0\n", r'x\.csv, line 4, record "x:4": .* received "U" at position 3'),
        ("x.tsv", "sequence\tlabel\nNA\t1\nN-\t1\n", r'x\.tsv, line 3, record "x:3": .* received "-" at position 2'),
    ],
)
def test_errors_say_where_the_sequence_stands(tmp_path, name, text, expected):
    records = sequences.read(write(tmp_path / name, text))
    with pytest.raises(DataError, match=expected):
        sequences.encode(records)


def test_a_missing_file_a_folder_damaged_gzip_and_bytes(tmp_path):
    with pytest.raises(DataError, match=r"absent\.fa, which does not exist"):
        sequences.read(tmp_path / "absent.fa")
    (tmp_path / "folder.fa").mkdir()
    with pytest.raises(DataError, match="Expected a file, received the folder"):
        sequences.read(tmp_path / "folder.fa")
    whole = gzip.compress(FASTA.encode() * 100)
    for content in (whole[: len(whole) // 2], whole[:20] + b"\x00\xff" * 8 + whole[36:]):
        (tmp_path / "cut.fa.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.fa\.gz: expected a complete gzip file"):
            sequences.read(tmp_path / "cut.fa.gz")
    (tmp_path / "x.txt").write_bytes("ACGT\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"x\.txt: expected text, received bytes that are not text at offset 0"):
        sequences.read(tmp_path / "x.txt")


def test_encode_of_nothing_is_an_error():
    with pytest.raises(DataError, match="expected at least one sequence"):
        sequences.encode_strings([])


def test_codes_are_the_alphabet_in_order():
    codes = sequences.encode_strings(["ACGTN", "acgtn"])
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_decode_inverts_encode():
    codes = random_codes((200, 37))
    assert np.array_equal(sequences.encode_strings(sequences.decode(codes)), codes)
    assert sequences.decode(sequences.encode_strings(["GATTACAN"])) == ["GATTACAN"]


def test_one_hot_equals_scikit_learn_on_letters():
    codes = random_codes((100, 50), letters=4)
    letters = np.array([list(row) for row in sequences.decode(codes)])
    encoder = OneHotEncoder(categories=[list("ACGT")], sparse_output=False)
    expected = np.stack([encoder.fit_transform(row[:, None]) for row in letters])
    received = sequences.one_hot(codes)
    assert received.dtype == np.float32
    assert np.array_equal(received, expected)


def test_one_hot_of_n_is_zero():
    assert sequences.one_hot(sequences.encode_strings(["NAN"]))[0].tolist() == [
        [0, 0, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 0],
    ]


def test_reverse_complement_of_a_known_sequence():
    codes = sequences.encode_strings(["GATTACAN"])
    assert sequences.decode(sequences.reverse_complement(codes)) == ["NTGTAATC"]
    assert sequences.decode(sequences.reverse_complement(codes[0])[None]) == ["NTGTAATC"]


def test_reverse_complement_is_an_involution_that_pairs_bases():
    codes = random_codes((50, 31))
    other = sequences.reverse_complement(codes)
    assert np.array_equal(sequences.reverse_complement(other), codes)
    x, y = sequences.one_hot(codes), sequences.one_hot(other)
    assert np.array_equal(y, x[:, ::-1, ::-1]), "A pairs with T and C with G, so both axes turn round"
