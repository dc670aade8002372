"""What the pages of the documentation say is what happens: every block of every page is run."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from docs.blocks import PAGES, Block, BlockError, Session, blocks, written_pages
from docs.left_out import ELSEWHERE, NOT_RUN, SLOW
from tests.integration.command_line import relume, warm_python

BIN = Path(sys.executable).parent
WARM_RUN = Path(__file__).with_name("warm_run.py")
SHELL = {"&&", "||", "|", ">", "2>&1", ";"}
NAMES = [path.relative_to(PAGES).as_posix() for path in written_pages()]


def execute(command, folder):
    """Run a command as a person would; those of Python in a process that begins warm."""
    words = shlex.split(command)
    environment = {"COLUMNS": "88", "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    if words[:2] == ["relume", "run"] and not set(words) & SHELL:
        done = warm_python(WARM_RUN, *words[1:], cwd=folder, env=environment)
    elif words[0] == "relume" and not set(words) & SHELL:
        done = relume(*words[1:], cwd=folder, env=environment)
    elif words[0] == "python":
        done = warm_python(*words[1:], cwd=folder, env=environment)
    else:
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=folder,
            env=os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"} | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
    return done.returncode, done.stdout + done.stderr


def is_left_out(page, command):
    return (page, command) in SLOW or (page, command) in NOT_RUN


@pytest.mark.parametrize("name", NAMES)
def test_every_block_of_a_page_does_what_the_page_says(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = Session(tmp_path, execute, is_left_out)
    for block in blocks(PAGES / name):
        session.follow(block)


def test_what_is_left_out_stands_on_its_page():
    for page, command in [*SLOW, *NOT_RUN]:
        assert command in (PAGES / page).read_text(encoding="utf-8"), (page, command)
    for page, test in ELSEWHERE.items():
        assert page in (PAGES.parent / test).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("python", "1 / 0\n"),
        ("console", "$ relume rules RLM999\n"),
        ("console", "$ relume rules RLM101\nsomething else\n"),
        ("sh", "exit 3\n"),
        ("diff", "-a line that is nowhere\n+another\n"),
        ("text", "printed by nobody\n"),
        ("yaml", "on: push\n"),
    ],
)
def test_a_block_that_is_wrong_is_noticed(kind, text, tmp_path):
    session = Session(tmp_path, execute, lambda *_: False)
    with pytest.raises((BlockError, ZeroDivisionError)):
        session.follow(Block("page.md", 1, kind, "", text))
