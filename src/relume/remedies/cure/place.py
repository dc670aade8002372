"""Where in a person's code an expression stands, exactly: file, lines and columns."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class CodePlace:
    """An expression in a file.

    Args:
        file: Absolute path.
        line: First line, from 1.
        column: In bytes of UTF-8, from 0.
        end_line: Last line.
        end_column: Behind its last byte.

    Example:
        >>> CodePlace("/home/me/train.py", 4, 0, 4, 9).short
        'train.py:4'
    """

    file: str
    line: int
    column: int = 0
    end_line: int = 0
    end_column: int = 0

    @property
    def short(self) -> str:
        """``file:line``, the file without its folders."""
        return f"{Path(self.file).name}:{self.line}"

    @classmethod
    def of(cls, frame: FrameType) -> Self:
        """Return the place of the expression that a frame computes now."""
        positions = frame.f_code.co_positions()
        line, end_line, column, end_column = next(
            islice(positions, frame.f_lasti // 2, None), (None, None, None, None)
        )
        file = str(Path(frame.f_code.co_filename).absolute())
        if line is None:
            return cls(file, frame.f_lineno)
        return cls(file, line, column or 0, end_line or line, end_column or 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return what ``to_json`` gave."""
        return cls(**said)
