"""Images as a person gives them: idx, PNG and npz files, from fit to predict."""

import os
import signal
import struct

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from relume.cli import run
from relume.errors import DataError, SettingsError
from relume.runs.query import read_run
from relume.training.data import idx_files
from relume.training.data.idx_files import DATASETS, is_idx_folder, read_idx_folder
from relume.training.fit import Audience, fit
from relume.training.model_folder import load_model
from relume.training.predict import predict
from tests.integration.command_line import relume

DIGITS = load_digits()
PIXELS = (DIGITS.images * 15).astype(np.uint8)
LABELS = DIGITS.target.astype(np.uint8)
QUICK = ["--epochs", 6, "--hidden", "8,16", "--threads", 1]


def write_idx(folder, part, rows):
    folder.mkdir(exist_ok=True)
    for what, values in (("images-idx3", PIXELS[rows]), ("labels-idx1", LABELS[rows])):
        header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
        (folder / f"{part}-{what}-ubyte").write_bytes(header + values.tobytes())


def write_folder(folder, rows, labels=LABELS):
    for row in rows:
        place = folder / f"is {labels[row]}" if labels is not None else folder
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PIXELS[row]).save(place / f"{row:04}.png")


def test_a_folder_of_idx_files_keeps_its_own_test_part(tmp_path, monkeypatch, capsys):
    write_idx(tmp_path / "set", "train", slice(0, 1200))
    write_idx(tmp_path / "set", "t10k", slice(1200, 1500))
    done = relume("fit", "set", *QUICK, "--out", "out", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "accuracy on 300 test rows" in done.stdout
    first, second, *notes = done.stderr.splitlines()
    assert first.startswith("set: 10 classes of 'label' from grey images of 8×8; rows: 1,080")
    assert second.startswith("cnn 8, 16 with relu")
    assert "note: network cnn: the data are images; --network names another" in notes
    record = read_run(tmp_path / "out/run.sqlite").info
    assert record.settings["network"] == "cnn"
    assert any("network cnn" in note for note in record.data["notes"])
    assert record.result["score"] > 0.85
    monkeypatch.chdir(tmp_path / "set")
    assert run(["predict", "../out", "."]) == 0
    said = capsys.readouterr().out
    assert "predicted is the own test part of set, 300 images" in said
    assert f"accuracy {record.result['score']:.3f} on 300 rows" in said
    frame = pl.read_csv(tmp_path / "set" / "set-predictions.csv")
    right = (frame["prediction"].to_numpy() == LABELS[1200:1500]).mean()
    assert right == pytest.approx(record.result["score"])


def test_a_folder_of_pictures_with_broken_ones(tmp_path):
    write_folder(tmp_path / "pictures", range(600))
    (tmp_path / "pictures/is 3/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    options = {"epochs": 6, "hidden": [8, 16], "threads": 1}
    result = fit(tmp_path / "pictures", out=tmp_path / "out", **options)
    assert "1 file could not be read, left out: 'is 3/broken.png'" in result.notes[0]
    assert result.verdict.score.value > 0.7
    new = tmp_path / "new"
    write_folder(new, range(1000, 1100), labels=None)
    predictions = predict(tmp_path / "out", new)
    assert predictions.score is None
    assert predictions.frame["file"][0] == "1000.png"
    named = [f"is {label}" for label in LABELS[1000:1100]]
    assert (predictions.frame["prediction"] == pl.Series(named)).mean() > 0.7
    write_folder(tmp_path / "sorted", range(1000, 1100))
    scored = predict(tmp_path / "out", tmp_path / "sorted")
    ordered = predictions.frame["prediction"].to_numpy()
    assert scored.score.value == pytest.approx((ordered == np.array(named)).mean())


def test_npz_and_idx_of_the_same_images_give_the_same_weights(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS[:300], y=LABELS[:300])
    write_idx(tmp_path / "set", "train", slice(0, 300))
    for source, out in (("a.npz", "one"), ("set", "two")):
        fit(tmp_path / source, out=tmp_path / out, epochs=1, hidden=[4], threads=1)
    one, two = (load_file(tmp_path / out / "model/weights.safetensors") for out in ("one", "two"))
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize(("network", "widths"), [("mlp", [32]), ("resnet", [4, 8])])
def test_another_network_is_taken_as_named(tmp_path, network, widths):
    np.savez(tmp_path / "a.npz", x=PIXELS[:300], y=LABELS[:300])
    options = {"network": network, "hidden": widths, "epochs": 1, "threads": 1}
    result = fit(tmp_path / "a.npz", out=tmp_path / "out", **options)
    assert load_model(tmp_path / "out").network_name == network
    assert not any("network" in note for note in result.notes)


def test_tables_and_digits_get_a_dense_network_and_say_so(tmp_path):
    for name in ("digits", "iris"):
        result = fit(name, out=tmp_path / name, epochs=1)
        assert result.model.network_name == "mlp"
        assert "network mlp: the data are a table; --network names another" in result.notes


class Stop(Audience):
    """Interrupts a fit after some epochs, as a signal would."""

    def epoch(self, epoch):
        if epoch.epoch == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_stopped_fit_resumes_to_the_same_weights_on_the_same_images_only(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS[:400], y=LABELS[:400])
    options = {"epochs": 4, "hidden": [4, 8], "threads": 1}
    fit(tmp_path / "a.npz", out=tmp_path / "whole", **options)
    cut = fit(tmp_path / "a.npz", out=tmp_path / "cut", audience=Stop(), **options)
    assert cut.status == "interrupted"
    np.savez(tmp_path / "b.npz", x=PIXELS[:400] ^ 1, y=LABELS[:400])
    with pytest.raises(SettingsError, match="is not the data that this training was started on"):
        fit(tmp_path / "b.npz", resume=tmp_path / "cut")
    fit(resume=tmp_path / "cut")
    whole, again = (
        load_file(tmp_path / name / "model/weights.safetensors") for name in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], again[name]) for name in whole)
    assert any("network cnn" in n for n in read_run(tmp_path / "cut/run.sqlite").info.data["notes"])


def test_bad_data_give_one_line_and_exit_code_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(idx_files, "DATASETS", tmp_path / "nowhere")
    write_folder(tmp_path / "flat", range(20), labels=None)
    write_folder(tmp_path / "one", range(20), labels=np.zeros(20, int))
    (tmp_path / "empty").mkdir()
    write_idx(tmp_path / "cut", "train", slice(0, 50))
    images = tmp_path / "cut" / "train-images-idx3-ubyte"
    images.write_bytes(images.read_bytes()[:-1])
    np.savez(tmp_path / "objects.npz", x=PIXELS[:20], y=np.array([{}] * 20))
    for data, words in (
        ("fashion-mnist", "sudo apt-get install dataset-fashion-mnist"),
        ("mnist", "give a folder with its idx files"),
        ("flat", "flat holds images without labels"),
        ("one", "there must be at least two classes"),
        ("empty", "holds no images"),
        ("cut", "should hold 3,200 bytes, but holds only 3,199"),
        ("objects.npz", "array of objects, which could run code"),
        ("missing.npz", "there is no file 'missing.npz'"),
    ):
        assert run(["fit", data, "--out", "out"]) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        assert words in lines[0]
        assert not (tmp_path / "out").exists()


def test_a_model_of_images_refuses_what_is_none(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS[:300], y=LABELS[:300])
    fit(tmp_path / "a.npz", out=tmp_path / "out", epochs=1, hidden=[4], threads=1)
    np.savez(tmp_path / "fractions.npz", x=PIXELS[:9] / 255)
    np.savez(tmp_path / "small.npz", x=PIXELS[:9, :4])
    for data, words in (
        ("iris", "the model was trained on images; got 'iris'"),
        (pl.DataFrame({"a": [1]}), "got a table"),
        (tmp_path / "fractions.npz", "same range and type"),
        (tmp_path / "small.npz", "grey images of 4×8; grey images of 8×8 are needed"),
    ):
        with pytest.raises(DataError, match=words):
            predict(tmp_path / "out", data)
    np.savez(tmp_path / "strange.npz", x=PIXELS[:9], y=["emu"] * 9)
    assert (
        "9 rows have a class that the model never saw"
        in predict(tmp_path / "out", tmp_path / "strange.npz").notes[0]
    )


def test_two_thousand_rows_of_fashion_mnist(tmp_path):
    installed = DATASETS / "fashion-mnist"
    if not is_idx_folder(installed):
        pytest.skip("needs the Debian package dataset-fashion-mnist")
    images = read_idx_folder(installed, "fashion-mnist")
    assert (len(images), len(images.test)) == (60_000, 10_000)
    np.savez(
        tmp_path / "some.npz",
        x=images.pixels[:2000, 0],
        y=images.labels[:2000].to_numpy().astype("U1"),
    )
    result = fit(tmp_path / "some.npz", out=tmp_path / "out", epochs=3, hidden=[8, 16], threads=1)
    assert result.verdict.score.value > 0.7
