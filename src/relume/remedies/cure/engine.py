"""The whole of a cure: an untreated run, a race of candidates, a proof on fresh seeds."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import fmean
from typing import Any

from relume.diagnosis.engine import diagnose
from relume.diagnosis.finding import Finding
from relume.diagnosis.reading import Reading
from relume.errors import RunFileError, UserError
from relume.remedies.cure.budget import Budget
from relume.remedies.cure.candidates import candidates, is_unusual
from relume.remedies.cure.case import Case
from relume.remedies.cure.choosing import (
    answers,
    best_trial,
    best_two,
    final_of,
    finalists,
    gaining,
    is_reseed,
    value_of,
)
from relume.remedies.cure.gain import Gain, measure_gain
from relume.remedies.cure.race import Rungs, best_of
from relume.remedies.cure.score import (
    ScoreChoice,
    ScoreWish,
    choose_score,
    outcome_of,
    pacing_score,
)
from relume.remedies.cure.treatment import Kind, Treatment
from relume.remedies.cure.trial import RUN, Stage, Trial, last_lines, read_survey
from relume.runs.wording import count

FIRST_FRESH = 1_001
"""Offset of the first fresh seed."""
MOST_SEEDS = 6
"""Half of the interval is 2.5 deviations wide with 3 seeds, and 1.0 with 6."""
RESEED = 500
"""Offset of the fresh start that runs among the candidates; those of their repeats follow it."""
BEYOND_DOUBT = 0.999
"""Confidence by which a proof ends before its last seed."""
REPEATS = 2
"""Further seeds of those that one seed cannot tell apart."""


class Outcome(StrEnum):
    """What a cure came to."""

    CURED = "cured"
    HEALTHY = "healthy"
    NOT_BETTER = "no candidate beats untreated"
    NOT_PROVEN = "not proven"
    NOT_JUDGED = "cannot be judged"


@dataclass(frozen=True, slots=True, kw_only=True)
class CureSettings:
    """How a cure is looked for.

    Args:
        budget: What it may spend in all.
        seeds: Fresh seeds of the proof, at least; up to ``MOST_SEEDS`` where the race leaves room.
        wish: What the person said of the score.
        allows_model: Whether the model may become another one.
    """

    budget: Budget = field(default_factory=Budget)
    seeds: int = 3
    wish: ScoreWish = field(default_factory=ScoreWish)
    allows_model: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Cure:
    """What was tried, and what came of it.

    Args:
        outcome: In a word.
        untreated: The first run.
        findings: About it.
        survey: Places of its code.
        choice: The score that decides; None where nothing was tried.
        tried: Candidates and their trials, in their order.
        winner: What the proof is about, the best that was tried; None without one.
        gain: On fresh seeds; None without a proof.
        spent: In runs as long as the untreated one.
        notes: What else has to be said.
    """

    outcome: Outcome
    untreated: Trial
    findings: tuple[Finding, ...] = ()
    survey: Mapping[str, Any] = field(default_factory=dict)
    choice: ScoreChoice | None = None
    tried: tuple[Trial, ...] = ()
    winner: tuple[Treatment, ...] | None = None
    gain: Gain | None = None
    spent: float = 1.0
    notes: tuple[str, ...] = ()


class Search:
    """Looks for a cure on a stage.

    Args:
        stage: Where trials run.
        settings: How.
        say: Told what happens, a line each time.
    """

    def __init__(self, stage: Stage, settings: CureSettings, say: Callable[[str], None]) -> None:
        self._stage = stage
        self._settings = settings
        self._say = say
        self._spent: list[float] = []
        self._notes: list[str] = []

    def run(self) -> Cure:
        """Look for a cure, from the untreated run to the proof.

        Raises:
            UserError: If the program does not train.
        """
        untreated = self._untreated()
        case, findings = _read(untreated)
        allows_model = self._settings.allows_model
        if not case.faults and not is_unusual(case, allows_model=allows_model):
            if untreated.exit_code:
                raise UserError(f"{self._notes[0]}; nothing was found by which to cure it")
            return Cure(
                outcome=Outcome.HEALTHY,
                untreated=untreated,
                findings=findings,
                survey=case.survey,
            )
        if not case.faults:
            self._notes.append("nothing was found; what the code shows is unusual and was tried")
        wanted = candidates(case, allows_model=allows_model)
        self._note_forbidden(case, len(wanted))
        changes = any(each.changes_loss for each in wanted)
        choice = choose_score(untreated, self._settings.wish, loss_changes=changes)
        self._say(f"score: {choice.why}; untreated {untreated.score(choice.name):.4g}")
        known = {
            "untreated": untreated,
            "findings": findings,
            "survey": case.survey,
            "choice": choice,
        }
        return self._search(wanted, untreated, choice, known)

    def _search(
        self,
        wanted: Sequence[Treatment],
        untreated: Trial,
        choice: ScoreChoice,
        known: dict[str, Any],
    ) -> Cure:
        judged = self._comparable(wanted, choice)
        answers = [each for each in wanted if each.answers]
        if answers and not any(each in judged for each in answers):
            return Cure(outcome=Outcome.NOT_JUDGED, spent=1.0, notes=tuple(self._notes), **known)
        tried = self._race(judged, untreated, choice)
        tried += self._combined(tried, untreated, choice)
        winner = self._final(finalists(tried, untreated, choice), untreated, choice)
        self._note_seed(tried, winner or untreated, choice)
        known |= {"tried": tuple(tried)}
        best = winner or best_trial(tried, choice)
        if best is None:
            return self._ended(Outcome.NOT_BETTER, known)
        gain = self._prove(best, choice)
        known |= {"winner": best.treatments, "gain": gain}
        if gain.is_proven:
            return self._ended(Outcome.CURED, known)
        if gain.gain > 0 and not gain.is_harm:
            self._notes.append(f"more seeds may settle it: --seeds {2 * len(gain.treated)}")
        return self._ended(Outcome.NOT_BETTER if winner is None else Outcome.NOT_PROVEN, known)

    def _ended(self, outcome: Outcome, known: dict[str, Any]) -> Cure:
        return Cure(outcome=outcome, spent=sum(self._spent), notes=tuple(self._notes), **known)

    def _untreated(self) -> Trial:
        self._say("untreated run, watched")
        trial = self._stage.run(surveys=True)
        if not trial.steps:
            words = " | ".join(last_lines(trial)) or "it printed nothing"
            raise UserError(
                f"the command made no training step and ended with code {trial.exit_code}: {words}"
            )
        if trial.exit_code:
            words = " | ".join(last_lines(trial, 1))
            self._notes.append(f"the untreated run ended with code {trial.exit_code}: {words}")
        self._spent.append(1.0)
        self._cpu_s, self._steps = trial.cpu_s, trial.steps
        return trial

    def _note_forbidden(self, case: Case, allowed: int) -> None:
        more = len(candidates(case, allows_model=True)) - allowed
        if more > 0:
            self._notes.append(
                f"{count(more, 'further candidate')} would change the model; --allow model has "
                "them tried"
            )

    def _note_seed(self, tried: Sequence[Trial], best: Trial, choice: ScoreChoice) -> None:
        """Say where a fresh start alone does as well as the best treatment."""
        for each in filter(is_reseed, tried):
            if value_of(each, choice) >= value_of(best, choice) > -math.inf:
                self._notes.append(
                    f"another seed alone came to {each.score(choice.name):.4g}: the start matters "
                    "here as much as any treatment"
                )

    def _comparable(self, wanted: Sequence[Treatment], choice: ScoreChoice) -> list[Treatment]:
        """Leave out what the score cannot judge."""
        kept = [each for each in wanted if choice.is_comparable or not each.changes_loss]
        lost = [each.label for each in wanted if each not in kept]
        if lost:
            self._notes.append(
                f"not tried, since {choice.shown} would mean something else under it: "
                f"{'; '.join(lost)}; name a score with --metric-regex or relume.metric"
            )
        return kept

    def _race(
        self, wanted: Sequence[Treatment], untreated: Trial, choice: ScoreChoice
    ) -> list[Trial]:
        """Run candidates while there is room for the proof after them.

        A fresh start is the third, so that it can be stopped. Once two treatments of different
        kinds gain, room is kept for both together.
        """
        rungs = Rungs(untreated.steps)
        changes = any(each.changes_loss for each in wanted)
        pace = pacing_score(untreated, choice, rungs.at, loss_changes=changes)
        rungs.add(_at_rungs(rungs, untreated, pace))
        tried: list[Trial] = []
        seed = [each for each in wanted if each.kind is Kind.SEED]
        others = [each for each in wanted if each.kind is not Kind.SEED]
        left_out = 0
        for each in [*others[:2], *seed, *others[2:]]:
            pair = best_two(tried, untreated, choice)
            is_answered = any(map(answers, gaining(tried, untreated, choice)))
            kept = self._kept_from(each) if is_answered else 2.0 * self._settings.seeds
            if not self._has_room(kept + (len(pair) == 2)):
                left_out += 1
                continue
            tried.append(self._try(each, rungs, pace))
            self._say(f"{each.label}: {outcome_of(tried[-1], choice)}")
        if left_out:
            self._notes.append(f"the budget left no room for {count(left_out, 'candidate')}")
        return tried

    def _kept_from(self, treatment: Treatment) -> float:
        """Return the runs that are kept from a treatment once an answer to a finding gains.

        The proof gets all of its seeds, or half of the budget; what answers nothing leaves room for
        repeats besides.
        """
        least = 2.0 * self._settings.seeds
        if treatment.kind is Kind.SEED:
            return least
        half = self._budget / 2
        kept = max(least, min(2.0 * MOST_SEEDS, half))
        return kept if treatment.answers else kept + 2.0 * REPEATS

    def _has_room(self, kept: float) -> bool:
        """Whether one more run leaves so many."""
        return self._left >= 1 + kept

    @property
    def _budget(self) -> float:
        """Of the whole, in runs."""
        return self._settings.budget.runs(self._cpu_s)

    @property
    def _left(self) -> float:
        """What is left of it."""
        return self._budget - sum(self._spent)

    def _affordable_seeds(self) -> int:
        return max(self._settings.seeds, min(int(self._left / 2), MOST_SEEDS))

    def _try(self, treatment: Treatment, rungs: Rungs, pace: ScoreChoice) -> Trial:
        marks = rungs.marks()
        sign = -1.0 if pace.is_less_better else 1.0
        trial = self._run(
            treatment,
            offset=RESEED if treatment.kind is Kind.SEED else 0,
            marks={step: sign * mark for step, mark in marks.items()},
            score=pace.name,
            is_less_better=pace.is_less_better,
        )
        rungs.add(_at_rungs(rungs, trial, pace))
        return trial

    def _run(self, *treatments: Treatment, **options: Any) -> Trial:
        trial = self._stage.run(*treatments, **options)
        self._spent.append(max(0.05, min(1.5, trial.steps / max(1, self._steps))))
        return trial

    def _combined(
        self, tried: Sequence[Trial], untreated: Trial, choice: ScoreChoice
    ) -> list[Trial]:
        """Run the best two of different kinds together, if both gain."""
        pair = best_two(tried, untreated, choice)
        if len(pair) < 2 or not self._has_room(2.0 * self._settings.seeds):
            return []
        trial = self._run(*pair[0].treatments, *pair[1].treatments)
        self._say(f"{trial.label}: {outcome_of(trial, choice)}")
        return [trial]

    def _final(self, near: Sequence[Trial], untreated: Trial, choice: ScoreChoice) -> Trial | None:
        """Return the winner; of several that one seed cannot tell apart, the best of more seeds.

        Seeds that had a part in choosing have none in the proof.
        """
        room = self._left - 2.0 * self._settings.seeds
        near = near[: max(1, int(room))]
        if len(near) < 2:
            return near[0] if near else None
        seeds = min(REPEATS, int(room / len(near)))
        means = []
        for each in near:
            values = [value_of(each, choice)]
            for number in range(seeds):
                again = self._run(*each.treatments, offset=RESEED + 1 + number)
                values.append(value_of(again, choice))
            means.append(fmean(values))
            mean = -means[-1] if choice.is_less_better else means[-1]
            self._say(f"{each.label}: {mean:.4g} on average of {seeds + 1} seeds")
        best = best_of(means, choice.better(untreated.score(choice.name)))
        return near[best or 0]

    def _prove(self, winner: Trial, choice: ScoreChoice) -> Gain:
        """Run winner and untreated on fresh seeds, to their ends.

        How many at most is settled before the first of them: to go on until it is proven would
        prove all. It ends early only by ``BEYOND_DOUBT``, which takes 0.3 % at most of
        the last look's 95 % (Haybittle 1971; Peto et al. 1976).
        """
        treated, untreated = [], []
        seeds = self._affordable_seeds()
        for number in range(seeds):
            offset = FIRST_FRESH + number
            treated.append(final_of(self._run(*winner.treatments, offset=offset), choice))
            untreated.append(final_of(self._run(offset=offset), choice))
            self._say(
                f"fresh seed {number + 1} of at most {seeds}: {winner.label} "
                f"{treated[-1]:.4g}, untreated {untreated[-1]:.4g}"
            )
            early = measure_gain(treated, untreated, choice, BEYOND_DOUBT)
            if number + 1 >= self._settings.seeds and 0 < early.low < early.high:
                break
        if len(set(treated)) == len(set(untreated)) == 1:
            self._notes.append(
                "all runs of a kind came to the same score: the interval has no width"
            )
        return measure_gain(treated, untreated, choice)


def _read(untreated: Trial) -> tuple[Case, tuple[Finding, ...]]:
    """Return what the untreated run shows."""
    from relume.runs.query import read_run

    survey = read_survey(untreated.folder)
    try:
        run = read_run(untreated.folder / RUN)
    except RunFileError:
        return Case((), survey), ()
    findings = diagnose(run).findings
    reading = Reading(run)
    return Case(findings, survey, reading.inputs, reading.loss), findings


def _at_rungs(rungs: Rungs, trial: Trial, choice: ScoreChoice) -> dict[int, float | None]:
    """Return the scores of a trial at the rungs that it came to, the better the greater."""
    last = trial.steps if trial.stopped_at is None else trial.stopped_at
    found = {step: trial.score_at(choice.name, step) for step in rungs.at if step <= last}
    return {
        step: choice.better(value) if value is not None else None for step, value in found.items()
    }
