"""One folder for all processes of a process group: the first rank chooses, the others follow.

They agree over the store by which the group itself was formed; no collective is called, so that a
process whose others do not watch waits a moment at most, once.
"""

import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

LONGEST_WAIT = timedelta(seconds=2)


def group_folder(choose: Callable[[], Path]) -> Path:
    """Return the folder that this process records into.

    Args:
        choose: Chooses one, for a process of its own, or for its group.
    """
    distributed: Any = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return choose()
    if distributed.get_world_size() == 1:
        return choose()
    try:
        store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001
        return agreed_folder(store, distributed.get_rank(), choose)
    except Exception:  # noqa: BLE001 (no such store, or nobody chose: as before there was one)
        return choose()


def agreed_folder(store: Any, rank: int, choose: Callable[[], Path]) -> Path:
    """Return the folder that rank 0 chose for the same turn: each process counts its own.

    Args:
        store: A store of ``torch.distributed``.
        rank: Of this process.
        choose: Called in rank 0.

    Raises:
        RuntimeError: Rank 0 did not choose in time.
    """
    turn = store.add(f"relume/turn/{rank}", 1)
    key = f"relume/folder/{turn}"
    if rank == 0:
        folder = choose()
        store.set(key, str(folder))
        return folder
    store.wait([key], LONGEST_WAIT)
    return Path(store.get(key).decode())
