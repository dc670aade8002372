"""A run in a cell of a notebook: how its units stand, what was found, and where the report is."""

from collections.abc import Callable
from pathlib import Path

from relume import markup
from relume.errors import RelumeError
from relume.report.document import build_document
from relume.report.findings import ShownFinding, finding_lines
from relume.report.parts import Document, LayerPart
from relume.report.wording import idle_and_dying, share
from relume.runs.run_file import Run

MOST_LAYERS = 40
MOST_FINDINGS = 6


def run_cell(read: Callable[[], Run], page: Path | None) -> str:
    """Return a run as HTML; a run that cannot be read is a line that says so.

    Args:
        read: Reads the run.
        page: The report, if there may be one.
    """
    try:
        document = build_document(read())
    except RelumeError as error:
        return markup.card("relume", markup.line(error))
    findings = (_finding(each) for each in document.findings[:MOST_FINDINGS])
    parts = [*findings, _layers(document)]
    if page is not None and page.exists():
        parts.append(markup.line(f"report: {page}"))
    return markup.card(document.headline, *parts)


def _finding(finding: ShownFinding) -> str:
    first, *more = finding_lines([finding])
    return markup.note(first.partition(" ")[0], first, [each.strip() for each in more])


def _layers(document: Document) -> str:
    rows = [_row(layer) for layer in document.layers[:MOST_LAYERS]]
    headings = ["layer", "place", "activation", "units", "firing rate", "dead", "dying"]
    more = len(document.layers) - len(rows)
    rest = markup.line(f"and {more:,} more layers") if more > 0 else ""
    return markup.table(headings, rows) + rest if rows else ""


def _row(layer: LayerPart) -> list[object]:
    summary = layer.summary
    rate = share(summary.firing_rate)
    place, units = summary.place or "", f"{summary.units:,}"
    return [summary.name, place, summary.activation, units, rate, *idle_and_dying(summary)]
