"""Zeros, infinities, nan and denormals: torch today against the committed table."""

import json
import math

import pytest

from relume.nn.registry import activation_names
from tests.oracles.special_values import COPIES, DTYPES, SURPRISES, TABLE, observe

OF_RECORD = json.loads(TABLE.read_text())


def agrees(seen, recorded):
    return any(
        all(same(a, b) for a, b in zip(seen.split(), answer.split(), strict=True))
        for answer in recorded.split(" or ")
    )


def same(seen, recorded):
    if seen == recorded:  # signed zeros, infinities and nan are compared as text
        return True
    a, b = float(seen), float(recorded)
    return a != 0 and math.isfinite(a) and math.isclose(a, b, rel_tol=1e-7)


@pytest.mark.parametrize("copies", COPIES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", activation_names())
def test_special_values_are_those_of_record(name, dtype, copies):
    seen, recorded = observe(name, DTYPES[dtype], copies), OF_RECORD[dtype][name]
    for what in ("value", "slope"):
        pairs = zip(seen[what], recorded[what], strict=True)
        assert [pair for pair in pairs if not agrees(*pair)] == []


def test_the_table_covers_the_catalogue_and_nothing_else():
    for names in OF_RECORD.values():
        assert tuple(names) == activation_names()
    assert set(SURPRISES) <= set(activation_names())


def test_nan_never_becomes_a_number():
    for dtype in DTYPES:
        for name in activation_names():
            assert "nan" in OF_RECORD[dtype][name]["value"][-1], name


def test_only_these_depend_on_the_lane():
    depending = {
        name
        for table in OF_RECORD.values()
        for name, row in table.items()
        if any(" or " in answer for answers in row.values() for answer in answers)
    }
    assert depending == {"elu", "selu", "celu", "gelu", "relu6", "hardswish", "maxout"}
