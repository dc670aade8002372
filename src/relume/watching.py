"""Watching a training that is somebody else's: a run file while it runs, a report when it ends."""

import atexit
import os
import platform
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from torch import nn

import relume
from relume.errors import RunFileError, SettingsError
from relume.files import free_folder, writing_to
from relume.observe.attendance import ending_of_process
from relume.observe.group_folder import group_folder
from relume.observe.recorder import Recorder
from relume.observe.run_place import (
    RunPlace,
    is_child_process,
    rank_of_process,
    shard_name,
)
from relume.runs.records import RunInfo
from relume.runs.store import RunWriter

if TYPE_CHECKING:
    from relume.remedies.live.repair import LiveRepair

PAGE_NAME = "report.html"
ALLOWS = ("safe", "training", "model")
REPAIR_PERIOD = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchSettings:
    """How a training is watched.

    Args:
        out: Folder for run file and report; None makes a new one, ``relume-<name>``.
        budget: Share of the training's time that watching may take.
        every: Measures every so many steps instead of keeping to the budget.
        full: Measures every step, and everything.
        quiet: Whether nothing is said.
        report: Whether the page is made at the end.
        name: Of the folder, after ``relume-``, where ``out`` is None.
        repair: Whether what goes wrong is repaired. Then steps are measured by their number, every
            tenth unless ``every`` says otherwise, and no budget is kept.
        allow: How far a repair may go: ``safe``, ``training`` or ``model``.
    """

    out: Path | None = None
    budget: float = 0.01
    every: int | None = None
    full: bool = False
    quiet: bool = False
    report: bool = True
    name: str = "watch"
    repair: bool = False
    allow: str = "training"

    def __post_init__(self) -> None:
        if not 0 < self.budget <= 1:
            raise SettingsError(f"budget must be a share above 0 and at most 1; got {self.budget}")
        if self.every is not None and self.every < 1:
            raise SettingsError(f"every must be at least 1; got {self.every}")
        if self.allow not in ALLOWS:
            raise SettingsError(f"allow must be {', '.join(ALLOWS)}; got {self.allow!r}")

    @property
    def period(self) -> int | None:
        """Every how many steps units are measured; None: by the budget."""
        if self.full:
            return 1
        return self.every or (REPAIR_PERIOD if self.repair else None)


class Watch:
    """Watches whatever trains in this process, from ``start`` to ``stop``.

    Nothing of the training changes: no weight, no random number. A fault of ours ends the watching
    with one line on stderr, and nothing else.

    Under another watch that is active already (``relume run`` before a script that watches itself),
    it does nothing and shows what that one sees.

    Args:
        settings: How it is watched.
        model: The model whose names are used first; it is found by itself if None.

    Attributes:
        fault: The first fault of ours, if any.
        said: What there is to say of the training once it has ended, in lines: how the units stand,
            the gravest findings, and where the report is.

    Example:
        >>> import tempfile, torch
        >>> folder = Path(tempfile.mkdtemp()) / "run"
        >>> with watch(report=False, quiet=True, out=folder) as training:
        ...     layer = torch.nn.Linear(2, 2)
        ...     optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        ...     for _ in range(3):
        ...         torch.relu(layer(torch.ones(4, 2))).sum().backward()
        ...         optimizer.step()
        >>> [layer.units for layer in training.run.layers], training.run.last_step
        ([2], 3)
    """

    def __init__(self, settings: WatchSettings, model: nn.Module | None = None) -> None:
        self.settings = settings
        self.fault: Exception | None = None
        self.said: tuple[str, ...] = ()
        self._model = model
        self._path: Path | None = None
        self._recorder: Recorder | None = None
        self._repair: LiveRepair | None = None
        self._outer: Watch | None = None
        self._has_told = False
        self._is_fork = False

    @property
    def folder(self) -> Path | None:
        """Where run file and report lie; None before the first step."""
        path = self._outer._path if self._outer is not None else self._path  # noqa: SLF001
        return path.parent if path is not None else None

    def start(self) -> Self:
        """Begin to watch, unless it does already; nothing is raised.

        At the end of the program it stops by itself.
        """
        if self._recorder is not None or self._outer is not None:
            return self
        self._outer = active_watch()
        if self._outer is None:
            self._recorder = self._begin()
            if self._recorder is not None:
                _ACTIVE.append(self)
                atexit.register(self._stop_at_exit)
        return self

    def _begin(self) -> Recorder | None:
        settings = self.settings
        try:
            recorder = Recorder(
                self._open, budget=settings.budget, period=settings.period, model=self._model
            )
        except Exception as error:  # noqa: BLE001
            self.fault = error
            self._tell_fault()
            return None
        recorder.start()
        if settings.repair:
            self._begin_repair(recorder)
        return recorder

    def _begin_repair(self, recorder: Recorder) -> None:
        try:
            from relume.remedies.live.choice import Allow
            from relume.remedies.live.repair import LiveRepair

            self._repair = LiveRepair(recorder, Allow(self.settings.allow), self._tell)
            self._repair.start()
        except Exception as error:  # noqa: BLE001
            self._repair = None
            self._tell(f"nothing is repaired: {error}")

    def stop(self, status: str = "finished") -> Path | None:
        """End the watching; write the run file and the report.

        Args:
            status: How the training ended: ``finished``, ``interrupted`` or ``failed``.

        Returns:
            The report, or None where there is none. Nothing is raised.
        """
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return None
        _ACTIVE.clear()
        atexit.unregister(self._stop_at_exit)
        for part in (self._end_repair, recorder.stop, lambda: self._close(recorder, status)):
            try:
                part()
            except Exception as error:  # noqa: BLE001
                recorder.fail(error)
        self._stopped(recorder)
        self.fault = recorder.fault
        self._tell_fault()
        return self._report()

    def _stop_at_exit(self) -> None:
        self.stop("finished" if hasattr(sys, "ps1") else ending_of_process())

    def _end_repair(self) -> None:
        repair, self._repair = self._repair, None
        if repair is not None:
            repair.stop()

    def _stopped(self, recorder: Recorder) -> None:
        """Close the run file whatever came before."""
        try:
            if recorder.output.writer is not None:
                recorder.output.writer.close()
        except Exception as error:  # noqa: BLE001
            recorder.fail(error)

    @property
    def run(self) -> Any:
        """The record so far, read from its file.

        Raises:
            RunFileError: If no step was seen.
        """
        from relume.runs.query import read_run

        path = self._outer._path if self._outer is not None else self._path  # noqa: SLF001
        if path is None:
            raise RunFileError("nothing is recorded: no training step was seen so far")
        return read_run(path)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: how the units stand so far, and what was found."""
        from relume.report.cell import run_cell

        folder = self.folder
        return run_cell(lambda: self.run, None if folder is None else folder / PAGE_NAME)

    def record_metric(self, name: str, value: float) -> None:
        """Record a score at the present step; ``relume.metric`` does it for the active watch."""
        if self._recorder is not None:
            self._recorder.record_metric(str(name), value)

    def after_fork_in_child(self) -> None:
        """Go on in a forked child: what it trains is recorded in a run file of its own."""
        if self._recorder is not None:
            if self._repair is not None:
                self._repair.abandon()
            self._recorder.abandon()
            self._path, self._is_fork = None, True
            self._recorder = self._begin()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop(_status(error))

    def _open(self) -> RunWriter:
        """Make the folder and the run file: a training step was seen."""
        path = self._claim()
        writer = RunWriter(path)
        self._path = path
        writer.update_info(self._info())
        return writer

    def _claim(self) -> Path:
        """Return the place of the run file, whose folder is there."""
        rank, is_child = rank_of_process(os.environ), is_child_process(os.environ)
        place = RunPlace.from_environment(os.environ)
        if place is not None:
            return place.claim_run_file(rank=rank, is_child=is_child)
        settings = self.settings
        wanted = Path(f"relume-{settings.name}").absolute()
        folder = (settings.out or group_folder(lambda: free_folder(wanted))).absolute()
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / shard_name(rank=rank, is_child=self._is_fork, pid=os.getpid())

    def _info(self) -> RunInfo:
        import torch

        settings = self.settings
        return RunInfo(
            kind="watch",
            status="running",
            settings={
                "budget": settings.budget,
                "every": settings.period,
                **({"repair": settings.allow} if settings.repair else {}),
            },
            data={"name": Path(sys.argv[0]).name or settings.name},
            environment={
                "relume": relume.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "threads": torch.get_num_threads(),
            },
        )

    def _close(self, recorder: Recorder, status: str) -> None:
        writer = recorder.output.writer
        if writer is None:
            return
        fault = str(recorder.fault) if recorder.fault is not None else ""
        notes = [f"watching ended early: {fault}"] if fault else []
        writer.update_info(
            status=status, result={"notes": notes}, overhead=dict(recorder.overhead())
        )

    def _report(self) -> Path | None:
        if self.folder is None or not self.settings.report:
            return None
        try:
            from relume.report.closing import closing_lines
            from relume.report.document import build_document
            from relume.report.html import write_page

            page = self.folder / PAGE_NAME
            document = build_document(self.run)
            write_page(document, page)
            self.said = closing_lines(document, page)
        except Exception as error:  # noqa: BLE001
            self.fault = self.fault or error
            self._tell_fault()
            return None
        return page

    def _tell_fault(self) -> None:
        if self.fault is not None and not self._has_told:
            self._has_told = True
            reason = " ".join(str(self.fault).split()) or type(self.fault).__name__
            self._tell(f"watching ended early: {reason}")

    def _tell(self, line: str) -> None:
        """Say one line on stderr, unless nothing shall be said."""
        if not self.settings.quiet:
            with suppress(Exception):  # there may be no stderr
                sys.stderr.write(f"relume: {line}\n")


def _status(error: BaseException | None) -> str:
    if error is None or (isinstance(error, SystemExit) and error.code in {None, 0}):
        return "finished"
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


_ACTIVE: list[Watch] = []
"""The one watch of this process that records, if any: it patches what the process has but once."""


def active_watch() -> Watch | None:
    """Return the watch of this process that records; None if none does."""
    return _ACTIVE[0] if _ACTIVE else None


def watch(model: nn.Module | None = None, **settings: Any) -> Watch:
    """Watch whatever trains from now on in this process, until the watch is stopped.

    ``with relume.watch():`` stops it at the end of the block. In a notebook, ``relume.watch()``
    alone begins, and ``stop()`` of what it returns ends; so does the end of the program.

    Args:
        model: The model whose names are used first; it is found by itself if None.
        **settings: Those of ``WatchSettings``.

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """
    return Watch(settings_of(**settings), model).start()


def settings_of(**settings: Any) -> WatchSettings:
    """Return settings by their names, with ``out`` in full: a script may change its folder.

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """
    known = WatchSettings.__dataclass_fields__
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise SettingsError(f"watch has no setting {unknown[0]!r}; it has {', '.join(known)}")
    if settings.get("out") is not None:
        settings["out"] = Path(settings["out"]).absolute()
    return WatchSettings(**settings)


def metric(name: str, value: float) -> None:
    """Record a score at the present step of the active watch; nothing happens without one.

    Args:
        name: Of the score, for example ``accuracy``.
        value: Any number.
    """
    active = active_watch()
    if active is not None:
        active.record_metric(name, value)
