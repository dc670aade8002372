"""What is kept between runs of the clinic: a line a training, its run file, a line a verdict.

A training is found again by a hash of what it does and of the sources that do it; its run file by
the sources that record, too; the findings by the sources that judge. So a changed rule judges the
same run files again, and a changed observer trains again.
"""

import hashlib
import json
import shutil
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.clinic.cases import Case
from benchmarks.clinic.recipe import Recipe

CLINIC = Path(__file__).parent
SOURCE = CLINIC.parents[1] / "src" / "relume"

TRAINING = (
    "data.py", "data_edits.py", "data_signals.py", "data_tables.py", "gan_loop.py", "loop.py",
    "losses.py", "networks.py", "networks_dense.py", "networks_generative.py",
    "networks_signals.py", "networks_special.py", "networks_stacks.py", "scoring.py",
    "session.py", "training.py",
)  # fmt: skip
"""Files of the clinic on which the outcome of a training depends; the recipe is hashed itself."""

SAME_AS = {"131168dc7314": "86578018d7bb"}
"""Hashes of sources that train all older cases as other sources did, in every bit: what came in
between are data sets, networks and habits that those do not have. Trainings keep their names."""

RECORDING = ("observe", "runs", "kernels", "nn", "watching.py")
JUDGING = ("diagnosis", "runs")


def digest_of(paths: Iterable[Path]) -> str:
    """Return a hash of source files, by name and content; of folders, all that are in them."""
    found = hashlib.sha256()
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.suffix in {".py", ".c", ".h"}:
                found.update(file.name.encode())
                found.update(file.read_bytes())
    return found.hexdigest()[:12]


@cache
def training_digest() -> str:
    """Return the hash of what trains."""
    found = digest_of(CLINIC / name for name in TRAINING)
    return SAME_AS.get(found, found)


@cache
def recording_digest() -> str:
    """Return the hash of what records."""
    return digest_of(SOURCE / name for name in RECORDING)


@cache
def judging_digest() -> str:
    """Return the hash of what judges a record."""
    return digest_of(SOURCE / name for name in JUDGING)


def training_key(case: Case, recipe: Recipe) -> str:
    """Return the name of a training: equal for a healthy case and for the twin that it is."""
    what = (case.scenario, case.data, case.network, case.seed, recipe, training_digest())
    return hashlib.sha256(repr(what).encode()).hexdigest()[:20]


class Lines:
    """A file of JSON lines by key; the last line of a key stands. A cut-off line is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.known: dict[str, dict[str, Any]] = {}
        if path.is_file():
            for line in path.read_text(encoding="utf-8").splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        try:
            entry = json.loads(line)
            self.known[entry["key"]] = entry
        except (ValueError, KeyError, TypeError):
            return  # interrupted while it was written

    def add(self, key: str, **entry: Any) -> None:
        """Add a line, on disk at once."""
        self.known[key] = {"key": key, **entry}
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * self._is_cut_off() + json.dumps(self.known[key]) + "\n")

    def _is_cut_off(self) -> bool:
        if not self.path.stat().st_size:
            return False
        with self.path.open("rb") as file:
            file.seek(-1, 2)
            return file.read() != b"\n"


class Cache:
    """The folder of the clinic.

    Args:
        folder: Where; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.outcomes = Lines(folder / "outcomes.jsonl")
        self.records = Lines(folder / "records.jsonl")
        self.findings = Lines(folder / "findings.jsonl")

    def record_key(self, training: str) -> str:
        """Return the name of a run file."""
        return f"{training}-{recording_digest()}"

    def record_folder(self, training: str) -> Path:
        """Return where the run file of a training lies."""
        return self.folder / "runs" / recording_digest() / training

    def findings_key(self, training: str) -> str:
        """Return the name of a verdict."""
        return f"{self.record_key(training)}-{judging_digest()}"

    def has_record(self, training: str) -> bool:
        """Return whether a training was watched by the present sources, and its file is there."""
        entry = self.records.known.get(self.record_key(training))
        if entry is None:
            return False
        return not entry["has_steps"] or self.record_folder(training).is_dir()

    def forget_old_records(self) -> None:
        """Delete the run files that other sources recorded."""
        for folder in (self.folder / "runs").glob("*"):
            if folder.name != recording_digest():
                shutil.rmtree(folder, ignore_errors=True)
