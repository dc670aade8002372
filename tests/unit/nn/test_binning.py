"""Numbers beside their places in quantile bins."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import KBinsDiscretizer

from relume.errors import SettingsError
from relume.nn.binning import PiecewiseLinearEncoding
from relume.nn.mlp import mlp
from relume.nn.networks import build_network


def fitted(x, *, binned, bins):
    encoding = PiecewiseLinearEncoding(x.shape[1], binned=binned, bins=bins)
    encoding.fit_(x)
    return encoding


def test_a_row_in_a_bin_has_full_places_below_and_none_above():
    x = np.random.default_rng(0).gamma(2.0, size=(500, 2)).astype(np.float32)
    encoding = fitted(x, binned=[1], bins=6)
    places = encoding(torch.from_numpy(x))[:, 2:].numpy() + 0.5
    own = KBinsDiscretizer(6, encode="ordinal", strategy="quantile", quantile_method="linear")
    bins = own.fit_transform(x[:, 1:].astype(np.float64))[:, 0].astype(int)
    for row, at in zip(places, bins, strict=True):
        assert np.allclose(row[:at], 1, atol=1e-5)
        assert np.allclose(row[at + 1 :], 0, atol=1e-5)
    edges = own.bin_edges_[0]
    inside = (x[:, 1] - edges[bins]) / (edges[bins + 1] - edges[bins])
    np.testing.assert_allclose(places[np.arange(500), bins], inside, atol=1e-4)


def test_the_features_themselves_go_through_unchanged():
    x = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    out = fitted(x, binned=[0, 2], bins=4)(torch.from_numpy(x))
    assert out.shape == (50, 11)
    assert torch.equal(out[:, :3], torch.from_numpy(x))


@settings(deadline=None, max_examples=60, derandomize=True)
@given(
    x=arrays(np.float32, (20, 1), elements=st.floats(-1e6, 1e6, width=32)),
    seen=arrays(np.float32, (5, 1), elements=st.floats(-1e6, 1e6, width=32)),
)
def test_places_are_finite_monotone_and_within_half_whatever_the_rows(x, seen):
    places = fitted(x, binned=[0], bins=8)(torch.from_numpy(np.sort(seen, axis=0)))[:, 1:]
    assert places.isfinite().all()
    assert places.abs().max() <= 0.5
    assert (places.diff(dim=0) >= -1e-6).all()


def test_two_values_make_no_bin():
    x = np.array([[0.0], [1.0], [1.0], [0.0]], np.float32)
    assert not fitted(x, binned=[0], bins=8)(torch.from_numpy(x))[:, 1:].any()


def test_the_network_stays_piecewise_linear():
    torch.manual_seed(0)
    network = mlp(1, [16], 1, bins=4, binned=[0])
    network.encoding.fit_(np.random.default_rng(0).normal(size=(200, 1)).astype(np.float32))
    x = torch.linspace(-6, 6, 20001, dtype=torch.float64)[:, None]
    with torch.no_grad():
        y = network.double()(x)[:, 0]
    bends = (y.diff().diff().abs() > 1e-9).sum()
    assert 0 < bends <= 2 * (5 + 16 * 6)  # a bend shows in two second differences; 6 linear pieces


def test_the_bins_are_saved_with_the_weights():
    x = np.random.default_rng(2).normal(size=(100, 2)).astype(np.float32)
    arguments = {"inputs": 2, "hidden": [4], "outputs": 1, "bins": 5, "binned": [0]}
    network = build_network("mlp", arguments)
    network.encoding.fit_(x)
    again = build_network("mlp", arguments)
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(torch.from_numpy(x)), network(torch.from_numpy(x)))


@pytest.mark.parametrize(
    ("binned", "bins", "words"),
    [
        ([2], 4, "positions below 2; got \\[2\\]"),
        ([0, 0], 4, "different positions"),
        ([0], 0, "bins"),
    ],
)
def test_what_makes_no_sense_is_refused(binned, bins, words):
    with pytest.raises(SettingsError, match=words):
        PiecewiseLinearEncoding(2, binned=binned, bins=bins)
