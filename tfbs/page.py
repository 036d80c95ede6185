"""Pieces of a self-contained web page, and tables as Markdown and plain text."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;font-size:.88rem}"
    "td,th{padding:.2rem .9rem .2rem 0;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}"
    "section{overflow-x:auto;margin:1.5rem 0}h2{font-size:1.1rem;margin:0 0 .4rem}"
    "img{max-width:100%}figure{margin:2rem 0}figcaption{font-weight:600}"
)


def document(title: str, body: Iterable[str]) -> str:
    """A whole page: HTML that needs no other file."""
    title = html.escape(title)
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
        f"<h1>{title}</h1>{''.join(body)}</html>"
    )


def paragraph(sentence: str) -> str:
    """A sentence."""
    return f"<p>{html.escape(sentence)}</p>"


def table(caption: str, rows: Sequence[Mapping[str, str]], name: str = "") -> str:
    """A table under its heading; the columns are the keys of the first row, no heads are drawn if all are empty."""
    columns = list(rows[0])
    heads = "".join(f"<th>{html.escape(column)}" for column in columns)
    lines = "".join("<tr>" + "".join(f"<td>{html.escape(row.get(c, ''))}" for c in columns) for row in rows)
    return f'<section id="{name}"><h2>{html.escape(caption)}</h2><table><tr>{heads}{lines}</table></section>'


def figure(caption: str, png: bytes) -> str:
    """A PNG file inside the page, under its caption."""
    data, caption = base64.b64encode(png).decode(), html.escape(caption)
    return (
        f'<figure><figcaption>{caption}</figcaption><img alt="{caption}" src="data:image/png;base64,{data}"></figure>'
    )


def markdown_table(rows: Sequence[Mapping[str, str]]) -> str:
    """A table in Markdown; the columns are the keys of the first row."""
    columns = list(rows[0])
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    lines += ["| " + " | ".join(row.get(column, "").replace("|", "\\|") for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def text_table(rows: Sequence[Mapping[str, str]], indent: str = "  ") -> str:
    """A table for the terminal; the columns are the keys of the first row."""
    if not rows:
        return f"{indent}(none)"
    columns = list(rows[0])
    cells = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    return "\n".join(
        (indent + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))).rstrip()
        for line in cells
    )
