import base64
import hashlib
import io
import json
import re
import time
from html.parser import HTMLParser
from importlib.resources import files

import numpy as np
import pytest
from PIL import Image

from relume.errors import OutputError
from relume.report import heatmap
from relume.report.document import build_document
from relume.report.html import MOST_BYTES, render_page, write_report
from relume.runs.query import Run
from relume.runs.records import (
    NEVER,
    Epoch,
    Layer,
    LayerWindow,
    Lifetimes,
    Moments,
    RunInfo,
    UnitActivity,
    Window,
)


class Page(HTMLParser):
    """Every element with its attributes, and the text of every element that holds raw text."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.raw, self.text = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        if self.cdata_elem in {"script", "style"}:
            self.raw.append((*self.elements[-1], data))
        else:
            self.text.append(data)

    def raw_of(self, tag, kind=None):
        return [data for name, given, data in self.raw if name == tag and given.get("type") == kind]

    def data(self):
        return json.loads("".join(self.raw_of("script", "application/json")))


@pytest.fixture(scope="module")
def digits_page(digits_document):
    return Page(render_page(digits_document))


def wide_run(tmp_path, layers, units, windows, *, name="block.{}.activation", text=""):
    """Noise everywhere: nothing of it can be compressed."""
    rng = np.random.default_rng(0)
    zero = np.zeros(units)

    def layer_window():
        fired = rng.integers(0, 64, units, np.int16)
        seen = UnitActivity(64, 64, fired, zero, zero, 64, zero)
        return LayerWindow(seen, Moments.of(rng.random()), Moments.of(rng.random() * 1e-3))

    recorded = tuple(
        Window(
            10 * i + 1, 10 * i + 10, 1, Moments.of(rng.random()), rng.random(),
            tuple(layer_window() for _ in range(layers)),
        )
        for i in range(windows)
    )  # fmt: skip
    lives = tuple(
        Lifetimes(rng.integers(1, 10 * windows, units), np.full(units, NEVER), zero.astype(int))
        for _ in range(layers)
    )
    epochs = tuple(Epoch(e, 3 * e, *rng.random(4).tolist(), units, units) for e in range(1, 801))
    info = RunInfo(
        settings={f"{text}{i}": text * 9 for i in range(99)},
        data={"notes": [text * 99] * 99, "classes": [text] * 999},
        environment={f"{text}{i}": text * 9 for i in range(99)},
        result={"score": 0.5, "network": "\n".join([text * 9] * 999)},
    )
    return Run(
        tmp_path / "run.sqlite", info,
        tuple(Layer(name.format(i), "relu", units, True, f"linear {i}") for i in range(layers)),
        recorded, epochs, lives, tuple(part.activity for part in recorded[-1].layers),
    )  # fmt: skip


def test_the_page_says_what_it_is(digits_page, digits_document):
    names = [tag for tag, _ in digits_page.elements]
    metas = [given for tag, given in digits_page.elements if tag == "meta"]
    assert digits_page.elements[0] == ("html", {"lang": "en"})
    assert {"charset": "utf-8"} in metas
    assert any(given.get("name") == "viewport" for given in metas)
    assert names.count("h1") == names.count("title") == names.count("main") == 1
    text = "".join(digits_page.text)
    assert "digits – Relume report" in text
    assert f"{digits_document.headline}." in text
    for said in (*digits_document.comparisons, *digits_document.measurement):
        assert said in text
    assert "3 columns hold one value only and were left out" in text


def test_the_page_refers_to_nothing_outside(digits_page):
    links = [
        (name, value)
        for _, given in digits_page.elements
        for name, value in given.items()
        if name in {"src", "href", "srcset", "action", "data", "poster", "background", "xlink:href"}
    ]
    assert len(links) > 5
    assert all(value.startswith(("data:image/png;base64,", "#")) for _, value in links)
    assert not any(name.startswith("on") for _, given in digits_page.elements for name in given)
    styles = "".join(digits_page.raw_of("style"))
    assert "url(" not in styles
    assert "@import" not in styles
    own = (files("relume.report") / "templates" / "page.js").read_text()
    assert not re.search(r"fetch\(|XMLHttpRequest|import\(|WebSocket|EventSource|https?:", own)


def test_the_policy_allows_the_two_scripts_of_the_page_and_no_other(digits_page):
    (policy,) = [
        given["content"]
        for tag, given in digits_page.elements
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
    scripts = digits_page.raw_of("script")
    assert len(scripts) == 2
    for script in scripts:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


def test_the_licence_of_the_chart_library_comes_with_it(digits_page):
    licence = (files("relume.report") / "templates/vendor/uPlot.LICENSE.txt").read_text()
    assert licence in digits_page.raw_of("script")[0]
    assert "The MIT License" in licence


def test_the_page_holds_the_data_of_the_document(digits_page, digits_document):
    page, document = digits_page.data(), json.loads(digits_document.to_json())
    for name in ("window_curves", "epoch_curves", "columns", "steps"):
        assert page[name] == document[name]
    assert len(page["layers"]) == len(document["layers"]) == 3
    for shown, layer in zip(page["layers"], document["layers"], strict=True):
        assert shown["name"] == layer["summary"]["name"]
        assert shown["gradient_norm"] == layer["gradient_norm"]
        assert shown["update_ratio"] == layer["update_ratio"]
        assert shown["order"] == layer["heat"]["order"]
        assert page["row_counts"][shown["rows"]] == layer["heat"]["rows"]


def test_the_pictures_hold_the_rates_of_the_document(digits_page, digits_document):
    sources = [
        given["src"]
        for tag, given in digits_page.elements
        if tag == "img" and "height:" in given.get("style", "")
    ]
    assert len(sources) == 3
    for source, part in zip(sources, digits_document.layers, strict=True):
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        cells = np.asarray(image).astype(float)
        rates = np.asarray(part.heat.rates)
        assert cells.shape[0] == len(rates)
        shown = heatmap.pixel_columns(digits_document.columns, cells.shape[1])
        expected = rates[:, shown]
        assert ((cells == heatmap.SILENT) == (expected == 0)).all()
        fires = expected > 0
        read = ((cells[fires] - heatmap.RAMP_START) / heatmap.LEVELS) ** 2
        assert np.abs(np.sqrt(read) - np.sqrt(expected[fires])).max() <= 0.51 / heatmap.LEVELS


@pytest.mark.parametrize(
    ("layers", "units", "windows", "name", "courses"),
    [
        (60, 2048, 256, "block.{}.activation", 8),
        (1, 4096, 256, "activation", 1),
        (500, 16, 40, "encoder.blocks.{}.feed_forward.activation", 30),
        (70, 64, 80, "{}" + "\"<😀&'" * 40, 8),
    ],
)
def test_no_run_makes_a_page_of_more_than_500_kb(tmp_path, layers, units, windows, name, courses):
    run = wide_run(tmp_path, layers, units, windows, name=name, text='"<ü' * 9)
    started_s = time.process_time()
    page = render_page(build_document(run))
    assert time.process_time() - started_s < 10
    assert len(page.encode()) <= MOST_BYTES
    data = Page(page).data()
    assert courses <= len(data["layers"]) <= 60
    assert min(layers, 30) <= len(data["cells"]) <= 60
    if layers > 60:
        assert f"{layers - len(data['cells'])} more layers" in page


def test_neighbours_are_drawn_together_in_wide_layers_and_it_is_said(tmp_path):
    run = wide_run(tmp_path, 2, 1000, 3)
    page = render_page(build_document(run))
    assert [layer["units_per_row"] for layer in Page(page).data()["layers"]] == [2, 2]
    assert "in wide layers the mean of up to 2 neighbours" in page


HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_names_cannot_become_markup(tmp_path):
    run = wide_run(tmp_path, 2, 4, 3, name=HOSTILE + "{}", text=HOSTILE)
    page = Page(render_page(build_document(run)))
    assert page.data()["layers"][0]["name"].startswith(HOSTILE)
    assert len(page.raw_of("script")) == 2
    images = [given for tag, given in page.elements if tag == "img"]
    assert len(images) == 4  # of each layer its units, and their course
    assert all(given["src"].startswith("data:") for given in images)


def test_a_run_that_was_killed_is_reported(killed_run, tmp_path):
    write_report(killed_run, tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    text = "".join(page.text)
    assert "No test score: the run has not ended, or was killed" in text
    assert "The run has not said that it ended" in text
    assert "Validation score" in text
    assert text.count("not observed") >= 3


def test_an_empty_run_is_reported(tmp_path):
    run = Run(tmp_path / "run.sqlite", RunInfo(), (), (), (), (), ())
    page = render_page(build_document(run))
    text = "".join(Page(page).text)
    assert "No unit was observed." in text
    assert "Test score: not observed." in text
    assert Page(page).data()["layers"] == []


def test_a_run_with_an_examination_alone_lists_its_layers(digits_run):
    run = Run(
        digits_run.path, digits_run.info, digits_run.layers, (), (), digits_run.lifetimes,
        digits_run.examination,
    )  # fmt: skip
    page = render_page(build_document(run))
    assert page.count("Course over the training: not observed.") == 3
    assert "3 of 384 units dead" in page


def test_the_report_is_whole_or_absent(digits_run, tmp_path, monkeypatch):
    target = tmp_path / "report.html"
    target.write_text("old")
    monkeypatch.setattr(
        "relume.report.html.Path.replace",
        lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")),
    )
    with pytest.raises(OutputError, match="cannot write .*report.html: no space left on device"):
        write_report(digits_run, target)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_place_that_cannot_be_written_is_named(digits_run, tmp_path):
    with pytest.raises(OutputError, match="nowhere"):
        write_report(digits_run, tmp_path / "nowhere" / "report.html")


def variables(css, dark):
    light, _, rest = css.partition("@media screen and (prefers-color-scheme: dark)")
    found = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6,8})", light))
    if dark:
        found |= dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6,8})", rest))
    return found


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    high, low = sorted((luminance(a), luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_and_lines_are_told_from_their_ground(dark):
    colour = variables((files("relume.report") / "templates/page.css").read_text(), dark)
    grounds = [colour["paper"], colour["card"]]
    for ground in grounds:
        for name in ("ink", "muted", "accent", "silent"):  # WCAG 2.2, 1.4.3 (AA, text)
            assert contrast(colour[name], ground) >= 4.5, name
        for name in ("training", "validation", "score", "depth-0", "depth-1", "depth-2"):
            assert contrast(colour[name], ground) >= 3, name  # 1.4.11 (AA, graphics)
    for tone in ("good", "warn", "bad"):
        assert contrast(colour[tone], colour[f"{tone}-paper"]) >= 4.5, tone
    assert contrast(colour["card"], colour["accent"]) >= 4.5
