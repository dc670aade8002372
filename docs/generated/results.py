"""Measured results, as the benchmarks left them."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def result(name: str) -> dict[str, Any]:
    """Return a file of results by its name without ending."""
    loaded: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def share_of(counts: dict[str, Any]) -> str:
    """Return a share with its interval and its counts."""
    hits, of = counts["hits"], counts["of"]
    return f"{hits / of:.1%} ({counts['low']:.1%} to {counts['high']:.1%}; {hits} of {of})"


def more(measured: dict[str, float]) -> str:
    """Return how much more CPU time something takes, with its interval."""
    return f"{measured['more']:.1%} ({measured['low']:.1%} to {measured['high']:.1%})"
