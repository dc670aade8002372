import sys
from types import SimpleNamespace

import pytest

from relume.cli import run, target
from relume.cli.target import Kind, Target, command_of, name_of, split_target
from relume.errors import SettingsError, UserError

VALUED = {"--every", "--out", "--budget"}


@pytest.mark.parametrize("words", [["run", "--allow"], ["cure", "--metric-regex"]])
def test_what_an_option_is_given_is_not_the_program(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run([*words, "train.py"]) == 2
    assert "nothing to run" in capsys.readouterr().err
    assert run([words[0], "-q", "train.py"]) == 2  # a flag is given nothing
    assert "no such script: train.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "ours", "kind", "words"),
    [
        ("train.py", "", Kind.SCRIPT, "train.py"),
        ("train.py --every 3 -m x -- y", "", Kind.SCRIPT, "train.py --every 3 -m x -- y"),
        ("-m pack.train --help", "", Kind.MODULE, "pack.train --help"),
        ("-mpack.train x", "", Kind.MODULE, "pack.train x"),
        ("-q -- python -m x -- y", "-q", Kind.COMMAND, "python -m x -- y"),
        ("--every 3 --out=o a.py", "--every 3 --out=o", Kind.SCRIPT, "a.py"),
        ("--full --budget .1 -- a", "--full --budget .1", Kind.COMMAND, "a"),
        ("--out -m a.py", "--out -m", Kind.SCRIPT, "a.py"),
        ("- x", "", Kind.SCRIPT, "- x"),
    ],
)
def test_our_options_end_where_the_program_begins(typed, ours, kind, words):
    assert split_target(typed.split(), VALUED) == (
        ours.split(),
        Target(kind, tuple(words.split())),
    )


@pytest.mark.parametrize("typed", ["", "--full", "--every"])
def test_no_program(typed):
    assert split_target(typed.split(), VALUED) == (typed.split(), None)


@pytest.mark.parametrize(
    ("kind", "words", "name"),
    [
        (Kind.SCRIPT, "deep/train.py x.py", "train"),
        (Kind.SCRIPT, "app.zip", "app"),
        (Kind.MODULE, "pack.train", "train"),
        (Kind.MODULE, "pack.__main__", "pack"),
        (Kind.MODULE, "__main__", "__main__"),
        (Kind.COMMAND, "torchrun --nproc-per-node 2 src/train.py x.py", "train"),
        (Kind.COMMAND, "/bin/bash -c x", "bash"),
    ],
)
def test_the_name_of_a_run(kind, words, name):
    assert name_of(Target(kind, tuple(words.split()))) == name


def test_a_script_without_rights_to_read_is_named(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.touch()

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", refuse)
    with pytest.raises(UserError, match="permission denied"):
        command_of(Target(Kind.SCRIPT, (str(script),)), "run")


def test_modules_are_looked_for_without_being_imported(tmp_path, monkeypatch):
    pack = tmp_path / "pack_of_mistakes"
    pack.mkdir()
    (pack / "__init__.py").write_text("raise ValueError")
    (pack / "train.py").touch()
    monkeypatch.chdir(tmp_path)
    for name in ("pack_of_mistakes.train", "json.tool", "timeit", "this", "sys"):
        target._check_module(name)
    assert "pack_of_mistakes" not in sys.modules
    with pytest.raises(UserError, match="without a __main__"):
        target._check_module("pack_of_mistakes")


def test_a_python_that_cannot_be_reached_is_said(tmp_path, monkeypatch):
    script = tmp_path / "train.py"
    script.touch()
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if name[0] != "_"}
    isolated = SimpleNamespace(**flags | {"ignore_environment": 1})
    monkeypatch.setattr(target.sys, "flags", isolated)
    with pytest.raises(SettingsError, match="-I, -E or -S"):
        command_of(Target(Kind.SCRIPT, (str(script),)), "run")
