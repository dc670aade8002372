"""Two linear layers in a row are a fault, unless they factorise one on purpose."""

import pytest
import torch
from torch import nn
from torch.nn import functional

import relume
from relume.diagnosis.engine import diagnose
from relume.diagnosis.rules import linear_stack


def severities(model, x, folder):
    """Train a little, and return how grave each pair is."""
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    with relume.watch(out=folder, quiet=True, report=False, every=2) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            functional.cross_entropy(model(x), torch.arange(len(x)) % 2).backward()
            optimizer.step()
    assert watch.fault is None
    return [str(each.severity) for each in diagnose(watch.run, [linear_stack.RULE]).findings]


IMAGE, ROW = torch.randn(8, 4, 6, 6), torch.randn(8, 16)


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize(
    ("first", "second", "x", "expected"),
    [
        (nn.Linear(16, 12), nn.Linear(12, 16), ROW, ["warning"]),
        (nn.Linear(16, 4), nn.Linear(4, 16), ROW, ["note"]),  # low rank
        (nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1), IMAGE, ["note"]),  # depthwise
        (nn.Conv2d(4, 4, (3, 1)), nn.Conv2d(4, 8, (1, 3)), IMAGE, ["note"]),  # separable
        (nn.Conv2d(4, 8, 3), nn.Conv2d(8, 8, 3), IMAGE, ["warning"]),
    ],
)
def test_factors_of_one_layer_are_a_note(first, second, x, expected, tmp_path):
    model = nn.Sequential(first, second, nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    model(x)
    assert severities(model, x, tmp_path / "run") == expected


def test_without_any_activation_it_is_an_error(tmp_path):
    model = nn.Sequential(nn.Linear(16, 12), nn.Linear(12, 2))
    assert severities(model, ROW, tmp_path / "run") == ["error"]
