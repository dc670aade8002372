"""Two networks against each other: one makes examples, the other tells them from real ones."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from relume.nn.arguments import choice, integer, widths
from relume.nn.blocks import ActivationChoice
from relume.nn.init import initialise_
from relume.nn.mlp import MLP
from relume.nn.registry import get_activation


class Generator(nn.Module):
    """A perceptron from noise to examples, through tanh or not."""

    def __init__(self, network: MLP, *, output: str) -> None:
        super().__init__()
        self.network = network
        self.output = output

    def forward(self, latent: Tensor) -> Tensor:
        """Map noise (N, latent) to examples (N, outputs)."""
        x: Tensor = self.network(latent)
        return x.tanh() if self.output == "tanh" else x


class GAN(nn.Module):
    """A generator and a discriminator; unpacks into the two. Built by ``gan``."""

    def __init__(self, generator: Generator, discriminator: MLP) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator

    def __iter__(self) -> Iterator[nn.Module]:
        return iter((self.generator, self.discriminator))

    def forward(self, latent: Tensor) -> Tensor:
        """Return the discriminator's logits (N, 1) for what the generator makes of the noise."""
        logits: Tensor = self.discriminator(self.generator(latent))
        return logits


def gan(  # noqa: PLR0913 (a saved model is rebuilt from them)
    latent: int,
    outputs: int,
    *,
    hidden: Sequence[int] = (128, 128),
    activation: str = "relu",
    discriminator_activation: str = "leaky_relu",
    norm: str | None = "batch",
    output: str = "tanh",
    init: str = "he",
    activation_parameters: Mapping[str, Any] | None = None,
    discriminator_activation_parameters: Mapping[str, Any] | None = None,
) -> GAN:
    """Build a generator and a discriminator of dense layers.

    The choices are those of Radford, Metz, Chintala (2015), arXiv:1511.06434, section 3: ReLU and
    batch norm in the generator and tanh at its end, leaky ReLU of slope 0.2 in the discriminator,
    no norm where examples come out or go in; the discriminator has none at all.

    Args:
        latent: The width of the noise that goes in.
        outputs: The number of features of an example.
        hidden: The widths of the generator's hidden layers; the discriminator has them backwards.
        activation: The activation of the generator, a name of the catalogue.
        discriminator_activation: The activation of the discriminator.
        norm: ``"batch"``, ``"layer"`` or None, in the generator.
        output: ``"tanh"``, for examples scaled to [-1, 1], or ``"linear"``.
        init: A scheme of ``relume.nn.init``.
        activation_parameters: Parameters of the generator's activation other than its defaults.
        discriminator_activation_parameters: Those of the discriminator's; None is slope 0.2 for
            leaky ReLU, and the defaults for any other.

    Returns:
        A module that unpacks: ``generator, discriminator = gan(2, 64)``. The discriminator
        returns a logit, for ``binary_cross_entropy_with_logits``.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: An activation or the scheme is not known.

    Example:
        >>> import torch
        >>> generator, discriminator = gan(2, 64)
        >>> x = generator(torch.randn(5, 2))
        >>> x.shape, discriminator(x).shape
        (torch.Size([5, 64]), torch.Size([5, 1]))
    """
    integer("latent", latent)
    integer("outputs", outputs)
    choice("output", output, ("tanh", "linear"))
    inner = widths("hidden widths", hidden)
    making = ActivationChoice(activation, activation_parameters or {})
    if discriminator_activation_parameters is None:
        discriminator_activation_parameters = _slope(discriminator_activation)
    judging = ActivationChoice(discriminator_activation, discriminator_activation_parameters)
    generator = Generator(MLP(latent, inner, outputs, activation=making, norm=norm), output=output)
    discriminator = MLP(outputs, inner[::-1], 1, activation=judging)
    network = GAN(generator, discriminator)
    initialise_(network, init)
    return network


def _slope(activation: str) -> Mapping[str, Any]:
    return {"negative_slope": 0.2} if get_activation(activation).name == "leaky_relu" else {}
