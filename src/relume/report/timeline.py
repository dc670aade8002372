"""Windows drawn together, so that a picture of a training has a bounded number of columns."""

from collections.abc import Sequence

from relume.runs.records import Moments, Window


def group_windows(
    windows: Sequence[Window], most: int, *, armed: bool = False
) -> tuple[range, ...]:
    """Return consecutive ranges of window indices, at most ``most``, that cover all windows.

    Where there are too many windows, those that begin in the same of ``most`` equal spans of steps
    go together: windows differ in length, and a picture must not stretch time.

    Args:
        windows: In the order of time.
        most: Most groups.
        armed: Whether every group must hold an armed step; a window without one joins the next
            that has one (at the end, the last), and there is no group if none has.
    """
    starts = [0, *(i + 1 for i, window in enumerate(windows) if window.armed_steps or not armed)]
    starts.pop()  # where the group after the last one would begin
    if not starts:
        return ()
    if len(starts) > most:
        origin = windows[0].first_step
        steps = max(1, windows[-1].last_step + 1 - origin)
        spans = {(windows[i].first_step - origin) * most // steps: i for i in reversed(starts)}
        starts = sorted(spans.values())
    return tuple(
        range(start, stop) for start, stop in zip(starts, [*starts[1:], len(windows)], strict=True)
    )


def steps_of(windows: Sequence[Window], group: range) -> tuple[int, int]:
    """Return the first and the last step of a group."""
    return windows[group[0]].first_step, windows[group[-1]].last_step


def added(moments: Sequence[Moments]) -> Moments:
    """Return the sum of moments."""
    return sum(moments, Moments())
