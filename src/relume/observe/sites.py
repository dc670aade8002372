"""Finding the activations of a model: which module, which unit axis, which weights feed it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from relume.nn.facts import Kind
from relume.nn.registry import activation_of, firing_threshold, get_activation
from relume.runs.records import Layer

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_WEIGHTED = (nn.Linear, *_CONVOLUTIONS, nn.RNNBase, nn.RNNCellBase)


@dataclass(frozen=True, slots=True)
class Site:
    """One place where an activation is applied.

    Args:
        layer: What the run file keeps of it.
        module: The module whose output is the activation.
        owner: The module whose weights feed it; ``None`` when there is none before it.
        axis: The unit axis of the output.
        fires_above: A unit fires where its pre-activation exceeds this; ``None`` where the
            pre-activation is not seen or not one number a unit: then where its output is not zero.
    """

    layer: Layer
    module: nn.Module
    owner: nn.Module | None
    axis: int
    fires_above: float | None


def find_sites(model: nn.Module, *inputs: Tensor) -> tuple[Site, ...]:
    """Run the model once and return its activations in the order in which they were applied.

    The run is in eval mode without gradients, so it draws no random number and moves no running
    statistic; the mode of every module is put back. An activation module called several times in
    one run (a recurrent step) is one site.

    Args:
        model: Any module; activations are recognised if the catalogue knows their class.
        *inputs: What the model is called with; two rows are enough.
    """
    finder = SiteFinder(model)
    with evaluating(model), torch.no_grad(), finder.watching():
        model(*inputs)
    if finder.fault is not None:
        raise finder.fault
    return finder.found


class SiteFinder:
    """Notes the activations of a model as other code applies them; reads only.

    Args:
        model: Any module; its parts may be called one by one.

    Attributes:
        fault: The first fault of ours, which never reaches the code that is watched.
    """

    def __init__(self, model: nn.Module) -> None:
        self.fault: Exception | None = None
        self._names = {module: name for name, module in model.named_modules()}
        self._found: dict[nn.Module, Site] = {}
        self._last_weighted: nn.Module | None = None

    @property
    def found(self) -> tuple[Site, ...]:
        """What was applied so far, in the order of the first time."""
        return tuple(self._found.values())

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the activations that were not applied so far."""
        return tuple(
            name
            for module, name in self._names.items()
            if module not in self._found
            and (isinstance(module, nn.RNN) or activation_of(module) is not None)
        )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Note what is applied inside the block; no hook is left after it."""
        self._last_weighted = None
        hooks = [module.register_forward_hook(self._see) for module in self._names]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _see(self, module: nn.Module, _: object, output: object) -> None:
        try:
            self._note(module, output)
        except Exception as error:  # noqa: BLE001
            self.fault = self.fault or error

    def _note(self, module: nn.Module, output: object) -> None:
        if isinstance(module, _WEIGHTED):
            self._last_weighted = module
        if module not in self._found:
            site = _site(module, self._names[module], self._last_weighted, output, self._names)
            if site is not None:
                self._found[module] = site


def _site(
    module: nn.Module,
    name: str,
    owner: nn.Module | None,
    output: object,
    names: dict[nn.Module, str],
) -> Site | None:
    if isinstance(module, nn.RNN):  # its pre-activations stay inside
        entry = get_activation(module.nonlinearity)
        can_die, fires_above = entry.facts.can_die, None
        output = output[0] if isinstance(output, tuple) else output
    elif (known := activation_of(module)) is not None:
        entry, threshold = known, firing_threshold(module)
        can_die = threshold is not None
        fires_above = float(threshold or 0.0) if entry.kind is Kind.ELEMENTWISE else None
    else:
        return None
    if not isinstance(output, Tensor):
        return None
    axis = 1 if isinstance(owner, _CONVOLUTIONS) and output.ndim > 2 else output.ndim - 1
    owner_name = names[owner] if owner is not None else None
    layer = Layer(name, entry.name, output.shape[axis], can_die, owner_name)
    return Site(layer, module, owner, axis, fires_above)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model in eval mode, and each of its modules back in its own mode afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
