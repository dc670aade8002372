"""One run of a person's command under treatments, in a process of its own."""

import json
import math
import os
import re
import resource
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relume.observe.launch import LaunchSettings, usual_python_path, watched_environment
from relume.observe.run_place import RunPlace
from relume.remedies.cure.treatment import TREATMENTS, Orders, Treatment

CHILD = "relume.remedies.cure.inside.attending"
PRINTED = "printed"
OUTPUT, RUN = "output.txt", "run"
WATCHED_EVERY = 5
"""Steps between those that are measured in the untreated program: counted, not timed."""
GRACE_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What came of one run.

    Args:
        treatments: What was done otherwise.
        offset: Of its seeds.
        steps: That it made.
        stopped_at: The step at which it was ended early; None: it ran to its end.
        series: Every score by name: steps and values.
        exit_code: Of the command; 0 where it was ended early.
        cpu_s: Processor time that it took.
        folder: Where it recorded.
    """

    treatments: tuple[Treatment, ...] = ()
    offset: int = 0
    steps: int = 0
    stopped_at: int | None = None
    series: Mapping[str, tuple[tuple[int, float], ...]] = field(default_factory=dict)
    exit_code: int = 0
    cpu_s: float = 0.0
    folder: Path = Path()

    @property
    def label(self) -> str:
        """What was done, in words."""
        return " + ".join(each.label for each in self.treatments) or "untreated"

    def score(self, name: str) -> float:
        """Return the last value of a score; nan where it has none."""
        values = self.series.get(name, ())
        return values[-1][1] if values else math.nan

    def score_at(self, name: str, step: int) -> float | None:
        """Return the last value of a score at or before a step; None where it has none yet."""
        values = [value for at, value in self.series.get(name, ()) if at <= step]
        return values[-1] if values else None


class Stage:
    """Where the trials of one cure run, one after another.

    Args:
        command: The person's, its program in full.
        folder: Of the whole; each trial gets a folder in it.
        pattern: Of a score in the output.
        watching: Module that watches the runs that are surveyed.
    """

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        pattern: str | None = None,
        *,
        watching: str = "",
    ) -> None:
        self._watching = watching
        self._command = list(command)
        self._folder = folder
        self._pattern = pattern
        self._count = 0

    def run(
        self,
        *treatments: Treatment,
        offset: int = 0,
        surveys: bool = False,
        marks: Mapping[int, float] | None = None,
        score: str = "",
        is_less_better: bool = False,
    ) -> Trial:
        """Run the command to its end, or until it falls behind.

        Args:
            *treatments: What is done otherwise.
            offset: Of its seeds.
            surveys: Whether it is watched, and its code's places are taken down.
            marks: Scores at steps that it must reach.
            score: Name of the score that is held against them.
            is_less_better: Whether less is better.
        """
        folder = self._folder / f"{self._count:03d}"
        folder.mkdir()
        self._count += 1
        orders = Orders(
            folder=str(folder),
            treatments=treatments,
            offset=offset,
            surveys=surveys,
            watching=self._watching if surveys else "",
            score=score,
            pattern=self._pattern,
            marks=dict(marks or {}),
            is_less_better=is_less_better,
        )
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = self._launch(folder, orders)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return self._read(folder, orders, code, cpu_s)

    def _launch(self, folder: Path, orders: Orders) -> int:
        told = folder / "orders.json"
        told.write_text(orders.to_text(), encoding="utf-8")
        settings = LaunchSettings(
            watching=CHILD,
            watch={"every": WATCHED_EVERY, "quiet": True},
            closing=[],
            python_path=usual_python_path(os.environ),
            folder=str(Path.cwd()),
        )
        place = RunPlace.new(folder / RUN, is_exact=True)
        environment = watched_environment(os.environ, settings, place, outermost=None)
        environment |= {TREATMENTS: str(told), "PYTHONUNBUFFERED": "1"}
        try:
            with (folder / OUTPUT).open("wb") as output:
                return _run(self._command, environment, output)
        finally:
            place.forget()

    def _read(self, folder: Path, orders: Orders, code: int, cpu_s: float) -> Trial:
        said = _recorded(folder)
        series = {name: tuple(map(tuple, each)) for name, each in said.get("series", {}).items()}
        steps, stopped_at = said.get("steps", 0), said.get("stopped_at")
        if self._pattern is not None and stopped_at is None:
            text = (folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
            values = printed_scores(self._pattern, text)
            if values:
                series[PRINTED] = (*series.get(PRINTED, ()), (steps, values[-1]))
        return Trial(
            treatments=orders.treatments,
            offset=orders.offset,
            steps=steps,
            stopped_at=stopped_at,
            series=series,
            exit_code=0 if stopped_at is not None else code,
            cpu_s=cpu_s,
            folder=folder,
        )


def printed_scores(pattern: str, text: str) -> list[float]:
    r"""Return the numbers that a pattern finds in an output, in their order.

    Example:
        >>> printed_scores(r"accuracy (\S+)", "accuracy 0.5 \naccuracy 0.75")
        [0.5, 0.75]
    """
    values = []
    for found in re.finditer(pattern, text):
        with suppress(TypeError, ValueError):
            values.append(float(found.group(1) if found.re.groups else found.group(0)))
    return values


def _recorded(folder: Path) -> dict[str, Any]:
    """Return the records of the process that made most steps."""
    found = [json.loads(each.read_text(encoding="utf-8")) for each in folder.glob("scores-*.json")]
    return max(found, key=lambda said: int(said["steps"]), default={})


def read_survey(folder: Path) -> dict[str, Any]:
    """Return what was taken down in the process that made most steps; empty without one."""
    found = [json.loads(each.read_text(encoding="utf-8")) for each in folder.glob("survey-*.json")]
    return max(found, key=lambda said: int(said["steps"]), default={})


def last_lines(trial: Trial, count: int = 3) -> list[str]:
    """Return the last lines that a trial printed."""
    text = (trial.folder / OUTPUT).read_text(encoding="utf-8", errors="replace")
    return [line for line in text.splitlines() if line.strip()][-count:]


def _run(command: Sequence[str], environment: Mapping[str, str], output: Any) -> int:
    """Run a command in a session of its own; whatever interrupts us ends all of it."""
    process = subprocess.Popen(  # noqa: S603
        command,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        return process.wait()
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End what is left of a command, and all that it has started."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
