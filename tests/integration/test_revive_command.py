"""``relume revive`` as a person types it, on models that ``relume fit`` saved."""

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from relume.training.model_folder import load_model, save_model
from tests.integration.command_line import relume


def kill_units(source, place):
    """Save a model of which every hidden unit is dead."""
    saved = load_model(source)
    layers = [each for each in saved.network.modules() if isinstance(each, nn.Linear)]
    with torch.no_grad():
        for layer in layers[:-1]:
            layer.bias.fill_(-50.0)
    save_model(saved, place)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("revive")
    assert relume("fit", "wine", "--epochs", "2", "--out", "fitted", cwd=place).returncode == 0
    kill_units(place / "fitted", place / "broken")
    return place


def files_of(place):
    return {path.name: path.read_bytes() for path in Path(place).iterdir()}


def test_a_dead_model_becomes_a_new_one_that_is_better(folder):
    before = files_of(folder / "broken")
    done = relume(
        "revive", "broken", "--data", "wine", "--epochs", "20", "--lr", "0.003", "--json",
        cwd=folder,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["model"] == "broken-revived"
    assert found["verdict"]["is_better"]
    assert found["verdict"]["n"] == 36
    assert sum(layer["dead_before"] for layer in found["layers"]) == 384
    assert all(layer["dead_after"] < layer["units"] / 2 for layer in found["layers"])
    assert files_of(folder / "broken") == before
    predicted = json.loads(relume("predict", "broken-revived", "wine", "--json", cwd=folder).stdout)
    assert predicted["score"] > 0.9
    revived = load_model(folder / "broken-revived")
    assert revived.result["revival"]["verdict"] == found["verdict"]
    again = relume("revive", "broken", "--data", "wine", cwd=folder)
    assert again.returncode == 2
    assert again.stderr == (
        "relume: broken-revived exists; choose another --out or --overwrite it\n"
    )


def test_a_model_that_got_no_better_is_not_written(folder):
    done = relume(
        "revive", "broken", "--data", "wine", "--lr", "1e30", "--out", "worse", cwd=folder
    )
    assert done.returncode == 0
    assert not (folder / "worse").exists()
    assert done.stdout.endswith("no new model was written: there is none that is better\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "--data", "wine"), "nowhere is not a model folder"),
        (("broken", "--data", "digits"), "there is no column 'alcohol'"),
        (("broken", "--data", "wine", "--epochs", "-1"), "epochs must be a whole number"),
        (("broken", "--data", "wine", "--held-out", "1"), "held_out must be a share"),
        (("broken", "--data", "wine", "--held-out", "0.05"), "at least 20 rows to judge by"),
        (("broken", "--data", "wine", "--out", "fitted", "--overwrite"), "is not a model folder"),
    ],
)
def test_mistakes_are_one_line_and_write_nothing(folder, relume_here, arguments, said):
    there = sorted(path.name for path in folder.iterdir())
    option = () if "--out" in arguments else ("--out", "new")
    done = relume_here("revive", *arguments, *option, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
    assert sorted(path.name for path in folder.iterdir()) == there
