"""What a person reads of a known run, word for word."""

import io
import re
import runpy
from pathlib import Path

import pytest
from rich.console import Console

from relume.report.document import build_document
from relume.report.html import render_page
from relume.report.terminal import print_document
from relume.runs.query import read_run

FACTORIES = Path(__file__).parents[1] / "unit" / "report"
GOLDEN = Path(__file__).with_name("report")
RUNS = {
    "": ("run_factory.py", "write_run"),
    "watched_": ("watch_factory.py", "write_watch_run"),
}


@pytest.fixture(scope="module", params=RUNS, ids=["fit", "watched"])
def prefix(request):
    return request.param


@pytest.fixture(scope="module")
def document(prefix, tmp_path_factory):
    factory, write = RUNS[prefix]
    path = tmp_path_factory.mktemp("digits") / "run.sqlite"
    return build_document(read_run(runpy.run_path(str(FACTORIES / factory))[write](path)))


def test_the_terminal(document, prefix):
    out = io.StringIO()
    print_document(document, Console(file=out, width=96))
    text = "\n".join(line.rstrip() for line in out.getvalue().splitlines()) + "\n"
    assert text == (GOLDEN / f"{prefix}terminal.txt").read_text(encoding="utf-8")


def test_the_words_of_the_page(document, prefix):
    """The page without styles, scripts and pictures: one line an element with text."""
    page = re.sub(r"<(style|script)\b.*?</\1>", "", render_page(document), flags=re.DOTALL)
    page = re.sub(r"data:image/png;base64,[^\"]*", "data:…", page)
    page = re.sub(r"(<meta http-equiv)[^>]*", r"\1", page)
    lines = (line.strip() for line in re.sub(r">\s*<", ">\n<", page).splitlines())
    text = "\n".join(line for line in lines if line) + "\n"
    assert text == (GOLDEN / f"{prefix}page.txt").read_text(encoding="utf-8")
