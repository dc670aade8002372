import signal
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.metrics import r2_score

from relume.errors import DataError, ModelFormatError
from relume.training import fit as fitting
from relume.training.data.prepare import DataOptions, prepare, read_data
from relume.training.fit import Audience, fit
from relume.training.model_folder import load_model
from relume.training.predict import predict
from relume.training.reconstruction import Reconstruction, judge_reconstruction
from relume.training.scores import variance_rebuilt

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 5)) * [3.0, 1.0, 1.0, 0.1, 0.0] + 2.0
REBUILT = X + RNG.normal(size=X.shape) * 0.3
UNSUPERVISED = DataOptions(unsupervised=True)


def test_loss_and_score_are_those_of_the_definition():
    output, y = torch.from_numpy(REBUILT), torch.from_numpy(X)
    rows = ((X - REBUILT) ** 2).mean(axis=1)
    objective = Reconstruction()
    assert objective.plain_loss(output, y).numpy() == pytest.approx(rows)
    assert objective.train_loss(output, y).item() == pytest.approx(rows.mean())
    share = 1 - ((X - REBUILT) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum()
    assert objective.score(output, y) == pytest.approx(share)
    varying = slice(0, 4)  # scikit-learn weighs the columns by their variance
    peer = r2_score(X[:, varying], REBUILT[:, varying], multioutput="variance_weighted")
    once = np.ones((1, 40))
    assert variance_rebuilt(X[:, varying], REBUILT[:, varying], once)[0] == pytest.approx(peer)


def test_a_weight_is_a_row_drawn_that_often():
    weights = RNG.integers(0, 4, size=(3, 40)).astype(np.float64)
    drawn = [np.repeat(np.arange(40), row.astype(int)) for row in weights]
    once = [variance_rebuilt(X[d], REBUILT[d], np.ones((1, len(d))))[0] for d in drawn]
    assert variance_rebuilt(X, REBUILT, weights) == pytest.approx(once)


def test_the_rivals_are_the_mean_and_the_leading_directions():
    data = prepare("wine", UNSUPERVISED)
    verdict = judge_reconstruction(np.zeros_like(data.test.x), data, 4, seed=0)
    train, test = (part.x.astype(np.float64) for part in (data.train, data.test))
    mean = train.mean(axis=0)
    leading = np.linalg.svd(train - mean, full_matrices=False)[2][:4]
    rebuilt = (test - mean) @ leading.T @ leading + mean
    spread = ((test - test.mean(axis=0)) ** 2).sum()
    names = [each.name for each in verdict.comparisons]
    assert names == ["mean of training", "PCA of 4 components"]
    values = [each.score.value for each in verdict.comparisons]
    expected = [1 - ((test - guess) ** 2).sum() / spread for guess in (mean, rebuilt)]
    assert values == pytest.approx(expected, abs=1e-5)
    assert judge_reconstruction(test, data, 99, seed=0).comparisons[1].name.startswith("PCA of 13")


def test_the_usual_target_is_no_feature_and_any_other_can_be_left_out():
    data = prepare("digits", UNSUPERVISED)
    assert (data.task, data.train.y.shape, data.image_shape) == (None, (1258, 0), (1, 8, 8))
    assert "digit" not in data.preprocessing.features
    assert "column 'digit' left out: an autoencoder has no target" in data.notes
    frame = read_data("wine")
    everything = prepare(frame, UNSUPERVISED)
    assert any(name.startswith("class=") for name in everything.preprocessing.features)
    fewer = prepare(frame, replace(UNSUPERVISED, target="class,alcohol"))
    assert len(fewer.preprocessing.features) == 12
    assert sum(len(part.x) for part in (fewer.train, fewer.validation, fewer.test)) == 178
    with pytest.raises(DataError, match="no column 'clas'; did you mean 'class'"):
        prepare(frame, replace(UNSUPERVISED, target="clas"))


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("wine")
    return fit("wine", network="autoencoder", code=3, hidden=[32], out=out, epochs=60)


def test_a_fit_without_target(result):
    assert result.verdict.metric == "variance rebuilt"
    assert result.verdict.comparisons[0].difference.interval[0] > 0
    data = prepare("wine", UNSUPERVISED)
    with torch.no_grad():
        rebuilt = result.model.network(torch.from_numpy(data.test.x)).numpy()
    once = np.ones((1, 36))
    expected = variance_rebuilt(data.test.x, rebuilt, once)[0]
    assert result.verdict.score.value == pytest.approx(expected)
    info = result.run.info
    assert (info.data["task"], info.data["target"]) == ("reconstruction", None)
    assert info.result == load_model(result.folder).result
    names = [layer.name for layer in result.run.layers]
    assert names == ["encoder.hidden.0.activation", "decoder.hidden.0.activation"]


def test_predictions_are_errors_and_codes(result):
    frame = read_data("wine")
    predictions = predict(result.folder, frame)
    assert predictions.frame.columns == ["error", "code 1", "code 2", "code 3"]
    x = result.model.preprocessing.transform(frame)
    with torch.no_grad():
        codes = result.model.network.encode(torch.from_numpy(x)).numpy()
        rebuilt = result.model.network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(predictions.frame["error"], ((x - rebuilt) ** 2).mean(1), rtol=1e-4)
    np.testing.assert_allclose(
        predictions.frame.drop("error").to_numpy(), codes, rtol=1e-4, atol=1e-5
    )
    assert (predictions.metric, predictions.rows_scored) == ("variance rebuilt", 178)
    with pytest.raises(DataError, match="alcohol"):
        predict(result.folder, frame.drop("alcohol"))


def test_mixed_columns_are_rebuilt_as_features(tmp_path):
    frame = pl.DataFrame(
        {
            "size": [None if k % 9 == 0 else float(k % 7) for k in range(90)],
            "colour": ["red", "green", "blue"] * 30,
            "same": ["one"] * 90,
        }
    )
    result = fit(frame, network="autoencoder", out=tmp_path, epochs=80, hidden=[32], code=3)
    assert result.model.preprocessing.features[-3:] == ("colour=blue", "colour=green", "colour=red")
    assert result.verdict.score.value > 0.8
    assert any("dropped constant column 'same'" in note for note in result.notes)


def test_images_need_no_labels(tmp_path):
    images = read_data("digits").drop("digit").to_numpy().reshape(-1, 8, 8).astype(np.uint8) * 15
    np.savez(tmp_path / "plain.npz", images=images[:300])
    options = {"network": "autoencoder", "epochs": 30, "code": 6}
    result = fit(tmp_path / "plain.npz", out=tmp_path / "out", **options)
    assert result.verdict.rows == 60
    assert result.verdict.score.value > 0.2
    assert load_model(tmp_path / "out").preprocessing == result.model.preprocessing
    predictions = predict(tmp_path / "out", tmp_path / "plain.npz")
    assert (predictions.frame.width, predictions.frame.height) == (7, 300)
    with pytest.raises(DataError, match="without labels"):
        fit(tmp_path / "plain.npz", out=tmp_path / "classes")


class StopAt(Audience):
    def step(self, step, steps, loss):
        if step == 17:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("options", [{"network": "autoencoder"}, {"target": "class,alcohol"}])
def test_resuming_gives_the_same_weights_bitwise(tmp_path, options, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL_S", 0.0)
    whole = fit("wine", out=tmp_path / "whole", epochs=6, **options)
    cut = fit("wine", out=tmp_path / "cut", epochs=6, audience=StopAt(), **options)
    assert cut.status == "interrupted"
    resumed = fit(resume=tmp_path / "cut")
    again = resumed.model.network.state_dict()
    for name, value in whole.model.network.state_dict().items():
        assert torch.equal(value, again[name]), name
    assert [verdict.score for verdict in whole.verdicts] == [
        verdict.score for verdict in resumed.verdicts
    ]


def test_a_model_that_lost_its_target_is_refused(tmp_path):
    model = fit("iris", out=tmp_path, epochs=1).model
    lost = replace(model, preprocessing=replace(model.preprocessing, targets=()))
    with pytest.raises(ModelFormatError, match="no target and no code"):
        predict(lost, "iris")
