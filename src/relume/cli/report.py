"""``relume report``: a run file becomes one HTML file, or JSON."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from relume.cli.browser import open_in_browser

PAGE = "report.html"


def report(
    run: Annotated[Path, typer.Argument(help="A run file, or a folder that holds run.sqlite.")],
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the page goes. [default: report.html by the run]"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the data as JSON; a page only with --out.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a recorded training: a summary here, and everything in one HTML file.

    The file needs no server and no network. A training that still runs can be reported too.
    """
    from relume.report.document import build_document
    from relume.report.html import write_page
    from relume.report.terminal import print_document
    from relume.runs.query import RUN_FILE, read_run

    document = build_document(read_run(run))
    if json:
        sys.stdout.write(document.to_json() + "\n")
    else:
        print_document(document, Console())
    if json and out is None and not open_page:
        return
    page = _page_path(run / RUN_FILE if run.is_dir() else run, out)
    write_page(document, page)
    Console(stderr=json).print(Text(f"Report: {page}"), soft_wrap=True)
    if open_page:
        open_in_browser(page)


def _page_path(run_file: Path, out: Path | None) -> Path:
    from relume.errors import OutputError

    page = run_file.with_name(PAGE) if out is None else out
    if page.is_dir():
        page /= PAGE
    if page.exists() and page.samefile(run_file):
        raise OutputError(f"{page} is the run file itself; give --out another name")
    return page
