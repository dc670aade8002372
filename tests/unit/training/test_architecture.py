"""Which network the data get, and what its builder is called with."""

import polars as pl
import pytest

from relume.errors import SettingsError
from relume.training.architecture import network_arguments, number_positions
from relume.training.data.prepare import DataOptions, prepare
from relume.training.recipe import completed
from relume.training.settings import FitSettings


def settings_for(data, **given):
    numbers = len(number_positions(data))
    return completed(FitSettings(**given), len(data.train.y), data.form, numbers=numbers)


def test_numbers_and_parts_of_dates_have_bins_and_yes_or_no_has_none():
    rows = range(60)
    frame = pl.DataFrame(
        {
            "colour": [("red", "green", "blue")[row % 3] for row in rows],
            "size": [None if row % 7 == 0 else row * 0.5 for row in rows],
            "day": [f"2024-{1 + row % 12:02}-{1 + row % 28:02}" for row in rows],
            "y": [row % 2 for row in rows],
        }
    )
    data = prepare(frame, DataOptions(target="y"))
    names = data.preprocessing.features
    binned = [names[at] for at in number_positions(data)]
    assert binned == ["size", *(name for name in names if name.startswith("day "))]
    arguments = network_arguments(data, settings_for(data))
    assert (arguments["bins"], arguments["binned"]) == (8, number_positions(data))
    assert "bins" not in network_arguments(data, settings_for(data, bins=0))


def test_pixels_have_no_bins():
    digits = prepare("digits", DataOptions())
    assert number_positions(digits) == []
    with pytest.raises(
        SettingsError, match="--bins 4 is for a table with columns of numbers under mlp"
    ):
        network_arguments(digits, settings_for(digits, bins=4))
