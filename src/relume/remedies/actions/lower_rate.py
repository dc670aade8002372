"""Multiply the learning rate by a factor below 1.

What it does
    Every update is made with ``factor`` times the rate that the schedule, or the loop, sets for it.
    Neither of them is touched, and what is recorded of the rate while no update is made is theirs.

When it helps
    Where updates are large beside the weights: units die, the loss jumps or climbs.

Safety
    Changes training.

Numbers of a plan
    ``factor``: on the rate, in (0, 1).
"""

import math

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.rate import RateFactor
from relume.runs.wording import short

USUAL = 0.1
UPDATE_RATIO = 1e-3
"""The ratio of an update to the weights that trains well, by the rule of thumb."""
LEAST = 1e-3


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a factor: a tenth, or what brings updates of a known size to the usual one."""
    if not patient.optimizers:
        return None
    factor = USUAL
    if finding.code == Code.UPDATE_RATIO:
        ratio = finding.evidence.get("update_ratio")
        if not isinstance(ratio, int | float) or not ratio > UPDATE_RATIO:
            return None
        factor = max(LEAST, UPDATE_RATIO / ratio) if math.isfinite(ratio) else LEAST
    return Plan("lower_rate", numbers={"factor": factor})


def apply(plan: Plan, patient: Patient) -> RateFactor:
    """Lower the rate from the next update on."""
    return RateFactor(patient, plan.number("factor", USUAL))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"lower the learning rate to {short(plan.number('factor', USUAL))} times what it is"


ACTION = Action(
    name="lower_rate",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.RATE_TOO_HIGH,
            Code.DIVERGING,
            Code.OSCILLATING,
            Code.UPDATE_RATIO,
            Code.EXPLODING_GRADIENT,
            Code.NONFINITE_GRADIENT,
            Code.DEAD_UNITS,
            Code.DYING_UNITS,
            Code.DEAD_LAYER,
            Code.DORMANT_UNITS,
            Code.NOT_DECREASING,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
