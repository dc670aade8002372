"""A class and an amount at once, as a person types it: one trunk, two heads."""

import json

import numpy as np
import polars as pl
import pytest
from safetensors.torch import load_file
from sklearn.datasets import load_digits

from relume.runs.query import read_run
from tests.integration.command_line import relume

OPTIONS = ("--hidden", "128,64", "--epochs", 25, "--json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Handwritten digits beside an amount that is not linear in the pixels."""
    base = tmp_path_factory.mktemp("several")
    digits = load_digits()
    halves = digits.images[:, :, :4].sum((1, 2)) - digits.images[:, :, 4:].sum((1, 2))
    columns = {f"pixel {k}": digits.data[:, k] for k in range(64)}
    names = np.array(list("abcdefghij"))
    frame = pl.DataFrame(columns | {"digit": names[digits.target], "lean.": np.abs(halves)})
    frame.write_csv(base / "digits.csv")
    return base


def fitted(folder, out, *options):
    done = relume("fit", "digits.csv", "--out", out, *options, *OPTIONS, cwd=folder)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout, parse_constant=pytest.fail)["result"]


def test_both_heads_beat_their_baselines_and_match_a_network_each(folder):
    both = fitted(folder, "both", "--target", "digit,lean.")
    digit, lean = both["targets"]
    assert (digit["target"], digit["metric"]) == ("digit", "accuracy")
    assert (lean["target"], lean["metric"]) == ("lean.", "r2")
    for verdict in (digit, lean):
        assert verdict["baselines"][0]["difference_interval"][0] > 0
        assert verdict["rows"] > 300
    assert lean["baselines"][1]["difference_interval"][0] > 0  # no line fits a fold
    assert digit["score"] > digit["baselines"][1]["score"]
    alone = fitted(folder, "digit", "--target", "digit", "--drop", "lean.")
    assert digit["score"] == pytest.approx(alone["score"], abs=0.02)
    alone = fitted(folder, "lean", "--target", "lean.", "--drop", "digit")
    assert lean["score"] == pytest.approx(alone["score"], abs=0.05)
    weights = load_file(folder / "both" / "model" / "weights.safetensors")
    heads = {name: tuple(value.shape) for name, value in weights.items() if "head" in name}
    assert heads["heads.digit.weight"] == (10, 64)
    assert heads["heads.lean_.weight"] == (1, 64)
    assert len(read_run(folder / "both" / "run.sqlite").layers) == 2


def test_predict_and_report_show_both(folder):
    if not (folder / "both").exists():
        fitted(folder, "both", "--target", "digit,lean.")
    done = relume("predict", "both", "digits.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "digit: accuracy 0.9" in done.stdout
    assert "lean.: r2 0." in done.stdout
    written = pl.read_csv(folder / "digits-predictions.csv")
    assert written.columns[:3] == [
        "prediction digit",
        "probability digit",
        "probability digit=a",
    ]
    assert written.columns[-1] == "prediction lean."
    done = relume("report", "both", cwd=folder)
    assert "lean.: Better than ridge regression by" in " ".join(done.stdout.split())


def test_a_mistake_is_one_line_and_leaves_nothing(folder, relume_here):
    done = relume_here("fit", "digits.csv", "--target", "digit,leen.", "--out", "wrong", cwd=folder)
    assert done.returncode == 2
    assert "there is no column 'leen.'; did you mean 'lean.'" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (folder / "wrong").exists()
