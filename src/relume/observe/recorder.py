"""Recording a training that other code runs: taps, seams and schedule, into a run file.

Nothing here may stop or change the training: the first fault of ours ends the recording, is kept in
``Recorder.fault`` and reaches nobody else.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from torch import Tensor, nn

from relume.observe.attendant import Attendant
from relume.observe.compiled import CompiledRegions
from relume.observe.guarding import guarded
from relume.observe.intercept import Interception, Switch
from relume.observe.naming import Names
from relume.observe.observation import Observation
from relume.observe.output import Output
from relume.observe.pending import Ended, OpenStep
from relume.observe.quick import Quick
from relume.observe.schedule import Budget, FixedPlan, overhead_of
from relume.observe.seams import Optimizer, Seams, rate_of
from relume.observe.sharding import is_readable
from relume.observe.stepping import Stepper
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved
from relume.runs.store import RunWriter

TIMED_STEPS = 4
"""Plain steps after a measured one that are timed."""


class Recorder:
    """Records the training of this process, from ``start`` to ``stop``.

    Args:
        open_writer: Makes the run file; called at the end of the first step.
        budget: Share of the time that watching may take.
        period: Arms every so many steps instead of keeping to the budget.
        is_full: Whether more than the units is measured: weights, data, losses, modules.
        model: The model whose names are used first; found by itself if None.

    Attributes:
        fault: The first fault of ours, after which nothing more is recorded; None so far.
        output: What is written, and the run file.
        lock: Held while something is taken note of: a script may train in several threads.
    """

    def __init__(
        self,
        open_writer: Callable[[], RunWriter],
        *,
        budget: float = 0.01,
        period: int | None = None,
        is_full: bool = True,
        model: nn.Module | None = None,
    ) -> None:
        self.fault: Exception | None = None
        self.unobserved = Unobserved()
        self.stepper = Stepper()
        self.plan: Budget | FixedPlan = Budget(budget) if period is None else FixedPlan(period)
        self.lock = threading.RLock()
        self._is_full = is_full
        self._paused_at_s = time.perf_counter()
        self._switch = Switch()
        self._interception = Interception(self._switch)
        names = Names(model)
        self._tap = ArmedTap(names, self.unobserved)
        self._compiled = CompiledRegions(self._tap, names, self.unobserved)
        self._seams = Seams(self)
        self._tap.gradient_scale = lambda: self._seams.gradient_scale
        self._seams.is_weight = self._is_weight
        self._seen = Observation(
            self._tap, self.unobserved, self._compiled, lambda: self.steps, self.fail
        )
        self._seams.on_eval = self._seen.data.begin_evaluation
        self.output = Output(
            open_writer,
            self.unobserved,
            self._seen.certificates,
            budget,
            self._seen.losses,
            observers=self._seen.observers,
            weights=self._seen.inventory,
        )
        self._step = OpenStep()
        self._ended: Ended = []
        self._quick = Quick(self._end_quick_step, self.fail, self._step, self.stepper, self._ended)
        self._seams.quick = self._quick
        self.armed_steps = 0
        self._is_armed = False

    def attend(self, attendant: Attendant) -> Callable[[], tuple[nn.Module, ...]]:
        """Tell somebody of the training from now on; return what gives the models seen so far."""
        self.output.attendant = attendant
        self._tap.calls.on_pass.append(attendant.note_pass)
        return lambda: self._tap.names.roots

    @property
    def steps(self) -> int:
        """Steps recorded so far."""
        return self.stepper.number

    def start(self) -> None:
        """Patch torch and begin with the next step, the first or, after a pause, a later one."""
        try:
            self._interception.install()
            self._switch.losses = self._seen.losses
            self._seams.install()
            self._compiled.install()
            self.output.delay(time.perf_counter() - self._paused_at_s)
            self._begin_step()
        except Exception as error:  # noqa: BLE001
            self.fail(error)

    def pause(self) -> None:
        """Put torch back as it was, and see nothing until ``start``."""
        self._paused_at_s = time.perf_counter()
        self._quick.is_on = False
        self._switch.losses = None
        parts = (self._compiled, self._seams, self._interception)
        self._each(self._disarm, self._seen.data.end_evaluation, *(part.remove for part in parts))

    def stop(self) -> None:
        """Write what is open and put torch back as it was; the run file stays open for more."""
        self.pause()
        self._finish()

    def abandon(self) -> None:
        """See nothing more, and leave the run file to the process that has it open."""
        self.pause()
        if self.output.writer is not None:
            self.output.writer.let_go()
        self.output.writer = None

    def fail(self, error: Exception) -> None:
        """Keep a fault and see nothing more."""
        self.fault = self.fault or error
        self._quick.is_on = False
        self._switch.losses = None
        with suppress(Exception):
            self._disarm()
            self._seen.data.end_evaluation()

    def _each(self, *actions: Callable[[], None]) -> None:
        """Do all of them, whatever becomes of the others."""
        for action in actions:
            try:
                action()
            except Exception as error:  # noqa: BLE001
                self.fail(error)

    def before_backward(self, loss: Tensor | None) -> None:
        """Take note of a loss that is about to be differentiated."""
        if self.fault is not None:
            return
        with self.lock:
            if self.stepper.has_leader or self._step.is_updating:
                is_end = False
            else:
                is_end = self.stepper.is_end_before_backward(self._weights())
            if self.stepper.is_by_hand and self._is_full:
                self._seen.flows.after_update(self._tap.tallies)
                self._seen.inventory.after_update(self.steps, is_by_hand=True)
            if is_end:
                self._end_step(math.nan)
            if self._seen.is_looking:
                began_s = time.perf_counter()
                self._seen.inventory.before_backward(is_after_update=is_end)
                self._step.own_s += time.perf_counter() - began_s
            if loss is not None:
                self._seen.losses.before_backward(loss)
                self._step.add_loss(loss)

    def after_backward(self) -> None:
        """Take note of a backward pass that has ended."""
        if self.fault is not None:
            return
        with self.lock:
            if not (self._is_armed or self.stepper.is_by_hand):
                return
            if self.stepper.is_by_hand:
                self._before_flows(None, has_closure=False)
            if self.stepper.is_end_after_backward():
                self._end_step(math.nan)
            elif self._is_armed and self._tap.calls.root is None:
                self._tap.calls.begin_pass(None)

    def before_update(self, optimizer: Optimizer, *, has_closure: bool) -> None:
        """Take note of gradients and weights before an update."""
        if self.fault is not None:
            return
        with self.lock:
            self._step.is_updating = True
            if self._is_armed:
                # A fused optimizer divides by the scale of the gradients itself.
                scale = getattr(optimizer, "grad_scale", None)
                self._before_flows(optimizer, has_closure=has_closure, scale=scale)

    def after_update(self, optimizer: Optimizer) -> None:
        """Take note of an update; it may end the step."""
        if self.fault is not None:
            return
        with self.lock:
            self._step.is_updating = False
            if self._is_armed and self._is_full:
                began_s = time.perf_counter()
                self._seen.after_update(self.steps + 1)
                self._step.own_s += time.perf_counter() - began_s
            before = self.steps
            is_end = self.stepper.is_end_after_update(optimizer)
            self._seen.inventory.optimizers.note_update(
                optimizer, before, self.steps, is_armed=self._seen.is_looking
            )
            if is_end:
                self._end_step(rate_of(optimizer))

    @guarded
    def skip_update(self) -> None:
        """Take note of an update that was left out: its loss is none of a step's."""
        self._step.forget_losses()
        self._quick.losses.clear()
        self._seen.inventory.optimizers.forget_passes()

    @guarded
    def begin_epoch(self, loader: object) -> None:
        """Take note that a loader is read from its start."""
        self._work_up()
        self._seen.data.begin_reading(loader)
        self.output.begin_epoch(loader, self.steps)

    @guarded
    def record_metric(self, name: str, value: float) -> None:
        """Record a score at the present step; what is no number is listed as not observed."""
        self.output.add_metric(name, self.steps, value)

    def _is_weight(self, tensor: Tensor) -> bool:
        owners = (weight for tally in self._tap.tallies for weight in tally.owner)
        return isinstance(tensor, nn.Parameter) or any(tensor is owner for owner in owners)

    def _weights(self) -> Iterator[Tensor]:
        for tally in self._tap.tallies:
            yield from tally.owner[:1]
        for root in self._tap.names.roots:
            yield from root.parameters()

    def _before_flows(
        self, optimizer: Optimizer | None, *, has_closure: bool, scale: Tensor | None = None
    ) -> None:
        """Note deaths, gradients and weights while the weights are still those of the step."""
        if not self._is_armed:
            return
        began_s = time.perf_counter()  # far cheaper than the time of a thread
        step = self.steps + 1
        if not self._is_full:
            self._seen.note_falls(step)
        else:
            groups = (
                optimizer.param_groups
                if optimizer is not None
                else [{"params": filter(is_readable, self._weights())}]
            )
            given = {id(weight) for group in groups for weight in group["params"]}
            self._seen.before_update(step, optimizer, given, has_closure=has_closure, scale=scale)
        self._step.own_s += time.perf_counter() - began_s

    def _end_step(self, rate: float) -> None:
        """End a step; one that is not armed is noted down, and worked up with the next ones."""
        now_s = time.thread_time()
        number, step = self.stepper.number, self._step
        step.add_values(self._quick.losses)
        self._quick.losses.clear()
        self._ended.append((number, step.loss(), rate, self._is_armed))
        if self._is_armed:
            began_s = time.perf_counter()
            self._end_armed_step(number)
            took_s = time.perf_counter() - began_s
            step.own_s += took_s
            now_s += took_s
        self.plan.note(now_s - step.began_s, step.own_s, was_armed=self._is_armed)
        is_next_armed = number + 1 >= self.plan.next_step
        if self._is_armed or is_next_armed or time.perf_counter() >= self.output.write_at_s:
            self._leave(number)
        else:
            step.begin(now_s)
            self._open_quick()

    def _end_quick_step(self, optimizer: Optimizer) -> None:
        """End a step on the short way: note it down, and no more unless something is due."""
        quick, losses = self._quick, self._quick.losses
        number = self.stepper.count()
        loss = losses[0] if len(losses) == 1 else sum(losses) if losses else self._step.loss()
        self._ended.append((number, loss, rate_of(optimizer), False))
        losses.clear()
        if quick.timed:
            quick.timed -= 1
            now_s = time.thread_time()
            self.plan.note(now_s - self._step.began_s, 0.0, was_armed=False)
            self._step.begin(now_s)
        if number + 1 >= self.plan.next_step or time.perf_counter() >= self.output.write_at_s:
            with self.lock:
                self._leave(number)
        else:
            quick.is_on = True

    def _leave(self, number: int) -> None:
        """End the step that is due for more."""
        self._work_up()
        self.output.write_if_due(number, self._tap.tallies)
        self._begin_step()

    def _work_up(self) -> None:
        """Add the steps that were noted down to the window, the epoch and the evidence."""
        if self._ended:
            self.output.add(self._ended)
            self._seen.evidence.note_steps(self._ended)
            self._ended.clear()
        self._seen.inventory.optimizers.catch_up(self.steps)

    def _end_armed_step(self, number: int) -> None:
        self.armed_steps += 1
        self._seen.end_armed_step(number)

    def _begin_step(self) -> None:
        self._step.begin(time.thread_time())
        wanted = self.plan.is_armed(self.steps + 1)
        self._seen.begin_step(
            is_looking=wanted and self._is_full and self.plan.is_look,
            is_by_hand=self.stepper.is_by_hand,
        )
        if wanted != self._is_armed:
            (self._arm if wanted else self._disarm)()
        if wanted:
            self._quick.is_on = False
            self._tap.begin_step()
        else:
            self._open_quick()

    def _open_quick(self) -> None:
        leader = self.stepper.leader
        if leader is not None and not self.stepper.is_by_hand and self.fault is None:
            self._quick.timed = TIMED_STEPS
            self._quick.open(leader, self.plan.next_step, self.output.write_at_s)

    def _arm(self) -> None:
        self._compiled.prepare()
        self._tap.arm()
        self._switch.tap = self._tap
        self._is_armed = True

    def _disarm(self) -> None:
        self._switch.tap = None
        self._tap.disarm()
        self._seen.inventory.rest()
        self._is_armed = False

    @guarded
    def _finish(self) -> None:
        self._work_up()
        self._seen.note_large_weights()
        self.output.finish(self.steps, self._tap.tallies)

    def overhead(self) -> Mapping[str, Any]:
        """Return what watching cost, as plain JSON data; what was not measured is left out."""
        return overhead_of(self.plan, self.steps, self.armed_steps)
