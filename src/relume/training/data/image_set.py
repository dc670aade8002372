"""Images with their labels, as they were read: nothing is split or scaled yet."""

from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

LABEL = "label"
"""What the target of images is called."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageSet:
    """Images of one size.

    Args:
        name: What a person knows them by.
        pixels: (images, channels, height, width), uint8, or float32 where the source has
            fractions, negative numbers or more than 255.
        labels: (images,) the class of each, String and named ``label``; None where unknown.
        digest: SHA-256 of the raw data.
        test: The set's own test part.
        files: The file of each image, where each has one.
        notes: Sentences for a person about what was found and done.
    """

    name: str
    pixels: NDArray[Any]
    labels: pl.Series | None
    digest: str
    test: "ImageSet | None" = None
    files: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width."""
        channels, height, width = self.pixels.shape[1:]
        return channels, height, width


def as_labels(values: NDArray[Any]) -> pl.Series:
    """Return labels as texts.

    Example:
        >>> import numpy as np
        >>> as_labels(np.array([3, 1])).to_list()
        ['3', '1']
    """
    texts = pl.Series(LABEL, values.tolist() if values.dtype.kind == "U" else values)
    return texts.cast(pl.String)


def described(shape: tuple[int, int, int]) -> str:
    """Say what images of a shape are.

    Example:
        >>> described((1, 28, 28)), described((3, 32, 40)), described((2, 8, 8))
        ('grey images of 28×28', 'colour images of 32×40', 'images of 8×8 with 2 channels')
    """
    channels, height, width = shape
    size = f"images of {height}×{width}"
    if channels in (1, 3):
        return f"{'grey' if channels == 1 else 'colour'} {size}"
    return f"{size} with {channels} channels"
