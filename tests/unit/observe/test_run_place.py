import os
import sys
import types
from concurrent.futures import ThreadPoolExecutor

import pytest

from relume.observe.run_place import (
    PARENT,
    PLACE,
    RunPlace,
    is_child_process,
    rank_of_process,
    shard_name,
)


@pytest.fixture(autouse=True)
def own_temporary_files(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setenv(PARENT, str(os.getpid()))  # claiming sets it: have it put back


@pytest.mark.parametrize(
    ("rank", "is_child", "name"),
    [
        (None, False, "run.sqlite"),
        (None, True, "run-7.sqlite"),
        (0, False, "run.sqlite"),
        (0, True, "run.sqlite"),
        (1, False, "run-rank1.sqlite"),
        (12, True, "run-rank12.sqlite"),
    ],
)
def test_the_name_of_a_shard(rank, is_child, name):
    assert shard_name(rank=rank, is_child=is_child, pid=7) == name


def test_a_child_is_a_process_below_one_that_trained():
    assert not is_child_process({})
    assert not is_child_process({PARENT: str(os.getpid())})
    assert is_child_process({PARENT: "1"})


def test_the_rank_is_what_torchrun_said_to_this_process():
    assert rank_of_process({"RANK": "3"}) == 3
    assert rank_of_process({"RANK": "3", PARENT: "1"}) is None
    assert rank_of_process({"RANK": "three"}) is None
    assert rank_of_process({}) is None


def test_a_process_group_knows_the_rank_better(monkeypatch):
    group = types.SimpleNamespace(
        is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 5
    )
    monkeypatch.setitem(sys.modules, "torch.distributed", group)
    assert rank_of_process({"RANK": "3", PARENT: "1"}) == 5


def test_the_place_travels_by_the_environment(tmp_path):
    place = RunPlace.new(tmp_path / "ключ", is_exact=True)
    assert RunPlace.from_environment({PLACE: place.to_text()}) == place
    assert RunPlace.from_environment({}) is None


def test_nothing_is_made_before_a_file_is_claimed(tmp_path):
    place = RunPlace.new(tmp_path / "run", is_exact=False)
    assert place.folder() is None
    assert place.run_files() == []
    place.forget()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["temporary"]


def test_a_taken_folder_gets_a_number(tmp_path):
    (tmp_path / "run").mkdir()
    place = RunPlace.new(tmp_path / "run", is_exact=False)
    assert place.claim_run_file(rank=None, is_child=False) == tmp_path / "run-2" / "run.sqlite"
    again = RunPlace.from_environment({PLACE: place.to_text()})
    assert again.claim_run_file(rank=1, is_child=True) == tmp_path / "run-2" / "run-rank1.sqlite"
    place.forget()
    assert list((tmp_path / "temporary").iterdir()) == []


def test_an_exact_folder_may_be_there(tmp_path):
    (tmp_path / "run").mkdir()
    place = RunPlace.new(tmp_path / "run", is_exact=True)
    assert place.claim_run_file(rank=0, is_child=False) == tmp_path / "run" / "run.sqlite"


def test_a_file_in_the_way_of_an_exact_folder(tmp_path):
    (tmp_path / "run").touch()
    place = RunPlace.new(tmp_path / "run", is_exact=True)
    with pytest.raises(FileExistsError):
        place.claim_run_file(rank=0, is_child=False)


def test_the_main_file_comes_first_and_is_given_once(tmp_path):
    place = RunPlace.new(tmp_path / "run", is_exact=False)
    claims = [place.claim_run_file(rank=None, is_child=False) for _ in range(3)]
    assert len(set(claims)) == 3
    assert [claim.name for claim in claims[:2]] == ["run.sqlite", f"run-{os.getpid()}.sqlite"]
    for claim in reversed(claims):
        claim.touch()
    assert place.run_files()[0] == claims[0]
    assert set(place.run_files()) == set(claims)


@pytest.mark.parametrize("is_exact", [True, False])
def test_claims_at_the_same_time_agree_on_one_folder(tmp_path, is_exact):
    place = RunPlace.new(tmp_path / "run", is_exact=is_exact)
    with ThreadPoolExecutor(16) as threads:
        claims = list(
            threads.map(lambda rank: place.claim_run_file(rank=rank, is_child=False), range(16))
        )
    assert len(set(claims)) == 16
    assert {claim.parent for claim in claims} == {place.folder()}
    folders = {path.name for path in tmp_path.iterdir()} - {"temporary"}
    assert folders == {place.folder().name}
