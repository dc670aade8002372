import copy
import pickle
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from relume.integrations.session import Session, harmless
from relume.runs.query import read_run
from relume.watching import active_watch, watch


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    return tmp_path


def train(steps=4):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()


def test_a_training_is_watched_and_told_of_at_its_end(capsys):
    session = Session("some", {"every": 1})
    session.record({"early": 1.0})
    session.begin()
    train()
    session.record({"loss": 0.5, "rows": 3, "tensor": torch.tensor(2.0), "on": True, "word": "x"})
    session.record({"many": torch.ones(3)})
    session.record(None)
    session.end()
    session.end()
    run = session.watch.run
    assert {each.name: each.value for each in run.metrics} == {
        "loss": 0.5, "rows": 3.0, "tensor": 2.0,
    }  # fmt: skip
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "relume: no unit that was observed died (of 4 units)"
    assert said[-1] == "relume: report: relume-watch/report.html"


def test_under_another_watch_nothing_is_said(capsys):
    with watch(report=False, every=1) as outer:
        session = Session("some", {}).begin()
        train()
        session.record({"loss": 1.0})
        session.end()
        assert active_watch() is outer
    assert [each.name for each in outer.run.metrics] == ["loss"]
    assert capsys.readouterr().err == ""


def by_pickle(session):
    return pickle.loads(pickle.dumps(session))  # noqa: S301


@pytest.mark.parametrize("copied", [copy.deepcopy, by_pickle])
def test_a_copy_has_the_settings_and_not_the_training(copied):
    session = Session("some", {"every": 1, "out": "mine", "quiet": True}).begin()
    train()
    twin = copied(session)
    assert not twin.is_open
    session.end()
    assert twin.begin() is twin
    assert twin.is_open
    twin.end()


def test_a_training_that_ended_unseen_ends_when_the_next_begins():
    Session("some", {"every": 1, "out": "first", "quiet": True}).begin()
    train()
    second = Session("some", {"every": 1, "out": "second", "quiet": True}).begin()
    train(3)
    second.end()
    first = read_run(Path("first"))
    assert (first.info.status, first.last_step) == ("failed", 4)
    assert read_run(Path("second")).last_step == 3


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError(), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_in_a_notebook_it_ends_with_the_cell(monkeypatch, error, status):
    hooks = []
    events = SimpleNamespace(
        register=lambda name, hook: hooks.append(hook),
        unregister=lambda name, hook: hooks.remove(hook),
    )
    shell = SimpleNamespace(get_ipython=lambda: SimpleNamespace(events=events))
    monkeypatch.setitem(sys.modules, "IPython", shell)
    session = Session("some", {"every": 1, "quiet": True}).begin()
    train()
    hooks[0](SimpleNamespace(error_in_exec=error))
    assert hooks == []
    assert not session.is_open
    assert session.watch.run.info.status == status
    assert active_watch() is None


def test_a_hook_of_ours_never_raises(capsys):
    class Adapter:
        def __init__(self, **settings):
            self.session = Session("some", settings)

        @harmless
        def on_end(self):
            raise RuntimeError("ours")

    Adapter().on_end()
    assert capsys.readouterr().err == "relume: not watched: RuntimeError: ours\n"
    Adapter(quiet=True).on_end()
    assert capsys.readouterr().err == ""
