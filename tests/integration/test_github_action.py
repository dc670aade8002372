"""The snippet for GitHub Actions: valid, and its command does what it is there for."""

import shlex
from pathlib import Path

import pytest
import yaml

from tests.integration.command_line import relume

SNIPPET = Path(__file__).parents[2] / "examples" / "github-action.yml"
TRAINING = """
import torch
from torch import nn
torch.manual_seed(0)
x = torch.randn(256, 8)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
for _ in range(120):
    optimizer.zero_grad()
    (model(x) - x[:, :1].abs()).square().mean().backward()
    optimizer.step()
print("trained")
"""


@pytest.fixture(scope="module")
def steps():
    read = yaml.safe_load(SNIPPET.read_text(encoding="utf-8"))
    return read["jobs"]["watch"]["steps"]


@pytest.mark.parametrize(("rate", "code"), [("0.05", 0), ("1.0", 3)])
def test_its_command_fails_on_a_training_that_kills_its_units(steps, tmp_path, rate, code):
    (command,) = (step["run"] for step in steps if step.get("run", "").startswith("relume"))
    (tmp_path / "train.py").write_text(TRAINING.replace("RATE", rate), encoding="utf-8")
    done = relume(*shlex.split(command)[1:], cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert done.stdout == "trained\n"
    assert ("failed on" in done.stderr) == bool(code)
    (kept,) = (step["with"]["path"] for step in steps if step.get("if") == "always()")
    names = {path.name for path in (tmp_path / kept).iterdir()}
    assert names == {"run.sqlite", "report.html"}


def test_it_runs_on_a_push(steps):
    read = yaml.safe_load(SNIPPET.read_text(encoding="utf-8"))
    assert read[True] == ["push", "pull_request"]  # YAML 1.1 reads the key "on" as true
    assert steps[0]["uses"].startswith("actions/checkout@")
