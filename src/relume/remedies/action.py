"""What an action is: a name, a page, what it touches, and how it plans and applies."""

from collections.abc import Callable
from dataclasses import dataclass

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Finding, Safety
from relume.remedies.patient import Patient
from relume.remedies.plan import Plan
from relume.remedies.standing import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One action: one file of ``actions/``, whose docstring is its page.

    Args:
        name: Its name, that of its file.
        page: The docstring of its file; the first line says what it does.
        safety: What it touches.
        answers: Codes of the findings that it may cure.
        plan: Says what to do about a finding; None where there is nothing that it could do.
        apply: Does what a plan says, at once or by a ``Standing`` that goes on. It may raise, and
            then leaves the rest to a snapshot.
        describe: One phrase in the imperative that says what a plan does, with its numbers.
        keeps_function: Whether the network computes at that instant what it computed before.
    """

    name: str
    page: str
    safety: Safety
    answers: frozenset[Code]
    plan: Callable[[Finding, Patient], Plan | None]
    apply: Callable[[Plan, Patient], Standing | None]
    describe: Callable[[Plan], str]
    keeps_function: bool = False

    @property
    def summary(self) -> str:
        """The first line of its page."""
        return self.page.strip().splitlines()[0]
