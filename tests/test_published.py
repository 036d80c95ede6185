from __future__ import annotations

import functools
import gzip
import hashlib
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tfbs import published
from tfbs.published import BENCHMARKS, NAMES, PLACES, PUBLISHED, File, fetch

FILES = [member.file for benchmark in BENCHMARKS.values() for member in benchmark.members]
FILES += [file for places in PLACES.values() for file in (places.peaks, places.genome, places.blacklist)]
for name, known in PUBLISHED.items():
    FILES += [File(f"{name}/{file}", known.url + file, sha256) for file, sha256 in (known.sequences, known.labels)]
FILES = sorted(set(FILES), key=lambda file: file.path)


def test_every_name_has_its_files():
    assert {"simulated", *PUBLISHED, *BENCHMARKS, *PLACES} == set(NAMES)
    assert len(FILES) == len({file.path for file in FILES}) == 25


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_addresses_are_pinned_to_a_commit(file):
    assert re.fullmatch(r"https://raw\.githubusercontent\.com/[\w-]+/[\w.-]+/[0-9a-f]{40}/[^ ?#]+", file.url)
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)


@pytest.mark.data
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.path)
def test_files_are_the_published_ones(published_files, file):
    path = fetch(file)
    assert path == published_files / file.path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == file.sha256


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_a_name_with_brackets_is_downloaded(tmp_path, monkeypatch):
    content = gzip.compress(b"FoldID\tEventID\tseq\tBound\n")
    name = "ARID3A_K562_ARID3A_(sc-8821)_Stanford_AC.seq.gz"
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / name).write_bytes(content)
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    for variable in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(variable, "127.0.0.1")
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=tmp_path / "www")) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/{name}"
        path = fetch(File(f"deepbind/{name}", url, hashlib.sha256(content).hexdigest()))
        server.shutdown()
        thread.join()
    assert path == published.cache_folder() / "deepbind" / name
    assert path.read_bytes() == content
