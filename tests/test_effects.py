from __future__ import annotations

import functools
import itertools
import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import kstest, percentileofscore
from sklearn.metrics import roc_auc_score

from tfbs import architectures, effects, sequences, splits, training
from tfbs.datasets import Source, load
from tfbs.effects import EDGES, Effect, Judge, Tally
from tfbs.errors import DataError
from tfbs.genome import Genome
from tfbs.simulation import Simulation
from tfbs.variants import Cutter, Frame
from tfbs.vcf import Record

WIDTH = 20
WEIGHTS = np.random.RandomState(5).randn(WIDTH, 4)
FRAME = Frame(WIDTH, 3)


def linear(codes: np.ndarray) -> np.ndarray:
    """A network whose logit is the sum of a weight for each base at each position."""
    return (sequences.one_hot(codes) * WEIGHTS).sum((1, 2)).astype(float)


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    letters = sequences.decode(np.random.RandomState(0).randint(0, 4, (2, 3000), dtype=np.uint8))
    path = tmp_path / "g.fa"
    path.write_text(f">a\n{letters[0]}{'N' * 500}\n>short\nACGT\n>b\n{letters[1]}\n")
    return Genome(path)


@pytest.fixture
def cutter(genome):
    return Cutter(genome, FRAME, {name: name for name in genome.names})


def substitutions(genome, positions, chromosome="a"):
    records = []
    for k, position in enumerate(positions):
        base = int(genome.codes(chromosome, position, position + 1)[0])
        alt = "ACGT"[(base + 1 + k % 3) % 4]
        records.append(Record(k + 1, [chromosome, str(position + 1), ".", "ACGT"[base], alt, ".", ".", "."]))
    return records


def test_the_change_of_a_linear_network_is_that_of_its_weights_over_strands_and_shifts(genome, cutter):
    records = substitutions(genome, range(100, 900, 7))
    for record, [found] in Judge(linear).score(records, cutter.windows):
        expected = 0.0
        for shift in (-5, 0, 5):
            for strand in (1, -1):
                at = (WIDTH - 1) // 2 - shift
                ref, alt = ("ACGT".index(base) for base in (record.ref, record.alts[0]))
                if strand < 0:
                    at, ref, alt = WIDTH - 1 - at, 3 - ref, 3 - alt
                expected += (WEIGHTS[at, alt] - WEIGHTS[at, ref]) / 6
        assert found.delta == pytest.approx(expected, abs=1e-5)
        assert found.change == pytest.approx(expit(found.alternative) - expit(found.reference), abs=1e-12)
        assert found.direction == ("gain" if expected > 0 else "loss")
        assert math.isnan(found.percentile)


def test_both_alleles_swapped_and_the_other_strand_give_the_same_change(genome, cutter):
    windows = np.stack([found for r in substitutions(genome, range(50, 150)) for found in cutter.windows(r)])
    judge = Judge(linear)
    delta = np.array([effect.delta for effect in judge.effects(windows)])
    swapped = np.array([effect.delta for effect in judge.effects(windows[:, ::-1])])
    turned = np.array([effect.delta for effect in judge.effects(sequences.reverse_complement(windows))])
    np.testing.assert_allclose(swapped, -delta, atol=1e-12)
    np.testing.assert_allclose(turned, delta, atol=1e-12)


def test_batches_do_not_matter_and_reasons_keep_their_place(genome, cutter, monkeypatch):
    records = substitutions(genome, range(5, 500, 3))
    records.insert(7, Record(0, ["a", "100", ".", "A", "<DEL>,*"]))
    whole = list(Judge(linear).score(records, cutter.windows))
    monkeypatch.setattr(effects, "BATCH", 10)
    parts = list(Judge(linear).score(iter(records), cutter.windows))
    assert [record for record, _ in whole] == [record for record, _ in parts] == records
    for (_, some), (_, others) in zip(whole, parts, strict=True):
        for one, other in zip(some, others, strict=True):
            assert one == other if isinstance(one, str) else one.delta == pytest.approx(other.delta, abs=1e-12)
    assert [len(found) for _, found in whole].count(2) == 1


def test_the_background_is_drawn_evenly_from_where_windows_fit_and_is_the_same_every_time(genome, monkeypatch):
    drawn = []
    original = Cutter.windows
    monkeypatch.setattr(Cutter, "windows", lambda self, r: drawn.append(r) or original(self, r))
    first = effects.background(genome, FRAME, linear, 2000, 3)
    records = [
        record
        for record in drawn
        if not isinstance(original(Cutter(genome, FRAME, {"a": "a", "b": "b", "short": "short"}), record)[0], str)
    ]
    assert {record.chromosome for record in records} == {"a", "b"}
    assert kstest([r.start for r in records if r.chromosome == "b"], "uniform", (14, 2971)).pvalue > 0.01
    turns = np.bincount([("ACGT".index(r.alts[0]) - "ACGT".index(r.ref)) % 4 for r in records], minlength=4)
    assert turns[0] == 0 and turns[1:].min() > 0.9 * len(records) / 3
    assert np.array_equal(first, effects.background(genome, FRAME, linear, 2000, 3))
    assert not np.array_equal(first, effects.background(genome, FRAME, linear, 2000, 4))
    judge = Judge(linear, first)
    windows = np.stack(
        [
            found
            for r in substitutions(genome, range(50, 90))
            for found in original(Cutter(genome, FRAME, {"a": "a"}), r)
        ]
    )
    for found in judge.effects(windows):
        assert found.percentile == pytest.approx(percentileofscore(np.abs(first), abs(found.delta), "strict"))
    assert judge.scale == np.median(np.abs(first))


def test_a_genome_without_room_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    (tmp_path / "g.fa").write_text(">a\nACGTACGT\n")
    with pytest.raises(DataError, match=r"g\.fa: expected 10 positions with 30 bp without N around them"):
        effects.background(Genome(tmp_path / "g.fa"), FRAME, linear, 10, 0)


def test_a_tally_keeps_what_sorting_everything_would_give():
    random = np.random.RandomState(0)
    deltas = np.round(random.standard_cauchy(5000), 1)
    tally = Tally(scale=0.5, most=20)
    for k, delta in enumerate(deltas):
        tally.add(k, Effect(1.0, 1.0 + delta, percentile=100 * (abs(delta) > 3)))
        tally.add(k, "why not")
    order = np.lexsort((np.arange(5000), -np.abs((1 + deltas) - 1)))[:20]
    assert [k for k, _ in tally.best] == order.tolist()
    assert (tally.scored, tally.total, dict(tally.reasons)) == (5000, 10000, {"why not": 5000})
    assert tally.strong == (np.abs(deltas) > 3).sum() and tally.gains == ((1 + deltas) - 1 > 0).sum()
    inside = np.clip((1 + deltas) - 1, 0.5 * EDGES[0], 0.5 * EDGES[-1])
    assert np.array_equal(tally.histogram, np.histogram(inside, 0.5 * EDGES)[0])


def test_memory_does_not_grow_with_the_number_of_variants(genome):
    windows = Cutter(genome, Frame(WIDTH, 1), {"a": "a"}).windows
    records = substitutions(genome, range(100, 1100))

    def peak(count: int) -> int:
        tally = Tally()
        tracemalloc.start()
        for record, [found] in Judge(linear).score(itertools.islice(itertools.cycle(records), count), windows):
            tally.add(record, found)
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert tally.scored == count
        return size

    peak(1000)
    few, many = peak(1000), peak(20_000)
    assert many < 1.05 * few


def test_variants_that_break_or_make_the_planted_motif_stand_out(tmp_path, monkeypatch):
    """A network trained on planted sites ranks changes of sites above changes between them, in the right direction."""
    monkeypatch.setenv("TFBS_DATA_DIR", str(tmp_path / "cache"))
    simulation = Simulation(n_positives=4000, n_negatives=4000, both_strands=True, decoys=0.5)
    recipe = replace(architectures.get("baseline").recipe, loss="bce")
    split = splits.random_split(load(Source(), simulation), recipe)
    trained = training.train("baseline", recipe, (split.train, split.validation), 0)
    predict = functools.partial(training.predict_logits, architectures.logit_model(trained.model))

    random, motif = np.random.RandomState(1), sequences.encode_strings([simulation.motif])[0].astype(int)
    codes, variants = random.randint(0, 4, 60_000), []
    for k in range(400):
        start, place, turn = 100 + 145 * k, random.randint(12), random.randint(1, 4)
        codes[start : start + 12] = motif if k % 3 else 3 - motif[::-1]
        at, between = start + place, start + 75
        other = (codes[at] + turn) % 4
        variants.append((at, codes[at], other, -1) if k % 2 else (at, other, codes[at], 1))
        codes[at] = variants[-1][1]
        variants.append((between, codes[between], (codes[between] + turn) % 4, 0))
    (tmp_path / "g.fa").write_text(f">a\n{sequences.decode(codes[None].astype(np.uint8))[0]}\n")
    records = [Record(0, ["a", str(at + 1), ".", "ACGT"[ref], "ACGT"[alt]]) for at, ref, alt, _ in variants]
    truth = np.array([sign for *_, sign in variants])
    genome = Genome(tmp_path / "g.fa")
    scored = Judge(predict).score(records, Cutter(genome, Frame(simulation.length), {"a": "a"}).windows)
    delta = np.array([effect.delta for _, [effect] in scored])
    assert roc_auc_score(truth != 0, np.abs(delta)) >= 0.99
    assert (np.sign(delta) == truth)[truth != 0].mean() > 0.99
