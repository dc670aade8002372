"""Faults of head and loss: the last operation, and what is compared with what."""

from benchmarks.clinic.fault import Fault
from benchmarks.clinic.faults_data import BAD_START, NOTHING_LEARNED
from benchmarks.clinic.recipe import Change
from relume.diagnosis.codes import Code as C  # noqa: N817  (tables of codes are read, not typed)

_SLOW = (
    C.RATE_TOO_LOW, C.STILL_IMPROVING, C.PLATEAU, C.NOT_DECREASING, C.VANISHING_GRADIENT,
    C.CLASS_NEVER_PREDICTED, C.DYING_UNITS, C.DEAD_UNITS, C.OSCILLATING, C.STARVED_LAYER,
)  # fmt: skip

LOSS_FAULTS = (
    Fault(
        name="softmax over one unit",
        levels=(
            Change(options={"head": "softmax"}, loss="probabilities"),
            Change(loss="cross-entropy of one"),
        ),
        true=(C.ONE_OUTPUT,),
        expected=(C.NO_GRADIENT, C.LOGITS_AS_PROBABILITIES, C.SOFTMAX_TWICE, *NOTHING_LEARNED,
                  C.FIRST_LOSS, C.SATURATED_UNITS),
        needs=("binary head",),
    ),
    Fault(
        name="softmax before cross-entropy",
        levels=(
            Change(options={"head": "softmax"}),
            Change(loss="softmax in the loop"),
        ),
        true=(C.SOFTMAX_TWICE,),
        expected=(*_SLOW, C.SATURATED_UNITS),
        needs=("classes head",),
    ),
    Fault(
        name="sigmoid before BCE with logits",
        levels=(
            Change(options={"head": "sigmoid"}),
            Change(loss="sigmoid in the loop"),
        ),
        true=(C.SIGMOID_TWICE,),
        expected=(*_SLOW, C.BOUNDED_LOGITS, C.SATURATED_UNITS),
        needs=("binary head",),
    ),
    Fault(
        name="logits where probabilities belong",
        levels=(
            Change(loss="probabilities, clamped"),
            Change(loss="log of the output"),
        ),
        true=(C.LOGITS_AS_PROBABILITIES,),
        expected=(*_SLOW, *BAD_START),
        needs=("binary head", "classes head"),
    ),
    Fault(
        name="NLL without log",
        levels=(
            Change(options={"head": "softmax"}, loss="nll"),
            Change(loss="nll"),
        ),
        true=(C.NLL_WITHOUT_LOG,),
        expected=(*_SLOW, C.DIVERGING, C.EXPLODING_GRADIENT, C.UPDATE_RATIO, C.SATURATED_UNITS,
                  C.LOGITS_AS_PROBABILITIES, C.OVER_FITTING),
        needs=("classes head",),
    ),
    Fault(
        name="bounded activation on logits",
        levels=(
            Change(options={"head": "tanh"}),
            Change(options={"head": "relu"}),
        ),
        true=(C.BOUNDED_LOGITS, C.RELU_ON_OUTPUT),
        expected=(*_SLOW, C.SATURATED_UNITS, C.DEAD_AT_START, C.DEAD_LAYER),
        needs=("classes head", "binary head"),
    ),
    Fault(
        name="head cannot reach the targets",
        levels=(
            Change(options={"head": "sigmoid"}),
            Change(options={"head": "tanh"}, data=(("scale targets", 5.0),)),
        ),
        true=(C.BOUNDED_REGRESSION,),
        expected=(*_SLOW, C.SATURATED_UNITS, C.FIRST_LOSS, C.UNSCALED_TARGET, C.OVER_TRAINING),
        needs=("amounts head",),
    ),
    Fault(
        name="ReLU on the output",
        levels=(
            Change(options={"head": "relu"}),
            Change(options={"head": "relu"}, data=(("offset targets", -2.0),)),
        ),
        true=(C.RELU_ON_OUTPUT, C.BOUNDED_REGRESSION),
        expected=(*_SLOW, C.DEAD_LAYER, C.DEAD_AT_START, C.NO_GRADIENT),
        needs=("amounts head",),
    ),
    Fault(
        name="squared error on classes",
        levels=(
            Change(loss="squared error on one-hot"),
            Change(loss="squared error on numbers", options={"outputs": 1.0}),
        ),
        true=(C.SQUARED_ERROR_ON_CLASSES,),
        expected=(*_SLOW, C.FIRST_LOSS, C.BROADCAST_LOSS),
        needs=("classes head",),
    ),
    Fault(
        name="loss broadcast",
        levels=(
            Change(loss="broadcast"),
            Change(loss="broadcast by hand"),
        ),
        true=(C.BROADCAST_LOSS,),
        expected=(*NOTHING_LEARNED, C.OVER_FITTING),
        needs=("amounts",),
    ),
    Fault(
        name="head far too large at the start",
        levels=(
            Change(weights=(("head times", 30.0),)),
            Change(weights=(("head times", 300.0),)),
        ),
        true=(C.FIRST_LOSS,),
        expected=(*BAD_START, C.RATE_TOO_LOW),
        needs=("classes head", "binary head", "amounts head"),
    ),
    Fault(
        name="sign of the loss flipped",
        levels=(
            Change(loss="negative", rate_times=0.2),
            Change(loss="negative"),
        ),
        true=(C.DIVERGING, C.NOT_DECREASING),
        expected=(*BAD_START, C.RELU_ON_OUTPUT),
        needs=("classes head", "amounts head"),
    ),
    Fault(
        name="square root of zero in a penalty",
        levels=(
            Change(weights=(("biases zero", 0.0),), loss="root penalty"),
            Change(weights=(("biases zero", 0.0),), loss="root penalty", rate_times=0.3),
        ),
        true=(C.NONFINITE_GRADIENT,),
        expected=(C.DIVERGING, *NOTHING_LEARNED),
        needs=("classes head", "binary head", "amounts head"),
    ),
    Fault(
        name="softmax by hand overflows",
        levels=(
            Change(loss="softmax by hand", data=(("scale inputs", 300.0),)),
            Change(loss="softmax by hand", data=(("scale inputs", 3000.0),)),
        ),
        true=(C.NONFINITE_GRADIENT, C.UNSCALED_INPUT),
        expected=BAD_START,
        needs=("classes mlp",),
    ),
)  # fmt: skip
