"""A run as TensorBoard's event files."""

from pathlib import Path

from relume.errors import OutputError
from relume.files import whole_folder
from relume.report.exporting.contents import (
    Contents,
    finding_lines,
    histograms,
    parameters,
    points,
)
from relume.report.exporting.files import refuse_to_overwrite
from relume.report.exporting.packages import imported

MOST_HISTOGRAMS = 64
"""Windows of a layer of which the firing rates are written: TensorBoard keeps 50 of a name."""


def export_tensorboard(contents: Contents, folder: Path, *, overwrite: bool) -> None:
    """Write scalars, histograms of the units' firing rates, settings and findings.

    Raises:
        OutputError: If the folder is there and may not be overwritten, or holds other files.
        SettingsError: If TensorBoard is not installed.
    """
    refuse_to_overwrite(folder, overwrite=overwrite)
    imported("tensorboard", "tensorboard", "tensorboard")
    tensorboard = imported("torch.utils.tensorboard", "tensorboard", "tensorboard")
    if folder.exists() and not _is_log(folder):
        raise OutputError(
            f"{folder} holds other things than an event file and is not overwritten; "
            "give --out another name"
        )
    run = contents.run
    every = -(-len(run.windows) // MOST_HISTOGRAMS) or 1
    kept = {window.last_step for window in run.windows[::-1][::every]}
    with whole_folder(folder) as temporary, tensorboard.SummaryWriter(str(temporary)) as writer:
        for point in points(run):
            writer.add_scalar(point.name, point.value, point.step)
        for step, name, rates in histograms(run):
            if step in kept:
                writer.add_histogram(name, rates, step)
        rows = "\n".join(f"| {name} | {value} |" for name, value in parameters(run).items())
        writer.add_text("settings", f"| name | value |\n|---|---|\n{rows}")
        writer.add_text("findings", finding_lines(contents).replace("\n", "  \n") or "none")


def _is_log(folder: Path) -> bool:
    """Return whether a folder holds event files and nothing else."""
    return folder.is_dir() and all(
        each.name.startswith("events.out.tfevents.") and each.is_file() for each in folder.iterdir()
    )
