"""What a person is told of a cure, and the same as JSON."""

import math
from typing import Any

from relume.remedies.cure.edits.diff import Patch
from relume.remedies.cure.engine import Cure, Outcome
from relume.remedies.cure.gain import Gain
from relume.remedies.cure.score import ScoreChoice, outcome_of
from relume.remedies.cure.trial import Trial

JSON_VERSION = 1


def lines_of(cure: Cure, patch: Patch | None) -> list[str]:
    """Return what is said of a cure, without its diff."""
    lines = _findings(cure) + _tried(cure)
    lines.append(_verdict(cure))
    if cure.gain is not None and cure.choice is not None:
        lines.append(_scores(cure.gain, cure.choice))
    if patch is not None:
        lines += [f"to do: {each}" for each in patch.advice]
    lines += [f"note: {each}" for each in cure.notes]
    return lines


def _findings(cure: Cure) -> list[str]:
    grave = [each for each in cure.findings if each.severity != "note"]
    if not grave:
        return []
    first = grave[0]
    more = f" (and {len(grave) - 1} more)" if len(grave) > 1 else ""
    return [f"found: {first.message} [{first.code}]{more}"]


def _tried(cure: Cure) -> list[str]:
    """Say what each candidate came to, on the seed of the program."""
    choice = cure.choice
    if choice is None or not cure.tried:
        return []
    said = [f"{each.label} {outcome_of(each, choice)}" for each in (cure.untreated, *cure.tried)]
    return [f"{choice.shown}, on the seed of the program: {'; '.join(said)}"]


def _verdict(cure: Cure) -> str:
    label = " + ".join(each.label for each in cure.winner or ())
    if cure.outcome is Outcome.HEALTHY:
        return "healthy: nothing was found that wants a cure; nothing was tried"
    if cure.outcome is Outcome.NOT_JUDGED:
        return "cannot be judged: no candidate leaves the score's meaning as it is"
    if cure.gain is None or cure.choice is None:
        return f"no candidate beats untreated: {len(cure.tried)} were tried, on one seed"
    said = _gain(cure.gain, cure.choice)
    if cure.outcome is Outcome.CURED:
        return f"cured: {label}: {said}"
    doubt = " beyond doubt" if cure.outcome is Outcome.NOT_PROVEN else ""
    return f"no candidate beats untreated{doubt}: the best, {label}, has {said}"


def _gain(gain: Gain, choice: ScoreChoice) -> str:
    """Say a gain with its interval."""
    n = len(gain.treated)
    what = "share of runs that end with a number" if gain.of_finished else choice.shown
    interval = "no interval from one seed"
    if math.isfinite(gain.low):
        interval = f"95 % interval {gain.low:+.3g} to {gain.high:+.3g}"
    better = " (less is better)" * (choice.is_less_better and not gain.of_finished)
    return (
        f"gain {gain.gain:+.3g} in {what}{better}, {interval}, "
        f"against untreated runs of equal length on {n} fresh seeds"
    )


def _scores(gain: Gain, choice: ScoreChoice) -> str:
    treated, untreated = (
        ", ".join(f"{each:.4g}" for each in scores) for scores in (gain.treated, gain.untreated)
    )
    return f"{choice.shown}: {treated} treated; {untreated} untreated"


def to_json(cure: Cure, patch: Patch | None) -> dict[str, Any]:
    """Return one versioned object with all of it."""
    choice = cure.choice
    name = choice.name if choice is not None else ""
    return {
        "version": JSON_VERSION,
        "outcome": cure.outcome.value,
        "findings": [each.to_json() for each in cure.findings],
        "score": None
        if choice is None
        else {"name": choice.shown, "is_less_better": choice.is_less_better, "why": choice.why},
        "untreated": _trial(cure.untreated, name),
        "tried": [_trial(each, name) for each in cure.tried],
        "cure": None if cure.winner is None else [each.to_json() for each in cure.winner],
        "gain": None if cure.gain is None else _gain_json(cure.gain),
        "diff": patch.diff if patch is not None else "",
        "advice": list(patch.advice) if patch is not None else [],
        "spent_runs": round(cure.spent, 2),
        "notes": list(cure.notes),
    }


def _trial(trial: Trial, name: str) -> dict[str, Any]:
    return {
        "label": trial.label,
        "answers": sorted({code for each in trial.treatments for code in each.answers}),
        "score": _finite(trial.score(name)),
        "steps": trial.steps,
        "stopped_at": trial.stopped_at,
        "exit_code": trial.exit_code,
    }


def _gain_json(gain: Gain) -> dict[str, Any]:
    return {
        "gain": _finite(gain.gain),
        "low": _finite(gain.low),
        "high": _finite(gain.high),
        "of_finished": gain.of_finished,
        "treated": [_finite(each) for each in gain.treated],
        "untreated": [_finite(each) for each in gain.untreated],
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
