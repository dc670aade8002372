"""The server of the live page: this machine only, and only for those who know the token."""

import asyncio
import json
import re
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING

import uvicorn
from sse_starlette import EventSourceResponse
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from relume.errors import OutputError

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

    from relume.report.live.feed import Feed, Followed
    from relume.report.live.rendering import Answer, Renderer

HOST = "127.0.0.1"
USUAL_PORT = 8421
OWN_NAMES = frozenset({"127.0.0.1", "localhost", "[::1]"})
"""What a browser may call this machine: a page of another name that leads here is an attack."""

_HOST = re.compile(r"(.*?)(?::\d+)?")

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Guard:
    """Lets a request through if it was sent to this machine by name and begins with the token.

    The rest of its path is what the application sees.

    Args:
        app: The application.
        token: What every path begins with.
    """

    def __init__(self, app: "ASGIApp", token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Answer a request, or have it answered."""
        if not self._is_allowed(scope):
            refused = PlainTextResponse(
                "403: this page is for who started relume live; open the address that it printed",
                status_code=403,
                headers=HEADERS,
            )
            await refused(scope, receive, send)
            return
        _, _, rest = scope["path"].removeprefix("/").partition("/")
        await self._app({**scope, "path": f"/{rest}", "raw_path": None}, receive, send)

    def _is_allowed(self, scope: "Scope") -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        named = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        given = scope["path"].removeprefix("/").partition("/")[0]
        is_known = secrets.compare_digest(given.encode(), self._token)
        return is_known and named is not None and named[1] in OWN_NAMES


class Pages:
    """The list of runs, a run, two runs, and the changes of each.

    Args:
        feed: What is shown.
        renderer: Makes pages of it.
        root: What every address begins with.
    """

    def __init__(self, feed: "Feed", renderer: "Renderer", root: str) -> None:
        self._feed = feed
        self._renderer = renderer
        self._root = root

    async def start(self, _: Request) -> Response:
        """Lead to the one run there is, or to the list."""
        keys = list(self._feed.runs)
        place = f"run/{keys[0]}" if len(keys) == 1 else "runs"
        return RedirectResponse(f"{self._root}/{place}", headers=HEADERS)

    async def runs(self, _: Request) -> Response:
        """Answer with the list."""
        return _page(self._renderer.page_of_list(self._feed.overview))

    async def run(self, request: Request) -> Response:
        """Answer with the page of a run."""
        followed = self._followed(request, "key")
        page = await self._feed.first_contents(followed)
        return _page(self._renderer.page_of_run(page, followed.run.name))

    async def two(self, request: Request) -> Response:
        """Answer with two runs side by side."""
        both = [self._followed(request, side) for side in ("left", "right")]
        keys, names = [each.key for each in both], [each.run.name for each in both]
        return _page(self._renderer.page_of_two(keys, names))

    async def run_events(self, request: Request) -> Response:
        """Go on with what changes on the page of a run."""
        return _stream(self._feed, self._followed(request, "key"), request)

    async def list_events(self, request: Request) -> Response:
        """Go on with what changes in the list."""
        return _stream(self._feed, None, request)

    def _followed(self, request: Request, side: str) -> "Followed":
        run = self._feed.runs.get(request.path_params[side])
        if run is None:
            raise HTTPException(404, "no such run; it may have been removed")
        return run


def build_app(feed: "Feed", renderer: "Renderer", token: str) -> "ASGIApp":
    """Return the application, behind its token."""
    pages = Pages(feed, renderer, f"/{token}")
    routes = [
        Route("/", pages.start),
        Route("/runs", pages.runs),
        Route("/runs/events", pages.list_events),
        Route("/run/{key}", pages.run),
        Route("/run/{key}/events", pages.run_events),
        Route("/two/{left}/{right}", pages.two),
    ]
    return Guard(Starlette(routes=routes), token)


def _page(answer: "Answer") -> Response:
    return HTMLResponse(answer.html, headers={**HEADERS, "Content-Security-Policy": answer.policy})


def _stream(feed: "Feed", followed: "Followed | None", request: Request) -> Response:
    seen = request.query_params.get("seen", "")

    async def events() -> AsyncIterator[dict[str, str]]:
        async for place, message in feed.changes(followed, seen):
            yield {"event": "change", "id": place, "data": json.dumps(message, allow_nan=False)}

    return EventSourceResponse(events(), headers=HEADERS)


def bind(port: int | None) -> socket.socket:
    """Return a socket on this machine: on the port given, else on the usual one or a free one.

    Raises:
        OutputError: If the port is taken, or not for everybody to take.
    """
    wanted = [port] if port is not None else [USUAL_PORT, 0]
    for number in wanted:
        bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, number))
            bound.listen(64)
        except OSError as error:
            bound.close()
            reason = (error.strerror or str(error)).lower()
        else:
            return bound
    raise OutputError(f"port {wanted[0]} of {HOST} cannot be used: {reason}; give --port another")


async def serve(app: "ASGIApp", feed: "Feed", bound: socket.socket) -> None:
    """Serve until Ctrl-C or a request to end."""
    config = uvicorn.Config(
        app,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=1,
        limit_concurrency=100,
    )
    work = asyncio.create_task(feed.work())
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[bound]))
    try:
        done, _ = await asyncio.wait({work, serving}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        work.cancel()
        server.should_exit = True
        with suppress(asyncio.CancelledError):
            await asyncio.gather(work, serving, return_exceptions=True)
