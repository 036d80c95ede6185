import numpy as np
import pandas as pd
import pytest

from tfbs import attribution, evaluation, sequences
from tfbs.candidate import stack


def test_examples_span_the_logits_from_the_lowest_to_the_highest(candidate):
    made = candidate(0)
    examples = made.examples
    assert len(examples) == 100
    assert (examples["logit"].iloc[0], examples["logit"].iloc[-1]) == (made.logits.min(), made.logits.max())
    assert examples["logit"].is_monotonic_increasing
    rows = examples["row"].to_numpy()
    assert examples["id"].tolist() == [made.validation.ids[row] for row in rows]
    assert examples["sequence"].tolist() == list(sequences.decode(made.validation.codes[rows]))


def test_scores_are_those_of_the_validation_part(candidate):
    made = candidate(0)
    measured = evaluation.evaluate(made.validation.labels, made.logits)
    scores = made.scores()
    assert scores["selection_score"] == measured["auprc"].value
    assert (scores["selection_lo"], scores["selection_hi"]) == (measured["auprc"].lo, measured["auprc"].hi)
    assert (scores["val_brier"], scores["val_ece_lo"]) == (measured["brier"].value, measured["ece"].lo)
    assert (scores["selection_n"], scores["trained"], scores["members"]) == (150, "true", 1)


def test_members_stand_side_by_side_in_stock_layers(candidate):
    members = candidate(0, 1, 2).members
    x = sequences.one_hot(candidate(0).validation.codes[:20])
    stacked = stack(members)
    assert stacked.output_shape == (None, 3)
    np.testing.assert_array_equal(stacked(x), np.concatenate([member(x) for member in members], axis=1))
    assert stack(members[:1]) is members[0]


def test_what_is_saved_gives_mean_logit_and_mean_contributions(candidate, tmp_path):
    import keras
    import tensorflow as tf

    made = candidate(0, 1)
    paths = made.save(tmp_path)
    x = sequences.one_hot(made.validation.codes[:20])
    assert keras.saving.load_model(paths["logit_model"])(x).numpy().mean(1) == pytest.approx(made.logits[:20], abs=1e-6)
    explainer = tf.saved_model.load(paths["explainer"])
    found = explainer.explain(x)
    alone = [attribution.deep_shap(member, x, made.references) for member in made.members]
    for name, values in (("contributions", "contributions"), ("hypothetical", "hypothetical"), ("logit", "logits")):
        np.testing.assert_allclose(found[name], np.mean([getattr(a, values) for a in alone], axis=0), atol=1e-6)
    pd.testing.assert_frame_equal(pd.read_json(paths["examples"], orient="split", precise_float=True), made.examples)
