from __future__ import annotations

import numpy as np
import pytest

from tfbs import plots_motifs, sequences
from tfbs.jaspar import Match, Motif
from tfbs.motifs import Pattern, Seqlets
from tfbs.plots_motifs import Example

PPM = sequences.one_hot(sequences.encode_strings(["ACCGGAAGT"]))[0] * 0.9 + 0.025
KNOWN = Motif("MA0062.4", "GABPA", PPM[1:])


@pytest.fixture
def pattern() -> Pattern:
    random = np.random.RandomState(0)
    seqlets = Seqlets(np.arange(40), random.randint(0, 92, 40), np.arange(40) % 4 == 0, 9)
    return Pattern("pos_1", PPM * 0.4, PPM, seqlets, np.linspace(1, 3, 40), 101)


def texts(axes) -> str:
    return axes.get_title(loc="left")


def test_a_motif_stands_over_the_known_one_column_by_column(pattern):
    cwm, bases, known, places = plots_motifs.motif(pattern, Match(KNOWN, False, -1, 8, 0.9, 1e-9, 3e-6)).axes
    assert texts(cwm).startswith("pos_1: 40 occurrences, each raises the logit by 2.00")
    assert texts(known) == "resembles GABPA MA0062.4, q = 3e-06"
    assert cwm.get_xlim() == bases.get_xlim() == known.get_xlim() == (0.25, 9.75)
    left = min(patch.get_extents().x0 for patch in known.patches if patch.get_extents().width < 60)
    assert known.transData.inverted().transform((left, 0))[0] > 1.4
    assert texts(places) == "30 as drawn, 10 as reverse complement"
    counts = places.patches[0].get_data().values
    assert counts.sum() == 40


def test_a_motif_without_a_match_has_no_third_logo(pattern):
    assert len(plots_motifs.motif(pattern).axes) == 3


def test_the_first_look_shows_motif_match_examples_and_trust(pattern):
    codes = np.random.RandomState(1).randint(0, 4, (40, 101), dtype=np.uint8)
    shown = plots_motifs.examples(pattern, codes, np.ones((40, 101)), [f"s{i}" for i in range(40)])
    assert [example.title.split(":")[0] for example in shown] == [
        f"{name} of 40 occurrences" for name in ("strongest", "median", "weakest")
    ]
    assert shown[0].title.endswith("s39, +3.00 log-odds") and shown[0].span == (pattern.seqlets.starts[39], 9)
    figure = plots_motifs.first_look(
        pattern, Match(KNOWN, True, 0, 8, 0.9, 1e-9, 0.04), shown, ["AUROC 0.98.", "Adds up."]
    )
    left, right, *logos = figure.axes
    assert "pos_1" in texts(left) and "reverse complement" in texts(right)
    assert len(logos) == 3 and len({axes.get_ylim() for axes in logos}) == 1
    assert [text.get_text() for part in figure.subfigs for text in part.texts][-1] == "AUROC 0.98.\nAdds up."


def test_the_first_look_without_a_motif_says_so():
    example = Example("s1", np.zeros(50, np.uint8), np.linspace(-1, 1, 50))
    figure = plots_motifs.first_look(None, None, [example], ["AUROC 0.5."])
    assert "no motif found" in [text.get_text() for axes in figure.axes for text in axes.texts]
