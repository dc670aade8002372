"""A run as it grows, in a terminal; plain lines where there is none."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from relume.errors import RunFileError
from relume.report.findings import finding_lines, grave_lines
from relume.report.live.cards import card_of
from relume.report.live.reading import RUNNING, GrowingRun, Pace
from relume.report.parts import Document
from relume.report.terminal import layer_table

BARS = "▁▂▃▄▅▆▇█"
MOST_BARS = 60
LEAST_LINES = 8
TICK_S = 0.2
_STYLES = {"error": "bold red", "warning": "yellow"}


def follow(path: Path, console: Console | None = None) -> None:
    """Show a run until its training has ended.

    In a terminal one picture is kept up to date; elsewhere there is a line for each change, and one
    for each finding that is new.

    Args:
        path: Its folder, or a run file.
        console: Where; standard output if None.

    Raises:
        RunFileError: If it cannot be read at first.
    """
    console = console or Console()
    documents = readings(GrowingRun(path, path.name))
    if not console.is_terminal:
        for line in plain_lines(documents):
            console.print(Text(line), soft_wrap=True)
            console.file.flush()
        return
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as shown:
        for document in documents:
            shown.update(view(document, console.width, console.height), refresh=True)


def readings(run: GrowingRun, sleep: Callable[[float], None] = time.sleep) -> Iterator[Document]:
    """Yield a run each time that it has changed, until it has ended.

    Raises:
        RunFileError: If it cannot be read at first.
    """
    pace, document = Pace(), None
    while True:
        if run.has_changed and pace.is_ready(time.monotonic()):
            began_s = time.thread_time()
            read = run.read()
            if read is None and document is None:
                raise RunFileError(run.fault)
            if read is not None:
                document = read
                yield document
                if document.status != RUNNING:
                    return
            pace.note(cost_s=time.thread_time() - began_s, now_s=time.monotonic())
        sleep(TICK_S)


def view(document: Document, width: int, height: int) -> RenderableType:
    """Return the picture of a run: how it stands, its loss, its findings and its layers.

    What does not fit into the height is left out from the end of each list, and counted.
    """
    findings = list(finding_lines(document.findings))
    head: list[RenderableType] = [
        Text(f"{document.title}: {document.headline}", style="bold"),
        Text(_line(document)),
        loss_line(document, width),
    ]
    room = max(LEAST_LINES, height - len(head) - 5)
    shown_findings = findings[: max(4, room // 2)]
    most_layers = max(3, room - len(shown_findings) - 2)
    parts = [*head, *([Text("")] if findings else [])]
    parts += [
        Text(line, style=_STYLES.get(line.partition(" ")[0], ""), no_wrap=True, overflow="ellipsis")
        for line in shown_findings
    ]
    parts += _more(len(findings) - len(shown_findings), "more lines of findings")
    summaries = [part.summary for part in document.layers]
    if summaries:
        table = layer_table(summaries[:most_layers])
        table.caption = None
        parts += [Text(""), table]
        parts += _more(len(summaries) - most_layers, "more layers")
    return Group(*parts)


def loss_line(document: Document, width: int) -> Text:
    """Return the course of the loss as a row of bars between its least and greatest."""
    curve = document.window_curves
    losses = [loss for loss in curve.loss if math.isfinite(loss)]
    if not losses:
        return Text("loss: not observed")
    bars = sparkline(losses, min(MOST_BARS, max(10, width - 40)))
    return Text(f"loss {bars} {losses[-1]:.4g} ({min(losses):.4g} to {max(losses):.4g})")


def sparkline(values: Sequence[float], most: int) -> str:
    """Return values as at most ``most`` bars of a height in proportion, each a mean of neighbours.

    Example:
        >>> sparkline([4.0, 3.0, 2.0, 1.0, 1.0], 5)
        '█▆▃▁▁'
    """
    size = -(-len(values) // most)
    groups = [values[i : i + size] for i in range(0, len(values), size)]
    means = [math.fsum(group) / len(group) for group in groups]
    low, high = min(means), max(means)
    span = high - low or 1.0
    return "".join(BARS[round((mean - low) / span * (len(BARS) - 1))] for mean in means)


def plain_lines(documents: Iterator[Document]) -> Iterator[str]:
    """Yield a line for each state of a run, and one for each finding that is new in it."""
    known: set[tuple[str, str]] = set()
    for document in documents:
        yield _line(document)
        new = [each for each in document.findings if (each.code, each.severity) not in known]
        known |= {(each.code, each.severity) for each in new}
        yield from grave_lines(new)


def _line(document: Document) -> str:
    card = card_of(document, name="", key="", written_at_s=0.0)
    said = [card.status, f"step {card.steps}", f"loss {card.loss}"]
    if card.score != "—":
        said.append(card.score)
    said.append(f"dead or silent {card.dead}")
    said.append(f"findings: {card.findings}")
    return " · ".join(said)


def _more(number_of: int, what: str) -> list[Text]:
    return [Text(f"and {number_of:,} {what}", style="dim")] if number_of > 0 else []
