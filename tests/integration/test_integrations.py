"""One contract for all adapters to frameworks: what they leave behind, and what they leave alone.

The frameworks are imported once; every training is a process of its own.
"""

import json
from pathlib import Path

import pytest

from relume.integrations import INTEGRATIONS
from relume.runs.query import read_run
from tests.integration.warm import WarmPython

ROOT = Path(__file__).parents[2]
STAGE = Path(__file__).parent / "framework_stage"
EXAMPLES = ROOT / "examples"
LIBRARIES = {
    "lightning": "pytorch_lightning",
    "huggingface": "transformers.trainer",
    "skorch": "skorch",
    "accelerate": "accelerate",
    "keras": "keras",
}
LAYER = {"keras": "relu(layers)"}
EXAMPLE_LAYER = {
    "huggingface": "bert.encoder.layer.0.intermediate.intermediate_act_fn",
    "keras": "relu(hidden)",
    "lightning": "layers.1",
}
SCORES = {
    "lightning": {"train_loss", "score"},
    "huggingface": {"loss", "eval_loss", "learning_rate", "grad_norm"},
    "skorch": {"train_loss"},
    "accelerate": {"train_loss"},
    "keras": {"loss"},
}
STEPS = 16
CATCHES_INTERRUPTS = {"skorch"}
"""Frameworks after whose interrupted training the program goes on."""


WARM = ("torch._dynamo", "scipy.stats", "jinja2")


@pytest.fixture(scope="module")
def python():
    warm = WarmPython(*WARM, *LIBRARIES.values(), environment={"KERAS_BACKEND": "torch"})
    yield warm
    warm.close()


@pytest.fixture(scope="module", params=LIBRARIES)
def framework(request, python):
    """One framework: its name, and what runs Python with all of them imported."""
    return request.param, python


@pytest.fixture(scope="module")
def trained(framework, tmp_path_factory):
    """Trainings that ended: the framework, what came of them, and their folder."""
    name, python = framework
    folder = tmp_path_factory.mktemp(name) / "end"
    code, out, err = python.run(folder, [str(STAGE / "drive.py"), name, "end"])
    assert code == 0, err
    return name, json.loads(out.splitlines()[-1]), folder


def test_every_adapter_is_tried_here():
    assert set(LIBRARIES) | {"notebook"} == {each.name for each in INTEGRATIONS}


def test_weights_are_the_same_whatever_watches_and_torch_is_left_as_it_was(trained):
    _, said, folder = trained
    for condition in ("watched", "outer", "again", "faulty"):
        assert said[condition] == said["bare"], condition
    assert not (folder / "faulty").exists()


def test_a_watched_training_leaves_a_record_with_its_scores(trained):
    name, _, folder = trained
    assert {path.name for path in (folder / "relume-watch").iterdir()} >= {
        "report.html", "run.sqlite",
    }  # fmt: skip
    run = read_run(folder / "relume-watch")
    assert run.info.status == "finished"
    assert run.info.result == {"notes": []}
    assert run.last_step == STEPS
    assert [(layer.name, layer.units) for layer in run.layers] == [(LAYER.get(name, "layers.1"), 8)]
    assert run.layers[0].place.partition(":")[0] == f"train_{name}.py"
    if name == "keras":
        layers = {each.rpartition(".")[0].rstrip("_0123456789") for each in run.weights}
        assert layers == {"layers", "dense"}  # the second is numbered over the process
    found = {each.name for each in run.metrics}
    assert SCORES[name] <= found
    assert "stage" not in found
    assert not any("metric" in each.what for each in run.unobserved)
    assert max(each.step for each in run.metrics) == STEPS


def test_under_another_watch_there_is_one_record_with_the_scores(trained):
    name, said, folder = trained
    assert set(said["metrics"]) >= SCORES[name]
    assert not (folder / "never").exists()
    assert read_run(folder / "outer").last_step == STEPS


def test_a_training_after_one_that_failed_has_a_record_of_its_own(trained):
    _, _, folder = trained
    first, second = read_run(folder / "first"), read_run(folder / "second")
    assert (first.info.status, first.last_step) == ("failed", 4)
    assert (second.info.status, second.last_step) == ("finished", STEPS)


@pytest.mark.parametrize(
    ("condition", "status"), [("raise", "failed"), ("interrupt", "interrupted")]
)
def test_an_ending_is_the_training_s_own_and_the_record_is_whole(
    framework, tmp_path, condition, status
):
    name, python = framework
    folder = tmp_path / "run"
    code, _, err = python.run(folder, [str(STAGE / "drive.py"), name, condition])
    goes_on = condition == "interrupt" and name in CATCHES_INTERRUPTS
    assert (code == 0) == goes_on, err
    if condition == "raise":
        assert "ValueError: yours" in err
    run = read_run(folder / "relume-watch")
    assert run.info.status == status
    assert run.last_step == 4
    assert (folder / "relume-watch" / "report.html").exists()


def test_the_example_runs_and_says_where_its_report_is(framework, tmp_path):
    name, python = framework
    example = next(EXAMPLES.glob(f"{name}_*.py"))
    code, _, err = python.run(tmp_path / "run", [str(example)])
    assert code == 0, err
    said = [line for line in err.splitlines() if line.startswith("relume: ")]
    assert said[-1] == "relume: report: watched/report.html"
    assert len(said) >= 2
    run = read_run(tmp_path / "run" / "watched")
    assert run.info.status == "finished"
    assert EXAMPLE_LAYER.get(name, "1") == run.layers[0].name
