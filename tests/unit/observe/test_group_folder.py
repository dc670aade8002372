from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed

from relume.observe import group_folder as module
from relume.observe.group_folder import agreed_folder, group_folder


def never():
    raise AssertionError("only rank 0 chooses")


def test_all_ranks_get_the_folder_of_the_first_turn_by_turn():
    store = torch.distributed.HashStore()
    for turn in ("one", "two"):
        assert agreed_folder(store, 0, lambda turn=turn: Path(turn)) == Path(turn)
    for rank in (1, 2):
        assert agreed_folder(store, rank, never) == Path("one")
        assert agreed_folder(store, rank, never) == Path("two")


def test_nobody_waits_long_for_a_rank_that_does_not_watch(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_WAIT", timedelta(milliseconds=50))
    with pytest.raises(RuntimeError):
        agreed_folder(torch.distributed.HashStore(), 1, never)


def test_a_process_of_its_own_chooses_for_itself(monkeypatch):
    assert group_folder(lambda: Path("mine")) == Path("mine")
    distributed = torch.distributed
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_world_size", lambda: 2)
    monkeypatch.setattr(distributed, "get_rank", lambda: 1)
    assert group_folder(lambda: Path("mine")) == Path("mine")  # there is no store
    store = distributed.HashStore()
    agreed_folder(store, 0, lambda: Path("theirs"))
    monkeypatch.setattr(distributed.distributed_c10d, "_get_default_store", lambda: store)
    assert group_folder(lambda: Path("mine")) == Path("theirs")
