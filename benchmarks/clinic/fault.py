"""What a fault is: what a person did, how gravely, and which findings are right about it."""

from dataclasses import dataclass
from enum import StrEnum

from benchmarks.clinic.recipe import Change
from relume.diagnosis.codes import Code


class Harm(StrEnum):
    """By what a fault is called harmful, beside the twin without it (``outcomes.py``).

    ``score``: the held-out score is lower. ``claim``: the validation score that the script prints
    is further above the held-out one. ``always``: what was asked for was switched off or never
    trained, whatever the score says.
    """

    SCORE = "score"
    CLAIM = "claim"
    ALWAYS = "always"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that a person does wrong.

    Args:
        name: In words, short.
        levels: What is done, one change a severity, the mildest first.
        true: Codes that name the fault itself.
        expected: Codes of its consequences, right to report as well.
        needs: Tags that a scenario must all have; several sets are alternatives.
        harm: By what it is called harmful.
        void_with: A tag of scenarios in which it changes nothing: a norm takes out what comes
            before it. No case is made of these.
    """

    name: str
    levels: tuple[Change, ...]
    true: tuple[Code, ...]
    expected: tuple[Code, ...] = ()
    needs: tuple[str, ...] = ("classes", "binary", "amounts")
    harm: Harm = Harm.SCORE
    void_with: str = ""

    def fits(self, tags: frozenset[str]) -> bool:
        """Return whether it can be made in a scenario with these tags."""
        return any(set(each.split()) <= tags for each in self.needs)
