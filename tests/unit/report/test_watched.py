"""What is said of a watched training, and that nothing reads as missing that could not be there."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relume.report.document import build_document
from relume.report.html import MOST_BYTES, page_data, render_page
from relume.runs.query import Run, read_run
from relume.runs.records import (
    NEVER,
    Cause,
    Deaths,
    Layer,
    LayerWindow,
    Lifetimes,
    Metric,
    Moments,
    RunInfo,
    UnitActivity,
    Unobserved,
    Window,
)

WATCH = RunInfo(kind="watch", status="finished")


@pytest.fixture(scope="module")
def watched_run(watch_factory, tmp_path_factory):
    path = tmp_path_factory.mktemp("watched") / "run.sqlite"
    return read_run(watch_factory.write_watch_run(path))


@pytest.fixture(scope="module")
def healthy_run(watch_factory, tmp_path_factory):
    path = tmp_path_factory.mktemp("healthy") / "run.sqlite"
    return read_run(watch_factory.write_healthy_run(path))


@pytest.fixture(scope="module")
def watched_document(watched_run):
    return build_document(watched_run)


def small_run(tmp_path, fired, *, layer=None, deaths=(), **parts):
    """A run of one layer and one window of two rows in which the units fired so often."""
    fired = np.asarray(fired, np.int64)
    layer = layer or Layer("a", "relu", len(fired), True, None, "a.py:1")
    zero = np.zeros(len(fired))
    seen = UnitActivity(2, 2, fired, zero, zero + 1, 0, zero)
    windows = (Window(1, 40, 1, Moments(), 0.1, (LayerWindow(seen),)),)
    lives = (Lifetimes.unseen(len(fired)).after(40, fired, 2),)
    info = parts.pop("info", WATCH)
    return Run(
        tmp_path / "run.sqlite", info, (layer,), windows, (), lives, (), deaths=deaths, **parts
    )


def test_every_planted_death_is_told_with_its_cause_and_none_is_invented(
    watched_document, watch_factory
):
    told = {(group.layer, unit): group for group in watched_document.deaths for unit in group.units}
    planted = {
        (watch_factory.LAYERS[at].name, unit): death
        for (at, unit), death in watch_factory.DEATHS.items()
        if watch_factory.LAYERS[at].can_die
    }
    assert told.keys() == planted.keys()
    for key, (death, cause, _) in planted.items():
        group = told[key]
        assert group.cause == cause.name.lower()
        assert (group.last_fired or 0) < death <= group.first_silent
        assert group.first_silent - (group.last_fired or 0) <= watch_factory.PERIOD
        assert group.place in group.said
    sizes = [len(group.units) for group in watched_document.deaths]
    assert sizes == sorted(sizes, reverse=True)


def test_evidence_of_a_death_is_that_of_the_records(watched_document, watched_run):
    by_cause = {group.cause: group for group in watched_document.deaths}
    norms = [window.layers[1].gradient_norm for window in watched_run.windows]
    spike = by_cause["gradient_spike"]
    before = [norm.mean for norm, window in zip(norms, watched_run.windows, strict=True)
              if window.last_step <= spike.last_fired]  # fmt: skip
    assert spike.seen == max(norm.greatest for norm in norms)
    assert spike.usual == np.median(before)
    step = by_cause["rate_step"]
    assert (step.usual, step.seen) == (0.01, 0.1)
    assert by_cause["large_update"].row_change == pytest.approx(8.4)
    assert by_cause["from_start"].last_fired is None


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8), st.integers(0, 1)), min_size=1))
def test_units_are_grouped_where_the_times_of_their_deaths_overlap(tmp_path_factory, spans):
    """Against components of the graph of overlapping spans, found by merging sets."""
    last = np.array([first for first, _, _ in spans])
    silent = np.array([first + length for first, length, _ in spans])
    cause = np.array([Cause.LARGE_UPDATE + code for _, _, code in spans], np.int8)
    deaths = Deaths(last, silent, np.ones(len(spans)), cause)
    run = small_run(tmp_path_factory.getbasetemp(), [0] * len(spans), deaths=(deaths,))
    sets = [{unit} for unit in range(len(spans))]
    for a, b in itertools.combinations(range(len(spans)), 2):
        if cause[a] == cause[b] and max(last[a], last[b]) < min(silent[a], silent[b]):
            one = next(each for each in sets if a in each)
            other = next(each for each in sets if b in each)
            if one is not other:
                one |= other
                sets.remove(other)
    groups = build_document(run).deaths
    assert sorted(map(sorted, sets)) == sorted(sorted(group.units) for group in groups)
    for group in groups:
        assert group.last_fired == min(last[list(group.units)])
        assert group.first_silent == max(silent[list(group.units)])


def deaths_of(*units):
    last, silent, change, cause = zip(*units, strict=True)
    arrays = (np.array(last), np.array(silent), np.array(change, float))
    return (Deaths(*arrays, np.array(cause, np.int8)),)


@pytest.mark.parametrize(
    ("unit", "said"),
    [
        ((3, 9, 0.5, Cause.LARGE_UPDATE), ("died between steps 3 and 9, in an update that changed "
         "its weights by 0.5 times their norm.")),
        ((3, 9, np.nan, Cause.LARGE_UPDATE), ("died between steps 3 and 9, in an update that "
         "changed its weights much.")),
        ((3, 9, np.nan, Cause.RATE_STEP), ("died between steps 3 and 9, when the learning rate "
         "stepped.")),
        ((3, 9, np.nan, Cause.GRADIENT_SPIKE), ("died between steps 3 and 9, in a spike of the "
         "gradient.")),
        ((3, 9, np.nan, Cause.UNKNOWN), "died between steps 3 and 9; the cause is not known."),
        ((3, 9, np.nan, Cause.ALIVE), "died between steps 3 and 9; the cause is not known."),
        ((NEVER, 9, np.nan, Cause.UNKNOWN), "died before step 9; the cause is not known."),
        ((NEVER, 1, np.nan, Cause.FROM_START), ("has been silent since the first step that was "
         "seen (step 1).")),
        ((3, 9, np.nan, Cause.UPSTREAM_DEATH), ("died between steps 3 and 9, after units that feed "
         "it had died.")),
    ],
)  # fmt: skip
def test_a_death_in_words(tmp_path, unit, said):
    (group,) = build_document(small_run(tmp_path, [0], deaths=deaths_of(unit))).deaths
    assert group.said == f"1 unit of a (a.py:1) {said}"


def test_a_unit_that_fires_is_not_among_the_dead_whatever_its_certificate(tmp_path):
    revived = (3, 9, 1.0, Cause.LARGE_UPDATE)
    document = build_document(small_run(tmp_path, [2], deaths=deaths_of(revived)))
    assert document.deaths == ()
    assert document.headline == "no unit that was observed died (of 1 unit)"


@pytest.mark.parametrize(
    ("fired", "lives", "headline"),
    [
        ([2, 2], None, "no unit that was observed died (of 2 units)"),
        ([0, 0], None, "2 of 2 units are silent since the first step that was seen"),
        ([0, 2], ([7, 40], [10, NEVER]), "1 of 2 units is silent since step 10"),
        ([0, 0], ([7, 9], [10, 12]),
         "2 of 2 units are silent, the first since step 10, the last since step 12"),
    ],
)  # fmt: skip
def test_the_headline_is_about_the_units(tmp_path, fired, lives, headline):
    run = small_run(tmp_path, fired)
    if lives:
        last, silent = map(np.array, lives)
        rows = np.where(silent == NEVER, 0, 2)
        run = replace(run, lifetimes=(Lifetimes(last, silent, rows),))
    assert build_document(run).headline == headline


def test_a_watched_run_without_units_says_so(tmp_path):
    nothing = Run(tmp_path / "run.sqlite", WATCH, (), (), (), (), ())
    document = build_document(nothing)
    assert document.headline == "no unit was observed"
    assert document.missing == ("Training steps: not observed.", "Units: not observed.")
    render_page(document)
    smooth = Layer("a", "gelu", 2, False)
    document = build_document(small_run(tmp_path, [1, 1], layer=smooth))
    assert document.headline == "no unit that was observed can die"
    assert "Training loss: not observed." in document.missing


def test_nothing_reads_as_missing_that_could_not_be_there(healthy_run):
    document = build_document(healthy_run)
    assert document.missing == ()
    assert document.not_observed == ("Nothing that was called went unobserved.",)
    page = render_page(document)
    for word in ("Test score", "alidation", "epoch", "Units alive", "baseline", "Held out", "3/m"):
        assert word not in page.split("<main ")[1].split("<script")[0]
    assert page.count("not observed</p>") == 0
    assert "No unit that was observed died." in page


def test_what_was_not_observed_is_listed_by_name_and_place(tmp_path):
    missed = tuple(
        Unobserved(f"relu {number}", f"a.py:{number}", number) for number in range(1, 205)
    )
    document = build_document(small_run(tmp_path, [1], unobserved=missed))
    assert document.not_observed[0] == "relu 204 (a.py:204), 204 times"
    assert document.not_observed[-1] == "and 4 more"
    one = build_document(small_run(tmp_path, [1], unobserved=(Unobserved("lstm", None, 1),)))
    assert one.not_observed == ("lstm, 1 time",)


@pytest.mark.parametrize(
    ("overhead", "said"),
    [
        ({"budget": 0.01, "measured_share": 0.0083, "period": 40},
         ("Watching cost 0.83 % of step time: 1 of 40 steps were measured, every 40th at the end; "
         "the budget was 1 %.")),
        ({"measured_share": 0.05, "period": 1},
         "Watching cost 5.0 % of step time: 1 of 40 steps were measured, every one at the end."),
        ({"budget": 0.02},
         "What watching cost was not measured; 1 of 40 steps were measured; the budget was 2 %."),
        ({}, "What watching cost was not measured; 1 of 40 steps were measured."),
        ({"budget": "much", "measured_share": None, "period": -3},
         "What watching cost was not measured; 1 of 40 steps were measured."),
        (7, "What watching cost was not measured; 1 of 40 steps were measured."),
    ],
)  # fmt: skip
def test_what_watching_cost_is_said(tmp_path, overhead, said):
    info = replace(WATCH, overhead=overhead)
    assert said in build_document(small_run(tmp_path, [1], info=info)).measurement


def test_processes_that_were_added_up_are_counted_and_the_others_named(tmp_path):
    run = small_run(
        tmp_path, [1], shards=3,
        other_shards=(tmp_path / "run-7.sqlite",), damaged_shards=(tmp_path / "run-8.sqlite",),
    )  # fmt: skip
    document = build_document(run)
    assert document.processes == 3
    assert "The records of 3 processes were added up." in document.measurement
    assert "3 processes of 40 steps each measured 1 in all" in " ".join(document.measurement)
    assert "Not added up, for they saw other layers: run-7.sqlite." in document.missing
    assert "Not added up, for they cannot be read: run-8.sqlite." in document.missing


def test_saturated_and_dormant_units_are_never_called_dead(watched_document):
    gate, smooth = watched_document.layers[2:]
    assert gate.summary.saturated_units == (5, 6, 7)
    assert [(unit.unit, unit.last_fired) for unit in gate.dead] == [(5, 991), (6, 991), (7, 991)]
    assert smooth.summary.dormant_units == (8, 61)
    page = render_page(watched_document)
    article = page.split("<h3>gate")[1].split("</article>")[0]
    assert "3 saturated in the last steps seen" in article
    assert "dead" not in article.replace('class="dead"', "")
    assert "2 dormant (8, 61)" in page
    assert watched_document.units.units == 224


def test_scores_become_curves(watched_document, tmp_path):
    (curve,) = watched_document.metrics
    assert curve.step == tuple(range(200, 2001, 200))
    assert curve.value[-1] == pytest.approx(1 - 0.9 * 0.8**10, rel=1e-5)
    assert page_data(watched_document)["metrics"][0]["name"] == "accuracy"
    many = tuple(Metric(f"m{name}", step, step / 7) for name in range(60) for step in range(700))
    document = build_document(small_run(tmp_path, [1], metrics=many))
    assert len(document.metrics) == 50
    assert all(len(each.step) <= 300 and each.step[-1] == 699 for each in document.metrics)
    page = render_page(document)
    assert page.count('data-chart="metric-') == 12
    assert "m12: 99.857 at step 699" in page
    bad = (Metric("a", 1, float("nan")), Metric("a", 2, float("inf")))
    document = build_document(small_run(tmp_path, [1], metrics=bad))
    assert json.loads(document.to_json())["metrics"][0]["value"] == [None, None]
    render_page(document)


def test_names_and_places_from_the_script_stay_text_and_the_page_stays_small(tmp_path):
    hostile = '</script><img src=x onerror="alert(1)">\x1b[2J\u202e{{7*7}}' * 9
    units = 400
    layer = Layer(hostile, hostile, units, True, hostile, hostile)
    causes = [tuple(each for each in Cause)[i % 7 + 1] for i in range(units)]
    deaths = deaths_of(*((10 * i, 10 * i + 1, 1e9, causes[i]) for i in range(units)))
    run = small_run(
        tmp_path, [0] * units, layer=layer, deaths=deaths,
        unobserved=tuple(Unobserved(f"{i}{hostile}", hostile, i) for i in range(400)),
        metrics=tuple(Metric(f"{n}{hostile}", at, 1 / 7) for n in range(40) for at in range(400)),
    )  # fmt: skip
    run = replace(
        run,
        layers=run.layers * 130, lifetimes=run.lifetimes * 130, deaths=run.deaths * 130,
        windows=tuple(replace(each, layers=each.layers * 130) for each in run.windows),
    )  # fmt: skip
    document = build_document(run)
    assert all(part.isprintable() for part in (document.headline, *document.not_observed))
    assert all(group.said.isprintable() for group in document.deaths)
    assert all(curve.name.isprintable() for curve in document.metrics)
    page = render_page(document)
    assert "<img src=x" not in page
    assert len(page.encode()) <= MOST_BYTES
