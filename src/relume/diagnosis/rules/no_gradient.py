"""Weights that take part never get a gradient.

What it detects
    Trainable weight matrices, held by an optimizer, of modules that were called, without any
    gradient on all armed steps (at least 3): the graph is cut behind them. Modules that were never
    called are a note.

Why it matters
    The optimizer passes over them: they stay as they were initialised.

What else it could be
    A ``detach()``, ``.data``, ``.numpy()`` or ``argmax`` between them and the loss; a branch that
    is switched off; layers frozen by ``no_grad`` on purpose.

Remedies, with safety
    Follow the output to the loss and take the cut out (changes training), or freeze them openly.

Options
    ``FEWEST_STEPS``: armed steps.

References:
    torch, "Autograd mechanics", on excluding subgraphs.
"""

from collections.abc import Iterator, Sequence

from relume.diagnosis.codes import SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import WeightFacts

FEWEST_STEPS = 3

REMEDIES = (
    Advice(
        "look for detach(), .data, .item(), numpy() or argmax between them and the loss",
        Safety.CHANGES_TRAINING,
    ),
    Advice("if they are frozen on purpose, say so by requires_grad_(False)"),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding for the weights of called modules, and one for those of others."""
    if not reading.weights:
        yield NotJudged(Code.NO_GRADIENT, "no weight was observed")
    silent = [
        fact
        for fact in reading.weights.values()
        if fact.is_trainable
        and fact.is_optimised
        and fact.armed_steps >= FEWEST_STEPS
        and fact.gradient_steps == 0
    ]
    called = [fact for fact in silent if _is_called(reading, fact)]
    others = [fact for fact in silent if not _is_called(reading, fact)]
    if called:
        yield _finding(called, Severity.WARNING, "take part and never get a gradient")
    if others:
        yield _finding(others, Severity.NOTE, "belong to modules that are never called")


def _finding(facts: Sequence[WeightFacts], severity: Severity, what: str) -> Finding:
    names = tuple(fact.name for fact in facts)
    shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
    return Finding(
        code=Code.NO_GRADIENT,
        severity=severity,
        message=f"{shown} {what}, on {facts[0].armed_steps} armed steps",
        where=names[0],
        first_step=1,
        evidence={"weights": names[:50], "armed_steps": facts[0].armed_steps},
        cause="the graph is cut between them and the loss",
        strength=5.0,
        remedies=REMEDIES,
    )


def _is_called(reading: Reading, fact: WeightFacts) -> bool:
    module = reading.modules.get(fact.name.rpartition(".")[0])
    return module is not None and module.order >= 0


RULE = Rule(
    Code.NO_GRADIENT,
    "no-gradient",
    __doc__ or "",
    check,
    explains=SYMPTOMS | {Code.IDENTICAL_UNITS},
)
