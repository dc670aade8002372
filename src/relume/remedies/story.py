"""What was found, tried and kept, in three lines."""

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from relume.runs.remedies import AppliedRemedy
from relume.runs.wording import count, short

TRIALS = "trials"
"""Key in a plan that says what was measured in trials beside each other."""

NOTHING = "nothing, since none was better by 5 % and beyond chance; all went on as if untried"


def trial_record(said: str, plans: Sequence[Any], epochs: int, losses: tuple[float, float]) -> Any:
    """Return the plan of a remedy that was tried beside others, as it is recorded.

    Args:
        said: What it does.
        plans: It, as JSON data.
        epochs: For how many it was tried.
        losses: Untreated and treated.
    """
    untreated, treated = losses
    tried = {"epochs": epochs, "untreated": untreated, "treated": treated}
    return {"said": said, "plans": list(plans), TRIALS: tried}


def stories(remedies: Iterable[AppliedRemedy]) -> Iterator[tuple[str, ...]]:
    """Yield three lines for each step at which remedies were tried beside each other.

    Args:
        remedies: Of a run; others than tried ones are passed over.
    """
    tried = [each for each in remedies if isinstance(each.plan.get(TRIALS), dict)]
    for _, group in groupby(tried, key=lambda each: each.step):
        yield _story(list(group))


def _story(tried: Sequence[AppliedRemedy]) -> tuple[str, ...]:
    first = tried[0]
    finding, trial = first.evidence, first.plan[TRIALS]
    scores = "; ".join(
        f"{each.plan.get('said')}: {_number(each.plan[TRIALS].get('treated'))}" for each in tried
    )
    kept = next((each for each in tried if each.is_kept), None)
    found = f"{finding.get('severity')} {finding.get('code')}, {finding.get('message')}"
    epochs, untreated = count(int(trial.get("epochs") or 0), "epoch"), _number(trial["untreated"])
    stayed = NOTHING
    if kept is not None:
        stayed = f"{kept.plan.get('said')}; {kept.verdict.removesuffix('; kept')}"
    return (
        f"found after step {first.step:,}: {found}",
        f"tried for {epochs} each, by validation loss (untreated {untreated}): {scores}",
        f"kept: {stayed}",
    )


def _number(value: Any) -> str:
    is_number = isinstance(value, int | float) and math.isfinite(value)
    return short(float(value)) if is_number else "no number"
