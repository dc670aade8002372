"""The multilayer perceptron."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from relume.errors import SettingsError
from relume.nn.mlp import mlp


def test_it_computes_its_definition():
    torch.manual_seed(0)
    network = mlp(5, [7, 6], 3)
    x = torch.randn(4, 5)
    first, second = network.hidden[0].linear, network.hidden[1].linear
    a = (x @ first.weight.T + first.bias).clamp(min=0)
    a = (a @ second.weight.T + second.bias).clamp(min=0)
    wanted = a @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(x), wanted)


def test_the_parts_stand_in_the_order_of_their_names():
    network = mlp(5, [4], 3, norm="batch", dropout=0.2)
    assert [(name, type(part)) for name, part in network.hidden[0].named_children()] == [
        ("linear", nn.Linear),
        ("norm", nn.BatchNorm1d),
        ("activation", nn.ReLU),
        ("dropout", nn.Dropout),
    ]


def test_no_hidden_layer_is_a_linear_model():
    network = mlp(5, [], 3)
    x = torch.randn(4, 5)
    assert torch.equal(network(x), network.head(x))


def test_several_heads_read_the_same_features():
    network = mlp(5, [4], {"label": 3, "angle": 1})
    x = torch.randn(2, 5)
    out = network(x)
    assert torch.equal(out["angle"], network.heads.angle(network.hidden(x)))
    assert {name: tuple(each.shape) for name, each in out.items()} == {
        "label": (2, 3),
        "angle": (2, 1),
    }


@pytest.mark.parametrize(
    ("activation", "delivered", "widths"),
    [
        ("relu", 7, (7,)),
        ("glu", 14, (7,)),
        ("maxout", 14, (7,)),
        ("concatenated_relu", 4, (8,)),
        ("z_relu", 8, (8,)),
    ],
)
def test_the_widths_that_came_out_are_reported(activation, delivered, widths):
    network = mlp(5, [7], 3, activation=activation)
    assert network.hidden_widths == widths
    assert network.hidden[0].linear.out_features == delivered
    assert network.head.in_features == widths[0]
    assert network.hidden(torch.randn(2, 5)).shape == (2, widths[0])


def test_parameters_reach_the_activation():
    network = mlp(5, [4], 3, activation="leaky_relu", activation_parameters={"negative_slope": 0.3})
    assert network.hidden[0].activation.negative_slope == 0.3


def test_what_makes_no_sense_is_refused():
    with pytest.raises(
        SettingsError, match="hidden widths must be at least 1; got 0 at position 2"
    ):
        mlp(5, [4, 0], 3)
    with pytest.raises(SettingsError, match="inputs must be at least 1; got 0"):
        mlp(0, [4], 3)
    with pytest.raises(SettingsError, match="dropout must be a number from 0"):
        mlp(5, [4], 3, dropout=1.5)
    with pytest.raises(SettingsError, match="norm must be one of None, batch, layer; got 'group'"):
        mlp(5, [4], 3, norm="group")


@pytest.mark.parametrize("norm", [None, "batch"])
def test_it_learns_the_digits(norm):
    digits = load_digits()
    x = torch.tensor(digits.data / 16, dtype=torch.float32)
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    network = mlp(64, [64, 64], 10, norm=norm)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(15):
        for rows in train[torch.randperm(1400)].split(100):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
    network.eval()
    assert (network(x[test]).argmax(1) == y[test]).float().mean() > 0.95
