"""Images and sequences of the third group: drawn, photographed, worn, spoken, gestured."""

from collections.abc import Mapping
from functools import cache

import numpy as np

from benchmarks.clinic.arrays import Arrays, MissingDataError, Source


def _shapes(seed: int) -> Arrays:
    """A frame, a disk, a cross or stripes, somewhere on a noisy sheet."""
    rng = np.random.default_rng(seed)
    y, sheets = rng.integers(0, 4, 1600), 0.25 * rng.standard_normal((1600, 1, 12, 12))
    row, column = np.mgrid[:12, :12]
    for sheet, kind in zip(sheets, y, strict=True):
        half = rng.integers(2, 5)
        down, right = rng.integers(half, 12 - half, 2)
        a, b = abs(row - down), abs(column - right)
        inside = (a <= half) & (b <= half)
        drawn = (
            inside & (np.maximum(a, b) == half),
            a**2 + b**2 <= half**2,
            inside & ((a == 0) | (b == 0)),
            inside & (a % 2 == 0),
        )
        sheet[0][drawn[kind]] += rng.uniform(0.8, 1.4)
    return sheets, y


@cache
def _grey_photos() -> tuple[np.ndarray, ...]:
    from sklearn.datasets import load_sample_images

    return tuple(image.mean(2) for image in load_sample_images().images)


def _photos(seed: int) -> Arrays:
    """Pieces of two photographs: a temple or a flower."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, 2000)
    pieces = np.empty((2000, 1, 10, 10))
    for piece, photo in zip(pieces, y, strict=True):
        image = _grey_photos()[photo]
        top, left = (rng.integers(0, size - 10) for size in image.shape)
        piece[0] = image[top : top + 10, left : left + 10]
    return pieces, y


def _clothes(seed: int) -> Arrays:
    images, labels = _clothes_rows()
    chosen = np.random.default_rng(seed).permutation(len(images))[:2600]
    return images[chosen], labels[chosen]


@cache
def _clothes_rows() -> Arrays:
    """The first training images of Fashion-MNIST, of half the size."""
    from relume.training.data.idx_files import DATASETS, read_idx

    folder = DATASETS / "fashion-mnist"
    if not folder.is_dir():
        raise MissingDataError(
            "Fashion-MNIST is not installed: trainings on its smaller images are left out; "
            "install the Debian package dataset-fashion-mnist to have them"
        )
    images, _ = read_idx(folder / "train-images-idx3-ubyte.gz", 3)
    labels, _ = read_idx(folder / "train-labels-idx1-ubyte.gz", 1)
    halved = images[:12000].reshape(-1, 1, 14, 2, 14, 2).mean((3, 5))
    return halved, labels[:12000].astype(np.int64)


def _languages(seed: int) -> Arrays:
    """Which of four languages 24 letters are of: each letter depends on the one before."""
    rng = np.random.default_rng(seed)
    follow = rng.dirichlet(np.full(10, 0.4), (4, 10)).cumsum(2)
    y, words = rng.integers(0, 4, 1500), np.zeros((1500, 24), np.int64)
    words[:, 0] = rng.integers(0, 10, 1500)
    for i in range(1, 24):
        below = follow[y, words[:, i - 1]] < rng.uniform(size=(1500, 1))
        words[:, i] = below.sum(1).clip(max=9)
    return words, y


def _order(seed: int) -> Arrays:
    """Which of two marks came first and which second (Hochreiter & Schmidhuber 1997, task 6)."""
    rng = np.random.default_rng(seed)
    letters, marks = rng.integers(2, 6, (1600, 12)), rng.integers(0, 2, (1600, 2))
    rows = np.arange(1600)
    letters[rows, rng.integers(1, 5, 1600)] = marks[:, 0]
    letters[rows, rng.integers(6, 11, 1600)] = marks[:, 1]
    return np.eye(6)[letters], 2 * marks[:, 0] + marks[:, 1]


def _pulses(seed: int) -> Arrays:
    """What is left of pulses in a vessel that leaks a tenth a step."""
    rng = np.random.default_rng(seed)
    pulses = rng.exponential(1.0, (1500, 14)) * (rng.uniform(size=(1500, 14)) < 0.4)
    return pulses[:, :, None], pulses @ 0.9 ** np.arange(13, -1, -1)


def _peaks(seed: int) -> Arrays:
    """How far a random walk went up."""
    rng = np.random.default_rng(seed)
    walk = rng.standard_normal((1500, 14)).cumsum(1)
    return walk[:, :, None], walk.max(1)


def _gestures(seed: int) -> Arrays:
    """A circle, an eight, a zigzag or a stroke, drawn at any place, size and pace."""
    rng = np.random.default_rng(seed)
    y, t = rng.integers(0, 4, 1600), np.linspace(0, 2 * np.pi, 16)
    t = t * rng.uniform(0.8, 1.2, (1600, 1)) + rng.uniform(0, 2 * np.pi, (1600, 1))
    ways = (
        (np.cos(t), np.sin(t)),
        (np.sin(t), np.sin(2 * t)),
        (t / 3 - 2, np.sign(np.sin(3 * t))),
        (t / 3 - 2, t / 4 - 1.5),
    )
    drawn = np.stack([np.stack(way, 2) for way in ways])[y, np.arange(1600)]
    drawn = drawn * rng.uniform(0.6, 1.4, (1600, 1, 1)) + 0.5 * rng.standard_normal((1600, 1, 2))
    return drawn + 0.15 * rng.standard_normal(drawn.shape), y


SIGNALS: Mapping[str, tuple[str, Source]] = {
    "shapes": ("classes", _shapes),
    "photos": ("binary", _photos),
    "clothes": ("classes", _clothes),
    "languages": ("classes", _languages),
    "order": ("classes", _order),
    "pulses": ("amounts", _pulses),
    "peaks": ("amounts", _peaks),
    "gestures": ("classes", _gestures),
}
"""The kind of each, and its rows for a seed."""
