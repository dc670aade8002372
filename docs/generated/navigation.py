"""The order of the pages: those written by hand, and those that are made."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

DOCS = Path(__file__).parents[1]
ADRS = "adr"
SEVERAL = {"rules.md": "rules/", "remedies.md": "remedies/", "activations.md": "activations/"}
"""Pages that list others, and where those lie."""


def complete(nav: list[Any], generated: Iterable[str]) -> list[Any]:
    """Return the navigation with the pages of each list under it, and without absent ones.

    Args:
        nav: As ``mkdocs.yml`` has it: texts, and dicts of one title each.
        generated: Paths of the pages that are made.
    """
    made = list(generated)
    return [entry for entry in (_completed(each, made) for each in nav) if entry is not None]


def _completed(entry: Any, made: list[str]) -> Any:
    if isinstance(entry, str):
        return entry if entry in made or (DOCS / entry).is_file() else None
    ((title, value),) = entry.items()
    if isinstance(value, list):
        return {title: complete(value, made)}
    if value == ADRS:
        return {title: sorted(f"{ADRS}/{path.name}" for path in (DOCS / ADRS).glob("*.md"))}
    if value in SEVERAL:
        below = [path for path in made if path.startswith(SEVERAL[value])]
        return {title: [value, *below]}
    return entry if value in made or (DOCS / value).is_file() else None
