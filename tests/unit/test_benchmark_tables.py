import pytest

from benchmarks.tables import REPORT, REPORT_FOLD_SEEDS, TUNING, TUNING_FOLD_SEEDS

BOTH = [*TUNING, *REPORT]


def test_choosing_and_reporting_share_no_table_and_no_fold():
    sources = [table.source for table in BOTH]
    assert len(set(sources)) == len(sources)
    assert not set(TUNING_FOLD_SEEDS) & set(REPORT_FOLD_SEEDS)


@pytest.mark.parametrize("tables", [TUNING, REPORT], ids=["tuning", "report"])
def test_each_list_is_wide_enough(tables):
    foreign = [table for table in tables if "/" in table.source]
    assert len(foreign) >= 12
    assert sum(table.is_classification for table in tables) >= 5
    assert sum(not table.is_classification for table in tables) >= 5


@pytest.mark.parametrize("table", [t for t in BOTH if "/" not in t.source], ids=lambda t: t.source)
def test_the_built_in_ones_are_there(table):
    assert table.target in table.frame().columns
