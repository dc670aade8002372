"""Weight decay pulls the slopes of a parametric ReLU towards zero.

What it detects
    Slopes of ``nn.PReLU`` in an optimizer group with weight decay.

Why it matters
    Decayed slopes become those of a plain ReLU, which is what they were to avoid.

What else it could be
    A choice; the effect is small for small decays, so that it is a note; a warning where less than
    half of the slopes is left at the end.

Remedies, with safety
    Put the slopes into a group of their own without decay (changes training).

Options
    ``LEFT``: last over first slope below which it is a warning.

References:
    He et al., "Delving deep into rectifiers", ICCV 2015, section 2.1: "we do not use weight decay
    when updating a_i".
"""

from collections.abc import Iterator

from relume.diagnosis.codes import CURVE_SYMPTOMS, Code
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.diagnosis.reading import Reading
from relume.diagnosis.rule import Rule
from relume.runs.facts import WeightFacts

LEFT = 0.5

REMEDIES = (
    Advice("give the slopes a parameter group with weight_decay=0", Safety.CHANGES_TRAINING),
)


def check(reading: Reading) -> Iterator[Finding | NotJudged]:
    """Yield one finding for all slopes that are decayed."""
    if not reading.weights:
        yield NotJudged(Code.DECAYED_SLOPES, "no weight was observed")
    decayed = [
        fact
        for fact in reading.weights.values()
        if fact.kind == "PReLU" and fact.is_optimised and fact.weight_decay > 0
    ]
    if decayed:
        yield Finding(
            code=Code.DECAYED_SLOPES,
            severity=Severity.WARNING if any(map(_is_gone, decayed)) else Severity.NOTE,
            message=f"the slopes {decayed[0].name} decay with {decayed[0].weight_decay:g}"
            + (f", and {len(decayed) - 1} more" if len(decayed) > 1 else ""),
            where=decayed[0].name,
            first_step=1,
            evidence={
                "weights": tuple(fact.name for fact in decayed),
                "weight_decay": decayed[0].weight_decay,
                "slope_at_first": decayed[0].initial.mean,
                "slope_at_last": decayed[0].final.mean,
            },
            cause="all parameters are in one group",
            remedies=REMEDIES,
        )


def _is_gone(fact: WeightFacts) -> bool:
    """Whether little is left of the slopes that training began with."""
    return abs(fact.final.mean) < LEFT * abs(fact.initial.mean)


RULE = Rule(
    Code.DECAYED_SLOPES,
    "decayed-slopes",
    __doc__ or "",
    check,
    explains=CURVE_SYMPTOMS | {Code.DORMANT_UNITS},
)
