"""What is typed after ``relume cure``: what is refused, in one line, before anything runs."""

import sys

import pytest

from relume.cli import run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing to run; write relume cure -- python train.py"),
        (["--"], "nothing to run"),
        (["--", "no-such-command"], "no such command: no-such-command; look for a mistake in it"),
        (["--", "train.py"], "no such command: train.py; python train.py"),
        (["--", sys.executable, "train.py"], "no such script: train.py"),
        (["--budget", "2", "--", "true"], "3 seeds want 8 runs at least"),
        (["--budget", "much", "--", "true"], "--budget is a number of runs"),
        (["--seeds", "1", "--", "true"], "--seeds must be at least 2"),
        (["--maximise", "--minimise", "--", "true"], "exclude one another"),
        (["--metric", "a", "--metric-regex", "b", "--", "true"], "name two scores"),
        (["--metric-regex", "(", "--", "true"], "is no regular expression"),
    ],
)
def test_a_mistake_is_one_line(tmp_path, monkeypatch, capsys, words, told):
    monkeypatch.chdir(tmp_path)
    assert run(["cure", *words]) != 0
    said = capsys.readouterr().err.strip()
    assert told in said
    assert len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_with_something_in_it_is_not_written_to(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/mine.txt").write_text("mine")
    assert run(["cure", "--keep", "kept", "--", "true"]) == 2
    assert "kept is not an empty folder; choose another for --keep" in capsys.readouterr().err


def test_options_after_the_dashes_are_the_commands_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["cure", "--", "false", "--seeds", "0"]) == 2
    assert "made no training step and ended with code 1" in capsys.readouterr().err
