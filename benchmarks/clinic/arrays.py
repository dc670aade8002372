"""What every source of rows gives, and what is said where one is not installed."""

from collections.abc import Callable

import numpy as np

Arrays = tuple[np.ndarray, np.ndarray]
"""Inputs and targets, one a row."""

Source = Callable[[int], Arrays]
"""Rows for a seed; what is measured is the same for each, or a choice of its rows."""


class MissingDataError(RuntimeError):
    """A data set is not installed here."""
