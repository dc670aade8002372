"""Smooth (or nearly smooth) relatives of ReLU, unbounded on the right."""

import math
from typing import Final

import torch.nn.functional as F  # noqa: N812
from torch import nn

from relume.nn.catalogue import papers
from relume.nn.facts import Activation, Facts, Saturation

ELU: Final = Activation(
    name="elu",
    function=F.elu,
    module=nn.ELU,
    defaults={"alpha": 1.0},
    facts=Facts(
        formula=r"f(x) = \max(0, x) + \min(0, e^x - 1)",
        plain="x if x > 0 else exp(x) - 1",
        range=(-1.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0,
        gain=1.2451983007007066,
        saturates=Saturation.LEFT,
        paper=papers.CLEVERT_2016,
        note="With alpha other than 1 the derivative jumps at 0; CELU's does not.",
    ),
)

SELU: Final = Activation(
    name="selu",
    function=F.selu,
    module=nn.SELU,
    facts=Facts(
        formula=r"f(x) = \lambda \, (\max(0, x) + \min(0, \alpha (e^x - 1))), "
        r"\quad \lambda = 1.0507\ldots, \ \alpha = 1.6733\ldots",
        plain="1.051 x if x > 0 else 1.758 (exp(x) - 1)",
        range=(-1.7580993408473766, math.inf),
        left_slope=0.0,
        right_slope=1.0507009873554805,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=False,
        lipschitz=1.7580993408473766,
        gain=1.0,
        saturates=Saturation.LEFT,
        paper=papers.KLAMBAUER_2017,
        note="Keeps mean 0 and variance 1 only with LeCun-normal weights and alpha dropout.",
    ),
)

CELU: Final = Activation(
    name="celu",
    function=F.celu,
    module=nn.CELU,
    defaults={"alpha": 1.0},
    facts=Facts(
        formula=r"f(x) = \max(0, x) + \min(0, \alpha (e^{x / \alpha} - 1)), \quad \alpha = 1",
        plain="x if x > 0 else exp(x) - 1",
        range=(-1.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0,
        gain=1.2451983007007066,
        saturates=Saturation.LEFT,
        paper=papers.BARRON_2017,
        note="At alpha = 1 it is ELU; it stays smooth at every alpha.",
    ),
)

SILU: Final = Activation(
    name="silu",
    aliases=("swish",),
    function=F.silu,
    module=nn.SiLU,
    defaults={"beta": 1.0, "learnable": False},
    facts=Facts(
        formula=r"f(x) = x \, \sigma(x) = \frac{x}{1 + e^{-x}}",
        plain="x / (1 + exp(-x))",
        range=(-0.2784645427610738, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0998393201288669,
        gain=1.676532470331091,
        saturates=Saturation.LEFT,
        paper=papers.ELFWING_2018,
        earlier=(papers.HENDRYCKS_2016, papers.RAMACHANDRAN_2017),
        note="Swish is x sigmoid(beta x): give beta, or learnable=True.",
    ),
)

MISH: Final = Activation(
    name="mish",
    function=F.mish,
    module=nn.Mish,
    facts=Facts(
        formula=r"f(x) = x \tanh(\ln(1 + e^x))",
        plain="x tanh(log(1 + exp(x)))",
        range=(-0.30884341301725041, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0884981612517279,
        gain=1.486847581273208,
        saturates=Saturation.LEFT,
        paper=papers.MISRA_2019,
    ),
)

SOFTPLUS: Final = Activation(
    name="softplus",
    function=F.softplus,
    module=nn.Softplus,
    defaults={"beta": 1.0, "threshold": 20.0},
    facts=Facts(
        formula=r"f(x) = \ln(1 + e^x)",
        plain="log(1 + exp(x))",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=1.0,
        gain=1.0418668355353018,
        saturates=Saturation.LEFT,
        paper=papers.DUGAS_2001,
        note="torch returns x itself above the threshold 20, an error below 2.1e-9.",
    ),
)

GELU: Final = Activation(
    name="gelu",
    function=F.gelu,
    module=nn.GELU,
    defaults={"approximate": "none"},
    facts=Facts(
        formula=r"f(x) = x \, \Phi(x) = \frac{x}{2} "
        r"\left(1 + \operatorname{erf}\frac{x}{\sqrt{2}}\right)",
        plain="x Phi(x)",
        range=(-0.16997120747990366, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=1.1289041451851548,
        gain=1.5335304411955352,
        saturates=Saturation.LEFT,
        paper=papers.HENDRYCKS_2016,
        note="Phi: the normal distribution function; approximate='tanh' is off by at most 4.8e-4.",
    ),
)

HARDSWISH: Final = Activation(
    name="hardswish",
    aliases=("hard_swish", "hswish"),
    function=F.hardswish,
    module=nn.Hardswish,
    facts=Facts(
        formula=r"f(x) = \frac{x}{6} \min(\max(0, x + 3), 6)",
        plain="x min(max(0, x + 3), 6) / 6",
        range=(-0.375, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(-3.0, 3.0),
        monotone=False,
        smooth=False,
        homogeneous=False,
        lipschitz=1.5,
        gain=1.7366572127665416,
        saturates=Saturation.LEFT,
        fires_above=-3.0,
        paper=papers.HOWARD_2019,
    ),
)
