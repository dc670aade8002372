"""Reads idx files, the format of MNIST and its kin: raw or gzipped, every size checked.

An idx file is a magic number (two zero bytes, a type, the number of axes), the size of each axis
as a big-endian 32-bit number, and the values row by row (LeCun, Cortes & Burges, "The MNIST
database of handwritten digits", yann.lecun.com/exdb/mnist). Images are unsigned bytes on three
axes, labels on one.
"""

import gzip
import hashlib
import math
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.image_set import ImageSet, as_labels
from relume.training.data.wording import counted, shown

DATASETS = Path("/usr/share/datasets")
"""Where Debian's packages put data sets."""

USUAL_FILES = "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-..., each raw or .gz"
UNSIGNED_BYTE = 8
MOST_BYTES = 2**31
"""Values in one file above which it is not read."""


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A data set that is known by name; ``package`` is the Debian package that installs it."""

    name: str
    package: str | None


NAMED_SETS = (NamedSet("fashion-mnist", "dataset-fashion-mnist"), NamedSet("mnist", None))

_FILE = re.compile(
    r"(?P<part>train|t10k|test)-(?P<what>images|labels)[-.]idx[13]-ubyte(?:\.gz)?", re.IGNORECASE
)


def find_named_set(data: object) -> NamedSet | None:
    """Return the named set of that exact name, or None.

    Example:
        >>> find_named_set("fashion-mnist").package, find_named_set("fashion")
        ('dataset-fashion-mnist', None)
    """
    return next((one for one in NAMED_SETS if one.name == str(data)), None)


def named_folder(named: NamedSet) -> Path:
    """Return where the idx files of a named set lie: as a package put them, or beside us.

    Raises:
        DataError: They are in neither place; the line says how to get them.
    """
    installed = DATASETS / named.name
    for folder in (installed, Path(named.name)):
        if is_idx_folder(folder):
            return folder
    missing = f"{named.name} is not here: no idx files in {installed}"
    if named.package is not None:
        raise DataError(f"{missing}; install them: sudo apt-get install {named.package}")
    raise DataError(f"{missing}; give a folder with its idx files instead ({USUAL_FILES})")


def is_idx_folder(folder: Path) -> bool:
    """Tell whether a folder holds idx files under their usual names."""
    return folder.is_dir() and any(_FILE.fullmatch(path.name) for path in folder.iterdir())


def read_idx_folder(folder: Path, name: str) -> ImageSet:
    """Read the idx files of a folder; ``t10k`` or ``test`` files are its own test part.

    Raises:
        DataError: A file is damaged, images are missing, or there are not as many labels.
    """
    files = _usual_files(folder)
    parts = [
        _read_part(name, files[part, "images"], files.get((part, "labels")))
        for part in ("train", "test")
        if (part, "images") in files
    ]
    if not parts:
        raise DataError(f"{name} holds labels without images; the usual files are {USUAL_FILES}")
    whole, *tests = parts
    if not tests:
        return whole
    (test,) = tests
    if test.shape != whole.shape:
        raise DataError(f"{name}: the test images have another size than the training images")
    return ImageSet(name, whole.pixels, whole.labels, whole.digest, test)


def read_idx(path: Path, axes: int) -> tuple[NDArray[np.uint8], str]:
    """Read one idx file of unsigned bytes.

    Args:
        path: The file, gzipped if its first bytes say so.
        axes: How many axes are wanted: 3 for images, 1 for labels.

    Returns:
        The values, and SHA-256 of them with their sizes.

    Raises:
        DataError: It cannot be read, is no idx file of these axes, or not of the size it says.
    """
    name = shown(path.name)
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            if not zipped:
                return _parsed(raw, name, axes)
            with gzip.open(raw) as unzipped:
                return _parsed(unzipped, name, axes)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name} is a damaged or cut-off gzip file; get it again") from error
    except OSError as error:
        raise DataError(f"{name} cannot be read: {error.strerror or error}") from error


def _parsed(
    file: "IO[bytes] | gzip.GzipFile", name: str, axes: int
) -> tuple[NDArray[np.uint8], str]:
    header = file.read(4 + 4 * axes)
    wanted = bytes([0, 0, UNSIGNED_BYTE, axes])
    if header[:4] != wanted:
        raise DataError(
            f"{name} is no idx file of unsigned bytes on {counted(axes, 'axis', 'axes')}: "
            f"it begins with {header[:4].hex(' ') or 'nothing'}, not {wanted.hex(' ')}"
        )
    if len(header) < 4 + 4 * axes:
        raise DataError(f"{name} is cut off within its header; get it again")
    sizes = np.frombuffer(header, ">u4", offset=4).tolist()
    expected = math.prod(sizes)
    if expected > MOST_BYTES:
        raise DataError(f"{name} says that it holds {expected:,} bytes: too many to read")
    values = file.read(expected + 1)
    if len(values) != expected:
        held = f"only {len(values):,}" if len(values) < expected else "more"
        raise DataError(f"{name} should hold {expected:,} bytes, but holds {held}; get it again")
    digest = hashlib.sha256(header + values).hexdigest()
    return np.frombuffer(values, np.uint8).reshape(sizes), digest


def _usual_files(folder: Path) -> dict[tuple[str, str], Path]:
    """The files by part and content; of a file that is there raw and gzipped, the raw one."""
    files: dict[tuple[str, str], Path] = {}
    for path in sorted(folder.iterdir(), reverse=True):  # "x.gz" before "x", which replaces it
        match = _FILE.fullmatch(path.name)
        if match and path.is_file():
            part = "train" if match["part"].lower() == "train" else "test"
            files[part, match["what"].lower()] = path
    return files


def _read_part(name: str, images: Path, labels: Path | None) -> ImageSet:
    pixels, digest = read_idx(images, 3)
    if not pixels.size:
        raise DataError(f"{shown(images.name)} holds no images")
    pixels = pixels[:, None]
    if labels is None:
        return ImageSet(name, pixels, None, digest)
    values, digest_of_labels = read_idx(labels, 1)
    if len(values) != len(pixels):
        raise DataError(
            f"{name}: {shown(images.name)} holds {len(pixels):,} images, but "
            f"{shown(labels.name)} {len(values):,} labels; they do not belong together"
        )
    return ImageSet(name, pixels, as_labels(values), f"{digest} {digest_of_labels}")
