"""GLU's kin and maxout: halves, axes, ties, errors."""

import pytest
import torch

from relume.errors import SettingsError
from relume.nn.gated import GEGLU, Maxout, ReGLU, SwiGLU, geglu, maxout, reglu, swiglu


@pytest.mark.parametrize(
    ("function", "gate"),
    [
        (reglu, torch.relu),
        (geglu, torch.nn.functional.gelu),
        (swiglu, torch.nn.functional.silu),
        (torch.nn.functional.glu, torch.sigmoid),
    ],
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_the_first_half_is_the_value_and_the_second_the_gate(function, gate, axis):
    value, barrier = torch.randn(2, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    together = torch.cat([value, barrier], dim=axis)
    torch.testing.assert_close(function(together, axis), value * gate(barrier))


@pytest.mark.parametrize("function", [reglu, geglu, swiglu])
def test_an_odd_number_of_features_is_refused_in_one_line(function):
    with pytest.raises(SettingsError) as caught:
        function(torch.zeros(2, 5))
    assert str(caught.value) == (
        f"{function.__name__} splits axis -1 into 2 equal parts; it has 5 features in shape "
        "(2, 5): give the layer before it a multiple of 2"
    )


def test_maxout_takes_the_largest_of_its_pieces_feature_by_feature():
    x = torch.randn(5, 12, 3, generator=torch.Generator().manual_seed(0))
    expected = torch.maximum(torch.maximum(x[:, :4], x[:, 4:8]), x[:, 8:])
    assert torch.equal(maxout(x, 3, axis=1), expected)
    assert torch.equal(Maxout(3, axis=-2)(x), expected)


def test_maxout_splits_the_gradient_where_pieces_tie():
    x = torch.tensor([1.0, 7.0, 1.0, -7.0], requires_grad=True)
    maxout(x).sum().backward()
    assert x.grad.tolist() == [0.5, 1, 0.5, 0]


@pytest.mark.parametrize(("shape", "pieces"), [((2, 5), 2), ((2, 4), 3), ((2, 0), 2)])
def test_maxout_refuses_pieces_that_do_not_divide(shape, pieces):
    with pytest.raises(SettingsError, match=f"into {pieces} equal parts"):
        maxout(torch.zeros(shape), pieces)


def test_maxout_needs_two_pieces():
    for build in (lambda: Maxout(1), lambda: maxout(torch.zeros(2), 1)):
        with pytest.raises(SettingsError, match="pieces of maxout must be at least 2; got 1"):
            build()


def test_modules_say_their_settings():
    modules = [ReGLU(1), GEGLU(), SwiGLU(axis=2), Maxout(4, axis=1)]
    assert [repr(module) for module in modules] == [
        "ReGLU(axis=1)",
        "GEGLU(axis=-1)",
        "SwiGLU(axis=2)",
        "Maxout(pieces=4, axis=1)",
    ]
