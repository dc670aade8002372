"""A run as one of MLflow's, in a store on this machine or on a server."""

import itertools
import os
import re
import time
from pathlib import Path
from typing import Any

from relume.errors import OutputError
from relume.report.exporting.contents import Contents, finding_lines, parameters, points
from relume.report.exporting.packages import imported

PACKAGE = "mlflow-skinny"
URI = "MLFLOW_TRACKING_URI"
_FORBIDDEN = re.compile(r"[^\w\-. :/]")
_BATCH, _MOST_PARAMETERS, _LONGEST = 1000, 100, 500


def export_mlflow(contents: Contents, out: Path | None, default: Path) -> str:
    """Write a finished run with metrics, parameters, tags and findings.

    Args:
        contents: What is handed on.
        out: Folder of a store; without it the one that ``MLFLOW_TRACKING_URI`` names.
        default: Folder of the store where neither is given.

    Returns:
        What to tell: store and name of the run.

    Raises:
        SettingsError: If MLflow is not installed.
        OutputError: If the store refuses.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # nothing is sent home
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")
    tracking = imported("mlflow.tracking", PACKAGE, "mlflow")
    exceptions = imported("mlflow.exceptions", PACKAGE, "mlflow")
    uri = _store(out, default)
    try:
        client = tracking.MlflowClient(tracking_uri=uri)
        name = _write(client, contents)
    except (exceptions.MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OutputError(f"the MLflow store {uri} cannot be written: {reason}") from error
    return f"MLflow store {uri}: run {name} of experiment relume"


def _store(out: Path | None, default: Path) -> str:
    if out is None and os.environ.get(URI):
        return os.environ[URI]
    return (out or default).resolve().as_uri()


def _write(client: Any, contents: Contents) -> str:
    run = contents.run
    experiment = client.get_experiment_by_name("relume")
    number = experiment.experiment_id if experiment else client.create_experiment("relume")
    name = run.path.resolve().parent.name
    written_ms = int(run.path.stat().st_mtime * 1000)
    made = client.create_run(number, start_time=written_ms, run_name=name)
    own = made.info.run_id
    try:
        _write_parts(client, own, contents, written_ms)
    except BaseException:
        client.set_terminated(own, "FAILED")
        raise
    endings = {"finished": "FINISHED", "running": "RUNNING", "interrupted": "KILLED"}
    client.set_terminated(own, endings.get(run.info.status, "FAILED"), int(time.time() * 1000))
    return name


def _write_parts(client: Any, own: str, contents: Contents, written_ms: int) -> None:
    entities = imported("mlflow.entities", PACKAGE, "mlflow")
    run = contents.run
    given = list(parameters(run).items())[:_MOST_PARAMETERS]
    known = [entities.Param(_allowed(key), value[:_LONGEST] or "-") for key, value in given]
    tags = {
        "relume.kind": run.info.kind,
        "relume.status": run.info.status,
        "relume.findings": finding_lines(contents)[:_LONGEST] or "none",
    }
    listed = [entities.RunTag(key, value) for key, value in tags.items()]
    client.log_batch(own, params=known, tags=listed)
    series = points(run)
    while batch := list(itertools.islice(series, _BATCH)):
        metrics = [
            entities.Metric(_allowed(each.name), each.value, written_ms, each.step)
            for each in batch
        ]
        client.log_batch(own, metrics=metrics)
    client.log_text(own, finding_lines(contents) or "none", "findings.txt")


def _allowed(name: str) -> str:
    """Return a name of the letters that MLflow takes: ``relu(fc1)`` becomes ``relu fc1 ``."""
    return _FORBIDDEN.sub(" ", name).strip("/. ")[:250] or "unnamed"
