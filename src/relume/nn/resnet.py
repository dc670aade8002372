"""The residual network: blocks that add what two convolutions find to what went in."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from relume.nn.arguments import choice, flag, head_widths, integer, widths
from relume.nn.blocks import ActivationChoice, HeadedNetwork, named_blocks, normalisation
from relume.nn.init import initialise_


class Shortcut(nn.Sequential):
    """A 1×1 convolution beside a residual branch, where the sum has another shape."""

    parallel_branch = True  # what follows the branch beside it follows it too


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut, and an activation of the sum unless left out.

    Args:
        inputs: The channels that come in.
        outputs: The channels that go out.
        activation: The activation; a module of its own at each place.
        norm: ``"batch"`` or ``"layer"``.
        stride: That of the first convolution and of the shortcut.
        final_relu: Whether an activation follows the sum.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        activation: ActivationChoice,
        *,
        norm: str,
        stride: int,
        final_relu: bool,
    ) -> None:
        super().__init__()
        inner = activation.inputs(outputs)
        summed = inner if final_relu else outputs
        self.branch = named_blocks(
            conv1=nn.Conv2d(inputs, inner, 3, stride, padding=1, bias=False),
            norm1=normalisation(norm, inner, spatial=True),
            activation=activation.module(outputs, axis=1),
            conv2=nn.Conv2d(outputs, summed, 3, padding=1, bias=False),
            norm2=normalisation(norm, summed, spatial=True),
        )
        self.shortcut: Shortcut | None = None
        if stride > 1 or inputs != summed:
            projection = named_blocks(
                conv=nn.Conv2d(inputs, summed, 1, stride, bias=False),
                norm=normalisation(norm, summed, spatial=True),
            )
            self.shortcut = Shortcut(OrderedDict(projection.named_children()))
        self.activation = activation.module(outputs, axis=1) if final_relu else None

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs, height, width) to (N, outputs, height / stride, width / stride)."""
        z: Tensor = self.branch(x) + (x if self.shortcut is None else self.shortcut(x))
        return z if self.activation is None else self.activation(z)


class ResNet(HeadedNetwork):
    """A stem, stages of residual blocks, the mean over all places, and a head; see ``resnet``."""

    def __init__(
        self,
        stem: nn.Sequential,
        stages: Sequence[nn.Sequential],
        features: int,
        outputs: int | Mapping[str, int],
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stages = nn.Sequential(*stages)
        self._add_heads(features, outputs)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map images (N, channels, height, width) to (N, outputs), or to one for each head."""
        return self._apply_heads(self.stages(self.stem(x)).mean((2, 3)))


def resnet(  # noqa: PLR0913 (a saved model is rebuilt from them)
    channels_in: int,
    outputs: int | Mapping[str, int],
    *,
    channels: Sequence[int] = (16, 32, 64),
    blocks: int = 2,
    final_relu: bool = True,
    activation: str = "relu",
    norm: str = "batch",
    init: str = "he",
    activation_parameters: Mapping[str, Any] | None = None,
) -> ResNet:
    """Build a small residual network of basic blocks, for images of any size.

    A block returns f(x + branch(x)), where the branch is conv, norm, f, conv, norm (He et al.
    2016, arXiv:1512.03385); with ``final_relu=False`` it returns x + branch(x) (Gross, Wilber
    2016, "Training and investigating residual nets", torch.ch). Every stage but the first halves
    the image; where the shape of the sum is not that of the input, a 1×1 convolution and a norm
    stand on the shortcut. Each place has an activation module of its own:
    ``stem.activation``, ``stages.0.0.branch.activation``, ``stages.0.0.activation``.

    Args:
        channels_in: The channels of the images: 1 for grey, 3 for colour.
        outputs: The width of the head, or names of heads with their widths.
        channels: The channels of each stage, after the activation (see ``mlp`` for odd ones).
        blocks: The number of residual blocks in each stage.
        final_relu: Whether the activation follows the addition.
        activation: A name of the catalogue.
        norm: ``"batch"`` or ``"layer"``; without one the sums would grow from block to block.
        init: A scheme of ``relume.nn.init``.
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> import torch
        >>> network = resnet(1, 10, channels=[4, 8], blocks=1)
        >>> network(torch.zeros(2, 1, 8, 8)).shape
        torch.Size([2, 10])
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    choice("norm", norm, ("batch", "layer"))
    with_final = flag("final_relu", final_relu)
    stage_widths = [chosen.outputs(width) for width in widths("channels", channels)]
    features = stage_widths[0]
    stem = _stem(integer("channels_in", channels_in), features, chosen, norm)
    stages = []
    for stage, width in enumerate(stage_widths):
        inside = []
        for block in range(integer("blocks", blocks)):
            stride = 2 if stage and not block else 1
            inside.append(
                ResidualBlock(
                    features, width, chosen, norm=norm, stride=stride, final_relu=with_final
                )
            )
            features = width
        stages.append(nn.Sequential(*inside))
    network = ResNet(stem, stages, features, head_widths(outputs))
    initialise_(network, init)
    return network


def _stem(inputs: int, outputs: int, activation: ActivationChoice, norm: str) -> nn.Sequential:
    features = activation.inputs(outputs)
    return named_blocks(
        conv=nn.Conv2d(inputs, features, 3, padding=1, bias=False),
        norm=normalisation(norm, features, spatial=True),
        activation=activation.module(outputs, axis=1),
    )
