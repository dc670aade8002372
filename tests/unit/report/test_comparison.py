"""Two runs compared: what differs, at equal steps and at the end, against numbers by hand."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relume.cli import run as relume
from relume.report.comparing.comparison import compare_runs
from relume.report.comparing.courses import late_loss, loss_pairs, score_pairs
from relume.report.comparing.differences import between, differences, flat
from relume.runs.facts import LossFacts, ModuleFacts, OptimizerFacts, Phase
from relume.runs.loss_curve import Curve
from relume.runs.query import read_run
from relume.runs.records import Layer, Metric, RunInfo, Score
from relume.runs.run_file import Run


@pytest.fixture(scope="module")
def healthy_file(watch_factory, tmp_path_factory):
    return watch_factory.write_healthy_run(tmp_path_factory.mktemp("healthy") / "run.sqlite")


@pytest.fixture(scope="module")
def sick_file(watch_factory, tmp_path_factory):
    """More layers, more steps, and deaths."""
    path = tmp_path_factory.mktemp("sick") / "run.sqlite"
    return watch_factory.write_watch_run(path, windows=220)


def bare(**parts):
    """A run with nothing in it but what is given."""
    empty = Run(Path("run.sqlite"), RunInfo(kind="watch"), (), (), (), (), ())
    return replace(empty, **parts)


def of_losses(losses, bucket_steps=1):
    losses = np.asarray(losses, float)
    nothing = np.full(len(losses), np.nan)
    zeros = np.zeros(len(losses), np.int64)
    return Curve(bucket_steps, losses, losses, losses, nothing, zeros)


def test_a_run_does_not_differ_from_itself(sick_file):
    run = read_run(sick_file)
    same = compare_runs(run, run)
    assert all(not each.differing for each in same.differences)
    assert (same.gained, same.lost) == ((), ())
    assert same.findings_in_both > 0
    assert all(pair.a == pair.b for pair in (*same.losses, *same.scores, *same.layers))


def test_swapping_the_runs_swaps_the_sides(healthy_file, sick_file):
    a, b = read_run(healthy_file), read_run(sick_file)
    there, back = compare_runs(a, b), compare_runs(b, a)
    assert (there.gained, there.lost) == (back.lost, back.gained)
    assert (there.a, there.b) == (back.b, back.a)
    assert {(pair.name, pair.a, pair.b) for pair in there.layers} == {
        (pair.name, pair.b, pair.a) for pair in back.layers
    }


def test_layers_are_matched_by_name_and_those_of_one_run_listed(healthy_file, sick_file):
    found = compare_runs(read_run(healthy_file), read_run(sick_file))
    by_name = {pair.name: pair for pair in found.layers}
    assert list(by_name) == ["relu(fc1)", "relu(fc2)", "gate", "mixer.act"]
    fc1 = by_name["relu(fc1)"]
    assert (fc1.a.dead, fc1.b.dead, fc1.a.units) == (0, 40, 128)  # 37 + 2 + 1, as planted
    assert by_name["gate"].a is None
    assert (by_name["gate"].b.saturated, by_name["mixer.act"].b.dormant) == (3, 2)
    assert {(each.code, each.severity) for each in found.gained} == {
        ("RLM101", "note"),
        ("RLM106", "note"),
    }
    assert any("220" in line or "2,200" in line for line in found.caveats)


def test_layers_of_one_name_are_told_apart_by_their_order(sick_file):
    run = read_run(sick_file)
    twice = replace(run, layers=tuple(replace(each, name="relu") for each in run.layers))
    assert [pair.name for pair in compare_runs(twice, twice).layers] == [
        "relu", "relu #2", "relu #3", "relu #4",
    ]  # fmt: skip


class Long(Run):
    """A run that made a hundred steps."""

    last_step = 100


def test_losses_are_means_of_the_last_tenth():
    long = Long(Path("run.sqlite"), RunInfo(), (), (), (), (), (), curve=of_losses(range(1, 101)))
    late = np.arange(91.0, 101.0)
    assert late_loss(long, 100) == (late.mean(), late.std(ddof=1), 10)
    assert late_loss(long, 10)[::2] == (10.0, 1)
    assert loss_pairs(bare(), bare()) == ()


def test_runs_of_unequal_length_are_compared_at_equal_steps_and_at_their_ends(
    healthy_file, sick_file
):
    a, b = read_run(healthy_file), read_run(sick_file)
    pairs = loss_pairs(a, b)
    assert [(pair.step_a, pair.step_b) for pair in pairs] == [
        (200, 200), (500, 500), (1000, 1000), (2000, 2000), (2000, 2200),
    ]  # fmt: skip
    late = [window for window in a.windows if 1800 < window.last_step <= 2000]
    assert pairs[3].a == pytest.approx(np.mean([window.loss.mean for window in late]))
    assert pairs[3].n_a == len(late)


def test_a_share_of_right_answers_has_the_interval_of_two_proportions():
    a = bare(
        scores=(Score(50, "evaluation", 400, 0.5, 0.8), Score(99, "evaluation", 400, 0.4, 0.9))
    )
    b = bare(scores=(Score(60, "evaluation", 100, 0.5, 0.7),))
    pairs = {(pair.name, pair.when): pair for pair in score_pairs(a, b)}
    equal = pairs["evaluation: share right", "equal steps"]
    assert (equal.a, equal.b, equal.step_a, equal.step_b) == (0.8, 0.7, 50, 60)
    half = 1.96 * math.sqrt(0.8 * 0.2 / 400 + 0.7 * 0.3 / 100)
    assert equal.interval == pytest.approx((-0.1 - half, -0.1 + half))
    assert pairs["evaluation: share right", "end"].a == 0.9
    assert pairs["evaluation: loss", "end"].interval is None


def test_test_scores_differ_by_the_hypotenuse_of_their_intervals(factory):
    results = [factory.RESULT | {"score": 0.9, "interval": [0.87, 0.93], "rows": 360},
               factory.RESULT | {"score": 0.94, "interval": [0.9, 0.98]}]  # fmt: skip
    a, b = (bare(info=RunInfo(result=each)) for each in results)
    (pair,) = score_pairs(a, b)
    assert (pair.name, pair.when, pair.rows_a) == ("accuracy", "test", 360)
    assert pair.interval == pytest.approx((0.04 - 0.05, 0.04 + 0.05))


def test_metrics_that_one_run_alone_has_are_no_pair():
    a = bare(metrics=(Metric("accuracy", 10, 0.5), Metric("f1", 10, 0.2)))
    b = bare(metrics=(Metric("accuracy", 10, 0.6), Metric("bleu", 10, math.nan)))
    assert [(pair.name, pair.a, pair.b) for pair in score_pairs(a, b)] == [("accuracy", 0.5, 0.6)]


def test_what_was_seen_of_a_training_is_compared():
    def facts(rate, width):
        return (
            OptimizerFacts(number=0, kind="SGD", groups=({"lr": rate, "momentum": 0.9},)),
            LossFacts(function="mse_loss", phase=Phase.TRAINING, head=("relu",)),
            LossFacts(function="l1_loss", phase=Phase.EVALUATION),
            ModuleFacts(name="fc", kind="Linear", details={"out_features": width}),
        )

    a, b = bare(facts=facts(0.1, 8)), bare(facts=facts(3.0, 16))
    training = {each.what: each for each in differences(a, b)}["training"]
    assert [(each.name, each.a, each.b) for each in training.differing] == [
        ("optimizer 0.lr", 0.1, 3.0),
        ("module fc", "Linear(out_features=8)", "Linear(out_features=16)"),
    ]
    assert training.equal == 6


names = st.dictionaries(st.text(max_size=3), st.none() | st.booleans() | st.floats(), max_size=5)


@given(names, names)
def test_what_differs_and_what_is_equal_are_all_there_is(a, b):
    found = between("settings", a, b)
    assert len(found.differing) + found.equal == len(a.keys() | b.keys())
    assert not between("settings", a, a).differing
    for each in found.differing:
        assert each.name in a or each.name in b


def test_one_and_true_differ_and_one_and_one_point_zero_do_not():
    assert len(between("", {"x": 1}, {"x": True}).differing) == 1
    assert not between("", {"x": 1}, {"x": 1.0}).differing
    assert flat({"a": {"b": {"c": 1}, "d": {}}}) == {"a.b.c": 1, "a.d": {}}


def test_the_command_says_what_it_does_not_show(healthy_file, sick_file, capsys):
    assert relume(["diff", str(healthy_file), str(sick_file)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("A  ")
    assert "only in B: note RLM101: 40 of 128 units of relu(fc1) are dead" in out
    assert "0 → 40" in out
    assert "gate  (only in B)" in " ".join(out.split(" "))
    assert "These are two single trainings: with other seeds either may come out ahead." in out
    assert "\x1b" not in out
    assert not any(line.endswith(" ") for line in out.splitlines())


def test_json_is_one_versioned_object(healthy_file, sick_file, capsys):
    assert relume(["diff", str(healthy_file), str(sick_file), "--json"]) == 0
    data = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (data["format"], data["version"]) == ("relume-diff", 1)
    assert data["layers"][0]["b"]["dead"] == 40
    assert data["layers"][2]["a"] is None


@pytest.mark.parametrize("order", [1, -1])
def test_a_run_that_is_not_there_is_one_line(healthy_file, order, capsys):
    assert relume(["diff", *[str(healthy_file), "absent"][::order]]) == 2
    assert capsys.readouterr().err == "relume: there is no run file at absent\n"


def test_hostile_names_are_shown_harmlessly(tmp_path, watch_factory, capsys):
    layers = (Layer("a\x1b[31m\n[bold]x", "relu", 128, True), *watch_factory.LAYERS[1:2])
    info = replace(watch_factory.INFO, settings={"[red]\x1b]0;x\x07": "\x1b[2J"})
    run = watch_factory.write_watch_run(
        tmp_path / "run.sqlite", layers=layers, deaths={}, info=info, windows=20
    )
    plain = watch_factory.write_watch_run(tmp_path / "b.sqlite", deaths={}, windows=20)
    assert relume(["diff", str(run), str(plain)]) == 0
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "[bold" in out
    assert "[red]" in out
