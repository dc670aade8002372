"""A warning of torch's names the line that it names without us, and comes as often."""

import inspect
import warnings

import pytest
import torch
from torch import nn
from torch.nn import functional

import relume


def warned(train):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        train()
    return [(w.filename, w.lineno, w.category, str(w.message)) for w in caught]


def by_function():
    for _ in range(5):
        p = torch.randn(4, 1, requires_grad=True)
        functional.mse_loss(p, torch.randn(4)).backward()


def by_module():
    loss = nn.L1Loss()
    for _ in range(5):
        loss(torch.randn(4, 1, requires_grad=True), torch.randn(4)).backward()


def by_implicit_axis():
    functional.softmax(torch.randn(3, 2))


@pytest.mark.parametrize("train", [by_function, by_module, by_implicit_axis])
def test_warnings_are_those_of_the_bare_training(train, tmp_path):
    vars(functional).pop("__warningregistry__", None)
    bare = warned(train)
    assert len(bare) == 1
    registry = inspect.getmodule(train).__dict__
    for known in (registry, vars(nn.modules.loss)):
        known.pop("__warningregistry__", None)
    with relume.watch(out=tmp_path / "run", quiet=True, report=False, every=2) as watch:
        seen = warned(train)
    assert watch.fault is None
    assert seen == bare
    assert functional.warnings is warnings


def test_a_category_and_other_arguments_go_through():
    from relume.observe.warned_place import WarningsBeyondUs

    beyond = WarningsBeyondUs()
    with pytest.warns(DeprecationWarning, match="old"):
        beyond.warn(DeprecationWarning("old"))
    with pytest.warns(FutureWarning, match="soon"):
        beyond.warn("soon", FutureWarning, stacklevel=10_000)
    assert beyond.catch_warnings is warnings.catch_warnings
