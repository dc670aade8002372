"""Findings as they are shown: sentences, with the consequences under their cause."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Severity
from relume.report.wording import printable

MOST_FINDINGS = 50
MOST_CONSEQUENCES = 12

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
    """

    code: str
    severity: str
    said: str
    cause: str
    remedies: tuple[str, ...]
    consequences: tuple[str, ...]


def shown_findings(diagnosis: Diagnosis) -> tuple[ShownFinding, ...]:
    """Return the findings in words, in their order."""
    return tuple(_shown(finding) for finding in diagnosis.findings[:MOST_FINDINGS])


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


def _shown(finding: Finding) -> ShownFinding:
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
    )


def _sentence(finding: Finding, *, with_code: bool = True) -> str:
    since = f", since step {finding.first_step:,}" if (finding.first_step or 0) > 1 else ""
    code = f" [{finding.code}]" if with_code else ""
    return f"{printable(finding.message, 400)}{since}{code}"
