"""``relume examine`` as a person types it, on a model that ``relume fit`` saved."""

import json

import pytest

from tests.integration.command_line import relume


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("examine")
    assert relume("fit", "wine", "--epochs", "3", "--out", "model", cwd=place).returncode == 0
    return place


def test_units_and_noise_as_json(folder):
    done = relume("examine", "model", "wine", "--weight-noise", "0.2", "--json", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [layer["units"] for layer in found["layers"]] == [256, 128]
    assert {layer["rows"] for layer in found["layers"]} == {178} == {found["rows"]}
    assert all(len(layer["firing_rate"]) == layer["units"] for layer in found["layers"])
    assert (found["metric"], found["not_observed"]) == ("accuracy", [])
    predicted = relume("predict", "model", "wine", "--json", cwd=folder)
    assert found["score"] == json.loads(predicted.stdout)["score"]
    (noise,) = found["weight_noise"]
    assert noise["interval"][0] <= noise["mean"] <= noise["interval"][1]
    assert len(noise["scores"]) == 10


def test_a_person_reads_a_table(folder):
    done = relume("examine", "model", "wine", cwd=folder)
    assert done.returncode == 0
    assert "n = 178 rows, at fixed weights" in done.stdout
    assert "hidden.0.activation" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere", "wine"), "nowhere is not a model folder"),
        (("model", "digits"), "there is no column 'alcohol'"),
        (("model", "wine", "--weight-noise", "-1"), "weight_noise must be at least 0"),
    ],
)
def test_mistakes_are_one_line(folder, relume_here, arguments, said):
    done = relume_here("examine", *arguments, cwd=folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
