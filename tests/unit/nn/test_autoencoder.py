"""The autoencoder."""

import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import nn

from relume.errors import SettingsError
from relume.nn.autoencoder import autoencoder


def test_the_decoder_is_the_mirror_image():
    network = autoencoder(64, [32, 16], 4)
    assert network.encoder.hidden_widths == (32, 16)
    assert network.decoder.hidden_widths == (16, 32)
    x = torch.rand(5, 64)
    code = network.encode(x)
    assert code.shape == (5, 4)
    assert torch.equal(network(x), network.decode(code))
    assert network(x).shape == x.shape


def test_the_code_is_linear_unless_told():
    torch.manual_seed(0)
    x = torch.randn(200, 8)
    assert autoencoder(8, [6], 4).encode(x).min() < 0
    assert autoencoder(8, [6], 4, code_activation="relu").encode(x).min() == 0
    gated = autoencoder(8, [6], 3, code_activation="glu")
    assert gated.encode(x).shape == (200, 3)
    assert gated.encoder.head.out_features == 6


def test_the_output_lies_where_it_should():
    torch.manual_seed(0)
    x = 20 * torch.randn(200, 8)
    linear, squashed = (autoencoder(8, [6], 4, output=each)(x) for each in ("linear", "sigmoid"))
    assert linear.abs().max() > 1
    assert squashed.min() >= 0
    assert squashed.max() <= 1


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="output must be one of linear, sigmoid; got 'tanh'"):
        autoencoder(8, [6], 4, output="tanh")
    with pytest.raises(SettingsError, match="code must be at least 1; got 0"):
        autoencoder(8, [6], 0)
    with pytest.raises(SettingsError, match="code must be even under z_relu; got 3"):
        autoencoder(8, [6], 3, code_activation="z_relu")


def test_it_beats_principal_components_of_the_same_code():
    x = torch.tensor(load_digits().data / 16, dtype=torch.float32)
    train, test = x[:1400], x[1400:]
    components = PCA(4).fit(train.numpy())
    back = components.inverse_transform(components.transform(test.numpy()))
    linear = (test - torch.tensor(back, dtype=torch.float32)).square().mean().item()
    torch.manual_seed(0)
    network = autoencoder(64, [128, 64], 4)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(40):
        for rows in torch.randperm(1400).split(100):
            optimizer.zero_grad()
            nn.functional.mse_loss(network(train[rows]), train[rows]).backward()
            optimizer.step()
    assert nn.functional.mse_loss(network(test), test).item() < 0.8 * linear
