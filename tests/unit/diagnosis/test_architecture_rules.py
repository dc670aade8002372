"""The rules on recurrent layers and on outputs, on records made by hand."""

import math

import pytest

from relume.diagnosis.rules import default_tanh, recurrent_growth, relu_on_output
from relume.runs.facts import ModuleFacts, RecurrentFacts, Spread
from tests.unit.diagnosis.hand_made import (
    FALLING,
    STUCK,
    Units,
    asked,
    make_run,
    of_three_classes,
    unjudged,
)


def recurrent(**changed: object) -> RecurrentFacts:
    usual = {"name": "rnn", "kind": "RNN", "nonlinearity": "relu", "time_steps": 30, "growth": 2.0,
             "spectral_radius": 0.9, "passes": 50}  # fmt: skip
    return RecurrentFacts(**(usual | changed))


@pytest.mark.parametrize(
    ("fact", "losses", "expected"),
    [
        (recurrent(growth=500.0, spectral_radius=1.5), FALLING, "warning"),
        (recurrent(growth=500.0, spectral_radius=1.05), FALLING, "note"),
        (recurrent(growth=500.0, spectral_radius=1.05), STUCK, "warning"),
        (recurrent(growth=math.inf, spectral_radius=2.5), FALLING, "warning"),
        (recurrent(growth=50.0), STUCK, None),
        (recurrent(nonlinearity="tanh", spectral_radius=0.5), STUCK, "warning"),  # 0.5^30 = 9e-10
        (recurrent(nonlinearity="tanh", spectral_radius=0.5), FALLING, None),
        (recurrent(nonlinearity="tanh", spectral_radius=0.9), STUCK, None),  # 0.9^30 = 0.04
        (recurrent(kind="LSTM", growth=500.0, spectral_radius=2.0), STUCK, None),
        (recurrent(kind="GRU", growth=500.0, spectral_radius=2.0), STUCK, None),
    ],
)
def test_states_that_grow_or_fade(fact, losses, expected):
    found = asked(recurrent_growth.RULE, make_run(facts=[fact], losses=losses))
    assert [each.severity for each in found] == ([expected] if expected else [])
    if found and "left" in found[0].evidence:
        assert math.isclose(found[0].evidence["left"], 0.5**30)


def test_short_sequences_are_not_judged():
    run = make_run(facts=[recurrent(time_steps=3, growth=500.0)])
    assert unjudged(recurrent_growth.RULE, run)
    assert not asked(recurrent_growth.RULE, run)


def module(nonlinearity: str, kind: str = "RNN") -> ModuleFacts:
    return ModuleFacts(name="rnn", kind=kind, details={"nonlinearity": nonlinearity})


@pytest.mark.parametrize(
    ("fact", "activations", "is_found"),
    [
        (module("tanh"), ["relu"], True),
        (module("tanh", "RNNCell"), ["relu", "leaky_relu"], True),
        (recurrent(nonlinearity="tanh"), ["relu"], True),
        (module("relu"), ["relu"], False),
        (module("tanh"), ["relu", "tanh"], False),
        (module("tanh"), ["gelu"], False),
        (module("tanh"), [], False),
        (module("tanh", "LSTM"), ["relu"], False),
    ],
)
def test_tanh_by_default_among_relus(fact, activations, is_found):
    own = Units(name="rnn", activation="tanh", owner="rnn", can_die=False, saturates=True)
    others = [Units(name=f"{n}", activation=each) for n, each in enumerate(activations)]
    found = asked(default_tanh.RULE, make_run(layers=[own, *others], facts=[fact]))
    assert [each.severity for each in found] == (["note"] if is_found else [])


def amounts(least: float, **changed: object):
    target = Spread(count=600, mean=least + 2.0, deviation=1.0, least=least, greatest=least + 4)
    return of_three_classes(function="mse_loss", class_counts=(), target=target, **changed)


@pytest.mark.parametrize(
    ("loss", "losses", "expected"),
    [
        (of_three_classes(head=("relu",)), FALLING, "warning"),
        (amounts(-2.0, head=("relu",)), FALLING, "warning"),
        (amounts(0.0, head=("relu",)), FALLING, "note"),
        (amounts(0.0, head=("relu",)), STUCK, "warning"),
        (amounts(0.0, head=()), STUCK, None),
        (of_three_classes(head=("softmax", "relu")), STUCK, None),
    ],
)
def test_relu_on_the_output(loss, losses, expected):
    run = make_run(facts=[loss], losses=losses, of_classes=False)
    found = asked(relu_on_output.RULE, run)
    assert [each.severity for each in found] == ([expected] if expected else [])


def test_an_output_is_not_judged_without_a_graph():
    run = make_run(facts=[of_three_classes(head=None)], of_classes=False)
    assert unjudged(relu_on_output.RULE, run)
