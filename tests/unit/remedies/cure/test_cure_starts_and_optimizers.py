"""Treatments of starts, optimizers and outputs: what they do equals what their edit does."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.remedies.cure.edits.diff import write_patch
from relume.remedies.cure.inside.injector import Injector
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.options import options_of
from relume.remedies.cure.inside.survey import Survey
from relume.remedies.cure.inside.treating import listener_of
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Kind, Treatment

SCRIPT = """\
import torch

torch.manual_seed(3)
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.99, weight_decay=0.25)
torch.manual_seed(5)
for x, y in batches:
    optimizer.zero_grad()
    loss = LOSS(model(x), y)
    loss.backward()
    optimizer.step()
"""
HEAD = "import torch\nfrom torch import nn\nfrom torch.nn import functional\n"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.slopes = nn.Linear(3, 6), nn.PReLU(init=-0.5)
        self.norm, self.drop = nn.LayerNorm(6), nn.Dropout(0.5)
        self.recurrent, self.out = nn.RNN(6, 4, batch_first=True), nn.Linear(4, 1)

    def forward(self, x):
        h = self.drop(self.norm(self.slopes(self.first(x))))
        return self.out(self.recurrent(h[:, None])[0][:, -1])


def ran(text, names):
    exec(text, names)  # noqa: S102
    return names


def place(path, text, expression):
    start = text.index(expression)
    line = text[:start].count("\n") + 1
    column = start - (text.rfind("\n", 0, start) + 1)
    return CodePlace(str(path), line, column, line, column + len(expression)).to_json()


MAKING = "torch.optim.SGD(model.parameters(), lr=0.5, momentum=0.99, weight_decay=0.25)"


def survey_of(path, text, function):
    calls = {"function": function, "place": place(path, text, "LOSS(model(x), y)"), "made": None}
    optimizer = torch.optim.SGD([nn.Parameter(torch.ones(1))], 0.5, 0.99, weight_decay=0.25)
    said = {"kind": "SGD", "place": place(path, text, MAKING), **options_of(optimizer)}
    return {
        "optimizers": [said | {"step": place(path, text, "optimizer.step()")}],
        "model": {"made": {"kind": "Net", "place": place(path, text, "Net()")}},
        "modules": {"recurrent": {"kind": "RNN", "place": None}},
        "loss": calls,
    }


def trained(text, loss, batches):
    names = {"Net": Net, "LOSS": loss, "batches": batches}
    ran(text, names)
    return torch.cat([each.detach().reshape(-1) for each in names["model"].parameters()])


def under_treatment(treatment, loss, batches):
    """Train with the treatment; it draws when the model is first called."""
    makings = Makings()
    injector = Injector([makings, listener_of(treatment, makings)])
    injector.install()
    try:
        return trained(SCRIPT, loss, batches)
    finally:
        injector.remove()


def batches(*, with_nan=False):
    torch.manual_seed(0)
    found = [(torch.randn(4, 3), torch.rand(4, 1)) for _ in range(4)]
    if with_nan:
        found[1][0][2, 1] = torch.nan
    return found


@pytest.mark.parametrize(
    ("kind", "numbers"),
    [
        (Kind.MOMENTUM, {"momentum": 0.9}),
        (Kind.WEIGHT_DECAY, {"factor": 0.1, "spares": False}),
        (Kind.WEIGHT_DECAY, {"factor": 1.0, "spares": True}),
        (Kind.FINITE_GRADIENTS, {}),
        (Kind.PROBABILITIES, {"function": "sigmoid"}),
        (Kind.INITIALISE, {"scheme": "slopes"}),
    ],
)
def test_a_treatment_does_what_its_diff_does(tmp_path, kind, numbers):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    treatment = Treatment(kind=kind, label="it", numbers=numbers)
    patch = write_patch([treatment], survey_of(path, SCRIPT, "mse_loss"), tmp_path)
    assert patch.advice == ()
    edited = patch.files[path].decode()
    given = batches(with_nan=kind is Kind.FINITE_GRADIENTS)
    wanted = trained(edited, functional.mse_loss, given)
    plain = trained(SCRIPT, functional.mse_loss, given)
    assert wanted.isfinite().all()
    assert not torch.equal(wanted, plain)
    assert torch.equal(under_treatment(treatment, functional.mse_loss, given), wanted)


@pytest.mark.parametrize("scheme", ["he", "lecun", "default"])
def test_what_is_drawn_anew_is_drawn_as_the_diff_draws_it(tmp_path, scheme):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    treatment = Treatment(kind=Kind.INITIALISE, label="it", numbers={"scheme": scheme})
    edited = write_patch([treatment], survey_of(path, SCRIPT, "mse_loss"), tmp_path).files[path]
    drawing = edited.decode().split("optimizer =")[0].replace("model = Net()", "")
    model, other = Net(), Net()
    other.load_state_dict(model.state_dict())
    ran(drawing, {"model": model})
    torch.manual_seed(3)
    listener_of(treatment, Makings()).before_model(other, (torch.zeros(1, 3),), None)
    for one, each in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(one, each)
    assert model.slopes.weight.item() == -0.5  # which it was made with


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (
            (
                "model = Net()\nmodel.a.fill_(3)\noptimizer = SGD(model)\nmodel.b.fill_(3)\n"
                "for x in xs:\n    model(x)\n"
            ),
            "model.b.fill_(3)\nfor module in model.modules():",
        ),
        (
            (
                "def step(net, x):\n    model(x)\nmodel = Net()\nmodel.a.fill_(3)\n"
                "optimizer = SGD(model)\nstep(model, x)\n"
            ),
            "model.a.fill_(3)\nfor module in model.modules():",
        ),
        (
            "def made():\n    model = Net()\n    return model\noptimizer = SGD(model)\nmodel(x)\n",
            "    model = Net()\n    for module in model.modules():",
        ),
    ],
)
def test_a_start_is_written_behind_what_the_program_does_to_the_weights(tmp_path, text, wanted):
    path = tmp_path / "train.py"
    path.write_text(f"import torch\n{text}")
    text = path.read_text()
    survey = {
        "model": {
            "made": {"kind": "Net", "place": place(path, text, "Net()")},
            "call": place(path, text, "model(x)"),
        },
        "optimizers": [{"place": place(path, text, "SGD(model)")}],
    }
    treatment = Treatment(kind=Kind.INITIALISE, label="it", numbers={"scheme": "default"})
    edited = write_patch([treatment], survey, tmp_path).files[path].decode()
    assert wanted in edited
    compile(edited, "train.py", "exec")


def test_schemes_have_their_variances_and_everything_else_its_beginning():
    def changed(scheme, model, x):
        with torch.no_grad():
            for each in model.parameters():
                each.fill_(3.0)
        treatment = Treatment(kind=Kind.INITIALISE, label="", numbers={"scheme": scheme})
        listener_of(treatment, Makings()).before_model(model, (x,), None)
        return model

    torch.manual_seed(1)
    for scheme, variance in (("he", 2.0), ("lecun", 1.0), ("default", 1 / 3)):
        model = nn.Sequential(nn.Linear(300, 400), nn.PReLU(), nn.BatchNorm1d(400))
        changed(scheme, model, torch.zeros(2, 300))
        assert (model[0].weight.var() * 300).item() == pytest.approx(variance, rel=0.03)
        assert model[1].weight.tolist() == [0.25]
        assert model[2].weight.unique().tolist() == [1.0]
        assert (model[0].bias.abs().sum() == 0) == (scheme != "default")
    lstm = changed("he", nn.LSTM(5, 4), torch.zeros(1, 1, 5))
    assert torch.allclose(lstm.weight_hh_l0.T @ lstm.weight_hh_l0, torch.eye(4), atol=1e-5)
    assert lstm.bias_hh_l0.abs().sum() == 0


def test_cross_entropy_over_one_unit_becomes_the_binary_one(tmp_path):
    path = tmp_path / "train.py"
    text = SCRIPT.replace("LOSS(", "functional.cross_entropy(")
    path.write_text(HEAD + text)
    treatment = Treatment(kind=Kind.ONE_LOGIT, label="it")
    call = place(path, HEAD + text, "functional.cross_entropy(model(x), y)")
    survey = {"loss": {"function": "cross_entropy", "made": None, "place": call}}
    patch = write_patch([treatment], survey, tmp_path)
    assert "functional.binary_cross_entropy_with_logits(model(x), y)" in patch.files[path].decode()
    logits, classes = torch.randn(9, 1), torch.randint(2, (9, 1)).float()
    wanted = functional.binary_cross_entropy_with_logits(logits, classes)
    injector = Injector([listener_of(treatment, Makings())])
    injector.install()
    try:
        found = functional.cross_entropy(logits, classes)
    finally:
        injector.remove()
    assert found.item() == pytest.approx(wanted.item(), rel=1e-6)


def test_dropout_gives_way_to_alpha_dropout_or_to_none(tmp_path):
    path = tmp_path / "net.py"
    text = "from torch import nn\nmodel = nn.Sequential(nn.SELU(), nn.Dropout(0.3))\n"
    path.write_text(text)
    survey = {"modules": {"1": {"kind": "Dropout", "place": place(path, text, "nn.Dropout(0.3)")}}}
    for share, wanted in ((None, "nn.AlphaDropout(0.3)"), (0.0, "nn.Dropout(0)")):
        treatment = Treatment(kind=Kind.DROPOUT, label="it", numbers={"share": share})
        edited = write_patch([treatment], survey, tmp_path).files[path].decode()
        assert wanted in edited
        names = ran(edited, {})
        model, x = nn.Sequential(nn.SELU(), nn.Dropout(0.3)), torch.randn(5, 7)
        listener_of(treatment, Makings()).before_model(model, (x,), None)
        torch.manual_seed(2)
        expected = names["model"](x)
        torch.manual_seed(2)
        assert torch.equal(model(x), expected)
        assert torch.equal(model.eval()(x), functional.selu(x))


def groups_made(tmp_path, treatment=None):
    makings = Makings()
    survey = Survey(str(tmp_path), makings)
    listeners = [listener_of(treatment, makings)] if treatment is not None else []
    injector = Injector([makings, survey, *listeners])
    injector.install()
    try:
        parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
        groups = [{"params": parameters[:1], "lr": 1e-4}, {"params": parameters[1:]}]
        optimizer = torch.optim.SGD(groups, lr=1.0)
        for rate in (1.0, 50.0):
            for each, parameter in zip(optimizer.param_groups, parameters, strict=True):
                each["lr"] = rate * each["lr"]
                parameter.grad = torch.ones(1)
            optimizer.step()
    finally:
        injector.remove()
    return [each.item() for each in parameters], survey._said["optimizers"][0]


def test_rates_are_made_one_or_held(tmp_path):
    plain, said = groups_made(tmp_path)
    assert plain == pytest.approx([-51e-4, -51.0])
    assert said["rates"] == [1e-4, 1.0]
    assert said["is_rate_written"]
    one = Treatment(kind=Kind.ONE_RATE, label="", numbers={"rate": 0.5})
    assert groups_made(tmp_path, one)[0] == pytest.approx([-25.5, -25.5])
    held = Treatment(kind=Kind.HOLD_RATE, label="")
    assert groups_made(tmp_path, held)[0] == pytest.approx([-2e-4, -2.0])


def scheduled(tmp_path, factor, treatment=None):
    """Update at rates of 16 and 4, the second one multiplied by hand meanwhile."""
    makings = Makings()
    survey = Survey(str(tmp_path), makings)
    listeners = [listener_of(treatment, makings)] if treatment is not None else []
    injector = Injector([makings, survey, *listeners])
    injector.install()
    try:
        parameter = nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.SGD([parameter], lr=16.0)
        schedule = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 2)
        halving = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.25**step)
        for times in (1.0, factor):
            parameter.grad = torch.ones(1)
            optimizer.param_groups[0]["lr"] *= times
            optimizer.step()
            optimizer.param_groups[0]["lr"] /= times
            schedule.step()
            halving.step()
    finally:
        injector.remove()
    return parameter.item(), survey._said["optimizers"][0]["is_rate_written"]


def test_a_scheduled_rate_is_held_where_another_is_written_by_hand(tmp_path):
    assert scheduled(tmp_path, 1.0) == (-20.0, False)
    assert scheduled(tmp_path, 100.0) == (-416.0, True)
    held = Treatment(kind=Kind.HOLD_RATE, label="")
    assert scheduled(tmp_path, 100.0, held) == (-20.0, True)


def test_what_cannot_be_written_out_says_where(tmp_path):
    path = tmp_path / "train.py"
    path.write_text(SCRIPT)
    survey = survey_of(path, SCRIPT, "mse_loss")
    survey["optimizers"][0]["is_rate_written"] = True
    for kind, words in (
        (Kind.HOLD_RATE, "the program writes another rate into the groups of the optimizer of "),
        (Kind.ONE_RATE, "groups with rates from elsewhere"),
    ):
        treatment = Treatment(kind=kind, label="it", numbers={"rate": 0.5})
        advice = write_patch([treatment], survey, tmp_path).advice[0]
        assert words in advice
        assert "train.py:5" in advice


def test_decay_of_groups_is_advice(tmp_path):
    call = 'torch.optim.SGD([{"params": a, "weight_decay": 0.5}], 0.1)'
    text = f"optimizer = {call}\n"
    path = tmp_path / "train.py"
    path.write_text(text)
    said = {"kind": "SGD", "place": place(path, text, call), "decay": 0.5, "momentum": 0.0}
    for spares, words in ((False, "gives weight decay to groups"), (True, "in another way")):
        numbers = {"factor": 0.0, "spares": spares}
        treatment = Treatment(kind=Kind.WEIGHT_DECAY, label="it", numbers=numbers)
        assert words in write_patch([treatment], {"optimizers": [said]}, tmp_path).advice[0]
