"""The reader: columns of text beside features, for tables with texts."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from relume.errors import SettingsError
from relume.nn.arguments import choice, head_widths, integer, share, widths
from relume.nn.blocks import ActivationChoice, HeadedNetwork, dense_block
from relume.nn.init import initialise_
from relume.nn.rnn import recurrent_layers, start_recurrent_
from relume.nn.transformer import EncoderBlock, LearnedPositions

PADDING = 0
"""The number that stands where a text has ended."""

ENCODERS = ("bag", "transformer", "rnn")
_MOST_NUMBERS = 2**18  # words that go through at once when nothing is learned
_EMBEDDING_SCALE = 0.1  # of nn.Embedding's standard normal numbers
_VOTE_SCALE = 10.0  # AdamW moves every weight alike: a vote has to move further than a weight


class Votes(nn.Module):
    """A linear model of the words: the sum over a text's words of u_w v_w, v_w a vector of votes.

    u_w is 1 + log w, as words are numbered by falling frequency and the frequency of the w-th word
    of a language is about proportional to 1 / w (Zipf 1949): rare words count more, as in inverse
    document frequency. The u of a text are scaled to length 1. The votes start at 0.
    """

    def __init__(self, vocabulary: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocabulary, outputs))
        self.register_buffer("rarity", rarity(vocabulary), persistent=False)

    def forward(self, words: Tensor) -> Tensor:
        """Map (N, T) numbers of words to (N, outputs); padding has no vote."""
        rare = self.rarity[words]  # type: ignore[index]
        rare = rare / torch.linalg.vector_norm(rare, dim=1, keepdim=True).clamp(min=1.0)
        votes = nn.functional.embedding(words, self.weight)
        return _VOTE_SCALE * torch.einsum("nt,nto->no", rare, votes)


class TextEncoder(nn.Module):
    """From the words of a text to one vector: embedding, blocks or recurrence, mean, norm.

    Args:
        vocabulary: How many numbers there are, the padding among them.
        width: The number of features of a word, and of the text.
        positions: What tells the places of words; None if nothing does.
        blocks: Encoder blocks.
        recurrent: A recurrence over the words.
    """

    def __init__(
        self,
        vocabulary: int,
        width: int,
        *,
        positions: LearnedPositions | None = None,
        blocks: Sequence[EncoderBlock] = (),
        recurrent: nn.RNN | nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width, padding_idx=PADDING)
        self.positions = positions
        self.blocks = nn.ModuleList(blocks)
        self.recurrent = recurrent
        rare = rarity(vocabulary)
        with torch.no_grad():
            self.embedding.weight.mul_(_EMBEDDING_SCALE * (rare / rare.mean())[:, None])

    def forward(self, words: Tensor) -> Tensor:
        """Map (N, T) numbers of words to (N, width); a text without words gives 0."""
        present = words != PADDING
        a = self.embedding(words)
        if self.positions is not None:
            a = self.positions(a)
        seen = present | ~present.any(1, keepdim=True)
        for block in self.blocks:
            a = block(a, seen)
        if self.recurrent is not None:
            states = self.recurrent(a)
            a = states[0] if isinstance(states, tuple) else states
        weight = present.to(a.dtype)[:, :, None]
        mean: Tensor = (a * weight).sum(1) / weight.sum(1).clamp(min=1.0)
        return nn.functional.layer_norm(mean, mean.shape[1:])


class Reader(HeadedNetwork):
    """Texts and features into dense blocks and a head, to which the words' votes are added."""

    takes_places = True  # of words, as floats

    def __init__(  # noqa: PLR0913 (one for each argument of ``reader``)
        self,
        features: int,
        steps: Sequence[int],
        encoders: Sequence[TextEncoder],
        votes: Sequence[Votes],
        hidden: Sequence[int],
        outputs: int | Mapping[str, int],
        *,
        activation: ActivationChoice,
        norm: str | None,
        dropout: float,
        word_dropout: float,
    ) -> None:
        super().__init__()
        self.sizes = (features, *steps)
        self.word_dropout = word_dropout
        self.encoders = nn.ModuleList(encoders)
        self.dropout = nn.Dropout(dropout)
        inputs = features + sum(each.embedding.embedding_dim for each in encoders)
        blocks = []
        for width in map(activation.outputs, hidden):
            blocks.append(dense_block(inputs, width, activation, norm=norm, dropout=dropout))
            inputs = width
        self.hidden = nn.Sequential(*blocks)
        self.votes = nn.ModuleList(votes)
        self._add_heads(inputs, outputs)

    @property
    def most_rows(self) -> int:
        """How many rows go through at once without filling the memory."""
        return max(1, _MOST_NUMBERS // sum(self.sizes[1:]))

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map (N, features + steps of all texts) to (N, outputs), or to one for each head."""
        if x.shape[1] != sum(self.sizes):
            raise SettingsError(
                f"a row has {x.shape[1]} numbers, but the network reads {sum(self.sizes)}"
            )
        features, *texts = torch.split(x, list(self.sizes), 1)
        texts = [self._words(text) for text in texts]
        read = [
            self.dropout(encode(text)) for encode, text in zip(self.encoders, texts, strict=True)
        ]
        output = self._apply_heads(self.hidden(torch.cat((features, *read), 1)))
        counted = [vote(text) for vote, text in zip(self.votes, texts, strict=True)]
        votes = torch.stack(counted).sum(0)
        if isinstance(output, Tensor):
            return output + votes
        parts = torch.split(votes, [each.shape[1] for each in output.values()], 1)
        return {name: each + part for (name, each), part in zip(output.items(), parts, strict=True)}

    def _words(self, text: Tensor) -> Tensor:
        """Return whole numbers, cut after the longest text; in training, some words left out."""
        words = text.long()
        words = words[:, : max(1, int((words != PADDING).sum(1).max()))]
        if self.training and self.word_dropout:
            words = words * (torch.rand(words.shape, device=words.device) >= self.word_dropout)
        return words


def reader(  # noqa: PLR0913 (a saved model is rebuilt from them)
    features: int,
    texts: Sequence[Sequence[int]],
    outputs: int | Mapping[str, int],
    *,
    encoder: str = "bag",
    hidden: Sequence[int] = (128,),
    width: int = 64,
    depth: int = 1,
    attention_heads: int = 4,
    feedforward: int = 128,
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    word_dropout: float = 0.0,
    init: str = "he",
    activation_parameters: Mapping[str, Any] | None = None,
) -> Reader:
    """Build a network that reads texts beside features.

    A row is its features and behind them, for each text, the numbers of its words: 0 where it has
    ended, then whole numbers by falling frequency. Each text becomes one vector: the mean over
    its words of what the encoder makes of them, standardised. The vectors and the features go
    through dense blocks to the head. Beside that each word votes for the outputs, in a linear
    model (Cheng et al. 2016, "Wide & deep learning", arXiv:1606.07792).

    Args:
        features: The number of features.
        texts: Vocabulary and steps of each text.
        outputs: The width of the head, or names of heads with their widths.
        encoder: ``"bag"``, the embeddings themselves, whatever their order; ``"transformer"``,
            encoder blocks over them; or ``"rnn"``, recurrent layers over them.
        hidden: The widths of the dense layers, after the activation.
        width: The number of features of a word, a multiple of ``attention_heads``.
        depth: The number of encoder blocks or recurrent layers; a bag has none.
        attention_heads: How many heads each attention has.
        feedforward: The width of the feed-forward blocks, after the activation.
        activation: A name of the catalogue.
        norm: ``"batch"``, ``"layer"`` or None, of the dense layers.
        dropout: The share dropped, in training, of texts' vectors and dense layers.
        word_dropout: The share of the words left out in training.
        init: A scheme of ``relume.nn.init``; for recurrent layers also ``"identity"``, as in
            ``rnn``, with ``"he"`` for what is not recurrent.
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> network = reader(3, [[1000, 40]], 2)
        >>> network(torch.zeros(5, 43)).shape
        torch.Size([5, 2])
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    choice("encoder", encoder, ENCODERS)
    integer("features", features, least=0)
    sizes = _text_sizes(texts)
    integer("depth", depth)
    integer("feedforward", feedforward)
    integer("attention_heads", attention_heads)
    if integer("width", width) % attention_heads:
        raise SettingsError(
            f"width must be a multiple of attention_heads, {attention_heads}; got {width}"
        )
    heads = head_widths(outputs)
    total = heads if isinstance(heads, int) else sum(heads.values())
    encoders = []
    for vocabulary, steps in sizes:
        if encoder == "transformer":
            new_block = partial(
                EncoderBlock, width, feedforward, chosen, attention_heads=attention_heads
            )
            blocks = [new_block(dropout=dropout) for _ in range(depth)]
            places = LearnedPositions(steps, width)
            each = TextEncoder(vocabulary, width, positions=places, blocks=blocks)
        elif encoder == "rnn":
            state = chosen.outputs(width)
            recurrent = recurrent_layers(state, state, depth, chosen)
            each = TextEncoder(vocabulary, state, recurrent=recurrent)
        else:
            each = TextEncoder(vocabulary, width)
        encoders.append(each)
    network = Reader(
        features,
        [steps for _, steps in sizes],
        encoders,
        [Votes(vocabulary, total) for vocabulary, _ in sizes],
        widths("hidden widths", hidden, may_be_empty=True),
        heads,
        activation=chosen,
        norm=norm,
        dropout=share("dropout", dropout),
        word_dropout=share("word_dropout", word_dropout),
    )
    initialise_(network, "he" if init == "identity" and encoder == "rnn" else init)
    for each in encoders:
        if each.recurrent is not None:
            start_recurrent_(each.recurrent, init, chosen)
    return network


def rarity(vocabulary: int) -> Tensor:
    """Return 1 + log w for each number w of a word, and 0 for the padding.

    Example:
        >>> rarity(4)
        tensor([0.0000, 1.0000, 1.6931, 2.0986])
    """
    numbers = torch.arange(vocabulary)
    return torch.where(numbers > 0, 1 + numbers.clamp(min=1).log(), 0.0)


def _text_sizes(texts: Any) -> list[tuple[int, int]]:
    if isinstance(texts, str | Mapping) or not isinstance(texts, Sequence) or not texts:
        raise SettingsError(f"texts must be a list of vocabulary and steps; got {texts!r}")
    sizes = [widths("vocabulary and steps of a text", each) for each in texts]
    if any(len(each) != 2 or each[0] < 2 for each in sizes):
        raise SettingsError(f"each text needs a vocabulary of at least 2, and steps; got {texts!r}")
    return [(vocabulary, steps) for vocabulary, steps in sizes]
