"""Reads the arrays of an ``.npz`` file; nothing in it can run code."""

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.wording import shown

MOST_BYTES = 2**32
"""Unpacked size above which a file is not read."""

_UNREADABLE = (
    ValueError, NotImplementedError, RuntimeError, ArithmeticError, SyntaxError, MemoryError,
)  # fmt: skip
"""What NumPy can make of the head of an array that says other things."""


def read_arrays(
    path: Path, name: str, usual: Collection[str]
) -> tuple[dict[str, NDArray[Any]], str]:
    """Return the arrays of usual names, with or without ``_train`` or ``_test``, and a SHA-256.

    Args:
        path: The file.
        name: What a person knows it by.
        usual: Names that are read; any other array is left alone.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with path.open("rb") as raw:
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
        with zipfile.ZipFile(path) as members:
            size = sum(member.file_size for member in members.infolist())
        if size > MOST_BYTES:
            raise DataError(f"{name} unpacks to {size:,} bytes; at most {MOST_BYTES:,} are read")
        with np.load(path, allow_pickle=False) as file:
            return {key: np.asarray(file[key]) for key in file.files if _stem(key) in usual}, digest
    except FileNotFoundError:
        raise DataError(f"there is no file {shown(path, 200)}") from None
    except OSError as error:
        raise DataError(f"{shown(path, 200)} cannot be read: {error.strerror or error}") from error
    except (zipfile.BadZipFile, EOFError, TypeError, KeyError, zlib.error, struct.error) as error:
        raise DataError(f"{name} is a damaged or cut-off .npz file; get it again") from error
    except _UNREADABLE as error:
        if "allow_pickle" in str(error):
            raise DataError(
                f"{name} holds an array of objects, which could run code when read; "
                "save numbers, and labels as numbers or texts of fixed width"
            ) from error
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name} holds an array that cannot be read: {reason}") from error


def _stem(key: str) -> str:
    return key.removesuffix("_train").removesuffix("_test")
