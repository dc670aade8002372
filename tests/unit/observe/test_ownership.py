"""Which weights feed an activation."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.observe.ownership import feeding, unit_axis

LINEAR = nn.Linear(4, 4)
CONV = nn.Conv2d(3, 3, 3, padding=1)
DEEP = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), LINEAR)
W = torch.randn(4, 5, requires_grad=True)
B = torch.randn(5, requires_grad=True)
X, IMAGE = torch.randn(6, 4), torch.randn(2, 3, 5, 5)

OF_LINEAR = {
    "itself": LINEAR,
    "of a sequence": lambda x: LINEAR(x[:, None].expand(6, 3, 4)),
    "behind layer norm": lambda x: functional.layer_norm(LINEAR(x), (4,)),
    "behind batch norm": lambda x: nn.BatchNorm1d(4)(LINEAR(x)),
    "behind dropout": lambda x: functional.dropout(LINEAR(x), 0.5),
    "the nearest": DEEP,
    "of a residual sum": lambda x: x + LINEAR(x),
    "reshaped": lambda x: LINEAR(x).view(3, 2, 4).transpose(0, 1),
    "scaled": lambda x: LINEAR(x) * 0.5,
}


@pytest.mark.parametrize("kind", OF_LINEAR)
@pytest.mark.parametrize("asks", [False, True])
def test_a_linear_layer(kind, asks):
    x = X.clone().requires_grad_(asks)
    fed = feeding(OF_LINEAR[kind](x).grad_fn)
    assert set(map(id, fed.weights)) == {id(LINEAR.weight), id(LINEAR.bias)}
    assert fed.is_channels_first is (kind == "behind batch norm")


@pytest.mark.parametrize("norm", [None, nn.BatchNorm2d(3), nn.GroupNorm(1, 3)], ids=str)
def test_a_convolution(norm):
    z = CONV(IMAGE.clone().requires_grad_())
    fed = feeding((norm(z) if norm is not None else z).grad_fn)
    assert set(map(id, fed.weights)) == {id(CONV.weight), id(CONV.bias)}
    assert fed.is_channels_first


@pytest.mark.parametrize("z", [lambda: X @ W, lambda: X @ W + B, lambda: torch.addmm(B, X, W)])
def test_leaves_of_a_script(z):
    assert feeding(z().grad_fn).weights[0] is W


def test_the_bias_of_a_product_by_hand():
    first, second = feeding((X @ W + B).grad_fn).weights
    assert first is W
    assert second is B


@pytest.mark.filterwarnings("ignore:.*lower precision")
def test_a_cast_weight():
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fed = feeding(LINEAR(X).grad_fn)
    assert {id(LINEAR.weight), id(LINEAR.bias)} == set(map(id, fed.weights))


NONE = {
    "no graph": lambda: X,
    "a leaf": lambda: W,
    "a distance": lambda: functional.pairwise_distance(LINEAR(X), X),
    "a sum": lambda: LINEAR(X).square().sum(1),
    "behind another activation": lambda: LINEAR(X).relu(),
    "the other sign": lambda: 1 - LINEAR(X),
    "an input alone": lambda: X.clone().requires_grad_() @ W.detach(),
}


@pytest.mark.parametrize("kind", NONE)
def test_nothing_feeds_it(kind):
    assert feeding(NONE[kind]().grad_fn) is None


def test_a_difference_is_no_pre_activation_of_arithmetic():
    z = LINEAR(X) - LINEAR(X)[:, :1]
    assert feeding(z.grad_fn) is not None
    assert feeding(z.grad_fn, is_arithmetic=True) is None


def test_the_search_ends():
    z = LINEAR(X)
    for _ in range(500):
        z = z + 1
    assert feeding(z.grad_fn) is None


def test_the_unit_axis():
    weight = nn.Parameter(torch.ones(5, 4))
    by_hand = torch.ones(4, 5, requires_grad=True)
    for weights in ([weight], [by_hand], [weight, torch.ones(5)]):
        assert unit_axis(torch.ones(2, 4, 5), weights, is_channels_first=False) == 2
        assert unit_axis(torch.ones(2, 5, 7), weights, is_channels_first=False) == 1
    assert unit_axis(torch.ones(2, 5, 6, 6), [CONV.weight], is_channels_first=True) == 1
    assert unit_axis(torch.ones(2, 5, 6, 6), [], is_channels_first=False) == 1
    assert unit_axis(torch.ones(2, 5, 6), [], is_channels_first=False) == 2
