"""``fit``: from data to a trained network, its score beside baselines, and its run file."""

import math
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from relume.errors import OutputError, RelumeError, UserError
from relume.monitor import Monitor
from relume.nn.mlp import MLP
from relume.nn.networks import build_network
from relume.observe.losses import LossContext
from relume.observe.schedule import every, looking
from relume.remedies.story import stories
from relume.runs.query import Run, read_run
from relume.runs.records import Epoch
from relume.runs.store import RunWriter
from relume.training.architecture import builder_name, input_shape, network_arguments
from relume.training.checkpoint import (
    read_about,
    read_progress,
    restore_checkpoint,
    save_checkpoint,
)
from relume.training.data.prepare import Part, Prepared
from relume.training.device import isolated
from relume.training.job import (
    CHECKPOINT_NAME,
    MODEL_NAME,
    RUN_NAME,
    Job,
    claim_folder,
    new_job,
    resumed_job,
)
from relume.training.loop import (
    Loop,
    LoopSettings,
    Objective,
    Observers,
    TensorPart,
    blocks,
    outputs,
)
from relume.training.model_folder import SavedModel, in_fast_format, save_model
from relume.training.objective import Classification
from relume.training.recipe import threads_for, usual_init
from relume.training.reconstruction import Reconstruction, judge_reconstruction
from relume.training.repair_bench import FitBench
from relume.training.repair_record import RepairRecord
from relume.training.repairs import Repairs
from relume.training.result_cell import result_cell
from relume.training.run_info import run_info
from relume.training.settings import FitSettings
from relume.training.several import (
    Several,
    head_columns,
    target_objectives,
    target_values,
)
from relume.training.stopping import StopRequest, stop_on_signals
from relume.training.verdict import Verdict, judge, result_json

if TYPE_CHECKING:
    import polars as pl

CHECKPOINT_INTERVAL_S = 1.0
WINDOWS = 128  # about how many a training of full length is recorded in


@dataclass(frozen=True, slots=True, eq=False)
class FitResult:
    """What a fit leaves behind.

    Args:
        folder: Where model, run file and report lie.
        status: ``finished`` or ``interrupted``.
        exit_code: 0, or what a stopping signal asks for (130 for Ctrl-C).
        model: The trained model, in its best epoch.
        verdicts: Scores on the test part beside the baselines, one for each target.
        notes: What a person should know.
    """

    folder: Path
    status: str
    exit_code: int
    model: SavedModel
    verdicts: tuple[Verdict, ...]
    notes: tuple[str, ...]

    @property
    def verdict(self) -> Verdict:
        """The score on the test part; of several targets that of the first."""
        return self.verdicts[0]

    @property
    def run(self) -> Run:
        """The record of the training, read from its file."""
        return read_run(self.folder / RUN_NAME)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: scores, and how the units stand."""
        return result_cell(self.status, self.verdicts, self.folder / RUN_NAME)


class Audience:
    """Who is told how a fit goes; nothing they do changes it."""

    def prepared(self, data: Prepared, settings: FitSettings, network: nn.Module) -> None:
        """Called once, before the first step."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """Called after every step."""

    def epoch(self, epoch: Epoch) -> None:
        """Called after every epoch."""

    def repaired(self, story: tuple[str, ...]) -> None:
        """Called after repairs were tried: what was found, what was tried and what stayed."""

    def scoring(self) -> None:
        """Called when training is over and the test part is being scored."""


def fit(
    data: "str | Path | pl.DataFrame | None" = None,
    *,
    out: Path | str | None = None,
    overwrite: bool = False,
    resume: Path | str | None = None,
    audience: Audience | None = None,
    **options: Any,
) -> FitResult:
    """Train a ReLU network on a table, images or sequences and score it beside baselines.

    Args:
        data: A built-in name, a CSV or Parquet file, a folder of images (one subfolder a class)
            or of idx files, an ``.npz`` file of images or sequences, or a polars frame. With
            ``resume`` it may be left out, unless the first start was given a frame.
        out: Folder for model and run file; ``relume-NAME`` by default, numbered if that exists.
        overwrite: Whether an earlier fit in ``out`` may be replaced.
        resume: Output folder of an unfinished fit; goes on from its last checkpoint to the same
            weights, bitwise, as if it had not been interrupted.
        audience: Who is told how it goes.
        **options: The fields of ``FitSettings``.

    Returns:
        The model, its score and where everything lies. On Ctrl-C or SIGTERM the training stops
        after the present step and what there is is scored and kept, ``status`` saying so.

    Raises:
        UserError: If anything given cannot be used; nothing half-written is left under a final
            name.

    Example:
        >>> import tempfile
        >>> from relume.training.fit import fit
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     result = fit("iris", out=folder, epochs=3)
        >>> result.verdict.metric
        'accuracy'
    """
    listener = audience or Audience()
    job = resumed_job(data, Path(resume), options) if resume else new_job(data, options, out)
    with isolated(job.settings.seed, job.device):
        fitting = _Fit(job)
        if not job.resumed:
            claim_folder(job.folder, overwrite=overwrite)
        return fitting.run(listener)


class _Fit:
    """The steps of one fit, in their order."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.run_path = job.folder / RUN_NAME
        self.checkpoint_path = job.folder / CHECKPOINT_NAME
        assert job.settings.network is not None  # noqa: S101
        self.network_name = builder_name(job.data, job.settings)
        self.input_shape = input_shape(job.data, job.settings.network)
        self.network_arguments = network_arguments(job.data, job.settings)
        self.network = self._network()
        parameters = sum(parameter.numel() for parameter in self.network.parameters())
        torch.set_num_threads(threads_for(job.settings, parameters, torch.get_num_threads()))
        self.train = self._part(job.data.train)
        self.validation = self._part(job.data.validation)
        self.objectives = target_objectives(job.data, job.settings, job.device) or (
            Reconstruction(),
        )
        self.objective: Objective = (
            self.objectives[0]
            if len(self.objectives) == 1
            else Several(self.objectives, head_columns(job.data.preprocessing.targets))
        )
        self.notes: list[str] = []
        self._checkpointed_at = -math.inf

    def _network(self, usual: bool = False) -> nn.Module:  # noqa: FBT001, FBT002
        """Return the network as it is before the first step; by its usual initialisation."""
        settings, arguments = self.job.settings, self.network_arguments
        if usual:
            settings = replace(settings, init=usual_init(str(settings.network)))
            arguments = network_arguments(self.job.data, settings)
        network = in_fast_format(build_network(self.network_name, arguments))
        if isinstance(network, MLP) and network.encoding is not None:
            network.encoding.fit_(self.job.data.train.x)
        return network.to(self.job.device)

    def run(self, audience: Audience) -> FitResult:
        """Train, score, save; the run file says how it ended, whatever happens."""
        started_s = time.process_time()
        after = read_progress(self.checkpoint_path).step if self.job.resumed else None
        writer = RunWriter(self.run_path, resume_after=after)
        try:
            writer.update_info(run_info(self.job))
            monitor = self._monitor(writer)
            with monitor.watching():
                loop = self._prepare_loop(monitor, writer)
                audience.prepared(self.job.data, self.job.settings, self.network)
                with stop_on_signals() as stop:
                    loop.run(self._observers(audience, monitor, stop))
                    loop.patient.finish()
                    self._check_trained(loop)
                    audience.scoring()
                    result = self._finish(loop, monitor, stop, time.process_time() - started_s)
            writer.update_info(status=result.status, result=result.model.result)
        except BaseException:
            with suppress(OutputError):
                writer.update_info(status="failed")
            raise
        finally:
            with suppress(OutputError):
                writer.close()
        if result.status == "finished":
            self.checkpoint_path.unlink(missing_ok=True)
        return result

    def _check_trained(self, loop: Loop) -> None:
        """Refuse to hand back a network that never had a finite loss."""
        if loop.progress.stopped.startswith("diverged") and not loop.progress.best_epoch:
            raise UserError(
                f"the training {loop.progress.stopped}; lower --lr (it was "
                f"{self.job.settings.lr:g}) or look for extreme values in the data"
            )

    def _monitor(self, writer: RunWriter) -> Monitor:
        settings = self.job.settings
        assert settings.epochs is not None and settings.batch_size is not None  # noqa: S101, PT018
        steps = math.ceil(len(self.train) / settings.batch_size) * settings.epochs
        return Monitor(
            self.network,
            writer,
            armed=every(settings.every),
            looks=looking(settings.every),
            window_steps=max(settings.every, math.ceil(steps / WINDOWS)),
            example=self.train.x[:2],
            context=self._loss_context,
        )

    def _loss_context(self) -> LossContext:
        """Say of which target the loss is that is being computed, and whether classes weigh."""
        objective, name = self.objective, None
        if isinstance(objective, Several):
            number = objective.present or 0
            name = self.job.data.preprocessing.targets[number].name
            objective = objective.objectives[number]
        is_weighted = isinstance(objective, Classification) and objective.weights is not None
        return LossContext(name, is_weighted)

    def _prepare_loop(self, monitor: Monitor, writer: RunWriter) -> Loop:
        settings = self.job.settings
        assert settings.epochs is not None and settings.batch_size is not None  # noqa: S101, PT018
        numbers = LoopSettings(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            lr=settings.lr,
            weight_decay=settings.weight_decay or 0.0,
            averaging=settings.averaging or 0.0,
            warmup=settings.warmup,
            patience=settings.patience,
            seed=settings.seed,
            clip=settings.clip or None,
        )
        loop = Loop(self.network, self.train, self.validation, self.objective, numbers, monitor)
        parts = (self.train, self.validation, self.objective, numbers)
        bench = FitBench(*parts, self._network, RepairRecord(monitor, writer, self.notes))
        usual_lr = FitSettings().lr
        self.repairs = Repairs(bench, lr=numbers.lr, usual_lr=usual_lr, epochs=numbers.epochs)
        if self.job.resumed:
            lifetimes = restore_checkpoint(loop, self.checkpoint_path)
            about = read_about(self.checkpoint_path)
            self.repairs.resume(loop, about.get("repairs"))
            monitor.resume(lifetimes, about.get("record"), loop.progress.step)
        else:
            self._checkpoint(loop, monitor)
        return loop

    def _observers(self, audience: Audience, monitor: Monitor, stop: StopRequest) -> Observers:
        def keep(loop: Loop) -> None:
            if time.monotonic() - self._checkpointed_at >= CHECKPOINT_INTERVAL_S:
                self._checkpoint(loop, monitor)
                monitor.settle(loop.progress.step)

        def repair(loop: Loop) -> None:
            if self.job.settings.repair and monitor.fault is None:
                with monitor.looking_away():
                    tried = self.repairs.consult(loop, stop)
                for story in stories(tried):
                    audience.repaired(story)

        return Observers(audience.step, audience.epoch, keep, stop, repair)

    def _checkpoint(self, loop: Loop, monitor: Monitor) -> None:
        """Save where the training stands; the training outlives a disk that is full for now."""
        about = {
            "source": self.job.source,
            "settings": self.job.settings.to_json(),
            "fingerprint": self.job.data.fingerprint,
            "record": monitor.state(),
            "repairs": self.repairs.state(),
        }
        try:
            save_checkpoint(loop, monitor.lifetimes, about, self.checkpoint_path)
        except OutputError as error:
            note = f"no checkpoint could be kept: {error}"
            if note not in self.notes:
                self.notes.append(note)
        self._checkpointed_at = time.monotonic()

    def _finish(self, loop: Loop, monitor: Monitor, stop: StopRequest, cpu_s: float) -> FitResult:
        test = self._part(self.job.data.test)
        seen = (*blocks(self.train.x, self.network), *blocks(test.x, self.network))
        monitor.examine(self.network, seen, held_out_rows=len(test))
        if monitor.fault is not None:
            self.notes.append(f"recording stopped early: {monitor.fault}")
        settings = self.job.settings
        output = outputs(self.network, test.x).cpu().numpy()
        metrics = [objective.metric for objective in self.objectives]
        verdicts = self._judge(output, metrics)
        result = result_json(verdicts) | {
            "best_epoch": loop.progress.best_epoch,
            "stopped": loop.progress.stopped,
            "cpu_s": round(cpu_s, 2),
            "repairs": self._stories(),
            "notes": self.notes,
        }
        model = SavedModel(
            network=self.network.cpu().eval(),
            network_name=self.network_name,
            network_arguments=self.network_arguments,
            input_shape=self.input_shape,
            preprocessing=self.job.data.preprocessing,
            metric=", ".join(metrics),
            result=result,
            settings=settings.to_json(),
        )
        save_model(model, self.job.folder / MODEL_NAME)
        return FitResult(
            folder=self.job.folder,
            status="interrupted" if loop.progress.stopped == "interrupted" else "finished",
            exit_code=128 + stop.signal if stop.signal else 0,
            model=model,
            verdicts=verdicts,
            notes=(*self.job.data.notes, *self.notes),
        )

    def _stories(self) -> list[list[str]]:
        """Return what was found, tried and kept, three lines each time."""
        with suppress(RelumeError):
            return [list(story) for story in stories(read_run(self.run_path).remedies)]
        return []

    def _judge(self, output: NDArray[np.float32], metrics: list[str]) -> tuple[Verdict, ...]:
        data, settings = self.job.data, self.job.settings
        if settings.code is not None:
            return (judge_reconstruction(output, data, settings.code, seed=settings.seed),)
        return judge(output, data, metrics, seed=settings.seed)

    def _part(self, part: Part) -> TensorPart:
        targets = self.job.data.preprocessing.targets
        x = torch.from_numpy(part.x).reshape(-1, *self.input_shape).to(self.job.device)
        if not targets:
            return TensorPart(x, x)
        return TensorPart(x, torch.from_numpy(target_values(part.y, targets)).to(self.job.device))
