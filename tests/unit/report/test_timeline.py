from hypothesis import given, settings
from hypothesis import strategies as st

from relume.report.timeline import added, group_windows, steps_of
from relume.runs.records import Moments, Window

lengths = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 1)), max_size=60)


def windows_of(parts):
    windows, step = [], 1
    for length, armed in parts:
        windows.append(Window(step, step + length - 1, armed, Moments(), 0.1, ()))
        step += length
    return windows


@settings(deadline=None, derandomize=True, max_examples=300)
@given(lengths, st.integers(1, 40), st.booleans())
def test_groups_cover_every_window_once_and_in_order(parts, most, armed):
    windows = windows_of(parts)
    groups = group_windows(windows, most, armed=armed)
    assert len(groups) <= most
    if armed and not any(window.armed_steps for window in windows):
        assert groups == ()
        return
    assert [i for group in groups for i in group] == list(range(len(windows)))
    if armed:
        assert all(any(windows[i].armed_steps for i in group) for group in groups)
    if len(windows) <= most and not armed:
        assert all(len(group) == 1 for group in groups)


def test_too_many_windows_are_grouped_by_steps_and_not_by_number():
    # Merged windows are long, fresh ones short: the columns of a picture must not stretch time.
    windows = windows_of([(100, 1)] * 4 + [(1, 1)] * 100)
    spans = [steps_of(windows, group) for group in group_windows(windows, 5)]
    assert spans == [(1, 100), (101, 200), (201, 300), (301, 400), (401, 500)]


def test_added_moments_are_those_of_all_values():
    values = [3.0, -1.0, 4.0]
    total = added([Moments.of(value) for value in values])
    assert (total.count, total.mean, total.least, total.greatest) == (3, 2.0, -1.0, 4.0)
    assert added([]) == Moments()
