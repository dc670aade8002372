"""Scale gradients down that are larger than usual.

What it does
    Before each update the norm of all gradients together is measured; where it lies above a bound,
    all are multiplied by bound / norm. The bound is ``norm``, or else the ``percentile`` of the
    norms of the last 1,000 updates, so that it finds the scale of the training by itself.
    Gradients that are not finite are left as they are.

When it helps
    Where single batches give gradients many times the usual, as recurrent networks do.

Safety
    Changes training.

Numbers of a plan
    ``norm``: the bound. ``percentile``: in (0, 100], where there is no ``norm``.

References:
    Pascanu, Mikolov, Bengio, "On the difficulty of training recurrent neural networks",
    arXiv:1211.5063, algorithm 1. Seetharaman et al., "AutoClip: adaptive gradient clipping for
    source separation networks", arXiv:2007.14469, algorithm 1.
"""

import math
from collections import deque
from typing import Any

import numpy as np
import torch
from torch import nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.standing import Standing
from relume.runs.wording import short

PERCENTILE = 10.0
REMEMBERED = 1000


class Clip(Standing):
    """Clips the norm of all gradients before each update.

    Args:
        patient: The training.
        norm: The bound; None: the percentile of the norms so far.
        percentile: In (0, 100].
    """

    def __init__(self, patient: Patient, norm: float | None, percentile: float) -> None:
        super().__init__()
        self._patient = patient
        self._norm = norm
        self._percentile = percentile
        self._norms: deque[float] = deque(maxlen=REMEMBERED)

    def state(self) -> dict[str, Any]:
        """Return the norms so far, too."""
        return super().state() | {"norms": list(self._norms)}

    def load(self, state: dict[str, Any]) -> None:
        """Go on with the norms so far."""
        super().load(state)
        self._norms = deque(state["norms"], maxlen=REMEMBERED)

    def before_update(self) -> None:
        """Clip."""
        parameters = self._patient.parameters()
        gradients = [each.grad for each in parameters if each.grad is not None]
        norm = nn.utils.get_total_norm(gradients)
        size = float(norm)
        if not math.isfinite(size):
            return
        self._norms.append(size)
        bound = self._norm
        if bound is None:
            bound = float(np.percentile(self._norms, self._percentile))
        if size > bound:
            with torch.no_grad():
                nn.utils.clip_grads_with_norm_(parameters, bound, norm)


def plan(finding: Finding, patient: Patient) -> Plan | None:  # noqa: ARG001
    """Return a bound that finds the scale of the training by itself."""
    if not patient.optimizers:
        return None
    return Plan("clip_gradients", numbers={"norm": None, "percentile": PERCENTILE})


def apply(plan: Plan, patient: Patient) -> Clip:
    """Clip from the next update on."""
    norm = plan.numbers.get("norm")
    bound = None if norm is None else float(norm)
    return Clip(patient, bound, plan.number("percentile", PERCENTILE))


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    if plan.numbers.get("norm") is not None:
        return f"clip the gradient norm at {short(plan.number('norm', 1))}"
    share = short(plan.number("percentile", PERCENTILE))
    return f"clip the gradient norm at the {share}th percentile of those so far"


ACTION = Action(
    name="clip_gradients",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {
            Code.EXPLODING_GRADIENT,
            Code.NONFINITE_GRADIENT,
            Code.DIVERGING,
            Code.OSCILLATING,
            Code.RECURRENT_GROWTH,
            Code.RATE_TOO_HIGH,
            Code.DEAD_UNITS,
        }
    ),
    plan=plan,
    apply=apply,
    describe=describe,
    keeps_function=True,
)
