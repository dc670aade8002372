import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.training.data import channel_scaling
from relume.training.data.channel_scaling import channel_moments


@pytest.mark.parametrize("block", [3, 1024])
@settings(deadline=None, derandomize=True, max_examples=50)
@given(seed=st.integers(0, 2**32), offset=st.sampled_from([0, 1e6]), holes=st.booleans())
def test_moments_are_numpys(block, seed, offset, holes):
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=(20, 3, 4)) + offset).astype(np.float32)
    rows = rng.permutation(20)[:11]
    present = rng.random((20, 4)) < 0.5 if holes else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel_scaling, "BLOCK", block)
        means, scales = channel_moments(values, rows, present)
    for channel in range(3):
        chosen = values[rows, channel].astype(np.float64)
        chosen = chosen[present[rows]] if holes else chosen
        assert means[channel] == pytest.approx(chosen.mean(), rel=1e-12, abs=1e-12)
        assert scales[channel] == pytest.approx(chosen.std(), rel=1e-9)


def test_values_that_are_absent_may_be_anything():
    values = np.array([[[1.0, np.nan]], [[3.0, np.inf]]], np.float32)
    present = np.array([[True, False], [True, False]])
    assert channel_moments(values, np.arange(2), present) == ((2.0,), (1.0,))
