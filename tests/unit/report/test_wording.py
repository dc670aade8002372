import math

from hypothesis import given, settings
from hypothesis import strategies as st

from relume.report.wording import (
    describe,
    interval,
    lines,
    number,
    printable,
    share,
    signed,
    unit_ranges,
)

quick = settings(deadline=None, derandomize=True, max_examples=200)


@quick
@given(st.text(), st.integers(3, 40))
def test_printable_text_is_short_and_has_no_control_characters(text, most):
    shown = printable(text, most)
    assert len(shown) <= most
    assert shown.isprintable()
    if text.isprintable() and len(text) <= most:
        assert shown == text


def test_escape_codes_and_direction_marks_do_not_survive():
    assert printable("a\x1b]0;b\x07\u202ec\ud800") == "a�]0;b��c�"


@quick
@given(st.floats(0, 1))
def test_a_share_never_says_none_or_all_unless_it_is(value):
    text = share(value)
    assert (text == "0 %") == (value == 0)
    assert (text == "100 %") == (value == 1)
    if value > 1e-6:
        assert math.isclose(float(text.removesuffix(" %")) / 100, value, rel_tol=0.051)


@quick
@given(st.floats(-1e300, 1e300))
def test_a_number_keeps_three_digits(value):
    nearness = 5.01e-4 if abs(value) >= 1e-3 else 1e-8  # half of the last decimal, or nothing
    assert math.isclose(float(number(value)), value, rel_tol=5e-3, abs_tol=nearness)


def test_what_is_not_a_number_was_not_observed():
    assert {number(math.nan), number(math.inf), share(None), signed(math.nan), interval(None)} == {
        "not observed"
    }


@quick
@given(st.sets(st.integers(0, 300), min_size=1))
def test_unit_ranges_name_every_unit_once(units):
    named = []
    for part in unit_ranges(sorted(units)).split(", "):
        first, _, last = part.partition("–")
        named.extend(range(int(first), int(last or first) + 1))
    assert named == sorted(units)


def test_settings_are_described_in_one_line():
    assert describe({"a": 1200, "b": None}) == "1,200 a, not set b"
    assert [describe(value) for value in (True, [], 0.002, 10**40, "x\ny")] == [
        "yes",
        "none",
        "0.002",
        "1" + "0" * 40,
        "x�y",
    ]


def test_lines_are_kept_and_bounded():
    assert lines("a\nb\x1b\nc", 2) == "a\nb�"
