"""Where a call of an activation comes from, and which site that makes it."""

from collections.abc import Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch import Tensor, nn

from relume.observe.calls import Calls, caller_of, place_of, user_line


@dataclass(slots=True, eq=False)  # frozen ones are slow to make
class Where:
    """Where a call comes from.

    Args:
        module: The innermost module that is being called.
        frame: The nearest frame of the user's; outside of the module, if that is an activation.
        key: The same each time the program comes by here in the same way.
        is_activation: Whether the module is nothing but the activation.
        is_direct: Whether the user's line itself calls the activation, rather than a container.
        is_loose: Whether the user's line lies outside of all modules.
    """

    module: nn.Module | None
    frame: FrameType | None
    key: tuple[Any, ...]
    is_activation: bool
    is_direct: bool
    is_loose: bool

    def identity(self, weights: Sequence[Tensor]) -> tuple[Any, ...]:
        """Return what tells the site from others, however often its weights are applied."""
        position = self.key[1] if self.is_direct else None
        is_told = weights and self.is_direct and not self.is_activation
        return None if is_told else id(self.module), position, frozenset(map(id, weights))

    def place(self) -> str | None:
        """Return ``file:line``."""
        return place_of(self.frame) if self.frame is not None else None


def where(calls: Calls, returned: nn.Module | None = None) -> Where:
    """Return where the present call comes from, and count it there.

    Args:
        calls: The modules being called.
        returned: An activation whose call is just over.

    Cost: a few microseconds.
    """
    module = calls.stack[-1].module if returned is None else returned
    is_activation = module is not None and (returned is not None or is_nothing_else(module))
    frame, passed = user_line(caller_of(3), known=calls.codes)  # what asks is deeper than that
    inside = None
    if is_activation and passed == 0 and returned is None:  # a module of the user's own
        inside = frame.f_lasti if frame is not None else None
        frame, passed = user_line(frame, beyond=1, known=calls.codes)
    position = (id(frame.f_code), frame.f_lasti, inside) if frame is not None else None
    caller = calls.stack[max(0, len(calls.stack) - passed - (returned is None))]
    here = (id(module), position)
    ordinal = caller.counts[here] = caller.counts.get(here, 0) + 1
    return Where(
        module,
        frame,
        (*here, ordinal),
        is_activation=is_activation,
        is_direct=passed == is_activation,
        is_loose=caller is calls.stack[0],
    )


def is_nothing_else(module: nn.Module) -> bool:
    """Whether a module is nothing but its activation: no other module in it, no matrix."""
    if module._modules:  # noqa: SLF001
        return False
    parameters = module._parameters  # noqa: SLF001
    return not parameters or not any(
        parameter is not None and parameter.ndim > 1 for parameter in parameters.values()
    )
