"""A slice of the benchmark of what watching costs: it runs, and its arithmetic is right."""

import numpy as np
import pytest

from benchmarks import overhead


def test_a_few_rounds_give_every_figure(tmp_path, monkeypatch):
    watchers = {
        "bare": overhead.bare,
        "control": overhead.bare,
        "default budget": overhead.Relume(tmp_path),
        "every step, all": overhead.Relume(tmp_path, period=1),
    }
    steps = 30
    build, batch, _ = next(iter(overhead.NETWORKS.values()))
    monkeypatch.setitem(overhead.NETWORKS, "short", (build, batch, steps))
    found = overhead.measured("short", watchers, rounds=2, least_armed=9)
    assert found["armed steps"] >= 9
    assert found["steps"] == (steps + overhead.WARM_STEPS) * found["rounds"]
    for name in ("default budget", "every step, all", "control"):
        assert found[name]["low"] <= found[name]["more"] <= found[name]["high"]


def test_both_bare_ones_are_what_is_compared_with():
    generator = np.random.default_rng(0)
    bare = list(1.0 + 0.01 * generator.random(200))
    times = {"bare": bare, "control": [t + 0.02 for t in bare], "x": [t + 0.05 for t in bare]}
    median = np.median(bare[1:])
    both = median + 0.01  # what is bare is the mean of the two that are
    assert overhead.more(times, "x")["more"] == pytest.approx(0.04 / both, abs=1e-3)
    assert overhead.more(times, "control")["more"] == pytest.approx(0.02 / median, abs=1e-3)
