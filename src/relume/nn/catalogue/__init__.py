"""The activations and their facts, one entry each."""

from typing import Final

from relume.nn.catalogue.bounded import HARDSIGMOID, SIGMOID, SOFTMAX, SOFTSIGN, TANH
from relume.nn.catalogue.complex_valued import COMPLEX_RELU, MOD_RELU, PHASE_RELU, Z_RELU
from relume.nn.catalogue.gated import CONCATENATED_RELU, GEGLU, GLU, MAXOUT, REGLU, SWIGLU
from relume.nn.catalogue.rectifiers import (
    IDENTITY,
    LEAKY_RELU,
    PRELU,
    RELU,
    RELU6,
    RRELU,
    SQUARED_RELU,
    THRESHOLDED_RELU,
)
from relume.nn.catalogue.smooth import CELU, ELU, GELU, HARDSWISH, MISH, SELU, SILU, SOFTPLUS
from relume.nn.facts import Activation

CATALOGUE: Final[tuple[Activation, ...]] = (
    IDENTITY,
    RELU,
    LEAKY_RELU,
    PRELU,
    RRELU,
    ELU,
    SELU,
    CELU,
    SILU,
    MISH,
    SOFTPLUS,
    GELU,
    RELU6,
    HARDSWISH,
    HARDSIGMOID,
    SIGMOID,
    TANH,
    SOFTSIGN,
    SOFTMAX,
    SQUARED_RELU,
    THRESHOLDED_RELU,
    CONCATENATED_RELU,
    MAXOUT,
    GLU,
    REGLU,
    GEGLU,
    SWIGLU,
    COMPLEX_RELU,
    Z_RELU,
    MOD_RELU,
    PHASE_RELU,
)
