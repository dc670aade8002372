"""Using a saved model on new data: predictions, and a score where the target is there."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.errors import DataError, OutputError
from relume.files import whole_file
from relume.training.data.encoding import level_codes
from relume.training.data.image_preprocessing import ImagePreprocessing
from relume.training.data.prepare import read_table
from relume.training.data.prepare_images import is_image_source, read_images
from relume.training.data.prepare_sequences import NAMED_TASKS, open_sequences, target_truth
from relume.training.data.preprocessing import Preprocessing, as_table
from relume.training.data.sequence_preprocessing import SequencePreprocessing
from relume.training.data.table import Table
from relume.training.data.target import Target, as_float32, target_cells
from relume.training.data.wording import counted, shown
from relume.training.loop import outputs
from relume.training.model_folder import SavedModel, load_model
from relume.training.reconstruction import rebuild, row_errors
from relume.training.scores import METRICS, Score, score_against
from relume.training.several import head_columns, predicted_values

MOST_PROBABILITIES = 100
"""Classes up to which every class gets a column of its own."""


@dataclass(frozen=True, slots=True)
class TargetScore:
    """How well a target is predicted where it is known.

    Args:
        target: Its name.
        metric: What the score counts.
        score: With its interval; ``None`` where no row has the target.
        rows: Rows whose target is known.
    """

    target: str
    metric: str
    score: Score | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """What a model says of a table, of images or of sequences.

    Args:
        frame: One row for each row of the data, in its order: ``prediction`` and, for classes,
            ``probability`` of the predicted class and one column for each class; of several
            targets ``prediction LABEL``, ``probability LABEL``, ``probability LABEL=CLASS``;
            before them, for a folder of images, ``file``. Of an autoencoder ``error``, the mean
            squared error of the standardised features, and the codes ``code 1``, ``code 2`` ...
        scores: One for each target, or that of an autoencoder.
        notes: What a person should know.
    """

    frame: pl.DataFrame
    scores: tuple[TargetScore, ...]
    notes: tuple[str, ...]

    @property
    def metric(self) -> str:
        """What the score counts; of several targets that of the first."""
        return self.scores[0].metric

    @property
    def score(self) -> Score | None:
        """With its interval; ``None`` where the data does not hold the (first) target."""
        return self.scores[0].score

    @property
    def rows_scored(self) -> int:
        """Rows whose (first) target is known."""
        return self.scores[0].rows


@dataclass(frozen=True, slots=True, eq=False)
class _Truth:
    """A target where it is known.

    Args:
        y: Of the known rows; -1 for a class never seen.
        known: (rows,), which rows these are.
    """

    y: NDArray[np.generic]
    known: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is predicted from, and the truth of each target where the data holds it.

    Args:
        x: As the network takes them, float32 of shape (rows, features).
        truths: One for each target.
        files: Where each row came from, for a folder of images.
        notes: What a person should know.
        is_own_test: Whether they are the test part that the data itself has.
    """

    x: NDArray[np.float32]
    truths: tuple[_Truth | None, ...]
    files: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    is_own_test: bool = False


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
    return predict_rows(saved, read_rows(saved, data))


def read_rows(
    saved: SavedModel, data: str | Path | pl.DataFrame, *, part: Literal["test", "train"] = "test"
) -> Rows:
    """Read data as ``predict`` takes it into rows for a model's network.

    Args:
        saved: The model.
        data: What to read.
        part: Which rows of a set with a test part of its own.

    Raises:
        DataError: If the data lacks a column, or holds what cannot be read.
    """
    preprocessing = saved.preprocessing
    if isinstance(preprocessing, ImagePreprocessing):
        return _image_rows(preprocessing, data, part)
    if isinstance(preprocessing, SequencePreprocessing):
        return _sequence_rows(preprocessing, data, part)
    return _table_rows(preprocessing, data)


def network_inputs(saved: SavedModel, rows: Rows) -> Tensor:
    """Return rows in the shape that a model's network takes."""
    return torch.from_numpy(rows.x).reshape(len(rows.x), *saved.input_shape)


def predict_rows(saved: SavedModel, rows: Rows) -> Predictions:
    """Predict rows that were read for a model."""
    preprocessing = saved.preprocessing
    x = network_inputs(saved, rows)
    if not preprocessing.targets:
        return _rebuilt(saved, rows, x)
    output = outputs(saved.network, x).numpy()
    columns: dict[str, Any] = {} if rows.files is None else {"file": rows.files}
    scores, notes = [], list(rows.notes)
    targets, metrics = preprocessing.targets, saved.metric.split(", ")
    for target, metric, truth, head in zip(
        targets, metrics, rows.truths, head_columns(targets), strict=True
    ):
        block = output[:, head]
        _add_columns(columns, target, block, named=len(targets) > 1)
        which = f" {shown(target.name)}" if len(targets) > 1 else ""
        score, said = _score(target, metric, truth, block, which)
        scores.append(score)
        notes += said
    return Predictions(pl.DataFrame(columns), tuple(scores), tuple(notes))


def _rebuilt(saved: SavedModel, rows: Rows, x: Tensor) -> Predictions:
    codes, rebuilt = (tensor.numpy() for tensor in rebuild(saved.network, x))
    columns: dict[str, Any] = {} if rows.files is None else {"file": rows.files}
    columns["error"] = row_errors(rows.x, rebuilt)
    columns |= {f"code {at + 1}": codes[:, at] for at in range(codes.shape[1])}
    score, _ = score_against(METRICS[saved.metric], rows.x, rebuilt)
    found = TargetScore("", saved.metric, score, len(rows.x))
    return Predictions(pl.DataFrame(columns), (found,), rows.notes)


def _table_rows(preprocessing: Preprocessing, data: str | Path | pl.DataFrame) -> Rows:
    table = read_table(data) if isinstance(data, str | Path) else as_table(data)
    if not table.frame.height:
        raise DataError(f"{table.name} holds no row; there is nothing to predict")
    x = preprocessing.transform(table)
    truths = (_truth(table, target, preprocessing.missing) for target in preprocessing.targets)
    return Rows(x, tuple(truths))


def _truth(table: Table, target: Target, missing: tuple[str, ...]) -> _Truth | None:
    if target.name not in table.frame.columns:
        return None
    cells = target_cells(table, target.name, target.task, missing)
    known = cells.is_not_null().to_numpy()
    if target.classes is None:
        return _Truth(as_float32(table, cells)[known], known)
    return _Truth(level_codes(cells, target.classes)[known], known)


def _image_rows(
    preprocessing: ImagePreprocessing, data: str | Path | pl.DataFrame, part: str
) -> Rows:
    if isinstance(data, pl.DataFrame) or not is_image_source(data):
        given = "a table" if isinstance(data, pl.DataFrame) else shown(data, 200)
        raise DataError(
            f"the model was trained on images; got {given}: give a folder of images or an .npz file"
        )
    whole = read_images(data, preprocessing.shape)
    is_test = whole.test is not None and part == "test"
    images, notes = (whole.test if is_test else None) or whole, whole.notes
    if is_test:
        notes = (
            *notes,
            f"predicted is the own test part of {whole.name}, {counted(len(images), 'image')}",
        )
    preprocessing.check(images)
    every = np.arange(len(images))
    x = preprocessing.encode(images.pixels, every)
    if images.labels is None or preprocessing.target is None:
        return Rows(x, (None,), images.files, notes, is_own_test=is_test)
    truth = level_codes(images.labels, preprocessing.classes or ())
    known = _Truth(truth, np.ones(len(x), bool))
    return Rows(x, (known,), images.files, notes, is_own_test=is_test)


def _sequence_rows(
    preprocessing: SequencePreprocessing, data: str | Path | pl.DataFrame, part: str
) -> Rows:
    if isinstance(data, pl.DataFrame):
        raise DataError("the model was trained on sequences; got a table: give an .npz file")
    whole = open_sequences(data)
    is_test = whole.test is not None and part == "test"
    sequences, notes = (whole.test if is_test else None) or whole, tuple[str, ...]()
    if is_test:
        count = counted(len(sequences), "sequence")
        notes = (f"predicted is the own test part of {whole.name}, {count}",)
    preprocessing.check(sequences)
    x = preprocessing.encode(sequences, np.arange(len(sequences)))
    if sequences.target is None:
        return Rows(x, (None,), notes=notes, is_own_test=is_test)
    given, wanted = sequences.target.name, preprocessing.target.name
    if given in NAMED_TASKS and wanted in NAMED_TASKS and given != wanted:
        return Rows(x, (None,), notes=(*notes, f"not scored: the file holds {given}, no {wanted}"))
    truth = target_truth(preprocessing.target, sequences)
    known = _Truth(truth, np.ones(len(x), bool))
    return Rows(x, (known,), notes=notes, is_own_test=is_test)


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


def _add_columns(
    columns: dict[str, Any], target: Target, output: NDArray[np.float32], *, named: bool
) -> None:
    """Add what is predicted of a target; the columns carry its name where there are several."""
    which = f" {target.name}" if named else ""

    def add(name: str, values: Any) -> None:
        while name in columns:  # two targets may spell the same name: "a=b" and class "b" of "a"
            name += "_"
        columns[name] = values

    predicted = predicted_values(target, output)
    if target.classes is None:
        add(f"prediction{which}", predicted)
        return
    probabilities = torch.from_numpy(output).double().softmax(dim=1).numpy()
    add(f"prediction{which}", [target.classes[index] for index in predicted])
    add(f"probability{which}", probabilities.max(axis=1))
    if len(target.classes) <= MOST_PROBABILITIES:
        for index, name in enumerate(target.classes):
            add(f"probability{which}{'=' if named else ' '}{name}", probabilities[:, index])


def _score(
    target: Target,
    metric: str,
    truth: _Truth | None,
    output: NDArray[np.float32],
    which: str,
) -> tuple[TargetScore, list[str]]:
    if truth is None:
        return TargetScore(target.name, metric), []
    y, known = truth.y, truth.known
    notes = []
    if not known.all():
        notes.append(f"{int((~known).sum()):,} rows without a target{which} are not scored")
    if not known.any():
        return TargetScore(target.name, metric), notes
    if target.classes and (strangers := int((y.astype(np.int64) < 0).sum())):
        notes.append(
            f"{strangers:,} rows have a class{f' of{which}' if which else ''} that the model never "
            "saw: counted as wrong"
        )
    score, _ = score_against(METRICS[metric], y, predicted_values(target, output)[known])
    return TargetScore(target.name, metric, score, len(y)), notes
