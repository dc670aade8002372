"""Who treats a training that runs: finds out what is wrong, treats it, and keeps what helps.

One treatment at a time, judged by the later half of the losses since. What is clearly worse after
one window is undone. After two windows it is kept if it is better than the untreated course, which
is extrapolated. If not, it is undone, and the untreated training goes on from the same state for as
many steps; if the treated one turns out to have been better than that (which is measured now, not
extrapolated), its state is put back. So what did not help costs the steps of its trial, and so does
what is put back. After a few that were undone, nothing more is tried.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Finding, Safety
from relume.observe.pending import Ended
from relume.remedies.actions import get_action, skip_nonfinite
from relume.remedies.actions.skip_nonfinite import Skip
from relume.remedies.live.choice import Option, is_of_skipped, may_pass, open_findings, options_for
from relume.remedies.live.course import Course, Numbers
from relume.remedies.live.forecast import (
    FEWEST,
    LOSS,
    Judgement,
    is_clearly_worse,
    judge_course,
    judge_measured,
    sentence_of,
)
from relume.remedies.live.training import State, unversioned
from relume.remedies.patient import Patient
from relume.runs.wording import count

if TYPE_CHECKING:
    from relume.runs.remedies import AppliedRemedy

TRIAL_WINDOWS = 2
"""So many windows are treated, and then, if need be, as many are not."""

CONFIDENCE = 0.975
"""Of each of the two looks: together 95 %."""

TREND_WINDOWS = 2
"""So many pass before a treatment: without a trend, none could be judged."""

MOST_OF_STEPS = 0.1
"""So far: what may pass by itself waits until a trial takes no more of them."""

MOST_BLOCKS = 40
MOST_TREATMENTS, MOST_UNDONE = 16, 4
EACH_WINDOW = 8
"""The rules are asked after each of so many windows, and then ever more rarely: the gap is that
share of the windows so far."""


@dataclass(slots=True)
class _Open:
    """A treatment that is being judged.

    Args:
        before: The training without it.
        began: Step at which this part of its trial began.
        keeps_function: Whether the network computed the same right after the treatment.
        windows: Of this part.
        treated: The training with it, and its losses, while the untreated one runs.
    """

    before: State
    began: int
    keeps_function: bool = True
    windows: int = 0
    treated: tuple[State, Numbers] | None = None


class Doctor:
    """Treats a patient at the ends of windows.

    Args:
        patient: The training.
        allowed: What may be touched.
        ask: Asks the rules about the record so far.
        tell: Says one line to the person.
        guard: Skips updates that are not finite; None without one.

    Attributes:
        treatments: What was done so far, the last one perhaps not judged yet.
        course: The loss so far.
    """

    def __init__(
        self,
        patient: Patient,
        allowed: frozenset[Safety],
        ask: Callable[[], Diagnosis],
        tell: Callable[[str], None],
        guard: Skip | None = None,
    ) -> None:
        self.treatments: list[AppliedRemedy] = []
        self.course = Course()
        self._patient = patient
        self._allowed = allowed
        self._ask = ask
        self._tell = tell
        self._guard = guard
        self._undone = 0
        self._open: _Open | None = None
        self._settled: set[tuple[str, str | None]] = set()
        self._tried: set[tuple[str, str | None, tuple[str, ...]]] = set()
        self._kept_at = 0
        self._course_from = 0
        self._windows = 0
        self._next = TREND_WINDOWS
        patient.good = State(patient)

    def note(self, ended: Ended) -> None:
        """Take note of steps that have ended."""
        self.course.note(ended)

    def end_window(self, step: int) -> None:
        """Judge what was done, or ask the rules and treat what they find.

        Raises:
            SnapshotError: The state of the training does not fit into memory.
        """
        self._patient.step = step
        self._windows += 1
        if self._open is not None:
            self._judge(self._open, step)
        elif self._windows >= self._next:
            self._next = self._windows + max(1, self._windows // EACH_WINDOW)
            self._look(step)

    def finish(self, step: int) -> None:
        """Say of a treatment that is still open that it was not judged: the training is over."""
        if self._open is not None:
            after = count(step - self._open.began, "step")
            self._close(step, f"not judged: the training ended {after} later")
        self._patient.finish()

    def give_up(self) -> None:
        """Undo what is not known to help, and take out what goes on."""
        opened = self._open
        if opened is not None:
            self._open = None
            self.treatments[-1] = replace(
                self.treatments[-1], verdict="undone: the repair ended", is_kept=False
            )
            if opened.treated is None:
                opened.before.restore()
        for standing in reversed(self._patient.standings):
            standing.remove()
        self._patient.standings.clear()

    def _look(self, step: int) -> None:
        settled = frozenset(self._settled)
        found = open_findings(self._ask().findings, settled, self._kept_at)
        if self._is_guarded(step):
            found = [each for each in found if not is_of_skipped(each)]
        if len(self.treatments) < MOST_TREATMENTS and self._undone < MOST_UNDONE:
            for finding in found:
                if self._is_due(finding) and self._treat(finding, step):
                    return
        if not found and self._is_finite():
            self._patient.good = State(self._patient)

    def _is_due(self, finding: Finding) -> bool:
        """Whether a finding may be treated yet."""
        return not may_pass(finding) or MOST_OF_STEPS * self._windows >= TRIAL_WINDOWS

    def _is_guarded(self, step: int) -> bool:
        """Whether the training goes on well beside the updates that are skipped."""
        _, losses = self.course.between(self._course_from, step)
        return self._guard is not None and self._is_finite() and not math.isnan(losses[-1:].sum())

    def _is_finite(self) -> bool:
        return all(bool(each.isfinite().all()) for each in self._patient.parameters())

    def _treat(self, finding: Finding, step: int) -> bool:
        """Apply the first option for a finding that was not tried; return whether there was one."""
        for option in options_for(finding, self._patient, self._allowed):
            is_guards = option.plans[-1].action == skip_nonfinite.ACTION.name and self._guard
            if option.key not in self._tried and not is_guards and self._apply(option, step):
                return True
        return False

    def _apply(self, option: Option, step: int) -> bool:
        """Apply an option; return whether it could be."""
        self._tried.add(option.key)
        before = State(self._patient)
        try:
            with unversioned(self._patient):
                for plan in option.plans:
                    standing = get_action(plan.action).apply(plan, self._patient)
                    if standing is not None:
                        self._patient.standings.append(standing)
        except BaseException as error:
            before.restore()
            if not isinstance(error, Exception):
                raise
            reason = " ".join(str(error).split()) or type(error).__name__
            said = f"could not be applied, and nothing was changed: {reason}"
            self.treatments.append(option.record(step, said, is_kept=False))
            return False
        self._patient.step = step
        self.treatments.append(option.record(step))
        keeps_function = all(get_action(plan.action).keeps_function for plan in option.plans)
        self._open = _Open(before, step, keeps_function=keeps_function)
        self._tell(f"step {step:,}: {option.finding.code}, so: {option.said}")
        return True

    def _judge(self, opened: _Open, step: int) -> None:
        opened.windows += 1
        after = self.course.between(opened.began + (step - opened.began) // 2, step)
        is_broken = len(after[1]) > 0 and math.isnan(after[1][-1])
        if not len(after[1]):
            return
        is_over = opened.windows >= TRIAL_WINDOWS or is_broken
        if opened.treated is not None:
            if is_over:
                self._compare(opened.treated, after[1], step)
            return
        before = self._before(opened.began)
        is_worse = opened.keeps_function and is_clearly_worse(before, after, confidence=CONFIDENCE)
        if not (is_over or is_worse):
            return
        judgement = judge_course(before, after, confidence=CONFIDENCE)
        if judgement.verdict.is_kept:
            self._keep(step, judgement)
            return
        treated = None if is_broken or is_worse else (State(self._patient), after[1])
        opened.before.restore()
        if treated is None:
            self._undone += 1
            self._close(step, sentence_of(judgement, "undone"), judgement)
            return
        self._open = _Open(opened.before, step, treated=treated)
        self._tell(
            f"step {step:,}: not better by the trend of the {LOSS}; undone, and the untreated "
            "training runs from the same state for as long"
        )

    def _compare(self, treated: tuple[State, Numbers], untreated: Numbers, step: int) -> None:
        """Judge by what was measured with the treatment and without it."""
        state, losses = treated
        judgement = judge_measured(untreated, losses, confidence=CONFIDENCE)
        if judgement.verdict.is_kept:
            state.restore()
            self._keep(step, judgement)
        else:
            self._undone += 1
            self._close(step, sentence_of(judgement, "undone"), judgement)

    def _keep(self, step: int, judgement: Judgement) -> None:
        evidence = self.treatments[-1].evidence
        self._settled.add((evidence["code"], evidence["where"]))
        self._kept_at = step
        self._patient.good = State(self._patient)
        self._close(step, sentence_of(judgement, "kept"), judgement)

    def _close(self, step: int, sentence: str, judgement: Judgement | None = None) -> None:
        """End the judging; a new trend takes two windows."""
        self._open = None
        self._course_from = step
        self._next = self._windows + TREND_WINDOWS
        said = replace(self.treatments[-1], verdict=f"{sentence}, at step {step:,}")
        if judgement is not None:
            verdict = judgement.verdict
            low, high = verdict.interval
            said = replace(said, gain=verdict.gain, low=low, high=high, is_kept=verdict.is_kept)
        self.treatments[-1] = said
        self._tell(f"step {step:,}: {sentence}")

    def _before(self, step: int) -> tuple[Numbers, Numbers]:
        """Return the later half of what is known of the course before a step."""
        steps, losses = self.course.between(self._course_from, step)
        most = min(MOST_BLOCKS, max(FEWEST, len(steps) // 2))
        return steps[-most:], losses[-most:]
