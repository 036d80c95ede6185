from dataclasses import dataclass

import pytest

from experiments import cli, train
from tfbs.architectures import ARCHITECTURES
from tfbs.datasets import NAMES
from tfbs.errors import DataError, ParameterError


@dataclass(frozen=True)
class Group:
    """A group.

    Attributes
    ----------
    rate : float
        Learning rate of ``adam``, 100 % of the time.
    count, other : int
        Two numbers.
    flag : bool
        A switch.
    """

    rate: float = 0.1
    count: int = 1
    other: int = 2
    flag: bool = False


@dataclass(frozen=True)
class Second:
    """Another group."""

    name: str = "x"


def test_only_given_values_return_with_their_types():
    argv = ["--rate", "1e-3", "--flag", "Yes", "--name", "a b"]
    assert cli.parse(argv, (Group, Second)) == [{"rate": 0.001, "flag": True}, {"name": "a b"}]


def test_negative_numbers_and_equal_signs_are_values():
    assert cli.parse(["--rate", "-1", "--name=a=b"], (Group, Second)) == [{"rate": -1.0}, {"name": "a=b"}]


def test_abbreviations_are_refused():
    with pytest.raises(ParameterError, match='received "cou"; did you mean "count"'):
        cli.parse(["--cou", "3"], (Group,))


def test_help_shows_docstrings_and_defaults(capsys):
    with pytest.raises(SystemExit):
        cli.parse(["--help"], (Group, Second))
    text = " ".join(capsys.readouterr().out.split())
    assert "Learning rate of adam, 100 % of the time. (default: 0.1)" in text
    assert "Two numbers. (default: 2)" in text


def test_help_lists_every_architecture_and_data_set(capsys):
    with pytest.raises(SystemExit):
        train.request(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert f"One of: {', '.join(ARCHITECTURES)}, auto." in text
    assert f"One of: {', '.join(NAMES)}, or a path." in text


def raising(error):
    def work():
        raise error

    return work


def test_exit_codes_and_one_sentence(capsys):
    assert cli.main(lambda: None) == 0
    assert cli.main(raising(DataError("Expected x, received y."))) == 1
    assert capsys.readouterr().err == "Error: Expected x, received y.\n"
    assert cli.main(raising(KeyboardInterrupt())) == 130
    assert cli.main(raising(ZeroDivisionError("oops"))) == 1
    assert "please report it (ZeroDivisionError: oops)" in capsys.readouterr().err
