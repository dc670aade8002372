"""Figures that pages name in braces, ``{{ clinic.found }}``, each from the results themselves."""

import re
from collections.abc import Callable
from pathlib import Path

from docs.generated.clinic import rivals_table
from docs.generated.results import more, result, share_of
from relume.diagnosis.rules import RULES
from relume.nn.registry import activations
from relume.remedies.actions import ACTIONS

ROOT = Path(__file__).parents[2]
_NAMED = re.compile(r"\{\{ ([\w.]+) \}\}")
LIMITS = "## What it cannot do yet\n"


def fill(markdown: str, page: str) -> str:
    """Return a page with its figures in place.

    Raises:
        KeyError: If a page names a figure that there is none of.
    """

    def one(match: re.Match[str]) -> str:
        if match[1] not in FIGURES:
            raise KeyError(f"{page}: no figure is called {match[1]!r}; known: {', '.join(FIGURES)}")
        return FIGURES[match[1]]()

    return _NAMED.sub(one, markdown)


def _limits() -> str:
    """Return the limits as the README has them, where they are kept."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.split(LIMITS)[1].strip().replace("](docs/", "](")


def _validation(key: str) -> str:
    return share_of(result("clinic")["parts"]["validation"][key])


def _overhead() -> str:
    """Return what watching costs in CPU time, one network a column."""
    networks = result("overhead")["CPU time more than bare"]
    kinds = dict.fromkeys(
        kind for of in networks.values() for kind in of if isinstance(of[kind], dict)
    )
    heads = " | ".join(f"{name} ({of['rounds']} rounds)" for name, of in networks.items())
    lines = [f"| CPU time more than bare | {heads} |", "|---" * (len(networks) + 1) + "|"]
    for kind in kinds:
        cells = [more(of[kind]) if kind in of else "not run" for of in networks.values()]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _accuracy() -> str:
    report = result("accuracy-report")
    lines = ["| | mean rank | CPU time, s |", "|---|---|---|"]
    for name, rank in sorted(report["mean rank"].items(), key=lambda item: item[1]):
        lines.append(f"| {name} | {rank:.1f} | {report['cpu_s'][name]:,.0f} |")
    return "\n".join(lines)


def _planted() -> str:
    kinds = {name: of for name, of in result("planted").items() if name != "machine"}
    names = ("dead", "found", "invented", "dated", "named")
    lines = ["| cause planted | units | found | invented | dated | cause named |", "|---" * 6 + "|"]
    for kind, of in kinds.items():
        cells = " | ".join(str(of[name]) for name in names)
        lines.append(f"| {kind.lower().replace('_', ' ')} | {cells} |")
    return "\n".join(lines)


def _cured(key: str) -> str:
    return str(result("cure_programs")["summary"][key])


FIGURES: dict[str, Callable[[], str]] = {
    "limits": _limits,
    "rules": lambda: str(len(RULES)),
    "activations": lambda: str(len(activations())),
    "remedies": lambda: str(len(ACTIONS)),
    "clinic.trainings": lambda: f"{len(result('clinic')['cases']):,}",
    "clinic.found": lambda: _validation("harmful_found"),
    "clinic.first": lambda: _validation("true_fault_first"),
    "clinic.alarmed": lambda: _validation("healthy_alarmed"),
    "clinic.rivals": lambda: "\n".join(rivals_table()),
    "overhead": _overhead,
    "planted": _planted,
    "accuracy": _accuracy,
    "accuracy.tables": lambda: str(result("accuracy-report")["ranked tables"]),
    "cure.programs": lambda: _cured("programs"),
    "cure.cured": lambda: _cured("cured"),
    "cure.applied": lambda: _cured("applied"),
    "cure.diffs": lambda: _cured("diffs"),
    "kills": lambda: str(result("kills")["kills"]),
    "kills.opened": lambda: str(result("kills")["opened"]),
    "kills.lost": lambda: f"{result('kills')['lost_s']['most']:.1f}",
}
