"""Faults of structure and initialisation: what the units, layers and recurrences are given."""

from benchmarks.clinic.fault import Fault, Harm
from benchmarks.clinic.faults_data import BAD_START, NOTHING_LEARNED
from benchmarks.clinic.recipe import Change
from relume.diagnosis.codes import Code as C  # noqa: N817  (tables of codes are read, not typed)

_SILENT = (
    C.DEAD_UNITS, C.DEAD_AT_START, C.DEAD_LAYER, C.DYING_UNITS, C.NO_GRADIENT, C.STARVED_LAYER,
    C.VANISHING_GRADIENT, C.DORMANT_UNITS, *NOTHING_LEARNED,
)  # fmt: skip

UNIT_FAULTS = (
    Fault(
        name="no nonlinearity between layers",
        levels=(
            Change(options={"activation": "none"}),
            Change(options={"activation": "none", "depth": 4}),
        ),
        true=(C.LINEAR_STACK,),
        expected=(C.PLATEAU, C.NOT_DECREASING, C.RATE_TOO_HIGH, C.OSCILLATING, C.OVER_FITTING),
        needs=("classes mlp relu", "binary mlp relu", "amounts mlp relu"),
    ),
    Fault(
        name="trunk detached",
        levels=(
            Change(options={"detach": True}),
            Change(options={"detach": True, "width": 8}),
        ),
        true=(C.NO_GRADIENT,),
        expected=(C.NOT_OPTIMISED, C.STARVED_LAYER, *NOTHING_LEARNED),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
        harm=Harm.ALWAYS,
    ),
    Fault(
        name="biases far below zero",
        levels=(
            Change(weights=(("bias of half", -8.0),)),
            Change(weights=(("bias of a layer", -20.0),)),
        ),
        true=(C.DEAD_AT_START, C.DEAD_LAYER, C.DEAD_UNITS),
        expected=_SILENT,
        needs=("classes mlp relu", "binary mlp relu", "amounts mlp relu"),
        void_with="norm",
    ),
    Fault(
        name="biases far above zero",
        levels=(
            Change(weights=(("bias of all", 5.0),)),
            Change(weights=(("bias of all", 50.0),)),
        ),
        true=(C.ALWAYS_ON, C.FIRST_LOSS),
        expected=(*BAD_START, C.LINEAR_STACK, C.RATE_TOO_LOW),
        needs=("classes mlp relu", "binary mlp relu", "amounts mlp relu"),
        void_with="norm",
    ),
    Fault(
        name="half of the units start at almost nothing",
        levels=(
            Change(weights=(("half times", 1e-5),), rate_times=0.1),
            Change(weights=(("most times", 1e-6),), rate_times=0.02),
        ),
        true=(C.DORMANT_UNITS,),
        expected=(C.STARVED_LAYER, C.RATE_TOO_LOW, C.STILL_IMPROVING, *NOTHING_LEARNED,
                  C.UPDATE_RATIO),
        needs=("classes smooth", "classes prelu", "amounts prelu"),
    ),
    Fault(
        name="bounded units far out",
        levels=(
            Change(weights=(("all times", 15.0),)),
            Change(data=(("scale inputs", 200.0),)),
        ),
        true=(C.SATURATED_UNITS, C.UNSCALED_INPUT),
        expected=(*BAD_START, C.OVER_FITTING, C.RATE_TOO_LOW),
        needs=("classes bounded", "amounts bounded"),
    ),
    Fault(
        name="all weights equal",
        levels=(
            Change(weights=(("constant", 0.02),)),
            Change(weights=(("constant", 0.0),)),
        ),
        true=(C.IDENTICAL_UNITS,),
        expected=_SILENT,
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
    Fault(
        name="latent units switched off",
        levels=(
            Change(weights=(("bias of latents", -6.0),), options={"beta": 30.0}),
            Change(weights=(("bias of latents", -20.0),), options={"beta": 3000.0}),
        ),
        true=(C.DEAD_LATENTS,),
        expected=_SILENT,
        needs=("rebuilt latent",),
    ),
    Fault(
        name="slopes of PReLU below zero",
        levels=(
            Change(weights=(("slopes", -0.5),)),
            Change(weights=(("slopes", -1.5),)),
        ),
        true=(C.NEGATIVE_SLOPES,),
        expected=(C.OVER_FITTING, C.FIRST_LOSS, C.STILL_IMPROVING),
        needs=("classes prelu", "amounts prelu"),
    ),
    Fault(
        name="weight decay on PReLU slopes",
        levels=(
            Change(weight_decay=0.02),
            Change(weight_decay=0.3),
        ),
        true=(C.DECAYED_SLOPES,),
        expected=(*NOTHING_LEARNED,),
        needs=("classes prelu", "amounts prelu"),
    ),
    Fault(
        name="SELU as if it were ReLU",
        levels=(
            Change(options={"setup": "dropout"}),
            Change(options={"setup": "default"}),
            Change(options={"setup": "both"}),
        ),
        true=(C.SELU_SETUP,),
        expected=(C.VANISHING_GRADIENT, C.EXPLODING_GRADIENT, *NOTHING_LEARNED),
        needs=("classes selu", "amounts selu"),
    ),
    Fault(
        name="deep sigmoid network",
        levels=(
            Change(options={"activation": "sigmoid", "depth": 8}),
            Change(options={"activation": "sigmoid", "depth": 14}),
        ),
        true=(C.VANISHING_GRADIENT, C.STARVED_LAYER),
        expected=(*NOTHING_LEARNED, C.SATURATED_UNITS, C.IDENTICAL_UNITS, C.ALWAYS_ON),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
    Fault(
        name="deep network with small weights",
        levels=(
            Change(options={"depth": 7}, weights=(("all times", 0.3),)),
            Change(options={"depth": 10}, weights=(("all times", 0.1),)),
        ),
        true=(C.VANISHING_GRADIENT, C.STARVED_LAYER),
        expected=(*_SILENT, C.IDENTICAL_UNITS),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
        void_with="norm",
    ),
    Fault(
        name="deep network with large weights",
        levels=(
            Change(options={"depth": 6}, weights=(("all times", 5.0),)),
            Change(options={"depth": 8}, weights=(("all times", 12.0),)),
        ),
        true=(C.EXPLODING_GRADIENT, C.FIRST_LOSS),
        expected=(*BAD_START, C.RATE_TOO_LOW, C.OVER_FITTING),
        needs=("classes mlp relu", "binary mlp relu", "amounts mlp relu"),
        void_with="norm",
    ),
    Fault(
        name="features divided away inside",
        levels=(
            Change(options={"gate": 1e-3}),
            Change(options={"gate": 1e-5}),
        ),
        true=(C.STARVED_LAYER, C.VANISHING_GRADIENT),
        expected=(*NOTHING_LEARNED,),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
    Fault(
        name="recurrent weights too large",
        levels=(
            Change(options={"nonlinearity": "relu"}, weights=(("recurrent times", 1.5),)),
            Change(options={"nonlinearity": "relu"}, weights=(("recurrent times", 2.5),)),
        ),
        true=(C.RECURRENT_GROWTH, C.EXPLODING_GRADIENT),
        expected=(*BAD_START, C.RATE_TOO_LOW, C.OVER_FITTING),
        needs=("classes rnn", "amounts rnn"),
    ),
    Fault(
        name="tanh by default where ReLU was meant",
        levels=(
            Change(options={"nonlinearity": "tanh"}),
            Change(options={"nonlinearity": "tanh"}, data=(("scale inputs", 3.0),)),
        ),
        true=(C.DEFAULT_TANH,),
        expected=(C.SATURATED_UNITS, C.VANISHING_GRADIENT, C.STILL_IMPROVING, *NOTHING_LEARNED,
                  C.UNSCALED_INPUT),
        needs=("classes rnn", "amounts rnn"),
    ),
)  # fmt: skip
