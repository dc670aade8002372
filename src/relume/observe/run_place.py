"""Where the processes of one run record: one folder, one run file a process.

The folder is made when the first step of the run is recorded, by whichever process comes first. The
processes agree by *reservations*: small files in the folder for temporary files, each of which only
one process can make.
"""

import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from relume.files import numbered

PLACE = "RELUME_RUN"
"""Environment variable that tells the processes of a run their place."""
PARENT = "RELUME_PARENT"
"""Environment variable that names the nearest process of the run that has trained."""
MAIN_NAME = "run.sqlite"
LONGEST_WAIT_S = 2.0


def shard_name(*, rank: int | None, is_child: bool, pid: int) -> str:
    """Return the name of the file that a process records into.

    Args:
        rank: Its rank among processes that train together; None if it has none.
        is_child: Whether a process that had trained itself started it.
        pid: Its process id.

    Example:
        >>> shard_name(rank=None, is_child=False, pid=4711)
        'run.sqlite'
        >>> shard_name(rank=0, is_child=True, pid=4711)
        'run.sqlite'
        >>> shard_name(rank=3, is_child=True, pid=4711)
        'run-rank3.sqlite'
        >>> shard_name(rank=None, is_child=True, pid=4711)
        'run-4711.sqlite'
    """
    if rank:
        return f"run-rank{rank}.sqlite"
    return MAIN_NAME if rank == 0 or not is_child else f"run-{pid}.sqlite"


def is_child_process(environment: Mapping[str, str]) -> bool:
    """Whether a process that had trained itself started this one."""
    return environment.get(PARENT, str(os.getpid())) != str(os.getpid())


def rank_of_process(environment: Mapping[str, str]) -> int | None:
    """Return the rank of this process, by its process group, else by what torchrun said.

    What torchrun said to a process holds for that process, not for those that it starts.
    """
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        return int(distributed.get_rank())
    said = environment.get("RANK", "")
    return int(said) if said.isdigit() and not is_child_process(environment) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlace:
    """The place of one run, the same in all its processes.

    Attributes:
        wanted: The folder, absolute.
        is_exact: Whether it must be this folder; else -2, -3, ... is added if it is there already.
        reservations: The folder of the reservations; it appears with the first of them.
    """

    wanted: Path
    is_exact: bool
    reservations: Path

    @classmethod
    def new(cls, wanted: Path, *, is_exact: bool) -> Self:
        """Return the place of a run that begins; nothing is written."""
        reservations = Path(tempfile.gettempdir()).absolute() / f"relume-{uuid.uuid4().hex}"
        return cls(wanted=wanted.absolute(), is_exact=is_exact, reservations=reservations)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self | None:
        """Return the place of the run that this process belongs to; None if it belongs to none."""
        if PLACE not in environment:
            return None
        said = json.loads(environment[PLACE])
        return cls(
            wanted=Path(said["wanted"]),
            is_exact=said["is_exact"],
            reservations=Path(said["reservations"]),
        )

    def to_text(self) -> str:
        """Return the place as the value of ``RELUME_RUN``."""
        return json.dumps(
            {
                "wanted": str(self.wanted),
                "is_exact": self.is_exact,
                "reservations": str(self.reservations),
            }
        )

    def folder(self) -> Path | None:
        """Return the folder of the run; None while nothing is recorded."""
        decision = self.reservations / "folder"
        return Path(decision.read_text(encoding="utf-8")) if decision.exists() else None

    def run_files(self) -> list[Path]:
        """Return the run files there are, the main one first."""
        folder = self.folder()
        found = sorted(folder.glob("run*.sqlite")) if folder is not None else []
        return sorted(found, key=lambda path: path.name != MAIN_NAME)

    def claim_run_file(self, *, rank: int | None, is_child: bool) -> Path:
        """Make the folder of the run, if it is not there, and return the file for this process.

        The file is not made. No other process of the run gets the same; the first gets the main
        one, unless it has another rank. The processes that this one starts will know that they are
        children.

        Raises:
            OSError: If it cannot be written there.
        """
        self.reservations.mkdir(mode=0o700, exist_ok=True)
        folder = self.folder() or self._make_folder()
        pid = os.getpid()
        wanted = shard_name(rank=rank, is_child=is_child, pid=pid)
        for name in (wanted, f"run-{pid}.sqlite", f"run-{pid}-{uuid.uuid4().hex[:8]}.sqlite"):
            if not (folder / name).exists() and self._reserve(name, str(pid)):
                os.environ[PARENT] = str(pid)
                return folder / name
        raise FileExistsError(f"{folder / wanted} is taken")

    def forget(self) -> None:
        """Remove the reservations, when the run has ended."""
        shutil.rmtree(self.reservations, ignore_errors=True)

    def _make_folder(self) -> Path:
        """Make the folder, or wait for the process of this run that makes it."""
        if not self._reserve("maker", str(os.getpid())):
            return self._wait_for_folder()
        for folder in [self.wanted] if self.is_exact else numbered(self.wanted):
            try:
                folder.mkdir(parents=True, exist_ok=self.is_exact)
            except FileExistsError:
                if self.is_exact:
                    raise
                continue
            break
        self._reserve("folder", str(folder))
        return folder

    def _wait_for_folder(self) -> Path:
        give_up_at_s = time.monotonic() + LONGEST_WAIT_S
        while time.monotonic() < give_up_at_s:
            decided = self.folder()
            if decided is not None:
                return decided
            time.sleep(0.01)
        raise FileNotFoundError(f"no process of this run made its folder {self.wanted}")

    def _reserve(self, name: str, text: str) -> bool:
        """Make a reservation, whole or not at all; return whether this process was the first."""
        handle, draft = tempfile.mkstemp(dir=self.reservations)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        try:
            os.link(draft, self.reservations / name)
        except FileExistsError:
            return False
        finally:
            Path(draft).unlink()
        return True
