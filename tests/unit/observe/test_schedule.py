import pytest

from relume.observe.schedule import every


def test_the_first_steps_and_every_tenth_are_armed():
    armed = every(10)
    assert [step for step in range(1, 41) if armed(step)] == [*range(1, 9), 10, 20, 30, 40]


def test_a_period_below_one_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        every(0)
