"""Activations that stay between two numbers."""

from typing import Final

import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn

from relume.nn.catalogue import papers
from relume.nn.facts import Activation, Facts, Kind, Saturation
from relume.nn.functional import softmax

HARDSIGMOID: Final = Activation(
    name="hardsigmoid",
    aliases=("hard_sigmoid",),
    function=F.hardsigmoid,
    module=nn.Hardsigmoid,
    facts=Facts(
        formula=r"f(x) = \frac{1}{6} \min(\max(0, x + 3), 6)",
        plain="min(max(0, x + 3), 6) / 6",
        range=(0.0, 1.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(-3.0, 3.0),
        monotone=True,
        smooth=False,
        homogeneous=False,
        lipschitz=1 / 6,
        gain=1.897840424729559,
        saturates=Saturation.BOTH,
        fires_above=-3.0,
        paper=papers.HOWARD_2019,
        earlier=(papers.COURBARIAUX_2015,),
        note="Slope 1/6 as in torch; BinaryConnect's has slope 1/2. Above 3 no gradient either. "
        "torch cannot differentiate it twice.",
    ),
)

SIGMOID: Final = Activation(
    name="sigmoid",
    aliases=("logistic",),
    function=torch.sigmoid,
    module=nn.Sigmoid,
    facts=Facts(
        formula=r"f(x) = \sigma(x) = \frac{1}{1 + e^{-x}}",
        plain="1 / (1 + exp(-x))",
        range=(0.0, 1.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=0.25,
        gain=1.8462285453386054,
        saturates=Saturation.BOTH,
        paper=papers.RUMELHART_1986,
    ),
)

TANH: Final = Activation(
    name="tanh",
    function=torch.tanh,
    module=nn.Tanh,
    facts=Facts(
        formula=r"f(x) = \tanh x = \frac{e^x - e^{-x}}{e^x + e^{-x}}",
        plain="tanh(x)",
        range=(-1.0, 1.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0,
        gain=1.5925374197228315,
        saturates=Saturation.BOTH,
        paper=papers.LECUN_1998,
        note="The gain keeps the second moment; torch.nn.init.calculate_gain says 5/3.",
    ),
)

SOFTSIGN: Final = Activation(
    name="softsign",
    function=F.softsign,
    module=nn.Softsign,
    facts=Facts(
        formula=r"f(x) = \frac{x}{1 + |x|}",
        plain="x / (1 + |x|)",
        range=(-1.0, 1.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0,
        gain=2.33753336310854,
        saturates=Saturation.BOTH,
        paper=papers.BERGSTRA_2009,
    ),
)

SOFTMAX: Final = Activation(
    name="softmax",
    function=softmax,
    module=nn.Softmax,
    kind=Kind.VECTOR,
    facts=Facts(
        formula=r"f(x)_i = \frac{e^{x_i}}{\sum_j e^{x_j}}",
        plain="exp(x_i) / sum_j exp(x_j)",
        range=(0.0, 1.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=0.5,
        gain=float("nan"),
        saturates=Saturation.BOTH,
        paper=papers.BRIDLE_1990,
        note="Slopes and saturation along one coordinate, the others at 0; the gain depends on "
        "the width.",
    ),
)
