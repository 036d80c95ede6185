from __future__ import annotations

import functools
import gzip
import hashlib
import socket
import threading
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tfbs import datasets, sequences
from tfbs.datasets import PUBLISHED, Dataset, Published, Source, load
from tfbs.errors import DataError, ParameterError
from tfbs.simulation import Simulation

SEQUENCES = [text for i in range(12) for text in (f"ACGT{'ACGT'[i % 4]}T", f"TTTT{'ACGT'[i % 4]}G")]
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
            'one of simulated, packt, primer or the path of a file, received "primr"; did you mean "primer"',
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


def test_classes_of_different_lengths_are_refused(tmp_path):
    positives, negatives = write(tmp_path / "p.txt", "ACGT\n" * 10), write(tmp_path / "n.txt", "ACGTA\n" * 10)
    with pytest.raises(DataError, match="could tell the classes by length alone"):
        load(Source(positives, negatives=negatives))


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
