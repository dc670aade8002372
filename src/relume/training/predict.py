"""Using a saved model on new data: predictions, and a score where the target is there."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from relume.errors import DataError, OutputError
from relume.files import whole_file
from relume.training.data.encoding import level_codes
from relume.training.data.prepare import Table, read_table
from relume.training.data.preprocessing import as_table
from relume.training.data.target import as_float32, target_cells
from relume.training.loop import outputs
from relume.training.model_folder import SavedModel, load_model
from relume.training.objective import in_own_unit
from relume.training.scores import METRICS, Score, score_against

MOST_PROBABILITIES = 100
"""Classes up to which every class gets a column of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says of a table.

    Args:
        frame: One row for each row of the data, in its order: ``prediction`` and, for classes,
            ``probability`` of the predicted class and one column for each class.
        metric: What the score counts.
        score: With its interval; ``None`` where the data does not hold the target.
        rows_scored: Rows whose target is known.
        notes: What a person should know.
    """

    frame: pl.DataFrame
    metric: str
    score: Score | None
    rows_scored: int
    notes: tuple[str, ...]


def predict(model: SavedModel | Path | str, data: str | Path | pl.DataFrame) -> Predictions:
    """Predict every row of a table.

    Args:
        model: A loaded model, or the folder of one.
        data: A built-in name, a CSV or Parquet file, or a polars frame with the columns that the
            model was trained on; further columns are left alone.

    Raises:
        ModelFormatError: If the folder is not a model.
        DataError: If the data lacks a column, or holds what cannot be read.
    """
    saved = model if isinstance(model, SavedModel) else load_model(Path(model))
    table = read_table(data) if isinstance(data, str | Path) else as_table(data)
    if not table.frame.height:
        raise DataError(f"{table.name} holds no row; there is nothing to predict")
    preprocessing = saved.preprocessing
    x = torch.from_numpy(preprocessing.transform(table)).reshape(-1, *saved.input_shape)
    output = outputs(saved.network, x).numpy()
    if preprocessing.classes is not None:
        predicted: NDArray[np.generic] = output.argmax(axis=1)
        frame = _class_table(preprocessing.classes, output)
    else:
        predicted = in_own_unit(output[:, 0], preprocessing)
        frame = pl.DataFrame({"prediction": predicted})
    score, rows_scored, notes = _score(saved, table, predicted)
    return Predictions(frame, saved.metric, score, rows_scored, notes)


def write_predictions(predictions: Predictions, path: Path, *, overwrite: bool = False) -> None:
    """Write predictions as CSV or Parquet, by the file's ending, whole or not at all.

    Raises:
        OutputError: If the ending is another, the file exists, or it cannot be written.
    """
    check_predictions_path(path, overwrite=overwrite)
    with whole_file(path) as temporary:
        if path.suffix.lower() == ".parquet":
            predictions.frame.write_parquet(temporary)
        else:
            predictions.frame.write_csv(temporary)


def check_predictions_path(path: Path, *, overwrite: bool) -> None:
    """Refuse a place for predictions before they are made.

    Raises:
        OutputError: If the ending is neither .csv nor .parquet, or the file exists.
    """
    if path.suffix.lower() not in {".csv", ".parquet"}:
        raise OutputError(f"predictions go to a .csv or .parquet file; got {path}")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another --out or --overwrite it")


def _class_table(classes: tuple[str, ...], output: NDArray[np.float32]) -> pl.DataFrame:
    probabilities = torch.from_numpy(output).double().softmax(dim=1).numpy()
    predicted = output.argmax(axis=1)
    columns = {
        "prediction": [classes[index] for index in predicted],
        "probability": probabilities.max(axis=1),
    }
    if len(classes) <= MOST_PROBABILITIES:
        columns |= {f"probability {name}": probabilities[:, i] for i, name in enumerate(classes)}
    return pl.DataFrame(columns)


def _score(
    saved: SavedModel, table: Table, predicted: NDArray[np.generic]
) -> tuple[Score | None, int, tuple[str, ...]]:
    preprocessing = saved.preprocessing
    if not preprocessing.has_target(table):
        return None, 0, ()
    cells = target_cells(
        table, preprocessing.target_name, preprocessing.task, preprocessing.missing
    )
    known = cells.is_not_null().to_numpy()
    notes = []
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows without a target are not scored")
    if not known.any():
        return None, 0, tuple(notes)
    y: NDArray[np.generic]
    if preprocessing.classes is None:
        y = as_float32(table, cells)[known]
    else:
        codes = level_codes(cells, preprocessing.classes)[known]
        y = codes
        if strangers := int((codes < 0).sum()):
            notes.append(
                f"{strangers:,} rows have a class that the model never saw: counted as wrong"
            )
    score, _ = score_against(METRICS[saved.metric], y, predicted[known])
    return score, len(y), tuple(notes)
