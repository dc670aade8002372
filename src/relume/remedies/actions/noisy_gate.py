"""Let silent rectifiers learn by chance: noise in the gate of the gradient, none in the output.

What it does
    The output stays relu(z). The gradient goes through where z + e > 0, with e normal of deviation
    ``noise`` times that of z over the batch: a unit silent on a row is updated on it now and then,
    and so can come back. The noise ends after ``steps`` updates; what is delivered is the user's.

When it helps
    Units dead or dying in networks with few units, where every one counts.

Safety
    Changes training. The function is unchanged.

Numbers of a plan
    ``noise``; ``steps``; ``seed`` of the noise: torch's own random numbers are left alone.

References:
    Wang, Giannakis, Chen, "Learning ReLU networks on linearly separable data: algorithm,
    optimality, and generalization", IEEE TSP 67(9), 2019, arXiv:1808.04685, algorithm 1 (RELUS).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.remedies.action import Action
from relume.remedies.actions.leak import rectifiers
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.standing import Standing
from relume.runs.wording import count, short

NOISE = 1.0
STEPS = 500


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, noise: Tensor) -> Tensor:
        ctx.save_for_backward(z + noise > 0)
        return relu(z)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (is_open,) = ctx.saved_tensors
        return gradients[0] * is_open, None


class NoisyGate(nn.Module):
    """A ReLU with noise in the gate of its gradient while it trains.

    Args:
        noise: Deviation of the noise, in deviations of the pre-activations of a batch.
    """

    def __init__(self, noise: float) -> None:
        super().__init__()
        self.noise = noise
        self.seed = 0
        self.calls = 0

    def forward(self, z: Tensor) -> Tensor:
        """Return relu(z)."""
        if not (self.training and torch.is_grad_enabled() and z.requires_grad):
            return relu(z)
        generator = torch.Generator(z.device).manual_seed(self.seed + self.calls)
        self.calls += 1
        noise = torch.randn(z.shape, generator=generator, device=z.device, dtype=z.dtype)
        out: Tensor = _Gate.apply(z, noise * (self.noise * z.detach().std()))  # type: ignore[no-untyped-call]
        return out


class Noise(Standing):
    """Puts noisy gates where rectifiers stand, for a number of updates.

    Args:
        patient: The training.
        modules: The rectifiers.
        plan: The numbers.
    """

    def __init__(self, patient: Patient, modules: list[nn.Module], plan: Plan) -> None:
        super().__init__()
        self._patient = patient
        self._seed = int(plan.number("seed", 0))
        self._steps = int(plan.number("steps", STEPS))
        noise = plan.number("noise", NOISE)
        self._pairs = [(module, NoisyGate(noise)) for module in modules]
        self.begin()

    @property
    def is_over(self) -> bool:
        """Whether the noise has ended."""
        return self.updates >= self._steps

    def begin(self) -> None:
        """Put the gates where the rectifiers stand."""
        for module, gate in self._pairs:
            self._patient.replace(module, gate)
        self._sow()

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the noise of the next update."""
        super().load(state)
        self._sow()

    def after_update(self) -> None:
        """Draw other noise for the next update."""
        super().after_update()
        self._sow()

    def _sow(self) -> None:
        """Let the noise depend on the number of the update alone."""
        for index, (_, gate) in enumerate(self._pairs):
            gate.seed = ((self._seed * 1009 + index) * 1_000_003 + self.updates) * 1009
            gate.calls = 0

    def remove(self) -> None:
        """Put the rectifiers back."""
        for module, gate in self._pairs:
            self._patient.replace(gate, module)


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return noise in the gate that the finding names."""
    if not rectifiers(finding.where, patient):
        return None
    numbers = {"noise": NOISE, "steps": STEPS, "seed": patient.step}
    return Plan("noisy_gate", finding.where, numbers=numbers)


def apply(plan: Plan, patient: Patient) -> Noise:
    """Put the noise in.

    Raises:
        SettingsError: There is no module of a ReLU.
    """
    modules = rectifiers(plan.where, patient)
    if not modules:
        raise SettingsError(f"there is no module of a ReLU at {plan.where or 'any place'}")
    return Noise(patient, modules, plan)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    noise, steps = short(plan.number("noise", NOISE)), int(plan.number("steps", STEPS))
    where = plan.where or "every ReLU"
    return f"let gradients through {where} by chance (noise {noise}) for {count(steps, 'step')}"


ACTION = Action(
    name="noisy_gate",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset({Code.DEAD_UNITS, Code.DYING_UNITS, Code.DEAD_LAYER, Code.DEAD_AT_START}),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
