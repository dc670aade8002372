"""What ``relume run`` does at the end, in a process of its own: the report, and a word about it."""

import os
import sys
from pathlib import Path

from relume.errors import RelumeError
from relume.observe.run_place import RunPlace

PAGE = "report.html"
QUIET, NO_REPORT, FAIL_ON = "--quiet", "--no-report", "--fail-on"
EXIT_OF_FINDINGS = 3
MOST_SAID = 3
"""Findings that are told at once; all of them are in the report."""


def close(place: RunPlace, *, quiet: bool, report: bool, fail_on: str | None = None) -> int:
    """Write the report of a run and say where it is; return the exit code that findings ask for."""
    files = place.run_files()
    if not files:
        return 0
    lines = [f"run file: {_shown(files[0])}"]
    if report:
        from relume.report.document import build_document
        from relume.report.html import write_page
        from relume.runs.query import read_run

        document = build_document(read_run(files[0]))
        page = files[0].with_name(PAGE)
        write_page(document, page)
        grave = [each for each in document.findings if each.severity != "note"]
        said = [f"{each.severity} {each.code}: {each.said}" for each in grave[:MOST_SAID]]
        lines = [document.headline, *said, f"report: {_shown(page)}"]
    if len(files) > 1:
        lines.append(
            f"{len(files)} processes trained; each has a run file in {_shown(files[0].parent)}"
        )
    failed = _failures(files[0], fail_on) if fail_on is not None else ""
    if failed:
        lines.append(f"failed on {failed}")
    if not quiet:
        sys.stderr.write("".join(f"relume: {line}\n" for line in lines))
    return EXIT_OF_FINDINGS if failed else 0


def _failures(path: Path, fail_on: str) -> str:
    """Return what fails, by code and condition; empty where nothing does."""
    from relume.diagnosis.engine import diagnose
    from relume.diagnosis.fail_on import failures, parse_conditions
    from relume.runs.query import read_run

    failed = failures(diagnose(read_run(path)).findings, parse_conditions(fail_on))
    return ", ".join(sorted({f"{found.code} ({held.text})" for held, found in failed}))


def _shown(path: Path) -> Path:
    """Return a path as seen from where the person is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


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
