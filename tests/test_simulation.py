from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, chi2_contingency, chisquare
from sklearn.metrics import roc_auc_score

from tfbs import sequences
from tfbs.datasets import Source, load
from tfbs.errors import DataError, ParameterError
from tfbs.simulation import Simulation, read_pwm, simulate

MOTIF = "AAAGAGGAAGTT"
RARE = 1e-3
DEFAULT_DIGEST = "2e2777b3f19975be9be8f73b3156d01d64554c0d10d1114108e6e0aa5cdeced0"
HARD_DIGEST = "4700c335b3115e42ae885b0a408d752ca6b3e1dce4b6994433ba4b1f84e1505b"


def occurrences(codes: np.ndarray, motif: str) -> np.ndarray:
    """Count a motif in every sequence, overlaps included."""
    width = len(motif)
    texts = sequences.decode(codes)
    return np.array([sum(t[i : i + width] == motif for i in range(len(t) - width + 1)) for t in texts])


def sites(codes: np.ndarray, starts: np.ndarray, width: int) -> np.ndarray:
    """Cut the planted sites out of the positives: codes (n_positives, width)."""
    return np.array([row[start : start + width] for row, start in zip(codes, starts, strict=True) if start >= 0])


def gc_auroc(codes: np.ndarray, labels: np.ndarray) -> float:
    return roc_auc_score(labels, -np.isin(codes, [1, 2]).mean(1))


def other_strand(motif: str) -> str:
    return motif[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_default_holds_the_motif_once_in_positives_and_never_in_negatives(simulated):
    assert simulated.codes.shape == (2000, 50)
    assert np.bincount(simulated.labels).tolist() == [1013, 987]
    assert simulated.motif == MOTIF
    assert np.array_equal(occurrences(simulated.codes, MOTIF), simulated.labels)
    assert np.array_equal([text.find(MOTIF) for text in sequences.decode(simulated.codes)], simulated.starts)


def test_default_bases_outside_the_motif_are_uniform(simulated):
    inside = np.arange(50) - simulated.starts[:, None]
    outside = (simulated.starts[:, None] < 0) | (inside < 0) | (inside >= len(MOTIF))
    for label in (0, 1):
        rows = simulated.labels == label
        assert chisquare(np.bincount(simulated.codes[rows][outside[rows]], minlength=4)).pvalue > RARE


def test_default_positions_are_uniform_and_classes_are_mixed(simulated):
    starts = simulated.starts[simulated.labels == 1]
    assert chisquare(np.bincount(starts, minlength=38)).pvalue > RARE
    assert np.bincount(starts).shape == (38,)
    halves = simulated.labels.reshape(2, -1).sum(1)
    assert binomtest(int(halves[0]), int(halves.sum())).pvalue > RARE


@pytest.mark.data
def test_default_looks_like_the_published_set(simulated, published_files):
    published = load(Source("packt"))
    assert published.codes.shape == simulated.codes.shape
    assert np.array_equal(np.bincount(published.labels), np.bincount(simulated.labels))
    assert published.motif == simulated.motif
    difference = np.bincount(published.codes.ravel()) - np.bincount(simulated.codes.ravel())
    assert np.abs(difference).max() < 5 * np.sqrt(2 * 100_000 * 0.25 * 0.75)


def test_the_same_settings_give_the_same_bytes_everywhere(simulated):
    assert simulated.digest == DEFAULT_DIGEST
    hard = Simulation(both_strands=True, mutation_rate=0.1, decoys=0.5, n_positives=50, n_negatives=50, data_seed=7)
    assert load(Source(), hard).digest == HARD_DIGEST


def test_another_data_seed_gives_other_data(simulated):
    assert load(Source(), Simulation(data_seed=1)).digest != simulated.digest
    assert load(Source(), Simulation(data_seed=0)).digest == simulated.digest


def test_both_strands_plants_half_of_the_sites_on_each():
    codes, labels, starts = simulate(Simulation(both_strands=True))
    forward, reverse = occurrences(codes, MOTIF), occurrences(codes, other_strand(MOTIF))
    assert np.array_equal(forward + reverse, labels)
    assert binomtest(int(forward.sum()), int(labels.sum())).pvalue > RARE
    planted = set(sequences.decode(sites(codes, starts, len(MOTIF))))
    assert planted == {MOTIF, other_strand(MOTIF)}


@pytest.mark.parametrize("rate", [0.0, 0.1, 1.0])
def test_mutation_rate_is_the_share_of_replaced_bases(rate):
    codes, labels, starts = simulate(Simulation(mutation_rate=rate))
    planted = sites(codes, starts, len(MOTIF))
    consensus = sequences.encode_strings([MOTIF])
    replaced = planted != consensus
    assert len(planted) == labels.sum()
    assert binomtest(int(replaced.sum()), replaced.size, rate).pvalue > RARE
    assert occurrences(codes[labels == 0], MOTIF).sum() == 0
    if rate:
        shifts = (planted.astype(int) - consensus)[replaced] % 4
        assert chisquare(np.bincount(shifts, minlength=4)[1:]).pvalue > RARE, "each other base equally often"


def test_decoys_take_composition_away():
    codes, labels, _ = simulate(Simulation())
    assert gc_auroc(codes, labels) == pytest.approx(0.65, abs=0.03)
    hard, labels, starts = simulate(Simulation(decoys=1.0))
    assert gc_auroc(hard, labels) == pytest.approx(0.5, abs=0.03)
    assert np.array_equal(occurrences(hard, MOTIF), labels)
    assert (starts[labels == 0] == -1).all()


def test_decoys_is_the_share_of_negatives_with_the_shuffled_motif():
    motif = "A" * 15 + "C"
    codes, labels, _ = simulate(Simulation(motif=motif, decoys=0.3, length=20))
    shuffles = ["A" * i + "C" + "A" * (15 - i) for i in range(16)]
    found = sum(occurrences(codes[labels == 0], shuffle) for shuffle in shuffles) > 0
    assert binomtest(int(found.sum()), len(found), 0.3).pvalue > RARE


def test_sites_are_drawn_from_the_matrix(tmp_path):
    counts = np.array([[70, 10, 10, 10], [0, 50, 50, 0], [5, 5, 5, 85], [0, 0, 100, 0], [25, 26, 25, 24]])
    path = tmp_path / "site.pwm"
    path.write_text(">a motif\n# A C G T\n" + "\n".join(" ".join(map(str, row)) for row in counts) + "\n\n")
    settings = Simulation(pwm=str(path), length=30)
    assert settings.consensus == "ACTGC"
    assert np.allclose(settings.matrix, counts / 100)
    codes, labels, starts = simulate(settings)
    planted = sites(codes, starts, 5)
    assert occurrences(codes[labels == 0], "ACTGC").sum() == 0
    for position, row in enumerate(counts / 100):
        seen, possible = np.bincount(planted[:, position], minlength=4), row > 0
        assert seen[~possible].sum() == 0
        if possible.sum() > 1:
            assert chisquare(seen[possible], row[possible] * len(planted)).pvalue > RARE


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 2 3 4\n1 2 3\n", r"line 2: expected four non-negative numbers .* received \"1 2 3\""),
        ("1 2 3 x\n", "line 1: expected four"),
        ("0 0 0 0\n", "positive sum"),
        ("1 2 -3 4\n", "line 1: expected four"),
        ("nan 1 1 1\n", "line 1: expected four"),
        ("# nothing\n", "received no numbers"),
    ],
)
def test_a_damaged_matrix_is_refused(tmp_path, text, expected):
    path = tmp_path / "site.pwm"
    path.write_text(text)
    with pytest.raises(DataError, match=expected):
        read_pwm(str(path))


def test_a_palindrome_on_both_strands_terminates():
    palindrome = "GAATTC"
    assert other_strand(palindrome) == palindrome
    codes, labels, starts = simulate(Simulation(motif=palindrome, both_strands=True, n_positives=100, n_negatives=100))
    assert np.array_equal(occurrences(codes, palindrome), labels)
    assert set(sequences.decode(sites(codes, starts, 6))) == {palindrome}


@pytest.mark.parametrize("motif", ["ATATAT", "AAAAAA"])
def test_a_motif_that_overlaps_itself_stands_once(motif):
    codes, labels, starts = simulate(Simulation(motif=motif, n_positives=300, n_negatives=300))
    assert np.array_equal(occurrences(codes, motif), labels)
    assert np.array_equal([text.find(motif) for text in sequences.decode(codes)], starts)


@pytest.mark.parametrize("motif", ["A", "AC"])
def test_a_motif_too_short_to_be_absent_is_an_error_not_a_loop(motif):
    with pytest.raises(ParameterError, match=f'rarely hold, received "{motif}": use a longer motif or shorter'):
        simulate(Simulation(motif=motif, length=400))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("motif", ""),
        ("motif", "ACGX"),
        ("length", 0),
        ("length", 11),
        ("n_positives", 9),
        ("n_negatives", 9),
        ("mutation_rate", 1.5),
        ("mutation_rate", float("nan")),
        ("decoys", -0.1),
        ("data_seed", -1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(ParameterError, match=f"^{name}: expected"):
        Simulation(**{name: value})


def test_decoys_of_one_letter_are_refused(tmp_path):
    with pytest.raises(ParameterError, match='received "AAAAAA"'):
        Simulation(motif="AAAAAA", decoys=0.5)
    path = tmp_path / "site.pwm"
    path.write_text("9 1 0 0\n" * 6)
    with pytest.raises(ParameterError, match='received "AAAAAA"'):
        Simulation(pwm=str(path), decoys=0.5)


@pytest.mark.data
def test_positions_are_distributed_as_in_the_published_sequences(simulated, published_files):
    published = load(Source("packt"))
    counts = [np.bincount(d.starts[d.labels == 1], minlength=39) for d in (simulated, published)]
    assert counts[0][38] == counts[1][38] == 0
    assert chi2_contingency(np.array(counts)[:, :38]).pvalue > RARE
