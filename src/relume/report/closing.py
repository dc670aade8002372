"""What is said of a watched training when it has ended: a few lines, and where the report is."""

from pathlib import Path

from relume.report.parts import Document

MOST_SAID = 3
"""Findings that are told at once; all of them are in the report."""


def closing_lines(document: Document, page: Path) -> tuple[str, ...]:
    """Return how the units stand, the gravest findings, and where the report is.

    Args:
        document: What there is to show of the run.
        page: The report.
    """
    grave = [each for each in document.findings if each.severity != "note"]
    said = (f"{each.severity} {each.code}: {each.said}" for each in grave[:MOST_SAID])
    return (document.headline, *said, f"report: {shown_path(page)}")


def shown_path(path: Path) -> Path:
    """Return a path as seen from where the person is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
