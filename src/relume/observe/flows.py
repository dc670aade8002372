"""Gradients and updates of the weights that feed the sites, on armed steps."""

import math
import statistics
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from relume.kernels.weight_norms import Norm, distance, joined, keep, norm
from relume.observe.late import read_scalars
from relume.observe.tally import Tally
from relume.runs.records import Counts, Moments, Sums

MOST_BYTES = 32 << 20
"""Weights beyond these are not copied: their updates and their rows' changes are not observed."""
_KEPT = 15


@dataclass(slots=True, eq=False)
class _Copy:
    """The weights of an owner as they were before the update of the last armed step."""

    weights: tuple[Tensor, ...]
    before: tuple[Tensor, ...]
    sizes: list[Norm]  # of these
    usual: deque[float]  # the update ratios of the last armed steps
    is_fresh: bool  # whether the update after it is still to come


class WeightNorms:
    """What one update did to single weights, scalars by the ``id`` of the weight.

    Attributes:
        gradients: Norms of the gradients, scaled where they are.
        weights: Norms before the update.
        moves: Norms of the update.
    """

    def __init__(self) -> None:
        self.gradients: dict[int, Norm] = {}
        self.weights: dict[int, Norm] = {}
        self.moves: dict[int, Norm] = {}

    @staticmethod
    def keep(where: dict[int, Norm], weights: Sequence[Tensor], norms: Sequence[Norm]) -> None:
        """Keep a norm of each of some weights."""
        where.update(zip(map(id, weights), norms, strict=True))


class Flows:
    """Gradient norms, update-to-weight ratios, and how far single rows moved.

    A copy of the weights from the last armed step is kept, within a bound, and used twice: for the
    update that follows, and to see how far the row of a unit moved until the next armed step.

    Attributes:
        copied_bytes: What the copies take.
        uncopied: Names of the sites whose weights are too large to be copied.
        norms: What was measured of single weights since the last update began, by ``id``.
        before: Copies of single weights, by ``id``.
    """

    def __init__(self) -> None:
        self.copied_bytes = 0
        self.uncopied: set[str] = set()
        self.norms = WeightNorms()
        self.before: dict[int, Tensor] = {}
        self._copies: dict[int, _Copy] = {}
        self._scratch: dict[torch.device, Tensor] = {}
        self._pending: list[tuple[Tally, str, Tensor]] = []
        self._awaited: Collection[int] = ()  # parameters whose gradients a closure computes

    def before_update(
        self,
        tallies: Sequence[Tally],
        parameters: Collection[int],
        *,
        has_closure: bool,
        scale: Tensor | None = None,
    ) -> float:
        """Note gradients, and copy the weights that are about to be updated.

        Args:
            tallies: The sites.
            parameters: The ids of what is about to be updated.
            has_closure: Whether the update makes its gradients itself: those there are old.
            scale: What the gradients are multiplied by; None for nothing.

        Returns:
            The norm of the gradients of all owners together; nan where it is not known at once.
        """
        self._awaited = parameters if has_closure else ()
        self.norms = WeightNorms()
        for tally in tallies:
            if tally.owner and id(tally.owner[0]) in parameters:
                self._copy(tally)
        return self._note_gradients(tallies, () if has_closure else parameters, scale)

    def _note_gradients(
        self, tallies: Sequence[Tally], parameters: Collection[int], scale: Tensor | None = None
    ) -> float:
        seen: dict[int, float | None] = {}
        for tally in tallies if parameters else ():
            if not tally.owner or id(tally.owner[0]) not in parameters:
                continue
            pairs = [(weight, weight.grad) for weight in tally.owner if weight.grad is not None]
            if pairs:
                parts = [norm([gradient]) for _, gradient in pairs]
                self.norms.keep(self.norms.gradients, [weight for weight, _ in pairs], parts)
                size = joined(parts)
                if scale is not None:
                    size = size / (scale.item() if isinstance(size, float) else scale)
                seen[id(tally.owner[0])] = self._note(tally, "gradient_norm", size)
        norms = [size for size in seen.values() if size is not None]
        return math.hypot(*norms) if norms and len(norms) == len(seen) else math.nan

    def after_update(self, tallies: Sequence[Tally]) -> float:
        """Note how far the update moved what was copied before it.

        Returns:
            The norm of all gradients of the last call of a closure; nan where there was none.
        """
        ratios: dict[int, Norm] = {}
        for tally in tallies:
            key = id(tally.owner[0]) if tally.owner else 0
            copy = self._copies.get(key)
            if copy is not None and copy.is_fresh:
                copy.is_fresh = False
                ratios[key] = self._moved(copy)
                ratio = self._note(tally, "update_ratio", ratios[key])
                if ratio is not None and math.isfinite(ratio):
                    copy.usual.append(ratio)
            elif key in ratios:  # several sites may have one owner, as the gates of a cell
                self._note(tally, "update_ratio", ratios[key])
        awaited, self._awaited = self._awaited, ()
        return self._note_gradients(tallies, awaited)

    def change(self, tally: Tally) -> float:
        """Return how far the weights moved since the last armed step's update, over their norm."""
        copy = self._copies.get(id(tally.owner[0])) if tally.owner else None
        return 0.0 if copy is None else float(self._moved(copy))

    def have_all_moved(self, tallies: Sequence[Tally], least: float, times: float) -> bool:
        """Whether all weights moved since the last armed step's update, and farther than usual.

        Args:
            tallies: The sites whose owners are meant.
            least: Of their norm.
            times: Of their usual update.
        """
        moves = [(self.change(tally), self.usual_update(tally)) for tally in tallies]
        return bool(moves) and all(
            change >= least and change > times * usual for change, usual in moves
        )

    def usual_update(self, tally: Tally) -> float:
        """Return the median of the update ratios seen lately; nan where none was seen."""
        copy = self._copies.get(id(tally.owner[0])) if tally.owner else None
        return statistics.median(copy.usual) if copy is not None and copy.usual else math.nan

    def _moved(self, copy: _Copy) -> Norm:
        pairs = zip(copy.weights, copy.before, strict=True)
        moves = [distance([weight], [before], self.room) for weight, before in pairs]
        self.norms.keep(self.norms.moves, copy.weights, moves)
        self.norms.keep(self.norms.weights, copy.weights, copy.sizes)
        moved, size = joined(moves), joined(copy.sizes)
        if isinstance(size, float) and not size:
            return math.inf if moved else math.nan
        return moved / size

    def row_changes(self, tally: Tally, units: Counts) -> Sums:
        """Return how far the rows of some units moved since the last armed step's update.

        Returns:
            The norm of the change of weight row and bias over their norm before, shape
            (len(units),); nan where it was not observed.
        """
        unknown = np.full(len(units), np.nan)
        copy = self._copies.get(id(tally.owner[0])) if tally.owner else None
        if copy is None or not tally.has_whole_gradient:
            return unknown  # not of recurrent layers: the gates of a cell share one matrix
        pairs = []
        for weight, old in zip(copy.weights, copy.before, strict=True):
            axis = _unit_axis(weight, tally.layer.units, units)
            if axis is not None:
                pairs.append((_rows(weight.detach(), axis, units), _rows(old, axis, units)))
        if not pairs:
            return unknown
        change = sum((a - b).double().square().sum(1) for a, b in pairs)
        size = sum(b.double().square().sum(1) for _, b in pairs)
        ratio = torch.as_tensor(change / size).sqrt()
        return np.asarray(ratio.nan_to_num(nan=np.nan, posinf=np.inf).cpu().numpy())

    def settle(self) -> None:
        """Read what was noted on other devices than the CPU; call it once a window."""
        pending, self._pending = self._pending, []
        values = read_scalars([value for _, _, value in pending])
        for (tally, what, _), value in zip(pending, values, strict=True):
            _add(tally, what, value)

    def room(self, weight: Tensor) -> Tensor:
        """Return memory for something like a weight, which is kept for the next one."""
        scratch = self._scratch.get(weight.device)
        if scratch is None or scratch.numel() < weight.numel() or scratch.dtype != weight.dtype:
            scratch = torch.empty(weight.numel(), dtype=weight.dtype, device=weight.device)
            self._scratch[weight.device] = scratch
        return scratch[: weight.numel()].view(weight.shape)

    def _note(self, tally: Tally, what: str, value: Norm) -> float | None:
        """Add a number, and return it if it is known at once."""
        if isinstance(value, Tensor):
            self._pending.append((tally, what, value))
            return None
        _add(tally, what, value)
        return value

    def _copy(self, tally: Tally) -> None:
        key = id(tally.owner[0])
        copy = self._copies.get(key)
        if copy is None:
            size = sum(weight.numel() * weight.element_size() for weight in tally.owner)
            if self.copied_bytes + size > MOST_BYTES:
                self.uncopied.add(tally.layer.name)
                return
            self.copied_bytes += size
            before = tuple(weight.detach().clone() for weight in tally.owner)
            sizes = [norm([each]) for each in before]
            usual: deque[float] = deque(maxlen=_KEPT)
            self._copies[key] = _Copy(tally.owner, before, sizes, usual, is_fresh=True)
            self.before.update(zip(map(id, tally.owner), before, strict=True))
        elif not copy.is_fresh:
            pairs = zip(copy.weights, copy.before, strict=True)
            copy.sizes = [keep([weight], [before]) for weight, before in pairs]
            copy.is_fresh = True


def _add(tally: Tally, what: str, value: float) -> None:
    if what == "update_ratio" and not math.isfinite(value):
        return  # a weight that was zero makes no ratio
    so_far: Moments = getattr(tally, what)
    setattr(
        tally,
        what,
        Moments(
            so_far.count + 1,
            so_far.total + value,
            min(so_far.least, value),
            max(so_far.greatest, value),
        ),
    )


def _unit_axis(weight: Tensor, count: int, units: Counts) -> int | None:
    """Return which axis of a weight counts the units; None where neither of the first two does.

    Where both could, the gradient tells: it is zero for units that have just fallen silent.
    """
    fitting = [axis for axis in range(min(weight.ndim, 2)) if weight.shape[axis] == count]
    if len(fitting) == 2 and weight.grad is not None:
        zero = [axis for axis in fitting if not _rows(weight.grad, axis, units).any()]
        fitting = zero or fitting
    return fitting[0] if fitting else None


def _rows(weight: Tensor, axis: int, units: Counts) -> Tensor:
    """Return the numbers of a weight that belong to each of some units, (units, numbers)."""
    index = torch.as_tensor(units, device=weight.device)
    return weight.index_select(axis, index).movedim(axis, 0).reshape(len(units), -1)
