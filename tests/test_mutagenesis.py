from __future__ import annotations

import keras
import numpy as np
import pytest

from tfbs import architectures
from tfbs.mutagenesis import ism, losses
from tfbs.sequences import one_hot


@pytest.fixture(scope="module")
def baseline():
    keras.utils.set_random_seed(1)
    return architectures.logit_model(architectures.build("baseline", 50))


def test_equals_single_forward_passes(baseline):
    x = one_hot(np.random.RandomState(0).randint(0, 4, (2, 50)).astype(np.uint8))
    x[1, 7] = 0
    seen = []
    result = ism(baseline, x, batch=64, progress=lambda done, total: seen.append((done, total)))
    assert result.shape == x.shape
    assert seen[-1] == (301, 301)
    for i, position in ((0, 0), (0, 49), (1, 7), (1, 20)):
        for base in range(4):
            changed = x[i : i + 1].copy()
            changed[0, position] = np.eye(4)[base]
            expected = float(baseline(changed)[0, 0]) - float(baseline(x[i : i + 1])[0, 0])
            assert result[i, position, base] == pytest.approx(expected, abs=1e-5)
    assert not result[x == 1].any()


def test_losses_are_means_over_the_other_bases(baseline):
    x = one_hot(np.random.RandomState(1).randint(0, 4, (3, 50)).astype(np.uint8))
    change = ism(baseline, x)
    expected = [[-np.mean(row[x[i, p] == 0]) for p, row in enumerate(rows)] for i, rows in enumerate(change)]
    np.testing.assert_allclose(losses(baseline, x), expected, atol=1e-6)
    both, turned = losses(baseline, x, True), losses(baseline, x[:, ::-1, ::-1], True)
    np.testing.assert_allclose(both, turned[:, ::-1], atol=1e-6)
    assert np.abs(both - losses(baseline, x)).max() > 1e-3
