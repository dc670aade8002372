"""Recurrent layers are seen step by step: counts against loops over time in float64."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pack_sequence

STEPS, ROWS, INPUTS, UNITS = 6, 4, 3, 5
LENGTHS = [6, 4, 4, 1]


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def numbers(module, layer, suffix):
    names = [
        f"{part}_l{layer}{suffix}" for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    ]
    return [
        getattr(module, name).detach().numpy() if hasattr(module, name) else 0.0 for name in names
    ]


def cell_step(kind, numbers_, x, h, c):
    """One step of one row, by the formulas of the PyTorch documentation; returns gates, h, c."""
    w_x, w_h, b_x, b_h = numbers_
    zx, zh = w_x @ x + b_x, w_h @ h + b_h
    if kind == "relu":
        h = np.maximum(zx + zh, 0)
        return {"": h}, h, c
    if kind == "tanh":
        h = np.tanh(zx + zh)
        return {"": h}, h, c
    if kind == "lstm":
        i, f, g, o = np.split(zx + zh, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        return (
            {"input_gate": i, "forget_gate": f, "cell_gate": g, "output_gate": o},
            (o * np.tanh(c)),
            c,
        )
    (xr, xz, xn), (hr, hz, hn) = np.split(zx, 3), np.split(zh, 3)
    r, z = sigmoid(xr + hr), sigmoid(xz + hz)
    n = np.tanh(xn + r * hn)
    return {"reset_gate": r, "update_gate": z, "new_gate": n}, (1 - z) * n + z * h, c


def by_loops(kind, module, rows, h0, c0):
    """Every gate of every layer and direction, all rows and steps below each other."""
    found = {}
    directions = 2 if module.bidirectional else 1
    for row, given_row in enumerate(rows):
        x = given_row
        for layer in range(module.num_layers):
            made = []
            for direction in range(directions):
                index = layer * directions + direction
                suffix = "_reverse" if direction else ""
                h, c = h0[index, row], c0[index, row]
                outputs = [None] * len(x)
                times = range(len(x) - 1, -1, -1) if direction else range(len(x))
                for t in times:
                    gates, h, c = cell_step(kind, numbers(module, layer, suffix), x[t], h, c)
                    outputs[t] = h
                    for gate, value in gates.items():
                        found.setdefault((layer, direction, gate), []).append(value)
                made.append(np.array(outputs))
            x = np.concatenate(made, axis=1)
    return {key: np.array(values) for key, values in found.items()}


def live(gate, values, kind):
    """Live by the slope: above zero for relu, above 1 % of the steepest for the others."""
    if kind == "relu":
        return (values > 0).sum(0)
    is_tanh = kind == "tanh" or gate in {"cell_gate", "new_gate"}
    slope = 1 - values**2 if is_tanh else 4 * values * (1 - values)
    return (slope > 0.01).sum(0)


def make(kind, **settings):
    torch.manual_seed(3)
    wanted = {"relu": nn.RNN, "tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[kind]
    if wanted is nn.RNN:
        settings["nonlinearity"] = kind
    module = wanted(INPUTS, UNITS, dtype=torch.float64, **settings)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(6)  # so that gates saturate
    return module


def name_of(kind, module, layer, direction, gate):
    base = type(module).__name__
    several = module.num_layers > 1 or module.bidirectional
    place = f"l{layer}" + ("_reverse" if direction else "") if several else ""
    return ".".join(part for part in (base, place, gate) if part)


def check(watched, kind, module, rows, h0, c0, only=None):
    expected = by_loops(kind, module, rows, h0, c0)
    if only is not None:
        expected = {key: value for key, value in expected.items() if key[0] in only}
    assert watched.missed == [] or only is not None
    assert set(watched.windows) == {name_of(kind, module, *key) for key in expected}
    for key, values in expected.items():
        name = name_of(kind, module, *key)
        seen, layer = watched.windows[name], watched.layers[name]
        assert seen.rows == len(rows)
        assert seen.positions == len(values)
        np.testing.assert_array_equal(seen.fired, live(key[2], values, kind))
        np.testing.assert_allclose(seen.total, values.sum(0), rtol=1e-9, atol=1e-12)
        assert layer.can_die is (kind == "relu")
        assert layer.saturates is (kind != "relu")
        assert layer.owner is not None


def start(module, states):
    count = module.num_layers * (2 if module.bidirectional else 1)
    if states:
        return torch.randn(2, count, ROWS, UNITS, dtype=torch.float64)
    return torch.zeros(2, count, ROWS, UNITS, dtype=torch.float64)


def given(kind, states):
    return (states[0], states[1]) if kind == "lstm" else states[0]


SHAPES = [
    {},
    {"num_layers": 3},
    {"bidirectional": True},
    {"num_layers": 2, "bidirectional": True, "batch_first": True},
    {"num_layers": 2, "bias": False},
    {"num_layers": 2, "bias": False, "bidirectional": True},
]


@pytest.mark.parametrize("kind", ["relu", "tanh", "lstm", "gru"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("with_states", [False, True])
def test_every_layer_direction_and_step(watch, kind, shape, with_states):
    module = make(kind, **shape)
    states = start(module, with_states)
    rows = torch.randn(ROWS, STEPS, INPUTS, dtype=torch.float64)
    x = rows if module.batch_first else rows.transpose(0, 1)
    with watch() as watched:
        module(x, given(kind, states)) if with_states else module(x)
    check(watched, kind, module, rows.numpy(), *states.numpy())


@pytest.mark.parametrize("kind", ["relu", "tanh", "lstm", "gru"])
@pytest.mark.parametrize("is_sorted", [True, False])
def test_padding_of_packed_sequences_does_not_count(watch, kind, is_sorted):
    module = make(kind, num_layers=2, bidirectional=True)
    states = start(module, states=True)
    lengths = LENGTHS if is_sorted else [4, 1, 6, 4]
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)
    packed = pack_padded_sequence(x, lengths, enforce_sorted=is_sorted)
    with watch() as watched:
        module(packed, given(kind, states))
    rows = [x[:length, row].numpy() for row, length in enumerate(lengths)]
    check(watched, kind, module, rows, *states.numpy())


@pytest.mark.parametrize("kind", ["relu", "lstm", "gru"])
def test_a_single_sequence_without_rows(watch, kind):
    module = make(kind, num_layers=2)
    x = torch.randn(STEPS, INPUTS, dtype=torch.float64)
    with watch() as watched:
        module(x)
    nothing = np.zeros((2, 1, UNITS))
    check(watched, kind, module, x[None].numpy(), nothing, nothing)


def test_projected_states_of_an_lstm(watch):
    torch.manual_seed(0)
    module = nn.LSTM(INPUTS, UNITS, proj_size=2, dtype=torch.float64)
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)
    with watch() as watched:
        out, _ = module(x)
    before = np.concatenate([np.zeros((1, ROWS, 2)), out.detach().numpy()[:-1]])
    w_x, w_h, b_x, b_h = numbers(module, 0, "")
    z = x.numpy() @ w_x.T + b_x + before @ w_h.T + b_h
    forget = sigmoid(z[..., UNITS : 2 * UNITS]).reshape(-1, UNITS)
    seen = watched.windows["LSTM.forget_gate"]
    np.testing.assert_allclose(seen.total, forget.sum(0), rtol=1e-12)


@pytest.mark.parametrize(
    ("kind", "layers", "seen", "missed"),
    [
        ("relu", 2, {0, 1}, []),
        ("relu", 3, {0, 2}, ["RNN.l1 behind dropout"]),
        ("lstm", 2, {0}, ["LSTM.l1 behind dropout"]),
        ("gru", 1, {0}, []),
    ],
)
def test_layers_behind_dropout_are_listed(watch, kind, layers, seen, missed, recwarn):
    module = make(kind, num_layers=layers, dropout=0.5)
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)
    with watch() as watched:
        output, _ = module(x)
    assert watched.missed == missed
    known = {
        layer
        for layer in range(layers)
        if any(f"l{layer}" in name or layers == 1 for name in watched.windows)
    }
    assert known == seen
    nothing = np.zeros((layers, ROWS, UNITS))
    if kind != "relu":
        check(watched, kind, module, x.transpose(0, 1).numpy(), nothing, nothing, only=seen)
    else:
        np.testing.assert_array_equal(
            watched.windows[f"RNN.l{layers - 1}"].fired, (output > 0).sum((0, 1)).numpy()
        )
    module.eval()
    with watch() as watched:
        module(x)
    assert watched.missed == []
    check(watched, kind, module, x.transpose(0, 1).numpy(), nothing, nothing)


@pytest.mark.parametrize("kind", ["relu", "tanh", "lstm", "gru"])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_in_a_loop_are_one_site_a_gate(watch, kind, bias):
    torch.manual_seed(1)
    settings = {"nonlinearity": kind} if kind in {"relu", "tanh"} else {}
    wanted = {"lstm": nn.LSTMCell, "gru": nn.GRUCell}.get(kind, nn.RNNCell)
    cell = wanted(INPUTS, UNITS, bias=bias, dtype=torch.float64, **settings)
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell = cell

        def forward(self, x):
            state = None
            for step in x.unbind(1):
                state = self.cell(step, state)
            return state[0] if kind == "lstm" else state

    network = Network()
    with watch() as watched:
        network(x.transpose(0, 1)).sum().backward()
    weights = [
        getattr(cell, f"{part}_{which}").detach().numpy() if bias or part == "weight" else 0.0
        for part in ("weight", "bias")
        for which in ("ih", "hh")
    ]
    found = {}
    for row in x.transpose(0, 1).numpy():
        h = c = np.zeros(UNITS)
        for step in row:
            gates, h, c = cell_step(kind, weights, step, h, c)
            for gate, value in gates.items():
                found.setdefault(gate, []).append(value)
    assert set(watched.windows) == {f"cell.{gate}" if gate else "cell" for gate in found}
    for gate, values in found.items():
        seen = watched.windows[f"cell.{gate}" if gate else "cell"]
        assert (seen.rows, seen.positions) == (ROWS, STEPS * ROWS)
        np.testing.assert_array_equal(seen.fired, live(gate, np.array(values), kind))
        np.testing.assert_allclose(seen.total, np.sum(values, 0), rtol=1e-9, atol=1e-12)


def test_the_gradient_of_a_cell_is_that_through_time(watch):
    torch.manual_seed(1)
    cell = nn.RNNCell(INPUTS, UNITS, nonlinearity="relu", dtype=torch.float64)
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)

    def states():
        every = [torch.zeros(ROWS, UNITS, dtype=torch.float64)]
        for step in x:
            every.append(cell(step, every[-1]))
        return every[1:]

    with watch() as watched:
        states()[-1].sum().backward()
    every = states()
    gradients = torch.autograd.grad(every[-1].sum(), every)
    seen = watched.windows["RNNCell"]
    assert seen.gradient_positions == STEPS * ROWS
    np.testing.assert_allclose(
        seen.absolute_gradient, sum(g.abs().sum(0) for g in gradients).numpy(), rtol=1e-12
    )


@pytest.mark.parametrize("kind", ["relu", "lstm", "gru"])
def test_outputs_gradients_and_random_numbers_stay(watch, kind):
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)

    def run():
        module = make(kind, num_layers=3, dropout=0.4, bidirectional=True)
        output, _ = module(x)
        output.square().sum().backward()
        return [output, torch.get_rng_state(), *(p.grad for p in module.parameters())]

    bare = run()
    with watch():
        watched = run()
    assert all(torch.equal(a, b) for a, b in zip(bare, watched, strict=True))


def test_a_packed_sequence_counts_its_sequences_as_rows(watch):
    module = make("relu")
    sequences = [torch.randn(n, INPUTS, dtype=torch.float64) for n in (5, 2)]
    with watch() as watched:
        module(pack_sequence(sequences))
    assert watched.windows["RNN"].rows == 2
    assert watched.windows["RNN"].positions == 7


def test_autocast_keeps_the_gradients(watch):
    """Weights cast while gradients are off must not be what the user's code gets from the cache."""
    x = torch.randn(STEPS, ROWS, INPUTS)

    def run():
        torch.manual_seed(2)
        module = nn.LSTM(INPUTS, UNITS, num_layers=2)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            first, _ = module(x)
            second, _ = module(x)
        (first.float().sum() + second.float().sum()).backward()
        return [p.grad for p in module.parameters()]

    bare = run()
    with watch() as watched:
        seen = run()
    assert all(torch.equal(a, b) for a, b in zip(bare, seen, strict=True))
    assert len(watched.windows) == 8


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_scripts_compile_while_patched(watch):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.recurrent = make("lstm", num_layers=2)

        def forward(self, x):
            return self.recurrent(x)[0]

    network = Network()
    x = torch.randn(STEPS, ROWS, INPUTS, dtype=torch.float64)
    expected = network(x)
    with watch():
        scripted = torch.jit.script(network)
        assert torch.equal(scripted(x), expected)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_odd_tensors_are_listed(watch):
    cell = make("relu", bias=False)
    weights = (cell.weight_ih_l0, cell.weight_hh_l0)
    with watch() as watched:
        torch.func.vmap(lambda x, h: torch.rnn_relu_cell(x, h, *weights))(
            torch.randn(2, ROWS, INPUTS, dtype=torch.float64),
            torch.randn(2, ROWS, UNITS, dtype=torch.float64),
        )
    assert watched.windows == {}
    assert watched.missed == ["RNNCell of an odd tensor"]
