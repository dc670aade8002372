"""What is found in the run file of a training; the one place where the rules are called."""

from pathlib import Path
from typing import Any

from relume.diagnosis.engine import diagnose
from relume.runs.query import RUN_FILE, read_run


def findings_of(folder: Path) -> list[dict[str, Any]]:
    """Return the findings in a run file, ranked, as plain data; none where no step was seen."""
    path = folder / RUN_FILE
    if not path.is_file():
        return []
    return [finding.to_json() for finding in diagnose(read_run(path)).findings]
