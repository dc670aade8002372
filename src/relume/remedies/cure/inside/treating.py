"""Which class does which treatment."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from relume.remedies.cure.inside.decays import Momentum, WeightDecay
from relume.remedies.cure.inside.heads import Insert, Skip, Swap
from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.inside.losses import (
    ClassWeights,
    Difference,
    LogSoftmax,
    OneLogit,
    Probabilities,
    Scale,
    Squeeze,
)
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.models import (
    BatchNorm,
    Dropout,
    Initialise,
    Nonlinearity,
    TrainMode,
)
from relume.remedies.cure.inside.rates import (
    AddParameters,
    Clip,
    FiniteGradients,
    HoldRate,
    OneRate,
    Rate,
    Schedule,
    WarmUp,
    ZeroGradients,
)
from relume.remedies.cure.inside.roots import Root
from relume.remedies.cure.inside.rows import DropRows
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Kind, Treatment

Numbers = Mapping[str, Any]

LISTENERS: Mapping[Kind, Callable[[Numbers, Makings], Listener]] = {
    Kind.RATE: lambda numbers, _: Rate(numbers["factor"]),
    Kind.ONE_RATE: lambda numbers, _: OneRate(numbers["rate"]),
    Kind.HOLD_RATE: lambda _numbers, _: HoldRate(),
    Kind.MOMENTUM: lambda numbers, _: Momentum(numbers["momentum"]),
    Kind.WEIGHT_DECAY: lambda numbers, _: WeightDecay(numbers["factor"], spares=numbers["spares"]),
    Kind.WARM_UP: lambda numbers, _: WarmUp(numbers["steps"]),
    Kind.CLIP: lambda numbers, _: Clip(numbers["norm"]),
    Kind.FINITE_GRADIENTS: lambda _numbers, _: FiniteGradients(),
    Kind.ROOT: lambda numbers, _: Root(
        list(map(CodePlace.from_json, numbers["places"])), numbers["added"]
    ),
    Kind.ZERO_GRADIENTS: lambda _numbers, _: ZeroGradients(),
    Kind.TRAIN_MODE: lambda numbers, _: TrainMode(CodePlace.from_json(numbers["place"])),
    Kind.ADD_PARAMETERS: lambda _numbers, _: AddParameters(),
    Kind.SCHEDULE: lambda numbers, _: Schedule(numbers["when"]),
    Kind.SKIP: lambda numbers, makings: Skip(numbers["keys"], makings),
    Kind.SWAP: lambda numbers, makings: Swap(numbers["keys"], numbers["to"], makings),
    Kind.INSERT: lambda numbers, _: Insert(numbers["layers"]),
    Kind.NONLINEARITY: lambda numbers, _: Nonlinearity(numbers["to"]),
    Kind.INITIALISE: lambda numbers, _: Initialise(numbers["scheme"]),
    Kind.DROPOUT: lambda numbers, _: Dropout(numbers["share"]),
    Kind.BATCH_NORM: lambda numbers, _: BatchNorm(
        math.nan if numbers["momentum"] is None else numbers["momentum"]
    ),
    Kind.SQUEEZE: lambda _numbers, _: Squeeze(),
    Kind.DIFFERENCE: lambda numbers, _: Difference(
        [CodePlace.from_json(each["place"]) for each in numbers["differences"]]
    ),
    Kind.PROBABILITIES: lambda numbers, _: Probabilities(numbers["function"]),
    Kind.ONE_LOGIT: lambda _numbers, _: OneLogit(),
    Kind.LOG_SOFTMAX: lambda numbers, _: LogSoftmax(of_probabilities=numbers["of_probabilities"]),
    Kind.CLASS_WEIGHTS: lambda numbers, _: ClassWeights(numbers["weights"]),
    Kind.SCALE: lambda numbers, _: Scale(numbers.get("inputs"), numbers.get("targets")),
    Kind.DROP_ROWS: lambda _numbers, _: DropRows(),
    Kind.SEED: lambda _numbers, _: Listener(),  # the seeds themselves are offset
}


def listener_of(treatment: Treatment, makings: Makings) -> Listener:
    """Return what does a treatment in this process."""
    return LISTENERS[treatment.kind](treatment.numbers, makings)
