"""A factor on the learning rate, whatever sets the rate itself."""

from typing import Any

from relume.remedies.patient import Patient
from relume.remedies.standing import Standing


class RateFactor(Standing):
    """Multiplies the rate of every group while the optimizers step, and puts it back after.

    So schedules, and loops that set the rate themselves, go on as if nothing were there.

    Args:
        patient: The training.
        factor: On the rate; reached after ``ramp`` updates in equal parts, from nothing.
        ramp: Updates until the factor is reached; 0: at once.
    """

    def __init__(self, patient: Patient, factor: float, *, ramp: int = 0) -> None:
        super().__init__()
        self._patient = patient
        self._factor = factor
        self._ramp = ramp
        self._rates: list[tuple[dict[str, Any], Any]] = []

    @property
    def is_over(self) -> bool:
        """A ramp to the rate itself ends; a factor stays."""
        return self._factor == 1.0 and self.updates >= self._ramp

    @property
    def factor(self) -> float:
        """The factor on the rate of the next update."""
        return self._factor * min(1.0, (self.updates + 1) / max(1, self._ramp))

    def before_update(self) -> None:
        """Multiply the rates."""
        self.remove()
        for optimizer in self._patient.optimizers:
            for group in optimizer.param_groups:
                if "lr" in group:
                    self._rates.append((group, group["lr"]))
                    group["lr"] = group["lr"] * self.factor

    def after_update(self) -> None:
        """Put the rates back."""
        self.remove()
        super().after_update()

    def remove(self) -> None:
        """Put the rates back, where an update was cut short."""
        for group, rate in self._rates:
            group["lr"] = rate
        self._rates.clear()
