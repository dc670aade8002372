"""Let rectifiers leak for a while, then close the leak: what is delivered is plain ReLU.

What it does
    While the model trains, the rectifier has the slope ``slope`` below zero, so that silent units
    get gradients; over ``steps`` updates it falls to zero in equal parts, and then the module that
    stood there stands there again. In eval mode it is plain ReLU all along: what is scored is what
    will be delivered.

When it helps
    Units that die or are dead, also where they cannot be revived one by one.

Safety
    Changes training. The network that is delivered is the user's. Only modules can leak; a function
    that the model calls cannot.

Numbers of a plan
    ``slope``: at first. ``steps``: until it is closed.

References:
    Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic models", ICML 2013.
"""

from typing import Any

from torch import Tensor, nn
from torch.nn.functional import leaky_relu, relu

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.standing import Standing
from relume.runs.wording import count, short

SLOPE = 0.1
STEPS = 500


class LeakyWhileTraining(nn.Module):
    """A ReLU that leaks in training mode and in no other."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, z: Tensor) -> Tensor:
        """Return z above zero, and slope z below while it trains."""
        return leaky_relu(z, self.slope) if self.training and self.slope else relu(z)


class Leak(Standing):
    """Closes the leaks of some rectifiers in equal parts.

    Args:
        patient: The training.
        modules: The rectifiers.
        slope: At first.
        steps: Updates until it is zero.
    """

    def __init__(
        self, patient: Patient, modules: list[nn.Module], slope: float, steps: int
    ) -> None:
        super().__init__()
        self._patient = patient
        self._slope = slope
        self._steps = steps
        self._pairs = [(module, LeakyWhileTraining(slope)) for module in modules]
        self.begin()

    @property
    def is_over(self) -> bool:
        """Whether the leaks are closed."""
        return self.updates >= self._steps

    def begin(self) -> None:
        """Put the leaks where the rectifiers stand."""
        for module, leak in self._pairs:
            self._patient.replace(module, leak)

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the leaks as far closed as they were."""
        super().load(state)
        self._close()

    def after_update(self) -> None:
        """Close the leaks a little."""
        super().after_update()
        self._close()

    def _close(self) -> None:
        for _, leak in self._pairs:
            leak.slope = self._slope * max(0.0, 1 - self.updates / self._steps)

    def remove(self) -> None:
        """Put the rectifiers back."""
        for module, leak in self._pairs:
            self._patient.replace(leak, module)


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return a leak of the rectifier that the finding names."""
    if not rectifiers(finding.where, patient):
        return None
    return Plan("leak", finding.where, numbers={"slope": SLOPE, "steps": STEPS})


def rectifiers(where: str | None, patient: Patient) -> list[nn.Module]:
    """Return the rectifier of that name; all where there is no name."""
    if where is None:
        return [each for each in patient.model.modules() if type(each) is nn.ReLU]
    place = patient.find(where)
    found = None if place is None else place.activation
    return [found] if type(found) is nn.ReLU else []


def apply(plan: Plan, patient: Patient) -> Leak:
    """Open the leaks.

    Raises:
        SettingsError: There is no module of a ReLU.
    """
    modules = rectifiers(plan.where, patient)
    if not modules:
        raise SettingsError(f"there is no module of a ReLU at {plan.where or 'any place'}")
    slope, steps = plan.number("slope", SLOPE), int(plan.number("steps", STEPS))
    return Leak(patient, modules, slope, max(1, steps))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    slope, steps = short(plan.number("slope", SLOPE)), int(plan.number("steps", STEPS))
    where = plan.where or "every ReLU"
    return f"let {where} leak with slope {slope}, closed again over {count(steps, 'step')}"


ACTION = Action(
    name="leak",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {Code.DEAD_UNITS, Code.DYING_UNITS, Code.DEAD_LAYER, Code.DEAD_AT_START, Code.DEAD_LATENTS}
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
