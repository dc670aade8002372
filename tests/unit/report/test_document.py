import json
import math
import sqlite3
from dataclasses import replace

import numpy as np
import pytest

from relume.report.document import build_document
from relume.report.layers import MOST_DRAWN_LAYERS
from relume.report.parts import neediest
from relume.runs import schema
from relume.runs.query import Run, read_run
from relume.runs.records import (
    NEVER,
    Epoch,
    Layer,
    LayerWindow,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)


def window(first, last, layers, *, loss=1.0, armed=1):
    return Window(first, last, armed, Moments.of(loss), 0.1, tuple(layers))


def activity(fired, rows=10):
    nothing = np.zeros(len(fired))
    seen = np.asarray(fired, np.int64)
    return UnitActivity(rows, rows, seen, nothing, nothing, rows, nothing)


def run_of(tmp_path, windows=(), layers=(), info=None, examination=(), epochs=()):
    info = info or RunInfo()
    return Run(tmp_path / "run.sqlite", info, layers, windows, epochs, (), examination)


def test_the_headline_says_what_the_file_says(digits_file, digits_document):
    with sqlite3.connect(digits_file) as connection:
        rows = connection.execute(
            "SELECT units, unit_count FROM examination JOIN"
            " (SELECT id, units AS unit_count FROM layers) ON id = layer"
        ).fetchall()
        (result,) = connection.execute("SELECT value FROM info WHERE key = 'result'").fetchone()
    connection.close()
    dead = sum(int((schema.unpack_arrays(blob, n, 4)[0] == 0).sum()) for blob, n in rows)
    units = sum(n for _, n in rows)
    given = json.loads(result)
    assert (dead, units) == (3, 384)
    assert digits_document.headline == (
        f"{given['score']:.3f} accuracy on {given['rows']} test rows (95 % interval "
        f"{given['interval'][0]:.3f}–{given['interval'][1]:.3f}); logistic regression "
        f"{given['baselines'][1]['score']:.3f}, majority class "
        f"{given['baselines'][0]['score']:.3f}; {dead} of {units} units dead"
    )


def test_dead_units_are_those_made_dead_with_their_last_firing(
    digits_document, digits_run, factory
):
    listed = {
        (index, unit.unit): unit.last_fired
        for index, part in enumerate(digits_document.layers)
        for unit in part.dead
    }
    assert listed.keys() == factory.DEATHS.keys()
    for (index, unit), last_fired in listed.items():
        armed = [
            window.last_step
            for window in digits_run.windows
            if window.layers[index].activity.fired[unit]
        ]
        assert last_fired == (max(armed) if armed else None)
        assert last_fired is None or last_fired < factory.DEATHS[index, unit]


def test_counts_agree_with_the_layers(digits_document):
    units = digits_document.units
    assert (units.units, units.dead, units.dying, units.rows) == (384, 3, 1, 1149)
    assert units.at_final_weights
    bound = digits_document.layers[0].firing_probability_bound
    assert bound == pytest.approx(3 / 288)
    # Exactly: the probability at which 1,149 silent rows are a 5 % event.
    assert bound == pytest.approx(1 - 0.05 ** (1 / 288), rel=7e-3)


def test_rows_of_a_picture_go_from_silent_to_busy(digits_document, digits_run):
    for index, part in enumerate(digits_document.layers):
        rate = digits_run.examination[index].firing_rate[list(part.heat.order)]
        assert sorted(part.heat.order) == list(range(128))
        assert (np.diff(rate) >= 0).all()
        silent = [
            digits_run.lifetimes[index].last_fired[u] for u in part.heat.order[: (rate == 0).sum()]
        ]
        assert silent == sorted(silent)


def test_curves_are_the_records(digits_document, digits_run):
    curves = digits_document.window_curves
    assert curves.step == tuple((w.first_step + w.last_step) / 2 for w in digits_run.windows)
    assert curves.loss == pytest.approx([w.loss.mean for w in digits_run.windows], rel=1e-3)
    assert curves.loss_greatest == pytest.approx(
        [w.loss.greatest for w in digits_run.windows], rel=1e-3
    )
    norms = [w.layers[1].gradient_norm.mean for w in digits_run.windows]
    assert digits_document.layers[1].gradient_norm == pytest.approx(norms, rel=1e-2)
    scores = [epoch.validation_score for epoch in digits_run.epochs]
    assert digits_document.epoch_curves.validation_score == pytest.approx(scores, rel=1e-3)


def test_comparisons_say_better_worse_or_no_difference(tmp_path):
    rivals = [
        {"name": name, "score": 0.8, "difference": middle, "difference_interval": [low, high]}
        for name, middle, low, high in (
            ("a", 0.1, 0.05, 0.15),
            ("b", -0.1, -0.15, -0.05),
            ("c", 0.01, -0.02, 0.04),
        )
    ]
    rivals.append({"name": "d", "score": 0.1})
    result = {"metric": "r2", "score": 0.9, "baselines": rivals, "confidence": 0.9}
    document = build_document(run_of(tmp_path, info=RunInfo(status="finished", result=result)))
    assert document.comparisons == (
        "Better than a by 0.100 (90 % interval +0.050 to +0.150).",
        "Worse than b by 0.100 (90 % interval −0.150 to −0.050).",
        "No difference from c is shown: +0.010 (90 % interval −0.020 to +0.040).",
        "d: 0.100; the difference was not observed.",
    )
    assert document.headline.startswith("0.900 R² on the test rows; a 0.800")


def test_the_headline_names_the_first_of_many_targets(tmp_path):
    parts = [{"target": f"t{at}", "metric": "r2", "score": at / 10} for at in range(5)]
    info = RunInfo(status="finished", result={"targets": [*parts, {"target": "no score"}, 3]})
    document = build_document(run_of(tmp_path, info=info))
    assert [part.target for part in document.results] == ["t0", "t1", "t2", "t3", "t4"]
    assert document.headline == (
        "t0: 0.000 R² on the test rows; t1: 0.100 R² on the test rows; "
        "t2: 0.200 R² on the test rows; 2 more targets below; units not observed"
    )


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("running", "the run has not ended, or was killed"),
        ("interrupted", "the run was interrupted"),
        ("failed", "the run failed"),
        ("finished", "none was recorded"),
    ],
)
def test_an_empty_run_says_what_is_missing(tmp_path, status, reason):
    document = build_document(run_of(tmp_path, info=RunInfo(status=status)))
    assert document.headline == f"No test score: {reason}; units not observed"
    assert "Test score: not observed." in document.missing
    assert "Training steps: not observed." in document.missing
    assert "Units: not observed." in document.missing
    assert json.loads(document.to_json())["result"] is None


def test_a_killed_run_describes_and_does_not_judge(killed_run):
    document = build_document(killed_run)
    assert document.headline == (
        "No test score: the run has not ended, or was killed; "
        f"{document.units.dead} of 384 units silent on the last 64 rows seen"
    )
    assert document.layers[0].firing_probability_bound is None
    assert not document.units.at_final_weights
    assert any("not examined at fixed weights" in text for text in document.missing)
    assert any("no epoch ended" in text for text in document.missing)


def test_units_that_cannot_die_are_not_called_alive(tmp_path):
    layers = (Layer("a", "tanh", 2, False),)
    parts = [LayerWindow(activity([0, 3]))]
    document = build_document(run_of(tmp_path, (window(1, 5, parts),), layers))
    assert document.headline.endswith("; its units cannot die")
    assert document.units is None
    assert document.layers[0].dead == ()


def test_the_last_window_may_have_seen_nothing(tmp_path):
    layers = (Layer("a", "relu", 2, True),)
    unseen = LayerWindow(UnitActivity.zero(2))
    windows = (
        window(1, 5, [LayerWindow(activity([0, 3]))]),
        window(6, 7, [unseen], armed=0),
    )
    document = build_document(run_of(tmp_path, windows, layers))
    assert document.units.dead == 1
    assert document.columns == ((1, 7),)
    assert document.layers[0].heat.rates == ((0.0,), (0.3,))


def test_what_stands_out_is_said(tmp_path):
    layers = (Layer("a", "relu", 1, True, "w"), Layer("b", "relu", 1, True))
    still, moving = Moments.of(0.0), Moments.of(0.5)
    windows = (
        window(1, 5, [LayerWindow(activity([1]), moving), LayerWindow(activity([1]))]),
        window(
            6, 9, [LayerWindow(activity([0]), still), LayerWindow(activity([1]))], loss=math.nan
        ),
    )
    document = build_document(run_of(tmp_path, windows, layers))
    assert document.remarks == (
        "The training loss was not a finite number within steps 6 to 9.",
        "a: the gradient of its weights was exactly zero in 1 of 2 windows.",
    )
    assert "Gradient norm: not observed in b." in document.missing
    assert document.to_data()["window_curves"]["loss"] == [1.0, None]
    assert document.to_data()["layers"][1]["gradient_norm"] == [None, None]


def test_json_is_strict_and_whole(digits_document):
    def refuse(name):
        raise AssertionError(name)

    data = json.loads(digits_document.to_json(), parse_constant=refuse)
    assert (data["format"], data["version"]) == ("relume-report", 2)
    assert data["headline"] == digits_document.headline
    assert data["layers"][1]["summary"]["dead_units"] == [3, 90]
    assert data["settings"]["hidden"] == [128, 128, 128]


@pytest.mark.parametrize("nonsense", [None, 7, "text", [1], {"score": "high"}, {"score": math.nan}])
def test_parts_of_the_wrong_kind_are_not_observed(tmp_path, nonsense):
    info = RunInfo(settings=nonsense, data=nonsense, environment=nonsense, result=nonsense)
    document = build_document(run_of(tmp_path, info=info))
    assert document.result is None
    json.loads(document.to_json())


def test_bad_intervals_and_baselines_are_left_out(tmp_path):
    result = {
        "score": 1,
        "interval": [0.1],
        "rows": "many",
        "baselines": [3, {"name": "x"}, {"score": 2}],
    }
    document = build_document(run_of(tmp_path, info=RunInfo(result=result)))
    assert document.result.interval is None
    assert document.result.rows is None
    assert [part.name for part in document.result.baselines] == ["baseline"]


def test_the_layers_with_the_most_dead_units_are_drawn(tmp_path):
    count = MOST_DRAWN_LAYERS + 3
    layers = tuple(Layer(f"layer {i}", "relu", 2, True) for i in range(count))
    parts = [LayerWindow(activity([0, 1] if i == count - 1 else [1, 1])) for i in range(count)]
    document = build_document(run_of(tmp_path, (window(1, 2, parts),), layers))
    drawn = [index for index, part in enumerate(document.layers) if part.heat is not None]
    assert drawn == [*range(MOST_DRAWN_LAYERS - 1), count - 1]
    assert document.units.units == 2 * count
    fewer = document.drawing(1)
    assert [i for i, part in enumerate(fewer.layers) if part.heat is not None] == [count - 1]
    assert neediest([part.summary for part in fewer.layers], 0) == set()


def test_many_epochs_are_thinned_from_the_end(tmp_path):
    epochs = tuple(Epoch(i, i, 1.0, 1.0, 1.0, 0.1, 1, 1) for i in range(1, 1001))
    curves = build_document(run_of(tmp_path, epochs=epochs)).epoch_curves
    assert len(curves.epoch) <= 300
    assert curves.epoch[-1] == 1000
    assert set(np.diff(curves.epoch)) == {4}


def test_control_characters_of_a_file_reach_nobody(tmp_path, factory):
    hostile = "\x1b[2Jlayer\u202e"
    training = factory.Training(layers=(Layer(hostile, hostile, 4, True, hostile),), deaths={})
    info = replace(factory.INFO, data={"name": hostile}, result={"score": 1, "metric": hostile})
    run = read_run(factory.write_run(tmp_path / "run.sqlite", training, info=info))
    document = build_document(run)
    shown = [document.title, document.headline, document.layers[0].summary.name]
    assert all(text.isprintable() for text in shown)


def test_never_is_no_step(digits_document):
    assert NEVER not in [unit.last_fired for part in digits_document.layers for unit in part.dead]
