"""Recording a training that other code runs: taps, seams and schedule, into a run file.

Nothing here may stop or change the training: the first fault of ours ends the recording, is kept in
``Recorder.fault`` and reaches nobody else.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from torch import Tensor, nn

from relume.observe.compiled import CompiledRegions
from relume.observe.deaths import EXCESS, MOVED, Certificates, Evidence, Move
from relume.observe.flows import Flows
from relume.observe.intercept import Interception, Switch
from relume.observe.naming import Names
from relume.observe.pending import Epochs, OpenStep, OpenWindow
from relume.observe.schedule import Budget, FixedPlan
from relume.observe.seams import Optimizer, Seams
from relume.observe.stepping import Stepper
from relume.observe.tally import Tally
from relume.observe.tap import ArmedTap
from relume.observe.unobserved import Unobserved
from relume.runs.records import Metric
from relume.runs.store import RunWriter

WINDOW_STEPS = 50
MOST_CLOSED_WINDOWS = 120
MOST_WAITING_METRICS = 1000
WRITING_SHARE = 0.25  # of the budget
SHORTEST_WAIT_S, LONGEST_WAIT_S = 0.5, 1.0  # between two writes: a killed run loses no more

P = ParamSpec("P")
R = TypeVar("R")


def _guarded(
    method: Callable[Concatenate["Recorder", P], R],
) -> Callable[Concatenate["Recorder", P], R | None]:
    """Do nothing once there was a fault; keep the first one and let the training go on."""

    @wraps(method)
    def guard(self: "Recorder", /, *args: P.args, **kwargs: P.kwargs) -> R | None:
        if self.fault is None:
            try:
                return method(self, *args, **kwargs)
            except Exception as error:  # noqa: BLE001
                self.fail(error)
        return None

    return guard


class Recorder:
    """Records the training of this process, from ``start`` to ``stop``.

    Args:
        open_writer: Makes the run file; called at the end of the first step.
        budget: Share of the time that watching may take.
        period: Arms every so many steps instead of keeping to the budget.
        is_full: Whether the flow through the weights is measured too.
        model: The model whose names are used first; found by itself if None.

    Attributes:
        fault: The first fault of ours, after which nothing more is recorded; None so far.
        writer: The run file, from the first step on.
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
        self.writer: RunWriter | None = None
        self.unobserved = Unobserved()
        self.stepper = Stepper()
        self.plan: Budget | FixedPlan = Budget(budget) if period is None else FixedPlan(period)
        self._open_writer = open_writer
        self._is_full = is_full
        self._budget = budget
        self._paused_at_s = self._write_at_s = time.perf_counter()
        self._switch = Switch()
        self._interception = Interception(self._switch)
        names = Names(model)
        self._tap = ArmedTap(names, self.unobserved)
        self._compiled = CompiledRegions(self._tap, names, self.unobserved)
        self._seams = Seams(self)
        self._tap.gradient_scale = lambda: self._seams.gradient_scale
        self._seams.is_weight = self._is_weight
        self._flows = Flows()
        self._evidence = Evidence()
        self._certificates = Certificates(self._evidence)
        self._window = OpenWindow(1)
        self._known_sites = 0
        self._told: Mapping[tuple[str, str], int] = {}
        self._metrics: list[Metric] = []
        self._step = OpenStep()
        self._ended: list[tuple[int, float | Tensor | None, float, bool]] = []
        self._epochs = Epochs()
        self._closed = 0
        self._window_steps = WINDOW_STEPS
        self.armed_steps = 0
        self._last_armed = 0
        self._is_armed = False

    @property
    def steps(self) -> int:
        """Steps recorded so far."""
        return self.stepper.number

    def start(self) -> None:
        """Patch torch and begin with the next step, the first or, after a pause, a later one."""
        try:
            self._interception.install()
            self._seams.install()
            self._compiled.install()
            self._write_at_s += time.perf_counter() - self._paused_at_s
            self._begin_step()
        except Exception as error:  # noqa: BLE001
            self.fail(error)

    def pause(self) -> None:
        """Put torch back as it was, and see nothing until ``start``."""
        self._paused_at_s = time.perf_counter()
        parts = (self._compiled, self._seams, self._interception)
        self._each(self._disarm, *(part.remove for part in parts))

    def stop(self) -> None:
        """Write what is open and put torch back as it was; the run file stays open for more."""
        self.pause()
        self._finish()

    def abandon(self) -> None:
        """See nothing more, and leave the run file to the process that has it open."""
        self.pause()
        if self.writer is not None:
            self.writer.let_go()
        self.writer = None

    def fail(self, error: Exception) -> None:
        """Keep a fault and see nothing more."""
        self.fault = self.fault or error
        with suppress(Exception):
            self._disarm()

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
        if self.stepper.has_leader or self._step.is_updating:
            is_end = False
        else:
            is_end = self.stepper.is_end_before_backward(self._weights())
        if self.stepper.is_by_hand and self._is_full:
            self._flows.after_update(self._tap.tallies)
        if is_end:
            self._end_step(math.nan)
        if loss is not None:
            self._step.add_loss(loss)

    def after_backward(self) -> None:
        """Take note of a backward pass that has ended."""
        if self.fault is not None:
            return
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
        self._step.is_updating = True
        if self._is_armed:
            self._before_flows(optimizer, has_closure=has_closure)

    def after_update(self, optimizer: Optimizer) -> None:
        """Take note of an update; it may end the step."""
        if self.fault is not None:
            return
        self._step.is_updating = False
        if self._is_armed and self._is_full:
            began_s = time.thread_time()
            norm = self._flows.after_update(self._tap.tallies)
            if math.isfinite(norm):
                self._evidence.note_gradient(self.steps + 1, norm)
            self._step.own_s += time.thread_time() - began_s
        if self.stepper.is_end_after_update(optimizer):
            self._end_step(_rate(optimizer))

    @_guarded
    def skip_update(self) -> None:
        """Take note of an update that was left out: its loss is none of a step's."""
        self._step.forget_losses()

    @_guarded
    def begin_epoch(self, loader: object) -> None:
        """Take note that a loader is read from its start."""
        self._work_up()
        ended = self._epochs.begin(loader, self.steps)
        if ended is not None and self.writer is not None:
            self.writer.write_epoch(ended)

    @_guarded
    def record_metric(self, name: str, value: float) -> None:
        """Record a score at the present step; what is no number is listed as not observed."""
        try:
            value = float(value)
        except (TypeError, ValueError, RuntimeError):
            self.unobserved.note(f"metric that is no number: {name}", None)
            return
        self._metrics.append(Metric(name, self.steps, value))
        if self.writer is not None and len(self._metrics) >= MOST_WAITING_METRICS:
            self._write_metrics(self.writer)

    def _write_metrics(self, writer: RunWriter) -> None:
        for name in writer.write_metrics(self._metrics):
            self.unobserved.note(f"metric beyond the first 200: {name}", None)
        self._metrics.clear()

    def _is_weight(self, tensor: Tensor) -> bool:
        owners = (weight for tally in self._tap.tallies for weight in tally.owner)
        return isinstance(tensor, nn.Parameter) or any(tensor is owner for owner in owners)

    def _weights(self) -> Iterator[Tensor]:
        for tally in self._tap.tallies:
            yield from tally.owner[:1]
        for root in self._tap.names.roots:
            yield from root.parameters()

    def _before_flows(self, optimizer: Optimizer | None, *, has_closure: bool) -> None:
        """Note deaths, gradients and weights while the weights are still those of the step."""
        if not self._is_armed:
            return
        began_s = time.thread_time()
        tallies, step = self._tap.tallies, self.steps + 1
        if self._is_full:
            self._evidence.note_input(step, self._tap.calls.last_input)
        for tally in tallies:
            self._note_falls(tally, step)
        if self._is_full:
            groups = (
                optimizer.param_groups if optimizer is not None else [{"params": self._weights()}]
            )
            given = {id(weight) for group in groups for weight in group["params"]}
            norm = self._flows.before_update(tallies, given, has_closure=has_closure)
            self._evidence.note_gradient(step, norm)
        self._step.own_s += time.thread_time() - began_s

    def _note_falls(self, tally: Tally, step: int) -> None:
        fell = tally.end_step(step)
        if fell is not None:
            flows = self._flows
            rows = flows.row_changes(tally, fell)
            before = max(map(flows.change, _all_sources(tally)), default=0.0)
            move = Move(rows, before, flows.usual_update(tally), self._is_general_move(step))
            self._certificates.note(tally, fell, move, step)

    def _is_general_move(self, step: int) -> bool:
        """Whether all weights moved farther since the last armed step than is usual."""
        flows, steps = self._flows, step - self._last_armed
        moves = [(flows.change(each), flows.usual_update(each)) for each in self._tap.tallies]
        return bool(moves) and all(
            change >= MOVED and change > EXCESS * usual * steps for change, usual in moves
        )

    def _end_step(self, rate: float) -> None:
        """End a step; one that is not armed is noted down, and worked up with the next ones."""
        now_s = time.thread_time()
        number, step = self.stepper.number, self._step
        self._ended.append((number, step.loss(), rate, self._is_armed))
        if self._is_armed:
            self._end_armed_step(number)
            began_s, now_s = now_s, time.thread_time()
            step.own_s += now_s - began_s
        self.plan.note(now_s - step.began_s, step.own_s, was_armed=self._is_armed)
        is_next_armed = number + 1 >= self.plan.next_step
        if self._is_armed or is_next_armed or time.perf_counter() >= self._write_at_s:
            self._work_up()
            self._write_if_due(number)
            self._begin_step()
        else:
            step.begin(now_s)

    def _work_up(self) -> None:
        """Add the steps that were noted down to the window, the epoch and the evidence."""
        for number, loss, rate, was_armed in self._ended:
            self._window.add(number, loss, rate, is_armed=was_armed)
            self._epochs.add(number, loss, rate)
            self._evidence.note_step(number, loss if isinstance(loss, float) else math.nan, rate)
        self._ended.clear()

    def _end_armed_step(self, number: int) -> None:
        self.armed_steps += 1
        fault = self._tap.fault or self._tap.calls.fault
        if fault is not None:
            raise fault
        for tally in self._tap.tallies:
            self._note_falls(tally, number)
        self._last_armed = number

    def _begin_step(self) -> None:
        self._step.begin(time.thread_time())
        wanted = self.plan.is_armed(self.steps + 1)
        if wanted != self._is_armed:
            if wanted:
                self._arm()
            else:
                self._disarm()
        if wanted:
            self._tap.begin_step()

    def _arm(self) -> None:
        self._compiled.prepare()
        self._tap.arm()
        self._switch.tap = self._tap
        self._is_armed = True

    def _disarm(self) -> None:
        self._switch.tap = None
        self._tap.disarm()
        self._is_armed = False

    def _write_if_due(self, number: int) -> None:
        began_s = time.perf_counter()
        if began_s < self._write_at_s and self.writer is not None:
            return
        if self.writer is None:
            self._open()
        self._write(number)
        if self._window.steps >= self._window_steps:
            self._close_window(number)
        ended_s = time.perf_counter()
        affordable_s = (ended_s - began_s) / (WRITING_SHARE * self._budget)
        self._write_at_s = ended_s + min(LONGEST_WAIT_S, max(SHORTEST_WAIT_S, affordable_s))

    def _open(self) -> None:
        self.writer = self._open_writer()
        self.writer.set_layers([])

    def _write(self, number: int) -> None:
        writer = self.writer
        if writer is None or not self._window.steps:
            return
        self._flows.settle()
        tallies = self._tap.tallies
        if len(tallies) > self._known_sites:
            new = tallies[self._known_sites :]
            writer.add_layers([tally.layer for tally in new])
            self._known_sites = len(tallies)
        self._window.add_layers([tally.end_window(number) for tally in tallies])
        writer.write_window(self._window.value(), [t.lifetimes.value() for t in tallies])
        if self._metrics:
            self._write_metrics(writer)
        if not self._certificates.is_empty:
            writer.write_deaths([self._certificates.value(t) for t in tallies])
        if self.unobserved.counts != self._told:
            self._told = self.unobserved.counts
            writer.write_unobserved(self._told)

    def _close_window(self, number: int) -> None:
        self._window = OpenWindow(number + 1)
        self._closed += 1
        if self._closed % MOST_CLOSED_WINDOWS == 0:
            self._window_steps *= 2

    @_guarded
    def _finish(self) -> None:
        if self.writer is None:
            return
        self._work_up()
        self._write(self.steps)
        ended = self._epochs.end(self.steps)
        if ended is not None:
            self.writer.write_epoch(ended)
        self.writer.write_deaths([self._certificates.value(t) for t in self._tap.tallies])
        for name in sorted(self._flows.uncopied):
            self.unobserved.note("update ratio and row changes: the weights are large", name)
        self.writer.write_unobserved(self.unobserved.counts)

    def overhead(self) -> Mapping[str, Any]:
        """Return what watching cost, as plain JSON data; what was not measured is left out."""
        costs = self.plan.costs if isinstance(self.plan, FixedPlan) else self.plan
        known = {
            "armed_steps": self.armed_steps,
            "steps": self.steps,
            "armed_cost_s": costs.cost_s,
            "step_s": costs.plain_s,
        }
        if isinstance(self.plan, Budget):
            known |= {"budget": self.plan.share, "period": self.plan.period}
        if self.steps and costs.plain_s > 0:
            cost_s = max(0.0, costs.cost_s)
            known["measured_share"] = cost_s * self.armed_steps / (costs.plain_s * self.steps)
        return {name: value for name, value in known.items() if math.isfinite(value)}


def _rate(optimizer: Optimizer) -> float:
    """Return the rate of the first group; nan where it has none that can be read at once."""
    rate = optimizer.param_groups[0].get("lr", math.nan)
    is_elsewhere = isinstance(rate, Tensor) and (rate.device.type != "cpu" or rate.numel() != 1)
    return math.nan if is_elsewhere else float(rate)


def _all_sources(tally: Tally) -> set[Tally]:
    """Return the sites that feed one, and those that feed them."""
    found: set[Tally] = set()
    waiting = list(tally.sources)
    while waiting:
        source = waiting.pop()
        if source not in found:
            found.add(source)
            waiting.extend(source.sources)
    return found
