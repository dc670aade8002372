"""What is found in the run file of a training; the one place where the rules are called."""

from pathlib import Path
from typing import Any

from relume.runs.query import read_run

RUN_FILE = "run.sqlite"


def is_there() -> bool:
    """Return whether there are rules to judge with."""
    try:
        from relume.diagnosis.engine import diagnose  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def findings_of(folder: Path) -> list[dict[str, Any]]:
    """Return the findings in a run file, ranked, as plain data; none where no step was seen."""
    from relume.diagnosis.engine import diagnose

    path = folder / RUN_FILE
    if not path.is_file():
        return []
    return [finding.to_json() for finding in diagnose(read_run(path)).findings]
