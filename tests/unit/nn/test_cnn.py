"""The convolutional network."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from relume.errors import SettingsError
from relume.nn.cnn import cnn


def sizes(network, x):
    found = []
    for block in network.blocks:
        x = block(x)
        found.append(tuple(x.shape[2:]))
    return found


@pytest.mark.parametrize("pool", ["max", "stride"])
@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (28, [(14, 14), (7, 7), (4, 4)]),
        (8, [(4, 4), (2, 2), (1, 1)]),
        ([5, 9], [(3, 5), (2, 3), (1, 2)]),
        ([1, 3], [(1, 2), (1, 1), (1, 1)]),
        (1, [(1, 1), (1, 1), (1, 1)]),
    ],
)
def test_each_block_halves_the_image_and_never_below_one(pool, size, expected):
    network = cnn(1, size, 10, channels=[2, 3, 4], pool=pool)
    height, width = (size, size) if isinstance(size, int) else size
    x = torch.randn(3, 1, height, width)
    assert sizes(network, x) == expected
    assert network(x).shape == (3, 10)


def test_the_strided_twin_has_the_same_weights():
    shapes = [
        {name: each.shape for name, each in cnn(3, 11, 10, pool=pool).named_parameters()}
        for pool in ("max", "stride")
    ]
    assert shapes[0] == shapes[1]


def test_the_parts_stand_in_the_order_of_their_names():
    network = cnn(1, 8, 10, hidden=[16], dropout=0.5)
    assert [(name, type(part)) for name, part in network.blocks[0].named_children()] == [
        ("conv", nn.Conv2d),
        ("norm", nn.BatchNorm2d),
        ("activation", nn.ReLU),
        ("pool", nn.MaxPool2d),
    ]
    assert [name for name, _ in network.dense[0].named_children()] == [
        "linear",
        "norm",
        "activation",
        "dropout",
    ]
    strided = cnn(1, 8, 10, pool="stride", norm=None)
    assert [name for name, _ in strided.blocks[0].named_children()] == ["conv", "activation"]
    assert strided.blocks[0].conv.bias is not None


def test_it_computes_its_definition():
    torch.manual_seed(0)
    network = cnn(1, 4, 2, channels=[3], hidden=[], norm=None)
    x = torch.randn(2, 1, 4, 4)
    conv = network.blocks[0].conv
    places = nn.functional.unfold(x, 3, padding=1)  # (N, 9, 16)
    z = conv.weight.flatten(1) @ places + conv.bias[:, None]
    a = z.clamp(min=0).reshape(2, 3, 2, 2, 2, 2).amax((3, 5))
    wanted = a.flatten(1) @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(network(x), wanted)


def test_gated_channels():
    network = cnn(1, 8, 10, channels=[4, 5], activation="glu")
    assert [block.conv.out_channels for block in network.blocks] == [8, 10]
    assert network.blocks[0](torch.randn(2, 1, 8, 8)).shape == (2, 4, 4, 4)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="pool must be one of max, stride; got 'mean'"):
        cnn(1, 8, 10, pool="mean")
    with pytest.raises(SettingsError, match="channels must name at least one width"):
        cnn(1, 8, 10, channels=[])
    with pytest.raises(SettingsError, match="image_size must be at least 1; got 0 at position 1"):
        cnn(1, [0, 8], 10)
    with pytest.raises(SettingsError, match="channels_in must be a whole number; got '1'"):
        cnn("1", 8, 10)
    with pytest.raises(SettingsError, match="dropout must be"):
        cnn(1, 8, 10, hidden=[], dropout=2)


def test_it_learns_the_digits():
    digits = load_digits()
    x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    network = cnn(1, 8, 10, channels=[16, 32], hidden=[64])
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(5):
        for rows in train[torch.randperm(1400)].split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
    network.eval()
    assert (network(x[test]).argmax(1) == y[test]).float().mean() > 0.965
