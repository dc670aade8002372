"""An activation along a line: what there is to plot."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from relume.nn.complex_valued import mod_relu
from relume.nn.facts import Activation, Kind

Slice = Callable[[Activation, Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Curve:
    """Value and derivative of an activation along a line, as plain numbers."""

    name: str
    line: str  # which line it is, in words; empty for one number in, one out
    x: tuple[float, ...]
    value: tuple[float, ...]
    derivative: tuple[float, ...]


def sample_curve(
    entry: Activation, *, low: float | None = None, high: float | None = None, points: int = 401
) -> Curve:
    """Evaluate an activation and its derivative (autograd) at evenly spaced points, in float64.

    Of those that read several numbers it takes one line, which it names: see ``Curve.line``.

    Args:
        entry: What to evaluate, at its default parameters.
        low: The first point; by default -5, or 2 before the first knot.
        high: The last point; by default 5, or 2 past the last knot. ``phase_relu`` is a function of
            the phase, from minus pi to pi by default.
        points: How many there are.

    Example:
        >>> from relume.nn.registry import get_activation
        >>> sample_curve(get_activation("relu"), low=-1, high=1, points=3).derivative
        (0.0, 0.0, 1.0)
    """
    line, along = _line_of(entry)
    first, last = _usual_bounds(entry)
    low, high = first if low is None else low, last if high is None else high
    x = torch.linspace(low, high, points, dtype=torch.float64).requires_grad_()
    y = along(entry, x)
    (slope,) = torch.autograd.grad(y.sum(), x)
    numbers = (tuple(each.tolist()) for each in (x.detach(), y.detach(), slope))
    return Curve(entry.name, line, *numbers)


def _usual_bounds(entry: Activation) -> tuple[float, float]:
    if entry.name == "phase_relu":
        return -math.pi, math.pi
    knots = entry.facts.knots if entry.kind is not Kind.COMPLEX else ()
    return min([-5.0, *(knot - 2 for knot in knots)]), max([5.0, *(knot + 2 for knot in knots)])


def _line_of(entry: Activation) -> tuple[str, Slice]:
    by_name: dict[str, tuple[str, Slice]] = {
        "maxout": ("one piece is x, the other 0", _one_piece),
        "mod_relu": ("along the real line, at bias -1 (at the default 0 it is x)", _shrunk),
        "phase_relu": ("the phase of f(z) at phase x, |z| = 1", _phase),
    }
    by_kind: dict[Kind, tuple[str, Slice]] = {
        Kind.ELEMENTWISE: ("", lambda entry, x: entry.function(x)),
        Kind.GATED: ("the gate is x, the value 1", _gate),
        Kind.DOUBLING: ("the first half; the second is its mirror image", _first_half),
        Kind.VECTOR: ("one of three coordinates is x, the others 0", _first_of_three),
        Kind.COMPLEX: ("along the real line", _real_line),
    }
    return by_name.get(entry.name, by_kind[entry.kind])


def _gate(entry: Activation, x: Tensor) -> Tensor:
    return entry.function(torch.stack([torch.ones_like(x), x], dim=-1)).squeeze(-1)


def _one_piece(entry: Activation, x: Tensor) -> Tensor:
    return entry.function(torch.stack([x, torch.zeros_like(x)], dim=-1)).squeeze(-1)


def _first_half(entry: Activation, x: Tensor) -> Tensor:
    return entry.function(x[:, None])[:, 0]


def _first_of_three(entry: Activation, x: Tensor) -> Tensor:
    zero = torch.zeros_like(x)
    return entry.function(torch.stack([x, zero, zero], dim=-1))[:, 0]


def _real_line(entry: Activation, x: Tensor) -> Tensor:
    return entry.function(torch.complex(x, torch.zeros_like(x))).real


def _shrunk(_: Activation, x: Tensor) -> Tensor:
    return mod_relu(torch.complex(x, torch.zeros_like(x)), bias=-1.0).real


def _phase(entry: Activation, x: Tensor) -> Tensor:
    return entry.function(torch.polar(torch.ones_like(x), x)).angle()
