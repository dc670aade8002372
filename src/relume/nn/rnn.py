"""The recurrent network: a state that every step of a sequence updates."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from relume.errors import UnknownNameError
from relume.nn.arguments import head_widths, integer, share
from relume.nn.blocks import ActivationChoice, HeadedNetwork, dropout_after
from relume.nn.facts import Activation, Kind
from relume.nn.init import draw_, initialise_, scheme_names
from relume.nn.padding import without_padding_mark


class RecurrentLayer(nn.Module):
    """h_t = f(W_ih x_t + b + W_hh h_(t-1)) for any activation f; h_0 = 0.

    The parameters are named as those of ``nn.RNNCell``.

    Args:
        inputs: The number of features of a step.
        width: The width of the state.
        activation: The activation f.
    """

    def __init__(self, inputs: int, width: int, activation: ActivationChoice) -> None:
        super().__init__()
        features = activation.inputs(width)
        self.width = width
        self.weight_ih = nn.Parameter(torch.empty(features, inputs))
        self.weight_hh = nn.Parameter(torch.empty(features, width))
        self.bias_ih = nn.Parameter(torch.zeros(features))
        self.activation = activation.module(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, T, inputs) to the states (N, T, width)."""
        z = linear(x, self.weight_ih, self.bias_ih)
        state = x.new_zeros(x.shape[0], self.width)
        states = []
        for step in z.unbind(1):
            state = self.activation(step + linear(state, self.weight_hh))
            states.append(state)
        return torch.stack(states, 1)


class RNN(HeadedNetwork):
    """Recurrent layers and a linear head on the state after the last step; built by ``rnn``."""

    def __init__(
        self,
        recurrent: nn.RNN | nn.Sequential,
        width: int,
        outputs: int | Mapping[str, int],
        *,
        dropout: nn.Module | None,
        padded: bool = False,
    ) -> None:
        super().__init__()
        self.recurrent = recurrent
        self.padded = padded
        self.dropout = dropout
        self._add_heads(width, outputs)

    def states(self, x: Tensor) -> Tensor:
        """Return the state of the last layer after each step, (N, T, width)."""
        if isinstance(self.recurrent, nn.RNN):
            states: Tensor = self.recurrent(x)[0]
            return states
        last: Tensor = self.recurrent(x)
        return last

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor | dict[str, Tensor]:
        """Map sequences (N, T, features) to (N, outputs), or to one for each head.

        Args:
            x: The sequences; of a ``padded`` network with the mask as their last feature.
            mask: (N, T), true where a step is there and false where it is padding; the state
                after the last step that is there counts. None: all are there.
        """
        if self.padded:
            x, mask = without_padding_mark(x)
        states = self.states(x)
        if mask is None:
            state = states[:, -1]
        else:
            steps = torch.arange(1, x.shape[1] + 1, device=x.device)
            last = (mask * steps).amax(1).sub(1).clamp(min=0)
            state = states[torch.arange(len(x), device=x.device), last]
        return self._apply_heads(state if self.dropout is None else self.dropout(state))


def rnn(  # noqa: PLR0913 (a saved model is rebuilt from them)
    features: int,
    hidden: int,
    outputs: int | Mapping[str, int],
    *,
    layers: int = 1,
    activation: str = "relu",
    dropout: float = 0.0,
    init: str = "identity",
    padded: bool = False,
    activation_parameters: Mapping[str, Any] | None = None,
) -> RNN:
    """Build a recurrent network that reads a sequence and answers after its last step.

    ReLU and tanh run as ``nn.RNN``; any other activation in a loop over the steps, as
    ``recurrent.0``, ``recurrent.1``, ..., with the activation at ``recurrent.0.activation``.

    Args:
        features: The number of features of a step.
        hidden: The width of the state; an odd one is rounded up where the activation delivers
            pairs (concatenated relu, the complex ones).
        outputs: The width of the head, or names of heads with their widths.
        layers: How many recurrent layers stand on one another.
        activation: A name of the catalogue. What multiplies features (squared relu; glu and its
            kin, but not maxout) can overflow on long sequences: there W_ih starts a thousand times
            smaller.
        dropout: The share of the last state dropped in training; alpha dropout after SELU.
        init: ``"identity"``: W_hh is the identity (Le et al. 2015, arXiv:1504.00941), or
            orthonormal where the activation makes it not square; W_ih has variance 1 / fan_in,
            not the paper's 1e-6, with which sequences of some ten steps train far worse. Or a
            scheme of ``relume.nn.init``, which draws both at gain 1.
        padded: Whether one more number of each step, after its features, tells if it is there (1)
            or padding (0).
        activation_parameters: Parameters of the activation other than its defaults.

    Raises:
        SettingsError: An argument makes no sense.
        UnknownNameError: The activation or the scheme is not known.

    Example:
        >>> import torch
        >>> network = rnn(3, 8, 2)
        >>> network.recurrent
        RNN(3, 8, batch_first=True)
        >>> network(torch.zeros(5, 20, 3)).shape
        torch.Size([5, 2])
    """
    chosen = ActivationChoice(activation, activation_parameters or {})
    width = chosen.outputs(integer("hidden", hidden))
    recurrent = recurrent_layers(
        integer("features", features), width, integer("layers", layers), chosen
    )
    dropped = dropout_after(chosen, share("dropout", dropout))
    network = RNN(recurrent, width, head_widths(outputs), dropout=dropped, padded=padded)
    start_recurrent_(recurrent, init, chosen)
    initialise_(network, "he" if init == "identity" else init, gain=1.0)
    return network


def recurrent_layers(
    features: int, width: int, layers: int, activation: ActivationChoice
) -> nn.RNN | nn.Sequential:
    """Return recurrent layers on one another: ``nn.RNN`` where it has the activation."""
    if activation.entry.name in ("relu", "tanh") and not activation.parameters:
        name = activation.entry.name
        return nn.RNN(features, width, layers, nonlinearity=name, batch_first=True)
    inputs = [features] + [width] * (layers - 1)
    return nn.Sequential(*(RecurrentLayer(each, width, activation) for each in inputs))


def _is_superlinear(entry: Activation) -> bool:
    """Return whether states that feed back through the activation can outgrow any power."""
    gated = entry.kind is Kind.GATED and math.isinf(entry.facts.lipschitz)
    return gated or math.isinf(entry.facts.right_slope)


@torch.no_grad()
def start_recurrent_(recurrent: nn.Module, init: str, activation: ActivationChoice) -> None:
    """Initialise recurrent layers by a scheme, or by the identity where their states allow it.

    Raises:
        UnknownNameError: The scheme is not known.
    """
    input_gain = 0.001 if _is_superlinear(activation.entry) else 1.0
    if init not in ("identity", *scheme_names()):
        raise UnknownNameError("initialisation", str(init), ("identity", *scheme_names()))
    for name, parameter in recurrent.named_parameters():
        if "weight_ih" in name:
            draw_(parameter, "lecun" if init == "identity" else init, input_gain)
        elif "weight_hh" in name:
            draw_(parameter, "orthogonal" if init == "identity" else init)
            if init == "identity" and parameter.shape[0] == parameter.shape[1]:
                nn.init.eye_(parameter)
        elif "bias_" in name:
            parameter.zero_()
