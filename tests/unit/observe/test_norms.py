"""Batch norm: each batch beside the running statistics before it, by hand in numpy."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from relume.observe.calls import Calls, Kind
from relume.observe.norms import Norms


class Following:
    """Calls that norms visit, for the length of a block."""

    def __init__(self):
        self.step = 0
        self.norms = Norms(lambda: self.step, lambda _: "")
        self.calls = Calls(lambda *_: None, lambda _: Kind())
        self.calls.visitors.append(self.norms)

    def __enter__(self):
        self.calls.attach()
        return self

    def __exit__(self, *_):
        self.calls.detach()
        assert self.calls.fault is None, repr(self.calls.fault)

    def fact(self):
        (found,) = self.norms.facts()
        return found


@pytest.mark.parametrize(
    ("make", "shape"),
    [
        (lambda: nn.BatchNorm1d(3), (8, 3)),
        (lambda: nn.BatchNorm1d(3, momentum=None), (4, 3, 5)),
        (lambda: nn.BatchNorm2d(3, momentum=0.3), (4, 3, 5, 2)),
        (lambda: nn.BatchNorm3d(3), (2, 3, 2, 2, 2)),
    ],
)
def test_shift_and_spread_are_those_before_the_pass(make, shape):
    torch.manual_seed(0)
    norm, shifts, ratios = make(), [], []
    with Following() as following:
        for step in range(8):
            following.step = step + 1
            x = torch.randn(shape) * (1 + step) + step
            axes = tuple(axis for axis in range(x.ndim) if axis != 1)
            values = x.double().numpy()
            mean, variance = norm.running_mean.numpy().copy(), norm.running_var.numpy().copy()
            spread = values.var(axes, ddof=1)
            shifts.append((np.abs(values.mean(axes) - mean) / np.sqrt(variance + norm.eps)).mean())
            ratios.append(((spread + norm.eps) / (variance + norm.eps)).mean())
            norm(x)
    fact = following.fact()
    assert fact.shift == pytest.approx(np.mean(shifts), rel=1e-5)
    assert fact.spread_ratio == pytest.approx(np.mean(ratios), rel=1e-5)
    assert (fact.passes, fact.least_rows) == (8, shape[0])
    assert fact.least_values == math.prod(shape) // 3
    assert fact.momentum == pytest.approx(norm.momentum, nan_ok=True) if norm.momentum else True
    assert (fact.kind, fact.tracks) == (type(norm).__name__, True)


def test_the_last_looks_count_and_later_passes_are_looked_at_every_tenth():
    norm = nn.BatchNorm1d(1, momentum=0.5)
    seen = []
    with Following() as following:
        for number in range(1, 131):
            following.step = number
            x = torch.tensor([[number - 1.0], [number + 1.0]])
            expected = abs(number - norm.running_mean.item())
            expected /= math.sqrt(norm.running_var.item() + norm.eps)
            if number <= 10 or number % 10 == 0:
                seen.append(expected)
            norm(x)
    fact = following.fact()
    assert fact.passes == 130
    assert fact.shift == pytest.approx(np.mean(seen[-10:]), rel=1e-4)


def test_drift_counts_from_when_the_running_means_have_settled():
    norm = nn.BatchNorm1d(2, momentum=0.1)
    with Following() as following:
        for step in range(1, 61):
            following.step = step
            norm(torch.randn(16, 2) + 5)
            if step < 40:
                assert math.isnan(following.fact().channel_drift)
            if step == 29:
                mean = norm.running_mean.double().numpy().copy()
                deviation = np.sqrt(norm.running_var.double().numpy() + norm.eps)
        now = norm.running_mean.clone()
        following.step = 70
        for _ in range(10):
            now = norm.running_mean.clone()
            norm(torch.randn(16, 2) + 9)
    expected = (np.abs(now.double().numpy() - mean) / deviation).mean()
    assert following.fact().channel_drift == pytest.approx(expected, rel=1e-4)


def test_passes_in_eval_mode_are_counted_apart_and_small_batches_told():
    norm = nn.BatchNorm1d(3)
    with Following() as following:
        norm(torch.randn(8, 3))
        norm(torch.randn(2, 3))
        norm.eval()
        norm(torch.randn(1, 3))
        with torch.no_grad():
            norm(torch.randn(1, 3))
            norm.train()
            norm(torch.randn(5, 3))
    fact = following.fact()
    assert (fact.passes, fact.eval_passes, fact.least_rows, fact.least_values) == (2, 2, 2, 2)


def test_norms_without_running_statistics_lazy_ones_and_others():
    loose, lazy = nn.BatchNorm2d(3, track_running_stats=False), nn.LazyBatchNorm1d()
    with Following() as following:
        loose(torch.randn(1, 3, 2, 2))
        for _ in range(3):
            lazy(torch.randn(6, 4))
        nn.InstanceNorm2d(3)(torch.randn(2, 3, 4, 4))
        nn.GroupNorm(1, 3)(torch.randn(2, 3, 4, 4))
        nn.LayerNorm(4)(torch.randn(2, 4))
    first, second = following.norms.facts()
    assert (first.tracks, first.least_values, first.least_rows) == (False, 4, 1)
    assert math.isnan(first.shift)
    assert (second.passes, second.least_rows) == (3, 6)
    assert second.tracks
    assert math.isfinite(second.shift)


def test_two_norms_of_no_name_have_keys_of_their_own():
    with Following() as following:
        for norm in [nn.BatchNorm1d(2) for _ in range(2)]:
            norm(torch.randn(4, 2))
            del norm
    assert [fact.key for fact in following.norms.facts()] == ["BatchNorm1d", "BatchNorm1d#2"]
