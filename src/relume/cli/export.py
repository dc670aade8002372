"""``relume export``: a run for other tools."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Target(StrEnum):
    """What a run can be exported to."""

    JSON = "json"
    PARQUET = "parquet"
    TENSORBOARD = "tensorboard"
    MLFLOW = "mlflow"
    WANDB = "wandb"


DEFAULTS = {
    Target.JSON: "export.json",
    Target.PARQUET: "export-parquet",
    Target.TENSORBOARD: "export-tensorboard",
    Target.MLFLOW: "mlruns",
    Target.WANDB: "",
}
"""Where an export goes without --out, seen from the folder of the run."""


def export(
    run: Annotated[Path, typer.Argument(help="A run file, or a folder that holds run.sqlite.")],
    *,
    to: Annotated[Target, typer.Option("--to", help="What to write.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="File (json) or folder. [default: export.json, export-parquet, "
            "export-tensorboard, mlruns or wandb, by the run]",
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier export (json to tensorboard).")
    ] = False,
) -> None:
    """Write a run for other tools: everything as tables, or what a tracker can draw.

    json: one versioned object. parquet: a folder of tidy tables; tables.json describes them.

    tensorboard, mlflow and wandb need the package of that name (mlflow-skinny will do). mlflow
    writes to MLFLOW_TRACKING_URI, else to a folder; wandb stays offline unless WANDB_MODE is set.
    """
    from relume.report.exporting.contents import contents_of
    from relume.runs.query import read_run

    contents = contents_of(read_run(run))
    beside = (run if run.is_dir() else run.parent) / DEFAULTS[to]
    place = out or beside
    if to == Target.JSON:
        from relume.report.exporting.files import export_json

        export_json(contents, place, overwrite=overwrite)
    elif to == Target.PARQUET:
        from relume.report.exporting.files import export_parquet

        export_parquet(contents, place, overwrite=overwrite)
    elif to == Target.TENSORBOARD:
        from relume.report.exporting.tensorboard_log import export_tensorboard

        export_tensorboard(contents, place, overwrite=overwrite)
    elif to == Target.MLFLOW:
        from relume.report.exporting.mlflow_run import export_mlflow

        typer.echo(export_mlflow(contents, out, beside))
        return
    else:
        from relume.report.exporting.wandb_run import export_wandb

        typer.echo(f"wandb run: {export_wandb(contents, place)}")
        return
    typer.echo(f"{to.value}: {place}")
