from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from experiments import train
from tfbs import attribution, jaspar, reading, sequences, training
from tfbs.errors import AttributionError
from tfbs.explanation import Sample
from tfbs.jaspar import Motif
from tfbs.mutagenesis import losses

SITE, OTHER = "GACCGAACTC", "TTTACACGTA"
N, LENGTH, START = 300, 30, 12


def ppm(word: str) -> np.ndarray:
    return sequences.one_hot(sequences.encode_strings([word]))[0] * 0.88 + 0.03


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """A file in MEME format with the site, read on the other strand, and a motif that is not planted."""
    path = tmp_path_factory.mktemp("known") / "two.meme"
    jaspar.write_meme(path, [Motif("K1", "Site", ppm(SITE)[::-1, ::-1]), Motif("K2", "Other", ppm(OTHER))])
    return jaspar.database(str(path))


@pytest.fixture(scope="module")
def model():
    """A linear network that gives the site 0.5 log-odds a base at its place, and small weights elsewhere."""
    import keras

    model = keras.Sequential([keras.Input((LENGTH, 4)), keras.layers.Flatten(), keras.layers.Dense(1)])
    weights = np.random.RandomState(1).normal(0, 0.01, (LENGTH, 4))
    weights[START : START + len(SITE)] += 0.5 * sequences.one_hot(sequences.encode_strings([SITE]))[0]
    model.set_weights([weights.reshape(-1, 1), np.zeros(1)])
    return model


@pytest.fixture(scope="module")
def sample() -> Sample:
    codes = np.random.RandomState(0).randint(0, 4, (N, LENGTH), dtype=np.uint8)
    codes[:, START : START + len(SITE)] = sequences.encode_strings([SITE])[0]
    return Sample([f"s{i}" for i in range(N)], codes, "sequences with a site")


@pytest.fixture(scope="module")
def explained(model, sample) -> attribution.Attribution:
    references = sequences.one_hot(np.random.RandomState(2).randint(0, 4, (10, LENGTH), dtype=np.uint8))
    return attribution.deep_shap(model, sequences.one_hot(sample.codes), references)


@pytest.fixture(scope="module")
def found(model, sample, explained, known) -> reading.Reading:
    return reading.read(sample, explained, losses(model, sequences.one_hot(sample.codes[:10])), known)


def titles(figure) -> list[str]:
    return [axes.get_title(loc="left") for axes in figure.axes]


def test_the_planted_motif_is_named_and_told(found):
    [pattern] = found.patterns
    best = found.best(pattern)
    assert (pattern.name, best.motif.id, best.reverse) == ("pos_1", "K1", False)
    assert pattern.consensus == sequences.decode(best.ppm.argmax(1)[None])[0] and pattern.seqlets.reverse.all()
    each = f"{pattern.scores.mean():.2f}"
    assert found.sentences == (
        f"TF-MoDISco found 1 motif in {N} explained sequences; the most important one, {pattern.consensus}, occurs "
        f"{pattern.count} times and adds {each} log-odds each time.",
        f"Of two.meme it resembles most Site (K1, q = {best.q:.1g}).",
    )
    assert found.rows == [
        {
            "motif": "pos_1",
            "letters": pattern.consensus,
            "occurrences": str(pattern.count),
            "log-odds each": f"+{each}",
            "resembles": "Site (K1)",
            "family": "",
            "q": f"{best.q:.1g}",
            "also": "",
        }
    ]


def test_the_witness_is_mutagenesis_of_the_first_sequences(found, explained, model):
    assert found.losses.shape == (10, LENGTH)
    weights = model.get_weights()[0].reshape(LENGTH, 4)
    there = np.take_along_axis(weights[None], found.sample.codes[:10, :, None].astype(int), 2)[..., 0]
    np.testing.assert_allclose(found.losses, (4 * there - weights.sum(1)) / 3, atol=1e-5)
    rhos = [spearmanr(*pair).statistic for pair in zip(explained.contributions, found.losses, strict=False)]
    assert found.witness.value == pytest.approx(np.mean(rhos), abs=1e-3)
    assert found.trust[1].startswith(
        f"Their ranks agree with in-silico mutagenesis of 10 sequences: mean Spearman correlation {np.mean(rhos):.2f} ("
    )
    assert "within" in found.trust[0]


def test_no_interval_of_one_witness_and_no_sentence_of_none(found):
    one, none = (dataclasses.replace(found, losses=found.losses[:n] * keep) for n, keep in ((1, 1), (3, 0)))
    assert "mean Spearman correlation" in one.trust[1] and "interval" not in one.trust[1]
    assert len(none.trust) == 1


def test_the_first_look_shows_the_motif_beside_its_match(found):
    shown = titles(found.first_look())
    assert "pos_1" in shown[0] and "Site" in shown[1] and len(shown) == 5


def test_the_motifs_are_written_under_the_names_of_what_they_resemble(found, tmp_path):
    found.write_meme(tmp_path / "motifs.meme")
    [written] = jaspar.read_meme(tmp_path / "motifs.meme").motifs
    assert (written.id, written.name, written.sites) == ("pos_1", "Site-like", found.patterns[0].count)
    np.testing.assert_allclose(written.ppm, found.patterns[0].ppm, atol=1e-5)


def test_a_motif_that_resembles_nothing_says_so(found, tmp_path):
    alone = dataclasses.replace(found, matches={"pos_1": []})
    assert alone.sentences[1] == "It resembles no motif of two.meme."
    assert (alone.rows[0]["resembles"], alone.rows[0]["q"]) == ("no known motif", "")
    assert len(titles(alone.first_look())) == 5
    alone.write_meme(tmp_path / "motifs.meme")
    assert jaspar.read_meme(tmp_path / "motifs.meme").motifs[0].name == found.patterns[0].consensus


def test_nothing_that_recurs_is_said_in_words_and_shown_as_sequences(known):
    """Sequences that share nothing, explained by noise."""
    random = np.random.RandomState(3)
    codes = random.randint(0, 4, (30, LENGTH), dtype=np.uint8)
    x = sequences.one_hot(codes)
    sample = Sample(list(map(str, range(30))), codes, "noise")
    found = reading.read(sample, nothing(x), np.zeros((2, LENGTH)), known)
    assert found.patterns == [] and found.rows == []
    [told] = found.sentences
    assert told.startswith("TF-MoDISco found no motif: nothing contributes alike often enough in the 30 explained")
    assert next(title for title in titles(found.first_look()) if "logit" in title) == "0, logit +0.00"


def nothing(x: np.ndarray) -> attribution.Attribution:
    return attribution.Attribution(x[..., 0] * 0, x * 0, np.zeros(len(x)), np.zeros(len(x)))


def test_contributions_that_do_not_add_up_are_refused(sample, explained, known):
    wrong = dataclasses.replace(explained, logits=explained.logits + 1)
    with pytest.raises(AttributionError, match="Expected contributions that sum to the logit"):
        reading.read(sample, wrong, np.zeros((0, LENGTH)), known)


def test_a_fault_of_modisco_costs_the_main_job_its_motifs_only(local_store, monkeypatch):
    def fail(*_):
        raise AttributionError("Expected patterns from TF-MoDISco, received an error (killed): try more sequences.")

    monkeypatch.setattr(reading, "read", fail)
    monkeypatch.setattr(training, "configure", lambda *_: 1)
    few = "--n_positives 150 --n_negatives 150 --epochs 6 --lr 0.003 --n_explained 5 --n_references 3 --register no"
    train.work(few.split())
    [experiment] = [one for one in local_store.search_experiments() if one.name == "tfbs"]
    [run] = local_store.search_runs([experiment.experiment_id])
    assert (run.info.status, run.data.tags["tfbs.verdict"]) == ("FINISHED", "trained")
    note = run.data.tags["mlflow.note.content"]
    assert "Expected patterns from TF-MoDISco, received an error (killed)" in note and "![" not in note
