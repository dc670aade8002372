"""The rules: one file each, in the order of their codes."""

from relume.diagnosis.rule import Rule
from relume.diagnosis.rules import dead_units

RULES: tuple[Rule, ...] = (dead_units.RULE,)
