"""Which steps are armed: plain functions of the step number, so that a seed repeats a run."""

from collections.abc import Callable

Schedule = Callable[[int], bool]


def every(period: int, *, first: int = 8) -> Schedule:
    """Arm the first steps, where networks die quickest, and then every ``period``-th.

    Args:
        period: At least 1.
        first: How many of the first steps are armed whatever the period.

    Example:
        >>> armed = every(10, first=2)
        >>> [step for step in range(1, 31) if armed(step)]
        [1, 2, 10, 20, 30]
    """
    if period < 1:
        raise ValueError(f"period must be at least 1; got {period}")
    return lambda step: step <= first or step % period == 0
