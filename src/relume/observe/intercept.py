"""Patching torch's activation functions, so that calls can be seen while a tap is armed.

A patched function costs one comparison while nothing is armed. Names bound before the patch (``from
torch import relu`` above ``relume.watch()``) are bound anew in the modules that hold them, and all
is put back at the end. A wrapper that somebody still holds then simply calls torch.
"""

import functools
import gc
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from types import FunctionType
from typing import Any, Protocol

import torch
from torch import nn

from relume.observe.aside import Fused
from relume.observe.fused import FUSED
from relume.observe.losses import LOSSES, LossFunction
from relume.observe.rectifiers import RECTIFIERS, Rectifier, namespace
from relume.observe.warned_place import WarningsBeyondUs

DYNAMO_INLINE = "_torchdynamo_inline"
"""Where Dynamo looks for the function that it is to trace instead of a wrapper."""


class Tap(Protocol):
    """What sees the calls while it is armed."""

    def call(
        self,
        rectifier: Rectifier,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call the original exactly once and return what it returns."""
        ...

    def call_fused(
        self,
        fused: Fused,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call the original exactly once and return what it returns."""
        ...


class LossTap(Protocol):
    """What sees the calls of loss functions."""

    def wants(self) -> bool:
        """Whether the next call is looked at."""
        ...

    def call(
        self,
        function: LossFunction,
        original: Callable[..., Any],
        args: Sequence[Any],
        named: Mapping[str, Any],
    ) -> Any:
        """Call the original exactly once and return what it returns."""
        ...


class Switch:
    """Holds the armed tap; None while nothing is armed. Losses decide by themselves."""

    __slots__ = ("losses", "tap")

    def __init__(self) -> None:
        self.tap: Tap | None = None
        self.losses: LossTap | None = None


@dataclass(frozen=True, slots=True)
class _Patch:
    holder: Any
    name: str
    original: Any
    wrapper: Any
    was_own: bool  # whether the holder itself had the name, rather than inheriting it


class Interception:
    """The patched functions of torch, from ``install`` to ``remove``.

    Args:
        switch: Where the armed tap is put.
    """

    def __init__(self, switch: Switch) -> None:
        self._switch = switch
        self._patches: list[_Patch] = []
        self._wrappers: dict[int, Callable[..., Any]] = {}
        self._attributes: list[tuple[weakref.ref[nn.Module], str, Any]] = []

    def install(self, networks: Iterable[nn.Module] | None = None) -> None:
        """Patch every function of the three tables, and the names bound to them.

        Args:
            networks: Those that may keep one as an attribute; None looks at all in the memory.
        """
        self.patch()
        self._rebind_early_names()
        self._rebind_attributes(_all_networks() if networks is None else networks)

    def patch(self) -> None:
        """Patch them, and leave alone whatever was bound to them before."""
        kinds: tuple[Rectifier | Fused | LossFunction, ...] = (*RECTIFIERS, *FUSED, *LOSSES)
        for kind in kinds:
            for space, name in kind.places:
                self._patch(space, name, kind)
        known = vars(nn.functional).get("warnings")
        if known is not None:
            self._set(nn.functional, "warnings", known, WarningsBeyondUs())

    def remove(self) -> None:
        """Put everything back as it was, but what others have replaced since."""
        while self._patches:
            patch = self._patches.pop()
            if vars(patch.holder).get(patch.name) is not patch.wrapper:
                continue
            if patch.was_own:
                setattr(patch.holder, patch.name, patch.original)
            else:
                delattr(patch.holder, patch.name)
        for network, name, original in self._attributes:
            held = network()
            if held is not None and held.__dict__.get(name) is self._wrappers.get(id(original)):
                held.__dict__[name] = original
        self._attributes.clear()
        for wrapper in self._wrappers.values():
            forget_in_jit(wrapper)
        self._wrappers.clear()
        _forget_methods()

    def _patch(self, space: str, name: str, kind: Rectifier | Fused | LossFunction) -> None:
        holder = namespace(space)
        original = getattr(holder, name, None)
        if original is None:
            return
        wrapper = self._wrappers.get(id(original))
        if wrapper is None:
            wrap = _wrapped_loss if isinstance(kind, LossFunction) else _wrapped
            wrapper = wrap(original, kind, self._switch)  # type: ignore[arg-type]
            self._wrappers[id(original)] = wrapper
            _name_as(wrapper, holder, name)
            tell_jit(original, wrapper)
            tell_dynamo(original, wrapper)
        self._set(holder, name, original, wrapper)

    def _set(self, holder: Any, name: str, original: Any, wrapper: Any) -> None:
        self._patches.append(_Patch(holder, name, original, wrapper, name in vars(holder)))
        setattr(holder, name, wrapper)

    def _rebind_early_names(self) -> None:
        for module in list(sys.modules.values()):
            if _belongs_to_us_or_torch(getattr(module, "__name__", "")):
                continue
            attributes = _attributes(module)
            if self._wrappers.keys().isdisjoint(map(id, attributes.values())):
                continue  # nearly all of them, and this is quick
            for name, value in attributes.items():
                wrapper = self._wrapper_of(value)
                if wrapper is not None:
                    self._set(module, name, value, wrapper)

    def _rebind_attributes(self, networks: Iterable[nn.Module]) -> None:
        """Bind anew what networks keep: ``TransformerEncoderLayer(activation="gelu")`` does."""
        for network in networks:
            if self._wrappers.keys().isdisjoint(map(id, network.__dict__.values())):
                continue
            for name, value in list(network.__dict__.items()):
                wrapper = self._wrapper_of(value)
                if wrapper is not None:
                    network.__dict__[name] = wrapper
                    self._attributes.append((weakref.ref(network), name, value))

    def _wrapper_of(self, value: Any) -> Callable[..., Any] | None:
        wrapper = self._wrappers.get(id(value))
        return wrapper if value is getattr(wrapper, "__wrapped__", self) else None


def _wrapped(
    original: Callable[..., Any], kind: Rectifier | Fused, switch: Switch
) -> Callable[..., Any]:
    is_compiling = torch.compiler.is_compiling

    def wrapper(*args: Any, **named: Any) -> Any:
        tap = switch.tap
        if tap is None or is_compiling():
            return original(*args, **named)
        if isinstance(kind, Fused):
            return tap.call_fused(kind, original, args, named)
        return tap.call(kind, original, args, named)

    return functools.wraps(original)(wrapper)


def _wrapped_loss(
    original: Callable[..., Any], kind: LossFunction, switch: Switch
) -> Callable[..., Any]:
    is_compiling = torch.compiler.is_compiling

    def wrapper(*args: Any, **named: Any) -> Any:
        losses = switch.losses
        if losses is None or not losses.wants() or is_compiling():
            return original(*args, **named)
        return losses.call(kind, original, args, named)

    return functools.wraps(original)(wrapper)


def _name_as(wrapper: Any, holder: Any, name: str) -> None:
    """Name the wrapper by its place, where pickle looks for it: later torch's own is found."""
    is_class = isinstance(holder, type)
    wrapper.__module__ = holder.__module__ if is_class else holder.__name__
    wrapper.__qualname__ = f"{holder.__qualname__}.{name}" if is_class else name


def tell_jit(original: Any, wrapper: Any) -> None:
    """Let TorchScript compile the wrapper as the operator that it wraps."""
    table = _jit_names()
    if id(original) in table:
        table[id(wrapper)] = table[id(original)]
    elif isinstance(original, FunctionType):
        # How torch.jit is told to compile another function instead.
        vars(wrapper).update(__script_if_tracing_wrapper=True, __original_fn=original)


def forget_in_jit(wrapper: Any) -> None:
    """Let TorchScript know nothing more of a wrapper, whose id another object may get."""
    _jit_names().pop(id(wrapper), None)


def tell_dynamo(original: Any, wrapper: Any) -> None:
    """Let Dynamo trace what is wrapped, and write that into its tables if it is loaded meanwhile.

    Its tables name torch's functions and stay as they are first read. With the wrappers in them,
    torch's own would be unknown to it for the rest of the process.
    """
    vars(wrapper)[DYNAMO_INLINE] = original


def _forget_methods() -> None:
    """Have Dynamo list the methods of tensors anew: of those it knows no wrapper."""
    rules: Any = sys.modules.get("torch._dynamo.trace_rules")
    if hasattr(rules, "get_tensor_method"):  # not while it is being loaded
        rules.get_tensor_method.cache_clear()


def _jit_names() -> dict[int, str]:
    from torch.jit import _builtins

    table: dict[int, str] = getattr(_builtins, "_get_builtin_table", dict)()
    return table


def _all_networks() -> list[nn.Module]:
    kinds, objects = set(_kinds(nn.Module)), gc.get_objects()  # up to millions of them
    return list(compress(objects, map(kinds.__contains__, map(type, objects))))


def _kinds(kind: type[nn.Module]) -> Iterator[type[nn.Module]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _kinds(below)


def _attributes(module: Any) -> dict[str, Any]:
    try:
        return dict(vars(module))
    except TypeError:  # something in sys.modules that is no module
        return {}


def _belongs_to_us_or_torch(name: str) -> bool:
    return name.partition(".")[0] in {"torch", "relume", "functorch", "torchgen"}
