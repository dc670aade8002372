"""ReLU for complex numbers. Gains are for a standard complex normal z, with E|z|^2 = 1."""

import math
from typing import Final

from relume.nn.catalogue import papers
from relume.nn.complex_valued import (
    ComplexReLU,
    ModReLU,
    PhaseReLU,
    ZReLU,
    complex_relu,
    mod_relu,
    phase_relu,
    z_relu,
)
from relume.nn.facts import Activation, Facts, Kind, Saturation

COMPLEX_RELU: Final = Activation(
    name="complex_relu",
    aliases=("complexrelu",),
    function=complex_relu,
    module=ComplexReLU,
    kind=Kind.COMPLEX,
    facts=Facts(
        formula=r"f(z) = \max(0, \Re z) + i \max(0, \Im z)",
        plain="max(0, re z) + i max(0, im z)",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(-math.pi / 2, 0.0, math.pi / 2, math.pi),
        monotone=False,
        smooth=False,
        homogeneous=True,
        lipschitz=1.0,
        gain=math.sqrt(2),
        saturates=Saturation.LEFT,
        fires_above=0.0,
        paper=papers.TRABELSI_2018,
        note="Silent where both parts are <= 0. Slopes along the real line, knots as phases, "
        "range of the modulus.",
    ),
)

Z_RELU: Final = Activation(
    name="z_relu",
    aliases=("zrelu",),
    function=z_relu,
    module=ZReLU,
    kind=Kind.COMPLEX,
    facts=Facts(
        formula=r"f(z) = z \text{ if } 0 \leq \arg z \leq \pi/2, \text{ else } 0",
        plain="z if 0 <= arg z <= pi/2 else 0",
        range=(0.0, math.inf),
        left_slope=0.0,
        right_slope=1.0,
        knots=(0.0, math.pi / 2),
        monotone=False,
        smooth=False,
        homogeneous=True,
        lipschitz=math.inf,
        gain=2.0,
        saturates=Saturation.LEFT,
        fires_above=0.0,
        paper=papers.GUBERMAN_2016,
        note="Silent where either part is < 0, and it jumps there. Slopes along the real line, "
        "knots as phases, range of the modulus.",
    ),
)

MOD_RELU: Final = Activation(
    name="mod_relu",
    aliases=("modrelu",),
    function=mod_relu,
    module=ModReLU,
    kind=Kind.COMPLEX,
    defaults={"bias": 0.0},
    facts=Facts(
        formula=r"f(z) = \max(0, |z| + b) \, \frac{z}{|z|}",
        plain="max(0, |z| + b) z / |z|",
        range=(0.0, math.inf),
        left_slope=1.0,
        right_slope=1.0,
        knots=(),
        monotone=False,
        smooth=True,
        homogeneous=True,
        lipschitz=1.0,
        gain=1.0,
        saturates=Saturation.NONE,
        fires_above=0.0,
        learnable=("bias",),
        paper=papers.ARJOVSKY_2016,
        note="Facts at the starting bias b = 0, where it is the identity. Once b < 0 it is silent "
        "where |z| <= -b, and has its knot there: fires_above is the modulus -b.",
    ),
)

PHASE_RELU: Final = Activation(
    name="phase_relu",
    aliases=("phaserelu",),
    function=phase_relu,
    module=PhaseReLU,
    kind=Kind.COMPLEX,
    facts=Facts(
        formula=r"f(z) = |z| \, e^{i \max(0, \arg z)}",
        plain="|z| exp(i max(0, arg z))",
        range=(0.0, math.inf),
        left_slope=1.0,
        right_slope=1.0,
        knots=(0.0, math.pi),
        monotone=False,
        smooth=False,
        homogeneous=True,
        lipschitz=math.inf,
        gain=1.0,
        saturates=Saturation.NONE,
        paper=papers.XIAO_2020,
        note="Our reading of the name: the paper's abstract gives no formula. It jumps across the "
        "negative real line; the modulus always passes. Slopes along the real line, knots as "
        "phases, range of the modulus.",
    ),
)
