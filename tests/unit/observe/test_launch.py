import os
import sys

from relume.observe.attendance import ending_of_process, is_launcher
from relume.observe.launch import (
    START_FOLDER,
    LaunchSettings,
    own_python,
    usual_python_path,
    watched_environment,
    without_us,
)
from relume.observe.run_place import PARENT, PLACE, RunPlace


def settings(**changes):
    usual = {
        "watching": "recorder", "watch": {"every": 3}, "closing": ["true"], "python_path": None,
        "folder": "/here",
    }  # fmt: skip
    return LaunchSettings(**usual | changes)


def test_the_environment_carries_the_watch_and_gives_it_back(tmp_path):
    before = {"PATH": "/bin", "PYTHONPATH": "src", PARENT: "3"}
    place = RunPlace.new(tmp_path / "run", is_exact=False)
    given = settings(python_path="src")
    after = watched_environment(before, given, place, outermost=7)
    assert after["PYTHONPATH"].split(os.pathsep) == [str(START_FOLDER), "src"]
    assert LaunchSettings.from_environment(after) == given
    assert RunPlace.from_environment(after) == place
    assert PARENT not in after
    assert "RELUME_QUIET" not in after
    assert without_us(after, "src") == {"PATH": "/bin", "PYTHONPATH": "src"}
    assert without_us(after, None) == {"PATH": "/bin"}


def test_no_python_path_adds_no_empty_entry_to_it(tmp_path):
    place = RunPlace.new(tmp_path, is_exact=False)
    after = watched_environment({}, settings(watch={"quiet": True}), place, outermost=None)
    assert after["PYTHONPATH"] == str(START_FOLDER)
    assert after["RELUME_QUIET"] == "1"
    assert "RELUME_OUTERMOST" not in after
    assert PLACE in after


def test_a_run_inside_a_run_finds_the_usual_path():
    assert usual_python_path({}) is None
    assert usual_python_path({"PYTHONPATH": "a:b"}) == "a:b"
    assert usual_python_path({"PYTHONPATH": f"{START_FOLDER}{os.pathsep}b"}) == "b"
    assert usual_python_path({"PYTHONPATH": str(START_FOLDER)}) is None


def test_the_flags_that_a_person_typed_are_kept():
    assert own_python(["python", "-u", "-Wx", "-X", "dev", "-m", "relume", "run"]) == [
        sys.executable, "-u", "-Wx", "-X", "dev",
    ]  # fmt: skip
    assert own_python(["python", "-s", "/bin/relume", "-m", "x"]) == [sys.executable]
    assert own_python(["python", "-c", "code"]) == [sys.executable]
    assert own_python(["python"]) == [sys.executable]


def test_what_only_starts_others_is_known():
    assert is_launcher(["python", "-m", "torch.distributed.launch", "a.py"])
    assert not is_launcher(["python", "-m", "train", "torchrun"])
    assert not is_launcher(["python", "-m"])
    assert not is_launcher(["python"])


def test_how_a_process_ended(monkeypatch):
    monkeypatch.delattr(sys, "last_type", raising=False)
    assert ending_of_process() == "finished"
    monkeypatch.setattr(sys, "last_type", ValueError, raising=False)
    assert ending_of_process() == "failed"
    monkeypatch.setattr(sys, "last_type", KeyboardInterrupt, raising=False)
    assert ending_of_process() == "interrupted"
