"""``relume live``: the report's page, or a table in the terminal, while trainings run."""

import os
import re
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from relume.cli.browser import open_address
from relume.errors import SettingsError

TOKEN = "RELUME_LIVE_TOKEN"  # noqa: S105
"""Environment variable with a token of the person's own, so that addresses stay the same."""


def live(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]...",
            help="Run files, or folders that hold them. [default: all below this folder]",
            show_default=False,
        ),
    ] = None,
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Port of 127.0.0.1. [default: 8421, or a free one]"),
    ] = None,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Show one run here, in the terminal: no server.")
    ] = False,
) -> None:
    """Follow trainings as they run: the page of their report, always up to date, until Ctrl-C.

    Only this machine can open the page, and only with the address that is printed. From another
    one: ssh -L 8421:127.0.0.1:8421 MACHINE. Reads the run files and nothing else: a training need
    not know of it. RELUME_LIVE_TOKEN=... keeps the address the same from time to time.
    """
    from relume.report.live.feed import named_runs

    named = named_runs(runs or [])
    with suppress(KeyboardInterrupt):  # how it is meant to end
        if terminal:
            _follow_here(named)
        else:
            _serve(named, port, open_page=open_page)


def _serve(named: list[Path], port: int | None, *, open_page: bool) -> None:
    import asyncio

    from relume.report.live.feed import Feed
    from relume.report.live.rendering import Renderer
    from relume.report.live.server import HOST, bind, build_app, serve

    token = _token()
    with bind(port) as bound:
        renderer = Renderer()
        feed = Feed(named, Path.cwd(), renderer)
        address = f"http://{HOST}:{bound.getsockname()[1]}/{token}/"
        found = f"{len(feed.runs)} run{'s' * (len(feed.runs) != 1)}"
        sys.stderr.write(f"relume: {found}, live at {address} (Ctrl-C ends it)\n")
        if open_page:
            open_address(address)
        asyncio.run(serve(build_app(feed, renderer, token), feed, bound))


def _token() -> str:
    import secrets

    given = os.environ.get(TOKEN)
    if given is None:
        return secrets.token_urlsafe(16)
    if not re.fullmatch(r"[A-Za-z0-9_-]{16,200}", given):
        raise SettingsError(
            f"{TOKEN} needs 16 to 200 letters, digits, - or _; got {len(given)} characters"
        )
    return given


def _follow_here(named: list[Path]) -> None:
    from relume.errors import RunFileError
    from relume.report.live.finding_runs import runs_under
    from relume.report.live.terminal import follow

    runs = named or runs_under(Path.cwd())
    if not runs:
        raise RunFileError(
            f"there is no run below {Path.cwd()}; start one with relume run train.py"
        )
    if len(named) > 1:
        raise SettingsError(f"--terminal shows one run; got {len(named)}")
    follow(runs[0])
