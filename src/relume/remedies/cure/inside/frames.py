"""From which line of a person's code something is called, and by which module."""

import sys
import sysconfig
from pathlib import Path
from types import FrameType

import torch
from torch import nn

from relume.remedies.cure.place import CodePlace

_OURS = (
    str(Path(torch.__file__).parent),
    str(Path(__file__).parents[3]),
    *{sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")},
)


def is_inner(path: str) -> bool:
    """Whether a file belongs to a library, not to the person."""
    return path.startswith((*_OURS, "<"))


def user_frame(frame: FrameType | None) -> FrameType | None:
    """Return the nearest frame of the person's code."""
    while frame is not None and is_inner(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def user_place(depth: int = 1) -> CodePlace | None:
    """Return the expression of the person's code from which we were called."""
    frame = user_frame(sys._getframe(depth + 1))  # noqa: SLF001
    return CodePlace.of(frame) if frame is not None else None


def construction_place(module: object) -> CodePlace | None:
    """Return where an object that is being made is made: beyond its own ``__init__`` methods."""
    frame: FrameType | None = sys._getframe(2)  # noqa: SLF001
    while frame is not None:
        is_own = frame.f_code.co_name == "__init__" and any(
            frame.f_locals.get(name) is module for name in frame.f_code.co_varnames[:1]
        )
        if not is_own and not is_inner(frame.f_code.co_filename):
            return CodePlace.of(frame)
        frame = frame.f_back
    return None


def calling_module(depth: int = 1) -> nn.Module | None:
    """Return the library's module whose ``forward`` called us, before any code of the person."""
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001
    while frame is not None and is_inner(frame.f_code.co_filename):
        if frame.f_code.co_name == "forward":
            caller = frame.f_locals.get("self")
            return caller if isinstance(caller, nn.Module) else None
        frame = frame.f_back
    return None


def is_called_by_the_person(depth: int = 1) -> bool:
    """Whether the next frame beyond ours is the person's, not a library's."""
    frame: FrameType | None = sys._getframe(depth + 1)  # noqa: SLF001
    while frame is not None and frame.f_code.co_filename.startswith(_OURS[1]):
        frame = frame.f_back
    return frame is not None and not is_inner(frame.f_code.co_filename)
