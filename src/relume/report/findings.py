"""Findings as they are shown: sentences, with the consequences under their cause."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Severity
from relume.diagnosis.rules import RULES
from relume.report.chain import Known, Link, chain
from relume.report.wording import count, describe, number, printable
from relume.runs.records import Layer

MOST_FINDINGS = 50
MOST_CONSEQUENCES = 12
MOST_EVIDENCE = 16

MOST_GRAVE = 2
"""Warnings and errors that are named where there is little room."""


@dataclass(frozen=True, slots=True)
class ShownFinding:
    """One finding in words.

    Args:
        code: Of its rule.
        severity: note, warning or error.
        said: What is wrong, where and since when, in a sentence.
        cause: Why, in a phrase; empty where it is not known.
        remedies: What to do, each with what it touches.
        consequences: What follows from it, a sentence each.
        place: ``file:line`` of the layer or the loss it is about; empty where that is not known.
        first_step: Since when; None where that means nothing or is not known.
        evidence: The numbers that it rests on, each with its name.
        chain: It and what follows from it, stage by stage.
        consequence_places: ``file:line`` of each consequence; empty where that is not known.
    """

    code: str
    severity: str
    said: str
    cause: str
    remedies: tuple[str, ...]
    consequences: tuple[str, ...]
    place: str = ""
    first_step: int | None = None
    evidence: tuple[tuple[str, str], ...] = ()
    chain: tuple[tuple[Link, ...], ...] = ()
    consequence_places: tuple[str, ...] = ()


def shown_findings(diagnosis: Diagnosis, layers: Sequence[Layer] = ()) -> tuple[ShownFinding, ...]:
    """Return the findings in words, in their order.

    Args:
        diagnosis: What was found.
        layers: Of the run, which tell where the modules are applied that findings name.
    """
    places = {
        name: layer.place
        for layer in reversed(layers)
        for name in (layer.owner, layer.name)
        if name and layer.place
    }
    return tuple(_shown(finding, places) for finding in diagnosis.findings[:MOST_FINDINGS])


def finding_lines(findings: Sequence[ShownFinding]) -> Iterator[str]:
    """Yield the lines of a plain list of findings."""
    for finding in findings:
        cause = f" (cause: {finding.cause})" if finding.cause else ""
        yield f"{finding.severity} {finding.code}: {finding.said}{cause}"
        for text in finding.consequences:
            yield f"    so: {text}"
        if finding.severity != Severity.NOTE:
            for text in finding.remedies[:2]:
                yield f"    try: {text}"


def grave_lines(findings: Sequence[ShownFinding]) -> Iterator[str]:
    """Yield one line for each of the two gravest warnings and errors, and one for the others."""
    grave = [finding for finding in findings if finding.severity != Severity.NOTE]
    for finding in grave[:MOST_GRAVE]:
        yield f"{finding.severity} {finding.code}: {finding.said}"
    if len(grave) > MOST_GRAVE:
        yield f"and {len(grave) - MOST_GRAVE:,} more warnings and errors"


def place_of(finding: Finding, places: Mapping[str, str]) -> str:
    """Return ``file:line`` of what a finding is about; empty where that is not known.

    Args:
        finding: What was found.
        places: Where layers are applied, by their names and those of the modules that feed them.
    """
    where = finding.where or ""
    written = _PLACE.search(where)
    known = places.get(where) or places.get(where.rpartition(".")[0])
    return printable((written[1] or written[2]) if written else known or "", 120)


def _shown(finding: Finding, places: Mapping[str, str]) -> ShownFinding:
    said = [_sentence(each) for each in finding.consequences]
    more = len(said) - MOST_CONSEQUENCES
    if more > 0:
        said = [*said[:MOST_CONSEQUENCES], f"and {more} more"]
    return ShownFinding(
        finding.code,
        finding.severity.value,
        _sentence(finding, with_code=False),
        printable(finding.cause, 240).removesuffix("."),
        tuple(f"{each.text} ({each.safety.value})" for each in finding.remedies),
        tuple(said),
        place_of(finding, places),
        finding.first_step,
        _evidence(finding),
        chain(finding, Known(_EXPLAINS, _NAMES, lambda each: place_of(each, places))),
        tuple(place_of(each, places) for each in finding.consequences[:MOST_CONSEQUENCES]),
    )


def _evidence(finding: Finding) -> tuple[tuple[str, str], ...]:
    shown = list(finding.evidence.items())[:MOST_EVIDENCE]
    told = [(printable(name, 60).replace("_", " "), _value(value)) for name, value in shown]
    if finding.units:
        told.append(("concerned", count(len(finding.units), "unit")))
    return tuple(told)


def _value(value: object) -> str:
    if isinstance(value, float):
        return number(value)
    if isinstance(value, tuple):
        return printable(", ".join(map(_value, value)), 120)
    return printable(describe(value), 120)


def _sentence(finding: Finding, *, with_code: bool = True) -> str:
    since = f", since step {finding.first_step:,}" if (finding.first_step or 0) > 1 else ""
    code = f" [{finding.code}]" if with_code else ""
    return f"{printable(finding.message, 400)}{since}{code}"


_PLACE = re.compile(r"(?:\(([^()]+:\d+)\)|(\S+:\d+))$")
_EXPLAINS = {rule.code.value: frozenset(map(str, rule.explains)) for rule in RULES}
_NAMES = {rule.code.value: rule.name for rule in RULES}
