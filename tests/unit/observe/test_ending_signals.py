import os
import signal
import subprocess
import sys
from pathlib import Path

import relume

SOURCES = str(Path(relume.__file__).parents[1])


def ended(body):
    """Run a script with its ending signals taken; return its exit code and what it printed."""
    head = "import os, signal, time\nfrom relume.observe import ending_signals as ours\n"
    done = subprocess.run(
        [sys.executable, "-c", head + body],
        env=os.environ | {"PYTHONPATH": SOURCES}, capture_output=True, text=True, check=False,
        timeout=60,
    )  # fmt: skip
    assert done.stderr == ""
    return done.returncode, done.stdout


def test_something_is_done_first_and_the_process_dies_all_the_same():
    body = "ours.EndingSignals(lambda: print('done', flush=True)).install()\n"
    for number in (signal.SIGTERM, signal.SIGHUP):
        assert ended(f"{body}os.kill(os.getpid(), {int(number)})") == (-number, "done\n")


def test_what_takes_too_long_is_given_up():
    body = "ours.DEADLINE_S = 0.1\nours.EndingSignals(lambda: time.sleep(50)).install()\n"
    assert ended(f"{body}os.kill(os.getpid(), signal.SIGTERM)") == (-signal.SIGTERM, "")


def test_a_second_signal_ends_it_at_once():
    body = "ours.EndingSignals(lambda: os.kill(os.getpid(), 15) or time.sleep(50)).install()\n"
    assert ended(f"{body}os.kill(os.getpid(), signal.SIGTERM)") == (-signal.SIGTERM, "")


def test_a_signal_that_is_ignored_stays_ignored():
    body = "signal.signal(1, signal.SIG_IGN)\nours.EndingSignals(print).install()\n"
    assert ended(f"{body}os.kill(os.getpid(), 1); print(signal.getsignal(1) == 1)") == (
        0, "True\n",
    )  # fmt: skip


def test_nothing_is_taken_outside_the_main_thread():
    body = (
        "import threading\nbefore = signal.signal\n"
        "thread = threading.Thread(target=ours.EndingSignals(print).install)\n"
        "thread.start(); thread.join()\nprint(signal.signal is before)"
    )
    assert ended(body) == (0, "True\n")
