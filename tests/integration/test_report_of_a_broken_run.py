"""The report of a broken training: understood on the first screen, and true in every cell."""

import re
import runpy
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from relume.diagnosis.engine import Diagnosis
from relume.diagnosis.finding import Advice, Finding, NotJudged, Safety, Severity
from relume.report.document import build_document
from relume.runs.query import read_run
from relume.runs.records import Layer, Metric
from relume.runs.remedies import AppliedRemedy
from relume.runs.summary import last_seen
from tests.integration.report_visit import CONTRASTS, Visit

pytestmark = pytest.mark.browser

FACTORIES = Path(__file__).parents[1] / "unit" / "report"
HOSTILE = '</script><img src=x onerror="window.ran=1;alert(1)">{{7*7}}`$(touch x)'
SCREEN = {"width": 1280, "height": 800}
OBSERVED = {"steps": 2000, "armed_steps": 200, "layers": 4, "units": 320, "weights": 4}


def broken(text="", place="train.py:12"):
    """A root with consequences, and one finding beside it; ``text`` is in all of their words."""
    following = (
        Finding(code="RLM202", severity=Severity.WARNING, message=f"gradients exploded{text}",
                where=f"fc1{text}", first_step=101),
        Finding(code="RLM101", severity=Severity.ERROR, where=f"relu(fc1) ({place})",
                message=f"40 of 128 units are dead{text}", first_step=121, units=(1, 2)),
        Finding(code="RLM302", severity=Severity.WARNING, message=f"the loss stands still{text}"),
    )  # fmt: skip
    root = Finding(
        code="RLM304", severity=Severity.ERROR, message=f"the learning rate 9 is too high{text}",
        where=f"Adam{text}", first_step=1, evidence={f"rate{text}": 9.0, "signs": (text, 2)},
        cause=f"large updates{text}", consequences=following,
        remedies=(Advice(f"try a tenth of the rate{text}", Safety.CHANGES_TRAINING),),
    )  # fmt: skip
    beside = Finding(
        code="RLM001", severity=Severity.WARNING, message=f"the input is unscaled{text}",
        where=f"x of Net{text}", first_step=1501,
    )  # fmt: skip
    unable = NotJudged("RLM028", f"no evaluation rows{text}")
    return Diagnosis((root, beside), (unable,), OBSERVED)


@pytest.fixture(scope="module")
def watching():
    return runpy.run_path(str(FACTORIES / "watch_factory.py"))


@pytest.fixture(scope="module")
def run(watching, tmp_path_factory):
    return read_run(watching["write_watch_run"](tmp_path_factory.mktemp("broken") / "run.sqlite"))


@pytest.fixture(scope="module")
def document(run):
    repair = AppliedRemedy(step=1951, action="lower_rate", verdict="better", is_kept=True)
    return build_document(replace(run, remedies=(repair,)), broken())


def read_cell(visit, figure, row, column):
    """Point at a cell of the units; return what is read out."""
    grid = visit.page.locator(".grid").nth(figure)
    grid.scroll_into_view_if_needed()
    side = visit.page.evaluate("JSON.parse(document.getElementById('data').text).cells")[figure]
    box, natural = (
        grid.locator("img").bounding_box(),
        grid.locator("img").evaluate("image => [image.naturalWidth, image.naturalHeight]"),
    )
    grid.locator("img").hover(
        position={
            "x": (column + 0.5) * side["side"] * box["width"] / natural[0],
            "y": (row + 0.5) * side["side"] * box["height"] / natural[1],
        }
    )
    readout = visit.page.locator(".cells .readout").nth(figure)
    readout.filter(has_text="unit").wait_for()
    return readout.inner_text(), side


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_first_screen_says_what_is_wrong_and_what_to_do(browser, document, tmp_path, theme):
    with Visit(browser, document, tmp_path, color_scheme=theme, viewport=SCREEN) as visit:
        page = visit.page
        page.locator(".chart canvas").first.wait_for()
        assert page.locator(".verdict").inner_text() == (
            "Broken. The learning rate 9 is too high. 3 further findings follow from it; "
            "1 more stands beside it."
        )
        stages = page.locator(".causes .chain > li")
        assert [text.splitlines()[1] for text in stages.all_inner_texts()] == [
            "rate too high", "exploding gradient", "dead units", "not decreasing",
        ]  # fmt: skip
        wanted = [
            page.locator(".verdict"), page.locator(".causes"), page.locator("#finding-1"),
            page.locator("#finding-2"), page.locator(".remedies"), page.locator(".command").last,
            page.locator(".tiles"),
        ]  # fmt: skip
        assert all(each.is_visible() for each in wanted)
        bottoms = [each.bounding_box() for each in wanted]
        assert max(box["y"] + box["height"] for box in bottoms) <= SCREEN["height"]
        assert page.locator(".command code").all_inner_texts() == [
            "relume cure train.py", "relume run --repair train.py",
        ]  # fmt: skip
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        assert "train.py:12" in page.locator("#finding-1").inner_text()
        assert [found for found in page.evaluate(CONTRASTS) if found[0] < 4.5] == []
        assert [url for url in visit.requests if not url.startswith("data:")] == [
            visit.path.as_uri()
        ]
        assert visit.faults == []


def test_a_healthy_run_says_what_was_looked_at_and_what_could_not_be_judged(browser, run, tmp_path):
    healthy = Diagnosis((), (NotJudged("RLM028", "no evaluation rows"),), OBSERVED)
    with Visit(browser, build_document(run, healthy), tmp_path, viewport=SCREEN) as visit:
        assert visit.page.locator(".verdict").inner_text().startswith("Nothing found. 58 rules")
        assert (
            "(1 could not judge, or not all of it)" in visit.page.locator(".verdict").inner_text()
        )
        assert visit.page.get_by_text("Looked at: 2,000 steps (200 measured)").is_visible()
        assert visit.page.get_by_text("RLM028: no evaluation rows").is_visible()
        assert visit.page.locator(".causes, .command, .marker").count() == 0
        assert visit.faults == []


def test_cells_tell_the_certificates_of_the_dead(browser, run, watching, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        causes = {
            "large_update": "an update changed its weights much",
            "from_start": "it was never seen to fire",
            "unknown": "the cause is not known",
        }
        for unit in (40, 3, 100):
            death, cause, moved = watching["DEATHS"][0, unit]
            columns = visit.page.evaluate("JSON.parse(document.getElementById('data').text)")[
                "cells"
            ][0]["columns"]
            text, _ = read_cell(visit, 0, unit // columns, unit % columns)
            fired = run.lifetimes[0].last_fired[unit]
            last = "not once seen to fire" if fired < 0 else f"last fired at step {fired:,}"
            change = (
                "" if np.isnan(moved) else f" · its weights changed by {moved} times their norm"
            )
            assert text == (
                f"unit {unit} · silent in the last steps seen · {last} · silent since step "
                f"{death:,} · {causes[cause.name.lower()]}{change} · n = 1,000 rows"
            )
        assert visit.faults == []


def test_cells_tell_the_rates_of_the_living(browser, run, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        for figure, unit in ((0, 0), (0, 127), (1, 33), (3, 63)):
            rate = 100 * last_seen(run, figure).firing_rate[unit]
            columns = visit.page.evaluate("JSON.parse(document.getElementById('data').text)")[
                "cells"
            ][figure]["columns"]
            text, _ = read_cell(visit, figure, unit // columns, unit % columns)
            said = re.match(r"unit (\d+) · fires on about ([\d.]+) % of values · n = ", text)
            assert said, text
            assert int(said[1]) == unit
            assert float(said[2]) == pytest.approx(rate, abs=1.0)


def test_the_keyboard_reads_every_cell_and_none_beyond(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        visit.page.locator(".grid").first.focus()
        readout = visit.page.locator(".cells .readout").first
        for key, unit in (("ArrowRight", 0), ("ArrowRight", 1), ("ArrowDown", 31), ("ArrowUp", 1)):
            visit.page.keyboard.press(key)
            readout.filter(has_text=re.compile(f"^unit {unit} ·")).wait_for()
        for _ in range(6):
            visit.page.keyboard.press("ArrowDown")
        readout.filter(has_text=re.compile("^unit 121 ·|^no unit here")).wait_for()
        assert visit.faults == []


def test_cells_of_a_large_network_say_how_many_units_they_hold(browser, watching, tmp_path):
    wide = (Layer("relu(fc1)", "relu", 20_100, True, "fc1", "train.py:12"),)
    deaths = {(0, unit): (11, 3, 1.0) for unit in (0, 1, 2, 7)}
    path = watching["write_watch_run"](
        tmp_path / "run.sqlite", layers=wide, deaths=deaths, windows=20
    )
    document = build_document(read_run(path), broken())
    assert document.layers[0].cells.units_per_cell == 3
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        assert "a cell is 3 neighbouring units" in visit.page.locator("#units .lead").inner_text()
        told = [read_cell(visit, 0, 0, column)[0] for column in (0, 1, 2)]
    assert told[0].startswith("units 0–2 · all 3 silent in the last steps seen")
    assert told[1].startswith("units 3–5 · fires on about ")
    assert told[2].startswith("units 6–8 · 1 of 3 silent in the last steps seen · fires on about ")


def test_findings_and_repairs_are_marked_at_their_steps(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        page = visit.page
        page.locator("[data-chart=loss] .chip").first.wait_for()
        lines = page.locator("[data-chart=loss] .marker").evaluate_all(
            "all => all.map((line) => [line.dataset.event, parseFloat(line.style.left)])"
        )
        left, width = page.locator("[data-chart=loss] .u-over").evaluate(
            "over => [over.offsetLeft, over.clientWidth]"
        )
        steps = [event.step for event in document.events]
        assert steps == [1, 101, 121, 1501, 1951]
        assert [name for name, _ in lines] == [f"e{i}" for i in range(5)]
        assert [x for _, x in lines] == pytest.approx(
            [left + (step - 1) / 1999 * width for step in steps], abs=1.5
        )
        chips = page.locator("[data-chart=loss] .chip").all_inner_texts()
        assert chips == ["RLM304 +2", "RLM001", "repair"]
        assert page.locator(".events li").all_inner_texts()[2] == (
            "step 121 RLM101 40 of 128 units are dead"
        )
        assert visit.faults == []


def test_a_finding_lights_its_marker_and_the_reverse(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        page = visit.page
        chip = page.locator("[data-chart=loss] .chip").nth(1)
        chip.wait_for()
        code = page.locator("#finding-2 button.code")
        code.focus()
        page.locator("[data-chart=loss] .marker.lit[data-event=e3]").wait_for()
        page.keyboard.press("Enter")
        page.locator("#finding-2 button.code").blur()
        assert code.get_attribute("aria-pressed") == "true"
        assert page.locator("[data-chart=rate] .marker.lit").count() == 1
        page.locator("#finding-2 button.code").press("Enter")
        code.blur()
        assert page.locator(".lit").count() == 0
        chip.focus()
        page.locator("#finding-2.lit").wait_for()
        assert "RLM001: the input is unscaled" in chip.get_attribute("aria-label")
        page.locator(".events a").nth(3).click()
        assert page.evaluate("location.hash") == "#finding-2"
        assert visit.faults == []


def test_a_place_can_be_copied(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visit.page.locator(".command button.copy").first.click()
        visit.page.get_by_role("button", name="copy relume cure").filter(
            has_text="copied"
        ).wait_for()
        assert visit.page.evaluate("navigator.clipboard.readText()") == ("relume cure train.py")


def test_hostile_words_in_every_new_place_stay_text(browser, run, tmp_path):
    layers = tuple(replace(layer, name=HOSTILE, place=f"{HOSTILE}:3") for layer in run.layers)
    remedy = AppliedRemedy(step=5, action=HOSTILE, plan={"said": HOSTILE}, verdict=HOSTILE)
    hostile = replace(
        run, layers=layers, remedies=(remedy,), metrics=(Metric(HOSTILE, 10, 0.5),),
        info=replace(run.info, data={"name": f"{HOSTILE}.py"}),
    )  # fmt: skip
    document = build_document(hostile, broken(HOSTILE, f"{HOSTILE}:3"))
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        page = visit.page
        page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true; })")
        page.locator("[data-chart=loss] .chip").first.hover()
        read_cell(visit, 0, 0, 3)
        assert page.evaluate("window.ran") is None
        assert page.locator("img").evaluate_all("all => all.every(i => i.src.startsWith('data:'))")
        assert HOSTILE in page.locator("#finding-1").inner_text()
        assert page.locator(".command code").first.inner_text() == (
            "relume cure '" + HOSTILE + ".py'"
        )
        assert visit.faults == []


def test_shown_again_with_new_data_it_is_drawn_once(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN) as visit:
        page = visit.page
        page.locator("[data-chart=loss] .chip").first.wait_for()
        before = page.locator("canvas, .marker, .chip").count()
        page.evaluate(
            """() => {
              const data = JSON.parse(document.getElementById("data").text);
              const main = document.querySelector("main").outerHTML;
              for (let i = 0; i < 5; i += 1) {
                document.querySelector("main").outerHTML = main;
                document.querySelectorAll(".plot, .markers").forEach((e) => e.replaceChildren());
                window.relume.show(data);
              }
              window.again = () => window.relume.show({ ...data, events: data.events.slice(0, 1) });
            }"""
        )
        page.locator("canvas, .marker, .chip").nth(before - 1).wait_for(state="attached")
        page.wait_for_timeout(100)
        assert page.locator("canvas, .marker, .chip").count() == before
        page.evaluate("window.again()")
        page.locator("[data-chart=loss] .marker").nth(1).wait_for(state="detached")
        assert page.locator("[data-chart=loss] .marker").count() == 1
        assert visit.faults == []


def test_paper_holds_everything_and_the_screen_is_as_it_was(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, color_scheme="dark", viewport=SCREEN) as visit:
        page = visit.page
        shut = page.locator("details:not([open])").count()
        assert shut > 3
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.locator("details:not([open])").count() == 0
        assert [found for found in page.evaluate(CONTRASTS) if found[0] < 4.5] == []
        assert not page.locator("button.copy").first.is_visible()
        page.emulate_media(media="screen")
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() == shut


def test_headings_follow_in_order_and_the_keyboard_can_skip(browser, document, tmp_path):
    with Visit(browser, document, tmp_path, viewport=SCREEN, reduced_motion="reduce") as visit:
        page = visit.page
        levels = page.locator("h1, h2, h3, h4").evaluate_all("all => all.map(h => +h.tagName[1])")
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
        page.keyboard.press("Tab")
        skip = page.locator(":focus")
        assert skip.inner_text() == "Skip to the findings"
        assert skip.bounding_box()["x"] >= 0
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        assert page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"
        assert page.locator("table caption").count() == page.locator("table").count() == 1
