"""Activations that make one feature of several: GLU's kin and maxout.

GLU's kin split the features on ``axis`` into two halves, *value* first and *gate* second, as
``torch.nn.functional.glu`` does, and return ``value * f(gate)``.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from relume.errors import SettingsError


def reglu(x: Tensor, axis: int = -1) -> Tensor:
    r"""Gate by ReLU: :math:`a \otimes \max(0, b)` with :math:`[a, b] = x`.

    Args:
        x: Any shape; even length on ``axis``.
        axis: Where the features lie; it comes out half as long.

    Raises:
        SettingsError: If the length is odd.

    Example:
        >>> reglu(torch.tensor([2.0, 3.0, -1.0, 4.0]))
        tensor([ 0., 12.])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """
    value, gate = _value_and_gate(x, axis, "reglu")
    return value * F.relu(gate)


def geglu(x: Tensor, axis: int = -1) -> Tensor:
    r"""Gate by GELU: :math:`a \otimes b \, \Phi(b)` with :math:`[a, b] = x`.

    Args:
        x: Any shape; even length on ``axis``.
        axis: Where the features lie; it comes out half as long.

    Raises:
        SettingsError: If the length is odd.

    Example:
        >>> geglu(torch.tensor([2.0, 1.0]))
        tensor([1.6827])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """
    value, gate = _value_and_gate(x, axis, "geglu")
    return value * F.gelu(gate)


def swiglu(x: Tensor, axis: int = -1) -> Tensor:
    r"""Gate by SiLU: :math:`a \otimes b \, \sigma(b)` with :math:`[a, b] = x`.

    Args:
        x: Any shape; even length on ``axis``.
        axis: Where the features lie; it comes out half as long.

    Raises:
        SettingsError: If the length is odd.

    Example:
        >>> swiglu(torch.tensor([2.0, 1.0]))
        tensor([1.4621])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """
    value, gate = _value_and_gate(x, axis, "swiglu")
    return value * F.silu(gate)


def maxout(x: Tensor, pieces: int = 2, axis: int = -1) -> Tensor:
    r"""Take the largest of several features: :math:`\max_j x_j` over ``pieces`` of them.

    The first ``1 / pieces`` of the axis is piece 1 of every output, the next piece 2, and so on.
    Where pieces tie they share the gradient equally.

    Args:
        x: Any shape; the length on ``axis`` is a multiple of ``pieces``.
        pieces: How many inputs compete for each output, at least 2.
        axis: Where the features lie; it comes out ``1 / pieces`` as long.

    Raises:
        SettingsError: If ``pieces`` is below 2 or does not divide the length.

    Example:
        >>> maxout(torch.tensor([1.0, -2.0, 0.0, 5.0]))
        tensor([1., 5.])

    Reference:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio (2013), Maxout Networks.
    """
    _require_pieces(pieces)
    _require_multiple(x, axis, pieces, "maxout")
    return torch.stack(x.chunk(pieces, dim=axis)).amax(dim=0)


def _value_and_gate(x: Tensor, axis: int, name: str) -> tuple[Tensor, Tensor]:
    _require_multiple(x, axis, 2, name)
    value, gate = x.chunk(2, dim=axis)
    return value, gate


def _require_multiple(x: Tensor, axis: int, pieces: int, name: str) -> None:
    length = x.size(axis)
    if length == 0 or length % pieces:
        raise SettingsError(
            f"{name} splits axis {axis} into {pieces} equal parts; it has {length} features in "
            f"shape {tuple(x.shape)}: give the layer before it a multiple of {pieces}"
        )


def _require_pieces(pieces: int) -> None:
    if pieces < 2:
        raise SettingsError(f"pieces of maxout must be at least 2; got {pieces}")


class _TwoHalves(nn.Module):
    """A module that splits the features on one axis into value and gate."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"axis={self.axis}"


class ReGLU(_TwoHalves):
    r"""Apply :math:`\text{ReGLU}(a, b) = a \otimes \max(0, b)`.

    Args:
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.

    Shape:
        - Input: :math:`(*, 2H, *)`, the first half the value a, the second the gate b.
        - Output: :math:`(*, H, *)`.

    Example:
        >>> ReGLU()(torch.tensor([[2.0, 3.0]]))
        tensor([[6.]])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return reglu(x, self.axis)


class GEGLU(_TwoHalves):
    r"""Apply :math:`\text{GEGLU}(a, b) = a \otimes b \, \Phi(b)`.

    Args:
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.

    Shape:
        - Input: :math:`(*, 2H, *)`, the first half the value a, the second the gate b.
        - Output: :math:`(*, H, *)`.

    Example:
        >>> GEGLU()(torch.tensor([[2.0, 1.0]]))
        tensor([[1.6827]])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return geglu(x, self.axis)


class SwiGLU(_TwoHalves):
    r"""Apply :math:`\text{SwiGLU}(a, b) = a \otimes b \, \sigma(b)`.

    Args:
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.

    Shape:
        - Input: :math:`(*, 2H, *)`, the first half the value a, the second the gate b.
        - Output: :math:`(*, H, *)`.

    Example:
        >>> SwiGLU()(torch.tensor([[2.0, 1.0]]))
        tensor([[1.4621]])

    Reference:
        Shazeer (2020), GLU Variants Improve Transformer, arXiv:2002.05202.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return swiglu(x, self.axis)


class Maxout(nn.Module):
    r"""Apply :math:`\text{Maxout}(x) = \max_j x_j` over groups of ``pieces`` features.

    Args:
        pieces: How many inputs compete for each output, at least 2.
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.

    Shape:
        - Input: :math:`(*, kH, *)` with k pieces, piece by piece.
        - Output: :math:`(*, H, *)`.

    Example:
        >>> Maxout(pieces=3)(torch.tensor([[1.0, -2.0, 4.0]]))
        tensor([[4.]])

    Reference:
        Goodfellow, Warde-Farley, Mirza, Courville and Bengio (2013), Maxout Networks.
    """

    def __init__(self, pieces: int = 2, axis: int = -1) -> None:
        super().__init__()
        _require_pieces(pieces)
        self.pieces = pieces
        self.axis = axis

    def forward(self, x: Tensor) -> Tensor:
        """Apply the activation."""
        return maxout(x, self.pieces, self.axis)

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"pieces={self.pieces}, axis={self.axis}"
