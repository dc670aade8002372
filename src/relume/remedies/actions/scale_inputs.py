"""Train on standardised inputs; what is delivered takes the inputs as they are.

What it does
    Has the first layer read (x - mean) / deviation, of each feature or channel over the sample.
    When the training is over the scaling is folded into the layer, whose weights then take raw
    inputs and give the same outputs up to rounding. Where the layer pads with zeros, or has no
    bias, only the deviation is used, since no weights make up for the mean there.

When it helps
    Inputs far from zero or of very different sizes: units dead at once, a loss that hardly falls.

Safety
    Changes training. Undone in the middle, the weights go back with it.

Numbers of a plan
    ``centre``: whether the mean is used.

References:
    LeCun et al., "Efficient backprop", 1998, section 4.3.
"""

import torch
from torch import Tensor, nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS, Layer
from relume.remedies.action import Action
from relume.remedies.layers import inputs_of
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.scaling import ScaledInputs

TINY = 1e-8


def plan(finding: Finding, patient: Patient) -> Plan | None:  # noqa: ARG001
    """Return a scaling, where a layer reads the inputs of the sample directly."""
    layer = _first_layer(patient)
    if layer is None:
        return None
    return Plan("scale_inputs", numbers={"centre": _can_centre(layer)})


def _can_centre(layer: Layer) -> bool:
    padding = getattr(layer, "padding", 0)
    pads = any(padding) if isinstance(padding, tuple) else padding not in (0, "valid")
    return layer.bias is not None and not pads and getattr(layer, "groups", 1) == 1


def _first_layer(patient: Patient) -> Layer | None:
    """Return the one layer that reads the inputs as they are, or flattened."""
    if patient.sample is None or len(patient.sample.args) != 1:
        return None
    x = patient.sample.args[0]
    if not isinstance(x, Tensor) or not x.is_floating_point():
        return None
    for layer in patient.model.modules():
        if not isinstance(layer, LAYERS) or getattr(layer, "groups", 1) != 1:
            continue
        try:
            z = inputs_of(patient, layer)
        except SettingsError:
            continue
        if z.numel() == x.numel() and torch.equal(z.flatten(), x.flatten().to(z)):
            return layer
    return None


@torch.no_grad()
def apply(plan: Plan, patient: Patient) -> ScaledInputs:
    """Put the scaling in.

    Raises:
        SettingsError: No layer reads the inputs directly.
    """
    layer = _first_layer(patient)
    if layer is None:
        raise SettingsError("no layer reads the inputs of the sample directly")
    z = inputs_of(patient, layer).double()
    axis = z.ndim - 1 if isinstance(layer, nn.Linear) else 1
    values = z.movedim(axis, -1).reshape(-1, z.shape[axis])
    deviation = values.std(dim=0, correction=0)
    scale = torch.where(deviation > TINY * values.abs().amax(dim=0), deviation, 1.0)
    mean = values.mean(dim=0)
    shift = mean if plan.numbers.get("centre", True) and _can_centre(layer) else mean * 0
    return ScaledInputs(layer, shift, scale)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    how = "zero mean and unit variance" if plan.numbers.get("centre", True) else "unit variance"
    return f"scale the inputs to {how} while training"


ACTION = Action(
    name="scale_inputs",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset(
        {Code.UNSCALED_INPUT, Code.DEAD_AT_START, Code.DEAD_UNITS, Code.DEAD_LAYER, Code.FIRST_LOSS}
    ),
    plan=plan,
    apply=apply,
    describe=describe,
)
