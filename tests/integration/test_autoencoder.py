"""Handwritten digits rebuilt from a short code, as a person types it, and odd rows found by it."""

import json

import numpy as np
import polars as pl
import pytest

from relume.runs.query import read_run
from relume.training.data.prepare import read_data
from tests.integration.command_line import relume


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    base = tmp_path_factory.mktemp("autoencoder")
    done = relume(
        "fit", "digits", "--network", "autoencoder", "--epochs", 50, "--out", "out", cwd=base
    )
    assert done.returncode == 0, done.stderr
    assert "variance rebuilt on 359 test rows" in done.stdout
    assert "PCA of 8 components" in done.stdout
    assert "64 features, to be rebuilt from a code of 8" in done.stderr
    assert "column 'digit' left out" in done.stderr
    return base


def test_it_rebuilds_more_than_as_many_principal_components(folder):
    info = read_run(folder / "out" / "run.sqlite").info
    rivals = {each["name"]: each for each in info.result["baselines"]}
    assert rivals["PCA of 8 components"]["difference_interval"][0] > 0.05
    assert rivals["mean of training"]["score"] == pytest.approx(0, abs=0.02)
    assert info.result["rows"] == 359
    done = relume("report", "out", "--json", cwd=folder)
    document = json.loads(done.stdout)
    assert "variance rebuilt on 359 test rows" in document["headline"]
    assert "Better than PCA of 8 components" in " ".join(document["comparisons"])


def test_odd_rows_have_the_largest_errors(folder):
    digits = read_data("digits").drop("digit")
    pixels = digits.to_numpy()
    rng = np.random.default_rng(1)
    odd = pixels[rng.choice(len(pixels), 12)][:, rng.permutation(64)]  # the same ink elsewhere
    both = pl.DataFrame(np.concatenate([pixels, odd]), schema=digits.columns)
    both.write_csv(folder / "both.csv")
    done = relume("predict", "out", "both.csv", cwd=folder)
    assert done.returncode == 0, done.stderr
    written = pl.read_csv(folder / "both-predictions.csv")
    assert written.columns == ["error", *(f"code {k}" for k in range(1, 9))]
    largest = written["error"].arg_sort(descending=True)[:12].sort().to_list()
    assert largest == list(range(len(pixels), len(pixels) + 12))
