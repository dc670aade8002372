"""Notebooks: ``%load_ext relume``, then ``%%relume`` above a cell that trains."""

from typing import TYPE_CHECKING, Any

from relume.errors import SettingsError
from relume.integrations.session import ending_of
from relume.integrations.wanted import wanted
from relume.watching import Watch, settings_of

if TYPE_CHECKING:
    from argparse import Namespace

_magic: Any = wanted(__name__, "IPython.core.magic")
_words: Any = wanted(__name__, "IPython.core.magic_arguments")
_usage_error: Any = wanted(__name__, "IPython.core.error").UsageError


@_magic.magics_class
class RelumeMagics(_magic.Magics):  # type: ignore[misc]
    """The magic ``relume``, for a line and for a cell."""

    @_words.magic_arguments()
    @_words.argument("--out", metavar="FOLDER", help="For the results. [a new relume-notebook]")
    @_words.argument("--every", type=int, metavar="N", help="Measure units every so many steps.")
    @_words.argument("--budget", type=float, metavar="SHARE", help="Of the time, for watching.")
    @_words.argument("--repair", action="store_true", help="Repair what goes wrong.")
    @_words.argument("--allow", help="How far a repair may go: safe, training or model.")
    @_words.argument("statement", nargs="...", help="What to run, in a line of its own.")
    @_magic.line_cell_magic
    def relume(self, line: str, cell: str | None = None) -> Watch:
        """Run a statement or a cell, watched, and show what its training came to."""
        given = _words.parse_argstring(self.relume, line)
        code = cell if cell is not None else " ".join(given.statement)
        if not code.strip():
            raise _usage_error("nothing to run; write %%relume above a cell, or %relume STATEMENT")
        if cell is not None and given.statement:
            raise _usage_error(f"%%relume has no option {given.statement[0]!r}; see %%relume?")
        watch = _watch(given)
        watch.start()
        result = None
        try:
            result = self.shell.run_cell(code, store_history=False)
        finally:
            error = None if result is None else result.error_before_exec or result.error_in_exec
            is_whole = result is not None and error is None
            watch.stop("finished" if is_whole else ending_of(error))
        if error is not None:
            raise _shown_already(error)
        return watch


def load_ipython_extension(shell: Any) -> None:
    """Make the magic known; ``%load_ext relume`` calls it."""
    shell.register_magics(RelumeMagics)


def _watch(given: "Namespace") -> Watch:
    names = ("out", "every", "budget", "repair", "allow")
    settings = {name: getattr(given, name) for name in names}
    wanted_ones = {name: value for name, value in settings.items() if value is not None}
    try:
        return Watch(settings_of(name="notebook", quiet=True, **wanted_ones))
    except SettingsError as error:
        raise _usage_error(str(error)) from None


def _shown_already(error: BaseException) -> BaseException:
    """Return the error of a cell, which IPython has shown: it ends the notebook, said once."""
    error._render_traceback_ = list  # type: ignore[attr-defined]
    return error
