"""What a score is held against: the constant guess, and the best linear model."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relume.training.data.prepare import Part
from relume.training.data.task import Task
from relume.training.data.text import FIRST_WORD

MOST_LINEAR_CELLS = 20_000_000
"""Rows x features that the linear baseline is fitted on; above, on a sample of the rows."""


def baseline_predictions(
    task: Task,
    train: Part,
    test: Part,
    *,
    balanced: bool,
    seed: int,
    texts: Sequence[Sequence[int]] = (),
) -> list[tuple[str, NDArray[np.generic]]]:
    """Return the names and test predictions of the baselines, fitted on the training part.

    Args:
        task: What is predicted.
        train: Encoded training part.
        test: Encoded test part.
        balanced: Whether classes count alike, whatever their size.
        seed: Of the sample, where the training part is too large.
        texts: Vocabulary and steps of each text, whose words stand behind the features.

    Cost: one logistic or ridge regression on at most ``MOST_LINEAR_CELLS`` numbers.
    """
    guess: float | np.intp
    if task is Task.CLASSIFICATION:
        name, guess = "majority class", np.bincount(train.y.astype(np.int64)).argmax()
    else:
        name, guess = "mean of training", train.y.astype(np.float64).mean()
    constant = (name, np.full(len(test.y), guess))
    name, predictions = _linear(
        task, train, _inputs(train, test, texts), balanced=balanced, seed=seed
    )
    return [constant, (name + (" on bag of words" if texts else ""), predictions)]


def _inputs(train: Part, test: Part, texts: Sequence[Sequence[int]]) -> tuple[Any, Any]:
    """Return what the linear model sees: the features, and of each text its weighted words.

    A word weighs 1 + log of how often it stands in the text, times its inverse document frequency
    in the training part; the weights of a text have length 1.
    """
    if not texts:
        return train.x, test.x
    from scipy.sparse import csr_matrix, hstack
    from sklearn.feature_extraction.text import TfidfTransformer

    start = train.x.shape[1] - sum(steps for _, steps in texts)
    seen = [[csr_matrix(part.x[:, :start])] for part in (train, test)]
    for vocabulary, steps in texts:
        counts = [
            word_counts(part.x[:, start : start + steps], vocabulary) for part in (train, test)
        ]
        weigh = TfidfTransformer(sublinear_tf=True).fit(counts[0])
        for parts, count in zip(seen, counts, strict=True):
            parts.append(weigh.transform(count))
        start += steps
    return hstack(seen[0], "csr"), hstack(seen[1], "csr")


def word_counts(ids: NDArray[np.float32], vocabulary: int) -> Any:
    """Return how often each known word stands in each row, as a sparse (rows, words) matrix.

    Example:
        >>> word_counts(np.array([[2, 3, 2], [1, 3, 0]]), 4).toarray().tolist()
        [[2.0, 1.0], [0.0, 1.0]]
    """
    from scipy.sparse import csr_matrix

    rows, steps = np.nonzero(ids >= FIRST_WORD)
    words = ids[rows, steps].astype(np.int64) - FIRST_WORD
    shape = (len(ids), vocabulary - FIRST_WORD)
    return csr_matrix((np.ones(len(words)), (rows, words)), shape)


def _linear(
    task: Task, train: Part, inputs: tuple[Any, Any], *, balanced: bool, seed: int
) -> tuple[str, NDArray[np.generic]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    (x, test_x), y = inputs, train.y
    most_rows = max(1000, MOST_LINEAR_CELLS // max(1, train.x.shape[1]))
    sampled = len(y) > most_rows
    if sampled:
        rows = np.random.default_rng(seed).choice(len(y), most_rows, replace=False)
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
    return name, np.asarray(model.predict(test_x))
