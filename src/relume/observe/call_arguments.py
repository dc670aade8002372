"""The tensors that a model is called with, each under a name a person knows."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from relume.observe.plain import has_plain_storage

MOST_ARGUMENTS = 8
MOST_DEPTH = 3
_NEAR = 8  # frames between a hook and the call of its module
_CALLERS = ("inner", "_call_impl")
_MODULE_FILE = nn.Module._call_impl.__code__.co_filename  # noqa: SLF001


@dataclass(frozen=True, slots=True, eq=False)
class Argument:
    """A tensor that a model is called with.

    Args:
        name: For example ``x``, ``batch.pixels`` or ``sequences[1]``.
        values: Rows first, but where packed.
        packed_rows: Rows of a packed sequence, whose values are positions first; None otherwise.
    """

    name: str
    values: Tensor
    packed_rows: int | None = None

    @property
    def rows(self) -> int:
        """Independent rows."""
        return len(self.values) if self.packed_rows is None else self.packed_rows


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the model inside a compiled one or one that is trained in parallel."""
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while hasattr(module, "_orig_mod") or isinstance(module, parallel):
        module = module._orig_mod if hasattr(module, "_orig_mod") else module.module  # type: ignore[assignment] # noqa: SLF001
    return module


@dataclass(frozen=True, slots=True)
class Signature:
    """How the positional arguments of a module are called.

    Args:
        names: Those that have names.
        rest: What those beyond are called together.
        is_time_first: Whether the module takes sequences with time before rows.
    """

    names: tuple[str, ...]
    rest: str
    is_time_first: bool = False

    @classmethod
    def of(cls, module: nn.Module) -> "Signature":
        """Return that of a module. Cost: about 20 us."""
        try:
            parameters = list(inspect.signature(module.forward).parameters.values())
        except (TypeError, ValueError):
            parameters = []
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        several = inspect.Parameter.VAR_POSITIONAL
        return cls(
            tuple(parameter.name for parameter in parameters if parameter.kind in kinds),
            next((parameter.name for parameter in parameters if parameter.kind is several), "args"),
            module.__dict__.get("batch_first", True) is False,
        )

    def name(self, index: int) -> str:
        """Return the name of a positional argument."""
        known = len(self.names)
        return self.names[index] if index < known else f"{self.rest}[{index - known}]"


def arguments_of(
    signature: Signature, inputs: Sequence[Any], named: Mapping[str, Any]
) -> list[Argument]:
    """Return the tensors of data among the arguments of a call, the first ones of them.

    Left out are weights, what other modules computed (it has a graph behind it), what is empty or
    has no axis, and what holds no real numbers that can be read.
    """
    given = [(signature.name(index), value) for index, value in enumerate(inputs)]
    given += named.items()
    found: list[Argument] = []
    for name, value in given:
        for argument in _tensors(name, value, MOST_DEPTH):
            if len(found) < MOST_ARGUMENTS and _is_data(argument.values):
                found.append(argument)
    if signature.is_time_first:
        return [_rows_first(argument) for argument in found]
    return found


def named_arguments() -> Mapping[str, Any]:
    """Return the named arguments of the call whose hook asks; torch tells hooks none of them."""
    frame = sys._getframe(1)  # noqa: SLF001
    for _ in range(_NEAR):
        code = frame.f_code
        if code.co_name in _CALLERS and code.co_filename == _MODULE_FILE:
            found = frame.f_locals.get("kwargs")
            return found if isinstance(found, dict) else {}
        if frame.f_back is None:
            break
        frame = frame.f_back
    return {}


def _tensors(name: str, value: Any, depth: int) -> Iterator[Argument]:
    if isinstance(value, Tensor):
        yield Argument(name, value)
    elif isinstance(value, PackedSequence):
        yield Argument(f"{name}.data", value.data, int(value.batch_sizes[0]))
    elif isinstance(value, Mapping) and depth:
        for key, part in value.items():
            yield from _tensors(f"{name}.{key}", part, depth - 1)
    elif isinstance(value, list | tuple) and depth:
        for index, part in enumerate(value):
            yield from _tensors(f"{name}[{index}]", part, depth - 1)


def _is_data(x: Tensor) -> bool:
    return (
        has_plain_storage(x)
        and not isinstance(x, nn.Parameter)
        and x.grad_fn is None
        and x.ndim > 0
        and x.numel() > 0
        and not x.is_complex()
        and not x.is_quantized
    )


def _rows_first(argument: Argument) -> Argument:
    if argument.packed_rows is not None or argument.values.ndim != 3:
        return argument
    return Argument(argument.name, argument.values.transpose(0, 1))
