"""What a fit records of every network of relume.nn, against plain hooks and a bare training."""

from contextlib import closing

import numpy as np
import pytest
import torch
from torch import nn

from relume.monitor import Monitor
from relume.nn.facts import Kind
from relume.nn.networks import build_network, network_names
from relume.nn.registry import activation_names, activation_of, firing_threshold
from relume.observe.schedule import every
from relume.runs.query import read_run
from relume.runs.records import Layer
from relume.runs.store import RunWriter
from relume.training.loop import Loop, LoopSettings, Observers, TensorPart
from relume.training.objective import Regression
from relume.training.recording import Unrecorded

GENERATOR = torch.Generator().manual_seed(0)
TABLE = torch.randn(24, 6, generator=GENERATOR)
IMAGES = torch.randn(24, 1, 12, 12, generator=GENERATOR)
STEPS = torch.randn(24, 5, 3, generator=GENERATOR)
WORDS = torch.cat((TABLE[:, :2], torch.randint(20, (24, 7), generator=GENERATOR)), 1)
PADDED = torch.cat((STEPS, torch.ones(24, 5, 1)), 2)
PADDED[::3, 3:] = 0.0

CASES = {
    "mlp": ("mlp", {"inputs": 6, "hidden": [8, 8], "dropout": 0.3, "norm": "batch"}, TABLE),
    "cnn": ("cnn", {"channels_in": 1, "image_size": [12, 12], "channels": [12, 4]}, IMAGES),
    "resnet": ("resnet", {"channels_in": 1, "channels": [4, 12]}, IMAGES),
    "rnn": ("rnn", {"features": 3, "hidden": 6, "layers": 2, "dropout": 0.2}, STEPS),
    "rnn of padded steps": ("rnn", {"features": 3, "hidden": 6, "padded": True}, PADDED),
    "transformer": ("transformer", {"features": 3}, STEPS),
    "reader": (
        "reader",
        {"features": 2, "texts": [[20, 7]], "hidden": [8], "width": 8, "encoder": "rnn"},
        WORDS,
    ),
    "autoencoder": ("autoencoder", {"inputs": 6, "hidden": [8], "code": 2}, TABLE),
    "gan": ("gan", {"latent": 6, "hidden": [8, 8]}, TABLE),
}
FEW = ("relu", "tanh", "prelu", "silu", "maxout", "complex_relu", "concatenated_relu", "softmax")
SHAPED = [(case, name) for case in CASES for name in FEW]
ALL = [("mlp", name) for name in activation_names() if name not in FEW]


def network_of(case, activation):
    name, arguments, x = CASES[case]
    outputs = {} if name == "autoencoder" else {"outputs": 1}
    torch.manual_seed(0)
    return build_network(name, arguments | outputs | {"activation": activation}), x


class Counted:
    """The sums of one activation by plain hooks, which are told where its units lie."""

    def __init__(self, module):
        self.module, self.total, self.fired, self.positions = module, 0.0, None, 0
        self.axis = None
        module.register_forward_pre_hook(self.before)
        module.register_forward_hook(self.after)

    def before(self, _, inputs):
        self.z = inputs[0].detach().clone()

    def after(self, module, _, output):
        a = (output[0] if isinstance(output, tuple) else output).detach().clone()
        a = a.abs() if a.is_complex() else a
        axis = 1 if a.ndim == 4 else a.ndim - 1
        others = tuple(i for i in range(a.ndim) if i != axis)
        self.total = self.total + a.double().sum(others).numpy()
        self.positions += a.numel() // a.shape[axis]
        entry = activation_of(module)
        if entry is not None and entry.kind is Kind.ELEMENTWISE:
            threshold = firing_threshold(module)
            live = self.z > (0.0 if threshold is None else threshold)
        else:
            live = a != 0
        fired = live.sum(others).numpy()
        self.fired = fired if self.fired is None else self.fired + fired


def is_activation(module):
    return isinstance(module, nn.RNN) or activation_of(module) is not None


@pytest.mark.parametrize(("case", "activation"), [*SHAPED, *ALL])
def test_every_activation_of_every_network_is_seen_as_hooks_count_it(tmp_path, case, activation):
    model, x = network_of(case, activation)
    with closing(RunWriter(tmp_path / "run")) as writer:
        monitor = Monitor(model, writer, armed=every(1), window_steps=1, example=x[:2])
        with monitor.watching():
            counted = {n: Counted(m) for n, m in model.named_modules() if is_activation(m)}
            with monitor.step(1):
                torch.manual_seed(1)
                outputs(model, x).square().mean().backward()
                monitor.before_update()
                monitor.after_update(1, 0.0, 0.1)
            monitor.close_window()
    assert monitor.fault is None, repr(monitor.fault)
    assert monitor.missing == ()
    run = read_run(tmp_path / "run")
    assert not run.unobserved
    layers = {layer.name: index for index, layer in enumerate(run.layers)}
    assert counted
    for name, wanted in counted.items():
        last = max(n for n in layers if n == name or n.startswith(f"{name}.l"))
        layer, seen = run.layers[layers[last]], run.windows[0].layers[layers[last]]
        activity = seen.activity
        assert layer.owner is not None
        assert (layer.units, layer.place) == (len(wanted.total), None)
        assert (activity.rows, activity.positions) == (24, wanted.positions)
        np.testing.assert_allclose(activity.total, wanted.total, rtol=1e-4, atol=1e-4)
        if fires_the_same(layer, wanted.module):
            assert activity.fired.tolist() == wanted.fired.tolist()


def outputs(model, x):
    output = model(x)
    return output[0] if isinstance(output, tuple) else output


def fires_the_same(layer: Layer, module: nn.Module) -> bool:
    """Whether firing means being above a threshold: not for what saturates, nor for a gate."""
    return not layer.saturates and not isinstance(module, nn.GLU)


def test_no_network_is_left_out():
    assert {name for name, _, _ in CASES.values()} == set(network_names())


NUMBERS = LoopSettings(
    epochs=3, batch_size=7, lr=0.01, weight_decay=0.1, warmup=0.25, patience=9, seed=3, clip=1.0
)


def trained(model, x, recorder):
    torch.manual_seed(5)
    y = x.flatten(1)[:, 0] if model.__class__.__name__ != "Autoencoder" else x
    part = TensorPart(x, y)
    objective = Regression() if y.ndim == 1 else Rebuilding()
    nothing = Observers(*(lambda *_: None,) * 3, should_stop=lambda: False)
    Loop(model, part, part, objective, NUMBERS, recorder).run(nothing)
    return model.state_dict(), torch.get_rng_state()


class Rebuilding(Regression):
    def train_loss(self, output, y):
        return (output - y).square().mean()

    def plain_loss(self, output, y):
        return (output - y).square().mean(1)

    def score(self, output, y):
        return 0.0


@pytest.mark.parametrize("case", [case for case in CASES if case != "gan"])
@pytest.mark.parametrize("activation", ["relu", "prelu", "complex_relu"])
def test_recording_changes_no_bit_of_what_is_trained(tmp_path, case, activation):
    bare, x = network_of(case, activation)
    weights, random = trained(bare, x, Unrecorded())
    model, _ = network_of(case, activation)
    with closing(RunWriter(tmp_path / "run")) as writer:
        monitor = Monitor(model, writer, armed=every(2, first=3), window_steps=4, example=x[:2])
        with monitor.watching():
            watched_weights, watched_random = trained(model, x, monitor)
        monitor.examine(model, [x], held_out_rows=0)
    assert monitor.fault is None, repr(monitor.fault)
    assert all(torch.equal(weights[name], watched_weights[name]) for name in weights)
    assert torch.equal(random, watched_random)
    run = read_run(tmp_path / "run")
    assert [activity.rows for activity in run.examination] == [24] * len(run.layers)
    assert sum(window.layers[0].activity.rows for window in run.windows) > 0
