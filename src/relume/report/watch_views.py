"""What the page shows of a watched training beside what it shows of any: deaths, gaps, scores."""

from typing import Any

from relume.report.parts import Document
from relume.report.watched import last_values
from relume.report.wording import budget_share, count, number, on_top, unit_ranges

MOST_GROUPS_SHOWN = 40
MOST_UNITS_NAMED = 60
MOST_MISSED_SHOWN = 60
MOST_METRIC_CHARTS = 12
MOST_METRIC_TILES = 3


def watch_views(document: Document) -> dict[str, Any]:
    """Return the values of the page's template that come of watching."""
    return {
        "deaths": _deaths(document),
        "metrics": _metrics(document),
        "metrics_more": last_values(document.metrics[MOST_METRIC_CHARTS:]),
        "not_observed": document.not_observed[:MOST_MISSED_SHOWN],
        "not_observed_more": _more(len(document.not_observed) - MOST_MISSED_SHOWN, "more"),
    }


def watch_tiles(document: Document) -> list[tuple[str, str, str]]:
    """Return label, value and note of the figures that only a watched training has."""
    tiles = [
        (f"{state} units", f"{counts.idle:,}", f"of {count(counts.units, 'unit')}, while training")
        for state, counts in (("saturated", document.saturated), ("dormant", document.dormant))
        if counts is not None
    ]
    tiles += [
        (curve.name, number(curve.value[-1]), f"at step {curve.step[-1]:,}")
        for curve in document.metrics[:MOST_METRIC_TILES]
    ]
    tiles.append(("steps", f"{document.steps:,}", _armed(document)))
    overhead = document.overhead
    if overhead is not None and overhead.measured_share is not None:
        budget = "" if overhead.budget is None else f"; budget {budget_share(overhead.budget)}"
        tiles.append(("overhead", on_top(overhead.measured_share), f"of step time{budget}"))
    return tiles


def deaths_note(document: Document) -> str:
    """Return what the list of deaths does not say: that there was none, or of which none is known.

    Empty if it says everything.
    """
    units = document.units
    if units is None:
        return "No unit that can die was observed."
    told = sum(len(group.units) for group in document.deaths)
    if not units.dead:
        return "No unit that was observed died."
    if told < units.dead:
        return f"When and why was not recorded of {count(units.dead - told, 'silent unit')}."
    return ""


def _armed(document: Document) -> str:
    where = f" in {document.processes:,} processes" if document.processes > 1 else ""
    return f"{document.armed_steps:,} were measured{where}"


def _deaths(document: Document) -> dict[str, Any]:
    shown = document.deaths[:MOST_GROUPS_SHOWN]
    more = sum(len(group.units) for group in document.deaths[MOST_GROUPS_SHOWN:])
    return {
        "groups": [(group.said, _units(group.units)) for group in shown],
        "more": f"{count(more, 'unit')} in smaller groups: see relume report --json."
        if more
        else "",
        "note": deaths_note(document),
    }


def _units(units: tuple[int, ...]) -> str:
    more = len(units) - MOST_UNITS_NAMED
    noun = "unit" if len(units) == 1 else "units"
    rest = f" and {more:,} more" if more > 0 else ""
    return f"{noun} {unit_ranges(units[:MOST_UNITS_NAMED])}{rest}"


def _metrics(document: Document) -> list[dict[str, str]]:
    return [
        {
            "chart": f"metric-{index}",
            "name": curve.name,
            "note": f"Recorded by the script. Last: {number(curve.value[-1])} at step "
            f"{curve.step[-1]:,}.",
        }
        for index, curve in enumerate(document.metrics[:MOST_METRIC_CHARTS])
    ]


def _more(number_of: int, what: str) -> str:
    return f"{number_of:,} {what}: see relume report --json." if number_of > 0 else ""
