"""The multilayer perceptron: dense layers with an activation after each."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from relume.nn.arguments import head_widths, integer, share, widths
from relume.nn.binning import PiecewiseLinearEncoding
from relume.nn.blocks import ActivationChoice, HeadedNetwork, dense_block
from relume.nn.init import initialise_


class MLP(HeadedNetwork):
    """Dense blocks ``hidden.0``, ``hidden.1``, ... and a linear head; built by ``mlp``."""

    def __init__(
        self,
        inputs: int,
        hidden: Sequence[int],
        outputs: int | Mapping[str, int],
        *,
        activation: ActivationChoice,
        norm: str | None = None,
        dropout: float = 0.0,
        encoding: PiecewiseLinearEncoding | None = None,
    ) -> None:
        super().__init__()
        self.encoding = encoding
        inputs = inputs if encoding is None else encoding.outputs
        self.hidden_widths = tuple(activation.outputs(width) for width in hidden)
        blocks = []
        for width in self.hidden_widths:
            blocks.append(dense_block(inputs, width, activation, norm=norm, dropout=dropout))
            inputs = width
        self.hidden = nn.Sequential(*blocks)
        self._add_heads(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor | dict[str, Tensor]:
        """Map (N, inputs) to (N, outputs), or to one such tensor for each named head."""
        return self._apply_heads(self.hidden(x if self.encoding is None else self.encoding(x)))


def mlp(  # noqa: PLR0913 (a saved model is rebuilt from them)
    inputs: int,
    hidden: Sequence[int],
    outputs: int | Mapping[str, int],
    *,
    activation: str = "relu",
    norm: str | None = None,
    dropout: float = 0.0,
    init: str = "he",
    bins: int = 0,
    binned: Sequence[int] = (),
    activation_parameters: Mapping[str, Any] | None = None,
) -> MLP:
    """Build a multilayer perceptron: linear, norm, activation, dropout for each hidden width.

    Modules are named ``hidden.0.linear``, ``hidden.0.norm``, ``hidden.0.activation``,
    ``hidden.0.dropout``, ...; and ``head``, or ``heads.label`` for a head named label.

    Args:
        inputs: The number of input features.
        hidden: The widths of the hidden layers, after the activation; none makes a linear model.
            A gated activation has its linear layer deliver the multiple that it needs. One that
            delivers pairs (concatenated relu, the complex ones) rounds an odd width up;
            ``hidden_widths`` of the network are the widths that came out.
        outputs: The width of the head; or names of heads with their widths, and then the network
            returns a dictionary.
        activation: A name of the catalogue.
        norm: ``"batch"``, ``"layer"`` or None; before the activation, in place of a bias.
        dropout: The share of activations dropped in training; alpha dropout after SELU.
        init: A scheme of ``relume.nn.init``; ``"he"`` with SELU, whose gain is 1, is ``"lecun"``.
        bins: How many quantile bins the features in ``binned`` have: their places in them stand
            beside the features, ``network.encoding``; set the bins by its ``fit_``.
        binned: Positions of those features.
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> network = mlp(64, [32], {"label": 10, "angle": 1})
        >>> [name for name, module in network.named_modules() if not list(module.children())]
        ['hidden.0.linear', 'hidden.0.activation', 'heads.label', 'heads.angle']
    """
    network = MLP(
        integer("inputs", inputs),
        widths("hidden widths", hidden, may_be_empty=True),
        head_widths(outputs),
        activation=ActivationChoice(activation, activation_parameters or {}),
        norm=norm,
        dropout=share("dropout", dropout),
        encoding=PiecewiseLinearEncoding(inputs, binned=binned, bins=bins) if binned else None,
    )
    initialise_(network, init)
    return network
