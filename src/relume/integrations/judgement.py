"""One test that is watched: what it trains is recorded, and judged by its limits."""

import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume.diagnosis.deaths import death_groups
from relume.diagnosis.engine import Diagnosis, diagnose
from relume.diagnosis.fail_on import failures
from relume.files import free_folder
from relume.integrations.limits import Limits
from relume.report.document import build_document
from relume.report.html import write_page
from relume.report.wording import count, printable, share, unit_ranges
from relume.runs.run_file import Run
from relume.runs.summary import LayerSummary, summarise_layers
from relume.runs.wording import at_place
from relume.watching import PAGE_NAME, Watch, WatchSettings, active_watch

if TYPE_CHECKING:
    from relume.diagnosis.finding import Finding

MOST_FINDINGS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a watched test.

    Args:
        said: Of its training, in a line.
        failure: Why it fails; empty if it does not.
        folder: Where run file and report are; empty where nothing was recorded.
    """

    said: str
    failure: str = ""
    folder: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)


class WatchedTest:
    """Watches from the fixtures of a test to its end.

    Args:
        limits: What it is judged by.
        out: Folder for the records of all tests; None: a new temporary one.
        name: Of the test; its records lie in a folder of that name.
    """

    def __init__(self, limits: Limits, out: Path | None, name: str) -> None:
        self._limits = limits
        self._is_within = active_watch() is not None
        self._is_kept = out is not None
        out = out or Path(tempfile.mkdtemp(prefix="relume-tests-"))
        plain = re.sub(r"[^\w.=-]+", "-", name.replace(".py::", "-")).strip("-.")
        self._folder = free_folder(out / plain[-120:])
        settings = WatchSettings(out=self._folder, every=limits.every, report=False, quiet=True)
        self._watch = Watch(settings).start()

    def end(self, *, is_judged: bool) -> Outcome:
        """End the watching; return what came of it. Nothing is raised.

        Args:
            is_judged: Whether the test itself has passed.
        """
        self._watch.stop("finished" if is_judged else "failed")
        try:
            return self._outcome(is_judged=is_judged)
        except Exception as error:  # noqa: BLE001
            return Outcome(f"not judged, a fault of Relume: {type(error).__name__}: {error}")

    def _outcome(self, *, is_judged: bool) -> Outcome:
        if self._is_within:
            return Outcome("not judged: it was recorded by the watch around it")
        if self._watch.folder is None:
            if not self._is_kept:
                self._folder.parent.rmdir()
            return Outcome("no training step was seen; nothing was judged")
        run = self._watch.run
        diagnosis = diagnose(run)
        document = build_document(run, diagnosis)
        page = self._folder / PAGE_NAME
        write_page(document, page)
        said = document.headline
        if self._watch.fault is not None:
            said = f"not judged, watching ended early: {self._watch.fault}; {said}"
        elif is_judged:
            found = [*self._dead(run), *self._found(diagnosis)]
            if found:
                places = [f"run file: {run.path}", f"report: {page}"]
                return Outcome(said, "\n".join([*found, *places]), str(self._folder))
        return Outcome(said, folder=str(self._folder))

    def _dead(self, run: Run) -> Iterator[str]:
        """Yield what is said of layers with more dead units than may be."""
        if self._limits.max_dead is None:
            return
        layers = summarise_layers(run)
        groups = death_groups(run, layers)
        for layer in layers:
            dead = layer.dead_units or ()
            if not layer.rows or len(dead) <= self._limits.max_dead * layer.units:
                continue
            yield _too_many(layer, self._limits.max_dead)
            yield f"    units {printable(unit_ranges(dead), 160)}"
            yield from (f"    {each.said}" for each in groups if each.layer == layer.name)

    def _found(self, diagnosis: Diagnosis) -> Iterator[str]:
        """Yield what is said of findings that fail the test, each once."""
        found: dict[int, tuple[str, Finding]] = {}
        for condition, finding in failures(diagnosis.findings, self._limits.conditions):
            found.setdefault(id(finding), (condition.text, finding))
        for text, finding in list(found.values())[:MOST_FINDINGS]:
            said = printable(finding.message, 400)
            if finding.where and finding.where not in said:
                said += f" at {printable(finding.where)}"
            if (finding.first_step or 0) > 1 and "since step" not in said:
                said += f", since step {finding.first_step:,}"
            yield f"{finding.severity} {finding.code} (fail_on {text}): {said}"
            if finding.cause:
                yield f"    cause: {printable(finding.cause, 240)}"
            yield from (f"    try: {advice.text}" for advice in finding.remedies[:2])
        if len(found) > MOST_FINDINGS:
            yield f"and {count(len(found) - MOST_FINDINGS, 'further finding')}, in the report"


def _too_many(layer: LayerSummary, most: float) -> str:
    dead = len(layer.dead_units or ())
    who = f"{dead:,} of {count(layer.units, 'unit')} of layer {at_place(layer.name, layer.place)}"
    verb = "is" if dead == 1 else "are"
    return (
        f"{who} {verb} dead on the last {count(layer.rows, 'row')}: {share(dead / layer.units)}; "
        f"max_dead allows {share(most)}"
    )
