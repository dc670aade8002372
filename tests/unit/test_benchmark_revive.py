"""What is said of the revival of a collapsed network is what was measured."""

import json
from pathlib import Path

import torch
from torch import nn

from benchmarks.revive import WANTED, accuracy, dead

RESULT = Path(__file__).parents[2] / "benchmarks/results/revive.json"


def test_every_network_is_back_within_one_epoch_with_plain_relu():
    result = json.loads(RESULT.read_text(encoding="utf-8"))
    assert len(result["runs"]) >= 3
    for run in result["runs"]:
        assert sum(run["dead_when_collapsed"]) > 700
        assert run["accuracy_untreated"] < 0.2
        assert run["accuracy_revived"] >= WANTED == 0.95
        assert all(run["is_plain_relu"])
        assert run["verdict"]["is_better"]
    assert result["reached"]


def test_dead_units_and_accuracy_are_counted_as_they_are_defined():
    model = nn.Sequential(nn.Linear(1, 3), nn.ReLU(), nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))
    with torch.no_grad():
        for layer, weight, bias in (
            (model[0], [[1.0], [-1.0], [1.0]], [0.0, 0.0, -9.0]),
            (model[2], [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]], [0.0, -9.0]),
            (model[4], [[1.0, 0.0], [0.0, 0.0]], [-1.5, 0.0]),
        ):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    x = torch.tensor([[1.0], [-1.0], [2.0], [-2.0]])
    assert dead(model, x) == [1, 1]
    assert accuracy(model, (x, torch.tensor([1, 1, 0, 1]))) == 0.75
