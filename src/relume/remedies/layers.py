"""The activation of a layer, what stands between, and what goes into it on the sample."""

from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.remedies.circuit import BATCH_NORMS, BatchNorm, call, undisturbed
from relume.remedies.patient import Patient, Place


def norm_between(patient: Patient, place: Place) -> BatchNorm | None:
    """Return the batch norm between a layer and its activation, in the order of registration."""
    modules = list(patient.model.modules())
    if place.owner is None or place.activation is None:
        return None
    first, last = modules.index(place.owner), modules.index(place.activation)
    between = [each for each in modules[first + 1 : last] if isinstance(each, BATCH_NORMS)]
    return between[-1] if between else None


@torch.no_grad()
def inputs_of(patient: Patient, module: nn.Module) -> Tensor:
    """Return what goes into a module on the sample, in eval mode; units on the last axis.

    Raises:
        SettingsError: There is no sample, or the module is not reached by it.
    """
    seen: list[Tensor] = []

    def note(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.extend(each.detach().clone() for each in inputs[:1] if isinstance(each, Tensor))

    return _seen(patient, seen, module.register_forward_pre_hook(note))


@torch.no_grad()
def outputs_of(patient: Patient, module: nn.Module) -> Tensor:
    """Return what comes out of a module on the sample; see ``inputs_of``."""
    seen: list[Tensor] = []

    def note(_: nn.Module, __: Any, output: Any) -> None:
        seen.extend([output.detach().clone()] if isinstance(output, Tensor) else [])

    return _seen(patient, seen, module.register_forward_hook(note))


def _seen(patient: Patient, seen: list[Tensor], handle: Any) -> Tensor:
    try:
        if patient.sample is None:
            raise SettingsError("this needs a sample of the inputs, and there is none")
        with undisturbed(patient.model):
            call(patient.model, patient.sample)
    finally:
        handle.remove()
    if not seen:
        raise SettingsError("the sample does not come by the layer")
    return seen[0]


def units_last(values: Tensor, owner: nn.Module | None) -> Tensor:
    """Return values as rows of units, (positions, units), in float64."""
    is_last = isinstance(owner, nn.Linear) or values.ndim == 2
    moved = values if is_last else values.movedim(1, -1)
    return moved.reshape(-1, moved.shape[-1]).double()
