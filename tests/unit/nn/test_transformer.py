"""The transformer encoder."""

import math

import pytest
import torch
from torch import nn

from relume.errors import SettingsError
from relume.nn.transformer import SelfAttention, SinusoidalPositions, transformer


@pytest.mark.parametrize("masked", [False, True])
def test_attention_agrees_with_torch_s_own(masked):
    torch.manual_seed(0)
    own, peer = SelfAttention(12, 3), nn.MultiheadAttention(12, 3, batch_first=True)
    parts = (own.query, own.key, own.value)
    with torch.no_grad():
        peer.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
        peer.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
        peer.out_proj.weight.copy_(own.output.weight)
        peer.out_proj.bias.copy_(own.output.bias)
    x = torch.randn(4, 7, 12)
    mask = torch.arange(7) < torch.tensor([7, 3, 1, 5])[:, None] if masked else None
    wanted, _ = peer(x, x, x, key_padding_mask=None if mask is None else ~mask)
    torch.testing.assert_close(own(x, mask), wanted)


def test_the_positions_are_sines_and_cosines():
    found = SinusoidalPositions()(torch.zeros(1, 6, 5))[0]
    for t in range(6):
        for feature in range(5):
            angle = t / 10000 ** (2 * (feature // 2) / 5)
            wanted = math.cos(angle) if feature % 2 else math.sin(angle)
            assert found[t, feature].item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize("positions", ["sinusoidal", "learned"])
@pytest.mark.parametrize("activation", ["relu", "swiglu"])
def test_padding_changes_nothing(positions, activation):
    torch.manual_seed(0)
    network = transformer(
        2, vocabulary=11, width=8, positions=positions, most_steps=9, activation=activation
    ).eval()
    x = torch.randint(11, (4, 9))
    lengths = torch.tensor([9, 4, 1, 6])
    mask = torch.arange(9) < lengths[:, None]
    found = network(x, mask)
    for row, length in enumerate(lengths):
        alone = network(x[row : row + 1, :length])
        torch.testing.assert_close(found[row], alone[0], atol=1e-5, rtol=1e-5)
    assert torch.equal(
        network(x.masked_fill(~mask, 3), mask), network(x.masked_fill(~mask, 7), mask)
    )
    torch.testing.assert_close(network(x, torch.ones(4, 9, dtype=torch.bool)), network(x))


def test_a_row_of_padding_alone_is_finite_and_leaves_the_others_as_they_are():
    network = transformer(2, features=3, width=8)
    x = torch.randn(2, 5, 3)
    mask = torch.tensor([[True] * 5, [False] * 5])
    out = network(x, mask)
    out.sum().backward()
    assert out.isfinite().all()
    assert all(each.grad.isfinite().all() for each in network.parameters())
    torch.testing.assert_close(out[0], network(x[:1])[0])


def test_the_order_of_the_steps_counts():
    torch.manual_seed(0)
    network = transformer(2, features=3, width=8).eval()
    x = torch.randn(1, 5, 3)
    assert not torch.allclose(network(x), network(x.flip(1)), atol=1e-3)


def test_a_block_is_its_definition():
    torch.manual_seed(0)
    block = transformer(2, features=3, width=8, feedforward=12, depth=1).blocks[0]
    x = torch.randn(2, 5, 8)
    middle = x + block.attention(block.norm1(x), None)
    z = block.norm2(middle) @ block.feedforward.expand.weight.T + block.feedforward.expand.bias
    contract = block.feedforward.contract
    wanted = middle + z.clamp(min=0) @ contract.weight.T + contract.bias
    torch.testing.assert_close(block(x, None), wanted)


def test_gated_feed_forward_expands_to_value_and_gate():
    network = transformer(2, features=3, width=8, feedforward=12, activation="swiglu")
    assert network.blocks[0].feedforward.expand.out_features == 24
    assert network.blocks[0].feedforward.contract.in_features == 12


def test_dropout_in_training_only():
    torch.manual_seed(0)
    network = transformer(2, features=3, width=8, dropout=0.5)
    x = torch.randn(2, 5, 3)
    assert not torch.equal(network(x), network(x))
    network.eval()
    assert torch.equal(network(x), network(x))


def test_what_makes_no_sense_is_refused():
    with pytest.raises(SettingsError, match="needs features or vocabulary, one of the two"):
        transformer(2)
    with pytest.raises(SettingsError, match="needs features or vocabulary, one of the two"):
        transformer(2, features=3, vocabulary=5)
    with pytest.raises(
        SettingsError, match="width must be a multiple of attention_heads, 4; got 6"
    ):
        transformer(2, features=3, width=6)
    with pytest.raises(SettingsError, match="positions must be one of sinusoidal, learned"):
        transformer(2, features=3, positions="none")
    network = transformer(2, features=3, width=8, positions="learned", most_steps=4)
    with pytest.raises(SettingsError, match="a sequence has 5 steps and the network has positions"):
        network(torch.randn(1, 5, 3))


def test_it_learns_which_symbol_comes_first():
    torch.manual_seed(0)
    network = transformer(2, vocabulary=4, width=16, depth=1, attention_heads=2, feedforward=32)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)

    def sample(rows):
        # symbols 2 and 3 each once, the rest 0 and 1: which of the two comes first?
        x = torch.randint(2, (rows, 8))
        places = torch.rand(rows, 8).argsort(1)[:, :2]
        x.scatter_(1, places, torch.tensor([2, 3]).expand(rows, 2))
        return x, (places[:, 0] < places[:, 1]).long()

    for _ in range(250):
        x, y = sample(64)
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(x), y).backward()
        optimizer.step()
    x, y = sample(1000)
    assert (network(x).argmax(1) == y).float().mean() > 0.9


def test_a_padded_network_reads_its_mask_from_the_last_number_of_a_step():
    torch.manual_seed(0)
    network = transformer(2, features=3, padded=True)
    twin = transformer(2, features=3)
    twin.load_state_dict(network.state_dict())
    x, mask = torch.randn(4, 6, 3), torch.arange(6) < torch.tensor([6, 1, 3, 5])[:, None]
    marked = torch.cat((x, mask[:, :, None]), 2)
    torch.testing.assert_close(network(marked), twin(x, mask), rtol=0, atol=0)
    assert not torch.equal(network(marked), twin(x))
    with pytest.raises(SettingsError, match="padded wants features"):
        transformer(2, vocabulary=5, padded=True)
