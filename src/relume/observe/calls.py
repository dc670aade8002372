"""Which module is being called, and from which line of the user's code, while a tap is armed."""

import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from relume.observe.passes import leading_rows

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Position = tuple[CodeType, int]
"""A place in the code: a function, and the instruction in it."""

_INNER = tuple(f"{module.__path__[0]}/" for module in (sys.modules["torch"], sys.modules["relume"]))


@dataclass(frozen=True, slots=True)
class Kind:
    """How the modules of a class are treated.

    Args:
        is_seen: Whether what they return is looked at.
        is_quiet: Whether the calls inside them are passed over.
    """

    is_seen: bool
    is_quiet: bool


class Call:
    """One call of a module that has not returned yet.

    Attributes:
        module: What is called; None for code outside of all modules.
        is_quiet: Whether the calls inside it are passed over, since its output is seen instead.
        counts: How often each activation was applied directly inside this call.
    """

    __slots__ = ("counts", "is_quiet", "module")

    def __init__(self, module: nn.Module | None, *, is_quiet: bool = False) -> None:
        self.module = module
        self.is_quiet = is_quiet
        self.counts: dict[object, int] = {}


class Calls:
    """The modules that are being called right now, outermost first.

    Args:
        on_return: Called with a module that is seen, its inputs and what it returned, if anything.
        kind_of: How the modules of a class are treated.

    Attributes:
        stack: The calls; the first stands for code outside of all modules.
        number: Of the present pass: each outermost call is one.
        rows: Rows of the present pass: the length of the first tensor that it was called with;
            None where it was called with none.
        fault: The first fault of ours; nothing is followed after it.
    """

    def __init__(
        self,
        on_return: Callable[[nn.Module, Any, Any], None],
        kind_of: Callable[[type[nn.Module]], Kind],
    ) -> None:
        self.stack = [Call(None)]
        self.number = 0
        self.rows: int | None = None
        self.fault: Exception | None = None
        self._on_return = on_return
        self._kind_of = kind_of
        self._kinds: dict[type[nn.Module], Kind] = {}
        self._hooks: list[RemovableHandle] = []
        self._input: weakref.ref[Tensor] | None = None

    def attach(self) -> None:
        """Follow the calls of every module from now on."""
        self._hooks = [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]

    def detach(self) -> None:
        """Leave no hook behind."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        self.stack = [Call(None)]

    @property
    def root(self) -> nn.Module | None:
        """The outermost module that is being called."""
        return self.stack[1].module if len(self.stack) > 1 else None

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.compiler.is_compiling() or self.fault is not None:
            return
        try:
            self._push(module, inputs)
        except Exception as error:  # noqa: BLE001
            self.fault = error

    def _push(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        stack = self.stack
        if len(stack) == 1:
            self.begin_pass(leading_rows(inputs))
            self._remember(inputs)
        if module.__dict__.get("batch_first", True) is False:
            self._take_second_axis(inputs)
        kind = self._kinds.get(type(module))
        if kind is None:
            kind = self._kinds[type(module)] = self._kind_of(type(module))
        stack.append(Call(module, is_quiet=kind.is_quiet or stack[-1].is_quiet))

    def begin_pass(self, rows: int | None) -> None:
        """Count a pass, with its rows."""
        self.number += 1
        self.rows = rows

    def _remember(self, inputs: tuple[Any, ...]) -> None:
        x = inputs[0] if inputs else None
        self._input = weakref.ref(x) if isinstance(x, Tensor) else None

    @property
    def last_input(self) -> Tensor | None:
        """What the last pass was called with, while somebody else still holds it."""
        return self._input() if self._input is not None else None

    def _take_second_axis(self, inputs: tuple[Any, ...]) -> None:
        """Where time comes before rows, count the rows."""
        x = inputs[0] if inputs else None
        if isinstance(x, Tensor) and x.ndim == 3 and self.rows == x.shape[0]:
            self.rows = x.shape[1]

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or self.fault is not None:
            return
        stack = self.stack
        if len(stack) > 1 and stack[-1].module is module:
            stack.pop()
            if output is not None and self._kinds[type(module)].is_seen:
                self._on_return(module, inputs, output)


def user_frame(depth: int) -> FrameType | None:
    """Return the nearest frame that is neither torch's nor ours; None where there is none.

    Args:
        depth: How many frames of the caller's to pass over at least.

    Cost: about 0.1 us a frame.
    """
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001
    while frame is not None and frame.f_code.co_filename.startswith(_INNER):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType) -> str:
    """Return ``file:line`` of a frame: the file without its folders."""
    name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{name}:{frame.f_lineno}"
