"""Recurrent networks step by step: the states of RNNs, and the gates of LSTMs and GRUs.

What is known from outside is enough for the last layer: the state before a step is the output of
the step before it, so that all gates of a layer are one matrix product. Inner layers are run again
by torch's own operation, one layer at a time; behind dropout in training they cannot be, since its
random numbers are gone, and are listed as not observed. Packed sequences hold no padding, so none
is counted. Gates lie in the order of torch: input, forget, cell, output (LSTM) and reset, update,
new (GRU).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from relume.observe.aside import Aside, Fused, Part
from relume.observe.rectifiers import RELU, SIGMOID, TANH, Reading

Gates = Callable[[Tensor, Tensor], tuple[Tensor, ...]]
"""From what input and state contribute, each (positions, gates times units), to the gates."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of recurrent network.

    Args:
        parts: Name and reading of each gate; a single nameless one is the state itself.
        gates: Their values; None where the state itself is read.
    """

    parts: tuple[tuple[str, Reading], ...]
    gates: Gates | None = None


@dataclass(frozen=True, slots=True, eq=False)
class _Layers:
    """The arguments of one call, time before rows.

    Args:
        x: Input of shape (time, rows, features), or (positions, features) where packed.
        sizes: Rows of each time step, never rising.
        packed: The same as the operation takes it; None where not packed.
        states: What it starts from, each of shape (layers times directions, rows, units).
        weights: Of each layer and direction: two matrices, their biases, a projection.
        has_biases: Whether they have biases.
        layers: Their number.
        directions: 2 where bidirectional.
        drops: Whether there is dropout between the layers.
    """

    x: Tensor
    sizes: list[int]
    packed: Tensor | None
    states: tuple[Tensor, ...]
    weights: tuple[tuple[Tensor, ...], ...]
    has_biases: bool
    layers: int
    directions: int
    drops: bool

    @property
    def start(self) -> Tensor:
        """The first states h."""
        return self.states[0]

    def run(self, original: Callable[..., Any], x: Tensor, layer: int) -> Tensor:
        """Return what one layer makes of its input."""
        here = slice(layer * self.directions, (layer + 1) * self.directions)
        states = [state[here] for state in self.states]
        weights = [weight for group in self.weights[here] for weight in group]
        given = (
            states if len(states) > 1 else states[0],
            *(weights, self.has_biases, 1, 0.0, False, self.directions == 2),
        )
        # cuDNN warns of weights that are no single block, as one layer's are.
        plain = torch.backends.cudnn.flags(enabled=False) if x.is_cuda else nullcontext()
        with plain:
            if self.packed is not None:
                output = original(x, self.packed, *given)
            else:
                output = original(x, *given, False)  # noqa: FBT003
        return output[0]  # type: ignore[no-any-return]


def _layers(args: Sequence[Any]) -> tuple[_Layers, bool]:
    """Return the arguments of ``rnn_relu``, ``lstm`` or ``gru``, and whether rows come first."""
    is_packed = isinstance(args[3], list | tuple)
    x, packed = (args[0], args[1]) if is_packed else (args[0], None)
    states, weights, has_biases, layers, dropout, training, both = args[1 + is_packed :][:7]
    is_rows_first = not is_packed and bool(args[8])
    if is_rows_first:
        x = x.transpose(0, 1)
    sizes = packed.tolist() if packed is not None else [x.shape[1]] * x.shape[0]
    directions = 2 if both else 1
    each = len(weights) // (layers * directions)
    groups = [
        tuple(weight.detach() for weight in weights[i : i + each])
        for i in range(0, len(weights), each)
    ]
    states = (states,) if isinstance(states, Tensor) else tuple(states)
    found = _Layers(
        x.detach(), sizes, packed, tuple(state.detach() for state in states), tuple(groups),
        has_biases, layers, directions, bool(dropout and training),
    )  # fmt: skip
    return found, is_rows_first


def _see_layers(
    kind: _Kind,
    aside: Aside,
    original: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
    output: Any,
) -> None:
    if named:
        aside.miss("given named arguments")
        return
    call, is_rows_first = _layers(args)
    last = output[0].transpose(0, 1) if is_rows_first else output[0]
    parameters = args[3] if call.packed is not None else args[2]
    x: Tensor | None = call.x
    for layer in range(call.layers):
        a = last if layer == call.layers - 1 else None
        if a is None and x is not None:
            a = call.run(original, x, layer)
        for direction in range(call.directions):
            _see_direction(kind, aside, call, _Place(layer, direction), (x, a, parameters))
        x = None if call.drops else a


@dataclass(frozen=True, slots=True)
class _Place:
    layer: int
    direction: int

    def suffix(self, call: _Layers) -> str:
        """Return what tells this layer from others of the module, as its parameters' names do."""
        if call.layers * call.directions == 1:
            return ""
        return f"l{self.layer}" + ("_reverse" if self.direction else "")


def _see_direction(
    kind: _Kind,
    aside: Aside,
    call: _Layers,
    place: _Place,
    known: tuple[Tensor | None, Tensor | None, Sequence[Tensor]],
) -> None:
    """Give the parts of one layer in one direction to the tap."""
    x, a, parameters = known
    suffix = place.suffix(call)
    if a is None or (kind.gates is not None and x is None):
        aside.miss("behind dropout", suffix)
        return
    index = place.layer * call.directions + place.direction
    group = call.weights[index]
    own = tuple(parameters[index * len(group) : (index + 1) * len(group)])
    units = a.shape[-1] // call.directions
    state = a.detach()[..., place.direction * units : (place.direction + 1) * units]
    state = state.reshape(-1, units)
    values: tuple[Tensor, ...] = (state,)
    if kind.gates is not None and x is not None:
        before = _before(state, call.start[index], call.sizes, is_reverse=place.direction == 1)
        flat = x.reshape(-1, x.shape[-1])
        values = kind.gates(*_products(flat, before, group, has_biases=call.has_biases))
    for (name, reading), value in zip(kind.parts, values, strict=True):
        part = Part(
            ".".join(p for p in (suffix, name) if p), reading, own, has_whole_gradient=False
        )
        aside.add(part, value, call.sizes[0] if call.sizes else 0)


def _before(state: Tensor, start: Tensor, sizes: Sequence[int], *, is_reverse: bool) -> Tensor:
    """Return the state before each step; a sequence that begins there has the first one.

    Args:
        state: After each step, of shape (positions, units): all rows of a step together.
        start: Of shape (rows, units).
        sizes: Rows of each step, never rising.
        is_reverse: Whether time runs from the last step to the first.

    Example:
        >>> state = torch.tensor([[1.0], [2.0], [3.0]])  # two rows, then one
        >>> _before(state, torch.tensor([[8.0], [9.0]]), [2, 1], is_reverse=False).T
        tensor([[8., 9., 1.]])
        >>> _before(state, torch.tensor([[8.0], [9.0]]), [2, 1], is_reverse=True).T
        tensor([[3., 9., 8.]])
    """
    steps = torch.split(state, list(sizes))
    if is_reverse:
        following = [*steps[1:], start[:0]]
        return torch.cat(list(_each_filled(following, start, sizes)))
    earlier = [start, *steps[:-1]]
    return torch.cat([rows[:size] for rows, size in zip(earlier, sizes, strict=True)])


def _each_filled(
    following: Sequence[Tensor], start: Tensor, sizes: Sequence[int]
) -> Iterator[Tensor]:
    for rows, size in zip(following, sizes, strict=True):
        yield rows
        yield start[len(rows) : size]


def _products(
    x: Tensor, before: Tensor, group: Sequence[Tensor], *, has_biases: bool
) -> tuple[Tensor, Tensor]:
    biases = group[2:4] if has_biases else (None, None)
    return linear(x, group[0], biases[0]), linear(before, group[1], biases[1])


def _lstm_gates(x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Return the gates of Hochreiter and Schmidhuber's cell with forget gate, in torch's order."""
    z_input, z_forget, z_cell, z_output = (x + h).chunk(4, dim=-1)
    return z_input.sigmoid(), z_forget.sigmoid(), z_cell.tanh(), z_output.sigmoid()


def _gru_gates(x: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    """Return the gates of Cho et al.'s unit, the reset behind the product, in torch's order."""
    x_reset, x_update, x_new = x.chunk(3, dim=-1)
    h_reset, h_update, h_new = h.chunk(3, dim=-1)
    reset = (x_reset + h_reset).sigmoid()
    return reset, (x_update + h_update).sigmoid(), (x_new + reset * h_new).tanh()


def _see_cell(
    kind: _Kind,
    aside: Aside,
    _original: Callable[..., Any],
    args: Sequence[Any],
    named: Mapping[str, Any],
    output: Any,
) -> None:
    """See one step of a cell: input, state, two matrices and their biases."""
    if named:
        aside.miss("given named arguments")
        return
    x, states, *weights = args
    own = tuple(weight for weight in weights if weight is not None)
    if kind.gates is None:
        ((name, reading),) = kind.parts
        aside.add(Part(name, reading, own), output, x.shape[0])
        return
    before = states if isinstance(states, Tensor) else states[0]
    group = tuple(weight.detach() for weight in own)
    values = kind.gates(*_products(x.detach(), before.detach(), group, has_biases=len(group) == 4))
    for (name, reading), value in zip(kind.parts, values, strict=True):
        aside.add(Part(name, reading, own, has_whole_gradient=False), value, x.shape[0])


_RELU = _Kind((("", RELU),))
_TANH = _Kind((("", TANH),))
_LSTM = _Kind(
    (("input_gate", SIGMOID), ("forget_gate", SIGMOID), ("cell_gate", TANH),
     ("output_gate", SIGMOID)),
    _lstm_gates,
)  # fmt: skip
_GRU = _Kind((("reset_gate", SIGMOID), ("update_gate", SIGMOID), ("new_gate", TANH)), _gru_gates)


def _places(name: str) -> tuple[tuple[str, str], ...]:
    return (("torch._VF", name), ("torch", name))


RECURRENT: tuple[Fused, ...] = (
    Fused("RNN", _places("rnn_relu"), partial(_see_layers, _RELU)),
    Fused("RNN", _places("rnn_tanh"), partial(_see_layers, _TANH)),
    Fused("LSTM", _places("lstm"), partial(_see_layers, _LSTM)),
    Fused("GRU", _places("gru"), partial(_see_layers, _GRU)),
    Fused("RNNCell", _places("rnn_relu_cell"), partial(_see_cell, _RELU)),
    Fused("RNNCell", _places("rnn_tanh_cell"), partial(_see_cell, _TANH)),
    Fused("LSTMCell", _places("lstm_cell"), partial(_see_cell, _LSTM)),
    Fused("GRUCell", _places("gru_cell"), partial(_see_cell, _GRU)),
)
"""Every recurrent operation that is observed."""
