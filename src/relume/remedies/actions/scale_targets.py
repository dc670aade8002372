"""Train a regression as if its targets were standardised; what is delivered answers in their unit.

What it does
    Has the network put out ``scale`` times the output of its head plus ``shift``, and divides the
    gradients by the square of ``scale``: with squared error the updates are those of a training on
    (y - shift) / scale. When the training is over both are folded into the head, which gives the
    same answers up to rounding.

When it helps
    Targets whose mean or spread is far from 1: a huge first loss, gradients to match.

Safety
    Changes training.

Numbers of a plan
    ``shift``: the mean of the targets. ``scale``: their deviation, above zero.
"""

import math
from typing import Any

import torch
from torch import Tensor

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS, Layer
from relume.remedies.action import Action
from relume.remedies.circuit import call, undisturbed
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.scaling import ScaledOutputs
from relume.runs.wording import short


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return the mean and the deviation of the targets as the finding has them."""
    mean, deviation = (finding.evidence.get(name) for name in ("mean", "deviation"))
    if not isinstance(mean, int | float) or not isinstance(deviation, int | float):
        return None
    if not (math.isfinite(mean) and math.isfinite(deviation) and deviation > 0):
        return None
    if _head(patient) is None:
        return None
    return Plan("scale_targets", numbers={"shift": float(mean), "scale": float(deviation)})


def _head(patient: Patient) -> Layer | None:
    """Return the layer whose output the network returns, in this shape or another."""
    if patient.sample is None:
        return None
    made: dict[int, tuple[Layer, Tensor]] = {}

    def note(module: Any, _: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            made[output.data_ptr()] = (module, output)

    layers = [each for each in patient.model.modules() if isinstance(each, LAYERS)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        with undisturbed(patient.model), torch.no_grad():
            output = call(patient.model, patient.sample)
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(output, Tensor):
        return None
    head, raw = made.get(output.data_ptr(), (None, output))
    is_whole = raw.numel() == output.numel() and torch.equal(raw.flatten(), output.flatten())
    return head if is_whole and head is not None and head.bias is not None else None


def apply(plan: Plan, patient: Patient) -> ScaledOutputs:
    """Put the scaling in.

    Raises:
        SettingsError: No layer with a bias makes the output, or the scale is not above zero.
    """
    head, scale = _head(patient), plan.number("scale", 1)
    if head is None or not scale > 0:
        raise SettingsError(f"no layer with a bias makes the output, or its scale {scale} is bad")
    return ScaledOutputs(patient, head, plan.number("shift", 0), scale)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    shift, scale = short(plan.number("shift", 0)), short(plan.number("scale", 1))
    return f"train on targets less {shift}, over {scale}"


ACTION = Action(
    name="scale_targets",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset({Code.UNSCALED_TARGET}),
    plan=plan,
    apply=apply,
    describe=describe,
)
