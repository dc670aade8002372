"""What the builders accept, and the one line they say otherwise."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import SettingsError
from relume.nn.arguments import choice, flag, head_widths, integer, share, sides, widths


@pytest.mark.parametrize(
    ("check", "message"),
    [
        (lambda: integer("inputs", 0), "inputs must be at least 1; got 0"),
        (lambda: integer("inputs", 2.0), "inputs must be a whole number; got 2.0"),
        (lambda: integer("inputs", True), "inputs must be a whole number; got True"),
        (lambda: integer("pieces", 1, least=2), "pieces must be at least 2; got 1"),
        (
            lambda: widths("hidden widths", [4, 0]),
            "hidden widths must be at least 1; got 0 at position 2",
        ),
        (
            lambda: widths("hidden widths", [4, "8"]),
            "hidden widths must be whole numbers; got '8' at position 2",
        ),
        (
            lambda: widths("hidden widths", 64),
            "hidden widths must be a list of whole numbers; got 64",
        ),
        (
            lambda: widths("hidden widths", "64"),
            "hidden widths must be a list of whole numbers; got '64'",
        ),
        (
            lambda: widths("channels", []),
            "channels must name at least one width; got an empty list",
        ),
        (
            lambda: share("dropout", 1.0),
            "dropout must be a number from 0 up to, not including, 1; got 1.0",
        ),
        (
            lambda: share("dropout", "half"),
            "dropout must be a number from 0 up to, not including, 1; got 'half'",
        ),
        (
            lambda: choice("norm", "bach", (None, "batch", "layer")),
            "norm must be one of None, batch, layer; got 'bach'",
        ),
        (lambda: flag("final_relu", 1), "final_relu must be true or false; got 1"),
        (
            lambda: sides("image_size", [8, 8, 3]),
            "image_size must be one number, or height and width; got [8, 8, 3]",
        ),
        (lambda: sides("image_size", 0), "image_size must be at least 1; got 0"),
        (lambda: head_widths(0), "outputs must be at least 1; got 0"),
        (lambda: head_widths({}), "outputs must name at least one head; got an empty mapping"),
        (
            lambda: head_widths({"": 3}),
            "the name of a head must be a text that is not empty; got ''",
        ),
        (
            lambda: head_widths({"label": 0}),
            "outputs of head 'label' must be at least 1; got 0",
        ),
    ],
)
def test_one_line_says_what_is_wrong(check, message):
    with pytest.raises(SettingsError) as caught:
        check()
    assert str(caught.value) == message


@given(st.lists(st.integers(1, 9)))
@settings(derandomize=True, deadline=None, max_examples=30)
def test_what_makes_sense_comes_back_unchanged(values):
    assert widths("hidden widths", values, may_be_empty=True) == tuple(values)


def test_the_edges_are_accepted():
    assert integer("inputs", 1) == 1
    assert share("dropout", 0) == 0.0
    assert choice("norm", None, (None, "batch")) is None
    assert flag("final_relu", False) is False
    assert sides("image_size", (3, 4)) == (3, 4)
    assert head_widths({"label": 3}) == {"label": 3}
