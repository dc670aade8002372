from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import accuracy_score, r2_score

from relume.report.document import build_document
from relume.report.html import render_page
from relume.training.data import prepare as door
from relume.training.data.prepare import DataOptions, prepare, read_data
from relume.training.data.target import Target
from relume.training.fit import fit
from relume.training.loop import joined
from relume.training.model_folder import load_model
from relume.training.objective import Classification, Regression
from relume.training.predict import predict
from relume.training.several import Several, head_columns, target_values

LABEL, ANGLE = Target("label", ("a", "b", "c")), Target("angle", None, 10.0, 5.0)
OUTPUT = torch.randn(30, 4, generator=torch.Generator().manual_seed(0))
Y = torch.stack([torch.arange(30) % 3, torch.linspace(-1, 1, 30)], dim=1)
OBJECTIVE = Several(
    (Classification("accuracy", 0.1, torch.tensor([0.5, 1.0, 4.0])), Regression()),
    head_columns([LABEL, ANGLE]),
)


def frame():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(240, 4))
    kinds = np.array(["low", "mid", "high"])[np.digitize(x[:, 0] + x[:, 1], [-0.6, 0.6])]
    return pl.DataFrame(
        {
            **{f"x{k}": x[:, k] for k in range(4)},
            "kind": kinds,
            "a.b": 100 + 20 * x[:, 0] * x[:, 2],
        }
    )


def test_losses_and_scores_are_the_means_of_the_single_ones():
    label, angle = OBJECTIVE.objectives
    classes, amounts = Y[:, 0].long(), Y[:, 1]
    for name in ("train_loss", "plain_loss", "score"):
        alone = (
            getattr(label, name)(OUTPUT[:, :3], classes),
            getattr(angle, name)(OUTPUT[:, 3:], amounts),
        )
        both = torch.as_tensor(getattr(OBJECTIVE, name)(OUTPUT, Y))
        torch.testing.assert_close(
            both, torch.as_tensor((alone[0] + alone[1]) / 2), rtol=1e-6, atol=0
        )
    assert OBJECTIVE.plain_loss(OUTPUT, Y).shape == (30,)


def test_heads_are_joined_in_their_order():
    heads = {"b": torch.ones(2, 1), "a": torch.zeros(2, 2)}
    assert joined(heads).tolist() == [[1, 0, 0], [1, 0, 0]]
    assert joined(OUTPUT) is OUTPUT


def test_amounts_are_standardised_and_classes_are_not():
    y = np.array([[2.0, 20.0], [0.0, 5.0]])
    values = target_values(y, (LABEL, ANGLE))
    assert values.dtype == np.float32
    assert values.tolist() == [[2, 2], [0, -1]]
    assert target_values(np.array([2, 0]), (LABEL,)).dtype == np.int64


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return fit(frame(), target="kind,a.b", out=tmp_path_factory.mktemp("both"), epochs=40)


def test_one_verdict_a_target(result):
    prepared = prepare(frame(), DataOptions(target="kind,a.b"))
    with torch.no_grad():
        heads = result.model.network(torch.from_numpy(prepared.test.x))
    assert list(heads) == ["kind", "a.b"]
    kind, amount = result.verdicts
    assert (kind.target, kind.metric, amount.target, amount.metric) == (
        "kind", "accuracy", "a.b", "r2",
    )  # fmt: skip
    guess = heads["kind"].argmax(1).numpy()
    assert kind.score.value == accuracy_score(prepared.test.y[:, 0], guess)
    scale = prepared.preprocessing.targets[1]
    amounts = heads["a.b"][:, 0].numpy().astype(np.float64) * scale.scale + scale.mean
    assert amount.score.value == pytest.approx(r2_score(prepared.test.y[:, 1], amounts))
    for verdict in result.verdicts:
        assert verdict.comparisons[0].difference.interval[0] > 0
    assert [each.name for each in kind.comparisons] == ["majority class", "logistic regression"]
    assert [each.name for each in amount.comparisons] == ["mean of training", "ridge regression"]


def test_the_baselines_are_those_of_one_target(result, tmp_path):
    alone = fit(frame().drop("a.b"), target="kind", out=tmp_path, epochs=1)
    for both, one in zip(result.verdicts[0].comparisons, alone.verdict.comparisons, strict=True):
        assert (both.name, both.score) == (one.name, one.score)


def test_the_run_file_the_model_and_the_page_say_both(result):
    info = result.run.info
    assert info.data["target"] == ["kind", "a.b"]
    assert info.data["task"] == ["classification", "regression"]
    assert info.result == load_model(result.folder).result
    assert [each["target"] for each in info.result["targets"]] == ["kind", "a.b"]
    document = build_document(result.run)
    assert [part.target for part in document.results] == ["kind", "a.b"]
    assert [part.score for part in document.results] == [
        verdict.score.value for verdict in result.verdicts
    ]
    assert document.headline.startswith("kind: 0.")
    assert "; a.b: 0." in document.headline
    assert len(document.comparisons) == 4
    page = render_page(document)
    assert page.count('class="scores card"') == 2
    assert "<h3>kind</h3>" in page
    assert "Validation mean score" in page


def test_predictions_carry_the_names_of_their_targets(result):
    data = frame()
    predictions = predict(result.folder, data)
    assert predictions.frame.columns == [
        "prediction kind", "probability kind", "probability kind=high", "probability kind=low",
        "probability kind=mid", "prediction a.b",
    ]  # fmt: skip
    kind, amount = predictions.scores
    assert kind.score.value == accuracy_score(data["kind"], predictions.frame["prediction kind"])
    expected = r2_score(data["a.b"], predictions.frame["prediction a.b"])
    assert amount.score.value == pytest.approx(expected)
    assert (kind.rows, amount.rows) == (240, 240)


def test_each_target_is_scored_where_it_is_there(result):
    gaps = frame().drop("kind").with_row_index("i")
    gaps = gaps.with_columns(pl.when(pl.col("i") >= 40).then("a.b"))
    kind, amount = predict(result.folder, gaps).scores
    assert (kind.score, kind.rows, amount.rows) == (None, 0, 200)
    assert predict(result.folder, gaps).notes == ("40 rows without a target 'a.b' are not scored",)


def test_one_target_may_spell_the_columns_of_another(tmp_path):
    data = frame().rename({"kind": "k", "a.b": "k=low"})
    data = data.with_columns(pl.Series("k=low", ["x", "y"] * 120))
    fit(data, target="k,k=low", out=tmp_path, epochs=1, hidden=[4])
    columns = predict(tmp_path, data).frame.columns
    assert columns[-4:] == [
        "prediction k=low", "probability k=low_", "probability k=low=x", "probability k=low=y",
    ]  # fmt: skip


def test_an_imbalanced_target_is_weighted_beside_a_balanced_one(tmp_path):
    data = frame().with_columns(rare=pl.Series(["r"] * 20 + ["s"] * 220))
    result = fit(data.drop("a.b"), target="kind,rare", out=tmp_path, epochs=1)
    assert [verdict.metric for verdict in result.verdicts] == ["accuracy", "balanced accuracy"]
    assert load_model(tmp_path).metric == "accuracy, balanced accuracy"


@pytest.mark.parametrize("network", ["cnn", "resnet"])
def test_convolutions_have_several_heads_too(network, tmp_path, monkeypatch):
    digits = read_data("digits").head(600)
    pixels = digits.drop("digit").to_numpy()
    digits = digits.with_columns(ink=pl.Series(pixels.sum(axis=1)))
    opened = door._open
    monkeypatch.setattr(door, "_open", lambda *given: replace(opened(*given), shape=(1, 8, 8)))
    options = {"network": network, "hidden": [8, 16], "epochs": 12, "threads": 1}
    result = fit(digits, target="digit,ink", out=tmp_path, **options)
    digit, ink = result.verdicts
    assert digit.score.value > 0.6
    assert ink.score.value > 0.6
