"""The residual network, with and without the activation after the sum."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from relume.errors import SettingsError
from relume.nn.resnet import resnet


def plain(block, x):
    """Compute a block in evaluation mode from its weights alone."""
    branch = block.branch
    z = nn.functional.conv2d(x, branch.conv1.weight, stride=branch.conv1.stride, padding=1)
    a = nn.functional.relu(normed(branch.norm1, z))
    z = normed(branch.norm2, nn.functional.conv2d(a, branch.conv2.weight, padding=1))
    if block.shortcut is not None:
        conv = block.shortcut.conv
        x = normed(block.shortcut.norm, nn.functional.conv2d(x, conv.weight, stride=conv.stride))
    return x + z


def normed(norm, z):
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return (z - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]


@pytest.mark.parametrize("final_relu", [True, False])
def test_a_block_is_its_definition(final_relu):
    torch.manual_seed(0)
    network = resnet(2, 10, channels=[3, 4], blocks=1, final_relu=final_relu)
    network(torch.randn(8, 2, 6, 6))  # running statistics other than 0 and 1
    network.eval()
    x = torch.randn(5, 3, 6, 6)
    for stage in network.stages:
        (block,) = stage
        wanted = plain(block, x)
        if final_relu:
            wanted = wanted.clamp(min=0)
        else:
            assert wanted.min() < 0
        x = block(x)
        torch.testing.assert_close(x, wanted)


def test_stages_after_the_first_halve_the_image():
    network = resnet(1, 10, channels=[2, 3, 4], blocks=2).eval()
    x = network.stem(torch.randn(2, 1, 9, 7))
    shapes = []
    for stage in network.stages:
        x = stage(x)
        shapes.append(tuple(x.shape[1:]))
    assert shapes == [(2, 9, 7), (3, 5, 4), (4, 3, 2)]
    assert network(torch.randn(2, 1, 1, 1)).shape == (2, 10)


def test_a_shortcut_projects_only_where_the_shape_changes():
    network = resnet(1, 10, channels=[2, 3], blocks=2)
    assert [[block.shortcut is not None for block in stage] for stage in network.stages] == [
        [False, False],
        [True, False],
    ]
    gated = resnet(1, 10, channels=[2, 3], blocks=2, activation="glu")
    assert all(block.shortcut is not None for stage in gated.stages for block in stage)
    gated_sum = resnet(1, 10, channels=[2, 3], blocks=2, activation="glu", final_relu=False)
    assert gated_sum.stages[0][1].shortcut is None


def test_without_the_final_relu_a_path_of_sums_runs_through():
    network = resnet(1, 10, channels=[3], blocks=3, final_relu=False)
    for block in network.stages[0]:
        nn.init.zeros_(block.branch.norm2.weight)
    x = torch.randn(4, 3, 5, 5) - 2
    assert torch.equal(network.stages(x), x)


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="norm must be one of batch, layer; got None"):
        resnet(1, 10, norm=None)
    with pytest.raises(SettingsError, match="blocks must be at least 1; got 0"):
        resnet(1, 10, blocks=0)
    with pytest.raises(SettingsError, match="final_relu must be true or false; got 'no'"):
        resnet(1, 10, final_relu="no")


@pytest.mark.parametrize("final_relu", [True, False])
def test_it_learns_the_digits(final_relu):
    digits = load_digits()
    x = torch.tensor(digits.images / 16, dtype=torch.float32)[:, None]
    y = torch.tensor(digits.target)
    torch.manual_seed(0)
    order = torch.randperm(len(x))
    train, test = order[:1400], order[1400:]
    network = resnet(1, 10, channels=[8, 16], blocks=1, final_relu=final_relu)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    for _ in range(6):
        for rows in train[torch.randperm(1400)].split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
    network.eval()
    assert (network(x[test]).argmax(1) == y[test]).float().mean() > 0.95
