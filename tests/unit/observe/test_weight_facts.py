"""What is said of each parameter, and of optimizers, beside counting by hand."""

import hashlib
import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from relume.observe.spreads import repeated, row_hashes, spread_of, to_spread
from relume.observe.weight_book import Weight
from relume.observe.weight_facts import fan_in, rows_of
from relume.runs.facts import OptimizerFacts, WeightFacts


def net_of(*widths):
    layers = []
    for before, after in itertools.pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def fit(net, parameters, steps=10, **settings):
    optimizer = torch.optim.SGD(parameters, lr=0.1, **settings)
    for _ in range(steps):
        optimizer.zero_grad()
        cross_entropy(net(torch.randn(8, 4)), torch.randint(2, (8,))).backward()
        optimizer.step()


class Partly(nn.Module):
    """A network with a part that is never called."""

    def __init__(self, used):
        super().__init__()
        self.used, self.unused = used, nn.Linear(3, 3)

    def forward(self, x):
        return self.used(x)


def facts_of(run):
    return {fact.name: fact for fact in run.of(WeightFacts)}


def test_a_weight_that_no_optimizer_holds_is_told_from_one_without_a_gradient(recorded):
    torch.manual_seed(0)
    net = Partly(net_of(4, 6, 5, 2))
    net.used[0].weight.requires_grad_(False)
    held = [*net.used[0].parameters(), *net.used[2].parameters(), *net.unused.parameters()]
    groups = [{"params": held[:3], "weight_decay": 0.01}, {"params": held[3:], "lr": 0.2}]
    facts = facts_of(recorded(lambda: fit(net, groups)))
    assert {name for name, fact in facts.items() if not fact.is_optimised} == {
        "used.4.weight", "used.4.bias",
    }  # fmt: skip
    assert {name for name, fact in facts.items() if not fact.is_trainable} == {"used.0.weight"}
    no_gradient = {name for name, fact in facts.items() if fact.gradient_steps == 0}
    assert no_gradient == {"used.0.weight", "unused.weight", "unused.bias"}
    assert {fact.armed_steps for fact in facts.values()} == {10}
    assert (facts["used.2.weight"].weight_decay, facts["used.2.weight"].rate) == (0.01, 0.1)
    assert (facts["used.2.bias"].weight_decay, facts["used.2.bias"].rate) == (0.0, 0.2)
    assert math.isnan(facts["used.4.weight"].rate)
    assert facts["used.4.weight"].left_over_steps == 0  # it piles up, but nothing uses it


def test_a_gradient_of_zeros_is_none_that_trains(recorded):
    torch.manual_seed(0)
    net = net_of(4, 6, 2)
    with torch.no_grad():
        net[0].bias.fill_(-100.0)
    facts = facts_of(recorded(lambda: fit(net, net.parameters())))
    assert facts["0.weight"].gradient_steps == 10
    assert facts["0.weight"].nonzero_gradient_steps == 0
    assert facts["2.bias"].nonzero_gradient_steps == 10


def test_spreads_before_and_after_are_those_of_numpy(recorded):
    torch.manual_seed(0)
    net = net_of(4, 6, 2)
    first = {name: p.detach().numpy().copy() for name, p in net.named_parameters()}
    facts = facts_of(recorded(lambda: fit(net, net.parameters())))
    for name, p in net.named_parameters():
        for spread, values in (
            (facts[name].initial, first[name]),
            (facts[name].final, p.detach().numpy()),
        ):
            assert spread.count == values.size
            assert spread.mean == pytest.approx(values.mean(), abs=1e-6)
            assert spread.deviation == pytest.approx(values.std(), rel=1e-5)
            assert (spread.least, spread.greatest) == (values.min(), values.max())
        assert facts[name].shape == tuple(p.shape)
        assert facts[name].kind == "Linear"


def test_units_that_were_made_equal_are_counted_before_and_after(recorded):
    torch.manual_seed(0)
    net = net_of(4, 6, 2)
    with torch.no_grad():
        net[0].weight[3] = net[0].weight[1]
        net[0].bias[3] = net[0].bias[1]
        net[2].weight.zero_()  # units 1 and 3 get the same gradients
    facts = facts_of(recorded(lambda: fit(net, net.parameters())))
    assert facts["0.weight"].identical_units == (2, 2)
    assert facts["2.weight"].identical_units == (0, 0)  # their biases differ


def test_shared_weights_are_listed_once_and_replaced_ones_begin_anew(recorded):
    torch.manual_seed(0)
    net = net_of(4, 4, 4, 2)
    net[2].weight = net[0].weight

    def train():
        fit(net, list(net.parameters()), 5)
        net[4] = nn.Linear(4, 2)
        fit(net, list(net.parameters()), 7)

    facts = facts_of(recorded(train))
    assert set(facts) == {"0.weight", "0.bias", "2.bias", "4.weight", "4.bias"}
    assert (facts["0.weight"].armed_steps, facts["4.weight"].armed_steps) == (12, 7)


def test_optimizers_are_told_with_their_numbers(recorded):
    torch.manual_seed(0)
    net = net_of(4, 6, 2)

    def train():
        optimizer = torch.optim.Adam(
            [{"params": net[0].parameters()}, {"params": net[2].parameters(), "lr": 0.5}], lr=0.25
        )
        for step in range(40):
            cross_entropy(net(torch.randn(8, 4)), torch.randint(2, (8,))).backward()
            if step % 2:
                optimizer.step()
                optimizer.zero_grad()

    (fact,) = recorded(train).of(OptimizerFacts)
    assert (fact.kind, fact.weights, fact.updates, fact.passes_per_update) == ("Adam", 4, 20, 2)
    assert [group["lr"] for group in fact.groups] == [0.25, 0.5]
    assert (fact.groups[0]["betas1"], fact.groups[0]["betas2"]) == (0.9, 0.999)


def test_updates_on_the_short_way_are_counted(recorded):
    net = net_of(4, 6, 2)
    (fact,) = recorded(lambda: fit(net, net.parameters(), 90), period=30).of(OptimizerFacts)
    assert fact.updates == 90
    assert fact.passes_per_update == 1


def state(net, train):
    torch.manual_seed(3)
    for p in net.parameters():
        nn.init.normal_(p)
    train(net)
    numbers = b"".join(p.detach().numpy().tobytes() for p in net.parameters())
    return hashlib.sha256(numbers + torch.get_rng_state().numpy().tobytes()).hexdigest()


def test_weights_and_random_numbers_are_bitwise_the_same(recorded):
    def train(net):
        fit(net, net.parameters(), 30, momentum=0.9)

    net = nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
    bare = state(net, train)
    watched = []
    recorded(lambda: watched.append(state(net, train)))
    assert watched == [bare]


RECURRENT = nn.LSTM(5, 7, 2)


@pytest.mark.parametrize(
    ("module", "own_name", "inputs", "parts"),
    [
        (nn.Linear(5, 3), "weight", 5, 2),
        (nn.Linear(5, 3), "bias", 0, 0),
        (nn.Conv2d(4, 6, 3, groups=2), "weight", 18, 2),
        (nn.ConvTranspose2d(4, 6, 3), "weight", 36, 2),
        (nn.ConvTranspose2d(4, 6, 3, groups=2), "weight", 18, 0),
        (nn.Embedding(9, 3), "weight", 0, 0),
        (RECURRENT, "weight_ih_l1", 7, 4),
        (RECURRENT, "weight_hh_l1", 7, 0),
    ],
)
def test_fan_in_and_the_parts_of_a_unit(module, own_name, inputs, parts):
    weight = Weight("w", getattr(module, own_name), module, own_name)
    assert fan_in(weight) == inputs
    assert len(rows_of(weight)) == parts


@given(
    data=st.data(),
    rows=st.integers(1, 12),
    columns=st.integers(1, 5),
    dtype=st.sampled_from([torch.float32, torch.float64, torch.bfloat16]),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_repeated_rows_are_those_found_by_comparing_all(data, rows, columns, dtype):
    values = st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0])
    numbers = data.draw(st.lists(values, min_size=rows * columns, max_size=rows * columns))
    bias = torch.tensor(data.draw(st.lists(values, min_size=rows, max_size=rows)), dtype=dtype)
    matrix = torch.tensor(numbers, dtype=dtype).reshape(rows, columns)
    whole = torch.cat([matrix, bias[:, None]], 1)
    equal = sum(
        any(i != j and bool((whole[i] == whole[j]).all()) for j in range(rows)) for i in range(rows)
    )
    assert repeated(row_hashes([matrix, bias]).numpy()) == equal


def test_rows_that_are_too_many_or_too_long_are_not_compared():
    assert row_hashes([torch.zeros(2, 4097)]) is None
    assert row_hashes([torch.zeros(4097, 2)]) is None


def test_a_spread_passes_over_what_is_not_finite():
    spread = to_spread(spread_of(torch.tensor([1.0, math.nan, 3.0, -math.inf])).tolist())
    assert (spread.count, spread.mean, spread.deviation) == (2, 2.0, 1.0)
    assert (spread.least, spread.greatest, spread.nonfinite) == (1.0, 3.0, 2)
    nothing = to_spread(spread_of(torch.tensor([math.nan])).tolist())
    assert (nothing.count, nothing.nonfinite) == (0, 1)
    assert math.isnan(nothing.mean)
    assert np.isnan(to_spread(spread_of(torch.zeros(0)).tolist()).least)
