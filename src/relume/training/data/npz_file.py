"""Reads images and labels from an ``.npz`` file."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.image_set import ImageSet, as_labels
from relume.training.data.npz_arrays import read_arrays
from relume.training.data.wording import listed, shown

PAIRS = (("x", "y"), ("images", "labels"), ("data", "target"))
"""What images and labels may be called; with ``_train`` and ``_test`` there is an own test part."""

CHANNELS = (1, 3)


def read_npz(path: Path, name: str) -> ImageSet:
    """Read images (N, H, W) or (N, H, W, C), and their labels where they are there.

    Pixels of type uint8 or bool are kept as uint8, all others as float32.

    Args:
        path: The file.
        name: What a person knows it by.

    Raises:
        DataError: It cannot be read, holds no such arrays, or what they hold are no images.
    """
    arrays, digest = read_arrays(path, name, [each for pair in PAIRS for each in pair])
    pairs = _find_pairs(arrays, name)
    parts = [_part(arrays, pair, name, digest) for pair in pairs]
    whole, *tests = parts
    if not tests:
        return whole
    (test,) = tests
    return ImageSet(name, whole.pixels, whole.labels, digest, test, notes=whole.notes)


def _find_pairs(keys: Collection[str], name: str) -> list[tuple[str, str]]:
    """The names of images and labels; then, where there are, those of the own test part."""
    for images, labels in PAIRS:
        if images in keys:
            return [(images, labels)]
        if f"{images}_train" in keys:
            parts = [part for part in ("_train", "_test") if images + part in keys]
            return [(images + part, labels + part) for part in parts]
    wanted = "; ".join(" and ".join(pair) for pair in PAIRS)
    raise DataError(f"{name} holds no images under a usual name; name the arrays {wanted}")


def _part(
    arrays: dict[str, NDArray[Any]], pair: tuple[str, str], name: str, digest: str
) -> ImageSet:
    pixels, notes = _pixels(arrays[pair[0]], f"{name}: {shown(pair[0])}")
    if pair[1] not in arrays:
        return ImageSet(name, pixels, None, digest, notes=notes)
    labels = _labels(arrays[pair[1]], f"{name}: {shown(pair[1])}")
    if len(labels) != len(pixels):
        raise DataError(
            f"{name}: {shown(pair[0])} holds {len(pixels):,} images, but {shown(pair[1])} "
            f"{len(labels):,} labels; each image needs one"
        )
    return ImageSet(name, pixels, as_labels(labels), digest, notes=notes)


def _pixels(values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Bring images to (N, C, H, W), uint8 or float32."""
    if values.dtype.kind not in "buif":
        raise DataError(f"{where} holds {values.dtype}, not numbers")
    if values.ndim not in (3, 4) or not values.size:
        advice = "; save a table as CSV or Parquet" if values.ndim == 2 else ""
        raise DataError(
            f"{where} has the shape {values.shape}; images are (N, height, width) or "
            f"(N, height, width, channels){advice}"
        )
    values, notes = _channels_first(values, where)
    if values.dtype in (np.uint8, np.bool_):
        return np.ascontiguousarray(values, np.uint8), notes
    with np.errstate(over="ignore"):
        pixels = np.ascontiguousarray(values, np.float32)
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    if not finite.all():
        row = int(np.flatnonzero(~finite)[0])
        raise DataError(
            f"{where}: image {row + 1:,} of {len(pixels):,} holds numbers that are not finite; "
            "leave it out or repair it"
        )
    return pixels, notes


def _channels_first(values: NDArray[Any], where: str) -> tuple[NDArray[Any], tuple[str, ...]]:
    if values.ndim == 3:
        return values[:, None], ()
    if values.shape[3] in CHANNELS:
        return values.transpose(0, 3, 1, 2), ()
    if values.shape[1] in CHANNELS:
        return values, (f"{where}, {values.shape}, was read as (N, channels, height, width)",)
    raise DataError(f"{where} has {values.shape[3]} channels; 1 (grey) or 3 (colour) are read")


def _labels(values: NDArray[Any], where: str) -> NDArray[Any]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise DataError(f"{where} has the shape {values.shape}; labels are (N,), one an image")
    if values.dtype.kind in "buU":
        return values
    if values.dtype.kind in "if":
        if not np.isfinite(values).all():
            raise DataError(f"{where} holds numbers that are not finite; each image needs a label")
        whole = values.astype(np.int64)
        if (whole == values).all():
            return whole
    raise DataError(
        f"{where} holds {listed(values[:3].tolist())}; labels are whole numbers or texts"
    )
