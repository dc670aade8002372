"""Faults of the loop: rates, optimizers, modes and batches."""

from benchmarks.clinic.fault import Fault, Harm
from benchmarks.clinic.faults_data import BAD_START, GAP, NOTHING_LEARNED
from benchmarks.clinic.recipe import Change
from relume.diagnosis.codes import Code as C  # noqa: N817  (tables of codes are read, not typed)

_ANY = ("classes", "binary", "amounts", "rebuilt")
_WILD = (*BAD_START, C.TRAIN_EVAL_GAP, C.RECURRENT_GROWTH, *GAP)

LOOP_FAULTS = (
    Fault(
        name="only the head optimised",
        levels=(
            Change(habits=("head replaced after the optimizer",)),
            Change(habits=("only the head in the optimizer",), options={"width": 8}),
        ),
        true=(C.NOT_OPTIMISED,),
        expected=(*NOTHING_LEARNED, C.GRADIENTS_KEPT),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
        harm=Harm.ALWAYS,
    ),
    Fault(
        name="optimizer of another network",
        levels=(
            Change(habits=("optimizer of a copy",)),
            Change(habits=("optimizer of a copy",), rate_times=10),
        ),
        true=(C.NOT_OPTIMISED,),
        expected=(*NOTHING_LEARNED, C.GRADIENTS_KEPT),
        needs=("classes", "binary", "amounts"),
    ),
    Fault(
        name="gradients never zeroed",
        levels=(
            Change(habits=("zeroed once an epoch",)),
            Change(habits=("never zeroed",)),
        ),
        true=(C.GRADIENTS_KEPT,),
        expected=_WILD,
        needs=_ANY,
    ),
    Fault(
        name="eval() left on",
        levels=(
            Change(habits=("train() not restored",)),
            Change(habits=("eval() from the start",)),
        ),
        true=(C.EVAL_WHILE_TRAINING,),
        expected=(*GAP, C.CHANNEL_DRIFT, C.FIRST_LOSS),
        needs=("classes norm", "amounts norm", "classes dropout", "binary dropout",
               "classes dropout_inside"),
        harm=Harm.ALWAYS,
    ),
    Fault(
        name="batch of one under batch norm",
        levels=(
            Change(batch=1, rate_times=0.1, epochs_times=0.4, data=(("few rows", 0.25),)),
            Change(batch=1, rate_times=0.5, epochs_times=0.4, data=(("few rows", 0.25),)),
        ),
        true=(C.BATCH_OF_ONE, C.TINY_BATCHES),
        expected=(C.TRAIN_EVAL_GAP, *_WILD),
        needs=("classes norm2d",),
    ),
    Fault(
        name="tiny batches under batch norm",
        levels=(
            Change(batch=4, rate_times=0.3, epochs_times=0.5, data=(("few rows", 0.5),)),
            Change(batch=2, rate_times=0.3, epochs_times=0.5, data=(("few rows", 0.3),)),
        ),
        true=(C.TINY_BATCHES,),
        expected=(C.TRAIN_EVAL_GAP, *_WILD),
        needs=("classes norm", "amounts norm"),
    ),
    Fault(
        name="running statistics off",
        levels=(
            Change(options={"norm_momentum": 0.002}),
            Change(options={"norm_momentum": 0.0002}),
        ),
        true=(C.TRAIN_EVAL_GAP,),
        expected=(C.OVER_FITTING, C.OSCILLATING, C.OVER_TRAINING, C.CLASS_NEVER_PREDICTED,
                  C.CHANNEL_DRIFT),
        needs=("classes norm", "amounts norm"),
    ),
    Fault(
        name="rows sorted under batch norm",
        levels=(
            Change(habits=("not shuffled",), data=(("sort", 1.0),)),
            Change(habits=("not shuffled",), data=(("sort", 1.0), ("drift", 4.0))),
        ),
        true=(C.CHANNEL_DRIFT, C.TRAIN_EVAL_GAP),
        expected=(C.OSCILLATING, *_WILD),
        needs=("classes norm", "amounts norm"),
    ),
    Fault(
        name="rate too high",
        levels=(
            Change(rate_times=30),
            Change(rate_times=200),
            Change(rate_times=3000),
        ),
        true=(C.RATE_TOO_HIGH, C.DIVERGING),
        expected=_WILD,
        needs=_ANY,
    ),
    Fault(
        name="momentum too high",
        levels=(
            Change(optimizer="sgd", momentum=0.98, rate_times=20),
            Change(optimizer="sgd", momentum=0.99, rate_times=100),
        ),
        true=(C.OSCILLATING, C.RATE_TOO_HIGH, C.DIVERGING),
        expected=_WILD,
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
    Fault(
        name="rate too low",
        levels=(
            Change(rate_times=0.01),
            Change(rate_times=1e-4),
        ),
        true=(C.RATE_TOO_LOW,),
        expected=(C.STILL_IMPROVING, C.UPDATE_RATIO, *NOTHING_LEARNED, C.TRAIN_EVAL_GAP),
        needs=_ANY,
    ),
    Fault(
        name="one group's rate far off",
        levels=(
            Change(habits=("trunk at a 10000th",)),
            Change(habits=("head at 300 times",)),
        ),
        true=(C.UPDATE_RATIO, C.RATE_TOO_LOW, C.RATE_TOO_HIGH),
        expected=(*_WILD, C.STARVED_LAYER),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
    Fault(
        name="rate decays to nothing too early",
        levels=(
            Change(schedule="collapse", rate_times=0.3),
            Change(schedule="collapse", rate_times=0.05),
        ),
        true=(C.PLATEAU, C.RATE_TOO_LOW),
        expected=(C.UPDATE_RATIO, *NOTHING_LEARNED, C.TRAIN_EVAL_GAP),
        needs=_ANY,
    ),
    Fault(
        name="stopped too early",
        levels=(
            Change(epochs_times=0.25, rate_times=0.3),
            Change(epochs_times=0.25, rate_times=0.1),
        ),
        true=(C.STILL_IMPROVING, C.RATE_TOO_LOW),
        expected=(C.NOT_DECREASING, C.CLASS_NEVER_PREDICTED, C.TRAIN_EVAL_GAP),
        needs=_ANY,
    ),
    Fault(
        name="rate jumps in the middle",
        levels=(
            Change(habits=("rate times 100 for an epoch",)),
            Change(habits=("rate times 1000 for an epoch",)),
        ),
        true=(C.DYING_UNITS, C.DEAD_UNITS, C.RATE_TOO_HIGH, C.DIVERGING),
        expected=_WILD,
        needs=("classes mlp relu", "binary mlp relu", "amounts mlp relu"),
    ),
    Fault(
        name="weight decay far too strong",
        levels=(
            Change(optimizer="adam", weight_decay=0.1),
            Change(optimizer="adam", weight_decay=1.0),
        ),
        true=(C.NOT_DECREASING, C.PLATEAU, C.DORMANT_UNITS, C.DYING_UNITS, C.VANISHING_GRADIENT),
        expected=(*NOTHING_LEARNED, C.IDENTICAL_UNITS, C.UPDATE_RATIO),
        needs=("classes mlp", "binary mlp", "amounts mlp"),
    ),
)  # fmt: skip
