"""``relume report``: a run file becomes one HTML file, or JSON."""

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from relume.cli.browser import open_in_browser

PAGE, PICTURE = "report.html", "report.png"


def report(
    run: Annotated[Path, typer.Argument(help="A run file, or a folder that holds run.sqlite.")],
    picture: Annotated[
        Path | None,
        typer.Argument(help="With --png: the picture. [default: report.png by the run]"),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where the page goes. [default: report.html by the run]"),
    ] = None,
    json: Annotated[
        bool, typer.Option("--json", help="Print the data as JSON; a page only with --out.")
    ] = False,
    png: Annotated[
        bool, typer.Option("--png", help="Draw a picture; a page only with --out or --open.")
    ] = False,
    open_page: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
) -> None:
    """Show a recorded training: a summary here, and everything in one HTML file.

    The file needs no server and no network. A training that still runs can be reported too.
    """
    from relume.diagnosis.engine import diagnose
    from relume.report.document import build_document
    from relume.report.html import write_page
    from relume.report.terminal import print_document
    from relume.runs.query import RUN_FILE, read_run

    drawn = _picture_path(run, picture, png=png)
    record = read_run(run)
    diagnosis = diagnose(record)
    document = build_document(record, diagnosis)
    if json:
        sys.stdout.write(document.to_json() + "\n")
    else:
        print_document(document, Console())
    if drawn is not None:
        from relume.report.plots import write_report_png

        write_report_png(record, document, diagnosis, drawn)
        Console(stderr=json).print(Text(f"Picture: {drawn}"), soft_wrap=True)
    if (json or png) and out is None and not open_page:
        return
    page = _page_path(run / RUN_FILE if run.is_dir() else run, out)
    write_page(document, page)
    Console(stderr=json).print(Text(f"Report: {page}"), soft_wrap=True)
    if open_page:
        open_in_browser(page)


def _picture_path(run: Path, picture: Path | None, *, png: bool) -> Path | None:
    from relume.errors import OutputError, SettingsError

    if not png:
        if picture is not None:
            raise SettingsError(f"what is {picture} for? pictures are drawn with --png")
        return None
    drawn = picture or (run if run.is_dir() else run.parent) / PICTURE
    if drawn.is_dir():
        drawn /= PICTURE
    if drawn.suffix.lower() != ".png":
        raise OutputError(f"--png writes a PNG; got {str(drawn)!r}: give a name that ends in .png")
    return drawn


def _page_path(run_file: Path, out: Path | None) -> Path:
    from relume.errors import OutputError

    page = run_file.with_name(PAGE) if out is None else out
    if page.is_dir():
        page /= PAGE
    if page.exists() and page.samefile(run_file):
        raise OutputError(f"{page} is the run file itself; give --out another name")
    return page
