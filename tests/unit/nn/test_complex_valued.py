"""ReLU for complex numbers: definitions in polar form, edges, gradients."""

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import SettingsError
from relume.nn.complex_valued import ModReLU, complex_relu, mod_relu, phase_relu, z_relu

PART = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, -0.0, 1.0, -1.0]))
quick = settings(max_examples=100, deadline=None, derandomize=True)


def number(function, z, *arguments):
    return function(torch.tensor(z, dtype=torch.complex128), *arguments).item()


def close(a, b):
    return cmath.isclose(a, b, rel_tol=1e-12, abs_tol=1e-300)


@quick
@given(PART, PART)
def test_z_relu_passes_phases_from_zero_to_a_right_angle(re, im):
    z = complex(re, im)
    phase = cmath.phase(complex(re + 0.0, im + 0.0))
    got = number(z_relu, z)
    assert got == (z if re >= 0 and im >= 0 else 0)
    if min(abs(phase), abs(phase - math.pi / 2)) > 1e-12:  # where rounding cannot decide
        assert (got == z) is (0 < phase < math.pi / 2)


@quick
@given(PART, PART)
def test_phase_relu_rectifies_the_principal_phase(re, im):
    z = complex(re, im + 0.0)  # the sign of a zero imaginary part is not read
    expected = cmath.rect(abs(z), max(0.0, cmath.phase(z)))
    got = number(phase_relu, complex(re, im))
    assert abs(got - expected) <= 1e-12 * max(abs(z), 1e-300)


@quick
@given(PART, PART, st.floats(-5, 5))
def test_mod_relu_rectifies_the_modulus_and_keeps_the_phase(re, im, bias):
    z = complex(re, im)
    got = number(mod_relu, z, bias)
    expected = cmath.rect(max(0.0, abs(z) + bias), cmath.phase(z)) if abs(z) > 2.3e-308 else 0
    assert abs(got - expected) <= 1e-12 * (abs(z) + abs(bias))


@quick
@given(PART, PART)
def test_complex_relu_is_relu_of_both_parts(re, im):
    assert number(complex_relu, complex(re, im)) == complex(max(re, 0), max(im, 0))


@pytest.mark.parametrize("function", [complex_relu, z_relu, mod_relu, phase_relu])
def test_real_numbers_are_refused_in_one_line(function):
    with pytest.raises(SettingsError, match=f"{function.__name__} takes a complex tensor; got"):
        function(torch.zeros(2))


@pytest.mark.parametrize("function", [complex_relu, z_relu, mod_relu, phase_relu])
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_gradients_are_finite_wherever_the_numbers_are(function, dtype):
    limits = torch.finfo(dtype)
    sizes = [0.0, limits.smallest_normal / 4, limits.smallest_normal, 1e-30, 1.0, 1e30]
    z = torch.tensor([[complex(a, b) for a in sizes for b in (-size, size)] for size in sizes])
    z = torch.cat([z, -z]).to(dtype).requires_grad_()
    torch.view_as_real(function(z)).sum().backward()
    assert torch.isfinite(torch.view_as_real(z.grad)).all()


def test_the_gradient_is_the_one_of_both_parts():
    z = torch.tensor(3.0 - 4.0j, dtype=torch.complex128, requires_grad=True)
    phase_relu(z).real.backward()  # |z|, whose gradient is z / |z|
    assert close(z.grad.item(), 0.6 - 0.8j)


@pytest.mark.parametrize("axis", [1, -1])
def test_mod_relu_has_one_learnable_bias_a_feature(axis):
    module = ModReLU(3, axis, bias=-0.5).double()
    seeded = torch.Generator().manual_seed(0)
    z = torch.randn(2, 3, 4, 3, dtype=torch.complex128, generator=seeded)
    y = module(z)
    assert torch.equal(y, mod_relu(z, -0.5))
    with torch.no_grad():
        module.bias[1] = -100
    assert module(z).select(axis, 1).abs().max() == 0
    assert module(z).select(axis, 2).abs().max() > 0
    z.requires_grad_()
    assert torch.autograd.gradcheck(mod_relu, (z[0, 0], module.bias))


def test_mod_relu_needs_a_feature():
    with pytest.raises(SettingsError, match="at least 1; got 0"):
        ModReLU(0)
    assert repr(ModReLU(2, axis=1)) == "ModReLU(2, axis=1)"
