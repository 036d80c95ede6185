"""The model as MLflow serves it: DNA strings in, probability, logit and (on request) per-base contributions out.

This file is logged as the code of the model ("models from code") and travels inside it. It therefore imports nothing of
this package and holds no pickle: with numpy, pandas, mlflow, keras and tensorflow a model runs on any machine.

>>> model = mlflow.pyfunc.load_model("models:/<name>@champion")
>>> model.predict(pd.DataFrame({"sequence": ["ACGT..."]}), params={"strand_average": True, "explain": True})
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

import mlflow
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

COLUMN = "sequence"
FORWARD_BASES = 102_400
EXPLAIN_BASES = 12_800
USUAL_WIDTH = 64
"""Numbers a base in the widest layer of a network that may take so many bases at once; wider ones take fewer."""

EXPLAIN_DECIMALS = 6

_INVALID = 255
_CODE = np.full(256, _INVALID, np.uint8)
for _i, _letter in enumerate("ACGTN"):
    _CODE[[ord(_letter), ord(_letter.lower())]] = _i
_ONE_HOT = np.vstack([np.eye(4, dtype=np.float32), np.zeros((1, 4), np.float32)])


class RequestError(MlflowException):
    """A request that cannot be answered: HTTP 400 with one sentence.

    The scoring server puts a print of the whole table before the message; the client gets the sentence alone.
    """

    def __init__(self, sentence: str):
        super().__init__(sentence, error_code=INVALID_PARAMETER_VALUE)

    def serialize_as_json(self) -> str:
        """Return the JSON body of the reply."""
        self.message = self.args[0]
        return super().serialize_as_json()


class SequenceModel(mlflow.pyfunc.PythonModel):
    """Predicts binding from DNA; safe to call from many threads at once.

    Artifacts
    ---------
    logit_model
        Keras model (.keras): one-hot DNA (N, L, 4) float32 -> logits (N, K), one of each member of an ensemble; K = 1
        is a single network. The ensemble's logit is the mean of its members'.
    explainer
        TensorFlow SavedModel folder: ``explain(x (N, L, 4) float32)`` -> dict with ``contributions`` (N, L). It is
        loaded by the first request that asks for an explanation.
    """

    def load_context(self, context) -> None:
        """Load the network and compile its forward pass; called once by MLflow."""
        import keras
        import tensorflow as tf

        self._network = keras.saving.load_model(context.artifacts["logit_model"], compile=False)
        self._length = self._network.input_shape[1]
        self._share = min(1.0, USUAL_WIDTH / _width(self._network))
        self._explainer_folder = context.artifacts["explainer"]
        self._explainer = None
        self._explainer_lock = threading.Lock()
        self._forward = tf.function(
            lambda x: self._network(x, training=False),
            input_signature=[tf.TensorSpec((None, self._length, 4), tf.float32)],
        ).get_concrete_function()

    def predict(self, context, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Predict sequences.

        Parameters
        ----------
        context : mlflow.pyfunc.PythonModelContext
            Unused.
        model_input : DataFrame, Series or sequence of str
            A table with the column ``sequence``, or the sequences themselves: A, C, G, T or N in either case, each as
            long as the network's input. MLflow's check of the signature drops the values of a bare list or array, so
            through ``mlflow.pyfunc.load_model`` give a table, a Series named ``sequence`` or a list of records.
        params : dict, optional
            ``strand_average`` (bool, default False): each member's logit, and the contributions, are the mean over the
            sequence and its reverse complement. ``explain`` (bool, default False): add the contributions. MLflow drops
            names it does not know before they arrive here, so a misspelt one acts like one that was left out.

        Returns
        -------
        DataFrame
            One row per input row, same index: ``probability`` in [0, 1]; ``logit``, its log-odds; for an ensemble
            ``probability_sd``, the standard deviation (ddof 1) of its members' probabilities; with ``explain`` also
            ``contributions``, a list of L DeepSHAP values on the logit, one per base, 5' to 3', rounded to 6 decimals
            (the network computes in float32).

        Raises
        ------
        RequestError
            If there are no rows, or one is not a sequence of ACGTN of the right length.
        """
        params = params or {}
        both_strands = bool(params.get("strand_average"))
        sequences = _column(model_input)
        codes = _encode(sequences, self._length)
        members = _on_strands(self._logits, codes, both_strands, per_base=False)
        logit = members.mean(axis=1)
        result = pd.DataFrame({"probability": _logistic(logit), "logit": logit}, sequences.index)
        if members.shape[1] > 1:
            result["probability_sd"] = _logistic(members).std(axis=1, ddof=1)
        if params.get("explain"):
            contributions = _on_strands(self._contributions, codes, both_strands, per_base=True)
            result["contributions"] = contributions.round(EXPLAIN_DECIMALS).tolist()
        return result

    def _logits(self, codes: np.ndarray) -> np.ndarray:
        return _in_chunks(self._forward, codes, int(self._share * FORWARD_BASES))

    def _contributions(self, codes: np.ndarray) -> np.ndarray:
        import tensorflow as tf

        with self._explainer_lock:
            if self._explainer is None:
                self._explainer = tf.saved_model.load(self._explainer_folder)
        return _in_chunks(
            lambda x: self._explainer.explain(x)["contributions"], codes, int(self._share * EXPLAIN_BASES)
        )


def signature() -> ModelSignature:
    """Return the inputs, outputs and parameters of :class:`SequenceModel`, as ``log_model(signature=)`` takes them.

    The column is optional for MLflow and required by the model, so that a client who leaves it out gets the model's
    sentence about it.
    """
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.string, COLUMN, required=False)]),
        outputs=Schema(
            [
                ColSpec(DataType.double, "probability"),
                ColSpec(DataType.double, "logit"),
                ColSpec(DataType.double, "probability_sd", required=False),
                ColSpec(Array(DataType.double), "contributions", required=False),
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("strand_average", DataType.boolean, default=False),
                ParamSpec("explain", DataType.boolean, default=False),
            ]
        ),
    )


def input_example(length: int) -> pd.DataFrame:
    """Return a table of one sequence of `length` bp, as ``log_model(input_example=)`` takes it."""
    return pd.DataFrame({COLUMN: [("ACGT" * (length // 4 + 1))[:length]]})


def _logistic(logit: np.ndarray) -> np.ndarray:
    """Turn logits into probabilities; no logit overflows."""
    return np.exp(-np.logaddexp(0, -logit))


def _on_strands(score: Callable, codes: np.ndarray, both: bool, per_base: bool) -> np.ndarray:
    """Score the sequences (N, L) as given, or as the mean over them and their reverse complements."""
    forward = score(codes)
    if not both:
        return forward
    reverse = score(np.where(codes < 4, 3 - codes, codes)[:, ::-1])
    return (forward + (reverse[:, ::-1] if per_base else reverse)) / 2


def _width(network) -> int:
    """Numbers that the widest layer of a network, or of its members, holds for each base of its input."""
    own = [np.prod(layer.output.shape[1:]) // network.input_shape[1] for layer in network.layers]
    return int(max([*own, *(_width(layer) for layer in network.layers if hasattr(layer, "layers"))]))


def _in_chunks(score: Callable, codes: np.ndarray, bases: int) -> np.ndarray:
    """Score one-hot DNA in chunks of at most `bases` bp, so that memory does not grow with the request; float64."""
    import tensorflow as tf

    rows = max(1, bases // codes.shape[1])
    chunks = (codes[i : i + rows] for i in range(0, len(codes), rows))
    return np.concatenate([score(tf.constant(_ONE_HOT[chunk])).numpy() for chunk in chunks]).astype(np.float64)


def _column(table: pd.DataFrame | pd.Series | Sequence[str]) -> pd.Series:
    """Take the sequences out of whatever MLflow hands over."""
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame({COLUMN: [table] if isinstance(table, str) else table}, dtype=object)
    if COLUMN not in table:
        raise RequestError(
            f'Expected a table with a column "{COLUMN}", received no such column, or no rows: send for example '
            f'{{"dataframe_records": [{{"{COLUMN}": "ACGT"}}]}}, or pd.DataFrame({{"{COLUMN}": ["ACGT"]}}) in Python.'
        )
    if table.empty:
        raise RequestError("Expected at least one row, received none: send one row per sequence.")
    return table[COLUMN]


def _encode(sequences: pd.Series, length: int) -> np.ndarray:
    """Turn strings into codes (N, length) uint8, A, C, G, T, N = 0 .. 4, or name the first row that is none."""
    values = sequences.tolist()
    for i, value in enumerate(values):
        if not isinstance(value, str) or len(value) != length:
            raise RequestError(f"{_row(i)}: expected a DNA sequence of {length} bp, received {_problem(value)}.")
    codes = _CODE[np.frombuffer("".join(values).encode("ascii", "replace"), np.uint8)].reshape(-1, length)
    if (codes == _INVALID).any():
        i, j = np.argwhere(codes == _INVALID)[0]
        raise RequestError(
            f'{_row(i)}: expected the letters A, C, G, T or N, received "{values[i][j]}" at position {j + 1}: correct '
            "or remove this row."
        )
    return codes


def _row(i: int) -> str:
    return f"Row {i + 1} (counting from 1)"


def _problem(value: Any) -> str:
    """Say what is wrong with a value that is not a string of the right length, and what to do."""
    if isinstance(value, str) and value:
        return f"{len(value)} bp: trim the sequence, or pad it with N, to the length this model takes"
    if value == "":
        return "an empty string: fill or remove this row"
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "no value (null): fill or remove this row"
    return f"a value of type {type(value).__name__}: send the sequence as a string"


mlflow.models.set_model(SequenceModel())
