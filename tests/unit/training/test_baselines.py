"""The linear rival of a table with texts."""

import numpy as np
import pytest
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from relume.training.baselines import baseline_predictions
from relume.training.data.prepare import Part
from relume.training.data.task import Task

RNG = np.random.default_rng(0)
STEPS, VOCABULARY = 6, 14


def part(rows):
    """Two features and a text; the class hangs on one of the words."""
    ids = RNG.integers(1, VOCABULARY, (rows, STEPS))
    ids[np.arange(STEPS) >= RNG.integers(0, STEPS + 1, rows)[:, None]] = 0
    x = np.hstack([RNG.normal(size=(rows, 2)), ids]).astype(np.float32)
    return Part(x, ((ids == 5).any(1) ^ (x[:, 0] > 1)).astype(np.int64), np.arange(rows))


@pytest.mark.parametrize("task", [Task.CLASSIFICATION, Task.REGRESSION])
def test_it_sees_the_bag_of_words_beside_the_features(task):
    train, test = part(120), part(60)
    _, (name, guess) = baseline_predictions(
        task, train, test, balanced=False, seed=0, texts=[[VOCABULARY, STEPS]]
    )
    words = TfidfVectorizer(
        sublinear_tf=True,
        analyzer=str.split,
        vocabulary=[str(word) for word in range(2, VOCABULARY)],
    )
    texts = [
        [" ".join(f"{i:.0f}" for i in row[2:] if i) for row in each.x] for each in (train, test)
    ]
    seen = words.fit_transform(texts[0]), words.transform(texts[1])
    x = [
        hstack([each.x[:, :2], tfidf]).tocsr()
        for each, tfidf in zip((train, test), seen, strict=True)
    ]
    is_classes = task is Task.CLASSIFICATION
    model = (LogisticRegression(max_iter=500) if is_classes else Ridge()).fit(x[0], train.y)
    np.testing.assert_allclose(guess, model.predict(x[1]), rtol=1e-4, atol=1e-4)
    kind = "logistic" if is_classes else "ridge"
    assert name == f"{kind} regression on bag of words"
