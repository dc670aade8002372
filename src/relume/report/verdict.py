"""What a reader is told first: how the training stands, by what, and what to do about it."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import NotJudged, Severity
from relume.diagnosis.rules import RULES
from relume.remedies.cure.candidates import PROPOSERS
from relume.report.findings import ShownFinding
from relume.report.wording import count, printable
from relume.runs.summary import WATCH

MOST_REASONS = 40

_WORDS = {
    "error": "Broken",
    "warning": "Something is wrong",
    "note": "Nothing grave",
    "none": "Nothing found",
    "unjudged": "Not judged",
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a training stands.

    Args:
        state: ``error``, ``warning`` or ``note``, by the gravest finding; ``none`` where nothing
            was found; ``unjudged`` where nothing was recorded that could be judged.
        word: The state in two or three words.
        said: What is wrong, or that nothing is, in a sentence.
        looked_at: What was there to be judged.
        not_judged: What could not be judged, and why.
        commands: What could be called to repair it, each with what it does.
    """

    state: str
    word: str
    said: str
    looked_at: str
    not_judged: tuple[str, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()


UNJUDGED = Verdict("unjudged", _WORDS["unjudged"], "No training step was recorded.", "")


@dataclass(frozen=True, slots=True)
class Script:
    """What trained: the kind of the run, its name, and whether it was repaired."""

    kind: str
    name: str
    is_repaired: bool = False

    @property
    def is_callable(self) -> bool:
        """Whether it is a program of somebody's that can be called by its name."""
        is_plain = printable(self.name) == self.name and not self.name.startswith("-")
        return self.kind == WATCH and PurePath(self.name).suffix == ".py" and is_plain


def verdict(diagnosis: Diagnosis, findings: Sequence[ShownFinding], script: Script) -> Verdict:
    """Return the verdict on a run.

    Args:
        diagnosis: What the rules said.
        findings: The same findings in words.
        script: What trained.
    """
    state = _state(diagnosis)
    return Verdict(
        state=state,
        word=_WORDS[state],
        said=_said(state, findings, len({each.code for each in diagnosis.not_judged})),
        looked_at=_looked_at(diagnosis.observed),
        not_judged=_reasons(diagnosis.not_judged),
        commands=_commands(findings, script) if state in {"error", "warning"} else (),
    )


def _state(diagnosis: Diagnosis) -> str:
    if diagnosis.worst is not None:
        return diagnosis.worst.value
    return "none" if diagnosis.observed.get("steps") else "unjudged"


def _said(state: str, findings: Sequence[ShownFinding], unjudging: int) -> str:
    if state == "unjudged":
        return "No training step was recorded."
    asked = f"{count(len(RULES), 'rule')} looked for faults in this training"
    unable = f" ({unjudging:,} could not judge, or not all of it)" if unjudging else ""
    if state == "none":
        return f"{asked}, and none found one{unable}."
    if state == "note":
        others = "" if len(findings) == 1 else f", and {count(len(findings) - 1, 'thing')} more"
        return f"{asked} and found none{unable}. Worth knowing: {findings[0].said}{others}."
    grave = [each for each in findings if each.severity == state]
    lead = grave[0] if grave else findings[0]
    said = f"{lead.said[:1].upper()}{lead.said[1:]}."
    beside = len(findings) - 1
    more = [
        f"{count(len(lead.consequences), 'further finding')} "
        f"{'follows' if len(lead.consequences) == 1 else 'follow'} from it"
        if lead.consequences
        else "",
        f"{beside:,} more {'stands' if beside == 1 else 'stand'} beside it" if beside else "",
    ]
    told = "; ".join(filter(None, more))
    return f"{said} {told[:1].upper()}{told[1:]}." if told else said


def _looked_at(observed: Mapping[str, Any]) -> str:
    def told(name: str, one: str, several: str) -> str:
        number_of = int(observed.get(name) or 0)
        return f"{number_of:,} {one if number_of == 1 else several}"

    return (
        f"Looked at: {told('steps', 'step', 'steps')} "
        f"({int(observed.get('armed_steps') or 0):,} measured), "
        f"{told('units', 'unit', 'units')} in {told('layers', 'layer', 'layers')}, "
        f"{told('weights', 'weight matrix', 'weight matrices')}, "
        f"{told('training_losses', 'training loss', 'training losses')}, "
        f"{told('evaluation_passes', 'evaluation pass', 'evaluation passes')}."
    )


def _reasons(not_judged: Sequence[NotJudged]) -> tuple[str, ...]:
    """What could not be judged, those for one reason together."""
    codes: dict[str, list[str]] = {}
    for each in not_judged:
        of_reason = codes.setdefault(printable(each.reason, 240), [])
        if each.code not in of_reason:
            of_reason.append(str(each.code))
    told = [f"{', '.join(of_reason)}: {reason}" for reason, of_reason in codes.items()]
    more = len(told) - MOST_REASONS
    return (*told[:MOST_REASONS], f"and {more:,} more") if more > 0 else tuple(told)


def _commands(findings: Sequence[ShownFinding], script: Script) -> tuple[tuple[str, str], ...]:
    """What to call about a script that was watched; nothing where no treatment answers it."""
    grave = [each.code for each in findings if each.severity != Severity.NOTE]
    if not script.is_callable or {str(code) for code in PROPOSERS}.isdisjoint(grave):
        return ()
    name = shlex.quote(script.name)
    curing = (
        f"relume cure {name}",
        "reruns it under treatments, proves the best one on fresh seeds, prints the diff",
    )
    repairing = (f"relume run --repair {name}", "repairs it while it trains, undoes what fails")
    return (curing,) if script.is_repaired else (curing, repairing)
