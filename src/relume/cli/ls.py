"""``relume ls``: the runs under a folder."""

import json as to_text
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from relume.cli.console import console, plain_table, show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from relume.report.listing import ListedRun

MOST_CODES = 2
NUMBERS = ("steps", "loss", "score", "dead", "size")
HEADINGS = ("run", "of", "status", "written", "steps", "loss", "score", "dead", "findings", "size")
FIRST_LEFT_OUT = ("size", "of", "loss", "written", "steps", "score")
"""What a narrow terminal does without, the first of them first."""
STATUS_STYLES = {"damaged": "bold red", "failed": "red", "killed": "red", "interrupted": "yellow"}


def ls(
    folder: Annotated[Path, typer.Argument(help="Where to look, with all folders in it.")] = Path(),
    *,
    most: Annotated[
        int, typer.Option("--most", "-n", min=0, help="Show the newest ones; 0: all of them.")
    ] = 50,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave findings out: no run is read whole.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """List the runs under a folder, the one written last first.

    Dead units are those at the end of a run; findings are warnings and errors. Run files that
    cannot be read are listed as damaged. Hidden folders and links are not followed.
    """
    from relume.report.listing import list_runs, listing_json
    from relume.runs.places import find_runs

    found = find_runs(folder)
    shown = found[:most] if most else found
    listed = list(list_runs(folder, shown, with_findings=not quick))
    if json:
        data = listing_json(folder, listed, len(found))
        sys.stdout.write(to_text.dumps(data, allow_nan=False) + "\n")
    elif not found:
        typer.echo(f"no runs under {folder}; relume run train.py and relume fit DATA record some")
    else:
        _print(listed, len(found) - len(shown))


def _print(listed: "Sequence[ListedRun]", more: int) -> None:
    from relume.report.wording import printable

    target = console()
    columns, left_out = _columns(listed), []
    table = _table(columns)
    for heading in FIRST_LEFT_OUT:
        if table.__rich_measure__(target, target.options).maximum <= target.width:
            break
        del columns[heading]
        left_out.append(heading)
        table = _table(columns)
    show(target, table)
    if left_out:
        typer.echo(f"too narrow for: {', '.join(left_out)}")
    for each in listed:
        if each.fault:
            typer.echo(f"{printable(each.name)}: {printable(each.fault, 300)}")
    if more:
        typer.echo(f"and {more:,} older: --most 0 shows all")


def _columns(listed: "Sequence[ListedRun]") -> dict[str, list[Text]]:
    """Return the cells of each column, by its heading."""
    from relume.report.wording import printable
    from relume.runs.wording import size_shown

    columns: dict[str, list[Text]] = {heading: [] for heading in HEADINGS}
    for each in listed:
        written = datetime.fromtimestamp(each.files.written_at).astimezone()
        of, *numbers = map(Text, _gist_cells(each))
        cells = (
            Text(printable(each.name, 80), style="bold"),
            of,
            Text(each.status, style=STATUS_STYLES.get(each.status, "")),
            Text(f"{written:%Y-%m-%d %H:%M}"),
            *numbers,
            Text(_findings(each)),
            Text(size_shown(each.files.size)),
        )
        for column, cell in zip(columns.values(), cells, strict=True):
            column.append(cell)
    return columns


def _table(columns: dict[str, list[Text]]) -> "Table":
    table = plain_table()
    for heading in columns:
        is_number = heading in NUMBERS
        table.add_column(
            heading,
            justify="right" if is_number else "left",
            no_wrap=is_number or heading in {"status", "written"},
            overflow="fold",
        )
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _gist_cells(each: "ListedRun") -> tuple[str, str, str, str, str]:
    """Return the cells for what it is of, steps, loss, score, and dead units."""
    import math

    from relume.report.wording import metric_name, number, printable

    gist = each.gist
    if gist is None:
        return ("", "", "", "", "")
    loss = number(gist.loss) if math.isfinite(gist.loss) else "—"
    score = f"{printable(metric_name(gist.metric), 20)} {number(gist.score)}"
    dead = "—" if gist.dead_units is None else f"{gist.dead_units:,} of {gist.units:,}"
    return (
        f"{printable(gist.kind, 12)} {printable(gist.name, 40)}",
        f"{gist.steps:,}",
        loss,
        score if gist.metric else "—",
        dead,
    )


def _findings(each: "ListedRun") -> str:
    if each.findings is None:
        return ""
    grave = list(dict.fromkeys(code for code, severity in each.findings if severity != "note"))
    more = f" +{len(grave) - MOST_CODES}" if len(grave) > MOST_CODES else ""
    return ", ".join(grave[:MOST_CODES]) + more or "none"
