"""The transformer encoder: attention between the steps, a feed-forward block at each step."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from relume.errors import SettingsError
from relume.nn.arguments import choice, head_widths, integer, share
from relume.nn.blocks import ActivationChoice, HeadedNetwork, named_blocks
from relume.nn.init import initialise_
from relume.nn.padding import without_padding_mark


class SelfAttention(nn.Module):
    """softmax(Q Kᵀ / sqrt(d)) V in several heads (Vaswani et al. 2017, arXiv:1706.03762, 3.2)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (N, T, width) to the same; a step attends only to steps whose ``mask`` is true."""
        query, key, value = (
            layer(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        seen = None if mask is None else mask[:, None, None, :]
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=seen)
        result: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return result


class EncoderBlock(nn.Module):
    """x + attention(norm(x)), then x + feedforward(norm(x)): the norm stands before each part.

    Args:
        width: The number of features of a step.
        feedforward: The width of the feed-forward block, after its activation.
        activation: Its activation.
        attention_heads: How many heads the attention has.
        dropout: The share of what each part adds that is dropped in training.
    """

    def __init__(
        self,
        width: int,
        feedforward: int,
        activation: ActivationChoice,
        *,
        attention_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        feedforward = activation.outputs(feedforward)
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, attention_heads)
        self.norm2 = nn.LayerNorm(width)
        self.feedforward = named_blocks(
            expand=nn.Linear(width, activation.inputs(feedforward)),
            activation=activation.module(feedforward),
            contract=nn.Linear(feedforward, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Map (N, T, width) to the same."""
        x = x + self.dropout(self.attention(self.norm1(x), mask))
        added: Tensor = x + self.dropout(self.feedforward(self.norm2(x)))
        return added


class SinusoidalPositions(nn.Module):
    """Add sines and cosines of the position (Vaswani et al. 2017, section 3.5), for any length.

    Feature 2 i is sin(t / 10000^(2 i / width)), feature 2 i + 1 the cosine of the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Add to (N, T, width)."""
        steps, width = x.shape[1:]
        place = torch.arange(steps, device=x.device, dtype=torch.float32)[:, None]
        even = torch.arange(0, width, 2, device=x.device, dtype=torch.float32)
        angle = place * torch.exp(even * (-math.log(10000.0) / width))
        waves = torch.stack((angle.sin(), angle.cos()), 2).flatten(1)[:, :width]
        return x + waves.to(x.dtype)


class LearnedPositions(nn.Module):
    """Add a learned vector for each position, up to a longest sequence."""

    def __init__(self, most_steps: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(most_steps, width).normal_(0, 0.02))

    def forward(self, x: Tensor) -> Tensor:
        """Add to (N, T, width)."""
        if x.shape[1] > len(self.weight):
            raise SettingsError(
                f"a sequence has {x.shape[1]} steps and the network has positions for "
                f"{len(self.weight)}; raise most_steps or use sinusoidal positions"
            )
        return x + self.weight[: x.shape[1]]


class Transformer(HeadedNetwork):
    """Embedding, positions, encoder blocks, mean over the steps, head; see ``transformer``."""

    def __init__(
        self,
        embedding: nn.Module,
        positions: nn.Module,
        blocks: list[EncoderBlock],
        width: int,
        outputs: int | Mapping[str, int],
        *,
        padded: bool = False,
    ) -> None:
        super().__init__()
        self.padded = padded
        self.embedding = embedding
        self.positions = positions
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.LayerNorm(width)
        self._add_heads(width, outputs)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Map sequences to (N, outputs), or to one such tensor for each head.

        Args:
            x: (N, T, features), or (N, T) whole numbers below the size of the vocabulary; of a
                ``padded`` network (N, T, features + 1) with the mask as the last feature.
            mask: (N, T), true where a step is there and false where it is padding; None: all are.
                Padding changes nothing in the output. A row without any step counts as all there.
        """
        if self.padded:
            x, mask = without_padding_mark(x)
        if mask is not None:
            mask = mask | ~mask.any(1, keepdim=True)
        a = self.positions(self.embedding(x))
        for block in self.blocks:
            a = block(a, mask)
        a = self.norm(a)
        if mask is None:
            return self._apply_heads(a.mean(1))
        weight = mask.to(a.dtype)[:, :, None]
        return self._apply_heads((a * weight).sum(1) / weight.sum(1))


def transformer(  # noqa: PLR0913 (a saved model is rebuilt from them)
    outputs: int | Mapping[str, int],
    *,
    features: int | None = None,
    vocabulary: int | None = None,
    width: int = 64,
    depth: int = 2,
    attention_heads: int = 4,
    feedforward: int = 128,
    positions: str = "sinusoidal",
    most_steps: int = 512,
    activation: str = "relu",
    dropout: float = 0.0,
    init: str = "he",
    padded: bool = False,
    activation_parameters: Mapping[str, Any] | None = None,
) -> Transformer:
    """Build a transformer encoder that reads a sequence and answers once, from the mean of it.

    The activation stands in the feed-forward blocks, at ``blocks.0.feedforward.activation``. The
    norms stand before attention and feed-forward, which trains without a warm-up (Xiong et al.
    2020, arXiv:2002.04745).

    Args:
        outputs: The width of the head, or names of heads with their widths.
        features: The number of features of a step, for sequences of vectors.
        vocabulary: The number of symbols, for sequences of whole numbers; in place of features.
        width: The number of features of a step inside; a multiple of ``attention_heads``.
        depth: The number of encoder blocks.
        attention_heads: How many heads each attention has.
        feedforward: The width of the feed-forward blocks, after the activation.
        positions: ``"sinusoidal"``, for any length, or ``"learned"``.
        most_steps: The length of the longest sequence that learned positions know.
        activation: A name of the catalogue.
        dropout: The share dropped, in training, of what attention and feed-forward add.
        init: A scheme of ``relume.nn.init``.
        padded: Whether one more number of each step, after its features, tells if it is there (1)
            or padding (0).
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> import torch
        >>> network = transformer(2, features=3, width=8, depth=1, feedforward=16)
        >>> network(torch.zeros(5, 20, 3)).shape
        torch.Size([5, 2])
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    integer("width", width)
    integer("attention_heads", attention_heads)
    if width % attention_heads:
        raise SettingsError(
            f"width must be a multiple of attention_heads, {attention_heads}; got {width}"
        )
    choice("positions", positions, ("sinusoidal", "learned"))
    places = (
        SinusoidalPositions()
        if positions == "sinusoidal"
        else LearnedPositions(integer("most_steps", most_steps), width)
    )
    share("dropout", dropout)
    integer("feedforward", feedforward)
    blocks = [
        EncoderBlock(width, feedforward, chosen, attention_heads=attention_heads, dropout=dropout)
        for _ in range(integer("depth", depth))
    ]
    embedding = _embedding(features, vocabulary, width)
    if padded and vocabulary is not None:
        raise SettingsError("padded wants features: a vocabulary's steps are single whole numbers")
    network = Transformer(embedding, places, blocks, width, head_widths(outputs), padded=padded)
    initialise_(network, init)
    return network


def _embedding(features: int | None, vocabulary: int | None, width: int) -> nn.Module:
    if (features is None) == (vocabulary is None):
        raise SettingsError("a transformer needs features or vocabulary, one of the two")
    if vocabulary is not None:
        return nn.Embedding(integer("vocabulary", vocabulary), width)
    return nn.Linear(integer("features", features), width)
