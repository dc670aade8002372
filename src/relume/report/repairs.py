"""What a run tells of the remedies that were applied in it: when, why, what, and the verdict."""

from relume.remedies.story import TRIALS, stories
from relume.report.wording import printable
from relume.runs.query import Run
from relume.runs.remedies import AppliedRemedy

MOST_TOLD = 100
MOST_LETTERS = 800


def repairs(run: Run) -> tuple[tuple[str, ...], ...]:
    """Return the stories of a run: of what was tried side by side, and of each single remedy."""
    single = [remedy for remedy in run.remedies if TRIALS not in remedy.plan]
    told = sorted(single, key=lambda remedy: remedy.step)
    found = [*stories(run.remedies), *((_told(each),) for each in told)]
    return tuple(
        tuple(printable(line, MOST_LETTERS) for line in each) for each in found[:MOST_TOLD]
    )


def _told(remedy: AppliedRemedy) -> str:
    code, message = remedy.evidence.get("code"), remedy.evidence.get("message")
    reason = f"{code}: {message}" if code and message else str(message or code or "")
    done = str(remedy.plan.get("said") or remedy.action.replace("_", " "))
    because = f" ({reason})" if reason else ""
    return f"step {remedy.step:,}: {done}{because}. {remedy.verdict or 'not judged'}"
