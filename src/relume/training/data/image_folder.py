"""Reads a folder of images, one subfolder a class; whatever cannot be read is skipped and said."""

import hashlib
import io
import math
import statistics
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from relume.errors import DataError
from relume.training.data.image_set import LABEL, ImageSet, described
from relume.training.data.wording import counted, listed, shown

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm", ".pbm"}
)
LARGEST_SIDE = 64
"""The longer side that images are brought to at most."""

MOST_VALUES = 2**28
"""Pixels times channels of all images together: 256 MiB as read, 1 GiB as float32."""

MOST_PIXELS = 2**26
"""Pixels of one image above which it is not unpacked."""

GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True, slots=True)
class _File:
    """An image file whose header could be read."""

    path: Path
    place: str  # below the folder
    size: tuple[int, int]  # height, width
    is_grey: bool


def read_image_folder(
    folder: Path, name: str, shape: tuple[int, int, int] | None = None
) -> ImageSet:
    """Read the images below a folder; the subfolder that an image lies in is its class.

    All are brought to one size: the median height and width, smaller in proportion where the
    longer side is above 64 or all together would not fit. They are grey if every file is, else
    colour. What is transparent is laid on white; cameras' turns are undone. A folder without
    subfolders holds images without labels.

    Args:
        folder: The folder.
        name: What a person knows it by.
        shape: (channels, height, width) to bring them to; None to choose.

    Raises:
        DataError: No image is there or can be read.

    Cost: every file is opened twice (size first); one full image at a time beside the result.
    """
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS)
    if not paths:
        raise DataError(
            f"{shown(folder, 200)} holds no images ({', '.join(sorted(ENDINGS))}) and no idx "
            "files; images lie in one subfolder a class"
        )
    skipped: list[tuple[str, str]] = []
    files = _opened(folder, paths, skipped)
    target = shape or _chosen_shape(name, files)
    pixels, kept, digest = _decoded(files, target, skipped)
    if not kept:
        place, reason = skipped[0]
        raise DataError(f"{name}: no image can be read; {shown(place, 200)}: {reason}")
    places = tuple(file.place for file in kept)
    return ImageSet(
        name=name,
        pixels=pixels,
        labels=_classes(name, places),
        digest=digest,
        files=places,
        notes=_notes(folder, kept, skipped, target),
    )


def _opened(folder: Path, paths: Sequence[Path], skipped: list[tuple[str, str]]) -> list[_File]:
    """Read the headers: size and colours of each file."""
    files = []
    for path in paths:
        place = path.relative_to(folder).as_posix()
        try:
            with path.open("rb") as raw, _image(raw) as image:
                height, width = image.height, image.width
                if image.getexif().get(0x0112, 1) > 4:  # lies on its side
                    height, width = width, height
                files.append(_File(path, place, (height, width), image.mode in GREY_MODES))
        except Exception as error:  # noqa: BLE001 (decoders raise anything; the file is named)
            skipped.append((place, _reason(error)))
    return files


def _image(raw: Any) -> "Image":
    """Open an image without unpacking it.

    Raises:
        ValueError: It has more pixels than are unpacked.
    """
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        image = Image.open(raw)
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"{image.width:,}×{image.height:,} pixels are too many to unpack")
    return image


def _chosen_shape(name: str, files: Sequence[_File]) -> tuple[int, int, int]:
    if not files:
        return (1, 1, 1)
    channels = 1 if all(file.is_grey for file in files) else 3
    height, width = (
        statistics.median(sides) for sides in zip(*(f.size for f in files), strict=True)
    )
    most = min(height * width, MOST_VALUES / (len(files) * channels))
    scale = min(1.0, LARGEST_SIDE / max(height, width), math.sqrt(most / (height * width)))
    if scale < 1 and most < 64:
        raise DataError(f"{name} holds {len(files):,} images: too many to hold; give fewer")
    return (channels, max(1, int(height * scale)), max(1, int(width * scale)))


def _decoded(
    files: Sequence[_File], shape: tuple[int, int, int], skipped: list[tuple[str, str]]
) -> tuple[NDArray[np.uint8], list[_File], str]:
    """Unpack and resize one file after the other; also return SHA-256 over places and bytes."""
    pixels = np.empty((len(files), *shape), np.uint8)
    digest = hashlib.sha256(repr(shape).encode())
    kept: list[_File] = []
    for file in files:
        try:
            raw = file.path.read_bytes()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                pixels[len(kept)] = _resized(_image(io.BytesIO(raw)), shape)
        except Exception as error:  # noqa: BLE001 (decoders raise anything; the file is named)
            skipped.append((file.place, _reason(error)))
            continue
        kept.append(file)
        digest.update(
            f"{file.place}\0{hashlib.sha256(raw).hexdigest()}\n".encode("utf-8", "replace")
        )
    return pixels[: len(kept)], kept, digest.hexdigest()


def _resized(image: "Image", shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Unpack one image to (channels, height, width)."""
    from PIL import Image, ImageOps

    channels, height, width = shape
    mode = "L" if channels == 1 else "RGB"
    image.draft(mode, (2 * width, 2 * height))  # a JPEG of many pixels is unpacked smaller
    image = ImageOps.exif_transpose(image)
    if image.mode == "F":
        raise ValueError("pixels with fractions are not read; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        deep = np.asarray(image).astype(np.int64)
        image = Image.fromarray((deep.clip(0, 65535) >> 8).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    image = image.convert(mode)
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)  # averages what it shrinks
    values = np.asarray(image)
    return values[None] if channels == 1 else values.transpose(2, 0, 1)


def _classes(name: str, places: Sequence[str]) -> pl.Series | None:
    """The first folder of each place; None if all lie in the folder itself."""
    parents = [place.split("/", 1)[0] if "/" in place else None for place in places]
    if not any(parents):
        return None
    loose = [place for place, parent in zip(places, parents, strict=True) if parent is None]
    if loose:
        raise DataError(
            f"{name}: {listed(loose, most=3)} lie beside the subfolders of the classes; "
            "move each into the subfolder of its class"
        )
    return pl.Series(LABEL, parents, dtype=pl.String)


def _notes(
    folder: Path,
    kept: Sequence[_File],
    skipped: Sequence[tuple[str, str]],
    shape: tuple[int, int, int],
) -> tuple[str, ...]:
    notes = []
    if skipped:
        first = "; ".join(f"{shown(place, 80)}: {reason}" for place, reason in skipped[:4])
        more = f"; and {len(skipped) - 4:,} more" if len(skipped) > 4 else ""
        notes.append(f"{counted(len(skipped), 'file')} could not be read, left out: {first}{more}")
    present = {file.place.split("/", 1)[0] for file in kept}
    empty = sorted(
        path.name for path in folder.iterdir() if path.is_dir() and path.name not in present
    )
    if empty:
        notes.append(f"no image in {listed(empty)}: left out as a class")
    sizes = Counter(file.size for file in kept)
    if set(sizes) != {shape[1:]}:
        was = counted(len(sizes), "size")
        notes.append(f"files of {was} were brought to {described(shape)}")
    if len({file.is_grey for file in kept}) == 2:
        notes.append(
            "grey and colour files are mixed; all were read as "
            + ("grey" if shape[0] == 1 else "colour")
        )
    return tuple(notes)


def _reason(error: Exception) -> str:
    """What is wrong with a file, on one line."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "no image of a known format"
    return " ".join(str(error).split()) or type(error).__name__
