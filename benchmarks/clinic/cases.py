"""One training of the clinic with what is true of it."""

from dataclasses import dataclass

from benchmarks.clinic.fault import Harm
from benchmarks.clinic.recipe import Recipe
from benchmarks.clinic.scenarios import Group, Part
from relume.diagnosis.codes import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One training: what is done, and what is right to say of it.

    Args:
        id: Unique, readable, without spaces.
        group: With what it was drawn up.
        scenario: Which healthy training it departs from.
        data: Data set.
        network: Network.
        fault: Name of its fault, two joined by `` + ``; of its control, or ``none``, if healthy.
        severity: Level of the fault, from 1; 0 where it is healthy.
        seed: Of the weights, the order of the rows, and the data where they are made.
        is_faulty: Whether anything is wrong.
        recipe: How it is trained.
        twin: How its twin without the fault is trained.
        true_codes: Codes that name the fault.
        expected: Codes of consequences that are right to report.
        harm: By what it is called harmful.
        good: The score below which a healthy training is dropped.
    """

    id: str
    group: Group
    scenario: str
    data: str
    network: str
    fault: str
    severity: int
    seed: int
    is_faulty: bool
    recipe: Recipe
    twin: Recipe
    true_codes: tuple[Code, ...] = ()
    expected: tuple[Code, ...] = ()
    harm: Harm = Harm.SCORE
    good: float = 0.0

    @property
    def part(self) -> Part:
        """Tuning or validation."""
        return self.group.part
