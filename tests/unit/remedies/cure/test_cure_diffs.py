"""Treatments written into snippets: what changes, what stays, and what cannot be written out."""

import subprocess

import pytest

from relume.remedies.cure.edits.diff import unified, write_patch
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Kind, Treatment


class Script:
    """A script in a folder, and the places of expressions in it."""

    def __init__(self, folder, text, name="train.py"):
        self.path = folder / name
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(text.encode())
        self.folder, self.text = folder, text.encode()

    def place(self, expression, after=""):
        start = self.text.index(expression.encode(), self.text.index(after.encode()))
        end = start + len(expression.encode())
        lines = [self.text[:at].count(b"\n") + 1 for at in (start, end)]
        columns = [at - (self.text.rfind(b"\n", 0, at) + 1) for at in (start, end)]
        return CodePlace(str(self.path), lines[0], columns[0], lines[1], columns[1]).to_json()

    def made(self, expression, kind, after=""):
        place = self.place(expression, after)
        return {"kind": kind, "place": place, "ordinal": 0, "made_there": 1}

    def optimizer(self, making, step="optimizer.step()", rate=0.1, kind="SGD"):
        places = {"place": self.place(making), "step": self.place(step) if step else None}
        return {"kind": kind, "rate": rate, **places}

    def patch(self, kind, survey, **numbers):
        treatment = Treatment(kind=Kind(kind), label=str(kind), numbers=numbers)
        return write_patch([treatment], survey, self.folder)

    def edited(self, kind, survey, **numbers):
        patch = self.patch(kind, survey, **numbers)
        assert patch.advice == ()
        self.check_applies(patch)
        return patch.files[self.path.resolve()].decode()

    def check_applies(self, patch):
        subprocess.run(["git", "init", "-q", "."], cwd=self.folder, check=True)
        done = subprocess.run(
            ["git", "apply", "-"], input=patch.diff.encode(), cwd=self.folder,
            capture_output=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert self.path.read_bytes() == patch.files[self.path.resolve()]


LOOP = """\
import torch

model = torch.nn.Linear(2, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)  # fast

for x, y in loader:
    loss = criterion(model(x), y)
    loss.backward()
    optimizer.step()
"""
MAKING = "torch.optim.SGD(model.parameters(), lr=0.1)"


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        ("SGD(model.parameters(), lr=0.1)", "SGD(model.parameters(), lr=0.01)"),
        ("SGD(model.parameters(), 0.1, 0.9)", "SGD(model.parameters(), 0.01, 0.9)"),
        ("SGD(model.parameters())", "SGD(model.parameters(), lr=0.01)"),
        ("SGD(model.parameters(), lr=args.lr)", "SGD(model.parameters(), lr=args.lr * 0.1)"),
        (
            "SGD(model.parameters(), lr=1 if a else 2)",
            "SGD(model.parameters(), lr=(1 if a else 2) * 0.1)",
        ),
        (
            "SGD(\n    model.parameters(),\n    lr  =  0.1,   # fast\n    momentum=.9,\n)",
            "SGD(\n    model.parameters(),\n    lr  =  0.01,   # fast\n    momentum=.9,\n)",
        ),
    ],
)
def test_a_rate_is_edited_where_it_stands(tmp_path, call, wanted):
    script = Script(tmp_path, f"é = 1; optimizer = {call}\noptimizer.step()\n")
    edited = script.edited("rate", {"optimizers": [script.optimizer(call)]}, factor=0.1)
    assert edited == f"é = 1; optimizer = {wanted}\noptimizer.step()\n"


def test_a_rate_that_groups_are_given_is_advice(tmp_path):
    call = 'SGD([{"params": a, "lr": 0.1}], lr=0.2)'
    script = Script(tmp_path, f"optimizer = {call}\noptimizer.step()\n")
    patch = script.patch("rate", {"optimizers": [script.optimizer(call)]}, factor=0.1)
    assert patch.diff == ""
    assert patch.advice == ("rate: by hand, as train.py:1 gives rates to groups",)


def test_arguments_that_come_from_elsewhere_are_advice(tmp_path):
    script = Script(tmp_path, "optimizer = SGD(*given)\noptimizer.step()\n")
    survey = {"optimizers": [script.optimizer("SGD(*given)")]}
    assert "line 1 is given its arguments" in script.patch("rate", survey, factor=2.0).advice[0]


def test_an_optimizer_that_a_function_makes_is_advice(tmp_path):
    script = Script(tmp_path, "optimizer = make_optimizer(model)\noptimizer.step()\n")
    survey = {"optimizers": [script.optimizer("make_optimizer(model)")]}
    assert "makes its SGD indirectly" in script.patch("rate", survey, factor=2.0).advice[0]


def test_clipping_comes_before_the_update(tmp_path):
    script = Script(tmp_path, LOOP)
    edited = script.edited("clip gradients", {"optimizers": [script.optimizer(MAKING)]}, norm=1.0)
    line = "    torch.nn.utils.clip_grad_norm_(model.parameters(), 1)\n    optimizer.step()\n"
    assert edited == LOOP.replace("    optimizer.step()\n", line)


def test_clipping_names_what_the_optimizer_holds_where_that_is_no_plain_model(tmp_path):
    making = "torch.optim.SGD(list(model.parameters()), lr=0.1)"
    script = Script(tmp_path, LOOP.replace(MAKING, making))
    survey = {"optimizers": [script.optimizer(making)]}
    edited = script.edited("clip gradients", survey, norm=0.5)
    assert '[p for group in optimizer.param_groups for p in group["params"]], 0.5)' in edited


def test_torch_is_imported_where_it_is_not(tmp_path):
    text = (
        '"""Train."""\nfrom __future__ import annotations\nfrom torch import optim\n'
        + LOOP.replace("import torch\n", "")
    )
    script = Script(tmp_path, text)
    survey = {"optimizers": [script.optimizer(MAKING)]}
    edited = script.edited("clip gradients", survey, norm=1.0)
    assert "annotations\nimport torch\nfrom torch import optim\n" in edited


def test_gradients_are_zeroed_before_the_backward_pass(tmp_path):
    script = Script(tmp_path, LOOP)
    survey = {
        "optimizers": [script.optimizer(MAKING)], "backward": script.place("loss.backward()"),
    }  # fmt: skip
    edited = script.edited("zero gradients", survey)
    assert "y)\n    optimizer.zero_grad()\n    loss.backward()\n" in edited


def test_statements_that_share_a_line_are_advice(tmp_path):
    script = Script(tmp_path, LOOP.replace("\n    optimizer.step()", "; optimizer.step()"))
    survey = {"optimizers": [script.optimizer(MAKING)]}
    patch = script.patch("clip gradients", survey, norm=1.0)
    assert "holds more than one statement" in patch.advice[0]


def test_warming_up_is_what_the_treatment_does(tmp_path):
    script = Script(tmp_path, LOOP)
    edited = script.edited("warm up", {"optimizers": [script.optimizer(MAKING)]}, steps=10)
    made = "warm_up = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 10, total_iters=9)\n"
    assert made in edited
    assert edited.endswith("    optimizer.step()\n    warm_up.step()\n")


SCHEDULE = """\
for epoch in range(3):
    for x in loader:
        optimizer.step()
        if not done:
            scheduler.step()
    print(epoch)
"""


@pytest.mark.parametrize(
    ("when", "wanted"),
    [
        ("never", SCHEDULE.partition("        if")[0]),
        (
            "epoch",
            SCHEDULE.partition("        if")[0] + "    scheduler.step()\n",
        ),
    ],
)
def test_the_step_of_a_schedule_leaves_the_inner_loop(tmp_path, when, wanted):
    script = Script(tmp_path, SCHEDULE)
    places = [script.place("scheduler.step()")]
    assert script.edited("schedule", {}, when=when, places=places) == wanted + "    print(epoch)\n"


def test_a_loop_is_not_left_empty(tmp_path):
    script = Script(tmp_path, "while a:\n    scheduler.step()\n")
    places = [script.place("scheduler.step()")]
    assert script.edited("schedule", {}, when="never", places=places) == "while a:\n    pass\n"


def key(script, function, expression, made=None):
    return {"function": function, "place": script.place(expression), "made": made}


@pytest.mark.parametrize(
    ("line", "expression", "function", "wanted"),
    [
        ("return F.relu(out)", "F.relu(out)", "relu", "return out"),
        ("return F.relu( a + b )", "F.relu( a + b )", "relu", "return a + b"),
        ("return 2 * F.relu(a + b)", "F.relu(a + b)", "relu", "return 2 * (a + b)"),
        (
            "return x if fixed else x.softmax(1)",
            "x.softmax(1)",
            "softmax",
            "return x if fixed else x",
        ),
        ("return (a + b).sigmoid()", "(a + b).sigmoid()", "sigmoid", "return a + b"),
        (
            "return torch.softmax(f(x), dim=1)",
            "torch.softmax(f(x), dim=1)",
            "softmax",
            "return f(x)",
        ),
    ],
)
def test_an_activation_gives_way_to_what_it_is_applied_to(
    tmp_path, line, expression, function, wanted
):
    head = "import torch\nfrom torch.nn import functional as F\n\ndef forward(x):\n    "
    script = Script(tmp_path, head + line + "\n")
    keys = [key(script, function, expression)]
    assert script.edited("skip an activation", {}, keys=keys) == f"{head}{wanted}\n"


NET = """\
from torch import nn

class Net(nn.Module):
    def __init__(self):
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.first(self.relu(x))
        return self.relu(x)
"""


def test_one_of_two_calls_of_a_module_is_taken_out(tmp_path):
    script = Script(tmp_path, NET)
    made = script.made("nn.ReLU()", "ReLU")
    said = {"function": "relu", "place": script.place("self.relu(x)", "return"), "made": made}
    edited = script.edited("skip an activation", {"modules": {}}, keys=[said])
    assert edited == NET.replace("return self.relu(x)", "return x")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=1))", "nn.Sequential(nn.Linear(2, 2))"),
        (
            "nn.Sequential(\n    nn.Linear(2, 2),\n    nn.Softmax(dim=1),  # shares\n)",
            "nn.Sequential(\n    nn.Linear(2, 2),  # shares\n)",
        ),
        ("[nn.Softmax(dim=1), nn.Linear(2, 2)]", "[nn.Linear(2, 2)]"),
    ],
)
def test_an_element_of_a_sequence_is_taken_out(tmp_path, before, after):
    script = Script(tmp_path, f"model = {before}\nmodel(x)\n")
    made = script.made("nn.Softmax(dim=1)", "Softmax")
    keys = [key(script, "softmax", "model(x)", made)]
    edited = script.edited("skip an activation", {"modules": {"1": made}}, keys=keys)
    assert edited == f"model = {after}\nmodel(x)\n"


def test_one_of_several_that_a_line_makes_is_advice(tmp_path):
    script = Script(tmp_path, "layers = [nn.Linear(2, 2), nn.ReLU()]\nmodel(x)\n")
    made = script.made("nn.ReLU()", "ReLU") | {"made_there": 3}
    keys = [key(script, "relu", "model(x)", made)]
    patch = script.patch("skip an activation", {"modules": {"1": made}}, keys=keys)
    assert "train.py:1 makes 3 of ReLU; only one is meant" in patch.advice[0]


def test_activations_are_swapped_as_modules_functions_and_methods(tmp_path):
    text = "import torch\nact = nn.Tanh()\ny = torch.tanh(torch.tanh(x) + z.tanh())\nact(x)\n"
    script = Script(tmp_path, text)
    made = script.made("nn.Tanh()", "Tanh")
    calls = ["torch.tanh(torch.tanh(x) + z.tanh())", "torch.tanh(x)", "z.tanh()"]
    keys = [key(script, "tanh", "act(x)", made), *(key(script, "tanh", call) for call in calls)]
    edited = script.edited("swap activations", {}, keys=keys, to="relu")
    new = "torch.nn.functional.relu"
    assert edited == (f"import torch\nact = nn.ReLU()\ny = {new}({new}(x) + {new}(z))\nact(x)\n")


def test_a_module_that_the_output_goes_through_too_is_advice(tmp_path):
    script = Script(tmp_path, NET)
    keys = [key(script, "relu", "self.relu(x)", script.made("nn.ReLU()", "ReLU"))]
    survey = {"loss": {"head": [keys[0] | {"place": script.place("self.relu(x)", "x = ")}]}}
    hidden = [keys[0] | {"place": None}]
    patch = script.patch("swap activations", survey, keys=hidden, to="leaky_relu")
    assert "the ReLU of train.py:5 is applied to the output too" in patch.advice[0]


def test_a_relu_is_put_between_two_layers_of_a_sequence(tmp_path):
    script = Script(tmp_path, "model = nn.Sequential(nn.Linear(2, 8), nn.Linear(8, 1))\n")
    survey = {"modules": {"0": script.made("nn.Linear(2, 8)", "Linear")}}
    edited = script.edited("insert an activation", survey, layers=["0"])
    assert "nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 1))" in edited


def test_a_relu_is_put_around_the_one_call_of_a_layer(tmp_path):
    text = "import torch\nself.a = nn.Linear(2, 8)\nreturn_ = self.b(self.a(x))\n"
    script = Script(tmp_path, text)
    survey = {"modules": {"a": script.made("nn.Linear(2, 8)", "Linear")}}
    edited = script.edited("insert an activation", survey, layers=["a"])
    assert "self.b(torch.relu(self.a(x)))" in edited


LOSS = "import torch\ncriterion = nn.NLLLoss()\nloss = criterion(model(x), y)\n"


def loss_of(script, function, call, made=None):
    return {"loss": {"function": function, "place": script.place(call), "made": made}}


def test_the_loss_that_takes_scores_stands_for_the_one_that_takes_logarithms(tmp_path):
    script = Script(tmp_path, LOSS)
    made = script.made("nn.NLLLoss()", "NLLLoss")
    survey = loss_of(script, "nll_loss", "criterion(model(x), y)", made)
    edited = script.edited("log-softmax", survey, of_probabilities=False)
    assert "criterion = nn.CrossEntropyLoss()\n" in edited
    patch = script.patch("log-softmax", survey, of_probabilities=True)
    edited = patch.files[script.path.resolve()].decode()
    assert "criterion(torch.log(model(x) + 1e-9), y)" in edited


@pytest.mark.parametrize(
    ("prediction", "target", "wanted"),
    [
        ([8, 1], [8], "criterion(model(x).squeeze(1), y)"),
        ([8], [8, 1], "criterion(model(x), y.squeeze(1))"),
        ([1, 8], [8], "criterion(model(x).squeeze(0), y)"),
    ],
)
def test_the_axis_of_length_1_goes(tmp_path, prediction, target, wanted):
    script = Script(tmp_path, LOSS)
    survey = loss_of(script, "mse_loss", "criterion(model(x), y)")
    assert wanted in script.edited("squeeze", survey, prediction=prediction, target=target)


def test_shapes_that_differ_otherwise_are_advice(tmp_path):
    script = Script(tmp_path, LOSS)
    survey = loss_of(script, "mse_loss", "criterion(model(x), y)")
    patch = script.patch("squeeze", survey, prediction=[4, 2], target=[8])
    assert "differ by more than an axis" in patch.advice[0]


def test_class_weights_replace_those_that_are_there(tmp_path):
    call = "nn.CrossEntropyLoss(weight=None, label_smoothing=0.1)"
    script = Script(tmp_path, f"import torch\ncriterion = {call}\ncriterion(a, b)\n")
    made = script.made(call, "CrossEntropyLoss")
    survey = loss_of(script, "cross_entropy", "criterion(a, b)", made)
    edited = script.edited("class weights", survey, weights=[1.0, 5.0])
    assert "nn.CrossEntropyLoss(weight=torch.tensor([1, 5]), label_smoothing=0.1)" in edited


def test_scales_go_into_hooks_and_into_the_loss(tmp_path):
    script = Script(tmp_path, "import torch\nmodel = Net()\nloss = criterion(model(x), y + 1)\n")
    survey = loss_of(script, "mse_loss", "criterion(model(x), y + 1)") | {
        "model": {"made": script.made("Net()", "Net")}
    }
    edited = script.edited("scale", survey, inputs=[[2.0, 3.0], [4.0, 5.0]], targets=[10.0, 20.0])
    assert (
        "model.register_forward_pre_hook(lambda _, values: ((values[0] - torch.tensor([2, 3]))"
        in (edited)
    )
    assert "model.register_forward_hook(lambda _, values, output: output * 20 + 10)\n" in edited
    assert "criterion(model(x) / 20, (y + 1) / 20)" in edited


def test_rows_are_left_out_at_the_head_of_the_loop(tmp_path):
    script = Script(tmp_path, "for i, (x, y) in enumerate(loader):\n    step(x, y)\n")
    survey = {"loader": script.place("enumerate(loader)")}
    edited = script.edited("drop rows", survey, dimensions=[2, 1])
    assert edited == (
        "for i, (x, y) in enumerate(loader):\n"
        "    finite = x.isfinite().flatten(1).all(1) & y.isfinite()\n"
        "    x, y = x[finite], y[finite]\n"
        "    if not finite.any():\n"
        "        continue\n"
        "    step(x, y)\n"
    )


def test_batch_norms_and_recurrent_layers_are_edited_where_they_are_made(tmp_path):
    script = Script(tmp_path, "self.bn = nn.BatchNorm1d(8)\nself.rnn = nn.RNN(4, 4, 1, 'relu')\n")
    survey = {
        "modules": {
            "bn": script.made("nn.BatchNorm1d(8)", "BatchNorm1d"),
            "rnn": script.made("nn.RNN(4, 4, 1, 'relu')", "RNN"),
        }
    }
    edited = script.patch("batch norm", survey, momentum=None).files[script.path.resolve()]
    assert b"nn.BatchNorm1d(8, track_running_stats=False)" in edited
    assert 'nn.RNN(4, 4, 1, "tanh")' in script.edited(
        "recurrent nonlinearity", survey, layers=["rnn"], to="tanh"
    )


def test_initialisation_and_train_mode_are_lines_of_their_own(tmp_path):
    script = Script(tmp_path, "import torch\nmodel = Net().to(device)\nloss = f(model(x))")
    survey = {"model": {"made": script.made("Net()", "Net")}}
    for scheme, wanted in (("he", 'nonlinearity="relu"'), ("lecun", 'nonlinearity="linear"')):
        patch = script.patch("initialise", survey, scheme=scheme)
        edited = patch.files[script.path.resolve()].decode()
        assert "device)\nfor module in model.modules():\n    if hasattr(module, " in edited
        assert wanted in edited
        compile(edited, "train.py", "exec")
    edited = script.edited("train mode", survey, place=script.place("model(x)"))
    assert "device)\nmodel.train()\nloss = f(model(x))" in edited


def test_layers_in_lists_are_put_into_module_lists(tmp_path):
    text = (
        "import torch\nclass Net:\n    def __init__(self):\n        self.hids = []\n"
        "        self.hids.append([nn.Linear(2, 2), act])\n        self.rest = [nn.Linear(3, 3)]\n"
    )
    script = Script(tmp_path, text)
    left = [
        {"made": script.made(call, "Linear"), "is_registered": False}
        for call in ("nn.Linear(2, 2)", "nn.Linear(3, 3)")
    ]
    edited = script.edited("add parameters", {"left_out": left})
    assert "self.hids = torch.nn.ModuleList()\n" in edited
    assert "append(torch.nn.ModuleList([nn.Linear(2, 2), act]))" in edited
    assert "self.rest = torch.nn.ModuleList([nn.Linear(3, 3)])" in edited


def test_parameters_made_after_the_optimizer_are_advice_with_their_place(tmp_path):
    script = Script(tmp_path, "layer = nn.Linear(2, 2)\n")
    left = [{"made": script.made("nn.Linear(2, 2)", "Linear"), "is_registered": True}]
    patch = script.patch("add parameters", {"left_out": left})
    assert "at train.py:1: make it again after them" in patch.advice[0]


def test_line_ends_and_a_missing_last_one_are_kept(tmp_path):
    text = LOOP.replace("\n", "\r\n").removesuffix("\r\n")
    script = Script(tmp_path, text)
    edited = script.edited("warm up", {"optimizers": [script.optimizer(MAKING)]}, steps=4)
    assert edited.count("\n") == edited.count("\r\n") == text.count("\n") + 2
    assert edited.endswith("    optimizer.step()\r\n    warm_up.step()")


def test_two_treatments_are_one_diff_and_a_file_in_a_folder_has_its_path(tmp_path):
    script = Script(tmp_path, LOOP, name="pack age/train.py")
    survey = {"optimizers": [script.optimizer(MAKING)]}
    both = [
        Treatment(kind=Kind.RATE, label="rate", numbers={"factor": 0.1}),
        Treatment(kind=Kind.CLIP, label="clip", numbers={"norm": 1.0}),
        Treatment(kind=Kind.SEED, label="another seed"),
    ]
    patch = write_patch(both, survey, tmp_path)
    assert patch.diff.startswith("--- a/pack age/train.py")
    assert patch.diff.count("\n+") == 3  # the file's name, the rate, the clipping
    assert patch.advice == ("another seed: by hand, as it has no line of its own in the source",)
    script.check_applies(patch)


def test_what_lies_elsewhere_is_never_edited(tmp_path):
    script = Script(tmp_path, LOOP, name="elsewhere/train.py")
    (tmp_path / "here").mkdir()
    treatment = Treatment(kind=Kind.RATE, label="rate", numbers={"factor": 0.1})
    survey = {"optimizers": [script.optimizer(MAKING)]}
    patch = write_patch([treatment], survey, tmp_path / "here")
    assert patch.diff == ""
    assert "is not below the folder of the run" in patch.advice[0]


def test_a_source_that_has_changed_since_is_advice(tmp_path):
    script = Script(tmp_path, LOOP)
    survey = {"optimizers": [script.optimizer(MAKING)]}
    script.path.write_text("print(1)\n")
    assert "is not in the file" in script.patch("rate", survey, factor=0.1).advice[0]


def test_a_diff_of_nothing_is_empty():
    assert unified("train.py", "a\n", "a\n") == ""
