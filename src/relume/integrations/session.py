"""One training of a framework, watched from the hook that begins it to the one that ends it."""

import numbers
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any, Self, TypeVar, cast

from torch import Tensor, nn

from relume.observe.run_place import rank_of_process
from relume.watching import Watch, WatchSettings, active_watch, metric, settings_of

Hook = TypeVar("Hook", bound=Callable[..., None])


class FitWatch(Watch):
    """A watch that says at its end how the units stand, and where the report is.

    Args:
        settings: How it is watched.
        model: The model whose names are used first.
        framework: What is watched.
    """

    def __init__(self, settings: WatchSettings, model: nn.Module | None, framework: str) -> None:
        super().__init__(settings, model)
        self.framework = framework

    def stop(self, status: str = "finished") -> Path | None:
        """End the watching; write the run file and the report, and say so once."""
        page = super().stop(status)
        if page is not None and not rank_of_process(os.environ):
            for line in self.said:
                self._tell(line)
        return page


class Session:
    """What an adapter holds: settings, and the watch while a training goes on.

    A copy, pickled or not, has the settings alone.

    Args:
        framework: Whose training it is.
        settings: Those of ``relume.watch``.
        is_told_of_errors: Whether the framework tells its adapters of a training that fails. If
            not, the watch of such a training ends with the next one of the framework, with the
            cell of the notebook, or with the program.
        spans_cells: Whether a training may go on beyond a cell of a notebook.

    Raises:
        SettingsError: A setting is unknown or makes no sense.
    """

    def __init__(
        self,
        framework: str,
        settings: Mapping[str, Any],
        *,
        is_told_of_errors: bool = False,
        spans_cells: bool = False,
    ) -> None:
        self.framework = framework
        self._is_told_of_errors = is_told_of_errors
        self._spans_cells = spans_cells
        self._settings = settings_of(**settings)
        self._watch: FitWatch | None = None
        self._last: FitWatch | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        names = WatchSettings.__dataclass_fields__
        settings = {name: getattr(self._settings, name) for name in names}
        return _session, (self.framework, settings, self._is_told_of_errors, self._spans_cells)

    @property
    def watch(self) -> Watch | None:
        """The watch of the training that goes on, or of the last one."""
        return self._watch or self._last

    @property
    def is_open(self) -> bool:
        """Whether a training goes on."""
        return self._watch is not None

    def begin(self, model: object = None) -> Self:
        """Begin to watch; under another watch that is active already, that one sees it all."""
        self.end("failed")
        if not self._is_told_of_errors:
            self._end_earlier()
        if not self._is_told_of_errors and not self._spans_cells:
            self._end_with_cell()
        known = model if isinstance(model, nn.Module) else None
        self._watch = FitWatch(self._settings, known, self.framework)
        self._watch.start()
        return self

    def record(self, scores: Mapping[str, Any] | None) -> None:
        """Record the numbers among the scores that the framework logs, while a training goes on."""
        if self._watch is None:
            return
        for name, value in (scores or {}).items():
            if _is_number(value):
                metric(str(name), value)

    def end(self, status: str = "finished") -> None:
        """End the watching, if it goes on: ``finished``, ``interrupted`` or ``failed``."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self._last = watch
            watch.stop(status)

    def fail(self, error: Exception) -> None:
        """Say a fault of ours in a line; the training goes on."""
        if not self._settings.quiet:
            with suppress(Exception):  # there may be no stderr
                sys.stderr.write(f"relume: not watched: {type(error).__name__}: {error}\n")

    def _end_earlier(self) -> None:
        """End the watch of a training of the framework that failed, which nobody told us."""
        active = active_watch()
        if isinstance(active, FitWatch) and active.framework == self.framework:
            active.stop("failed")

    def _end_with_cell(self) -> None:
        """In a notebook, end with the cell: a training that goes on then has failed."""
        shell = _shell()
        if shell is None:
            return

        def ended(result: Any) -> None:
            shell.events.unregister("post_run_cell", ended)
            self.end(ending_of(getattr(result, "error_in_exec", None)))

        shell.events.register("post_run_cell", ended)


def ending_of(error: BaseException | None) -> str:
    """Return how a training ended that was left with an exception; without one it has failed."""
    return "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def harmless(method: Hook) -> Hook:
    """Let a hook of ours never raise: its ``session`` says what went wrong."""

    @wraps(method)
    def hook(self: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(self, *args, **kwargs)
        except Exception as error:  # noqa: BLE001
            self.session.fail(error)

    return cast("Hook", hook)


def _session(framework: str, settings: dict[str, Any], *traits: bool) -> Session:
    is_told, spans_cells = traits
    return Session(framework, settings, is_told_of_errors=is_told, spans_cells=spans_cells)


def _shell() -> Any:
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None else None


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
