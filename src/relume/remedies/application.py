"""Applying a plan, with a way back for when it fails or does not help."""

from dataclasses import dataclass

from relume.remedies.actions import get_action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.snapshot import Snapshot
from relume.remedies.standing import Standing


@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """A plan that was applied, and the way back.

    Args:
        plan: What was done.
        patient: To what.
        before: The training as it was.
        standing: What goes on; None where all was done at once.
    """

    plan: Plan
    patient: Patient
    before: Snapshot
    standing: Standing | None

    def undo(self) -> None:
        """Put the training back to where it was before the plan was applied, bitwise."""
        self.before.restore()


def apply(plan: Plan, patient: Patient, *, before: Snapshot | None = None) -> Application:
    """Apply a plan.

    Args:
        plan: What to do.
        patient: The training; what goes on over steps is added to its standings.
        before: A snapshot of this very moment, where there is one already.

    Raises:
        SnapshotError: There is no room for a snapshot; nothing was changed.
        Exception: Whatever the action raised; the training is as it was.
    """
    action = get_action(plan.action)
    before = before or Snapshot(patient)
    try:
        standing = action.apply(plan, patient)
    except BaseException:
        before.restore()
        raise
    if standing is not None:
        patient.standings.append(standing)
    return Application(plan, patient, before, standing)
