"""Units killed by each cause in real trainings, at the default budget: found, dated, named."""

import pytest

from benchmarks.planted import CAUSES, MOST_OFF, STEPS, Verdict, judge, plans

MOST_STEPS_OFF = max(50, 0.01 * STEPS)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("planted")
    found = {cause: Verdict() for cause in CAUSES}
    for number, plan in enumerate(plans(range(4))):
        found[plan.cause] += judge(plan, folder / str(number))
    return found


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_every_death_is_found_and_dated_and_none_is_invented(verdicts, cause):
    verdict = verdicts[cause]
    assert verdict.dead >= 8
    assert verdict.found == verdict.dead
    assert verdict.invented == 0
    assert MOST_OFF <= MOST_STEPS_OFF
    assert verdict.off <= MOST_STEPS_OFF


def test_nine_of_ten_causes_are_named_and_hardly_one_wrongly(verdicts):
    total = sum(verdicts.values(), Verdict())
    assert total.named >= 0.9 * total.dead
    assert len(total.false) <= 0.02 * total.dead, total.false


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_no_cause_is_mostly_missed(verdicts, cause):
    assert verdicts[cause].named >= 0.7 * verdicts[cause].dead
