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
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.prepare import read_table
from relume.training.data.prepare_images import is_image_source, read_images
from relume.training.data.prepare_sequences import open_sequences, target_truth
from relume.training.data.preprocessing import Preprocessing, as_table
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.target import as_float32, target_cells
from relume.training.data.wording import counted, shown
from relume.training.loop import outputs
from relume.training.model_folder import SavedModel, load_model
from relume.training.objective import in_own_unit
from relume.training.scores import METRICS, Score, score_against

MOST_PROBABILITIES = 100
"""Classes up to which every class gets a column of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says of a table, of images or of sequences.

    Args:
        frame: One row for each row of the data, in its order: ``prediction`` and, for classes,
            ``probability`` of the predicted class and one column for each class; before them, for
            a folder of images, ``file``.
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


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """What is predicted from, and the truth where it is known."""

    x: NDArray[np.float32]
    truth: NDArray[np.generic] | None  # of the rows that are known; -1 for a class never seen
    known: NDArray[np.bool_]
    files: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()


def predict(model: SavedModel | Path | str, data: str | Path | pl.DataFrame) -> Predictions:
    """Predict every row of a table, every image or every sequence.

    Args:
        model: A loaded model, or the folder of one.
        data: A built-in name, a CSV or Parquet file, or a polars frame with the columns that the
            model was trained on; further columns are left alone. For a model of images a folder,
            with class subfolders or without, an ``.npz`` file or a named set; for a model of
            sequences an ``.npz`` file. Of a set with a test part of its own, only that is
            predicted.

    Raises:
        ModelFormatError: If the folder is not a model.
        DataError: If the data lacks a column, or holds what cannot be read.
    """
    saved = model if isinstance(model, SavedModel) else load_model(Path(model))
    preprocessing = saved.preprocessing
    if isinstance(preprocessing, ImagePreprocessing):
        rows = _image_rows(preprocessing, data)
    elif isinstance(preprocessing, SequencePreprocessing):
        rows = _sequence_rows(preprocessing, data)
    else:
        rows = _table_rows(preprocessing, data)
    x = torch.from_numpy(rows.x).reshape(-1, *saved.input_shape)
    output = outputs(saved.network, x).numpy()
    if preprocessing.classes is not None:
        predicted: NDArray[np.generic] = output.argmax(axis=1)
        frame = _class_table(preprocessing.classes, output)
    else:
        predicted = in_own_unit(output[:, 0], preprocessing)
        frame = pl.DataFrame({"prediction": predicted})
    if rows.files is not None:
        frame.insert_column(0, pl.Series("file", rows.files))
    score, rows_scored, notes = _score(saved, rows, predicted)
    return Predictions(frame, saved.metric, score, rows_scored, (*rows.notes, *notes))


def _table_rows(preprocessing: Preprocessing, data: str | Path | pl.DataFrame) -> _Rows:
    table = read_table(data) if isinstance(data, str | Path) else as_table(data)
    if not table.frame.height:
        raise DataError(f"{table.name} holds no row; there is nothing to predict")
    x = preprocessing.transform(table)
    if not preprocessing.has_target(table):
        return _Rows(x, None, np.zeros(len(x), bool))
    cells = target_cells(
        table, preprocessing.target_name, preprocessing.task, preprocessing.missing
    )
    known = cells.is_not_null().to_numpy()
    truth: NDArray[np.generic]
    if preprocessing.classes is None:
        truth = as_float32(table, cells)[known]
    else:
        truth = level_codes(cells, preprocessing.classes)[known]
    return _Rows(x, truth, known)


def _image_rows(preprocessing: ImagePreprocessing, data: str | Path | pl.DataFrame) -> _Rows:
    if isinstance(data, pl.DataFrame) or not is_image_source(data):
        given = "a table" if isinstance(data, pl.DataFrame) else shown(data, 200)
        raise DataError(
            f"the model was trained on images; got {given}: give a folder of images or an .npz file"
        )
    whole = read_images(data, preprocessing.shape)
    images, notes = whole.test or whole, whole.notes
    if whole.test is not None:
        notes = (
            *notes,
            f"predicted is the own test part of {whole.name}, {counted(len(images), 'image')}",
        )
    preprocessing.check(images)
    every = np.arange(len(images))
    x = preprocessing.encode(images.pixels, every)
    if images.labels is None:
        return _Rows(x, None, np.zeros(len(x), bool), images.files, notes)
    truth = level_codes(images.labels, preprocessing.classes or ())
    return _Rows(x, truth, np.ones(len(x), bool), images.files, notes)


def _sequence_rows(preprocessing: SequencePreprocessing, data: str | Path | pl.DataFrame) -> _Rows:
    if isinstance(data, pl.DataFrame):
        raise DataError("the model was trained on sequences; got a table: give an .npz file")
    whole = open_sequences(data)
    sequences, notes = whole.test or whole, tuple[str, ...]()
    if whole.test is not None:
        count = counted(len(sequences), "sequence")
        notes = (f"predicted is the own test part of {whole.name}, {count}",)
    preprocessing.check(sequences)
    x = preprocessing.encode(sequences, np.arange(len(sequences)))
    if sequences.target is None:
        return _Rows(x, None, np.zeros(len(x), bool), notes=notes)
    truth = target_truth(preprocessing.target, sequences)
    return _Rows(x, truth, np.ones(len(x), bool), notes=notes)


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
    saved: SavedModel, rows: _Rows, predicted: NDArray[np.generic]
) -> tuple[Score | None, int, tuple[str, ...]]:
    if rows.truth is None:
        return None, 0, ()
    y, known = rows.truth, rows.known
    notes = []
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows without a target are not scored")
    if not known.any():
        return None, 0, tuple(notes)
    is_classes = saved.preprocessing.classes is not None
    if is_classes and (strangers := int((y.astype(np.int64) < 0).sum())):
        notes.append(f"{strangers:,} rows have a class that the model never saw: counted as wrong")
    score, _ = score_against(METRICS[saved.metric], y, predicted[known])
    return score, len(y), tuple(notes)
