"""What the training images taught: one mean and deviation a channel, as plain data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.errors import DataError, ModelFormatError
from relume.training.data import plain
from relume.training.data.channel_scaling import (
    BLOCK,
    Moments,
    channel_moments,
    deviations,
    scaled,
)
from relume.training.data.image_set import ImageSet, described
from relume.training.data.stored import target_from_json
from relume.training.data.target import Target
from relume.training.data.wording import shown

KIND, VERSION = "images", 1
PIXEL_TYPES = ("uint8", "float32")
MOST_FEATURES = 2**26
"""Numbers in one image above which a model's description cannot be meant."""


@dataclass(frozen=True, slots=True)
class ImagePreprocessing:
    """Scales images by ``(pixel - mean) / scale``, channel by channel; 0 where scale is 0.

    Args:
        shape: (channels, height, width) of every image.
        pixel_type: ``uint8`` or ``float32``, as the images were given.
        means: One a channel, over the pixels of the training images.
        scales: One a channel, the standard deviation (ddof 0) of the same.
        target: What is predicted, always classes; None where the pixels are rebuilt.
    """

    shape: tuple[int, int, int]
    pixel_type: str
    means: tuple[float, ...]
    scales: tuple[float, ...]
    target: Target | None

    @classmethod
    def fit(
        cls, pixels: NDArray[Any], rows: NDArray[np.int64], target: Target | None
    ) -> "ImagePreprocessing":
        """Learn from some of the images; no other is looked at.

        Args:
            pixels: (images, channels, height, width), uint8 or float32.
            rows: Which of them are trained on.
            target: What is predicted.

        Cost: one pass (two for float32) in blocks of 1,024 images.
        """
        moments = _byte_moments if pixels.dtype == np.uint8 else channel_moments
        means, scales = moments(pixels, rows)
        shape = (pixels.shape[1], pixels.shape[2], pixels.shape[3])
        return cls(shape, str(pixels.dtype), means, scales, target)

    @property
    def features(self) -> tuple[str, ...]:
        """The name of every pixel, channel by channel, row by row."""
        channels, height, width = self.shape
        return tuple(
            f"channel {channel} row {row} column {column}"
            for channel in range(channels)
            for row in range(height)
            for column in range(width)
        )

    @property
    def targets(self) -> tuple[Target, ...]:
        """What is predicted."""
        return () if self.target is None else (self.target,)

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The class labels in the order of their indices."""
        return None if self.target is None else self.target.classes

    def check(self, images: ImageSet) -> None:
        """Refuse images of another shape, or of another kind of numbers.

        Raises:
            DataError: They are.
        """
        if images.shape != self.shape:
            raise DataError(
                f"{images.name} holds {described(images.shape)}; {described(self.shape)} are needed"
            )
        if str(images.pixels.dtype) != self.pixel_type:
            kinds = {"uint8": "whole numbers from 0 to 255", "float32": "numbers of another range"}
            raise DataError(
                f"{images.name} holds pixels as {kinds[str(images.pixels.dtype)]}; the training "
                f"images held {kinds[self.pixel_type]}: give them in the same range and type"
            )

    def encode(self, pixels: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Encode some of the images; (rows, channels · height · width), float32.

        Cost: one pass in blocks of 1,024 images; nothing of full size beside the result.
        """
        out = np.empty((len(rows), *self.shape), np.float32)
        for start in range(0, len(rows), BLOCK):
            block = pixels[rows[start : start + BLOCK]]
            for channel in range(self.shape[0]):
                out[start : start + BLOCK, channel] = self._scaled(block[:, channel], channel)
        return out.reshape(len(rows), -1)

    def _scaled(self, pixels: NDArray[Any], channel: int) -> NDArray[np.float32]:
        mean, scale = self.means[channel], self.scales[channel]
        if scale == 0 or pixels.dtype != np.uint8:
            return scaled(pixels, mean, scale)
        table = scaled(np.arange(256), mean, scale)
        looked_up: NDArray[np.float32] = table[pixels]
        return looked_up

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON data; floats survive bitwise."""
        fitted: dict[str, Any] = plain.as_plain(self)
        return {"kind": KIND, "version": VERSION, **fitted}

    @classmethod
    def from_json(cls, data: Any) -> "ImagePreprocessing":
        """Return what :meth:`to_json` gave.

        Raises:
            ModelFormatError: A field is missing, unknown, or of a wrong type or range.
        """
        checks: dict[str, plain.Check] = {
            "kind": plain.exactly(KIND),
            "version": plain.exactly(VERSION),
            "shape": plain.sequence(_side, least=3),
            "pixel_type": plain.choice(*PIXEL_TYPES),
            "means": plain.sequence(plain.number),
            "scales": plain.sequence(plain.not_negative),
            "target": plain.optional(target_from_json),
        }
        given = plain.fields(data, "preprocessing", checks)
        shape, target = given["shape"], given["target"]
        if len(shape) != 3 or shape[0] * shape[1] * shape[2] > MOST_FEATURES:
            raise ModelFormatError(f"preprocessing: {shape} is no shape of an image")
        if not len(given["means"]) == len(given["scales"]) == shape[0]:
            raise ModelFormatError(f"preprocessing: {shape[0]} channels need as many means, scales")
        if target and (target.classes is None or (target.mean, target.scale) != (0, 1)):
            raise ModelFormatError("preprocessing: the target of images is classes")
        return cls(shape, given["pixel_type"], given["means"], given["scales"], target)


def _byte_moments(pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Moments:
    """Mean and deviation a channel from counts of the 256 values: exact sums, in any order."""
    channels = pixels.shape[1]
    counts = np.zeros((channels, 256), np.int64)
    for start in range(0, len(rows), BLOCK):
        block = pixels[rows[start : start + BLOCK]]
        for channel in range(channels):
            counts[channel] += np.bincount(block[:, channel].ravel(), minlength=256)
    values = np.arange(256.0)
    shares = counts / counts.sum(axis=1, keepdims=True)
    means = shares @ values
    squares = (shares * (values - means[:, None]) ** 2).sum(axis=1)
    return tuple(means.tolist()), deviations(means, squares)


def _side(value: Any, where: str) -> int:
    side = plain.positive(value, where)
    if not isinstance(value, int) or side > MOST_FEATURES:
        raise ModelFormatError(f"{where} is {shown(value)}, no side of an image")
    return value
