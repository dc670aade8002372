"""Damaged models, data and settings: a prediction, an answer or one clear line, nothing else."""

import hashlib
import json
import tempfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from relume.errors import RelumeError
from relume.training.data.csv_file import read_csv
from relume.training.data.npz_file import read_npz
from relume.training.data.parquet_file import read_parquet
from relume.training.data.prepare import DataOptions, prepare
from relume.training.entry import fit
from relume.training.model_folder import load_model
from relume.training.predict import predict
from relume.training.settings import FitSettings, read_config

SETTINGS = settings(
    deadline=None, derandomize=True, max_examples=60, phases=[Phase.explicit, Phase.generate]
)
HARM = st.lists(
    st.tuples(
        st.sampled_from(["set", "cut", "zero", "repeat", "text"]),
        st.floats(0, 1),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=4,
)
TEXTS = (b"{}", b"[", b"\n", b'"', b"1e999", b"\xff\xfe", b"NaN", b",,,", b"\x1b[2J", b"null")


def harmed(data, harm):
    """Return bytes of which some were set, cut off, zeroed, doubled or written over."""
    spoilt = bytearray(data)
    for how, place, value in harm:
        at = int(place * max(0, len(spoilt) - 1))
        if how == "set" and spoilt:
            spoilt[at] = value
        elif how == "cut":
            del spoilt[at : at + 1 + value]
        elif how == "zero":
            spoilt[at : at + value] = b"\0" * len(spoilt[at : at + value])
        elif how == "repeat":
            spoilt[at:at] = spoilt[at : at + value]
        else:
            spoilt[at:at] = TEXTS[value % len(TEXTS)]
    return bytes(spoilt)


def table():
    rng = np.random.default_rng(0)
    return pl.DataFrame(
        {
            "number": rng.normal(size=60),
            "colour": rng.choice(["red", "blue"], 60),
            "day": [f"2024-01-{1 + row % 28:02}" for row in range(60)],
            "y": rng.choice(["no", "yes"], 60),
        }
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The bytes of a CSV, a Parquet and an npz file, and a CSV file itself."""
    folder = tmp_path_factory.mktemp("data")
    table().write_csv(folder / "data.csv")
    table().write_parquet(folder / "data.parquet")
    rng = np.random.default_rng(0)
    np.savez(folder / "images.npz", x=rng.integers(0, 256, (20, 6, 6), np.uint8),
             y=rng.integers(0, 2, 20))  # fmt: skip
    return folder


@settings(SETTINGS, max_examples=100)
@given(harm=HARM)
def test_csv_and_parquet(files, harm):
    csv, parquet = ((files / name).read_bytes() for name in ("data.csv", "data.parquet"))
    with suppress(RelumeError):
        read_csv(harmed(csv, harm), "data.csv", tabs=False)
    with suppress(RelumeError):
        read_parquet(harmed(parquet, harm), "data.parquet")


@settings(SETTINGS, max_examples=100)
@given(harm=HARM)
@example(harm=[("cut", 0.0, 54)])  # what is left begins as an .npy file does
def test_npz(files, harm):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "images.npz"
        path.write_bytes(harmed((files / "images.npz").read_bytes(), harm))
        with suppress(RelumeError):
            read_npz(path, "images.npz")


@SETTINGS
@given(harm=HARM, options=st.sampled_from([{}, {"target": "y"}, {"target": "number"}]))
def test_a_damaged_table_is_prepared_or_refused(files, harm, options):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "data.csv"
        path.write_bytes(harmed((files / "data.csv").read_bytes(), harm))
        with suppress(RelumeError):
            prepare(path, DataOptions(**options))


@pytest.fixture(scope="module")
def model(files, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "out"
    fit(str(files / "data.csv"), target="y", epochs=1, hidden=[4], out=folder, repair=False)
    return folder / "model"


VALUES = st.sampled_from(
    [None, True, -1, 0, 1, 10**12, 0.5, float("inf"), "", "relu", "x" * 300, [], {}, [1, "a", None],
     {"name": "mlp"}, {"kind": 5}, [[]], -(10**30)]
)  # fmt: skip


def replaced(data, path, value):
    """Put a value into nested JSON data, at the place that a sequence of numbers leads to."""
    here = data
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        key = keys[path[0] % len(keys)]
        path = path[1:]
        if not path or not isinstance(here[key], dict | list) or not here[key]:
            here[key] = value
            return data
        here = here[key]


def copied(model, folder, described, weights):
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(weights)
    (folder / "model.json").write_text(described, encoding="utf-8", errors="replace")
    return folder


def try_model(folder, files):
    with suppress(RelumeError):
        predict(load_model(folder), str(files / "data.csv"))


@settings(SETTINGS, max_examples=150)
@given(path=st.lists(st.integers(0, 50), min_size=1, max_size=7), value=VALUES)
@example(path=[4, 44], value=float("inf"))  # of the shape of a row
def test_a_description_that_says_other_things(model, files, path, value):
    described = replaced(json.loads((model / "model.json").read_text("utf-8")), path, value)
    weights = (model / "weights.safetensors").read_bytes()
    with tempfile.TemporaryDirectory() as name:
        try_model(copied(model, Path(name) / "model", json.dumps(described), weights), files)


@SETTINGS
@given(harm=HARM, is_signed=st.booleans())
def test_a_model_of_other_bytes(model, files, harm, is_signed):
    """Weights whose checksum was made to fit too: it tells damage, not intent."""
    text = (model / "model.json").read_text("utf-8")
    weights = harmed((model / "weights.safetensors").read_bytes(), harm)
    if is_signed:
        text = json.dumps(
            json.loads(text) | {"weights_sha256": hashlib.sha256(weights).hexdigest()}
        )
    else:
        text = harmed(text.encode(), harm).decode(errors="replace")
    with tempfile.TemporaryDirectory() as name:
        try_model(copied(model, Path(name) / "model", text, weights), files)


CONFIG = b"""target = "y"
epochs = 3
hidden = [8, 4]
lr = 0.01
drop = ["a"]
network = "mlp"
task = "classification"
repair = false
"""


@settings(SETTINGS, max_examples=150)
@given(harm=HARM)
def test_a_configuration_of_other_bytes(harm):
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "fit.toml"
        path.write_bytes(harmed(CONFIG, harm))
        with suppress(RelumeError):
            FitSettings.from_mapping(read_config(path), str(path))


NAMES = st.sampled_from(sorted(FitSettings().to_json()))


@settings(SETTINGS, max_examples=150)
@given(given_settings=st.dictionaries(NAMES | st.text(max_size=4), VALUES, max_size=3))
def test_settings_of_other_kinds(given_settings):
    with suppress(RelumeError):
        FitSettings.from_mapping(given_settings)


def test_whole_inputs_pass(model, files):
    """So that the tests above do not pass because nothing is ever read."""
    assert predict(load_model(model), str(files / "data.csv")).frame.height == 60
    assert read_csv((files / "data.csv").read_bytes(), "data.csv", tabs=False)[0].height == 60
    assert read_parquet((files / "data.parquet").read_bytes(), "data.parquet").height == 60
    assert read_npz(files / "images.npz", "images.npz").pixels.shape[0] == 20
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "fit.toml").write_bytes(CONFIG)
        assert FitSettings.from_mapping(read_config(Path(name) / "fit.toml")).hidden == (8, 4)
