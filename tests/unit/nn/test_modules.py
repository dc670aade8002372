"""The modules that torch has not: settings, parameters, state, training."""

import pytest
import torch
from torch import nn

from relume.errors import SettingsError
from relume.nn.modules import (
    ConcatenatedReLU,
    PerFeaturePReLU,
    SquaredReLU,
    SubgradientReLU,
    Swish,
    ThresholdedReLU,
)


def test_modules_say_their_settings():
    modules = [
        SubgradientReLU(0.5),
        PerFeaturePReLU(3, axis=2),
        Swish(2.0),
        Swish(learnable=True),
        SquaredReLU(),
        ThresholdedReLU(0.5),
        ConcatenatedReLU(1),
    ]
    assert [repr(module) for module in modules] == [
        "SubgradientReLU(subgradient_at_zero=0.5)",
        "PerFeaturePReLU(num_parameters=3, axis=2)",
        "Swish(beta=2.0)",
        "Swish(learnable)",
        "SquaredReLU()",
        "ThresholdedReLU(threshold=0.5, value=0.0)",
        "ConcatenatedReLU(axis=1)",
    ]


def test_a_subgradient_lets_a_unit_started_at_zero_learn():
    gradients = []
    for activation in (nn.ReLU(), SubgradientReLU(0.5)):
        layer = nn.Linear(2, 1)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        activation(layer(torch.ones(4, 2))).sum().backward()
        gradients.append(layer.weight.grad.abs().sum().item())
    assert gradients == [0, 4]


def test_subgradient_relu_is_a_relu_and_refuses_no_subgradient():
    assert isinstance(SubgradientReLU(), nn.ReLU)
    with pytest.raises(SettingsError, match="got 2"):
        SubgradientReLU(2)


@pytest.mark.parametrize(("axis", "shape"), [(-1, (2, 3, 4)), (1, (2, 4, 3)), (2, (2, 3, 4, 5))])
def test_per_feature_prelu_has_its_slopes_on_its_axis(axis, shape):
    module = PerFeaturePReLU(4, axis, init=0.5)
    with torch.no_grad():
        module.weight.copy_(torch.arange(4.0))
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_()
    assert (x < 0).transpose(0, axis).flatten(1).any(dim=1).all()
    slopes = module.weight.reshape([-1 if size == 4 else 1 for size in shape])
    assert torch.equal(module(x), torch.where(x > 0, x, slopes * x))
    module(x).sum().backward()
    assert module.weight.grad.shape == (4,)
    assert module.weight.grad.ne(0).all()


def test_a_learnable_swish_is_trained_saved_and_loaded():
    module = Swish(0.5, learnable=True)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    x = torch.linspace(-4, 4, 64)
    target = nn.functional.silu(x)
    for _ in range(300):
        optimizer.zero_grad()
        (module(x) - target).square().mean().backward()
        optimizer.step()
    assert module.beta.item() == pytest.approx(1, abs=0.02)
    twin = Swish(learnable=True)
    twin.load_state_dict(module.state_dict())
    assert torch.equal(twin(x), module(x))


def test_a_fixed_swish_has_no_parameters():
    assert list(Swish(2.0).parameters()) == []
