"""What the README says is what happens: its commands are run, its excerpts compared."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import relume

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)


def shape(line):
    """A line without its numbers and blanks: those of another machine may differ."""
    return re.sub(r"[\d.,+\-–]+|\s+", " ", line).strip()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


def test_every_console_block_runs_and_prints_what_it_shows(folder):
    commands = 0
    for kind, text in BLOCKS:
        if kind != "console" or "make" in text:
            continue
        command, *shown = text.splitlines()
        done = relume(*command.removeprefix("$ relume ").split(), cwd=folder, env={"COLUMNS": "90"})
        assert done.returncode == 0, done.stderr
        printed = {shape(line) for line in (done.stdout + done.stderr).splitlines()}
        missing = [line for line in shown if shape(line) not in printed]
        assert not missing
        commands += 1
    assert commands >= 3


def test_every_python_block_runs(folder):
    blocks = [text for kind, text in BLOCKS if kind == "python"]
    assert blocks
    for text in blocks:
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr


def test_every_make_target_is_explained_and_every_one_named_exists():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    done = subprocess.run(
        ["make", "--no-print-directory", "help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
    ).stdout
    targets = set(re.search(r"\.PHONY: (.*)", makefile)[1].split())
    assert targets == {line.split()[0] for line in done.splitlines()}
    assert set(re.findall(r"\$ make (\w+)", README)) <= targets


def test_every_link_and_picture_is_there():
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
