import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.runs.thinning import Thinning


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(3, 20), st.integers(1, 400), st.integers(0, 399))
def test_what_is_kept_is_even_bounded_and_has_both_ends(most, count, interrupted_at):
    thinning, mirror = Thinning(most), []
    for index in range(count):
        if index == interrupted_at:
            thinning = Thinning(most, mirror)  # as a resumed run takes it up
        number, dropped = thinning.add()
        assert number == index
        mirror = [old for old in [*mirror, number] if old not in dropped]
        assert mirror == thinning.kept
        assert len(mirror) <= most
    assert (mirror[0], mirror[-1]) == (0, count - 1)
    gaps = np.diff(mirror)
    assert len(set(gaps[:-1])) <= 1  # all but the last one
    assert len(gaps) < 2 or gaps[-1] <= gaps[0]
    # Half of what is allowed is there, unless there never was so much.
    assert len(mirror) >= min(count, most // 2)
