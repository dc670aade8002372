"""What the first screen of the page shows: verdict, chain of causes, findings, the cure."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from relume.report.events import Event
from relume.report.findings import ShownFinding
from relume.report.parts import Document
from relume.report.wording import count

MOST_OPEN = 3
"""Findings that are not folded away."""
MOST_FULL = 12
"""Findings with evidence and remedies; of further ones the page says what they are, and where."""
MOST_REMEDIES = 4
MOST_EVENTS_LISTED = 40


def first_views(document: Document) -> dict[str, Any]:
    """Return the values of the page's template that say what is wrong and what to do."""
    events = document.events
    findings = [_finding(given, index, events) for index, given in enumerate(document.findings)]
    lead = document.findings[0] if document.findings else None
    return {
        "verdict": document.verdict,
        "lead": lead,
        "findings": findings[:MOST_OPEN],
        "is_lead_open": len(findings) == 1,
        "more_findings": findings[MOST_OPEN:MOST_FULL],
        "brief_findings": findings[MOST_FULL:],
        "cure": {
            "remedies": [_parted(text) for text in lead.remedies[:MOST_REMEDIES]] if lead else [],
            "repairs": count(len(document.repairs), "repair") if document.repairs else "",
        },
        "events": [
            {"id": f"e{index}", "finding": _anchor(event), "event": event}
            for index, event in enumerate(events[:MOST_EVENTS_LISTED])
        ],
        "events_more": max(0, len(events) - MOST_EVENTS_LISTED),
    }


def _anchor(event: Event) -> str:
    return "repairs" if event.finding is None else f"finding-{event.finding + 1}"


def _finding(finding: ShownFinding, number: int, events: Sequence[Event]) -> dict[str, Any]:
    ids = {
        event.consequence: f"e{place}"
        for place, event in enumerate(events)
        if event.finding == number
    }
    return {
        "id": f"finding-{number + 1}",
        "shown": finding,
        "event": ids.get(None, ""),
        "consequences": [
            {"said": said, "event": ids.get(index, ""), "place": place}
            for index, (said, place) in enumerate(
                zip_longest(finding.consequences, finding.consequence_places, fillvalue="")
            )
        ],
        "remedies": [_parted(text) for text in finding.remedies],
    }


def _parted(remedy: str) -> tuple[str, str]:
    """A remedy, and what it touches."""
    said, _, safety = remedy.removesuffix(")").rpartition(" (")
    return said, safety
