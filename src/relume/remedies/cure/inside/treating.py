"""Which class does which treatment."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from relume.remedies.cure.inside.heads import Insert, Skip, Swap
from relume.remedies.cure.inside.listener import Listener
from relume.remedies.cure.inside.losses import ClassWeights, LogSoftmax, Scale, Squeeze
from relume.remedies.cure.inside.made import Makings
from relume.remedies.cure.inside.models import BatchNorm, Initialise, Nonlinearity, TrainMode
from relume.remedies.cure.inside.rates import (
    AddParameters,
    Clip,
    Rate,
    Schedule,
    WarmUp,
    ZeroGradients,
)
from relume.remedies.cure.inside.rows import DropRows
from relume.remedies.cure.place import CodePlace
from relume.remedies.cure.treatment import Kind, Treatment

Numbers = Mapping[str, Any]

LISTENERS: Mapping[Kind, Callable[[Numbers, Makings], Listener]] = {
    Kind.RATE: lambda numbers, _: Rate(numbers["factor"]),
    Kind.WARM_UP: lambda numbers, _: WarmUp(numbers["steps"]),
    Kind.CLIP: lambda numbers, _: Clip(numbers["norm"]),
    Kind.ZERO_GRADIENTS: lambda _numbers, _: ZeroGradients(),
    Kind.TRAIN_MODE: lambda numbers, _: TrainMode(CodePlace.from_json(numbers["place"])),
    Kind.ADD_PARAMETERS: lambda _numbers, _: AddParameters(),
    Kind.SCHEDULE: lambda numbers, _: Schedule(numbers["when"]),
    Kind.SKIP: lambda numbers, makings: Skip(numbers["keys"], makings),
    Kind.SWAP: lambda numbers, makings: Swap(numbers["keys"], numbers["to"], makings),
    Kind.INSERT: lambda numbers, _: Insert(numbers["layers"]),
    Kind.NONLINEARITY: lambda _numbers, _: Nonlinearity(),
    Kind.INITIALISE: lambda _numbers, _: Initialise(),
    Kind.BATCH_NORM: lambda numbers, _: BatchNorm(
        math.nan if numbers["momentum"] is None else numbers["momentum"]
    ),
    Kind.SQUEEZE: lambda _numbers, _: Squeeze(),
    Kind.LOG_SOFTMAX: lambda _numbers, _: LogSoftmax(),
    Kind.CLASS_WEIGHTS: lambda numbers, _: ClassWeights(numbers["weights"]),
    Kind.SCALE: lambda numbers, _: Scale(numbers.get("inputs"), numbers.get("targets")),
    Kind.DROP_ROWS: lambda _numbers, _: DropRows(),
    Kind.SEED: lambda _numbers, _: Listener(),  # the seeds themselves are offset
}


def listener_of(treatment: Treatment, makings: Makings) -> Listener:
    """Return what does a treatment in this process."""
    return LISTENERS[treatment.kind](treatment.numbers, makings)
