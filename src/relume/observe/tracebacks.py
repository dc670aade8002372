"""Tracebacks as they would be without us: our frames, and those of torch that we caused, go.

A patched function adds a frame of ours to what passes through it. A module hook of ours makes
``Module.__call__`` take its long way, through a function ``inner`` that it does not enter without.
"""

import dis
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import CodeType, FrameType, TracebackType
from typing import Any

_OURS = f"{Path(__file__).parents[1]}/"
_TORCH_MODULE = "torch.nn.modules.module"
_HOOKS_OF_ALL = tuple(
    f"_global_{kind}"
    for kind in ("backward_pre_hooks", "backward_hooks", "forward_hooks", "forward_pre_hooks")
)
_HOOKS_OF_ONE = ("_backward_hooks", "_backward_pre_hooks", "_forward_hooks", "_forward_pre_hooks")


def show_as_without_us() -> None:
    """Have uncaught exceptions, in any thread, shown without our frames."""
    show, show_in_thread = sys.excepthook, threading.excepthook

    def excepthook(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        with suppress(Exception):
            clean(error)
        show(kind, error, error.__traceback__ if traceback is not None else None)

    def thread_excepthook(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            with suppress(Exception):
                clean(args.exc_value)
            traceback = args.exc_value.__traceback__
            args = threading.ExceptHookArgs((args.exc_type, args.exc_value, traceback, args.thread))
        show_in_thread(args)

    sys.excepthook = excepthook
    threading.excepthook = thread_excepthook


def clean(error: BaseException) -> None:
    """Take our frames out of an exception, its causes and contexts, and the members of a group."""
    known: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in known:
            continue
        known.add(id(each))
        each.__traceback__ = without_us(each.__traceback__)
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def without_us(traceback: TracebackType | None) -> TracebackType | None:
    """Return a traceback without our frames, or the same one if there is none in it."""
    entries = list(_entries(traceback))
    kept = [entry for entry in entries if not _is_ours(entry.tb_frame)]
    if len(kept) == len(entries):
        return traceback
    shown: TracebackType | None = None
    for entry in reversed(kept):
        shown = TracebackType(shown, entry.tb_frame, *_position(entry))
    return shown


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _is_ours(frame: FrameType) -> bool:
    if frame.f_code.co_filename.startswith(_OURS):
        return True
    caller = frame.f_back
    return (
        caller is not None
        and frame.f_code.co_name == "inner"
        and _is_call_of_module(caller)
        and frame.f_code in caller.f_code.co_consts
        and not _has_other_hooks(caller)
    )


def _is_call_of_module(frame: FrameType) -> bool:
    return frame.f_code.co_name == "_call_impl" and frame.f_globals.get("__name__") == _TORCH_MODULE


def _has_other_hooks(frame: FrameType) -> bool:
    """Whether a module would have taken the long way without us."""
    called = frame.f_locals.get("self")
    for_all = [hook for name in _HOOKS_OF_ALL for hook in frame.f_globals.get(name, {}).values()]
    return any(getattr(called, name, None) for name in _HOOKS_OF_ONE) or any(
        not _owner(hook).startswith("relume.") for hook in for_all
    )


def _owner(hook: Any) -> str:
    return str(getattr(hook, "__module__", ""))


def _position(entry: TracebackType) -> tuple[int, int]:
    """Return instruction and line of an entry: the short way's where we caused the long one."""
    frame, below = entry.tb_frame, entry.tb_next
    if below is not None and _is_call_of_module(frame) and _is_ours(below.tb_frame):
        short = _short_way(frame.f_code)
        if short is not None:
            return short
    return entry.tb_lasti, entry.tb_lineno


def _short_way(code: CodeType) -> tuple[int, int] | None:
    """Find ``return forward_call(*args, **kwargs)``: its call's instruction and line."""
    is_named = False
    for instruction in dis.get_instructions(code):
        is_load = instruction.opname.startswith("LOAD")
        is_named |= is_load and instruction.argval == "forward_call"
        positions = instruction.positions
        if is_named and instruction.opname.startswith("CALL") and positions is not None:
            return instruction.offset, positions.lineno or 0
    return None
