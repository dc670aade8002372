"""Treatments in one process: each does what its edit would do, and leaves nothing behind."""

import math
import random

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.remedies.cure.case import Case
from relume.remedies.cure.inside import injector as seams
from relume.remedies.cure.inside.injector import Injector
from relume.remedies.cure.inside.left_out import parameters_left_out
from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.seeds import Seeds
from relume.remedies.cure.inside.survey import Survey
from relume.remedies.cure.inside.treating import LISTENERS, listener_of
from relume.remedies.cure.proposals.of_heads import skip_bounded
from relume.remedies.cure.treatment import Kind, Orders, Treatment


@pytest.fixture
def treated():
    """Install treatments for the rest of a test; what they hear of modules comes first."""
    installed = []

    def install(*kinds_and_numbers, extra=()):
        makings = Makings()
        listeners = [
            listener_of(Treatment(kind=kind, label="", numbers=numbers), makings)
            for kind, numbers in kinds_and_numbers
        ]
        injector = Injector([makings, *extra, *listeners])
        injector.install()
        installed.append(injector)
        return makings

    yield install
    for each in installed:
        each.remove()


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng():
        torch.manual_seed(3)
        yield


def test_every_kind_has_its_class():
    assert set(LISTENERS) == set(Kind)


def test_nothing_is_left_behind():
    holders = [nn.Module, torch, torch.Tensor, functional, torch.autograd, torch.optim.Optimizer]
    before = [dict(vars(holder)) for holder in holders]
    injector = Injector([Listener()])
    injector.install()
    assert all(
        any(value is not was.get(name) for name, value in vars(holder).items())
        for holder, was in zip(holders, before, strict=True)
    )
    injector.remove()
    for holder, was in zip(holders, before, strict=True):
        assert [name for name in vars(holder) if vars(holder)[name] is not was.get(name)] == []
        assert set(vars(holder)) == set(was)


def test_without_treatments_a_training_is_bitwise_the_same(treated):
    def train():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.BatchNorm1d(8), nn.Linear(8, 2))
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        data = torch.utils.data.TensorDataset(torch.randn(20, 3), torch.randint(2, (20,)))
        for x, y in torch.utils.data.DataLoader(data, batch_size=5, shuffle=True):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()
        return torch.cat([each.detach().reshape(-1) for each in model.parameters()])

    bare = train()
    treated()
    assert torch.equal(train(), bare)


def test_a_rate_is_multiplied_before_a_schedule_takes_it(treated):
    treated((Kind.RATE, {"factor": 0.1}))
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.5)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    assert scheduler.base_lrs == [pytest.approx(0.05)]


def test_warming_up_is_the_linear_schedule_of_its_edit(treated):
    def walk(optimizer, scheduler=None):
        moves = []
        for _ in range(6):
            parameter = optimizer.param_groups[0]["params"][0]
            before = parameter.item()
            parameter.grad = torch.ones(1)
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
            moves.append(before - parameter.item())
        return moves

    plain = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    wanted = walk(plain, torch.optim.lr_scheduler.LinearLR(plain, 1 / 4, total_iters=3))
    treated((Kind.WARM_UP, {"steps": 4}))
    assert walk(torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)) == pytest.approx(wanted)


def test_gradients_are_clipped_together(treated):
    treated((Kind.CLIP, {"norm": 1.0}))
    parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.SGD(parameters, lr=1.0)
    for each in parameters:
        each.grad = torch.full_like(each, 7.0)
    optimizer.step()
    assert torch.cat([each.detach() for each in parameters]).norm().item() == pytest.approx(1.0)


def test_gradients_do_not_pile_up(treated):
    treated((Kind.ZERO_GRADIENTS, {}))
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0)
    for _ in range(3):
        (2 * parameter).sum().backward()
        (3 * parameter).sum().backward()  # accumulated over two passes, on purpose
        optimizer.step()
    assert parameter.item() == -15.0


def test_what_was_left_out_is_trained(treated):
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    treated((Kind.ADD_PARAMETERS, {}))
    optimizer = torch.optim.SGD(second.parameters(), lr=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5)
    before = first.weight.detach().clone()
    loss = second(first(torch.ones(1, 2))).sum()
    assert {id(each) for each in parameters_left_out(loss, [optimizer])} == {
        id(first.weight), id(first.bias),
    }  # fmt: skip
    loss.backward()
    optimizer.step()
    schedule.step()  # for as many groups as it knows
    assert not torch.equal(first.weight, before)
    assert parameters_left_out(second(first(torch.ones(1, 2))).sum(), [optimizer]) == []


@pytest.mark.parametrize(("when", "rates"), [("epoch", [1.0, 0.5, 0.25]), ("never", [1.0] * 3)])
def test_a_schedule_steps_once_an_epoch_or_never(treated, when, rates):
    treated((Kind.SCHEDULE, {"when": when}))
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    seen = []
    for _ in range(3):
        for _ in torch.utils.data.DataLoader(range(4)):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
    assert seen == [rate for rate in rates for _ in range(4)]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(2, 4)
        self.relu = nn.ReLU()
        self.second = nn.Linear(4, 2)

    def forward(self, x):
        return self.relu(self.second(self.relu(self.first(x))))


def surveyed(tmp_path, train):
    """Survey a training as the untreated run of a cure does."""
    makings = Makings()
    survey = Survey(str(tmp_path), makings)
    injector = Injector([makings, survey])
    injector.install()
    try:
        train()
    finally:
        injector.remove()
    return survey


def survey_of(tmp_path, train):
    return surveyed(tmp_path, train)._said


def one_step(model, loss):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss(model).backward()
    optimizer.step()


LOSSES = {
    "mse_loss": lambda net: functional.mse_loss(net(torch.ones(3, 2)), torch.ones(3, 2)),
    "": lambda net: ((net(torch.ones(3, 2)) - 1) ** 2).mean(),  # by hand
}


@pytest.mark.parametrize("function", LOSSES)
def test_the_survey_finds_the_head_and_skipping_it_leaves_the_hidden_one(
    treated, tmp_path, function
):
    said = survey_of(tmp_path, lambda: one_step(Net(), LOSSES[function]))
    assert said["loss"]["function"] == function
    assert said["loss"]["prediction_shape"] == [3, 2]
    (treatment,) = skip_bounded(Case((), said))
    assert treatment.label == f"no relu before {function or 'the loss'}"
    assert treatment.numbers["keys"] == said["loss"]["head"]
    head = said["loss"]["head"]
    assert [key["function"] for key in head] == ["relu"]
    assert len(said["activations"]) == 2
    assert head[0]["made"]["kind"] == "ReLU"
    assert said["left_out"] == []
    treated((Kind.SKIP, {"keys": head}))
    x, net = torch.randn(9, 2), Net()
    assert torch.equal(net(x), net.second(net.first(x).clamp(min=0)))


def test_the_survey_holds_on_to_no_graph_of_a_loss_by_hand(tmp_path):
    net = []

    def train():
        net.append(Net())
        for _ in range(3):
            one_step(net[0], LOSSES[""])

    survey = surveyed(tmp_path, train)
    assert survey._tags == {}
    assert len(survey._said["activations"]) == 2


def test_activations_are_swapped(treated, monkeypatch):
    key = {"function": "tanh", "place": None, "made": None}
    monkeypatch.setattr(seams, "user_place", lambda depth=1: None)
    treated((Kind.SWAP, {"keys": [key], "to": "relu"}))
    x = torch.tensor([-2.0, 3.0])
    assert torch.tanh(x).tolist() == x.tanh().tolist() == [0.0, 3.0]
    assert torch.sigmoid(torch.zeros(1)).item() == 0.5


def test_a_relu_is_inserted(treated):
    treated((Kind.INSERT, {"layers": ["0"]}))
    model = nn.Sequential(nn.Linear(2, 5), nn.Linear(5, 1))
    x = torch.randn(7, 2)
    assert torch.equal(model(x), model[1]((x @ model[0].weight.T + model[0].bias).relu()))


def test_losses_are_given_one_shape_logarithms_and_weights(treated):
    scores, classes = torch.randn(6, 3), torch.randint(3, (6,))
    weights = [1.0, 4.0, 9.0]
    squared = functional.mse_loss(torch.arange(6.0), torch.ones(6))
    entropy = functional.cross_entropy(scores, classes)
    weighted = functional.cross_entropy(scores, classes, weight=torch.tensor(weights))
    treated(
        (Kind.SQUEEZE, {}),
        (Kind.LOG_SOFTMAX, {"of_probabilities": False}),
        (Kind.CLASS_WEIGHTS, {"weights": weights}),
    )
    assert functional.mse_loss(torch.arange(6.0)[:, None], torch.ones(6)) == squared
    assert functional.nll_loss(scores, classes).item() == pytest.approx(entropy.item())
    scores.requires_grad_()
    assert nn.CrossEntropyLoss()(scores, classes).item() == pytest.approx(weighted.item())


def test_probabilities_are_given_their_logarithms(treated):
    scores, classes = torch.randn(6, 3), torch.randint(3, (6,))
    wanted = functional.cross_entropy(scores, classes).item()
    treated((Kind.LOG_SOFTMAX, {"of_probabilities": True}))
    found = functional.nll_loss(scores.softmax(1), classes).item()
    assert found == pytest.approx(wanted, rel=1e-5)


def test_a_scaled_model_speaks_in_the_programs_own_units(treated):
    treated((Kind.SCALE, {"inputs": [[10.0, 20.0], [2.0, 4.0]], "targets": [100.0, 50.0]}))
    model = nn.Linear(2, 1)
    x = torch.tensor([[12.0, 24.0]])
    wanted = (torch.ones(1, 2) @ model.weight.T + model.bias) * 50 + 100
    assert torch.allclose(model(x), wanted)
    loss = functional.mse_loss(model(x), torch.full((1, 1), 150.0))
    assert loss.item() == pytest.approx((((wanted - 150) / 50) ** 2).item(), rel=1e-5)


def test_models_are_changed_once_at_their_first_call(treated):
    treated(
        (Kind.INITIALISE, {"scheme": "he"}), (Kind.BATCH_NORM, {"momentum": None}),
        (Kind.NONLINEARITY, {"to": "tanh"}),
    )  # fmt: skip
    model = nn.Sequential(nn.Linear(400, 300), nn.BatchNorm1d(300))
    model(torch.randn(8, 400))
    assert model[0].weight.std().item() == pytest.approx(math.sqrt(2 / 400), rel=0.02)
    assert model[0].bias.abs().sum() == 0
    model.eval()
    assert model(torch.randn(64, 400)).mean(0).abs().max() < 1e-5  # by the batch alone
    drawn = model[0].weight.clone()
    model(torch.randn(8, 400))
    assert torch.equal(model[0].weight, drawn)
    recurrent = nn.RNN(2, 3, nonlinearity="relu")
    x = torch.randn(4, 1, 2)
    changed = recurrent(x)[0]
    plain = nn.RNN(2, 3)
    plain(x)
    plain.load_state_dict(recurrent.state_dict())
    assert torch.equal(changed, plain(x)[0])
    hidden = recurrent.weight_hh_l0
    assert torch.allclose(hidden @ hidden.T, torch.eye(3), atol=1e-6)


def test_rows_with_missing_values_are_left_out_and_empty_batches_too(treated):
    treated((Kind.DROP_ROWS, {}))
    x, y = torch.arange(6.0)[:, None].clone(), torch.zeros(6)
    x[1], y[2:4] = math.nan, math.inf
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=2)
    assert [a.reshape(-1).tolist() for a, _ in loader] == [[0.0], [4.0, 5.0]]


def test_seeds_are_offset_everywhere_and_come_back():
    before = torch.manual_seed, np.random.seed, random.seed
    wanted = []
    for seed in (7, 12):
        torch.manual_seed(seed)
        random.seed(seed)
        wanted.append(
            (torch.rand(1).item(), np.random.default_rng(seed).random(), random.getstate())
        )
    seeds = Seeds(5)
    state = torch.get_rng_state(), random.getstate()
    seeds.install()
    try:
        torch.manual_seed(7)
        random.seed(7)
        got = torch.rand(1).item(), np.random.default_rng(7).random(), random.getstate()
    finally:
        seeds.remove()
        torch.set_rng_state(state[0])
        random.setstate(state[1])
    assert got == wanted[1] != wanted[0]
    assert before == (torch.manual_seed, np.random.seed, random.seed)


def test_orders_survive_their_way_into_another_process():
    treatment = Treatment(kind=Kind.CLIP, label="clip", numbers={"norm": 1.0}, answers=("RLM202",))
    orders = Orders(folder="/f", treatments=(treatment,), offset=3, marks={25: 0.5}, pattern="a(b)")
    assert Orders.from_text(orders.to_text()) == orders


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
def test_torchscript_compiles_what_is_patched(treated):
    treated((Kind.RATE, {"factor": 1.0}))

    def forward(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return functional.cross_entropy(torch.relu(functional.softmax(x, dim=1)), y)

    x, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert torch.jit.script(forward)(x, y) == forward(x, y)


def test_the_survey_sees_missing_values_in_any_batch(tmp_path):
    def read(*, missing):
        def train():
            x = torch.zeros(40, 2)
            x[33, 1] = math.nan if missing else 0.0
            loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, x), 8)
            for given, _ in loader:
                one_step(nn.Linear(2, 1), lambda model, given=given: model(given).sum())

        said = survey_of(tmp_path, train)
        return said["batch"], said["has_missing"]

    assert read(missing=False) == ([2, 2], False)
    assert read(missing=True) == ([2, 2], True)
