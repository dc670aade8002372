"""What ``relume run`` does at the end, in a process of its own: the report, and a word about it."""

import os
import sys
from pathlib import Path

from relume.errors import RelumeError
from relume.observe.run_place import RunPlace

PAGE = "report.html"
QUIET, NO_REPORT = "--quiet", "--no-report"


def close(place: RunPlace, *, quiet: bool, report: bool) -> None:
    """Write the report of a run and say where it is."""
    files = place.run_files()
    if not files:
        return
    lines = [f"run file: {_shown(files[0])}"]
    if report:
        from relume.report.document import build_document
        from relume.report.html import write_page
        from relume.runs.query import read_run

        document = build_document(read_run(files[0]))
        page = files[0].with_name(PAGE)
        write_page(document, page)
        lines = [document.headline, f"report: {_shown(page)}"]
    if len(files) > 1:
        lines.append(
            f"{len(files)} processes trained; each has a run file in {_shown(files[0].parent)}"
        )
    if not quiet:
        sys.stderr.write("".join(f"relume: {line}\n" for line in lines))


def _shown(path: Path) -> Path:
    """Return a path as seen from where the person is."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def main(options: list[str]) -> None:
    """Close the run that the environment names; a failure is one line."""
    place = RunPlace.from_environment(os.environ)
    try:
        if place is not None:
            close(place, quiet=QUIET in options, report=NO_REPORT not in options)
    except RelumeError as error:
        sys.stderr.write(f"relume: {error}\n")
    except KeyboardInterrupt:
        sys.stderr.write("relume: interrupted before the report was written\n")
    except Exception as error:
        if os.environ.get("RELUME_TRACEBACK"):
            raise
        reason = f"{type(error).__name__}: {error}"
        sys.stderr.write(f"relume: a fault of Relume, not of yours: no report: {reason}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
