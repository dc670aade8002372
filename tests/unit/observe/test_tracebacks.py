import sys
import threading
import traceback

import pytest
import torch
from torch import nn

import relume.observe.tracebacks as ours
from relume.observe.calls import Calls
from relume.observe.tracebacks import clean, show_as_without_us


class Wrong(nn.Module):
    def forward(self, x):
        raise ValueError(x)


@pytest.fixture
def through_us():
    """A function that calls another through a frame of ours."""
    space = {}
    code = compile("def pass_on(f, *args):\n    return f(*args)\n", ours.__file__, "exec")
    exec(code, space)  # noqa: S102
    return space["pass_on"]


@pytest.fixture
def watched_calls():
    calls = Calls(lambda *_: None, lambda _: False)
    calls.attach()
    yield calls
    calls.detach()


def caught(function, *args):
    try:
        function(*args)
    except BaseException as error:  # noqa: BLE001
        return error
    raise AssertionError("nothing was raised")


def frames(error):
    return [(f.name, f.lineno, f.colno) for f in traceback.extract_tb(error.__traceback__)]


def divide(x):
    return 1 / x


def test_a_frame_of_ours_goes(through_us):
    bare, watched = caught(divide, 0), caught(through_us, divide, 0)
    assert len(frames(watched)) == len(frames(bare)) + 1
    clean(watched)
    assert frames(watched) == frames(bare)


def test_a_traceback_without_us_is_left_alone():
    error = caught(divide, 0)
    before = error.__traceback__
    clean(error)
    assert error.__traceback__ is before


def test_causes_contexts_and_members_are_cleaned_and_circles_end(through_us):
    error, other = caught(through_us, divide, 0), caught(through_us, int, "x")
    group = BaseExceptionGroup("both", [error, caught(through_us, divide, 0)])
    group.__cause__, error.__context__, other.__context__ = other, other, group
    clean(group)
    for each in (*group.exceptions, other):
        assert "pass_on" not in [name for name, *_ in frames(each)]


def test_a_module_takes_the_short_way(request):
    model = nn.Sequential(Wrong())
    bare = caught(model, torch.ones(1))
    request.getfixturevalue("watched_calls")
    watched = caught(model, torch.ones(1))
    assert "inner" in [name for name, *_ in frames(watched)]
    clean(watched)
    assert frames(watched) == frames(bare)


@pytest.mark.usefixtures("watched_calls")
def test_a_module_with_a_hook_of_the_program_took_the_long_way_without_us():
    model = Wrong()
    model.register_forward_hook(lambda *_: None)
    watched = caught(model, torch.ones(1))
    before = frames(watched)
    clean(watched)
    assert frames(watched) == before


@pytest.mark.usefixtures("watched_calls")
def test_so_did_all_modules_with_a_hook_of_the_program_for_all():
    handle = nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        watched = caught(Wrong(), torch.ones(1))
        before = frames(watched)
        clean(watched)
        assert frames(watched) == before
    finally:
        handle.remove()


def test_what_is_shown_is_cleaned_whoever_shows_it(monkeypatch, through_us):
    shown = []
    monkeypatch.setattr(sys, "excepthook", lambda *args: shown.append(args[1:]))
    monkeypatch.setattr(threading, "excepthook", lambda a: shown.append((a[1], a[2])))
    show_as_without_us()
    error = caught(through_us, divide, 0)
    sys.excepthook(type(error), error, error.__traceback__)
    thread = threading.Thread(target=through_us, args=(divide, 0))
    thread.start()
    thread.join()
    assert len(shown) == 2
    for error, tb in shown:
        assert error.__traceback__ is tb
        assert "pass_on" not in [name for name, *_ in frames(error)]
