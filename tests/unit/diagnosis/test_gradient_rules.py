"""The rules on gradients and updates, on records made by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest

from relume.diagnosis.rules import (
    exploding_gradient,
    nonfinite_gradient,
    starved_layer,
    update_ratio,
    vanishing_gradient,
)
from relume.runs.facts import OptimizerFacts, Spread
from tests.unit.diagnosis.hand_made import (
    FALLING,
    STUCK,
    Matrix,
    asked,
    make_run,
    of_three_classes,
    unjudged,
)

DEPTH = 8
LEARNED = FALLING - 0.15
TWO_OPTIMIZERS = [OptimizerFacts(number=0, kind="Adam"), OptimizerFacts(number=1, kind="Adam")]


def chain(factor: float, *, moves: float = 1.0, scale: float = 1.0) -> list[Matrix]:
    """Matrices of which each gets ``factor`` of the gradient of the next, and ``moves`` of it."""
    return [
        Matrix(
            name=f"{place}.weight",
            gradient=scale * 0.2 * factor ** (DEPTH - 1 - place),
            norm=scale,
            update=1e-3 * moves ** (DEPTH - 1 - place),
        )
        for place in range(DEPTH)
    ]


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("factor", "moves", "losses", "expected"),
    [
        (0.2, 1.0, STUCK, "error"),  # 0.2^7 = 1.28e-5, from the start
        (0.2, 1.0, FALLING, "warning"),
        (0.2, 1.0, LEARNED, "note"),
        (0.2, 0.2, LEARNED, "warning"),  # and the first layers do not move
        (0.35, 1.0, STUCK, "warning"),  # 6.4e-4
        (0.35, 1.0, FALLING, None),
        (0.5, 1.0, STUCK, None),  # 7.8e-3
        (1.0, 1.0, STUCK, None),
    ],
)
def test_vanishing_gradients(factor, moves, losses, expected):
    run = make_run(weights=chain(factor, moves=moves), losses=losses)
    found = asked(vanishing_gradient.RULE, run)
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        assert math.isclose(found[0].evidence["ratio"], factor**7, rel_tol=1e-9)
        assert math.isclose(found[0].evidence["update_ratio"], moves**7, rel_tol=1e-9)
        assert found[0].where == "0.weight"


@pytest.mark.parametrize("scale", [1e-4, 1e5])
@pytest.mark.parametrize("repeats", [1, 5])
def test_vanishing_holds_under_other_units_and_lengths(scale, repeats):
    run = make_run(weights=chain(0.2, scale=scale), losses=np.repeat(STUCK, repeats))
    assert math.isclose(only(asked(vanishing_gradient.RULE, run)).evidence["ratio"], 0.2**7)


@pytest.mark.parametrize(
    ("early", "late", "losses", "expected"),
    [
        (0.2, 1.0, FALLING, "warning"),  # they began faded, and recovered
        (0.2, 1.0, LEARNED, None),
        (0.5, 1.0, STUCK, None),
        (1.0, 0.2, STUCK, "warning"),  # they faded later
    ],
)
def test_gradients_that_fade_at_first_or_later(early, late, losses, expected):
    weights = [
        Matrix(
            name=f"{place}.weight",
            gradient=np.where(np.arange(10) < 1, early, late) ** (DEPTH - 1 - place),
        )
        for place in range(DEPTH)
    ]
    found = asked(vanishing_gradient.RULE, make_run(weights=weights, losses=losses))
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        assert math.isclose(found[0].evidence["ratio_at_first"], early**7) or early == 1.0
        assert found[0].first_step == (1 if early < 1.0 else 21)


def test_gradients_that_do_not_fade_in_depth_are_not_vanishing():
    weights = chain(1.0)
    weights[0] = Matrix(name="0.weight", gradient=1e-6)
    assert not asked(vanishing_gradient.RULE, make_run(weights=weights, losses=STUCK))


def test_frozen_and_shallow_networks_have_nothing_to_vanish():
    weights = chain(0.2)
    still = {"is_trainable": False}
    frozen = [Matrix(name=w.name, gradient=0.0, fact=still) for w in weights[:6]] + weights[6:]
    for given in (frozen, weights[-3:]):
        assert not asked(vanishing_gradient.RULE, make_run(weights=given, losses=STUCK))


def test_vanishing_is_not_judged_without_weights_with_adversaries_or_few_steps():
    runs = [
        make_run(losses=STUCK),
        make_run(weights=chain(0.2), losses=STUCK, facts=TWO_OPTIMIZERS),
        make_run(weights=chain(0.2), losses=STUCK, armed=1),
    ]
    for run in runs:
        assert unjudged(vanishing_gradient.RULE, run)
        assert not asked(vanishing_gradient.RULE, run)


BLOWN = np.concatenate([FALLING[:150], FALLING[149] + 40.0 * np.arange(1, 51)])
RECOVERED = np.concatenate([FALLING[:100], [300.0], FALLING[101:]])


@pytest.mark.parametrize(
    ("losses", "peak", "expected"),
    [
        (BLOWN, 500.0, "warning"),
        (RECOVERED, 500.0, "note"),
        (FALLING, 500.0, None),
        (BLOWN, 5.0, None),
    ],
)
def test_exploding_gradients_take_the_loss_with_them(losses, peak, expected):
    weights = [Matrix(name="0.weight", gradient=1.0, greatest_gradient=peak)]
    found = asked(exploding_gradient.RULE, make_run(weights=weights, losses=losses))
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        usual = (99 * 1.0) / 99  # one of a hundred armed steps was the peak
        assert math.isclose(found[0].evidence["times_usual"], peak / usual)
        assert found[0].first_step == 1 + int(np.argmax(np.array(losses) > 10.986))


def test_updates_as_large_as_the_weight_explode():
    weights = [Matrix(name="0.weight", greatest_update=30.0)]
    found = only(asked(exploding_gradient.RULE, make_run(weights=weights, losses=BLOWN)))
    assert found.evidence["greatest_update_ratio"] == 30.0
    assert found.strength == 30.0


def test_the_first_tensor_that_is_not_finite_is_named():
    losses = np.where(np.arange(200) < 120, FALLING, math.nan)
    broken = Spread(count=10, nonfinite=54)
    weights = [
        Matrix(name="0.weight", fact={"first_nonfinite_step": 123, "final": broken}),
        Matrix(name="1.weight", fact={"first_nonfinite_step": 121, "final": broken}),
    ]
    found = only(asked(nonfinite_gradient.RULE, make_run(weights=weights, losses=losses)))
    assert found.severity == "error"
    assert found.where == "1.weight"
    assert found.first_step == 121
    assert found.evidence["nonfinite_losses"] == 80
    assert "2 weights ended with nan" in found.message
    assert "80 losses were not finite" in found.message


def test_a_step_that_a_scaler_skipped_is_a_note():
    weights = [Matrix(name="0.weight", fact={"first_nonfinite_step": 1})]
    found = only(asked(nonfinite_gradient.RULE, make_run(weights=weights)))
    assert found.severity == "note"
    assert "scaler" in found.cause
    assert not asked(nonfinite_gradient.RULE, make_run(weights=chain(1.0)))


def starved(gradient: float, update: float, **fact: object) -> list[Matrix]:
    weights = chain(1.0)
    weights[5] = Matrix(name="5.weight", gradient=gradient, update=update, fact=fact)
    return weights


@pytest.mark.parametrize(
    ("gradient", "update", "losses", "expected"),
    [
        (1e-6, 1e-9, FALLING, "warning"),
        (1e-6, 1e-3, FALLING, "note"),
        (1e-6, 1e-3, STUCK, "warning"),
        (1e-4, 1e-9, STUCK, None),
    ],
)
def test_starved_layers(gradient, update, losses, expected):
    run = make_run(weights=starved(gradient, update), losses=losses)
    found = asked(starved_layer.RULE, run)
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        assert found[0].where == "5.weight"
        assert math.isclose(found[0].evidence["ratio"], gradient / 0.2)


@pytest.mark.parametrize(
    ("gradient", "losses", "is_found"),
    [
        (1e-3, FALLING, True),
        (1e-3, LEARNED, False),
        (0.1, STUCK, False),
        (1e-3, 1e4 * STUCK, False),  # targets far off make the loss large
    ],
)
def test_all_layers_are_starved_beside_the_loss(gradient, losses, is_found):
    weights = [Matrix(name=f"{at}.weight", gradient=gradient, norm=2.0) for at in range(3)]
    found = asked(starved_layer.RULE, make_run(weights=weights, losses=losses))
    assert bool(found) == is_found
    if found:
        assert only(found).severity == "warning"
        assert only(found).first_step == 1
        assert math.isclose(found[0].evidence["elasticity"], 2 * gradient / losses[0])


def test_an_output_layer_that_starts_at_zero_starves_nothing():
    weights = [Matrix(name="0.weight", gradient=5e-3), Matrix(name="1.weight", norm=1e-2)]
    assert not asked(starved_layer.RULE, make_run(weights=weights))


def test_all_layers_are_not_judged_where_the_first_step_was_not_seen_or_losses_are_many():
    weights = [Matrix(name=f"{at}.weight", gradient=1e-3) for at in range(3)]
    run = make_run(weights=weights)
    assert asked(starved_layer.RULE, run)
    assert not asked(starved_layer.RULE, replace(run, windows=run.windows[1:]))
    other = of_three_classes(place="train.py:10")
    assert not asked(starved_layer.RULE, make_run(weights=weights, facts=[other]))


@pytest.mark.parametrize(
    "fact",
    [
        {"is_trainable": False},
        {"is_optimised": False},
        {"kind": "Embedding"},
        {"nonzero_gradient_steps": 0},
        {"shape": (8,)},
    ],
)
def test_what_is_frozen_sparse_or_cut_off_does_not_starve(fact):
    assert not asked(starved_layer.RULE, make_run(weights=starved(1e-9, 0.0, **fact)))


def test_weights_without_a_gradient_are_not_said_to_move_hardly_at_all():
    weights = [Matrix(name=f"{at}.weight", gradient=1e-9 * at, update=0.0) for at in range(2)]
    found = only(asked(update_ratio.RULE, make_run(weights=weights, losses=STUCK)))
    assert found.evidence["weights"] == ("1.weight",)


@pytest.mark.parametrize(
    ("updates", "losses", "expected"),
    [
        ([0.3, 0.3, 0.3], STUCK, ["warning"]),
        ([0.3, 0.3, 0.3], FALLING, ["note"]),
        ([0.1, 0.1, 0.1], STUCK, []),
        ([1e-8, 1e-8, 1e-8], STUCK, ["warning"]),
        ([1e-8, 1e-8, 1e-8], FALLING, ["note"]),
        ([1e-5, 1e-5, 1e-5], STUCK, []),
        ([1e-7, 1e-3, 1e-3], FALLING, ["warning"]),
        ([1e-5, 1e-3, 1e-3], FALLING, []),
    ],
)
def test_update_ratios_out_of_range(updates, losses, expected):
    weights = [Matrix(name=f"{n}.weight", update=update) for n, update in enumerate(updates)]
    found = asked(update_ratio.RULE, make_run(weights=weights, losses=losses))
    assert [each.severity for each in found] == expected
    if found:
        extreme = max(updates) if updates[0] > 0.1 else min(updates)
        assert math.isclose(found[0].evidence["update_ratio"], extreme)


def test_the_first_large_updates_of_a_training_are_left_out():
    updates = [3.0, *[1e-3] * 9]
    weights = [Matrix(name="0.weight", update=updates), Matrix(name="1.weight")]
    assert not asked(update_ratio.RULE, make_run(weights=weights, losses=STUCK))


def test_updates_that_were_not_recorded_are_not_judged():
    assert unjudged(update_ratio.RULE, make_run())
    few = make_run(weights=chain(1.0), armed=1)
    assert "armed steps" in unjudged(update_ratio.RULE, few)[0].reason
