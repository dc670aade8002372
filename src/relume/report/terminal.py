"""A run in a terminal: plain tables that read the same without colour."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from relume.report.findings import finding_lines
from relume.report.parts import Document
from relume.report.watch_views import deaths_note
from relume.report.watched import last_values
from relume.report.wording import at_place, idle_and_dying, printable, share, upper_bound
from relume.runs.summary import LayerSummary

MOST_LINES = 12
"""Of the deaths, and of what was not observed."""


def layer_table(summaries: Sequence[LayerSummary]) -> Table:
    """Return the layer table: how the units of each layer stand, and on how many rows that rests.

    Args:
        summaries: From ``summarise_layers``.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("layer", overflow="fold")
    table.add_column("activation", overflow="fold")
    has_bounds = any(summary.at_final_weights for summary in summaries)
    bound = ("3/m",) if has_bounds else ()
    idle = "dead" if has_bounds else "silent"
    for heading in ("units", "firing rate", idle, "dying", "rows n", *bound):
        table.add_column(heading, justify="right", no_wrap=True)
    for summary in summaries:
        table.add_row(
            Text(printable(at_place(summary.name, summary.place), 240)),
            Text(printable(summary.activation, 60)),
            f"{summary.units:,}",
            share(summary.firing_rate),
            *_cells(summary),
            f"{summary.rows:,}",
            *([upper_bound(summary.firing_probability_bound)] if has_bounds else []),
        )
    held_out = max((summary.held_out_rows for summary in summaries), default=0)
    if held_out:
        table.caption = (
            f"dead: fired on none of the n rows; m = {held_out:,} of them were held out and bound\n"
            "how often such a unit fires on rows like them (95 %)"
        )
        table.caption_justify = "left"
    return table


def print_document(document: Document, console: Console) -> None:
    """Print a run for a person: the result, the layers, what stands out and what is missing."""
    console.print(Text(f"{document.title}: {document.headline}", style="bold"))
    for sentence in document.comparisons:
        console.print(Text(sentence))
    console.print(_facts(document))
    _print_lines(console, "Findings", finding_lines(document.findings))
    _print_lines(console, "Repairs", (line for story in document.repairs for line in story))
    if document.layers:
        console.print()
        console.print(layer_table([part.summary for part in document.layers]))
    for heading, said in (
        ("Deaths", _deaths(document)),
        ("Scores", last_values(document.metrics)),
        ("Remarks", document.remarks),
        ("Missing", document.missing),
        ("Not observed", _bounded(document.not_observed)),
        ("How it was measured", document.measurement),
    ):
        if said:
            console.print()
            console.print(Text(heading, style="bold"))
            for sentence in said:
                console.print(Text(f"- {sentence}"))


def _print_lines(console: Console, heading: str, lines: Iterable[str]) -> None:
    """Print lines that are never broken, under a heading; nothing where there are none."""
    for number, line in enumerate(lines):
        if number == 0:
            console.print()
            console.print(Text(heading, style="bold"))
        console.print(Text(line), soft_wrap=True)


def _deaths(document: Document) -> tuple[str, ...]:
    note = deaths_note(document) if document.is_watched else ""
    said = _bounded([group.said for group in document.deaths])
    return (*said, note) if note else said


def _bounded(said: Sequence[str]) -> tuple[str, ...]:
    more = len(said) - MOST_LINES
    return (*said[:MOST_LINES], f"and {more:,} more: see the page") if more > 0 else tuple(said)


def _facts(document: Document) -> Text:
    stopped = f"; stopped {document.stopped}" if document.stopped else ""
    best = f"; best epoch {document.best_epoch:,}" if document.best_epoch else ""
    return Text(f"{document.status}, {document.steps:,} steps{best}{stopped}")


def _cells(summary: LayerSummary) -> tuple[Text, Text]:
    idle, dying = idle_and_dying(summary)
    return (
        Text(idle, style="bold red" if summary.dead_units else ""),
        Text(dying, style="yellow" if summary.dying_units else ""),
    )
