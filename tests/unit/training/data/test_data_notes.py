import pytest

from relume.training.data.dropping import Dropped, Reason
from relume.training.data.encoding import CategoryColumn, NumberColumn, Scaling
from relume.training.data.notes import dropped_notes, kinds_note, rare_levels_note


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_said_with_the_columns(reason):
    (one,) = dropped_notes([Dropped("a", reason)])
    assert "column 'a'" in one
    (many,) = dropped_notes([Dropped(f"c{i}", reason) for i in range(20)])
    assert "columns 'c0', 'c1'" in many
    assert "and 12 more" in many


def test_reasons_come_apart_and_in_one_order():
    dropped = [Dropped("a", Reason.TEXT), Dropped("b", Reason.KEY), Dropped("c", Reason.TEXT)]
    first, second = dropped_notes(dropped)
    assert "'b'" in first
    assert "'a', 'c'" in second
    assert dropped_notes([]) == []


def test_columns_used_are_said_by_kind():
    scaling = Scaling(0.0, 0.0, 1.0)
    columns = [
        NumberColumn("n", scaling, indicator=True),
        CategoryColumn("c", ("x", "y"), missing=False, other=True),
        CategoryColumn("d", ("x",), missing=False, other=False),
    ]
    assert kinds_note(columns) == (
        "columns used: 1 number ('n'); 2 categories ('c', 'd'); 6 features in all"
    )
    assert rare_levels_note(columns) == "rare categories share one feature in 'c'"
    assert rare_levels_note(columns[:1]) == ""
