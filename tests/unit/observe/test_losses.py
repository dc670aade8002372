"""Every loss function of torch is seen, however it is called, and returns what torch returns."""

import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional

from relume.observe.intercept import Interception, Switch
from relume.observe.losses import LOSSES, Form, LossFunction, read_call

N, K = 12, 4


def cases():
    torch.manual_seed(0)
    z, column = torch.randn(N, K), torch.randn(N)
    y, half = torch.arange(N) % K, torch.rand(N)
    sign = torch.ones(N) - 2 * (torch.arange(N) % 2)
    pairs = (torch.randn(N, K), torch.randn(N, K))
    several = torch.full((N, K), -1)
    several[:, 0] = y
    log_p = torch.randn(7, 2, K).log_softmax(-1)
    return {
        "cross_entropy": ((z, y), nn.CrossEntropyLoss()),
        "nll_loss": ((z.log_softmax(1), y), nn.NLLLoss()),
        "multi_margin_loss": ((z, y), nn.MultiMarginLoss()),
        "binary_cross_entropy": ((half, (half > 0.3).float()), nn.BCELoss()),
        "binary_cross_entropy_with_logits": (
            (column, (half > 0.3).float()), nn.BCEWithLogitsLoss(),
        ),
        "multilabel_soft_margin_loss": ((z, (z > 1).float()), nn.MultiLabelSoftMarginLoss()),
        "soft_margin_loss": ((column, sign), nn.SoftMarginLoss()),
        "mse_loss": ((column, half), nn.MSELoss()),
        "l1_loss": ((column, half), nn.L1Loss()),
        "smooth_l1_loss": ((column, half), nn.SmoothL1Loss()),
        "huber_loss": ((column, half), nn.HuberLoss()),
        "gaussian_nll_loss": ((column, half, torch.ones(N)), nn.GaussianNLLLoss()),
        "poisson_nll_loss": ((column, y.float()), nn.PoissonNLLLoss()),
        "kl_div": ((z.log_softmax(1), z.softmax(1)), nn.KLDivLoss(reduction="mean")),
        "hinge_embedding_loss": ((column, sign), nn.HingeEmbeddingLoss()),
        "margin_ranking_loss": ((column, half, sign), nn.MarginRankingLoss()),
        "cosine_embedding_loss": ((*pairs, sign), nn.CosineEmbeddingLoss()),
        "multilabel_margin_loss": ((z, several), nn.MultiLabelMarginLoss()),
        "triplet_margin_loss": ((z, *pairs), nn.TripletMarginLoss()),
        "triplet_margin_with_distance_loss": ((z, *pairs), nn.TripletMarginWithDistanceLoss()),
        "ctc_loss": (
            (log_p, torch.tensor([[1, 2], [3, 1]]), torch.tensor([7, 7]), torch.tensor([2, 2])),
            nn.CTCLoss(),
        ),
    }  # fmt: skip


CASES = cases()
QUIET = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")


def test_every_function_has_a_case():
    assert set(CASES) == {function.name for function in LOSSES}


def test_no_loss_of_torch_is_forgotten():
    theirs = {
        name
        for name, value in vars(functional).items()
        if callable(value) and (name.endswith("_loss") or "cross_entropy" in name)
    }
    assert theirs - {function.name for function in LOSSES} <= {"linear_cross_entropy"}


@QUIET
@pytest.mark.parametrize("name", CASES)
def test_it_is_seen_as_a_function(name, losses):
    args, _ = CASES[name]
    original = getattr(functional, name).__wrapped__
    args = (args[0].clone().requires_grad_(), *args[1:])
    result = getattr(functional, name)(*args)
    assert torch.equal(result, original(*args))
    result.backward()
    losses.end_step()
    fact = losses.only()
    assert (fact.function, fact.phase, fact.calls, fact.step) == (name, "training", 1, 1)
    assert fact.first_loss == pytest.approx(result.item(), rel=1e-5)
    assert fact.place.startswith("test_losses.py:")
    assert fact.prediction_shape == tuple(args[0].shape)
    assert fact.prediction.mean == pytest.approx(args[0].mean().item(), abs=1e-6)


@QUIET
@pytest.mark.parametrize("name", CASES)
def test_it_is_seen_as_a_module(name, losses):
    args, module = CASES[name]
    with torch.no_grad():
        result = module(*args)
    fact = losses.only()
    assert (fact.function, fact.phase, fact.calls) == (name, "evaluation", 1)
    assert fact.first_loss == pytest.approx(result.item(), rel=1e-5)


@QUIET
@pytest.mark.parametrize("name", CASES)
def test_it_is_seen_by_a_name_bound_early(name):
    script = types.ModuleType("script_with_losses")
    script.loss = original = getattr(functional, name)
    sys.modules[script.__name__] = script
    seen = []

    class Spy:
        def wants(self):
            return True

        def call(self, function, original, args, named):
            seen.append(function.name)
            return original(*args, **named)

    switch = Switch()
    switch.losses = Spy()
    interception = Interception(switch)
    try:
        interception.install()
        script.loss(*CASES[name][0])
        interception.remove()
    finally:
        del sys.modules[script.__name__]
    assert seen[:1] == [name]
    assert script.loss is original


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"])
def test_every_reduction_is_told_as_a_mean(name, reduction, losses):
    args, _ = CASES[name]
    with torch.no_grad():
        getattr(functional, name)(*args, reduction=reduction)
        mean = getattr(functional, name).__wrapped__(*args)
    assert losses.only().first_loss == pytest.approx(mean.item(), rel=1e-5)


def test_arguments_are_read_by_position_and_by_name():
    z, y, weight = torch.randn(3, 2), torch.tensor([0, 1, 7]), torch.ones(2)
    function = LossFunction("cross_entropy", Form.CLASSES)
    for given in (
        read_call(function, (z, y, weight, None, 7, None, "sum"), {}),
        read_call(
            function,
            (),
            {"input": z, "target": y, "weight": weight, "ignore_index": 7, "reduction": "sum"},
        ),
    ):
        assert given.prediction is z
        assert given.target is y
        assert (given.ignore_index, given.reduction, given.is_weighted) == (7, "sum", True)
    assert read_call(function, (), {"reduce": False, "input": z}).reduction == "none"
    assert read_call(function, (z, y), {"size_average": False}).reduction == "sum"
    assert read_call(function, ("no tensor", y), {}) is None


def test_a_target_in_logarithms_is_read_as_probabilities(losses):
    p, q = torch.rand(6, 3).softmax(1), torch.rand(6, 3).softmax(1)
    with torch.no_grad():
        functional.kl_div(p.log(), q.log(), log_target=True, reduction="batchmean")
    fact = losses.only()
    assert fact.target_kind == "probabilities"
    assert fact.target.mean == pytest.approx(1 / 3)
    assert fact.is_normalised
