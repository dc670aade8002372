"""Runs side by side in a list: a line each, and those that cannot be read among them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from relume.diagnosis.engine import Diagnosis, diagnose
from relume.errors import RunFileError
from relume.report.parts import plain
from relume.runs.glance import Glance, glance, glance_of
from relume.runs.places import RunFiles, is_open
from relume.runs.query import read_run

FORMAT, VERSION = "relume-ls", 1
KILLED = "killed"
"""The status of a run that never said that it ended, and that no process has open."""


@dataclass(frozen=True, slots=True)
class ListedRun:
    """One run of a list.

    Args:
        name: Its folder, seen from the folder that is listed.
        files: Where it is, when it was written, how large it is.
        gist: What it was and what came of it; None where it cannot be read.
        fault: Why it cannot be read; empty where it can.
        findings: Code and severity of each root finding; None where the rules were not asked.
    """

    name: str
    files: RunFiles
    gist: Glance | None
    fault: str = ""
    findings: tuple[tuple[str, str], ...] | None = None

    @property
    def status(self) -> str:
        """Its status, ``killed`` for one that nobody writes any more, or ``damaged``."""
        if self.gist is None:
            return "damaged"
        if self.gist.status == "running" and is_open(self.files.main) is False:
            return KILLED
        return self.gist.status

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON data."""
        written = datetime.fromtimestamp(self.files.written_at, UTC)
        gist = {} if self.gist is None else plain(asdict(self.gist))
        found = self.findings
        return {
            "run": self.name,
            "path": str(self.files.main),
            "files": len(self.files.files),
            "size": self.files.size,
            "written": written.isoformat(timespec="seconds"),
            **gist,
            "status": self.status,
            "findings": None
            if found is None
            else [dict(zip(_KEYS, f, strict=True)) for f in found],
            "fault": self.fault or None,
        }


_KEYS = ("code", "severity")


def list_runs(
    folder: Path, runs: Sequence[RunFiles], *, with_findings: bool
) -> Iterator[ListedRun]:
    """Yield the lines of a list, in the order given.

    Args:
        folder: What the names of the runs are seen from.
        runs: From ``find_runs``.
        with_findings: Whether the rules are asked; then every run is read whole.
    """
    for files in runs:
        name = str(files.folder.relative_to(folder))
        try:
            gist, findings = _read(files, with_findings=with_findings)
        except RunFileError as error:
            reason = str(error).removeprefix(f"{files.main} ").strip()
            yield ListedRun(name, files, None, reason)
        else:
            yield ListedRun(name, files, gist, "", findings)


def listing_json(folder: Path, listed: Sequence[ListedRun], total: int) -> dict[str, Any]:
    """Return a list as one JSON object."""
    return {
        "format": FORMAT,
        "version": VERSION,
        "folder": str(folder),
        "total": total,
        "runs": [each.to_json() for each in listed],
    }


def _read(
    files: RunFiles, *, with_findings: bool
) -> tuple[Glance, tuple[tuple[str, str], ...] | None]:
    if not with_findings:
        return glance(files), None
    run = read_run(files.folder if len(files.files) > 1 else files.main)
    return glance_of(run), _findings(diagnose(run))


def _findings(diagnosis: Diagnosis) -> tuple[tuple[str, str], ...]:
    return tuple((str(each.code), each.severity.value) for each in diagnosis.findings)
