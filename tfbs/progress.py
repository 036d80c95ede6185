"""A progress bar for work of many pieces; silent where there is no terminal."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(description: str, total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar with the pieces done and the time left.

    Parameters
    ----------
    description : str
        What the pieces are.
    total : int
        How many there are.

    Yields
    ------
    callable
        To be called with a short note after each piece.
    """
    with _shown(description, total) as update:
        yield lambda note: update(advance=1, note=note)


@contextlib.contextmanager
def meter(description: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar for work that counts its pieces itself.

    Yields
    ------
    callable
        To be called with (pieces done, pieces in all).
    """
    with _shown(description, None) as update:
        yield lambda done, total: update(completed=done, total=total)


@contextlib.contextmanager
def _shown(description: str, total: int | None) -> Iterator[Callable[..., None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as shown:
        yield functools.partial(shown.update, shown.add_task(description, total=total, note=""))
