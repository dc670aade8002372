import math

import pytest

from benchmarks.texts import REPORT, TUNING, difference


def test_choosing_and_reporting_share_no_task():
    names = [task.name for task in (*TUNING, *REPORT)]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [([0.10, 0.12, 0.11], "win"), ([-0.10, -0.12, -0.11], "loss"), ([0.1, -0.1, 0.02], "tie")],
)
def test_a_lead_has_the_corrected_interval(gaps, verdict):
    kept = {
        "relume": {str(seed): {"score": 0.5 + gap} for seed, gap in enumerate(gaps)},
        "words": {str(seed): {"score": 0.5} for seed in range(3)},
    }
    found = difference(kept, "words", [0, 1, 2])
    mean = sum(gaps) / 3
    variance = sum((gap - mean) ** 2 for gap in gaps) / 2
    half = 4.302652729911275 * math.sqrt(variance * (1 / 3 + 0.25))  # t, two degrees of freedom
    assert found["verdict"] == verdict
    assert (found["low"], found["high"]) == pytest.approx((mean - half, mean + half))
