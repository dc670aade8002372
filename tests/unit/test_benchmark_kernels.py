import numpy as np
import pytest
import torch

from benchmarks.kernels import AXIS, SHAPES, measure, variants
from relume.kernels.unit_sums import UnitSums


@pytest.mark.parametrize("name", SHAPES)
def test_both_ways_of_a_benchmark_add_the_same(name):
    z = SHAPES[name]()
    ours, torchs = UnitSums(z.shape[AXIS]), UnitSums(z.shape[AXIS], native=False)
    for call in variants(z, ours, torchs).values():
        call()
    found, expected = ours.read(), torchs.read()
    assert found.positions == expected.positions > 0
    assert found.fired.tolist() == expected.fired.tolist()
    np.testing.assert_allclose(found.gradient, expected.gradient, rtol=1e-5)


def test_a_slice_of_the_benchmark_runs():
    result = measure(torch.randn(8, 4), rounds=3, values_a_run=3200)
    assert len(result["microseconds"]) == 6
    assert all(time >= 0 for time in result["microseconds"].values())
