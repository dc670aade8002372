"""The generator and the discriminator."""

import math

import pytest
import torch
from torch import nn

from relume.errors import SettingsError
from relume.nn.gan import gan


def test_it_unpacks_into_the_two():
    pair = gan(3, 5)
    generator, discriminator = pair
    assert generator is pair.generator
    assert discriminator is pair.discriminator
    latent = torch.randn(4, 3)
    pair.eval()
    assert torch.equal(pair(latent), discriminator(generator(latent)))
    assert discriminator(generator(latent)).shape == (4, 1)


def test_the_parts_are_those_of_the_paper():
    pair = gan(3, 5, hidden=[8, 6])
    making, judging = pair.generator.network, pair.discriminator
    assert making.hidden_widths == (8, 6)
    assert judging.hidden_widths == (6, 8)
    assert [type(part) for part in making.hidden[0]] == [nn.Linear, nn.BatchNorm1d, nn.ReLU]
    assert [type(part) for part in judging.hidden[0]] == [nn.Linear, nn.LeakyReLU]
    assert judging.hidden[0].activation.negative_slope == 0.2
    own = gan(3, 5, discriminator_activation_parameters={"negative_slope": 0.1})
    assert own.discriminator.hidden[0].activation.negative_slope == 0.1
    assert isinstance(gan(3, 5, discriminator_activation="elu").discriminator.hidden[0][1], nn.ELU)
    assert [type(part) for part in gan(3, 5, norm=None).generator.network.hidden[0]] == [
        nn.Linear,
        nn.ReLU,
    ]


def test_examples_lie_in_the_range_of_tanh_unless_linear():
    torch.manual_seed(0)
    latent = 50 * torch.randn(500, 3)
    bounded = gan(3, 5, norm=None).generator(latent)
    free = gan(3, 5, norm=None, output="linear").generator(latent)
    assert bounded.abs().max() <= 1
    assert free.abs().max() > 1


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="latent must be at least 1; got 0"):
        gan(0, 5)
    with pytest.raises(SettingsError, match="outputs must be a whole number; got \\[1, 8, 8\\]"):
        gan(3, [1, 8, 8])
    with pytest.raises(SettingsError, match="output must be one of tanh, linear; got 'relu'"):
        gan(3, 5, output="relu")


def test_it_finds_eight_modes():
    torch.manual_seed(0)
    angles = torch.arange(8) * math.pi / 4
    centres = 0.7 * torch.stack((angles.cos(), angles.sin()), 1)
    generator, discriminator = gan(8, 2, hidden=[64, 64])
    making, judging = (
        torch.optim.Adam(each.parameters(), lr=2e-3, betas=(0.5, 0.999))
        for each in (generator, discriminator)
    )
    loss = nn.functional.binary_cross_entropy_with_logits
    one, zero = torch.ones(128, 1), torch.zeros(128, 1)

    @torch.no_grad()
    def modes_and_share():
        distances = torch.cdist(generator(torch.randn(1000, 8)), centres)
        near = distances.amin(1) < 0.15
        counts = torch.bincount(distances.argmin(1)[near], minlength=8)
        return (counts >= 20).sum().item(), near.float().mean().item()

    modes, share = modes_and_share()
    assert modes <= 4
    assert share < 0.2
    for _ in range(1200):
        real = centres[torch.randint(8, (128,))] + 0.05 * torch.randn(128, 2)
        made = generator(torch.randn(128, 8))
        judging.zero_grad()
        (loss(discriminator(real), one) + loss(discriminator(made.detach()), zero)).backward()
        judging.step()
        making.zero_grad()
        loss(discriminator(made), one).backward()
        making.step()
    modes, share = modes_and_share()
    assert modes >= 6
    assert share > 0.4
