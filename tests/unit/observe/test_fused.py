"""The fused encoder layer: its hidden layer is seen, its output and the path taken stay."""

import numpy as np
import pytest
import torch
from torch import nn

WIDTH, HIDDEN, ROWS, STEPS = 8, 12, 3, 5

pytestmark = pytest.mark.filterwarnings("ignore:.*nested tensor")


def make(**settings):
    torch.manual_seed(4)
    layer = nn.TransformerEncoderLayer(
        WIDTH, 2, HIDDEN, dropout=0.0, batch_first=True, dtype=torch.float64, **settings
    )
    with torch.no_grad():
        layer.norm1.weight.normal_()
        layer.norm2.bias.normal_()
    return layer


def hidden_by_hand(layer, x, mask=None):
    """The hidden layer of one sequence, in NumPy; ``mask`` is True where no one may look."""
    weights = {name: p.detach().numpy() for name, p in layer.named_parameters()}

    def norm(values, name):
        centred = values - values.mean(-1, keepdims=True)
        scaled = centred / np.sqrt(values.var(-1, keepdims=True) + layer.norm1.eps)
        return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attend(values):
        product = values @ weights["self_attn.in_proj_weight"].T
        q, k, v = np.split(product + weights["self_attn.in_proj_bias"], 3, axis=-1)
        heads = []
        for part in np.split(np.arange(WIDTH), 2):
            scores = q[:, part] @ k[:, part].T / np.sqrt(len(part))
            if mask is not None:
                scores = np.where(mask, -np.inf, scores)
            scores = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, part])
        joined = np.concatenate(heads, axis=-1)
        return joined @ weights["self_attn.out_proj.weight"].T + weights["self_attn.out_proj.bias"]

    if layer.norm_first:
        x = x + attend(norm(x, "norm1"))
        x = norm(x, "norm2")
    else:
        x = norm(x + attend(x), "norm1")
    z = x @ weights["linear1.weight"].T + weights["linear1.bias"]
    if layer.activation_relu_or_gelu == 2:
        return torch.nn.functional.gelu(torch.from_numpy(z)).numpy()
    return np.maximum(z, 0)


@pytest.fixture
def fused_calls(monkeypatch):
    """Count the calls of the fused operation itself."""
    original, calls = torch._transformer_encoder_layer_fwd, []

    def counting(*args):
        calls.append(args[0].is_nested)
        return original(*args)

    monkeypatch.setattr(torch, "_transformer_encoder_layer_fwd", counting)
    return calls


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("masked", [False, True])
def test_the_hidden_layer_is_seen_and_the_output_stays(
    watch, fused_calls, norm_first, activation, masked
):
    layer = make(norm_first=norm_first, activation=activation).eval()
    x = torch.randn(ROWS, STEPS, WIDTH, dtype=torch.float64)
    mask = torch.triu(torch.ones(STEPS, STEPS, dtype=torch.bool), 1) if masked else None
    state = torch.get_rng_state()
    with torch.no_grad():
        bare = layer(x, src_mask=mask)
    assert fused_calls == [False]
    with watch(in_evaluation=True) as watched, torch.no_grad():
        output = layer(x, src_mask=mask)
    assert fused_calls == [False, False]
    assert torch.equal(output, bare)
    assert torch.equal(torch.get_rng_state(), state)
    expected = np.concatenate(
        [hidden_by_hand(layer, row, None if mask is None else mask.numpy()) for row in x.numpy()]
    )
    seen = watched.windows[f"{activation}(linear1)"]
    assert (seen.rows, seen.positions) == (ROWS, ROWS * STEPS)
    np.testing.assert_array_equal(seen.fired, (expected > 0).sum(0))
    np.testing.assert_allclose(seen.total, expected.sum(0), rtol=1e-9)
    assert watched.missed == []


@pytest.mark.parametrize("activation", ["relu", "gelu", nn.ReLU(), nn.GELU()])
@pytest.mark.parametrize("first", ["training", "evaluation"])
def test_training_and_evaluation_are_one_site(watch, fused_calls, activation, first):
    layer = make(activation=activation)
    x = torch.randn(ROWS, STEPS, WIDTH, dtype=torch.float64)

    def train():
        layer.train()
        layer(x).sum().backward()

    def evaluate():
        layer.eval()
        with torch.no_grad():
            layer(x)

    with watch(in_evaluation=True) as watched:
        for run in (train, evaluate) if first == "training" else (evaluate, train):
            run()
    assert len(fused_calls) == 1
    ((name, seen),) = watched.windows.items()
    kind = activation if isinstance(activation, str) else None
    assert name == (f"{kind}(linear1)" if kind else "activation")
    assert watched.layers[name].owner == "linear1"
    assert seen.positions == 2 * ROWS * STEPS
    assert seen.rows == 2 * ROWS
    assert seen.gradient_positions == ROWS * STEPS


def padded():
    x = torch.randn(ROWS, STEPS, WIDTH, dtype=torch.float64)
    lengths = [5, 3, 2]
    mask = torch.arange(STEPS)[None] >= torch.tensor(lengths)[:, None]
    return x, lengths, mask


def test_an_encoder_that_nests_its_rows_counts_no_padding(watch, fused_calls):
    encoder = nn.TransformerEncoder(make(), num_layers=2).eval()
    x, lengths, mask = padded()
    with torch.no_grad():
        bare = encoder(x, src_key_padding_mask=mask)
        with watch(in_evaluation=True) as watched:
            output = encoder(x, src_key_padding_mask=mask)
    assert fused_calls == [True] * 4
    assert torch.equal(output, bare)
    for number, layer in enumerate(encoder.layers):
        sequences = [row[:length] for row, length in zip(x, lengths, strict=True)]
        if number:
            with torch.no_grad():
                sequences = [encoder.layers[0](row[None])[0] for row in sequences]
        expected = np.concatenate([hidden_by_hand(layer, row.numpy()) for row in sequences])
        seen = watched.windows[f"relu(layers.{number}.linear1)"]
        assert (seen.rows, seen.positions) == (ROWS, sum(lengths))
        np.testing.assert_array_equal(seen.fired, (expected > 0).sum(0))
        np.testing.assert_allclose(seen.total, expected.sum(0), rtol=1e-9)


def test_a_nested_input_of_the_layer_itself(watch, fused_calls):
    layer = make().eval()
    x, lengths, _ = padded()
    rows = [row[:length] for row, length in zip(x, lengths, strict=True)]
    nested = torch.nested.nested_tensor(rows)
    with torch.no_grad(), watch(in_evaluation=True) as watched:
        layer(nested)
    assert fused_calls == [True]
    seen = watched.windows["relu(linear1)"]
    assert (seen.rows, seen.positions) == (ROWS, sum(lengths))


def test_a_padding_mask_without_nesting_is_read_as_in_training(watch, fused_calls):
    encoder = nn.TransformerEncoder(make(), num_layers=1, enable_nested_tensor=False).eval()
    x, _, mask = padded()
    with torch.no_grad(), watch(in_evaluation=True) as watched:
        encoder(x, src_key_padding_mask=mask)
    assert fused_calls == [False]
    expected = np.concatenate(
        [
            hidden_by_hand(encoder.layers[0], row, np.tile(hide, (STEPS, 1)))
            for row, hide in zip(x.numpy(), mask.numpy(), strict=True)
        ]
    )
    seen = watched.windows["relu(layers.0.linear1)"]
    np.testing.assert_array_equal(seen.fired, (expected > 0).sum(0))


def test_a_frozen_encoder_inside_a_training_is_seen(watch, fused_calls):
    """Nothing requires gradients in it, so that torch takes its fused path with gradients on."""

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = make().requires_grad_(requires_grad=False).eval()
            self.head = nn.Linear(WIDTH, 1, dtype=torch.float64)

        def forward(self, x):
            return self.head(self.encoder(x))

    network = Network()
    with watch() as watched:
        network(torch.randn(ROWS, STEPS, WIDTH, dtype=torch.float64)).sum().backward()
    assert len(fused_calls) == 1
    assert watched.windows["relu(encoder.linear1)"].positions == ROWS * STEPS


def test_a_fault_aside_reaches_nobody(watch, fused_calls, monkeypatch):
    layer = make().eval()
    x = torch.randn(ROWS, STEPS, WIDTH, dtype=torch.float64)
    with torch.no_grad():
        bare = layer(x)
        monkeypatch.setattr(torch, "_native_multi_head_attention", None)
        with pytest.raises(AssertionError, match="not callable"), watch(in_evaluation=True):
            output = layer(x)
    assert torch.equal(output, bare)
    assert len(fused_calls) == 2
