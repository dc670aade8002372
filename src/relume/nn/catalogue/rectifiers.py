"""ReLU and what is piecewise linear like it: the identity, the leaky ones, the capped one."""

import math
from typing import Final

import torch.nn.functional as F  # noqa: N812
from torch import nn

from relume.nn.catalogue import papers
from relume.nn.facts import Activation, Facts, Saturation
from relume.nn.functional import identity, prelu, squared_relu, thresholded_relu
from relume.nn.modules import SquaredReLU, ThresholdedReLU

IDENTITY: Final = Activation(
    name="identity",
    aliases=("linear", "none"),
    function=identity,
    module=nn.Identity,
    facts=Facts(
        formula=r"f(x) = x",
        plain="x",
        range=(-math.inf, math.inf),
        left_slope=1.0,
        right_slope=1.0,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.0,
        saturates=Saturation.NONE,
        paper=papers.WIDROW_1960,
    ),
)

RELU: Final = Activation(
    name="relu",
    aliases=("rectifier", "ramp"),
    function=F.relu,
    module=nn.ReLU,
    defaults={"subgradient_at_zero": 0.0},
    facts=Facts(
        formula=r"f(x) = \max(0, x)",
        plain="max(0, x)",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=math.sqrt(2),
        saturates=Saturation.LEFT,
        fires_above=0.0,
        paper=papers.NAIR_2010,
        earlier=(papers.FUKUSHIMA_1969, papers.FUKUSHIMA_1975),
        note="The derivative at exactly 0 is a choice in [0, 1]; torch takes 0.",
    ),
)

LEAKY_RELU: Final = Activation(
    name="leaky_relu",
    aliases=("leakyrelu", "lrelu"),
    function=F.leaky_relu,
    module=nn.LeakyReLU,
    defaults={"negative_slope": 0.01},
    facts=Facts(
        formula=r"f(x) = \max(0, x) + 0.01 \min(0, x)",
        plain="x if x > 0 else 0.01 x",
        range=(-math.inf, math.inf),
        left_slope=0.01,
        right_slope=1.0,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.4141428569978354,
        saturates=Saturation.NONE,
        paper=papers.MAAS_2013,
    ),
)

PRELU: Final = Activation(
    name="prelu",
    aliases=("parametric_relu",),
    function=prelu,
    module=nn.PReLU,
    defaults={"init": 0.25, "per_feature": False},
    facts=Facts(
        formula=r"f(x) = \max(0, x) + a \min(0, x), \quad a = 0.25 \text{ at the start}",
        plain="x if x > 0 else a x, a learned",
        range=(-math.inf, math.inf),
        left_slope=0.25,
        right_slope=1.0,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.3719886811400708,
        saturates=Saturation.NONE,
        learnable=("weight",),
        paper=papers.HE_2015,
        note="Facts at the starting slope 0.25. Keep weight decay off it: it would end as ReLU.",
    ),
)

RRELU: Final = Activation(
    name="rrelu",
    aliases=("randomized_relu", "randomised_relu"),
    function=F.rrelu,
    module=nn.RReLU,
    defaults={"lower": 1 / 8, "upper": 1 / 3},
    facts=Facts(
        formula=r"f(x) = \max(0, x) + a \min(0, x), \quad a \sim U(1/8, 1/3)",
        plain="x if x > 0 else a x, a random",
        range=(-math.inf, math.inf),
        left_slope=11 / 48,
        right_slope=1.0,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.378479664546057,
        saturates=Saturation.NONE,
        paper=papers.XU_2015,
        note="The slope is drawn anew in training; the facts are those of evaluation, where it is "
        "the mean 11/48. In training the gain is 1.3761.",
    ),
)

RELU6: Final = Activation(
    name="relu6",
    function=F.relu6,
    module=nn.ReLU6,
    facts=Facts(
        formula=r"f(x) = \min(\max(0, x), 6)",
        plain="min(max(0, x), 6)",
        range=(0.0, 6.0),
        left_slope=0.0,
        right_slope=0.0,
        knots=(0.0, 6.0),
        monotone=True,
        smooth=False,
        homogeneous=False,
        lipschitz=1.0,
        gain=1.4142135650950736,
        saturates=Saturation.BOTH,
        fires_above=0.0,
        paper=papers.KRIZHEVSKY_2010,
        note="A unit above 6 on every sample gets no gradient either.",
    ),
)

SQUARED_RELU: Final = Activation(
    name="squared_relu",
    aliases=("relu_squared", "relu2"),
    function=squared_relu,
    module=SquaredReLU,
    facts=Facts(
        formula=r"f(x) = \max(0, x)^2",
        plain="max(0, x)^2",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=math.inf,
        knots=(),
        monotone=True,
        smooth=True,
        homogeneous=False,
        lipschitz=math.inf,
        gain=math.sqrt(2 / 3),
        saturates=Saturation.LEFT,
        fires_above=0.0,
        paper=papers.SO_2021,
    ),
)

THRESHOLDED_RELU: Final = Activation(
    name="thresholded_relu",
    aliases=("threshold", "thresholdedrelu"),
    function=thresholded_relu,
    module=ThresholdedReLU,
    defaults={"theta": 1.0},
    facts=Facts(
        formula=r"f(x) = x \text{ if } x > 1, \text{ else } 0",
        plain="x if x > 1 else 0",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(1.0,),
        monotone=True,
        smooth=False,
        homogeneous=False,
        lipschitz=math.inf,
        gain=1.5799030817610498,
        saturates=Saturation.LEFT,
        fires_above=1.0,
        paper=papers.KONDA_2015,
        note="The value jumps at the threshold, so no Lipschitz constant holds.",
    ),
)
