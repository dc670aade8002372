"""Activations as functions: torch's own where torch has them, ours where it has not.

``relume.nn.functional.elu is torch.nn.functional.elu``, and so for every name that torch knows
and that needs no further argument. The gated ones live in ``relume.nn.gated``, the complex ones in
``relume.nn.complex_valued``.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, sigmoid, tanh
from torch.nn.functional import (
    celu,
    elu,
    gelu,
    hardsigmoid,
    hardswish,
    leaky_relu,
    mish,
    relu6,
    rrelu,
    selu,
    silu,
    softplus,
    softsign,
)

from relume.errors import SettingsError

__all__ = [
    "celu",
    "concatenated_relu",
    "elu",
    "gelu",
    "hardsigmoid",
    "hardswish",
    "identity",
    "leaky_relu",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rrelu",
    "selu",
    "sigmoid",
    "silu",
    "softmax",
    "softplus",
    "softsign",
    "squared_relu",
    "swish",
    "tanh",
    "thresholded_relu",
]


def identity(x: Tensor) -> Tensor:
    """Return ``x`` itself: the activation of a linear layer."""
    return x


def relu(x: Tensor, *, subgradient_at_zero: float = 0.0) -> Tensor:
    r"""Rectify: :math:`\max(0, x)`, with a choice of the derivative at 0.

    The derivative jumps from 0 to 1 at :math:`x = 0`; any number in [0, 1] is a subgradient there.
    torch takes 0, and so does this function by default: it is then ``torch.nn.functional.relu``,
    bit for bit. With another choice the values stay the same, and a unit whose pre-activation is
    exactly 0 (weights and bias started at zero) still gets a gradient.

    Args:
        x: Any shape, floating point.
        subgradient_at_zero: The derivative at exactly 0 (and -0), in [0, 1].

    Raises:
        SettingsError: If the subgradient lies outside [0, 1].

    Example:
        >>> x = torch.tensor([-1.0, 0.0, 2.0], requires_grad=True)
        >>> relu(x, subgradient_at_zero=0.5).sum().backward()
        >>> x.grad
        tensor([0.0000, 0.5000, 1.0000])
    """
    require_subgradient(subgradient_at_zero)
    if subgradient_at_zero == 0:
        return F.relu(x)
    return torch.where(x == 0, subgradient_at_zero * x, F.relu(x))


def require_subgradient(subgradient_at_zero: float) -> None:
    """Refuse a number that is no subgradient of ReLU at 0.

    Raises:
        SettingsError: If it lies outside [0, 1].
    """
    if not 0 <= subgradient_at_zero <= 1:
        raise SettingsError(
            f"subgradient_at_zero of relu must lie in [0, 1]; got {subgradient_at_zero}"
        )


def prelu(x: Tensor, weight: Tensor | float = 0.25) -> Tensor:
    r"""Rectify with a learnable slope: :math:`\max(0, x) + a \min(0, x)`.

    ``torch.nn.functional.prelu`` that also takes a plain number.

    Args:
        x: Any shape; channels on axis 1 if ``weight`` has more than one element.
        weight: The slope :math:`a`, one for all or one a channel.

    Example:
        >>> prelu(torch.tensor([-4.0, 4.0]))
        tensor([-1.,  4.])
    """
    if not isinstance(weight, Tensor):
        weight = torch.full((1,), weight, dtype=x.dtype, device=x.device)
    return F.prelu(x, weight)


def swish(x: Tensor, beta: Tensor | float = 1.0) -> Tensor:
    r"""Gate by the logistic function of the input: :math:`x \, \sigma(\beta x)`.

    SiLU at :math:`\beta = 1` (torch's, bit for bit, when ``beta`` is the number 1), x/2 at 0, and
    ReLU in the limit.

    Args:
        x: Any shape.
        beta: The sharpness of the gate, a number or a tensor that broadcasts with ``x``.

    Example:
        >>> swish(torch.tensor([-2.0, 0.0, 2.0]), beta=0.0)
        tensor([-1.,  0.,  1.])

    Reference:
        Ramachandran, Zoph and Le (2017), Searching for Activation Functions, arXiv:1710.05941.
    """
    if not isinstance(beta, Tensor) and beta == 1:
        return F.silu(x)
    return x * torch.sigmoid(beta * x)


def squared_relu(x: Tensor) -> Tensor:
    r"""Square the rectified input: :math:`\max(0, x)^2`.

    Its derivative :math:`2 \max(0, x)` is continuous, so there is no knot at 0.

    Example:
        >>> squared_relu(torch.tensor([-3.0, 3.0]))
        tensor([0., 9.])

    Reference:
        So et al. (2021), Primer: Searching for Efficient Transformers for Language Modeling.
    """
    return F.relu(x).square()


def thresholded_relu(x: Tensor, theta: float = 1.0) -> Tensor:
    r"""Pass what lies above a threshold: :math:`x` if :math:`x > \theta`, else 0.

    ``torch.nn.functional.threshold`` with value 0. It jumps by :math:`\theta` at the threshold.

    Example:
        >>> thresholded_relu(torch.tensor([0.5, 1.0, 1.5]))
        tensor([0.0000, 0.0000, 1.5000])

    Reference:
        Konda, Memisevic and Krueger (2015), Zero-bias autoencoders and the benefits of co-adapting
        features.
    """
    return F.threshold(x, theta, 0.0)


def softmax(x: Tensor, axis: int = -1) -> Tensor:
    r"""Normalise the exponentials: :math:`e^{x_i} / \sum_j e^{x_j}` along ``axis``.

    Example:
        >>> softmax(torch.tensor([0.0, 0.0]))
        tensor([0.5000, 0.5000])
    """
    return F.softmax(x, dim=axis)


def concatenated_relu(x: Tensor, axis: int = -1) -> Tensor:
    r"""Rectify the input and its mirror image: :math:`[\max(0, x), \max(0, -x)]`.

    Args:
        x: Any shape.
        axis: Where the two halves are joined; it comes out twice as long.

    Example:
        >>> concatenated_relu(torch.tensor([-1.0, 2.0]))
        tensor([0., 2., 1., 0.])

    Reference:
        Shang, Sohn, Almeida and Lee (2016), Understanding and Improving Convolutional Neural
        Networks via Concatenated Rectified Linear Units (there: CReLU).
    """
    return torch.cat([F.relu(x), F.relu(-x)], dim=axis)
