"""Trained models are revived and repaired in place, measured on rows kept apart, or left as is."""

import math

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import relume
from relume.errors import DataError, SettingsError
from relume.remedies import revive as reviving


def state_bytes(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def rows(seed=0, count=640):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 2, generator=generator)
    return x, (x[:, 0] * x[:, 1] > 0).long()


def batches(x, y, size=32):
    return list(zip(x.split(size), y.split(size), strict=True))


def dead_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    nn.init.constant_(model[0].bias, -100.0)
    return model


def test_a_revival_is_measured_on_rows_that_it_did_not_see():
    model = dead_model()
    x, y = rows()
    held_out = rows(seed=1, count=500)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    torch.manual_seed(3)
    found = relume.revive(model, loader, held_out=[held_out], epochs=30, lr=0.01)
    with torch.no_grad():
        right = (model(held_out[0]).argmax(1) == held_out[1]).float()
    assert found.verdict.n == 500
    assert found.verdict.treated == pytest.approx(right.mean().item())
    assert found.verdict.treated > 0.9
    assert found.verdict.is_better
    assert (found.dead_before, found.dead_after) == (16, 0)
    assert found.layers[0].plan.action == "revive_units"
    assert found.sentence.startswith("16 dead units → 0 on 640 rows; held-out accuracy is better")
    assert [type(each) for each in model] == [nn.Linear, nn.ReLU, nn.Linear]


def test_modes_and_random_numbers_stay():
    model = dead_model().eval()
    random = torch.get_rng_state()
    relume.revive(model, batches(*rows()), epochs=2)
    assert torch.equal(torch.get_rng_state(), random)
    assert not any(module.training for module in model.modules())


def test_without_training_nothing_is_gained_and_nothing_lost():
    model = dead_model()
    x, y = rows()
    before = model(x).detach()
    found = relume.revive(model, batches(x, y), epochs=0)
    assert torch.allclose(model(x), before, atol=1e-6)
    assert "no difference beyond chance" in found.sentence
    assert found.verdict.is_kept


def test_what_got_worse_is_undone_bitwise():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
    x, y = rows(count=2000)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(200):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    with torch.no_grad():
        model[0].weight[0] = 0.0
        model[0].bias[0] = -1.0
        model[2].weight[:, 0] = 0.0
    before = state_bytes(model)
    wrong = batches(x, 1 - y)
    found = relume.revive(model, wrong, held_out=batches(*rows(1)), epochs=3, lr=0.1)
    assert found.verdict.is_worse
    assert not found.verdict.is_kept
    assert state_bytes(model) == before
    assert found.dead_after == found.dead_before > 0


def test_a_model_without_dead_units_is_left_alone():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    before = state_bytes(model)
    found = relume.revive(model, batches(*rows()))
    assert state_bytes(model) == before
    assert found.verdict is None
    assert found.sentence.startswith("no unit is dead on ")


def test_a_fault_in_the_middle_leaves_the_model_as_it_was():
    model = dead_model()
    before = state_bytes(model)
    calls = []

    def loss(output, y):
        calls.append(1)
        if len(calls) > 6:
            raise RuntimeError("out of order")
        return nn.functional.cross_entropy(output, y, reduction="none")

    with pytest.raises(RuntimeError, match="out of order"):
        relume.revive(model, batches(*rows()), loss=loss)
    assert state_bytes(model) == before


def test_amounts_are_judged_by_their_squared_error():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    nn.init.constant_(model[0].bias, -100.0)
    x, _ = rows()
    y = x[:, :1].abs()
    found = relume.revive(model, batches(x, y), epochs=40, lr=0.01)
    assert found.verdict.metric == "held-out loss"
    assert found.verdict.treated < 0.2 * found.verdict.untreated


def test_residual_units_have_their_biases_lifted():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.act, self.head = nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)

        def forward(self, x):
            return self.head(x + self.act(self.inner(x)))

    torch.manual_seed(0)
    model = Residual()
    nn.init.constant_(model.inner.bias, -50.0)
    found = relume.revive(model, batches(*rows()), epochs=5, lr=0.01)
    assert found.layers[0].plan.action == "lift_biases"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": -1}, "epochs must be a whole number of at least 0; got -1"),
        ({"epochs": 1.5}, "epochs must be"),
        ({"lr": 0.0}, "lr must be a positive number"),
        ({"lr": math.nan}, "lr must be a positive number"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, message):
    with pytest.raises(SettingsError, match=message):
        relume.revive(dead_model(), batches(*rows()), **options)


def test_a_loader_that_leaves_nothing_to_judge_by_is_refused():
    x, y = rows()
    with pytest.raises(DataError, match="give smaller batches, or other rows as held_out"):
        relume.revive(dead_model(), [(x, y)])
    with pytest.raises(DataError, match="a batch has no targets"):
        relume.revive(dead_model(), list(x.split(32)))


def test_a_frozen_model_cannot_be_revived():
    model = dead_model().requires_grad_(requires_grad=False)
    before = state_bytes(model)
    with pytest.raises(SettingsError, match="every parameter is frozen"):
        relume.revive(model, batches(*rows()))
    assert state_bytes(model) == before


def test_the_sentence_says_what_could_not_be_done():
    layer = reviving.RevivedLayer("1", 8, 3, 3, None)
    found = reviving.Revival((layer,), 100, None)
    assert found.sentence.startswith("3 units of 1 layer are dead, and none could be revived")


def trained_with_batch_norm():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(2, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1),
        nn.Linear(32, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 2),
    )  # fmt: skip
    x, y = rows(count=2000)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(10):
        for xs, ys in batches(x, y, 64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model.train()(xs), ys).backward()
            optimizer.step()
    return model.eval(), x, y


def loss_by_batches(model, norm_by_batch, x, y):
    """The loss with every batch norm as in training and everything else as in evaluation."""
    model.eval()
    kept = {n: b.clone() for n, b in model.named_buffers()}
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.train(norm_by_batch)
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(x), y).item()
        for name, buffer in model.named_buffers():
            buffer.copy_(kept[name])
    model.eval()
    return loss


@pytest.mark.parametrize("which", [1, 5])
def test_planted_corruption_is_named_and_repaired_without_touching_a_weight(which):
    model, x, y = trained_with_batch_norm()
    held = rows(seed=7, count=1000)
    with torch.no_grad():
        norm = model[which]
        norm.running_mean += 5 * norm.running_var.sqrt()
        norm.running_var *= 25
    weights = {n: p.detach().numpy().tobytes() for n, p in model.named_parameters()}
    tracked = int(norm.num_batches_tracked)
    wanted = loss_by_batches(model, True, *held)
    corrupt = loss_by_batches(model, False, *held)
    found = relume.repair_batch_norm(model, batches(x, y, 250), held_out=[held])
    repaired = loss_by_batches(model, False, *held)
    assert [each.name for each in found.off] == [str(which)]
    assert found.off[0].spread_ratio == pytest.approx(25, rel=0.35)
    assert corrupt > 1.5 * wanted
    assert repaired <= 1.01 * wanted
    assert {n: p.detach().numpy().tobytes() for n, p in model.named_parameters()} == weights
    assert int(norm.num_batches_tracked) == tracked
    assert found.verdict.is_better
    assert found.verdict.treated == pytest.approx(repaired, rel=1e-5)
    assert f"running statistics of {which} did not fit" in found.sentence


def test_estimated_statistics_are_those_of_all_rows_in_float64():
    torch.manual_seed(0)
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    x = torch.randn(200, 3) * 7 + 40
    sizes = [50, 30, 120]
    relume.repair_batch_norm(
        model, [(b, torch.zeros(len(b), 1)) for b in x.split(sizes)], held_out=[(x, model(x))]
    )
    if torch.equal(model[0].running_mean, torch.zeros(3)):
        pytest.fail("the statistics were not taken")
    assert torch.allclose(model[0].running_mean, x.double().mean(0).float(), rtol=1e-6)
    assert torch.allclose(model[0].running_var, x.double().var(0).float(), rtol=1e-6)


def test_statistics_that_fit_are_said_to_fit():
    model, x, y = trained_with_batch_norm()
    relume.repair_batch_norm(model, batches(x, y, 250))
    found = relume.repair_batch_norm(model, batches(x, y, 250))
    assert found.off == ()
    assert found.sentence.startswith("the running statistics of 2 batch norms fit;")


def test_a_model_without_batch_norm_is_refused():
    with pytest.raises(DataError, match="Sequential has no batch norm with running statistics"):
        relume.repair_batch_norm(dead_model(), batches(*rows()))


def test_rows_that_are_not_finite_leave_the_statistics_as_they_were():
    model, x, y = trained_with_batch_norm()
    before = state_bytes(model)
    broken = [*batches(x, y, 250), (x[:8] * math.nan, y[:8])]
    with pytest.raises(DataError, match="what goes into 1 is not finite"):
        relume.repair_batch_norm(model, broken, held_out=batches(x, y, 250))
    assert state_bytes(model) == before
