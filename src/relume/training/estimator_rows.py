"""The rows that an estimator learns from: a whole-number weight is that many rows."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import _check_sample_weight

Values = NDArray[Any]

MOST_REPEATS = 10
"""Times the rows that whole-number weights may make of them; beyond, they weigh in the loss."""


def counted_rows(
    X: Any, targets: Values, sample_weight: Any, *, ordered: bool
) -> tuple[Any, Values, Values]:
    """Return the rows that count, and the weight of each.

    A row of weight 0 is left out; where all weights are whole numbers, a row of weight 2 comes
    twice, as if it had been given twice. Unless they are ``ordered``, rows come in an order that
    depends on what they hold alone: the same rows in another order train the same network.

    Args:
        X: Array or sparse matrix (rows, features).
        targets: (rows, outputs).
        sample_weight: None, a number, or (rows,).
        ordered: Whether the order given is to be kept.

    Raises:
        ValueError: A weight is negative, or all are 0.

    Cost: a sort of the rows by one number each, and a copy.

    Example:
        >>> x, y = np.array([[5.0], [6.0], [7.0]]), np.array([[1.0], [0.0], [0.0]])
        >>> rows, _, weights = counted_rows(x, y, [2, 0, 1], ordered=True)
        >>> rows.ravel().tolist(), weights.tolist()
        ([5.0, 5.0, 7.0], [1.0, 1.0, 1.0])
    """
    weights = np.ones(X.shape[0])
    if sample_weight is not None:
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
    if (weights < 0).any():
        raise ValueError("sample_weight must not be negative; some are")
    if not weights.any():
        raise ValueError("sample_weight must be above 0 for some row; all are 0")
    rows = np.flatnonzero(weights)
    if (weights == np.floor(weights)).all() and weights.sum() <= MOST_REPEATS * len(rows):
        rows = np.repeat(np.arange(len(weights)), weights.astype(np.int64))
        weights = np.ones(len(weights))
    if not ordered:
        rows = rows[np.argsort(_places(X, targets)[rows], kind="stable")]
    elif np.array_equal(rows, np.arange(X.shape[0])):
        return X, targets, weights
    taken = X.tocsr()[rows] if hasattr(X, "tocsr") else X[rows]
    return taken, targets[rows], weights[rows]


def _places(X: Any, targets: Values) -> Values:
    """One number a row, by all that it holds: its place along a fixed random direction."""
    random = np.random.default_rng(0)
    with np.errstate(over="ignore", invalid="ignore"):
        along = X @ random.normal(size=X.shape[1]) + targets @ random.normal(size=targets.shape[1])
    return np.asarray(along, dtype=np.float64).ravel()
