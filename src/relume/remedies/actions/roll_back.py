"""Go back to the last state of the training that was good.

What it does
    Puts everything back to the last snapshot that was taken while the training did well: weights,
    buffers, optimizers, schedules, random numbers, the step count and the actions that go on. Alone
    it leads to the same end again: what caused the fall has to be changed after it, such as the
    rate.

When it helps
    After a divergence, a loss that is not finite, units that died at once.

Safety
    Changes training.

Numbers of a plan
    ``step``: of the snapshot.
"""

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a way back, if there is a good state from before the fault."""
    good = patient.good
    if good is None or good.step >= patient.step:
        return None
    if finding.first_step is not None and finding.first_step <= good.step:
        return None
    return Plan("roll_back", numbers={"step": good.step})


def apply(plan: Plan, patient: Patient) -> None:
    """Go back.

    Raises:
        SettingsError: The good state is not that of the plan.
    """
    if patient.good is None or patient.good.step != int(plan.number("step", -1)):
        raise SettingsError(f"there is no good state of step {plan.numbers.get('step')}")
    patient.good.restore()


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"go back to the state of step {int(plan.number('step', 0)):,}"


ACTION = Action(
    name="roll_back",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.DIVERGING,
            Code.NONFINITE_GRADIENT,
            Code.DEAD_UNITS,
            Code.DEAD_LAYER,
            Code.RATE_TOO_HIGH,
            Code.EXPLODING_GRADIENT,
            Code.OVER_TRAINING,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
