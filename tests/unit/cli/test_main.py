import pytest

import relume
from relume.cli import main, run


def test_the_version(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"relume {relume.__version__}\n"


def test_no_command_shows_the_commands(capsys):
    run([])
    printed = capsys.readouterr()
    for command in ("fit", "predict", "report", "activations"):
        assert command in printed.out + printed.err


def test_an_unknown_command_is_a_persons_mistake(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fitt"])
    assert stopped.value.code == 2
    assert "fitt" in capsys.readouterr().err


def test_ctrl_c_before_training_is_one_line(capsys, monkeypatch):
    import relume.training.fit

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(relume.training.fit, "fit", interrupted)
    assert run(["fit", "iris"]) == 130
    assert capsys.readouterr().err == "relume: interrupted\n"


def test_a_fault_of_ours_shows_its_traceback_when_asked(monkeypatch):
    import relume.training.fit

    def broken(*_, **__):
        raise ZeroDivisionError("planted")

    monkeypatch.setattr(relume.training.fit, "fit", broken)
    monkeypatch.setenv("RELUME_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError, match="planted"):
        run(["fit", "iris"])


@pytest.mark.parametrize("screen", ["", ":0"])
def test_a_page_opens_only_where_there_is_a_screen(tmp_path, monkeypatch, screen):
    import webbrowser

    from relume.cli.browser import open_in_browser

    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda uri: bool(opened.append(uri)) or True)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", screen)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert open_in_browser(tmp_path / "a b.html") is bool(screen)
    assert opened == ([(tmp_path / "a b.html").as_uri()] if screen else [])
