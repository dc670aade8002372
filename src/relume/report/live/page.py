"""The contents of a live page, part by part, and what changed in them since somebody looked."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_EDGES = re.compile(r"<(/?)(section|header)\b([^>]*)>")
_NAMES = tuple(
    re.compile(rf'(?<![\w-]){attribute}="([^"]*)"')
    for attribute in ("id", "aria-label", "aria-labelledby")
)


@dataclass(frozen=True, slots=True)
class Contents:
    """What a page shows at one moment.

    Args:
        sections: The HTML of the header and of each section, by name and in order.
        data: What the page's script draws from.
        status: Of the run, such as ``running``; empty where there is no single run.
        steps: How far it is.
        note: What is to be said beside it, such as that the file cannot be read.
    """

    sections: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    status: str = ""
    steps: int = 0
    note: str = ""


def sections_of(html: str) -> dict[str, str]:
    """Return the header and the outermost sections of a page's contents, by name.

    A section is named by its ``id``, else by its ``aria-label`` or ``aria-labelledby``.

    Example:
        >>> sections_of('<header>a</header><main><section id="b"><h2>B</h2></section></main>')
        {'header': '<header>a</header>', 'b': '<section id="b"><h2>B</h2></section>'}
    """
    found: dict[str, str] = {}
    depth, begin, name = 0, 0, ""
    for edge in _EDGES.finditer(html):
        closes, tag, attributes = edge.groups()
        if not closes:
            if depth == 0:
                begin, name = edge.start(), _name(tag, attributes, len(found))
            depth += 1
        else:
            depth -= 1
            if depth == 0:
                found[name] = html[begin : edge.end()]
    return found


def _name(tag: str, attributes: str, number: int) -> str:
    if tag == "header":
        return "header"
    given = (found[1] for name in _NAMES if (found := name.search(attributes)))
    return next(given, f"section-{number}")


class LivePage:
    """A page that changes: each part with the number of the change that it last had.

    Args:
        edition: What tells this page from one of the same address by another server.

    Attributes:
        contents: What it shows now; None before there is anything.
        number: Of the last change.
    """

    def __init__(self, edition: str) -> None:
        self.edition = edition
        self.contents: Contents | None = None
        self.number = 0
        self._changed_at: dict[str, int] = {}
        self._data_changed_at = 0

    def put(self, contents: Contents) -> bool:
        """Show other contents from now on; return whether anything differs."""
        before = self.contents
        if contents == before:
            return False
        self.number += 1
        known = before.sections if before is not None else {}
        self._changed_at = {
            name: self._changed_at[name] if known.get(name) == html else self.number
            for name, html in contents.sections.items()
        }
        if before is None or contents.data != before.data:
            self._data_changed_at = self.number
        self.contents = contents
        return True

    @property
    def place(self) -> str:
        """What a browser says that it has seen, to be told no more than what came after."""
        return f"{self.edition}-{self.number}"

    def message(self, seen: str = "") -> dict[str, Any] | None:
        """Return what changed since the ``place`` that somebody saw; all, if it is not known.

        None if nothing did.
        """
        contents, since = self.contents, self._number_of(seen)
        if contents is None or since == self.number:
            return None
        changed = {
            name: html for name, html in contents.sections.items() if self._changed_at[name] > since
        }
        message = {
            "order": list(contents.sections),
            "changed": changed,
            "status": contents.status,
            "steps": contents.steps,
            "note": contents.note,
        }
        if self._data_changed_at > since:
            message["data"] = contents.data
        return message

    def _number_of(self, place: str) -> int:
        edition, _, number = place.rpartition("-")
        known = edition == self.edition and number.isdecimal() and len(number) < 16
        return int(number) if known and int(number) <= self.number else -1
