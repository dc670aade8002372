"""A slice of ``make bench``: one formula and one loss, broken by a token, break a test."""

import pytest

from benchmarks.mutations import MUTATIONS, is_noticed

SLICE = [each for each in MUTATIONS if each.what.startswith(("statistics", "loss: no"))]


@pytest.mark.parametrize("mutation", SLICE, ids=lambda each: each.what)
def test_breaking_one_token_breaks_a_test(mutation):
    assert is_noticed(mutation)


def test_every_mutation_still_applies():
    from pathlib import Path

    root = Path(__file__).parents[2]
    assert len(MUTATIONS) >= 10
    for each in MUTATIONS:
        text = (root / "src" / "relume" / each.file).read_text(encoding="utf-8")
        assert text.count(each.old) == 1, each.what
        assert (root / "tests" / each.tests).is_file(), each.what
