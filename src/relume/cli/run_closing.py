"""What ``relume run`` does at the end, in a process of its own: the report, and a word about it."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from relume.diagnosis.fail_on import EXIT_CODE
from relume.errors import RelumeError
from relume.observe.run_place import RunPlace

if TYPE_CHECKING:
    from relume.diagnosis.engine import Diagnosis
    from relume.runs.query import Run

PAGE = "report.html"
QUIET, NO_REPORT, FAIL_ON = "--quiet", "--no-report", "--fail-on"


def close(place: RunPlace, *, quiet: bool, report: bool, fail_on: str | None = None) -> int:
    """Write the report of a run and say where it is; return the exit code that findings ask for."""
    files = place.run_files()
    if not files:
        return 0
    from relume.report.closing import shown_path

    lines, failed = [f"run file: {shown_path(files[0])}"], ""
    if report or fail_on is not None:
        from relume.diagnosis.engine import diagnose
        from relume.diagnosis.fail_on import failed_on, parse_conditions
        from relume.runs.query import read_run

        run = read_run(files[0])
        diagnosis = diagnose(run)
        if report:
            lines = _reported(run, diagnosis, files[0].with_name(PAGE))
        failed = failed_on(diagnosis.findings, parse_conditions(fail_on)) if fail_on else ""
    if len(files) > 1:
        lines.append(
            f"{len(files)} processes trained; each has a run file in {shown_path(files[0].parent)}"
        )
    if failed:
        lines.append(f"failed on {failed}")
    if not quiet:
        sys.stderr.write("".join(f"relume: {line}\n" for line in lines))
    return EXIT_CODE if failed else 0


def _reported(run: "Run", diagnosis: "Diagnosis", page: Path) -> list[str]:
    """Write the page, and return what is said of it."""
    from relume.report.closing import closing_lines
    from relume.report.document import build_document
    from relume.report.html import write_page

    document = build_document(run, diagnosis)
    write_page(document, page)
    return [*closing_lines(document, page)]


def main(options: list[str]) -> int:
    """Close the run that the environment names; a failure is one line."""
    place = RunPlace.from_environment(os.environ)
    fail_on = options[options.index(FAIL_ON) + 1] if FAIL_ON in options else None
    try:
        if place is not None:
            quiet, report = QUIET in options, NO_REPORT not in options
            return close(place, quiet=quiet, report=report, fail_on=fail_on)
    except RelumeError as error:
        sys.stderr.write(f"relume: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("relume: interrupted before the report was written\n")
    except Exception as error:
        if os.environ.get("RELUME_TRACEBACK"):
            raise
        reason = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"relume: a fault of Relume, not of yours: no report: {reason}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
