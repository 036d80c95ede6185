from __future__ import annotations

import csv
import gzip
import io
import tracemalloc

import numpy as np
import pandas as pd
import pytest

from tfbs import formats, sequences
from tfbs.errors import DataError
from tfbs.tables import Columns


def write(path, text: str, encoding: str = "utf-8"):
    """Write bytes as given, gzip-compressed if the name says so."""
    content = text.encode(encoding)
    path.write_bytes(gzip.compress(content, 1) if path.suffix == ".gz" else content)
    return path


FASTA = ">one first record\nACGT\nacgn\n\n>two\nTTTTGGGG\n"


@pytest.mark.parametrize("name", ["x.fa", "x.fasta", "x.fna", "x.FA", "x.v1.fa.gz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_fasta_in_every_packing(tmp_path, name, line_end, encoding):
    records = formats.read(write(tmp_path / name, FASTA.replace("\n", line_end), encoding))
    assert records.sequences == ["ACGTacgn", "TTTTGGGG"]
    assert records.names == ["one", "two"]
    assert records.lines.tolist() == [2, 6]
    assert records.labels is None
    assert sequences.decode(sequences.encode(records)) == ["ACGTACGN", "TTTTGGGG"]


def test_gzip_is_recognised_by_content_not_by_name(tmp_path):
    path = tmp_path / "plain.fa"
    path.write_bytes(gzip.compress(FASTA.encode()))
    assert formats.read(path).names == ["one", "two"]


def test_a_file_below_the_home_folder(tmp_path, monkeypatch):
    write(tmp_path / "x.fa", FASTA)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert formats.read("~/x.fa").names == ["one", "two"]


def test_fasta_without_final_line_end_and_without_a_name(tmp_path):
    records = formats.read(write(tmp_path / "x.fa", ">\nAC\n>b\nGT"))
    assert records.sequences == ["AC", "GT"]
    assert records.names == ["record 1", "b"]


def test_text_is_one_sequence_per_line(tmp_path):
    records = formats.read(write(tmp_path / "set.txt", "ACGT \r\ntttt\r\nGGNG\r\n\r\n \r\n"))
    assert records.sequences == ["ACGT", "tttt", "GGNG"]
    assert records.names == ["set:1", "set:2", "set:3"]
    assert records.lines.tolist() == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "separator"), [("x.csv", ","), ("x.tsv", "\t"), ("x.csv.gz", ","), ("x.tsv.gz", "\t")]
)
def test_table_keeps_na_and_quoted_fields(tmp_path, name, separator):
    rows = [["id", "sequence", "label"], ["a", "NA", "1"], [f'"b{separator}c"', '"nan"', "0"], ["d", "AC", '"1"']]
    text = "\n".join(separator.join(row) for row in rows) + "\n\n"
    records = formats.read(write(tmp_path / name, text))
    assert records.sequences == ["NA", "nan", "AC"]
    assert records.labels == ["1", "0", "1"]
    assert records.names == ["x:2", "x:3", "x:4"]
    assert records.lines.tolist() == [2, 3, 4]


def test_table_with_other_column_names_and_order(tmp_path):
    path = write(tmp_path / "x.csv", "bound, seq\r\n1,ACGT\r\n\r\n0,TTTT\r\n", "utf-8-sig")
    records = formats.read(path, Columns("seq", "bound"))
    assert (records.sequences, records.labels, records.lines.tolist()) == (["ACGT", "TTTT"], ["1", "0"], [2, 4])


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
        formats.read(write(tmp_path / name, text))


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
    records = formats.read(write(tmp_path / name, text))
    with pytest.raises(DataError, match=expected):
        sequences.encode(records)


def test_a_missing_file_a_folder_damaged_gzip_and_bytes(tmp_path):
    with pytest.raises(DataError, match=r"absent\.fa, which does not exist"):
        formats.read(tmp_path / "absent.fa")
    (tmp_path / "folder.fa").mkdir()
    with pytest.raises(DataError, match="Expected a file, received the folder"):
        formats.read(tmp_path / "folder.fa")
    whole = gzip.compress(FASTA.encode() * 100)
    for content in (whole[: len(whole) // 2], whole[:20] + b"\x00\xff" * 8 + whole[36:]):
        (tmp_path / "cut.fa.gz").write_bytes(content)
        with pytest.raises(DataError, match=r"cut\.fa\.gz: expected a complete gzip file"):
            formats.read(tmp_path / "cut.fa.gz")
    (tmp_path / "x.txt").write_bytes("ACGT\n".encode("utf-16"))
    with pytest.raises(DataError, match=r"x\.txt: expected text, received bytes that are not text at offset 0"):
        formats.read(tmp_path / "x.txt")


def naive_fasta(text: str) -> list[tuple[str, str]]:
    """Names and sequences, one line at a time."""
    found = []
    for line in (line.strip() for line in text.split("\n")):
        if line.startswith(">"):
            found.append([line[1:].split()[0], ""])
        elif line:
            found[-1][1] += line
    return [tuple(pair) for pair in found]


@pytest.mark.parametrize("seed", range(20))
def test_fasta_equals_reading_it_line_by_line(tmp_path, seed):
    random = np.random.RandomState(seed)
    text = ""
    for k in range(random.randint(1, 40)):
        text += f">{' ' * random.randint(2)}name{k}{random.choice(['', ' note', chr(9) + 'x y'])}\n"
        for _ in range(random.randint(1, 5) if seed % 2 else 1):
            letters = "".join(random.choice(list("ACGTacgtNX>"), random.randint(1, 90))).lstrip(">") or "A"
            text += " " * random.randint(2) + letters + random.choice(["", " ", "\t \t"]) + "\n" * random.randint(1, 3)
    records = formats.read(write(tmp_path / "x.fa", text.rstrip("\n") if seed % 3 else text))
    assert list(zip(records.names, records.sequences, strict=True)) == naive_fasta(text)
    starts = [i + 2 for i, line in enumerate(text.split("\n")) if line.startswith(">")]
    assert records.lines.tolist() == starts


def test_fasta_longer_than_a_block_equals_reading_it_line_by_line(tmp_path, monkeypatch):
    monkeypatch.setattr("tfbs.texts._BLOCK", 1000)
    random = np.random.RandomState(0)
    texts = ["".join(random.choice(list("ACGT"), random.randint(1, 3000))) for _ in range(60)]
    wrapped = ["\n".join(text[i : i + 60] for i in range(0, len(text), 60)) for text in texts]
    text = "".join(f">n{k}\n{body}\n" for k, body in enumerate(wrapped))
    records = formats.read(write(tmp_path / "x.fa", text))
    assert records.sequences == texts


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONNUMERIC])
@pytest.mark.parametrize("hard", [False, True])
def test_table_equals_the_csv_module(tmp_path, quoting, hard):
    random = np.random.RandomState(3)
    remarks = ["", "plain", 'a "quoted" word', "a, b", "two\nlines", '"'] if hard else ["", "plain", " spaced "]
    rows = [
        {"remark": random.choice(remarks), "sequence": "".join(random.choice(list("ACGTN"), 12)), "label": str(i % 2)}
        for i in range(200)
    ]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ["remark", "sequence", "label"], quoting=quoting, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path = write(tmp_path / "x.csv", text.getvalue())
    records = formats.read(path)
    expected = pd.read_csv(path, dtype=str, keep_default_na=False)
    assert records.sequences == expected.sequence.tolist() == [row["sequence"] for row in rows]
    assert records.labels == expected.label.tolist()


def test_groups_and_parts_come_from_their_columns(tmp_path):
    text = (
        "split\tdna\ty\tchrom\nTrain\tACGT\t1\tchr1\nDEV\tACGA\t0\tchr2\n\nvalid\tACCC\t1\tchr1\ntest\tGGGG\t0\tchrX\n"
    )
    records = formats.read(write(tmp_path / "x.tsv.gz", text), Columns("dna", "y", "chrom", "split"))
    assert records.sequences == ["ACGT", "ACGA", "ACCC", "GGGG"]
    assert records.groups == ["chr1", "chr2", "chr1", "chrX"]
    assert records.parts == ["train", "validation", "validation", "test"]
    assert records.lines.tolist() == [2, 3, 5, 6]


@pytest.mark.parametrize(
    ("headers", "groups"),
    [
        (["chr1:0-4", "chrX:10-14"], ["chr1", "chrX"]),
        (["chr1:0-4(+)", "2:10-14(-)"], ["chr1", "2"]),
        (["peak1::chr1:0-4", "peak::2::chr2:1-5(+)"], ["chr1", "chr2"]),
        (["chr1:0-4 note", "chr2:4-8"], ["chr1", "chr2"]),
        (["HLA-A*01:01:0-4", "chr2:4-8"], []),
        (["chr1:0-4", "peak2"], []),
        (["chr1:4", "chr1:5"], []),
    ],
)
def test_fasta_headers_that_are_places_give_the_chromosome(tmp_path, headers, groups):
    text = "".join(f">{header}\nACGT\n" for header in headers)
    assert list(formats.read(write(tmp_path / "x.fa", text)).groups) == groups


def test_deepbind(tmp_path):
    text = "FoldID\tEventID\tseq\tBound\nA\tseq_00001_peak\tACGT\t1\nA\tseq_00002_shuf\tTTTT\t0\n"
    records = formats.read(write(tmp_path / "TF_(sc-8821)_AC.seq.gz", text))
    assert (records.sequences, records.labels) == (["ACGT", "TTTT"], ["1", "0"])
    assert records.names == ["TF_(sc-8821)_AC:2", "TF_(sc-8821)_AC:3"]
    own = write(tmp_path / "own.seq", text.replace("seq\tB", "dna\tB"))
    assert formats.read(own, Columns("dna", "Bound")).sequences == ["ACGT", "TTTT"]


@pytest.mark.parametrize("labels", [[1, 0, 1], [1.0, 0.0, 1.0], [True, False, True], ["1", "0", "1"]])
def test_parquet_equals_pandas(tmp_path, labels):
    table = pd.DataFrame(
        {
            "x": [1, 2, 3],
            "sequence": ["ACGT ", "acgn", "GG"],
            "label": labels,
            "chrom": pd.Categorical(["c1", "c2", "c1"]),
        }
    )
    table.to_parquet(tmp_path / "x.parquet")
    records = formats.read(tmp_path / "x.parquet", Columns(group_column="chrom"))
    assert records.sequences == table.sequence.str.strip().tolist()
    assert [float(label) for label in records.labels] == [1, 0, 1]
    assert records.groups == ["c1", "c2", "c1"]
    assert records.where(1) == 'x.parquet, row 2, record "x:2"'


def test_parquet_of_several_batches_and_with_missing_values(tmp_path):
    texts = [f"ACGT{'ACGT'[i % 4]}{'A' * (i % 7)}" for i in range(200_000)]
    pd.DataFrame({"sequence": texts, "label": 1}).to_parquet(tmp_path / "x.parquet", row_group_size=30_000)
    records = formats.read(tmp_path / "x.parquet")
    assert list(records.sequences) == texts
    pd.DataFrame({"sequence": ["AC", None], "label": [1, 0]}).to_parquet(tmp_path / "y.parquet")
    assert formats.read(tmp_path / "y.parquet").sequences == ["AC", ""]


@pytest.mark.parametrize("name", ["x.fa", "x.csv", "x.csv.gz", "x.txt"])
def test_memory_stays_below_three_times_the_text(tmp_path, name):
    codes = np.random.RandomState(0).randint(0, 4, (50_000, 200), dtype=np.uint8)
    texts = sequences.decode(codes)
    if ".csv" in name:
        text = "sequence,label\n" + "".join(f"{text},1\n" for text in texts)
    else:
        text = "".join(
            (f">chr1:{i}-{i + 200}\n{text}\n" if ".fa" in name else f"{text}\n") for i, text in enumerate(texts)
        )
    path = write(tmp_path / name, text)
    size = len(text)
    del texts, text
    tracemalloc.start()
    read = sequences.encode(formats.read(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.array_equal(read, codes)
    assert peak < 3 * size
