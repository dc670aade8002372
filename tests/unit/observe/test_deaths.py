import math

import numpy as np
import pytest
import torch

from relume.observe.deaths import Certificates, Evidence, Move
from relume.observe.tally import Tally
from relume.runs.records import NEVER, Cause, Layer

LAST, FELL = 20, 30  # the armed steps between which units fall silent


def history(*, losses=None, rates=None, inputs=None, gradients=None):
    """Return the evidence of 30 steps, of which every tenth is armed, all as usual but some."""
    losses, rates, inputs = losses or {}, rates or {}, inputs or {}
    evidence = Evidence()
    torch.manual_seed(0)
    for step in range(1, FELL + 1):
        if step % 5 == 0:
            evidence.note_input(step, torch.randn(64, 8) + inputs.get(step, 0.0))
            evidence.note_gradient(step, (gradients or {}).get(step, 1.0))
        if step < FELL:
            loss = losses.get(step, 1.0 + 0.1 * (step % 3))
            evidence.note_steps([(step, loss, rates.get(step, 0.1), False)])
    return evidence


def tally_of(units=4, sources=()):
    tally = Tally(Layer("act", "relu", units, can_die=True), 1, (), "cpu")
    tally.sources = sources
    return tally


def fall(tally, *, never=()):
    """Let all units fire at step 20 and none at step 30; some fire at neither."""
    fired = np.full(tally.layer.units, 64.0)
    fired[list(never)] = 0
    tally.lifetimes.note(LAST, fired, 64)
    return tally.lifetimes.note(FELL, np.zeros(tally.layer.units), 64)


def cause(evidence, rows=2.0, *, sources=(), **known):
    tally = tally_of(1, sources)
    certificates = Certificates(evidence)
    fell = fall(tally)
    lazy = {name: lambda it=it: it for name, it in known.items() if name != "usual"}
    move = Move(np.array([rows]), known.get("usual", math.nan), **lazy)
    certificates.note(tally, fell, move, FELL)
    deaths = certificates.value(tally)
    assert (deaths.last_fired[0], deaths.first_silent[0]) == (LAST, FELL)
    np.testing.assert_equal(deaths.row_change, [rows])
    return Cause(int(deaths.cause[0]))


def test_a_row_that_moved_far_while_all_else_was_usual_died_of_its_update():
    assert cause(history()) is Cause.LARGE_UPDATE
    assert cause(history(), usual=0.001) is Cause.LARGE_UPDATE


def test_nothing_is_said_without_evidence():
    assert cause(history(), rows=0.01) is Cause.UNKNOWN
    assert cause(history(), rows=math.nan) is Cause.UNKNOWN


def test_a_row_that_moved_by_more_than_its_norm_a_step_died_of_it_though_all_updates_are_so():
    assert cause(history(), rows=16.0, usual=6.0) is Cause.LARGE_UPDATE  # within 10 steps
    assert cause(history(), rows=9.0, usual=6.0) is Cause.UNKNOWN


def test_a_row_that_moved_no_farther_than_usual_updates_do_is_unknown():
    assert cause(history(), rows=0.5, usual=0.02) is Cause.UNKNOWN  # 10 steps of 2 %, three times


@pytest.mark.parametrize("step", [20, 24, 29])
@pytest.mark.parametrize("from_then_on", [False, True])
def test_a_step_in_the_rate_is_named(step, from_then_on):
    rates = dict.fromkeys(range(step, FELL if from_then_on else step + 1), 10.0)
    assert cause(history(rates=rates)) is Cause.RATE_STEP
    assert cause(history(rates=rates), rows=0.01) is Cause.UNKNOWN
    assert cause(history(rates=rates), rows=0.01, before=2.0) is Cause.RATE_STEP


def test_a_rate_that_warms_up_makes_no_step():
    rates = {n: 0.001 * n for n in range(1, FELL)}
    assert cause(history(rates=rates)) is Cause.LARGE_UPDATE


def test_an_earlier_rate_step_is_not_blamed():
    assert cause(history(rates={10: 100.0})) is Cause.LARGE_UPDATE


def test_a_bad_batch_is_a_spike():
    assert cause(history(losses={24: 80.0}), is_general=True) is Cause.GRADIENT_SPIKE
    assert cause(history(losses={20: 80.0} | dict.fromkeys(range(21, 30), 60.0))) is (
        Cause.GRADIENT_SPIKE
    )
    assert cause(history(losses={20: math.inf})) is Cause.GRADIENT_SPIKE
    assert cause(history(gradients={20: 50.0})) is Cause.GRADIENT_SPIKE


def test_a_loss_that_grows_later_is_no_spike_unless_all_weights_moved():
    """It is what follows from a unit's death."""
    losses = {n: 40.0 - n for n in range(23, FELL)}
    assert cause(history(losses=losses)) is Cause.LARGE_UPDATE
    assert cause(history(losses=losses), is_general=True) is Cause.GRADIENT_SPIKE


def test_inputs_that_stay_elsewhere_drifted():
    evidence = history(inputs={30: 8.0}, losses=dict.fromkeys(range(26, FELL), 50.0))
    assert cause(evidence, rows=0.0) is Cause.INPUT_DRIFT
    assert cause(evidence, rows=3.0) is Cause.INPUT_DRIFT


def test_inputs_that_were_odd_before_the_fall_did_not_drift():
    assert cause(history(inputs={20: 8.0}), rows=0.0) is Cause.UNKNOWN
    assert cause(history(inputs={20: 8.0, 25: 8.0, 30: 8.0}), rows=0.0) is Cause.UNKNOWN


def test_inputs_that_often_jump_did_not_drift():
    assert cause(history(inputs={5: 8.0, 30: 8.0}), rows=0.0) is Cause.UNKNOWN


def test_a_unit_that_is_fed_by_the_dead_died_of_that():
    source = tally_of(3)
    fall(source)
    assert cause(history(), rows=0.0, sources=(source,)) is Cause.UPSTREAM_DEATH
    alive = tally_of(3)
    alive.lifetimes.note(FELL, np.array([0.0, 1.0, 0.0]), 64)
    assert cause(history(), rows=0.0, sources=(source, alive)) is Cause.UNKNOWN
    rates = {24: 10.0}
    assert cause(history(rates=rates), rows=0.01, sources=(source,)) is Cause.UPSTREAM_DEATH
    assert cause(history(rates=rates), rows=5.0, sources=(source,)) is Cause.RATE_STEP


def test_units_that_never_fired_were_dead_from_the_start():
    tally, certificates = tally_of(4), Certificates(history())
    assert tally.lifetimes.note(1, np.array([5.0, 0, 0, 5.0]), 64) is None
    deaths = certificates.value(tally)
    assert deaths.cause.tolist() == [1, 2, 2, 1]
    assert deaths.last_fired.tolist() == [1, NEVER, NEVER, 1]


def test_a_unit_that_fires_again_is_alive():
    tally, certificates = tally_of(2), Certificates(history())
    certificates.note(tally, fall(tally), Move(np.full(2, 3.0)), FELL)
    tally.lifetimes.note(40, np.array([1.0, 0.0]), 64)
    deaths = certificates.value(tally)
    assert deaths.cause.tolist() == [Cause.ALIVE, Cause.LARGE_UPDATE]
    assert np.isnan(deaths.row_change[0])
    assert deaths.first_silent.tolist() == [NEVER, FELL]


def test_a_site_where_nothing_fell_has_no_causes():
    tally, certificates = tally_of(2), Certificates(Evidence())
    tally.lifetimes.note(1, np.ones(2), 64)
    assert certificates.is_empty
    assert certificates.value(tally).cause.tolist() == [Cause.ALIVE] * 2


@pytest.mark.parametrize(
    "x", [None, torch.ones(3, dtype=torch.int64), torch.ones(1), torch.ones(4, 4).T[::2]]
)
def test_inputs_that_say_nothing_are_passed_over(x):
    evidence = Evidence()
    for step in range(1, 9):
        evidence.note_input(step, x)
    assert not evidence.has_drift(4, 8)
