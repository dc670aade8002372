"""What is known of an activation: the data that the catalogue, the rules and the networks read."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from torch import Tensor, nn


class Kind(StrEnum):
    """How an activation consumes its input."""

    ELEMENTWISE = "elementwise"  # one number in, one number out
    GATED = "gated"  # several features make one: GLU and its kin, maxout
    DOUBLING = "doubling"  # one feature makes two: concatenated relu
    VECTOR = "vector"  # every output reads the whole axis: softmax
    COMPLEX = "complex"  # complex number in, complex number out


class Saturation(StrEnum):
    """On which sides the derivative goes to zero while the value stays bounded."""

    NONE = "none"
    LEFT = "left"
    RIGHT = "right"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Paper:
    """Where an activation comes from."""

    authors: str
    title: str
    year: int
    where: str  # venue, DOI or arXiv identifier


@dataclass(frozen=True, slots=True)
class Facts:
    """The facts of one activation at its default parameters.

    Slopes are the limits of the derivative at minus and plus infinity. A knot is a point where
    the derivative jumps (or, for the complex ones, the modulus or phase where it does).
    ``gain`` is the factor g on the weights that keeps the second moment of the pre-activations,
    ``1 / sqrt(E[f(z)^2])`` for ``z ~ N(0, 1)``; ``nan`` where no such constant exists (softmax:
    it depends on the width). ``fires_above`` is the pre-activation at or below which a unit
    outputs a constant with derivative zero; ``None`` where there is no such half-line, so that a
    unit cannot die (``can_die``).

    Where an output reads more than one number, range, monotone (non-decreasing in every input),
    smooth, homogeneous, Lipschitz constant (Euclidean norm) and gain are those of the whole
    function, and ``saturates`` speaks of its whole gradient. Slopes, knots and ``fires_above`` are
    those along one line, which ``note`` names: for the gated ones the gate, with the value at 1.
    For the complex ones the range is that of the modulus, the slopes are those along the real
    line, the knots are phases, and ``monotone`` is false since complex numbers have no order.
    """

    formula: str  # LaTeX
    range: tuple[float, float]
    left_slope: float
    right_slope: float
    knots: tuple[float, ...]
    monotone: bool
    smooth: bool  # continuously differentiable
    homogeneous: bool  # f(c x) = c f(x) for every c > 0
    lipschitz: float  # math.inf where unbounded
    gain: float
    saturates: Saturation
    paper: Paper
    fires_above: float | None = None
    learnable: tuple[str, ...] = ()
    plain: str = ""  # the formula as a line of text
    note: str = ""  # what a reader of these facts has to know besides
    earlier: tuple[Paper, ...] = ()  # who had it, or its parts, before ``paper``

    @property
    def can_die(self) -> bool:
        """Whether a unit can sit where its output is constant and its gradient exactly zero."""
        return self.fires_above is not None


@dataclass(frozen=True, slots=True)
class Activation:
    """One entry of the catalogue.

    ``inputs_per_output`` is how many input features make one output feature: 1 for most, 2 for
    GLU and its kin, the number of pieces for maxout, 1/2 for concatenated relu.
    """

    name: str
    function: Callable[..., Tensor]
    module: Callable[..., nn.Module]  # the nn.Module class, or a factory of it
    facts: Facts
    kind: Kind = Kind.ELEMENTWISE
    aliases: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    inputs_per_output: float = 1.0

    def input_features(self, outputs: int) -> int:
        """Return how many features must go in for ``outputs`` features to come out.

        Rounds up where the count does not divide (concatenated relu and an odd width).
        """
        return math.ceil(outputs * self.inputs_per_output)
