from __future__ import annotations

import io

from tfbs import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def use_both() -> None:
    with progress.meter("explaining") as tell:
        for done in range(1, 4):
            tell(done, 3)
    with progress.bar("networks", 2) as told:
        told("first")
        told("second")


def test_without_a_terminal_nothing_is_written(capsys, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    use_both()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_shows_how_much_is_done(monkeypatch):
    shown = Terminal()
    monkeypatch.setattr("sys.stderr", shown)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    use_both()
    assert "explaining" in shown.getvalue() and "3/3" in shown.getvalue()
    assert "2/2" in shown.getvalue() and "second" in shown.getvalue()
