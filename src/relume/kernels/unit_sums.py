"""Running per-unit sums of activations and gradients, added to one tensor at a time.

On a CPU a tensor is read once, by the C extension, if that was built; everywhere else, and where it
was not, the torch operations of ``unit_stats`` add on the tensor's own device. The counts of both
are equal; the sums agree to rounding. ``RELUME_NATIVE=0`` turns the extension off.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from relume.kernels import unit_stats

Counts: TypeAlias = np.ndarray[tuple[int], np.dtype[np.int64]]
Totals: TypeAlias = np.ndarray[tuple[int], np.dtype[np.float64]]


# What is added; the numbers are those of `enum work` in _native.c. No Enum: looking up a member
# costs as much as reading a tensor's strides.
_ABOVE: Final = 0
_OUTSIDE: Final = 1
_SUMS: Final = 2
_SUMS_ABOVE: Final = 3
_SUMS_NONZERO: Final = 4
_ABSOLUTE: Final = 5

# The rows of sums: fired, total, total of squares, gradient, saturated; and which of them a work
# adds to, in the order of its number.
_ROWS: Final = 5
_ROWS_OF: Final = (slice(1), slice(4, 5), slice(1, 3), slice(3), slice(3), slice(3, 4))
_ELEMENTS: Final = {torch.float32: 0, torch.float64: 1, torch.float16: 2, torch.bfloat16: 3}
_HALVES: Final = 2  # elements from here on are half types
_CPU: Final = torch.device("cpu")
_PLAIN: Final = (Tensor, nn.Parameter)


def _load() -> Callable[..., int] | None:
    if os.environ.get("RELUME_NATIVE") == "0":
        return None
    try:
        from relume.kernels._native import add
    except ImportError:
        return None
    return add


_NATIVE: Final = _load()
IS_NATIVE: Final = _NATIVE is not None
"""Whether the C extension is in use."""


@dataclass(frozen=True, slots=True, eq=False)
class UnitTotals:
    """What was added up; every array has the shape (units,).

    Attributes:
        positions: Values of each unit among the outputs (rows, times pixels or time steps).
        fired: How many of them fired.
        saturated: How many of them lay at or beyond a bound.
        total: Their sum.
        total_square: The sum of their squares.
        gradient_positions: Values of each unit among the gradients.
        gradient: The sum of their magnitudes.
    """

    positions: int
    fired: Counts
    saturated: Counts
    total: Totals
    total_square: Totals
    gradient_positions: int
    gradient: Totals


class UnitSums:
    """The running sums of one site's units.

    A tensor is reduced over all axes but its unit axis, which may be negative. It is only read:
    nothing of it is kept, and nothing waits for a device before ``read``.

    Args:
        units: Size of the unit axis.
        native: ``False`` for torch operations only.

    Raises:
        ValueError: (every method that adds) the axis is none of the tensor's or not ``units`` long.
        TypeError: the tensor has no memory of its own: it is sparse, fake or inside a transform.

    Cost: natively one pass, near the speed of memory, and less than 1 µs a call.

    Example:
        >>> sums = UnitSums(2)
        >>> sums.add_output_above(torch.tensor([[0.0, 2.0], [0.0, 3.0]]), axis=1)
        >>> totals = sums.read()
        >>> totals.positions, totals.fired.tolist(), totals.total_square.tolist()
        (2, [0, 2], [0.0, 13.0])
    """

    def __init__(self, units: int, *, native: bool = True) -> None:
        self.units = units
        self.positions = 0
        self.gradient_positions = 0
        self._host = np.zeros((_ROWS, units))
        self._fired, self._saturated = self._host[0], self._host[4]
        self._parts = tuple(self._host[rows] for rows in _ROWS_OF)
        self._elsewhere: dict[torch.device, Tensor] = {}
        self._native = _NATIVE if native else None

    def add_firing(self, z: Tensor, axis: int, threshold: float = 0.0) -> None:
        """Count ``z > threshold`` as fired; the outputs of this ``z`` go to ``add_output``."""
        self._add(_ABOVE, z, axis, threshold)

    def add_output(self, a: Tensor, axis: int) -> None:
        """Add outputs whose firing is counted from their pre-activations."""
        self.positions += self._add(_SUMS, a, axis)

    def add_output_above(self, a: Tensor, axis: int, threshold: float = 0.0) -> None:
        """Add outputs and count ``a > threshold`` as fired, as is right for a rectifier."""
        self.positions += self._add(_SUMS_ABOVE, a, axis, threshold)

    def add_output_nonzero(self, a: Tensor, axis: int) -> None:
        """Add outputs and count ``a != 0`` as fired; nan counts. Complex values by modulus."""
        self.positions += self._add(_SUMS_NONZERO, a, axis)

    def add_saturation(self, a: Tensor, axis: int, low: float, high: float) -> None:
        """Count ``a <= low or a >= high`` as saturated, for activations with bounds."""
        if not low < high:
            raise ValueError(f"the lower bound must lie below the upper one; got {low} and {high}")
        self._add(_OUTSIDE, a, axis, low, high)

    def add_gradient(self, gradient: Tensor, axis: int) -> None:
        """Add the magnitudes of a gradient. Complex values by modulus."""
        self.gradient_positions += self._add(_ABSOLUTE, gradient, axis)

    def read(self) -> UnitTotals:
        """Return everything added so far; waits for other devices, so call it once a window."""
        sums = self._host.copy()
        for elsewhere in self._elsewhere.values():
            sums += elsewhere.cpu().numpy()
        fired, total, total_square, gradient, saturated = sums
        return UnitTotals(
            self.positions, fired.astype(np.int64), saturated.astype(np.int64),
            total, total_square, self.gradient_positions, gradient,
        )  # fmt: skip

    def counts(self) -> tuple[Totals, Totals]:
        """Return how many values fired and saturated, as far as they lay on the CPU."""
        fired, saturated = self._fired.copy(), self._saturated.copy()
        by_torch = self._elsewhere.get(_CPU)
        if by_torch is not None:
            fired += by_torch[0].numpy()
            saturated += by_torch[4].numpy()
        return fired, saturated

    def clear(self) -> None:
        """Begin again from zero."""
        self.positions = self.gradient_positions = 0
        self._host.fill(0.0)
        for elsewhere in self._elsewhere.values():
            elsewhere.zero_()

    def _add(
        self, work: int, values: Tensor, axis: int, low: float = 0.0, high: float = 0.0
    ) -> int:
        """Add one tensor; return the positions it had."""
        element = _ELEMENTS.get(values.dtype)
        if (
            self._native is None
            or element is None
            or type(values) not in _PLAIN
            or not values.is_cpu
            or values.is_neg()
        ):
            return self._add_by_torch(work, values, axis, low, high)
        try:
            address = values.data_ptr()
        except RuntimeError:  # no memory of its own
            address = 0
        if not address:
            return self._add_by_torch(work, values, axis, low, high)
        if element >= _HALVES and (low or high):
            low, high = torch.tensor((low, high), dtype=values.dtype).tolist()
        return self._native(
            self._parts[work], work, address, element,
            values.shape, values.stride(), axis, low, high,
        )  # fmt: skip

    def _add_by_torch(self, work: int, values: Tensor, axis: int, low: float, high: float) -> int:
        if not _has_memory(values):
            raise TypeError(
                f"a {type(values).__name__} without memory of its own cannot be added: it is "
                "sparse, fake or inside a transform (vmap, grad, torch.compile)"
            )
        if not -values.ndim <= axis < values.ndim:
            raise ValueError(f"the unit axis {axis} is not one of {values.ndim} axes")
        if values.shape[axis] != self.units:
            raise ValueError(f"axis {axis} has {values.shape[axis]} units; expected {self.units}")
        if values.device not in self._elsewhere:
            with torch.inference_mode(mode=False):  # it is added to outside of that mode as well
                self._elsewhere[values.device] = torch.zeros(
                    _ROWS, self.units, dtype=torch.float64, device=values.device
                )
        added = torch.stack(_by_torch(work, values.detach(), axis, low, high))
        self._elsewhere[values.device][_ROWS_OF[work]].add_(added)
        return values.numel() // self.units if self.units else 0


def _has_memory(values: Tensor) -> bool:
    """Tell a tensor that holds numbers; a sum that took in another would outlive its transform."""
    if type(values).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return False
    try:
        values.data_ptr()
    except RuntimeError:
        return False
    return True


def _by_torch(work: int, values: Tensor, axis: int, low: float, high: float) -> list[Tensor]:
    """Return the rows that a work adds."""
    rows: list[Tensor] = []
    if work in {_ABOVE, _SUMS_ABOVE}:
        rows.append(unit_stats.count_above(values, low, axis))
    if work == _SUMS_NONZERO:
        rows.append(unit_stats.count_nonzero(values, axis))
    if work == _OUTSIDE:
        rows.append(unit_stats.count_outside(values, low, high, axis))
    if work in {_SUMS, _SUMS_ABOVE, _SUMS_NONZERO}:
        rows.extend(unit_stats.sums(values, axis))
    if work == _ABSOLUTE:
        rows.append(unit_stats.absolute_sum(values, axis))
    return rows
