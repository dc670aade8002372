"""Reviving the dead units of a saved model on given data, measured on rows kept apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from torch import Tensor

from relume.errors import DataError, SettingsError
from relume.remedies.revive import Revival, revive
from relume.remedies.rows import Loss
from relume.training.data.target import Target
from relume.training.data.task import Task
from relume.training.data.wording import counted
from relume.training.loop import Objective, epoch_generator, in_batches, joined
from relume.training.model_folder import SavedModel
from relume.training.objective import Classification, Regression
from relume.training.predict import Rows, network_inputs, read_rows
from relume.training.reconstruction import Reconstruction
from relume.training.several import Several, head_columns, target_values

BATCH_SIZE = 64
FEWEST = 20
"""Rows kept apart below which no gain could be told from chance."""

Batch = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class RevivedModel:
    """A saved model after its revival.

    Args:
        model: With the network as it was kept, and the revival as its result.
        revival: What was done and gained.
        notes: What a person should know.
    """

    model: SavedModel
    revival: Revival
    notes: tuple[str, ...]


def revive_model(
    saved: SavedModel,
    data: str | Path | pl.DataFrame,
    *,
    epochs: int = 1,
    lr: float = 1e-3,
    held_out: float = 0.2,
    seed: int = 0,
) -> RevivedModel:
    """Revive the dead units of a saved model; see ``relume.revive``.

    Args:
        saved: The model; its network is changed in place.
        data: As ``relume.predict`` takes it, with the target. A test part of its own is what is
            judged by.
        epochs: Passes over the rows.
        lr: Peak of the rate.
        held_out: Share of the rows that are kept apart to judge by, where there is no test part.
        seed: Of the shuffle and the weights drawn.

    Raises:
        DataError: The data lacks a column or the target, or holds too few rows.
        SettingsError: A setting makes no sense.
    """
    if not 0 < held_out < 1:
        raise SettingsError(f"held_out must be a share above 0 and below 1; got {held_out!r}")
    test = read_rows(saved, data)
    train = read_rows(saved, data, part="train") if test.is_own_test else test
    x, y = _pairs(saved, train)
    if test.is_own_test:
        apart = _pairs(saved, test)
        notes: tuple[str, ...] = (f"judged on the own test part, {counted(len(apart[0]), 'row')}",)
    else:
        order = torch.randperm(len(x), generator=epoch_generator(seed, 0))
        rest, kept = order.tensor_split([len(x) - round(held_out * len(x))])
        apart, x, y = (x[kept], y[kept]), x[rest], y[rest]
        notes = (f"judged on {counted(len(kept), 'row')} kept apart",)
    _check_rows(len(x), len(apart[0]))
    order = torch.randperm(len(x), generator=epoch_generator(seed, 1))
    revival = revive(
        saved.network,
        _batches(x, y, order),
        held_out=_batches(*apart, torch.arange(len(apart[0]))),
        loss=_loss(saved.preprocessing.targets),
        epochs=epochs,
        lr=lr,
        seed=seed,
    )
    said = () if test.is_own_test else train.notes
    return RevivedModel(replace(saved, result=_result(revival)), revival, said + notes)


def _check_rows(train: int, apart: int) -> None:
    if train < 2 or apart < FEWEST:
        raise DataError(
            f"{counted(train, 'row')} to learn from and {counted(apart, 'row')} to judge by are "
            f"too few; give data with at least {FEWEST} rows to judge by"
        )


def _pairs(saved: SavedModel, rows: Rows) -> Batch:
    """Return the rows whose targets are all known, with them as the network learns them."""
    x = network_inputs(saved, rows)
    targets = saved.preprocessing.targets
    if not targets:
        return x, torch.from_numpy(rows.x)
    known = np.ones(len(rows.x), bool)
    columns = []
    for target, truth in zip(targets, rows.truths, strict=True):
        if truth is None:
            raise DataError(f"the data has no target {target.name!r}; give rows with their target")
        column = np.zeros(len(known), truth.y.dtype)
        column[truth.known] = truth.y
        is_stranger = column < 0 if target.task is Task.CLASSIFICATION else np.zeros_like(known)
        known &= truth.known & ~is_stranger
        columns.append(column)
    y = columns[0] if len(columns) == 1 else np.stack([c.astype(np.float32) for c in columns], 1)
    values = torch.from_numpy(np.ascontiguousarray(target_values(y[known], targets)))
    return x[torch.from_numpy(known)], values


def _batches(x: Tensor, y: Tensor, order: Tensor) -> list[Batch]:
    return [(x[rows], y[rows]) for rows in in_batches(order, BATCH_SIZE)]


def _loss(targets: Sequence[Target]) -> Loss | None:
    """Return the loss of each row; None where that is the usual one of a single target."""
    if len(targets) == 1:
        return None
    objectives: tuple[Objective, ...] = tuple(
        Classification("accuracy", 0.0) if target.task is Task.CLASSIFICATION else Regression()
        for target in targets
    )
    objective: Objective = Reconstruction()
    if targets:
        objective = Several(objectives, head_columns(targets))

    def loss(output: Any, y: Tensor) -> Tensor:
        return objective.plain_loss(joined(output), y)

    return loss


def _result(revival: Revival) -> dict[str, Any]:
    """Return what is known of the model now: its earlier scores were of another."""
    return {
        "revival": {
            "sentence": revival.sentence,
            "dead_before": revival.dead_before,
            "dead_after": revival.dead_after,
            "verdict": None if revival.verdict is None else revival.verdict.to_json(),
        }
    }
