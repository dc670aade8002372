"""Which trial goes on, by scores that are made up."""

import pytest

from relume.remedies.cure.choosing import finalists, winner_of
from relume.remedies.cure.score import ScoreChoice
from relume.remedies.cure.treatment import Kind, Treatment
from relume.remedies.cure.trial import Trial

MORE = ScoreChoice("printed", False, "")


def trial(score, kind=Kind.RATE, *, answers=(), stopped_at=None):
    treatment = Treatment(kind=kind, label=kind.value, answers=answers)
    series = {"printed": ((10, score),)}
    return Trial(treatments=(treatment,), steps=10, stopped_at=stopped_at, series=series)


UNTREATED = Trial(steps=10, series={"printed": ((10, 0.2),)})


@pytest.mark.parametrize(("luck", "wins"), [(0.05, 0), (0.2, 1)])
def test_what_answers_nothing_has_to_gain_a_quarter_more(luck, wins):
    tried = [trial(0.5, answers=("RLM001",)), trial(0.5 + luck)]
    assert winner_of(tried, UNTREATED, MORE) is tried[wins]


def test_those_run_again_that_one_seed_cannot_tell_from_the_winner():
    near = [trial(0.58), trial(0.6, answers=("RLM001",)), trial(0.55), trial(0.54)]
    others = [trial(0.3), trial(0.9, stopped_at=5), trial(0.7, Kind.SEED)]
    assert finalists([*near, *others], UNTREATED, MORE) == [near[1], near[0], near[2]]
    assert finalists(others[1:], UNTREATED, MORE) == []


def test_beside_a_run_without_a_number_it_is_the_score_itself_that_is_near():
    tried = [trial(0.9), trial(0.75), trial(0.6)]
    broken = Trial(steps=10, series={"printed": ((10, float("nan")),)})
    assert finalists(tried, broken, MORE) == tried[:2]
