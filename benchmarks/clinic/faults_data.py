"""Faults of inputs, targets and rows, with the consequences that each may have."""

from benchmarks.clinic.fault import Fault, Harm
from benchmarks.clinic.recipe import Change
from relume.diagnosis.codes import Code as C  # noqa: N817  (tables of codes are read, not typed)

BAD_START = (
    C.FIRST_LOSS, C.DEAD_UNITS, C.DYING_UNITS, C.DEAD_AT_START, C.DEAD_LAYER, C.SATURATED_UNITS,
    C.ALWAYS_ON, C.EXPLODING_GRADIENT, C.NONFINITE_GRADIENT, C.DIVERGING, C.NOT_DECREASING,
    C.OSCILLATING, C.UPDATE_RATIO, C.STARVED_LAYER, C.PLATEAU, C.VANISHING_GRADIENT,
    C.CLASS_NEVER_PREDICTED, C.RATE_TOO_HIGH, C.NEGATIVE_SLOPES, C.DORMANT_UNITS, C.CHANNEL_DRIFT,
    C.DEAD_LATENTS, C.STILL_IMPROVING, C.IDENTICAL_UNITS,
)  # fmt: skip
"""What numbers far too large may bring about, from the first step on."""

NOTHING_LEARNED = (
    C.NOT_DECREASING, C.PLATEAU, C.CLASS_NEVER_PREDICTED, C.OSCILLATING, C.STILL_IMPROVING,
    C.DEAD_UNITS, C.DYING_UNITS, C.DEAD_LAYER, C.VANISHING_GRADIENT, C.UPDATE_RATIO,
    C.RATE_TOO_LOW, C.DORMANT_UNITS, C.STARVED_LAYER,
)  # fmt: skip
"""What a training that has nothing to learn from looks like."""

GAP = (C.OVER_FITTING, C.OVER_TRAINING, C.MEMORISING)

DATA_FAULTS = (
    Fault(
        name="inputs unscaled",
        levels=(
            Change(data=(("scale inputs", 100.0),)),
            Change(data=(("uneven inputs", 1000.0),)),
            Change(data=(("offset inputs", 300.0),)),
        ),
        true=(C.UNSCALED_INPUT,),
        expected=(*BAD_START, *GAP),
        needs=("classes mlp", "binary mlp", "amounts mlp", "classes smooth", "amounts selu"),
    ),
    Fault(
        name="inputs not finite",
        levels=(
            Change(data=(("nan inputs", 0.002),)),
            Change(data=(("inf inputs", 0.05),)),
        ),
        true=(C.NONFINITE_INPUT,),
        expected=(C.NONFINITE_GRADIENT, C.DIVERGING, *NOTHING_LEARNED),
        needs=("classes table", "binary table", "amounts table", "classes relu", "amounts relu"),
    ),
    Fault(
        name="inputs constant",
        levels=(
            Change(data=(("constant inputs", 0.8),)),
            Change(data=(("constant inputs", 1.0),)),
        ),
        true=(C.CONSTANT_INPUT,),
        expected=(*NOTHING_LEARNED, C.NO_GRADIENT, C.DEAD_AT_START, *GAP),
        needs=("classes mlp", "binary mlp", "amounts mlp", "classes images"),
    ),
    Fault(
        name="targets constant",
        levels=(
            Change(data=(("constant targets", 1.0),)),
            Change(data=(("constant targets", 1.0), ("few rows", 0.3))),
        ),
        true=(C.CONSTANT_TARGET,),
        expected=(
            C.IMBALANCE, C.CLASS_NEVER_PREDICTED, C.VANISHING_GRADIENT, C.PLATEAU, C.MEMORISING,
            C.NOT_DECREASING, C.DYING_UNITS, C.DEAD_UNITS, C.UPDATE_RATIO, C.STARVED_LAYER,
        ),
        needs=("classes head", "binary head", "amounts head"),
    ),
    Fault(
        name="targets missing",
        levels=(
            Change(data=(("missing targets", 0.05),)),
            Change(data=(("missing targets", 0.9),)),
        ),
        true=(C.MISSING_TARGET,),
        expected=(C.NONFINITE_GRADIENT, C.DIVERGING, *NOTHING_LEARNED, *GAP, C.IMBALANCE),
        needs=("classes", "amounts"),
    ),
    Fault(
        name="classes out of balance",
        levels=(
            Change(data=(("imbalance", 20.0),)),
            Change(data=(("imbalance", 60.0),)),
        ),
        true=(C.IMBALANCE, C.CLASS_NEVER_PREDICTED),
        expected=(*GAP, C.STILL_IMPROVING, C.PLATEAU),
        needs=("classes table", "binary table", "classes mlp", "classes recurrent"),
    ),
    Fault(
        name="class absent from training",
        levels=(
            Change(data=(("drop class", 1.0),)),
            Change(data=(("drop class", 2.0),)),
        ),
        true=(C.CLASS_NEVER_PREDICTED, C.IMBALANCE),
        expected=(*GAP, C.STILL_IMPROVING),
        needs=("classes table", "classes images", "classes relu"),
    ),
    Fault(
        name="targets unscaled",
        levels=(
            Change(data=(("scale targets", 1e3),)),
            Change(data=(("offset targets", 1e5),)),
        ),
        true=(C.UNSCALED_TARGET,),
        expected=(
            C.FIRST_LOSS, C.EXPLODING_GRADIENT, C.RATE_TOO_LOW, C.DIVERGING, C.STILL_IMPROVING,
            C.NOT_DECREASING, C.PLATEAU, C.UPDATE_RATIO, C.DEAD_UNITS, C.DYING_UNITS, C.ALWAYS_ON,
            C.SATURATED_UNITS, C.BOUNDED_REGRESSION, C.OSCILLATING, C.DORMANT_UNITS,
        ),
        needs=("amounts",),
    ),
    Fault(
        name="validation rows in training",
        levels=(
            Change(data=(("few rows", 0.3), ("label noise", 0.2), ("leak", 0.5)), epochs_times=3),
            Change(data=(("few rows", 0.3), ("label noise", 0.2), ("leak", 1.0)), epochs_times=3),
        ),
        true=(C.LEAKED_ROWS,),
        expected=(C.MEMORISING,),
        needs=("classes table", "classes mlp", "amounts mlp", "binary mlp", "classes images"),
        harm=Harm.CLAIM,
    ),
    Fault(
        name="labels shuffled against the inputs",
        levels=(
            Change(data=(("label noise", 0.7),)),
            Change(data=(("label noise", 1.0),)),
        ),
        true=(C.NOT_DECREASING, C.MEMORISING, C.PLATEAU),
        expected=(*NOTHING_LEARNED, *GAP),
        needs=("classes head", "binary head", "amounts head", "classes recurrent"),
    ),
    Fault(
        name="few rows and a large network",
        levels=(
            Change(data=(("few rows", 0.08), ("label noise", 0.2)), epochs_times=6),
            Change(data=(("few rows", 0.05), ("label noise", 0.3)), epochs_times=9),
        ),
        true=(C.OVER_FITTING, C.OVER_TRAINING, C.MEMORISING),
        expected=(C.VANISHING_GRADIENT, C.PLATEAU, C.CLASS_NEVER_PREDICTED, C.STARVED_LAYER),
        needs=("classes mlp", "amounts mlp", "binary mlp"),
    ),
    Fault(
        name="trained far too long",
        levels=(
            Change(data=(("few rows", 0.25), ("label noise", 0.2)), epochs_times=5),
            Change(data=(("few rows", 0.2), ("label noise", 0.35)), epochs_times=8),
        ),
        true=(C.OVER_TRAINING, C.OVER_FITTING, C.MEMORISING),
        expected=(C.PLATEAU, C.VANISHING_GRADIENT, C.STARVED_LAYER),
        needs=("classes mlp", "amounts mlp", "classes smooth", "classes prelu"),
    ),
)  # fmt: skip
