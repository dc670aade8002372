import asyncio
import itertools
import shutil
import time

import pytest

from relume.report.live.feed import Feed
from relume.report.live.rendering import Renderer
from relume.report.live.server import Guard
from relume.runs.store import RunWriter


@pytest.fixture(scope="module")
def renderer():
    return Renderer()


@pytest.fixture
def two_runs(digits_file, tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        shutil.copy(digits_file, tmp_path / name / "run.sqlite")
    return tmp_path


def following(feed, task):
    """Run a task beside the feed's work, for at most ten seconds."""

    async def together():
        work = asyncio.create_task(feed.work())
        try:
            return await asyncio.wait_for(task, 10)
        finally:
            work.cancel()

    return asyncio.run(together())


def test_only_what_is_shown_is_read(renderer, two_runs):
    feed = Feed([], two_runs, renderer)
    first = next(each for each in feed.runs.values() if each.run.name == "first")
    second = next(each for each in feed.runs.values() if each.run.name == "second")

    async def open_first():
        page = await feed.first_contents(first)
        await asyncio.sleep(0.3)
        return page

    page = following(feed, open_first())
    assert page.contents.steps == 300
    assert first.card.status == "finished"
    assert second.page.contents is None
    assert second.card.status == "not read yet"


def test_the_list_reads_all_runs_and_takes_up_new_ones(renderer, two_runs, digits_file):
    feed = Feed([], two_runs, renderer)

    async def watch_list():
        seen = []
        async for _, message in feed.changes(None, ""):
            seen.append(message["changed"].get("runs", ""))
            rows = seen[-1].count("<tr data-key")
            if rows == 2 and seen[-1].count("status-good") == 2:
                (two_runs / "third").mkdir()
                shutil.copy(digits_file, two_runs / "third" / "run.sqlite")
            if rows == 3 and seen[-1].count("status-good") == 3:
                return seen
        return None

    seen = following(feed, watch_list())
    assert seen[0].count("not read yet") == 2
    assert seen[-1].index(">third<") < seen[-1].index(">first<")  # the newest comes first
    assert all(each.page.contents is None for each in feed.runs.values())


def test_messages_come_at_most_ten_times_a_second(renderer, factory, tmp_path):
    training = factory.Training(windows=200)
    writer = RunWriter(tmp_path / "run.sqlite")
    writer.update_info(factory.replace(factory.INFO, status="running", result={}))
    writer.set_layers(training.layers)
    feed = Feed([tmp_path], tmp_path, renderer)
    (followed,) = feed.runs.values()
    came = []

    async def watch():
        async for _, message in feed.changes(followed, ""):
            came.append((time.monotonic(), message))
            if message["steps"] == 1000:
                return

    async def write():
        for window in training.windows():
            await asyncio.to_thread(writer.write_window, window, [])

    async def both():
        await asyncio.gather(watch(), write())

    following(feed, both())
    writer.close()
    times = [at_s for at_s, _ in came]
    assert 2 <= len(came) < 100  # 200 windows were written
    assert min(b - a for a, b in itertools.pairwise(times)) > 0.09
    assert "data" in came[-1][1]
    assert "gradients" not in came[-1][1]["changed"]  # what did not change is not sent


def answer(guard, path, host=b"127.0.0.1:8421"):
    sent = []

    async def send(message):
        sent.append(message)

    headers = [(b"host", host)] if host else []
    scope = {"type": "http", "path": path, "headers": headers, "method": "GET"}
    asyncio.run(guard(scope, None, send))
    return sent[0]["status"] if sent else scope


@pytest.mark.parametrize(
    ("path", "host", "is_let_in"),
    [
        ("/secret/runs", b"127.0.0.1:8421", True),
        ("/secret", b"localhost", True),
        ("/secret/", b"[::1]:9000", True),
        ("/", b"127.0.0.1", False),
        ("/runs", b"127.0.0.1", False),
        ("/secret2/runs", b"127.0.0.1", False),
        ("/sécret/runs", b"127.0.0.1", False),
        ("//secret/runs", b"127.0.0.1", False),
        ("/secret/runs", b"evil.example:8421", False),
        ("/secret/runs", b"127.0.0.1.evil.example", False),
        ("/secret/runs", b"localhost@evil.example", False),
        ("/secret/runs", b"", False),
    ],
)
def test_only_who_knows_the_token_gets_in_and_only_by_this_machines_name(path, host, is_let_in):
    reached = []

    async def app(scope, receive, send):
        reached.append(scope["path"])

    status = answer(Guard(app, "secret"), path, host)
    assert (reached == [path.removeprefix("/secret") or "/"]) == is_let_in
    assert (status == 403) != is_let_in
