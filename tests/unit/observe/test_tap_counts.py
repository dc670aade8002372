"""Every activation of torch.nn: counts against NumPy, by pre-activation or by slope."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

ROWS, UNITS = 40, 6


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def above_zero(z):
    return z > 0


CASES = [  # module, silence, live by the pre-activation (dead, dormant) or slope (saturated)
    (nn.ReLU(), "dead", above_zero),
    (nn.ReLU6(), "dead", above_zero),
    (nn.Threshold(0.5, 0.0), "dead", lambda z: z > 0.5),
    (nn.Hardtanh(0.0, 2.0), "dead", above_zero),
    (nn.Hardswish(), "dead", lambda z: z > -3),
    (nn.Hardshrink(0.5), "dead", lambda z: abs(z) > 0.5),
    (nn.Softshrink(0.5), "dead", lambda z: abs(z) > 0.5),
    (nn.LeakyReLU(0.1), "dormant", above_zero),
    (nn.LeakyReLU(0.0), "dead", above_zero),
    (nn.PReLU(), "dormant", above_zero),
    (nn.RReLU(), "dormant", above_zero),
    (nn.ELU(), "dormant", above_zero),
    (nn.SELU(), "dormant", above_zero),
    (nn.CELU(), "dormant", above_zero),
    (nn.GELU(), "dormant", above_zero),
    (nn.GELU("tanh"), "dormant", above_zero),
    (nn.SiLU(), "dormant", above_zero),
    (nn.Mish(), "dormant", above_zero),
    (nn.Softplus(), "dormant", above_zero),
    (nn.LogSigmoid(), "dormant", above_zero),
    (nn.Tanhshrink(), "dormant", lambda z: z != 0),
    (nn.Tanh(), "saturated", lambda z: 1 - np.tanh(z) ** 2 > 0.01),
    (nn.Sigmoid(), "saturated", lambda z: 4 * sigmoid(z) * (1 - sigmoid(z)) > 0.01),
    (nn.Hardtanh(), "saturated", lambda z: abs(z) < 1),
    (nn.Hardsigmoid(), "saturated", lambda z: abs(z) < 3),
    (nn.Softsign(), "saturated", lambda z: 1 / (1 + abs(z)) ** 2 > 0.01),
]


def named(cases):
    return [str(case[0]) for case in cases]


def network(act, dtype=torch.float64):
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, UNITS), act, nn.Linear(UNITS, 1)).to(dtype)
    with torch.no_grad():
        made[0].weight.mul_(8)
        made[0].bias.copy_(torch.linspace(-9, 9, UNITS))
    return made


def pre_activation(model, x):
    return (x @ model[0].weight.T + model[0].bias).detach().numpy()


FORMS_OF = [
    pytest.param(*case, in_place, id=f"{case[0]}{' in place' if in_place else ''}")
    for case in CASES
    for in_place in ((False, True) if hasattr(case[0], "inplace") else (False,))
]


@pytest.mark.parametrize(("act", "silence", "live", "in_place"), FORMS_OF)
def test_counts_of_a_module(watch, act, silence, live, in_place):
    if in_place:
        act = copy.deepcopy(act)
        act.inplace = True
    model = network(act)
    x = torch.randn(ROWS, 3, dtype=torch.float64)
    z = pre_activation(model, x)
    with watch() as watched:
        model(x).sum().backward()
    ((name, seen),) = watched.windows.items()
    layer = watched.layers[name]
    assert (name, layer.owner) == ("1", "0")
    assert layer.can_die is (silence == "dead")
    assert layer.saturates is (silence == "saturated")
    assert (seen.rows, seen.positions, seen.gradient_positions) == (ROWS, ROWS, ROWS)
    expected = live(z).sum(0)
    assert expected.sum() > 0 or silence == "saturated"
    np.testing.assert_array_equal(seen.fired, expected)
    gradient = model[2].weight.detach().abs().numpy()[0] * ROWS
    np.testing.assert_allclose(seen.absolute_gradient, gradient, rtol=1e-12)
    if not isinstance(act, nn.RReLU):
        with torch.no_grad():
            out = act(torch.from_numpy(z.copy()))
        np.testing.assert_allclose(seen.total, out.numpy().sum(0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(("act", "silence", "live"), CASES, ids=named(CASES))
def test_a_module_is_scripted_while_patched(watch, act, silence, live):
    model = network(act).eval()
    x = torch.randn(ROWS, 3, dtype=torch.float64)
    expected = model(x)
    with watch():
        assert torch.equal(torch.jit.script(model)(x), expected)


def test_every_activation_module_of_torch_is_known():
    """Whatever torch adds has to be placed here, or beside those that have no units."""
    here = {type(act).__name__ for act, _, _ in CASES} | {"GLU"}
    others = {"MultiheadAttention", "Softmin", "Softmax", "Softmax2d", "LogSoftmax"}
    assert set(torch.nn.modules.activation.__all__) == here | others


def test_a_gated_unit_is_silent_where_its_gate_is_shut(watch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2 * UNITS), nn.GLU(), nn.Linear(UNITS, 1)).double()
    with torch.no_grad():
        model[0].weight.mul_(8)
    x = torch.randn(ROWS, 3, dtype=torch.float64)
    with watch() as watched:
        model(x).sum().backward()
    gate = sigmoid(pre_activation(model, x)[:, UNITS:])
    assert watched.layers["1"].units == UNITS
    np.testing.assert_array_equal(watched.windows["1"].fired, (gate > 0.01).sum(0))


def test_a_gate_over_channels(watch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 8, 1), nn.GLU(dim=1))
    with watch() as watched:
        model(torch.randn(5, 2, 3, 3)).sum().backward()
    assert watched.layers["1"].units == 4
    assert watched.windows["1"].positions == 45


def test_the_slopes_of_a_parametric_rectifier(watch):
    model = network(nn.PReLU(UNITS))
    with torch.no_grad():
        model[1].weight.copy_(torch.linspace(0.0, 0.5, UNITS))
    with watch() as watched:
        model(torch.randn(ROWS, 3, dtype=torch.float64)).sum().backward()
        slopes = watched.tallies["1"].slopes
    assert (slopes.count, slopes.least, slopes.greatest) == (UNITS, 0.0, 0.5)
    assert slopes.mean == pytest.approx(0.25)


FORMS = {
    "torch.relu": torch.relu,
    "torch.relu_": lambda z: torch.relu_(z),
    "functional": lambda z: nn.functional.relu(input=z),
    "functional in place": lambda z: nn.functional.relu(z, inplace=True),
    "functional.relu_": lambda z: nn.functional.relu_(z),
    "method": lambda z: z.relu(),
    "method in place": lambda z: z.relu_(),
    "clamp": lambda z: torch.clamp(z, min=0),
    "clamp positional": lambda z: torch.clamp(z, 0.0),
    "clamp method": lambda z: z.clamp(min=0),
    "clamp method in place": lambda z: z.clamp_(min=0),
    "clip": lambda z: z.clip(0, None),
    "clamp_min": lambda z: z.clamp_min(0),
    "clamp_min_": lambda z: torch.clamp_min_(z, 0),
    "maximum": lambda z: torch.maximum(z, torch.tensor(0.0, dtype=z.dtype)),
    "maximum of zeros": lambda z: torch.maximum(z, torch.zeros_like(z)),
    "max": lambda z: torch.max(z, torch.zeros(1, dtype=z.dtype)),
    "max method": lambda z: z.max(torch.tensor(0.0, dtype=z.dtype)),
    "threshold": lambda z: nn.functional.threshold(z, 0, 0),
    "hardtanh": lambda z: nn.functional.hardtanh(z, 0.0, 1e9),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_the_rectifier(watch, form):
    torch.manual_seed(0)
    weight = torch.randn(3, UNITS, dtype=torch.float64, requires_grad=True)
    x = torch.randn(ROWS, 3, dtype=torch.float64)
    z = (x @ weight).detach().numpy()
    with watch() as watched:
        apply = torch.relu if form == "torch.relu" else FORMS[form]
        apply(x @ weight).square().sum().backward()
    ((name, seen),) = watched.windows.items()
    np.testing.assert_array_equal(seen.fired, (z > 0).sum(0))
    np.testing.assert_allclose(seen.absolute_gradient, 2 * np.maximum(z, 0).sum(0), rtol=1e-12)
    assert watched.layers[name].can_die
    assert watched.layers[name].place.startswith("test_tap_counts.py:")


class Contrastive(nn.Module):
    def forward(self, a, b):
        return torch.clamp(1 - (a - b).norm(dim=1), min=0).mean()


LOSSES = {
    "contrastive": lambda a, b: torch.clamp(
        1 - nn.functional.pairwise_distance(a, b), min=0
    ).mean(),
    "hinge": lambda a, b: torch.clamp(1 - a * b.sign(), min=0).mean(),
    "margin": lambda a, b: torch.clamp(a - a[:, :1] + 1, min=0).mean(),
    "maximum": lambda a, b: torch.maximum(1 - a, torch.zeros(())).mean(),
    "module": Contrastive(),
    "triplet": lambda a, b: nn.TripletMarginWithDistanceLoss()(a, b, a + b),
    "huber": nn.SmoothL1Loss(),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_no_site(watch, loss):
    model = nn.Linear(3, UNITS)
    with watch() as watched:
        a, b = model(torch.randn(ROWS, 3)), model(torch.randn(ROWS, 3))
        LOSSES[loss](a, b).backward()
    assert watched.windows == {}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_other_types(watch, dtype):
    model = network(nn.ReLU(), dtype)
    x = torch.randn(ROWS, 3, dtype=dtype)
    with watch() as watched:
        model(x).sum().backward()
    z = model[0](x).detach().double().numpy()
    np.testing.assert_array_equal(watched.windows["1"].fired, (z > 0).sum(0))


def test_autocast(watch):
    model = network(nn.ReLU(), torch.float32)
    x = torch.randn(ROWS, 3)
    with watch() as watched, torch.autocast("cpu", dtype=torch.bfloat16):
        model(x).float().sum().backward()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        z = model[0](x).detach().float().numpy()
    np.testing.assert_array_equal(watched.windows["1"].fired, (z > 0).sum(0))
    assert watched.layers["1"].owner == "0"


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_images(watch, memory_format):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True))
    model = model.to(memory_format=memory_format)
    x = torch.randn(4, 2, 6, 7).to(memory_format=memory_format)
    with watch() as watched:
        a = model(x)
        a.square().sum().backward()
    seen, values = watched.windows["2"], a.detach().numpy()
    assert (seen.rows, seen.positions) == (4, 4 * 4 * 5)
    np.testing.assert_array_equal(seen.fired, (values > 0).sum((0, 2, 3)))
    np.testing.assert_allclose(seen.absolute_gradient, 2 * values.sum((0, 2, 3)), rtol=1e-5)
