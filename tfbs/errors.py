"""The errors that tfbs raises on purpose: one root, one kind per place where things go wrong.

Every message is one sentence that says what was expected, what was received, where, and what to do next. Entry
points print the message alone; library users catch :class:`TfbsError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class TfbsError(Exception):
    """Root of every error that tfbs raises on purpose."""


class DataError(TfbsError):
    """A file or data set cannot be used as it is."""


class ParameterError(TfbsError):
    """A parameter is unknown, misspelt or out of range."""


class TrainingError(TfbsError):
    """A network could not be trained."""


class AttributionError(TfbsError):
    """Attributions cannot be computed, or do not add up."""


class TrackingError(TfbsError):
    """The tracking server or store cannot take the run."""


class RegistryError(TfbsError):
    """A model version cannot be registered or compared."""


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """Return ``'; did you mean "x"?'`` for the closest known name, or an empty string.

    Parameters
    ----------
    received : str
        What the user typed.
    known : iterable of str
        What could have been typed.

    Returns
    -------
    str
        A clause to append to a message.
    """
    close = difflib.get_close_matches(received.lower(), list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""
