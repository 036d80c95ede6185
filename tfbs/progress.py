"""A progress bar for work of many pieces; silent where there is no terminal."""

from __future__ import annotations

import contextlib
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[note]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as shown:
        task = shown.add_task(description, total=total, note="")
        yield lambda note: shown.update(task, advance=1, note=note)
