"""Reading a run again when its file has changed, at a bounded share of one core."""

from pathlib import Path

from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose
from relume.diagnosis.rules import RULES
from relume.errors import RunFileError
from relume.report.document import build_document
from relume.report.live.finding_runs import stamp
from relume.report.parts import Document
from relume.runs.query import Run, read_run

SHARE = 0.2
"""Of one core, that reading may take."""

RUNNING = "running"
OF_THE_END = frozenset({Code.RATE_TOO_LOW, Code.STILL_IMPROVING})
"""Rules that judge where a training ended: nothing can be said of one that goes on."""

SHORTEST_WAIT_S = 0.1


class Pace:
    """Keeps work to a share of one core: after ``t`` seconds of it come ``t (1 / share - 1)`` idle.

    Args:
        share: The share.

    Example:
        >>> pace = Pace(share=0.2)
        >>> pace.note(cost_s=0.5, now_s=100.0)
        >>> pace.is_ready(101.9), pace.is_ready(102.1)
        (False, True)
    """

    def __init__(self, share: float = SHARE) -> None:
        self._idle_per_s = 1 / share - 1
        self._ready_at_s = 0.0

    def note(self, *, cost_s: float, now_s: float) -> None:
        """Take note of work that ended now."""
        self._ready_at_s = now_s + max(SHORTEST_WAIT_S, cost_s * self._idle_per_s)

    def is_ready(self, now_s: float) -> bool:
        """Whether more work may begin."""
        return now_s >= self._ready_at_s


class GrowingRun:
    """One run that may still be written.

    Args:
        path: Its folder, or a single run file.
        name: What it is called beside others.

    Attributes:
        fault: Why it could not be read the last time; empty if it could.
    """

    def __init__(self, path: Path, name: str) -> None:
        self.path = path
        self.name = name
        self.fault = ""
        self._read_at: tuple[tuple[str, int, int], ...] | None = None

    @property
    def has_changed(self) -> bool:
        """Whether the files differ from those that were read; cost: a look at a folder."""
        return self._read_at is None or stamp(self.path) != self._read_at

    @property
    def written_at_s(self) -> float:
        """When the files that were read had been written, in seconds since 1970."""
        return max((at_ns for _, at_ns, _ in self._read_at or ()), default=0) / 1e9

    def read(self) -> Document | None:
        """Read the run anew; None if it cannot be read, as one that is about to be replaced."""
        self._read_at = stamp(self.path)  # what is written from here on is a further change
        try:
            document = _document(read_run(self.path))
        except RunFileError as error:
            self.fault = str(error)
            return None
        self.fault = ""
        return document


def _document(run: Run) -> Document:
    is_running = run.info.status == RUNNING
    rules = [rule for rule in RULES if not (is_running and rule.code in OF_THE_END)]
    return build_document(run, diagnose(run, rules))
