from functools import partial

import numpy as np
import pytest
from sklearn import metrics

from relume.training.scores import METRICS, score_against

RNG = np.random.default_rng(0)
CLASSES = RNG.integers(0, 4, 200)
GUESSES = np.where(RNG.random(200) < 0.7, CLASSES, RNG.integers(0, 4, 200))
VALUES = RNG.normal(100, 5, 200)
ESTIMATES = VALUES + RNG.normal(0, 2, 200)

PEERS = {
    "accuracy": (metrics.accuracy_score, CLASSES, GUESSES),
    "balanced accuracy": (metrics.balanced_accuracy_score, CLASSES, GUESSES),
    "r2": (metrics.r2_score, VALUES, ESTIMATES),
    "variance rebuilt": (
        partial(metrics.r2_score, multioutput="variance_weighted"),
        np.stack([VALUES, CLASSES], axis=1),
        np.stack([ESTIMATES, GUESSES], axis=1),
    ),
}


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_against_scikit_learn_also_under_weights(name):
    peer, y, guess = PEERS[name]
    weights = np.stack([np.ones(200), *RNG.integers(0, 4, (5, 200))]).astype(float)
    ours = METRICS[name](y, guess, weights)
    for value, weight in zip(ours, weights, strict=True):
        assert value == pytest.approx(peer(y, guess, sample_weight=weight), abs=1e-12)


def test_r2_keeps_its_digits_far_from_zero():
    y = VALUES + 1e7
    weights = np.ones((1, 200))
    assert METRICS["r2"](y, ESTIMATES + 1e7, weights)[0] == pytest.approx(
        metrics.r2_score(VALUES, ESTIMATES), abs=1e-7
    )


def test_the_interval_of_an_accuracy_is_near_the_binomial_one():
    right = np.zeros(400, np.int64)
    right[:320] = 1
    score, _ = score_against(METRICS["accuracy"], np.ones(400, np.int64), right)
    error = 1.96 * np.sqrt(0.8 * 0.2 / 400)
    assert score.value == 0.8
    assert score.interval == pytest.approx((0.8 - error, 0.8 + error), abs=0.006)


def test_the_interval_of_a_difference_knows_that_rows_are_shared():
    y = np.ones(300, np.int64)
    rival = np.where(np.arange(300) < 200, 1, 0)
    better = np.where(np.arange(300) < 210, 1, 0)
    score, (comparison,) = score_against(METRICS["accuracy"], y, better, [("rival", rival)])
    assert comparison.name == "rival"
    assert comparison.difference.value == pytest.approx(10 / 300)
    low, high = comparison.difference.interval
    assert 0.01 < low < 10 / 300 < high < 0.06  # unpaired it would be about 0.15 wide
    assert high - low < score.interval[1] - score.interval[0]


def test_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = 0
    for seed in range(100):
        y = np.ones(150, np.int64)
        guess = (rng.random(150) < 0.8).astype(np.int64)
        score, _ = score_against(METRICS["accuracy"], y, guess, seed=seed)
        covered += score.interval[0] <= 0.8 <= score.interval[1]
    assert 87 <= covered <= 100


def test_the_same_seed_draws_the_same_interval():
    first = score_against(METRICS["r2"], VALUES, ESTIMATES, seed=3)
    assert first == score_against(METRICS["r2"], VALUES, ESTIMATES, seed=3)
    assert first != score_against(METRICS["r2"], VALUES, ESTIMATES, seed=4)


def test_a_constant_truth_has_no_r2():
    score, _ = score_against(METRICS["r2"], np.ones(5), np.zeros(5))
    assert np.isnan(score.interval).all()


def test_blocks_of_bounded_memory_change_nothing(monkeypatch):
    from relume.training import scores

    whole = score_against(METRICS["accuracy"], CLASSES, GUESSES)
    monkeypatch.setattr(scores, "_CELLS", 1000)
    assert score_against(METRICS["accuracy"], CLASSES, GUESSES) == whole
