"""Leave out the updates of steps whose gradients are not finite.

What it does
    Before each update the gradients are looked at; if any is nan or infinite, all are dropped, so
    that the optimizer changes neither weights nor moments in this step. After ``most`` skipped
    updates in a row nothing is skipped any more: then the weights themselves are broken, and
    skipping would hide it.

When it helps
    Single batches with a missing value, an overflow or a division by zero.

Safety
    Changes training, and only in steps that would have broken it.

Numbers of a plan
    ``most``: updates skipped in a row.
"""

from typing import Any

import torch

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.standing import Standing
from relume.runs.wording import count

MOST = 20


class Skip(Standing):
    """Skips updates that are not finite.

    Args:
        patient: The training.
        most: Updates skipped in a row at most.

    Attributes:
        skipped: Updates skipped so far.
        in_a_row: Of them, those just before now.
    """

    def __init__(self, patient: Patient, most: int) -> None:
        super().__init__()
        self._patient = patient
        self._most = most
        self.skipped = 0
        self.in_a_row = 0

    def state(self) -> dict[str, Any]:
        """Return the counts, too."""
        return super().state() | {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the counts."""
        super().load(state)
        self.skipped, self.in_a_row = state["skipped"], state["in_a_row"]

    def before_update(self) -> None:
        """Drop the gradients if any is not finite."""
        parameters = [each for each in self._patient.parameters() if each.grad is not None]
        gradients = [each.grad for each in parameters if each.grad is not None]
        if all(bool(torch.isfinite(gradient).all()) for gradient in gradients):
            self.in_a_row = 0
            return
        self.in_a_row += 1
        if self.in_a_row <= self._most:
            self.skipped += 1
            for parameter in parameters:
                parameter.grad = None


def plan(finding: Finding, patient: Patient) -> Plan | None:  # noqa: ARG001
    """Return the skipping of broken steps."""
    if not patient.optimizers or not _is_finite(patient):
        return None
    return Plan("skip_nonfinite", numbers={"most": MOST})


def _is_finite(patient: Patient) -> bool:
    return all(bool(torch.isfinite(each).all()) for each in patient.parameters())


def apply(plan: Plan, patient: Patient) -> Skip:
    """Skip from the next update on."""
    return Skip(patient, int(plan.number("most", MOST)))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    most = count(int(plan.number("most", MOST)), "update")
    return f"skip updates whose gradients are not finite, at most {most} in a row"


ACTION = Action(
    name="skip_nonfinite",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset({Code.NONFINITE_GRADIENT, Code.NONFINITE_INPUT, Code.DIVERGING}),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
