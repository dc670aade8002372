"""Activations as modules, where torch has none: for the rest use ``torch.nn``."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.nn.functional import (
    concatenated_relu,
    relu,
    require_subgradient,
    squared_relu,
    swish,
)


class SubgradientReLU(nn.ReLU):
    r"""Apply :math:`\max(0, x)` with a chosen derivative at exactly 0.

    Args:
        subgradient_at_zero: The derivative at 0, in [0, 1]; torch's own ReLU takes 0.

    Shape:
        - Input: :math:`(*)`.
        - Output: :math:`(*)`, same shape.

    Raises:
        SettingsError: If the subgradient lies outside [0, 1].

    Example:
        >>> x = torch.zeros(1, requires_grad=True)
        >>> SubgradientReLU(1.0)(x).backward()
        >>> x.grad
        tensor([1.])
    """

    def __init__(self, subgradient_at_zero: float = 0.5) -> None:
        super().__init__()
        require_subgradient(subgradient_at_zero)
        self.subgradient_at_zero = subgradient_at_zero

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """Apply the activation."""
        return relu(input, subgradient_at_zero=self.subgradient_at_zero)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"subgradient_at_zero={self.subgradient_at_zero}"


class PerFeaturePReLU(nn.PReLU):
    r"""Apply :math:`\max(0, x) + a_c \min(0, x)` with a learnable slope for each feature c.

    ``torch.nn.PReLU(features)`` for features that lie on any axis; torch's own wants them on 1.

    Args:
        features: The number of features, one slope each.
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.
        init: Where the slopes start.

    Shape:
        - Input: :math:`(*, H, *)`, at least two axes.
        - Output: :math:`(*, H, *)`, same shape.

    Attributes:
        weight: The learnable slopes, shape ``(features,)``.

    Example:
        >>> PerFeaturePReLU(3)(torch.full((2, 5, 3), -4.0)).shape
        torch.Size([2, 5, 3])

    Reference:
        He, Zhang, Ren and Sun (2015), Delving Deep into Rectifiers, equation 1.
    """

    def __init__(self, features: int, axis: int = -1, init: float = 0.25) -> None:
        super().__init__(features, init)
        self.axis = axis

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """Apply the activation."""
        return F.prelu(input.movedim(self.axis, 1), self.weight).movedim(1, self.axis)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"{super().extra_repr()}, axis={self.axis}"


class Swish(nn.Module):
    r"""Apply :math:`x \, \sigma(\beta x)`, with a fixed or a learnable sharpness.

    Args:
        beta: The sharpness, or where it starts.
        learnable: Whether ``beta`` is a parameter.

    Shape:
        - Input: :math:`(*)`.
        - Output: :math:`(*)`, same shape.

    Example:
        >>> Swish(beta=0.0)(torch.tensor([-2.0, 2.0]))
        tensor([-1.,  1.])
        >>> Swish(learnable=True).beta
        Parameter containing:
        tensor(1., requires_grad=True)

    Reference:
        Ramachandran, Zoph and Le (2017), Searching for Activation Functions, arXiv:1710.05941.
    """

    def __init__(self, beta: float = 1.0, *, learnable: bool = False) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.tensor(float(beta))) if learnable else float(beta)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return swish(x, self.beta)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return "learnable" if isinstance(self.beta, nn.Parameter) else f"beta={self.beta}"


class SquaredReLU(nn.Module):
    r"""Apply :math:`\max(0, x)^2`.

    Shape:
        - Input: :math:`(*)`.
        - Output: :math:`(*)`, same shape.

    Example:
        >>> SquaredReLU()(torch.tensor([-3.0, 3.0]))
        tensor([0., 9.])

    Reference:
        So et al. (2021), Primer: Searching for Efficient Transformers for Language Modeling.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return squared_relu(x)


class ThresholdedReLU(nn.Threshold):
    r"""Apply :math:`x` if :math:`x > \theta`, else 0: ``torch.nn.Threshold`` with value 0.

    Args:
        theta: The threshold.

    Shape:
        - Input: :math:`(*)`.
        - Output: :math:`(*)`, same shape.

    Example:
        >>> ThresholdedReLU()(torch.tensor([0.5, 1.0, 1.5]))
        tensor([0.0000, 0.0000, 1.5000])

    Reference:
        Konda, Memisevic and Krueger (2015), Zero-bias autoencoders and the benefits of co-adapting
        features.
    """

    def __init__(self, theta: float = 1.0) -> None:
        super().__init__(theta, 0.0)


class ConcatenatedReLU(nn.Module):
    r"""Apply :math:`[\max(0, x), \max(0, -x)]`.

    Args:
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.

    Shape:
        - Input: :math:`(*, H, *)`.
        - Output: :math:`(*, 2H, *)`.

    Example:
        >>> ConcatenatedReLU()(torch.tensor([[-1.0, 2.0]]))
        tensor([[0., 2., 1., 0.]])

    Reference:
        Shang, Sohn, Almeida and Lee (2016), Understanding and Improving Convolutional Neural
        Networks via Concatenated Rectified Linear Units.
    """

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return concatenated_relu(x, self.axis)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"axis={self.axis}"


def rectified(subgradient_at_zero: float = 0.0, *, inplace: bool = False) -> nn.ReLU:
    """Return torch's ReLU, or ours where another subgradient at 0 is asked for."""
    if subgradient_at_zero == 0:
        return nn.ReLU(inplace=inplace)
    return SubgradientReLU(subgradient_at_zero)


def swished(beta: float = 1.0, *, learnable: bool = False, inplace: bool = False) -> nn.Module:
    """Return torch's SiLU, or a ``Swish`` where another or a learnable sharpness is asked for."""
    if beta == 1 and not learnable:
        return nn.SiLU(inplace=inplace)
    return Swish(beta, learnable=learnable)


def parametric(
    init: float = 0.25, *, per_feature: bool = False, features: int | None = None, axis: int = -1
) -> nn.PReLU:
    """Return a PReLU with one slope for all features, or one for each.

    Raises:
        SettingsError: If one for each is asked for and ``features`` is not given.
    """
    if not per_feature:
        return nn.PReLU(init=init)
    if features is None:
        raise SettingsError("prelu with per_feature=True needs the number of features; give it")
    return nn.PReLU(features, init) if axis == 1 else PerFeaturePReLU(features, axis, init)
