import copy

import numpy as np
import pytest
import torch
from torch import nn

from relume.observe.probe import Probe
from relume.observe.sites import find_sites


def mlp():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 5), nn.BatchNorm1d(5),
        nn.LeakyReLU(), nn.Linear(5, 3),
    )  # fmt: skip


def cnn():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 2)
    )


def data(shape, seed=1):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_sites_name_layer_axis_and_owner():
    sites = find_sites(mlp(), data((2, 6)))
    assert [(s.layer.name, s.layer.activation, s.layer.units, s.layer.owner) for s in sites] == [
        ("1", "relu", 8, "0"),
        ("5", "leaky_relu", 5, "3"),
    ]
    assert [site.layer.can_die for site in sites] == [True, False]
    (site,) = find_sites(cnn(), data((2, 1, 6, 6)))
    assert (site.axis, site.layer.units, site.layer.owner) == (1, 4, "0")


def test_finding_sites_leaves_the_model_as_it_was():
    model = mlp()
    model[2].eval()
    before = copy.deepcopy(model.state_dict())
    random = torch.get_rng_state()
    find_sites(model, data((2, 6)))
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [module.training for module in model] == [True, True, False, True, True, True, True]
    assert not any(module._forward_hooks for module in model.modules())


def test_a_model_that_fails_is_put_back_too():
    model = mlp()
    with pytest.raises(RuntimeError):
        find_sites(model, data((2, 99)))
    assert model.training
    assert not any(module._forward_hooks for module in model.modules())


@pytest.mark.parametrize(("build", "shape"), [(mlp, (16, 6)), (cnn, (16, 1, 6, 6))])
def test_statistics_against_autograd_and_numpy(build, shape):
    model = build()
    x = data(shape)
    site = find_sites(model, x[:2])[0]
    seen = {}

    def keep(_, inputs, output):
        seen["a"] = output
        output.retain_grad()

    def keep_input(_, inputs):
        seen["z"] = inputs[0].detach().clone()

    torch.manual_seed(5)
    hooks = [
        site.module.register_forward_pre_hook(keep_input),
        site.module.register_forward_hook(keep),
    ]
    with Probe([site]).watching(rows=16) as measurement:
        model(x).square().sum().backward()
    for hook in hooks:
        hook.remove()
    (layer,) = measurement.layers()
    z, a = seen["z"].numpy(), seen["a"].detach().numpy()
    others = tuple(axis for axis in range(a.ndim) if axis != 1)
    assert layer.activity.fired.tolist() == (z > 0).sum(others).tolist()
    np.testing.assert_allclose(layer.activity.total, a.sum(others), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(layer.activity.total_square, (a**2).sum(others), rtol=1e-5)
    gradient = seen["a"].grad.abs().sum(others).numpy()
    np.testing.assert_allclose(layer.activity.absolute_gradient, gradient, rtol=1e-5)
    assert layer.activity.rows == 16
    assert layer.activity.positions == a.size // a.shape[1] == layer.activity.gradient_positions


def test_gradient_norm_and_update_ratio_against_a_hand_computation():
    model = mlp()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probe = Probe(find_sites(model, data((2, 6))))
    with probe.watching(rows=16) as measurement:
        model(data((16, 6))).square().sum().backward()
        owner = [p.detach().clone() for p in model[0].parameters()]
        gradient = torch.cat([p.grad.flatten() for p in model[0].parameters()]).norm().item()
        measurement.before_update()
        optimizer.step()
        layer = measurement.layers()[0]
    size = torch.cat([p.flatten() for p in owner]).norm().item()
    assert layer.gradient_norm.mean == pytest.approx(gradient, rel=1e-5)
    assert layer.update_ratio.mean == pytest.approx(0.1 * gradient / size, rel=1e-4)


@pytest.mark.parametrize(("build", "shape"), [(mlp, (32, 6)), (cnn, (32, 1, 6, 6))])
def test_watching_changes_no_weight_no_random_number_and_leaves_nothing(build, shape):
    def train(*, watched):
        model = build()
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
        probe = Probe(find_sites(model, data(shape)[:2])) if watched else Probe([])
        torch.manual_seed(3)
        for step in range(20):
            with probe.watching(rows=32) as measurement:
                optimizer.zero_grad()
                model(data(shape, seed=step)).square().mean().backward()
                measurement.before_update()
                optimizer.step()
                measurement.layers()
        assert not any(
            m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules()
        )
        return model.state_dict(), torch.get_rng_state()

    (bare, bare_random), (watched, watched_random) = train(watched=False), train(watched=True)
    assert all(torch.equal(bare[name], watched[name]) for name in bare)
    assert torch.equal(bare_random, watched_random)


def test_a_recurrent_layer_is_one_site_and_its_gradient_not_observed():
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.RNN(3, 4, nonlinearity="relu", batch_first=True)
            self.head = nn.Linear(4, 1)

        def forward(self, x):
            return self.head(self.rnn(x)[0][:, -1])

    model = Net()
    x = data((5, 7, 3))
    (site,) = find_sites(model, x[:2])
    assert (site.layer.name, site.layer.activation, site.layer.units) == ("rnn", "relu", 4)
    with Probe([site]).watching(rows=5) as measurement:
        model(x).sum().backward()
    activity = measurement.layers()[0].activity
    states = model.rnn(x)[0].detach().numpy()
    assert activity.fired.tolist() == (states > 0).sum((0, 1)).tolist()
    assert (activity.rows, activity.positions, activity.gradient_positions) == (5, 35, 0)


def test_an_activation_called_at_every_step_adds_up():
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 4)
            self.activation = nn.ReLU()

        def forward(self, x):
            for _ in range(3):
                x = self.activation(self.linear(x))
            return x

    model = Net()
    x = data((5, 4))
    probe = Probe(find_sites(model, x[:2]))
    with probe.watching(rows=5) as measurement:
        model(x).sum().backward()
    activity = measurement.layers()[0].activity
    assert (activity.rows, activity.positions, activity.gradient_positions) == (5, 15, 15)


def test_an_own_threshold_and_a_hard_swish_fire_above_their_own_knot():
    model = nn.Sequential(nn.Linear(3, 4), nn.Threshold(0.5, 0.0), nn.Linear(4, 4), nn.Hardswish())
    assert [site.fires_above for site in find_sites(model, data((2, 3)))] == [0.5, -3.0]


def test_a_fault_of_ours_is_kept_and_the_pass_goes_on(monkeypatch):
    from relume.kernels import unit_stats

    def fail(*_):
        raise RuntimeError("planted")

    for name in ("count_above", "sums", "absolute_sum"):
        with monkeypatch.context() as patch:
            patch.setattr(unit_stats, name, fail)
            model = mlp()
            probe = Probe(find_sites(model, data((2, 6))))
            with probe.watching(rows=4) as measurement:
                model(data((4, 6))).sum().backward()
            assert str(measurement.fault) == "planted"
            assert model[0].weight.grad is not None
