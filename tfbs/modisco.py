"""TF-MoDISco on sequences of any length, in a process of its own."""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .errors import AttributionError, require
from .sequences import N, one_hot

LONG = 400
"""Sequence length (bp) from which on TF-MoDISco keeps the windows it was made for.

On 101 bp they find pairs of sites with what lies between; the short windows find the single sites, and more of them.
"""

SHORT_WINDOWS = {"sliding_window_size": 12, "flank_size": 3, "trim_to_window_size": 16, "initial_flank_to_add": 2}
LONG_WINDOWS = {"sliding_window_size": 21, "flank_size": 10, "trim_to_window_size": 30, "initial_flank_to_add": 10}

Found = tuple[np.ndarray, np.ndarray, np.ndarray, int]


@dataclass(frozen=True)
class Discovery:
    """Settings of TF-MoDISco.

    Attributes
    ----------
    max_seqlets : int
        Stretches of each sign that are clustered, at most: time grows faster than their number.
    min_seqlets : int
        Stretches that make a pattern.
    leiden_runs : int
        Clusterings of which the best is taken; their seeds are 0, 100, 200, ...
    """

    max_seqlets: int = 5000
    min_seqlets: int = 20
    leiden_runs: int = 3

    def __post_init__(self):
        checks = {
            "max_seqlets": (self.max_seqlets >= 100, "a whole number of at least 100"),
            "min_seqlets": (self.min_seqlets >= 5, "a whole number of at least 5"),
            "leiden_runs": (self.leiden_runs >= 1, "a whole number of at least 1"),
        }
        require(self, checks)


def windows(length: int) -> dict[str, int]:
    """Return the window parameters of TF-MoDISco (bp) for sequences of that length."""
    chosen = LONG_WINDOWS if length >= LONG else SHORT_WINDOWS
    return chosen | {"sliding_window_size": min(chosen["sliding_window_size"], length)}


def find(codes: np.ndarray, hypothetical: np.ndarray, settings: Discovery) -> list[Found]:
    """Run TF-MoDISco in a fresh process: it forks, which TensorFlow does not survive.

    Each sequence is surrounded by random bases that contribute nothing, so that motifs at its ends are found too (of
    long sequences, not those within the outer 10 bp); an N becomes one of them. They are fewer than the sliding window
    is wide, because TF-MoDISco cannot measure its background if whole windows contribute nothing.

    Parameters
    ----------
    codes : ndarray of uint8, shape (n, L)
        Sequences.
    hypothetical : ndarray, shape (n, L, 4)
        As in :class:`tfbs.attribution.Attribution`.
    settings : Discovery
        How much to do.

    Returns
    -------
    list of tuple
        For each pattern its aligned stretches: rows, 0-based starts (they may lie beyond an end), whether read as
        reverse complement, width. Empty if nothing recurs.

    Raises
    ------
    AttributionError
        If the process fails.
    """
    parameters = windows(codes.shape[1])
    pad = max(parameters["sliding_window_size"] - 2, 0)
    codes = np.pad(codes, ((0, 0), (pad, pad)), constant_values=N)
    hypothetical = np.pad(np.asarray(hypothetical, np.float32), ((0, 0), (pad, pad), (0, 0)))
    unknown = codes == N
    codes[unknown] = np.random.RandomState(0).randint(0, 4, int(unknown.sum()), dtype=np.uint8)
    hypothetical[unknown] = 0
    parameters |= {
        "max_seqlets_per_metacluster": settings.max_seqlets,
        "min_metacluster_size": settings.min_seqlets,
        "final_min_cluster_size": settings.min_seqlets,
        "n_leiden_runs": settings.leiden_runs,
    }
    return [(rows, starts - pad, *rest) for rows, starts, *rest in _isolated(codes, hypothetical, parameters)]


def _isolated(*arguments: object) -> list[Found]:
    """Return ``_find(*arguments)``, called in a fresh Python."""
    with tempfile.TemporaryDirectory() as folder:
        given, returned = Path(folder, "given"), Path(folder, "returned")
        given.write_bytes(pickle.dumps(arguments))
        code = f"import sys; sys.path[:] = {sys.path!r}; from tfbs.modisco import _serve; _serve({folder!r})"
        done = subprocess.run([sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise AttributionError(
                f"Expected patterns from TF-MoDISco, received an error ({reason}): try more sequences."
            )
        return pickle.loads(returned.read_bytes())


def _serve(folder: str) -> None:
    """Do in this process what :func:`_isolated` asks for."""
    result = _find(*pickle.loads(Path(folder, "given").read_bytes()))
    Path(folder, "returned").write_bytes(pickle.dumps(result))


def _find(codes: np.ndarray, hypothetical: np.ndarray, parameters: dict[str, int]) -> list[Found]:
    """Run TF-MoDISco and take the places of its patterns."""
    from .jaspar import keep_compiled

    keep_compiled()
    from modiscolite.tfmodisco import TFMoDISco

    results = TFMoDISco(one_hot=one_hot(codes), hypothetical_contribs=hypothetical, **parameters)
    found = []
    for pattern in (pattern for patterns in results for pattern in patterns or []):
        places = [(seqlet.example_idx, seqlet.start, seqlet.is_revcomp) for seqlet in pattern.seqlets]
        rows, starts, reverse = map(np.array, zip(*places, strict=True))
        found.append((rows, starts, reverse.astype(bool), len(pattern.seqlets[0])))
    return found
