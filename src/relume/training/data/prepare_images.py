"""The door for images: from files to encoded training, validation and test parts."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.encoding import level_codes
from relume.training.data.idx_files import (
    find_named_set,
    is_idx_folder,
    named_folder,
    read_idx_folder,
)
from relume.training.data.image_folder import read_image_folder
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.image_set import ImageSet
from relume.training.data.npz_file import read_npz
from relume.training.data.options import DataOptions, check_fractions, refuse_column_options, shares
from relume.training.data.prepared import FEWEST_ROWS, Part, Prepared
from relume.training.data.repeats import array_hashes, count_repeats
from relume.training.data.split import split_rows
from relume.training.data.target import Target, find_classes
from relume.training.data.task import Task
from relume.training.data.wording import counted, shown


def is_image_source(data: object) -> bool:
    """Tell whether data are images: a name of a set, a folder, or an ``.npz`` file.

    Example:
        >>> is_image_source("fashion-mnist"), is_image_source("a.npz"), is_image_source("a.csv")
        (True, True, False)
    """
    if not isinstance(data, str | Path):
        return False
    path = Path(data)
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError):
        return False
    return find_named_set(data) is not None or is_folder or path.suffix.lower() == ".npz"


def read_images(data: str | Path, shape: tuple[int, int, int] | None = None) -> ImageSet:
    """Read a named set, a folder of idx files or of images, or an ``.npz`` file.

    Args:
        data: Where the images are.
        shape: (channels, height, width) that files in a folder are brought to; None to choose.

    Raises:
        DataError: They cannot be read; one line says what to do.
    """
    named = find_named_set(data)
    if named is not None:
        return read_idx_folder(named_folder(named), named.name)
    path = Path(data)
    name = path.resolve().name or str(path)
    name = name if name.isprintable() else repr(name)
    if not path.is_dir():
        return read_npz(path, name)
    try:
        is_idx = is_idx_folder(path)
        return read_idx_folder(path, name) if is_idx else read_image_folder(path, name, shape)
    except OSError as error:
        raise DataError(f"{shown(path, 200)} cannot be read: {error.strerror}") from error


def prepare_images(data: str | Path, options: DataOptions) -> Prepared:
    """Read images, split and encode them; what is learnt is learnt from the training part alone.

    An own test part is kept as it is; else rows are set aside for it, every class alike.

    Args:
        data: A named set, a folder of idx files or of images in one subfolder a class, or ``.npz``.
        options: What a person says about it; the options for columns do not apply.

    Raises:
        DataError: The images cannot be read or learned from.
    """
    _check_options(options)
    images = read_images(data)
    test = _own_test(images, options)
    labels = None if options.unsupervised else _labels(images)
    if len(images) < FEWEST_ROWS:
        raise DataError(
            f"{images.name} has {counted(len(images), 'image')} to learn from; "
            f"at least {FEWEST_ROWS} are needed"
        )
    validation = options.validation_fraction
    parts = shares(options) if test is None else (1 - validation, validation)
    target, codes = _target(images, labels, len(parts))
    groups = codes.astype(np.int64) if target else np.zeros(len(images), np.int64)
    splits = split_rows(groups, parts, options.seed)
    preprocessing = ImagePreprocessing.fit(images.pixels, splits[0], target)
    if not any(preprocessing.scales):
        raise DataError(f"{images.name}: the training images are all of one even colour")
    encoded = [
        Part(preprocessing.encode(images.pixels, rows), codes[rows], rows) for rows in splits
    ]
    if test is not None:
        encoded.append(_test_part(preprocessing, test))
        tested, tested_rows = test, encoded[-1].rows
    else:
        tested, tested_rows = images, splits[-1]
    hashes = array_hashes(images.pixels, splits[0], encoded[0].y)
    repeats = count_repeats(hashes, array_hashes(tested.pixels, tested_rows, encoded[-1].y))
    return Prepared(
        name=images.name,
        task=target.task if target else None,
        preprocessing=preprocessing,
        train=encoded[0],
        validation=encoded[1],
        test=encoded[2],
        notes=_notes(images, test, options, repeats),
        fingerprint=_fingerprint(images, test),
        image_shape=images.shape,
    )


def _check_options(options: DataOptions) -> None:
    check_fractions(options)
    refuse_column_options(options, "the classes of images are their subfolders or labels")
    if options.task not in {None, Task.CLASSIFICATION, (Task.CLASSIFICATION,)}:
        raise DataError("--task regression: images are predicted as classes; leave it out")


def _own_test(images: ImageSet, options: DataOptions) -> ImageSet | None:
    """The test part that is given beside the images, by a person or by the set itself."""
    if options.test is None:
        return images.test
    if not is_image_source(options.test):
        raise DataError(f"--test {shown(options.test, 200)}: a folder of images or .npz is needed")
    given = read_images(options.test, images.shape)
    test = given.test or given
    if test.digest == images.digest:
        raise DataError(
            f"the test images {shown(test.name)} are the very images to learn from; "
            "leave --test out to have some set aside"
        )
    return replace(test, notes=given.notes)


def _labels(images: ImageSet) -> pl.Series:
    if images.labels is None:
        raise DataError(f"{images.name} holds images without labels; there is nothing to learn")
    return images.labels


def _target(
    images: ImageSet, labels: pl.Series | None, parts: int
) -> tuple[Target | None, NDArray[np.generic]]:
    """What is predicted, and the class of each image; none for an autoencoder."""
    if labels is None:
        return None, np.empty((len(images), 0))
    classes, codes = find_classes(images.name, labels, parts)
    return Target(labels.name, classes), codes


def _test_part(preprocessing: ImagePreprocessing, test: ImageSet) -> Part:
    preprocessing.check(test)
    rows = np.arange(len(test))
    if preprocessing.target is None:
        return Part(preprocessing.encode(test.pixels, rows), np.empty((len(test), 0)), rows)
    labels = _labels(test)
    y = level_codes(labels, preprocessing.classes or ()).copy()  # what polars hands out is not ours
    if y.min() < 0:
        row = int(np.flatnonzero(y < 0)[0])
        label = labels[row]
        raise DataError(
            f"{test.name}: image {row + 1:,} has the label {shown(label)}, "
            "which no training image has; leave it out, or add such images to learn from"
        )
    return Part(preprocessing.encode(test.pixels, rows), y, rows)


def _notes(
    images: ImageSet, test: ImageSet | None, options: DataOptions, repeats: int
) -> tuple[str, ...]:
    notes = list(images.notes)
    if test is not None:
        notes += test.notes
        if options.test is None:
            notes.append(f"the test part is the set's own, {counted(len(test), 'image')}")
    if repeats:
        notes.append(
            f"{counted(repeats, 'test image')} also stand in the training part, alike in every "
            f"pixel{'' if options.unsupervised else ' and the label'}: the test score flatters"
        )
    return tuple(notes)


def _fingerprint(images: ImageSet, test: ImageSet | None) -> str:
    tested = test.digest if test is not None else ""
    return hashlib.sha256(f"{images.digest} {tested}".encode()).hexdigest()
