"""Which module is being called, and from which line of the user's code, while a tap is armed."""

import sys
from collections.abc import Callable
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
        on_return: Called with each module, its inputs and what it returned, if anything.
        is_quiet: Whether the calls inside a module are passed over.

    Attributes:
        stack: The calls; the first stands for code outside of all modules.
        number: Of the present pass: each outermost call is one.
        rows: Rows of the present pass: the length of the first tensor that it was called with;
            None where it was called with none.
    """

    def __init__(
        self,
        on_return: Callable[[nn.Module, Any, Any], None],
        is_quiet: Callable[[nn.Module], bool],
    ) -> None:
        self.stack = [Call(None)]
        self.number = 0
        self.rows: int | None = None
        self._on_return = on_return
        self._is_quiet = is_quiet
        self._hooks: list[RemovableHandle] = []

    def attach(self) -> None:
        """Follow the calls of every module from now on."""
        self.resume()

    def resume(self) -> None:
        """Hang the hooks, if they do not hang."""
        self._hooks = self._hooks or [
            register_module_forward_pre_hook(self._enter),
            register_module_forward_hook(self._leave, always_call=True),
        ]

    def pause(self) -> None:
        """Take the hooks away for a while: compiled code is guarded by the hooks that it sees."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def detach(self) -> None:
        """Leave no hook behind."""
        self.pause()
        self.stack = [Call(None)]

    @property
    def number_of_hooks(self) -> int:
        """How many global hooks hang for it."""
        return len(self._hooks)

    @property
    def root(self) -> nn.Module | None:
        """The outermost module that is being called."""
        return self.stack[1].module if len(self.stack) > 1 else None

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.compiler.is_compiling():
            return
        if len(self.stack) == 1:
            self.begin_pass(leading_rows(inputs))
        if getattr(module, "batch_first", None) is False:
            self._take_second_axis(inputs)
        quiet = self.stack[-1].is_quiet or self._is_quiet(module)
        self.stack.append(Call(module, is_quiet=quiet))

    def begin_pass(self, rows: int | None) -> None:
        """Count a pass, with its rows."""
        self.number += 1
        self.rows = rows

    def _take_second_axis(self, inputs: tuple[Any, ...]) -> None:
        """Where time comes before rows, count the rows."""
        x = inputs[0] if inputs else None
        if isinstance(x, Tensor) and x.ndim == 3 and self.rows == x.shape[0]:
            self.rows = x.shape[1]

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling():
            return
        if len(self.stack) > 1 and self.stack[-1].module is module:
            self.stack.pop()
            if output is not None:
                self._on_return(module, inputs, output)


def user_frame(depth: int) -> FrameType | None:
    """Return the nearest frame that is neither torch's nor ours; None where there is none.

    Args:
        depth: How many frames of the caller's to pass over at least.

    Cost: about 0.1 us a frame.
    """
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001
    while frame is not None and is_inner_file(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def is_inner_file(path: str) -> bool:
    """Whether a file is torch's or ours."""
    return path.startswith(_INNER)


def place_of(frame: FrameType) -> str:
    """Return ``file:line`` of a frame: the file without its folders."""
    name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{name}:{frame.f_lineno}"
