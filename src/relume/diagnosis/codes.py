"""The codes of findings: one a rule, by family; a code never changes its meaning."""

from enum import StrEnum


class Code(StrEnum):
    """``RLM0xx`` data, head and loss · ``1xx`` units · ``2xx`` gradients · ``3xx`` optimisation ·
    ``4xx`` generalisation · ``5xx`` normalisation · ``6xx`` recurrent and architecture.
    """  # noqa: D205

    UNSCALED_INPUT = "RLM001"
    NONFINITE_INPUT = "RLM002"
    CONSTANT_INPUT = "RLM003"
    CONSTANT_TARGET = "RLM004"
    MISSING_TARGET = "RLM005"  # nan, infinite, or ignored by the loss
    IMBALANCE = "RLM006"
    UNSCALED_TARGET = "RLM007"
    ONE_OUTPUT = "RLM010"  # softmax, or cross-entropy, over one unit
    SOFTMAX_TWICE = "RLM011"  # softmax before cross-entropy
    SIGMOID_TWICE = "RLM012"  # sigmoid before binary cross-entropy with logits
    LOGITS_AS_PROBABILITIES = "RLM013"  # where a loss takes probabilities, by hand too
    NLL_WITHOUT_LOG = "RLM014"
    BOUNDED_LOGITS = "RLM015"  # ReLU, tanh, ... on logits
    BOUNDED_REGRESSION = "RLM016"  # a head that cannot reach the targets
    SQUARED_ERROR_ON_CLASSES = "RLM017"
    BROADCAST_LOSS = "RLM018"
    FIRST_LOSS = "RLM019"  # far above ln K, or the variance of the targets
    LINEAR_STACK = "RLM020"
    NOT_OPTIMISED = "RLM021"
    NO_GRADIENT = "RLM022"
    GRADIENTS_KEPT = "RLM023"
    EVAL_WHILE_TRAINING = "RLM024"
    DECAYED_SLOPES = "RLM025"
    SELU_SETUP = "RLM026"
    BATCH_OF_ONE = "RLM027"
    LEAKED_ROWS = "RLM028"
    DEAD_UNITS = "RLM101"
    DYING_UNITS = "RLM102"
    DEAD_AT_START = "RLM103"
    DEAD_LAYER = "RLM104"
    DORMANT_UNITS = "RLM105"
    SATURATED_UNITS = "RLM106"
    IDENTICAL_UNITS = "RLM107"
    ALWAYS_ON = "RLM108"
    DEAD_LATENTS = "RLM109"
    NEGATIVE_SLOPES = "RLM110"
    VANISHING_GRADIENT = "RLM201"
    EXPLODING_GRADIENT = "RLM202"
    NONFINITE_GRADIENT = "RLM203"
    STARVED_LAYER = "RLM204"
    UPDATE_RATIO = "RLM205"
    DIVERGING = "RLM301"
    NOT_DECREASING = "RLM302"
    OSCILLATING = "RLM303"
    RATE_TOO_HIGH = "RLM304"
    RATE_TOO_LOW = "RLM305"
    PLATEAU = "RLM306"
    STILL_IMPROVING = "RLM307"
    OVER_FITTING = "RLM401"
    OVER_TRAINING = "RLM402"
    MEMORISING = "RLM403"
    CLASS_NEVER_PREDICTED = "RLM404"
    TRAIN_EVAL_GAP = "RLM501"
    TINY_BATCHES = "RLM502"
    CHANNEL_DRIFT = "RLM503"
    RECURRENT_GROWTH = "RLM601"
    DEFAULT_TANH = "RLM602"
    RELU_ON_OUTPUT = "RLM603"


UNIT_SYMPTOMS = frozenset(
    {
        Code.DEAD_UNITS,
        Code.DYING_UNITS,
        Code.DEAD_AT_START,
        Code.DEAD_LAYER,
        Code.DORMANT_UNITS,
        Code.SATURATED_UNITS,
        Code.ALWAYS_ON,
        Code.DEAD_LATENTS,
    }
)
GRADIENT_SYMPTOMS = frozenset(
    {
        Code.VANISHING_GRADIENT,
        Code.EXPLODING_GRADIENT,
        Code.NONFINITE_GRADIENT,
        Code.STARVED_LAYER,
        Code.UPDATE_RATIO,
    }
)
CURVE_SYMPTOMS = frozenset(
    {
        Code.DIVERGING,
        Code.NOT_DECREASING,
        Code.OSCILLATING,
        Code.PLATEAU,
        Code.STILL_IMPROVING,
        Code.CLASS_NEVER_PREDICTED,
    }
)
RATES = frozenset({Code.RATE_TOO_HIGH, Code.RATE_TOO_LOW})
SYMPTOMS = UNIT_SYMPTOMS | GRADIENT_SYMPTOMS | CURVE_SYMPTOMS | RATES
"""What a fault of data, head or loss can bring about."""
