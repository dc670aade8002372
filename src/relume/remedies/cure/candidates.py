"""Which treatments are worth a run, by what was found: the likeliest first."""

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Safety
from relume.remedies.cure.case import Case, short
from relume.remedies.cure.treatment import Kind, Treatment

Proposer = Callable[[Case], Iterable[Treatment]]

RECTIFIERS = frozenset({"relu", "relu6", "leaky_relu", "elu", "selu", "softplus"})
BOUNDED = frozenset({"tanh", "sigmoid"})
NORMALISERS: Mapping[str, frozenset[str]] = {
    "cross_entropy": frozenset({"softmax", "log_softmax"}),
    "binary_cross_entropy_with_logits": frozenset({"sigmoid"}),
}
"""What a loss applies by itself."""
NEEDED: Mapping[str, frozenset[str]] = {
    "binary_cross_entropy": frozenset({"sigmoid"}),
    "nll_loss": frozenset({"log_softmax"}),
}
"""What a loss asks for before it."""
WEIGHABLE = frozenset({"cross_entropy", "nll_loss", "binary_cross_entropy_with_logits"})
"""Losses that take weights of classes."""
WARM_UP_SHARE = 0.1
IMBALANCED = 2.0
"""Times the rows of the rarest class that the commonest one has, for weights to matter."""


def candidates(case: Case, *, allows_model: bool) -> tuple[Treatment, ...]:
    """Return the treatments to try, each once, the likeliest first.

    What the code shows comes first, then what answers the findings in their order, then what may
    always help; a fresh start with another seed is always the last.

    Args:
        case: What was found.
        allows_model: Whether the model may become another one.
    """
    found: dict[str, Treatment] = {}
    for each in _proposed(case):
        if each.safety is Safety.CHANGES_MODEL and not allows_model:
            continue
        found.setdefault(json.dumps([each.kind, dict(each.numbers)], sort_keys=True), each)
    return tuple(found.values())


def _proposed(case: Case) -> Iterator[Treatment]:
    yield from _left_out(case)
    for finding in case.faults:
        for proposer in PROPOSERS.get(Code(finding.code), ()):
            for each in proposer(case):
                yield _answering(each, finding.code)
    for proposer in (_lower_rates, _higher_rates):
        yield from proposer(case)
    yield Treatment(kind=Kind.SEED, label="another seed", safety=Safety.SAFE)


def _answering(treatment: Treatment, code: str) -> Treatment:
    said = treatment.to_json() | {"answers": [code]}
    return Treatment.from_json(said)


def _left_out(case: Case) -> Iterator[Treatment]:
    if case.left_out:
        count = len(case.left_out)
        yield Treatment(
            kind=Kind.ADD_PARAMETERS,
            label=f"the optimizer holds {count} more parameter{'s' * (count > 1)}",
            answers=(Code.NOT_OPTIMISED,),
        )


def _skip(case: Case, functions: frozenset[str], *, changes_loss: bool) -> Iterator[Treatment]:
    needed = NEEDED.get(case.loss_function, frozenset())
    for key in case.head:
        name = str(key["function"])
        if name in functions and name not in needed:
            yield Treatment(
                kind=Kind.SKIP,
                label=f"no {name} before {case.loss_function}",
                numbers={"keys": [dict(key)]},
                safety=Safety.CHANGES_TRAINING,
                changes_loss=changes_loss,
            )


def _skip_normaliser(case: Case) -> Iterator[Treatment]:
    functions = NORMALISERS.get(case.loss_function, frozenset())
    yield from _skip(case, functions, changes_loss=True)


def _skip_bounded(case: Case) -> Iterator[Treatment]:
    yield from _skip(case, RECTIFIERS | BOUNDED, changes_loss=False)


def _skip_rectifier(case: Case) -> Iterator[Treatment]:
    yield from _skip(case, RECTIFIERS, changes_loss=False)


def _log_softmax(case: Case) -> Iterator[Treatment]:
    if case.loss_function == "nll_loss":
        yield Treatment(
            kind=Kind.LOG_SOFTMAX, label="log-softmax before nll_loss", changes_loss=True
        )


def _squeeze(case: Case) -> Iterator[Treatment]:
    loss = case.survey.get("loss", {})
    shapes = loss.get("prediction_shape"), loss.get("target_shape")
    if (
        None not in shapes
        and shapes[0] != shapes[1]
        and math.prod(shapes[0]) == math.prod(shapes[1])
    ):
        yield Treatment(
            kind=Kind.SQUEEZE,
            label="prediction and target in one shape",
            numbers={"prediction": shapes[0], "target": shapes[1]},
            changes_loss=True,
        )


def _zero_gradients(case: Case) -> Iterator[Treatment]:
    yield Treatment(kind=Kind.ZERO_GRADIENTS, label="gradients zeroed before each backward pass")


def _train_mode(case: Case) -> Iterator[Treatment]:
    place = case.survey.get("model", {}).get("call")
    if place is not None:
        yield Treatment(
            kind=Kind.TRAIN_MODE, label="train() before each step", numbers={"place": place}
        )


def _batch_norm(case: Case) -> Iterator[Treatment]:
    yield Treatment(
        kind=Kind.BATCH_NORM, label="batch norm with momentum 0.5", numbers={"momentum": 0.5}
    )
    yield Treatment(
        kind=Kind.BATCH_NORM,
        label="batch norm by the batch alone",
        numbers={"momentum": None},
    )


def _insert(case: Case) -> Iterator[Treatment]:
    layers = [str(each.evidence["first"]) for each in case.faults if each.code == Code.LINEAR_STACK]
    yield Treatment(
        kind=Kind.INSERT,
        label=f"ReLU after {', '.join(layers)}",
        numbers={"layers": layers},
        safety=Safety.CHANGES_MODEL,
    )


def _scale(case: Case) -> Iterator[Treatment]:
    inputs, targets = case.input_scale(), case.target_scale()
    if Code.UNSCALED_INPUT not in case.codes:
        inputs = None
    if Code.UNSCALED_TARGET not in case.codes:
        targets = None
    sides = [("inputs", inputs), ("targets", targets)]
    wanted = {name: scale for name, scale in sides if scale is not None}
    if len(wanted) == 2:
        yield _scaling(wanted)
    for name, scale in wanted.items():
        yield _scaling({name: scale})


def _scaling(scales: Mapping[str, object]) -> Treatment:
    return Treatment(
        kind=Kind.SCALE,
        label=f"{' and '.join(scales)} standardised",
        numbers={name: _plain(scale) for name, scale in scales.items()},
        changes_loss="targets" in scales,
    )


def _plain(scale: object) -> object:
    return [_plain(each) for each in scale] if isinstance(scale, (tuple, list)) else scale


def _drop_rows(case: Case) -> Iterator[Treatment]:
    if case.survey.get("batch"):
        yield Treatment(
            kind=Kind.DROP_ROWS,
            label="rows with missing values left out",
            numbers={"dimensions": case.survey["batch"]},
        )


def _class_weights(case: Case) -> Iterator[Treatment]:
    counts = case.loss.class_counts if case.loss is not None else ()
    if case.loss_function not in WEIGHABLE:
        return
    present = [count for count in counts if count]
    if len(present) < 2 or max(present) < IMBALANCED * min(present):
        return
    most = max(counts)
    for power, name in ((1.0, "1 / share"), (0.5, "1 / root of share")):
        weights = [short((most / count) ** power) if count else 1.0 for count in counts]
        yield Treatment(
            kind=Kind.CLASS_WEIGHTS,
            label=f"classes weighted by {name}",
            numbers={"weights": weights},
            changes_loss=True,
        )


def _nonlinearity(case: Case) -> Iterator[Treatment]:
    modules = case.survey.get("modules", {}).items()
    names = [name for name, made in modules if made.get("nonlinearity") == "relu"]
    if names:
        yield Treatment(
            kind=Kind.NONLINEARITY,
            label=f"tanh in {', '.join(names)}",
            numbers={"layers": names},
            safety=Safety.CHANGES_MODEL,
        )


def _swap(case: Case, functions: frozenset[str], to: str) -> Iterator[Treatment]:
    keys = [dict(each) for each in case.hidden if each["function"] in functions]
    if keys:
        yield Treatment(
            kind=Kind.SWAP,
            label=f"{to} in place of {keys[0]['function']}",
            numbers={"keys": keys, "to": to},
            safety=Safety.CHANGES_MODEL,
        )


def _unbounded(case: Case) -> Iterator[Treatment]:
    yield from _swap(case, BOUNDED, "relu")


def _leaky(case: Case) -> Iterator[Treatment]:
    yield from _swap(case, frozenset({"relu"}), "leaky_relu")


def _initialise(case: Case) -> Iterator[Treatment]:
    yield Treatment(kind=Kind.INITIALISE, label="He initialisation")


def _rates(case: Case, factors: Iterable[float]) -> Iterator[Treatment]:
    if not any(each.get("rate") for each in case.survey.get("optimizers", ())):
        return
    for factor in factors:
        yield Treatment(
            kind=Kind.RATE, label=f"learning rate x {factor:g}", numbers={"factor": factor}
        )


def _lower_rates(case: Case) -> Iterator[Treatment]:
    yield from _rates(case, (0.1, 0.01, 0.003))


def _higher_rates(case: Case) -> Iterator[Treatment]:
    yield from _rates(case, (10.0, 3.0))


def _clip(case: Case) -> Iterator[Treatment]:
    for norm in (1.0, 0.1):
        yield Treatment(
            kind=Kind.CLIP, label=f"gradients clipped to norm {norm:g}", numbers={"norm": norm}
        )


def _warm_up(case: Case) -> Iterator[Treatment]:
    steps = max(2, round(WARM_UP_SHARE * case.survey.get("steps", 0)))
    yield Treatment(
        kind=Kind.WARM_UP, label=f"warm-up over {steps} steps", numbers={"steps": steps}
    )


def _schedule(case: Case) -> Iterator[Treatment]:
    schedules = case.survey.get("schedules", {})
    epochs, steps = case.survey.get("epochs", 0), case.survey.get("steps", 0)
    often = [each for each in schedules.values() if epochs and each["steps"] > 2 * epochs]
    if often and case.survey.get("loader") and steps > 2 * epochs:
        yield Treatment(
            kind=Kind.SCHEDULE,
            label="the schedule steps once an epoch",
            numbers={"when": "epoch", "places": [each["place"] for each in often]},
        )
    if schedules:
        places = [each["place"] for each in schedules.values()]
        yield Treatment(
            kind=Kind.SCHEDULE, label="no schedule", numbers={"when": "never", "places": places}
        )


_TOO_FAST = (_lower_rates, _clip, _warm_up)
_TOO_SLOW = (_schedule, _higher_rates)
_DYING = (_skip_rectifier, _lower_rates, _leaky, _initialise)
_STUCK = (_skip_rectifier, _schedule, _higher_rates, _lower_rates)

PROPOSERS: Mapping[Code, tuple[Proposer, ...]] = {
    Code.UNSCALED_INPUT: (_scale,),
    Code.UNSCALED_TARGET: (_scale,),
    Code.FIRST_LOSS: (_initialise, _scale),
    Code.NONFINITE_INPUT: (_drop_rows, *_TOO_FAST),
    Code.MISSING_TARGET: (_drop_rows,),
    Code.IMBALANCE: (_class_weights,),
    Code.CLASS_NEVER_PREDICTED: (_skip_rectifier, _class_weights),
    Code.SOFTMAX_TWICE: (_skip_normaliser,),
    Code.SIGMOID_TWICE: (_skip_normaliser,),
    Code.NLL_WITHOUT_LOG: (_log_softmax,),
    Code.BOUNDED_LOGITS: (_skip_bounded,),
    Code.BOUNDED_REGRESSION: (_skip_bounded, _scale),
    Code.RELU_ON_OUTPUT: (_skip_rectifier,),
    Code.BROADCAST_LOSS: (_squeeze,),
    Code.LINEAR_STACK: (_insert,),
    Code.GRADIENTS_KEPT: (_zero_gradients,),
    Code.EVAL_WHILE_TRAINING: (_train_mode,),
    Code.DEAD_UNITS: _DYING,
    Code.DYING_UNITS: _DYING,
    Code.DEAD_AT_START: (_skip_rectifier, _initialise, _leaky, _lower_rates),
    Code.DEAD_LAYER: _DYING,
    Code.SATURATED_UNITS: (_unbounded, _initialise, _lower_rates),
    Code.IDENTICAL_UNITS: (_initialise,),
    Code.VANISHING_GRADIENT: (_skip_rectifier, _unbounded, _initialise, _higher_rates),
    Code.EXPLODING_GRADIENT: (_nonlinearity, *_TOO_FAST, _initialise),
    Code.NONFINITE_GRADIENT: (_nonlinearity, *_TOO_FAST),
    Code.STARVED_LAYER: (_initialise, _higher_rates),
    Code.UPDATE_RATIO: (_lower_rates, _higher_rates),
    Code.DIVERGING: _TOO_FAST,
    Code.NOT_DECREASING: _STUCK,
    Code.OSCILLATING: _TOO_FAST,
    Code.RATE_TOO_HIGH: _TOO_FAST,
    Code.RATE_TOO_LOW: _TOO_SLOW,
    Code.PLATEAU: _STUCK,
    Code.STILL_IMPROVING: _TOO_SLOW,
    Code.TRAIN_EVAL_GAP: (_batch_norm,),
    Code.RECURRENT_GROWTH: (_nonlinearity, _clip),
    Code.DEFAULT_TANH: (_unbounded, _initialise),
}
