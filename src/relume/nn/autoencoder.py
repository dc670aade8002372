"""The autoencoder: an encoder to a short code, a decoder back."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from relume.errors import SettingsError
from relume.nn.arguments import choice, integer, share, widths
from relume.nn.blocks import ActivationChoice
from relume.nn.init import initialise_
from relume.nn.mlp import MLP


class Autoencoder(nn.Module):
    """Two perceptrons, ``encoder`` and ``decoder``; built by ``autoencoder``.

    Attributes:
        code_activation: What stands on the code, or None.
    """

    def __init__(
        self, encoder: MLP, decoder: MLP, *, code_activation: nn.Module | None, output: str
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.code_activation = code_activation
        self.decoder = decoder
        self.output = output

    def encode(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to the codes (N, code)."""
        code: Tensor = self.encoder(x)
        return code if self.code_activation is None else self.code_activation(code)

    def decode(self, code: Tensor) -> Tensor:
        """Map codes (N, code) to (N, inputs)."""
        x: Tensor = self.decoder(code)
        return x.sigmoid() if self.output == "sigmoid" else x

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, inputs) to its reconstruction, (N, inputs)."""
        return self.decode(self.encode(x))


def autoencoder(  # noqa: PLR0913 (a saved model is rebuilt from them)
    inputs: int,
    hidden: Sequence[int],
    code: int,
    *,
    activation: str = "relu",
    code_activation: str | None = None,
    output: str = "linear",
    norm: str | None = None,
    dropout: float = 0.0,
    init: str = "he",
    activation_parameters: Mapping[str, Any] | None = None,
) -> Autoencoder:
    """Build an autoencoder whose decoder is the mirror image of its encoder.

    Args:
        inputs: The number of features.
        hidden: The widths of the hidden layers of the encoder; the decoder has them backwards.
        code: The width of the code.
        activation: A name of the catalogue, for the hidden layers.
        code_activation: An activation of the code itself. The default, None, leaves it linear, and
            is the one to use: under ``"relu"`` a code unit that is negative on every example is 0
            there for ever, and what it carried is lost; with few code units each one counts.
        output: ``"linear"``, or ``"sigmoid"`` for features in [0, 1].
        norm: ``"batch"``, ``"layer"`` or None, in the hidden layers.
        dropout: The share of activations dropped in training.
        init: A scheme of ``relume.nn.init``.
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> import torch
        >>> network = autoencoder(64, [32], 8)
        >>> x = torch.zeros(5, 64)
        >>> network.encode(x).shape, network(x).shape
        (torch.Size([5, 8]), torch.Size([5, 64]))
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    integer("inputs", inputs)
    integer("code", code)
    choice("output", output, ("linear", "sigmoid"))
    share("dropout", dropout)
    inner = widths("hidden widths", hidden, may_be_empty=True)
    delivered, on_code = code, None
    if code_activation is not None:
        of_code = ActivationChoice(code_activation)
        if of_code.outputs(code) != code:
            raise SettingsError(f"code must be even under {code_activation}; got {code}")
        delivered, on_code = of_code.inputs(code), of_code.module(code)
    encoder = MLP(inputs, inner, delivered, activation=chosen, norm=norm, dropout=dropout)
    decoder = MLP(code, inner[::-1], inputs, activation=chosen, norm=norm, dropout=dropout)
    network = Autoencoder(encoder, decoder, code_activation=on_code, output=output)
    initialise_(network, init)
    return network
