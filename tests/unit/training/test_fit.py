import dataclasses
import json

import numpy as np
import polars as pl
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score

from relume.errors import OutputError, SettingsError, UserError
from relume.observe.intercept import Interception
from relume.training import fit as fitting
from relume.training.data.prepare import DataOptions, prepare
from relume.training.fit import Audience, fit
from relume.training.model_folder import load_model
from relume.training.predict import predict


def weights(result):
    return {name: value.clone() for name, value in result.model.network.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


class StopAt(Audience):
    """Asks to stop at a step, as Ctrl-C does, by the real signal."""

    def __init__(self, step):
        self._step = step

    def step(self, step, steps, loss):
        if step == self._step:
            import signal

            signal.raise_signal(signal.SIGINT)


def test_a_fit_leaves_a_model_a_run_file_and_a_score(tmp_path):
    result = fit("wine", out=tmp_path / "out", epochs=8)
    assert sorted(path.name for path in result.folder.iterdir()) == ["model", "run.sqlite"]
    assert (result.status, result.exit_code, result.verdict.metric) == ("finished", 0, "accuracy")
    prepared = prepare("wine", DataOptions())
    x = torch.from_numpy(prepared.test.x)
    guess = result.model.network(x).argmax(1).numpy()
    assert result.verdict.score.value == accuracy_score(prepared.test.y, guess)
    assert [each.name for each in result.verdict.comparisons] == [
        "majority class",
        "logistic regression",
    ]
    linear = LogisticRegression(max_iter=500).fit(prepared.train.x, prepared.train.y)
    expected = linear.score(prepared.test.x, prepared.test.y)
    assert result.verdict.comparisons[1].score.value == pytest.approx(expected)
    run = result.run
    assert run.info.status == "finished"
    assert run.info.result == load_model(result.folder).result
    json.dumps(run.info.result, allow_nan=False)
    assert run.info.data["rows"] == {"train": 124, "validation": 18, "test": 36}
    assert len(run.epochs) == 8
    assert (run.examination[0].rows, run.held_out_rows) == (124 + 36, 36)


def test_the_examination_is_what_the_final_weights_do(tmp_path):
    result = fit("wine", out=tmp_path, epochs=4, hidden=[9, 5])
    prepared = prepare("wine", DataOptions())
    x = torch.from_numpy(np.concatenate([prepared.train.x, prepared.test.x]))
    first, second = result.model.network.hidden
    with torch.no_grad():
        z1 = first.linear(result.model.network.encoding(x))
        z2 = second.linear(torch.relu(z1))
    for seen, z in zip(result.run.examination, (z1, z2), strict=True):
        assert seen.fired.tolist() == (z > 0).sum(0).tolist()
        np.testing.assert_allclose(seen.total, torch.relu(z).sum(0), rtol=1e-4)


def test_the_same_seed_gives_the_same_weights_and_another_other_ones(tmp_path):
    first = fit("wine", out=tmp_path / "a", epochs=5)
    torch.manual_seed(999)
    again = fit("wine", out=tmp_path / "b", epochs=5)
    other = fit("wine", out=tmp_path / "c", epochs=5, seed=1)
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))
    assert first.verdict.score == again.verdict.score


def test_recording_changes_no_weight(tmp_path, monkeypatch):
    every_step = fit("wine", out=tmp_path / "a", epochs=5, every=1)
    monkeypatch.setattr(Interception, "patch", lambda _: 1 / 0)
    unwatched = fit("wine", out=tmp_path / "b", epochs=5)
    assert same(weights(every_step), weights(unwatched))
    assert len(unwatched.run.layers) == 0
    assert "recording stopped early: division by zero" in unwatched.notes


def test_the_callers_random_state_and_threads_are_left_alone(tmp_path):
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    fit("wine", out=tmp_path, epochs=2, threads=1)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("step", [1, 17, 40])
def test_an_interrupted_fit_resumes_to_the_same_weights_bitwise(tmp_path, step, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL_S", 0.0)
    whole = fit("wine", out=tmp_path / "whole", epochs=12)
    cut = fit("wine", out=tmp_path / "cut", epochs=12, audience=StopAt(step))
    assert (cut.status, cut.exit_code) == ("interrupted", 130)
    assert cut.run.info.status == "interrupted"
    assert cut.run.last_step == step
    assert predict(cut.folder, "wine").score is not None
    resumed = fit(resume=tmp_path / "cut")
    assert resumed.status == "finished"
    assert same(weights(whole), weights(resumed))
    assert whole.verdict.score == resumed.verdict.score
    for a, b in zip(whole.run.epochs, resumed.run.epochs, strict=True):
        assert a == b
    for a, b in zip(whole.run.lifetimes, resumed.run.lifetimes, strict=True):
        for field in dataclasses.fields(a):
            assert np.array_equal(getattr(a, field.name), getattr(b, field.name))
    steps = [(w.first_step, w.last_step) for w in resumed.run.windows]
    assert [first for first, _ in steps[1:]] == [last + 1 for _, last in steps[:-1]]


def test_a_second_interrupt_acts_at_once(tmp_path):
    class StopTwice(StopAt):
        def scoring(self):
            import signal

            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        fit("wine", out=tmp_path / "out", epochs=12, audience=StopTwice(3))
    assert not (tmp_path / "out" / "model").exists()


def test_resuming_asks_for_what_it_needs(tmp_path, monkeypatch):
    frame = pl.DataFrame({"a": np.arange(40.0) ** 1.1, "y": ["u", "v"] * 20})
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL_S", 0.0)
    fit(frame, target="y", out=tmp_path / "cut", epochs=9, audience=StopAt(4))
    with pytest.raises(SettingsError, match="give the same frame again"):
        fit(resume=tmp_path / "cut")
    with pytest.raises(SettingsError, match="is not the data"):
        fit(frame.head(30), resume=tmp_path / "cut")
    with pytest.raises(SettingsError, match="leave out lr"):
        fit(frame, resume=tmp_path / "cut", lr=0.1)
    assert fit(frame, resume=tmp_path / "cut").status == "finished"
    with pytest.raises(SettingsError, match="is finished"):
        fit(frame, resume=tmp_path / "cut")
    with pytest.raises(UserError, match="nothing to resume"):
        fit("wine", resume=tmp_path / "nowhere")


def test_a_damaged_checkpoint_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "CHECKPOINT_INTERVAL_S", 0.0)
    fit("wine", out=tmp_path / "cut", epochs=9, audience=StopAt(4))
    path = tmp_path / "cut" / "checkpoint.safetensors"
    raw = path.read_bytes()
    for damage in (raw[:100], b"", raw[:-50]):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"checkpoint\.safetensors"):
            fit(resume=tmp_path / "cut")


def test_regression_is_scored_in_its_own_unit(tmp_path):
    result = fit("diabetes", out=tmp_path, epochs=8)
    prepared = prepare("diabetes", DataOptions())
    with torch.no_grad():
        z = result.model.network(torch.from_numpy(prepared.test.x))[:, 0].numpy()
    pre = prepared.preprocessing
    guess = z.astype(np.float64) * pre.target.scale + pre.target.mean
    error = ((prepared.test.y - guess) ** 2).sum()
    spread = ((prepared.test.y - prepared.test.y.mean(dtype=np.float64)) ** 2).sum()
    assert result.verdict.metric == "r2"
    assert result.verdict.score.value == pytest.approx(1 - error / spread, abs=1e-6)
    assert result.verdict.comparisons[0].name == "mean of training"
    assert result.verdict.comparisons[0].score.value == pytest.approx(0, abs=0.05)


def test_imbalanced_classes_are_weighted_and_scored_alike(tmp_path):
    rng = np.random.default_rng(0)
    y = (rng.random(600) < 0.08).astype(int)
    frame = pl.DataFrame(
        {"a": rng.normal(size=600) + 2.0 * y, "b": rng.normal(size=600), "y": [f"c{k}" for k in y]}
    )
    result = fit(frame, target="y", out=tmp_path, epochs=30)
    assert result.verdict.metric == "balanced accuracy"
    assert result.verdict.comparisons[0].score.value == 0.5
    assert result.verdict.score.value > 0.7
    plain = fit(frame, target="y", out=tmp_path / "plain", epochs=3, class_weights="none")
    assert plain.verdict.metric == "accuracy"


@pytest.mark.parametrize("network", ["cnn", "resnet"])
def test_images_train_convolutions(tmp_path, network):
    result = fit("digits", out=tmp_path, network=network, hidden=[8, 16], epochs=4, threads=1)
    assert result.verdict.score.value > 0.8
    assert all(layer.owner for layer in result.run.layers)
    assert predict(tmp_path, "digits").score.value > 0.8


def test_convolutions_want_images(tmp_path):
    with pytest.raises(SettingsError, match="wine is a table: use mlp"):
        fit("wine", out=tmp_path, network="cnn")


def test_every_activation_of_the_catalogue_trains(tmp_path):
    from relume.nn.registry import activation_names

    for name in activation_names():
        result = fit("iris", out=tmp_path / name, activation=name, hidden=[8], epochs=3)
        assert np.isfinite(result.verdict.score.value), name


def test_a_training_that_diverges_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match="diverged in epoch 1.*lower --lr"):
        mad = {"lr": 1e5, "epochs": 5, "activation": "squared_relu", "repair": False}
        fit("diabetes", out=tmp_path / "out", **mad)
    from relume.runs.query import read_run

    assert read_run(tmp_path / "out" / "run.sqlite").info.status == "failed"
    assert not (tmp_path / "out" / "model").exists()


def test_an_earlier_fit_is_kept_unless_told(tmp_path, monkeypatch):
    fit("iris", out=tmp_path / "out", epochs=2)
    with pytest.raises(OutputError, match="holds an earlier fit"):
        fit("iris", out=tmp_path / "out", epochs=2)
    fit("iris", out=tmp_path / "out", epochs=2, overwrite=True)
    monkeypatch.chdir(tmp_path)
    assert [str(fit("iris", epochs=1).folder) for _ in range(2)] == ["relume-iris", "relume-iris-2"]


def test_an_own_test_part_is_scored(tmp_path):
    from relume.training.data.prepare import read_data

    frame = read_data("wine").sample(fraction=1.0, shuffle=True, seed=0)
    frame.head(120).write_csv(tmp_path / "train.csv")
    frame.tail(58).write_parquet(tmp_path / "test.parquet")
    result = fit(
        tmp_path / "train.csv",
        target=prepare("wine", DataOptions()).preprocessing.target.name,
        test=str(tmp_path / "test.parquet"),
        out=tmp_path / "out",
        epochs=20,
    )
    assert result.model.result["rows"] == 58
    again = predict(result.folder, tmp_path / "test.parquet")
    assert again.score.value == pytest.approx(result.verdict.score.value)


def test_a_disk_that_is_full_for_the_run_file_stops_no_training(tmp_path, monkeypatch):
    from relume.runs.store import RunWriter

    def fail(*_):
        raise OutputError("cannot write the run file: database or disk is full")

    monkeypatch.setattr(RunWriter, "write_window", fail)
    result = fit("iris", out=tmp_path, epochs=2)
    assert any("recording stopped early" in note for note in result.notes)
    assert load_model(tmp_path).result["notes"]


def test_no_data_and_no_device():
    with pytest.raises(SettingsError, match="no data given"):
        fit()
    for device in ("cuda:7", "gpu"):
        with pytest.raises(SettingsError, match=f"device '{device}' cannot be used here"):
            fit("iris", device=device)


def test_outside_the_main_thread_it_trains_without_signals(tmp_path):
    import threading

    results = []
    thread = threading.Thread(
        target=lambda: results.append(fit("iris", out=tmp_path, epochs=2)), daemon=True
    )
    thread.start()
    thread.join()
    assert results[0].status == "finished"


@pytest.mark.parametrize(
    ("data", "options"), [("diabetes", {}), ("wine", {"network": "autoencoder"})]
)
def test_class_weights_without_classes_are_refused(tmp_path, data, options):
    with pytest.raises(SettingsError, match="--class-weights balanced is for classes"):
        fit(data, out=tmp_path / "out", class_weights="balanced", **options)
    assert not (tmp_path / "out").exists()
