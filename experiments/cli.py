"""Parameters and exit codes that all entry points share.

Parameters are the fields of settings dataclasses; their types, defaults and help come from there. Parsing is strict:
an unknown name is an error that suggests the nearest known one.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import Field, fields
from typing import Any, TypeVar

from tfbs.errors import ParameterError, TfbsError, did_you_mean

Request = TypeVar("Request")

_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_EXPECTED = {"int": "a whole number", "float": "a number", "bool": "true or false"}


class _Parser(argparse.ArgumentParser):
    """argparse that raises instead of printing usage and exiting."""

    def error(self, message: str):
        raise ParameterError(f"Expected parameters as name=value, received a problem: {message}.")


def parse(
    argv: Sequence[str],
    groups: Sequence[type],
    description: str = "",
    choices: Mapping[str, Iterable[str]] | None = None,
    without: Sequence[str] = (),
) -> list[dict[str, Any]]:
    """Parse ``--name value`` pairs into the fields of dataclasses.

    Parameters
    ----------
    argv : sequence of str
        Command line without the program.
    groups : sequence of dataclass types
        Their field names are the parameters.
    description : str
        First line of the help.
    choices : mapping of str to iterable of str, optional
        Values that the help lists for a parameter.
    without : sequence of str
        Fields that are no parameters here. A field that several groups hold belongs to the first.

    Returns
    -------
    list of dict
        For each group the values that were given, by field name.

    Raises
    ------
    ParameterError
        If a name is unknown or a value has the wrong type.
    """
    owned = _owned(groups, without)
    known = {field.name: field for group in owned for field in group}
    parser = _Parser(description=description, allow_abbrev=False)
    for group, own in zip(groups, owned, strict=True):
        section = parser.add_argument_group(group.__doc__.splitlines()[0].rstrip("."))
        for field in own:
            text = _help(group, field, (choices or {}).get(field.name, ()))
            section.add_argument(f"--{field.name}", default=argparse.SUPPRESS, help=text, metavar="X")
    values, rest = parser.parse_known_args(list(argv))
    if rest:
        name = rest[0].lstrip("-").split("=")[0]
        raise ParameterError(
            f'Expected a known parameter, received "{name}"'
            + (did_you_mean(name, known) or f": known are {', '.join(sorted(known))}.")
        )
    given = {name: _convert(known[name], text) for name, text in vars(values).items()}
    return [{f.name: given[f.name] for f in own if f.name in given} for own in owned]


def single(
    argv: Sequence[str], kind: type[Request], description: str, choices: Mapping[str, Iterable[str]] | None = None
) -> Request:
    """Parse ``--name value`` pairs into one dataclass; see :func:`parse`, also for the errors raised."""
    (given,) = parse(argv, (kind,), description, choices)
    return kind(**given)


def _owned(groups: Sequence[type], without: Sequence[str]) -> list[list[Field]]:
    """The fields of each group that are parameters: none twice, none that is left out."""
    taken, owned = set(without), []
    for group in groups:
        owned.append([field for field in fields(group) if field.name not in taken])
        taken |= {field.name for field in owned[-1]}
    return owned


def main(work: Callable[[], None]) -> int:
    """Do the work of an entry point and return its exit code; errors are told in one sentence.

    Parameters
    ----------
    work : callable
        Parses and runs.

    Returns
    -------
    int
        0 done, 1 failed, 130 interrupted.
    """
    try:
        work()
        return 0
    except KeyboardInterrupt as stop:
        notes = "".join(f" {note}" for note in getattr(stop, "__notes__", ()))
        print(f"\nInterrupted; the run is marked as KILLED.{notes}", file=sys.stderr)
        return 130
    except TfbsError as error:
        _tell(error)
        print(f"Error: {error}", file=sys.stderr)
    except Exception as error:
        _tell(error)
        print(
            f"Error: this should not happen, please report it ({type(error).__name__}: {error}); "
            "TFBS_TRACEBACK=1 shows where.",
            file=sys.stderr,
        )
        if os.environ.get("TFBS_TRACEBACK"):
            traceback.print_exc()
    return 1


def _tell(error: Exception) -> None:
    """Leave the reason on the run that ``mlflow run`` opened."""
    if "MLFLOW_RUN_ID" in os.environ:
        from tfbs import tracking

        tracking.explain_failure(error)


def _convert(field: Field, text: str) -> Any:
    kind = getattr(field.type, "__name__", field.type)
    try:
        return {"int": int, "float": float, "bool": lambda t: _BOOLEANS[t.lower()], "str": str}[kind](text)
    except (ValueError, KeyError) as error:
        raise ParameterError(f'{field.name}: expected {_EXPECTED[kind]}, received "{text}".') from error


def _help(group: type, field: Field, choices: Iterable[str]) -> str:
    """Take a field's description from the class docstring, with its choices and its default."""
    attributes = group.__doc__.split("----------\n", 1)[-1]
    match = re.search(rf"^    [\w, ]*\b{field.name}\b[\w, ]* : \w+\n((?:        .*\n|\n)+)", attributes, re.MULTILINE)
    text = " ".join(match.group(1).split()) if match else ""
    text = re.sub(r" \(:\w+:`\w+`\)|`", "", text)
    listed = f" One of: {', '.join(choices)}." if choices else ""
    return f"{text}{listed} (default: {field.default})".replace("%", "%%")
