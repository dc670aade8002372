"""``relume run``: put before a person's own command, it watches the training there."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relume.cli.target import (
    TARGET,
    Kind,
    Target,
    TargetCommand,
    command_of,
    name_of,
    nothing_to_run,
)
from relume.errors import OutputError, SettingsError, UserError
from relume.files import check_possible

if TYPE_CHECKING:
    from relume.observe.launch import LaunchSettings
    from relume.observe.run_place import RunPlace

WATCHING = "relume.watching"
CLOSING = "relume.cli.run_closing"
FAIL_ON = "--fail-on"


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
    target: Target | None = ctx.meta[TARGET]
    if target is None or not target.words:
        raise nothing_to_run("run")
    _check_options(budget, every, out)
    _check_repair(budget, allow, repair=repair)
    if fail_on is not None:
        from relume.diagnosis.fail_on import parse_conditions

        parse_conditions(fail_on)
    command = command_of(target, "run")
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


run.click_command = TargetCommand  # type: ignore[attr-defined]


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

    wanted = out if out is not None else Path(f"relume-{name_of(target)}")
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
