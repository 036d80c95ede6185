from __future__ import annotations

import base64
import re

import numpy as np

from tfbs import motif_page
from tfbs.attribution import Attribution
from tfbs.explanation import Sample
from tfbs.jaspar import Match, Motif
from tfbs.motifs import Pattern, Seqlets
from tfbs.reading import Reading
from tfbs.sequences import one_hot

PPM = np.eye(4)


def pattern(name: str, score: float) -> Pattern:
    seqlets = Seqlets(np.array([0, 0, 1]), np.array([0, 9, 4]), np.array([False, True, False]), 4)
    return Pattern(name, PPM * score, PPM, seqlets, np.full(3, score), 50)


def reading(patterns: list[Pattern], matches: dict[str, list[Match]], database: str) -> Reading:
    codes = np.zeros((10, 50), np.uint8)
    values = Attribution(codes, one_hot(codes), np.zeros(10), np.zeros(10))
    sample = Sample([str(i) for i in range(10)], codes, "positives")
    return Reading(sample, values, np.zeros((2, 50)), patterns, matches, database)


def document(found: Reading, pictures: dict[str, bytes]) -> str:
    return motif_page.document(found.sentences, found, pictures, {"Effects & more": b"three"})


def page() -> str:
    patterns = [pattern("pos_1", 2.0), pattern("neg_1", -1.0)]
    known = Motif("MA1", "A<B", PPM, family="Ets-related", url="https://jaspar.elixir.no/matrix/MA1/")
    matches = {"pos_1": [Match(known, True, 0, 4, 0.9, 1e-6, 2e-5)], "neg_1": []}
    return document(reading(patterns, matches, "JASPAR & more"), {"pos_1": b"one", "neg_1": b"two"})


def test_the_page_holds_motifs_matches_and_pictures():
    text = page()
    assert re.findall('<tr id="(.*?)">', text) == ["pos_1", "neg_1"]
    assert "3 in 2 sequences<br>2 as drawn, 1 reversed<br>+2.00 log-odds each<br>importance 6" in text
    assert '<a href="https://jaspar.elixir.no/matrix/MA1/">A&lt;B MA1</a>' in text
    assert "Ets-related, reverse complement, 4 bp shared<br>alike 0.90, q = 2e-05" in text
    assert text.count("no known motif") == 1
    assert "JASPAR &amp; more" in text
    assert "Effects &amp; more" in text
    for picture in (b"one", b"two", b"three"):
        assert f'src="data:image/png;base64,{base64.b64encode(picture).decode()}"' in text


def test_the_page_needs_no_other_file():
    sources = re.findall(r'(?:src|@import|url\()\s*=?\s*"?([^"\s>)]+)', page())
    assert sources and all(source.startswith("data:image/png") for source in sources)
    assert "<link" not in page() and page().count("<script") == 1


def test_an_address_that_is_not_of_the_web_is_no_link():
    motif = Motif("x", "", PPM, url="javascript:alert(1)")
    found = reading([pattern("pos_1", 1.0)], {"pos_1": [Match(motif, False, 0, 4, 1.0, 0.0, 0.0)]}, "own")
    text = document(found, {"pos_1": b""})
    assert "javascript:" not in text


def test_no_motif_is_a_sentence():
    text = document(reading([], {}, "JASPAR"), {})
    assert "TF-MoDISco found no motif" in text and "<table>" not in text
