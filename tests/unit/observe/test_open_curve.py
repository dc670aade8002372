"""The curve of the losses against its definition, by brute force over all the steps."""

import math
from contextlib import closing

import numpy as np
import pytest
import torch

from relume.observe.curve import MOST_BUCKETS, OpenCurve
from relume.runs.loss_curve import Curve
from relume.runs.query import read_run
from relume.runs.store import RunWriter


def plain(losses, rates, bucket_steps):
    """Bucket after bucket of the whole list."""
    rows = []
    for first in range(0, len(losses), bucket_steps):
        bucket = losses[first : first + bucket_steps]
        seen = [loss for loss in bucket if loss is not None and math.isfinite(loss)]
        bad = sum(loss is not None and not math.isfinite(loss) for loss in bucket)
        told = (np.mean(seen), min(seen), max(seen)) if seen else (math.nan,) * 3
        rows.append((*told, rates[first : first + bucket_steps][-1], bad))
    return np.array(rows).T


def values_of(curve):
    return np.array([curve.losses, curve.least, curve.greatest, curve.rates, curve.nonfinite])


@pytest.mark.parametrize("together", [1, 60])
@pytest.mark.parametrize("as_tensor", [False, True])
@pytest.mark.parametrize("steps", [1, MOST_BUCKETS, MOST_BUCKETS + 1, 4 * MOST_BUCKETS + 5])
def test_the_buckets_hold_what_the_steps_held(steps, as_tensor, together):
    random = np.random.default_rng(steps)
    losses = [float(loss) for loss in random.normal(size=steps)]
    losses[::7] = [None] * len(losses[::7])
    for place, bad in ((3, math.nan), (5, math.inf), (11, -math.inf)):
        losses[place:steps:29] = [bad] * len(losses[place:steps:29])
    rates = [float(rate) for rate in random.uniform(size=steps)]
    curve = OpenCurve()
    ended = []
    for number, (loss, rate) in enumerate(zip(losses, rates, strict=True)):
        is_tensor = as_tensor and number % 3 and loss is not None
        given = torch.tensor(loss, dtype=torch.float64) if is_tensor else loss
        ended.append((number + 1, given, rate, False))
    for first in range(0, steps, together):
        curve.add(ended[first : first + together])
        if first % 97 == 0:
            curve.value()  # looked at on the way
    value = curve.value()
    assert len(value.losses) <= MOST_BUCKETS
    assert value.steps[-1] - value.bucket_steps < steps <= value.steps[-1]
    np.testing.assert_allclose(values_of(value), plain(losses, rates, value.bucket_steps))


def test_it_can_be_looked_at_on_the_way():
    curve = OpenCurve()
    assert len(curve.value().losses) == 0
    for step in range(2 * MOST_BUCKETS):
        curve.add([(step, torch.tensor(float(step)), 0.1, False)])
        if step % 100 == 0:
            assert curve.value().greatest[-1] == step
    assert curve.value().losses.sum() * 2 == sum(range(2 * MOST_BUCKETS))


def test_a_run_file_keeps_the_last_one(tmp_path):
    path = tmp_path / "run.sqlite"
    open_curve = OpenCurve()
    with closing(RunWriter(path)) as writer:
        for loss in (2.0, None, math.nan, 0.5):
            open_curve.add([(1, loss, 0.1, False)])
            writer.write_curve(open_curve.value())
    assert len(Curve.empty().steps) == 0
    np.testing.assert_equal(values_of(read_run(path).curve), values_of(open_curve.value()))


@pytest.mark.parametrize("steps", [1, 511, 512, 1025, 3000])
def test_a_curve_that_is_gone_on_with_is_the_same(steps):
    losses = np.random.default_rng(1).normal(size=5000).tolist()
    losses[7] = math.nan

    def told(first, last):
        return [(i + 1, losses[i], 0.1 * i, False) for i in range(first, last)]

    whole, early, late = OpenCurve(), OpenCurve(), OpenCurve()
    whole.add(told(0, 5000))
    early.add(told(0, steps))
    late.resume(early.value(), steps)
    late.add(told(steps, 5000))
    a, b = whole.value(), late.value()
    assert a.bucket_steps == b.bucket_steps
    for name in ("losses", "least", "greatest", "rates", "nonfinite"):
        np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=1e-12, atol=1e-12)
