"""The tap of a model that is known: nothing but what its own modules apply is a site."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from relume.nn.registry import activation_of
from relume.observe.calls import Calls, Kind
from relume.observe.intercept import Switch
from relume.observe.naming import Names
from relume.observe.own_activations import kind_of
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved

_NO_FUNCTION = (nn.Identity, nn.Softmax)
"""Activations of the catalogue behind which there is no function that is intercepted."""


class ModelTap(ArmedTap):
    """Sees what the modules of one model apply: no loss, no other network of the same step.

    Args:
        model: The model.
        unobserved: Takes note of what cannot be seen.
        in_evaluation: Whether passes in eval mode without gradients count too.
    """

    def __init__(
        self, model: nn.Module, unobserved: Unobserved, *, in_evaluation: bool = False
    ) -> None:
        super().__init__(Names(model), unobserved, in_evaluation=in_evaluation)
        self.calls = Calls(self._returned, _kind_of)
        self._model = model
        self._ours = {id(module) for module in model.modules()}
        self._returning: nn.Module | None = None

    def counts_now(self) -> bool:
        """Whether the present pass is one of the training, in a module of the model."""
        module = self._returning or self.calls.stack[-1].module
        return id(getattr(module, "_orig_mod", module)) in self._ours and super().counts_now()

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the modules that are activations and were not seen so far."""
        seen = tuple(tally.layer.name.partition("#")[0] + "." for tally in self.tallies)
        names = map(self.names.of_module, filter(_is_activation, self._model.modules()))
        return tuple(name for name in names if not any(s.startswith(f"{name}.") for s in seen))

    def _returned(self, module: nn.Module, inputs: Any, output: Any) -> None:
        self._returning = module  # no longer among the calls
        super()._returned(module, inputs, output)
        self._returning = None


def _is_activation(module: nn.Module) -> bool:
    is_recurrent = isinstance(module, nn.RNNBase | nn.RNNCellBase)
    return is_recurrent or activation_of(module) is not None


def _kind_of(module: type[nn.Module]) -> Kind:
    if module in _NO_FUNCTION:
        return Kind(is_seen=True, is_quiet=True)
    return kind_of(module)


@contextmanager
def armed(tap: ArmedTap, switch: Switch) -> Iterator[None]:
    """Arm a tap for the length of a block; torch is patched already."""
    tap.arm()
    switch.tap = tap
    try:
        yield
    finally:
        switch.tap = None
        tap.disarm()
