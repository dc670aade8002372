"""The functions that torch has not, and how ours differ where a person asks for it."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import SettingsError
from relume.nn import functional
from relume.nn.facts import Kind
from relume.nn.gated import maxout
from relume.nn.registry import activations

FINITE = st.floats(-1e6, 1e6)
quick = settings(max_examples=50, deadline=None, derandomize=True)


def doubles(*numbers):
    return torch.tensor(numbers, dtype=torch.float64, requires_grad=True)


@pytest.mark.parametrize("subgradient", [0.0, 0.5, 1.0, 0.3])
def test_relu_takes_the_chosen_subgradient_at_both_zeros(subgradient):
    x = doubles(-2.0, -0.0, 0.0, 3.0)
    functional.relu(x, subgradient_at_zero=subgradient).sum().backward()
    assert x.grad.tolist() == [0, subgradient, subgradient, 1]


@pytest.mark.parametrize("subgradient", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_relu_has_torchs_values_whatever_the_subgradient(subgradient, dtype):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    x[:6] = torch.tensor([0.0, -0.0, math.inf, -math.inf, math.nan, 1e-40])
    ours = functional.relu(x, subgradient_at_zero=subgradient)
    torch.testing.assert_close(ours, torch.relu(x), rtol=0, atol=0, equal_nan=True)
    assert torch.equal(torch.signbit(ours[:2]), torch.signbit(torch.relu(x[:2])))


def test_relu_with_a_subgradient_keeps_infinities_out_of_the_gradient():
    x = doubles(math.inf, -math.inf, 0.0)
    functional.relu(x, subgradient_at_zero=0.5).backward(torch.ones(3, dtype=torch.float64))
    assert x.grad.tolist() == [1, 0, 0.5]


def test_relu_with_a_subgradient_has_second_derivative_zero():
    x = doubles(-1.0, 0.0, 1.0)
    y = functional.relu(x, subgradient_at_zero=0.5).square().sum() / 2
    (first,) = torch.autograd.grad(y, x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert first.tolist() == [0, 0, 1]
    assert second.tolist() == [0, 0.25, 1]  # the square of the derivative, and no more


@pytest.mark.parametrize("subgradient", [-0.1, 1.5, math.nan])
def test_relu_refuses_what_is_no_subgradient(subgradient):
    with pytest.raises(SettingsError, match=r"must lie in \[0, 1\]; got"):
        functional.relu(torch.zeros(1), subgradient_at_zero=subgradient)


def away_from_knots(entry):
    generator = torch.Generator().manual_seed(0)
    x = 3 * torch.randn(6, 4, generator=generator, dtype=torch.float64)
    for knot in (-3.0, 0.0, 1.0, 3.0, 6.0):
        x = torch.where((x - knot).abs() < 0.05, x + 0.2, x)
    if entry.name == "maxout":  # its knots lie where pieces tie
        assert (x[:, :2] - x[:, 2:]).abs().min() > 0.05
    x = torch.complex(x, x.roll(1, 0)) if entry.kind is Kind.COMPLEX else x
    return x.requires_grad_()


@pytest.mark.parametrize("entry", activations(), ids=lambda entry: entry.name)
def test_first_and_second_derivatives_agree_with_differences(entry):
    x = away_from_knots(entry)
    assert torch.autograd.gradcheck(entry.function, x, rtol=1e-6, atol=1e-7)
    if entry.name == "hardsigmoid":  # its facts say so
        with pytest.raises(RuntimeError, match="hardsigmoid_backward is not implemented"):
            torch.autograd.gradgradcheck(entry.function, x)
    else:
        assert torch.autograd.gradgradcheck(entry.function, x, atol=1e-6)


def test_prelu_takes_a_number_or_a_tensor():
    x = torch.tensor([[-2.0, 3.0], [-4.0, -1.0]])
    assert functional.prelu(x).tolist() == [[-0.5, 3], [-1, -0.25]]
    assert functional.prelu(x, 0.5).tolist() == [[-1, 3], [-2, -0.5]]
    weight = torch.tensor([0.0, 1.0])
    assert torch.equal(functional.prelu(x, weight), torch.nn.functional.prelu(x, weight))


@quick
@given(x=FINITE, beta=st.floats(-20, 20))
def test_swish_is_x_times_the_logistic_function_of_beta_x(x, beta):
    got = functional.swish(torch.tensor(x, dtype=torch.float64), beta).item()
    expected = x / (1 + math.exp(-beta * x)) if -beta * x < 700 else 0.0
    assert got == pytest.approx(expected, rel=1e-12, abs=1e-200)


def test_swish_at_beta_one_is_silu_bit_for_bit_and_relu_in_the_limit():
    x = torch.linspace(-9, 9, 999)
    assert torch.equal(functional.swish(x), torch.nn.functional.silu(x))
    torch.testing.assert_close(functional.swish(x, 1e4), torch.relu(x), rtol=0, atol=1e-4)


def test_swish_learns_its_sharpness():
    x = torch.linspace(-3, 3, 7, dtype=torch.float64)
    beta = doubles(1.5)
    assert torch.autograd.gradcheck(functional.swish, (x, beta))


@pytest.mark.parametrize("beta", [1.0, 4.0, 50.0])
def test_softplus_lies_at_most_log_two_over_beta_above_relu(beta):
    x = torch.linspace(-5, 5, 2001, dtype=torch.float64)
    gap = torch.nn.functional.softplus(x, beta) - torch.relu(x)
    assert gap.max().item() == pytest.approx(math.log(2) / beta, rel=1e-9)
    assert gap.min().item() >= -1e-15


@quick
@given(st.lists(FINITE, min_size=1, max_size=8))
def test_concatenated_relu_loses_nothing(numbers):
    x = torch.tensor(numbers, dtype=torch.float64)
    halves = functional.concatenated_relu(x).chunk(2)
    assert torch.equal(halves[0] - halves[1], x)
    assert all((half >= 0).all() for half in halves)


@quick
@given(st.lists(FINITE, min_size=1, max_size=8))
def test_relu_is_maxout_with_one_piece_at_zero(numbers):
    x = torch.tensor(numbers, dtype=torch.float64)
    assert torch.equal(maxout(torch.cat([x, torch.zeros_like(x)])), functional.relu(x) + 0.0)


@quick
@given(FINITE, st.floats(-3, 3))
def test_thresholded_relu_is_constant_up_to_theta(x, theta):
    got = functional.thresholded_relu(torch.tensor(x, dtype=torch.float64), theta).item()
    assert got == (x if x > theta else 0)


def test_softmax_adds_up_to_one_along_its_axis():
    x = torch.linspace(-3, 3, 60, dtype=torch.float64).reshape(3, 4, 5)
    for axis in (0, 1, -1):
        total = functional.softmax(x, axis).sum(dim=axis)
        torch.testing.assert_close(total, torch.ones_like(total))


def test_every_public_name_is_there():
    assert sorted(functional.__all__) == functional.__all__
    assert all(callable(getattr(functional, name)) for name in functional.__all__)
    assert functional.elu is torch.nn.functional.elu
    assert functional.tanh is torch.tanh
