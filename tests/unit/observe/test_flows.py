import numpy as np
import pytest
import torch
from torch import nn

from relume.observe import flows as flows_module
from relume.observe.flows import Flows
from relume.observe.tally import Tally
from relume.runs.records import Layer


def tally_of(units, *owner, name="act"):
    return Tally(Layer(name, "relu", units, can_die=True), 1, tuple(owner), "cpu")


def whole(*tensors):
    return torch.cat([t.detach().double().reshape(-1) for t in tensors])


def test_norm_and_ratio_are_those_of_float64():
    torch.manual_seed(0)
    layer = nn.Linear(7, 5)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.1)
    flows, tally = Flows(), tally_of(5, layer.weight, layer.bias)
    norms, ratios = [], []
    for _ in range(3):
        optimizer.zero_grad()
        layer(torch.randn(4, 7)).square().sum().backward()
        total = flows.before_update([tally], {id(layer.weight)}, has_closure=False)
        norms.append(whole(layer.weight.grad, layer.bias.grad).norm().item())
        assert total == pytest.approx(norms[-1], rel=1e-6)
        before = whole(layer.weight, layer.bias)
        optimizer.step()
        flows.after_update([tally])
        after = whole(layer.weight, layer.bias)
        ratios.append(((after - before).norm() / before.norm()).item())
    assert tally.gradient_norm.count == tally.update_ratio.count == 3
    assert tally.gradient_norm.mean == pytest.approx(np.mean(norms), rel=1e-6)
    assert tally.gradient_norm.greatest == pytest.approx(max(norms), rel=1e-6)
    assert tally.update_ratio.mean == pytest.approx(np.mean(ratios), rel=1e-5)
    assert flows.usual_update(tally) == pytest.approx(np.median(ratios), rel=1e-5)


def owners():
    torch.manual_seed(1)
    conv, deconv = nn.Conv2d(3, 6, 3), nn.ConvTranspose2d(4, 6, 3)
    rows = nn.Linear(9, 6)
    return {
        "linear": (rows.weight, rows.bias),
        "conv": (conv.weight, conv.bias),
        "embedding": (nn.Embedding(11, 6).weight,),
        "transposed leaf": (torch.randn(4, 6, requires_grad=True), torch.zeros(6)),
        "deconv": (deconv.weight, deconv.bias),
        "half": (torch.randn(6, 5, dtype=torch.bfloat16),),
    }


@pytest.mark.parametrize("kind", ["linear", "conv", "embedding", "transposed leaf", "half"])
def test_rows_that_moved_are_those_of_float64(kind):
    owner = owners()[kind]
    flows, tally = Flows(), tally_of(6, *owner)
    flows.before_update([tally], {id(owner[0])}, has_closure=False)
    before = [w.detach().double().clone() for w in owner]
    with torch.no_grad():
        for weight in owner:
            weight.add_(torch.randn(weight.shape).to(weight.dtype))
    units = np.array([1, 4])
    moved, size = np.zeros(2), np.zeros(2)
    for weight, old in zip(owner, before, strict=True):
        is_by_row = weight.shape[0] == 6
        for place, unit in enumerate(units):
            now_row = (weight[unit] if is_by_row else weight[:, unit]).detach().double()
            old_row = old[unit] if is_by_row else old[:, unit]
            moved[place] += float((now_row - old_row).square().sum())
            size[place] += float(old_row.square().sum())
    np.testing.assert_allclose(flows.row_changes(tally, units), np.sqrt(moved / size), rtol=1e-2)
    change = whole(*owner) - whole(*before)
    assert flows.change(tally) == pytest.approx(
        float(change.norm() / whole(*before).norm()), rel=1e-2
    )


def test_channels_of_a_transposed_convolution_are_on_its_second_axis():
    weight, bias = owners()["deconv"]
    flows, tally = Flows(), tally_of(6, weight, bias)
    flows.before_update([tally], {id(weight)}, has_closure=False)
    with torch.no_grad():
        weight[:, 2] *= 3
    expected = 2 * weight[:, 2].norm() / 3
    expected /= torch.hypot(weight[:, 2].norm() / 3, bias[2].abs())
    changes = flows.row_changes(tally, np.array([2, 3]))
    np.testing.assert_allclose(changes, [expected.item(), 0.0], rtol=1e-5)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_units_of_a_square_weight_are_where_its_gradient_is_zero(axis):
    weight = nn.Parameter(torch.ones(4, 4))
    flows, tally = Flows(), tally_of(4, weight)
    flows.before_update([tally], {id(weight)}, has_closure=False)
    weight.grad = torch.ones(4, 4)
    weight.grad.select(axis, 2).zero_()
    with torch.no_grad():
        weight.select(axis, 2).mul_(3)
    np.testing.assert_allclose(flows.row_changes(tally, np.array([2])), [2.0])


def test_weights_that_were_zero_have_no_ratio_and_infinite_changes():
    weight = nn.Parameter(torch.zeros(2, 3))
    flows, tally = Flows(), tally_of(2, weight)
    flows.before_update([tally], {id(weight)}, has_closure=False)
    with torch.no_grad():
        weight[0] += 1
    flows.after_update([tally])
    assert tally.update_ratio.count == 0
    assert np.isnan(flows.usual_update(tally))
    changes = flows.row_changes(tally, np.array([0, 1]))
    assert changes[0] == np.inf
    assert np.isnan(changes[1])


def test_weights_beyond_the_bound_are_named_and_not_copied(monkeypatch):
    monkeypatch.setattr(flows_module, "MOST_BYTES", 100)
    small, large = nn.Parameter(torch.ones(5, 4)), nn.Parameter(torch.ones(5, 5))
    flows = Flows()
    tallies = [tally_of(5, small, name="small"), tally_of(5, large, name="large")]
    flows.before_update(tallies, {id(small), id(large)}, has_closure=False)
    flows.after_update(tallies)
    assert flows.uncopied == {"large"}
    assert flows.copied_bytes == 80
    assert [tally.update_ratio.count for tally in tallies] == [1, 0]
    assert np.isnan(flows.row_changes(tallies[1], np.array([0]))).all()
    assert flows.change(tallies[1]) == 0


def test_only_what_an_optimizer_owns_is_measured():
    mine, other = nn.Parameter(torch.ones(5, 4)), nn.Parameter(torch.ones(5, 4))
    mine.grad, other.grad = torch.ones(5, 4), torch.ones(5, 4)
    flows, tallies = Flows(), [tally_of(5, mine), tally_of(5, other), tally_of(5)]
    flows.before_update(tallies, {id(mine)}, has_closure=False)
    flows.after_update(tallies)
    assert [tally.gradient_norm.count for tally in tallies] == [1, 0, 0]
    assert [tally.update_ratio.count for tally in tallies] == [1, 0, 0]


def test_gradients_are_stale_where_a_closure_makes_them():
    weight = nn.Parameter(torch.ones(5, 4))
    weight.grad = torch.ones(5, 4)
    flows, tally = Flows(), tally_of(5, weight)
    flows.before_update([tally], {id(weight)}, has_closure=True)
    assert tally.gradient_norm.count == 0


def test_values_of_other_devices_wait_for_the_window():
    weight = nn.Parameter(torch.ones(5, 4))
    flows, tally = Flows(), tally_of(5, weight)
    flows._pending.append((tally, "gradient_norm", torch.tensor(3.0)))
    assert tally.gradient_norm.count == 0
    flows.settle()
    assert tally.gradient_norm.mean == 3.0
    flows.settle()
    assert tally.gradient_norm.count == 1
