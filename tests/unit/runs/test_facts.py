"""Facts, weights and scores go into a run file and come out of it as they were."""

import math
import sqlite3
from contextlib import closing
from dataclasses import asdict, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.errors import RunFileError
from relume.runs import schema
from relume.runs.fact_json import KINDS, from_json, kind_of, to_json
from relume.runs.facts import (
    InputFacts,
    LossFacts,
    ModuleFacts,
    OptimizerFacts,
    Phase,
    Spread,
    WeightFacts,
)
from relume.runs.query import read_run
from relume.runs.records import Moments, Score, WeightWindow, Window
from relume.runs.shards import merge_shards
from relume.runs.store import RunWriter

ANY = st.floats(allow_nan=True, allow_infinity=True, width=64)
BY_TYPE = {
    "Spread": st.builds(Spread, mean=ANY, least=ANY, count=st.integers(0, 9)),
    "Phase": st.sampled_from(Phase),
    "str": st.text(max_size=8).filter(lambda text: text not in {"nan", "inf", "-inf"}),
    "int": st.integers(-1, 2**40),
    "float": ANY,
    "bool": st.booleans(),
}


def some(kind):
    """Any fact of a kind, its scalar parts drawn, the others as they are by default."""
    parts = {
        part.name: BY_TYPE[part.type.__name__]
        for part in fields(kind)
        if getattr(part.type, "__name__", "") in BY_TYPE
    }
    return st.builds(kind, **parts)


def same(a, b):
    np.testing.assert_equal(asdict(a), asdict(b))  # nan equals nan here
    assert type(a) is type(b)


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
@settings(deadline=None, max_examples=30, derandomize=True)
def test_every_fact_survives_its_json(name, data):
    fact = data.draw(some(KINDS[name]))
    assert kind_of(fact) == name
    same(from_json(name, to_json(fact)), fact)


def test_parts_of_several_numbers_survive_too():
    facts = [
        InputFacts(name="x", phase=Phase.TRAINING, feature_means=(1.0, math.nan), shape=(2, 3)),
        LossFacts(function="by hand", phase=Phase.EVALUATION, head=("relu",), class_counts=(3, 4)),
        LossFacts(function="mse_loss", phase=Phase.TRAINING, head=None),
        ModuleFacts(name="drop", kind="Dropout", details={"p": 0.5, "is_frozen": False}),
        OptimizerFacts(number=0, kind="SGD", groups=({"lr": 0.1, "momentum": math.inf},)),
        WeightFacts(name="w", identical_units=(0, 3), shape=(4, 2)),
    ]
    for fact in facts:
        same(from_json(kind_of(fact), to_json(fact)), fact)


def test_an_unknown_kind_is_passed_over_and_an_unknown_part_too():
    assert from_json("weather", "{}") is None
    assert from_json("weight", '{"name": "w", "of_the_future": 1}') == WeightFacts(name="w")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"kind": 3}', '{"name": 1, "initial": 3}'])
def test_a_damaged_fact_is_one_clear_error(text):
    with pytest.raises(RunFileError, match="damaged"):
        from_json("weight", text)


def flow(*values):
    return WeightWindow(*map(Moments.of, values))


def test_a_run_file_keeps_facts_weights_and_scores(tmp_path):
    path = tmp_path / "run.sqlite"
    first = WeightFacts(name="fc.weight", armed_steps=1)
    with closing(RunWriter(path)) as writer:
        writer.write_facts([first, ModuleFacts(name="fc", kind="Linear")])
        writer.add_weights(["fc.weight"])
        writer.write_window(Window(1, 5, 1, Moments(), 0.1, (), (flow(1.0, 2.0, 3.0),)), [])
        writer.write_facts([replace(first, armed_steps=2)])
        writer.add_weights(["out.weight"])
        two = (flow(0.5, math.nan, 1.0), flow(math.inf, 0.0, 1.0))
        writer.write_window(Window(6, 9, 1, Moments(), 0.1, (), two), [])
        writer.add_scores([Score(5, "training", 64, 0.5), Score(5, "evaluation", 32, 0.75, 0.5)])
        writer.add_scores([Score(9, "training", 64, math.nan)])
    run = read_run(path)
    (weight,) = run.of(WeightFacts)
    same(weight, replace(first, armed_steps=2))
    assert run.of(LossFacts) == ()
    assert [fact.kind for fact in run.of(ModuleFacts)] == ["Linear"]
    assert run.weights == ("fc.weight", "out.weight")
    assert run.windows[0].weights == (flow(1.0, 2.0, 3.0),)
    np.testing.assert_equal(
        [asdict(each) for each in run.windows[1].weights], [asdict(each) for each in two]
    )
    assert [score.step for score in run.scores_of("training")] == [5, 9]
    assert run.scores_of("evaluation") == (Score(5, "evaluation", 32, 0.75, 0.5),)


def test_windows_that_merge_add_their_weights(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path, most_windows=2)) as writer:
        writer.add_weights(["a", "b"])
        for step in range(1, 9):
            seen = (flow(step, 1.0, 1.0), flow(1.0, 1.0, step))[: 1 if step < 4 else 2]
            writer.write_window(Window(step, step, 1, Moments(), 0.1, (), seen), [])
    windows = read_run(path).windows
    assert len(windows) <= 3
    assert sum(window.weights[0].gradient_norm.total for window in windows) == sum(range(1, 9))
    late = [window.weights[1] for window in windows if len(window.weights) == 2]
    assert sum(each.norm.total for each in late) == sum(range(4, 9))
    assert max(each.norm.greatest for each in late) == 8


def test_a_resumed_file_forgets_later_scores_and_weights(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        writer.add_weights(["a"])
        for step in (1, 2, 3):
            seen = (flow(1.0, 1.0, 1.0),)
            writer.write_window(Window(step, step, 1, Moments(), 0.1, (), seen), [])
            writer.add_scores([Score(step, "training", 8, 0.5)])
    with closing(RunWriter(path, resume_after=1)) as writer:
        writer.add_scores([Score(2, "training", 8, 0.25)])
        writer.add_weights(["b"])
    run = read_run(path)
    assert [(score.step, score.loss) for score in run.scores] == [(1, 0.5), (2, 0.25)]
    assert run.weights == ("a", "b")
    assert len(run.windows) == 1


def test_a_file_of_version_2_is_read_and_gone_on_with(tmp_path):
    path = tmp_path / "run.sqlite"
    with closing(RunWriter(path)) as writer:
        writer.write_window(Window(1, 1, 1, Moments(), 0.1, ()), [])
    with closing(sqlite3.connect(path)) as connection:
        for table in ("facts", "weights", "weight_windows", "curve", "scores", "remedies"):
            connection.execute(f"DROP TABLE {table}")
        connection.execute("PRAGMA user_version = 2")
        connection.commit()
    run = read_run(path)
    assert (run.facts, run.weights, run.scores, len(run.windows)) == ((), (), (), 1)
    assert len(run.curve.losses) == 0
    with closing(RunWriter(path, resume_after=1)) as writer:
        writer.write_facts([WeightFacts(name="w")])
        writer.write_window(Window(2, 2, 1, Moments(), 0.1, ()), [])
    run = read_run(path)
    assert [fact.name for fact in run.of(WeightFacts)] == ["w"]
    assert len(run.windows) == 2


def test_shards_with_weights_in_another_order_do_not_mix_them(tmp_path):
    runs = []
    for number, names in enumerate((["a", "b"], ["b", "a"])):
        path = tmp_path / f"run-rank{number}.sqlite"
        with closing(RunWriter(path)) as writer:
            writer.add_weights(names)
            seen = (flow(1.0, 1.0, 1.0), flow(2.0, 2.0, 2.0))
            writer.write_window(Window(1, 5, 1, Moments(), 0.1, (), seen), [])
        runs.append(read_run(path))
    assert merge_shards(runs).windows[0].weights == runs[0].windows[0].weights
    same_order = merge_shards([runs[0], replace(runs[0])]).windows[0].weights
    assert same_order[1].norm == Moments(2, 4.0, 2.0, 2.0)


def test_packed_weights_are_refused_when_cut():
    blob = schema.pack_weights([flow(1.0, 2.0, 3.0)])
    with pytest.raises(RunFileError):
        schema.unpack_weights(blob[:-12])
