"""The reader: words and features to outputs."""

import math
from contextlib import closing

import pytest
import torch
from torch import nn

from relume.errors import SettingsError
from relume.monitor import Monitor
from relume.nn.init import scheme_names
from relume.nn.reader import ENCODERS, TextEncoder, Votes, rarity, reader
from relume.observe.schedule import every
from relume.runs.store import RunWriter

SMALL = {"hidden": [9], "width": 8, "feedforward": 12, "attention_heads": 2}


def rows(count=6, seed=0):
    """Two features and two texts, of vocabularies 20 and 9, the second of row 0 without a word."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.zeros(count, 2 + 7 + 4)
    x[:, :2] = torch.randn(count, 2, generator=generator)
    for row in range(count):
        for start, steps, vocabulary in ((2, 7, 20), (9, 4, 9)):
            words = (row * 5 + start) % steps if (row, start) != (0, 9) else 0
            ids = torch.randint(1, vocabulary, (words,), generator=generator)
            x[row, start : start + words] = ids.float()
    return x


def small(encoder, **more):
    torch.manual_seed(0)
    network = reader(2, [[20, 7], [9, 4]], 3, encoder=encoder, **SMALL | more)
    for votes in network.votes:
        nn.init.normal_(votes.weight, std=0.1)
    return network.eval()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_padding_changes_nothing(encoder):
    network, x = small(encoder), rows()
    alone = torch.cat([network(row[None]) for row in x])
    torch.testing.assert_close(network(x), alone)
    longer = reader(2, [[20, 11], [9, 9]], 3, encoder=encoder, **SMALL).eval()
    state = network.state_dict()
    for name, value in longer.state_dict().items():
        if name.endswith("positions.weight"):
            state[name] = torch.cat((state[name], value[len(state[name]) :]))
    longer.load_state_dict(state)
    padding = torch.zeros(len(x), 5)
    padded = torch.cat((x[:, :2], x[:, 2:9], padding[:, :4], x[:, 9:], padding), 1)
    torch.testing.assert_close(longer(padded), network(x))


@pytest.mark.parametrize("encoder", ENCODERS)
def test_the_order_of_words_counts_but_in_a_bag(encoder):
    network, x = small(encoder), rows()
    turned = x.clone()
    turned[:, 9:11] = x[:, 9:11].flip(1)
    words = x[:, 9:11].min(1).values > 0
    unequal = words & (x[:, 9] != x[:, 10])
    assert unequal.any()
    same = torch.isclose(network(turned), network(x), atol=1e-6).all(1)
    assert same[unequal].all() == (encoder == "bag")


@pytest.mark.parametrize("encoder", ENCODERS)
def test_gradients_reach_every_parameter_and_no_padding(encoder):
    network, x = small(encoder), rows()
    network(x).square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    for at, (start, end) in enumerate(((2, 9), (9, 13))):
        for table in (network.encoders[at].embedding.weight, network.votes[at].weight):
            reached = table.grad.abs().sum(1) > 0
            assert not reached[0]
            there = torch.zeros(len(table), dtype=torch.bool)
            there[x[:, start:end].long().unique()] = True
            assert (reached <= there).all()


def test_votes_are_a_linear_model_of_weighted_words():
    votes = Votes(6, 2)
    nn.init.normal_(votes.weight)
    u = [0.0] + [1 + math.log(w) for w in range(1, 6)]
    for text in ([3, 5, 3, 0], [2, 0, 0, 0], [0, 0, 0, 0]):
        length = math.sqrt(sum(u[w] ** 2 for w in text)) or 1.0
        wanted = sum(10 * u[w] / length * votes.weight[w] for w in text)
        torch.testing.assert_close(votes(torch.tensor([text]))[0], wanted)


def test_a_bag_is_the_standardised_mean_of_its_words():
    torch.manual_seed(0)
    encoder = TextEncoder(12, 5)
    with torch.no_grad():
        found = encoder(torch.tensor([[3, 4, 3, 0], [0, 0, 0, 0]]))
    table = encoder.embedding.weight.detach()
    mean = (2 * table[3] + table[4]) / 3
    wanted = (mean - mean.mean()) / (mean.var(correction=0) + 1e-5).sqrt()
    torch.testing.assert_close(found, torch.stack((wanted, torch.zeros(5))))


def test_words_start_the_longer_the_rarer():
    torch.manual_seed(0)
    lengths = TextEncoder(3000, 64).embedding.weight.norm(dim=1)
    assert lengths[0] == 0
    ratio = lengths[1500:].mean() / lengths[1:50].mean()
    expected = rarity(3000)[1500:].mean() / rarity(3000)[1:50].mean()
    assert ratio.item() == pytest.approx(expected.item(), rel=0.05)


def test_word_dropout_only_trains():
    network, x = small("bag", word_dropout=0.5), rows()
    assert torch.equal(network(x), network(x))
    network.train()
    torch.manual_seed(1)
    assert not torch.equal(network(x), network(x))


@pytest.mark.parametrize(
    ("encoder", "names"),
    [
        ("bag", []),
        ("transformer", [f"encoders.{i}.blocks.0.feedforward.activation" for i in (0, 1)]),
        ("rnn", ["encoders.0.recurrent", "encoders.1.recurrent"]),
    ],
)
def test_every_activation_is_found(tmp_path, encoder, names):
    with closing(RunWriter(tmp_path / "run")) as writer:
        monitor = Monitor(small(encoder), writer, armed=every(1), window_steps=1, example=rows())
        with monitor.watching():
            pass
        assert [layer.name for layer in writer.layers] == [*names, "hidden.0.activation"]


@pytest.mark.parametrize("init", scheme_names())
def test_every_scheme_starts_a_recurrent_reader(init):
    assert small("rnn", init=init)(rows()).isfinite().all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_an_odd_width_fits_an_activation_of_pairs(encoder):
    network = small(encoder, width=7, attention_heads=1, activation="concatenated_relu")
    assert network(rows()).isfinite().all()


def test_rows_at_once_are_bounded_by_the_words():
    assert small("bag").most_rows == 2**18 // 11


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"texts": []}, "texts must be a list of vocabulary and steps; got \\[\\]"),
        ({"texts": "ab"}, "texts must be a list"),
        ({"texts": [[1, 4]]}, "a vocabulary of at least 2"),
        ({"texts": [[5, 4, 3]]}, "each text needs a vocabulary"),
        ({"texts": [[5, 0]]}, "must be at least 1; got 0 at position 2"),
        ({"features": -1}, "features must be at least 0"),
        ({"encoder": "cnn"}, "encoder must be one of bag, transformer, rnn; got 'cnn'"),
        ({"width": 6}, "width must be a multiple of attention_heads, 4; got 6"),
        ({"depth": 0}, "depth must be at least 1"),
        ({"word_dropout": 1}, "word_dropout must be a number from 0"),
    ],
)
def test_arguments_are_checked(change, message):
    with pytest.raises(SettingsError, match=message):
        reader(**{"features": 2, "texts": [[5, 4]], "outputs": 2} | change)


def test_a_row_of_another_length_is_refused():
    with pytest.raises(SettingsError, match="a row has 12 numbers, but the network reads 13"):
        small("bag")(torch.zeros(2, 12))
