import pytest
import torch
from torch import nn

from relume.observe.live import LiveProbe
from relume.observe.passes import Passes


class Unrolled(nn.Module):
    """Calls one cell at every time step."""

    def __init__(self):
        super().__init__()
        self.cell = nn.Sequential(nn.Linear(3, 3), nn.ReLU())

    def forward(self, x):
        for _ in range(5):
            x = self.cell(x)
        return x


def test_steps_within_a_call_are_one_pass_and_calls_are_several():
    model = Unrolled()
    probe = LiveProbe(model)
    with probe.watching(None):
        model(torch.zeros(2, 3))
    (site,) = probe.take_new_sites()
    assert site.layer.name == "cell.1"
    with probe.watching(None) as measurement:
        model(torch.randn(4, 3))
        model(x=torch.randn(7, 3))
    activity = measurement.layers()[0].activity
    assert (activity.rows, activity.positions) == (4 + 7, 5 * (4 + 7))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


def test_a_pass_that_fails_is_over():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    passes = Passes()
    hooks = passes.attach(model.modules())
    with pytest.raises(RuntimeError):
        model(torch.zeros(2, 4))
    model(torch.zeros(5, 3))
    assert (passes.number, passes.rows) == (2, 5)
    for hook in hooks:
        hook.remove()


def test_a_fault_of_the_finder_stays_ours(monkeypatch):
    from relume.observe import sites

    monkeypatch.setattr(sites, "activation_of", lambda _: 1 / 0)
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU())
    finder = sites.SiteFinder(model)
    with finder.watching():
        model(torch.zeros(2, 3))
    assert isinstance(finder.fault, ZeroDivisionError)
    with pytest.raises(ZeroDivisionError):
        sites.find_sites(model, torch.zeros(2, 3))
