"""Fits of the estimators that break down are repaired; the others are left alone, bitwise."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, make_friedman1
from torch import nn

import relume.training.estimator_repair as repair_module
from relume.training.estimator import ReLUClassifier, ReLURegressor
from relume.training.estimator_fitting import PenalisedLoss
from relume.training.estimator_repair import silent_share

SMALL = {"hidden_layer_sizes": (32, 16), "max_iter": 12, "random_state": 0}


@pytest.fixture(scope="module")
def iris():
    return load_iris(return_X_y=True)


@pytest.fixture(scope="module")
def repaired(iris):
    with pytest.warns(UserWarning, match="broke down and was repaired after step") as said:
        model = ReLUClassifier(learning_rate_init=3.0, **SMALL).fit(*iris)
    assert said[0].filename == __file__
    return model


def test_a_mad_rate_is_repaired_to_a_plain_network(iris, repaired):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        plain = ReLUClassifier(learning_rate_init=3.0, repair=False, **SMALL).fit(*iris)
    assert repaired.score(*iris) > plain.score(*iris) + 0.3
    (found, tried, kept), *_ = repaired.repairs_
    assert found.startswith("found after step ")
    assert tried.startswith("tried for 10 epochs each, by validation loss")
    assert "validation loss is better" in kept
    assert sum(isinstance(each, nn.ReLU) for each in repaired.network_.modules()) == 2
    assert not any(
        module._forward_hooks or module._forward_pre_hooks for module in repaired.network_.modules()
    )
    assert plain.repairs_ == []
    assert len(repaired.loss_curve_) == repaired.n_iter_ == 12


def test_what_is_repaired_is_the_same_each_time(iris, repaired):
    with pytest.warns(UserWarning, match="broke down"):
        again = ReLUClassifier(learning_rate_init=3.0, **SMALL).fit(*iris)
    assert again.repairs_ == repaired.repairs_
    assert all(map(np.array_equal, again.coefs_, repaired.coefs_))


def test_a_healthy_fit_is_bitwise_the_one_without(iris):
    on, off = (ReLUClassifier(repair=repair, **SMALL).fit(*iris) for repair in (True, False))
    assert all(map(np.array_equal, on.coefs_, off.coefs_))
    assert on.loss_curve_ == off.loss_curve_
    assert on.repairs_ == off.repairs_ == []


def test_what_only_seems_to_have_broken_down_ends_as_without(iris, monkeypatch):
    monkeypatch.setattr(repair_module, "SILENT_SHARE", 0.0)  # every look says so
    given = SMALL | {"early_stopping": True, "dropout": 0.2}
    on, off = (ReLUClassifier(repair=repair, **given).fit(*iris) for repair in (True, False))
    assert all(map(np.array_equal, on.coefs_, off.coefs_))
    assert on.loss_curve_ == off.loss_curve_
    assert on.validation_scores_ == off.validation_scores_


def test_a_regressor_is_repaired():
    x, y = make_friedman1(200, noise=1.0, random_state=0)
    with pytest.warns(UserWarning, match="broke down"):
        model = ReLURegressor(learning_rate_init=3.0, **SMALL | {"max_iter": 20}).fit(x, y)
    assert model.score(x, y) > 0.3


def test_what_is_not_looked_at(iris, monkeypatch):
    def never(_):
        raise AssertionError("looked")

    monkeypatch.setattr(repair_module, "Look", never)
    x, y = iris
    few = np.arange(0, 150, 4)
    ReLUClassifier(**SMALL).fit(x[few], y[few])
    ReLUClassifier(solver="lbfgs", **SMALL | {"max_iter": 200}).fit(x, y)
    ReLUClassifier(**SMALL).partial_fit(x, y, classes=np.unique(y))
    ReLUClassifier(repair=False, **SMALL).fit(x, y)
    with pytest.raises(AssertionError, match="looked"):
        ReLUClassifier(**SMALL).fit(x, y)


@pytest.mark.parametrize("link", ["softmax", "logistic", "identity", "exp"])
def test_guessing_is_the_least_loss_of_an_answer_that_is_the_same_for_all(link):
    torch.manual_seed(0)
    count = 3 if link == "softmax" else 1
    targets = torch.rand(40, count, dtype=torch.float64)
    if link == "softmax":
        targets = nn.functional.one_hot(targets.argmax(1), count).double()
    weights = torch.rand(40, 1, dtype=torch.float64) + 0.5
    weights = weights / weights.mean()
    objective = PenalisedLoss(link, 0.0, (), smoothing=0.1 if link == "softmax" else 0.0)
    y = torch.cat([targets, weights], dim=1)
    answer = torch.zeros(1, count, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS([answer], max_iter=100, line_search_fn="strong_wolfe")

    def loss():
        search.zero_grad()
        value = objective.train_loss(answer.expand(40, count), y)
        value.backward()
        return value

    search.step(loss)
    assert objective.guessing_loss(y) == pytest.approx(loss().item(), rel=1e-6)


def test_the_share_of_silent_units_is_that_of_the_worst_layer():
    torch.manual_seed(0)
    layers = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 4), nn.Tanh())
    nn.init.zeros_(layers[0].bias)
    x = torch.randn(50, 3)
    assert silent_share(layers, x) == 0.0
    with torch.no_grad():
        layers[0].bias[:2] = -100.0
        layers[2].weight[0] = 0.0
    assert silent_share(layers, x) == 0.25
    assert not any(module._forward_hooks for module in layers)
