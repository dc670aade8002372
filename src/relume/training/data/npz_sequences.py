"""Reads sequences, their lengths and targets from an ``.npz`` file."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.npz_arrays import read_arrays
from relume.training.data.sequence_set import SequenceSet
from relume.training.data.wording import shown

TARGETS = {"sequences": ("labels", "values"), "x": ("y",), "data": ("target",)}
"""What sequences and their targets may be called; with ``_train`` and ``_test`` there is an own
test part."""

LENGTHS = "lengths"

Arrays = dict[str, NDArray[Any]]


def read_sequences(path: Path, name: str) -> SequenceSet:
    """Read sequences (N, T, F), or (N, T) of one feature, and lengths and target if they are there.

    Args:
        path: The file.
        name: What a person knows it by.

    Raises:
        DataError: It cannot be read, holds no such arrays, or what they hold are no sequences.
    """
    usual = {*TARGETS, *(each for names in TARGETS.values() for each in names), LENGTHS}
    arrays, digest = read_arrays(path, name, usual)
    key, target = _find_names(arrays, name)
    if key in arrays:
        return _part(arrays, (key, target, ""), name, digest)
    test = None
    if f"{key}_test" in arrays:
        test = _part(arrays, (key, target, "_test"), name, digest)
    return _part(arrays, (key, target, "_train"), name, digest, test)


def _find_names(keys: Collection[str], name: str) -> tuple[str, str | None]:
    """The names of sequences and target, without ``_train``."""
    stems = {key.removesuffix("_train").removesuffix("_test") for key in keys}
    for key, targets in TARGETS.items():
        if key in keys or f"{key}_train" in keys:
            there = [target for target in targets if target in stems]
            if len(there) > 1:
                raise DataError(f"{name} holds {' and '.join(there)}; keep one as the target")
            return key, there[0] if there else None
    wanted = "; ".join(f"{key} and {' or '.join(names)}" for key, names in TARGETS.items())
    raise DataError(f"{name} holds no sequences under a usual name; name the arrays {wanted}")


def _part(
    arrays: Arrays,
    names: tuple[str, str | None, str],
    name: str,
    digest: str,
    test: SequenceSet | None = None,
) -> SequenceSet:
    key, target_name, ending = names
    where = f"{name}: {shown(key + ending)}"
    values = _values(arrays[key + ending], where)
    lengths = None
    if LENGTHS + ending in arrays:
        length_name = LENGTHS + ending
        _check_rows(arrays[length_name], values, f"{name}: {shown(length_name)}")
        lengths = _lengths(arrays[length_name], values, f"{name}: {shown(length_name)}")
    target = None
    if target_name is not None and target_name + ending in arrays:
        given = arrays[target_name + ending]
        _check_rows(given, values, f"{name}: {shown(target_name + ending)}")
        target = _target(given, target_name, f"{name}: {shown(target_name + ending)}")
    part = SequenceSet(name, values, lengths, target, digest, test)
    present = part.present
    if present is not None:
        values[~present] = 0.0
    _check_finite(values, where)
    return part


def _values(given: NDArray[Any], where: str) -> NDArray[np.float32]:
    if given.dtype.kind not in "buif":
        raise DataError(f"{where} holds {given.dtype}, not numbers")
    if given.ndim not in (2, 3) or not given.size:
        raise DataError(
            f"{where} has the shape {given.shape}; sequences are (N, steps, features), "
            "or (N, steps) of one feature"
        )
    with np.errstate(over="ignore"):
        values = np.array(given, np.float32, order="C")
    return values if values.ndim == 3 else values[:, :, None]


def _check_rows(given: NDArray[Any], values: NDArray[np.float32], where: str) -> None:
    if given.shape not in ((len(values),), (len(values), 1)):
        raise DataError(
            f"{where} has the shape {given.shape}; there are {len(values):,} sequences, "
            "and each needs one"
        )


def _lengths(given: NDArray[Any], values: NDArray[np.float32], where: str) -> NDArray[np.int64]:
    if given.dtype.kind not in "uif":
        raise DataError(f"{where} holds {given.dtype}; lengths are whole numbers")
    given, most = given.ravel(), values.shape[1]
    with np.errstate(invalid="ignore"):
        lengths = given.astype(np.int64)
    wrong = ~((lengths == given) & (lengths >= 1) & (lengths <= most))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise DataError(
            f"{where} is {given[row]} in row {row + 1:,}; "
            f"a length is a whole number from 1 to {most:,}, the steps of the array"
        )
    return lengths


def _target(given: NDArray[Any], name: str, where: str) -> pl.Series:
    given = given.ravel()
    if given.dtype.kind == "U":
        return pl.Series(name, given.tolist(), pl.String)
    if given.dtype.kind == "f":
        amounts = given.astype(np.float64)
        if not np.isfinite(amounts).all():
            row = int(np.flatnonzero(~np.isfinite(amounts))[0])
            raise DataError(
                f"{where} is {amounts[row]} in row {row + 1:,}; each sequence needs a target: "
                "leave it out or repair it"
            )
        return pl.Series(name, amounts)
    if given.dtype.kind in "bui":
        return pl.Series(name, given.astype(given.dtype.newbyteorder("=")))
    raise DataError(f"{where} holds {given.dtype}; targets are numbers or texts")


def _check_finite(values: NDArray[np.float32], where: str) -> None:
    finite = np.isfinite(values)
    if not finite.all():
        row, step, feature = (int(at[0]) for at in np.nonzero(~finite))
        raise DataError(
            f"{where}: row {row + 1:,} of {len(values):,} is {values[row, step, feature]} in step "
            f"{step + 1:,}, feature {feature + 1:,}; leave the row out or repair it"
        )
