"""How much a cure may spend: whole runs of the untreated program, or seconds of processor time."""

import re
from dataclasses import dataclass

from relume.errors import SettingsError

DEFAULT_RUNS = 24.0
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|h|)")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Budget:
    """What a cure may spend.

    Args:
        amount: How much.
        is_time: Whether it is processor time, in seconds; else runs.
    """

    amount: float = DEFAULT_RUNS
    is_time: bool = False

    def runs(self, untreated_cpu_s: float) -> float:
        """Return it in runs as long as the untreated one.

        Example:
            >>> Budget(60, is_time=True).runs(untreated_cpu_s=5)
            12.0
        """
        return self.amount / max(untreated_cpu_s, 1e-3) if self.is_time else self.amount


def parse_budget(text: str) -> Budget:
    """Return the budget that a person wrote.

    Args:
        text: ``24`` runs, or ``90s``, ``30m``, ``2h`` of processor time.

    Raises:
        SettingsError: If it is neither.

    Example:
        >>> parse_budget("24"), parse_budget("5m").amount
        (Budget(amount=24.0, is_time=False), 300.0)
    """
    found = _FORM.fullmatch(text.strip())
    if found is None or float(found[1]) <= 0:
        raise SettingsError(
            f"--budget is a number of runs, as 24, or processor time, as 90s, 30m, 2h; got {text}"
        )
    unit = found[2]
    return Budget(float(found[1]) * _SECONDS.get(unit, 1.0), is_time=bool(unit))
