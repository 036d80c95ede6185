"""The errors that tfbs raises on purpose: one root, one kind per place where things go wrong.

Every message is one sentence that says what was expected, what was received, where, and what to do next. Entry
points print the message alone; library users catch :class:`TfbsError`.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping


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


def require(
    settings: object, checks: Mapping[str, tuple[bool, str]], choices: Mapping[str, Iterable[str]] | None = None
) -> None:
    """Insist on the fields of a settings dataclass.

    Parameters
    ----------
    settings : object
        Holds the values that were received.
    checks : mapping of str to (bool, str)
        For each field whether it holds, and what is expected.
    choices : mapping of str to iterable of str, optional
        For a field that names one of a few things, what could have been named: the closest is suggested.

    Raises
    ------
    ParameterError
        For the first field that does not hold.
    """
    for name, (holds, expected) in checks.items():
        if not holds:
            received, known = getattr(settings, name), (choices or {}).get(name, ())
            hint = did_you_mean(received, known) if known else ""
            raise ParameterError(f'{name}: expected {expected}, received "{received}"{hint or "."}')
