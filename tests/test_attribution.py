from __future__ import annotations

import subprocess
import sys
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from tfbs import architectures, rescale
from tfbs.attribution import (
    ADDITIVITY_LIMIT,
    ADDITIVITY_WARN,
    Attribution,
    check_additivity,
    deep_shap,
    export_explainer,
    motif_share,
    negative_references,
    shuffle_references,
    witness,
)
from tfbs.errors import AttributionError
from tfbs.mutagenesis import ism
from tfbs.sequences import encode_strings, one_hot

LENGTH, WIDTH = 50, 12


def planted(n=600):
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (n, LENGTH)).astype(np.uint8)
    labels = np.arange(n) % 2
    starts = np.where(labels == 1, random.randint(0, LENGTH - WIDTH + 1, n), -1)
    for i in np.flatnonzero(labels):
        codes[i, starts[i] : starts[i] + WIDTH] = encode_strings(["AAAGAGGAAGTT"])[0]
    return codes, labels, starts


CODES, LABELS, STARTS = planted()


def trained(model, epochs=4):
    loss = "binary_crossentropy" if model.output_shape[1] == 1 else "sparse_categorical_crossentropy"
    model.compile("adam", loss)
    model.fit(one_hot(CODES), LABELS, epochs=epochs, batch_size=32, verbose=0)
    return architectures.logit_model(model)


@pytest.fixture(scope="module", params=["baseline", "modified"])
def model(request):
    keras.utils.set_random_seed(1)
    return trained(architectures.build(request.param, LENGTH))


@pytest.fixture(scope="module")
def baseline():
    keras.utils.set_random_seed(1)
    return trained(architectures.build("baseline", LENGTH))


def residual(activation="relu"):
    keras.utils.set_random_seed(2)
    start = keras.Input((LENGTH, 4))
    h = layers.Conv1D(8, 5, padding="same", activation="relu")(start)
    h = layers.Add()([h, layers.Conv1D(8, 3, padding="same", activation=activation, name="inner")(h)])
    h = layers.Flatten()(layers.MaxPooling1D(5)(h))
    return keras.Model(start, layers.Dense(1, activation="sigmoid")(h))


def by_shap(model, x, references):
    import shap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return shap.DeepExplainer(model, references).shap_values(x)[..., 0].sum(-1)


def assert_healthy():
    """A fresh network can be trained, and its gradient is the true one."""
    network = architectures.build("baseline", LENGTH)
    network.compile("adam", "mse")
    assert np.isfinite(network.fit(one_hot(CODES[:64]), LABELS[:64], verbose=0).history["loss"][0])
    value = tf.constant([-1.0, 2.0])
    with tf.GradientTape() as tape:
        tape.watch(value)
        result = tf.reduce_sum(tf.nn.relu(value) ** 2)
    assert tape.gradient(result, value).numpy().tolist() == [0.0, 4.0]


def test_equals_shap_with_shared_references(model):
    x, references = one_hot(CODES[:30]), negative_references(CODES, LABELS, 20, 0)
    assert rescale.steps(model) is not None
    result = deep_shap(model, x, references)
    expected = by_shap(model, x, references)
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(result.contributions, expected, rtol=0, atol=1e-5)
    np.testing.assert_allclose(result.logits, model(x)[:, 0], atol=1e-5)
    np.testing.assert_allclose(result.expected, np.full(30, np.mean(model(references))), atol=1e-5)
    assert check_additivity(result) <= 1e-4


def test_equals_shap_with_references_per_sequence(model):
    x, references = one_hot(CODES[:6]), shuffle_references(CODES[:6], 8, 0)
    result = deep_shap(model, x, references)
    expected = np.concatenate([by_shap(model, x[i : i + 1], references[i]) for i in range(6)])
    np.testing.assert_allclose(result.contributions, expected, rtol=0, atol=1e-5)
    assert check_additivity(result) <= 1e-4


def test_equals_shap_where_windows_tie(model):
    x = one_hot(encode_strings(["A" * 50, "AC" * 25, "ACGT" * 12 + "NN", "N" * 50]))
    references = one_hot(encode_strings(["A" * 25 + "C" * 25, "CA" * 25, "T" * 50, "N" * 50]))
    result = deep_shap(model, x, references)
    np.testing.assert_allclose(result.contributions, by_shap(model, x, references), rtol=0, atol=1e-5)
    assert check_additivity(result) <= 1e-4


@pytest.mark.parametrize(
    "body",
    [
        [layers.Conv1D(6, 5, padding="causal", activation="elu"), layers.AveragePooling1D(3), layers.Flatten()],
        [layers.Conv1D(6, 4, strides=3), layers.BatchNormalization(), layers.ReLU(), layers.GlobalAveragePooling1D()],
        [layers.Conv1D(6, 5, padding="same"), layers.Activation("tanh"), layers.Reshape((25, 12)), layers.Flatten()],
        [layers.Dense(3, activation="softplus"), layers.Flatten(), layers.Dropout(0.5), layers.Dense(4, "sigmoid")],
        [layers.Conv1D(6, 5, activation="relu"), layers.MaxPooling1D(46), layers.Flatten()],
        [layers.Conv1D(6, 5, padding="causal", activation="elu"), layers.MaxPooling1D(4), layers.Flatten()],
        [layers.Conv1D(6, 4, strides=2, padding="same"), layers.MaxPooling1D(3), layers.Flatten(), layers.Dense(3)],
        [layers.Conv1D(6, 4), layers.Activation("tanh"), layers.MaxPooling1D(3), layers.Flatten()],
    ],
)
def test_every_layer_equals_shap(body):
    keras.utils.set_random_seed(3)
    network = trained(keras.Sequential([keras.Input((LENGTH, 4)), *body, layers.Dense(1, activation="sigmoid")]))
    assert rescale.steps(network) is not None
    x, references = one_hot(CODES[:5]), one_hot(CODES[100:108])
    result = deep_shap(network, x, references)
    np.testing.assert_allclose(result.contributions, by_shap(network, x, references), rtol=0, atol=1e-5)
    assert check_additivity(result) <= 1e-4


@pytest.mark.parametrize(
    "body",
    [
        [layers.Conv1D(6, 5, dilation_rate=3, activation="gelu"), layers.MaxPooling1D(4), layers.Flatten()],
        [layers.Conv1D(6, 5, dilation_rate=2, padding="causal"), layers.Activation("silu"), layers.Flatten()],
        [layers.Conv1D(6, 5, activation="leaky_relu"), layers.GlobalMaxPooling1D(), layers.Dense(5, "softsign")],
    ],
)
def test_adds_up_where_shap_refuses_or_errs(body):
    keras.utils.set_random_seed(4)
    network = trained(keras.Sequential([keras.Input((LENGTH, 4)), *body, layers.Dense(1, activation="sigmoid")]))
    result = deep_shap(network, one_hot(CODES[:20]), one_hot(CODES[100:110]))
    assert np.abs(result.contributions).max() > 1e-3
    assert check_additivity(result) <= 1e-4


def test_branches_go_through_the_graph_of_shap():
    network = trained(residual())
    assert rescale.steps(network) is None
    x, references = one_hot(CODES[:20]), one_hot(CODES[100:110])
    result = deep_shap(network, x, references)
    np.testing.assert_allclose(result.contributions, by_shap(network, x, references), rtol=0, atol=1e-5)
    assert check_additivity(result) <= 1e-4
    assert_healthy()


def branched(layer):
    start = keras.Input((LENGTH, 4))
    h = layers.Conv1D(8, 5, padding="same", activation="relu")(start)
    h = layers.Add()([h, layer(h)])
    return keras.Model(start, layers.Dense(1)(layers.Flatten()(h)))


@pytest.mark.parametrize(
    "layer",
    [
        *[layers.Activation(name) for name in ("gelu", "leaky_relu", "relu6", "softsign", "celu", "log_sigmoid")],
        layers.Conv1D(8, 3, padding="same", dilation_rate=2),
        layers.SeparableConv1D(8, 3, padding="same"),
        layers.Lambda(lambda value: tf.sqrt(value + 1)),
    ],
    ids=lambda layer: getattr(getattr(layer, "activation", None), "__name__", "") + layer.name,
)
def test_operations_that_shap_lacks_add_up_in_branches(layer):
    from shap.explainers._deep.deep_tf import op_handlers

    keras.utils.set_random_seed(6)
    before, network = dict(op_handlers), branched(layer)
    assert rescale.steps(network) is None
    result = deep_shap(network, one_hot(CODES[:8]), one_hot(CODES[100:105]))
    assert np.abs(result.contributions).max() > 1e-3
    assert check_additivity(result) <= 1e-4
    assert op_handlers == before


@pytest.mark.parametrize(
    ("layer", "operation"),
    [
        (layers.Activation("silu", name="inner"), "IdentityN"),
        (layers.GlobalMaxPooling1D(keepdims=True, name="inner"), "Max"),
        (layers.Lambda(tf.sin, name="inner"), "Sin"),
    ],
)
def test_what_shap_refuses_or_gets_wrong_is_named_and_leaves_tensorflow_healthy(layer, operation):
    from shap.explainers._deep.deep_tf import op_handlers

    before, network = dict(op_handlers), branched(layer)
    for explain in (deep_shap, lambda *inputs: witness(*inputs, np.zeros((2, LENGTH)))):
        with pytest.raises(AttributionError, match=rf"operation {operation} in inner: replace that layer or use in-s"):
            explain(network, one_hot(CODES[:2]), one_hot(CODES[100:103]))
    assert op_handlers == before
    assert_healthy()
    assert ism(network, one_hot(CODES[:1])).any()


@pytest.mark.parametrize("shared", [True, False])
def test_both_strands_add_up_to_the_mean_logit_and_do_not_depend_on_the_strand(baseline, shared):
    x = one_hot(CODES[:7])
    references = one_hot(CODES[100:109]) if shared else shuffle_references(CODES[:7], 4, 0)
    result = deep_shap(baseline, x, references, both_strands=True)
    turned = deep_shap(baseline, x[:, ::-1, ::-1], references[..., ::-1, ::-1], both_strands=True)
    np.testing.assert_allclose(turned.contributions[:, ::-1], result.contributions, atol=1e-6)
    np.testing.assert_allclose(turned.hypothetical[:, ::-1, ::-1], result.hypothetical, atol=1e-6)
    logits = (baseline(x) + baseline(x[:, ::-1, ::-1]))[:, 0] / 2
    np.testing.assert_allclose(result.logits, logits, atol=1e-5)
    one = deep_shap(baseline, x, references).contributions
    other = deep_shap(baseline, x[:, ::-1, ::-1], references[..., ::-1, ::-1]).contributions[:, ::-1]
    assert np.abs(one - other).max() > 1e-3
    np.testing.assert_allclose(result.contributions, (one + other) / 2, atol=1e-6)
    assert check_additivity(result) <= 1e-4


def test_exact_on_a_linear_network():
    keras.utils.set_random_seed(5)
    network = keras.Sequential([keras.Input((LENGTH, 4)), layers.Flatten(), layers.Dense(1)])
    weight = network.layers[-1].kernel.numpy().reshape(LENGTH, 4)
    x, references = one_hot(CODES[:7]), one_hot(CODES[50:60])
    result = deep_shap(network, x, references)
    np.testing.assert_allclose(result.contributions, ((x - references.mean(0)) * weight).sum(2), atol=1e-6)
    hypothetical = weight - (references.mean(0) * weight).sum(1, keepdims=True)
    np.testing.assert_allclose(result.hypothetical, np.broadcast_to(hypothetical, x.shape), atol=1e-6)


def test_hypothetical_at_the_base_is_the_contribution(model):
    x = one_hot(CODES[:30])
    result = deep_shap(model, x, negative_references(CODES, LABELS, 10, 0))
    np.testing.assert_allclose((result.hypothetical * x).sum(2), result.contributions, atol=1e-5)


@pytest.mark.parametrize("traced", [False, True])
def test_batches_do_not_matter_and_are_reported(model, monkeypatch, traced):
    x, references = one_hot(CODES[:11]), negative_references(CODES, LABELS, 5, 0)
    whole = deep_shap(model, x, references)
    assert np.array_equal(whole.contributions, deep_shap(model, x, references).contributions)
    monkeypatch.setattr("tfbs.attribution._POSITIONS", 4 * 5 * LENGTH)
    monkeypatch.setattr("tfbs.attribution._TRACED_FROM", 0 if traced else 10**12)
    few = deep_shap(model, x, one_hot(CODES[100:111]))
    monkeypatch.setattr("tfbs.attribution._POSITIONS", 10**6)
    np.testing.assert_allclose(few.hypothetical, deep_shap(model, x, one_hot(CODES[100:111])).hypothetical, atol=1e-5)
    monkeypatch.setattr("tfbs.attribution._POSITIONS", 4 * 5 * LENGTH)
    seen = []
    parts = deep_shap(model, x.astype(np.uint8), references, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 11), (8, 11), (11, 11)]
    np.testing.assert_allclose(parts.contributions, whole.contributions, atol=1e-5)
    np.testing.assert_allclose(parts.hypothetical, whole.hypothetical, atol=1e-5)


def test_collapsed_network_adds_up(model):
    flat = keras.models.clone_model(model)
    flat.set_weights([np.zeros_like(w) for w in model.get_weights()[:-1]] + [np.array([0.3], np.float32)])
    result = deep_shap(flat, one_hot(CODES[:5]), one_hot(CODES[10:17]))
    assert not result.contributions.any()
    assert check_additivity(result) == 0.0


def test_check_additivity():
    zeros = np.zeros((2, 3, 4), np.float32)
    logits, expected = np.array([1.0, -1.0], np.float32), np.zeros(2, np.float32)
    right = np.array([[1, 0, 0], [0, -0.5, -0.5]], np.float32)
    assert check_additivity(Attribution(right, zeros, logits, expected)) == 0
    assert check_additivity(Attribution(right * 1.005, zeros, logits, expected)) == pytest.approx(0.005, rel=1e-3)
    for wrong in (right * 1.02, right * np.nan, right * 0):
        with pytest.raises(AttributionError, match="sum to the logit"):
            check_additivity(Attribution(wrong, zeros, logits, expected))
    assert ADDITIVITY_WARN < 0.005 < ADDITIVITY_LIMIT


def test_motif_carries_the_attribution(baseline):
    codes, starts = CODES[LABELS == 1][:100], STARTS[LABELS == 1][:100]
    result = deep_shap(baseline, one_hot(codes), negative_references(CODES, LABELS, 20, 0))
    assert motif_share(result.contributions, starts, WIDTH) > 1.5 * WIDTH / LENGTH


def test_motif_share():
    contributions = np.array([[1, -2, 3, 0], [9, 9, 9, 9], [0, 0, 0, 0], [0, 0, 0, -5]], np.float32)
    assert motif_share(contributions, np.array([1, -1, 0, 2]), 2) == pytest.approx((5 / 6 + 0 + 1) / 3)
    with pytest.raises(AttributionError, match="received none"):
        motif_share(contributions, np.full(4, -1), 2)
    with pytest.raises(AttributionError, match="starts up to 3"):
        motif_share(contributions, np.array([3, 0, 0, 0]), 2)


def test_negative_references():
    drawn = negative_references(CODES, LABELS, 300, 0)
    key = [row.tobytes() for row in drawn]
    assert sorted(key) == sorted(row.tobytes() for row in one_hot(CODES[LABELS == 0]))
    assert np.array_equal(negative_references(CODES, LABELS, 4, 7), negative_references(CODES, LABELS, 4, 7))
    with pytest.raises(AttributionError, match=r"1 to the 300 negatives .* received 301"):
        negative_references(CODES, LABELS, 301, 0)


def test_shuffle_references():
    references = shuffle_references(CODES[:3], 5, 0)
    assert references.shape == (3, 5, LENGTH, 4)
    assert references.dtype == np.float32
    assert np.array_equal(references.sum(2), np.repeat(one_hot(CODES[:3]).sum(1)[:, None], 5, axis=1))


LOAD = """
import sys
import numpy as np
import tensorflow as tf
folder, source, target = sys.argv[1:]
module, x = tf.saved_model.load(folder), np.load(source)
result = module.explain(tf.constant(x))
first = module.signatures["serving_default"](x=tf.constant(x[:1]))
assert not {"shap", "tfbs"} & set(sys.modules) and first["logit"].shape == (1,)
np.savez(target, **{name: value.numpy() for name, value in result.items()})
"""


@pytest.mark.parametrize("name", ["baseline", "residual"])
def test_exported_explainer_needs_tensorflow_alone(name, tmp_path):
    keras.utils.set_random_seed(1)
    network = trained(residual() if name == "residual" else architectures.build(name, LENGTH))
    references, x = negative_references(CODES, LABELS, 6, 0), one_hot(CODES[:9])
    export_explainer(network, references, tmp_path / "explainer")
    np.save(tmp_path / "x.npy", x)
    files = [str(tmp_path / part) for part in ("explainer", "x.npy", "result.npz")]
    subprocess.run([sys.executable, "-I", "-c", LOAD, *files], check=True, capture_output=True)
    with np.load(files[2]) as loaded:
        expected = deep_shap(network, x, references)
        np.testing.assert_allclose(loaded["contributions"], expected.contributions, atol=1e-5)
        np.testing.assert_allclose(loaded["hypothetical"], expected.hypothetical, atol=1e-5)
        np.testing.assert_allclose(loaded["logit"], expected.logits, atol=1e-5)


@pytest.mark.parametrize(
    ("x", "references", "words"),
    [
        ((2, 40, 4), (3, 50, 4), r"sequences of shape \(n, 50, 4\), received \(2, 40, 4\)"),
        ((0, 50, 4), (3, 50, 4), "received"),
        ((2, 50, 4), (3, 40, 4), "references"),
        ((2, 50, 4), (3, 5, 50, 4), "references"),
        ((2, 50, 4), (0, 50, 4), "references"),
    ],
)
def test_shapes_that_do_not_fit(baseline, x, references, words):
    with pytest.raises(AttributionError, match=words):
        deep_shap(baseline, np.zeros(x, np.float32), np.zeros(references, np.float32))


def test_network_with_two_outputs_is_refused():
    with pytest.raises(AttributionError, match="one output"):
        deep_shap(architectures.build("modified", LENGTH), one_hot(CODES[:1]), one_hot(CODES[:1]))


def test_export_refuses_references_per_sequence(baseline, tmp_path):
    with pytest.raises(AttributionError, match="shared references"):
        export_explainer(baseline, np.zeros((2, 3, LENGTH, 4), np.float32), tmp_path)


@pytest.mark.parametrize("shared", [True, False])
def test_witness_calls_shap_itself_and_refuses_other_values(shared):
    random = np.random.RandomState(0)
    model = architectures.logit_model(architectures.build("baseline", 50))
    x = one_hot(random.randint(0, 4, (3, 50)).astype(np.uint8))
    references = one_hot(random.randint(0, 4, (5, 50) if shared else (3, 5, 50)).astype(np.uint8))
    ours = deep_shap(model, x, references).contributions
    assert witness(model, x, references, ours) < 1e-5
    with pytest.raises(AttributionError, match=r"^Expected the contributions of shap.DeepExplainer within 1%"):
        witness(model, x, references, 1.1 * ours)
