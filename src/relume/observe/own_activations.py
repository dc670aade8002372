"""Modules that are seen by what they return: the activations of our own, and what else counts."""

from torch import nn

from relume.nn.registry import activation_of, activation_of_class, firing_threshold
from relume.observe.calls import Kind
from relume.observe.rectifiers import Reading, Silence, Source

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)  # noqa: SLF001


def kind_of(module: type[nn.Module]) -> Kind:
    """Return how the modules of a class are treated: our own activations are seen as a whole."""
    is_ours = module.__module__.startswith("relume.nn.") and activation_of_class(module) is not None
    return Kind(is_ours, is_ours, issubclass(module, _WEIGHTED))


def read_module(module: nn.Module) -> Reading | None:
    """Return how the output of one of our own activations is read."""
    entry, threshold = activation_of(module), firing_threshold(module)
    if entry is None:
        return None
    if isinstance(threshold, float):
        return Reading(entry.name, Silence.DEAD, Source.INPUT, low=threshold)
    return Reading(entry.name, Silence.DORMANT)
