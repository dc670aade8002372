"""Modules that are seen by what they return: the activations of our own, and what else counts."""

from torch import nn

from relume.nn import facts
from relume.nn.modules import PerFeaturePReLU
from relume.nn.registry import activation_of, activation_of_class, firing_threshold
from relume.observe.calls import Kind
from relume.observe.rectifiers import Reading, Silence, Source

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)  # noqa: SLF001


def kind_of(module: type[nn.Module]) -> Kind:
    """Return how the modules of a class are treated: our own activations are seen as a whole."""
    is_ours = module.__module__.startswith("relume.nn.") and activation_of_class(module) is not None
    return Kind(is_ours, is_ours, issubclass(module, _WEIGHTED))


def read_module(module: nn.Module) -> Reading | None:
    """Return how the output of one of our own activations is read.

    Where several numbers make one, or one makes several, a unit is live where it is not zero.
    """
    entry, threshold = activation_of(module), firing_threshold(module)
    if entry is None:
        return None
    silence = Silence.DORMANT if threshold is None else Silence.DEAD
    if entry.kind is not facts.Kind.ELEMENTWISE:
        return Reading(entry.name, silence, Source.NONZERO, keeps_units=False)
    slope = module.weight if isinstance(module, PerFeaturePReLU) else None
    low = threshold if isinstance(threshold, float) else 0.0
    return Reading(entry.name, silence, Source.INPUT, low=low, slope=slope)
