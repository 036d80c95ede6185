"""One searchable web page of the motifs that a network reads; it needs no other file and no network."""

from __future__ import annotations

import base64
import html
from collections.abc import Mapping, Sequence

from . import page
from .jaspar import ALIKE, MAX_Q, Match
from .motifs import Pattern
from .reading import Reading

_EXTRA = (
    "<style>td img{width:38rem}tbody td{padding:1rem 1.2rem 1rem 0}input{font:inherit;width:22rem;padding:.2rem .5rem}"
    "code{font-size:1.05rem}ul{margin:.3rem 0 0;padding-left:1.1rem}</style>"
)
_SEARCH = (
    '<p><label>Show motifs with <input id="words" type="search" placeholder="a factor, a family, letters, pos, neg">'
    '</label> <span id="shown"></span></p>'
)
_SCRIPT = (
    "<script>const words=document.getElementById('words'),rows=[...document.querySelectorAll('tbody tr')];"
    "function search(){const wanted=words.value.toLowerCase().split(/\\s+/);let n=0;for(const row of rows){"
    "const text=row.textContent.toLowerCase();row.hidden=!wanted.every(word=>text.includes(word));n+=!row.hidden}"
    "document.getElementById('shown').textContent=n+' of '+rows.length}words.addEventListener('input',search);search()"
    "</script>"
)


def document(
    sentences: Sequence[str], found: Reading, pictures: Mapping[str, bytes], exhibits: Mapping[str, bytes]
) -> str:
    """Write the page.

    Parameters
    ----------
    sentences : sequence of str
        What a person should read first.
    found : Reading
        The motifs, in the order of the page, and what they resemble.
    pictures : mapping of str to bytes
        PNG of :func:`tfbs.plots_motifs.motif`, by name of the pattern.
    exhibits : mapping of str to bytes
        PNG of other figures for the end of the page, by caption.

    Returns
    -------
    str
        HTML.
    """
    body = [_EXTRA, *map(page.paragraph, sentences)]
    if found.patterns:
        explained = (
            f"Resemblance is to {found.database}: q-value of Tomtom at most {MAX_Q:g}, and logos whose cosine is at "
            f"least {ALIKE:g}, the most alike first. "
            "Importance is the number of occurrences times their mean contribution to the logit (log-odds)."
        )
        heads = "<thead><tr><th>motif<th>occurrences<th>resembles</thead>"
        rows = "".join(_row(each, found.matches[each.name], pictures[each.name]) for each in found.patterns)
        body += [page.paragraph(explained), _SEARCH, f"<table>{heads}<tbody>{rows}</tbody></table>", _SCRIPT]
    body += [page.figure(caption, png) for caption, png in exhibits.items()]
    return page.document("What the network reads", body)


def _row(pattern: Pattern, matches: Sequence[Match], picture: bytes) -> str:
    data = base64.b64encode(picture).decode()
    forward = int((~pattern.seqlets.reverse).sum())
    facts = (
        f"{pattern.count:,} in {len(set(pattern.seqlets.rows.tolist())):,} sequences",
        f"{forward:,} as drawn, {pattern.count - forward:,} reversed",
        f"{pattern.scores.mean():+.2f} log-odds each",
        f"importance {pattern.importance:,.4g}",
    )
    known = "".join(f"<li>{_known(match)}" for match in matches)
    return (
        f'<tr id="{pattern.name}"><td><b>{pattern.name}</b> <code>{pattern.consensus}</code><br>'
        f'<img alt="Logos and positions of {pattern.name}" src="data:image/png;base64,{data}">'
        f"<td>{'<br>'.join(facts)}<td>{f'<ul>{known}</ul>' if known else 'no known motif'}"
    )


def _known(match: Match) -> str:
    motif = match.motif
    words = html.escape(f"{motif.name} {motif.id}".strip())
    if motif.url.startswith(("https://", "http://")):
        words = f'<a href="{html.escape(motif.url)}">{words}</a>'
    details = [motif.family, "reverse complement" if match.reverse else "", f"{match.overlap} bp shared"]
    measured = f"alike {match.likeness:.2f}, q = {match.q:.2g}"
    return f"{words}<br>{html.escape(', '.join(filter(None, details)))}<br>{measured}"
