"""The running sums of one site: a place where an activation is applied."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from relume.kernels.unit_sums import UnitSums
from relume.observe.rectifiers import Reading, Silence, Source
from relume.runs.records import Counts, Layer, LayerWindow, Lifetimes, Moments, Sums, UnitActivity

if TYPE_CHECKING:
    from collections.abc import Callable


class Tally:
    """One site, and what was seen of it in the open window.

    Args:
        layer: What the run file keeps of it.
        axis: The unit axis of its values.
        owner: The parameters that feed it, a matrix or kernel first; empty where unknown.
        device_type: Where its values lie.

    Attributes:
        receive: The hook that a gradient of its output is given to, once there is one.
        last_pass: Number of the forward pass whose rows were counted last.
        awaits_gradient: Whether the output of the present pass has been asked for its gradient.
        has_whole_gradient: Whether the gradient of its output is that of all its uses.
        sources: The sites whose outputs its owner reads.
        gradient_norm: Of its owner's parameters, in the open window.
        update_ratio: Of its owner's parameters, in the open window.
        slopes: Of a parametric ReLU, in the open window.
    """

    def __init__(
        self, layer: Layer, axis: int, owner: tuple[Tensor, ...], device_type: str
    ) -> None:
        self.layer = layer
        self.axis = axis
        self.owner = owner
        self.is_read_late = device_type != "cpu"
        self.receive: Callable[[Tensor], None] | None = None
        self.last_pass = 0
        self.awaits_gradient = False
        self.has_whole_gradient = True
        self.sources: tuple[Tally, ...] = ()
        self.lifetimes = LazyLifetimes(layer.units)
        self._sums = UnitSums(layer.units)
        self._begin_window()

    def _begin_window(self) -> None:
        self.gradient_norm, self.update_ratio, self.slopes = Moments(), Moments(), Moments()
        self._slopes_elsewhere: list[tuple[int, Tensor]] = []
        self._sums.clear()
        self._rows = self._seen_rows = self._seen_positions = 0
        self._seen = np.zeros(self.layer.units)

    @property
    def rows(self) -> int:
        """Independent rows of the open window."""
        return self._rows

    def fits(self, z: Tensor) -> bool:
        """Whether a tensor has this site's units where they belong."""
        return self.axis < z.ndim and z.shape[self.axis] == self.layer.units

    def add_input(self, z: Tensor, reading: Reading) -> None:
        """Count the live values of a pre-activation, before it may be overwritten."""
        if reading.source is Source.INPUT:
            self._sums.add_firing(z, self.axis, reading.low)

    def add_output(self, a: Tensor, reading: Reading, rows: int | None) -> None:
        """Add up what came out; ``rows`` is None where these were counted already."""
        if reading.silence is Silence.SATURATED:
            self._sums.add_saturation(a, self.axis, reading.low, reading.high)
            self._sums.add_output(a, self.axis)
        elif reading.source is Source.INPUT:
            self._sums.add_output(a, self.axis)
        elif reading.source is Source.NONZERO:
            self._sums.add_output_nonzero(a, self.axis)
        else:
            self._sums.add_output_above(a, self.axis, reading.low)
        if rows is not None:
            self._rows += rows

    def add_gradient(self, gradient: Tensor) -> None:
        """Add up the magnitudes of the loss's gradient by the output."""
        self._sums.add_gradient(gradient, self.axis)

    def add_slopes(self, slope: Tensor) -> None:
        """Add the slopes of a parametric ReLU; those on another device are read once a window."""
        values = slope.detach()
        if values.is_cpu and values.numel():
            self.slopes += Moments(
                values.numel(), float(values.sum()), float(values.min()), float(values.max())
            )
        elif values.numel():
            three = torch.stack([values.sum(), values.min(), values.max()])
            self._slopes_elsewhere.append((values.numel(), three))

    def end_step(self, step: int) -> Counts | None:
        """Bring the lifetimes up to an armed step.

        Returns:
            The units that fell silent in it suddenly; None where none did, or where the values lie
            on another device, which is read only once a window.
        """
        if self.is_read_late or self._sums.positions == self._seen_positions:
            return None
        fired, saturated = self._sums.counts()
        return self._note_lifetimes(step, fired, saturated)

    def _note_lifetimes(self, step: int, fired: Sums, saturated: Sums) -> Counts | None:
        positions = self._sums.positions
        if self.layer.saturates:
            fired = positions - saturated
        fell = self.lifetimes.note(step, fired - self._seen, self._rows - self._seen_rows)
        self._seen, self._seen_rows, self._seen_positions = fired, self._rows, positions
        return fell

    def end_window(self, step: int) -> LayerWindow:
        """Return what the window holds, and begin the next."""
        totals = self._sums.read()
        fired = totals.positions - totals.saturated if self.layer.saturates else totals.fired
        if self.is_read_late and totals.positions:
            self._note_lifetimes(
                step, *(part.astype(np.float64) for part in (totals.fired, totals.saturated))
            )
        activity = UnitActivity(
            self._rows,
            totals.positions,
            fired,
            totals.total,
            totals.total_square,
            totals.gradient_positions,
            totals.gradient,
        )
        for count, three in self._slopes_elsewhere:
            self.slopes += Moments(count, *three.tolist())
        window = LayerWindow(activity, self.gradient_norm, self.update_ratio, self.slopes)
        self._begin_window()
        return window


SUDDEN = 4.0
"""A unit that fired so often on its last armed step, and not once on this one, fell suddenly:
at the same rate that would have a chance of exp(-4), under 2 %."""


class LazyLifetimes:
    """The lifetimes of a layer's units, cheap while all of them fire.

    Args:
        units: How many there are.
        known: What is known of them from before, in a training that is resumed.
    """

    def __init__(self, units: int, known: Lifetimes | None = None) -> None:
        self._known = known or Lifetimes.unseen(units)
        self._all_fired_at: int | None = None
        self._last_counts: Sums = np.zeros(units)  # when they last fired

    def note(self, step: int, fired: Sums, rows: int) -> Counts | None:
        """Take note of an armed step; return the units that fell silent in it suddenly, or None."""
        if np.count_nonzero(fired) == fired.size:  # far quicker than all() on few units
            self._all_fired_at, self._last_counts = step, fired
            return None
        self._known = self.value().after(step, fired, rows)
        is_sudden = (fired == 0) & (self._last_counts >= SUDDEN)
        is_sudden &= self._known.first_silent == step
        self._last_counts = np.where(fired > 0, fired, self._last_counts)
        fell = np.flatnonzero(is_sudden)
        return fell if len(fell) else None

    def value(self) -> Lifetimes:
        """Return them as the run file keeps them."""
        if self._all_fired_at is not None:
            units = len(self._known.last_fired)
            self._known = Lifetimes.all_fired(units, self._all_fired_at)
            self._all_fired_at = None
        return self._known
