"""Which modules follow which by linear operations, in which order and mode they are called."""

import math

import pytest
import torch
from torch import nn
from torch.nn.functional import dropout, scaled_dot_product_attention

from relume.observe.linear_paths import MOST_NODES, PathFinder
from relume.runs.facts import ModuleFacts


def fit(net, *shape, steps=4):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        x = torch.randn(shape) if len(shape) > 1 else torch.randint(7, (4, 5))
        net(x).square().mean().backward()
        optimizer.step()


def modules_of(run):
    return {fact.name: fact for fact in run.of(ModuleFacts)}


def follows(run):
    return {name: fact.follows for name, fact in modules_of(run).items() if fact.follows}


class Functional(nn.Module):
    """Two layers, and what lies between them."""

    def __init__(self, between):
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 6)
        self.gain = nn.Parameter(torch.ones(8))
        self.norm = nn.LayerNorm(8)
        self.between = between

    def forward(self, x):
        return self.second(self.between(self, x, self.first(x)))


LINEAR = {
    "nothing": lambda net, x, h: h,
    "views": lambda net, x, h: h.view(-1, 2, 4).transpose(0, 1).permute(1, 0, 2).flatten(1),
    "dropout": lambda net, x, h: dropout(h, 0.3, training=True),
    "a factor": lambda net, x, h: 0.5 * h / 3,
    "a gain": lambda net, x, h: h * net.gain + net.gain,
    "the input added": lambda net, x, h: h + x.repeat(1, 2)[:, :8],
    "a cast": lambda net, x, h: h.double().float(),
}  # fmt: skip
NONLINEAR = {
    "relu": lambda net, x, h: torch.relu(h),
    "a rectifier by hand": lambda net, x, h: h * (h > 0),
    "a leaky one by hand": lambda net, x, h: h * torch.where(h > 0, 1.0, 0.1),
    "where": lambda net, x, h: torch.where(h > 0, h, 0.0),
    "a gate": lambda net, x, h: h * h.sigmoid(),
    "a square": lambda net, x, h: h * h,
    "a norm": lambda net, x, h: net.norm(h),
    "softmax": lambda net, x, h: h.softmax(1),
    "the largest": lambda net, x, h: h.view(-1, 4, 2).amax(2).repeat(1, 2),
    "its own inverse": lambda net, x, h: 1.0 / (2 + h),
    "a checkpoint": lambda net, x, h: torch.utils.checkpoint.checkpoint(
        torch.relu, h, use_reentrant=False
    ),
}


@pytest.mark.parametrize("name", [*LINEAR, *NONLINEAR])
def test_only_linear_operations_join_two_layers(recorded, name):
    torch.manual_seed(0)
    net = Functional((LINEAR | NONLINEAR)[name])
    found = follows(recorded(lambda: fit(net, 4, 6)))
    assert found == ({"second": "first"} if name in LINEAR else {})


@pytest.mark.parametrize("name", LINEAR)
def test_what_is_called_linear_is(name):
    """Independent: the map through both layers keeps means of inputs, as only affine maps do."""
    torch.manual_seed(0)
    net = Functional(LINEAR[name])
    x, y = torch.randn(2, 4, 6)
    outputs = []
    for each in (x, y, (x + y) / 2):
        torch.manual_seed(1)  # the same mask of dropout
        outputs.append(net(each))
    torch.testing.assert_close(outputs[2], (outputs[0] + outputs[1]) / 2)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.inlet, self.inner = nn.Linear(6, 8), nn.Linear(8, 8)
        self.outer, self.head = nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        x = self.inlet(x)
        return self.head(x + self.outer(torch.relu(self.inner(x))))


def test_in_a_sum_no_single_layer_is_followed(recorded):
    facts = modules_of(recorded(lambda: fit(Residual(), 4, 6)))
    assert {name: fact.follows for name, fact in facts.items() if fact.follows} == {
        "inner": "inlet"
    }
    assert facts["head"].details["is_after_sum"]


def test_convolutions_pooling_and_factorisations(recorded):
    net = nn.Sequential(
        nn.Conv2d(3, 3, 3, groups=3, padding=1), nn.Conv2d(3, 8, 1), nn.ReLU(),
        nn.Conv2d(8, 8, (1, 3)), nn.Conv2d(8, 8, (3, 1)), nn.BatchNorm2d(8),
        nn.Conv2d(8, 8, 3), nn.AvgPool2d(2), nn.Flatten(), nn.Dropout(0.1),
        nn.Linear(8 * 2 * 2, 4), nn.Linear(4, 16), nn.Linear(16, 16),
    )  # fmt: skip
    facts = modules_of(recorded(lambda: fit(net, 4, 3, 8, 8)))
    found = {n: (f.follows, f.details.get("factorised")) for n, f in facts.items() if f.follows}
    assert found == {
        "1": ("0", "depthwise"),
        "4": ("3", "separable"),
        "10": ("6", None),
        "11": ("10", "low rank"),
        "12": ("11", None),
    }
    assert facts["5"].details["momentum"] == 0.1
    assert facts["9"].details == {"p": 0.1}
    assert [facts[str(i)].order for i in range(13)] == list(range(1, 14))


class Attention(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.words, self.inlet = nn.Embedding(7, 8), nn.Linear(8, 8)
        self.q, self.k, self.v = nn.Linear(8, 8), nn.Linear(8, 8), nn.Linear(8, 8)
        self.outlet, self.whole = nn.Linear(8, 8), nn.MultiheadAttention(8, 2, batch_first=True)
        self.kind = kind

    def forward(self, x):
        x = self.inlet(self.words(x))
        if self.kind == "torch's module":
            return self.whole(x, x, x)[0]
        q, k, v = self.q(x), self.k(x), self.v(x)
        if self.kind == "fused":
            return self.outlet(scaled_dot_product_attention(q, k, v))
        return self.outlet((q @ k.transpose(1, 2) / 3).softmax(-1) @ v)


@pytest.mark.parametrize("kind", ["by hand", "fused", "torch's module"])
def test_attention_is_recognised(recorded, kind):
    facts = modules_of(recorded(lambda: fit(Attention(kind), 4)))
    marked = {name for name, fact in facts.items() if fact.details.get("is_attention")}
    inner = {"whole.out_proj"} if kind == "torch's module" else {"q", "k", "v", "outlet"}
    assert marked == inner | {"whole"}
    assert facts["inlet"].follows == "words"
    assert facts["inlet"].details["factorised"] == "embedding"
    assert facts["outlet"].follows is None
    assert facts["whole.out_proj"].follows is None


def test_modes_are_those_of_the_training_passes(recorded):
    net = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.ReLU(), nn.Linear(8, 2))
    frozen = net[0].requires_grad_(False)

    def train():
        optimizer = torch.optim.SGD(net[3].parameters(), lr=0.1)
        for step in range(9):
            if step == 6:
                net.eval()  # and never back
            optimizer.zero_grad()
            net(torch.randn(4, 6)).sum().backward()
            optimizer.step()
            if step < 5:
                net.eval()
                with torch.no_grad():
                    net(torch.randn(4, 6))
                net.train()

    facts = modules_of(recorded(train))
    assert {(fact.training_steps, fact.eval_steps) for fact in facts.values()} == {(6, 3)}
    assert facts["0"].details["is_frozen"] is (frozen is net[0])
    assert facts["3"].details["is_frozen"] is False
    assert "is_frozen" not in facts["1"].details


def test_settings_of_recurrent_layers_and_slopes(recorded):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.time = nn.RNN(6, 8, 2, nonlinearity="relu", batch_first=True)
            self.slope, self.leak = nn.PReLU(8), nn.LeakyReLU(0.3)
            self.head, self.unused = nn.Linear(8, 2), nn.Linear(2, 2)

        def forward(self, x):
            return self.head(self.leak(self.slope(self.time(x)[0][:, -1])))

    facts = modules_of(recorded(lambda: fit(Net(), 4, 5, 6)))
    assert facts["time"].details["nonlinearity"] == "relu"
    assert facts["time"].details["num_layers"] == 2
    assert facts["slope"].details["num_parameters"] == 8
    assert facts["leak"].details["negative_slope"] == 0.3
    order = sorted((f.order, name) for name, f in facts.items() if f.order >= 0)
    assert [name for _, name in order] == ["", "time", "slope", "leak", "head"]
    assert facts["unused"].order == -1


def test_a_walk_is_bounded():
    x = torch.ones(1, requires_grad=True)
    for _ in range(MOST_NODES + 50):
        x = x + 1
    finder = PathFinder({})
    finder.walk(x.grad_fn)
    assert math.isclose(x.item(), MOST_NODES + 51)
    assert not finder.paths.sources


def test_no_hook_of_saved_tensors_is_called(recorded):
    """What is checkpointed runs twice in a step, and not once more to look at its masks."""
    calls = []

    def inner(h):
        calls.append(1)
        return dropout(h, 0.3, training=True)

    net = Functional(
        lambda net, x, h: torch.utils.checkpoint.checkpoint(inner, h, use_reentrant=False)
    )
    recorded(lambda: fit(net, 4, 6, steps=3))
    assert len(calls) == 6
