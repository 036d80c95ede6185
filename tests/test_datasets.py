from __future__ import annotations

import functools
import gzip
import hashlib
import itertools
import socket
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pandas as pd
import pytest

from tfbs import cleaning, datasets, sequences
from tfbs.datasets import PUBLISHED, Dataset, Published, Source, join, load
from tfbs.errors import DataError, ParameterError
from tfbs.negatives import dinucleotide_shuffle
from tfbs.simulation import Simulation

FLANKS = ["".join(bases) for bases in itertools.product("ACGT", repeat=2)][:12]
SEQUENCES = [text for flank in FLANKS for text in (f"ACGTA{flank}A", f"TTTTC{flank}C")]
LABELS = ["1", "0"] * 12
POSITIVES, NEGATIVES = SEQUENCES[::2], SEQUENCES[1::2]


@pytest.mark.data
@pytest.mark.parametrize(("name", "motif"), [("packt", "AAAGAGGAAGTT"), ("primer", "CGACCGAACTCC")])
def test_published_labels_match_the_motif(published_files, name, motif):
    data = load(Source(name))
    holds = np.array([text.count(motif) for text in sequences.decode(data.codes)])
    assert data.codes.shape == (2000, 50)
    assert np.bincount(data.labels).tolist() == [1013, 987]
    assert np.array_equal(holds, data.labels), "987 of 987 positives hold the motif, 0 of 1,013 negatives"
    assert np.array_equal(data.starts >= 0, data.labels == 1)
    assert data.motif == motif
    assert data.ids[0] == f"{name}:1"


@pytest.mark.data
def test_packt_labels_have_one_line_too_many_and_reading_it_as_a_label_spoils_them(published_files):
    lines = (published_files / "packt" / "labels.txt").read_text().split()
    data = load(Source("packt"))
    assert len(lines) == 2001
    assert [str(label) for label in data.labels] == lines[1:]
    assert 0.45 < np.mean(data.labels == np.array(lines[:-1], int)) < 0.55


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder and counts the files it sent."""

    def do_GET(self):
        self.server.requests.append(self.path)
        super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """A real HTTP server of the folder ``tmp_path / "www"``."""
    folder = tmp_path / "www"
    folder.mkdir()
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as running:
        running.requests = []
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        running.folder, running.url = folder, f"http://127.0.0.1:{running.server_port}/"
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def published(server, tmp_path, monkeypatch) -> Published:
    """A published data set ``tiny`` on that server, with a header above its labels; the cache starts empty."""
    contents = {"s.txt": "\n".join(SEQUENCES) + "\n", "l.txt": "\n".join(["label", *LABELS]) + "\n"}
    files = []
    for name, text in contents.items():
        (server.folder / name).write_text(text)
        files.append((name, hashlib.sha256(text.encode()).hexdigest()))
    tiny = Published(server.url, *files, motif="ACGT", labels_header=True)
    monkeypatch.setitem(PUBLISHED, "tiny", tiny)
    monkeypatch.setattr(datasets, "NAMES", (*datasets.NAMES, "tiny"))
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    return tiny


def test_a_published_set_is_downloaded_once_and_then_works_without_network(published, server, tmp_path):
    first = load(Source("tiny"))
    assert sequences.decode(first.codes) == SEQUENCES
    assert first.labels.tolist() == [int(label) for label in LABELS]
    assert first.starts.tolist() == [0, -1] * 12
    assert sorted(server.requests) == ["/l.txt", "/s.txt"]
    assert (tmp_path / "cache" / "tiny" / "s.txt").read_bytes() == (server.folder / "s.txt").read_bytes()
    server.shutdown()
    server.server_close()
    assert load(Source("tiny")).digest == first.digest
    assert len(server.requests) == 2


def test_a_download_with_another_hash_is_refused_and_not_kept(published, server, tmp_path):
    (server.folder / "s.txt").write_text("ACGTAA\n")
    with pytest.raises(DataError, match=r"s\.txt: expected a file with SHA-256 \w{12}, received another one"):
        load(Source("tiny"))
    assert not (tmp_path / "cache" / "tiny" / "s.txt").exists()


@pytest.mark.parametrize("failure", ["server down", "file gone"])
def test_a_failed_download_says_what_to_do(published, server, monkeypatch, failure):
    if failure == "file gone":
        (server.folder / "s.txt").unlink()
    else:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        monkeypatch.setitem(PUBLISHED, "tiny", replace(published, url=f"http://127.0.0.1:{port}/"))
    with pytest.raises(
        DataError, match=r"expected to download it .* connect to the internet .*TFBS_DATA_DIR/tiny/s\.txt"
    ):
        load(Source("tiny"))


def test_a_cache_folder_that_cannot_be_written_is_said(published, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(DataError, match="check that the folder can be written"):
        load(Source("tiny"))


def test_a_local_file_with_another_hash_is_refused_and_left_alone(published, server, tmp_path):
    mine = tmp_path / "cache" / "tiny" / "s.txt"
    mine.parent.mkdir(parents=True)
    mine.write_text("my own notes\n")
    with pytest.raises(DataError, match=r"expected the published file .* move yours away"):
        load(Source("tiny"))
    assert mine.read_text() == "my own notes\n"
    assert server.requests == []


def test_without_the_variable_files_go_to_the_users_cache(monkeypatch, tmp_path):
    monkeypatch.delenv("TFBS_DATA_DIR", raising=False)
    assert datasets.cache_folder().name == "tfbs"
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFBS_DATA_DIR", "~/data")
    assert datasets.cache_folder() == tmp_path / "data"


def write(path, text: str) -> str:
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return str(path)


def fasta(texts: list[str], name: str) -> str:
    return "".join(f">{name}{i}\n{text[:3]}\n{text[3:]}\n" for i, text in enumerate(texts))


def user_files(folder, kind: str) -> Source:
    """The same twenty-four sequences in each of the shapes a user may have them."""
    table = [("seq", "bound"), *zip(SEQUENCES, LABELS, strict=True)]
    if kind == "fasta pair":
        negatives = write(folder / "n.fa.gz", fasta(NEGATIVES, "n"))
        return Source(write(folder / "p.fa", fasta(POSITIVES, "p")), negatives=negatives)
    if kind == "text pair":
        negatives = write(folder / "n.txt", "\n".join(NEGATIVES))
        return Source(write(folder / "p.txt", "\n".join(POSITIVES)), negatives=negatives)
    if kind == "text and labels":
        labels = write(folder / "l.txt", "\n".join(LABELS) + "\n\n")
        return Source(write(folder / "s.txt", "\n".join(SEQUENCES)), labels=labels)
    separator, name = (",", "t.csv") if kind == "csv" else ("\t", "t.tsv.gz")
    text = "\n".join(separator.join(row) for row in table)
    return Source(write(folder / name, text), sequence_column="seq", label_column="bound")


@pytest.mark.parametrize("kind", ["fasta pair", "text pair", "text and labels", "csv", "tsv.gz"])
def test_a_users_files(tmp_path, kind):
    data = load(user_files(tmp_path, kind))
    pairs = list(zip(sequences.decode(data.codes), data.labels.tolist(), strict=True))
    expected = [(text, int(label)) for text, label in zip(SEQUENCES, LABELS, strict=True)]
    assert sorted(pairs) == sorted(expected)
    if "pair" in kind:
        assert pairs == sorted(expected, key=lambda pair: -pair[1]), "positives first, each in file order"
    else:
        assert pairs == expected
    assert len(data.ids) == len(data) == 24
    assert data.motif == ""
    assert (data.starts == -1).all()


def test_ids_name_the_records_of_both_files(tmp_path):
    data = load(user_files(tmp_path, "fasta pair"))
    assert (data.ids[0], data.ids[12]) == ("p0", "n0")


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            Source("primr"),
            'one of simulated, packt, primer, nfe2, .* or the path of a file, received "primr"; did you mean "primer"',
        ),
        (Source(""), 'dataset: expected one of .* received ""'),
        (Source("simulated", labels="l.txt"), "labels: expected only beside a file of your own"),
        (Source("packt", negatives="n.txt"), "negatives: expected only beside a file of your own"),
        (Source("s.txt"), "exactly one companion, .* received neither"),
        (Source("s.txt", labels="l.txt", negatives="n.txt"), "exactly one companion, .* received both"),
        (Source("t.csv", labels="l.txt"), r"labels from the table t\.csv alone"),
        (
            Source("s.txt", negatives="t.csv"),
            r"negatives: expected FASTA or text beside s\.txt, received the table t\.csv",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(tmp_path, monkeypatch, source, expected):
    monkeypatch.chdir(tmp_path)
    for name in ("s.txt", "n.txt"):
        write(tmp_path / name, "\n".join(SEQUENCES))
    write(tmp_path / "l.txt", "\n".join(LABELS))
    write(tmp_path / "t.csv", "sequence,label\n" + "\n".join(f"{text},1" for text in SEQUENCES))
    with pytest.raises(ParameterError, match=expected):
        load(source)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (
            ["label", *LABELS],
            r"l\.txt: expected 24 labels, one per sequence of s\.txt, received 25: its first line may be",
        ),
        (LABELS[:-1], r"l\.txt: expected 24 labels, .* received 23: give one 0 or 1 per line"),
        ([*LABELS[:5], "yes", *LABELS[6:]], r'l\.txt, line 6: expected the label 0 or 1, received "yes"'),
        (["1"] * 15 + ["0"] * 9, "at least 10 sequences of each class, received 15 positives and 9 negatives"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, expected):
    text, companion = write(tmp_path / "s.txt", "\n".join(SEQUENCES)), write(tmp_path / "l.txt", "\n".join(labels))
    with pytest.raises(DataError, match=expected):
        load(Source(text, labels=companion))


@pytest.mark.parametrize("label", ["", "2", "NA"])
def test_a_bad_label_in_a_table_is_found_by_its_line(tmp_path, label):
    rows = [f"{text},{value}" for text, value in zip(SEQUENCES, LABELS, strict=True)]
    path = write(tmp_path / "t.csv", "\n".join(["sequence,label", "", *rows, f"ACGTAA,{label}"]))
    with pytest.raises(DataError, match=f't.csv, line 27: expected the label 0 or 1, received "{label}"'):
        load(Source(path))


def test_all_files_are_put_into_one_window(tmp_path):
    positives = write(tmp_path / "p.txt", "\n".join(POSITIVES))
    negatives = write(tmp_path / "n.fa", fasta([f"{text}ACG" for text in NEGATIVES], "n"))
    data = load(Source(positives, negatives=negatives))
    assert np.array_equal(data.codes, cleaning.window([*POSITIVES, *(f"{text}ACG" for text in NEGATIVES)], 11))
    assert data.dropped == {cleaning.SHORTER: 12}
    narrow = load(Source(positives, negatives=negatives, width=7))
    assert sequences.decode(narrow.codes[:12]) == [text[:7] for text in POSITIVES]
    assert sequences.decode(narrow.codes[12:]) == [f"{text}ACG"[2:9] for text in NEGATIVES]
    assert narrow.dropped == {cleaning.LONGER: 24}
    assert data.sizes.tolist() == [8] * 12 + [11] * 12 and narrow.sizes.tolist() == [7] * 24
    assert join([data.take(np.array([20, 3])), data]).sizes.tolist() == [11, 8, *data.sizes]


def test_shuffles_have_the_size_of_their_sequence(tmp_path):
    random = np.random.RandomState(0)
    texts = ["".join(random.choice(list("ACGT"), 20 + i)) for i in range(15)]
    data = load(Source(write(tmp_path / "p.txt", "\n".join(texts)), negatives="shuffle", negative_ratio=2))
    assert data.sizes.tolist() == [*range(20, 35), *np.repeat(range(20, 35), 2)]


def test_what_misleads_is_dropped_and_counted(tmp_path):
    other = str.maketrans("ACGT", "TGCA")
    extra = [(POSITIVES[3], 1), (POSITIVES[4].translate(other)[::-1], 1), (NEGATIVES[5].lower(), 0)]
    extra += [("ACNNNNNN", 1), ("ACGNNNNR", 0), ("GGGGGGGG", 1), ("CCCCCCCC", 0)]
    pairs = [*zip(SEQUENCES, LABELS, strict=True), *extra]
    path = write(tmp_path / "t.csv", "sequence,label\n" + "".join(f"{text},{label}\n" for text, label in pairs))
    data = load(Source(path))
    assert sequences.decode(data.codes) == SEQUENCES
    assert data.dropped == {
        cleaning.LOWER: 8,
        cleaning.AMBIGUOUS: 1,
        cleaning.MOSTLY_N: 2,
        cleaning.CONFLICT: 2,
        cleaning.DUPLICATE: 2,
        cleaning.REVERSE: 1,
    }
    assert data.ids == [f"t:{n}" for n in range(2, 26)]


@pytest.mark.parametrize("kind", ["p.txt", "p.fa", "p.csv", "p.seq", "p.parquet"])
def test_positives_alone_are_completed_by_shuffles(tmp_path, kind):
    texts = ["".join(bases) for bases in np.random.RandomState(0).choice(list("ACGT"), (30, 40))]
    path = str(tmp_path / kind)
    if kind == "p.parquet":
        pd.DataFrame({"sequence": texts, "label": 1}).to_parquet(path)
    else:
        heads = {"p.csv": "sequence,label\n", "p.seq": "FoldID\tEventID\tseq\tBound\n"}
        rows = {"p.txt": "{}\n", "p.fa": ">chr1:5-45\n{}\n", "p.csv": "{},1\n", "p.seq": "A\tx\t{}\t1\n"}
        write(tmp_path / kind, heads.get(kind, "") + "".join(rows[kind].format(text) for text in texts))
    data = load(Source(path, negatives="shuffle", negative_ratio=2, negative_seed=5))
    assert sequences.decode(data.codes[:30]) == texts
    assert np.array_equal(data.codes[30:], dinucleotide_shuffle(data.codes[:30], 2, 5).reshape(60, 40))
    assert data.labels.tolist() == [1] * 30 + [0] * 60
    assert data.ids[31] == f"{data.ids[0]}:shuffle2"
    assert list(data.groups) == (["chr1"] * 90 if kind == "p.fa" else [])
    assert data.digest != load(Source(path, negatives="shuffle", negative_ratio=2, negative_seed=6)).digest


def test_groups_and_parts_follow_their_sequences(tmp_path):
    rows = [
        f"{text},{label},chr{i % 3},{'train' if i < 16 else 'test'}"
        for i, (text, label) in enumerate(zip(SEQUENCES, LABELS, strict=True))
    ]
    rows.insert(4, rows[0])
    path = write(
        tmp_path / "t.csv", "\n".join(["sequence,label,chromosome,fold", *rows, SEQUENCES[2] + ",1,chr9,test"])
    )
    data = load(Source(path, group_column="chromosome", split_column="fold"))
    assert data.groups == [*(f"chr{i % 3}" for i in range(24)), "chr9"]
    assert data.parts == ["train"] * 16 + ["test"] * 9
    assert data.dropped == {cleaning.DUPLICATE: 1}, "each part is cleaned by itself"
    part = data.take(np.array([24, 0, 17]))
    assert (part.groups, part.parts) == (["chr9", "chr0", "chr2"], ["test", "train", "test"])
    both = join([part, data.take(np.array([1]))])
    assert both.groups == ["chr9", "chr0", "chr2", "chr1"]
    assert both.ids == [data.ids[i] for i in (24, 0, 17, 1)]
    assert both.dropped == data.dropped


def test_chromosomes_need_to_be_known_on_both_sides(tmp_path):
    positives = write(tmp_path / "p.fa", "".join(f">chr{i}:1-9\n{text}\n" for i, text in enumerate(POSITIVES)))
    places = write(tmp_path / "n.fa", "".join(f">chr{i}:1-9\n{text}\n" for i, text in enumerate(NEGATIVES)))
    assert load(Source(positives, negatives=places)).groups == [f"chr{i}" for i in range(12)] * 2
    names = write(tmp_path / "m.fa", fasta(NEGATIVES, "n"))
    assert len(load(Source(positives, negatives=names)).groups) == 0


TRAINS = {
    "nfe2": ([644, 644], [], [69, 69], 247, 23),
    "deepbind/ARID3A": ([8526, 8526], [], [500, 500], 101, 0),
    "deepbind/GABPA": ([6066, 6066], [], [500, 500], 101, 0),
    "deepbind/REST": ([6405, 6405], [], [500, 500], 101, 0),
    "gue/0": ([16198, 16172], [483, 517], [500, 500], 101, 0),
    "gue/3": ([13645, 13629], [482, 518], [500, 500], 101, 0),
}
DROPPED = {"deepbind/REST": {cleaning.REVERSE: 1}, "gue/0": {cleaning.DUPLICATE: 8}, "gue/3": {cleaning.DUPLICATE: 20}}
DIGESTS = {
    "simulated": "2e2777b3f19975be9be8f73b3156d01d64554c0d10d1114108e6e0aa5cdeced0",
    "packt": "880b2dade60f605796cb82c0c5a715a3b32d3e5b11b666ba7d86f47201be6672",
    "primer": "d491ce39b47c93a4c4227caa6587cddcfaa0c4b84b518a4ace8a183ce06bc1e6",
    "nfe2": "3d4c95011b5e97a1d6d04439a59c76c65d4bb7491f9e929df2bf73a6896eb254",
    "deepbind/ARID3A": "44521a685fa5cdcb1b2f98c765c3dd5fc15f55317ad2666dc981423b1af13b95",
    "deepbind/GABPA": "5165e5bc563a2e22996be690ec6874d79a1204881a34c0c0c89e06813918268f",
    "deepbind/REST": "6bbdfb1ddfd385660a8bebc2595c00d8ebafc5a11e59a813fdf776eef00b90e7",
    "gue/0": "82d56153eb09accc1165b9087a28cc3e6cfb42f7eaebb30531e8465e76cd5548",
    "gue/3": "7745b3ee4574eedd18d276a6723b761ba0420e88b66339b7a392b6108b2dcb16",
}


@pytest.mark.data
@pytest.mark.parametrize("name", TRAINS)
def test_benchmarks(published_files, name):
    data, (train, validation, test, width, chromosomes) = load(Source(name)), TRAINS[name]
    parts = np.array(data.parts)
    assert [np.bincount(data.labels[parts == part]).tolist() for part in ("train", "validation", "test")] == [
        train,
        validation,
        test,
    ]
    assert data.length == width
    assert data.codes.max() <= 3
    assert len(set(data.groups)) == chromosomes
    assert {reason: n for reason, n in data.dropped.items() if reason not in cleaning.CHANGED} == DROPPED.get(name, {})
    assert data.digest == DIGESTS[name]


@pytest.mark.data
@pytest.mark.parametrize("name", ["packt", "primer"])
def test_published_sets_are_what_they_were(published_files, name):
    data = load(Source(name))
    assert data.digest == DIGESTS[name]
    assert data.dropped == {} and len(data.groups) == len(data.parts) == 0


def test_the_default_is_what_it_was(simulated):
    assert simulated.digest == DIGESTS["simulated"]


@pytest.mark.data
def test_nfe2_tests_on_chromosome_1_alone(published_files):
    data = load(Source("nfe2"))
    assert {group for group, part in zip(data.groups, data.parts, strict=True) if part == "test"} == {"chr1"}
    assert "chr1" not in {group for group, part in zip(data.groups, data.parts, strict=True) if part == "train"}


@pytest.mark.data
def test_deepbind_training_negatives_are_shuffles_of_the_training_positives(published_files):
    data = load(Source("deepbind/GABPA"))
    train = data.take(np.flatnonzero(np.array(data.parts) == "train"))
    positives, negatives = (train.codes[train.labels == label] for label in (1, 0))
    assert np.array_equal(dinucleotide_shuffle(positives, 1, 0)[:, 0], negatives)
    twice = load(Source("deepbind/GABPA", negative_ratio=2))
    assert np.bincount(twice.labels).tolist() == [2 * 6066 + 500, 6566]


@pytest.mark.data
@pytest.mark.parametrize("name", ["yeast/Reb1", "yeast/Abf1", "yeast/Fkh1"])
def test_yeast(published_files, name):
    data = load(Source(name, width=51))
    assert data.name == name
    assert data.length == 51
    assert len(set(data.groups)) == 16
    assert np.ptp(np.bincount(data.labels)) == 0


@pytest.mark.parametrize(
    ("name", "meant"),
    [("deepbind/gabpa", "deepbind/GABPA"), ("gue/1", "gue/"), ("yeast/Reb", "yeast/Reb1"), ("nfe-2", "nfe2")],
)
def test_a_misspelt_name_gets_a_suggestion(name, meant):
    with pytest.raises(ParameterError, match=f'received "{name}"; did you mean "{meant}'):
        load(Source(name))


def test_simulated_settings_are_used():
    data = load(Source(), Simulation(length=20, n_positives=11, n_negatives=13, motif="ACGTACGT"))
    assert (data.codes.shape, int(data.labels.sum()), data.motif) == ((24, 20), 11, "ACGTACGT")


def test_digest_is_that_of_shape_codes_and_labels(small):
    content = b"(60, 30)" + small.codes.tobytes() + small.labels.tobytes()
    assert small.digest == hashlib.sha256(content).hexdigest()
    assert replace(small, name="other", ids=["x"] * 60).digest == small.digest


def test_digest_changes_with_a_base_a_label_the_order_and_the_shape(small):
    codes, labels = small.codes.copy(), small.labels.copy()
    codes[3, 4] = (codes[3, 4] + 1) % 4
    labels[5] = 1 - labels[5]
    flat = Dataset("x", small.codes.reshape(30, 60), small.labels, small.ids)
    others = [replace(small, codes=codes), replace(small, labels=labels), small.take(np.arange(60)[::-1]), flat]
    assert len({small.digest, *(other.digest for other in others)}) == 5


def test_take_keeps_rows_together(small):
    rows = np.array([7, 3, 50])
    part = small.take(rows)
    assert part.ids == [small.ids[i] for i in rows]
    for name in ("codes", "labels", "starts"):
        assert np.array_equal(getattr(part, name), getattr(small, name)[rows])
    assert len(part.groups) == len(part.parts) == 0


@pytest.mark.parametrize(
    ("name", "genome", "expected"),
    [
        ("a.bed", "", True),
        ("a.narrowPeak.gz", "", True),
        ("peaks.txt", "g.fa", True),
        ("MACS_peaks", "g.fa", True),
        ("peaks.xls", "g.fa", True),
        ("peaks.txt", "", False),
        ("a.fa.gz", "g.fa", False),
        ("a.csv", "g.fa", False),
    ],
)
def test_any_file_beside_a_genome_holds_peaks_unless_its_name_says_otherwise(name, genome, expected):
    assert datasets.is_regions(name, genome) is expected
