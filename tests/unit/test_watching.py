import threading
from pathlib import Path

import pytest
import torch
from torch import nn

import relume
from relume.errors import SettingsError
from relume.runs.query import read_run
from relume.watching import Watch, WatchSettings, metric, watch


def train(steps=5):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        optimizer.zero_grad()
        net(torch.randn(8, 3)).square().mean().backward()
        optimizer.step()
    return net


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_block_leaves_a_run_file_and_a_report(here, capsys):
    with watch() as watching:
        assert watching.folder is None
        train()
        assert watching.folder == here / "relume-watch"
    assert sorted(path.name for path in watching.folder.iterdir()) == ["report.html", "run.sqlite"]
    assert watching.run.info.status == "finished"
    assert watching.run.last_step == 5
    assert watching.fault is None
    assert capsys.readouterr() == ("", "")


def test_it_can_be_started_and_stopped_by_hand():
    watching = watch(out="mine").start()
    train()
    page = watching.stop()
    assert page.name == "report.html"
    assert page.exists()
    assert watching.stop() is None  # stopping twice is allowed
    train()
    assert watching.run.last_step == 5


def test_further_folders_have_further_names(here):
    for _ in range(3):
        with watch(report=False, name="net.py"):
            train(1)
    assert len({path.name for path in here.iterdir()}) == 3


def test_a_folder_is_where_it_was_asked_for_wherever_the_script_goes(here, monkeypatch):
    (here / "elsewhere").mkdir()
    with watch(out="asked") as watching:
        monkeypatch.chdir(here / "elsewhere")
        train(2)
    assert watching.folder == here / "asked"
    assert (here / "asked" / "report.html").exists()


def test_without_a_step_there_is_no_folder(here):
    with watch() as watching:
        metric_before_any_model = torch.relu(torch.ones(2, 2))
    assert list(here.iterdir()) == []
    assert watching.folder is None
    assert metric_before_any_model.sum() == 4


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budget": 0}, "budget must be a share above 0 and at most 1; got 0"),
        ({"budget": 1.5}, "got 1.5"),
        ({"budget": float("nan")}, "got nan"),
        ({"every": 0}, "every must be at least 1; got 0"),
        ({"evry": 3}, "watch has no setting 'evry'; it has out, budget, every"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, words):
    with pytest.raises(SettingsError, match=words):
        watch(**settings)


def test_a_second_watch_shows_what_the_first_sees():
    with watch(report=False) as first:
        with watch(out="never") as second:
            train(3)
            assert second.folder == first.folder
        assert [layer.units for layer in second.run.layers] == [4]
        train(2)
    assert second.run.last_step == 5
    assert not Path("never").exists()
    assert first.run.last_step == 5
    with watch(report=False, out="later") as later:
        train(2)
    assert later.run.last_step == 2


def test_scores_are_kept_while_watching_and_passed_over_otherwise():
    metric("outside", 1.0)
    with watch(report=False, out="run") as watching:
        train(3)
        metric("accuracy", 0.5)
        metric("loss", torch.tensor(2.0))
        metric("gone", float("nan"))
        metric("no number", "high")
        metric("no number", torch.ones(3))
    metric("outside", 1.0)
    assert watching.fault is None
    found = {each.name: (each.step, each.value) for each in watching.run.metrics}
    assert found["accuracy"] == (3, 0.5)
    assert found["loss"] == (3, 2.0)
    assert "outside" not in found
    assert "no number" not in found
    missed = [each.what for each in watching.run.unobserved if each.what.startswith("metric")]
    assert missed == ["metric that is no number: no number"]


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ValueError("yours"), "failed"),
        (KeyboardInterrupt(), "interrupted"),
        (SystemExit(0), "finished"),
        (SystemExit(3), "failed"),
    ],
)
def test_an_error_of_the_script_is_its_own_and_all_is_written(error, status, capsys):
    watching = watch(out="run")
    with pytest.raises(type(error)) as raised, watching:
        train(4)
        raise error
    assert raised.value is error
    run = read_run(watching.folder / "run.sqlite")
    assert run.info.status == status
    assert run.last_step == 4
    assert (watching.folder / "report.html").exists()
    assert capsys.readouterr().err == ""


def test_an_interrupt_inside_of_us_belongs_to_the_script(monkeypatch):
    from relume.observe.tap import ArmedTap

    def interrupt(*_):
        raise KeyboardInterrupt

    watching = watch(report=False, out="run")
    with pytest.raises(KeyboardInterrupt), watching:
        train(2)
        monkeypatch.setattr(ArmedTap, "_before", interrupt)
        train(2)
    assert watching.run.info.status == "interrupted"
    assert watching.run.last_step == 2


def test_a_fault_is_said_once_and_never_with_quiet(monkeypatch, capsys):
    from relume.observe.stepping import Stepper

    def break_down(*_):
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(Stepper, "is_end_after_update", break_down)
    for quiet in (False, True):
        with watch(quiet=quiet) as watching:
            train()
        assert isinstance(watching.fault, RuntimeError)
    assert capsys.readouterr().err == "relume: watching ended early: two lines\n"


def test_a_training_in_another_thread_is_recorded():
    with watch(report=False, every=1, out="run") as watching:
        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
    assert watching.fault is None
    assert watching.run.last_step == 5


def test_several_threads_at_once_do_no_harm():
    expected = [parameter.detach().clone() for parameter in train(40).parameters()]
    found = []

    def train_mine():
        generator = torch.Generator().manual_seed(0)
        layer = nn.Linear(3, 4)
        with torch.no_grad():
            layer.weight.fill_(0.5)
            layer.bias.zero_()
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
        for _ in range(60):
            optimizer.zero_grad()
            torch.relu(layer(torch.randn(8, 3, generator=generator))).sum().backward()
            optimizer.step()
        found.append(layer.weight.detach().clone())

    with watch(report=False, every=1, out="run") as watching:
        threads = [threading.Thread(target=train_mine) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 4
    assert all(torch.equal(weight, found[0]) for weight in found)
    assert watching.fault is None
    after = train(40).parameters()
    assert all(torch.equal(a, b) for a, b in zip(expected, after, strict=True))


def test_settings_are_those_of_the_record():
    assert WatchSettings(full=True).budget == 0.01
    with Watch(WatchSettings(full=True, report=False)) as watching:
        train()
    assert watching.run.info.settings == {"budget": 0.01, "every": 1}
    assert watching.run.info.kind == "watch"
    assert watching.run.info.environment["relume"] == relume.__version__
