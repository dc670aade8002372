"""The convolutional network: convolution, norm, activation, and a halving of the image."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from relume.nn.arguments import choice, head_widths, integer, share, sides, widths
from relume.nn.blocks import (
    ActivationChoice,
    HeadedNetwork,
    dense_block,
    named_blocks,
    normalisation,
)
from relume.nn.init import initialise_


class CNN(HeadedNetwork):
    """Convolutional blocks, dense blocks and a linear head; built by ``cnn``."""

    def __init__(
        self,
        blocks: Sequence[nn.Sequential],
        dense: Sequence[nn.Sequential],
        features: int,
        outputs: int | Mapping[str, int],
    ) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        self.dense = nn.Sequential(*dense)
        self._add_heads(features, outputs)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map images (N, channels, height, width) to (N, outputs), or to one for each head."""
        return self._apply_heads(self.dense(self.blocks(x).flatten(1)))


def cnn(  # noqa: PLR0913 (a saved model is rebuilt from them)
    channels_in: int,
    image_size: int | Sequence[int],
    outputs: int | Mapping[str, int],
    *,
    channels: Sequence[int] = (32, 64),
    hidden: Sequence[int] = (128,),
    pool: str = "max",
    activation: str = "relu",
    norm: str | None = "batch",
    dropout: float = 0.0,
    init: str = "he",
    activation_parameters: Mapping[str, Any] | None = None,
) -> CNN:
    """Build a convolutional network: blocks that halve the image, dense blocks, a head.

    A block is a 3×3 convolution, norm, activation and a 2×2 maximum. In the strided twin the
    convolution takes every second place instead (Springenberg et al. 2015, arXiv:1412.6806), to
    the same size. An odd side is rounded up, so that a side of 1 stays 1 and no image is too small.
    The places and channels that are left are flattened into the dense blocks: on small images this
    trains better than to average over the places.

    Modules are named ``blocks.0.conv``, ``blocks.0.norm``, ``blocks.0.activation``,
    ``blocks.0.pool``, ``dense.0.linear``, ``dense.0.norm``, ``dense.0.activation``,
    ``dense.0.dropout``, ``head`` or ``heads.label``.

    Args:
        channels_in: The channels of the images: 1 for grey, 3 for colour.
        image_size: The side of square images, or height and width.
        outputs: The width of the head, or names of heads with their widths.
        channels: The channels of each block, after the activation (see ``mlp`` for odd ones).
        hidden: The widths of the dense blocks between the last image and the head; may be empty.
        pool: ``"max"`` or ``"stride"``.
        activation: A name of the catalogue.
        norm: ``"batch"``, ``"layer"`` or None; before the activation, in place of a bias.
        dropout: The share of activations of the dense blocks dropped in training.
        init: A scheme of ``relume.nn.init``.
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> import torch
        >>> network = cnn(1, 8, 10, channels=[4, 8], norm=None)
        >>> network(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    features = integer("channels_in", channels_in)
    size = sides("image_size", image_size)
    choice("pool", pool, ("max", "stride"))
    share("dropout", dropout)
    blocks = []
    for width in map(chosen.outputs, widths("channels", channels)):
        halving = pool if max(size) > 1 else None
        blocks.append(_block(features, width, chosen, norm=norm, halving=halving))
        size = ((size[0] + 1) // 2, (size[1] + 1) // 2)
        features = width
    features *= size[0] * size[1]
    dense = []
    for width in map(chosen.outputs, widths("hidden widths", hidden, may_be_empty=True)):
        dense.append(dense_block(features, width, chosen, norm=norm, dropout=dropout))
        features = width
    network = CNN(blocks, dense, features, head_widths(outputs))
    initialise_(network, init)
    return network


def _block(
    inputs: int,
    outputs: int,
    activation: ActivationChoice,
    *,
    norm: str | None,
    halving: str | None,
) -> nn.Sequential:
    features = activation.inputs(outputs)
    stride = 2 if halving == "stride" else 1
    return named_blocks(
        conv=nn.Conv2d(inputs, features, 3, stride, padding=1, bias=norm is None),
        norm=normalisation(norm, features, spatial=True),
        activation=activation.module(outputs, axis=1),
        pool=nn.MaxPool2d(2, ceil_mode=True) if halving == "max" else None,
    )
