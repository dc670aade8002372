"""Which findings make a training fail, where a machine decides: ``RLM101:0.05,error``."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Severity
from relume.errors import SettingsError

EXIT_CODE = 3
"""Of a command whose program succeeded, and whose findings make it fail."""

DEAD = (Code.DEAD_UNITS, Code.DEAD_AT_START, Code.DEAD_LAYER)
"""A share of dead units counts whichever rule tells of them."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing to fail on: a severity and all above it, or a code, or a code's share of units.

    Args:
        text: As it was written.
        severity: The least grave one; None where a code is named.
        code: Of the findings; None where a severity is named.
        share: Of the units of a layer from which on it counts; None: any finding of that code.
    """

    text: str
    severity: Severity | None = None
    code: Code | None = None
    share: float | None = None

    def holds(self, finding: Finding) -> bool:
        """Whether a finding makes the training fail."""
        if self.severity is not None:
            return finding.severity.rank >= self.severity.rank
        if self.share is None:
            return finding.code == self.code
        codes = DEAD if self.code == Code.DEAD_UNITS else (self.code,)
        share = finding.evidence.get("share", 1.0)
        return finding.code in codes and isinstance(share, float | int) and share >= self.share


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Read what is given to ``--fail-on``.

    Example:
        >>> [(each.code, each.share, each.severity) for each in parse_conditions("error")]
        [(None, None, <Severity.ERROR: 'error'>)]
        >>> parse_conditions("RLM101:0.05")[0].share
        0.05

    Raises:
        SettingsError: If a part is neither a severity nor a code, or its share no share.
    """
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts:
        raise SettingsError("--fail-on is empty; write codes or severities, as RLM101:0.05,error")
    return tuple(_condition(part) for part in parts)


def failures(
    findings: Sequence[Finding], conditions: Sequence[Condition]
) -> tuple[tuple[Condition, Finding], ...]:
    """Return what fails, with the condition that it meets; consequences count like roots."""
    return tuple(
        (condition, finding)
        for finding in _flat(findings)
        for condition in conditions
        if condition.holds(finding)
    )


def failed_on(findings: Sequence[Finding], conditions: Sequence[Condition]) -> str:
    """Return what fails in words, by code and condition; empty where nothing does."""
    failed = failures(findings, conditions)
    return ", ".join(sorted({f"{found.code} ({held.text})" for held, found in failed}))


def _flat(findings: Sequence[Finding]) -> Iterator[Finding]:
    for finding in findings:
        yield finding
        yield from _flat(finding.consequences)


def _condition(part: str) -> Condition:
    name, colon, share = part.partition(":")
    if name.lower() in set(Severity) and not colon:
        return Condition(part, severity=Severity(name.lower()))
    if name.upper() not in set(Code):
        raise SettingsError(
            f"--fail-on knows codes such as RLM101 and {', '.join(Severity)}; got {part!r} "
            "(relume rules lists the codes)"
        )
    if not colon:
        return Condition(part, code=Code(name.upper()))
    try:
        value = float(share)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise SettingsError(f"the share in {part!r} must be between 0 and 1, as RLM101:0.05")
    return Condition(part, code=Code(name.upper()), share=value)
