"""Where tables are printed: the terminal, or plain lines of a fixed width where there is none."""

import os

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


def show(target: Console, *parts: RenderableType) -> None:
    """Print, without the blanks that a table leaves at the end of its lines."""
    with target.capture() as captured:
        target.print(*parts, sep="\n")
    typer.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def plain_table() -> Table:
    """Return an empty table with a line under its headings and none beside."""
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
