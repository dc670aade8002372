"""What is typed after ``relume cure``: what is refused, in one line, before anything runs."""

import sys

import pytest

from relume.cli import run
from relume.cli.cure import _write
from relume.remedies.cure.edits.diff import Patch


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "nothing to run; write relume cure train.py"),
        (["--"], "nothing to run"),
        (["--", "no-such-command"], "no such command: no-such-command; look for a mistake in it"),
        (["--", "train.py"], "no such command: train.py; for a script, leave out the two"),
        (["train.py"], "no such script: train.py; look for a mistake in the path"),
        (["bash", "x.sh"], "no such script: bash; for a command, write relume cure -- bash"),
        (["-m", "no.such"], "no module named no; look for a mistake in 'no.such'"),
        (["--diff", "/proc/x/a.diff", "--", "true"], "another place with --diff"),
        (["--keep", "/proc/x", "--", "true"], "another place with --keep"),
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


def test_more_seeds_than_usual_raise_the_usual_budget(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["cure", "--seeds", "12", "--", "false"]) == 2
    assert "made no training step" in capsys.readouterr().err
    assert run(["cure", "--seeds", "12", "--budget", "24", "--", "false"]) == 2
    assert "--budget 24 is too small: 12 seeds want 26 runs at least" in capsys.readouterr().err


def test_options_after_the_dashes_are_the_commands_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(["cure", "--", "false", "--seeds", "0"]) == 2
    assert "made no training step and ended with code 1" in capsys.readouterr().err


def test_a_source_that_is_edited_keeps_its_mode_and_its_link(tmp_path, capsys):
    source, link = tmp_path / "train.py", tmp_path / "link.py"
    source.write_text("lr = 1\n")
    source.chmod(0o750)
    link.symlink_to(source)
    _write(Patch("diff", (), {link: b"lr = 0.1\n"}), None, in_place=True)
    assert source.read_text() == "lr = 0.1\n"
    assert link.is_symlink()
    assert source.stat().st_mode & 0o777 == 0o750
    assert {each.name for each in tmp_path.iterdir()} == {"train.py", "link.py"}
    assert f"edited: {link}" in capsys.readouterr().err
