"""HTML for a cell of a notebook: no script, no colours of its own, every text escaped."""

from collections.abc import Iterable, Sequence
from html import escape

MARKS = {"error": "#c62828", "warning": "#b26a00", "note": "#757575"}
"""Colours of the edge of a finding; they can be told from one another by their words too."""
_CELL = "text-align:left;padding:2px 12px 2px 0;vertical-align:top"


def card(title: str, *parts: str) -> str:
    """Return a title, and parts that are HTML already, under one another."""
    return f'<div><p style="margin:4px 0"><strong>{_text(title)}</strong></p>{"".join(parts)}</div>'


def line(text: object) -> str:
    """Return a text as a line.

    Example:
        >>> line("fired < 1 %")
        '<p style="margin:2px 0">fired &lt; 1 %</p>'
    """
    return f'<p style="margin:2px 0">{_text(text)}</p>'


def note(severity: str, text: str, more: Iterable[str] = ()) -> str:
    """Return a finding: its sentence, and what is said under it."""
    edge = MARKS.get(severity, MARKS["note"])
    items = "".join(f"<li>{_text(each)}</li>" for each in more)
    under = f'<ul style="margin:2px 0">{items}</ul>' if items else ""
    style = f"border-left:3px solid {edge};padding-left:8px;margin:6px 0"
    return f'<div style="{style}">{_text(text)}{under}</div>'


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table.

    Example:
        >>> "<td" in table(["layer"], [["hidden"]])
        True
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{_text(each)}</th>' for each in headings)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_CELL}">{_text(each)}</td>' for each in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(value: object) -> str:
    return escape(str(value))
