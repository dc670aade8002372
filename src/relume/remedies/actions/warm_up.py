"""Let the learning rate grow from nothing over the next steps.

What it does
    The first of ``steps`` updates is made with 1 / ``steps`` of the rate that the schedule, or the
    loop, sets, the last with all of it; then it is over.

When it helps
    Where the first updates kill units or throw the loss: Adam's first steps are as large as the
    rate whatever the gradient, and the weights have not found their scale yet.

Safety
    Changes training.

Numbers of a plan
    ``steps``: updates until the rate is reached.

References:
    Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", arXiv:1706.02677,
    section 2.2.
"""

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.rate import RateFactor
from relume.runs.wording import count

STEPS = 200
EARLY = 1000
"""A training that has made more steps than this is warm."""


def plan(finding: Finding, patient: Patient) -> Plan | None:  # noqa: ARG001
    """Return a warm-up over the next steps, early in a training."""
    if not patient.optimizers or patient.step > EARLY:
        return None
    return Plan("warm_up", numbers={"steps": STEPS})


def apply(plan: Plan, patient: Patient) -> RateFactor:
    """Begin with the next update."""
    return RateFactor(patient, 1.0, ramp=int(plan.number("steps", STEPS)))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"warm the learning rate up over {count(int(plan.number('steps', STEPS)), 'step')}"


ACTION = Action(
    name="warm_up",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.RATE_TOO_HIGH,
            Code.DIVERGING,
            Code.DEAD_UNITS,
            Code.DYING_UNITS,
            Code.DEAD_LAYER,
            Code.EXPLODING_GRADIENT,
            Code.NONFINITE_GRADIENT,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
