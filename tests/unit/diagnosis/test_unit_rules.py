"""The rules on units, on records made by hand: sick ones, healthy ones, and changes of scale."""

import math

import numpy as np
import pytest

from relume.diagnosis.codes import Code
from relume.diagnosis.finding import Severity
from relume.diagnosis.rules import (
    always_on,
    dead_at_start,
    dead_latents,
    dead_layer,
    dead_units,
    dormant_units,
    dying_units,
    identical_units,
    negative_slopes,
    saturated_units,
)
from relume.runs.facts import InputFacts, LossFacts, ModuleFacts, Phase, Spread, WeightFacts
from relume.runs.records import Cause
from tests.unit.diagnosis.hand_made import (
    FALLING,
    STUCK,
    Matrix,
    Units,
    asked,
    make_run,
    of_three_classes,
    unjudged,
)

WINDOWS = 10
WELL = {"losses": FALLING}
POORLY = {"losses": STUCK}


def rates(silent: int, *, since: int, units: int = 20) -> np.ndarray:
    """Half of the values fire, and those of the first units not from a window on."""
    fired = np.full((WINDOWS, units), 0.5)
    fired[since:, :silent] = 0.0
    return fired


def only(findings):
    (finding,) = findings
    return finding


@pytest.mark.parametrize(
    ("silent", "course", "expected"),
    [
        (8, POORLY, Severity.WARNING),
        (8, WELL, Severity.NOTE),
        (1, POORLY, Severity.NOTE),
    ],
)
def test_dead_units_are_counted_and_graded_by_harm(silent, course, expected):
    run = make_run(layers=[Units(fired=rates(silent, since=4))], **course)
    found = only(asked(dead_units.RULE, run))
    assert found.severity is expected
    assert found.units == tuple(range(silent))
    assert found.evidence["share"] == silent / 20
    assert found.first_step == 4 * 20 + 1
    assert found.where == "act (train.py:7)"
    assert f"{silent} unit" in found.cause


def test_sudden_deaths_of_half_a_layer_are_a_warning_though_the_training_does_well():
    causes = dict.fromkeys(range(12), Cause.LARGE_UPDATE)
    run = make_run(layers=[Units(fired=rates(12, since=4), causes=causes)])
    found = only(asked(dead_units.RULE, run))
    assert found.severity is Severity.WARNING
    assert "in an update that changed their weights by 0.5 times their norm" in found.cause


def test_living_units_and_units_that_cannot_die_are_passed_over():
    for layer in (Units(), Units(activation="gelu", can_die=False, fired=0.0)):
        run = make_run(layers=[layer], **POORLY)
        for rule in (dead_units.RULE, dead_layer.RULE, dead_at_start.RULE, dying_units.RULE):
            assert not asked(rule, run)


def test_few_rows_are_not_judged():
    run = make_run(layers=[Units(fired=rates(8, since=0))], batch=4, armed=2, **POORLY)
    assert not asked(dead_units.RULE, run)
    assert "rows" in unjudged(dead_units.RULE, run)[0].reason


def test_a_dead_layer_is_an_error_and_a_warning_where_a_shortcut_saves_the_training():
    layer = Units(fired=rates(20, since=6))
    found = only(asked(dead_layer.RULE, make_run(layers=[layer], **POORLY)))
    assert found.severity is Severity.ERROR
    assert found.first_step == 6 * 20 + 1
    assert len(found.units) == 20
    assert only(asked(dead_layer.RULE, make_run(layers=[layer]))).severity is Severity.WARNING
    assert not asked(dead_units.RULE, make_run(layers=[layer]))
    assert not asked(dead_layer.RULE, make_run(layers=[Units(fired=rates(19, since=6))]))


def test_units_that_put_out_nan_are_not_dead():
    size = np.full((WINDOWS, 20), np.nan)
    run = make_run(layers=[Units(fired=0.0, size=size)], **POORLY)
    assert not asked(dead_layer.RULE, run)
    assert not asked(dead_at_start.RULE, run)


@pytest.mark.parametrize(
    ("update", "dead", "expected"),
    [
        (1e-2, 10, Severity.WARNING),
        (1e-4, 10, Severity.NOTE),  # in 200 steps nothing of the start was left behind
        (1e-4, 20, Severity.WARNING),  # nothing gets through
    ],
)
def test_what_the_start_left_silent_is_no_cause_while_nothing_has_moved(update, dead, expected):
    layers = [Units(fired=rates(dead, since=0))]
    run = make_run(layers=layers, weights=[Matrix(name="fc.weight", update=update)], **POORLY)
    assert only(asked(dead_at_start.RULE, run)).severity is expected


def biases(mean: float) -> list[WeightFacts]:
    """A weight of 20 rows of norm sqrt(25 * 0.04) = 1, and its bias."""
    weight = Spread(count=500, mean=0.0, deviation=0.2)
    bias = Spread(count=20, mean=mean, deviation=0.0)
    return [
        WeightFacts(name="fc.weight", shape=(20, 25), initial=weight),
        WeightFacts(name="fc.bias", shape=(20,), initial=bias),
    ]


@pytest.mark.parametrize(
    ("bias", "course", "expected"),
    [
        (-4.0, WELL, Severity.WARNING),
        (-0.1, WELL, Severity.NOTE),
        (-0.1, POORLY, Severity.WARNING),
    ],
)
def test_units_dead_at_the_start_are_graded_by_harm_and_by_their_biases(bias, course, expected):
    run = make_run(layers=[Units(fired=rates(10, since=0))], facts=biases(bias), **course)
    found = only(asked(dead_at_start.RULE, run))
    assert found.severity is expected
    assert found.first_step == 1
    assert ("-4 times" in found.cause) == (bias == -4.0)


def test_units_that_died_later_did_not_start_dead():
    run = make_run(layers=[Units(fired=rates(10, since=1))], **POORLY)
    assert not asked(dead_at_start.RULE, run)


def test_dying_units_need_a_falling_trend():
    falling = np.full((WINDOWS, 20), 0.5)
    falling[:, :5] = 0.5 * 0.5 ** np.arange(WINDOWS)[:, None] + 0.002
    found = only(asked(dying_units.RULE, make_run(layers=[Units(fired=falling)], **POORLY)))
    assert found.units == (0, 1, 2, 3, 4)
    assert found.severity is Severity.WARNING
    assert asked(dying_units.RULE, make_run(layers=[Units(fired=falling)]))[0].severity == "note"
    rare = np.full((WINDOWS, 20), 0.5)
    rare[:, :5] = 0.005
    assert not asked(dying_units.RULE, make_run(layers=[Units(fired=rare)], **POORLY))


def test_a_trend_over_few_windows_is_not_judged():
    run = make_run(layers=[Units()], windows=5, **POORLY)
    assert unjudged(dying_units.RULE, run)[0].code == Code.DYING_UNITS


def test_dormant_units_by_their_size_beside_the_others():
    size = np.ones(20)
    size[:8] = 0.01
    size = np.where(np.arange(WINDOWS)[:, None] < 5, 1.0, size)  # not from the start
    layer = Units(activation="gelu", can_die=False, size=size)
    found = only(asked(dormant_units.RULE, make_run(layers=[layer], **POORLY)))
    assert found.units == tuple(range(8))
    assert found.severity is Severity.WARNING
    assert only(asked(dormant_units.RULE, make_run(layers=[layer]))).severity is Severity.NOTE
    scaled = Units(activation="gelu", can_die=False, size=1e6 * size)
    assert only(asked(dormant_units.RULE, make_run(layers=[scaled]))).units == tuple(range(8))
    healthy = Units(activation="gelu", can_die=False, size=np.linspace(0.1, 1, 20))
    assert not asked(dormant_units.RULE, make_run(layers=[healthy], **POORLY))


def test_units_that_began_as_constants_are_dormant_though_they_woke():
    size = np.ones((WINDOWS, 20))
    size[0, :10] = 0.05
    fired = np.zeros(20)  # so that what varies is the root mean square itself
    fired[:10] = 0.5
    layer = Units(activation="gelu", can_die=False, size=size, fired=fired)
    found = only(asked(dormant_units.RULE, make_run(layers=[layer])))
    assert found.severity is Severity.WARNING
    assert found.units == tuple(range(10))
    assert found.first_step == 1
    at_rest = Units(activation="gelu", can_die=False, size=size, fired=0.0)
    assert not asked(dormant_units.RULE, make_run(layers=[at_rest]))
    fed_by_one = WeightFacts(name="fc.weight", shape=(20, 1), fan_in=1)
    assert not asked(dormant_units.RULE, make_run(layers=[layer], facts=[fed_by_one]))
    size[0, 3:10] = 0.5
    assert not asked(dormant_units.RULE, make_run(layers=[layer]))


def tanh(share: float, *, fired: float = 0.02, **more: object) -> Units:
    rate = np.full(20, 0.8)
    rate[: int(20 * share)] = fired
    return Units(activation="tanh", can_die=False, saturates=True, fired=rate, **more)


@pytest.mark.parametrize(
    ("share", "course", "expected"),
    [(0.4, POORLY, "warning"), (0.4, WELL, "note"), (0.6, WELL, "warning"), (0.2, POORLY, "note")],
)
def test_saturated_units_are_graded_by_share_and_harm(share, course, expected):
    found = only(asked(saturated_units.RULE, make_run(layers=[tanh(share)], **course)))
    assert found.severity == expected
    assert len(found.units) == 20 * share


def flat(first: float, last: float) -> Units:
    fired = np.linspace(first, last, WINDOWS)[:, None]
    return Units(activation="tanh", can_die=False, saturates=True, fired=fired)


def test_layers_that_were_half_saturated_from_first_to_last_are_a_warning():
    found = only(asked(saturated_units.RULE, make_run(layers=[flat(0.3, 0.3)])))
    assert found.severity is Severity.WARNING
    assert (found.first_step, len(found.units)) == (1, 20)
    for layer in (flat(0.9, 0.3), flat(0.3, 0.9), flat(0.7, 0.7)):
        assert not asked(saturated_units.RULE, make_run(layers=[layer]))


def test_units_that_switch_gates_and_confident_heads_are_not_saturated():
    head = of_three_classes(function="binary_cross_entropy", head=("tanh",), head_layer="fc")
    gate = ModuleFacts(name="fc", kind="LSTM")
    for run in (
        make_run(layers=[tanh(0.6, fired=0.3)]),
        make_run(layers=[tanh(0.6)], facts=[gate]),
        make_run(layers=[tanh(0.6)], facts=[head], of_classes=False),
    ):
        assert not asked(saturated_units.RULE, run)


def identical(first: int, last: int, **changed: object) -> Matrix:
    fact = {"shape": (16, 8), "identical_units": (first, last),
            "initial": Spread(count=128, mean=0.1, deviation=0.0)}  # fmt: skip
    return Matrix(name="fc.weight", fact=fact | changed)


def test_identical_units_must_be_so_at_first_and_at_last():
    found = only(asked(identical_units.RULE, make_run(weights=[identical(16, 16)], **POORLY)))
    assert found.severity is Severity.ERROR
    assert found.cause == "all weights are equal at first"
    assert found.evidence["share"] == 1.0
    assert only(asked(identical_units.RULE, make_run(weights=[identical(16, 16)]))).severity == (
        "warning"
    )
    assert only(asked(identical_units.RULE, make_run(weights=[identical(2, 2)]))).severity == "note"


def test_units_that_began_as_one_are_told_though_dropout_parted_them():
    found = only(asked(identical_units.RULE, make_run(weights=[identical(16, 0)])))
    assert found.severity is Severity.WARNING
    assert found.cause == "all weights are equal at first"
    head = of_three_classes(head_layer="fc")
    run = make_run(weights=[identical(16, 0)], facts=[head], of_classes=False)
    assert not asked(identical_units.RULE, run)


@pytest.mark.parametrize(
    "matrix",
    [
        identical(16, 0, initial=Spread(count=128, mean=0.0, deviation=0.0)),
        identical(16, 0, initial=Spread(count=128, mean=0.1, deviation=0.01)),
        identical(0, 16),
        identical(16, 16, is_trainable=False),
        identical(16, 16, is_optimised=False),
        identical(16, 16, kind="Embedding"),
        identical(16, 16, shape=(16,)),
    ],
)
def test_weights_that_became_unequal_or_are_not_trained_are_passed_over(matrix):
    assert not asked(identical_units.RULE, make_run(weights=[matrix], **POORLY))


def test_layers_that_are_linear_are_named_and_warned_of_where_all_are():
    on, bent = Units(name="a", fired=1.0), Units(name="b", fired=0.5)
    run = make_run(layers=[on, bent], **POORLY)
    assert [(each.where, each.severity) for each in asked(always_on.RULE, run)] == [
        ("a (train.py:7)", "note")
    ]
    assert only(asked(always_on.RULE, make_run(layers=[on], **POORLY))).severity == "warning"
    assert only(asked(always_on.RULE, make_run(layers=[on]))).severity == "note"
    far = make_run(layers=[on, bent], facts=biases(5.0))
    assert only(asked(always_on.RULE, far)).severity == "warning"
    assert not asked(always_on.RULE, make_run(layers=[bent], **POORLY))
    head = of_three_classes(head=("relu",), head_layer="fc")
    assert not asked(always_on.RULE, make_run(layers=[on], facts=[head], of_classes=False))


def autoencoder(silent: int, *, target: tuple[int, ...] = (64, 30), losses=FALLING):
    widths = {"encode.weight": (20, 30), "code.weight": (8, 20), "decode.weight": (30, 8)}
    facts = [
        InputFacts(name="x", phase=Phase.TRAINING, shape=(64, 30), rows=640, batches=10),
        LossFacts(function="mse_loss", phase=Phase.TRAINING, rows=640, target_shape=target,
                  target_kind="amounts", target=Spread(count=100, deviation=1.0)),
        *(WeightFacts(name=name, shape=shape) for name, shape in widths.items()),
    ]  # fmt: skip
    layers = [
        Units(name="relu(encode)", owner="encode", fired=rates(4, since=3)),
        Units(name="relu(code)", owner="code", units=8, fired=rates(silent, since=3, units=8)),
    ]
    return make_run(layers=layers, facts=facts, of_classes=False, losses=losses)


@pytest.mark.parametrize(
    ("silent", "losses", "expected"),
    [(8, FALLING, "warning"), (4, STUCK, "warning"), (4, FALLING, "note"), (1, STUCK, "note")],
)
def test_dead_latents_are_those_of_the_narrowest_layer(silent, losses, expected):
    found = only(asked(dead_latents.RULE, autoencoder(silent, losses=losses)))
    assert found.where == "relu(code) (train.py:7)"
    assert found.units == tuple(range(silent))
    assert found.severity == expected


def test_living_latents_and_networks_that_rebuild_nothing_are_passed_over():
    assert not asked(dead_latents.RULE, autoencoder(0))
    assert not asked(dead_latents.RULE, autoencoder(4, target=(64, 1)))
    assert not unjudged(dead_latents.RULE, autoencoder(4, target=(64, 1)))


def linear_code(*, reader: float, maker: float, first: float = 1.0):
    """A variational autoencoder: norms and gradients change by these factors over the run."""
    change = np.arange(WINDOWS) / (WINDOWS - 1)
    shapes = {"encode": (20, 30), "mean": (8, 20), "scale": (8, 20), "decode": (20, 8),
              "out": (30, 20)}  # fmt: skip
    norms, gradients = {"decode": reader, "encode": first}, {"mean": maker, "scale": maker}
    weights = [
        Matrix(name=f"{name}.weight", norm=norms.get(name, 1.0) ** change,
               gradient=gradients.get(name, 1.0) ** change, fact={"shape": shape})
        for name, shape in shapes.items()
    ]  # fmt: skip
    loss = LossFacts(function="by hand", phase=Phase.TRAINING, rows=640, head_layer="out")
    return make_run(weights=weights, facts=[loss], of_classes=False)


def test_a_linear_code_is_ignored_where_its_reader_shrinks_and_its_makers_get_no_gradient():
    found = only(asked(dead_latents.RULE, linear_code(reader=0.6, maker=0.05)))
    assert found.severity is Severity.WARNING
    assert found.where == "mean.weight"
    assert math.isclose(found.evidence["reader_norm"], 0.6)
    assert math.isclose(found.evidence["maker_gradient"], 0.05)
    for run in (
        linear_code(reader=0.9, maker=0.05),
        linear_code(reader=0.6, maker=0.7),
        linear_code(reader=0.6, maker=0.05, first=0.6),  # decay shrinks them all
    ):
        assert not asked(dead_latents.RULE, run)
        assert unjudged(dead_latents.RULE, run)


def hourglass(out: int):
    """No target and no input is known: the widths alone tell."""
    shapes = {"encode": (20, 30), "code": (8, 20), "decode": (20, 8), "out": (out, 20)}
    facts = [
        LossFacts(function="by hand", phase=Phase.TRAINING, rows=640, head_layer="out"),
        *(WeightFacts(name=f"{name}.weight", shape=shape) for name, shape in shapes.items()),
        *(ModuleFacts(name=name, kind="Linear", order=at) for at, name in enumerate(shapes)),
    ]
    code = Units(name="relu(code)", owner="code", units=8, fired=rates(8, since=0, units=8))
    return make_run(layers=[code], facts=facts, of_classes=False)


def test_an_autoencoder_is_told_by_its_widths_too():
    assert only(asked(dead_latents.RULE, hourglass(30))).severity is Severity.WARNING
    assert not asked(dead_latents.RULE, hourglass(10))


@pytest.mark.parametrize(
    ("slope", "course", "expected"),
    [
        ((-0.5, -0.5, -0.5), WELL, "warning"),
        ((0.1, -0.2, 0.3), POORLY, "note"),
        ((0.25, 0.25, 0.25), POORLY, None),
        ((0.0, -0.005, 0.1), POORLY, None),
    ],
)
def test_slopes_below_zero(slope, course, expected):
    layer = Units(activation="prelu", can_die=False, slope=slope)
    found = asked(negative_slopes.RULE, make_run(layers=[layer], **course))
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found:
        assert found[0].evidence["least_slope"] == slope[1]
        assert math.isclose(found[0].evidence["mean_slope"], slope[0])


@pytest.mark.parametrize(("batch", "armed", "repeats"), [(64, 10, 1), (8, 40, 1), (64, 10, 4)])
def test_verdicts_hold_under_another_batch_size_and_run_length(batch, armed, repeats):
    fired = np.repeat(rates(8, since=4), repeats, axis=0)
    course = np.repeat(STUCK, repeats)
    run = make_run(
        layers=[Units(fired=fired)],
        losses=course,
        windows=WINDOWS * repeats,
        batch=batch,
        armed=armed,
    )
    found = only(asked(dead_units.RULE, run))
    assert (found.severity, found.units) == (Severity.WARNING, tuple(range(8)))
