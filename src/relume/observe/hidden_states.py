"""Recurrent layers on measured steps: how the hidden state grows over a sequence, and by what."""

import math
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from relume.observe.plain import is_plain
from relume.observe.sharding import is_readable
from relume.observe.visited import Named
from relume.runs.facts import RecurrentFacts

MOST_UNITS, FEW_UNITS = 512, 128
"""Of matrices whose eigenvalues are computed, and of those where that takes a few ms at most."""
EVERY, EVERY_LARGE = 20, 200
"""Passes from one computation of the eigenvalues to the next, of small and of large matrices."""


class _Layer:
    """What is known of one recurrent layer or cell."""

    def __init__(self, module: nn.Module) -> None:
        self.module = weakref.ref(module)
        self.kind = type(module).__name__
        self.nonlinearity = str(getattr(module, "nonlinearity", "tanh"))
        self.passes = self.time_steps = 0
        self.radius = math.nan
        self.is_radius_due = False
        self._logs: Tensor | None = None  # sum of log growth, and of how many
        # Of the sequence that a cell goes through: its state, sizes and pass.
        self._state: weakref.ref[Tensor] | None = None
        self._first: Tensor | None = None
        self._last: Tensor | None = None
        self._length = 0
        self._pass_number = 0

    def begin_pass(self, module: nn.Module) -> None:
        """Count a pass; compute the eigenvalues if they are due and lie at hand."""
        self.passes += 1
        weight = recurrent_matrix(module)
        if weight is None or len(weight) > MOST_UNITS:
            return
        every = EVERY if len(weight) <= FEW_UNITS else EVERY_LARGE
        if (self.passes - 1) % every == 0:
            self.is_radius_due = True
            if weight.is_cpu:
                self.compute_radius()

    def compute_radius(self) -> None:
        """Compute the largest absolute eigenvalue, of the weights as they are now."""
        module = self.module()
        weight = recurrent_matrix(module) if module is not None else None
        if weight is not None and self.is_radius_due:
            self.radius = spectral_radius(weight)
        self.is_radius_due = False

    def add(self, first: Tensor, last: Tensor, time_steps: int) -> None:
        """Add the growth over a sequence from the sizes of its first and last states."""
        self.time_steps = max(self.time_steps, time_steps)
        if time_steps < 2:
            return
        log = (last / first).log()
        is_known = torch.isfinite(log)
        logs = torch.stack([torch.where(is_known, log, 0.0), is_known.to(log.dtype)])
        self._logs = logs if self._logs is None else self._logs.to(logs.device) + logs

    def add_cell(self, state: Tensor, before: Any, pass_number: int) -> bool:
        """Add one step of a cell; return whether it begins a sequence.

        It goes on with one if it is given the state that came last, or another in the same pass.
        """
        known = self._state() if self._state is not None else None
        is_same_pass, self._pass_number = self._pass_number == pass_number, pass_number
        is_given = self._length > 0 and before is not None
        begins = not (is_given and (is_same_pass or before is known))
        size = root_mean_square(state)
        if begins:
            self.end_sequence()
            self._first, self._length = size, 0
        self._state, self._last = weakref.ref(state), size
        self._length += 1
        self.time_steps = max(self.time_steps, self._length)
        return begins

    def end_sequence(self) -> None:
        """Add the growth over the sequence that a cell went through."""
        if self._first is not None and self._last is not None:
            self.add(self._first, self._last, self._length)
        self._first = self._last = self._state = None
        self._length = 0

    def facts(self, name: str) -> RecurrentFacts:
        """Return what the passes amount to."""
        self.end_sequence()
        self.compute_radius()
        total, count = (0.0, 0.0) if self._logs is None else self._logs.tolist()
        return RecurrentFacts(
            name=name,
            kind=self.kind,
            nonlinearity=self.nonlinearity,
            time_steps=self.time_steps,
            growth=math.exp(total / count) if count else math.nan,
            spectral_radius=self.radius,
            passes=self.passes,
        )


class HiddenStates:
    """Follows recurrent layers and cells in training; a visitor of calls.

    Of a layer that runs in both directions the forward one is told; of several layers the last. The
    recurrent matrix is that of the first layer; of LSTMs and GRUs the part that makes the candidate
    for the next state.

    Args:
        pass_number: Returns the number of the present pass through the model.
        name: Returns the name of a module; empty where none is known.
    """

    def __init__(self, pass_number: Callable[[], int], name: Callable[[nn.Module], str]) -> None:
        self._pass_number = pass_number
        self._layers: Named[_Layer] = Named(name)

    def wants(self, kind: type[nn.Module]) -> bool:
        """Whether it is recurrent."""
        return issubclass(kind, (nn.RNNBase, nn.RNNCellBase))

    def enter(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """See nothing: what counts is returned."""

    def leave(self, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        """See what a layer returned in training, or a cell at one time step; waits for no device.

        Cost: about 30 us; the eigenvalues a few ms now and then.
        """
        if output is None or not (module.training and torch.is_grad_enabled()):
            return
        if torch._C._current_graph_task_id() != -1:  # noqa: SLF001
            return
        layer = self._layers.of(module, lambda: _Layer(module))
        if layer is None:
            return
        with torch.no_grad():
            if isinstance(module, nn.RNNBase):
                self._see_layer(layer, module, output)
            else:
                self._see_cell(layer, module, inputs, output)

    def facts(self) -> Iterator[RecurrentFacts]:
        """Return what is known of each layer."""
        with torch.no_grad():
            for name, layer in self._layers.items():
                yield layer.facts(name)

    def _see_layer(self, layer: _Layer, module: nn.RNNBase, output: Any) -> None:
        states, last = output
        last = last[0] if isinstance(last, tuple) else last
        found = first_and_last(module, states, last)
        if found is None:
            return
        layer.begin_pass(module)
        first, end, time_steps = found
        layer.add(root_mean_square(first), root_mean_square(end), time_steps)

    def _see_cell(
        self, layer: _Layer, module: nn.Module, inputs: tuple[Any, ...], output: Any
    ) -> None:
        state = output[0] if isinstance(output, tuple) else output
        if not isinstance(state, Tensor) or not is_plain(state):
            return
        before = inputs[1] if len(inputs) > 1 else None
        before = before[0] if isinstance(before, tuple) and before else before
        if layer.add_cell(state, before, self._pass_number()):
            layer.begin_pass(module)


def first_and_last(
    module: nn.RNNBase, states: Any, last: Tensor
) -> tuple[Tensor, Tensor, int] | None:
    """Return the states after the first and the last time step, and how many steps there are.

    Args:
        module: The layer.
        states: What it returned first: states of all time steps, packed or not.
        last: What it returned as last states, shape (layers * directions, rows, units).
    """
    values = states.data if isinstance(states, PackedSequence) else states
    if not isinstance(values, Tensor) or not is_plain(values) or not values.numel():
        return None
    units = values.shape[-1] // (2 if module.bidirectional else 1)
    values = values.detach()[..., :units]
    if isinstance(states, PackedSequence):
        end = last.detach()[-2 if module.bidirectional else -1]
        return values[: int(states.batch_sizes[0])], end, len(states.batch_sizes)
    axis = 1 if module.batch_first and values.ndim == 3 else 0
    time_steps = values.shape[axis]
    return values.select(axis, 0), values.select(axis, time_steps - 1), time_steps


def root_mean_square(values: Tensor) -> Tensor:
    """Return the root mean square, a scalar on the device of the values."""
    return values.detach().float().square().mean().sqrt()


def recurrent_matrix(module: nn.Module) -> Tensor | None:
    """Return the matrix by which a state makes the next, shape (units, units), or None.

    In torch's order the candidate is the third part, of LSTMs (input, forget, cell, output) and of
    GRUs (reset, update, new).
    """
    weight = getattr(module, "weight_hh_l0", None)
    if weight is None:
        weight = getattr(module, "weight_hh", None)
    units = getattr(module, "hidden_size", 0)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or weight.shape[1] != units:
        return None
    if not is_readable(weight):
        return None
    return weight.detach()[2 * units : 3 * units] if len(weight) > units else weight.detach()


def spectral_radius(weight: Tensor) -> float:
    """Return the largest absolute eigenvalue of a square matrix, in float64; nan where not finite.

    Cost: 5 ms for 128 rows, 0.3 s for 512.

    Example:
        >>> round(spectral_radius(torch.tensor([[0.0, -2.0], [2.0, 0.0]])), 6)
        2.0
    """
    matrix = weight.detach().to("cpu", torch.float64)
    if not bool(torch.isfinite(matrix).all()):
        return math.nan
    return float(torch.linalg.eigvals(matrix).abs().amax())
