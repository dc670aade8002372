"""Multiply the learning rate by a factor above 1.

What it does
    Every update is made with ``factor`` times the rate that the schedule, or the loop, sets for it.

When it helps
    Where updates are small beside the weights and the loss is still falling, or hardly moves.

Safety
    Changes training.

Numbers of a plan
    ``factor``: on the rate, above 1.
"""

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.action import Action
from relume.remedies.actions.lower_rate import UPDATE_RATIO
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.rate import RateFactor
from relume.runs.wording import short

USUAL = 10.0
MOST = 1000.0


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a factor: ten, or what brings updates of a known size to the usual one."""
    if not patient.optimizers:
        return None
    ratio = finding.evidence.get("update_ratio")
    factor = USUAL
    if isinstance(ratio, int | float) and 0 < ratio < UPDATE_RATIO:
        factor = min(MOST, max(USUAL, UPDATE_RATIO / ratio))
    elif finding.code == Code.UPDATE_RATIO:
        return None
    return Plan("raise_rate", numbers={"factor": factor})


def apply(plan: Plan, patient: Patient) -> RateFactor:
    """Raise the rate from the next update on."""
    return RateFactor(patient, plan.number("factor", USUAL))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"raise the learning rate to {short(plan.number('factor', USUAL))} times what it is"


ACTION = Action(
    name="raise_rate",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.RATE_TOO_LOW,
            Code.UPDATE_RATIO,
            Code.STILL_IMPROVING,
            Code.NOT_DECREASING,
            Code.PLATEAU,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
