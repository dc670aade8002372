"""A run as one of Weights & Biases', offline unless ``WANDB_MODE`` says otherwise."""

import itertools
import os
from pathlib import Path
from typing import Any

from relume.errors import OutputError
from relume.report.exporting.contents import (
    Contents,
    finding_lines,
    histograms,
    parameters,
    points,
)
from relume.report.exporting.packages import imported


def export_wandb(contents: Contents, folder: Path) -> str:
    """Write a run with its series, histograms of firing rates, settings and findings.

    Args:
        contents: What is handed on.
        folder: Where ``wandb/offline-run-...`` goes.

    Returns:
        What to tell: where it is, and how it is sent.

    Raises:
        SettingsError: If wandb is not installed.
        OutputError: If wandb refuses.
    """
    wandb = imported("wandb", "wandb", "wandb")
    mode = os.environ.get("WANDB_MODE", "offline")
    folder.mkdir(parents=True, exist_ok=True)
    run = contents.run
    try:
        with wandb.init(
            project=os.environ.get("WANDB_PROJECT", "relume"),
            name=run.path.resolve().parent.name,
            dir=str(folder),
            mode=mode,
            config=dict(parameters(run)),
            settings=wandb.Settings(silent=True, console="off", disable_git=True),
        ) as tracked:
            _write(wandb, tracked, contents)
            place = Path(tracked.dir).parent
    except (wandb.errors.Error, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise OutputError(f"wandb refuses the run: {reason}") from error
    if mode == "offline":
        return f"{place}; send it with: wandb sync {place}"
    return f"{place} ({mode})"


def _write(wandb: Any, tracked: Any, contents: Contents) -> None:
    import numpy as np

    run = contents.run
    rates: dict[int, dict[str, Any]] = {}
    for step, name, values in histograms(run):
        counted = np.histogram(values, bins=20, range=(0.0, 1.0))
        rates.setdefault(step, {})[name] = wandb.Histogram(np_histogram=counted)
    scalars = {
        step: {point.name: point.value for point in group}
        for step, group in itertools.groupby(points(run), key=lambda point: point.step)
    }
    for step in sorted(scalars.keys() | rates.keys()):
        tracked.log(scalars.get(step, {}) | rates.get(step, {}), step=step)
    tracked.summary["findings"] = finding_lines(contents) or "none"
    tracked.summary["relume/status"] = run.info.status
