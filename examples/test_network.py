"""pytest: a test fails if more than 5 % of a layer's units are dead after its training."""

import pytest
import torch
from torch import nn


def train(lr, steps=60):
    torch.manual_seed(0)
    x = torch.randn(256, 8)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        loss = (model(x) - x[:, :1].abs()).square().mean()
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.relume(max_dead=0.05)
def test_the_network_learns_and_stays_alive():
    assert train(lr=0.05) < 0.25


@pytest.mark.relume(fail_on="RLM101:0.05,error", every=2)
def test_nothing_grave_is_found():
    train(lr=0.05)
