"""``relume run``: put before a person's own command, it watches the training there."""

import importlib.machinery
import importlib.util
import os
import shutil
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from relume.errors import OutputError, SettingsError, UserError
from relume.files import check_possible

if TYPE_CHECKING:
    from relume.observe.launch import LaunchSettings
    from relume.observe.run_place import RunPlace

WATCHING = "relume.watching"
CLOSING = "relume.cli.run_closing"
FAIL_ON = "--fail-on"
WITH_VALUE = ("--budget", "--every", "--out", "--fail-on", "--allow")
NOT_SCRIPTS = frozenset(
    {".sh", ".bash", ".ipynb", ".json", ".csv", ".txt", ".md", ".toml", ".yaml", ".yml", ".pt"}
)
_TARGET = "relume.target"


class Kind(StrEnum):
    """What stands after our options."""

    SCRIPT = "script"
    MODULE = "module"
    COMMAND = "command"


@dataclass(frozen=True, slots=True)
class Target:
    """A person's program: its name, then what belongs to it."""

    kind: Kind
    words: tuple[str, ...]


def split_target(arguments: Sequence[str]) -> tuple[list[str], Target | None]:
    """Split what is typed after ``relume run`` into our options and the person's program.

    Example:
        >>> split_target(["--every", "5", "train.py", "--every", "1"])[1].words
        ('train.py', '--every', '1')
    """
    ours: list[str] = []
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            return ours, Target(Kind.COMMAND, tuple(words))
        if word.startswith("-m"):
            return ours, Target(Kind.MODULE, (*filter(None, [word[2:]]), *words))
        if not word.startswith("-") or word == "-":
            return ours, Target(Kind.SCRIPT, (word, *words))
        ours.append(word)
        if word in WITH_VALUE and words:
            ours.append(words.pop(0))
    return ours, None


class RunCommand(TyperCommand):
    """Reads our options and leaves alone what comes after them."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the person's program aside and parse our options."""
        ours, ctx.meta[_TARGET] = split_target(args)
        return super().parse_args(ctx, ours)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Show what comes after the options."""
        return [*super().collect_usage_pieces(ctx), "{SCRIPT | -m MODULE | -- COMMAND} [ARGS]..."]


def run(
    ctx: typer.Context,
    *,
    budget: Annotated[
        float | None,
        typer.Option(help="Share of a step's time that watching may take. [.01]"),
    ] = None,
    every: Annotated[
        int | None, typer.Option(help="Measure units every how many steps. [by --budget]")
    ] = None,
    full: Annotated[bool, typer.Option("--full", help="Measure all there is to measure.")] = False,
    out: Annotated[Path | None, typer.Option(help="Folder for the results. [relume-NAME]")] = None,
    no_report: Annotated[
        bool, typer.Option("--no-report", help="Write the run file only.")
    ] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Repair what goes wrong, judge it, undo what fails.")
    ] = False,
    allow: Annotated[
        str | None,
        typer.Option(help="How far a repair may go: safe, training or model. [training]"),
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing.")] = False,
    fail_on: Annotated[
        str | None,
        typer.Option(
            help="Exit with 3 on these, if the program itself succeeds: RLM101:0.05,error.",
            metavar="CODES",
        ),
    ] = None,
) -> None:
    """Watch a PyTorch training, unmodified: relume run train.py, and all of its own arguments.

    Also relume run -m package.module, and any command after two dashes: relume run -- torchrun
    train.py. Says at the end which units died. The program's output and exit code stay its own; we
    speak on stderr. Every Python that the program starts is watched too.
    """
    target: Target | None = ctx.meta[_TARGET]
    if target is None or not target.words:
        raise SettingsError(
            "nothing to run; write relume run train.py, relume run -m package.module or "
            "relume run -- torchrun train.py"
        )
    _check_options(budget, every, out)
    _check_repair(budget, allow, repair=repair)
    if fail_on is not None:
        from relume.diagnosis.fail_on import parse_conditions

        parse_conditions(fail_on)
    command = _command_of(target)
    watch = {
        "budget": budget,
        "every": every,
        "full": full,
        "quiet": quiet,
        "repair": repair or None,
        "allow": allow,
    }
    _launch(
        target,
        command,
        watch={name: value for name, value in watch.items() if value is not None},
        out=out,
        closing=_closing(quiet=quiet, report=not no_report, fail_on=fail_on),
    )


run.click_command = RunCommand  # type: ignore[attr-defined]


def _launch(
    target: Target,
    command: list[str],
    *,
    watch: dict[str, Any],
    out: Path | None,
    closing: list[str],
) -> None:
    from relume.observe.launch import (
        LaunchSettings,
        become,
        usual_python_path,
        watched_environment,
    )
    from relume.observe.run_place import RunPlace

    wanted = out if out is not None else Path(f"relume-{_name(target)}")
    place = RunPlace.new(wanted, is_exact=out is not None)
    settings = LaunchSettings(
        watching=WATCHING,
        watch=watch,
        closing=closing,
        python_path=usual_python_path(os.environ),
        folder=str(Path.cwd()),
    )
    if target.kind is Kind.COMMAND or FAIL_ON in closing:
        _run_and_close(command, settings, place)
    become(command, watched_environment(os.environ, settings, place, outermost=os.getpid()))


def _closing(*, quiet: bool, report: bool, fail_on: str | None) -> list[str]:
    if quiet and not report and fail_on is None:
        return []
    options = ["--quiet"] * quiet + ["--no-report"] * (not report)
    if fail_on is not None:
        options += [FAIL_ON, fail_on]
    return [sys.executable, "-m", CLOSING, *options]


def _run_and_close(command: list[str], settings: "LaunchSettings", place: "RunPlace") -> None:
    """Run a command, close the run, and end as the command ended, or as its findings say."""
    from relume.diagnosis.fail_on import EXIT_CODE
    from relume.observe.attendance import close_run
    from relume.observe.launch import die_by, run_beside, watched_environment

    code = run_beside(command, watched_environment(os.environ, settings, place, outermost=None))
    failed = 0
    with suppress(KeyboardInterrupt):
        failed = close_run(settings, place, os.environ)
    if code < 0:
        die_by(-code)
    if code == 0 and failed == EXIT_CODE:
        code = failed
    sys.stderr.flush()
    os._exit(code)  # the command's own: nobody shall read a meaning into it, or say a word


def _check_options(budget: float | None, every: int | None, out: Path | None) -> None:
    if os.name != "posix":
        raise UserError("relume run needs Linux or macOS; here, use relume.watch() in the script")
    if budget is not None and not 0 < budget < 1:
        raise SettingsError(
            f"--budget is a share of a step's time between 0 and 1, such as 0.01; got {budget:g}"
        )
    if every is not None and every < 1:
        raise SettingsError(f"--every takes a number of steps, at least 1; got {every}")
    if out is None:
        return
    if out.is_dir() and any(out.glob("run*.sqlite")):
        raise OutputError(f"{out} holds an earlier run; choose another --out")
    check_possible(out)


def _check_repair(budget: float | None, allow: str | None, *, repair: bool) -> None:
    if allow is not None:
        _check_allow(allow, repair=repair)
    if repair and budget is not None:
        raise SettingsError(
            "--repair goes by step counts and keeps no --budget; use --every, such as --every 20"
        )


def _check_allow(allow: str, *, repair: bool) -> None:
    from relume.watching import ALLOWS

    if not repair:
        raise SettingsError("--allow says how far a repair may go; add --repair")
    if allow not in ALLOWS:
        raise SettingsError(f"--allow takes {', '.join(ALLOWS)}; got {allow!r}")


def _command_of(target: Target) -> list[str]:
    """Return the command with the program in full, or say why it cannot be run."""
    from relume.observe.launch import own_python

    name, *rest = target.words
    if target.kind is Kind.COMMAND:
        program = shutil.which(name)
        if program is None:
            raise UserError(f"no such command: {name}; look for a mistake in it, or for it on PATH")
        return [name, *rest]
    python = own_python(sys.orig_argv)
    if sys.flags.ignore_environment or sys.flags.no_site:
        raise SettingsError(
            "a Python with -I, -E or -S cannot be watched; start relume without them"
        )
    if target.kind is Kind.MODULE:
        _check_module(name)
        return [*python, "-m", name, *rest]
    _check_script(name)
    return [*python, name, *rest]


def _check_script(name: str) -> None:
    path = Path(name)
    if not path.exists():
        advice = "look for a mistake in the path"
        if shutil.which(name):
            advice = f"for a command, write relume run -- {name}"
        raise UserError(f"no such script: {name}; {advice}")
    if path.is_dir():
        if not (path / "__main__.py").is_file():
            raise UserError(f"{name} is a folder without a __main__.py; name a script in it")
    elif path.suffix in NOT_SCRIPTS or _is_binary(path):
        raise UserError(
            f"{name} is not a Python script; for another program, write relume run -- PROGRAM"
        )


def _is_binary(path: Path) -> bool:
    """Whether a file is neither text nor what Python can run besides: a zip file, bytecode."""
    try:
        with path.open("rb") as file:
            start = file.read(4096)
    except OSError as error:
        raise UserError(f"cannot read {path}: {(error.strerror or str(error)).lower()}") from error
    is_runnable = start.startswith((b"PK", importlib.util.MAGIC_NUMBER))
    return b"\0" in start and not is_runnable


def _check_module(name: str) -> None:
    """Look for a module without importing anything of the person's."""
    path: list[str] = [str(Path.cwd()), *sys.path]
    found: importlib.machinery.ModuleSpec | None = None
    parts = name.split(".")
    for index, part in enumerate(parts):
        full = ".".join(parts[: index + 1])
        found = _spec(full, path) if part else None
        if found is None:
            raise UserError(f"no module named {full or name}; look for a mistake in {name!r}")
        path = list(found.submodule_search_locations or ())
    if path and _spec(f"{name}.__main__", path) is None:
        raise UserError(f"{name} is a package without a __main__; name a module in it")


def _spec(name: str, path: Sequence[str]) -> importlib.machinery.ModuleSpec | None:
    found = importlib.machinery.PathFinder.find_spec(name, path)
    if found is not None or "." in name:
        return found
    return importlib.util.find_spec(name)  # built in, or where an editable install says


def _name(target: Target) -> str:
    """Return what the run is called by: its script, its module, or its command."""
    if target.kind is Kind.MODULE:
        parts = target.words[0].split(".")
        return next(part for part in reversed(parts) if part != "__main__" or len(parts) == 1)
    scripts = [word for word in target.words if word.endswith(".py")]
    named = scripts[0] if target.kind is Kind.COMMAND and scripts else target.words[0]
    return Path(named).resolve().stem or "run"
