import math

import pytest
import torch
from torch import nn

from relume.observe.flows import Flows
from relume.observe.tally import Tally
from relume.runs.records import Layer


def site(name, layer):
    owner = (layer.weight, layer.bias)
    return Tally(Layer(name, "relu", len(layer.bias), can_die=True), 1, owner, "cpu")


@pytest.fixture
def layer():
    torch.manual_seed(0)
    return nn.Linear(3, 2)


def updated(flows, tallies, layer, *, by_closure):
    """Make one update and return the norms of gradient and update, computed in float64."""
    parameters = {id(each) for each in layer.parameters()}
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
    before = [each.detach().double().clone() for each in layer.parameters()]

    def closure():
        layer(torch.ones(4, 3)).square().sum().backward()

    if not by_closure:
        closure()
    known = flows.before_update(tallies, parameters, has_closure=by_closure)
    if by_closure:
        assert math.isnan(known)
        closure()
    optimizer.step()
    told = flows.after_update(tallies)
    joined = torch.cat([each.grad.double().flatten() for each in layer.parameters()])
    moved = torch.cat(
        [
            (now.double() - old).flatten()
            for now, old in zip(layer.parameters(), before, strict=True)
        ]
    )
    size = torch.cat([each.flatten() for each in before])
    assert (told if by_closure else known) == pytest.approx(joined.norm().item())
    return joined.norm().item(), (moved.norm() / size.norm()).item()


@pytest.mark.parametrize("by_closure", [False, True])
def test_gradients_and_updates_are_those_of_the_owner(layer, by_closure):
    flows, tally = Flows(), site("one", layer)
    norm, ratio = updated(flows, [tally], layer, by_closure=by_closure)
    assert tally.gradient_norm.count == tally.update_ratio.count == 1
    assert tally.gradient_norm.mean == pytest.approx(norm)
    assert tally.update_ratio.mean == pytest.approx(ratio)


def test_sites_with_one_owner_have_the_same_flows(layer):
    flows, gates = Flows(), [site("reset", layer), site("update", layer)]
    norm, ratio = updated(flows, gates, layer, by_closure=False)
    assert [gate.gradient_norm.mean for gate in gates] == pytest.approx([norm, norm])
    assert [gate.update_ratio.mean for gate in gates] == pytest.approx([ratio, ratio])


def test_gradients_are_not_taken_twice_after_a_closure(layer):
    flows, tally = Flows(), site("one", layer)
    updated(flows, [tally], layer, by_closure=True)
    assert math.isnan(flows.after_update([tally]))
    assert tally.gradient_norm.count == 1
