"""The run that the limits of file and report are measured with, in small."""

import numpy as np
import pytest

from benchmarks import large_run
from relume.report.document import build_document
from relume.report.html import MOST_BYTES, render_page
from relume.runs.query import read_run


@pytest.fixture(scope="module")
def training():
    return large_run.LargeTraining(steps=20_000, layers=4, units=64)


@pytest.fixture(scope="module")
def run(training, tmp_path_factory):
    path = tmp_path_factory.mktemp("large") / "run.sqlite"
    assert large_run.write(path, training) >= path.stat().st_size
    return read_run(path)


def test_it_holds_what_was_asked_for(run, training):
    assert (run.last_step, len(run.layers), run.layers[0].units) == (20_000, 4, 64)
    assert len(run.weights) == len(run.windows[-1].weights) == 4
    assert sum(window.armed_steps for window in run.windows) == 313


def test_its_deaths_are_those_that_were_made(run, training):
    for part, deaths in zip(build_document(run).layers, training.death, strict=True):
        certified = {unit.unit: unit.first_silent for unit in part.dead}
        long_dead = np.flatnonzero(deaths < 18_000)
        assert set(long_dead) <= certified.keys()
        assert all(certified[unit] == deaths[unit] for unit in long_dead)
        assert set(certified) <= set(np.flatnonzero(deaths <= 20_000))


def test_its_page_keeps_to_the_limit(run):
    assert len(render_page(build_document(run)).encode()) <= MOST_BYTES
    assert large_run.MOST_PAGE_BYTES == MOST_BYTES
