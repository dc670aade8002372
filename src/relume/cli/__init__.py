"""The command line: one file a command, one explicit tuple of them.

A person's mistake gives one line on stderr and exit code 2; a fault of ours one line and 1, with
the traceback when ``RELUME_TRACEBACK`` is set.
"""

import os
import sys
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

import relume
from relume.cli.activations import activations
from relume.cli.clean import clean
from relume.cli.cure import cure
from relume.cli.diagnose import diagnose
from relume.cli.diff import diff
from relume.cli.examine import examine
from relume.cli.export import export
from relume.cli.fit import fit
from relume.cli.live import live
from relume.cli.ls import ls
from relume.cli.predict import predict
from relume.cli.report import report
from relume.cli.revive import revive
from relume.cli.rules import rules
from relume.cli.run import run as run_command
from relume.errors import RelumeError

COMMANDS: tuple[Callable[..., None], ...] = (
    fit, run_command, predict, examine, diagnose, cure, revive, report, live, diff, export, ls, clean,
    rules, activations,
)  # fmt: skip

EXIT_OF_CTRL_C = 130


def build_app() -> typer.Typer:
    """Return the application with every command of ``COMMANDS``."""
    app = typer.Typer(
        name="relume",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_global_options)
    for command in COMMANDS:
        app.command(cls=getattr(command, "click_command", None))(command)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit with its code."""
    sys.exit(run(arguments))


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1, 2, or 130 after Ctrl-C."""
    try:
        build_app()(args=list(arguments) if arguments is not None else None)
    except SystemExit as exit_:
        code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
        if code == EXIT_OF_CTRL_C:
            _say("interrupted")
        return code
    except RelumeError as error:
        _say(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _say("interrupted")
        return EXIT_OF_CTRL_C
    except BrokenPipeError:  # the reader of our output has gone: nobody is left to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception as error:
        if os.environ.get("RELUME_TRACEBACK"):
            raise
        reason = " ".join(str(error).split()) or "no reason given"
        _say(
            f"a fault of Relume, not of yours: {type(error).__name__}: {reason} "
            "(set RELUME_TRACEBACK=1 to see where)"
        )
        return 1
    return 0


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"relume {relume.__version__}")
        raise typer.Exit


def _global_options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Show the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Train ReLU networks that stay alive, and see which of their units do."""


def _say(line: str) -> None:
    sys.stderr.write(f"relume: {line}\n")
