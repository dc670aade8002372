"""The examples on the pages of rules: what is said of the broken script, and not of the mended one.

Scripts run in this process, watched as ``relume run --every`` watches them.
"""

import contextlib
import io
import re
import runpy
import warnings

import pytest

import relume
from docs.blocks import EXAMPLES, Session, blocks
from relume.cli import run
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose

WATCH = re.compile(r"relume run --quiet --every (\d) train\.py")
DIAGNOSE = "relume diagnose relume-train"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.md"))


def watched(folder, every):
    with (
        warnings.catch_warnings(),
        relume.watch(out=folder, quiet=True, report=False, every=every) as watch,
    ):
        warnings.simplefilter("ignore")  # torch itself warns of some of the faults
        runpy.run_path("train.py", run_name="__main__")
    return watch.run


def execute(command, folder):
    """Run the two commands of an example."""
    if match := WATCH.fullmatch(command):
        watched(folder / "relume-train", int(match[1]))
        return 0, ""
    assert command == DIAGNOSE
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        code = run(command.split()[1:])
    return code, printed.getvalue()


def worst(run, code):
    """Return how severe the findings of a code are, 0 if there is none."""

    def ranks(findings):
        for finding in findings:
            yield finding.severity.rank + 1 if finding.code == code else 0
            yield from ranks(finding.consequences)

    return max(ranks(diagnose(run).findings), default=0)


def followed(name, folder, kinds):
    """Do what the blocks of these kinds say."""
    session = Session(folder, execute, lambda *_: False)
    parts = blocks(EXAMPLES / f"{name}.md")
    assert {block.kind for block in parts} == {"python", "console", "diff"}
    assert any(name in block.text for block in parts if block.kind == "console")
    for block in parts:
        if block.kind in kinds:
            session.follow(block)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "88")
    return tmp_path


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("name", NAMES)
def test_a_rule_says_what_its_example_shows(name, folder):
    followed(name, folder, {"python", "console"})


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("name", NAMES)
def mending_ends_what_is_said(name, folder):
    """Collected by ``make docs`` alone: it doubles the time."""
    followed(name, folder, {"python", "console", "diff"})
    broken = relume.read_run(folder / "relume-train")
    assert worst(broken, name) > worst(watched(folder / "mended", 4), name)


def test_every_example_is_of_a_rule():
    assert set(NAMES) <= {code.value for code in Code}
    assert len(NAMES) >= 30
