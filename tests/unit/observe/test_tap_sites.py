"""Which calls are one site, and what it is called: the styles in which people write networks."""

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

ROWS = 7


def seen(watched):
    return {name: (window.rows, window.positions) for name, window in watched.windows.items()}


def test_one_function_in_a_loop_over_layers(watch):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

        def forward(self, x):
            for layer in self.layers:
                x = functional.relu(layer(x))
            return x

    with watch() as watched:
        Network()(torch.randn(ROWS, 4)).sum().backward()
    assert seen(watched) == {f"relu(layers.{i})": (ROWS, ROWS) for i in range(3)}
    assert {layer.owner for layer in watched.layers.values()} == {f"layers.{i}" for i in range(3)}


def test_one_shared_module_in_a_loop_over_layers(watch):
    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.layers = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
            self.act = nn.ReLU()

        def forward(self, x):
            for layer in self.layers:
                x = self.act(layer(x))
            return x

    network = Network()
    with watch() as watched:
        for _ in range(2):
            network(torch.randn(ROWS, 4)).sum().backward()
    assert seen(watched) == dict.fromkeys(("act", "act#2", "act#3"), (2 * ROWS, 2 * ROWS))
    assert [watched.layers[name].owner for name in seen(watched)] == [
        "layers.0",
        "layers.1",
        "layers.2",
    ]


def test_one_module_twice_in_a_sequence(watch):
    act = nn.ReLU()
    model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act)
    with watch() as watched:
        for _ in range(2):
            model(torch.randn(ROWS, 4)).sum().backward()
    assert [layer.owner for layer in watched.layers.values()] == ["0", "2"]
    assert all(window.positions == 2 * ROWS for window in watched.windows.values())


def test_a_shared_module_of_ones_own(watch):
    class Rectifier(nn.Module):
        def forward(self, x):
            return functional.relu(x)

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.act = nn.Linear(4, 4), nn.Linear(4, 4), Rectifier()

        def forward(self, x):
            return self.act(self.second(self.act(self.first(x))))

    with watch() as watched:
        Network()(torch.randn(ROWS, 4)).sum().backward()
    assert [layer.owner for layer in watched.layers.values()] == ["first", "second"]


def test_both_halves_of_a_concatenated_rectifier(watch):
    class Halves(nn.Module):
        def forward(self, x):
            return torch.cat([functional.relu(x), functional.relu(-x)], dim=1)

    model = nn.Sequential(nn.Linear(4, 4), Halves())
    with watch() as watched:
        model(torch.randn(ROWS, 4)).sum().backward()
    first, second = watched.windows.values()
    assert (first.fired + second.fired == ROWS).all()


def test_a_residual_block_with_one_rectifier(watch):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.conv2, self.bn2 = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x):
            a = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(a)) + x)

    model = nn.Sequential(Block(), Block())
    with watch() as watched:
        model(torch.randn(ROWS, 3, 4, 4)).sum().backward()
    assert {name: layer.owner for name, layer in watched.layers.items()} == {
        "0.relu": "0.conv1",
        "0.relu#2": "0.conv2",
        "1.relu": "1.conv1",
        "1.relu#2": "1.conv2",
    }
    assert all(pair == (ROWS, ROWS * 16) for pair in seen(watched).values())


def test_a_recurrence_by_hand_is_one_site(watch):
    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.outer = nn.Linear(3, 5), nn.Linear(5, 5)

        def forward(self, x):
            h = torch.zeros(len(x), 5)
            for step in x.unbind(1):
                h = torch.relu(self.inner(step) + self.outer(h))
            return h

    with watch() as watched:
        Recurrent()(torch.randn(ROWS, 6, 3)).sum().backward()
    ((_, pair),) = seen(watched).items()
    assert pair == (ROWS, ROWS * 6)


def test_a_discriminator_called_from_two_lines_is_one_network(watch):
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
    with watch() as watched:
        real = model(torch.randn(ROWS, 4))
        made = model(torch.randn(ROWS, 4))
        (real - made).sum().backward()
    assert seen(watched) == {"1": (2 * ROWS, 2 * ROWS)}


def test_a_script_of_functions_and_leaves(watch):
    first = torch.randn(4, 6, requires_grad=True)
    second = torch.randn(6, 6, requires_grad=True)
    bias = torch.zeros(6, requires_grad=True)
    with watch() as watched:
        for _ in range(3):
            watched.tap.disarm()  # a step is over
            watched.tap.arm()
            x = torch.randn(ROWS, 4, requires_grad=True)
            h = torch.relu(x @ first + bias)
            h = torch.tanh(h @ second)
            h.sum().backward()
    assert [(t.positions, t.rows) for t in watched.windows.values()] == [(21, 21)] * 2
    assert all(name.startswith(("relu in ", "tanh in ")) for name in watched.windows)
    assert all("test_tap_sites.py:" in layer.place for layer in watched.layers.values())


def test_a_module_in_a_loop_of_a_script(watch):
    layers = [nn.Linear(4, 4) for _ in range(3)]
    act = nn.ReLU()
    with watch() as watched:
        x = torch.randn(ROWS, 4)
        for layer in layers:
            x = act(layer(x))
        x.sum().backward()
    assert len(watched.windows) == 3
    assert all(pair == (ROWS, ROWS) for pair in seen(watched).values())


def test_a_second_model_is_named_by_its_class(watch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x):
            return functional.relu(self.fc(x))

    with watch() as watched:
        for model in (Net(), Net(), Net()):
            model(torch.randn(ROWS, 4)).sum().backward()
    assert list(watched.windows) == ["relu(fc)", "relu(Net#2.fc)", "relu(Net#3.fc)"]


def test_a_part_called_before_its_whole_does_not_change_the_names(watch):
    model = nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 2))
    with watch() as watched:
        with torch.no_grad():
            nn.ReLU()(torch.zeros(3, 3))
        model(torch.randn(ROWS, 4)).sum().backward()
    assert list(watched.windows) == ["0.1"]


def test_evaluation_counts_only_when_asked(watch):
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    for asked in (False, True):
        with watch(in_evaluation=asked) as watched, torch.no_grad():
            model.eval()(torch.randn(ROWS, 4))
        assert len(watched.windows) == asked


class Checkpointed(nn.Module):
    """Two blocks, one as a module and one as a function, run again in the backward pass or not."""

    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Linear(4, 6)
        self.block = nn.Sequential(nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6), nn.Tanh())
        self.fc = nn.Linear(6, 6)
        self.how = how

    def run(self, function, x):
        if self.how is None:
            return function(x)
        return checkpoint(function, x, use_reentrant=self.how)

    def forward(self, x):
        x = functional.relu(self.stem(x))
        x = self.run(self.block, x)
        return self.run(lambda x: functional.relu(self.fc(x)), x)


def test_checkpoints_change_neither_counts_nor_gradients(watch):
    x = torch.randn(ROWS, 4)
    found = {}
    for how in (None, False, True):
        model = Checkpointed(how)
        with watch() as watched:
            for _ in range(2):
                model(x).square().sum().backward()
        found[how] = {
            watched.layers[name].owner: (
                name,
                window.rows,
                window.positions,
                window.fired.tolist(),
                window.gradient_positions,
                window.absolute_gradient.tolist(),
            )
            for name, window in watched.windows.items()
        }
    assert set(found[None]) == {"stem", "block.0", "block.2", "fc"}
    assert found[False] == found[None]
    assert found[True] == found[None]


def test_a_gradient_penalty_is_counted_once(watch):
    """The gradient inside the penalty belongs to it: only that of the loss is added up."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 1)).double()
    x = torch.randn(ROWS, 4, dtype=torch.float64, requires_grad=True)
    with watch() as watched:
        (slope,) = torch.autograd.grad(model(x).sum(), x, create_graph=True)
        slope.square().sum().backward()
    window = watched.windows["1"]
    assert (window.positions, window.gradient_positions) == (ROWS, ROWS)
    a = model[1](model[0](x))
    (slope,) = torch.autograd.grad(model[2](a).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad(slope.square().sum(), a)
    torch.testing.assert_close(torch.from_numpy(window.absolute_gradient), expected.abs().sum(0))


def test_an_input_that_asks_for_its_gradient_is_no_weight(watch):
    model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 1))
    with watch() as watched:
        for _ in range(3):
            model(torch.randn(ROWS, 4, requires_grad=True)).sum().backward()
    assert seen(watched) == {"1": (3 * ROWS, 3 * ROWS)}
    assert len(watched.tallies["1"].owner) == 2


def test_a_shared_activation_of_relume(watch):
    from relume.nn import modules

    act = modules.SquaredReLU()
    model = nn.Sequential(nn.Linear(4, 4), act, nn.Linear(4, 4), act)
    with watch() as watched:
        for _ in range(2):
            model(torch.randn(ROWS, 4)).sum().backward()
    assert [layer.owner for layer in watched.layers.values()] == ["0", "2"]
    assert all(pair == (2 * ROWS, 2 * ROWS) for pair in seen(watched).values())
