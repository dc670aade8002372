"""Repairs inside a fit: the rules are asked, cures are tried beside each other, the best one stays.

After 1, 2, 4, 8, … epochs, and where the loss is no number any more, the rules are asked about the
record so far. Where a warning or an error calls for it, at most three treatments and a fresh
restart fork from the same state and train for the same few epochs on the same rows in the same
order as the untreated training; one that is measurably better on the validation part stays.
Otherwise the training goes on bitwise as if nothing had been tried. A fault of ours ends in a note.

Cost: at most ``MOST_CONSULTATIONS`` times the trials are run: five of ``trial_epochs`` each, which
is at most a tenth of the epochs in all, or ten epochs where there are fewer than a hundred. Where
it is time, 2,048 rows of the training and of the validation part are examined. While trials are
run, one copy of weights and moments is kept.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from relume.diagnosis.engine import diagnose
from relume.remedies.actions import get_action
from relume.remedies.patient import Sample
from relume.remedies.plan import Plan
from relume.remedies.snapshot import Snapshot
from relume.remedies.standing import Standing
from relume.remedies.story import trial_record
from relume.remedies.treatments import RESTART, SCALING, Proposal, Treatment, propose
from relume.remedies.verdict import Verdict, judge
from relume.runs.remedies import AppliedRemedy
from relume.training.repairable import Bench, Losses, Training, Tried
from relume.training.trial import FEWEST_EPOCHS, trial_epochs

MOST_CONSULTATIONS = 2
MARGIN = 0.05
"""Share of the untreated loss that a treatment must gain to stay."""
SAMPLE_ROWS = 512


@dataclass(slots=True)
class Known:
    """What has to be known to go on after an interruption."""

    consulted: int = 0  # epoch
    consultations: int = 0
    tried: list[str] = field(default_factory=list)
    written: int = 0


@dataclass(frozen=True, slots=True)
class _Outcome:
    treatment: Treatment
    losses: Losses
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class _Side:
    """Where trials are run: beside the training, and back."""

    loop: Training
    before: Snapshot
    should_stop: Callable[[], bool]

    def losses(self, trial: Tried) -> Losses:
        """Run a trial, and put everything back."""
        try:
            losses = trial.losses(self.should_stop)
        finally:
            self.before.restore()
        if losses is None:
            raise _StoppedError
        return losses


class _StoppedError(Exception):
    """A person wants the training to stop."""


class Repairs:
    """Asks, tries and keeps; called between the epochs.

    Args:
        bench: Of the fit.
        lr: Peak of its rate.
        usual_lr: One that usually trains well: a rate at fault is lowered at least, and raised at
            most, to it.
        epochs: Of the fit.
        fewest_steps: That a trial takes, where so many are left: a new start has to learn something
            before it can be better. Where epochs have few steps a trial so takes many of them.
    """

    def __init__(
        self, bench: Bench, *, lr: float, usual_lr: float, epochs: int, fewest_steps: int = 0
    ) -> None:
        self._bench = bench
        self._fewest_steps = fewest_steps
        self._lr, self._usual_lr = lr, usual_lr
        self._epochs = epochs
        self._trial_epochs = FEWEST_EPOCHS
        self._known = Known()
        self._standing: list[tuple[Plan, Standing]] = []

    def consult(self, loop: Training, should_stop: Callable[[], bool]) -> tuple[AppliedRemedy, ...]:
        """Ask the rules where it is time, try what they call for, and keep what helps.

        Args:
            loop: The training, between two epochs.
            should_stop: Whether a person wants it to stop.

        Returns:
            What was tried.
        """
        epoch = loop.progress.epoch
        if not self._is_time(loop):
            return ()
        tried: tuple[AppliedRemedy, ...] = ()
        try:
            tried = self._consult(loop, should_stop)
        except _StoppedError:
            return ()  # asked again when the training is gone on with
        except Exception as error:  # noqa: BLE001
            self._bench.recorded.note(
                f"no repair could be tried after epoch {epoch}: {_reason(error)}"
            )
        self._known.consulted = epoch
        return tried

    def state(self) -> dict[str, Any]:
        """Return what it takes to go on, as JSON data."""
        known = self._known
        return {
            "consulted": known.consulted,
            "consultations": known.consultations,
            "tried": known.tried,
            "written": known.written,
            "standings": [(plan.to_json(), standing.state()) for plan, standing in self._standing],
        }

    def resume(self, loop: Training, state: dict[str, Any] | None) -> None:
        """Go on from what ``state`` gave; None: of a training before there were repairs."""
        if state is None:
            return
        given = dict(state)
        for plan_data, standing_state in given.pop("standings"):
            plan = Plan.from_json(plan_data)
            standing = get_action(plan.action).apply(plan, loop.patient)
            if standing is not None:
                standing.load(standing_state)
                loop.patient.standings.append(standing)
                self._standing.append((plan, standing))
        self._known = Known(**given)

    def _is_time(self, loop: Training) -> bool:
        progress, known = loop.progress, self._known
        if known.consultations >= MOST_CONSULTATIONS or progress.epoch <= known.consulted:
            return False
        enough = math.ceil(self._fewest_steps * progress.epoch / max(1, progress.step))
        usual = trial_epochs(self._epochs, progress.epoch)
        left = max(FEWEST_EPOCHS, self._epochs - progress.epoch)
        self._trial_epochs = max(usual, min(enough, left))
        if progress.epoch + self._trial_epochs > self._epochs:
            return False
        is_power = progress.epoch & (progress.epoch - 1) == 0
        return _has_diverged(loop) or (is_power and not progress.stopped)

    def _consult(
        self, loop: Training, should_stop: Callable[[], bool]
    ) -> tuple[AppliedRemedy, ...]:
        self._equip(loop)
        proposal = propose(
            diagnose(self._bench.record(loop.model)).findings,
            loop.patient,
            tried=self._known.tried,
            usual_factor=self._usual_lr / self._present_lr(),
            actions=self._bench.actions,
        )
        if proposal is None:
            return ()
        side = _Side(loop, self._bench.snapshot(loop), should_stop)
        untreated = self._untreated(side)
        outcomes = [
            _Outcome(treatment, losses, self._judged(untreated, losses))
            for treatment in proposal.treatments
            if (losses := self._attempt(side, treatment)) is not None
        ]
        self._known.consultations += 1
        self._known.tried += sorted(proposal.codes)
        kept = _best(outcomes)
        if kept is not None:
            self._keep(loop, kept.treatment)
        return self._write(loop, proposal, outcomes, kept)

    def _equip(self, loop: Training) -> None:
        """Tell the patient where it stands, what goes into it and what to go back to."""
        patient, samples, best = loop.patient, self._bench.samples(), BestWeights(loop)
        patient.step = loop.progress.step
        patient.sample = _beginning(samples[0]) if samples else None
        patient.batches = list(samples) or None
        patient.good = best if best.is_there else None

    def _untreated(self, side: _Side) -> Losses:
        """Return what comes of it without a treatment: of a divergence the best weights so far."""
        trial = self._bench.trial(side.loop, self._trial_epochs)
        if not _has_diverged(side.loop):
            return side.losses(trial)
        best = BestWeights(side.loop)
        if not best.is_there:
            return np.full(len(trial.present_losses()), math.nan)
        try:
            best.restore()
            return trial.present_losses()
        finally:
            side.before.restore()

    def _judged(self, untreated: Losses, treated: Losses) -> Verdict:
        return judge(
            untreated.tolist(),
            treated.tolist(),
            metric="validation loss",
            higher_is_better=False,
            pairs_of=self._bench.pairs_of,
            keep_equals=False,
        )

    def _attempt(self, side: _Side, treatment: Treatment) -> Losses | None:
        """Return the losses after a trial; None where it could not be made."""
        try:
            self._apply(side.loop, treatment)
            return side.losses(self._bench.trial(side.loop, self._trial_epochs))
        except _StoppedError:
            raise
        except Exception as error:  # noqa: BLE001
            side.before.restore()
            self._bench.recorded.note(
                f"a repair could not be tried ({treatment.name}): {_reason(error)}"
            )
            return None

    def _apply(self, loop: Training, treatment: Treatment) -> list[tuple[Plan, Standing]]:
        """Apply the plans; return those that go on."""
        going_on = []
        for plan in treatment.plans:
            if plan.action == RESTART:
                self._restart(loop, plan)
                continue
            standing = get_action(plan.action).apply(plan, loop.patient)
            if standing is not None:
                loop.patient.standings.append(standing)
                going_on.append((plan, standing))
        return going_on

    def _restart(self, loop: Training, plan: Plan) -> None:
        with torch.random.fork_rng():
            weights = self._bench.fresh(
                int(plan.number("seed", 0)), usual_init=bool(plan.numbers.get("usual_init"))
            )
        load_afresh(loop, weights)
        if loop.averaged is not None:
            loop.averaged.n_averaged.zero_()

    def _keep(self, loop: Training, treatment: Treatment) -> None:
        self._standing += self._apply(loop, treatment)
        loop.progress.worse_epochs, loop.progress.stopped = 0, ""
        if any(plan.action in SCALING for plan in treatment.plans):
            loop.forget_best()  # weights of before take the inputs as they came

    def _present_lr(self) -> float:
        rates = [plan for plan, _ in self._standing if plan.action in {"lower_rate", "raise_rate"}]
        return self._lr * math.prod(plan.number("factor", 1.0) for plan in rates)

    def _write(
        self, loop: Training, proposal: Proposal, outcomes: list[_Outcome], kept: _Outcome | None
    ) -> tuple[AppliedRemedy, ...]:
        told = []
        for outcome in outcomes:
            treatment, is_kept = outcome.treatment, outcome is kept
            verdict = replace(outcome.verdict, is_kept=is_kept)
            told.append(
                AppliedRemedy(
                    step=loop.progress.step,
                    action=treatment.name,
                    plan=trial_record(
                        treatment.description,
                        [plan.to_json() for plan in treatment.plans],
                        self._trial_epochs,
                        (verdict.untreated, verdict.treated),
                    ),
                    evidence=proposal.finding.to_json(),
                    verdict=verdict.sentence,
                    gain=verdict.gain,
                    low=verdict.interval[0],
                    high=verdict.interval[1],
                    is_kept=is_kept,
                )
            )
            self._known.written += 1
            self._bench.recorded.write(told[-1], self._known.written)
        return tuple(told)


class BestWeights:
    """The weights of the best epoch so far, to which a training can be put back.

    Args:
        loop: The training.
    """

    def __init__(self, loop: Training) -> None:
        self._loop = loop
        self.step = loop.best_step

    @property
    def is_there(self) -> bool:
        """Whether there was an epoch with a finite loss."""
        return self._loop.progress.best_epoch > 0

    def restore(self) -> None:
        """Load them; what the optimizer remembers was made by others, and is dropped."""
        load_afresh(self._loop, self._loop.best_weights)


def load_afresh(loop: Training, weights: dict[str, Tensor]) -> None:
    """Have a training go on from other weights, without any moments."""
    loop.model.load_state_dict(weights)
    if loop.averaged is not None:
        loop.averaged.module.load_state_dict(weights)
    loop.patient.forget(loop.model.parameters())


def _has_diverged(loop: Training) -> bool:
    return loop.progress.stopped.startswith("diverged")


def _beginning(sample: Sample) -> Sample:
    """Return the first rows of a sample."""
    return replace(
        sample,
        args=tuple(
            each[:SAMPLE_ROWS] if isinstance(each, Tensor) else each for each in sample.args
        ),
    )


def _best(outcomes: list[_Outcome]) -> _Outcome | None:
    """Return the outcome with the least loss, of those that are measurably better."""
    better = [each for each in outcomes if each.verdict.is_better and _is_enough(each.verdict)]
    return min(better, key=lambda each: each.verdict.treated, default=None)


def _is_enough(verdict: Verdict) -> bool:
    return math.isinf(verdict.gain) or verdict.gain >= MARGIN * abs(verdict.untreated)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
