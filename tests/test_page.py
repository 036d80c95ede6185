import base64
from html.parser import HTMLParser

from tfbs import page

ROWS = [{"name": "a<b", "value": "1|2"}, {"name": "longer", "value": "3"}]


class Reader(HTMLParser):
    """Collects tags and text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes.append(dict(attributes))

    def handle_data(self, data):
        self.words.append(data)


def test_a_document_shows_its_pieces_and_escapes_what_is_data():
    png = b"\x89PNG\r\n"
    body = [page.paragraph("x < y"), page.table("Rows & more", ROWS, "rows"), page.figure('a "figure"', png)]
    found = Reader(page.document("<title>", body))
    assert found.words.count("<title>") == 2
    assert {"x < y", "Rows & more", "a<b", "1|2", 'a "figure"'} <= set(found.words)
    assert found.tags.count("td") == 4
    assert {"id": "rows"} in found.attributes
    [source] = [attributes["src"] for attributes in found.attributes if "src" in attributes]
    assert base64.b64decode(source.removeprefix("data:image/png;base64,")) == png


def test_a_document_needs_no_other_file():
    text = page.document("t", [page.figure("f", b"1")])
    assert "http" not in text
    assert "<link" not in text
    assert "<script" not in text


def test_markdown_tables_keep_their_columns():
    lines = page.markdown_table(ROWS).splitlines()
    assert lines == ["| name | value |", "|---|---|", "| a<b | 1\\|2 |", "| longer | 3 |"]


def test_text_tables_align_their_columns():
    assert page.text_table(ROWS).splitlines() == ["  name    value", "  a<b     1|2", "  longer  3"]
    assert page.text_table([]) == "  (none)"
