"""What the server shows: every run that is followed, read anew when it has changed."""

import asyncio
import hashlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relume.report.live.cards import Card, card_of
from relume.report.live.finding_runs import named_run, runs_under, written_at_ns
from relume.report.live.page import Contents, LivePage
from relume.report.live.reading import GrowingRun, Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from relume.report.live.rendering import Renderer

TICK_S = 0.1
"""Between two looks at the files of a run that is shown, and between two messages to a browser."""

LOOK_AROUND_S = 1.0
"""Between two looks at the files of a run that stands in the list only, and for new runs."""

KEPT_S = 60.0
"""The contents of a page are kept for so long after the last browser has left it."""

KEY_LETTERS = 12


@dataclass(slots=True)
class Followed:
    """One run: its files, its line in the list, its page, and how many browsers show that."""

    run: GrowingRun
    key: str
    page: LivePage
    card: Card
    watchers: int = 0
    left_at_s: float = field(default_factory=time.monotonic)
    looked_at_s: float = 0.0

    def is_due(self, now_s: float, *, is_listed: bool) -> bool:
        """Whether it should be read: it is shown and has changed, or was not read for it yet."""
        if self.watchers:
            return self.page.contents is None or self.run.has_changed
        if not is_listed or now_s - self.looked_at_s < LOOK_AROUND_S:
            return False
        self.looked_at_s = now_s
        return self.run.has_changed


class Feed:
    """Follows runs, for a server with one event loop; reading is done in one thread beside it.

    Args:
        named: The runs to follow; none: all that are found below ``folder``, also later.
        folder: Where the person is.
        renderer: Makes HTML of what was read.

    Attributes:
        runs: By their key in addresses, in the order of the list.
        overview: The page with the list.
    """

    def __init__(self, named: Sequence[Path], folder: Path, renderer: "Renderer") -> None:
        self.runs: dict[str, Followed] = {}
        self._edition = secrets.token_hex(4)
        self.overview = LivePage(self._edition)
        self.list_watchers = 0
        self._folder = folder
        self._renderer = renderer
        self._searches = not named
        self._changed = asyncio.Event()
        self._pace = Pace()
        self._search_at_s = 0.0
        self._add(named or runs_under(folder))

    def _add(self, paths: Sequence[Path]) -> None:
        """Follow further runs, in front of those that are followed."""
        new: dict[str, Followed] = {}
        for path in paths:
            key = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:KEY_LETTERS]
            if key not in self.runs:
                name = _name(path, self._folder)
                written_at_s = written_at_ns(path) / 1e9
                card = Card(name=name, key=key, written_at_s=written_at_s)
                new[key] = Followed(GrowingRun(path, name), key, LivePage(self._edition), card)
        self.runs = new | self.runs
        self._put_list()

    async def work(self) -> None:
        """Read what is due, for as long as the server runs."""
        while True:
            now_s = time.monotonic()
            if self._searches and now_s >= self._search_at_s:
                await self._search()
            due = self._next(now_s) if self._pace.is_ready(now_s) else None
            if due is None:
                await asyncio.sleep(TICK_S)
                continue
            cost_s = await asyncio.to_thread(self._read, due)
            self._pace.note(cost_s=cost_s, now_s=time.monotonic())
            self._put_list()
            self._tell()

    async def _search(self) -> None:
        began_s = time.thread_time()
        found = await asyncio.to_thread(runs_under, self._folder)
        there = set(found)
        self.runs = {
            key: each for key, each in self.runs.items() if each.watchers or each.run.path in there
        }
        self._add(found)
        took_s = time.thread_time() - began_s
        self._search_at_s = time.monotonic() + max(LOOK_AROUND_S, 50 * took_s)
        self._tell()

    def _next(self, now_s: float) -> Followed | None:
        """Return the run to read next: shown ones first, of these the one that waits longest."""
        due = [each for each in self.runs.values() if each.is_due(now_s, is_listed=self.is_listed)]
        for each in self.runs.values():
            if not each.watchers and now_s - each.left_at_s > KEPT_S:
                each.page.contents = None
        return min(due, key=lambda each: (not each.watchers, each.looked_at_s), default=None)

    @property
    def is_listed(self) -> bool:
        """Whether a browser shows the list."""
        return self.list_watchers > 0

    def _read(self, followed: Followed) -> float:
        """Read a run and render it where it is shown; return the CPU seconds that took."""
        began_s = time.thread_time()
        run, page = followed.run, followed.page
        followed.looked_at_s = time.monotonic()
        document = run.read()
        if document is None:
            before = page.contents or Contents({})
            page.put(replace(before, note=run.fault))
            followed.card = replace(followed.card, gravest=run.fault)
        else:
            followed.card = card_of(
                document, name=run.name, key=followed.key, written_at_s=run.written_at_s
            )
            if followed.watchers:
                page.put(self._renderer.contents(document))
        return time.thread_time() - began_s

    def _put_list(self) -> None:
        cards = [each.card for each in self.runs.values()]
        self.overview.put(self._renderer.list_of(cards, str(self._folder)))

    def _tell(self) -> None:
        """Wake all that wait for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    @contextmanager
    def watching(self, followed: Followed | None) -> "Iterator[LivePage]":
        """Show a run, or the list if None, until the block ends."""
        if followed is None:
            self.list_watchers += 1
        else:
            followed.watchers += 1
        try:
            yield self.overview if followed is None else followed.page
        finally:
            if followed is None:
                self.list_watchers -= 1
            else:
                followed.watchers -= 1
                followed.left_at_s = time.monotonic()

    async def first_contents(self, followed: Followed) -> LivePage:
        """Return the page of a run once there is something to show on it."""
        with self.watching(followed) as page:
            while page.contents is None:
                await self._changed.wait()
        return page

    async def changes(
        self, followed: Followed | None, seen: str
    ) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """Yield what changes on a page, from a place on: at most ten times a second."""
        with self.watching(followed) as page:
            while True:
                changed = self._changed
                message = page.message(seen)
                if message is None:
                    await changed.wait()
                    continue
                seen = page.place
                yield seen, message
                await asyncio.sleep(TICK_S)


def _name(path: Path, folder: Path) -> str:
    """Return what a run is called: its folder as seen from where the person is."""
    path, folder = path.absolute(), folder.absolute()
    if path == folder:
        return path.name
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def named_runs(paths: Sequence[Path]) -> list[Path]:
    """Return the runs that a person names, each once.

    Raises:
        RunFileError: If one of them is not there.
    """
    return list(dict.fromkeys(named_run(path) for path in paths))
