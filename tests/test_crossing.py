"""Several kinds of negatives: one union, one split, one matrix; and the job as users start it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from test_job import ROOT, Store, finish

from experiments import train
from tfbs import cross, crossing, datasets, paired, sequences
from tfbs.architectures import Recipe
from tfbs.crossing import NOT_COMMON, Crossed
from tfbs.datasets import Dataset, Source
from tfbs.errors import DataError, ParameterError, TrainingError
from tfbs.settings import Job, Settings
from tfbs.splitting import PARTS, Splitting

WIDTH = 60
PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"
MOTIF = "TTACCCGGTTACCCG"


def complement(text: str) -> str:
    return text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def random_texts(count: int, seed: int, length: int = 40) -> list[str]:
    random = np.random.RandomState(seed)
    return ["".join(random.choice(list("ACGT"), length)) for _ in range(count)]


def write(path: Path, texts: list[str]) -> str:
    path.write_text("".join(f">{path.stem}{i}\n{text}\n" for i, text in enumerate(texts)))
    return str(path)


@pytest.fixture
def peaks(tmp_path):
    """A genome of sixteen chromosomes, and peaks half of which hold a motif."""
    lines, chromosomes = [], []
    for number in range(16):
        letters = list(random_texts(1, number, 12_000)[0])
        for k, start in enumerate(range(1000, 11_500, 1000)):
            if k % 2:
                letters[start - 7 : start + 8] = MOTIF
            lines.append(f"chr{number + 1}\t{start}\t{start + 1}\n")
        chromosomes.append(f">chr{number + 1}\n{''.join(letters)}\n")
    (tmp_path / "genome.fa").write_text("".join(chromosomes))
    (tmp_path / "peaks.bed").write_text("".join(lines))
    return Source(str(tmp_path / "peaks.bed"), "genomic,shuffle", genome=str(tmp_path / "genome.fa"), width=WIDTH)


@pytest.fixture
def fasta(tmp_path):
    """Positives, and two files of negatives that share 60 sequences, half of them as reverse complements."""
    shared = random_texts(60, 1)
    write(tmp_path / "one.fa", shared + random_texts(90, 2))
    write(tmp_path / "two.fa", random_texts(120, 3) + shared[:30] + [complement(text) for text in shared[30:]])
    positives = write(tmp_path / "positives.fa", random_texts(150, 4))
    return Source(positives, f"shuffle,{tmp_path / 'one.fa'},{tmp_path / 'two.fa'}")


def either_strand(data: Dataset) -> list[str]:
    return [min(text, complement(text)) for text in sequences.decode(data.codes)]


def test_kinds_are_named_without_folders_and_a_file_with_a_comma_is_one(tmp_path):
    assert crossing.kinds(Source(negatives="genomic, shuffle")) == {"genomic": "genomic", "shuffle": "shuffle"}
    assert crossing.kinds(Source(negatives="a/own 1.fa,shuffle")) == {"own_1.fa": "a/own 1.fa", "shuffle": "shuffle"}
    assert crossing.kinds(Source(negatives="shuffle")) == {"shuffle": "shuffle"}
    assert crossing.kinds(Source()) == {}
    assert len(crossing.kinds(Source(negatives=f"{tmp_path}/a,b.fa"))) == 2
    path = write(tmp_path / "a,b.fa", ["ACGT"])
    assert list(crossing.kinds(Source(negatives=path)).values()) == [path]


@pytest.mark.parametrize("typed", ["shuffle,shuffle", "a/own.fa,b/own.fa"])
def test_two_kinds_of_one_name_are_refused(typed):
    with pytest.raises(ParameterError, match=r"negatives: expected kinds of different names, received .* twice"):
        crossing.kinds(Source(negatives=typed))


def test_the_union_holds_positives_once_and_each_kind_is_what_it_is_alone(peaks):
    union = crossing.load(peaks)
    positives = int(union.data.labels.sum())
    assert len(union.data) == 3 * positives
    for name, members in union.members.items():
        alone = datasets.load(replace(peaks, negatives=name))
        held = union.data.take(np.flatnonzero(members))
        assert held.digest == alone.digest
        assert list(held.ids) == list(alone.ids)
        assert list(held.groups) == list(alone.groups)
        assert union.dropped[name] == {**alone.dropped, NOT_COMMON: 0}


def test_a_negative_of_several_kinds_stands_once_on_either_strand(fasta):
    union = crossing.load(fasta)
    one, two = union.members["one.fa"], union.members["two.fa"]
    negative = union.data.labels == 0
    assert (one & two & negative).sum() == 60
    assert (one & negative).sum() == 150
    assert (two & negative).sum() == 180
    assert len(set(either_strand(union.data))) == len(union.data)


def test_a_positive_that_one_kind_loses_is_left_out_of_all(tmp_path):
    texts = random_texts(40, 0)
    own = write(tmp_path / "own.fa", [complement(texts[3]), texts[5], *random_texts(40, 1)])
    union = crossing.load(Source(write(tmp_path / "positives.fa", texts), f"shuffle,{own}"))
    assert int(union.data.labels.sum()) == 38
    assert not {texts[3], texts[5]} & set(sequences.decode(union.data.codes))
    assert union.dropped["shuffle"][NOT_COMMON] == 2
    assert union.dropped["own.fa"][NOT_COMMON] == 0
    assert all(members[union.data.labels == 1].all() for members in union.members.values())


def test_what_cannot_be_crossed_is_refused(tmp_path):
    positives = write(tmp_path / "positives.fa", random_texts(40, 0))
    longer = write(tmp_path / "longer.fa", random_texts(40, 1, 50))
    with pytest.raises(ParameterError, match=r"width: .* received 40 bp beside shuffle, 50 bp beside longer\.fa: set"):
        crossing.load(Source(positives, f"shuffle,{longer}"))
    assert crossing.load(Source(positives, f"shuffle,{longer}", width=50)).data.length == 50
    same = write(tmp_path / "same.fa", random_texts(40, 0)[5:] + random_texts(40, 1))
    with pytest.raises(DataError, match=r"received 5 positives"):
        crossing.load(Source(positives, f"shuffle,{same}"))
    others = write(tmp_path / "others.fa", random_texts(32, 0)[:16] + random_texts(40, 1))
    last = write(tmp_path / "last.fa", random_texts(40, 0)[-16:] + random_texts(40, 1))
    with pytest.raises(DataError, match=r"expected at least 10 .* 8 positives .* not one beside all kinds .*: 16"):
        crossing.load(Source(positives, f"{others},{last}"))
    with pytest.raises(DataError, match=r"absent\.fa"):
        crossing.load(Source(positives, f"shuffle,{tmp_path}/absent.fa"))
    with pytest.raises(ParameterError, match="expected only beside a file of your own"):
        crossing.load(Source("simulated", "shuffle,genomic"))


@pytest.mark.parametrize("kind", ["random", "cluster", "chromosome"])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_training_sequence_of_one_kind_is_tested_in_another(peaks, fasta, kind, seed):
    source = peaks if kind == "chromosome" else fasta
    recipe = Recipe(split_seed=seed)
    union = crossing.load(source)
    crossed = crossing.split(union, recipe, Splitting(kind))
    for a in crossed.splits.values():
        for b in crossed.splits.values():
            trained = {*either_strand(a.train), *either_strand(a.validation)}
            assert not trained & set(either_strand(b.test))
            assert not set(either_strand(a.train)) & set(either_strand(b.validation))
            if kind == "chromosome":
                assert not set(a.train.groups) & set(b.test.groups)
    for name, split in crossed.splits.items():
        parts = [getattr(split, part) for part in PARTS]
        assert sum(map(len, parts)) == union.members[name].sum()
        ratio = [part.labels.mean() for part in parts]
        assert max(ratio) - min(ratio) < 0.25
        rows = np.flatnonzero(crossed.members[name])
        assert crossed.test.take(rows).digest == split.test.digest
        positives = [split.test.codes[split.test.labels == 1] for split in crossed.splits.values()]
        assert all(np.array_equal(positives[0], other) for other in positives)


def test_a_kind_without_negatives_in_a_part_is_refused(fasta):
    union = crossing.load(fasta)
    few = union.members["one.fa"] & ((union.data.labels == 1) | (np.arange(len(union.data)) < 303))
    assert 2 <= (few & (union.data.labels == 0)).sum() <= 5
    with pytest.raises(DataError, match=r"one\.fa: expected at least 2 of its negatives in the validation part"):
        crossing.split(replace(union, members={**union.members, "one.fa": few}), Recipe(), Splitting("random"))


@pytest.fixture
def case():
    """A test part of 120 positives with 150 negatives of one kind and 90 of another, and scores of two networks."""
    random = np.random.RandomState(0)
    labels = np.repeat([1, 0], [120, 240]).astype(np.uint8)
    codes = random.randint(0, 4, (360, 10)).astype(np.uint8)
    rows = np.arange(360)
    members = {"hard": (rows < 120) | (rows >= 270), "easy": rows < 270}
    signal = np.where(labels == 1, 1.0, np.where(rows < 270, -1.0, 0.5))
    common = random.randn(360)
    logits = {"hard": 0.5 * signal + common + 0.3 * random.randn(360), "easy": signal + common + random.randn(360)}
    return Crossed({}, Dataset("x", codes, labels, [str(row) for row in rows]), members), logits


def test_every_cell_is_the_area_of_its_network_on_its_negatives(case):
    crossed, logits = case
    matrix = crossing.measure(crossed, logits)
    assert list(matrix.estimates) == [("hard", "hard"), ("hard", "easy"), ("easy", "hard"), ("easy", "easy")]
    for (trained, tested), found in matrix.estimates.items():
        rows = crossed.members[tested]
        labels, scores = crossed.test.labels[rows], logits[trained][rows]
        assert found["auroc"].value == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
        assert found["auprc"].value == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
        for estimate in found.values():
            assert estimate.lo < estimate.value < estimate.hi
            assert estimate.n == rows.sum()


def test_networks_on_one_kind_are_compared_by_the_paired_test_of_delong(case):
    crossed, logits = case
    matrix = crossing.measure(crossed, logits)
    rows = crossed.members["hard"]
    scores = paired.measure(crossed.test.labels[rows], np.array([logits[name][rows] for name in ("hard", "easy")]))
    expected, found = paired.difference(scores["auroc"], [0], [1]), matrix.gap("easy", "hard")
    for name in ("value", "lo", "hi", "p"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-9), name


@pytest.mark.parametrize("overlap", [0, 60])
def test_the_error_of_a_drop_is_that_of_resampled_sequences(case, overlap):
    crossed, logits = case
    members = {"hard": crossed.members["hard"], "easy": crossed.members["easy"].copy()}
    members["easy"][270 : 270 + overlap] = True
    crossed = replace(crossed, members=members)
    found = crossing.measure(crossed, logits).drop("easy", "hard")
    random, scores = np.random.RandomState(1), logits["easy"]
    drops = []
    for _ in range(600):
        drawn = np.concatenate(
            [random.randint(0, 120, 120), random.randint(120, 270, 150), random.randint(270, 360, 90)]
        )
        areas = [
            roc_auc_score(crossed.test.labels[d], scores[d]) for d in (drawn[held[drawn]] for held in members.values())
        ]
        drops.append(areas[1] - areas[0])
    assert found.value == pytest.approx(np.mean(drops), abs=0.01)
    assert found.variance**0.5 == pytest.approx(np.std(drops), rel=0.15)


def test_the_worst_drop_is_found_with_p_after_holm(case):
    crossed, logits = case
    matrix = crossing.measure(crossed, logits)
    pair, (drop, drop_p), (gap, gap_p) = crossing.worst(matrix, ("hard", "easy"))
    areas = {pair: found["auroc"].value for pair, found in matrix.estimates.items()}
    assert pair == ("easy", "hard")
    assert drop.value == pytest.approx(areas["easy", "easy"] - areas["easy", "hard"])
    assert gap.value == pytest.approx(areas["hard", "hard"] - areas["easy", "hard"])
    drops, gaps = ([kind(*p).p for p in (pair, pair[::-1])] for kind in (matrix.drop, matrix.gap))
    assert (drop_p, gap_p) == (paired.holm(drops)[0], paired.holm(gaps)[0])
    assert drop_p < 1e-6


def test_the_story_names_the_worst_drop_and_what_did_not_train(case):
    crossed, logits = case
    matrix = crossing.measure(crossed, logits)
    jobs = {name: Job(Settings(seed=3), Source("a/peaks.bed", f"b c/{name}")) for name in matrix.names}
    areas = {pair: found["auroc"].value for pair, found in matrix.estimates.items()}
    drop = areas["easy", "easy"] - areas["easy", "hard"]
    told = cross.tell(jobs, matrix, ["hard", "easy"])
    assert told.title == "baseline, seed 3, on peaks.bed, against hard, easy"
    assert told.sentences[0].startswith(
        f"Worst drop: the network trained against easy reaches AUROC {areas['easy', 'easy']:.4f} against easy and "
        f"{areas['easy', 'hard']:.4f} against hard, lower by {drop:.4f} (95 % interval "
    )
    assert told.sentences[1].startswith(f"The network trained against hard reaches {areas['hard', 'hard']:.4f} there, ")
    assert told.sentences[-1].endswith("with -P negatives='b c/hard'.")
    assert f"| easy | {areas['easy', 'hard']:.4f} (" in told.markdown()
    dead = cross.tell(jobs, matrix, ["hard"]).sentences
    assert dead[0].startswith("The network trained against easy did not train: ")
    assert dead[0].endswith("try seed=4.")
    assert len(dead) == 2


def test_two_equal_networks_do_not_differ(case):
    crossed, logits = case
    matrix = crossing.measure(crossed, dict.fromkeys(logits, logits["easy"]))
    assert matrix.gap("easy", "hard").p == 1
    perfect = crossing.measure(crossed, dict.fromkeys(logits, crossed.test.labels * 8.0 - 4))
    assert perfect.drop("easy", "hard").value == 0
    assert perfect.drop("easy", "hard").p > 0.5


@pytest.fixture
def store(tmp_path, empty_store):
    return Store(tmp_path, empty_store)


SMALL = ["--epochs", "2", "--n_explained", "10", "--n_references", "5"]


def given(source: Source) -> list[str]:
    values = {name: getattr(source, name) for name in ("dataset", "negatives", "genome", "width")}
    return [word for name, value in values.items() if value for word in (f"--{name}", str(value))]


def runs(client) -> list:
    """All runs, the newest first."""
    return client.search_runs([e.experiment_id for e in client.search_experiments()], order_by=["start_time DESC"])


def test_mlflow_run_trains_a_network_a_kind_and_tests_each_on_all(store, peaks):
    values = {"dataset": peaks.dataset, "genome": peaks.genome, "negatives": peaks.negatives, "width": WIDTH}
    words = {**values, "epochs": 2, "n_explained": 10, "n_references": 5, "seed": 1}
    command = ["mlflow", "run", str(ROOT), "--env-manager", "local"]
    code, output = finish(store.start(*command, *(w for k, v in words.items() for w in ("-P", f"{k}={v}"))))
    assert code == 0, output
    *nested, parent = runs(store.client)
    assert {run.data.tags[PARENT] for run in nested} == {parent.info.run_id}
    children = {run.data.tags["tfbs.negatives"]: run for run in nested}
    assert parent.info.run_name == "baseline-s1-cross-genomic-shuffle"
    assert {run.info.status for run in (parent, *children.values())} == {"FINISHED"}
    assert sorted(children) == ["genomic", "shuffle"]
    content = json.loads(Path(store.client.download_artifacts(parent.info.run_id, "cross_evaluation.json")).read_text())
    assert content["columns"] == ["trained_on", "tested_on", "metric", "value", "lo", "hi", "n"]
    assert len(content["data"]) == 8
    for trained, tested, metric, value, lo, hi, n in content["data"]:
        assert lo <= value <= hi
        assert parent.data.metrics[f"cross/{trained}_on_{tested}_{metric}"] == pytest.approx(value, abs=1e-9)
        assert children[tested].data.metrics["test/n"] == n
        if trained == tested:
            assert children[trained].data.metrics[f"test/{metric}"] == pytest.approx(value, abs=1e-6)
    for name, child in children.items():
        assert child.data.params["negatives"] == name
        assert child.data.metrics.keys() >= {"val/loss", "curve/roc_tpr", "shap/additivity_max", "data/kmer_auroc"}
        names = {found.path for found in store.client.list_artifacts(child.info.run_id)}
        assert names >= {"predictions.json", "metrics.json", "attributions.npz", "network"}
    artifacts = Path(store.client.download_artifacts(parent.info.run_id, ""))
    assert (artifacts / "plots/cross_evaluation.png").stat().st_size > 5000
    page = (artifacts / "report.html").read_text()
    assert page.count("<img") == 1
    assert "http" not in re.sub(r'src="data:[^"]*"', "", page)
    note = parent.data.tags[NOTE]
    assert note.startswith("| trained against | tested on genomic | tested on shuffle |")
    told = next(line for line in note.splitlines() if "after Holm; the same positives" in line)
    assert told in output
    assert "train it against one kind, with -P negatives=genomic." in output
    assert store.client.search_registered_models() == []


def test_a_lost_network_fails_the_whole_in_one_sentence(local_store, fasta):
    job = train.request([*given(fasta), *SMALL, "--lr", "1e30", "--optimizer", "sgd"])
    with pytest.raises(TrainingError, match=r"The network trained against \S+ was lost: Expected a finite loss"):
        cross.run(job)
    child, parent = runs(local_store)
    assert (parent.info.status, child.info.status) == ("FAILED", "FAILED")
    assert child.data.tags[PARENT] == parent.info.run_id
    assert parent.data.tags[NOTE].startswith("**This run failed.** The network trained against ")
    assert child.data.tags[NOTE].startswith("**This run failed.** Expected a finite loss")


def test_bad_input_fails_the_run_in_one_sentence(local_store, fasta):
    with pytest.raises(DataError, match=r"Expected an existing file, received absent\.fa, which does not exist"):
        cross.run(train.request([*given(replace(fasta, negatives="shuffle,absent.fa")), *SMALL]))
    [run] = runs(local_store)
    assert run.info.status == "FAILED"
    assert run.data.tags[NOTE].startswith("**This run failed.** Expected an existing file, received absent.fa")
