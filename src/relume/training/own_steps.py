"""A training with a step of one's own: a GAN, a loss, several optimizers; watched all the same."""

import math
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import relume
from relume.errors import OutputError, RelumeError, SettingsError
from relume.files import free_folder, whole_file
from relume.monitor import Monitor
from relume.observe.schedule import every, looking
from relume.remedies.story import stories
from relume.runs.query import Run, read_run
from relume.runs.records import Epoch, RunInfo
from relume.runs.store import RunWriter
from relume.training.device import isolated
from relume.training.job import RUN_NAME, WEIGHTS_NAME, claim_folder
from relume.training.own_data import BATCH_SIZE, GivenBatches, Rows, batches_of
from relume.training.own_examination import bounded
from relume.training.own_loop import Given, OwnLoop, Repair, Step, Watcher
from relume.training.own_repair import OwnBench, OwnRepair, is_rereadable
from relume.training.own_settings import OwnSettings
from relume.training.own_updates import Updater, check_optimizer
from relume.training.repair_record import RepairRecord
from relume.training.result_cell import result_cell
from relume.training.stopping import StopRequest, stop_on_signals

EPOCHS = 10
WINDOWS = 128  # about how many a training of full length is recorded in
VALIDATION_BATCHES = 32  # at least, into which validation rows are cut
WINDOW_STEPS = 50  # where its length is not known


@dataclass(frozen=True, slots=True, eq=False)
class OwnResult:
    """What a training with a step of one's own leaves behind.

    Args:
        folder: Where weights and run file lie.
        status: ``finished`` or ``interrupted``.
        exit_code: 0, or what a stopping signal asks for (130 for Ctrl-C).
        model: The model that was given, trained in place.
        losses: The mean of each loss, epoch by epoch: ``loss``, and each one that had a name; nan
            where none was returned.
        score: The best of ``validate``; ``None`` without it.
        notes: What a person should know.
        repairs: Three lines each time something was tried: what was found, tried and kept.
    """

    folder: Path
    status: str
    exit_code: int
    model: Any
    losses: Mapping[str, tuple[float, ...]]
    score: float | None
    notes: tuple[str, ...]
    repairs: tuple[tuple[str, ...], ...] = ()

    @property
    def run(self) -> Run:
        """The record of the training, read from its file."""
        return read_run(self.folder / RUN_NAME)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: scores, and how the units stand."""
        return result_cell(self.status, (), self.folder / RUN_NAME)


class Silence:
    """Tells nobody how a training goes."""

    def step(self, step: int, steps: int, loss: float) -> None:
        """Do nothing."""

    def epoch(self, epoch: Epoch) -> None:
        """Do nothing."""


def fit_own(  # noqa: PLR0913 (each is an option of the public ``fit``)
    model: nn.Module | Sequence[nn.Module],
    data: Any,
    *,
    step: Step,
    out: Path | str | None = None,
    overwrite: bool = False,
    optimizer: torch.optim.Optimizer | None = None,
    validate: Callable[[Any], Any] | None = None,
    validation: Any = None,
    examine: Callable[[Any, Any], object] | None = None,
    audience: Watcher | None = None,
    **options: Any,
) -> OwnResult:
    """Train a model with a step of one's own; ``relume.fit`` describes it.

    Raises:
        UserError: If anything given cannot be used. What ``step`` raises comes out unchanged, and
            the run file says that the run failed.
    """
    settings = OwnSettings.from_options(options)
    root = _as_one(model)
    check_optimizer(optimizer, settings)
    for name, function in (("step", step), ("validate", validate), ("examine", examine)):
        if function is not None and not callable(function):
            raise SettingsError(f"{name} must be a function; got {function!r}")
    device = next((parameter.device for parameter in root.parameters()), torch.device("cpu"))
    batches = batches_of(data, settings.batch_size, settings.seed, device)
    folder = Path(out) if out is not None else free_folder(Path(f"relume-{_name(model).lower()}"))
    held_out = None if validation is None else _held_out(validation, settings, device)
    if settings.repair and held_out is None:
        raise SettingsError(
            "repair=True needs validation=, data that are not learned from, to judge by"
        )
    given = Given(model, root, batches, step, validate, held_out)
    with isolated(settings.seed, device):
        fitting = _OwnFit(given, settings, optimizer, examine, folder)
        claim_folder(folder, overwrite=overwrite)
        return fitting.run(audience or Silence())


class _OwnFit:
    """The steps of one such training, in their order."""

    def __init__(
        self,
        given: Given,
        settings: OwnSettings,
        optimizer: torch.optim.Optimizer | None,
        examine: Callable[[Any, Any], object] | None,
        folder: Path,
    ) -> None:
        self.given = given
        self.settings = settings
        self.examine = examine
        self.folder = folder
        self.notes: list[str] = []
        self.epochs = self._epochs()
        known = given.batches.steps
        self.steps = known * self.epochs if known else None
        self.updater = Updater(given.root, settings, optimizer, self.steps)

    def run(self, watcher: Watcher) -> OwnResult:
        """Train, examine, save; the run file says how it ended, whatever happens."""
        started_s = time.process_time()
        writer = RunWriter(self.folder / RUN_NAME)
        try:
            writer.update_info(self._info())
            monitor = self._monitor(writer)
            loop = OwnLoop(self.given, self.epochs, self.updater, monitor)
            with stop_on_signals() as stop:
                recorded = RepairRecord(monitor, writer, self.notes)
                loop.run(watcher, stop, self._repair(loop, recorded, stop))
                self._examine(loop, monitor)
                self._save()
                result = self._result(loop, monitor, stop)
            cpu_s = round(time.process_time() - started_s, 2)
            outcome = self._outcome(loop) | {"cpu_s": cpu_s}
            writer.update_info(status=result.status, result=outcome, data=self._data())
        except BaseException:
            with suppress(OutputError):
                writer.update_info(status="failed")
            raise
        finally:
            with suppress(OutputError):
                writer.close()
        return result

    def _epochs(self) -> int:
        epochs = self.settings.epochs
        if not self.given.batches.once:
            return epochs or EPOCHS
        if epochs is not None and epochs > 1:
            raise SettingsError(
                f"epochs={epochs}, but data is a generator, which can be read only once; give "
                "batches that can be read again, such as a list or a DataLoader, or epochs=1"
            )
        self.notes.append("one epoch: data is a generator, which can be read only once")
        return 1

    def _monitor(self, writer: RunWriter) -> Monitor:
        window = math.ceil(self.steps / WINDOWS) if self.steps else WINDOW_STEPS
        return Monitor(
            self.given.root,
            writer,
            armed=every(self.settings.every),
            looks=looking(self.settings.every),
            window_steps=max(self.settings.every, window),
        )

    def _repair(self, loop: OwnLoop, recorded: RepairRecord, stop: StopRequest) -> Repair:
        """Return what is called after each epoch."""
        steps, examine, model = self.given.batches.steps, self.examine, self.given.model
        if self.settings.repair is False or self.given.validation is None:
            return lambda _: None
        if steps is None or not is_rereadable(self.given.batches):
            self.notes.append("no repairs: the batches may come in another order a second time")
            return lambda _: None
        call = None if examine is None else lambda batch: examine(model, batch)
        bench = OwnBench(self.given, loop, steps, call, recorded)
        return OwnRepair(bench, loop, self.epochs, stop)

    def _examine(self, loop: OwnLoop, monitor: Monitor) -> None:
        """Examine every unit at the final weights, where it is known how to call the model."""
        call = loop.call.on(self.given.root)
        if self.examine is not None:
            examine, model = self.examine, self.given.model

            def call(batch: Any) -> object:
                return examine(model, batch)

        if self.given.batches.once:
            self.notes.append("the units were not examined: data could be read only once")
        elif call is None:
            self.notes.append(
                "the units were not examined at the final weights: the first step did not call the "
                "whole model on its batch; examine=lambda model, batch: ... says how to call it"
            )
        else:
            batches = bounded(self.given.batches.in_order())
            monitor.examine(self.given.root, batches, held_out_rows=0, call=call)

    def _save(self) -> None:
        from safetensors.torch import save

        state = self.given.root.state_dict()
        tensors = {
            name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
            for name, value in state.items()
            if isinstance(value, torch.Tensor)
        }
        with whole_file(self.folder / WEIGHTS_NAME, "out=") as temporary:
            temporary.write_bytes(save(tensors))

    def _result(self, loop: OwnLoop, monitor: Monitor, stop: StopRequest) -> OwnResult:
        self._note_what_is_odd(loop, monitor)
        totals = {"loss": [epoch.train_loss for epoch in loop.epochs]}
        return OwnResult(
            folder=self.folder,
            status="interrupted" if loop.progress.stopped == "interrupted" else "finished",
            exit_code=128 + stop.signal if stop.signal else 0,
            model=self.given.model,
            losses={name: tuple(means) for name, means in (totals | loop.losses).items()},
            score=loop.best_score if math.isfinite(loop.best_score) else None,
            notes=tuple(self.notes),
            repairs=self._stories(),
        )

    def _stories(self) -> tuple[tuple[str, ...], ...]:
        with suppress(RelumeError):
            return tuple(stories(read_run(self.folder / RUN_NAME).remedies))
        return ()

    def _note_what_is_odd(self, loop: OwnLoop, monitor: Monitor) -> None:
        if monitor.fault is not None:
            self.notes.append(f"recording stopped early: {monitor.fault}")
        if loop.progress.stopped.startswith("diverged"):
            self.notes.append(loop.progress.stopped)
        if not monitor.units:
            self.notes.append(
                "no unit was observed: no module of the model applied a known activation on a "
                "measured step, with gradients (what the step applies itself is not observed)"
            )
        elif monitor.missing:
            self.notes.append(f"not observed, since not called: {', '.join(monitor.missing)}")
        if not loop.was_updated:
            self.notes.append(
                "no torch optimizer updated the model: the step returned no loss with a gradient "
                "and stepped no optimizer of the model's parameters"
            )
        if loop.losses and "loss" not in loop.losses:
            self.notes.append(f"loss is the sum of {', '.join(loop.losses)}")

    def _outcome(self, loop: OwnLoop) -> dict[str, Any]:
        last = {name: means[-1] for name, means in loop.losses.items() if math.isfinite(means[-1])}
        return {
            "network": str(self.given.root),
            "best_epoch": loop.progress.best_epoch,
            "stopped": loop.progress.stopped,
            "losses": last,
            "repairs": [list(story) for story in self._stories()],
            "notes": self.notes,
        }

    def _data(self) -> dict[str, Any]:
        rows = self.given.batches.count
        return {
            "name": _name(self.given.model),
            "rows": rows if rows is not None else "as the batches come",
            "notes": self.notes,
        }

    def _info(self) -> RunInfo:
        step = self.given.step
        about = {"step": getattr(step, "__qualname__", type(step).__name__), "epochs": self.epochs}
        return RunInfo(
            kind="own steps",
            status="running",
            settings=self.settings.to_json() | about,
            data=self._data(),
            environment={
                "relume": relume.__version__,
                "torch": torch.__version__,
                "python": platform.python_version(),
                "platform": platform.platform(),
                "threads": torch.get_num_threads(),
            },
        )


def _held_out(data: Any, settings: OwnSettings, device: torch.device) -> Rows | GivenBatches:
    """Return validation data; rows in batches small enough that there are many to compare."""
    batches = batches_of(data, None, settings.seed, device)
    if batches.once:
        raise SettingsError(
            "validation is read after each epoch; a generator can be read only once: give a list, "
            "a DataLoader or tensors"
        )
    if isinstance(batches, Rows):
        size = min(settings.batch_size or BATCH_SIZE, math.ceil(batches.count / VALIDATION_BATCHES))
        return replace(batches, batch_size=size)
    return batches


def _as_one(model: Any) -> nn.Module:
    """Return the model as one module; several are numbered in their order."""
    if isinstance(model, nn.Module):
        return model
    return nn.ModuleList(model)


def _name(model: Any) -> str:
    parts = [model] if isinstance(model, nn.Module) else model
    return "-".join(dict.fromkeys(type(part).__name__ for part in parts))
