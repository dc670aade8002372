"""The gain of an activation, by quadrature.

A layer with weights of variance ``g^2 / fan_in`` keeps the second moment of the pre-activations if
``g = 1 / sqrt(E[f(z)^2])`` for ``z ~ N(0, 1)`` (He et al., 2015, arXiv:1502.01852, section 2.2,
where f is ReLU and g the square root of 2). The catalogue holds these numbers as constants; here
they are computed, for any function.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from relume.errors import RelumeError
from relume.nn.facts import Kind

NODES = 20  # of Gauss and Legendre in a panel
REACH = 13.0  # the normal density beyond it is below 1e-37
TOLERANCE = 1e-13  # relative, between two successive refinements
REFINEMENTS = 9

Rule = tuple[Tensor, Tensor]  # nodes and weights


def gain(
    function: Callable[[Tensor], Tensor],
    *,
    kind: Kind = Kind.ELEMENTWISE,
    knots: Sequence[float] = (),
) -> float:
    """Return ``1 / sqrt(E[f(z)^2])``, accurate to at least ten digits.

    Args:
        function: Takes a float64 tensor (complex128 for ``Kind.COMPLEX``) with the features on the
            last axis.
        kind: How it consumes its input. ``GATED`` ones get two features, independent and standard
            normal, and may have knots on lines through the origin at multiples of 45 degrees;
            ``COMPLEX`` ones a standard complex normal with ``E|z|^2 = 1`` and knots at phases that
            are multiples of 45 degrees; of ``DOUBLING`` ones the mean over both halves counts.
        knots: Where the derivative or the value jumps; for ``COMPLEX`` the moduli where it does.

    Returns:
        The gain; ``nan`` for ``Kind.VECTOR``, where it depends on the width.

    Raises:
        RelumeError: If the quadrature does not settle, as with a jump that is no knot.

    Cost:
        Milliseconds; a tenth of a second in the plane.

    Example:
        >>> round(gain(torch.nn.functional.relu, knots=[0.0]), 12) == round(math.sqrt(2), 12)
        True
    """
    if kind is Kind.VECTOR:
        return math.nan
    if kind in {Kind.ELEMENTWISE, Kind.DOUBLING}:
        return _inverse_root(lambda panels: _line_moment(function, knots, panels))
    return _inverse_root(lambda panels: _plane_moment(function, kind, knots, panels))


def maxout_gain(pieces: int) -> float:
    r"""Return the gain of maxout over any number of independent standard normal pieces.

    :math:`E[\max_j z_j^2] = \int z^2 \, k \, \varphi(z) \, \Phi(z)^{k - 1} dz`.

    Example:
        >>> round(maxout_gain(2), 12)
        1.0
    """

    def moment(panels: int) -> float:
        z, weights = _panels([-REACH, REACH], panels)
        density = pieces * _normal_density(z) * torch.special.ndtr(z) ** (pieces - 1)
        return float((weights * density * z.square()).sum())

    return _inverse_root(moment)


def _inverse_root(moment: Callable[[int], float]) -> float:
    """Refine until two successive values agree, and return the inverse of the root."""
    previous = moment(1)
    for refinement in range(1, REFINEMENTS):
        value = moment(2**refinement)
        if abs(value - previous) <= TOLERANCE * abs(value):
            return 1 / math.sqrt(value)
        previous = value
    raise RelumeError(f"the gain did not settle near {1 / math.sqrt(previous):.6g}: name its knots")


@torch.no_grad()
def _line_moment(
    function: Callable[[Tensor], Tensor], knots: Sequence[float], panels: int
) -> float:
    inner = [knot for knot in knots if -REACH < knot < REACH]
    z, weights = _panels([-REACH, *sorted({0.0, *inner}), REACH], 4 * panels)
    a = function(z[:, None])
    return float((weights * _normal_density(z) * a.square().mean(dim=-1)).sum())


@torch.no_grad()
def _plane_moment(
    function: Callable[[Tensor], Tensor], kind: Kind, knots: Sequence[float], panels: int
) -> float:
    """Integrate in polar coordinates, so that knots are rays (gated) or rays and circles."""
    scale = math.sqrt(2) if kind is Kind.COMPLEX else 1.0
    circles = [scale * knot for knot in knots if kind is Kind.COMPLEX and 0 < knot < REACH / scale]
    radius, radial = _panels([0.0, *sorted(circles), REACH], 4 * panels)
    angle, angular = _panels([k * math.pi / 4 for k in range(9)], panels)
    x, y = radius[:, None] * torch.cos(angle), radius[:, None] * torch.sin(angle)
    z = torch.complex(x, y) / scale if kind is Kind.COMPLEX else torch.stack([x, y], dim=-1)
    a = function(z).abs().reshape(x.shape)
    density = radius * torch.exp(-radius.square() / 2) / (2 * math.pi)
    return float(((radial * density)[:, None] * angular * a.square()).sum())


def _normal_density(z: Tensor) -> Tensor:
    return torch.exp(-z.square() / 2) / math.sqrt(2 * math.pi)


def _panels(bounds: Sequence[float], each: int) -> Rule:
    """Return Gauss and Legendre's rule on ``each`` panels between each pair of bounds."""
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    edges = [np.linspace(low, high, each + 1) for low, high in itertools.pairwise(bounds)]
    starts = np.concatenate([edge[:-1] for edge in edges])[:, None]
    halves = np.concatenate([np.diff(edge) for edge in edges])[:, None] / 2
    points = (starts + halves * (nodes + 1)).ravel()
    return torch.from_numpy(points), torch.from_numpy((halves * weights).ravel())
