"""The live page in a real browser, served by a real process, written by others."""

import json
import os
import re
import runpy
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest

from relume.diagnosis.engine import diagnose
from relume.report.document import build_document
from relume.report.live.page import LivePage
from relume.report.live.rendering import Renderer
from relume.runs.query import read_run
from relume.runs.records import Layer
from relume.runs.store import RunWriter
from tests.integration.command_line import wait_for
from tests.integration.live_server import TOKEN, WATCH_FOR, LiveServer, LiveVisit

pytestmark = pytest.mark.browser

FACTORY = Path(__file__).parents[1] / "unit" / "report" / "run_factory.py"
HOSTILE = '</script><img src=x onerror="window.ran=1;alert(1)">{{7*7}}'

BROKEN_TRAINING = """
import pathlib
import time
import torch
from torch import nn

net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
x, y = torch.randn(64, 8), torch.randint(0, 2, (64,))
bad_steps = 0
while bad_steps < 150:
    loss = nn.functional.cross_entropy(net(x), y)
    if bad_steps or pathlib.Path("break-it").exists():
        if not bad_steps:
            pathlib.Path("broken-at").write_text(str(time.time()))
        bad_steps += 1
        loss = loss / 0.0
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
def factory():
    return runpy.run_path(str(FACTORY))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("place")


@pytest.fixture(scope="module")
def server(place):
    server = LiveServer(place)
    yield server
    if server.process.poll() is None:
        assert server.end() == 0


class Growing:
    """A run that grows by a window at every call."""

    def __init__(self, factory, folder, training=None, **info):
        folder.mkdir()
        self.training = training or factory["Training"](windows=120)
        self.windows = iter(self.training.windows())
        self.writer = RunWriter(folder / "run.sqlite")
        told = replace(factory["INFO"], status="running", result={})
        self.writer.update_info(replace(told, **info))
        self.writer.set_layers(self.training.layers)
        self.steps = 0

    def grow(self, windows=1):
        for _ in range(windows):
            window = next(self.windows)
            self.writer.write_window(window, [])
            self.steps = window.last_step
        return f"step {self.steps:,}"

    def end(self, status="finished"):
        self.writer.update_info(status=status)
        self.writer.close()


def status_of(address, **headers):
    request = urllib.request.Request(address, headers=headers)  # noqa: S310
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_only_the_address_that_was_printed_opens(server, place, factory):
    assert TOKEN in server.address
    root = f"http://127.0.0.1:{server.port}"
    assert status_of(server.address) == 200
    for wrong in ("/", "/runs", f"/{TOKEN}x/runs", "/favicon.ico"):
        assert status_of(root + wrong) == 403
    assert status_of(server.address, Host="evil.example") == 403
    assert status_of(f"{server.address}run/0123456789ab") == 404
    taken = subprocess.run(
        [sys.executable, "-m", "relume", "live", "--port", str(server.port)],
        cwd=place, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert taken.returncode == 2
    assert taken.stderr == (
        f"relume: port {server.port} of 127.0.0.1 cannot be used: address already in use; "
        "give --port another\n"
    )


def test_a_page_follows_its_run_and_leaves_the_reader_alone(server, place, factory, browser):
    run = Growing(factory, place / "followed")
    run.grow(60)
    wait_for(lambda: status_of(f"{server.address}runs") == 200)
    with LiveVisit(browser, f"{server.address}runs", color_scheme="dark") as visit:
        page = visit.page
        page.get_by_role("link", name="followed").click()
        page.locator("#live-bar[data-state=live]").wait_for()
        page.locator("#live-more", has_text="step 300").wait_for()
        page.locator("[data-chart=gradient] canvas").wait_for()
        log = page.locator("[data-chart=loss] figcaption button")
        log.click()
        picture = page.locator(".heat img").first.get_attribute("src")
        frame = page.locator(".frame").nth(1)
        frame.focus()
        page.keyboard.press("ArrowRight")
        assert page.evaluate("scrollY") > 100
        top = frame.bounding_box()["y"]
        for _ in range(5):
            page.locator("#live-more", has_text=run.grow()).wait_for()
        tiles = page.locator(".tiles").inner_text()
        assert page.locator(".heat img").first.get_attribute("src") != picture
        assert log.get_attribute("aria-pressed") == "true"
        assert abs(frame.bounding_box()["y"] - top) < 10
        assert page.evaluate("document.activeElement.matches('.frame')")
        assert page.locator(".heat .readout").nth(1).inner_text().startswith("unit ")
        assert page.locator(".chart canvas").count() == page.locator(".plot").count()
        run.end()
        page.locator("#live-bar[data-state=ended]").wait_for()
        assert page.locator("#live-said").inner_text() == "Training ended"
        assert "384 units" in tiles
        assert visit.strangers() == []
        assert visit.faults == []


def test_a_closed_list_stays_closed_and_a_silent_training_is_called_so(
    server, place, factory, browser
):
    training = factory["Training"](windows=120, deaths={(0, 1): 5, (0, 2): 9, (1, 4): 12})
    run = Growing(factory, place / "closed", training)
    run.grow(8)
    wait_for(lambda: status_of(f"{server.address}runs") == 200)
    with LiveVisit(browser, f"{server.address}runs") as visit:
        page = visit.page
        page.get_by_role("link", name="closed").click()
        page.locator("#live-more", has_text="step 40").wait_for()
        details = page.locator("#units details")
        before = details.evaluate_all("all => all.map((one) => (one.open = !one.open))")
        page.locator("#live-more", has_text=run.grow(30)).wait_for()
        after = details.evaluate_all("all => all.map((one) => one.open)")
        assert before
        assert after[: len(before)] == before
        an_hour_ago_s = time.time() - 3600
        for path in (place / "closed").iterdir():
            os.utime(path, (an_hour_ago_s, an_hour_ago_s))
        page.locator("#live-said", has_text="Waiting for the training").wait_for()
        page.locator("#live-more", has_text="step 190 · nothing new for 1 h").wait_for()
        assert visit.faults == []
    run.end("interrupted")


def test_hostile_names_stay_text_also_when_they_arrive_late(server, place, factory, browser):
    layers = (Layer(HOSTILE, HOSTILE, 8, True, "w"),)
    training = factory["Training"](layers=layers, deaths={}, windows=20)
    run = Growing(factory, place / "<img src=x onerror=alert(1)>", training, data={"name": HOSTILE})
    run.grow(2)
    with LiveVisit(browser, f"{server.address}runs") as visit:
        page = visit.page
        page.get_by_role("link", name="onerror").click()
        page.locator("#live-more", has_text="step 10").wait_for()
        run.writer.update_info(environment={HOSTILE: HOSTILE})
        page.locator("#live-more", has_text=run.grow(2)).wait_for()
        assert page.locator(".layer h3").first.inner_text().startswith(HOSTILE)
        assert page.locator("#details").inner_text().count(HOSTILE) >= 2
        assert page.locator("img[src=x]").count() == 0
        assert page.evaluate("window.ran") is None
        page.evaluate(
            "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"ran=1\">')"
        )
        page.wait_for_timeout(100)
        assert page.evaluate("window.ran") is None
        assert [fault for fault in visit.faults if "Content Security Policy" not in fault] == []
    run.end()


@pytest.fixture
def broken_training(place):
    (place / "broken.py").write_text(BROKEN_TRAINING)
    command = [sys.executable, "-m", "relume", "run", "--quiet", "--no-report", "broken.py"]
    with subprocess.Popen(command, cwd=place) as training:
        yield training
        training.terminate()


def test_a_finding_appears_within_two_seconds_of_its_step(server, place, browser, broken_training):
    wait_for(lambda: (place / "relume-broken" / "run.sqlite").exists())
    with LiveVisit(browser, f"{server.address}runs") as visit:
        page = visit.page
        page.get_by_role("link", name="relume-broken").click()
        page.locator("#live-bar[data-state=live]").wait_for()
        page.evaluate(WATCH_FOR, "not finite")
        assert "not finite" not in page.locator("main").inner_text()
        (place / "break-it").touch()
        page.locator("#findings").get_by_text("not finite").first.wait_for()
        seen_at_s = page.evaluate("seenAt['not finite']") / 1000
        broken_at_s = float((place / "broken-at").read_text())
        assert 0 < seen_at_s - broken_at_s <= 2
        page.locator("#live-bar[data-state=ended]").wait_for(timeout=60_000)
        assert visit.faults == []
    assert broken_training.wait(timeout=60) == 0


def test_runs_stand_in_a_list_and_two_side_by_side(server, place, factory, browser):
    one, other = (Growing(factory, place / name) for name in ("left", "right"))
    one.grow(10)
    other.grow(20)
    with LiveVisit(browser, f"{server.address}runs", viewport={"width": 1500, "height": 900}) as (
        visit
    ):
        page = visit.page
        rows = {name: page.locator("tr", has=page.get_by_role("link", name=name, exact=True))
                for name in ("left", "right")}  # fmt: skip
        rows["right"].get_by_text("100", exact=True).wait_for()
        rows["left"].get_by_text("running").wait_for()
        box = rows["left"].get_by_role("checkbox")
        box.focus()
        page.keyboard.press("Space")
        one.grow(2)
        rows["left"].get_by_text("60", exact=True).wait_for()
        assert box.is_checked()
        assert page.evaluate("document.activeElement.type") == "checkbox"
        link = page.get_by_role("link", name="See the two side by side")
        assert link.is_hidden()
        rows["right"].get_by_role("checkbox").check()
        link.click()
        frames = [page.frame_locator("iframe").nth(i) for i in range(2)]
        for frame in frames:
            frame.locator("#live-bar[data-state=live]").wait_for()
            frame.locator("[data-chart=loss] canvas").wait_for()
        said = {frame.locator("#live-more").inner_text().split(" · ")[0] for frame in frames}
        assert said == {"step 60", "step 100"}
        left, right = (page.locator("iframe").nth(i).bounding_box() for i in range(2))
        assert left["x"] + left["width"] <= right["x"]
        assert left["y"] == right["y"]
        assert visit.strangers() == []
        assert visit.faults == []
    one.end()
    other.end()


REPLAY = """() => {
  window.requestAnimationFrame = (draw) => setTimeout(draw, 0);
  window.EventSource = class {
    constructor() { this.on = {}; window.source = this; }
    addEventListener(kind, listener) { this.on[kind] = listener; }
    close() {}
  };
  window.replay = async (times) => {
    for (let i = 0; i < times; i += 1) {
      const message = window.messages[i % window.messages.length];
      window.source.on.change({ data: message, lastEventId: `x-${i}` });
      await new Promise((done) => setTimeout(done, 0));
    }
  };
}"""

UPDATES = 240
"""Four minutes, at the one a second that a training brings; all of an hour is as flat."""


def test_updates_leave_memory_flat(server, factory, place, browser, tmp_path):
    run = Growing(factory, place / "long", factory["Training"](windows=40))
    renderer, page, messages = Renderer(), LivePage("x"), []
    for _ in range(40):
        run.grow()
        record = read_run(place / "long")
        page.put(renderer.contents(build_document(record, diagnose(record))))
        messages.append(json.dumps(replace_steps(page.message(f"x-{page.number - 1}"))))
    run.end()
    with LiveVisit(browser, f"{server.address}runs") as visit:
        visit.context.add_init_script(f"({REPLAY})()")
        tab = visit.page
        tab.get_by_role("link", name="long").click()
        tab.locator("[data-chart=gradient] canvas").wait_for()
        tab.evaluate("(messages) => { window.messages = messages; }", messages)
        session = visit.context.new_cdp_session(tab)
        session.send("Performance.enable")
        used = []
        for _ in range(4):
            tab.evaluate(f"replay({UPDATES // 4})")
            used.append(memory(session))
        assert visit.faults == []
    first, last = used[0], used[-1]
    assert last["JSHeapUsedSize"] < 1.1 * first["JSHeapUsedSize"]
    assert last["Nodes"] <= first["Nodes"] + 100
    assert last["JSEventListeners"] <= first["JSEventListeners"] + 20


def replace_steps(message):
    """The same message for a page that is replayed over and over: time never goes back."""
    return message | {"steps": 1000}


def memory(session):
    for _ in range(2):
        session.send("HeapProfiler.collectGarbage")
    found = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
    return {name: found[name] for name in ("JSHeapUsedSize", "Nodes", "JSEventListeners")}


def test_a_server_that_comes_back_is_found_again(place, factory, browser, tmp_path):
    run = Growing(factory, tmp_path / "lasting")
    run.grow(5)
    server = LiveServer(tmp_path)
    with LiveVisit(browser, server.address) as visit:
        page = visit.page
        page.locator("#live-more", has_text="step 25").wait_for()
        assert server.end() == 0
        page.locator("#live-said", has_text="Connection lost, retrying").wait_for()
        text = run.grow()
        again = LiveServer(tmp_path, "--port", server.port)
        page.locator("#live-more", has_text=text).wait_for()
        assert page.locator("#live-said").inner_text() == "Live"
        assert all(re.search("ERR_|EventSource", fault) for fault in visit.faults)
    assert again.end() == 0
    run.end()
