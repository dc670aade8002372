"""``relume predict``: use a saved model on new data."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from relume.training.predict import TargetScore


def predict(
    model: Annotated[Path, typer.Argument(help="Folder that relume fit wrote.")],
    data: Annotated[
        str,
        typer.Argument(help="CSV or Parquet file, images, sequences (.npz), or a built-in name."),
    ],
    *,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Where predictions go: .csv or .parquet. [NAME-predictions.csv]"
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the score as JSON.")] = False,
) -> None:
    """Write a model's predictions for every row, and its score where the target is there."""
    from relume.training import predict as using

    place = out or Path(f"{Path(data).resolve().stem}-predictions.csv")
    using.check_predictions_path(place, overwrite=overwrite)
    predictions = using.predict(model, data)
    using.write_predictions(predictions, place, overwrite=overwrite)
    several = len(predictions.scores) > 1
    if as_json:
        scores = [{"target": each.target} | _described(each) for each in predictions.scores]
        described = {
            "predictions": str(place),
            "rows": predictions.frame.height,
            **({"targets": scores} if several else _described(predictions.scores[0])),
            "notes": list(predictions.notes),
        }
        sys.stdout.write(json.dumps(described, indent=1) + "\n")
        return
    for note in predictions.notes:
        sys.stdout.write(f"{note}\n")
    for each in predictions.scores:
        if each.score is not None:
            low, high = each.score.interval
            sys.stdout.write(
                f"{f'{each.target}: ' if several else ''}{each.metric} {each.score.value:.3f} on "
                f"{each.rows:,} rows (95 % interval {low:.3f} to {high:.3f})\n"
            )
    sys.stdout.write(f"{predictions.frame.height:,} predictions in {place}\n")


def _described(each: "TargetScore") -> dict[str, Any]:
    score = each.score
    return {
        "metric": each.metric if score else None,
        "score": score.value if score else None,
        "interval": list(score.interval) if score else None,
        "rows_scored": each.rows,
    }
