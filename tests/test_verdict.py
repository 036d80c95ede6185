from __future__ import annotations

import re

import numpy as np
import pytest
from scipy.stats import norm, t
from test_paired import crossed

from tfbs.paired import Difference, difference, measure, resampled
from tfbs.verdict import needed, sentence, verdict


def found(value, seed_variances=(0.0, 0.0), sequences=1e-4, seeds=(1, 1), df=float("inf"), p=0.3, higher=True, n=500):
    sd = (sum(v / s for v, s in zip(seed_variances, seeds, strict=True)) + sequences) ** 0.5
    half = 1.96 * sd
    return Difference(value, value - half, value + half, p, df, n, seeds, seed_variances, sequences, higher)


@pytest.mark.parametrize(
    ("value", "p", "higher", "expected"),
    [
        (0.01, 0.01, True, "better"),
        (-0.01, 0.01, True, "worse"),
        (0.01, 0.01, False, "worse"),
        (-0.01, 0.01, False, "better"),
        (0.01, 0.05, True, "cannot tell"),
        (0.01, 1.0, True, "cannot tell"),
    ],
)
def test_verdict_minds_the_level_and_the_direction(value, p, higher, expected):
    assert verdict(found(value, higher=higher), p) == expected
    assert verdict(resampled(np.array([value, 2 * value, 1.5 * value]), 0.25, higher), p) == expected


def test_needed_sequences_in_closed_form():
    k = norm.ppf(0.975) + norm.ppf(0.8)
    least = needed(found(0.01, sequences=1e-4))
    assert least.sequences == int(np.ceil(500 * 1e-4 * k**2 / 0.01**2))
    assert least.detectable == pytest.approx(k * 0.01)
    assert least.seeds is None
    assert needed(found(0.01), power=0.9).sequences > least.sequences
    assert needed(found(0.01), alpha=0.01).sequences > least.sequences


def test_needed_says_where_no_number_suffices():
    seeds = {"seed_variances": (4e-4, 4e-4), "seeds": (5, 5), "df": 8.0}
    only_seeds = needed(found(0.02, sequences=1e-5, **seeds))
    assert only_seeds.sequences is None
    assert only_seeds.seeds > 5
    only_sequences = needed(found(0.02, (1e-6, 1e-6), 1e-4, (5, 5), 100.0))
    assert only_sequences.seeds is None
    assert only_sequences.sequences > 500
    neither = needed(found(0.02, sequences=1e-4, **seeds))
    assert (neither.sequences, neither.seeds) == (None, None)
    assert needed(found(0.0, sequences=1e-4)).sequences is None


def test_needed_seeds_are_the_fewest():
    one = found(0.02, (4e-4, 4e-4), 1e-5, (5, 5), 8.0)
    least = needed(one).seeds
    variance = 8e-4 / least + 1e-5
    k = norm.ppf(0.975) + norm.ppf(0.8)
    assert (0.02 / k) ** 2 >= variance
    assert (0.02 / (1.15 * k)) ** 2 < 8e-4 / (least - 1) + 1e-5


def test_sentence_of_a_difference():
    words = sentence("modified", "baseline", "AUROC", found(0.025, p=0.0062), 0.0186)
    assert words == (
        "modified is better than baseline: AUROC higher by 0.0250 (95 % interval 0.0054 to 0.0446, p = 0.019 after "
        "Holm; one seed each, n = 500 test sequences). Only one seed each was compared: another seed may change this."
    )
    several = found(-0.0025, (1e-6, 2e-6), 5e-7, (4, 5), 7.0, 0.0004, higher=False, n=1500)
    assert sentence("a", "b", "Brier score", several, 0.0004) == (
        "a is better than b: Brier score lower by 0.0025 (95 % interval -0.0046 to -0.0004, p < 0.001; 4 and 5 seeds, "
        "n = 1,500 test sequences)."
    )


def test_sentence_of_no_difference_says_how_bad_it_may_be_and_what_is_needed():
    words = sentence("a", "b", "AUROC", found(0.012, (1e-6, 1e-6), 1e-4, (3, 3), 100.0, 0.24), 0.24)
    assert words == (
        "Cannot tell a from b by AUROC: difference +0.0120 (95 % interval -0.0077 to 0.0317, p = 0.24; 3 seeds each, "
        "n = 500 test sequences); a is at least as good to within 0.0077. More seeds alone would not tell a difference "
        "of this size; about 2,900 test sequences would."
    )


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (found(0.012), "To tell a difference of this size, about 2,800 test sequences would be needed. Only one seed"),
        (found(0.012, (4e-4, 4e-4), 1e-6, (5, 5), 8.0), "The seeds differ too much for more test sequences alone"),
        (
            found(0.012, (2e-5, 2e-5), 1e-5, (5, 5), 8.0),
            r"about \d+ test sequences, or about \d+ seeds each, would be needed",
        ),
        (found(0.012, (4e-4, 4e-4), 1e-4, (5, 5), 8.0), "about 93 seeds each and 9,300 test sequences would."),
        (found(0.012, (0.0, 4e-4), 1e-4, (1, 5), 4.0), "One side has a single seed"),
        (found(0.012, higher=False), "at worst a is higher by 0.0316"),
        (found(0.03, p=0.003), r"95 % interval 0\.0104 to 0\.0496, p = 0\.30 after Holm.*sequences\)\. To tell"),
    ],
)
def test_sentence_of_no_difference_in_every_case(one, words):
    assert re.search(words, sentence("a", "b", "AUROC", one, max(0.3, one.p)))


def test_as_many_of_both_as_are_named_would_tell():
    """Both variances fall with the number, to where the difference is told with 80 % power at 8 degrees of freedom."""
    one = found(0.012, (4e-4, 4e-4), 1e-4, (5, 5), 8.0)
    times = one.variance * ((t.ppf(0.975, 8) + t.ppf(0.8, 8)) / 0.012) ** 2
    assert (5 * times, 500 * times) == pytest.approx((93, 9300), rel=0.02)


def test_more_comparisons_need_more_sequences():
    one = found(0.012, p=0.2)
    counts = [
        int(re.search(r"about ([\d,]+) test", sentence("a", "b", "AUROC", one, p))[1].replace(",", ""))
        for p in (0.2, 0.6)
    ]
    assert counts[0] < counts[1]


def test_small_differences_show_two_digits():
    words = sentence("a", "b", "AUROC", found(0.000012, sequences=1e-11, p=0.0001), 0.0001)
    assert "higher by 0.000012 (95 % interval 0.000006 to 0.000018" in words


def test_p_never_reads_as_the_level_it_is_not():
    assert "p = 0.0498" in sentence("a", "b", "AUROC", found(0.0196, p=0.0498), 0.0498)


def test_sentence_over_splits():
    over = resampled(np.array([0.01, 0.03, -0.01, 0.02, 0.04]), 0.25)
    words = sentence("a", "b", "AUPRC", over, over.p)
    assert words.startswith("Cannot tell a from b by AUPRC: difference +0.0180 (95 % interval -0.0")
    assert "; 5 splits); a is at least as good to within 0.0" in words
    assert "seed" not in words
    told = sentence("a", "b", "AUPRC", resampled(np.array([0.03, 0.031, 0.029]), 0.25), 0.01)
    assert told.startswith("a is better than b: AUPRC higher by 0.0300 (")


def test_sentences_of_equal_and_of_constant_networks():
    labels, rows = crossed(np.random.default_rng(1), 1, (1.5, 1.5), n=60)
    scores = measure(labels, np.array([rows[0], rows[0], np.zeros(60)]), resamples=50)
    for one in scores.values():
        equal = difference(one, [0], [1])
        assert sentence("a", "b", "it", equal, 1.0) == (
            "Cannot tell a from b by it: difference +0.0000 (95 % interval 0.0000 to 0.0000, p = 1.00; one seed each, "
            "n = 60 test sequences). Only one seed each was compared: another seed may change this."
        )
        constant = difference(one, [0], [2])
        assert verdict(constant, constant.p) == "better"
        assert sentence("a", "b", "it", constant, constant.p)
