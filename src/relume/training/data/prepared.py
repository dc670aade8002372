"""What the door hands out: three encoded parts and what was learnt on the way."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.preprocessing import AnyPreprocessing
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.task import Task

FEWEST_ROWS = 10
"""Rows below which nothing is learned."""


class Form(StrEnum):
    """What rows come as; it asks for a network."""

    TABLE = "a table"
    IMAGES = "images"
    SEQUENCES = "sequences"
    TEXTS = "a table with texts"


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One of training, validation and test part.

    Args:
        x: (rows, features), float32; the pixels of an image channel by channel, row by row; the
            features of a sequence step by step; the words of texts, as whole numbers, behind all
            other features.
        y: (rows,), class indices as int64, or values in the target's own unit as float32; of
            several targets, or none, (rows, targets), the same as float64.
        rows: (rows,), where each row stands in its source, counted from 0 and ascending.
    """

    x: NDArray[np.float32]
    y: NDArray[np.generic]
    rows: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """Data ready for training.

    Args:
        name: What a person knows the data by.
        task: What is predicted; of several targets the first; None where there is none.
        preprocessing: What was learnt from the training part.
        train: The rows to learn from.
        validation: The rows to steer training by.
        test: The rows to score on.
        notes: Sentences for a person about what was found and done.
        fingerprint: SHA-256 over the raw data, to recognise the same data again.
        image_shape: (channels, height, width) where the features are pixels.
    """

    name: str
    task: Task | None
    preprocessing: AnyPreprocessing
    train: Part
    validation: Part
    test: Part
    notes: tuple[str, ...]
    fingerprint: str
    image_shape: tuple[int, int, int] | None

    @property
    def form(self) -> Form:
        """What the rows came as; the built-in digits come as a table of pixels."""
        if isinstance(self.preprocessing, SequencePreprocessing):
            return Form.SEQUENCES
        if isinstance(self.preprocessing, ImagePreprocessing):
            return Form.IMAGES
        return Form.TEXTS if self.preprocessing.texts else Form.TABLE
