from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from tfbs import pairs
from tfbs.errors import DataError
from tfbs.vcf import Info, Vcf, has_bases

HEADER = ["##fileformat=VCFv4.2", "##contig=<ID=chr1>", "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tS1"]
BODY = [
    "chr1\t10\trs1\tA\tG\t50\tPASS\tAC=1;DB\tGT\t0/1",
    "chr1\t20\t.\tCA\tC,CAA,<DEL>\t.\t.\t.\tGT\t1|2",
    "chrX\t7\tnaïve\tn\t*\t.\tq10\tEND=9;;TFBS_DELTA=3;AF=0.5\tGT\t.",
]
DELTA = Info("TFBS_DELTA", "A change")


def bgzip(content: bytes, block: int = 50) -> bytes:
    """As htslib writes it, with Python's own gzip for the members."""

    def member(part: bytes) -> bytes:
        made = gzip.compress(part, mtime=0)
        size = len(made) + 8 - 1
        return made[:3] + b"\x04" + made[4:8] + b"\0\xff\x06\0BC\x02\0" + size.to_bytes(2, "little") + made[10:]

    return b"".join(member(content[at : at + block]) for at in range(0, len(content), block)) + member(b"")


def write(folder, lines, name="calls.vcf", line_end="\n", last=True):
    content = (line_end.join(lines) + line_end * last).encode()
    content = {".gz": gzip.compress, ".bgz": bgzip}.get(f".{name.split('.')[-1]}", lambda plain: plain)(content)
    (folder / name).write_bytes(content)
    return folder / name


def copied(path, target, info=None) -> bytes:
    vcf = Vcf(path)
    with vcf.copy(target, []) as put:
        for record in vcf.records():
            put(record.text(info or {}))
    content = target.read_bytes()
    return gzip.decompress(content) if vcf.packed else content


@pytest.mark.parametrize("name", ["calls.vcf", "calls.vcf.gz", "calls.vcf.bgz"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False])
def test_what_is_not_changed_is_passed_on_byte_by_byte(tmp_path, name, line_end, last):
    path = write(tmp_path, HEADER + BODY, name, line_end, last)
    assert copied(path, tmp_path / "out") == (line_end.join(HEADER + BODY) + line_end).encode()


def test_a_record_says_what_it_holds(tmp_path):
    first, second, third = Vcf(write(tmp_path, HEADER + BODY)).records()
    assert (first.line, first.chromosome, first.start, first.name, first.ref, first.alts) == (
        *(4, "chr1", 9, "rs1", "A"),
        ["G"],
    )
    assert second.alts == ["C", "CAA", "<DEL>"]
    assert (third.chromosome, third.ref, third.alts) == ("chrX", "n", ["*"])


def test_info_is_added_replaced_and_taken_away(tmp_path):
    first, second, third = Vcf(write(tmp_path, HEADER + BODY)).records()
    assert first.text({"TFBS_DELTA": "1.5"}).split("\t")[7:] == ["AC=1;DB;TFBS_DELTA=1.5", "GT", "0/1"]
    assert second.text({"TFBS_DELTA": "1,.,."}).split("\t")[7] == "TFBS_DELTA=1,.,."
    assert third.text({"TFBS_DELTA": "-2"}).split("\t")[7] == "END=9;AF=0.5;TFBS_DELTA=-2"
    assert third.text({"TFBS_DELTA": ""}).split("\t")[7] == "END=9;;AF=0.5"
    assert second.text({"TFBS_DELTA": ""}) == BODY[1]


def test_header_lines_are_added_once_in_front_of_the_column_names(tmp_path):
    path = write(tmp_path, HEADER + BODY)
    for target in (tmp_path / "once.vcf", tmp_path / "twice.vcf"):
        with Vcf(path).copy(target, [DELTA.header("1.0")]):
            pass
        path = target
    expected = '##INFO=<ID=TFBS_DELTA,Number=A,Type=Float,Description="A change",Source="tfbs",Version="1.0">'
    assert path.read_text().splitlines() == [*HEADER[:2], expected, HEADER[2]]


def test_missing_header_and_columns_are_made_up_for(tmp_path):
    path = write(tmp_path, ["1\t5\t.\tA\tC\t.\t."])
    assert copied(path, tmp_path / "out.vcf", {"X": "1"}).decode().splitlines() == [
        "##fileformat=VCFv4.2",
        "#" + "\t".join(["CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]),
        "1\t5\t.\tA\tC\t.\t.\tX=1",
    ]


def test_compressed_output_is_bgzip(tmp_path):
    random = np.random.RandomState(0)
    body = [f"chr1\t{i + 1}\t{random.bytes(40).hex()}\tA\tG\t.\t.\t." for i in range(3000)]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    text = copied(write(tmp_path, [HEADER[0], columns, *body], "x.vcf.gz"), tmp_path / "out.vcf.gz")
    packed, unpacked, at = (tmp_path / "out.vcf.gz").read_bytes(), b"", 0
    assert packed.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    while at < len(packed):
        assert packed[at : at + 4] == b"\x1f\x8b\x08\x04" and packed[at + 10 : at + 16] == b"\x06\0BC\x02\0"
        size = int.from_bytes(packed[at + 16 : at + 18], "little") + 1
        part = zlib.decompress(packed[at + 18 : at + size - 8], -15)
        assert int.from_bytes(packed[at + size - 8 : at + size - 4], "little") == zlib.crc32(part)
        assert int.from_bytes(packed[at + size - 4 : at + size], "little") == len(part) <= 65536
        unpacked, at = unpacked + part, at + size
    assert unpacked == text
    assert len(text) > 2 * 65536
    assert Vcf(tmp_path / "out.vcf.gz").packed


@pytest.mark.parametrize("allele", ["A", "acgtn", "R"])
def test_bases(allele):
    assert has_bases(allele)


@pytest.mark.parametrize("allele", ["<DEL>", "*", ".", "G]17:198982]", "[13:123456[T", ".A", "A.", "<NON_REF>", "<*>"])
def test_alleles_without_bases_are_read(tmp_path, allele):
    [record] = Vcf(write(tmp_path, [f"1\t5\t.\tA\t{allele}"])).records()
    assert record.alts == [allele] and not has_bases(allele)


GOOD = "1\t5\t.\tA\tC\t.\t.\t."
FAULTS = {
    "1 5 . A C . . .": "line 2: expected at least the columns CHROM, POS, ID, REF, ALT, separated by tabs, received 1 "
    'column ("1 5 . A C . . ."): separate them by tabs, not spaces.',
    "1\t5\t.\tA": "line 2: expected at least the columns CHROM, POS, ID, REF, ALT, separated by tabs, received 4 col",
    "1\t5\t.\tA\tC": "line 2: expected 8 columns like the line #CHROM or the first record, received 5: correct this",
    "1 \t5\t.\tA\tC\t.\t.\t.": 'line 2: expected a chromosome without spaces, received "1 ".',
    "1\t5.0\t.\tA\tC\t.\t.\t.": 'line 2: expected in POS a whole number from 1, received "5.0": correct this line.',
    "1\t5\t.\t-\tC\t.\t.\t.": 'line 2: expected in REF the letters A, C, G, T or N, received "-": correct this line.',
    "1\t5\t.\tA\tC,-\t.\t.\t.": 'line 2: expected in ALT letters A, C, G, T or N, or "<...>", "*", "." or a breakend, '
    'received "-": correct this line.',
    "#CHROM": "line 2: expected a variant, received a header line among the variants",
}


@pytest.mark.parametrize(("line", "message"), FAULTS.items())
def test_a_fault_is_told_with_its_line(tmp_path, line, message):
    with pytest.raises(DataError) as raised:
        list(Vcf(write(tmp_path, [GOOD, line])).records())
    assert str(raised.value).startswith(f"calls.vcf, {message}")


def test_a_file_without_variants_is_refused(tmp_path):
    for lines in ([], [""], HEADER[:2], HEADER):
        with pytest.raises(DataError, match=r"^calls.vcf(: expected at least one variant|, line 1: expected at least)"):
            list(Vcf(write(tmp_path, lines)).records())


def test_samples_need_names(tmp_path):
    with pytest.raises(DataError, match="line 1: expected a line #CHROM that names the 10 columns"):
        Vcf(write(tmp_path, BODY[:1]))


@pytest.mark.parametrize("name", ["calls.vcf.gz", "calls.vcf.bgz"])
def test_truncated_files_are_refused_wherever_they_end(tmp_path, name):
    path = write(tmp_path, HEADER + BODY * 20, name)
    whole = path.read_bytes()
    ends = {len(whole) - 1, len(whole) // 2, len(whole) - 28}
    for end in ends:
        path.write_bytes(whole[:end])
        with pytest.raises(DataError, match=f"^{name}: expected a complete gzip file, received one that is truncated"):
            list(Vcf(path).records())


def test_other_files_are_refused(tmp_path):
    (tmp_path / "x.bcf").write_bytes(bgzip(b"BCF\2\2\xff\xfe"))
    with pytest.raises(DataError, match='BCF becomes VCF with "bcftools view"'):
        Vcf(tmp_path / "x.bcf")
    with pytest.raises(DataError, match="which does not exist"):
        Vcf(tmp_path / "none.vcf")
    with pytest.raises(DataError, match="received the folder"):
        Vcf(tmp_path)


def test_pairs_are_read_whatever_the_order_of_their_columns(tmp_path):
    path = write(tmp_path, ["note\talt\tid\tref", "x\tACGA\tone\tACGT", "", "\tacgt\ttwo\tNNNN"], "pairs.tsv.gz")
    assert list(pairs.read(path, 4)) == [pairs.Pair("one", "ACGT", "ACGA"), pairs.Pair("two", "NNNN", "acgt")]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "pairs.tsv, line 1: expected a header with the columns id, ref, alt"),
        (
            ["id\tref"],
            "pairs.tsv, line 1: expected a header with the columns id, ref, alt, separated by tabs, received",
        ),
        (["id\tref\talt"], "pairs.tsv: expected at least one pair of sequences, received none."),
        (["id\tref\talt", "a\tACGT"], "pairs.tsv, line 2: expected 3 columns separated by tabs, as in the header"),
        (["id\tref\talt", "a\tACGT\tACG"], "pairs.tsv, line 2, alt: expected a sequence of 4 bp, as the network takes"),
        (
            ["id\tref\talt", "a\tAC-T\tACGT"],
            'pairs.tsv, line 2, ref: expected the letters A, C, G, T or N, received "-"',
        ),
    ],
)
def test_a_fault_in_pairs_is_told_with_its_line(tmp_path, lines, message):
    with pytest.raises(DataError) as raised:
        list(pairs.read(write(tmp_path, lines, "pairs.tsv"), 4))
    assert str(raised.value).startswith(message)
