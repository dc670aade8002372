"""What weights were before a remedy was kept is not held against those that came after it."""

from dataclasses import replace

import pytest

from relume.diagnosis.reading import Reading
from relume.runs.remedies import AppliedRemedy
from tests.unit.diagnosis.hand_made import Matrix, make_run

NORMS = (50.0, 40.0, 2.0, 3.0)


@pytest.mark.parametrize(("is_kept", "change"), [(None, 0.06), (False, 0.06), (True, 1.5)])
def test_norms_are_compared_since_the_last_remedy_that_was_kept(is_kept, change):
    run = make_run(weights=[Matrix(name="a.weight", norm=NORMS)], windows=4)
    end = run.windows[1].last_step
    remedies = (AppliedRemedy(step=end, action="initialise", is_kept=is_kept),)
    assert Reading(replace(run, remedies=remedies)).norm_change == pytest.approx(change)
    assert Reading(run).repaired_at == 0
