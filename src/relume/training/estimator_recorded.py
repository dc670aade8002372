"""The training of an estimator that is recorded and repaired, into a folder that is not kept."""

import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from relume.monitor import Monitor
from relume.observe.schedule import every, looking
from relume.runs.query import RUN_FILE, read_run
from relume.runs.records import RunInfo
from relume.runs.remedies import AppliedRemedy
from relume.runs.store import RunWriter
from relume.training.estimator_fitting import EstimatorLoop
from relume.training.loop import Loop, TensorPart, epoch_generator
from relume.training.recording import Recorder
from relume.training.repair_bench import FitBench
from relume.training.repair_record import RepairRecord
from relume.training.repairs import Repairs
from relume.training.trial import FEWEST_STEPS

HELD_OUT = 0.2
EVERY, WINDOWS = 10, 128


def train_recorded(
    first: EstimatorLoop,
    begin: Callable[[Recorder], EstimatorLoop],
    redraw: Callable[[bool], nn.Module],
    usual_lr: float,
) -> tuple[EstimatorLoop, tuple[AppliedRemedy, ...]]:
    """Train once more, and repair what breaks.

    Args:
        first: The training that broke down.
        begin: Returns the same before its first step, told to a recorder.
        redraw: Returns the network with fresh weights; by the usual scheme, if that is asked for.
        usual_lr: A rate that usually trains well.

    Returns:
        What trained to the end, and what was tried.
    """
    with TemporaryDirectory(prefix="relume-") as folder:
        writer = RunWriter(Path(folder) / RUN_FILE)
        try:
            writer.update_info(RunInfo(kind="fit"))
            monitor = _monitor(first, writer)
            loop = begin(monitor)
            recorded = RepairRecord(monitor, writer, [])
            bench = FitBench(*_parts(loop), loop.objective, loop.numbers, redraw, recorded)
            lr, epochs = loop.numbers.lr, loop.numbers.epochs
            repairs = Repairs(
                bench, lr=lr, usual_lr=usual_lr, epochs=epochs, fewest_steps=FEWEST_STEPS
            )
            with np.errstate(all="ignore"):  # what has broken down overflows where it is counted
                _train(loop, repairs, monitor)
        finally:
            writer.close()
        return loop, read_run(Path(folder)).remedies


def _monitor(loop: EstimatorLoop, writer: RunWriter) -> Monitor:
    return Monitor(
        loop.model,
        writer,
        armed=every(EVERY),
        looks=looking(EVERY),
        window_steps=max(EVERY, math.ceil(loop.steps / WINDOWS)),
        example=loop.rows.x[:2],
    )


def _train(loop: EstimatorLoop, repairs: Repairs, monitor: Monitor) -> None:
    def consult(loop: Loop) -> None:
        if monitor.fault is None:
            with monitor.looking_away():
                repairs.consult(loop, lambda: False)

    with monitor.watching():
        loop.train(consult)


def _parts(loop: EstimatorLoop) -> tuple[TensorPart, TensorPart]:
    """Return what trials learn from and are judged on."""
    rows = loop.rows
    if loop.held_out is not None:
        return rows, loop.held_out
    generator = epoch_generator(loop.numbers.seed, 0)
    order = torch.randperm(len(rows), generator=generator).to(rows.y.device)
    held, kept = order.tensor_split([int(HELD_OUT * len(rows))])
    learned, judged = (TensorPart(rows.x[each], rows.y[each]) for each in (kept, held))
    return learned, judged
