"""Make units differ that are the same: a little noise on the weights of layers with equal rows.

What it does
    Adds normal numbers to every weight of each linear and convolutional layer in which all units
    have the same incoming weights and bias, and of the layer that the finding names if some of its
    units have: of deviation ``share`` times that of He's scheme. Units that are the same get the
    same gradients, and stay so for ever.

When it helps
    Weights that began at zero or at one constant.

Safety
    Changes training. The function changes a little.

Numbers of a plan
    ``share``; ``seed`` of the draw: torch's own random numbers are left alone.

References:
    Goodfellow, Bengio, Courville, "Deep Learning", MIT Press 2016, section 8.4.
"""

import math

import torch
from torch import Tensor, nn

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.errors import SettingsError
from relume.nn.following import LAYERS, Layer
from relume.remedies.action import Action
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan

SHARE = 1.0


def plan(finding: Finding, patient: Patient) -> Plan | None:
    """Return noise for the layers with equal units."""
    if not _layers(finding.where, patient):
        return None
    numbers = {"share": SHARE, "seed": patient.step}
    return Plan("break_symmetry", finding.where, numbers=numbers)


def _layers(where: str | None, patient: Patient) -> list[Layer]:
    """Return the layer named, if some of its units are equal, and those where all are."""
    place = patient.find(where)
    layers = [each for each in patient.model.modules() if isinstance(each, LAYERS)]
    named = None if place is None else place.owner
    return [
        layer
        for layer in layers
        if (kinds := _kinds(layer)) < len(layer.weight) and (layer is named or kinds == 1)
    ]


def _kinds(layer: Layer) -> int:
    """Return how many different units a layer has."""
    rows = layer.weight.detach().flatten(1)
    if layer.bias is not None:
        rows = torch.cat([rows, layer.bias.detach()[:, None]], dim=1)
    return len(torch.unique(rows, dim=0))


@torch.no_grad()
def apply(plan: Plan, patient: Patient) -> None:
    """Add the noise.

    Raises:
        SettingsError: No units are equal.
    """
    layers = _layers(plan.where, patient)
    if not layers:
        raise SettingsError(f"no units are equal at {plan.where or 'any layer'}")
    for index, layer in enumerate(layers):
        seed = int(plan.number("seed", 0)) * 1009 + index
        deviation = plan.number("share", SHARE) * math.sqrt(2 / _fan_in(layer))
        layer.weight.add_(_noise(layer.weight, seed), alpha=deviation)
    patient.forget(layer.weight for layer in layers)


def _fan_in(layer: nn.Module) -> int:
    weight = layer.weight
    return int(weight[0].numel()) if isinstance(weight, Tensor) else 1


def _noise(weight: Tensor, seed: int) -> Tensor:
    generator = torch.Generator(weight.device).manual_seed(seed)
    return torch.randn(weight.shape, generator=generator, device=weight.device, dtype=weight.dtype)


def describe(plan: Plan) -> str:
    """Return what the plan does."""
    return f"add noise to the weights of {plan.where or 'layers with equal units'}"


ACTION = Action(
    name="break_symmetry",
    page=__doc__ or "",
    safety=Safety.CHANGES_TRAINING,
    answers=frozenset({Code.IDENTICAL_UNITS}),
    plan=plan,
    apply=apply,
    describe=describe,
)
