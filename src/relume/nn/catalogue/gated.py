"""Activations that change the number of features: GLU's kin, maxout, concatenated relu."""

import math
from typing import Final

import torch.nn.functional as F  # noqa: N812
from torch import nn

from relume.nn import gated
from relume.nn.catalogue import papers
from relume.nn.facts import Activation, Facts, Kind, Saturation
from relume.nn.functional import concatenated_relu
from relume.nn.modules import ConcatenatedReLU

_ALONG_THE_GATE = "Slopes, knots and saturation along the gate b, with the value a = 1."

CONCATENATED_RELU: Final = Activation(
    name="concatenated_relu",
    aliases=("concatenatedrelu",),
    function=concatenated_relu,
    module=ConcatenatedReLU,
    kind=Kind.DOUBLING,
    inputs_per_output=0.5,
    facts=Facts(
        formula=r"f(x) = [\max(0, x), \max(0, -x)]",
        plain="[max(0, x), max(0, -x)]",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(0.0,),
        monotone=False,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=math.sqrt(2),
        saturates=Saturation.NONE,
        paper=papers.SHANG_2016,
        note="Slopes of the first half; the gain is for the fan-in of the doubled width. One of "
        "the halves always fires.",
    ),
)

MAXOUT: Final = Activation(
    name="maxout",
    function=gated.maxout,
    module=gated.Maxout,
    kind=Kind.GATED,
    defaults={"pieces": 2},
    inputs_per_output=2.0,
    facts=Facts(
        formula=r"f(x_1, \ldots, x_k) = \max_j x_j, \quad k = 2",
        plain="max(x_1, ..., x_k), k = 2",
        range=(-math.inf, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(0.0,),
        monotone=True,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.0,
        saturates=Saturation.NONE,
        paper=papers.GOODFELLOW_2013,
        note="Slopes and knots along one piece, the others at 0. A piece may never win, but one "
        "always passes the gradient.",
    ),
)

GLU: Final = Activation(
    name="glu",
    function=F.glu,
    module=nn.GLU,
    kind=Kind.GATED,
    inputs_per_output=2.0,
    facts=Facts(
        formula=r"f(a, b) = a \, \sigma(b)",
        plain="a / (1 + exp(-b))",
        range=(-math.inf, math.inf),
        left_slope=0.0,
        right_slope=0.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=math.inf,
        gain=1.8462285453386054,
        saturates=Saturation.LEFT,
        paper=papers.DAUPHIN_2017,
        note=f"{_ALONG_THE_GATE} To the right the gradient still reaches a.",
    ),
)

REGLU: Final = Activation(
    name="reglu",
    function=gated.reglu,
    module=gated.ReGLU,
    kind=Kind.GATED,
    inputs_per_output=2.0,
    facts=Facts(
        formula=r"f(a, b) = a \max(0, b)",
        plain="a max(0, b)",
        range=(-math.inf, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(0.0,),
        monotone=False,
        smooth=False,
        homogeneous=False,
        lipschitz=math.inf,
        gain=math.sqrt(2),
        saturates=Saturation.LEFT,
        fires_above=0.0,
        paper=papers.SHAZEER_2020,
        note=f"{_ALONG_THE_GATE} It dies by its gate: at b <= 0 neither a nor b gets a gradient.",
    ),
)

GEGLU: Final = Activation(
    name="geglu",
    function=gated.geglu,
    module=gated.GEGLU,
    kind=Kind.GATED,
    inputs_per_output=2.0,
    facts=Facts(
        formula=r"f(a, b) = a \, b \, \Phi(b)",
        plain="a b Phi(b)",
        range=(-math.inf, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=math.inf,
        gain=1.5335304411955352,
        saturates=Saturation.LEFT,
        paper=papers.SHAZEER_2020,
        note=f"{_ALONG_THE_GATE} Phi is the normal distribution function.",
    ),
)

SWIGLU: Final = Activation(
    name="swiglu",
    function=gated.swiglu,
    module=gated.SwiGLU,
    kind=Kind.GATED,
    inputs_per_output=2.0,
    facts=Facts(
        formula=r"f(a, b) = a \, b \, \sigma(b)",
        plain="a b / (1 + exp(-b))",
        range=(-math.inf, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=False,
        lipschitz=math.inf,
        gain=1.676532470331091,
        saturates=Saturation.LEFT,
        paper=papers.SHAZEER_2020,
        note=_ALONG_THE_GATE,
    ),
)
