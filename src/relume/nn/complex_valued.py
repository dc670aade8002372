r"""ReLU for complex numbers: four readings of "negative", as functions and as modules.

All take and return complex tensors of any shape. Gradients are torch's: for a real loss L,
``z.grad`` is :math:`\partial L/\partial \Re z + i \, \partial L/\partial \Im z`.
"""

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from relume.errors import SettingsError


def complex_relu(z: Tensor) -> Tensor:
    r"""Rectify real and imaginary part: :math:`\max(0, \Re z) + i \max(0, \Im z)`.

    Args:
        z: A complex tensor of any shape.

    Raises:
        SettingsError: If ``z`` is not complex.

    Example:
        >>> complex_relu(torch.tensor([3.0 - 4.0j]))
        tensor([3.+0.j])

    Reference:
        Trabelsi et al. (2018), Deep Complex Networks (there: CReLU).
    """
    _require_complex(z, "complex_relu")
    return torch.complex(F.relu(z.real), F.relu(z.imag))


def z_relu(z: Tensor) -> Tensor:
    r"""Pass the first quadrant: :math:`z` if :math:`0 \le \arg z \le \pi/2`, else 0.

    Jumps where it crosses the edges of the quadrant. nan in either part stays nan.

    Args:
        z: A complex tensor of any shape.

    Raises:
        SettingsError: If ``z`` is not complex.

    Example:
        >>> z_relu(torch.tensor([3.0 + 4.0j, 3.0 - 4.0j]))
        tensor([3.+4.j, 0.+0.j])

    Reference:
        Guberman (2016), On Complex Valued Convolutional Neural Networks, arXiv:1602.09046; named
        zReLU by Trabelsi et al. (2018).
    """
    _require_complex(z, "z_relu")
    outside = ((z.real < 0) | (z.imag < 0)) & ~torch.isnan(z)
    return torch.where(outside, torch.zeros_like(z), z)


def mod_relu(z: Tensor, bias: Tensor | float = 0.0) -> Tensor:
    r"""Rectify the modulus, keep the phase: :math:`\max(0, |z| + b) \, z / |z|`.

    With :math:`b < 0` there is a dead disc of radius :math:`-b`; with :math:`b = 0` it is the
    identity. Where z is 0 or so small that it is denormal there is no phase to keep: value and
    gradient are 0. An infinite z gives nan.

    Args:
        z: A complex tensor of any shape.
        bias: The real number b, or a real tensor that broadcasts with ``z``.

    Raises:
        SettingsError: If ``z`` is not complex.

    Example:
        >>> mod_relu(torch.tensor([3.0 + 4.0j, 0.3 + 0.4j]), bias=-1.0)
        tensor([2.4000+3.2000j, 0.0000+0.0000j])

    Reference:
        Arjovsky, Shah and Bengio (2016), Unitary Evolution Recurrent Neural Networks.
    """
    _require_complex(z, "mod_relu")
    tiny = torch.hypot(z.real, z.imag) < torch.finfo(z.dtype).smallest_normal
    apart = torch.where(tiny, torch.ones_like(z), z)  # no division by zero, forward or backward
    modulus = torch.hypot(apart.real, apart.imag)
    shrunk = F.relu(modulus + bias)
    kept = torch.complex(apart.real / modulus * shrunk, apart.imag / modulus * shrunk)
    return torch.where(tiny, torch.zeros_like(z), kept)


def phase_relu(z: Tensor) -> Tensor:
    r"""Rectify the phase, keep the modulus: :math:`|z| \, e^{i \max(0, \arg z)}`.

    The phase is the principal one, :math:`-\pi < \arg z \le \pi`, without regard to the sign of a
    zero imaginary part. So the upper half plane (with the real line) passes unchanged, and the
    lower one falls onto the positive real line. It jumps across the negative real line.

    Xiao (2020) names a phase-ReLU, and its abstract gives no formula: this definition is our
    reading of the name.

    Args:
        z: A complex tensor of any shape.

    Raises:
        SettingsError: If ``z`` is not complex.

    Example:
        >>> phase_relu(torch.tensor([3.0 + 4.0j, 3.0 - 4.0j]))
        tensor([3.+4.j, 5.+0.j])

    Reference:
        Xiao (2020), Unitary Learning for Deep Diffractive Neural Network, arXiv:2009.08935.
    """
    _require_complex(z, "phase_relu")
    below = z.imag < 0
    lower = torch.where(below, z, torch.ones_like(z))  # no infinity or zero in an unused branch
    modulus = torch.hypot(lower.real, lower.imag)
    return torch.where(below, torch.complex(modulus, torch.zeros_like(modulus)), z)


def _require_complex(z: Tensor, name: str) -> None:
    if not z.is_complex():
        raise SettingsError(
            f"{name} takes a complex tensor; got {z.dtype}: convert it with torch.complex or .to()"
        )


class ComplexReLU(nn.Module):
    r"""Apply :math:`\max(0, \Re z) + i \max(0, \Im z)`.

    Shape:
        - Input: :math:`(*)`, complex.
        - Output: :math:`(*)`, complex, same shape.

    Example:
        >>> ComplexReLU()(torch.tensor([3.0 - 4.0j]))
        tensor([3.+0.j])

    Reference:
        Trabelsi et al. (2018), Deep Complex Networks.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return complex_relu(z)


class ZReLU(nn.Module):
    r"""Apply :math:`z` if :math:`0 \le \arg z \le \pi/2`, else 0.

    Shape:
        - Input: :math:`(*)`, complex.
        - Output: :math:`(*)`, complex, same shape.

    Example:
        >>> ZReLU()(torch.tensor([3.0 + 4.0j, 3.0 - 4.0j]))
        tensor([3.+4.j, 0.+0.j])

    Reference:
        Guberman (2016), On Complex Valued Convolutional Neural Networks, arXiv:1602.09046.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return z_relu(z)


class ModReLU(nn.Module):
    r"""Apply :math:`\max(0, |z| + b) \, z / |z|` with a learnable real bias b for each feature.

    The biases start at 0, where the module is the identity; a unit whose bias falls below minus
    its largest modulus is dead.

    Args:
        features: The number of features, one bias each.
        axis: Where the features lie: 1 for convolutional maps, -1 for ``(N, ..., C)``.
        bias: Where the biases start.

    Shape:
        - Input: :math:`(*, H, *)`, complex.
        - Output: :math:`(*, H, *)`, complex, same shape.

    Attributes:
        bias: The learnable biases, shape ``(features,)``.

    Raises:
        SettingsError: If there is not at least one feature.

    Example:
        >>> ModReLU(1, bias=-1.0)(torch.tensor([[3.0 + 4.0j]])).detach()
        tensor([[2.4000+3.2000j]])

    Reference:
        Arjovsky, Shah and Bengio (2016), Unitary Evolution Recurrent Neural Networks.
    """

    def __init__(self, features: int, axis: int = -1, *, bias: float = 0.0) -> None:
        super().__init__()
        if features < 1:
            raise SettingsError(f"features of mod_relu must be at least 1; got {features}")
        self.features = features
        self.axis = axis
        self.bias = nn.Parameter(torch.full((features,), float(bias)))

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        trailing = z.dim() - 1 - self.axis % z.dim()
        return mod_relu(z, self.bias.reshape(-1, *[1] * trailing))

    def extra_repr(self) -> str:
        """Return the settings for ``repr``."""
        return f"{self.features}, axis={self.axis}"


class PhaseReLU(nn.Module):
    r"""Apply :math:`|z| \, e^{i \max(0, \arg z)}`.

    Shape:
        - Input: :math:`(*)`, complex.
        - Output: :math:`(*)`, complex, same shape.

    Example:
        >>> PhaseReLU()(torch.tensor([3.0 + 4.0j, 3.0 - 4.0j]))
        tensor([3.+4.j, 5.+0.j])

    Reference:
        Xiao (2020), Unitary Learning for Deep Diffractive Neural Network, arXiv:2009.08935; see
        ``phase_relu`` for what is our reading.
    """

    def forward(self, z: Tensor) -> Tensor:
        """Apply the activation."""
        return phase_relu(z)
