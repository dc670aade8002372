"""The report in a real browser: nothing loaded, nothing logged, and what it reads out is true."""

import re
import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from relume.report.document import build_document
from relume.report.html import write_report
from relume.runs.query import read_run
from relume.runs.records import Layer

pytestmark = pytest.mark.browser

CHROMIUM = Path("/usr/bin/chromium")
FACTORY = Path(__file__).parents[1] / "unit" / "report" / "run_factory.py"
HOSTILE = '</script><img src=x onerror="window.ran=1;alert(1)">{{7*7}}'

CONTRASTS = """() => {
  const rgb = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim()) continue;
    if (["SCRIPT", "NOSCRIPT"].includes(element.tagName)) continue;
    const [a, b] = [rgb(getComputedStyle(element).color), ground(element)].map(light);
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.data.trim()]);
  }
  return found;
}"""


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM.exists():
        pytest.skip("needs a browser: install the Debian package chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def factory():
    return runpy.run_path(str(FACTORY))


@pytest.fixture(scope="module")
def run(factory, tmp_path_factory):
    return read_run(factory["write_run"](tmp_path_factory.mktemp("digits") / "run.sqlite"))


class Visit:
    """A page opened from disk; what it asked for and what went wrong is kept."""

    def __init__(self, browser, run, folder, **context):
        self.path = folder / "report.html"
        write_report(run, self.path)
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.requests, self.faults = [], []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.faults.append(message.text))
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.on("dialog", lambda dialog: self.faults.append(dialog.message))
        self.page.goto(self.path.as_uri())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()

    def hover_cell(self, layer, row, column, rows, columns):
        frame = self.page.locator(".heat img").nth(layer)
        frame.scroll_into_view_if_needed()
        box = frame.bounding_box()
        frame.hover(
            position={
                "x": box["width"] * (column + 0.5) / columns,
                "y": box["height"] * (row + 0.5) / rows,
            }
        )
        readout = self.page.locator(".heat .readout").nth(layer)
        readout.filter(has_text="unit").wait_for()
        return readout.inner_text()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_it_opens_from_disk_asks_for_nothing_and_logs_nothing(browser, run, tmp_path, theme, width):
    viewport = {"width": width, "height": 800}
    with Visit(browser, run, tmp_path, color_scheme=theme, viewport=viewport) as visit:
        page = visit.page
        page.locator(".chart canvas").nth(5).wait_for()
        assert page.title() == "digits – Relume report"
        assert [url for url in visit.requests if not url.startswith("data:image/png")] == [
            visit.path.as_uri()
        ]
        assert visit.faults == []
        assert page.locator(".heat img").evaluate_all("all => all.every(i => i.naturalWidth > 1)")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) > 380) == (theme == "light")
        page.locator("details").first.evaluate("details => details.open = true")
        weak = [found for found in page.evaluate(CONTRASTS) if found[0] < 4.5]
        assert weak == []


def test_the_heat_map_reads_out_the_record(browser, run, tmp_path):
    document = build_document(run)
    with Visit(browser, run, tmp_path) as visit:
        image = visit.page.locator(".heat img").first
        columns = image.evaluate("image => image.naturalWidth")
        for layer, row, window in ((0, 0, 55), (0, 64, 3), (1, 1, 10), (1, 127, 59), (2, 30, 30)):
            unit = document.layers[layer].heat.order[row]
            seen = run.windows[window]
            middle = (seen.first_step + seen.last_step) / 2 - 0.5
            column = int(middle / run.last_step * columns)
            text = visit.hover_cell(layer, row, column, 128, columns)
            fired = int(seen.layers[layer].activity.fired[unit])
            said = re.fullmatch(
                r"unit (\d+) · steps (\d+)–(\d+) · "
                r"(never fired|firing on about ([\d.]+) % of values) · n = 64 rows",
                text,
            )
            assert said, text
            assert [int(part) for part in said.groups()[:3]] == [
                unit,
                seen.first_step,
                seen.last_step,
            ]
            if fired == 0:
                assert said[4] == "never fired"
            else:
                assert float(said[5]) == pytest.approx(100 * fired / 64, abs=0.8)
        assert visit.faults == []


def test_rows_of_a_wide_layer_say_how_many_units_they_hold(browser, factory, tmp_path):
    training = factory["Training"](
        layers=(Layer("wide", "relu", 1030, True, "w"),), deaths={(0, 7): 1}, windows=3
    )
    run = read_run(factory["write_run"](tmp_path / "run.sqlite", training))
    with Visit(browser, run, tmp_path) as visit:
        text = visit.hover_cell(0, 343, 7, 344, 15)
        other = visit.hover_cell(0, 1, 7, 344, 15)
    assert text.startswith("1 unit (place 1,030 of 1,030 from the top) · steps 6–10 · firing on")
    assert other.startswith("3 units (places 4–6 of 1,030 from the top) · steps 6–10 · firing on")


def test_curves_read_out_the_record(browser, run, tmp_path):
    with Visit(browser, run, tmp_path) as visit:
        plot = visit.page.locator("[data-chart=loss] .plot")
        plot.focus()
        visit.page.keyboard.press("End")
        visit.page.keyboard.press("ArrowLeft")
        text = visit.page.locator("[data-chart=loss] .readout").inner_text()
        loss = run.windows[-1].loss
        values = [float(value) for value in re.findall(r"\d+\.\d+", text)]
        assert text.startswith("step 298 · training ")
        assert values == pytest.approx(
            [loss.mean, loss.least, loss.greatest, run.epochs[-1].validation_loss], rel=1e-3
        )
        plot.hover(position={"x": 200, "y": 100})
        flow = visit.page.locator("[data-chart=gradient] .readout")
        flow.filter(has_text="step").wait_for()
        assert all(layer.name in flow.inner_text() for layer in run.layers)
        button = visit.page.get_by_role("button", name="log scale")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        assert visit.faults == []


def test_the_keyboard_walks_through_the_cells(browser, run, tmp_path):
    with Visit(browser, run, tmp_path) as visit:
        visit.page.locator(".frame").nth(1).focus()
        readout = visit.page.locator(".heat .readout").nth(1)
        visit.page.keyboard.press("ArrowRight")
        readout.filter(has_text="unit 3 · steps 1–5 · never fired").wait_for()
        visit.page.keyboard.press("ArrowDown")
        readout.filter(has_text="unit 90 · steps 1–5 · firing").wait_for()


def test_hostile_names_stay_text(browser, factory, tmp_path):
    training = factory["Training"](
        layers=(Layer(HOSTILE, HOSTILE, 8, True, "w"),), deaths={}, windows=4
    )
    info = replace(
        factory["INFO"],
        data={"name": HOSTILE, "notes": [HOSTILE], HOSTILE: HOSTILE},
        result=factory["RESULT"] | {"metric": HOSTILE, "network": HOSTILE, "stopped": HOSTILE},
    )
    run = read_run(factory["write_run"](tmp_path / "run.sqlite", training, info=info))
    with Visit(browser, run, tmp_path) as visit:
        visit.page.locator(".chart canvas").nth(5).wait_for()
        visit.hover_cell(0, 0, 0, 8, 20)
        assert visit.page.evaluate("window.ran") is None
        assert visit.page.locator("img").count() == 2
        assert visit.page.locator(".layer h3").inner_text().startswith(HOSTILE)
        assert visit.faults == []


def test_no_foreign_script_would_run(browser, run, tmp_path):
    with Visit(browser, run, tmp_path) as visit:
        visit.page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.ran=1\">')"
        )
        visit.page.evaluate(
            "const script = document.createElement('script'); script.text = 'window.ran=1';"
            "document.body.append(script)"
        )
        visit.page.wait_for_timeout(200)
        assert visit.page.evaluate("window.ran") is None
        assert any("Content Security Policy" in fault for fault in visit.faults)


def test_without_script_the_pictures_and_words_remain(browser, run, tmp_path):
    with Visit(browser, run, tmp_path, java_script_enabled=False) as visit:
        assert visit.page.locator("noscript").inner_text().startswith("The curves need JavaScript")
        boxes = [image.bounding_box() for image in visit.page.locator(".heat img").all()]
        assert len(boxes) == 3
        assert all(box["height"] >= 96 and box["width"] > 500 for box in boxes)
        assert visit.page.get_by_text("3 of 384 units dead").is_visible()


def test_paper_is_white_in_every_theme(browser, run, tmp_path):
    with Visit(browser, run, tmp_path, color_scheme="dark") as visit:
        visit.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        visit.page.emulate_media(media="print", color_scheme="dark")
        assert visit.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
            "rgb(255, 255, 255)"
        )
        weak = [found for found in visit.page.evaluate(CONTRASTS) if found[0] < 4.5]
        assert weak == []
        visit.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert visit.faults == []


def test_an_unfinished_run_opens_too(browser, factory, tmp_path):
    path = factory["write_run"](tmp_path / "run.sqlite", ended=False, epochs=0)
    with Visit(browser, read_run(path), tmp_path) as visit:
        visit.page.locator("[data-chart=loss] canvas").wait_for()
        assert visit.page.locator("[data-chart=score]").inner_text().endswith("not observed")
        assert visit.page.get_by_text("The run has not said that it ended").is_visible()
        assert visit.faults == []


def test_a_change_of_theme_repaints_the_curves(browser, run, tmp_path):
    with Visit(browser, run, tmp_path, color_scheme="light") as visit:
        canvas = visit.page.locator("[data-chart=rate] canvas")
        canvas.wait_for()
        light = canvas.evaluate("canvas => canvas.toDataURL()")
        visit.page.emulate_media(color_scheme="dark")
        visit.page.wait_for_timeout(300)
        assert canvas.evaluate("canvas => canvas.toDataURL()") != light


@pytest.fixture(scope="module")
def watched_run(tmp_path_factory):
    watch_factory = runpy.run_path(str(FACTORY.with_name("watch_factory.py")))
    path = tmp_path_factory.mktemp("watched") / "run.sqlite"
    return read_run(watch_factory["write_watch_run"](path))


@pytest.mark.parametrize("width", [1280, 360])
def test_a_watched_training_opens_with_its_deaths_and_scores(browser, watched_run, tmp_path, width):
    with Visit(browser, watched_run, tmp_path, viewport={"width": width, "height": 800}) as visit:
        page = visit.page
        page.locator("[data-chart=metric-0] canvas").wait_for()
        deaths = page.locator("#deaths")
        assert deaths.get_by_text("37 units of relu(fc1) (train.py:12) died between").is_visible()
        assert page.locator("#unobserved li").all_inner_texts() == [
            "relu of torch.func (losses.py:9), 2,000 times",
            "lstm, 40 times",
        ]
        assert page.locator(".chart .absent").count() == 0
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert [found for found in page.evaluate(CONTRASTS) if found[0] < 4.5] == []
        assert visit.faults == []


def test_a_watched_training_reads_out_its_scores_and_saturated_units(
    browser, watched_run, tmp_path
):
    with Visit(browser, watched_run, tmp_path) as visit:
        plot = visit.page.locator("[data-chart=metric-0] .plot")
        plot.focus()
        visit.page.keyboard.press("End")
        readout = visit.page.locator("[data-chart=metric-0] .readout")
        value = watched_run.metrics[-1].value
        assert readout.inner_text() == f"step 2,000 · accuracy {value:.4f}"
        text = visit.hover_cell(2, 0, 190, 32, 200)
        assert text == "unit 5 · steps 1,901–1,910 · saturated throughout · n = 64 rows"
        assert "not saturated on about" in visit.hover_cell(2, 31, 190, 32, 200)
        assert visit.faults == []
