"""What a run tells of the remedies that were applied in it: when, why, what, and the verdict."""

from relume.report.wording import printable
from relume.runs.query import Run
from relume.runs.remedies import AppliedRemedy

MOST_TOLD = 100
MOST_LETTERS = 400


def repairs(run: Run) -> tuple[str, ...]:
    """Return one line for each remedy that was applied, in the order of steps."""
    told = sorted(run.remedies, key=lambda remedy: remedy.step)
    return tuple(printable(_told(each), MOST_LETTERS) for each in told[:MOST_TOLD])


def _told(remedy: AppliedRemedy) -> str:
    code, message = remedy.evidence.get("code"), remedy.evidence.get("message")
    reason = f"{code}: {message}" if code and message else str(message or code or "")
    done = str(remedy.plan.get("said") or remedy.action.replace("_", " "))
    because = f" ({reason})" if reason else ""
    return f"step {remedy.step:,}: {done}{because}. {remedy.verdict or 'not judged'}"
