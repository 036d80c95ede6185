import numpy as np
import pytest

from tfbs import filters, sequences
from tfbs.errors import AttributionError

SITE = "GATTACA"


@pytest.fixture(scope="module")
def codes() -> np.ndarray:
    random = np.random.RandomState(0)
    codes = random.randint(0, 4, (100, 40), dtype=np.uint8)
    codes[:, 20:27] = sequences.encode_strings([SITE])
    return codes


def network(**kwargs):
    """Filter 0 is the site with a threshold, filter 1 sees one base, filter 2 is dead."""
    import keras

    kernel = np.zeros((7, 4, 3), np.float32)
    kernel[:, :, 0] = sequences.one_hot(sequences.encode_strings([SITE]))[0]
    kernel[3, 1, 1] = 1
    inputs = keras.Input((40, 4))
    layer = keras.layers.Conv1D(3, 7, activation="relu", **kwargs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(layer(inputs))))
    layer.set_weights([kernel, np.array([-5, 0, -1], np.float32)])
    return model


@pytest.mark.parametrize("padding", ["valid", "same", "causal"])
def test_filters_are_the_motifs_of_their_kernels(codes, padding):
    found = {each.index: each for each in filters.filters(network(padding=padding), codes)}
    assert set(found) == {0, 1}
    assert found[0].maximum == 2
    np.testing.assert_array_equal(found[0].ppm, sequences.one_hot(sequences.encode_strings([SITE]))[0])
    assert found[0].bits == 14 and found[0].name == "filter_0"
    windows = np.lib.stride_tricks.sliding_window_view(codes, 7, axis=1)
    assert found[0].windows == (windows == sequences.encode_strings([SITE])[0]).all(2).sum()
    seen = {"valid": codes[:, 3:-3], "same": codes, "causal": codes[:, :-3]}[padding]
    assert found[1].windows == (seen == 1).sum()
    assert found[1].ppm[3].tolist() == [0, 1, 0, 0]


def test_windows_of_strided_and_dilated_filters(codes):
    for options in ({"strides": 3}, {"dilation_rate": 2}):
        found = next(each for each in filters.filters(network(**options), codes) if each.index == 1)
        assert found.ppm[3].tolist() == [0, 1, 0, 0]


def test_only_the_most_used_are_returned(codes):
    every = filters.filters(network(), codes)
    assert [each.use for each in every] == sorted((each.use for each in every), reverse=True)
    assert [each.index for each in filters.filters(network(), codes, most=1)] == [every[0].index]


def test_a_network_without_a_convolution_on_the_bases_is_refused():
    import keras

    model = keras.Sequential([keras.Input((40, 4)), keras.layers.Flatten(), keras.layers.Dense(1)], name="flat")
    with pytest.raises(AttributionError, match="received flat, which has none"):
        filters.filters(model, np.zeros((2, 40), np.uint8))
