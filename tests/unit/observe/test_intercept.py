"""Patching: every place exists, everything is put back, and the user's code never notices."""

import copy
import io
import pickle
import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.observe.fused import FUSED
from relume.observe.intercept import Interception, Switch
from relume.observe.losses import LOSSES
from relume.observe.rectifiers import RECTIFIERS, namespace

PLACES = [place for kind in (*RECTIFIERS, *FUSED, *LOSSES) for place in kind.places]


class Spy:
    """Counts what it sees."""

    def __init__(self):
        self.seen = []

    def call(self, rectifier, original, args, named):
        self.seen.append(original)
        return original(*args, **named)

    call_fused = call


@pytest.fixture
def spy():
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    switch.tap = Spy()
    yield switch.tap
    switch.tap = None
    interception.remove()


def contents():
    spaces = (torch, torch.Tensor, torch._C._nn, functional, torch._VF)
    return [{name: id(value) for name, value in vars(space).items()} for space in spaces]


@pytest.mark.parametrize(("space", "name"), PLACES, ids=".".join)
def test_every_place_exists(space, name):
    assert callable(getattr(namespace(space), name))


def test_no_place_is_listed_twice():
    assert len(set(PLACES)) == len(PLACES)


def test_every_place_is_patched_and_calls_torch_once(spy):
    for space, name in PLACES:
        assert hasattr(getattr(namespace(space), name), "__wrapped__"), (space, name)
    x = torch.tensor([-1.0, 2.0])
    assert torch.relu(x).tolist() == [0, 2]
    assert len(spy.seen) == 1


def test_the_namespaces_are_as_before():
    before = contents()
    for _ in range(2):
        interception = Interception(Switch())
        interception.install()
        assert contents() != before
        interception.remove()
        assert contents() == before
    interception.remove()
    assert contents() == before


def test_nothing_stays_in_the_table_of_torchscript():
    from torch.jit import _builtins

    before = dict(_builtins._get_builtin_table())
    interception = Interception(Switch())
    interception.install()
    interception.remove()
    assert _builtins._get_builtin_table() == before


@pytest.fixture
def script():
    module = types.ModuleType("script_of_a_user")
    module.relu, module.gelu = torch.relu, functional.gelu
    sys.modules[module.__name__] = module
    yield module
    del sys.modules[module.__name__]


def test_names_bound_before_are_seen_and_put_back(script):
    originals = script.relu, script.gelu
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    switch.tap = spy = Spy()
    script.relu(torch.ones(2))
    script.gelu(torch.ones(2))
    assert spy.seen == list(originals)
    interception.remove()
    assert (script.relu, script.gelu) == originals


def test_what_others_have_replaced_since_stays(script, monkeypatch):
    interception = Interception(Switch())
    interception.install()
    mine = script.relu = lambda x: x
    interception.remove()
    assert script.relu is mine


def test_functions_that_a_network_keeps_are_seen_and_put_back():
    layer = nn.TransformerEncoderLayer(4, 2, 6, activation="gelu")
    layer.mine = torch.tanh
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    switch.tap = spy = Spy()
    layer(torch.randn(3, 2, 4))
    assert functional.gelu.__wrapped__ in spy.seen
    assert layer.mine is torch.tanh
    interception.remove()
    assert layer.activation is functional.gelu
    assert layer.mine is torch.tanh
    assert not hasattr(layer.mine, "__wrapped__")


def test_a_wrapper_that_somebody_still_holds_calls_torch():
    interception = Interception(Switch())
    interception.install()
    held = torch.relu
    interception.remove()
    assert held is not torch.relu
    assert held(torch.tensor([-1.0, 1.0])).tolist() == [0, 1]


def test_functions_passed_and_stored_are_seen(spy):
    def apply(function, x):
        return function(x)

    stored = {"first": torch.relu, "second": functional.gelu, "third": torch.Tensor.relu}
    for function in stored.values():
        apply(function, torch.ones(2))
    assert len(spy.seen) == 3


def test_stored_functions_are_copied_and_pickled(spy):
    layer = nn.Linear(2, 2)
    layer.activations = [torch.relu, functional.gelu, torch.sigmoid]
    copied = copy.deepcopy(layer)
    again = pickle.loads(pickle.dumps(layer))  # noqa: S301 -- our own bytes
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    for function in (*copied.activations, *again.activations):
        function(torch.ones(2))
    assert len(spy.seen) == 6


def test_what_was_pickled_while_patched_is_torch_itself_later():
    interception = Interception(Switch())
    interception.install()
    stored = pickle.dumps([torch.relu, functional.gelu, torch._VF.threshold])
    interception.remove()
    assert pickle.loads(stored) == [torch.relu, functional.gelu, torch._VF.threshold]  # noqa: S301


def test_every_wrapper_is_pickled_as_torchs_own(spy):
    for space, name in PLACES:
        function = getattr(namespace(space), name)
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301


def test_compiled_code_keeps_one_graph():
    network, x = Network(), torch.randn(5, 3)
    expected = network(x)
    switch = Switch()
    interception = Interception(switch)
    interception.install()
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    made = torch.compile(network, backend=backend, fullgraph=True)
    try:
        for tap in (None, Spy(), None, Spy()):
            switch.tap = tap
            assert torch.equal(made(x), expected)
    finally:
        interception.remove()
        torch._dynamo.reset()
    assert len(graphs) == 1


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 4)
        self.act = nn.ReLU()

    def forward(self, x):
        x = functional.relu(self.first(x))
        x = self.act(self.second(x))
        x = functional.gelu(x).clamp(min=0)
        return torch.tanh(functional.leaky_relu(x, 0.1))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["script", "trace", "fx", "compiled_function"])
def test_graphs_are_captured_while_patched(spy, how):
    torch.manual_seed(0)
    network, x = Network(), torch.randn(5, 3)
    expected = network(x)
    if how == "script":
        made = torch.jit.script(network)
    elif how == "trace":
        made = torch.jit.trace(network, x)
    elif how == "fx":
        made = torch.fx.symbolic_trace(network)
    else:
        made = torch.jit.script(lambda_free)
        expected = lambda_free(x)
    assert torch.equal(made(x), expected)


def lambda_free(x):
    return torch.relu(x) + torch.clamp(x, min=0.0)


def test_a_traced_graph_holds_no_wrapper(spy):
    graph = torch.fx.symbolic_trace(Network())
    interception_names = [str(node.target) for node in graph.graph.nodes]
    assert not any("wrapper" in name for name in interception_names)
    assert pickle.loads(pickle.dumps(graph))(torch.randn(2, 3)).shape == (2, 4)  # noqa: S301


def test_an_exception_of_torch_is_the_users(spy):
    with pytest.raises(TypeError):
        torch.relu("no tensor")
    with pytest.raises(RuntimeError):
        nn.RNN(3, 4)(torch.randn(2, 2, 5))


def test_documentation_and_signature_stay(spy):
    assert torch.relu.__name__ == "relu"
    assert torch.Tensor.clamp.__doc__ == torch.Tensor.clamp.__wrapped__.__doc__
