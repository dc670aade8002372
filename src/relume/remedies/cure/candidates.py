"""Which treatments are worth a run, by what was found: the likeliest first."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import zip_longest

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Safety
from relume.remedies.cure.case import Case
from relume.remedies.cure.proposals import of_data, of_heads, of_models, of_optimizers
from relume.remedies.cure.treatment import Kind, Treatment

Proposer = Callable[[Case], Iterable[Treatment]]
ROUNDS = 2
"""Treatments of each answer to a finding that come before what may always help."""

_TOO_FAST = (
    of_optimizers.momentum, of_optimizers.one_rate, of_optimizers.lower_rates,
    of_optimizers.hold_rate, of_optimizers.clip, of_optimizers.warm_up,
)  # fmt: skip
_TOO_SLOW = (
    of_optimizers.one_rate, of_optimizers.higher_rates, of_optimizers.schedule,
    of_optimizers.hold_rate,
)  # fmt: skip
_DYING = (
    of_heads.skip_rectifier, of_optimizers.lower_decay, of_optimizers.hold_rate,
    of_optimizers.lower_rates, of_models.draw_anew, of_models.leaky,
)  # fmt: skip
_DEAD = (
    of_heads.skip_rectifier, of_models.reset, of_optimizers.lower_decay,
    of_optimizers.lower_rates, of_models.leaky,
)  # fmt: skip
_DEAD_AT_START = (
    of_heads.skip_rectifier, of_models.reset, of_models.leaky, of_optimizers.lower_rates,
)  # fmt: skip
_STUCK = (
    of_heads.skip_rectifier, of_optimizers.lower_decay, *_TOO_SLOW, of_optimizers.lower_rates,
)  # fmt: skip

PROPOSERS: Mapping[Code, tuple[Proposer, ...]] = {
    Code.UNSCALED_INPUT: (of_data.scale,),
    Code.UNSCALED_TARGET: (of_data.scale,),
    Code.FIRST_LOSS: (of_models.reset, of_data.scale),
    Code.NONFINITE_INPUT: (of_data.drop_rows, of_optimizers.finite_gradients),
    Code.MISSING_TARGET: (of_data.drop_rows, of_optimizers.finite_gradients),
    Code.IMBALANCE: (of_heads.class_weights,),
    Code.CLASS_NEVER_PREDICTED: (of_heads.skip_rectifier, of_heads.class_weights),
    Code.ONE_OUTPUT: (of_heads.one_output,),
    Code.SOFTMAX_TWICE: (of_heads.skip_normaliser,),
    Code.SIGMOID_TWICE: (of_heads.skip_normaliser,),
    Code.LOGITS_AS_PROBABILITIES: (of_heads.one_output, of_heads.probabilities),
    Code.NLL_WITHOUT_LOG: (of_heads.log_softmax,),
    Code.BOUNDED_LOGITS: (of_heads.skip_bounded,),
    Code.BOUNDED_REGRESSION: (of_heads.skip_bounded, of_data.scale),
    Code.RELU_ON_OUTPUT: (of_heads.skip_rectifier,),
    Code.BROADCAST_LOSS: (of_heads.squeeze, of_heads.difference),
    Code.LINEAR_STACK: (of_models.insert,),
    Code.NOT_OPTIMISED: (of_optimizers.add_parameters,),
    Code.NO_GRADIENT: (of_heads.skip_rectifier, of_models.reset),
    Code.GRADIENTS_KEPT: (of_optimizers.zero_gradients,),
    Code.EVAL_WHILE_TRAINING: (of_models.train_mode,),
    Code.DECAYED_SLOPES: (of_optimizers.spared_slopes,),
    Code.SELU_SETUP: (of_models.dropout, of_models.lecun),
    Code.DEAD_UNITS: _DYING,
    Code.DYING_UNITS: _DYING,
    Code.DEAD_AT_START: _DEAD_AT_START,
    Code.DEAD_LAYER: _DEAD,
    Code.DORMANT_UNITS: (
        of_optimizers.lower_decay, of_models.reset, of_optimizers.higher_rates,
    ),
    Code.SATURATED_UNITS: (of_models.draw_anew, of_models.unbounded, of_optimizers.lower_rates),
    Code.IDENTICAL_UNITS: (of_models.reset,),
    Code.ALWAYS_ON: (of_models.reset,),
    Code.DEAD_LATENTS: (of_models.reset, of_optimizers.higher_rates),
    Code.NEGATIVE_SLOPES: (of_models.slopes, of_models.reset),
    Code.VANISHING_GRADIENT: (
        of_heads.skip_rectifier, of_optimizers.lower_decay, of_models.unbounded,
        of_models.draw_anew, of_optimizers.higher_rates,
    ),
    Code.EXPLODING_GRADIENT: (
        of_optimizers.momentum, of_models.draw_anew, of_models.recurrent_tanh, *_TOO_FAST,
    ),
    Code.NONFINITE_GRADIENT: (
        of_data.drop_seen_rows, of_heads.root, of_models.recurrent_tanh, of_models.reset,
        of_optimizers.finite_gradients, *_TOO_FAST,
    ),
    Code.STARVED_LAYER: (
        of_optimizers.one_rate, of_models.draw_anew, of_optimizers.higher_rates,
    ),
    Code.UPDATE_RATIO: (
        of_optimizers.one_rate, of_optimizers.lower_rates, of_optimizers.higher_rates,
    ),
    Code.DIVERGING: _TOO_FAST,
    Code.NOT_DECREASING: _STUCK,
    Code.OSCILLATING: _TOO_FAST,
    Code.RATE_TOO_HIGH: _TOO_FAST,
    Code.RATE_TOO_LOW: _TOO_SLOW,
    Code.PLATEAU: _STUCK,
    Code.STILL_IMPROVING: _TOO_SLOW,
    Code.OVER_FITTING: (of_models.usual_batch_norm,),
    Code.TRAIN_EVAL_GAP: (of_models.batch_norm,),
    Code.TINY_BATCHES: (of_models.batch_norm,),
    Code.CHANNEL_DRIFT: (of_models.batch_norm,),
    Code.RECURRENT_GROWTH: (of_models.reset, of_models.recurrent_tanh, of_optimizers.clip),
    Code.DEFAULT_TANH: (of_models.recurrent_relu, of_models.unbounded, of_models.draw_anew),
}  # fmt: skip
"""By finding: what may answer it, the likeliest first."""

ALWAYS: tuple[Proposer, ...] = (
    of_heads.skip_bounded, of_optimizers.lower_decay, of_models.draw_anew, of_optimizers.clip,
    of_optimizers.lower_rates, of_optimizers.higher_rates,
)  # fmt: skip
"""What may help whatever was found."""


UNUSUAL: tuple[Proposer, ...] = (
    of_heads.skip_before_logits, of_optimizers.momentum, of_optimizers.lower_decay,
    of_models.deep_sigmoid,
)  # fmt: skip
"""What the code shows and hardly anybody wants; it is answered where nothing was found, too."""


def is_unusual(case: Case, *, allows_model: bool) -> bool:
    """Whether the code shows what is worth a try though nothing was found.

    Args:
        case: What was found.
        allows_model: Whether the model may become another one.
    """
    return bool(case.left_out) or any(
        allows_model or each.safety is not Safety.CHANGES_MODEL
        for proposer in UNUSUAL
        for each in proposer(case)
    )


def candidates(case: Case, *, allows_model: bool) -> tuple[Treatment, ...]:
    """Return the treatments to try, each once, the likeliest first.

    What the code shows comes first. Then the answers to the findings in their order take turns:
    the first treatment of each, the second of each; then those of what may always help, one each;
    then the rest. A fresh start with another seed is always the last.

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
    yield from of_optimizers.add_parameters(case)
    answers = list(_turns(list(_answers(case)) or [list(each(case)) for each in UNUSUAL]))
    always = list(_turns([list(proposer(case)) for proposer in ALWAYS]))
    for turns in (answers[:ROUNDS], always[:1], answers[ROUNDS:], always[1:]):
        for turn in turns:
            yield from turn
    yield Treatment(kind=Kind.SEED, label="another seed", safety=Safety.SAFE)


def _answers(case: Case) -> Iterator[list[Treatment]]:
    """Yield what each proposer, asked once, has to say to the first finding that it answers."""
    asked: set[Proposer] = set()
    for finding in case.faults:
        for proposer in PROPOSERS.get(Code(finding.code), ()):
            if proposer not in asked:
                asked.add(proposer)
                yield [_answering(each, finding.code) for each in proposer(case)]


def _turns(proposals: Sequence[Sequence[Treatment]]) -> Iterator[list[Treatment]]:
    """Yield the first of each, the second of each, and so on."""
    for turn in zip_longest(*proposals):
        yield [each for each in turn if each is not None]


def _answering(treatment: Treatment, code: str) -> Treatment:
    said = treatment.to_json() | {"answers": [code]}
    return Treatment.from_json(said)
