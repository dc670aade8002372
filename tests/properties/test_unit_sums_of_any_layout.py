"""The native sums, the torch operations and numpy agree on any strided tensor."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.kernels.unit_sums import UnitSums

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
SPECIAL = [float("nan"), float("inf"), float("-inf"), -0.0, 0.0, 1e-40, -1e-40]


@st.composite
def strided(draw, special=()):
    """A tensor of whole numbers up to 8, which every sum holds exactly, and its unit axis."""
    sizes = st.lists(st.integers(0, 9), min_size=1, max_size=4)
    shape = draw(sizes | st.tuples(st.integers(1, 300), st.integers(1, 9)))
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    plain = generator.integers(-8, 9, shape).astype(np.float64)
    if special:
        places = generator.random(plain.shape) < 0.2
        plain[places] = generator.choice(special, places.sum())
    values = torch.from_numpy(plain).to(draw(st.sampled_from(DTYPES)))
    values = values.permute(draw(st.permutations(range(values.ndim))))
    for axis in range(values.ndim):
        step, start = draw(st.integers(1, 3)), draw(st.integers(0, 2))
        values = values[(slice(None),) * axis + (slice(start, None, step),)]
    if draw(st.booleans()):
        position = draw(st.integers(0, values.ndim))
        values = values.unsqueeze(position)
        values = values.expand([3 if i == position else -1 for i in range(values.ndim)])
    return values, draw(st.integers(-values.ndim, values.ndim - 1))


def add_all(values, axis, *, native):
    """Every sum there is; firing and saturation by themselves, the outputs twice."""
    sums = UnitSums(values.shape[axis], native=native)
    sums.add_firing(values, axis, 1.0)
    sums.add_output(values, axis)
    sums.add_output_above(values, axis, -2.5)
    sums.add_output_nonzero(values, axis)
    sums.add_saturation(values, axis, -7.0, 6.0)
    sums.add_gradient(values, axis)
    return sums.read()


def fields(totals):
    return (
        totals.positions, totals.gradient_positions, totals.fired, totals.saturated,
        totals.total, totals.total_square, totals.gradient,
    )  # fmt: skip


def by_numpy(values, axis):
    array = np.moveaxis(values.double().numpy(), axis, 0)
    plain = array.reshape(len(array), array[0].size if len(array) else 0)
    positions = plain.shape[1]
    fired = (plain > 1).sum(1) + (plain > -2.5).sum(1) + (plain != 0).sum(1)
    saturated = ((plain <= -7) | (plain >= 6)).sum(1)
    with np.errstate(invalid="ignore"):
        return (
            3 * positions, positions, fired, saturated,
            3 * plain.sum(1), 3 * (plain**2).sum(1), np.abs(plain).sum(1),
        )  # fmt: skip


@settings(max_examples=300, deadline=None, derandomize=True)
@given(strided())
def test_whole_numbers_are_added_exactly(drawn):
    values, axis = drawn
    expected = by_numpy(values, axis)
    for native in (True, False):
        for found, wanted in zip(
            fields(add_all(values, axis, native=native)), expected, strict=True
        ):
            np.testing.assert_array_equal(found, wanted)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(strided(SPECIAL))
def test_special_values_change_no_count_and_show_in_the_sums(drawn):
    values, axis = drawn
    for native in (True, False):
        found = fields(add_all(values, axis, native=native))
        expected = by_numpy(values, axis)
        for ours, wanted in zip(found[:4], expected[:4], strict=True):
            np.testing.assert_array_equal(ours, wanted)
        for ours, wanted in zip(found[4:], expected[4:], strict=True):
            np.testing.assert_allclose(ours, wanted, atol=1e-36)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(strided(), st.data())
def test_a_tensor_may_be_added_in_parts(drawn, data):
    values, axis = drawn
    whole = add_all(values, axis, native=True)
    others = [other for other in range(values.ndim) if other != axis % values.ndim]
    if not others or not values.numel():
        return
    along = data.draw(st.sampled_from(others))
    cut = data.draw(st.integers(0, values.shape[along]))
    parts = [add_all(part, axis, native=True) for part in values.tensor_split([cut], dim=along)]
    for all_at_once, first, second in zip(fields(whole), *map(fields, parts), strict=True):
        np.testing.assert_array_equal(all_at_once, first + second)
