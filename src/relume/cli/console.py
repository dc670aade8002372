"""Where tables are printed: the terminal, or plain lines of a fixed width where there is none."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import typer
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table

PLAIN_WIDTH = 132  # of a table that goes to a file or a pipe


def console() -> Console:
    """Return the terminal, or plain lines of a fixed width where there is none."""
    found = Console(highlight=False)
    if not found.is_terminal and "COLUMNS" not in os.environ:
        return Console(highlight=False, width=PLAIN_WIDTH)
    return found


@contextmanager
def tidy(target: Console) -> Iterator[Console]:
    """Print at the end, without the blanks that a table leaves at the end of its lines."""
    with target.capture() as captured:
        yield target
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def show(target: Console, *parts: RenderableType) -> None:
    """Print one part after another, tidily."""
    with tidy(target):
        target.print(*parts, sep="\n")


def plain_table() -> Table:
    """Return an empty table with a line under its headings and none around."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), show_edge=False)
