"""Whether an ``.npz`` file is meant as images or as sequences, from its names, types and shapes.

========================== ============================================================
the file holds             it is read as
========================== ============================================================
``sequences``              sequences
``images``                 images
``x`` or ``data``,         sequences where an array ``lengths`` stands beside it;
of three axes              else images if it holds bytes or truth values;
                           else sequences if the target holds fractions;
                           else images if about square: both sides at least 8 long, and
                           neither more than twice the other; else sequences
``x`` or ``data``, else    images
========================== ============================================================
"""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.image_set import described as described_images
from relume.training.data.sequence_set import described as described_sequences
from relume.training.data.wording import shown

SHORTEST_SIDE = 8
"""Pixels that images have at least on each side, where only their shape tells them."""

NEUTRAL = (("x", "y"), ("data", "target"))
"""Names that say nothing of what they hold, and those of their targets."""


@dataclass(frozen=True, slots=True)
class NpzForm:
    """How a file is read, and a sentence where that had to be guessed."""

    sequences: bool
    note: str = ""


def find_form(path: Path, name: str) -> NpzForm:
    """Decide how an ``.npz`` file is read; of its arrays only headers and the target are.

    A file that cannot be read counts as images: the reader says what is wrong with it.

    Raises:
        DataError: It holds both images and sequences.
    """
    if not zipfile.is_zipfile(path):
        return NpzForm(sequences=False)
    try:
        with np.load(path, allow_pickle=False) as file:
            return _form(file, name)
    except (OSError, EOFError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return NpzForm(sequences=False)


def _form(file: np.lib.npyio.NpzFile, name: str) -> NpzForm:
    names = {key.removesuffix("_train"): key for key in file.files}
    if "sequences" in names:
        if "images" in names:
            raise DataError(f"{name} holds images and sequences; keep one of the two")
        return NpzForm(sequences=True)
    neutral = next((pair for pair in NEUTRAL if pair[0] in names), None)
    if neutral is None or "images" in names:
        return NpzForm(sequences=False)
    rows, target = (names.get(each) for each in neutral)
    assert rows is not None  # noqa: S101
    shape, dtype = _header(file, rows)
    if "lengths" in names:
        return NpzForm(sequences=True)
    if len(shape) != 3:
        return NpzForm(sequences=False)
    return _guessed(rows, shape, dtype, file[target] if target else None)


def _guessed(
    key: str, shape: tuple[int, ...], dtype: np.dtype[Any], target: NDArray[Any] | None
) -> NpzForm:
    short, long = sorted(shape[1:])
    is_square = short >= SHORTEST_SIDE and long <= 2 * short
    is_bytes = dtype in (np.uint8, np.bool_)
    if not is_bytes and (not is_square or _has_fractions(target)):
        what = described_sequences(shape[1], shape[2])
        advice = "name the array images if it holds pictures"
        return NpzForm(sequences=True, note=f"{shown(key)}, {shape}, was read as {what}; {advice}")
    if is_bytes and is_square:
        return NpzForm(sequences=False)
    what = described_images((1, shape[1], shape[2]))
    advice = "name the array sequences if it holds steps of features"
    return NpzForm(sequences=False, note=f"{shown(key)}, {shape}, was read as {what}; {advice}")


def _has_fractions(target: NDArray[Any] | None) -> bool:
    if target is None or target.dtype.kind != "f":
        return False
    present = target[np.isfinite(target)]
    return bool((present != np.floor(present)).any())


def _header(file: np.lib.npyio.NpzFile, key: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Return shape and type of an array without reading it."""
    assert file.zip is not None  # noqa: S101
    with file.zip.open(f"{key}.npy") as member:
        if np.lib.format.read_magic(member) == (1, 0):
            shape, _, dtype = np.lib.format.read_array_header_1_0(member)
        else:
            shape, _, dtype = np.lib.format.read_array_header_2_0(member)
    return shape, dtype
