"""Which module is being called, and which line of the user's code calls."""

import sys

import torch
from torch import nn

from relume.observe.calls import Calls, Kind, place_of, user_frame, user_line


class Recorder(nn.Module):
    def __init__(self, calls):
        super().__init__()
        self.calls = calls
        self.seen = []

    def forward(self, x):
        self.seen.append([type(call.module).__name__ for call in self.calls.stack])
        return x


def followed():
    returned = []
    calls = Calls(
        lambda module, _inputs, _output: returned.append(module), lambda _class: Kind(is_seen=True)
    )
    calls.attach()
    return calls, returned


def test_the_stack_holds_the_open_calls():
    calls, returned = followed()
    inner = Recorder(calls)
    model = nn.Sequential(nn.Identity(), inner)
    try:
        model(torch.ones(3, 2))
        assert calls.root is None
    finally:
        calls.detach()
    assert inner.seen == [["NoneType", "Sequential", "Recorder"]]
    assert returned == [model[0], inner, model]
    model(torch.ones(3, 2))
    assert len(returned) == 3


def test_each_outermost_call_is_a_pass_with_its_rows():
    calls, _ = followed()
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    try:
        for rows in (3, 5):
            model(torch.ones(rows, 2))
            assert calls.rows == rows
        assert calls.number == 2
        model(input=torch.ones(4, 2))
    finally:
        calls.detach()
    assert (calls.number, calls.rows) == (3, None)  # hooks see no named arguments


def test_rows_stand_second_where_time_comes_first():
    calls, _ = followed()
    try:
        nn.RNN(2, 3)(torch.ones(7, 4, 2))
        assert calls.rows == 4
        nn.RNN(2, 3, batch_first=True)(torch.ones(7, 4, 2))
        assert calls.rows == 7
    finally:
        calls.detach()


def test_a_fault_in_the_count_of_rows_reaches_nobody(monkeypatch):
    calls, _ = followed()
    monkeypatch.setattr("relume.observe.calls.leading_rows", None)
    try:
        assert nn.Identity()(torch.ones(1)).tolist() == [1]
    finally:
        calls.detach()
    assert isinstance(calls.fault, TypeError)
    assert len(calls.stack) == 1


class Asking(nn.Module):
    def forward(self, x):
        self.direct = user_line(sys._getframe())
        self.outer = user_line(sys._getframe(), beyond=1)
        return x


def test_the_nearest_line_of_the_user():
    asking = Asking()
    model = nn.Sequential(nn.Sequential(asking))
    model(torch.ones(1))
    frame, passed = asking.direct
    assert (frame.f_code.co_name, passed) == ("forward", 0)
    frame, passed = asking.outer
    assert frame is sys._getframe()
    assert passed == 3
    assert user_frame(0) is frame
    assert place_of(frame).startswith("test_calls.py:")
