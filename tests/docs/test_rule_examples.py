"""The examples on the pages of rules: what is said of the broken script, and not of the mended one.

Scripts run in this process, watched as ``relume run --every 2`` watches them.
"""

import contextlib
import io
import runpy
import warnings

import pytest

import relume
from docs.blocks import EXAMPLES, Session, blocks
from relume.cli import run
from relume.diagnosis.codes import Code
from relume.diagnosis.engine import diagnose

WATCH = "relume run --quiet --every 2 train.py"
DIAGNOSE = "relume diagnose relume-train"
NAMES = sorted(path.stem for path in EXAMPLES.glob("*.md"))


def watched(folder):
    with (
        warnings.catch_warnings(),
        relume.watch(out=folder, quiet=True, report=False, every=2) as watch,
    ):
        warnings.simplefilter("ignore")  # torch itself warns of some of the faults
        runpy.run_path("train.py", run_name="__main__")
    return watch.run


def execute(command, folder):
    """Run the two commands of an example."""
    if command == WATCH:
        watched(folder / "relume-train")
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


@pytest.mark.usefixtures("nothing_compiled")
@pytest.mark.parametrize("name", NAMES)
def test_a_rule_says_what_its_example_shows_until_it_is_mended(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "88")
    session = Session(tmp_path, execute, lambda *_: False)
    parts = blocks(EXAMPLES / f"{name}.md")
    for block in parts:
        session.follow(block)
    assert {"python", "console", "diff"} == {block.kind for block in parts}
    assert any(name in block.text for block in parts if block.kind == "console")
    broken = relume.read_run(tmp_path / "relume-train")
    assert worst(broken, name) > worst(watched(tmp_path / "mended"), name)


def test_every_example_is_of_a_rule():
    assert set(NAMES) <= {code.value for code in Code}
    assert len(NAMES) >= 30
