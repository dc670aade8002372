from datetime import UTC, date, datetime, time, timedelta, timezone

import numpy as np
import polars as pl
import pytest

from relume.training.data.moments import (
    DATE_FORMATS,
    DATE_PARTS,
    DATETIME_FORMATS,
    TIME_FORMATS,
    TIME_PARTS,
    as_moments,
    candidate_formats,
    moment_parts,
    parse_moments,
)

MOMENT = datetime(2023, 11, 25, 21, 5, 30)


def written(form):
    return MOMENT.replace(tzinfo=UTC).strftime(form.replace("%.f", "").replace("%#z", "%z"))


@pytest.mark.parametrize("form", [*DATE_FORMATS, *DATETIME_FORMATS, *TIME_FORMATS])
def test_what_python_writes_in_a_format_is_found_and_read_back(form):
    text = written(form)
    assert form in candidate_formats(text)
    read = parse_moments(pl.Series([text]), form)[0]
    if form in TIME_FORMATS:
        assert read == MOMENT.time().replace(second=read.second)
    elif form in DATE_FORMATS:
        assert read == datetime.combine(MOMENT.date(), time())
    else:
        assert read == MOMENT.replace(second=read.second)


@pytest.mark.parametrize(
    "text", ["red", "12", "3.14", "1-2", "1.2.3.4", "", "x 2020-01-01", "1:2:3:4"]
)
def test_what_is_no_moment_has_no_format(text):
    assert candidate_formats(text) == []


def test_two_digit_years_are_of_this_time():
    assert candidate_formats("25/11/23") == ["%m/%d/%y", "%d/%m/%y"]
    read = parse_moments(pl.Series(["25/11/23", "25/11/2023", None]), "%d/%m/%y")
    assert read.dt.year().to_list() == [2023, None, None]
    read = parse_moments(pl.Series(["25/11/23", "25/11/2023", None]), "%d/%m/%Y")
    assert read.dt.year().to_list() == [None, 2023, None]


def test_offsets_become_utc():
    texts = pl.Series(
        ["2024-01-01T00:30:00+01:00", "2024-01-01T00:30:00Z", "2024-01-01T00:30:00-0500"]
    )
    moments = parse_moments(texts, "%Y-%m-%dT%H:%M:%S%.f%#z")
    assert moments.dt.hour().to_list() == [23, 0, 5]
    there = timezone(timedelta(hours=1))
    zoned = pl.Series([datetime(2024, 1, 1, 0, 30, tzinfo=there)]).dt.convert_time_zone(
        "Asia/Tokyo"
    )
    assert as_moments(zoned)[0] == moments[0]


@pytest.mark.parametrize("day", [date(1969, 12, 31), date(2000, 2, 29), date(2023, 12, 31)])
def test_parts_are_those_of_the_standard_library(day):
    moment = datetime.combine(day, time(13, 30, 36))
    numbers = moment_parts(pl.Series([moment]), DATE_PARTS + TIME_PARTS)
    elapsed = (moment - datetime(1970, 1, 1)) / timedelta(days=1)
    expected = [day.year, day.month, day.isoweekday(), day.timetuple().tm_yday, elapsed, 13.51]
    np.testing.assert_allclose(np.concatenate(numbers), expected, rtol=1e-15)


def test_times_and_gaps():
    hours = moment_parts(pl.Series([time(6, 45), None]), TIME_PARTS)[0]
    np.testing.assert_array_equal(hours, [6.75, np.nan])
