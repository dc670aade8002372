"""Repair of a training that runs, beside its record: nothing of it may stop or break the script.

The actions that go on act in hooks of every update. All else happens right after the update that
ends a window. The first fault of ours undoes what was not yet judged, takes out what goes on, and
ends the repair; the training goes on as if it had never been.
"""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from relume.diagnosis.engine import diagnose
from relume.errors import RelumeError
from relume.observe.pending import Ended
from relume.observe.recorder import Recorder
from relume.remedies.actions import skip_nonfinite
from relume.remedies.live.choice import ALLOWED, Allow
from relume.remedies.live.doctor import Doctor
from relume.remedies.live.training import Inputs, find_followers, model_of, updates
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.runs.query import read_run
from relume.runs.remedies import AppliedRemedy
from relume.runs.wording import count

if TYPE_CHECKING:
    from torch.utils.hooks import RemovableHandle

Optimizer = torch.optim.Optimizer
MOST_STEPS_TOLD = 20


class CannotRepairError(RelumeError):
    """A training that is not repaired, and why."""


class LiveRepair:
    """Repairs what a recorder records.

    Args:
        recorder: Records the training, by step counts.
        allow: How far a repair may go.
        tell: Says one line to the person.

    Attributes:
        reason: Why nothing more is repaired; empty as long as it is.
    """

    def __init__(self, recorder: Recorder, allow: Allow, tell: Callable[[str], None]) -> None:
        self.reason = ""
        self._recorder = recorder
        self._allowed = ALLOWED[allow]
        self._tell = tell
        self._models: Callable[[], tuple[nn.Module, ...]] = tuple
        self._inputs = Inputs()
        self._doctor: Doctor | None = None
        self._patient: Patient | None = None
        self._guard: skip_nonfinite.Skip | None = None
        self._skips: list[int] = []
        self._skipped = 0
        self._ended: Ended = []
        self._due: int | None = None
        self._is_updating = self._is_followed = False
        self._thread = 0
        self._hooks: list[RemovableHandle] = []

    def start(self) -> None:
        """Begin to attend, once the recorder has put its own hooks in place."""
        self._models = self._recorder.attend(self)
        self._hooks = [
            register_optimizer_step_pre_hook(self._before_update),
            register_optimizer_step_post_hook(self._after_update),
        ]

    def abandon(self) -> None:
        """Act no more, and leave everything as it is: a forked child goes on by itself."""
        self.reason = "abandoned"
        for hook in self._hooks:
            hook.remove()
        self._hooks = []

    def stop(self) -> None:
        """Take every hook out; nothing is raised."""
        for hook in self._hooks:
            hook.remove()
        self._hooks = []
        try:
            if self._doctor is not None and not self.reason:
                self._doctor.finish(self._recorder.steps)
            self._write()
        except Exception as error:  # noqa: BLE001
            self._end(error)

    def note_pass(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Hold the inputs of the model, while it trains."""
        if self.reason or not (module.training and torch.is_grad_enabled()):
            return
        try:
            if self._patient is None or module is self._patient.model:
                self._inputs.note(inputs)
        except Exception as error:  # noqa: BLE001
            self._end(error)

    def note_steps(self, ended: Ended) -> None:
        """Take note of the losses of steps."""
        if not self.reason:
            self._ended += ended

    def end_window(self, step: int) -> None:
        """Have the window judged when the update that ended it is over."""
        self._due = step

    def _before_update(self, optimizer: Optimizer, args: Any, named: Any) -> None:
        if self.reason:
            return
        try:
            has_closure = any(map(callable, (*args[1:], *named.values())))
            self._check(has_closure=has_closure)
            self._is_updating = True
            patient = self._patient or self._begin(optimizer)
            if self._is_ours(optimizer, patient):
                patient.before_update()
        except Exception as error:  # noqa: BLE001
            self._end(error)

    def _after_update(self, optimizer: Optimizer, _: object, __: object) -> None:
        if self.reason:
            return
        try:
            self._is_updating = False
            patient, doctor = self._patient, self._doctor
            if patient is None or doctor is None:
                return
            if self._is_ours(optimizer, patient):
                patient.after_update()
                self._note_skips()
            if self._due is not None:
                step, self._due = self._due, None
                self._end_window(doctor, patient, step)
        except Exception as error:  # noqa: BLE001
            self._end(error)

    def _check(self, *, has_closure: bool) -> None:
        """Refuse updates between which nobody could act."""
        self._thread = self._thread or threading.get_ident()
        if self._is_updating or threading.get_ident() != self._thread:
            raise CannotRepairError("several threads, or one optimizer inside another, update")
        if has_closure:
            raise CannotRepairError("the optimizer calls the model by itself (a closure)")

    def _begin(self, optimizer: Optimizer) -> Patient:
        """Take up the training, before its first update."""
        together = torch.distributed
        if together.is_available() and together.is_initialized() and together.get_world_size() > 1:
            raise CannotRepairError("several processes train one model")
        model = model_of(optimizer, self._models())
        if model is None:
            raise CannotRepairError("the optimizer updates no model that is known")
        patient = Patient(model, (optimizer,))
        if skip_nonfinite.ACTION.safety in self._allowed:
            self._guard = skip_nonfinite.Skip(patient, skip_nonfinite.MOST)
            patient.standings.append(self._guard)
        find_followers(patient)
        self._doctor = Doctor(patient, self._allowed, self._ask, self._tell, self._guard)
        self._patient = patient
        return patient

    def _is_ours(self, optimizer: Optimizer, patient: Patient) -> bool:
        """Whether an optimizer updates the model; one that was not known is taken up."""
        if any(optimizer is known for known in patient.optimizers):
            return True
        if not updates(optimizer, patient.model):
            return False
        patient.optimizers = (*patient.optimizers, optimizer)
        return True

    def _end_window(self, doctor: Doctor, patient: Patient, step: int) -> None:
        doctor.note(self._ended)
        self._ended = []
        if not self._is_followed:  # schedules may be made after the first update
            self._is_followed = True
            find_followers(patient)
        self._inputs.give_to(patient)
        before = list(doctor.treatments)
        doctor.end_window(step)
        patient.sample = patient.batches = None
        self._skipped = self._guard.skipped if self._guard is not None else 0
        if doctor.treatments != before:
            self._write()

    def _ask(self) -> Any:
        writer = self._recorder.output.writer
        if writer is None:
            raise CannotRepairError("there is no record to judge by")
        return diagnose(read_run(writer.path))

    def _note_skips(self) -> None:
        guard = self._guard
        if guard is None or guard.skipped <= self._skipped:
            return
        self._skipped = guard.skipped
        self._skips.append(self._recorder.steps)
        if len(self._skips) == 1:
            step = f"step {self._skips[0]:,}"
            self._tell(f"{step}: the gradients are not finite; this update was skipped")

    def _precaution(self) -> list[AppliedRemedy]:
        """Return what is to be told of skipped updates, if there were any."""
        if not self._skips:
            return []
        action = skip_nonfinite.ACTION
        plan = Plan(action.name, numbers={"most": skip_nonfinite.MOST})
        message = "gradients that were not finite"
        skipped = count(len(self._skips), "update")
        return [
            AppliedRemedy(
                step=self._skips[0],
                action=action.name,
                plan=plan.to_json() | {"said": action.describe(plan), "first": []},
                evidence={"code": None, "where": None, "message": message}
                | {
                    "numbers": {"skipped": len(self._skips), "steps": self._skips[:MOST_STEPS_TOLD]}
                },
                verdict=f"{skipped} skipped: each would have left weights without a finite number",
                is_kept=True,
            )
        ]

    def _write(self) -> None:
        """Write what was done; the first number is that of what was skipped."""
        writer = self._recorder.output.writer
        if writer is None:
            return
        treatments = [] if self._doctor is None else self._doctor.treatments
        for number, treatment in enumerate(treatments, start=2):
            writer.write_remedy(treatment, number)
        for precaution in self._precaution():
            writer.write_remedy(precaution, 1)

    def _end(self, error: Exception) -> None:
        """End the repair and leave the training to itself."""
        if self.reason:
            return
        fault = "" if isinstance(error, RelumeError) else f"{type(error).__name__}: "
        self.reason = fault + (" ".join(str(error).split()) or "a fault of Relume")
        with suppress(Exception):
            if os.environ.get("RELUME_TRACEBACK"):
                import traceback

                traceback.print_exception(error)
            self._tell(f"nothing is repaired from here on: {self.reason}")
        with suppress(Exception):
            if self._doctor is not None:
                self._doctor.give_up()
        self._inputs = Inputs()
        self._patient = None
