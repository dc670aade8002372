"""Warnings of torch's functions name the line that they would name without our wrappers."""

import sys
import warnings
from pathlib import Path
from typing import Any

_OURS = str(Path(__file__).parent)


class WarningsBeyondUs:
    """Stands for the module ``warnings`` in ``torch.nn.functional`` while that is patched.

    A function there warns of its caller, by counting frames; ours are not counted.
    """

    def warn(
        self,
        message: Any,
        category: type[Warning] | None = None,
        stacklevel: int = 1,
        **named: Any,
    ) -> None:
        """Warn as ``warnings.warn`` does, as if our frames were not there."""
        frame, level = sys._getframe(1), stacklevel  # noqa: SLF001
        while frame.f_back is not None and level > 1:
            frame = frame.f_back
            level -= not frame.f_code.co_filename.startswith(_OURS)
        if named or level > 1:
            warnings.warn(message, category, stacklevel + 1, **named)
            return
        kind = category or (type(message) if isinstance(message, Warning) else UserWarning)
        space = frame.f_globals
        warnings.warn_explicit(
            message,
            kind,
            frame.f_code.co_filename,
            frame.f_lineno,
            module=space.get("__name__", "<string>"),
            registry=space.setdefault("__warningregistry__", {}),
        )

    def __getattr__(self, name: str) -> Any:
        return getattr(warnings, name)
