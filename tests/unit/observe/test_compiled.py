import copy
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torch._dynamo.utils import counters
from torch.utils.checkpoint import checkpoint

from relume.observe import compiled as module_under_test
from relume.observe.compiled import CompiledRegions
from relume.observe.compiled_op import board
from relume.observe.intercept import Interception, Switch
from relume.observe.naming import Names
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved

LABELS = torch.tensor([0, 1, 2, 0, 1])
HERE = "test_compiled.py"
BREAKS = pytest.mark.filterwarnings("ignore:The .grad attribute")  # of Dynamo itself, at its breaks


class Net(nn.Module):
    """A shared and overwriting ReLU, functions, slopes, a recurrence and a pre-activation read."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(8, 16)
        self.relu = nn.ReLU(inplace=True)
        self.second = nn.Linear(16, 16)
        self.slopes = nn.PReLU(16)
        self.again = nn.Linear(16, 16)
        self.hard = nn.Hardswish()
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = self.slopes(self.second(self.relu(self.second(x))))
        for _ in range(2):
            x = torch.tanh(self.again(x))
        return self.out(F.gelu(self.hard(self.again(x))) + 1.0)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(8, 8)
        self.act = nn.ReLU()

    def forward(self, x):
        return self.act(self.linear(x))


def chain():
    return nn.Sequential(Block(), Block(), Block(), nn.Linear(8, 3))


class Broken(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = Block(), Block()
        self.out = nn.Linear(8, 3)

    def forward(self, x):
        x = self.first(x)
        torch._dynamo.graph_break()
        return self.out(F.relu(self.second(x) - 0.5))


class Checkpointed(Block):
    def forward(self, x):
        return checkpoint(super().forward, x, use_reentrant=False)[:, :3]


class Watched:
    """A tap with its seams, armed on the steps that are asked for."""

    def __init__(self, *, compiled=True, in_evaluation=False):
        self.switch, self.unobserved, names = Switch(), Unobserved(), Names()
        self.tap = ArmedTap(names, self.unobserved, in_evaluation=in_evaluation)
        self.interception = Interception(self.switch)
        self.regions = CompiledRegions(self.tap, names, self.unobserved) if compiled else None

    def __enter__(self):
        self.interception.install()
        if self.regions is not None:
            self.regions.install()
        return self

    def __exit__(self, *_):
        if self.regions is not None:
            self.regions.remove()
        self.interception.remove()

    def armed(self, act):
        self.tap.arm()
        self.switch.tap = self.tap
        try:
            act()
        finally:
            self.switch.tap = None
            self.tap.disarm()

    def windows(self):
        if self.tap.fault is not None:
            raise self.tap.fault
        return {t.layer.name: (t.layer, t.end_window(1)) for t in self.tap.tallies}


@pytest.fixture(autouse=True)
def _fresh_compiler():
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def train(model, watched=None, *, called=None, steps=4, every=2, rows=(5,), evaluate=False):
    """Train some steps; every second is armed. Returns the weights."""
    called = model if called is None else called
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    torch.manual_seed(1)

    def step():
        x = torch.randn(rows[number % len(rows)], 8)
        loss = F.cross_entropy(called(x), LABELS[: len(x)])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if evaluate:
            model.eval()
            with torch.no_grad():
                called(x)
            model.train()

    for number in range(steps):
        if watched is not None and number % every == 0:
            watched.armed(step)
        else:
            step()
    return [parameter.detach().clone() for parameter in model.parameters()]


def model_of(kind=Net):
    torch.manual_seed(0)
    return kind()


def compiled_of(model, backend="aot_eager", **options):
    return torch.compile(model, backend=backend, **options)


def same_bits(first, second):
    return all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def assert_same_windows(seen, expected):
    assert list(seen) == list(expected)
    for name, (layer, window) in expected.items():
        assert seen[name][0] == layer
        a, b = seen[name][1].activity, window.activity
        assert (a.rows, a.positions, a.gradient_positions) == (
            b.rows,
            b.positions,
            b.gradient_positions,
        )
        np.testing.assert_array_equal(a.fired, b.fired)
        np.testing.assert_allclose(a.total, b.total, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a.total_square, b.total_square, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(a.absolute_gradient, b.absolute_gradient, rtol=1e-5, atol=1e-8)
        assert seen[name][1].slope.count == window.slope.count


def eagerly(kind=Net, **options):
    with Watched(compiled=False, in_evaluation=options.get("evaluate", False)) as watched:
        train(model_of(kind), watched, **options)
    return watched.windows()


def compiled_windows(model, called, **options):
    with Watched(in_evaluation=options.get("evaluate", False)) as watched:
        weights = train(model, watched, called=called, **options)
    return weights, watched.windows(), dict(watched.unobserved.counts)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the inductor's own imports
def test_the_inductor_computes_the_same_bits_in_one_graph_and_shows_what_eager_code_shows():
    bare = model_of()
    expected = train(bare, called=compiled_of(bare, "inductor", fullgraph=True), steps=20)
    torch._dynamo.reset()
    counters.clear()
    model = model_of()
    called = compiled_of(model, "inductor", fullgraph=True)
    weights, seen, unobserved = compiled_windows(model, called, steps=20)
    assert same_bits(weights, expected)
    assert counters["stats"]["unique_graphs"] == 1
    assert not counters["graph_break"]
    assert unobserved == {}
    assert_same_windows(seen, eagerly(steps=20))


@pytest.mark.parametrize("backend", ["aot_eager", "eager"])
def test_other_backends_show_the_same(backend):
    model = model_of()
    weights, seen, unobserved = compiled_windows(model, compiled_of(model, backend, fullgraph=True))
    assert same_bits(weights, train(model_of()))
    assert counters["stats"]["unique_graphs"] == 1
    assert unobserved == {}
    assert_same_windows(seen, eagerly())


def seen_place(seen):
    return list(seen.values())[-1][0].place


def test_names_owners_and_places_are_those_of_the_code():
    model = model_of()
    _, seen, _ = compiled_windows(model, compiled_of(model))
    found = [(layer.name, layer.owner, layer.activation) for layer, _ in seen.values()]
    assert found == [
        ("relu", "first", "relu"),
        ("relu#2", "second", "relu"),
        ("slopes", "second", "prelu"),
        ("tanh(again)", "again", "tanh"),
        ("hard", "again", "hardswish"),
        (f"gelu in {seen_place(seen)}", None, "gelu"),
    ]
    lines = [layer.place for layer, _ in seen.values()]
    assert all(place.startswith(f"{HERE}:") for place in lines)
    assert lines[1] == lines[2] != lines[0]


@pytest.mark.parametrize("first", [0, 1])
def test_arming_and_disarming_compiles_nothing_anew(first):
    model = model_of()
    called = compiled_of(model, fullgraph=True)
    with Watched() as watched:
        train(model, watched if first == 0 else None, called=called, steps=2)
        train(model, watched, called=called, steps=6)
    assert counters["stats"]["unique_graphs"] == 1
    assert len(watched.windows()) == 6


def test_training_evaluation_and_other_batch_sizes_are_one_layer():
    options = {"rows": (5, 4, 3), "evaluate": True, "steps": 6}
    model = model_of()
    _, seen, _ = compiled_windows(model, compiled_of(model, fullgraph=True), **options)
    assert_same_windows(seen, eagerly(**options))
    model = model_of()
    graphs = counters["stats"]["unique_graphs"]
    torch._dynamo.reset()
    counters.clear()
    train(model, called=compiled_of(model, fullgraph=True), **options)
    assert counters["stats"]["unique_graphs"] == graphs


@BREAKS
def test_a_graph_break_of_the_program_stays_its_only_one():
    model = model_of(Broken)
    _, seen, _ = compiled_windows(model, compiled_of(model))
    assert sum(counters["graph_break"].values()) == 1
    assert [layer.owner for layer, _ in seen.values()][:2] == ["first.linear", "second.linear"]
    assert_same_windows(seen, eagerly(Broken))


@BREAKS
def test_blocks_that_share_one_compiled_graph_are_layers_of_their_own():
    model = model_of(chain)
    for block in model[:3]:
        block.compile(backend="aot_eager", fullgraph=True)
    with Watched() as watched:
        train(model, watched)
    seen = watched.windows()
    assert list(seen) == ["0.act", "1.act", "2.act"]
    assert counters["stats"]["unique_graphs"] < 3
    expected = eagerly(chain)
    for name, (layer, window) in seen.items():
        assert layer.owner == expected[name][0].owner
        np.testing.assert_array_equal(window.activity.fired, expected[name][1].activity.fired)
        np.testing.assert_allclose(
            window.activity.absolute_gradient, expected[name][1].activity.absolute_gradient
        )


def test_a_compiled_function_and_two_backward_passes_of_one_graph():
    model = model_of()

    def loss_of(x):
        return model(x).square().sum()

    def twice(called):
        losses = called(torch.ones(5, 8)), called(torch.full((4, 8), -1.0))
        for loss in losses:
            loss.backward()

    with Watched() as watched:
        called = torch.compile(loss_of, backend="aot_eager", dynamic=True)
        watched.armed(lambda: twice(called))
    with Watched(compiled=False) as bare:
        bare.armed(lambda: twice(loss_of))
    seen, expected = watched.windows(), bare.windows()
    assert [layer.units for layer, _ in seen.values()] == [16] * 6
    assert seen["relu"][1].activity.rows == 9
    for (_, a), (_, b) in zip(seen.values(), expected.values(), strict=True):
        np.testing.assert_array_equal(a.activity.fired, b.activity.fired)
        np.testing.assert_allclose(
            a.activity.absolute_gradient, b.activity.absolute_gradient, rtol=1e-5
        )


def test_what_cannot_be_seen_is_listed_by_name_and_place():
    half, nested = model_of(Block), model_of(Checkpointed)
    with Watched() as watched:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            compiled_of(half)(torch.ones(2, 8)).sum().backward()
        compiled_of(nested)(torch.ones(2, 8)).sum().backward()
        torch.compile(Block(), backend=lambda graph, _: graph.forward)(torch.ones(2, 8))
    notes = watched.unobserved.counts
    assert [what for what, _ in notes] == [
        "act (compiled in half precision)",
        "Checkpointed.act (compiled in a checkpointed or nested part)",
        "Block#2.act (compiled by <lambda>)",
    ]
    assert all(place.startswith(f"{HERE}:") for _, place in notes)
    assert watched.tap.tallies == []


def namespaces():
    hooks = torch.nn.modules.module
    frames, graphs = torch._dynamo.eval_frame, torch._dynamo.output_graph.OutputGraph
    return (
        torch.compile,
        hooks._has_any_global_hook,
        frames._maybe_set_eval_frame,
        graphs.call_user_compiler,
        len(hooks._global_forward_hooks),
        len(hooks._global_forward_pre_hooks),
    )


def test_everything_is_put_back_and_compiled_models_run_on():
    before = namespaces()
    model, bare = model_of(chain), model_of(chain)
    called = compiled_of(model, fullgraph=True)
    with Watched() as watched:
        train(model, watched, called=called)
        assert namespaces() != before
    assert namespaces() == before
    assert board()._receivers == {}
    train(bare)
    assert same_bits(train(model, called=called), train(bare))
    assert counters["stats"]["unique_graphs"] == 1


@pytest.mark.parametrize("broken", ["copy_showing", "first_batch", "GraphReader"])
def test_a_fault_while_a_graph_is_prepared_leaves_the_plain_graph(monkeypatch, broken):
    from relume.observe import compiled_graph

    def fail(*_args, **_named):
        raise ZeroDivisionError

    monkeypatch.setattr(compiled_graph, broken, fail)
    model = model_of()
    weights, seen, unobserved = compiled_windows(model, compiled_of(model, fullgraph=True))
    assert same_bits(weights, train(model_of()))
    assert seen == {}
    assert [what for what, _ in unobserved] == ["a compiled region (ZeroDivisionError)"]


def test_a_copy_that_the_backend_refuses_is_compiled_plain():
    def backend(graph, inputs):
        if any(node.name == "relume_who" for node in graph.graph.nodes):
            raise ValueError
        return graph.forward

    backend.__name__ = "eager"
    model = model_of()
    weights, _, unobserved = compiled_windows(model, compiled_of(model, backend))
    assert same_bits(weights, train(model_of()))
    assert [what for what, _ in unobserved] == ["a compiled region (ValueError)"]


@pytest.mark.parametrize("where", ["add_output", "add_input", "add_gradient", "enrol"])
def test_a_fault_while_values_are_added_ends_the_measuring_only(monkeypatch, where):
    from relume.observe.compiled_sites import Region
    from relume.observe.tally import Tally

    def fail(*_args, **_named):
        raise ZeroDivisionError

    holder = Region if where == "enrol" else Tally
    monkeypatch.setattr(holder, "_enrol" if where == "enrol" else where, fail)
    model = model_of()
    with Watched() as watched:
        weights = train(model, watched, called=compiled_of(model, fullgraph=True))
    assert same_bits(weights, train(model_of()))
    assert isinstance(watched.tap.fault, ZeroDivisionError)


def test_without_the_means_compiled_regions_are_listed(monkeypatch):
    def missing():
        raise AttributeError

    monkeypatch.setattr(module_under_test, "board", missing)
    model = model_of()
    weights, seen, unobserved = compiled_windows(model, compiled_of(model, fullgraph=True))
    assert same_bits(weights, train(model_of()))
    assert seen == {}
    assert list(unobserved) == [("regions compiled by this version of torch", "")]


def test_what_was_compiled_before_is_listed():
    model = model_of(chain)
    called = compiled_of(model)
    train(model, called=called, steps=1)
    _, seen, unobserved = compiled_windows(model, called)
    assert seen == {}
    assert list(unobserved) == [("regions that were compiled before Relume began", "")]


def test_nothing_is_loaded_for_programs_that_do_not_compile():
    import subprocess

    code = (
        "import sys, torch\n"
        "from relume.observe.compiled import CompiledRegions\n"
        "from relume.observe.naming import Names\n"
        "from relume.observe.tap import ArmedTap\n"
        "from relume.observe.unobserved import Unobserved\n"
        "before = 'torch._dynamo.eval_frame' in sys.modules\n"
        "u, n = Unobserved(), Names()\n"
        "regions = CompiledRegions(ArmedTap(n, u), n, u)\n"
        "regions.install()\n"
        "print('torch._dynamo.eval_frame' in sys.modules, before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_a_copied_model_keeps_its_hooks_and_the_users_hooks_keep_their_warning():
    model = copy.deepcopy(model_of())
    seen = []
    handle = torch.nn.modules.module.register_module_forward_hook(lambda m, *_: seen.append(m))
    try:
        with Watched(), pytest.warns(UserWarning, match="global hooks"):
            compiled_of(model)(torch.ones(2, 8))
    finally:
        handle.remove()
    assert seen
