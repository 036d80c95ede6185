from __future__ import annotations

from tfbs import plots_filters, sequences
from tfbs.filters import Filter
from tfbs.jaspar import Match, Motif

PPM = sequences.one_hot(sequences.encode_strings(["GATTACA"]))[0].astype(float)


def test_at_most_32_filters_are_drawn_each_with_its_best_match():
    found = [Filter(i, PPM, 1000 + i, 1.0) for i in range(40)]
    long = Motif("MA0001.1", "A_FACTOR_WITH_A_LONG_NAME", PPM)
    best, other = (Match(motif, True, 0, 7, 0.9, 1e-9, 3e-6) for motif in (long, Motif("x", "", PPM)))
    figure = plots_filters.filters(found, {"filter_0": [best, other], "filter_1": [other], "filter_2": []})
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert len(titles) == 32
    assert titles[0] == "filter_0: 1,000 windows\nA_FACTOR_WITH_A_LON…, reverse, q = 3e-06"
    assert titles[1].endswith("\nx, reverse, q = 3e-06")
    assert titles[2:4] == [f"filter_{i}: 1,00{i} windows\nno known motif" for i in (2, 3)]
    assert all(len(axes.patches) == 7 and axes.get_ylim() == (0, 2.05) for axes in figure.axes)


def test_empty_panels_are_hidden():
    assert [axes.axison for axes in plots_filters.filters([Filter(0, PPM, 5, 1.0)], {}).axes] == [True, *[False] * 3]
    assert not any(axes.axison for axes in plots_filters.filters([], {}).axes)
