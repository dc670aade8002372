"""Which module is being called, and from which line of the user's code, while a tap is armed."""

import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.module import (
    register_module_forward_hook,
    register_module_forward_pre_hook,
)

from relume.observe.passes import leading_rows

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

_INNER = tuple(f"{module.__path__[0]}/" for module in (sys.modules["torch"], sys.modules["relume"]))
_KERAS = "/keras/src/"

Codes = dict[int, tuple[CodeType, int]]
"""By id: functions, kept so that no other gets the id, and whether they are the user's."""
_IS_USERS, _IS_INNER, _IS_CALL = range(3)
_MODULE_CALL = nn.Module._wrapped_call_impl.__code__  # noqa: SLF001


@dataclass(frozen=True, slots=True)
class Kind:
    """How the modules of a class are treated.

    Args:
        is_seen: Whether what they return is looked at.
        is_quiet: Whether the calls inside them are passed over.
        is_weighted: Whether they multiply by weights: linear ones and convolutions.
    """

    is_seen: bool = False
    is_quiet: bool = False
    is_weighted: bool = False


class Visitor(Protocol):
    """Sees the calls of modules of certain classes, inside whatever they are called."""

    def wants(self, kind: type[nn.Module]) -> bool:
        """Whether it sees the modules of a class."""
        ...

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """See what a module is called with."""
        ...

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """See what it returned; None where it raised."""
        ...


class Call:
    """One call of a module that has not returned yet.

    Attributes:
        module: What is called; None for code outside of all modules.
        is_quiet: Whether the calls inside it are passed over, since its output is seen instead.
        counts: How often each activation was applied from each place in the code of this call.
    """

    __slots__ = ("counts", "is_quiet", "module")

    def __init__(self, module: nn.Module | None, is_quiet: bool) -> None:  # noqa: FBT001 (hot)
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
        codes: What is known of the functions that frames belong to.
        last_weighted: The linear layer or convolution of the present pass that returned last.
        called: Modules by ``id``, numbered in the order of their calls; None: not wanted.
        before_root: Told of each outermost call before it is made, like ``on_pass``, but always.
        on_root: Told of each outermost module and what it returned.
        on_pass: Told of each outermost call before it is made: the module and its inputs.
        visitors: Told of every call of the modules that they want.
        is_looking: Whether ``on_pass`` and ``visitors`` are told.
    """

    def __init__(
        self,
        on_return: Callable[[nn.Module, Any, Any], None],
        kind_of: Callable[[type[nn.Module]], Kind],
    ) -> None:
        self.stack = [Call(None, is_quiet=False)]
        self.number = 0
        self.rows: int | None = None
        self.fault: Exception | None = None
        self._on_return = on_return
        self._kind_of = kind_of
        self._kinds: dict[type[nn.Module], Kind] = {}
        self.last_weighted: nn.Module | None = None
        self.on_pass: list[Callable[[nn.Module, tuple[Any, ...]], None]] = []
        self.visitors: list[Visitor] = []
        self.is_looking = True
        self._visits: dict[type[nn.Module], list[Visitor]] = {}
        self._hooks: list[RemovableHandle] = []
        self.codes: Codes = {}
        self.called: dict[int, int] | None = None
        self.before_root: list[Callable[[nn.Module], None]] = []
        self.on_root: list[Callable[[nn.Module, Any], None]] = []
        self._thread = 0
        self._input: weakref.ref[Tensor] | None = None
        self._last_root: weakref.ref[nn.Module] | None = None

    def attach(self) -> None:
        """Follow the calls of every module from now on, in this thread."""
        self._thread = threading.get_ident()
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
        self.stack = [Call(None, is_quiet=False)]

    @property
    def number_of_hooks(self) -> int:
        """How many global hooks hang for it."""
        return len(self._hooks)

    @property
    def root(self) -> nn.Module | None:
        """The outermost module that is being called."""
        return self.stack[1].module if len(self.stack) > 1 else None

    @property
    def last_root(self) -> nn.Module | None:
        """The last outermost module with weights, while somebody else still holds it."""
        return self._last_root() if self._last_root is not None else None

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if torch.compiler.is_compiling() or threading.get_ident() != self._thread:
            return
        try:
            stack = self.stack
            is_quiet = stack[-1].is_quiet
            if self.called is not None:
                self.called.setdefault(id(module), len(self.called))
            if len(stack) == 1:
                self._begin_root(module, inputs)
            for visitor in self._visitors_of(type(module)) if self.is_looking else ():
                visitor.enter(module, inputs)
            if module.__dict__.get("batch_first", True) is False:
                self._take_second_axis(inputs)
            stack.append(Call(module, is_quiet or self._kind(module).is_quiet))
        except Exception as error:  # noqa: BLE001
            self.fault = error

    def _begin_root(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.begin_pass(leading_rows(inputs))
        self._remember(module, inputs)
        for leave_off in self.before_root:
            leave_off(module)
        for see in self.on_pass if self.is_looking else ():
            see(module, inputs)

    def _kind(self, module: nn.Module) -> Kind:
        kind = self._kinds.get(type(module))
        if kind is None:
            kind = self._kinds[type(module)] = self._kind_of(type(module))
        return kind

    def _visitors_of(self, kind: type[nn.Module]) -> list[Visitor]:
        found = self._visits.get(kind)
        if found is None:
            found = [visitor for visitor in self.visitors if visitor.wants(kind)]
            self._visits[kind] = found
        return found

    def begin_pass(self, rows: int | None) -> None:
        """Count a pass, with its rows."""
        self.number += 1
        self.rows = rows
        self.last_weighted = None

    def _remember(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if next(module.parameters(), None) is not None:
            self._last_root = weakref.ref(module)
        x = inputs[0] if inputs else None
        self._input = weakref.ref(x) if isinstance(x, Tensor) else None

    @property
    def last_input(self) -> Tensor | None:
        """What the last pass was called with, while somebody else still holds it."""
        return self._input() if self._input is not None else None

    def _take_second_axis(self, inputs: tuple[Any, ...]) -> None:
        """Where time comes before rows, count the rows."""
        x = inputs[0] if inputs else None
        if isinstance(x, Tensor) and x.ndim == 3 and not x.is_nested and self.rows == x.shape[0]:
            self.rows = x.shape[1]

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if torch.compiler.is_compiling() or threading.get_ident() != self._thread:
            return
        stack = self.stack
        if len(stack) == 1 or stack[-1].module is not module:
            return
        stack.pop()
        try:
            kind = self._kind(module)
            if kind.is_weighted:
                self.last_weighted = module
            if kind.is_seen and output is not None:
                self._on_return(module, inputs, output)
            for see_root in self.on_root if len(stack) == 1 and output is not None else ():
                see_root(module, output)
            for visitor in self._visitors_of(type(module)) if self.is_looking else ():
                visitor.leave(module, inputs, output)
        except Exception as error:  # noqa: BLE001
            self.fault = error


def user_frame(depth: int) -> FrameType | None:
    """Return the nearest frame that is neither torch's nor ours; None where there is none.

    Args:
        depth: How many frames of the caller's to pass over at least.

    Cost: about 0.1 us a frame.
    """
    return user_line(caller_of(depth + 1))[0]


def caller_of(depth: int) -> FrameType | None:
    """Return the frame that is this many calls above the caller's."""
    return sys._getframe(depth + 1)  # noqa: SLF001


def user_line(
    frame: FrameType | None, *, beyond: int = 0, known: Codes | None = None
) -> tuple[FrameType | None, int]:
    """Return the nearest frame of the user's, and how many calls of modules lie before it.

    Args:
        frame: Where the search begins.
        beyond: How many calls of modules must lie before it.
        known: What was found out of functions before, and is found out now.
    """
    known = {} if known is None else known
    passed = 0
    while frame is not None:
        code = frame.f_code
        seen = known.get(id(code))  # a code object itself is slow to hash
        if seen is None:
            seen = known[id(code)] = (code, _kind_of_code(code))
        if seen[1] == _IS_CALL:
            passed += 1
        elif seen[1] == _IS_USERS and passed >= beyond:
            break
        frame = frame.f_back
    return frame, passed


def _kind_of_code(code: CodeType) -> int:
    if code is _MODULE_CALL:
        return _IS_CALL
    return _IS_INNER if is_inner_file(code.co_filename) else _IS_USERS


def is_inner_file(path: str) -> bool:
    """Whether a file is torch's, ours, or of Keras, which calls torch for its users."""
    return path.startswith(_INNER) or _KERAS in path


def place_of(frame: FrameType) -> str:
    """Return ``file:line`` of a frame: the file without its folders."""
    name = frame.f_code.co_filename.replace("\\", "/").rpartition("/")[2]
    return f"{name}:{frame.f_lineno}"
