"""``relume diagnose``, ``relume rules`` and ``relume run --fail-on``, typed in a folder."""

import json

import pytest

from relume.diagnosis.rules import RULES
from tests.integration.command_line import relume, relume_cold

SCRIPT = """
import sys
import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(0)
x = torch.randn(400, 8)
y = x[:, :1] if "--healthy" in sys.argv else x[:, 0]
model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(60):
    i = torch.randint(0, 400, (32,))
    optimizer.zero_grad()
    F.mse_loss(model(x[i]), y[i]).backward()
    optimizer.step()
sys.exit(5 if "--fails" in sys.argv else 0)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a script that compares every row with every other, and its run."""
    place = tmp_path_factory.mktemp("diagnosed")
    (place / "train.py").write_text(SCRIPT)
    done = relume_cold("run", "--fail-on", "error", "train.py", cwd=place)
    assert done.returncode == 3, done.stderr
    assert "relume: error RLM018: mse_loss (train.py:" in done.stderr
    assert "relume: failed on RLM018 (error)" in done.stderr
    return place


@pytest.mark.parametrize(
    ("options", "arguments", "code"),
    [
        (["--fail-on", "error"], ["--fails"], 5),  # its own code comes first
        (["--fail-on", "RLM101:0.9"], [], 0),
        (["--fail-on", "RLM018,RLM301", "--no-report", "--quiet"], [], 3),
        (["--fail-on", "warning"], ["--healthy"], 0),
        ([], [], 0),
    ],
)
def test_findings_set_the_exit_code_where_the_script_succeeds(folder, options, arguments, code):
    done = relume_cold("run", *options, "train.py", *arguments, cwd=folder)
    assert done.returncode == code, done.stderr
    assert ("failed on" in done.stderr) == (code != 0 and "--quiet" not in options)


def test_a_run_is_diagnosed_in_words_and_as_json(folder):
    said = relume("diagnose", "relume-train", cwd=folder)
    assert said.returncode == 0
    assert said.stdout.startswith("error RLM018: mse_loss (train.py:")
    assert "try: bring both to one shape" in said.stdout
    assert "not judged: " in said.stdout
    data = json.loads(relume("diagnose", "relume-train", "--json", cwd=folder).stdout)
    assert data["findings"][0]["code"] == "RLM018"
    assert data["findings"][0]["evidence"]["target"] == "(32,)"
    failed = relume("diagnose", "relume-train", "--fail-on", "RLM018", cwd=folder)
    assert (failed.returncode, failed.stderr) == (3, "relume: failed on RLM018 (RLM018)\n")


def test_rules_are_listed_and_have_pages(tmp_path):
    listed = relume("rules", cwd=tmp_path).stdout
    assert all(rule.code in listed for rule in RULES)
    by_code, by_name = (
        relume("rules", each, cwd=tmp_path) for each in ("rlm018", "broadcast-loss")
    )
    assert by_code.stdout == by_name.stdout
    assert by_code.stdout.startswith("RLM018 broadcast-loss\n\nPrediction and target")
    (page,) = json.loads(relume("rules", "RLM101", "--json", cwd=tmp_path).stdout)
    assert page["name"] == "dead-units"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["diagnose", "nothing"], "there is no run file at nothing"),
        (
            ["rules", "broadcast-los"],
            "no rule 'broadcast-los'; the nearest is RLM018 broadcast-loss",
        ),
        (["run", "--fail-on", "fatal", "train.py"], "got 'fatal'"),
    ],
)
def test_a_mistake_is_one_clear_line(folder, relume_here, arguments, said):
    done = relume_here(*arguments, cwd=folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
