"""The rules on classes, targets and heads, on records made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from relume.diagnosis.loss_reading import chance_loss
from relume.diagnosis.rules import (
    bounded_logits,
    dead_latents,
    default_tanh,
    first_loss,
    imbalance,
    linear_stack,
    missing_target,
    nonfinite_input,
    sigmoid_twice,
    unscaled_input,
    unscaled_target,
)
from relume.runs.facts import (
    InputFacts,
    LossFacts,
    ModuleFacts,
    OverlapFacts,
    Phase,
    RecurrentFacts,
    Spread,
)
from relume.runs.records import Score
from tests.unit.diagnosis.hand_made import (
    FALLING,
    STUCK,
    Matrix,
    Units,
    asked,
    make_run,
    of_three_classes,
)


def only(findings):
    (finding,) = findings
    return finding


def classes(counts, predicted=(), **more: object) -> LossFacts:
    return of_three_classes(
        class_counts=counts, predicted_counts=predicted or counts, rows=sum(counts),
        target_kind="classes", head_width=len(counts), **more,
    )  # fmt: skip


def grade(*facts, losses=FALLING) -> str:
    run = make_run(facts=facts, of_classes=False, losses=losses)
    return only(asked(imbalance.RULE, run)).severity


def test_imbalance_is_graded_by_what_becomes_of_the_rare_classes():
    counts = (3000, 40, 40)
    assert grade(classes(counts)) == "note"
    assert grade(classes(counts, (3060, 2, 18))) == "warning"  # one is hardly ever predicted
    assert grade(classes(counts, (3050, 15, 15))) == "warning"  # both together too rarely
    assert grade(classes(counts, (3000, 20, 40))) == "note"
    assert grade(classes(counts, (3060, 2, 18), weighted=True)) == "note"


def test_few_different_rows_of_a_class_are_told_where_as_few_are_evaluated():
    counts = (900, 60, 60)
    few = OverlapFacts(training_rows=100, evaluation_rows=0, shared_rows=0)
    many = OverlapFacts(training_rows=1000, evaluation_rows=0, shared_rows=0)
    assert grade(classes(counts), few) == "warning"
    assert grade(classes(counts), many) == "note"  # most rows were seen but once
    evaluated = classes((90, 20, 20), phase=Phase.EVALUATION)
    assert grade(classes(counts), few, evaluated) == "note"
    untested = classes((90, 4, 4), phase=Phase.EVALUATION)
    passes = [Score(100, "evaluation", 49, 0.3), Score(200, "evaluation", 49, 0.3)]
    run = make_run(facts=[classes(counts), few, untested], scores=passes, of_classes=False)
    assert only(asked(imbalance.RULE, run)).severity == "warning"


@pytest.mark.parametrize(
    ("counts", "is_found"),
    [((400, 300, 0), True), ((400, 300, 0, 0), True), ((400, 0, 0), False), ((400, 5, 0), False)],
)
def test_outputs_without_rows_are_told(counts, is_found):
    run = make_run(facts=[classes(counts)], of_classes=False)
    absent = [each for each in asked(imbalance.RULE, run) if "absent" in each.evidence]
    assert bool(absent) is is_found


def test_targets_read_off_a_difference_are_not_missing_where_predictions_are():
    def said(bad: int, lost: int, function: str) -> list:
        fact = LossFacts(
            function=function, phase=Phase.TRAINING, step=1, rows=100, target_kind="amounts",
            target=Spread(count=100, nonfinite=bad), prediction=Spread(count=100, nonfinite=lost),
        )  # fmt: skip
        return asked(missing_target.RULE, make_run(facts=[fact], of_classes=False))

    assert not said(50, 50, "by hand")
    assert said(52, 50, "by hand")
    assert said(50, 80, "mse_loss")


def test_the_first_loss_is_held_against_even_shares():
    rare = classes((2900, 50, 50), first_loss=1.3)  # entropy .17, even shares ln 3
    assert not asked(first_loss.RULE, make_run(facts=[rare], of_classes=False))
    sure = classes((2900, 50, 50), first_loss=4.5)
    assert asked(first_loss.RULE, make_run(facts=[sure], of_classes=False, losses=STUCK))


@pytest.mark.parametrize(("losses", "expected"), [(FALLING, "note"), (STUCK, "warning")])
def test_default_tanh_among_relu_is_graded_by_what_is_left(losses, expected):
    fact = RecurrentFacts(name="rnn", kind="RNN", nonlinearity="tanh", passes=10)
    run = make_run(layers=[Units(name="relu")], facts=[fact], losses=losses)
    assert only(asked(default_tanh.RULE, run)).severity == expected


def module(at: int, kind: str) -> ModuleFacts:
    return ModuleFacts(name=f"body.{at}", kind=kind, order=at + 2)


@pytest.mark.parametrize(
    ("kinds", "is_found"),
    [
        (["Linear", "BatchNorm1d", "Dropout", "Linear"], True),
        (["Conv2d", "BatchNorm2d", "MaxPool2d", "Conv2d"], False),
        (["Linear", "BatchNorm1d", "Sine", "Linear"], False),
        (["Linear", "LayerNorm", "Linear"], False),
        (["BatchNorm1d", "Linear"], False),
    ],
)
def test_layers_with_batch_norm_alone_between_them_are_linear(kinds, is_found):
    parents = [
        ModuleFacts(name=name, kind="Sequential", order=at) for at, name in ((0, ""), (1, "body"))
    ]
    facts = parents + [module(at, kind) for at, kind in enumerate(kinds)]
    assert bool(asked(linear_stack.RULE, make_run(facts=facts))) is is_found
    if is_found:
        assert not asked(linear_stack.RULE, make_run(facts=facts, layers=[Units()]))


def rebuilt(late: float, *, kept: int = 6):
    """A variational autoencoder of eight features of variance 1, and so many known of them."""
    shapes = [("encode", (16, 8)), ("mean", (2, 16)), ("decode", (16, 2)), ("out", (8, 16))]
    weights = [
        Matrix(name=f"{name}.weight", update=0.01, fact={"shape": shape}) for name, shape in shapes
    ]
    facts = [
        InputFacts(name="x", phase=Phase.TRAINING, shape=(64, 8), features=8, batches=9, rows=600,
                   feature_deviations=(1.0,) * kept),
        LossFacts(function="mse_loss", phase=Phase.TRAINING, step=1, rows=600, head=(),
                  head_layer="out", head_width=8, target_kind="amounts",
                  target=Spread(count=4800, deviation=1.3), target_shape=(64, 8)),
    ]  # fmt: skip
    losses = late + (2 - late) * 0.9 ** np.arange(200)
    return make_run(weights=weights, facts=facts, losses=losses, of_classes=False)


@pytest.mark.parametrize(
    ("late", "kept", "is_found"),
    [(1.0, 8, True), (0.5, 8, False), (1.2, 8, False), (1.2, 4, True), (0.7, 4, False)],
)
def test_a_code_is_ignored_where_features_are_rebuilt_by_their_means(late, kept, is_found):
    assert bool(asked(dead_latents.RULE, rebuilt(late, kept=kept))) is is_found


def test_the_one_matrix_of_tied_weights_is_the_code():
    weight = Matrix(name="latent.weight", fact={"shape": (4, 8)})
    facts = [
        InputFacts(name="x", phase=Phase.TRAINING, shape=(64, 8), features=8),
        LossFacts(function="by hand", operations=("mean", "pow", "sub"), phase=Phase.TRAINING,
                  rows=600, head_width=8),
    ]  # fmt: skip
    dead = Units(name="relu(latent)", units=4, fired=0.0, owner="latent")
    run = make_run(weights=[weight], layers=[dead], facts=facts, of_classes=False)
    assert only(asked(dead_latents.RULE, run)).severity == "warning"


@pytest.mark.parametrize(
    ("size", "losses", "expected"),
    [(20.0, FALLING, "note"), (200.0, FALLING, "warning"), (20.0, STUCK, "warning")],
)
def test_large_inputs_are_graded_by_size_and_harm(size, losses, expected):
    fact = InputFacts(name="x", phase=Phase.TRAINING, rows=600, batches=9, shape=(64, 8),
                      values=Spread(count=4800, mean=0.0, deviation=size))  # fmt: skip
    found = only(asked(unscaled_input.RULE, make_run(facts=[fact], losses=losses)))
    assert found.severity == expected


@pytest.mark.parametrize(("activation", "expected"), [("relu", "note"), ("tanh", "warning")])
def test_large_inputs_make_switches_of_bounded_units(activation, expected):
    layers = [Units(activation=activation, saturates=activation == "tanh"), Units(name="later")]
    values = Spread(count=600, mean=0.0, deviation=100.0)
    fact = InputFacts(name="x", phase=Phase.TRAINING, rows=600, values=values,
                      feature_deviations=(100.0, 90.0))  # fmt: skip
    run = make_run(layers=layers, facts=[fact], losses=np.geomspace(1.1, 0.01, 200))
    assert only(asked(unscaled_input.RULE, run)).severity == expected


@pytest.mark.parametrize(
    ("kind", "rule"), [("sigmoid", sigmoid_twice.RULE), ("tanh", bounded_logits.RULE)]
)
def test_the_cross_entropy_of_log_odds_by_hand_is_known(kind, rule):
    fact = of_three_classes(
        function="by hand", operations=("mean", "sub", "softplus", kind, "mul"), head=(kind,),
        target_kind="binary", class_counts=(3000, 3000),
    )  # fmt: skip
    assert asked(rule, make_run(facts=[fact], of_classes=False))
    assert chance_loss(fact) == pytest.approx(math.log(2))
    plain = replace(fact, head=(), operations=("mean", "sub", "softplus", "mul"))
    assert not asked(rule, make_run(facts=[plain], of_classes=False))
    amounts = replace(fact, target_kind="amounts", class_counts=())
    assert not asked(rule, make_run(facts=[amounts], of_classes=False))


def test_values_that_are_no_numbers_may_have_been_there_before_they_were_seen():
    values = Spread(count=600, nonfinite=3)
    fact = InputFacts(name="x", phase=Phase.TRAINING, rows=600, batches=20, values=values,
                      first_nonfinite_step=31)  # fmt: skip
    found = only(asked(nonfinite_input.RULE, make_run(facts=[fact])))
    assert (found.first_step, found.evidence["first_seen"]) == (21, 31)


@pytest.mark.parametrize(("late", "expected"), [(0.05, "note"), (0.4, "warning")])
def test_large_targets_are_passed_over_only_once_they_are_reached(late, expected):
    target = Spread(count=600, mean=0.0, deviation=1e3)
    fact = LossFacts(
        function="mse_loss", phase=Phase.TRAINING, rows=600, target_kind="amounts", target=target
    )
    losses = 1e6 * (late + 0.9 * 0.9 ** np.arange(200))
    run = make_run(facts=[fact], losses=losses, of_classes=False)
    assert only(asked(unscaled_target.RULE, run)).severity == expected
    assert math.isfinite(only(asked(unscaled_target.RULE, run)).strength)
