"""``relume live`` as it is typed: the view of a terminal, and what cannot be shown."""

import os
import pty
import runpy
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from relume.runs.store import RunWriter
from tests.integration.command_line import relume, wait_for

FACTORY = Path(__file__).parents[1] / "unit" / "report" / "run_factory.py"


class Terminal:
    """A command in a terminal of 40 lines; what it draws is kept."""

    def __init__(self, *arguments, cwd):
        ours, theirs = pty.openpty()
        self.drawn = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "relume", *arguments],
            cwd=cwd, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"TERM": "xterm", "LINES": "40", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(theirs)
        self._reader = threading.Thread(target=self._read, args=(ours,), daemon=True)
        self._reader.start()

    def _read(self, ours):
        try:
            while text := os.read(ours, 65536):
                self.drawn += text.decode(errors="replace")
        except OSError:  # the command has ended
            pass
        os.close(ours)

    def press_ctrl_c(self):
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=60)
        self._reader.join(timeout=10)
        return code


@pytest.fixture(scope="module")
def factory():
    return runpy.run_path(str(FACTORY))


def test_a_terminal_shows_a_run_as_it_grows_until_ctrl_c(factory, tmp_path):
    training = factory["Training"](windows=12)
    writer = RunWriter(tmp_path / "run.sqlite")
    writer.update_info(replace(factory["INFO"], status="running", result={}))
    writer.set_layers(training.layers)
    windows = training.windows()
    writer.write_window(windows[0], [])
    terminal = Terminal("live", "--terminal", cwd=tmp_path)
    wait_for(lambda: "step 5 " in terminal.drawn)
    for window in windows[1:]:
        writer.write_window(window, [])
    wait_for(lambda: "step 60 " in terminal.drawn)
    assert "hidden.2.activation" in terminal.drawn
    assert "█" in terminal.drawn
    assert terminal.press_ctrl_c() == 0
    assert "Traceback" not in terminal.drawn
    assert terminal.drawn.rstrip().endswith("\x1b[?25h")  # the cursor is back
    writer.close()


def test_elsewhere_there_are_plain_lines(factory, tmp_path):
    (tmp_path / "mine").mkdir()
    factory["write_run"](tmp_path / "mine" / "run.sqlite")
    for arguments in ((), ("mine/run.sqlite",)):
        done = relume("live", "--terminal", *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("finished · step 300 · loss 0.")
        assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "there is no run file at nowhere; look for a mistake in the path"),
        ((".",), "there is no run file in .; relume live alone finds all below it"),
        (("--terminal",), "there is no run below {}; start one with relume run train.py"),
    ],
)
def test_what_cannot_be_shown_is_one_line(tmp_path, arguments, said):
    done = relume("live", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"relume: {said.format(tmp_path)}\n"


def test_a_token_of_ones_own_must_be_hard_to_guess(tmp_path):
    done = relume("live", cwd=tmp_path, env={"RELUME_LIVE_TOKEN": "easy"})
    assert done.returncode == 2
    assert "RELUME_LIVE_TOKEN needs 16 to 200 letters" in done.stderr
    assert "easy" not in done.stderr
