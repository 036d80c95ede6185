"""What the filters of the first convolution look for, as motifs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .errors import AttributionError
from .motifs import information
from .sequences import one_hot

if TYPE_CHECKING:
    import keras

MOST = 32
SHARE = 0.5
_NUMBERS = 1 << 24


@dataclass(frozen=True)
class Filter:
    """A filter of the first convolution and the windows that excite it.

    Attributes
    ----------
    index : int
        Its channel, from 0.
    ppm : ndarray of float64, shape (w, 4)
        Probability of each base in these windows; rows sum to 1.
    windows : int
        How many there are.
    maximum : float
        Largest activation on any window.
    """

    index: int
    ppm: np.ndarray
    windows: int
    maximum: float

    @property
    def name(self) -> str:
        """``filter_<index>``."""
        return f"filter_{self.index}"

    @property
    def bits(self) -> float:
        """Information content: 0 to 2 bits a base."""
        return float(information(self.ppm).sum())

    @property
    def use(self) -> float:
        """Windows times information content, bits: what it tells apart over all sequences."""
        return self.windows * self.bits


def filters(model: keras.Model, codes: np.ndarray, most: int = MOST) -> list[Filter]:
    """Turn each filter of the first convolution into a motif.

    The motif of a filter is made of the windows, over all sequences, whose activation is above half its maximum.

    Parameters
    ----------
    model : keras.Model
        Input (N, L, 4); its first Conv1D reads the sequence.
    codes : ndarray of uint8, shape (n, L)
        Sequences.
    most : int
        Filters to return, at most.

    Returns
    -------
    list of Filter
        The most used first (see :attr:`Filter.use`); filters that no window excites are left out.

    Raises
    ------
    AttributionError
        If no Conv1D reads the sequence.

    References
    ----------
    Alipanahi et al., "Predicting the sequence specificities of DNA- and RNA-binding proteins by deep learning", Nature
    Biotechnology 33, 831-838 (2015); Kelley, Snoek and Rinn, "Basset", Genome Research 26, 990-999 (2016).
    """
    import keras

    if not readable(model):
        raise AttributionError(
            f"Expected a network whose first Conv1D reads the four bases, received {model.name}, which has none: its "
            "filters are no motifs."
        )
    layer = _first(model)
    first = keras.Model(model.inputs[0], layer.output)
    step = max(1, _NUMBERS // (layer.output.shape[1] * (layer.filters + 4 * layer.kernel_size[0])))
    batches = [codes[start : start + step] for start in range(0, len(codes), step)]
    maxima = np.max([np.asarray(first(one_hot(batch), training=False)).max((0, 1)) for batch in batches], axis=0)
    counts, windows = np.zeros((layer.filters, layer.kernel_size[0] * 4)), np.zeros(layer.filters, np.int64)
    for batch in batches:
        activations = np.asarray(first(one_hot(batch), training=False)).reshape(-1, layer.filters)
        excited = (activations > SHARE * np.maximum(maxima, 0)).T
        counts += excited.astype(np.float32) @ _windows(layer, batch)
        windows += excited.sum(1)
    counts = counts.reshape(layer.filters, -1, 4)
    known = counts.sum(2, keepdims=True)
    ppms = np.where(known > 0, counts / np.maximum(known, 1), 0.25)
    alive = np.flatnonzero(windows)
    found = [Filter(int(i), ppms[i], int(windows[i]), float(maxima[i])) for i in alive]
    return sorted(found, key=lambda each: -each.use)[:most]


def readable(model: keras.Model) -> bool:
    """Say whether the first Conv1D of a network reads the four bases, so that :func:`filters` can tell what for."""
    layer = _first(model)
    return layer is not None and layer.kernel.shape[1] == 4


def _first(model: keras.Model) -> keras.layers.Conv1D | None:
    import keras

    return next((layer for layer in model.layers if isinstance(layer, keras.layers.Conv1D)), None)


def _windows(layer: keras.layers.Conv1D, codes: np.ndarray) -> np.ndarray:
    """What each position of the output sees: (n x positions, width x 4) float32; zeros beyond the ends."""
    width, stride, dilation = layer.kernel_size[0], layer.strides[0], layer.dilation_rate[0]
    reach, positions = (width - 1) * dilation + 1, layer.output.shape[1]
    missing = max((positions - 1) * stride + reach - codes.shape[1], 0)
    left = {"valid": 0, "same": missing // 2, "causal": reach - 1}[layer.padding]
    padded = np.pad(one_hot(codes), ((0, 0), (left, missing), (0, 0)))
    at = np.arange(positions)[:, None] * stride + np.arange(width) * dilation
    return padded[:, at].reshape(-1, width * 4)
