import json
import shutil

import numpy as np
import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from relume.errors import ModelFormatError
from relume.training.data.prepare import DataOptions, prepare
from relume.training.fit import fit
from relume.training.loop import outputs
from relume.training.model_folder import load_model, save_model


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    return fit("iris", out=tmp_path_factory.mktemp("iris"), epochs=3)


@pytest.fixture
def copy(fitted, tmp_path):
    return shutil.copytree(fitted.folder / "model", tmp_path / "model")


def test_a_saved_model_is_the_same_function_bitwise(fitted):
    x = torch.from_numpy(prepare("iris", DataOptions()).test.x)
    for folder in (fitted.folder, fitted.folder / "model"):
        loaded = load_model(folder)
        assert torch.equal(outputs(loaded.network, x), outputs(fitted.model.network, x))
        assert loaded.preprocessing == fitted.model.preprocessing
        assert (loaded.metric, loaded.result) == (fitted.model.metric, fitted.model.result)
        assert loaded.settings == fitted.model.settings
        assert not loaded.network.training


def test_saving_again_writes_the_same_bytes(fitted, copy, tmp_path):
    save_model(load_model(copy), tmp_path / "again")
    for name in ("model.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (copy / name).read_bytes()


def test_the_folder_holds_no_pickle(copy):
    assert sorted(path.name for path in copy.iterdir()) == ["model.json", "weights.safetensors"]
    json.loads((copy / "model.json").read_text(), parse_constant=pytest.fail)


def edited(copy, change):
    data = json.loads((copy / "model.json").read_text())
    change(data)
    (copy / "model.json").write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(metric="r2, r2"), "names the metric 'r2, r2' for 1 to score"),
        (lambda d: d.update(version=99), "model version 99"),
        (lambda d: d.update(format="other"), "does not describe a Relume model"),
        (lambda d: d.update(extra=1), "unknown fields: extra"),
        (lambda d: d.pop("preprocessing"), "preprocessing"),
        (lambda d: d["network"].update(name="mpl"), "did you mean mlp"),
        (lambda d: d["network"]["arguments"].update(hidden=[3]), "does not fit the network"),
        (lambda d: d["network"]["arguments"].update(spam=1), "no argument 'spam'"),
        (lambda d: d["preprocessing"].update(spam=1), "spam"),
        (lambda d: d.update(weights_sha256="0"), "damaged"),
        (lambda d: d.update(input_shape="x"), "does not describe a model"),
        (lambda d: d.update(network=[]), "does not describe a model"),
    ],
)
def test_what_it_does_not_know_it_refuses(copy, change, message):
    edited(copy, change)
    with pytest.raises(ModelFormatError, match=message):
        load_model(copy)


def test_every_json_value_of_another_type_is_refused_or_harmless(copy):
    """Each field in turn is replaced by values of other types: one clear error, or a model."""
    whole = json.loads((copy / "model.json").read_text())
    refused = 0
    for key in whole:
        for stranger in (None, 3, "x", [], {}, [1], {"a": 1}):
            (copy / "model.json").write_text(json.dumps(whole | {key: stranger}))
            try:
                load_model(copy)
            except ModelFormatError:
                refused += 1
    assert refused > 40


def test_damaged_files(copy):
    weights = copy / "weights.safetensors"
    raw = weights.read_bytes()
    weights.write_bytes(raw[:-8])
    with pytest.raises(ModelFormatError, match="damaged"):
        load_model(copy)
    weights.unlink()
    with pytest.raises(ModelFormatError, match=r"no weights\.safetensors"):
        load_model(copy)
    (copy / "model.json").write_text("{")
    with pytest.raises(ModelFormatError, match="not readable as JSON"):
        load_model(copy)
    (copy / "model.json").unlink()
    with pytest.raises(ModelFormatError, match="not a model folder"):
        load_model(copy)


def test_weights_of_another_network_are_refused_even_with_a_right_checksum(copy):
    import hashlib

    weights = load_file(copy / "weights.safetensors")
    weights["more"] = torch.zeros(2)
    save_file(weights, copy / "weights.safetensors")
    checksum = hashlib.sha256((copy / "weights.safetensors").read_bytes()).hexdigest()
    edited(copy, lambda d: d.update(weights_sha256=checksum))
    with pytest.raises(ModelFormatError, match="does not fit the network"):
        load_model(copy)


def test_predictions_of_a_loaded_model_are_those_of_the_network_by_hand(fitted):
    from relume.training.predict import predict

    frame = pl.DataFrame(prepare_frame())
    table = predict(fitted.folder, frame).frame
    pre = fitted.model.preprocessing
    x = torch.from_numpy(pre.transform(frame))
    logits = fitted.model.network(x).detach().double().numpy()
    shares = np.exp(logits - logits.max(1, keepdims=True))
    shares /= shares.sum(1, keepdims=True)
    assert table["prediction"].to_list() == [pre.classes[i] for i in shares.argmax(1)]
    for index, name in enumerate(pre.classes):
        np.testing.assert_allclose(table[f"probability {name}"], shares[:, index], rtol=1e-12)
    np.testing.assert_allclose(table["probability"], shares.max(1), rtol=1e-12)


def prepare_frame():
    from relume.training.data.prepare import read_data

    return read_data("iris").head(20)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("metric", "foo", "names the metric 'foo'"), ("input_shape", [3, 3], "3, 3")],
)
def test_parts_that_do_not_belong_together_are_refused(tmp_path, field, value, words):
    folder = fit("iris", out=tmp_path, epochs=1).folder / "model"
    described = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(described | {field: value}))
    with pytest.raises(ModelFormatError, match=words):
        load_model(folder)
