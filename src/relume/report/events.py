"""What happened when: findings and repairs that have a step, for the axis of the curves."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from relume.diagnosis.engine import Diagnosis
from relume.report.findings import MOST_CONSEQUENCES, MOST_FINDINGS
from relume.report.wording import printable
from relume.runs.remedies import AppliedRemedy

MOST_EVENTS = 80
MOST_LETTERS = 240


@dataclass(frozen=True, slots=True)
class Event:
    """Something that began or was done at a step.

    Args:
        step: When.
        label: The code of a finding, or ``repair``.
        said: What, in a sentence.
        kind: ``note``, ``warning``, ``error`` or ``repair``.
        finding: Place of the finding among those shown, from 0; None for a repair.
        consequence: Place among the consequences of that finding; None for the finding itself.
    """

    step: int
    label: str
    said: str
    kind: str
    finding: int | None = None
    consequence: int | None = None


def events(diagnosis: Diagnosis, remedies: Sequence[AppliedRemedy]) -> tuple[Event, ...]:
    """Return what has a step, in the order of time; of too many the gravest findings stay."""
    found = [*_repairs(remedies), *_findings(diagnosis)]
    return tuple(sorted(found[:MOST_EVENTS], key=lambda event: event.step))


def _findings(diagnosis: Diagnosis) -> Iterator[Event]:
    for place, root in enumerate(diagnosis.findings[:MOST_FINDINGS]):
        numbered = [(None, root), *enumerate(root.consequences[:MOST_CONSEQUENCES])]
        for behind, each in numbered:
            if each.first_step is not None:
                said = printable(each.message, MOST_LETTERS)
                kind = each.severity.value
                yield Event(int(each.first_step), each.code, said, kind, place, behind)


def _repairs(remedies: Sequence[AppliedRemedy]) -> Iterator[Event]:
    """Those that were kept, and those of which that is not known; what was undone is told below."""
    for each in remedies:
        if each.is_kept is not False:
            done = str(each.plan.get("said") or each.action.replace("_", " "))
            verdict = f": {each.verdict}" if each.verdict else ""
            said = printable(f"{done}{verdict}", MOST_LETTERS)
            yield Event(each.step, "repair", said, "repair")
