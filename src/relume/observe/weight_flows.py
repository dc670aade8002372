"""Gradients, updates and norms of every parameter, on armed steps.

Norms stay where the weights lie until they are asked for, once a window; what ``Flows`` has
measured already is taken from there.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from relume.kernels.weight_norms import Norm, distance, is_native, keep, norm
from relume.observe import flows as flows_module
from relume.observe.flows import Flows
from relume.observe.unobserved import Unobserved
from relume.observe.weight_book import WeightBook
from relume.runs.records import Moments, WeightWindow

NOT_YET = -1
MOST_STARTS = 64
_GRADIENT, _RATIO, _NORM = range(3)  # the series
_MOVE, _LEFT_OVER = 3, 4

_NOTHING = {
    "armed_steps": 0,
    "gradient_steps": 0,
    "nonzero_steps": 0,
    "left_over_steps": 0,
    "first_nonfinite": NOT_YET,
    "updated_at": NOT_YET,  # by the numbers of backward passes and updates
    "clean_at": NOT_YET,
    "begun_at": 0,  # what was noted before is none of theirs
    "last_armed": NOT_YET,  # the step that was counted last, likewise for each count
    "last_gradient": NOT_YET,
    "last_nonzero": NOT_YET,
    "last_left_over": NOT_YET,
}
_SUMS = np.dtype([(name, np.int64) for name in _NOTHING])


@dataclass(slots=True, eq=False)
class _Noted:
    """Numbers of some parameters that are still to be read."""

    what: int
    step: int
    number: int  # of the last backward pass or update before
    places: list[int]
    values: Tensor


@dataclass(slots=True, eq=False)
class _Start:
    """Gradients that were there when a backward pass began."""

    number: int
    values: dict[int, Norm]


class WeightFlows:
    """The running sums of each parameter, by its place in the book.

    Args:
        book: The parameters.
        flows: Has measured those that feed activations.
        unobserved: Takes note of what is too large to be copied.

    Attributes:
        sums: One row a parameter: ``armed_steps`` with an update, those with a gradient
            (``gradient_steps``) and with one that is not all zero (``nonzero_steps``), those on
            which no backward pass since the update before found the gradient absent or zero
            (``left_over_steps``), and the first on which it was not finite, or ``NOT_YET``
            (``first_nonfinite``).
    """

    def __init__(self, book: WeightBook, flows: Flows, unobserved: Unobserved) -> None:
        self.sums = np.zeros(0, _SUMS)
        self._book = book
        self._flows = flows
        self._unobserved = unobserved
        self._totals = np.zeros((4, 3, 0))  # count, sum, least and greatest of each series
        self._rows = np.zeros(0, np.int64)  # of matrices in the series; NOT_YET for others
        self._own_copies: dict[int, Tensor] = {}
        self._sizes: dict[int, Norm] = {}  # of these
        self._large: set[int] = set()
        self._fresh: list[int] = []  # matrices whose update is under way
        self._updating: Sequence[int] = []
        self._bystanders: Sequence[int] = []
        self._is_awaiting = False  # gradients that a closure computes
        self._pending: list[_Noted] = []
        self._starts: list[_Start] = []
        self._number = 0  # of backward passes and updates

    def take_up(self, places: Sequence[int]) -> None:
        """Begin anew with parameters that are new or were replaced."""
        weights, matrices = self._book.weights, self._book.matrices
        more = np.zeros(len(weights) - len(self.sums), _SUMS)
        self.sums = np.concatenate([self.sums, more])
        for place in places:
            self._forget_copy(place)
        self.begin_anew(places)
        self._rows = np.full(len(weights), NOT_YET, np.int64)
        self._rows[matrices] = np.arange(len(matrices))
        more_totals = _no_totals(len(matrices) - self._totals.shape[2])
        self._totals = np.concatenate([self._totals, more_totals], axis=2)

    def begin_anew(self, places: Sequence[int]) -> None:
        """Forget the sums of some parameters."""
        self._number += 1
        for place in places:
            self.sums[place] = tuple(_NOTHING.values())
            self.sums["begun_at"][place] = self._number

    def begin_step(self, *, is_after_update: bool) -> None:
        """Begin an armed step.

        Args:
            is_after_update: Whether it follows on an update, and on steps that were not armed.
        """
        self._number += 1
        if is_after_update:
            self._starts.clear()
            self.sums["updated_at"][self.sums["updated_at"] != NOT_YET] = self._number
        del self._starts[:-MOST_STARTS]

    @torch.no_grad()
    def begin_pass(self, *, is_after_update: bool = False) -> None:
        """Take note of the gradients that are there before a backward pass.

        Args:
            is_after_update: Whether everything has just been updated by hand.
        """
        if is_after_update:
            self.sums["updated_at"][:] = self._number
        self._number += 1
        weights, is_suspect = self._book.weights, self.sums["clean_at"] < self.sums["updated_at"]
        places = []
        for place in np.flatnonzero(is_suspect).tolist():
            if weights[place].tensor.grad is None:
                self.sums["clean_at"][place] = self._number
            else:
                places.append(place)
        if not places:
            return
        norms = dict(zip(places, map(_norm_of_gradient, self._gradients(places)), strict=True))
        clean = [place for place, norm in norms.items() if isinstance(norm, float) and norm == 0]
        self.sums["clean_at"][clean] = self._number
        self._starts.append(_Start(self._number, norms))

    def _gradients(self, places: Iterable[int]) -> list[Tensor]:
        found = (self._book.weights[place].tensor.grad for place in places)
        return [gradient for gradient in found if gradient is not None]

    @torch.no_grad()
    def before_update(
        self,
        places: Sequence[int],
        bystanders: Sequence[int],
        step: int,
        *,
        has_closure: bool,
        scale: Tensor | None,
    ) -> None:
        """Note gradients, and copy what is about to be updated, where ``Flows`` has not.

        Args:
            places: Of the parameters that are about to be updated.
            bystanders: Of those that no optimizer holds.
            step: The present one.
            has_closure: Whether the update makes its gradients itself.
            scale: What gradients are multiplied by; None for nothing.
        """
        self._updating, self._bystanders = places, bystanders
        self._is_awaiting = has_closure
        if not has_closure:
            self._note_gradients(step, scale)
            self._note_left_over(step)
        self._fresh = [place for place in places if self._rows[place] >= 0 and self._copy(place)]

    def _copy(self, place: int) -> bool:
        """Copy a matrix, or see that it is; return whether there is a copy."""
        weight = self._book.weights[place].tensor
        if id(weight) in self._flows.before:
            self._forget_copy(place)
            return True
        copy = self._own_copies.get(place)
        if copy is not None:
            self._sizes[place] = keep([weight], [copy])
            return True
        size = weight.numel() * weight.element_size()
        if self._flows.copied_bytes + size > flows_module.MOST_BYTES:
            if place not in self._large:
                self._large.add(place)
                self._unobserved.note("update ratio: the weights are large in all", None)
            return False
        self._flows.copied_bytes += size
        self._own_copies[place] = weight.detach().clone()
        self._sizes[place] = norm([weight])
        return True

    def _forget_copy(self, place: int) -> None:
        copy = self._own_copies.pop(place, None)
        if copy is not None:
            self._flows.copied_bytes -= copy.numel() * copy.element_size()

    def _note_gradients(self, step: int, scale: Tensor | None) -> None:
        concerned = [*self._updating, *self._bystanders]
        self._count("armed", np.asarray(concerned, np.int64), step)
        weights, known = self._book.weights, self._flows.norms.gradients
        given, norms = [], []
        missing: list[int] = []
        for place in concerned:
            weight = weights[place].tensor
            gradient = weight.grad
            if gradient is None:
                continue
            norm = known.get(id(weight)) if gradient.itemsize >= 4 else None
            if norm is None:
                missing.append(place)
            else:
                given.append(place)
                norms.append(norm)
        given += missing
        norms += [_norm_of_gradient(gradient) for gradient in self._gradients(missing)]
        if given:
            where = np.asarray(given, np.int64)
            self._count("gradient", where, step)
            self._note(_GRADIENT, step, given, norms, scale)

    @torch.no_grad()
    def after_update(self, step: int, *, is_by_hand: bool = False) -> None:
        """Note how far the update moved what was copied.

        Args:
            step: The present one.
            is_by_hand: Whether it is not sure that there was one.
        """
        if self._is_awaiting:
            self._is_awaiting = False
            self._note_gradients(step, None)
            self._note_left_over(step)
        self._note_moves(step)
        if not is_by_hand:
            self._number += 1
            self.sums["updated_at"][self._updating] = self._number
        self._fresh, self._updating, self._bystanders = [], [], []

    def _note_moves(self, step: int) -> None:
        known, weights = self._flows.norms, self._book.weights
        places, moves, sizes = [], [], []
        for place in self._fresh:
            weight = weights[place].tensor
            moved, size = known.moves.get(id(weight)), known.weights.get(id(weight))
            if moved is None or size is None:
                before = self._own_copies.get(place, self._flows.before.get(id(weight)))
                if before is None or before.shape != weight.shape:
                    continue
                size = self._sizes[place] if place in self._own_copies else norm([before])
                moved = distance([weight], [before], self._flows.room)
            places.append(place)
            moves.append(moved)
            sizes.append(size)
        self._note(_MOVE, step, places, [*moves, *sizes])

    def _note_left_over(self, step: int) -> None:
        places, least = [], []
        is_suspect = self.sums["clean_at"] < self.sums["updated_at"]
        for place in self._updating if self._starts else ():
            since = self.sums["updated_at"][place]
            norms = [
                start.values[place]
                for start in self._starts
                if is_suspect[place] and start.number > since and place in start.values
            ]
            if norms:
                places.append(place)
                least.append(_least_nonzero(norms))
        self._note(_LEFT_OVER, step, places, least)

    def _note(
        self,
        what: int,
        step: int,
        places: list[int],
        values: list[Norm],
        scale: Tensor | None = None,
    ) -> None:
        """Take note of one number for each place, or of several, one after the other."""
        tensors = [value for value in values if isinstance(value, Tensor)]
        if not values:
            return
        if not tensors:
            known = np.array(values, np.float64)
            self._add(what, step, places, known if scale is None else known / scale.item())
            return
        device = tensors[0].device
        together = torch.stack([torch.as_tensor(value, device=device) for value in values])
        if scale is not None:
            together = together / scale.to(device)
        self._pending.append(_Noted(what, step, self._number, places, together))

    def settle(self) -> None:
        """Read what was noted so far, all of it at once."""
        pending, self._pending = self._pending, []
        for device in {noted.values.device for noted in pending}:
            mine = [noted for noted in pending if noted.values.device == device]
            numbers = torch.cat([noted.values.reshape(-1) for noted in mine]).cpu().double()
            sizes = [noted.values.numel() for noted in mine]
            for noted, values in zip(mine, torch.split(numbers, sizes), strict=True):
                self._add(noted.what, noted.step, noted.places, values.numpy(), noted.number)

    def _add(
        self,
        what: int,
        step: int,
        given: list[int],
        values: NDArray[np.float64],
        number: int | None = None,
    ) -> None:
        """Add one number for each place, noted now or before the update of that number."""
        places = np.asarray(given, np.int64)
        if what == _MOVE:
            moved, norms = values.reshape(2, -1)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratios = moved / norms
            is_ratio = np.isfinite(ratios)  # a weight that was zero makes none
            self._add_up(_RATIO, places[is_ratio], ratios[is_ratio])
            self._add_up(_NORM, places, norms)
            return
        is_own = True if number is None else self.sums["begun_at"][places] <= number
        nonzero = places[is_own & (values != 0)]
        if what == _LEFT_OVER:
            self._count("left_over", nonzero, step)
            return
        self._count("nonzero", nonzero, step)
        is_first = is_own & (self.sums["first_nonfinite"][places] == NOT_YET)
        self.sums["first_nonfinite"][places[is_first & ~np.isfinite(values)]] = step
        is_matrix = self._rows[places] >= 0
        self._add_up(_GRADIENT, places[is_matrix], values[is_matrix])

    def _count(self, what: str, places: NDArray[np.int64], step: int) -> None:
        """Count a step for some parameters, unless that was done already."""
        last = self.sums[f"last_{what}"]
        new = places[last[places] != step]
        self.sums[f"{what}_steps"][new] += 1
        last[new] = step

    def _add_up(self, series: int, places: NDArray[np.int64], values: NDArray[np.float64]) -> None:
        rows = self._rows[places]
        totals = self._totals[:, series]
        totals[0, rows] += 1
        totals[1, rows] += values
        totals[2, rows] = np.fmin(totals[2, rows], values)
        totals[3, rows] = np.fmax(totals[3, rows], values)

    def window(self) -> tuple[WeightWindow, ...]:
        """Return what was seen of each matrix since the last time, in the order of the book."""
        self.settle()
        numbers = self._totals.transpose(2, 1, 0).tolist()
        self._totals = _no_totals(len(numbers))
        return tuple(
            WeightWindow(*(Moments(int(count), *rest) for count, *rest in row)) for row in numbers
        )


def _no_totals(matrices: int) -> NDArray[np.float64]:
    totals = np.zeros((4, 3, matrices))
    totals[2], totals[3] = np.inf, -np.inf
    return totals


def _norm_of_gradient(gradient: Tensor) -> Norm:
    """Return the norm of a gradient; sparse ones are added up first, as optimizers do."""
    if is_native(gradient):
        return norm([gradient])
    if gradient.is_sparse:
        gradient = gradient.coalesce().values()
    kind = torch.float32 if gradient.itemsize < 4 else gradient.dtype
    size: Tensor = torch.linalg.vector_norm(gradient, dtype=kind).float()
    return size.item() if size.device.type == "cpu" else size


def _least_nonzero(norms: Sequence[Norm]) -> Norm:
    """Return 1 if none of some norms is zero, else 0."""
    if any(isinstance(norm, float) and norm == 0 for norm in norms):
        return 0.0
    late = [(norm != 0).float() for norm in norms if isinstance(norm, Tensor)]
    return torch.stack(late).amin() if late else 1.0
