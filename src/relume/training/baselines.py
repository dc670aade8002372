"""What a score is held against: the constant guess, and the best linear model."""

import warnings

import numpy as np
from numpy.typing import NDArray

from relume.training.data.prepare import Part
from relume.training.data.task import Task

MOST_LINEAR_CELLS = 20_000_000
"""Rows x features that the linear baseline is fitted on; above, on a sample of the rows."""


def baseline_predictions(
    task: Task, train: Part, test: Part, *, balanced: bool, seed: int
) -> list[tuple[str, NDArray[np.generic]]]:
    """Return the names and test predictions of the baselines, fitted on the training part.

    Args:
        task: What is predicted.
        train: Encoded training part.
        test: Encoded test part.
        balanced: Whether classes count alike, whatever their size.
        seed: Of the sample, where the training part is too large.

    Cost: one logistic or ridge regression on at most ``MOST_LINEAR_CELLS`` numbers.
    """
    guess: float | np.intp
    if task is Task.CLASSIFICATION:
        name, guess = "majority class", np.bincount(train.y.astype(np.int64)).argmax()
    else:
        name, guess = "mean of training", train.y.astype(np.float64).mean()
    constant = (name, np.full(len(test.y), guess))
    return [constant, _linear(task, train, test, balanced=balanced, seed=seed)]


def _linear(
    task: Task, train: Part, test: Part, *, balanced: bool, seed: int
) -> tuple[str, NDArray[np.generic]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    x, y = train.x, train.y
    most_rows = max(1000, MOST_LINEAR_CELLS // max(1, x.shape[1]))
    sampled = len(x) > most_rows
    if sampled:
        rows = np.random.default_rng(seed).choice(len(x), most_rows, replace=False)
        x, y = x[rows], y[rows]
    if task is Task.CLASSIFICATION:
        weights = "balanced" if balanced else None
        model, name = LogisticRegression(max_iter=500, class_weight=weights), "logistic regression"
    else:
        model, name = Ridge(alpha=1.0), "ridge regression"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, y)
    name += f" (on {most_rows:,} rows)" if sampled else ""
    return name, np.asarray(model.predict(test.x))
